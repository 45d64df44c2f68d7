"""LIVE's builder on made-up files in the layout of the release."""

import shutil
from pathlib import Path

import made_up
import made_up_case
import numpy as np
import scipy.io

from diqa_utils.datasets.live_iqa import live_iqa_dataset_builder

FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
PRISTINE = {"jp2k": 58, "jpeg": 58, "wn": 29, "gblur": 29, "fastfading": 29}


def make(folder: Path) -> Path:
    """982 files in five folders, 29 references, three MATLAB files."""
    references = [f"scene{number:02}.bmp" for number in range(29)]
    for name in references:
        made_up.write(folder, f"refimgs/{name}", made_up.picture(10))
    names, pristine = [], []
    for kind, count in FOLDERS.items():
        for index in range(count):
            made_up.write(folder, f"{kind}/img{index + 1}.bmp", made_up.picture(20 + index % 40))
            names.append(references[index % 29])
            pristine.append(index < PRISTINE[kind])
    orgs = np.array(pristine, np.uint8)
    first = np.where(orgs, 0, 20 + np.arange(982) % 60).astype(float)
    # Realigned scores leave 0..100, and a pristine copy has one in the middle.
    realigned = np.where(orgs, 45, -2.5 + np.arange(982) % 114).astype(float)
    cells = np.empty((1, 982), object)
    cells[0] = names
    scipy.io.savemat(folder / "dmos.mat", {"dmos": first[None], "orgs": orgs[None]})
    scipy.io.savemat(
        folder / "dmos_realigned.mat",
        {"dmos_new": realigned[None], "dmos_std": (orgs == 0)[None] * 1.5, "orgs": orgs[None]},
    )
    scipy.io.savemat(folder / "refnames_all.mat", {"refnames_all": cells})
    return folder


def fewer_entries(folder):
    path = folder / "dmos_realigned.mat"
    content = {key: value for key, value in scipy.io.loadmat(path).items() if key[0] != "_"}
    scipy.io.savemat(path, content | {"dmos_new": content["dmos_new"][:, :-1]})


def another_file(folder):
    shutil.copy(folder / "dmos.mat", folder / "dmos_realigned.mat")


class LiveTest(made_up_case.MadeUpTestCase):
    """Both sets of scores, and the pristine copies in a part of their own."""

    DATASET_CLASS = live_iqa_dataset_builder.Builder
    SPLITS = {"rated": 779, "pristine": 203}

    # The entry 59 of jpeg is row 227 + 58 of the score files.
    ROWS = {
        "live_iqa": {
            "jpeg/img59": {
                "reference_id": "scene00",
                "distortion": "jpeg",
                "level": 0,
                "score": -2.5 + 285 % 114,
                "quality": (112 - (-2.5 + 285 % 114)) / 115,
                "score_std": 1.5,
                "pristine": False,
            },
            "wn/img1": {"score": 45.0, "pristine": True},
        },
        "live_iqa/raw": {
            "jpeg/img59": {"score": 20.0 + 285 % 60, "pristine": False},
            "wn/img1": {"score": 0.0, "pristine": True},
        },
    }
    FAULTS = [
        (
            made_up.remove("dmos_realigned.mat"),
            r"'dmos_realigned.mat' is missing in '.*https://live.*'live_iqa/raw'",
        ),
        (made_up.remove("refnames_all.mat"), r"'refnames_all.mat' is missing in"),
        (fewer_entries, r"LIVE's score files have 981, 982 rows, and should have 982 each"),
        (made_up.cut_short("dmos_realigned.mat"), r"'dmos_realigned.mat' is damaged or no MATLAB"),
        (another_file, r"'dmos_realigned.mat' has no variable dmos_new, dmos_std"),
    ]
