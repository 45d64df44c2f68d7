"""The builder of a folder of one's own: any pictures, and a table that anybody may have written."""

import re
from pathlib import Path

import made_up
import made_up_case
import numpy as np
import openpyxl
import pytest
from PIL import Image

from diqa_utils import datasets, read_image
from diqa_utils.datasets.folder_iqa import folder_iqa_dataset_builder


def make(folder: Path, references: bool = True) -> Path:
    """A folder with blanks, letters beyond ASCII, several kinds of files."""
    rows: list[list[object]] = [["image", "score", "reference", "distortion", "level", "split"]]
    for number in range(6):
        kind = ("jpg", "png", "bmp")[number % 3]
        name = f"été 2024/bild {number}.{kind}"
        reference = f"referenz/größe {number // 2}.png"
        made_up.write(folder, name, made_up.picture(40 + 10 * number, kind))
        made_up.write(folder, reference, made_up.picture(5, "png"))
        part = "test" if number > 3 else "train"
        rows.append([name, 1 + number / 2, reference, "blur", 1, part])
    columns = range(6) if references else (0, 1)
    made_up.write_csv(folder, "scores.csv", [[row[column] for column in columns] for row in rows])
    return folder


class FolderIqaTest(made_up_case.MadeUpTestCase):
    """TFDS's own checks."""

    DATASET_CLASS = folder_iqa_dataset_builder.Builder
    SPLITS = {"train": 4, "test": 2}

    def _make_builder(self, config=None):
        settings = {"folder": self.EXAMPLE_DIR, "scale": (1, 5)}
        return self.dataset_class(data_dir=self.tmp_dir, **settings)


def test_pictures_scores_and_references_are_those_of_the_folder(tmp_path):
    folder = make(tmp_path / "mes images à moi")
    settings = {"manual_dir": folder, "data_dir": tmp_path / "built", "scale": (1, 5)}
    parts = datasets.load("folder_iqa", **settings)
    assert {name: len(part) for name, part in parts.items()} == {"train": 4, "test": 2}
    table = datasets.read_table("folder_iqa", split="train+test", **settings)
    row = {name: column[table["score"] == 3.5][0] for name, column in table.items()}
    assert row == {
        "image_id": "été 2024/bild 5.bmp",
        "reference_id": "referenz/größe 2.png",
        "distortion": "blur",
        "level": 1,
        "score": 3.5,
        "quality": 0.625,
    }
    for example in parts["train"].as_numpy_iterator():
        for picture, name in (("distorted", "image_id"), ("reference", "reference_id")):
            path = folder / example[name].decode()
            np.testing.assert_array_equal(example[f"{picture}_image"], read_image(path))


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_without_references_each_picture_is_a_scene_of_its_own(tmp_path, higher_is_better):
    folder = make(tmp_path / "own", references=False)
    settings = {"manual_dir": folder, "data_dir": tmp_path, "scale": (0, 4)}
    settings["higher_is_better"] = higher_is_better
    loaded = datasets.load("folder_iqa", split="rated", **settings)
    assert "reference_image" not in loaded.element_spec
    for example in loaded.as_numpy_iterator():
        share = example["score"] / 4
        assert example["quality"] == pytest.approx(share if higher_is_better else 1 - share)
        assert example["reference_id"] == example["image_id"]


