"""TFDS's own checks of the builder, on a made-up folder."""

import made_up
import made_up_case
import tensorflow_datasets as tfds

from diqa_utils.datasets.folder_iqa import folder_iqa_dataset_builder as folder_iqa


class FolderIqaTest(made_up_case.MadeUpTestCase):
    """Registered, described by valid tags, readable, and without overlap between splits."""

    DATASET_CLASS = folder_iqa.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = [  # noqa: RUF012 - TFDS reads it from the class
        folder_iqa.FolderConfig(name="own", lowest=1, highest=5, has_references=True)
    ]
    SPLITS = {"train": 4, "test": 2}  # noqa: RUF012 - TFDS reads it from the class
    make = staticmethod(made_up.own_folder)


if __name__ == "__main__":
    tfds.testing.test_main()
