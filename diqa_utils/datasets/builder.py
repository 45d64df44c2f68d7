"""What all builders of rated databases share: schema, checks, and the way from rows to examples."""

import abc
import contextlib
import errno
import functools
import itertools
import shutil
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tqdm.auto import tqdm

from diqa_utils.datasets.catalog import CATALOG, Database
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.pictures import encoded, same_shape_problem, without_warnings
from diqa_utils.datasets.rows import Row, check_rows

T = TypeVar("T")
S = TypeVar("S")

#: References that are kept encoded in memory while a database is built.
REFERENCES_KEPT = 128

#: Rows are stored in one random order, so that a reader who shuffles within a small window of them
#: still gets a good mixture.
ORDER_SEED = 0

#: Examples in a file.
SHARD = 512

#: Threads that read and check pictures (more of them wait for each other), and how many examples
#: they may be ahead of the one that is written: that many lie in memory, encoded.
THREADS = 2
AHEAD = 16

#: Room that a build needs, as a share of the pictures themselves.
SPARE = 1.05


class IqaBuilder(tfds.core.GeneratorBasedBuilder, abc.ABC):
    """Builds a rated database from the files of its official release.

    A builder says which rows the database has; everything else is here.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}

    #: Whether the counts must be those of the release.
    complete = True

    #: The files; None asks TFDS for its folder of manual downloads.
    files: DatabaseFiles | None = None

    @abc.abstractmethod
    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the score files.

        Raises:
            FileNotFoundError: if one of them is missing.
            ValueError: if one of them is not as its owners ship it.
        """

    @property
    def database(self) -> Database:
        """What is known of the database before its files are read."""
        return CATALOG[self.name]

    @property
    def has_references(self) -> bool:
        """Whether the pictures were made from pristine ones."""
        return self.database.references > 0

    @property
    def has_spread(self) -> bool:
        """Whether the standard deviation of each score is published."""
        return True

    def file_problem(self, name: str, content: bytes) -> str | None:
        """Says what is wrong with a file, beyond what can be seen by decoding it."""
        return None

    def part_of(self, row: Row) -> str:
        """Returns the name of the part of the database that a row is in."""
        return (self.database.flag or "rated") if row.flagged else row.split

    def example(self, row: Row, files: DatabaseFiles) -> dict[str, Any]:
        """Reads one example, its pictures encoded.

        Raises:
            FileNotFoundError: if one of its pictures is missing.
            ValueError: if one of them is damaged, or the two differ in size.
        """
        content = files.read(row.distorted)
        if problem := self.file_problem(row.distorted, content):
            raise ValueError(problem)
        distorted, shape = encoded(content, row.distorted)
        pictures = {"distorted_image": distorted}
        if row.reference is not None:
            pictures["reference_image"], reference_shape = self._reference(row.reference, files)
            problem = same_shape_problem(row.distorted, shape, row.reference, reference_shape)
            if problem:
                raise ValueError(problem)
        return pictures | self.labels(row)

    def labels(self, row: Row) -> dict[str, Any]:
        """Returns everything of an example but its pictures."""
        labels: dict[str, Any] = {
            "image_id": row.image_id,
            "reference_id": row.reference_id,
            "distortion": row.distortion,
            "level": row.level,
            "score": row.score,
            "quality": self.database.scale.quality(row.score),
        }
        if self.has_spread:
            labels["score_std"] = np.nan if row.score_std is None else row.score_std
        if self.database.flag:
            labels[self.database.flag] = row.flagged
        return labels

    @functools.lru_cache(maxsize=REFERENCES_KEPT)  # noqa: B019 - a builder lives for one build
    def _reference(self, name: str, files: DatabaseFiles) -> tuple[bytes, tuple[int, int]]:
        return encoded(files.read(name), name)

    def _info(self) -> tfds.core.DatasetInfo:
        # 8 bits a channel, as `read_image` gives them; files are stored as they are.
        image = tfds.features.Image(shape=(None, None, 3))
        features: dict[str, Any] = {"distorted_image": image}
        if self.has_references:
            features["reference_image"] = image
        features |= dict.fromkeys(("image_id", "reference_id", "distortion"), tfds.features.Text())
        features |= {"level": np.int32, "score": np.float32, "quality": np.float32}
        if self.has_spread:
            features["score_std"] = np.float32
        if self.database.flag:
            features[self.database.flag] = np.bool_
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("distorted_image", "quality"),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        files = self.files or DatabaseFiles(Path(dl_manager.manual_dir))
        rows = self.read_rows(files)
        check_rows(rows, self.database, complete=self.complete)
        check_room(Path(self.data_dir), sum(self._stored_bytes(row, files) for row in rows))
        parts: dict[str, list[Row]] = {part: [] for part in self.database.counts}
        for index in np.random.default_rng(ORDER_SEED).permutation(len(rows)):
            parts.setdefault(self.part_of(rows[index]), []).append(rows[index])
        parts = {part: rows for part, rows in parts.items() if rows}
        for part, chosen in parts.items():
            self.info.metadata[part] = _columns([self.labels(row) for row in chosen])
        return {part: self._generate_examples(chosen, files) for part, chosen in parts.items()}

    def _stored_bytes(self, row: Row, files: DatabaseFiles) -> int:
        """How much a row takes; one whose picture is missing is found when it is read."""
        names = [name for name in (row.distorted, row.reference) if name and name in files]
        return sum(files.size(name) for name in names)

    def _generate_examples(
        self, rows: list[Row], files: DatabaseFiles
    ) -> Generator[tuple[int, dict[str, Any]], None, None]:
        examples = ahead(lambda row: self.example(row, files), rows)
        progress = tqdm(examples, self.name, len(rows), unit=" pictures", leave=False)
        with contextlib.closing(examples):
            yield from enumerate(progress)

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: Any = None
    ) -> None:
        """Writes the examples one after the other.

        What TFDS does by itself is to sort them first, for which it writes them to the disk and
        reads all that are to keep their order into memory at once.
        """
        parts = self._split_generators(dl_manager)
        written = []
        for part, examples in parts.items():
            with without_warnings(), contextlib.closing(examples):
                written.append(self._write_part(part, examples))
        self.info.set_splits(tfds.core.SplitDict(written))

    def _write_part(
        self, part: str, examples: Generator[tuple[int, dict[str, Any]], None, None]
    ) -> tfds.core.SplitInfo:
        template = tfds.core.ShardedFileTemplate(
            data_dir=self.data_path, dataset_name=self.name, split=part, filetype_suffix="tfrecord"
        )
        number, size = len(self.info.metadata[part]["image_id"]), 0
        lengths = [min(SHARD, number - start) for start in range(0, number, SHARD)]
        for index, length in enumerate(lengths):
            path = template.sharded_filepath(shard_index=index, num_shards=len(lengths))
            with tf.io.TFRecordWriter(str(path)) as file:
                for _, example in itertools.islice(examples, length):
                    record = self.info.features.serialize_example(example)
                    file.write(record)
                    size += len(record)
        return tfds.core.SplitInfo(part, lengths, size, template)


def ahead(function: Callable[[T], S], items: Iterable[T]) -> Generator[S, None, None]:
    """Yields what a function makes of each item, in their order; a few threads work ahead.

    An error is raised in its turn: the first faulty item is the one that is reported. What has not
    begun when the caller stops is given up.
    """
    pool = ThreadPoolExecutor(THREADS)
    pending: deque[Future[S]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def check_room(folder: Path, needed: int) -> None:
    """Raises an OSError if what is to be written is larger than what is free."""
    free = shutil.disk_usage(folder).free
    if free < needed * SPARE:
        needed_mb, free_mb = needed * SPARE / 1e6, free / 1e6
        room = f"building needs about {needed_mb:,.0f} MB, and {free_mb:,.0f} MB are free"
        raise OSError(errno.ENOSPC, room)


def _columns(labels: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in labels] for name in labels[0]}


def instructions(name: str) -> str:
    """Tells a person how to get the files of a database."""
    database = CATALOG[name]
    owners = (
        f"{database.title} comes from its owners, at {database.home} (terms: {database.terms}).\n"
    )
    return (
        f"{owners if database.counts else ''}"
        f"{database.files}\n"
        "Then pass that folder, or the zip archive itself, as manual_dir (--manual-dir on the "
        "command line)."
    )
