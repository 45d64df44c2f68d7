"""tools/notebooks.py cleans, checks and runs notebooks."""

import json

import nbformat
import pytest
from book_source import load_tool

notebooks = load_tool("notebooks")
v4 = nbformat.v4
CHECK = {"tags": ["nbval-check-output"]}


def printed(text: str):
    return v4.new_output("stream", name="stdout", text=text)


def messy_notebook() -> str:
    """A notebook as an editor leaves it after a run."""
    figure = v4.new_output("display_data", data={"image/png": "aGVsbG8="})
    warning = v4.new_output("stream", name="stderr", text="careful\n")
    cells = [
        v4.new_markdown_cell("# Größe\n", metadata={"jp-MarkdownHeadingCollapsed": True}),
        v4.new_code_cell("x = 2", execution_count=7, outputs=[figure], metadata={"id": "a"}),
        v4.new_code_cell(
            "print(x)",
            execution_count=9,
            outputs=[printed("2"), warning, printed("\n")],
            metadata={"collapsed": False, "tags": ["nbval-check-output"]},
        ),
    ]
    kernel = {"name": "conda-env-x", "display_name": "x"}
    notebook = v4.new_notebook(cells=cells, metadata={"colab": {}, "kernelspec": kernel})
    return json.dumps(notebook, indent=2)


def test_clean_keeps_the_printed_text_of_check_cells_and_no_other_output():
    cleaned = json.loads(notebooks.clean_text(messy_notebook()))
    _, plain, check = cleaned["cells"]
    assert (plain["outputs"], plain["execution_count"]) == ([], None)
    assert check["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["2\n"]}]
    assert check["execution_count"] == 2


def test_clean_keeps_no_metadata_but_tags_and_figures():
    cleaned = json.loads(notebooks.clean_text(messy_notebook()))
    assert cleaned["metadata"] == notebooks.METADATA
    assert [cell["metadata"] for cell in cleaned["cells"]] == [{}, {}, CHECK]


def test_clean_writes_a_stable_format():
    text = notebooks.clean_text(messy_notebook())
    assert text.startswith('{\n "cells": [\n')
    assert text.endswith("}\n")
    assert "Größe" in text
    assert notebooks.clean_text(text) == text
    assert notebooks.problems(text) == []


def test_clean_gives_every_cell_an_id_of_its_own():
    notebook = json.loads(messy_notebook())
    del notebook["cells"][0]["id"]
    notebook["cells"][2]["id"] = notebook["cells"][1]["id"]
    cleaned = json.loads(notebooks.clean_text(json.dumps(notebook)))
    assert len({cell["id"] for cell in cleaned["cells"]}) == 3


def test_what_is_not_clean_is_named():
    found = notebooks.problems(messy_notebook())
    assert "the notebook's metadata differ from the common ones" in found
    assert "cell 0 ends in empty lines" in found
    assert "cell 1 has outputs that do not belong in git" in found
    assert "cell 1 has metadata other than tags and mystnb" in found
    assert "cell 2 has a wrong execution count" in found


def test_a_check_cell_without_output_is_named():
    notebook = v4.new_notebook(cells=[v4.new_code_cell("print(1)", metadata=CHECK)])
    (problem,) = notebooks.problems(notebooks.clean_text(nbformat.writes(notebook)))
    assert problem == "cell 0 is a check cell without output: run the notebook"


def test_another_indent_is_named():
    text = json.dumps(json.loads(notebooks.clean_text(messy_notebook())), indent=4)
    assert notebooks.problems(text) == ["the file is not formatted as `clean` formats it"]


def test_run_writes_the_outputs_of_check_cells_only(tmp_path):
    path = tmp_path / "short.ipynb"
    cells = [
        v4.new_code_cell("x = 3\nprint('quiet')"),
        v4.new_code_cell("print(x)", metadata=CHECK),
        v4.new_code_cell("print('Right.')", metadata={"tags": ["exercise"]}),
        v4.new_code_cell("print('Not yet.')", metadata={"tags": ["solution"]}),
    ]
    path.write_text(nbformat.writes(v4.new_notebook(cells=cells)))
    wrong = notebooks.run(path)
    first, second, *_ = json.loads(path.read_text())["cells"]
    assert first["outputs"] == []
    assert second["outputs"][0]["text"] == ["3\n"]
    assert wrong == [
        "the exercise in cell 2 prints 'Right.' before it is solved",
        "the solution in cell 3 does not print 'Right.'",
    ]
    assert notebooks.problems(path.read_text()) == []


def test_notebooks_are_found_by_the_beginning_of_their_names(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("01-a.ipynb", "02-b.ipynb"):
        (tmp_path / "notebooks" / name).touch()
    assert [path.name for path in notebooks.find([], tmp_path)] == ["01-a.ipynb", "02-b.ipynb"]
    assert [path.name for path in notebooks.find(["02"], tmp_path)] == ["02-b.ipynb"]
    with pytest.raises(FileNotFoundError, match="begins with 03"):
        notebooks.find(["03"], tmp_path)


def test_the_install_cell_only_acts_in_colab():
    address = "https://github.com/" + "owner/book"
    assert notebooks.install_cell(address).split("\n") == [
        "import sys",
        "",
        'if "google.colab" in sys.modules:',
        f"    %pip install -q git+{address}",
    ]
