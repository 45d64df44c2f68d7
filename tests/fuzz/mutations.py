"""Damaged copies of a file: what a bad disk, a broken download or a hostile sender makes of it."""

from collections.abc import Callable

import numpy as np


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """A copy that is damaged in one to three ways, at random places."""
    for damage in rng.choice(DAMAGES, size=rng.integers(1, 4)):
        start = int(rng.integers(max(1, len(content))))
        end = start + int(rng.integers(1, 513))
        content = bytes(damage(bytearray(content), start, end, rng))
    return content


def _flip_bits(content, start, end, rng):
    for place in rng.integers(max(1, len(content)), size=rng.integers(1, 9)):
        content[place : place + 1] = bytes(byte ^ 4 for byte in content[place : place + 1])
    return content


def _damage_head(content, start, end, rng):
    """Numbers in the head (sizes, counts, offsets) do more harm than those in the pixels."""
    place = start % 256
    content[place : place + 4] = bytes(rng.choice([0, 1, 0x7F, 0x80, 0xFF], size=4).tolist())
    return content


def _cut_off(content, start, end, rng):
    return content[:start]


def _overwrite(content, start, end, rng):
    content[start:end] = rng.bytes(len(content[start:end]))
    return content


def _repeat(content, start, end, rng):
    return content[:end] + content[start:]


def _leave_out(content, start, end, rng):
    return content[:start] + content[end:]


DAMAGES = (_flip_bits, _damage_head, _cut_off, _overwrite, _repeat, _leave_out)


def refused(read: Callable[[], object], *names: str) -> bool:
    """Whether reading a damaged file is refused: in a sentence, with one of these names in it."""
    try:
        read()
    except (ValueError, OSError) as error:
        refusal = error
    else:
        return False
    assert type(refusal) in (ValueError, FileNotFoundError), refusal
    assert "\n" not in str(refusal)
    assert any(name in str(refusal) for name in names), refusal
    return True
