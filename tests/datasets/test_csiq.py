"""CSIQ's builder on made-up files in the layout of the release."""

from pathlib import Path

import made_up
import made_up_case
import openpyxl

from diqa_utils.datasets.csiq import csiq_dataset_builder

#: By the spreadsheet's name of a type: its folder, and its name in the names of files.
TYPES = {
    "noise": ("awgn", "AWGN"),
    "jpeg": ("jpeg", "JPEG"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
    "fnoise": ("fnoise", "fnoise"),
    "blur": ("blur", "BLUR"),
    "contrast": ("contrast", "contrast"),
}


def make(folder: Path) -> Path:
    """866 pictures of 30 references, and a spreadsheet that begins below its first rows."""
    references = ["1600", *(f"scene{number:02}" for number in range(29))]
    book = openpyxl.Workbook()
    book.active.title = "all_by_distortion"
    sheet = book.create_sheet("all_by_image")
    titles = ("image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos")
    for column, title in enumerate(titles, start=4):
        sheet.cell(4, column, title)
    row = 5
    for number, reference in enumerate(references):
        made_up.write(folder, f"src_imgs/{reference}.png", made_up.picture(5, "png"))
        for index, (kind, (subfolder, token)) in enumerate(TYPES.items(), start=1):
            # 900 less the fifth level of contrast, and that of blur for four references
            levels = 4 if kind == "contrast" or (kind == "blur" and number < 4) else 5
            for level in range(1, levels + 1):
                name = f"dst_imgs/{subfolder}/{reference}.{token}.{level}.png"
                made_up.write(folder, name, made_up.picture(20 + 5 * level + index, "png"))
                image = 1600 if reference == "1600" else reference
                values = (image, index, kind, level, 0.05, level / 5 - 0.01 * index)
                for column, value in enumerate(values, start=4):
                    sheet.cell(row, column, value)
                row += 1
    book.save(folder / "csiq.DMOS.xlsx")
    return folder


def change_sheet(change):
    def spoil(folder):
        path = folder / "csiq.DMOS.xlsx"
        book = openpyxl.load_workbook(path)
        change(book["all_by_image"])
        book.save(path)

    return spoil


def set_cell(row, column, value):
    return change_sheet(lambda sheet: setattr(sheet.cell(row, column), "value", value))


class CsiqTest(made_up_case.MadeUpTestCase):
    """The spreadsheet's own names of types, and a reference that looks like a number."""

    DATASET_CLASS = csiq_dataset_builder.Builder
    SPLITS = {"rated": 866}
    ROWS = {
        "csiq": {
            "1600.AWGN.2": {
                "reference_id": "1600",
                "distortion": "white_noise",
                "level": 2,
                "score": 0.39,
                "quality": 0.61,
                "score_std": 0.05,
            },
            "scene28.jpeg2000.5": {"distortion": "jpeg2000", "score": 0.97},
        }
    }
    FAULTS = [
        (set_cell(7, 9, None), r"row 7 of 'csiq.DMOS.xlsx' is too short: dmos is missing"),
        (set_cell(7, 9, "n/a"), r"row 7 of 'csiq.DMOS.xlsx': dmos is 'n/a', which is no number"),
        (set_cell(7, 6, "fog"), r"row 7 of .*: dst_type is 'fog', and should be one of noise, jp"),
        (set_cell(4, 4, "picture"), r"'csiq.DMOS.xlsx' has no row with the titles image, dst_type"),
        (
            change_sheet(lambda sheet: setattr(sheet, "title", "another")),
            r"'csiq.DMOS.xlsx' has no sheet 'all_by_image': all_by_distortion, another",
        ),
        (made_up.cut_short("csiq.DMOS.xlsx"), r"'csiq.DMOS.xlsx' is damaged or no spreadsheet"),
        (made_up.flip_a_bit("csiq.DMOS.xlsx"), r"'csiq.DMOS.xlsx' is damaged .* another checksum"),
    ]
