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

MARKER = re.compile(r"<!--\s*results:\s*(\S+?)\.json#(\S+?)(?:\s+(percent))?\s*-->")
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


@pytest.mark.parametrize("path", [*CHAPTERS, *PAGES, README], ids=file_name)
def test_marked_numbers_are_those_of_the_results(path):
    for markdown in texts(path):
        markers = list(MARKER.finditer(markdown))
        assert len(markers) == markdown.count("<!-- res"), "<!-- results: FILE.json#path -->"
        for previous, marker in pairwise([None, *markers]):
            begin = previous.end() if previous else 0
            stated = NUMBER.findall(markdown, begin, marker.start())[-1]
            name, keys, percent = marker.groups()
            value = look_up(notebook.results(name), keys) * (100 if percent else 1)
            if not stated.startswith(("-", "−")):
                value = abs(value)  # the words around it say "falls by"
            half_of_last_digit = 10 ** -len(stated.partition(".")[2]) / 2
            wrong = f"{stated} is {value:.6g} in {name}.json#{keys}"
            assert abs(number(stated) - value) <= half_of_last_digit * (1 + 1e-9), wrong


def unstated_numbers(output: str, markdown: str) -> list[str]:
    """The numbers of a check cell's output that the text after it does not state."""
    # Formulas write 381{,}329, and the words around a number say "falls by".
    stated = {abs(number(text)) for text in NUMBER.findall(markdown.replace("{,}", ","))}
    words = re.findall(r"[a-z]+", markdown.lower())
    stated |= {WORDS.index(word) for word in words if word in WORDS}
    return [text for text in NUMBER.findall(output) if abs(number(text)) not in stated]


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
