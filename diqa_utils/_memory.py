"""Memory that nobody uses any more.

A pipeline has many threads, and glibc gives them arenas of their own to allocate in. What is freed
there stays with the process, and from epoch to epoch there is more of it.
"""

import ctypes
import sys


def give_back() -> None:
    """Returns free memory to the system, where the C library can do that: in milliseconds."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
