"""How people's opinions are spread in the databases whose score files are on this machine.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.score_distributions

Below FOLDER, `official-metadata` holds score files of LIVE, TID2013 and KADID-10k as their owners
ship them, and `biq2021` a part of BIQ2021. Of the scores only counts are kept.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import real_data
from benchmarks.results import write
from diqa_utils.datasets import storage
from diqa_utils.datasets.files import DatabaseFiles

NAME = "score_distributions"
BINS = 40
PLACES = {
    "live_iqa": "official-metadata/live",
    "tid2013": "official-metadata/tid2013",
    "kadid10k": "official-metadata/kadid10k",
    "biq2021": "biq2021",
}


def qualities(name: str, files: Path) -> np.ndarray:
    """Returns the quality of every rated picture (those flagged are left out)."""
    with tempfile.TemporaryDirectory() as nowhere:
        builder = storage.make_builder(name, Path(nowhere), files, partial=name == "biq2021")
    with DatabaseFiles(files) as opened:
        rows = builder.read_rows(opened)
    scale = builder.database.scale
    return np.array([scale.quality(row.score) for row in rows if not row.flagged])


def summary(quality: np.ndarray) -> dict[str, Any]:
    """Returns how many pictures are in each bin of 0..1, and where the quartiles are."""
    counts, _ = np.histogram(quality, BINS, (0, 1))
    quartiles = np.percentile(quality, [25, 50, 75]).round(3)
    return {"pictures": len(quality), "counts": counts.tolist(), "quartiles": quartiles.tolist()}


def main() -> None:
    data = real_data.folder()
    if data is None:
        print(f"{real_data.VARIABLE} names no folder: {NAME}.json stays as it is.")
        return
    results = {name: summary(qualities(name, data / place)) for name, place in PLACES.items()}
    for name, row in results.items():
        print(f"{name:9} {row['pictures']:6,} pictures, quartiles {row['quartiles']}")
    write(NAME, results)


if __name__ == "__main__":
    main()
