"""Where built databases lie, how they are built, and how they are read back."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import io
import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from diqa_utils._internal.files import cache_folder, source_fingerprint
from diqa_utils.datasets.catalog import CATALOG

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

#: The code whose change makes a built sample database stale.
SAMPLE_SOURCES = (
    "images.py",
    "distortions/blurs.py",
    "distortions/common.py",
    "distortions/compression.py",
    "distortions/fading.py",
    "distortions/noise.py",
    "datasets/sample_iqa/sample_iqa_dataset_builder.py",
    "datasets/splits.py",
    "distortions/__init__.py",
    "preprocessing.py",
)

#: Encoded examples that are shuffled at a time: some 100 MB for pictures as large as LIVE's. They
#: lie on the disk in a random order already, so this only changes it from epoch to epoch.
SHUFFLED = 128

#: In the name that TFDS gives to a folder until all of it is written.
HALF_MADE = "incomplete"

#: What is mended by making room.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

#: What goes wrong with a folder, in words.
FOLDER_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.EROFS: "it is read-only",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EEXIST: "a part of its path is a file",
}


def database_root(data_dir: Path | None) -> Path:
    """Returns the folder that holds all built databases."""
    return data_dir if data_dir else cache_folder() / "datasets"


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
        ValueError: if there is no such database, or an option that it does not take.
        FileNotFoundError: if its files are needed and missing.
    """
    check_name(name)
    folder, _, variant = name.partition("/")
    module = importlib.import_module(f"diqa_utils.datasets.{folder}.{folder}_dataset_builder")
    root = database_root(data_dir)
    if options and folder != "folder_iqa":
        raise TypeError(f"{name} takes no {', '.join(options)}: only folder_iqa does.")
    if folder == "sample_iqa":
        return module.Builder(data_dir=root / f"{name}-{source_fingerprint(*SAMPLE_SOURCES)}")
    if folder == "folder_iqa":
        with open_files(name, root, manual_dir) as files:
            config = module.config(files, **(options or {}))
        key = _contents_key(files.root, vars(config))
        with _no_warnings():  # that the configuration is not one of the builder's own
            builder = module.Builder(data_dir=root / f"{name}-{key}", config=config)
    elif partial:
        files_root = check_files_folder(name, root, manual_dir)
        key = _contents_key(files_root, {})
        builder = module.Builder(data_dir=root / f"{folder}-{key}", config=variant or None)
        builder.complete = False
    else:
        builder = module.Builder(data_dir=root, config=variant or None)
    return builder


def check_name(name: str) -> None:
    """Raises a ValueError if there is no such database."""
    if name not in CATALOG:
        raise ValueError(f"There is no database {name!r}; known: {', '.join(CATALOG)}.")


def default_files_folder(name: str, root: Path) -> Path:
    """Returns where the files of a database are looked for if nobody says."""
    return root / "manual" / CATALOG[name].builder


def check_files_folder(name: str, root: Path, manual_dir: Path | None) -> Path:
    """Returns where the files of a database are; tells how to get them if there are none."""
    from diqa_utils.datasets.builder import instructions

    folder = manual_dir or default_files_folder(name, root)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        return folder
    what = "is empty" if folder.is_dir() else "does not exist"
    raise FileNotFoundError(
        f"The files of {name} are not on this machine: {str(folder)!r} {what}.\n"
        f"{instructions(name)}"
    )


def open_files(name: str, root: Path, manual_dir: Path | None) -> Any:
    """Opens the files of a database."""
    from diqa_utils.datasets.files import DatabaseFiles

    return DatabaseFiles(check_files_folder(name, root, manual_dir))


def fetch(name: str, root: Path, manual_dir: Path | None) -> None:
    """Downloads the files of a database, unless they are there.

    Raises:
        ValueError: If its owners hand it out themselves, or a file is not the published one.
        FileNotFoundError: If git is not installed.
        ConnectionError: If git cannot fetch the files.
    """
    check_name(name)
    if name != "biq2021":
        raise ValueError(
            f"{name} cannot be downloaded: its owners hand it out themselves, at "
            f"{CATALOG[name].home}."
        )
    from diqa_utils.datasets.biq2021 import biq2021_dataset_builder

    biq2021_dataset_builder.Builder.download(manual_dir or default_files_folder(name, root))


