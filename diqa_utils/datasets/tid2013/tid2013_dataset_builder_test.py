"""TFDS's own checks of the builder, on made-up files in the layout of the release."""

import made_up
import made_up_case
import tensorflow_datasets as tfds

from diqa_utils.datasets.tid2013 import tid2013_dataset_builder


class Tid2013Test(made_up_case.MadeUpTestCase):
    """Registered, described by valid tags, readable, and without overlap between splits."""

    DATASET_CLASS = tid2013_dataset_builder.Builder
    SPLITS = {"rated": 2880, "synthetic": 120}  # noqa: RUF012 - TFDS reads it from the class
    make = staticmethod(made_up.tid2013)


if __name__ == "__main__":
    tfds.testing.test_main()
