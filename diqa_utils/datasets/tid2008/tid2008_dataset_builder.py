"""TID2008: 25 references, 17 distortions at 4 levels."""

from diqa_utils.datasets._builder import instructions
from diqa_utils.datasets._tid import TidBuilder


class Builder(TidBuilder):
    """TFDS builder of TID2008 from its official release."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = instructions("tid2008")
