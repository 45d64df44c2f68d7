"""Examples on disk, one file each: for those that are made once and are too many for memory.

They are read by TensorFlow alone. A Python function in a pipeline would be simpler, and would keep
a process that ends in the middle of an epoch waiting for ever.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import tensorflow as tf
from filelock import FileLock, Timeout

from diqa_utils._internal.files import cache_folder
from diqa_utils._internal.tensorflow import untuned

MIB = 2**20
LOCK = ".lock"


def on_disk(examples: tf.data.Dataset, *, expected_bytes: int, seed: int | None) -> tf.data.Dataset:
    """Makes all examples, writes them to files, and returns a dataset that reads them from there.

    The files are deleted when nothing refers to that dataset any more, or the process ends.

    Args:
        examples: a finite dataset; an example may have any structure, and tensors of any shapes.
        expected_bytes: what they need, as far as one can know.
        seed: shuffles anew in every epoch; None keeps the order in which the examples were made.

    Raises:
        OSError: if the folder cannot be written or the examples do not fit on its disk.
    """
    root = cache_folder() / "examples"
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if expected_bytes > free:
        raise OSError(_too_full(root, expected_bytes, free))
    folder, lock = _new_folder(root)
    try:
        number = _write(examples, folder)
    except tf.errors.ResourceExhaustedError as error:
        _delete(folder, lock)
        free = shutil.disk_usage(root).free
        raise OSError(_too_full(root, expected_bytes, free)) from error
    except BaseException:
        _delete(folder, lock)
        raise
    indices = tf.data.Dataset.range(number)
    weakref.finalize(indices, _delete, folder, lock)
    if seed is not None:
        indices = indices.shuffle(number, seed=seed, reshuffle_each_iteration=True)
    structure = examples.element_spec
    return indices.map(
        lambda index: _read(_path(folder, index), structure), num_parallel_calls=tf.data.AUTOTUNE
    )


def _write(examples: tf.data.Dataset, folder: Path) -> int:
    """Writes the examples as 0, 1, 2 and so on; returns how many there are."""

    def write(index: tf.Tensor, example: Any) -> tf.Tensor:
        parts = [tf.io.serialize_tensor(values) for values in tf.nest.flatten(example)]
        contents = tf.io.serialize_tensor(tf.stack(parts))
        with tf.control_dependencies([tf.io.write_file(_path(folder, index), contents)]):
            return tf.constant(1)

    written = examples.enumerate().map(write, num_parallel_calls=tf.data.AUTOTUNE)
    return int(untuned(written).reduce(0, lambda number, one: number + one))


def _read(path: tf.Tensor, structure: Any) -> Any:
    specs = tf.nest.flatten(structure)
    parts = tf.unstack(tf.io.parse_tensor(tf.io.read_file(path), tf.string), len(specs))
    tensors = [
        tf.ensure_shape(tf.io.parse_tensor(part, spec.dtype), spec.shape)
        for part, spec in zip(parts, specs, strict=True)
    ]
    return tf.nest.pack_sequence_as(structure, tensors)


def _path(folder: Path, index: tf.Tensor) -> tf.Tensor:
    return tf.strings.join([f"{folder}{os.sep}", tf.strings.as_string(index)])


def _new_folder(root: Path) -> tuple[Path, FileLock]:
    """Makes a folder that is locked while this process has it, and deletes what others left."""
    with FileLock(root / LOCK):
        for abandoned in (path for path in root.iterdir() if path.is_dir()):
            _delete_if_free(abandoned)
        folder = Path(tempfile.mkdtemp(dir=root))
        lock = _lock(folder)
        lock.acquire()
    return folder, lock


def _lock(folder: Path) -> FileLock:
    # Whichever thread collects the garbage has to be able to release it.
    return FileLock(folder / LOCK, thread_local=False)


def _delete_if_free(folder: Path) -> None:
    lock = _lock(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return  # of a process that still runs
    _delete(folder, lock)


def _delete(folder: Path, lock: FileLock) -> None:
    lock.release()  # an open file cannot be deleted everywhere
    shutil.rmtree(folder)


def _too_full(root: Path, expected_bytes: int, free: int) -> str:
    return (
        f"The examples need {expected_bytes / MIB:,.0f} MiB on the disk of {root}, which has "
        f"{free / MIB:,.0f} MiB left: name a folder with more space in DIQA_CACHE_DIR, or set "
        "disk_limit=0 to make the examples anew in every epoch."
    )
