"""tools/notebooks.py cleans, checks and runs notebooks."""

import json

import nbformat
import pytest
from book_source import load_tool

notebooks = load_tool("notebooks")
v4 = nbformat.v4
CHECK = {"tags": ["nbval-check-output"]}


def printed(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


@pytest.fixture
def messy(tmp_path):
    """A notebook as an editor leaves it after a run."""
    figure = v4.new_output("display_data", data={"image/png": "aGVsbG8="})
    outputs = [printed("2"), printed("careful\n", name="stderr"), printed("\n")]
    cells = [
        v4.new_markdown_cell("# Größe\n", metadata={"jp-MarkdownHeadingCollapsed": True}),
        v4.new_code_cell("x = 2", execution_count=7, outputs=[figure], metadata={"id": "a"}),
        v4.new_code_cell(
            "print(x)", execution_count=9, outputs=outputs, metadata={"collapsed": False, **CHECK}
        ),
    ]
    metadata = {"colab": {}, "kernelspec": {"name": "conda-env-x", "display_name": "x"}}
    path = tmp_path / "messy.ipynb"
    path.write_text(json.dumps(v4.new_notebook(cells=cells, metadata=metadata), indent=2))
    return path


def test_clean_keeps_text_tags_and_what_check_cells_print(messy):
    notebooks.clean(messy)
    cleaned = json.loads(messy.read_text())
    title, plain, check = cleaned["cells"]
    assert cleaned["metadata"] == notebooks.METADATA
    assert title["source"] == ["# Größe"]
    assert [cell["metadata"] for cell in cleaned["cells"]] == [{}, {}, CHECK]
    assert (plain["outputs"], plain["execution_count"]) == ([], None)
    assert check["outputs"] == [{"name": "stdout", "output_type": "stream", "text": ["2\n"]}]
    assert check["execution_count"] == 2


def test_check_names_what_clean_mends(messy):
    assert notebooks.check(messy) == ["is not clean: `python tools/notebooks.py clean` mends it"]
    notebooks.clean(messy)
    assert notebooks.check(messy) == []


CHECK_ANSWER = "from diqa_utils import notebook; notebook.check('4.1'"


def test_run_writes_the_outputs_of_check_cells_only(tmp_path):
    path = tmp_path / "short.ipynb"
    cells = [
        v4.new_code_cell("x = 3\nprint('quiet')"),
        v4.new_code_cell("print(x)", metadata=CHECK),
        v4.new_code_cell(f"{CHECK_ANSWER}, 35.0176)", metadata={"tags": ["exercise"]}),
        v4.new_code_cell(f"{CHECK_ANSWER}, 34)", metadata={"tags": ["solution"]}),
    ]
    path.write_text(nbformat.writes(v4.new_notebook(cells=cells)))
    assert "cell 1 is a check cell without output" in notebooks.check(path)[0]
    assert notebooks.run(path) == [
        "the exercise in cell 2 is right before it is solved",
        "the solution in cell 3 is not right",
    ]
    first, second, *_ = json.loads(path.read_text())["cells"]
    assert first["outputs"] == []
    assert second["outputs"][0]["text"] == ["3\n"]
    assert notebooks.check(path) == []
