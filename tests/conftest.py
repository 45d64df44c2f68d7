"""What the tests of the library share."""

import os
import tempfile
from pathlib import Path

# Before anything imports TensorFlow. The sample database is built once and kept between runs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault(
    "DIQA_CACHE_DIR", str(Path(__file__).resolve().parents[1] / ".cache" / "diqa_utils")
)

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory):
    """Sends what libraries leave in the temporary folder to pytest's own, which clears itself.

    TensorFlow Datasets leaves an empty folder for each builder of a database not yet built.
    """
    folder = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("TMPDIR", folder)
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    """Three pictures, uint8 (159, 202, 3): neither side is a multiple of 4, of 8 or of 16."""
    from skimage import data

    whole = {"astronaut": data.astronaut(), "chelsea": data.chelsea(), "coffee": data.coffee()}
    return {name: image[20:179, 100:302] for name, image in whole.items()}


@pytest.fixture(scope="session")
def sample():
    """The sample database, all splits; built only where the cache does not hold it."""
    from diqa_utils import datasets

    return datasets.load("sample_iqa")


@pytest.fixture(scope="module")
def small_network():
    """Two convolutions in place of eight, for tests of what is done with the network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diqa_utils.models.CONVOLUTIONS", ((8, 2), (128, 2)))
        yield
