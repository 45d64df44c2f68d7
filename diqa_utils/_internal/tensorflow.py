"""TensorFlow's switches: graphs, pipelines, memory.

AutoGraph reads Python's source and turns its loops and branches on tensors into those of a graph.
The library has hardly any, and the reading takes most of the time until a graph stands.

A pipeline has many threads, and glibc gives them arenas of their own to allocate in. What is freed
there stays with the process, and from epoch to epoch there is more of it.
"""

import ctypes
import sys
from collections.abc import Callable
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


def give_back() -> None:
    """Returns free memory to the system, where the C library can do that: in milliseconds."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
