"""Image quality databases as `tf.data` datasets, one TFDS builder each.

Every database comes in one schema: `distorted_image` and `reference_image` (uint8, 0..255),
`image_id`, `reference_id`, `distortion`, `level`, the database's own score, and `quality`, the
same opinion mapped to 0..1 where higher is better.
"""

from __future__ import annotations

import importlib
import shutil
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from diqa_utils._cache import cache_folder, source_fingerprint
from diqa_utils.datasets.splits import assert_disjoint, split_by_reference

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

__all__ = ["assert_disjoint", "available", "load", "split_by_reference"]

#: Every database, with the files whose change makes what was built from them stale.
DATABASES: dict[str, tuple[str, ...]] = {
    "sample_iqa": (
        "datasets/sample_iqa/sample_iqa_dataset_builder.py",
        "datasets/splits.py",
        "distortions.py",
        "preprocessing.py",
    ),
}


def available() -> dict[str, bool]:
    """Returns the databases that `load` knows, and whether each is built on this machine.

    Returns:
        The name of every database, with True where it is in the cache already.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    built = {}
    for name in DATABASES:
        versions = _folder(name, None).glob(f"{name}/*/dataset_info.json")
        built[name] = any(".incomplete" not in version.parent.name for version in versions)
    return built


def load(
    name: str,
    *,
    split: str | None = None,
    data_dir: str | PathLike[str] | None = None,
    manual_dir: str | PathLike[str] | None = None,
) -> tf.data.Dataset | dict[str, tf.data.Dataset]:
    """Loads a database, building it first where it has not been built.

    Args:
        name: "sample_iqa".
        split: "train", "validation" or "test", or TFDS's slicing of them ("train[:10]"); all of
            them if None.
        data_dir: where built databases are kept; the library's cache folder if None.
        manual_dir: where the files are that a person has to fetch by hand; not used by
            "sample_iqa", which needs none.

    Returns:
        A dataset of feature dictionaries in a fixed order; for `split=None` a dictionary of
        datasets by split.

    Raises:
        ValueError: if the database or the split is not known.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """
    if name not in DATABASES:
        raise ValueError(f"There is no database {name!r}; known: {', '.join(DATABASES)}.")
    module = importlib.import_module(f"diqa_utils.datasets.{name}.{name}_dataset_builder")
    builder = module.Builder(data_dir=_folder(name, data_dir))
    _prepare(builder, manual_dir)
    if split is not None and split.split("[")[0] not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise ValueError(f"{name} has no split {split!r}; it has {known}.")
    return builder.as_dataset(split=split, shuffle_files=False)


def _prepare(
    builder: tfds.core.DatasetBuilder, manual_dir: str | PathLike[str] | None = None
) -> None:
    """Builds a database unless it is there, one process at a time; all of it or nothing."""
    import tensorflow_datasets as tfds

    built = Path(builder.data_path)
    built.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(built.parent / ".lock"):
        # TFDS removes what an exception interrupts; a killed process leaves its folder behind.
        for half_made in built.parent.glob(f"{built.name}.incomplete*"):
            shutil.rmtree(half_made)
        if not built.exists():
            print(f"Building {builder.name} in {built.parent}: once, about half a minute.")
            tfds.disable_progress_bar()
            config = tfds.download.DownloadConfig(manual_dir=manual_dir)
            builder.download_and_prepare(download_config=config)
        elif not builder.info.splits:  # built by another process since this builder was made
            builder.info.read_from_directory(builder.data_path)


def _folder(name: str, data_dir: str | PathLike[str] | None) -> Path:
    """Returns the folder of a database's builds by the present code."""
    root = Path(data_dir) if data_dir else cache_folder() / "datasets"
    return root / f"{name}-{source_fingerprint(*DATABASES[name])}"