@pytest.mark.parametrize(
    ("name", "convert"),
    [
        ("plain.tif", lambda image: image),
        (
            "transparent.png",
            lambda image: Image.merge("RGBA", [*image.split(), image.getchannel(0)]),
        ),
        ("deep.png", lambda image: Image.fromarray(np.uint16(np.asarray(image)[..., 0]) * 250)),
        ("palette.png", lambda image: image.quantize(16)),
        ("cmyk.jpg", lambda image: image.convert("CMYK")),
    ],
)
def test_pictures_of_any_kind_come_out_as_read_image_shows_them(tmp_path, rng, name, convert):
    path = tmp_path / "own" / name
    made_up.write(path.parent, "scores.csv", f"image,score\n{name},0.5\n")
    turned = Image.Exif()
    turned[0x0112] = 6
    pixels = Image.fromarray(rng.integers(0, 256, (20, 31, 3), np.uint8))
    convert(pixels).save(path, exif=turned)
    settings = {"manual_dir": path.parent, "data_dir": tmp_path}
    [example] = datasets.load("folder_iqa", split="rated", **settings).as_numpy_iterator()
    assert example["distorted_image"].shape == (31, 20, 3)
    np.testing.assert_array_equal(example["distorted_image"], read_image(path))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("image,score\nbild.jpg,2\n", r"line 2 of 'scores.csv': the score 2 is outside of the sc"),
        ("image,score\nbild.jpg,nan\n", r"line 2 of 'scores.csv': score is 'nan', which is no nu"),
        ("image,score\nbild.jpg\n", r"line 2 of 'scores.csv' is too short: score is missing"),
        ("image,score\nbild.jpg,1,2\n", r"line 2 of 'scores.csv' has more cells than titles: '2'"),
        ("image,score\nbild.jpg,1\nbild.jpg,1\n", r"line 3 .*'bild.jpg' is there already, in li"),
        ("image,score\nbild.jpg,1\n./bild.jpg,1\n", r"line 3 .*'bild.jpg' is there already, in"),
        ("image,score\n", r"folder_iqa has no rows"),
        ("", r"'scores.csv' has no column image, score; it has none"),
        ("photo,score\nbild.jpg,1\n", r"'scores.csv' has no column image; it has photo, score. S"),
        ("image,score,score\nbild.jpg,1,1\n", r"'scores.csv' has the column twice: 'score'"),
        (b"\xff\xfe\x00d", r"'scores.csv' is not a text file in UTF-8"),
        ("image,score,level\nbild.jpg,1,1.5\n", r"line 2 .*: level is '1.5', which is no whole"),
        ("image,score,split\nbild.jpg,1,a/b\n", r"line 2 .*: split is 'a/b'; name a part with l"),
        ("image,score,reference\nbild.jpg,1,\n", r"line 2 of .*: the reference is missing"),
        ("image,score,score_std\nbild.jpg,1,-1\n", r"line 2 .*: the deviation -1 is less than"),
        ("image,score,score_std\nbild.jpg,1,inf\n", r"line 2 .*: score_std is 'inf', which is"),
        ("image,score,level\nbild.jpg,1,1e12\n", r"line 2 .*: level is '1e12', which is no whole"),
        ("image,MOS,mos\nbild.jpg,1,1\n", r"has the columns MOS, mos: say which one is the"),
        ('image,score\nbild.jpg,"0,5"\n', r"score is '0,5', which is no number. Say .*--decimal"),
        ("image;score\na;1.5\nb;0,5\n", r"line 3 .*: score is '0,5', which is no number. Say"),
        ("image,score\n../bild.jpg,1\n", r"'../bild.jpg' is missing in .*only through a link"),
        ("image,score\n/bild.jpg,1\n", r"'/bild.jpg' is missing in .*outside of that folder"),
        (f"image,score\n{'n' * 300}.jpg,1\n", r"'n+.jpg' is missing in"),
        ('image,score\n"bild\0.jpg",1\n', r"'scores.csv' is no table|is missing in"),
        (f"image,score,split\nbild.jpg,1,{'s' * 300}\n", r"line 2 .*: split is 's+'; name a part"),
    ],
)
def test_a_fault_in_the_table_is_named(tmp_path, table, words):
    made_up.write(tmp_path / "own", "bild.jpg", made_up.picture(4, "jpg"))
    made_up.write(tmp_path / "own", "scores.csv", table)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        datasets.load("folder_iqa", manual_dir=tmp_path / "own", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("table", "options"),
    [
        ("image;score\na.png;0.2\nb.png;0.5\n", {}),
        ("image\tscore\na.png\t0.2\nb.png\t0.5\n", {}),
        ("image;score\na.png;0,2\nb.png;0,5\n", {}),
        ("image|score\na.png|0,2\nb.png|0,5\n", {"separator": "|"}),
        ('image,score\na.png,"0,2"\nb.png,"0,5"\n', {"decimal": ","}),
        ("image,score,level\ra.png,0.2,1\rb.png,0.5,1\r", {}),
        ("\ufeffimage,score\r\n\r\na.png,0.2\r\nb.png,0.5\r\n", {}),
        ("image,score\n./a.png,0.2\n.\\b.png,0.5\n", {}),
        ("image,score\nFOLDER/a.png,0.2\nFOLDER/b.png,0.5\n", {}),
        ("Image name,notes,notes,MOS\na.png,x,y,0.2\nb.png,x,y,0.5\n", {}),
        ("score,photo,vote\n7,a.png,0.2\n7,b.png,0.5\n", {"columns": ["photo", "vote"]}),
    ],
)
def test_a_table_is_read_where_its_meaning_is_plain(tmp_path, table, options):
    # Pictures of the same names lie deeper, and a damaged archive that nobody needs.
    for name in ("a.png", "b.png", "thumbs/a.png", "thumbs/b.png"):
        made_up.write(tmp_path / "own", name, made_up.picture(len(name), "png"))
    made_up.write(tmp_path / "own", "other.zip", b"PK")
    made_up.write(tmp_path / "own", "scores.csv", table.replace("FOLDER", str(tmp_path / "own")))
    if "columns" in options:
        options = {"columns": dict(zip(("image", "score"), options["columns"], strict=True))}
    settings = {"manual_dir": tmp_path / "own", "data_dir": tmp_path} | options
    read = datasets.read_table("folder_iqa", split="rated", **settings)
    assert dict(zip(read["image_id"], read["score"], strict=True)) == {"a.png": 0.2, "b.png": 0.5}
    assert set(read["level"]) == {1 if "level" in table else 0}
    for example in datasets.load("folder_iqa", split="rated", **settings).as_numpy_iterator():
        expected = read_image(tmp_path / "own" / example["image_id"].decode())
        np.testing.assert_array_equal(example["distorted_image"], expected)


