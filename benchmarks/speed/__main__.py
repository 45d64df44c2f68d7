"""Measures speed and memory beside the original tutorial.

    python -m benchmarks.speed                   # all parts: what `make bench` does
    python -m benchmarks.speed ladder memory     # some of them

What is known of the other parts is kept, if it was measured on this machine.
"""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.speed import measured
from benchmarks.speed.timing import in_a_process
from diqa_utils import notebook

NAME = "speed"
PARTS = ("ladder", "operations", "scoring", "memory")


def machine() -> dict[str, Any]:
    """Returns processor, cores and versions."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: version(package) for package in ("tensorflow", "numpy")},
    }


def processor() -> str:
    """Returns the processor's name, as Linux knows it."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parts = sys.argv[1:] or PARTS
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"There is no part {min(unknown)!r}: name some of {', '.join(PARTS)}.")
    here, known = machine(), notebook.results(NAME)
    kept = known if known["machine"] == here else {"machine": here}
    for part in parts:
        kept[part] = in_a_process(measured, part)
        results.write(NAME, kept)


if __name__ == "__main__":
    main()
