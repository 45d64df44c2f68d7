"""Pre-training sets too large for one machine: pairs, maps and shards of step 1, by Apache Beam.

What `ratings.pretraining` makes while somebody trains is made here once, by as many workers as
there are, and kept in the shards of TensorFlow Datasets: `tfds.load("pairs", data_dir=FOLDER)`.

What a picture gives depends on its content, the seed and the number of the square. So one worker or
many write the same shards, byte for byte, on machines of one kind. Whether a picture is held out
depends on its content alone: copies never lie on both sides, whatever the seed. Patches and maps
are kept as float16, with errors of a part in 2,000.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, redirect_stdout
from functools import cache
from io import StringIO
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from diqa_utils import __version__
from diqa_utils._internal.files import check_same, locked
from diqa_utils._internal.tensorflow import as_it_is, compiled, untuned
from diqa_utils.distortions import DISTORTIONS
from diqa_utils.images import decode_image
from diqa_utils.maps import DEFAULT_ALPHA, DEFAULT_EXPONENT, OUTPUT_STRIDE
from diqa_utils.pipelines import to_error_map_example
from diqa_utils.ratings import pretraining

try:
    import apache_beam as beam
    from apache_beam.io import WriteToText, fileio
    from apache_beam.io.filesystems import FileSystems
except ImportError:
    raise ImportError(
        'Apache Beam is not installed: python -m pip install "diqa-utils[beam]".'
    ) from None

__all__ = ["build_pairs", "pairs_dataset"]

#: The parts of a patch, in the order in which step 1 takes them.
PARTS = ("normalized", "error_map", "reliability")

#: Patches that are cut from each square.
PATCHES = 4

#: Patches that are shuffled at a time, 28 kB each.
SHUFFLED = 1024

#: File beside the shards that names the pictures left out, one JSON object a line.
FAILED = "failed.jsonl"


def build_pairs(
    pattern: str,
    folder: str | PathLike[str],
    *,
    squares: int = 8,
    seed: int = 0,
    patch_size: int = 112,
    exponent: float = DEFAULT_EXPONENT,
    alpha: float = DEFAULT_ALPHA,
    validation_share: float = 0.1,
    pipeline: beam.Pipeline | None = None,
) -> dict[str, int]:
    """Builds a set of patches with their maps from pristine pictures, unless it is there.

    What a killed process has left half-built is built anew. Pictures that will not do are named in
    `pairs/1.0.0/failed.jsonl` in the folder, beside the shards.

    Args:
        pattern: Pattern of the files, such as `photos/**` or `gs://bucket/photos/*.png`.
        folder: Folder for the set, which all workers reach.
        squares: Number of squares that are cut from each picture, of which each gives four patches.
        seed: Seed of the whole set.
        patch_size: Side of the patches in pixels, a multiple of four from 48 to 112.
        exponent: Exponent p of the error map.
        alpha: Slope of the reliability map.
        validation_share: Share of the pictures that are held out, about.
        pipeline: Empty pipeline whose runner and options are used; one local worker if None.

    Returns:
        `squares` and `pictures` in the set, and files left out: `copies` of others, byte for byte,
        and `failed`, which are damaged, too small or no pictures.

    Raises:
        ValueError: The patch size is not as above, no file matches, the folder holds another set,
            another process is at work there, a split has no picture, or Beam gave up.
    """
    pretraining.check_patch_size(patch_size)
    pattern = pattern if os.path.dirname(pattern) else os.path.join(os.curdir, pattern)
    files = FileSystems.match([pattern])[0].metadata_list
    if not files:
        raise ValueError(f"No file matches {pattern!r}: name files, such as 'photos/**'.")
    size = sum(file.size_in_bytes for file in files)
    settings = dict(pattern=pattern, files=len(files), bytes=size, squares=squares, seed=seed)
    settings |= dict(patch_size=patch_size, exponent=exponent, alpha=alpha)
    settings |= dict(validation_share=validation_share, version=__version__)
    place = _place(folder)
    with nullcontext() if "://" in str(folder) else locked(Path(folder)):
        if not place.exists():  # TFDS moves it there when all of it is written
            for half_built in place.parent.glob("incomplete.*"):
                half_built.rmtree()
            pipeline = pipeline or beam.Pipeline(runner="FnApiRunner")
            _build(Pairs(settings, data_dir=epath.Path(folder)), pipeline)
        info = tfds.builder_from_directory(place).info
        check_same(Path(place), info.metadata, settings)
    number = info.splits.total_num_examples // PATCHES
    pictures, failed = number // squares, len((place / FAILED).read_text().splitlines())
    copies = len(files) - pictures - failed
    return dict(squares=number, pictures=pictures, copies=copies, failed=failed)


def pairs_dataset(
    folder: str | PathLike[str], split: str, *, batch_size: int, seed: int | None = None
) -> tf.data.Dataset:
    """Reads the batches of step 1 from a set that `build_pairs` has built.

    Args:
        folder: Folder that the set was built in.
        split: "train", "validation", or a part of one, such as "train[:10%]".
        batch_size: Patches per batch.
        seed: Shuffles anew in every epoch, shards and some 30 MB of patches at a time. None keeps
            the order, which is a random one.

    Returns:
        A dataset of (normalised patches, error maps, average reliability maps); float32.

    Raises:
        FileNotFoundError: There is no set in the folder.
        ValueError: It has no such split.
    """
    if not _place(folder).exists():
        raise FileNotFoundError(f"There is no set of pairs in {str(folder)!r}: build it first.")

    def to_triple(features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        return tuple(tf.cast(features[part], tf.float32) for part in PARTS)

    config = tfds.ReadConfig(shuffle_seed=seed, shuffle_reshuffle_each_iteration=True)
    builder = tfds.builder_from_directory(_place(folder))
    dataset = builder.as_dataset(split=split, shuffle_files=seed is not None, read_config=config)
    if seed is not None:
        dataset = dataset.shuffle(SHUFFLED, seed=seed)
    triples = dataset.map(as_it_is(to_triple), num_parallel_calls=tf.data.AUTOTUNE)
    return untuned(triples.batch(batch_size).prefetch(2))


class Pairs(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What TFDS builds: train and validation, by picture; a record is a patch with its maps."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, settings: dict[str, Any], **options: Any) -> None:
        self.settings = settings  # before TFDS asks for the features
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.settings["patch_size"]
        sides = (side, side // OUTPUT_STRIDE, side // OUTPUT_STRIDE)
        patch = {
            part: tfds.features.Tensor(shape=(side, side, 1), dtype=np.float16, encoding="bytes")
            for part, side in zip(PARTS, sides, strict=True)
        }
        features = tfds.features.FeaturesDict(patch | {"sha256": tfds.features.Text()})
        metadata = tfds.core.MetadataDict(self.settings)
        return tfds.core.DatasetInfo(builder=self, features=features, metadata=metadata)

    def _split_generators(self, dl_manager: Any, pipeline: beam.Pipeline) -> dict[str, Any]:
        made = (
            pipeline
            | fileio.MatchFiles(self.settings["pattern"])
            | beam.Reshuffle()
            | fileio.ReadMatches()
            | beam.FlatMap(_patches, self.settings).with_outputs(
                "validation", "failed", main="train"
            )
        )
        _ = made.failed | WriteToText(str(self.data_path / FAILED), shard_name_template="")
        return {"train": made.train, "validation": made.validation}

    def _generate_examples(self) -> None:
        """Is never called: the splits are collections of Beam already."""

    def _example_writer(self) -> tfds.core.ExampleWriter:
        return _SameBytes(self.info.file_format)


class _SameBytes(tfds.core.ExampleWriter):
    """Writes the features of a record in one order; protobuf's own differs between processes."""

    def write(self, path: epath.PathLike, examples: Iterable[tuple[Any, bytes]]) -> Any:
        read = tf.train.Example.FromString
        same = ((key, read(one).SerializeToString(deterministic=True)) for key, one in examples)
        return super().write(path, same)


