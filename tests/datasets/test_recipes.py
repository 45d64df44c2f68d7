"""The recipes of the book for tables of other databases, on copies made up in their layout."""

import re
import shlex
from pathlib import Path

import made_up
import numpy as np
import openpyxl
import pytest
import scipy.io
from typer.testing import CliRunner

from diqa_utils import datasets
from diqa_utils.cli import app

PAGE = (Path(__file__).parents[2] / "book" / "data.md").read_text(encoding="utf-8")


def recipe(title):
    """The code blocks below a title in bold, up to the next."""
    section = PAGE.split("## Tables of other databases")[1].split("\n## ")[0]
    text = section.split(f"**{title}")[1].split("\n**")[0]
    return re.findall(r"```(python|bash)\n(.*?)```", text, flags=re.DOTALL)


def pictures(folder, *names):
    for shade, name in enumerate(names):
        made_up.write(folder, name, made_up.picture(10 + shade, name.rpartition(".")[2]))


def koniq(home):
    pictures(home / "koniq10k", "1024x768/10004473376.jpg", "1024x768/10007357496.jpg")
    titles = ["image_name", *(f"c{n}" for n in range(1, 6)), "c_total", "MOS", "SD", "MOS_zscore"]
    rows = [["10004473376.jpg", 0, 0, 25, 73, 7, 105, 3.83, 0.53, 77.4]]
    rows += [["10007357496.jpg", 0, 3, 45, 47, 1, 96, 3.48, 0.58, 67.4]]
    made_up.write_csv(home, "koniq10k/koniq10k_scores_and_distributions.csv", [titles, *rows])
    return {"10004473376.jpg": (3.83, 0.53), "10007357496.jpg": (3.48, 0.58)}


def spaq(home):
    pictures(home / "SPAQ", "TestImage/00001.jpg", "TestImage/00002.jpg")
    book = openpyxl.Workbook()
    book.active.append(["Image name", "MOS", "Brightness", "Colorfulness"])
    book.active.append(["00001.jpg", 26.2, 30, 41.5])
    book.active.append(["00002.jpg", 61, 55.5, 60])
    place = home / "SPAQ" / "Annotations" / "MOS and Image attribute scores.xlsx"
    place.parent.mkdir()
    book.save(place)
    return {"00001.jpg": (26.2, None), "00002.jpg": (61.0, None)}


def live_in_the_wild(home):
    folder = home / "ChallengeDB_release"
    names = [*(f"t{n}.bmp" for n in range(1, 8)), "3.bmp", "5.bmp"]
    pictures(folder, *(f"Images/trainingImages/{name}" for name in names[:7]))
    pictures(folder, *(f"Images/{name}" for name in names[7:]))
    cells = np.empty((9, 1), object)
    cells[:, 0] = [np.array([name]) for name in names]
    numbers = {"AllMOS": np.linspace(10, 90, 9)[None], "AllStdDev": np.full((1, 9), 18.5)}
    (folder / "Data").mkdir()
    for name, content in {"AllImages": cells, **numbers}.items():
        content = {f"{name}_release": content}
        scipy.io.savemat(folder / "Data" / f"{name}_release.mat", content)
    return {"3.bmp": (80.0, 18.5), "5.bmp": (90.0, 18.5)}


def konvid(home):
    pictures(home / "konvid", "frames/2999049224.png", "frames/3015255372.png")
    rows = [["flickr_id", "mos"], [2999049224, 2.08], [3015255372, 3.94]]
    made_up.write_csv(home, "konvid/KoNViD_1k_mos.csv", rows)
    return {"frames/2999049224.png": (2.08, None), "frames/3015255372.png": (3.94, None)}


@pytest.mark.parametrize(
    ("title", "make", "scale"),
    [
        ("KonIQ-10k.", koniq, (1, 5)),
        ("SPAQ.", spaq, (0, 100)),
        ("LIVE in the Wild.", live_in_the_wild, (0, 100)),
        ("KoNViD-1k,", konvid, (1, 5)),
    ],
)
def test_a_recipe_reads_the_table_of_another_database(tmp_path, monkeypatch, title, make, scale):
    expected = make(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    *preparation, (_, command) = recipe(title)
    for _, code in preparation:
        exec(code, {})
    words = shlex.split(command.replace("\\\n", " ").replace("~", str(tmp_path)))
    arguments = [*words[1:], "--data-dir", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "folder_iqa is ready: 2 in 'rated'" in done.output
    options = {"scale": scale, "data_dir": tmp_path}
    options["manual_dir"] = arguments[arguments.index("--manual-dir") + 1]
    if "--scores" in arguments:
        options["scores"] = arguments[arguments.index("--scores") + 1]
    table = datasets.read_table("folder_iqa", split="rated", **options)
    assert len(table["image_id"]) == len(expected)
    for index, name in enumerate(table["image_id"]):
        score, spread = expected[name]
        assert table["score"][index] == pytest.approx(score)
        share = (score - scale[0]) / (scale[1] - scale[0])
        assert table["quality"][index] == pytest.approx(share)
        assert spread is None or table["score_std"][index] == pytest.approx(spread)


def test_options_of_a_table_are_options_of_the_command(tmp_path):
    pictures(tmp_path / "own", "a.png", "b.png")
    made_up.write(tmp_path / "own", "mos.txt", "photo\tvote\ta\na.png\t1,5\tx\nb.png\t4,5\ty\n")
    arguments = ["data", "verify", "folder_iqa", "--manual-dir", str(tmp_path / "own")]
    arguments += ["--scores", "mos.txt", "--scale", "1", "5", "--separator", "tab"]
    columns = ["--columns", "image=photo,score=vote", "--decimal", ","]
    done = CliRunner().invoke(app, [*arguments, *columns])
    assert "2 rows, 2 pictures read, no problem." in done.output
    done = CliRunner().invoke(app, [*arguments, "--columns", "photo,vote"])
    assert done.exit_code == 1
    assert "Error: --columns has 'photo': give it as image=TITLE,score=TITLE." in done.output
    done = CliRunner().invoke(app, arguments)
    assert "has no column image, score; it has photo, vote, a. Say what they are" in done.output
