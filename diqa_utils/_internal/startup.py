"""TensorFlow without what it says on its way up."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

#: Two threads that start it at once would restore the wrong standard error.
STARTING = threading.Lock()


def start_tensorflow_quietly() -> None:
    """Imports TensorFlow and lets it look for devices; no effect on one that has been imported."""
    with STARTING:
        if "tensorflow" not in sys.modules:
            _start()


def _start() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The default, and what makes a CPU fast; spelt out, it goes without its announcement.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with silent_stderr():
        import tensorflow as tf

        tf.zeros(1) + 1  # the first operation looks for devices
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drops what compiled code writes to file descriptor 2, whatever its log level says."""
    sys.stderr.flush()
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
