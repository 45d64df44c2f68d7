"""Where built databases lie, how they are built, and how they are read back."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from diqa_utils._internal.files import (
    cache_folder,
    fingerprint,
    source_fingerprint,
    write_atomically,
)
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.datasets.database import Database
from diqa_utils.datasets.files import DatabaseFiles, files_below

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

#: The code whose change makes a built sample database stale.
SAMPLE_SOURCES = (
    "images.py",
    "preprocessing.py",
    "distortions/*.py",
    "datasets/splits.py",
    "datasets/sample_iqa/sample_iqa_dataset_builder.py",
)

#: The code that, with a database's own builder, reads people's folders and partial copies: its
#: change makes their builds stale.
READER_SOURCES = (
    "images.py",
    "datasets/*.py",
    "datasets/tid2013/tid2013_dataset_builder.py",
)

#: Settings of `folder_iqa`; no other database takes any.
FOLDER_OPTIONS = ("scores", "columns", "separator", "decimal", "scale", "higher_is_better")

#: Kinds of files that the library itself writes, a run beside its pictures for example. None of
#: them is part of a database, so that they do not make a build stale.
WRITTEN_HERE = frozenset({".json", ".jsonl", ".npz", ".h5", ".keras", ".lock", ".md"})

#: File beside the shards with the sizes and times that they had when all of them were read.
SEAL = "checked.json"

#: Encoded examples that are shuffled at a time: some 100 MB for pictures as large as LIVE's. They
#: lie on the disk in a random order already, so this only changes it from epoch to epoch.
SHUFFLED = 128

#: In the name that TFDS gives to a folder until all of it is written.
HALF_MADE = "incomplete"


def database_root(data_dir: Path | None) -> Path:
    """Returns the folder that holds all built databases."""
    return data_dir if data_dir else cache_folder() / "datasets"


def find_database(name: str) -> Database:
    """Returns what is known about a database, or raises a ValueError if there is none."""
    if name not in CATALOG:
        raise ValueError(f"There is no database {name!r}; known: {', '.join(CATALOG)}.")
    return CATALOG[name]


def find_files(name: str, data_dir: Path | None, manual_dir: Path | None) -> Path:
    """Returns where the files of a database are.

    Raises:
        FileNotFoundError: If there are none; tells how to get them.
    """
    folder = manual_dir or _usual_files_folder(name, data_dir)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        return folder
    what = "is empty" if folder.is_dir() else "does not exist"
    raise FileNotFoundError(
        f"The files of {name} are not on this machine: {str(folder)!r} {what}.\n"
        f"{CATALOG[name].instructions}"
    )


def make_builder(
    name: str,
    data_dir: Path | None,
    manual_dir: Path | None = None,
    *,
    partial: bool = False,
    options: dict[str, Any] | None = None,
) -> tfds.core.DatasetBuilder:
    """Returns the TFDS builder of a database, which looks for built data in a folder of its own.

    Raises:
        ValueError: If there is no such database.
        TypeError: If it does not take an option.
        FileNotFoundError: If its files are needed and missing.
    """
    database = find_database(name)
    root = database_root(data_dir)
    settings: dict[str, Any] = dict(options or {})
    if settings and name != "folder_iqa":
        raise TypeError(f"{name} takes no {', '.join(settings)}: only folder_iqa does.")
    if unknown := [option for option in settings if option not in FOLDER_OPTIONS]:
        known = ", ".join(FOLDER_OPTIONS)
        raise TypeError(f"folder_iqa takes no {', '.join(unknown)}; its options are {known}.")
    if name == "sample_iqa":
        root /= f"{name}-{source_fingerprint(*SAMPLE_SOURCES)}"
    elif partial or name == "folder_iqa":
        files = find_files(name, data_dir, manual_dir)
        builds = root.glob(f"{database.folder}-*")
        code = source_fingerprint(*READER_SOURCES, _builder_source(database))
        key = contents_fingerprint(files, [code, settings], leave_out=builds)
        root /= f"{database.folder}-{key}"
        if name == "folder_iqa":
            settings["folder"] = files
    if database.config:
        settings["config"] = database.config
    builder = _open_builder(database, root, settings)
    if partial:
        builder.complete = False
    return builder


def _open_builder(
    database: Database, root: Path, settings: dict[str, Any]
) -> tfds.core.DatasetBuilder:
    """Makes a builder, which reads what is built; checks that this is whole."""
    make = _builder_module(database).Builder
    place = root / database.folder / (database.config or "") / str(make.VERSION)
    if not place.exists():
        return make(data_dir=root, **settings)
    try:
        builder = make(data_dir=root, **settings)
        dict(builder.info.metadata or {})  # TFDS reads it when it is first asked for
        if not builder.info.splits:
            raise ValueError("'dataset_info.json' is missing.")
        _check_shards(builder)
    except Exception as error:  # TFDS and protobuf have errors of many kinds
        raise ValueError(
            f"What was built of {database.name} is damaged: {str(error).rstrip('.')}. Delete "
            f"{str(place)!r}, and it is built again."
        ) from error
    return builder


def _check_shards(builder: tfds.core.DatasetBuilder) -> None:
    """Reads all shards once, and again only if their sizes or times are others.

    Raises:
        ValueError: If a shard is missing, damaged, or has another number of records.
    """
    shards = {
        Path(path): length
        for split in builder.info.splits.values()
        for path, length in zip(split.filepaths, split.shard_lengths, strict=True)
    }
    if missing := [path for path in shards if not path.is_file()]:
        raise ValueError(f"{missing[0].name!r} is missing.")
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in shards]
    seal, text = Path(builder.data_path) / SEAL, json.dumps(stats)
    if seal.is_file() and seal.read_text(errors="replace") == text:
        return
    for path, length in shards.items():
        if (count := _count_records(path)) != length:
            raise ValueError(f"{path.name!r} has {count:,} records and should have {length:,}.")
    with contextlib.suppress(OSError):  # in a folder that cannot be written they are read each time
        write_atomically(seal, lambda place: place.write_text(text))


def _count_records(path: Path) -> int:
    import tensorflow as tf

    from diqa_utils._internal.tensorflow import as_it_is

    try:
        records = tf.data.TFRecordDataset(str(path))
        return int(records.reduce(np.int64(0), as_it_is(lambda count, _: count + 1)))
    except tf.errors.DataLossError as error:
        raise ValueError(f"{path.name!r} cannot be read.") from error


def find_built(name: str, data_dir: Path | None, *, partial: bool = False) -> bool:
    """Whether a build of a database is there, of all of it or of a part; imports no TensorFlow."""
    database = CATALOG[name]
    folder = ""
    if name == "sample_iqa":
        folder = f"{name}-{source_fingerprint(*SAMPLE_SOURCES)}"
    elif partial or name == "folder_iqa":
        folder = f"{database.folder}-*"
    place = PurePath(folder, database.folder, database.config or "", "*", "dataset_info.json")
    infos = database_root(data_dir).glob(str(place))
    return any(HALF_MADE not in info.parent.name for info in infos)


def prepare(
    name: str,
    data_dir: Path | None,
    manual_dir: Path | None,
    *,
    partial: bool,
    download: bool,
    options: dict[str, Any],
) -> tfds.core.DatasetBuilder:
    """Builds a database unless it is there, one process at a time; all of it or nothing.

    Returns:
        Its builder, which can read it.

    Raises:
        ValueError: If there is no such database, a file of it is not as it should be, or it cannot
            be downloaded.
        TypeError: If it does not take an option.
        FileNotFoundError: If a file of it is missing; tells how to get them if all are.
        OSError: If its folder cannot be written.
    """
    if download and not find_built(find_database(name).name, data_dir):
        _fetch(name, manual_dir or _usual_files_folder(name, data_dir))
    builder = make_builder(name, data_dir, manual_dir, partial=partial, options=options)
    if not builder.info.splits:  # what another process has built since then, it has not read
        with contextlib.ExitStack() as resources:
            if name != "sample_iqa":
                files = DatabaseFiles(find_files(name, data_dir, manual_dir))
                builder.files = resources.enter_context(files)
            _build(builder, name)
        # Another builder, for this one has not read what another process may have written.
        builder = make_builder(name, data_dir, manual_dir, partial=partial, options=options)
        if not builder.data_path.exists():
            raise OSError(f"The files of {name} changed while they were read: start again.")
    elif manual_dir is not None and manual_dir.exists() and name != "sample_iqa":
        _check_scores(builder, manual_dir)
    return builder


def _check_scores(builder: tfds.core.DatasetBuilder, manual_dir: Path) -> None:
    """Raises a ValueError if a database was built from other scores than those that are at hand."""
    from diqa_utils.datasets.files import DatabaseFiles

    with DatabaseFiles(manual_dir) as files:
        rows = builder.read_rows(files)
    built: dict[str, float] = {}
    for part in builder.info.splits:
        columns = _columns(builder, part)
        scores = columns["score"].astype(np.float32).tolist()
        built |= dict(zip(columns["image_id"].tolist(), scores, strict=True))
    if built != {row.image_id: float(np.float32(row.score)) for row in rows}:
        raise ValueError(
            f"{builder.name} was built from other scores than those in {str(manual_dir)!r}: pass "
            f"another data_dir, or delete {str(builder.data_path)!r}, and it is built again."
        )


def read(
    builder: tfds.core.DatasetBuilder,
    split: str,
    *,
    references: Iterable[str] | None = None,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Reads a part of a built database.

    What is left out, by reference, is left out before any picture is decoded; what is shuffled is
    shuffled encoded, some at a time. So the memory that this takes does not depend on the size of
    the database.

    Raises:
        ValueError: If there is no such part, or no picture of one of the references.
    """
    import tensorflow as tf

    from diqa_utils._internal.tensorflow import as_it_is, untuned
    from diqa_utils.datasets.pictures import decode

    dataset = _encoded(builder, split)
    if references is not None:
        dataset = _with_references(dataset, builder, split, set(references))
    if seed is not None:
        dataset = dataset.shuffle(SHUFFLED, seed=seed, reshuffle_each_iteration=True)
    shapes = _image_shapes(builder)

    def with_pictures(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pictures = {
            name: tf.ensure_shape(decode(features[name]), shape) for name, shape in shapes.items()
        }
        return features | pictures

    return untuned(dataset.map(as_it_is(with_pictures), num_parallel_calls=tf.data.AUTOTUNE))


def table(builder: tfds.core.DatasetBuilder, split: str) -> dict[str, np.ndarray]:
    """Reads everything in a part but its pictures, in the order in which `read` gives them.

    Raises:
        ValueError: If there is no such part.
    """
    import tensorflow_datasets as tfds

    _check_split(builder, split)
    instruction = tfds.core.ReadInstruction.from_spec(split)
    pieces = []
    for piece in instruction.to_absolute(builder.info.splits):
        columns = _columns(builder, piece.splitname)
        pieces.append({name: column[piece.from_ : piece.to] for name, column in columns.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _builder_source(database: Database) -> str:
    return f"datasets/{database.folder}/{database.folder}_dataset_builder.py"


def _builder_module(database: Database) -> Any:
    path = PurePath("diqa_utils", _builder_source(database)).with_suffix("")
    return importlib.import_module(".".join(path.parts))


def _usual_files_folder(name: str, data_dir: Path | None) -> Path:
    """Returns where the files of a database are looked for if nobody says."""
    return database_root(data_dir) / "manual" / CATALOG[name].folder


def contents_fingerprint(folder: Path, reading: Any, *, leave_out: Iterable[Path] = ()) -> str:
    """Returns a short hash of a folder with pictures and of how it is read.

    It changes with the path, the size and the times of every file, also of one that a link leads
    to; that of the last change of its state cannot be set back, as `cp -p` does with the other.

    Args:
        folder: Folder or archive.
        reading: What else is to change the hash: options and code of the reader.
        leave_out: Folders in it that do not count.
    """
    paths = [folder] if folder.is_file() else files_below(folder, leave_out=leave_out)
    state = [_state(path) for path in paths if path.suffix not in WRITTEN_HERE]
    return fingerprint(reading=reading, state=state)


def _state(path: Path) -> tuple[str | int, ...]:
    if path.is_dir():  # a link to a folder that counts already
        return str(path), str(path.resolve())
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _fetch(name: str, folder: Path) -> None:
    """Downloads the files of a database into a folder, unless they are there."""
    builder = _builder_module(CATALOG[name]).Builder
    if not hasattr(builder, "download"):
        raise ValueError(
            f"{name} cannot be downloaded: its owners hand it out themselves, at "
            f"{CATALOG[name].home}."
        )
    builder.download(folder)


def _build(builder: tfds.core.DatasetBuilder, name: str) -> None:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    folder = Path(builder.data_path).parent
    how_long = ", about half a minute" if name == "sample_iqa" else ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            # TFDS removes what an exception interrupts; a killed process leaves its folder behind.
            for half_made in folder.glob(f"*{HALF_MADE}*"):
                shutil.rmtree(half_made)
            if builder.data_path.exists():  # another process has built it meanwhile
                return
            print(f"Building {name}: once{how_long}.")
            tfds.disable_progress_bar()
            with contextlib.redirect_stdout(io.StringIO()):  # it speaks of a download
                builder.download_and_prepare()
    except FileNotFoundError:
        raise
    except (OSError, tf.errors.OpError) as error:
        raise OSError(
            f"Nothing was built in {str(folder)!r}: {error}. If the fault is there, make room, or "
            "pass another folder as data_dir."
        ) from error


def _check_split(builder: tfds.core.DatasetBuilder, split: str) -> None:
    for piece in split.split("+"):
        if piece.split("[")[0].strip() not in builder.info.splits:
            parts = ", ".join(builder.info.splits)
            raise ValueError(f"{builder.name} has no split {split!r}; it has {parts}.")


def _image_shapes(builder: tfds.core.DatasetBuilder) -> dict[str, tuple[int | None, ...]]:
    import tensorflow_datasets as tfds

    return {
        name: feature.shape
        for name, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.Image)
    }


def _encoded(builder: tfds.core.DatasetBuilder, split: str) -> tf.data.Dataset:
    """Reads a part in the order of its table, with its pictures as they are stored."""
    import tensorflow_datasets as tfds

    _check_split(builder, split)
    return builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=dict.fromkeys(_image_shapes(builder), tfds.decode.SkipDecoding()),
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )


def _columns(builder: tfds.core.DatasetBuilder, part: str) -> dict[str, np.ndarray]:
    if stored := (builder.info.metadata or {}).get(part):
        columns = {name: np.array(column) for name, column in stored.items()}
        lengths = {column.shape for column in columns.values()}
        if lengths != {(builder.info.splits[part].num_examples,)}:
            raise ValueError(
                f"The table of {part!r} in {str(builder.data_path)!r} is damaged: delete that "
                "folder, and it is built again."
            )
        return columns
    rows = list(_encoded(builder, part).as_numpy_iterator())
    columns = {
        name: np.array([row[name] for row in rows])
        for name in builder.info.features
        if name not in _image_shapes(builder)
    }
    return {
        name: column.astype(str) if column.dtype.kind == "S" else column
        for name, column in columns.items()
    }


def _with_references(
    dataset: tf.data.Dataset, builder: tfds.core.DatasetBuilder, split: str, wanted: set[str]
) -> tf.data.Dataset:
    import tensorflow as tf

    references = table(builder, split)["reference_id"]
    if unknown := wanted - set(references):
        raise ValueError(
            f"{builder.name} has no picture of the reference {min(unknown)!r} in {split!r}."
        )
    if not wanted:
        raise ValueError("references is empty: name at least one.")
    names = tf.constant(sorted(wanted))
    kept = dataset.filter(lambda features: tf.reduce_any(features["reference_id"] == names))
    number = np.isin(references, list(wanted)).sum()
    return kept.apply(tf.data.experimental.assert_cardinality(number))
