"""Numbers of the results files go where the book quotes them."""

import json

import nbformat
import pytest

from benchmarks import quoting

CONTENT = {
    "median": 0.86449,
    "all": [0.85, 0.87],
    "fall": -0.25,
    "many": 12345.6,
    "half": 0.125,
    "by_name": {"a": {"values": [0.1249, 1.5]}, "é": {"values": [7, 8]}},
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "file.json").write_text(json.dumps(CONTENT))
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "end"),
    [
        ("It is 0.5", "It is 0.9", "file.json#median"),
        ("Of 2 it is 0.512", "Of 2 it is 0.864", "file.json#median"),
        ("It is 51.2 %", "It is 86.4 %", "file.json#median | percent"),
        ("It is 51 % of all ", "It is 86 % of all ", "file.json#median percent"),
        ("It is 0.51", "It is 0.87", "file.json#all.1"),
        ("It falls by 0.1 ", "It falls by 0.2 ", "file.json#fall"),
        ("To −0.10 ", "To −0.25 ", "file.json#fall"),
        ("To -0.10 ", "To -0.25 ", "file.json#fall"),
        ("Of 1,000", "Of 12,346", "file.json#many"),
        ("Of 1000.5", "Of 12345.6", "file.json#many"),
        # Right as it is, to the last digit, whichever way it was rounded and is written.
        ("It is .12", "It is .12", "file.json#half"),
        ("It is 0.13", "It is 0.13", "file.json#half"),
    ],
)
def test_a_number_before_a_marker_becomes_that_of_the_file(old, new, end, folder):
    text = f"There are 3.{old}<!-- results: {end} -->, and 4."
    found, changes = quoting.quote_in_prose(text, folder)
    assert found == text.replace(old, new)
    assert len(changes) == (old != new)


def test_two_markers_in_a_line_are_told_apart(folder):
    text = "0.1 <!-- results: file.json#all.0 --> to 0.2 <!-- results: file.json#all.1 -->"
    found, changes = quoting.quote_in_prose(text, folder)
    assert [new for _, new in changes] == ["0.8", "0.9"]
    assert found.replace("0.8", "0.1").replace("0.9", "0.2") == text


def test_a_dictionary_of_code_gets_the_numbers_below_its_marker(folder):
    source = """x = 0.5
# results: file.json#by_name.{}.values
VALUES = {
    "a": [0.5, 2.0],  # 0.5
    "é": [0, 1], "é": [0, 1],
}
y = 0.5
"""
    found, changes = quoting.quote_in_code(source, folder)
    expected = source.replace("[0.5, 2.0]", "[0.1, 1.5]").replace("[0, 1]", "[7, 8]")
    assert found == expected
    assert changes[:2] == [("0.5", "0.1"), ("2.0", "1.5")]


def test_a_notebook_changes_nowhere_else(folder, tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell("0.5 <!-- results: file.json#median -->", id="prose"),
        nbformat.v4.new_code_cell("# results: file.json#{}\nV = {'fall': 0.5}", id="code"),
        nbformat.v4.new_code_cell("V = {'fall': 0.5}", id="other"),
    ]
    path = tmp_path / "one.ipynb"
    text = nbformat.writes(nbformat.v4.new_notebook(cells=cells)).rstrip("\n") + "\n"
    path.write_text(text, encoding="utf-8")
    assert quoting.quote_in_file(path, folder) == [("0.5", "0.9"), ("0.5", "-0.2")]
    expected = text.replace("0.5", "0.9", 1).replace("0.5", "-0.2", 1)
    assert path.read_text(encoding="utf-8") == expected
    assert quoting.quote_in_file(path, folder) == []


@pytest.mark.parametrize(
    ("quote", "text", "words"),
    [
        (quoting.quote_in_prose, "<!-- results: file.json#median -->", "does not follow a number"),
        (quoting.quote_in_prose, "3e-4 <!-- results: file.json#median -->", "3e-4 has an exponent"),
        (quoting.quote_in_code, "# results: file.json#{}\nV = 3", "not stand above a dictionary"),
    ],
)
def test_a_marker_without_a_number_to_write_is_named(quote, text, words, folder):
    with pytest.raises(ValueError, match=words):
        quote(text, folder)
