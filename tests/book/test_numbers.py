"""Every number in prose comes from a cell, a results file, a constant or the literature."""

import json
from pathlib import Path

import pytest
from book_source import CHAPTERS, PAGES, README, ROOT, Cell, Text, code_cells, read_chapter, texts
from prose_numbers import (
    Evidence,
    constants,
    equation_numbers,
    numbers_in,
    numbers_missing_from,
    printed,
    unfounded_numbers,
    wrong_literals,
)

from diqa_utils.datasets.sample_iqa.sample_iqa_dataset_builder import (
    DISTORTIONS,
    PHOTOGRAPHS,
    cut_pieces,
)
from diqa_utils.distortions import LEVELS

RESULTS = ROOT / "benchmarks" / "results"


def file_name(path: Path) -> str:
    return path.name


def all_equations() -> frozenset[str]:
    every_text = [text for path in [*CHAPTERS, *PAGES] for text in texts(path)]
    return frozenset().union(*(equation_numbers(text.markdown) for text in every_text))


# The book


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_numbers_of_a_chapter_have_a_source(path):
    cells = code_cells(path)
    evidence = Evidence(printed(cells), constants(cells), RESULTS, all_equations())
    found = [problem for text in texts(path) for problem in unfounded_numbers(text, evidence)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", [*PAGES, README], ids=file_name)
def test_numbers_of_a_page_have_a_source(path):
    evidence = Evidence(results=RESULTS, equations=all_equations())
    found = [problem for text in texts(path) for problem in unfounded_numbers(text, evidence)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_text_after_a_check_cell_states_what_it_prints(path):
    cells = read_chapter(path)
    checks = [cell for cell in cells if cell.is_check and "solution" not in cell.tags]
    assert checks, f"{path.name} has no cell tagged nbval-check-output: print a number and state it"
    found = [problem for cell in checks for problem in unstated_output(cell, cells)]
    assert not found, "\n" + "\n".join(f"{path.name}, {problem}" for problem in found)


def unstated_output(check: Cell, cells: list[Cell]) -> list[str]:
    """What the text after a check cell fails to say about its output."""
    place = f"cell {check.number}"
    if not printed([check]):
        return [f"{place} is a check cell and stores no number: print one, run tools/notebooks.py"]
    following = cells[check.number + 1 : check.number + 2]
    if not following or following[0].kind != "markdown":
        return [f"{place} is a check cell: put a Markdown cell that states its numbers after it"]
    missing = numbers_missing_from(following[0].source, check.output)
    return [f"{place} prints {number}, and the text after it does not say so" for number in missing]


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_numbers_in_code_that_name_a_results_file_are_in_it(path):
    found = [
        problem for cell in code_cells(path) for problem in wrong_literals(cell.source, RESULTS)
    ]
    assert not found, f"{path.name}: " + "; ".join(found)


@pytest.mark.parametrize(
    ("literal", "problem"),
    [
        ('{"a": [0.12, 1.5]}', None),
        ('{"a": [0.13, 1.5]}', "a: the cell says 0.13, file.json says 0.1249"),
        ('{"b": 2.0}', None),
        ("[0.12]", "does not stand above a dictionary"),
    ],
)
def test_numbers_in_code_are_compared_with_their_results_file(literal, problem, tmp_path):
    (tmp_path / "file.json").write_text(
        '{"all": {"a": {"values": [0.1249, 1.5]}, "b": {"values": 2}}}'
    )
    source = f"x = 1\n# results: file.json#all.{{}}.values\nVALUES = {literal}\n"
    found = wrong_literals(source, tmp_path)
    assert bool(found) == bool(problem)
    if problem:
        assert problem in found[0]


# The extractor, on texts made up for it


def claims(markdown: str) -> list[str]:
    return [n.text for _, n in numbers_in(markdown) if n.is_claim and not n.has_source]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("The SRCC is 0.86 on 81 references.", ["0.86"]),
        ("It keeps 31 % of it, not 4% or 2.5 per cent.", ["31 %", "4%", "2.5 per cent"]),
        (
            "**0.5**, (0.6) and .7/.8; −0.9, 1,234.5, 3e-4",
            ["0.5", "0.6", ".7", ".8", "−0.9", "1,234.5", "3e-4"],
        ),
        (
            "From 0.2..0.3 to 0.4-0.5, 2.3 GB and 0.29s.",
            ["0.2", "0.3", "0.4", "0.5", "2.3", "0.29"],
        ),
        ("| A | B |\n|---|---|\n| 0.1 | b |", ["0.1"]),
        ("- a\n  - 0.3\n\n> 0.4", ["0.3", "0.4"]),
        (
            "# Twice 0.25\n\nA [link to 0.35](x.md#0.4) ![shows 0.45](0.5.png)",
            ["0.25", "0.35", "0.45"],
        ),
        ("```{note}\n:class: tip\nIt is 0.7.\n```\n\n:::{tip}\n0.8\n:::", ["0.7", "0.8"]),
        ("Floats run from 0.0 to 1.0, or 0..1, or 0 % to 100 %.", []),
        (
            "In `0.5`, $0.6$, <!-- 0.7 --> and\n\n```python\nx = 0.8\n```\n\n$$ 0.9 \\tag{3.1} $$",
            [],
        ),
        ("Python 3.11, 3.12 and 3.13, TensorFlow >= 2.19, CC BY 4.0, v1.2, 2.20.0", []),
        ("## Exercise 3.1: equation (3.2), equations 3.1 and 3.2, section 2.1", []),
        ("See https://doi.org/10.1109/2.3 and doi 10.1109/TNNLS.2018.2829819.", []),
    ],
)
def test_claims_are_the_decimals_and_percentages_of_the_prose(markdown, expected):
    assert claims(markdown) == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("MANIQA reaches 0.98 {cite:p}`yang2022`. Ours reaches 0.91.", ["0.91"]),
        ("PSNR has .873 [in pyiqa](https://example.org). So 0.9 is more.", ["0.9"]),
        ("Chapter 3 says [0.4](03-error-maps.ipynb).", ["0.4"]),
        ("| A | B |\n|---|---|\n| 0.1 | {cite:t}`x` |\n| 0.2 | |", ["0.2"]),
        ("| A | Source |\n|---|---|\n| 0.1 | its README |\n| 0.2 | |", ["0.2"]),
        ("| A {cite:p}`x` | B |\n|---|---|\n| 0.1 | 0.2 |", []),
    ],
)
def test_a_citation_or_link_speaks_for_its_sentence_or_row(markdown, expected):
    assert claims(markdown) == expected


