"""Graphs without AutoGraph.

AutoGraph reads Python's source and turns its loops and branches on tensors into those of a graph.
The library has hardly any, and the reading takes most of the time until a graph stands.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function as a graph, for tensors of any size."""
    return tf.function(function, reduce_retracing=True, autograph=False)


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that `tf.data` takes as it is written."""
    return tf.autograph.experimental.do_not_convert(function)
