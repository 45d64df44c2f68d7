"""Scores of millions of pictures: the rows of `diqa score`, by any number of workers.

`python -m diqa_utils.beam score` does all of it; the parts serve in a pipeline of your own.

Source:
    Apache Beam, RunInference, https://beam.apache.org/documentation/ml/about-ml/
"""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from diqa_utils.cli import score_rows
from diqa_utils.cli.common import message
from diqa_utils.cli.score_rows import Row
from diqa_utils.images import MAX_MEGAPIXELS, decode_image, is_picture_name, read_image
from diqa_utils.inference import DEFAULT_NAME, Predictor, load_predictor
from diqa_utils.picture_files import is_of_the_system

try:
    import apache_beam as beam
    import pyarrow as pa
    from apache_beam.io.filesystem import CompressionTypes, FileMetadata
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.metrics import Metrics
    from apache_beam.ml.inference.base import ModelHandler, RunInference
except ModuleNotFoundError:
    raise ImportError(
        'Apache Beam is not installed: python -m pip install "diqa-utils[beam]".'
    ) from None

__all__ = ["FORMATS", "ScorePictures", "WriteRows", "count", "find"]

#: What rows are written as.
FORMATS = ("csv", "jsonl", "parquet")

#: The namespace of the counters.
METRICS = "diqa"

#: A batch holds so many pictures at most; each whole megabyte of a file counts as one more.
BATCH, MEGABYTE = 16, 2**20

#: A picture file has fewer bytes a pixel than this, even with four channels of 16 bits.
BYTES_PER_PIXEL = 8

#: Types of the columns of Parquet files that hold no text.
ARROW = dict.fromkeys(("quality", "low", "high"), pa.float64())
ARROW |= {"unusual": pa.bool_(), "bytes": pa.int64(), "modified": pa.int64()}

#: The name of a picture; the bytes of its file and when that was changed, where it is known.
Picture = tuple[bytes, int | None, float | None]


class ScorePictures(beam.PTransform):
    """Scores pictures, each once: names, or `FileMetadata` as `MatchFiles` gives them.

    It returns two collections of rows, dictionaries with the columns of `diqa score`: `scored`, and
    `failed`, where `error` says why. Counters in the namespace "diqa" count both, beside what
    `RunInference` measures. Names that are no UTF-8 come as bytes, as `os.fsencode` gives them.

    Args:
        predictor: What `load_predictor` takes; each worker finds it, and loads it once.
        max_megapixels: Millions of pixels that a picture may have.
    """

    def __init__(
        self, predictor: str = DEFAULT_NAME, *, max_megapixels: float = MAX_MEGAPIXELS
    ) -> None:
        super().__init__()
        self.handler = _Handler(predictor, max_megapixels)

    def expand(self, pictures: Any) -> Any:
        """Returns `.scored` and `.failed`."""
        return (
            pictures
            | "names" >> beam.Map(_named)
            | "once each" >> beam.GroupByKey()  # which spreads them over all workers
            | "pictures" >> beam.MapTuple(lambda name, states: (name, *max(states, key=any)))
            | RunInference(self.handler)
            | "parts" >> beam.FlatMap(_part).with_outputs("failed", main="scored")
        )


class WriteRows(beam.PTransform):
    """Writes rows to files PREFIX-00000-of-00001.FORMAT, which appear when all rows are known.

    Args:
        prefix: How their names begin, with the folder: a path, gs:// or s3://.
        format: csv, jsonl or parquet.
        shards: Number of files. Those that are there must be as many: they are replaced.

    Raises:
        ValueError: If there is no such format, or there are rows in another number of files.
    """

    def __init__(self, prefix: str, format: str = "csv", *, shards: int = 1) -> None:
        super().__init__()
        if format not in FORMATS:
            raise ValueError(f"There is no format {format!r}; known: {', '.join(FORMATS)}.")
        prefix = os.path.abspath(prefix) if is_local(prefix) else prefix
        for each in FileSystems.match([f"{glob.escape(prefix)}-*.{format}"])[0].metadata_list:
            there = re.fullmatch(r"-\d+-of-(\d+)\.\w+", each.path[len(prefix) :])
            if there and int(there[1]) != shards:
                raise ValueError(
                    f"{each.path!r} is one of {int(there[1])} files, not of {shards}: name another "
                    "prefix, or delete them."
                )
        self.prefix, self.format = prefix, format
        self.settings: Any = {"file_name_suffix": f".{format}", "num_shards": shards}

    def expand(self, rows: Any) -> Any:
        """Returns the names of the files."""
        if self.format == "parquet":
            columns = [(name, ARROW.get(name, pa.string())) for name in score_rows.COLUMNS]
            return rows | beam.io.WriteToParquet(self.prefix, pa.schema(columns), **self.settings)
        format_ = score_rows.Format(self.format)
        lines = rows | beam.Map(lambda row: score_rows.line_of(row, format_).encode())
        settings = self.settings | {"header": score_rows.head_of(format_) or None}
        settings |= {"append_trailing_newlines": False, "coder": beam.coders.BytesCoder()}
        return lines | beam.io.WriteToText(self.prefix, **settings)