def _place(folder: str | PathLike[str]) -> epath.Path:
    """Returns where TFDS keeps a set in a folder."""
    return epath.Path(folder) / Pairs.name / str(Pairs.VERSION)


def _patches(file: fileio.ReadableFile, settings: dict[str, Any]) -> Iterator[Any]:
    """Makes what a file gives: the patches of its squares, or the sentence that says why none."""
    content, name = file.read(), file.metadata.path
    try:
        picture = decode_image(content, name)
        pretraining.check_pristine(picture, repr(name))
    except ValueError as error:
        line = json.dumps({"file": name, "error": str(error)})
        yield beam.pvalue.TaggedOutput("failed", line)
        return
    digest = hashlib.sha256(content).digest()
    held_out = int.from_bytes(digest[:8]) < settings["validation_share"] * 2**64
    to_patches = _patch_maker(settings["patch_size"], settings["exponent"], settings["alpha"])
    for number in range(settings["squares"]):
        rng = np.random.default_rng([settings["seed"], number, *np.frombuffer(digest, "<u4")])
        pair = pretraining.damaged_pair([picture], tuple(DISTORTIONS), rng)
        halves = [part.numpy().astype(np.float16) for part in to_patches(pair[np.newaxis])]
        for index, patch in enumerate(zip(*halves, strict=True)):
            example = dict(zip(PARTS, patch, strict=True)) | {"sha256": digest.hex()}
            element = f"{digest.hex()}-{number}-{index}", example
            yield beam.pvalue.TaggedOutput("validation", element) if held_out else element


@cache
def _patch_maker(patch_size: int, exponent: float, alpha: float) -> Any:
    """Returns a function of pairs (N, 2, 256, 256, 3) that a worker makes once."""

    def to_patches(pairs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images = {"reference_image": pairs[:, 0], "distorted_image": pairs[:, 1]}
        example = to_error_map_example(images, exponent=exponent, alpha=alpha)
        return pretraining.patches_of_squares(example, patch_size)

    return compiled(to_patches)


def _build(builder: Pairs, pipeline: beam.Pipeline) -> None:
    """Lets TFDS build a set, and says in a sentence why it could not."""
    config = tfds.download.DownloadConfig(
        beam_runner=pipeline.runner,
        beam_options=pipeline.options,
        ignore_duplicates=True,  # copies of a picture give the same patches under the same keys
        try_download_gcs=False,
    )
    tfds.disable_progress_bar()
    try:
        with TemporaryDirectory() as unused, redirect_stdout(StringIO()):  # it speaks of downloads
            builder.download_and_prepare(download_dir=unused, download_config=config)
    except Exception as error:  # each runner has its own: a whole traceback, as text
        if empty := re.search(r"examples is 0 for split (\w+)", str(error)):
            raise ValueError(
                f"No picture that will do fell to the split {empty[1]!r}: add pictures of at least "
                "256 x 256 pixels, or change validation_share."
            ) from error
        words = (str(error).strip() or repr(error)).splitlines()[-1].rstrip(".")
        raise ValueError(f"Beam gave up: {words}.") from error
