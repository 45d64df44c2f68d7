"""Weights of models in one plain file of arrays, which is checked before it is believed."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from diqa_utils._internal.files import content_hash, read_arrays, write_atomically

#: Arrays with more numbers than this are kept in half precision.
SMALL_ENOUGH = 1024


def save_weights(path: Path, models: Mapping[str, keras.Model]) -> str:
    """Writes the weights of models into one `.npz` file.

    Large arrays are rounded to float16, small ones (biases, means and variances) stay float32.

    Args:
        path: Path of the file; one that is there is replaced at once or not at all.
        models: Models by the name under which `load_weights` looks for them.

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
    write_atomically(path, lambda place: np.savez_compressed(place, **arrays))
    return content_hash(path.read_bytes())


def load_weights(path: Path, models: Mapping[str, keras.Model], *, sha256: str) -> None:
    """Gives models the weights that `save_weights` wrote.

    Args:
        path: Path of the file.
        models: Models of the same architecture, by the same names.
        sha256: SHA-256 that the file must have.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file does not have this hash, is damaged, or holds the weights of other
            models or numbers that are not finite; then no model has changed.
    """
    if not path.exists():
        raise FileNotFoundError(f"There are no weights at {str(path)!r}: check the path.")
    if content_hash(path.read_bytes()) != sha256:
        raise ValueError(
            f"{str(path)!r} is damaged or not the file that belongs here: its SHA-256 is not "
            f"{sha256}. Install the library anew, or copy the file again."
        )
    arrays = read_arrays(path, "install the library anew, or copy the file again")
    expected = {
        f"{name}/{number:02}": tuple(variable.shape)
        for name, model in models.items()
        for number, variable in enumerate(model.weights)
    }
    if {key: values.shape for key, values in arrays.items()} != expected:
        names = " and a ".join(repr(model.name) for model in models.values())
        raise ValueError(f"{str(path)!r} does not hold the weights of a {names}.")
    for key, values in arrays.items():
        if values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(
                f"{str(path)!r} holds weights that are not finite numbers, in {key!r}: train or "
                "fetch the predictor anew."
            )
    for name, model in models.items():
        keys = (f"{name}/{number:02}" for number in range(len(model.weights)))
        model.set_weights([arrays[key].astype(np.float32) for key in keys])
        for layer in model.layers:
            if isinstance(layer, keras.layers.Normalization):
                layer.finalize_state()  # it computes with what it has made of its weights
