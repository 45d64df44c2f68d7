"""TFDS's own checks of the builder, on made-up files in the layout of the release."""

import made_up
import made_up_case
import tensorflow_datasets as tfds

from diqa_utils.datasets.tid2008 import tid2008_dataset_builder


class Tid2008Test(made_up_case.MadeUpTestCase):
    """Registered, described by valid tags, readable, and without overlap between splits."""

    DATASET_CLASS = tid2008_dataset_builder.Builder
    SPLITS = {"rated": 1700}  # noqa: RUF012 - TFDS reads it from the class
    make = staticmethod(made_up.tid2008)


if __name__ == "__main__":
    tfds.testing.test_main()
