"""What the machine is, and what it can do."""

import os
import platform
import resource
from typing import Any

import numpy as np
import tensorflow as tf

from diqa_utils._internal.tensorflow import CPU_INFO, bfloat16_is_fast


def measure() -> dict[str, Any]:
    """Returns processor, cores and versions."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if platform.system() == "Linux" else os.cpu_count(),
        "bfloat16": bfloat16_is_fast(),
        "system": platform.system(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
    }


def processor() -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def precisions() -> list[str]:
    """Returns those in which it makes sense to measure here."""
    return ["float32", "bfloat16"] if bfloat16_is_fast() else ["float32"]


def peak_mib() -> float:
    """Returns the largest memory that this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)
