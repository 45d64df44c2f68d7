"""Runs benchmarks and writes their results.

python -m benchmarks                      # speed, all of it: what `make bench` does
python -m benchmarks normalization memory # parts of it
python -m benchmarks learned_metrics      # speed beside metrics of pyiqa, which it needs
python -m benchmarks accuracy             # everything else: some take hours
"""

import argparse
import importlib
import json
import subprocess
import sys
from typing import Any

from benchmarks import results
from diqa_utils import notebook

#: Parts of the speed benchmark, whose results stand together in speed.json.
SPEED = ("training", "normalization", "scoring", "startup", "memory", "ladder")

#: A part that has to be asked for: it needs pyiqa.
COMPARISON = "learned_metrics"

#: The other benchmarks, each with a results file of its own.
ACCURACY = (
    "original_faults",
    "sample_training",
    "score_distributions",
    "no_reference_baselines",
    "pretraining",
    "human_ratings",
    "ablations",
)

NAME = "speed"
DIGITS = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"accuracy, or some of {', '.join((*SPEED, COMPARISON, *ACCURACY))}",
    )
    names = parser.parse_args().names
    if unknown := set(names) - {"accuracy", *SPEED, COMPARISON, *ACCURACY}:
        parser.error(f"there is no benchmark {min(unknown)!r}: see --help")
    asked = [one for name in names for one in (ACCURACY if name == "accuracy" else [name])]
    for name in (one for one in asked if one in ACCURACY):
        print(f"== {name}")
        importlib.import_module(f"benchmarks.{name}").main()
    if parts := [one for one in asked if one in (*SPEED, COMPARISON)] or (
        [] if names else list(SPEED)
    ):
        measure_speed(parts)


def measure_speed(parts: list[str]) -> None:
    """Measures some parts, each in a process of its own, and keeps what is known of the others."""
    from benchmarks.speed import machine, report

    known = notebook.results(NAME)
    this = machine.description()
    kept: dict[str, Any] = known if known["machine"] == this else {"machine": this}
    for part in parts:
        print(f"== {part}", flush=True)
        found = _in_a_process(part)
        kept |= found if part == "startup" else {part: found}
        results.write(NAME, results.rounded(kept, DIGITS))
    report.show(kept)


def _in_a_process(part: str) -> dict[str, Any]:
    """Measures a part: what another one has left in memory must not slow it down."""
    code = (
        "from diqa_utils._internal import startup; startup.start_tensorflow_quietly();"
        f"from benchmarks.speed import {part}; import json; print(json.dumps({part}.measure()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
