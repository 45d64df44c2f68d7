"""Damaged copies of a file: what a bad disk, a broken download or a hostile sender makes of it."""

import numpy as np


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Returns a copy that is damaged in one to three ways, at random places.

    Args:
        content: Bytes of a sound file, at least one.
        rng: Generator that settles the damage.
    """
    for _ in range(rng.integers(1, 4)):
        content = DAMAGES[rng.integers(len(DAMAGES))](bytearray(content), rng)
    return content


def _flip_bits(content: bytearray, rng: np.random.Generator) -> bytes:
    for place in rng.integers(max(1, len(content)), size=rng.integers(1, 9)):
        content[place : place + 1] = bytes(
            byte ^ (1 << int(rng.integers(8))) for byte in content[place : place + 1]
        )
    return bytes(content)


def _damage_head(content: bytearray, rng: np.random.Generator) -> bytes:
    """Numbers in the head (sizes, counts, offsets) do more harm than those in the pixels."""
    place = int(rng.integers(min(256, max(1, len(content)))))
    content[place : place + 4] = bytes(rng.choice([0, 1, 0x7F, 0x80, 0xFF], size=4).tolist())
    return bytes(content)


def _cut_off(content: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(content[: rng.integers(len(content) + 1)])


def _overwrite(content: bytearray, rng: np.random.Generator) -> bytes:
    start, length = _stretch(content, rng)
    content[start : start + length] = rng.bytes(length)
    return bytes(content)


def _repeat(content: bytearray, rng: np.random.Generator) -> bytes:
    start, length = _stretch(content, rng)
    content[start:start] = content[start : start + length]
    return bytes(content)


def _leave_out(content: bytearray, rng: np.random.Generator) -> bytes:
    start, length = _stretch(content, rng)
    del content[start : start + length]
    return bytes(content)


def _stretch(content: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(max(1, len(content))))
    return start, int(rng.integers(1, 1 + max(1, min(512, len(content) - start))))


DAMAGES = (_flip_bits, _damage_head, _cut_off, _overwrite, _repeat, _leave_out)
