"""What the tests of all builders share: TFDS's own checks, and the rows and faults of a release."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import made_up
import numpy as np
import pytest
import tensorflow_datasets as tfds

from diqa_utils import datasets, read_image
from diqa_utils.datasets.catalog import CATALOG


class MadeUpTestCase(tfds.testing.DatasetBuilderTestCase):
    """Makes the files of a release in a folder of its own, and reads them."""

    #: Makes the release in a folder that is given, and returns it.
    make: ClassVar[Callable[[Path], Path]]

    #: By name and part of a database: what the rows of some pictures say.
    ROWS: ClassVar[dict[tuple[str, str], dict[str, dict[str, Any]]]] = {}

    #: How to spoil the score files, and words of the error that says so.
    FAULTS: ClassVar[list[tuple[Callable[[Path], None], str]]] = []

    MOCK_OUT_FORBIDDEN_OS_FUNCTIONS = False  # the files are on the user's own disk

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.EXAMPLE_DIR = cls.make(cls.folder / "release")
        super().setUpClass()

    def _make_builder(self, config=None):
        # All tests of a class share what the first of them builds.
        return self.dataset_class(data_dir=self.folder / "built", config=config)

    def test_rows_say_what_the_release_says(self):
        settings = {"data_dir": self.folder / "built", "manual_dir": self.EXAMPLE_DIR}
        for (name, part), rows in self.ROWS.items():
            table = datasets.read_table(name, split=part, **settings)
            ids = table["image_id"].tolist()
            assert len(ids) == CATALOG[name].counts[part]
            assert len(set(ids)) == len(ids)
            assert np.all((table["quality"] >= 0) & (table["quality"] <= 1))
            if part == "rated":
                assert len(set(table["distortion"])) == CATALOG[name].distortions
            for image_id, expected in rows.items():
                for key, value in expected.items():
                    actual = table[key][ids.index(image_id)]
                    if isinstance(value, float):
                        value = pytest.approx(value, abs=1e-4)
                    assert actual == value, (image_id, key)
            # The rows of a dataset are those of the table, and its pictures those of the files.
            for index, example in enumerate(datasets.load(name, split=f"{part}[:20]", **settings)):
                assert example["image_id"].numpy().decode() == ids[index]
                end = f"/{ids[index]}.".lower()
                [path] = [
                    path
                    for path in self.EXAMPLE_DIR.rglob("*.*")
                    if end in str(path).lower() and path.suffix.lower() in {".bmp", ".png", ".jpg"}
                ]
                np.testing.assert_array_equal(example["distorted_image"], read_image(path))

    def test_a_fault_is_named_and_nothing_is_left_behind(self):
        for number, (spoil, words) in enumerate(self.FAULTS):
            with self.subTest(words):
                spoilt, root = self.folder / f"spoilt {number}", self.folder / f"built {number}"
                spoil(made_up.copied(self.EXAMPLE_DIR, spoilt, pictures=False))
                with pytest.raises((ValueError, FileNotFoundError), match=words):
                    datasets.load(self.DATASET_CLASS.name, manual_dir=spoilt, data_dir=root)
                assert not list(root.rglob("*.tfrecord*"))
