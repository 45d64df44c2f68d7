"""TFDS's own checks of the builder, on few images: it downloads nothing, so it needs no dummies."""

from pathlib import Path
from unittest import mock

import tensorflow_datasets as tfds

from diqa_utils.datasets.sample_iqa import sample_iqa_dataset_builder


class SampleIqaTest(tfds.testing.DatasetBuilderTestCase):
    """Registered, described by valid tags, readable, and without overlap between splits."""

    DATASET_CLASS = sample_iqa_dataset_builder.Builder
    EXAMPLE_DIR = Path(__file__).parent
    # 6, 2 and 2 photographs, one piece and one image each
    SPLITS = {"train": 6, "validation": 2, "test": 2}  # noqa: RUF012 - TFDS reads it from the class
    MOCK_OUT_FORBIDDEN_OS_FUNCTIONS = False  # scikit-image reads its own files

    def setUp(self):
        few = {"ROWS": 1, "COLUMNS": 1, "LEVELS": (2,), "DISTORTIONS": ("gaussian_blur",)}
        patch = mock.patch.multiple(sample_iqa_dataset_builder, **few)
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()


if __name__ == "__main__":
    tfds.testing.test_main()
