"""Giving free memory back to the system."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from diqa_utils._internal.tensorflow import give_back

MIB = 2**20


def resident() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4096


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc keeps free memory that can be asked back",
)
def test_free_memory_goes_back_to_the_system_and_what_is_used_stays():
    # Small enough to come from the heap. The last one keeps the heap from shrinking by itself.
    blocks = [np.full(2**16, number % 251, np.uint8) for number in range(4000)]
    last = blocks[-1]
    before = resident()
    del blocks
    give_back()
    assert resident() < before - 200 * MIB
    assert np.all(last == 3999 % 251)
