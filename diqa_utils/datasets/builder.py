"""What all builders of rated databases share: schema, checks, and the way from rows to examples."""

import abc
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from tqdm.auto import tqdm

from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.datasets.database import Database
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.pictures import encoded, same_shape_problem
from diqa_utils.datasets.rows import Row, check_rows, part_of, picture_names, told

#: References that are kept encoded in memory while a database is built.
REFERENCES_KEPT = 128

#: Rows are stored in one random order, so that a reader who shuffles within a small window of them
#: still gets a good mixture.
ORDER_SEED = 0

#: Examples in a file: so many lie in memory, encoded, while a database is built.
SHARD = 64

#: Threads that read and check pictures while others are written; more of them wait for each other.
THREADS = 2

#: Examples by number, as TFDS wants them.
Examples = Iterator[tuple[int, dict[str, Any]]]


class IqaBuilder(tfds.core.dataset_builder.ShardBasedBuilder, abc.ABC):
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
            FileNotFoundError: If one of them is missing.
            ValueError: If one of them is not as its owners ship it.
        """

    @property
    def database(self) -> Database:
        """What is known about the database before its files are read."""
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

    def example(self, row: Row, files: DatabaseFiles) -> dict[str, Any]:
        """Reads one example, its pictures encoded.

        Raises:
            FileNotFoundError: If one of its pictures is missing.
            ValueError: If one of them is damaged, or the two differ in size.
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
        """Returns everything in an example but its pictures."""
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

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[[], Examples]]]:
        files = self.files or DatabaseFiles(Path(dl_manager.manual_dir))
        rows = self.read_rows(files)
        check_rows(rows, self.database, complete=self.complete)
        check_files(rows, files)
        parts: dict[str, list[Row]] = {part: [] for part in self.database.counts}
        for index in np.random.default_rng(ORDER_SEED).permutation(len(rows)):
            parts.setdefault(part_of(rows[index], self.database), []).append(rows[index])
        progress = tqdm(desc=self.name, total=len(rows), unit=" pictures", leave=False)
        shards: dict[str, list[Callable[[], Examples]]] = {}
        for part, members in parts.items():
            if members:
                labels = [self.labels(row) for row in members]
                # All of a table but its pictures, for those who want no pictures.
                self.info.metadata[part] = {
                    name: [label[name] for label in labels] for name in labels[0]
                }
                shards[part] = [
                    functools.partial(self._shard, members[start : start + SHARD], files, progress)
                    for start in range(0, len(members), SHARD)
                ]
        return shards

    def _shard(self, rows: list[Row], files: DatabaseFiles, progress: tqdm) -> Examples:
        with ThreadPoolExecutor(THREADS) as pool:
            examples = pool.map(lambda row: self.example(row, files), rows)
            for number, example in enumerate(examples):
                yield number, example
                progress.update()


def check_files(rows: list[Row], files: DatabaseFiles) -> None:
    """Looks whether the pictures of all rows are there, before any of them is decoded.

    Raises:
        FileNotFoundError: If there is none of a name.
        ValueError: If there are several of a name, or a file is empty.
    """
    missing, problems = files.problems(picture_names(rows))
    if missing:
        raise FileNotFoundError(told([missing, *problems]))
    if problems:
        raise ValueError(told(problems))