def check(markdown: str, **evidence) -> list[str]:
    return unfounded_numbers(Text("page.md", "", markdown), Evidence(**evidence))


def test_a_wrong_number_is_named_with_its_place_and_what_to_do():
    code = Cell(2, "code", "alpha = 0.2", ["nbval-check-output"], output="SRCC 0.8612\n")
    evidence = Evidence(printed([code]), constants([code]))
    text = Text("03-error-maps.ipynb", "cell 3", "With 0.2 the SRCC is 0.8612, not 0.87.")
    (problem,) = unfounded_numbers(text, evidence)
    assert problem.startswith("03-error-maps.ipynb, cell 3: 0.87 has no source: print it in")


def test_a_percentage_may_stand_for_a_printed_fraction():
    code = Cell(2, "code", "print(x)", ["nbval-check-output"], output="0.31\n")
    assert check("It passes 31 %.", printed=printed([code])) == []
    assert check("It passes 32 %.", printed=printed([code])) != []


def test_output_of_an_ordinary_cell_is_no_evidence():
    assert printed([Cell(2, "code", "print(x)", [], output="0.31\n")]) == frozenset()


def test_the_number_of_an_equation_in_brackets_is_no_claim():
    assert equation_numbers("$$ e = 1 \\tag{3.1} $$") == {"3.1"}
    assert check("By (3.1) it holds.", equations=frozenset({"3.1"})) == []
    assert check("By (3.2) it holds.", equations=frozenset({"3.1"})) != []


