"""TensorFlow's switches: graphs, pipelines, precision, memory.

AutoGraph reads Python's source and turns its loops and branches on tensors into those of a graph.
The library has hardly any, and the reading takes most of the time until a graph stands.

A bfloat16 number has the range of a float32 and 8 of its 24 binary digits. Convolutions and matrix
products take such numbers, add them up in float32, and are nearly twice as fast on processors with
instructions for them. Weights, losses and everything else stay float32.

A pipeline has many threads, and glibc gives them arenas of their own to allocate in. What is freed
there stays with the process, and from epoch to epoch there is more of it.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function as a graph, for tensors of any size."""
    return tf.function(function, reduce_retracing=True, autograph=False)


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that `tf.data` takes as it is written."""
    return tf.autograph.experimental.do_not_convert(function)


#: What the library tells its `tf.data` pipelines: not to tune themselves while somebody goes
#: through them. The thread that tunes looks again after 10 ms, 20 ms, 40 ms and so on up to a
#: minute, and what comes to its end may have to wait for the next look: now and then an epoch of
#: 1.4 s takes 2.6 s. `AUTOTUNE` then stands for as many calls at a time as there are cores.
UNTUNED = tf.data.Options()
UNTUNED.autotune.enabled = False


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the same dataset, which does not tune itself while somebody goes through it."""
    return dataset.with_options(UNTUNED)


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
    """Graphs that are called inside compute in this precision, if oneDNN does their arithmetic.

    Raises:
        ValueError: If there is no such precision.
    """
    check_precision(precision)
    chosen = precision == "bfloat16" or (precision == "auto" and bfloat16_is_fast())
    before = tf.config.optimizer.get_experimental_options().get(OPTION, False)
    tf.config.optimizer.set_experimental_options({OPTION: chosen})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({OPTION: before})


def give_back() -> None:
    """Returns free memory to the system, where the C library can do that: in milliseconds."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
