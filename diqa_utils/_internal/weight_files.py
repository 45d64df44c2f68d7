"""Weights of models in one plain file of arrays, which is checked before it is believed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

#: Arrays with more numbers than this are kept in half precision.
SMALL_ENOUGH = 1024


def save_weights(path: Path, models: Mapping[str, keras.Model]) -> str:
    """Writes the weights of models into one `.npz` file.

    Large arrays are rounded to float16, small ones (biases, means and variances) stay float32.

    Args:
        path: the file; one that is there is replaced at once or not at all.
        models: by the name under which `load_weights` finds them.

    Returns:
        The SHA-256 of the file.
    """
    arrays = {
        f"{name}/{number:02}": values.astype(
            np.float16 if values.size > SMALL_ENOUGH else np.float32
        )
        for name, model in models.items()
        for number, values in enumerate(model.get_weights())
    }
    incomplete = path.with_name(f"incomplete-{path.name}")
    with open(incomplete, "wb") as file:
        np.savez_compressed(file, **arrays)
    incomplete.replace(path)
    return file_hash(path)


def load_weights(path: Path, models: Mapping[str, keras.Model], *, sha256: str) -> None:
    """Gives models the weights that `save_weights` wrote.

    Args:
        path: the file.
        models: of the same architecture, by the same names.
        sha256: what the file's hash must be.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not the one with this hash, or is of other models.
    """
    if not path.exists():
        raise FileNotFoundError(f"There are no weights at {str(path)!r}: check the path.")
    if file_hash(path) != sha256:
        raise ValueError(
            f"{str(path)!r} is damaged or not the file that belongs here: its SHA-256 is not "
            f"{sha256}. Install the library anew, or copy the file again."
        )
    with np.load(path, allow_pickle=False) as arrays:
        for name, model in models.items():
            names = [f"{name}/{number:02}" for number in range(len(model.weights))]
            found = [arrays[one].astype(np.float32) for one in names if one in arrays]
            wanted = [tuple(weight.shape) for weight in model.weights]
            if [values.shape for values in found] != wanted:
                raise ValueError(f"{str(path)!r} does not hold the weights of a {model.name!r}.")
            model.set_weights(found)
            for layer in model.layers:
                if isinstance(layer, keras.layers.Normalization):
                    layer.finalize_state()  # it computes with what it has made of its weights


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
