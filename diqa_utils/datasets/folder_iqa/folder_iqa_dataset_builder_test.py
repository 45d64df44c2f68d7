"""The builder of a folder of one's own: any pictures, and a table that anybody may have written."""

import re
from pathlib import Path

import made_up
import made_up_case
import numpy as np
import pytest
import tensorflow_datasets as tfds
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
    SPLITS = {"train": 4, "test": 2}  # noqa: RUF012 - TFDS reads it from the class
    make = staticmethod(make)

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


@pytest.mark.parametrize("kind", ["turned", "transparent", "16 bits", "palette", "cmyk", "tiff"])
def test_pictures_of_any_kind_come_out_as_read_image_shows_them(tmp_path, kind):
    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 256, (20, 31, 3), np.uint8))
    name = {"turned": "a.jpg", "cmyk": "a.jpg", "tiff": "a.tif"}.get(kind, "a.png")
    path = tmp_path / "own" / name
    path.parent.mkdir()
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        pixels.save(path, exif=exif)
    elif kind == "transparent":
        pixels.putalpha(90)
        pixels.save(path)
    elif kind == "16 bits":
        Image.fromarray(rng.integers(0, 65536, (20, 31), np.uint16)).save(path)
    elif kind == "palette":
        pixels.quantize(16).save(path)
    else:
        pixels.convert("CMYK" if kind == "cmyk" else "RGB").save(path)
    made_up.write(tmp_path / "own", "scores.csv", f"image,score\n{name},0.5\n")
    settings = {"manual_dir": tmp_path / "own", "data_dir": tmp_path}
    [example] = datasets.load("folder_iqa", split="rated", **settings).as_numpy_iterator()
    np.testing.assert_array_equal(example["distorted_image"], read_image(path))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("image,score\nbild.jpg,2\n", r"line 2 of 'scores.csv': the score 2 is outside of the sc"),
        ("image,score\nbild.jpg,nan\n", r"line 2 of 'scores.csv': score is 'nan', which is no nu"),
        ("image,score\nbild.jpg\n", r"line 2 of 'scores.csv' is too short: score is missing"),
        ("image,score\nbild.jpg,1,2\n", r"line 2 of 'scores.csv' has more cells than titles: '2'"),
        ("image,score\nbild.jpg,1\nbild.jpg,1\n", r"line 3 .*'bild.jpg' is there already, in li"),
        ("image,score\n", r"folder_iqa has no rows"),
        ("", r"'scores.csv' has no column image, score; it has none"),
        ("picture,score\nbild.jpg,1\n", r"'scores.csv' has no column image; it has picture, score"),
        ("image,score,score\nbild.jpg,1,1\n", r"'scores.csv' has the column 'score' twice"),
        (b"\xff\xfe\x00d", r"'scores.csv' is not a text file in UTF-8"),
        ("image,score,level\nbild.jpg,1,1.5\n", r"line 2 .*: level is '1.5', which is no whole"),
        ("image,score,level\nbild.jpg,1,low\n", r"line 2 of 'scores.csv': level is 'low', which"),
        ("image,score,split\nbild.jpg,1,a/b\n", r"line 2 .*: split is 'a/b'; name a part with l"),
        ("image,score,reference\nbild.jpg,1,\n", r"line 2 of .*: the reference is missing"),
    ],
)
def test_a_fault_in_the_table_is_named(tmp_path, table, words):
    made_up.write(tmp_path / "own", "bild.jpg", made_up.picture(4, "jpg"))
    made_up.write(tmp_path / "own", "scores.csv", table)
    with pytest.raises(ValueError, match=words):
        datasets.load("folder_iqa", manual_dir=tmp_path / "own", data_dir=tmp_path)


PICTURE_FAULTS = [
    (made_up.remove("été 2024/bild 2.bmp"), r"'été 2024/bild 2.bmp' is missing in '"),
    (made_up.remove("referenz/größe 2.png"), r"'referenz/größe 2.png' is missing in '"),
    (made_up.cut_short("été 2024/bild 0.jpg"), r"'été 2024/bild 0.jpg' is damaged and cannot"),
    (made_up.cut_short("été 2024/bild 1.png"), r"'été 2024/bild 1.png' is damaged and cannot"),
    (made_up.cut_short("été 2024/bild 2.bmp"), r"'été 2024/bild 2.bmp' is damaged and cannot"),
    (
        made_up.overwrite("été 2024/bild 1.png", made_up.picture(9, "png", (9, 9))),
        r"'été 2024/bild 1.png' has 9 x 9 pixels and its reference '.*größe 0.png' has 8 x 12",
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
    ("settings", "error", "words"),
    [
        ({"scale": (5, 1)}, ValueError, r"scale must be the lowest and the highest score"),
        ({"scores": "mos.csv"}, FileNotFoundError, r"'mos.csv' is missing in"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, settings, error, words):
    folder = make(tmp_path / "own")
    with pytest.raises(error, match=words):
        datasets.load("folder_iqa", manual_dir=folder, data_dir=tmp_path, **settings)


if __name__ == "__main__":
    tfds.testing.test_main()
