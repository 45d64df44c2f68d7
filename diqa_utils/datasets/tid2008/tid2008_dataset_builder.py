"""TID2008: 25 references, 17 distortions at 4 levels."""

from diqa_utils.datasets.tid2008 import DATABASE
from diqa_utils.datasets.tid2013.tid2013_dataset_builder import TidBuilder


class Builder(TidBuilder):
    """TFDS builder of TID2008 from its official release."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = DATABASE.instructions
