"""bfloat16 where the processor multiplies it faster than float32.

A bfloat16 number has the range of a float32 and 8 of its 24 binary digits. Convolutions and matrix
products take such numbers, add them up in float32, and are nearly twice as fast on processors with
instructions for them. Weights, losses and everything else stay float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

#: What Linux calls the instructions of x86 processors that multiply bfloat16 numbers.
CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})

CPU_INFO = Path("/proc/cpuinfo")

OPTION = "auto_mixed_precision_onednn_bfloat16"

PRECISIONS = ("auto", "bfloat16", "float32")


def bfloat16_is_fast() -> bool:
    """Whether this processor is known to have instructions for bfloat16."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:  # not Linux
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not CPU_FLAGS.isdisjoint(flags.split())


def check_precision(precision: str) -> None:
    """Raises a ValueError if there is no such precision."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}.")


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Graphs that are called inside compute in this precision, if oneDNN does their arithmetic."""
    chosen = precision == "bfloat16" or (precision == "auto" and bfloat16_is_fast())
    before = tf.config.optimizer.get_experimental_options().get(OPTION, False)
    tf.config.optimizer.set_experimental_options({OPTION: chosen})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({OPTION: before})
