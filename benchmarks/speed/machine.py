"""What the machine is, and how fast it multiplies matrices."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.speed.timing import in_turn
from diqa_utils._internal.tensorflow import CPU_INFO, bfloat16_is_fast

#: Side of the square matrices whose product is timed.
SIDE = 4096

PRECISIONS = {"float32": tf.float32, "bfloat16": tf.bfloat16}


def description() -> dict[str, Any]:
    """Returns processor, cores, memory and versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "bfloat16": bfloat16_is_fast(),
        "system": platform.system(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    lines = CPU_INFO.read_text().splitlines() if Path(CPU_INFO).exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def precisions() -> list[str]:
    """Returns those in which it makes sense to measure here."""
    return ["float32", "bfloat16"] if bfloat16_is_fast() else ["float32"]


def matrix_products() -> dict[str, Any]:
    """Returns, for each precision, a function that multiplies two matrices."""
    ways = {}
    for precision in precisions():
        factors = [tf.cast(tf.random.normal((SIDE, SIDE)), PRECISIONS[precision]) for _ in "ab"]
        ways[precision] = tf.function(lambda a=factors[0], b=factors[1]: tf.matmul(a, b))
    return ways


def matmul_gflops(rounds: int = 3) -> dict[str, float]:
    """Returns how many billion multiplications and additions a second a matrix product does."""
    times = in_turn(matrix_products(), rounds=rounds)
    return {name: 2 * SIDE**3 / min(some) / 1e9 for name, some in times.items()}


def resident_mib() -> float:
    """Returns the largest memory that this process has had, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)
