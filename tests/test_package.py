"""The top of the package: light, and only passing names on."""

import importlib
import subprocess
import sys

import pytest

import diqa_utils


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("tensorflow", "keras", "tensorflow_datasets", "matplotlib", "skimage", "scipy")
    code = f"import diqa_utils, sys; print(*[name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr


@pytest.mark.parametrize("name", sorted(diqa_utils._OWNERS))
def test_a_name_of_the_package_is_its_modules_own(name):
    owner = importlib.import_module(f"diqa_utils.{diqa_utils._OWNERS[name]}")
    assert getattr(diqa_utils, name) is getattr(owner, name)
    assert name in owner.__all__


def test_every_name_is_listed_once():
    assert set(diqa_utils.__all__) == {*diqa_utils._OWNERS, "datasets", "export"}
    assert dir(diqa_utils) == sorted(diqa_utils.__all__)
    for name in ("datasets", "export"):
        assert getattr(diqa_utils, name) is importlib.import_module(f"diqa_utils.{name}")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'ssim'"):
        _ = diqa_utils.ssim
