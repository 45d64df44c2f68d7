"""Image quality databases as `tf.data` datasets, one TFDS builder each.

Every database comes in one schema: `distorted_image` and, where there is one, `reference_image`
(uint8, 0..255), `image_id`, `reference_id`, `distortion`, `level`, `score`, which is the
database's own number, with `score_std` where its spread is published, and `quality`, the same
opinion mapped to 0..1 where higher is better. The scores of `sample_iqa` are called `pseudo_dmos`:
nobody gave them.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diqa_utils.datasets import storage
from diqa_utils.datasets.catalog import CATALOG, Availability, Catalog
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.splits import (
    assert_disjoint,
    k_folds_by_reference,
    repeated_splits,
    set_aside,
    split_by_reference,
)

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from diqa_utils.datasets.verification import Report

__all__ = [
    "assert_disjoint",
    "available",
    "k_folds_by_reference",
    "load",
    "read_table",
    "repeated_splits",
    "set_aside",
    "split_by_reference",
    "verify",
]


def available(data_dir: str | PathLike[str] | None = None) -> Catalog:
    """Returns the databases that `load` knows: what they hold, and whether they are here.

    Args:
        data_dir: Folder of built databases; the library's cache folder if None.

    Returns:
        A dictionary by name, which prints as a table: whether the database is built on this
        machine ("in part" from a partial copy), how many pictures it has, its score and
        direction, where to get it, and its terms of use.
    """
    root = _path(data_dir)
    return Catalog(
        {
            name: Availability(
                database,
                built=storage.find_built(name, root),
                built_in_part=storage.find_built(name, root, partial=True),
            )
            for name, database in CATALOG.items()
        }
    )


def load(
    name: str,
    *,
    split: str | None = None,
    references: Iterable[str] | None = None,
    seed: int | None = None,
    data_dir: str | PathLike[str] | None = None,
    manual_dir: str | PathLike[str] | None = None,
    partial: bool = False,
    download: bool = False,
    **options: Any,
) -> tf.data.Dataset | dict[str, tf.data.Dataset]:
    """Loads a database, building it first where it has not been built.

    Args:
        name: One of the names that `available` lists.
        split: Part of the database, or TFDS's slicing and adding of parts ("train[:10]",
            "rated+pristine"). If None, all parts but the one that is left out by default
            (`pristine` in LIVE, `synthetic` in TID2013).
        references: The only references whose pictures are wanted; needs a split.
        seed: Seed that shuffles anew in every pass, before pictures are decoded; None keeps one
            order.
        data_dir: Folder of built databases; the library's cache folder if None.
        manual_dir: Folder or archive with the files that a person has to fetch. Only needed for
            building; `manual/NAME` below the folder of built databases if None.
        partial: True accepts a copy that does not have all rows of the release. Every row that it
            has must still be right and have its pictures.
        download: True fetches the files first, for a database that may be fetched (`biq2021`).
        **options: Settings of "folder_iqa" alone: `scores`, the name of its table ("scores.csv");
            `columns`, the titles of its columns where they are not understood, for example
            {"image": "photo", "score": "mean vote"}; `separator`, what stands between its cells,
            and `decimal`, "." or ",", both found out if not given; `scale`, the lowest and the
            highest score that there can be, (0, 1) if not given; and `higher_is_better`, True if
            not given.

    Returns:
        A dataset of feature dictionaries; for `split=None` a dictionary of datasets by split.

    Raises:
        ValueError: If the database, the split or a reference is not known, or a file of the
            database is not as its owners ship it.
        FileNotFoundError: If a file is missing; tells how to get them if all are.
        TypeError: If the database does not take one of the options.
        OSError: If the database cannot be written where it should go.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    if references is not None and split is None:
        raise ValueError("references needs a split: name the part to take them from.")
    builder = storage.prepare(
        name,
        _path(data_dir),
        _path(manual_dir),
        partial=partial,
        download=download,
        options=options,
    )
    if split is not None:
        return storage.read(builder, split, references=references, seed=seed)
    flag = CATALOG[name].flag
    return {
        part: storage.read(builder, part, seed=seed) for part in builder.info.splits if part != flag
    }


def read_table(
    name: str,
    *,
    split: str,
    data_dir: str | PathLike[str] | None = None,
    manual_dir: str | PathLike[str] | None = None,
    partial: bool = False,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Reads everything about the pictures of a database but the pictures.

    Args:
        name: One of the names that `available` lists.
        split: Part of the database, or TFDS's slicing and adding of parts.
        data_dir: Folder of built databases; the library's cache folder if None.
        manual_dir: Folder or archive with the files that a person has to fetch.
        partial: True accepts a copy that does not have all rows of the release.
        **options: Settings of "folder_iqa" alone; see `load`.

    Returns:
        One array per feature, in the order in which `load` gives the pictures.

    Raises:
        ValueError: If the database or the split is not known; `load` lists the other errors.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    builder = storage.prepare(
        name, _path(data_dir), _path(manual_dir), partial=partial, download=False, options=options
    )
    return storage.table(builder, split)


def verify(
    name: str,
    *,
    data_dir: str | PathLike[str] | None = None,
    manual_dir: str | PathLike[str] | None = None,
    partial: bool = False,
    **options: Any,
) -> Report:
    """Checks a copy of a database as its owners ship it: every row, and every picture.

    Args:
        name: One of the names that `available` lists.
        data_dir: Folder of built databases, below which `manual/NAME` is looked for.
        manual_dir: Folder or archive with the files that a person has to fetch.
        partial: True accepts a copy that does not have all rows of the release.
        **options: Settings of "folder_iqa" alone; see `load`.

    Returns:
        What was looked at and all problems that were found: missing and damaged files, pictures
        and references of different sizes, wrong counts, ids that occur twice, scores off the scale.

    Raises:
        ValueError: If the database is not known, or is made and not fetched.
        FileNotFoundError: If there are no files at all; tells how to get them.
    """
    storage.find_database(name)
    if name == "sample_iqa":
        raise ValueError("sample_iqa is made on this machine: there are no files to verify.")
    from diqa_utils.datasets.verification import verify_files

    folders = _path(data_dir), _path(manual_dir)
    with DatabaseFiles(storage.find_files(name, *folders)) as files:
        builder = storage.make_builder(name, *folders, partial=partial, options=options)
        return verify_files(builder, name, files)


def _path(folder: str | PathLike[str] | None) -> Path | None:
    return None if folder is None else Path(folder).expanduser().absolute()
