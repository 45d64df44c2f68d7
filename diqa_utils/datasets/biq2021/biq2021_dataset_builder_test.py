"""TFDS's own checks of the builder, on made-up files in the layout of the release."""

from unittest import mock

import made_up
import made_up_case
import tensorflow_datasets as tfds

from diqa_utils.datasets.biq2021 import biq2021_dataset_builder


class Biq2021Test(made_up_case.MadeUpTestCase):
    """Registered, described by valid tags, readable, and without overlap between splits."""

    DATASET_CLASS = biq2021_dataset_builder.Builder
    SPLITS = {"train": 10000, "test": 2000}  # noqa: RUF012 - TFDS reads it from the class
    make = staticmethod(made_up.biq)

    def setUp(self):
        entries = made_up.manifest(self.EXAMPLE_DIR)
        biq2021_dataset_builder._by_lower_name.cache_clear()
        self.addCleanup(biq2021_dataset_builder._by_lower_name.cache_clear)
        patch = mock.patch.object(biq2021_dataset_builder, "manifest", return_value=entries)
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()


if __name__ == "__main__":
    tfds.testing.test_main()
