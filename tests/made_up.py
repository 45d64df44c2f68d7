"""Databases with the files, names and counts of the official releases, and pictures made up.

Every picture is tiny, and each group of them shares one content, so that ten thousand files are
written in a second or two. How a release is made up stands beside its builder, in `make`.
"""

import csv
import importlib
import io
import shutil
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diqa_utils.images import is_picture_name

SIZE = (8, 12)  # (height, width)


@cache
def picture(shade: int, kind: str = "bmp", size: tuple[int, int] = SIZE) -> bytes:
    """A picture file with a gradient, darker or lighter."""
    height, width = size
    pixels = np.add.outer(np.arange(height) * 3, np.arange(width) * 5) + shade
    buffer = io.BytesIO()
    image = Image.fromarray(np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=-1))
    image.save(buffer, {"jpg": "jpeg"}.get(kind, kind))
    return buffer.getvalue()


def write(folder: Path, name: str, content: bytes | str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_csv(folder: Path, name: str, rows: list[list[object]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    write(folder, name, buffer.getvalue())


def release(name: str, folder: Path, **settings: Any) -> Path:
    """Makes up the release of a database in a folder."""
    module = f"tests.datasets.test_{name}"
    return importlib.import_module(module).make(folder, **settings)


def zipped(folder: Path, archive: Path, *, inside: str = "") -> Path:
    """Packs what is in a folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
    return archive


def copied(folder: Path, target: Path, *, pictures: bool = True) -> Path:
    """A copy to spoil, with or without its pictures."""

    def left_out(_, names):
        return [name for name in names if not pictures and is_picture_name(name)]

    return shutil.copytree(folder, target, ignore=left_out)


# How to spoil a copy


def remove(name):
    return lambda folder: (folder / name).unlink()


def replace_in(name, old, new):
    """Replaces a text in a file, once."""

    def spoil(folder):
        text = (folder / name).read_text()
        assert old in text
        write(folder, name, text.replace(old, new, 1))

    return spoil


def cut_short(name):
    def spoil(folder):
        content = (folder / name).read_bytes()
        write(folder, name, content[: len(content) * 2 // 3])

    return spoil


def flip_a_bit(name):
    def spoil(folder):
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 4
        write(folder, name, bytes(content))

    return spoil


def overwrite(name, content):
    return lambda folder: write(folder, name, content)
