"""A folder of pictures and a CSV file of your own, with or without references."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import tensorflow_datasets as tfds

from diqa_utils.datasets.builder import IqaBuilder, instructions
from diqa_utils.datasets.catalog import CATALOG, Database, Scale
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import Row, csv_rows, to_number, to_whole_number

SCORES = "scores.csv"
NEEDED = ("image", "score")
OPTIONAL = ("reference", "reference_id", "distortion", "level", "score_std", "split")
UNKNOWN = "unknown"
NO_LEVEL = 0


@dataclass
class FolderConfig(tfds.core.BuilderConfig):
    """How to read a folder.

    Attributes:
        scores: the CSV file, as seen from the folder.
        lowest: no score is smaller.
        highest: no score is larger.
        higher_is_better: False where a low score is a good one.
        has_references: whether the table has a column `reference`.
        has_spread: whether it has a column `score_std`.
    """

    scores: str = SCORES
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True
    has_references: bool = False
    has_spread: bool = False


class Builder(IqaBuilder):
    """TFDS builder of a folder of pictures with a table of scores."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = instructions("folder_iqa")
    BUILDER_CONFIGS = [FolderConfig(name="default")]  # noqa: RUF012 - TFDS reads it from the class
    complete = False  # nobody knows how many pictures a folder should have

    @property
    def database(self) -> Database:
        """What is known of the folder."""
        config = self.builder_config
        scale = Scale(config.lowest, config.highest, config.higher_is_better)
        return replace(CATALOG["folder_iqa"], scale=scale)

    @property
    def has_references(self) -> bool:
        """Whether the table names references."""
        return self.builder_config.has_references

    @property
    def has_spread(self) -> bool:
        """Whether the table has deviations."""
        return self.builder_config.has_spread

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the table."""
        name = self.builder_config.scores
        return [self._row(*row) for row in csv_rows(files.read(name), name=name, columns=NEEDED)]

    def _row(self, place: str, cells: dict[str, str]) -> Row:
        image_id = cells["image"].replace("\\", "/")
        reference = cells.get("reference", "").replace("\\", "/") or None
        if self.has_references and reference is None:
            raise ValueError(f"{place}: the reference is missing, and other rows have one.")
        spread = cells.get("score_std")
        level = cells.get("level") or NO_LEVEL
        return Row(
            place=place,
            distorted=image_id,
            reference=reference if self.has_references else None,
            image_id=image_id,
            # Without a reference every picture is a scene of its own.
            reference_id=cells.get("reference_id") or reference or image_id,
            distortion=cells.get("distortion") or UNKNOWN,
            level=to_whole_number(level, place=place, column="level"),
            score=to_number(cells["score"], place=place, column="score"),
            score_std=to_number(spread, place=place, column="score_std") if spread else None,
            split=_part(cells.get("split") or "rated", place=place),
        )


def _part(name: str, *, place: str) -> str:
    """Returns the name of a part, which also names files and is written in `split=...`."""
    if not re.fullmatch(r"\w+", name) or name == "all":
        raise ValueError(
            f"{place}: split is {name!r}; name a part with letters, digits and underscores, and "
            "not 'all'."
        )
    return name


def config(
    files: DatabaseFiles,
    *,
    scores: str = SCORES,
    scale: tuple[float, float] = (0.0, 1.0),
    higher_is_better: bool = True,
) -> FolderConfig:
    """Looks at a folder's table and returns how to read it.

    Args:
        files: of the folder.
        scores: the CSV file, as seen from the folder.
        scale: the lowest and the highest score that there can be.
        higher_is_better: False where a low score is a good one.

    Raises:
        ValueError: if the scale is empty or the table has a title twice.
    """
    lowest, highest = scale
    if not lowest < highest:
        raise ValueError(f"scale must be the lowest and the highest score, not {scale}.")
    titles = _titles(files.read(scores))
    twice = [title for title, count in Counter(titles).items() if count > 1 and title]
    if twice:
        raise ValueError(f"{scores!r} has the column {twice[0]!r} twice.")
    settings: dict[str, Any] = {
        "has_references": "reference" in titles,
        "has_spread": "score_std" in titles,
    }
    return FolderConfig(
        name="own",
        scores=scores,
        lowest=lowest,
        highest=highest,
        higher_is_better=higher_is_better,
        **settings,
    )


def _titles(content: bytes) -> list[str]:
    first_line = content.decode("utf-8-sig", errors="replace").partition("\n")[0]
    return [title.strip().strip('"') for title in first_line.split(",")]
