"""A folder of pictures and a CSV file of your own, with or without references."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.database import Database, Scale
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.folder_iqa import DATABASE
from diqa_utils.datasets.rows import Row, csv_rows, to_number, to_whole_number

NEEDED = ("image", "score")
UNKNOWN = "unknown"
NO_LEVEL = 0


class Builder(IqaBuilder):
    """TFDS builder of a folder of pictures with a table of scores.

    Args:
        folder: Folder or zip archive; its table says which features there are.
        scores: CSV file, as seen from the folder.
        scale: Lowest and highest score that there can be.
        higher_is_better: False where a low score is a good one.
        **settings: Arguments of TFDS's builders.

    Raises:
        ValueError: If the scale is empty.
        FileNotFoundError: If there is no such table.
    """

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions
    complete = False  # nobody knows how many pictures a folder should have

    def __init__(
        self,
        *,
        folder: Path | None = None,
        scores: str = "scores.csv",
        scale: tuple[float, float] = (0.0, 1.0),
        higher_is_better: bool = True,
        **settings: Any,
    ) -> None:
        lowest, highest = scale
        if not lowest < highest:
            raise ValueError(f"scale must be the lowest and the highest score, not {scale}.")
        self._database = replace(DATABASE, scale=Scale(lowest, highest, higher_is_better))
        self._scores = scores
        self._titles: list[str] = []
        if folder is not None:
            with DatabaseFiles(folder) as files:
                text = files.read(scores).decode("utf-8-sig", errors="replace")
            self._titles = [title.strip() for title in next(csv.reader(io.StringIO(text)), [])]
        super().__init__(**settings)

    @property
    def database(self) -> Database:
        """What is known about the folder."""
        return self._database

    @property
    def has_references(self) -> bool:
        """Whether the table names references."""
        return "reference" in self._titles

    @property
    def has_spread(self) -> bool:
        """Whether the table has deviations."""
        return "score_std" in self._titles

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the table."""
        table = csv_rows(files.read(self._scores), name=self._scores, columns=NEEDED)
        return [self._row(place, cells) for place, cells in table]

    def _row(self, place: str, cells: dict[str, str]) -> Row:
        image_id = cells["image"].replace("\\", "/")
        reference = cells.get("reference", "").replace("\\", "/") or None
        if self.has_references and reference is None:
            raise ValueError(f"{place}: the reference is missing, and other rows have one.")
        spread = cells.get("score_std")
        level = cells.get("level") or NO_LEVEL
        part = cells.get("split") or "rated"
        if not re.fullmatch(r"\w+", part) or part == "all":  # it also names files
            raise ValueError(
                f"{place}: split is {part!r}; name a part with letters, digits and underscores, "
                "and not 'all'."
            )
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
            split=part,
        )