def find(pattern: str | bytes) -> list[bytes | FileMetadata]:
    """Finds pictures; counts as `skipped` what is none by its name.

    Args:
        pattern: A pattern of names (`*` within a folder, `**` through folders), a local folder, or
            a name, which is taken as it is. So is a pattern that nothing matches: whoever reads it
            says what is wrong.
    """
    place = os.fsdecode(pattern)
    if is_local(place) and os.path.isdir(place):
        place = os.path.join(glob.escape(place), "*")
    elif not re.search(r"[*?[]", place) or os.path.lexists(place):
        return [os.fsencode(place)]
    whole = os.path.join(os.curdir, place) if is_local(place) else place
    found = FileSystems.match([whole])[0].metadata_list
    pictures = [each for each in found if _is_picture(PurePath(each.path))]
    return pictures if found else [os.fsencode(place)]


def count(result: Any) -> tuple[int, int, int]:
    """Reads the metrics of a job: how many files were scored, failed, and skipped."""
    counts: Counter[str] = Counter()
    for each in result.metrics().query()["counters"]:
        if each.key.metric.namespace == METRICS:
            counts[each.key.metric.name] += each.result
    return counts["scored"], counts["failed"], counts["skipped"]


def is_local(name: str) -> bool:
    """Tells whether a name is a path, not an address as gs:// or s3://."""
    return FileSystems.get_scheme(name) is None


class _Handler(ModelHandler):
    """Scores batches of pictures, with one predictor in each process."""

    def __init__(self, predictor: str, max_megapixels: float) -> None:
        super().__init__(
            min_batch_size=BATCH,
            max_batch_size=BATCH,
            element_size_fn=lambda picture: min(BATCH, 1 + (picture[1] or 0) // MEGABYTE),
        )
        self.predictor, self.max_megapixels = predictor, max_megapixels

    def load_model(self) -> Predictor:
        """Is called once in each process."""
        return load_predictor(self.predictor, runtime="auto")

    def run_inference(
        self, batch: Sequence[Picture], model: Predictor, inference_args: Any = None
    ) -> Iterator[Row]:
        """Yields the row of each picture."""
        predictor = score_rows.full_name(self.predictor, model.card)
        for key, size, changed in batch:
            name = os.fsdecode(key)
            read: Any = read_image if is_local(name) else _fetched
            state = {"bytes": size, "modified": round(1e9 * changed) if changed else None}
            if is_local(name):
                state = score_rows.state_of(Path(name))
            pixels = partial(read, name, max_megapixels=self.max_megapixels)
            result = model.score_or_error(name, pixels)
            words = message(result) if isinstance(result, Exception) else result
            yield _in_utf8(score_rows.row_of(name, state, words, predictor))


def _fetched(name: str, *, max_megapixels: float) -> np.ndarray:
    """Reads a picture that has an address; whoever says megapixels limits the bytes too."""
    limit = round(BYTES_PER_PIXEL * max_megapixels * 1e6)
    try:
        with FileSystems.open(name, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            content = file.read(limit + 1)
    except Exception as error:  # each file system has errors of its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name!r} cannot be read: {reason}.") from error
    if len(content) > limit:
        raise ValueError(f"{name!r} has more bytes than a picture of the allowed size.")
    return decode_image(content, name, max_megapixels=max_megapixels)


def _named(found: str | bytes | FileMetadata) -> tuple[bytes, tuple[int | None, float | None]]:
    """Returns the name of a picture, and what is known of it."""
    state: tuple[int | None, float | None] = (None, None)
    if isinstance(found, FileMetadata):
        state, found = (found.size_in_bytes, found.last_updated_in_seconds), found.path
    name = os.fsdecode(found)
    return os.fsencode(Path(os.path.expanduser(name)) if is_local(name) else name), state


def _part(row: Row) -> Iterator[Any]:
    """Parts rows without a score from those with one, and counts both."""
    part = "scored" if row["error"] is None else "failed"
    Metrics.counter(METRICS, part).inc()
    yield row if part == "scored" else beam.pvalue.TaggedOutput(part, row)


def _is_picture(path: PurePath) -> bool:
    """Tells by the name of a file; counts those that are none, but not the system's."""
    if is_of_the_system(path):
        return False
    if not (named := is_picture_name(path)):
        Metrics.counter(METRICS, "skipped").inc()
    return named


def _in_utf8(row: Row) -> Row:
    """Returns a row with the name as `diqa score` writes it in CSV: Beam refuses other text."""
    return {
        name: score_rows.encoded(cell).decode() if isinstance(cell, str) else cell
        for name, cell in row.items()
    }
