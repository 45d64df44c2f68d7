"""TID2008's builder on made-up files in the layout of the release."""

from functools import partial

import made_up_case

from diqa_utils.datasets.tid2008 import tid2008_dataset_builder
from tests.datasets import test_tid2013

make = partial(test_tid2013.make, distortions=17, levels=4)


class Tid2008Test(made_up_case.MadeUpTestCase):
    """TID2013's names, fewer of them, and no synthetic part."""

    DATASET_CLASS = tid2008_dataset_builder.Builder
    SPLITS = {"rated": 1700}
    ROWS = {
        "tid2008": {
            "i25_17_4": {
                "reference_id": "I25",
                "distortion": "contrast_change",
                "level": 4,
                "score": 8 - 4 - 0.17,
                "quality": (8 - 4 - 0.17) / 9,
                "score_std": 0.14,
            }
        }
    }