def prepare(
    builder: tfds.core.DatasetBuilder,
    name: str,
    root: Path,
    manual_dir: Path | None,
) -> None:
    """Builds a database unless it is there, one process at a time; all of it or nothing.

    Raises:
        FileNotFoundError: if a file of it is missing; tells how to get them if all are.
        ValueError: if a file of it is not as it should be.
        OSError: if its folder cannot be written, in words.
    """
    import tensorflow_datasets as tfds

    built = Path(builder.data_path)
    try:
        built.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(built.parent / ".lock"):
            # TFDS removes what an exception interrupts; a killed process leaves its folder behind.
            for half_made in built.parent.glob(f"*{HALF_MADE}*"):
                shutil.rmtree(half_made)
            if built.exists():
                if not builder.info.splits:  # built by another process since this builder was made
                    builder.info.read_from_directory(builder.data_path)
                return
            with contextlib.ExitStack() as resources:
                if name != "sample_iqa":
                    builder.files = resources.enter_context(open_files(name, root, manual_dir))
                print(f"Building {name} in {built.parent}: once{_how_long(name)}.")
                tfds.disable_progress_bar()
                with contextlib.redirect_stdout(io.StringIO()):  # it speaks of a download
                    builder.download_and_prepare()
    except (OSError, _tensorflow_errors()) as error:
        raise _in_words(error, built.parent) from error


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
        ValueError: if there is no such part, or no picture of one of the references.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from diqa_utils._internal.tensorflow import as_it_is, untuned
    from diqa_utils.datasets.pictures import decode

    check_split(builder, split)
    shapes = {
        name: feature.shape
        for name, feature in builder.info.features.items()
        if isinstance(feature, tfds.features.Image)
    }
    dataset = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders={name: tfds.decode.SkipDecoding() for name in shapes},
        read_config=tfds.ReadConfig(interleave_cycle_length=1),  # in the order of the table
    )
    if references is not None:
        dataset = _with_references(dataset, builder, split, set(references))
    if seed is not None:
        dataset = dataset.shuffle(SHUFFLED, seed=seed, reshuffle_each_iteration=True)

    def with_pictures(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pictures = {
            name: tf.ensure_shape(decode(features[name]), shape) for name, shape in shapes.items()
        }
        return features | pictures

    return untuned(dataset.map(as_it_is(with_pictures), num_parallel_calls=tf.data.AUTOTUNE))


def table(builder: tfds.core.DatasetBuilder, split: str) -> dict[str, np.ndarray]:
    """Reads everything of a part but its pictures, in the order in which `read` gives them.

    Raises:
        ValueError: if there is no such part.
    """
    import tensorflow_datasets as tfds

    check_split(builder, split)
    instruction = tfds.core.ReadInstruction.from_spec(split)
    pieces = []
    for piece in instruction.to_absolute(builder.info.splits):
        columns = _columns(builder, piece.splitname)
        pieces.append({name: column[piece.from_ : piece.to] for name, column in columns.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def check_split(builder: tfds.core.DatasetBuilder, split: str) -> None:
    """Raises a ValueError if a database has no such part."""
    for piece in split.split("+"):
        if piece.split("[")[0].strip() not in builder.info.splits:
            known = ", ".join(builder.info.splits)
            raise ValueError(f"{builder.name} has no split {split!r}; it has {known}.")


def _columns(builder: tfds.core.DatasetBuilder, part: str) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    if stored := (builder.info.metadata or {}).get(part):
        return {name: np.array(column) for name, column in stored.items()}
    features = builder.info.features
    names = [n for n, kind in features.items() if not isinstance(kind, tfds.features.Image)]
    decoders = tfds.decode.PartialDecoding(dict.fromkeys(names, True))
    with _no_warnings():  # that TFDS calls one of its own functions that is going to be renamed
        rows = builder.as_dataset(split=part, decoders=decoders)
    columns = next(rows.batch(len(rows)).as_numpy_iterator())
    return {
        name: column.astype(str) if column.dtype == object else column
        for name, column in columns.items()
    }


def _with_references(
    dataset: tf.data.Dataset, builder: tfds.core.DatasetBuilder, split: str, wanted: set[str]
) -> tf.data.Dataset:
    import tensorflow as tf

    there = table(builder, split)["reference_id"]
    if unknown := wanted - set(there):
        raise ValueError(
            f"{builder.name} has no picture of the reference {min(unknown)!r} in {split!r}."
        )
    if not wanted:
        raise ValueError("references is empty: name at least one.")
    names = tf.constant(sorted(wanted))
    kept = dataset.filter(lambda features: tf.reduce_any(features["reference_id"] == names))
    return kept.apply(tf.data.experimental.assert_cardinality(np.isin(there, list(wanted)).sum()))


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Keeps what TFDS logs to itself unless it is an error."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _how_long(name: str) -> str:
    return ", about half a minute" if name == "sample_iqa" else ""


def _tensorflow_errors() -> type[BaseException]:
    """What TensorFlow raises where a file cannot be written."""
    import tensorflow as tf

    return tf.errors.ResourceExhaustedError


def _in_words(error: BaseException, folder: Path) -> BaseException:
    """Turns an error of the file system into a sentence; leaves others as they are."""
    number = getattr(error, "errno", None)
    if not isinstance(error, OSError):  # TensorFlow's
        number = errno.ENOSPC
    if number not in FOLDER_ERRORS or isinstance(error, FileNotFoundError):
        return error
    reason = FOLDER_ERRORS[number]
    detail = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    remedy = "Make room, or pass" if number in FULL else "Pass"
    return OSError(
        number,
        f"Nothing was built in {str(folder)!r}: {reason}{detail}. {remedy} another folder as "
        "data_dir",
    )


def _contents_key(folder: Path, settings: dict[str, Any]) -> str:
    """Returns a short hash of how to read a folder and of what is in it."""
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"), key=str)
    stats = [(str(path), path.stat()) for path in paths if path.is_file()]
    state = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    content = json.dumps([settings, state], default=str, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def find_built(name: str, data_dir: Path | None, *, partial: bool = False) -> bool:
    """Whether a build of a database is there, of all of it or of a part; imports no TensorFlow."""
    folder, _, variant = name.partition("/")
    root = database_root(data_dir)
    if folder == "sample_iqa":
        places = [root / f"{name}-{source_fingerprint(*SAMPLE_SOURCES)}"]
    elif partial or folder == "folder_iqa":
        places = list(root.glob(f"{folder}-*"))
    else:
        places = [root]
    config = variant or ("realigned" if folder == "live_iqa" else "")
    infos = [
        info for place in places for info in (place / folder / config).glob("**/dataset_info.json")
    ]
    return any(HALF_MADE not in info.parent.name for info in infos)
