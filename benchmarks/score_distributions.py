"""How people's opinions are spread in the databases whose score files are on this machine.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.score_distributions

Below FOLDER, `official-metadata` holds score files of LIVE, TID2013 and KADID-10k as their owners
ship them, and `biq2021` a part of BIQ2021. Of the scores only counts are kept.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import real_data, results
from diqa_utils.datasets import storage
from diqa_utils.datasets.files import DatabaseFiles

BINS = 40
PLACES = {
    "live_iqa": "official-metadata/live",
    "tid2013": "official-metadata/tid2013",
    "kadid10k": "official-metadata/kadid10k",
    "biq2021": "biq2021",
}


def distribution(name: str, folder: Path) -> dict[str, Any]:
    """Returns how many rated pictures are in each bin of 0..1, and where the quartiles are."""
    with tempfile.TemporaryDirectory() as nowhere:
        builder = storage.make_builder(name, Path(nowhere), folder, partial=name == "biq2021")
    with DatabaseFiles(folder) as files:
        rows = builder.read_rows(files)
    quality = [builder.database.scale.quality(row.score) for row in rows if not row.flagged]
    return {
        "pictures": len(quality),
        "counts": np.histogram(quality, BINS, (0, 1))[0].tolist(),
        "quartiles": np.percentile(quality, [25, 50, 75]).tolist(),
    }


def main() -> None:
    data = real_data.needed()
    measured = {name: distribution(name, data / place) for name, place in PLACES.items()}
    results.write("score_distributions", measured)


if __name__ == "__main__":
    main()
