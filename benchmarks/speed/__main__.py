"""Measures speed and memory beside the original tutorial.

    python -m benchmarks.speed                   # all parts: what `make bench` does
    python -m benchmarks.speed training memory   # some of them
    python -m benchmarks.speed learned_metrics   # beside metrics of pyiqa, which this part needs

What is known of the other parts is kept, if it was measured on this machine.
"""

import argparse

from benchmarks import results
from benchmarks.speed import measured
from benchmarks.speed.timing import in_a_process
from diqa_utils import notebook

NAME = "speed"
PARTS = ("training", "ladder", "normalization", "scoring", "startup", "memory")
COMPARISON = "learned_metrics"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = (*PARTS, COMPARISON)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(names)}")
    parts = parser.parse_args().parts or PARTS
    if unknown := set(parts) - set(names):
        parser.error(f"there is no part {min(unknown)!r}: name some of {', '.join(names)}")
    machine = in_a_process(measured, "machine")
    known = notebook.results(NAME)
    kept = known if known["machine"] == machine else {"machine": machine}
    for part in parts:
        found = in_a_process(measured, part)
        kept |= found if part == "startup" else {part: found}
        results.write(NAME, kept)


if __name__ == "__main__":
    main()
