"""Where real pictures and ratings are, on a machine that has some."""

import os
from pathlib import Path

from diqa_utils.distortions import FAMILIES

#: What the studies of step 1 damage pictures with: the 25 types of KADID-10k.
KADID_TYPES = tuple(name for names in FAMILIES.values() for name in names)

VARIABLE = "DIQA_DATA_DIR"


def folder() -> Path | None:
    """Returns the folder that the environment names, or None where there is none."""
    path = Path(os.environ.get(VARIABLE) or "/nowhere")
    return path if path.is_dir() else None


def needed() -> Path:
    """Returns that folder for a benchmark that cannot do without it."""
    if (path := folder()) is None:
        raise SystemExit(f"Set {VARIABLE} to the folder of the real data; nothing was measured.")
    return path
