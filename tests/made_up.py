"""Databases with the files, names and counts of the official releases, and pictures made up.

Every picture is tiny, and each group of them shares one content, so that ten thousand files are
written in a second or two. Scores are made up too, inside the published scales.
"""

import csv
import io
import shutil
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import openpyxl
import scipy.io
from PIL import Image

from diqa_utils.datasets.download import ManifestEntry, blob_hash

SIZE = (8, 12)  # (height, width)
LIVE_FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
LIVE_PRISTINE = {"jp2k": 58, "jpeg": 58, "wn": 29, "gblur": 29, "fastfading": 29}
CSIQ_TYPES = {
    "noise": ("awgn", "AWGN"),
    "jpeg": ("jpeg", "JPEG"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
    "fnoise": ("fnoise", "fnoise"),
    "blur": ("blur", "BLUR"),
    "contrast": ("contrast", "contrast"),
}


@cache
def picture(shade: int, kind: str = "bmp", size: tuple[int, int] = SIZE) -> bytes:
    """A picture file with a gradient, darker or lighter."""
    height, width = size
    pixels = np.add.outer(np.arange(height) * 3, np.arange(width) * 5) + shade
    buffer = io.BytesIO()
    image = Image.fromarray(np.repeat(pixels.astype(np.uint8)[..., None], 3, axis=-1))
    image.save(buffer, {"jpg": "jpeg"}.get(kind, kind))
    return buffer.getvalue()


def write(folder: Path, name: str, content: bytes | str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write_csv(folder: Path, name: str, rows: list[list[object]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    write(folder, name, buffer.getvalue())


def live(folder: Path) -> Path:
    """LIVE, release 2: 982 files in five folders, 29 references, three MATLAB files."""
    references = [f"scene{number:02}.bmp" for number in range(29)]
    for name in references:
        write(folder, f"refimgs/{name}", picture(10))
    names, pristine = [], []
    for kind, count in LIVE_FOLDERS.items():
        for index in range(count):
            write(folder, f"{kind}/img{index + 1}.bmp", picture(20 + index % 40))
            names.append(references[index % 29])
            pristine.append(index < LIVE_PRISTINE[kind])
    orgs = np.array(pristine, np.uint8)
    first = np.where(orgs, 0, 20 + np.arange(982) % 60).astype(float)
    # Realigned scores leave 0..100, and a pristine copy has one in the middle.
    realigned = np.where(orgs, 45, -2.5 + np.arange(982) % 114).astype(float)
    cells = np.empty((1, 982), object)
    cells[0] = names
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "dmos.mat", {"dmos": first[None], "orgs": orgs[None]})
    scipy.io.savemat(
        folder / "dmos_realigned.mat",
        {"dmos_new": realigned[None], "dmos_std": (orgs == 0)[None] * 1.5, "orgs": orgs[None]},
    )
    scipy.io.savemat(folder / "refnames_all.mat", {"refnames_all": cells})
    return folder


def live_mirror(folder: Path) -> Path:
    """The archive of the original tutorial, unpacked: the pictures of LIVE and a table."""
    live(folder / "live")
    variables = scipy.io.loadmat(folder / "live/dmos_realigned.mat")
    first = scipy.io.loadmat(folder / "live/dmos.mat")["dmos"].ravel()
    names = [str(cell[0]) for cell in _names(folder / "live")]
    places = [(kind, n + 1) for kind, count in LIVE_FOLDERS.items() for n in range(count)]
    titles = ["distortion", "index", "distorted_path", "reference_path"]
    rows: list[list[object]] = [[*titles, "dmos", "dmos_realigned", "dmos_realigned_std"]]
    for row, (kind, number) in enumerate(places):
        paths = [f"live/{kind}/img{number}.bmp", f"live/refimgs/{names[row]}"]
        scores = [first[row], variables["dmos_new"][0, row], variables["dmos_std"][0, row]]
        rows.append([kind, number, *paths, *scores])
    write_csv(folder, "live/dmos.csv", rows)
    for name in ("dmos.mat", "dmos_realigned.mat", "refnames_all.mat"):
        (folder / "live" / name).unlink()
    return folder


def _names(folder: Path) -> np.ndarray:
    return scipy.io.loadmat(folder / "refnames_all.mat")["refnames_all"].ravel()


def tid(folder: Path, distortions: int, levels: int) -> Path:
    """TID2008 or TID2013: names whose case differs between the list and the disk."""
    scores, spreads = [], []
    for reference in range(1, 26):
        suffix = "BMP" if reference % 2 else "bmp"
        write(folder, f"reference_images/{'iI'[reference % 2]}{reference:02}.{suffix}", picture(5))
        for distortion in range(1, distortions + 1):
            for level in range(1, levels + 1):
                name = f"i{reference:02}_{distortion:02}_{level}.bmp"
                write(folder, f"distorted_images/{name}", picture(30 + distortion * level))
                listed = name.replace("i", "I") if level == 1 else name
                scores.append(f"{8 - level - distortion / 100:.5f} {listed}")
                spreads.append(f"{0.1 + level / 100:.5f}")
    write(folder, "mos_with_names.txt", "\r\n".join(scores) + "\r\n")
    write(folder, "mos_std.txt", "\r\n".join(spreads) + "\r\n")
    write(folder, "readme", "made up")
    return folder


def tid2008(folder: Path) -> Path:
    return tid(folder, distortions=17, levels=4)


def tid2013(folder: Path) -> Path:
    return tid(folder, distortions=24, levels=5)


def tid2013_mirror(folder: Path) -> Path:
    """The archive of the original tutorial, unpacked: the pictures of TID2013 and a table."""
    inner = tid2013(folder / "tid2013")
    rows: list[list[object]] = [["distorted_path", "reference_path", "mos"]]
    for line in (inner / "mos_with_names.txt").read_text().splitlines():
        score, name = line.split()
        reference = f"reference_images/I{name[1:3]}.BMP"
        rows.append([f"distorted_images/{name}", reference, score])
    write_csv(folder, "tid2013/mos.csv", rows)
    (inner / "mos_with_names.txt").unlink()
    (inner / "mos_std.txt").unlink()
    return folder


def csiq(folder: Path) -> Path:
    """CSIQ: 866 pictures of 30 references, and a spreadsheet that begins below its first rows."""
    references = ["1600", *(f"scene{number:02}" for number in range(29))]
    book = openpyxl.Workbook()
    book.active.title = "all_by_distortion"
    sheet = book.create_sheet("all_by_image")
    sheet.cell(4, 4, "image")
    for column, title in enumerate(("dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"), start=5):
        sheet.cell(4, column, title)
    row = 5
    for number, reference in enumerate(references):
        write(folder, f"src_imgs/{reference}.png", picture(5, "png"))
        for index, (kind, (subfolder, token)) in enumerate(CSIQ_TYPES.items(), start=1):
            # 900 less the fifth level of contrast, and that of blur for four references
            levels = 4 if kind == "contrast" or (kind == "blur" and number < 4) else 5
            for level in range(1, levels + 1):
                name = f"dst_imgs/{subfolder}/{reference}.{token}.{level}.png"
                write(folder, name, picture(20 + 5 * level + index, "png"))
                image = 1600 if reference == "1600" else reference
                values = (image, index, kind, level, 0.05, level / 5 - 0.01 * index)
                for column, value in enumerate(values, start=4):
                    sheet.cell(row, column, value)
                row += 1
    book.save(folder / "csiq.DMOS.xlsx")
    return folder


def kadid(folder: Path) -> Path:
    """KADID-10k: 10,125 pictures of 81 references in one folder, and a CSV file."""
    rows: list[list[object]] = [["dist_img", "ref_img", "dmos", "var"]]
    for reference in range(1, 82):
        write(folder, f"images/I{reference:02}.png", picture(5, "png"))
        for distortion in range(1, 26):
            for level in range(1, 6):
                name = f"I{reference:02}_{distortion:02}_{level:02}.png"
                write(folder, f"images/{name}", picture(20 + 5 * level + distortion, "png"))
                rows.append([name, f"I{reference:02}.png", f"{5 - 0.75 * level:.2f}", "0.64"])
    write_csv(folder, "dmos.csv", rows)
    return folder


def biq(folder: Path, train: int = 10000, test: int = 2000) -> Path:
    """BIQ2021: names with blanks, one in another case, one MPO, one of another size."""
    numbers = range(1, train + test + 1)
    for number in numbers:
        suffix = "JPG" if number == 5 else "jpg"
        size = (10, 6) if number == 3 else SIZE
        content = mpo() if number == 4 else picture(number % 150, "jpg", size)
        write(folder, f"Images/ss01 ({number}).{suffix}", content)
    rows = [[f"ss01 ({number}).jpg", f"{number % 100 / 100:.4f}"] for number in numbers]
    lines = ["Image Name,MOS,,", *(f"{name},{mos},," for name, mos in rows[:train])]
    write(folder, "Train (Images and MOS).csv", "\r\n".join(lines) + "\r\n")
    lines = ["Image Name,MOS", *(f"{name},{mos}" for name, mos in rows[train:])]
    write(folder, "Test (Images and MOS).csv", "\r\n".join(lines) + "\r\n")
    return folder


@cache
def mpo() -> bytes:
    """A file with two frames, as stereo cameras and some telephones write."""
    first, second = (Image.open(io.BytesIO(picture(shade, "jpg"))) for shade in (40, 90))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    return buffer.getvalue()


def manifest(folder: Path) -> dict[str, ManifestEntry]:
    """The manifest of a made-up BIQ2021."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {}
    for path in paths:
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        entries[name] = ManifestEntry(blob_hash(content), len(content), name)
    return entries


def own_folder(folder: Path, *, references: bool = True) -> Path:
    """A folder of somebody's own: blanks, letters beyond ASCII, several kinds of files."""
    rows: list[list[object]] = [["image", "score", "reference", "distortion", "level", "split"]]
    for number in range(6):
        kind = ("jpg", "png", "bmp")[number % 3]
        name = f"été 2024/bild {number}.{kind}"
        write(folder, name, picture(40 + 10 * number, kind))
        write(folder, f"referenz/größe {number // 2}.png", picture(5, "png"))
        part = "test" if number > 3 else "train"
        rows.append([name, 1 + number / 2, f"referenz/größe {number // 2}.png", "blur", 1, part])
    columns = range(6) if references else (0, 1)
    write_csv(folder, "scores.csv", [[row[column] for column in columns] for row in rows])
    return folder


def zipped(folder: Path, archive: Path, *, inside: str = "") -> Path:
    """Packs what is in a folder, stored or compressed as zip programs do."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
    return archive


def copied(folder: Path, target: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(folder, target)
    return target
