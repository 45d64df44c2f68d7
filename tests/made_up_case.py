"""TFDS's test case for builders that read files which a person has to fetch."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds


class MadeUpTestCase(tfds.testing.DatasetBuilderTestCase):
    """Makes the files of a release in a folder of its own; `make` says how."""

    make: ClassVar[Callable[[Path], Path]]
    MOCK_OUT_FORBIDDEN_OS_FUNCTIONS = False  # the files are on the user's own disk

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.EXAMPLE_DIR = cls.make(Path(folder.name) / "release")
        super().setUpClass()