@pytest.fixture
def results(tmp_path):
    content = {"srcc": {"median": 0.86449, "all": [0.85, 0.87]}, "speedup": -0.25, "name": "x"}
    (tmp_path / "accuracy.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    "markdown",
    [
        "It is 0.864 <!-- results: accuracy.json#srcc.median -->, or 0.9 <!-- results: "
        "accuracy.json#srcc.median -->.",
        "It is 86.4 % <!-- results: accuracy.json#srcc.median | percent -->.",
        "It falls by 0.25 <!-- results: accuracy.json#speedup --> s, to −0.25 "
        "<!-- results: accuracy.json#speedup -->.",
        "| A |\n|---|\n| 87 % of all <!-- results: accuracy.json#srcc.all.1 percent --> |",
        "Rounded, 1 <!-- results: accuracy.json#srcc.median -->.",
    ],
)
def test_a_marker_supports_the_number_before_it(markdown, results):
    assert check(markdown, results=results) == []


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("It is 0.865 <!-- results: accuracy.json#srcc.median -->.", "0.865 is 0.86449 in"),
        ("It is 85 % <!-- results: accuracy.json#srcc.median percent -->.", "85 % is 86.449 in"),
        ("It is 3 <!-- results: accuracy.json#srcc.median -->.", "3 is 0.86449 in"),
        ("It is 0.5 <!-- results: speed.json#a -->.", "does not exist"),
        ("It is 0.5 <!-- results: accuracy.json#srcc.mean -->.", "no number (KeyError('mean'))"),
        ("It is 0.5 <!-- results: accuracy.json#name -->.", "it holds 'x'"),
        ("It is good <!-- results: accuracy.json#speedup -->.", "does not follow a number"),
        ("It is 0.25\n\n<!-- results: accuracy.json#speedup -->", "on a line of its own"),
        ("It is 0.25 <!-- results: accuracy.json -->.", "is not of the form"),
        ("| A |\n|---|\n| 0.5 <!-- results: accuracy.json#a | percent --> |", "without the bar"),
    ],
)
def test_a_marker_that_does_not_fit_is_named(markdown, message, results):
    (problem,) = check(markdown, results=results)
    assert message in problem


def test_line_of_a_page_is_named():
    assert check("# A\n\nOne.\n\n```{note}\nIt is 0.3.\n```")[0].startswith("page.md, line 6: 0.3")


@pytest.mark.parametrize(
    ("markdown", "missing"),
    [
        ("It says 0.31 and 381,329 in `(28, 28)`.", []),
        ("31 % of $381{,}329$ in 28 × 28", []),
        ("381,329 in 28", ["0.31"]),
    ],
)
def test_numbers_missing_after_a_check_cell(markdown, missing):
    assert numbers_missing_from(markdown, "0.31 of 381329\n(28, 28)") == missing


def test_small_numbers_may_be_words():
    assert numbers_missing_from("All three differ.", "3 differ") == []


def test_a_check_cell_needs_output_and_text_after_it():
    check_cell = Cell(0, "code", "print(1)", ["nbval-check-output"], output="0.5\n")
    empty = Cell(0, "code", "print(1)", ["nbval-check-output"])
    right, wrong = Cell(1, "markdown", "It is 0.5."), Cell(1, "markdown", "It is 0.6.")
    assert unstated_output(check_cell, [check_cell, right]) == []
    assert "prints 0.5" in unstated_output(check_cell, [check_cell, wrong])[0]
    assert "put a Markdown cell" in unstated_output(check_cell, [check_cell])[0]
    assert "stores no number" in unstated_output(empty, [empty, right])[0]


# The sample database


def test_the_data_page_counts_the_sample_database():
    references = sum(len(cut_pieces(photograph())) for photograph in PHOTOGRAPHS.values())
    images = references * len(DISTORTIONS) * len(LEVELS)
    stated = (
        f"`sample_iqa` has {references} references cut from {len(PHOTOGRAPHS)} photographs, "
        f"{len(DISTORTIONS)} distortions at {len(LEVELS)} levels, and {images:,} distorted images."
    )
    page = (ROOT / "book" / "data.md").read_text(encoding="utf-8")
    assert stated in " ".join(page.split())
