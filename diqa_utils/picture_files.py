"""Finding photographs in folders, as cameras and operating systems leave them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path, PurePath

from diqa_utils.images import FORMATS, RAW_ENDINGS, can_read_heic, is_picture_name

__all__ = ["FoundPictures", "find_pictures", "picture_files"]

#: What operating systems leave in folders of pictures; `._` begins the name of a file of macOS.
SYSTEM_FILES = frozenset({".ds_store", "desktop.ini", "ehthumbs.db", "thumbs.db"})
SYSTEM_PREFIX = "._"


@dataclass
class FoundPictures:
    """Pictures that were found, and what was passed over.

    Attributes:
        files: Paths of the pictures, those of a folder in the order of their names.
        skipped: Number of files and folders that were passed over, by kind; what an operating
            system keeps in folders does not count.
    """

    files: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def skipped_in_words(self) -> str:
        """Returns numbers and kinds, such as "2 skipped: 1 .mpg file, 1 broken link"."""
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.skipped.items()))
        return f"{self.skipped.total():,} skipped" + (f": {kinds}" if kinds else "")


def find_pictures(
    places: Iterable[str | PathLike[str]], *, recursive: bool = False
) -> FoundPictures:
    """Finds pictures by the endings of their names.

    Args:
        places: Files, which are taken as they are, and folders.
        recursive: Whether to look into the folders in folders too. Links are followed, each folder
            is looked into once.

    Returns:
        The pictures, each once, and what was passed over.
    """
    found = FoundPictures()
    seen: set[Path] = set()
    for place in map(Path, places):
        if place.is_dir():
            _look_into(place, recursive, found, seen)
        else:
            found.files.append(place)
    found.files = list(dict.fromkeys(found.files))
    return found


def picture_files(folder: str | PathLike[str]) -> list[Path]:
    """Returns the files in a folder whose names end as those of photographs do, sorted.

    Args:
        folder: Folder to look into, but not into the folders in it.

    Returns:
        Paths of the files.

    Raises:
        ValueError: If there is none.

    Chapter: notebooks/09-prediction.ipynb
    """
    found = find_pictures([folder])
    if not found.files:
        raise ValueError(no_pictures(folder, found))
    return found.files


def no_pictures(folder: str | PathLike[str], found: FoundPictures) -> str:
    """Says that there is no picture in a folder, and what else is."""
    rest = f" ({found.skipped_in_words()})" if found.skipped else ""
    return f"There is no picture in {str(folder)!r}{rest}: name a folder that has some."


def _look_into(folder: Path, recursive: bool, found: FoundPictures, seen: set[Path]) -> None:
    if (place := folder.resolve()) in seen:  # a link that leads back
        return
    seen.add(place)
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        found.skipped["folder that may not be read"] += 1
        return
    for path in paths:
        if path.is_dir():
            if recursive:
                _look_into(path, recursive, found, seen)
            else:
                found.skipped["folder (take it along with --recursive)"] += 1
        elif not is_of_the_system(path):
            if reason := _reason_to_skip(path):
                found.skipped[reason] += 1
            else:
                found.files.append(path)


def is_of_the_system(path: PurePath) -> bool:
    """Tells by its name whether a file is one that an operating system keeps in folders."""
    return path.name.startswith(SYSTEM_PREFIX) or path.name.lower() in SYSTEM_FILES


def _reason_to_skip(path: Path) -> str | None:
    ending = path.suffix.lower()
    if not path.is_file():
        return "broken link" if path.is_symlink() else "file that is no ordinary one"
    if ending in RAW_ENDINGS:
        return "raw file (convert it to JPEG, PNG or TIFF)"
    if ending in FORMATS["HEIF"] and not can_read_heic():
        return "HEIC picture (install pillow-heif)"
    if not is_picture_name(path):
        return f"{ending} file" if ending else "file without an ending"
    return None