def test_pictures_may_be_named_as_seen_from_the_table(tmp_path):
    make(tmp_path / "own" / "download")
    for name in ("bild 1.png", "bild 4.png"):
        made_up.write(tmp_path / "own" / "small", f"été 2024/{name}", made_up.picture(1, "png"))
    settings = {"manual_dir": tmp_path / "own", "data_dir": tmp_path, "scale": (1, 5)}
    assert len(datasets.load("folder_iqa", split="train+test", **settings)) == 6


def test_links_are_followed_and_a_loop_of_them_ends(tmp_path):
    for name in ("a.png", "b.png"):
        made_up.write(tmp_path / "elsewhere", name, made_up.picture(9, "png"))
    table = "image,score\npictures/a.png,0.2\nagain/B.PNG,0.5\n"
    made_up.write(tmp_path / "own", "scores.csv", table)
    for name in ("pictures", "again"):
        (tmp_path / "own" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "own")
    settings = {"manual_dir": tmp_path / "own", "data_dir": tmp_path / "built"}
    assert len(datasets.load("folder_iqa", split="rated", **settings)) == 2


def test_a_spreadsheet_is_a_table(tmp_path):
    for name in ("00001.jpg", "17"):
        made_up.write(tmp_path / "own", name, made_up.picture(9, "jpg"))
    book = openpyxl.Workbook()
    for row in (["Image name", "MOS", None], ["00001.jpg", 61.5, None], [None], [17, 20, None]):
        book.active.append(row)
    book.save(tmp_path / "own" / "scores.xlsx")
    settings = {"scores": str(tmp_path / "own" / "scores.xlsx"), "scale": (0, 100)}
    settings |= {"manual_dir": tmp_path / "own", "data_dir": tmp_path}
    read = datasets.read_table("folder_iqa", split="rated", **settings)
    rows = dict(zip(read["image_id"], read["score"], strict=True))
    assert rows == {"00001.jpg": 61.5, "17": 20}


