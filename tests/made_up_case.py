"""What the tests of all builders share: TFDS's own checks, and the rows and faults of a release."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import made_up
import pytest
import tensorflow_datasets as tfds

from diqa_utils import datasets
from diqa_utils.datasets import storage
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.rows import check_rows


class MadeUpTestCase(tfds.testing.DatasetBuilderTestCase):
    """Makes the files of a release in a folder of its own, and reads them."""

    #: By name of a database: what the labels of some pictures are.
    ROWS: ClassVar[dict[str, dict[str, dict[str, Any]]]] = {}

    #: How to spoil the score files, and words of the error that says so.
    FAULTS: ClassVar[list[tuple[Callable[[Path], None], str]]] = []

    MOCK_OUT_FORBIDDEN_OS_FUNCTIONS = False  # the files are on the user's own disk

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.EXAMPLE_DIR = made_up.release(cls.DATASET_CLASS.name, cls.folder / "release")
        cls.read = set()
        super().setUpClass()

    def _assertAsDataset(self, builder):
        """Reads all pictures, as TFDS does, but not a second time once the builder is reloaded."""
        if builder.data_dir not in self.read:
            self.read.add(builder.data_dir)
            super()._assertAsDataset(builder)

    def test_rows_say_what_the_release_says(self):
        for name, expected in self.ROWS.items():
            builder = storage.make_builder(name, self.folder)
            with DatabaseFiles(self.EXAMPLE_DIR) as files:
                rows = builder.read_rows(files)
            check_rows(rows, CATALOG[name], complete=True)  # counts, scales, ids that come once
            rated = {row.distortion for row in rows if not row.flagged}
            assert len(rated) == (CATALOG[name].distortions or 1)
            for row in rows:
                assert row.distorted.lower().rpartition(".")[0].endswith(row.image_id.lower())
                labels = builder.labels(row)
                assert 0 <= labels["quality"] <= 1
                for key, value in expected.get(row.image_id, {}).items():
                    wanted = pytest.approx(value, abs=1e-4) if isinstance(value, float) else value
                    assert labels[key] == wanted, (row.image_id, key)
            assert expected.keys() <= {row.image_id for row in rows}

    def test_a_fault_is_named_and_nothing_is_left_behind(self):
        for number, (spoil, words) in enumerate(self.FAULTS):
            with self.subTest(words):
                spoilt, root = self.folder / f"spoilt {number}", self.folder / f"built {number}"
                spoil(made_up.copied(self.EXAMPLE_DIR, spoilt, pictures=False))
                with pytest.raises((ValueError, FileNotFoundError), match=words):
                    datasets.load(self.DATASET_CLASS.name, manual_dir=spoilt, data_dir=root)
                assert not list(root.rglob("*.tfrecord*"))
