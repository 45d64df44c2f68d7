"""CSIQ: 30 references, 6 distortions at 4 or 5 levels."""

from collections.abc import Iterator
from typing import Any

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.csiq import DATABASE
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import Row, to_number, to_whole_number
from diqa_utils.datasets.tables import sheet_rows

SPREADSHEET = "csiq.DMOS.xlsx"
SHEET = "all_by_image"
COLUMNS = ("image", "dst_type", "dst_lev", "dmos_std", "dmos")

#: What the spreadsheet calls each type, what the names of files call it, and its usual name.
TYPES = {
    "noise": ("AWGN", "white_noise"),
    "jpeg": ("JPEG", "jpeg"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
    "fnoise": ("fnoise", "pink_noise"),
    "blur": ("BLUR", "gaussian_blur"),
    "contrast": ("contrast", "contrast_change"),
}


class Builder(IqaBuilder):
    """TFDS builder of CSIQ from its official release."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the sheet that lists all pictures."""
        return [_row(place, cells) for place, cells in _cells(files.read(SPREADSHEET))]


def _cells(content: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the place and the cells of each row below the titles, which are not in the first."""
    titles: tuple[Any, ...] = ()
    for place, values in sheet_rows(content, SPREADSHEET, sheet=SHEET):
        if not titles:
            titles = values if set(COLUMNS) <= set(values) else ()
            continue
        cells = {title: value for title, value in zip(titles, values, strict=False) if title}
        filled = [column for column in COLUMNS if cells.get(column) is not None]
        if filled and len(filled) < len(COLUMNS):
            missing = ", ".join(column for column in COLUMNS if column not in filled)
            raise ValueError(f"{place} is too short: {missing} is missing.")
        if filled:
            yield place, cells
    if not titles:
        raise ValueError(f"{SPREADSHEET!r} has no row with the titles {', '.join(COLUMNS)}.")


def _row(place: str, cells: dict[str, Any]) -> Row:
    # One reference is called 1600, which a spreadsheet takes for a number.
    image = cells["image"]
    reference_id = f"{image:g}" if isinstance(image, int | float) else str(image).strip()
    kind = str(cells["dst_type"]).strip().lower()
    if kind not in TYPES:
        raise ValueError(f"{place}: dst_type is {kind!r}, and should be one of {', '.join(TYPES)}.")
    in_names, distortion = TYPES[kind]
    level = to_whole_number(cells["dst_lev"], place=place, column="dst_lev")
    name = f"{reference_id}.{in_names}.{level}"
    return Row(
        place=place,
        distorted=f"{name}.png",
        reference=f"{reference_id}.png",
        image_id=name,
        reference_id=reference_id,
        distortion=distortion,
        level=level,
        score=to_number(cells["dmos"], place=place, column="dmos"),
        score_std=to_number(cells["dmos_std"], place=place, column="dmos_std"),
    )
