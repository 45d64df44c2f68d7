"""TID2013's builder on made-up files in the layout of the release."""

from pathlib import Path

import made_up
import made_up_case

from diqa_utils.datasets.tid2013 import tid2013_dataset_builder


def make(folder: Path, distortions: int = 24, levels: int = 5) -> Path:
    """25 references, and names whose case differs between the list and the disk."""
    scores, spreads = [], []
    for reference in range(1, 26):
        suffix = "BMP" if reference % 2 else "bmp"
        name = f"reference_images/{'iI'[reference % 2]}{reference:02}.{suffix}"
        made_up.write(folder, name, made_up.picture(5))
        for distortion in range(1, distortions + 1):
            for level in range(1, levels + 1):
                name = f"i{reference:02}_{distortion:02}_{level}.bmp"
                content = made_up.picture(30 + distortion * level)
                made_up.write(folder, f"distorted_images/{name}", content)
                listed = name.replace("i", "I") if level == 1 else name
                scores.append(f"{8 - level - distortion / 100:.5f} {listed}")
                spreads.append(f"{0.1 + level / 100:.5f}")
    made_up.write(folder, "mos_with_names.txt", "\r\n".join(scores) + "\r\n")
    made_up.write(folder, "mos_std.txt", "\r\n".join(spreads) + "\r\n")
    return folder


class Tid2013Test(made_up_case.MadeUpTestCase):
    """Names in any case, and the synthetic reference in a part of its own."""

    DATASET_CLASS = tid2013_dataset_builder.Builder
    SPLITS = {"rated": 2880, "synthetic": 120}
    ROWS = {
        "tid2013": {
            "i01_11_1": {
                "reference_id": "I01",
                "distortion": "jpeg2000",
                "score": 6.89,
                "score_std": 0.11,
                "synthetic": False,
            },
            "i25_24_5": {"distortion": "sparse_sampling", "synthetic": True},
        },
    }
    FAULTS = [
        (
            made_up.replace_in("mos_with_names.txt", "5.98000 i01_02_2.bmp", "5.98000"),
            r"line 7 of 'mos_with_names.txt' is '5.98000', and should be a score and a name",
        ),
        (
            made_up.replace_in("mos_with_names.txt", "i01_01_2.bmp", "i01_25_2.bmp"),
            r"line 2 of .*: 'i01_25_2.bmp' has distortion 25, and there are only 24",
        ),
        (
            made_up.replace_in("mos_with_names.txt", "5.99000 i01_01_2", "good i01_01_2"),
            r"line 2 of 'mos_with_names.txt': the score is 'good', which is no number",
        ),
        (
            made_up.replace_in("mos_std.txt", "0.11000\n", ""),
            r"mos_with_names.txt has 3,000 rows and mos_std.txt has 2,999",
        ),
    ]