@pytest.mark.parametrize(
    ("scores", "proposal"),
    [((1.4, 4.9), "1 5"), ((0, 3), "0 5"), ((20.5, 90), "0 100"), ((-3.2, 111.4), "-4 112")],
)
def test_scores_off_the_scale_come_with_a_scale_to_choose(tmp_path, scores, proposal):
    lines = [f"{number}.png,{score}" for number, score in enumerate(scores)]
    made_up.write(tmp_path / "own", "scores.csv", "\n".join(["image,score", *lines]))
    with pytest.raises(ValueError, match=rf"is outside of .* say --scale {proposal} \(scale=\("):
        datasets.load("folder_iqa", manual_dir=tmp_path / "own", data_dir=tmp_path)


def test_all_pictures_that_are_missing_are_counted_before_one_is_decoded(tmp_path, monkeypatch):
    lines = [f"{number}.png,0.5" for number in range(9)]
    made_up.write(tmp_path / "own", "scores.csv", "\n".join(["image,score", *lines]))
    made_up.write(tmp_path / "own", "0.png", b"")
    made_up.write(tmp_path / "own", "1.png", made_up.picture(1, "png"))
    monkeypatch.delattr("diqa_utils.datasets.builder.encoded")
    with pytest.raises(FileNotFoundError, match=r"7 files are missing .*'2.png'.*'0.png' is empty"):
        datasets.load("folder_iqa", manual_dir=tmp_path / "own", data_dir=tmp_path)
    made_up.write(tmp_path / "own", "bad.zip", b"PK")
    with pytest.raises(FileNotFoundError, match=r"7 files .*The archive '.*bad.zip' is damaged"):
        datasets.load("folder_iqa", manual_dir=tmp_path / "own", data_dir=tmp_path)


PICTURE_FAULTS = [
    (made_up.remove("été 2024/bild 2.bmp"), r"'été 2024/bild 2.bmp' is missing in '"),
    (made_up.remove("referenz/größe 2.png"), r"'referenz/größe 2.png' is missing in '"),
    (made_up.cut_short("été 2024/bild 2.bmp"), r"'été 2024/bild 2.bmp' is damaged and cannot"),
    (
        made_up.overwrite("été 2024/bild 1.png", made_up.picture(9, "png", (9, 9))),
        r"'été 2024/bild 1.png' has 9 x 9 pixels and its reference '.*größe 0.png' has 8 x 12",
    ),
    (
        made_up.overwrite(
            "été 2024/bild 1.png", b"GIF89a" + b"\xff" * 4 + made_up.picture(4, "gif")[10:]
        ),
        r"'été 2024/bild 1.png' has 4294\.8 megapixels, more than the 180",
    ),
    (
        made_up.overwrite("été 2024/bild 1.png", b"words"),
        r"'été 2024/bild 1.png' is not a picture file of a known kind",
    ),
]


@pytest.mark.parametrize(("spoil", "words"), PICTURE_FAULTS)
def test_a_faulty_picture_is_named_and_nothing_is_left_behind(tmp_path, spoil, words):
    folder = make(tmp_path / "own")
    spoil(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        datasets.load("folder_iqa", manual_dir=folder, data_dir=tmp_path / "built", scale=(1, 5))
    assert not list(tmp_path.rglob("*.tfrecord*"))
    # `verify` says the same, and goes on.
    report = datasets.verify("folder_iqa", manual_dir=folder, scale=(1, 5))
    assert any(re.match(words, problem) for problem in report.problems), report
    assert report.rows == 6
    assert report.pictures >= 7


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": (5, 1)}, r"scale must be the lowest and the highest score"),
        ({"scale": (1, float("nan"))}, r"scale must be the lowest and the highest"),
        ({"scale": 5}, r"scale must be the lowest and the highest score, not 5"),
        ({"decimal": ";"}, r"decimal must be '.' or ',', not ';'"),
        ({"separator": "::"}, r"'scores.csv' is no table: .*delimiter"),
        ({"columns": {"picture": "image"}}, r"columns has 'picture'; it takes im"),
        ({"columns": {"score": "vote"}}, r"'scores.csv' has no column 'vote'; it"),
        ({"sclae": (1, 5)}, r"folder_iqa takes no sclae; its options are scores, col"),
        ({"scores": "mos.csv"}, r"'mos.csv' is missing in"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, settings, words):
    folder = make(tmp_path / "own")
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=words):
        datasets.load("folder_iqa", manual_dir=folder, data_dir=tmp_path, **settings)
