"""KADID-10k's builder on made-up files in the layout of the release."""

from pathlib import Path

import made_up
import made_up_case

from diqa_utils.datasets.kadid10k import kadid10k_dataset_builder


def make(folder: Path, references: int = 81) -> Path:
    """10,125 pictures of 81 references in one folder, and a CSV file."""
    rows: list[list[object]] = [["dist_img", "ref_img", "dmos", "var"]]
    for reference in range(1, references + 1):
        made_up.write(folder, f"images/I{reference:02}.png", made_up.picture(5, "png"))
        for distortion in range(1, 26):
            for level in range(1, 6):
                name = f"I{reference:02}_{distortion:02}_{level:02}.png"
                content = made_up.picture(20 + 5 * level + distortion, "png")
                made_up.write(folder, f"images/{name}", content)
                rows.append([name, f"I{reference:02}.png", f"{5 - 0.75 * level:.2f}", "0.64"])
    made_up.write_csv(folder, "dmos.csv", rows)
    return folder


class Kadid10kTest(made_up_case.MadeUpTestCase):
    """A MOS in a column called `dmos`, and a variance."""

    DATASET_CLASS = kadid10k_dataset_builder.Builder
    SPLITS = {"rated": 10125}
    ROWS = {
        "kadid10k": {
            "I81_09_05": {
                "reference_id": "I81",
                "distortion": "jpeg2000",
                "level": 5,
                "score": 1.25,
                "quality": 0.0625,
                "score_std": 0.8,
            }
        }
    }
    FAULTS = [
        (
            made_up.replace_in("dmos.csv", "I01.png,3.50,0.64", "I01.png,3.50,-1"),
            r"line 3 of 'dmos.csv': var is -1, and a variance is never negative",
        ),
        (
            made_up.replace_in("dmos.csv", "I01_01_02.png", "picture.png"),
            r"line 3 of 'dmos.csv': 'picture.png' is no name such as I01_02_03.png",
        ),
        (
            made_up.replace_in("dmos.csv", "I01_01_02.png,I01.png,3.50,0.64\n", ""),
            r"kadid10k has 10,124 rows in the part 'rated', and the release has 10,125",
        ),
    ]
