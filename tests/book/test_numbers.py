"""Numbers in the text are those of the results file that a marker names, or of a check cell.

A marker stands after its number: `0.86<!-- results: FILE.json#dotted.path -->`, with `percent`
before its end for a value that is stored as a fraction.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from book_source import CHAPTERS, PAGES, README, ROOT, Cell, read_chapter, texts

from diqa_utils import notebook
from diqa_utils.datasets.sample_iqa.sample_iqa_dataset_builder import (
    DISTORTIONS,
    PHOTOGRAPHS,
    cut_pieces,
)
from diqa_utils.distortions import LEVELS

MARKER = re.compile(r"<!--\s*results:\s*(\S+?)\.json#(\S+?)\s*(?:\|\s*)?(percent)?\s*-->")
NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d+(?:[,\u202f]\d{3})+(?:\.\d+)?|\d*\.?\d+)")
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def file_name(path: Path) -> str:
    return path.name


def number(text: str) -> float:
    return float(re.sub(r"[,\u202f]", "", text).replace("−", "-"))


def look_up(results: dict[str, Any], path: str) -> float:
    """The number that a path such as `srcc.all.1` names."""
    value: Any = results
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def wrong_numbers(markdown: str) -> list[str]:
    """A sentence for each marker that names no number, or another one than stands before it."""
    problems = []
    begin = 0
    for marker in MARKER.finditer(markdown):
        name, path, percent = marker.groups()
        before = NUMBER.findall(markdown, begin, marker.start())
        begin = marker.end()
        if not before:
            problems.append(f"the marker {marker[0]} does not follow a number")
            continue
        try:
            value = look_up(notebook.results(name), path) * (100 if percent else 1)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            problems.append(f"{marker[0]} names no number: {error}")
            continue
        if not before[-1].startswith(("-", "−")):
            value = abs(value)  # the words around it say "falls by"
        half_of_last_digit = 10 ** -len(before[-1].partition(".")[2]) / 2
        if abs(number(before[-1]) - value) > half_of_last_digit * (1 + 1e-9):
            problems.append(f"{before[-1]} is {value:.6g} in {name}.json#{path}")
    if markdown.count("results:") and len(MARKER.findall(markdown)) != markdown.count("<!-- res"):
        problems.append("a marker is not of the form <!-- results: FILE.json#path -->")
    return problems


def unstated_numbers(output: str, markdown: str) -> list[str]:
    """The numbers of a check cell's output that the text after it does not state."""
    # Formulas write 381{,}329, and the words around a number say "falls by".
    stated = {abs(number(text)) for text in NUMBER.findall(markdown.replace("{,}", ","))}
    words = re.findall(r"[a-z]+", markdown.lower())
    stated |= {WORDS.index(word) for word in words if word in WORDS}
    return [text for text in NUMBER.findall(output) if abs(number(text)) not in stated]


# The book


@pytest.mark.parametrize("path", [*CHAPTERS, *PAGES, README], ids=file_name)
def test_marked_numbers_are_those_of_the_results(path):
    problems = [
        f"{path.name}, {text.place or 'page'}: {problem}"
        for text in texts(path)
        for problem in wrong_numbers(text.markdown)
    ]
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_text_after_a_check_cell_states_what_it_prints(path):
    cells = [*read_chapter(path), Cell(0, "end", "")]
    for check, after in pairwise(cells):
        if check.is_check and "solution" not in check.tags:
            assert after.kind == "markdown", f"no text after cell {check.number}"
            missing = unstated_numbers(check.output, after.source)
            assert not missing, f"cell {check.number} prints {missing}, the text does not say so"


def test_the_data_page_counts_the_sample_database():
    references = sum(len(cut_pieces(photograph())) for photograph in PHOTOGRAPHS.values())
    images = references * len(DISTORTIONS) * len(LEVELS)
    stated = (
        f"`sample_iqa` has {references} references cut from {len(PHOTOGRAPHS)} photographs, "
        f"{len(DISTORTIONS)} distortions at {len(LEVELS)} levels, and {images:,} distorted images."
    )
    page = (ROOT / "book" / "data.md").read_text(encoding="utf-8")
    assert stated in " ".join(page.split())


# The test itself, on made-up texts


@pytest.mark.parametrize(
    ("stated", "end", "problem"),
    [
        ("0.864", "made.json#srcc.median", ""),
        ("It is 1.5, or 86.4 %", "made.json#srcc.median | percent", ""),
        ("It falls by 0.25", "made.json#change", ""),
        ("Of 1,234", "made.json#srcc.all.1", ""),
        ("0.865", "made.json#srcc.median", "0.865 is 0.86449 in made.json#srcc.median"),
        ("0.8", "made.json#srcc.mean", "names no number: 'mean'"),
        ("It is good", "made.json#change", "does not follow a number"),
        ("0.25", "made.json", "is not of the form"),
    ],
)
def test_a_marker_that_does_not_fit_is_named(stated, end, problem, monkeypatch):
    made = {"srcc": {"median": 0.86449, "all": [0.85, 1234]}, "change": -0.25}
    monkeypatch.setattr(notebook, "results", lambda name: made)
    problems = wrong_numbers(f"{stated} <!-- results: {end} -->")
    assert len(problems) == bool(problem)
    assert problem in "".join(problems)


def test_what_a_check_cell_prints_may_be_a_word_or_lie_in_a_formula():
    assert unstated_numbers("3 of 381,329: -0.3", "Three of $381{,}329$, 0.30") == []
    assert unstated_numbers("0.31", "0.3") == ["0.31"]
