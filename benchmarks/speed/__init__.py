"""How fast the library is, beside the original tutorial's way of doing the same work.

Each part measures both in turn, several times, in one run on one machine, and checks that they give
the same answer where they are meant to. Times differ from machine to machine; the ratios are what
to look at.
"""

import importlib
from typing import Any


def measured(part: str) -> dict[str, Any]:
    """Measures a part; called in a process of its own."""
    return importlib.import_module(f"benchmarks.speed.{part}").measure()
