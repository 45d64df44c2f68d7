"""Each chapter has the shape that its readers know from the others."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
from book_source import (
    CHAPTERS,
    Cell,
    code_cells,
    load_tool,
    markdown_cells,
    read_chapter,
    sections,
    syntax_tree,
    tokens,
)
from repository_address import ADDRESS

notebooks = load_tool("notebooks")
MOST_LINES = 24
SOLUTION_TITLE = '# @title Solution {display-mode: "form"}'
SECTIONS_AT_BEGIN = ["What you will learn", "Setup"]
SECTIONS_AT_END = ["Exercises", "What you have learnt", "Where to go next"]


def every_chapter(rule):
    """Run a test for each chapter, named after its file."""
    return pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.name)(rule)


def all_markdown(cells: list[Cell]) -> str:
    return "\n\n".join(cell.source for cell in cells if cell.kind == "markdown")


def bullets(text: str) -> list[str]:
    return re.findall(r"^(?:[-*]|\d+\.) +(.+)$", text, re.MULTILINE)


# Opening and end


def opening_problems(cells: list[Cell], path: str) -> list[str]:
    """What is missing from a chapter's title, link, list of aims and end."""
    text = all_markdown(cells)
    found = []
    title, _, rest = cells[0].source.partition("\n")
    if cells[0].kind != "markdown" or not title.startswith("# "):
        found.append("cell 0 shall be Markdown that begins with the title, `# ...`")
    link = f"[Open this chapter in Colab]({notebooks.colab_link(ADDRESS, path)})"
    if link not in rest.split("\n"):
        found.append(f"cell 0 shall have this line: {link}")
    elif not re.sub(r"^## .*", "", rest.replace(link, ""), flags=re.DOTALL | re.MULTILINE).strip():
        found.append("cell 0 shall say, after the link, why the reader should care")
    titles = list(sections(text))
    if titles[:2] != SECTIONS_AT_BEGIN:
        found.append(f"the first sections shall be {SECTIONS_AT_BEGIN}, not {titles[:2]}")
    if titles[-3:] != SECTIONS_AT_END:
        found.append(f"the last sections shall be {SECTIONS_AT_END}, not {titles[-3:]}")
    if found:
        return found
    aims = bullets(sections(text)["What you will learn"])
    learnt = bullets(sections(text)["What you have learnt"])
    if not 3 <= len(aims) <= 5:
        found.append(f"'What you will learn' has {len(aims)} bullets: write three to five")
    if len(aims) != len(learnt):
        found.append(
            f"'What you have learnt' has {len(learnt)} bullets and 'What you will learn' "
            f"{len(aims)}: they are the same list"
        )
    if "**What you need.**" not in sections(text)["What you will learn"]:
        found.append("'What you will learn' shall end with a sentence on **What you need.**")
    if not sections(text)["Where to go next"].strip():
        found.append("'Where to go next' is empty")
    return found


@every_chapter
def test_chapter_opens_and_ends_as_the_others(path):
    found = opening_problems(read_chapter(path), f"notebooks/{path.name}")
    assert not found, f"{path.name}: " + "; ".join(found)


# Setup


def setup_problems(cells: list[Cell]) -> list[str]:
    code = [cell for cell in cells if cell.kind == "code"]
    if len(code) < 2:
        return ["the setup needs two code cells: one installs, one imports"]
    install, imports = code[:2]
    found = []
    if install.source != notebooks.install_cell(ADDRESS):
        found.append(
            f"the first code cell (cell {install.number}) shall be exactly\n"
            f"{notebooks.install_cell(ADDRESS)}\n"
        )
    if sorted(install.tags) != notebooks.INSTALL_TAGS:
        found.append(f"the tags of cell {install.number} shall be {notebooks.INSTALL_TAGS}")
    if any("pip install" in cell.source for cell in code[1:]):
        found.append("only the first code cell installs")
    lines = [line for line in imports.source.split("\n") if line.strip()]
    if lines[:1] != ["from diqa_utils import notebook"] or not any(
        re.match(r"notebook\.setup\(.*seed=", line) for line in lines[1:2]
    ):
        found.append(
            f"cell {imports.number} shall begin with `from diqa_utils import notebook` and "
            "`notebook.setup(seed=0)`"
        )
    return found


@every_chapter
def test_setup_installs_in_colab_and_seeds(path):
    found = setup_problems(read_chapter(path))
    assert not found, f"{path.name}: " + "; ".join(found)


# Exercises


def exercise_problems(cells: list[Cell], chapter: int) -> list[str]:
    """What is missing from the exercises: title, a stub with a check, a hidden solution."""
    parts = exercises(cells)
    found = []
    if len(parts) < 2:
        found.append(f"has {len(parts)} exercises: write two, `### Exercise {chapter}.1: title`")
    for number, (title, code) in enumerate(parts, start=1):
        name = f"Exercise {chapter}.{number}"
        if not re.match(rf"{name}: \S", title):
            found.append(f"the heading {title!r} shall begin with '{name}: '")
        tags = [set(cell.tags) - {notebooks.CHECK_TAG} for cell in code]
        if tags != [{"exercise"}, {"hide-cell", "solution"}]:
            found.append(
                f"{name} shall have two code cells, tagged `exercise`, and `solution` with "
                f"`hide-cell`; it has {[sorted(t) for t in tags]}"
            )
            continue
        found += [
            f"{name}: cell {cell.number} does not call `notebook.check_answer(...)`"
            for cell in code
            if "check_answer(" not in cell.source
        ]
        if not code[1].source.startswith(SOLUTION_TITLE + "\n"):
            found.append(f"{name}: cell {code[1].number} shall begin with {SOLUTION_TITLE}")
    number_in_parts = sum(len(code) for _, code in parts)
    tagged = [cell for cell in cells if {"exercise", "solution"} & set(cell.tags)]
    if len(tagged) > number_in_parts:
        found.append("a cell tagged `exercise` or `solution` stands outside the exercises")
    return found


def exercises(cells: list[Cell]) -> list[tuple[str, list[Cell]]]:
    """The heading of each exercise and the code cells below it."""
    found: list[tuple[str, list[Cell]]] = []
    inside = False
    for cell in cells:
        if cell.kind == "code" and inside and found:
            found[-1][1].append(cell)
        elif cell.kind == "markdown":
            for line in re.findall(r"^(#{2,3} .+)$", cell.source, re.MULTILINE):
                if line.startswith("## "):
                    inside = line.strip() == "## Exercises"
                elif inside:
                    found.append((line.removeprefix("### "), []))
    return found


@every_chapter
def test_exercises_have_a_stub_and_a_hidden_solution(path):
    found = exercise_problems(read_chapter(path), chapter=int(path.name[:2]))
    assert not found, f"{path.name}: " + "; ".join(found)


# Cells


def long_cells(cells: list[Cell]) -> list[str]:
    return [
        f"cell {cell.number} has {len(cell.source.splitlines())} lines: {MOST_LINES} are enough"
        for cell in cells
        if len(cell.source.splitlines()) > MOST_LINES and "solution" not in cell.tags
    ]


@every_chapter
def test_code_cells_are_short(path):
    found = long_cells(code_cells(path))
    assert not found, f"{path.name}: " + "; ".join(found)


def directives(cells: list[Cell]) -> list[str]:
    """MyST blocks in the Markdown cells: Colab and GitHub show them raw."""
    return [
        f"cell {cell.number} has the block {token.info.split()[0]}: write plain Markdown"
        for cell in cells
        for token in tokens(cell.source)
        if token.type in {"fence", "colon_fence"} and token.info.startswith("{")
    ]


@every_chapter
def test_markdown_is_plain(path):
    found = directives(markdown_cells(path))
    assert not found, f"{path.name}: " + "; ".join(found)


@every_chapter
def test_chapter_defines_no_function_of_the_library(path):
    found = redefined(code_cells(path), library_functions())
    assert not found, f"{path.name}: " + "; ".join(found)


def library_functions() -> set[str]:
    folder = Path(__file__).resolve().parents[2] / "diqa_utils"
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in folder.glob("[a-z]*.py")]
    return {
        node.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def redefined(cells: list[Cell], library: set[str]) -> list[str]:
    return [
        f"cell {cell.number} defines {node.name} again: import it and show its source"
        for cell in cells
        for node in ast.walk(syntax_tree(cell.source))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in library
    ]


# Figures


def shows_figure(cell: Cell, drawing_names: set[str]) -> bool:
    """Whether a cell draws: by matplotlib, or by a function of diqa_utils.plotting."""
    for node in ast.walk(syntax_tree(cell.source)):
        if isinstance(node, ast.Call):
            root = node.func
            while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
                root = root.func if isinstance(root, ast.Call) else root.value
            if isinstance(root, ast.Name) and root.id in drawing_names:
                return True
    return False


def drawing_names(cells: list[Cell]) -> set[str]:
    """The names by which a chapter reaches plotting functions and matplotlib."""
    found = {"plotting", "plt"}
    for cell in cells:
        for node in ast.walk(syntax_tree(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module in {
                "diqa_utils.plotting",
                "matplotlib",
                "matplotlib.pyplot",
            }:
                found |= {alias.asname or alias.name for alias in node.names}
    return found


def figure_problems(cells: list[Cell]) -> list[str]:
    """What a reader who cannot see a figure, or cannot tell what it shows, would miss."""
    code = [cell for cell in cells if cell.kind == "code"]
    names = drawing_names(code)
    found = []
    for cell in code:
        if not shows_figure(cell, names):
            continue
        figure, image = cell.figure.get("figure", {}), cell.figure.get("image", {})
        if not figure.get("caption", "").strip():
            found.append(f"cell {cell.number} draws without mystnb.figure.caption in its metadata")
        if not figure.get("name", "").startswith("fig-"):
            found.append(f"cell {cell.number} draws without mystnb.figure.name, `fig-...`")
        if not image.get("alt", "").strip():
            found.append(f"cell {cell.number} draws without mystnb.image.alt in its metadata")
        elif image["alt"] == figure.get("caption"):
            found.append(
                f"cell {cell.number}: the alt text says what is seen, the caption what it means"
            )
    return found


@every_chapter
def test_figures_have_caption_name_and_alt_text(path):
    found = figure_problems(read_chapter(path))
    assert not found, f"{path.name}: " + "; ".join(found)


@every_chapter
def test_chapter_shows_a_figure(path):
    code = code_cells(path)
    names = drawing_names(code)
    assert any(shows_figure(cell, names) for cell in code), f"{path.name} has no figure."


# The rules, on a chapter made up for them


def markdown(text: str) -> Cell:
    return Cell(0, "markdown", text)


def code(text: str, *tags: str, **metadata) -> Cell:
    return Cell(0, "code", text, sorted(tags), metadata)


def good_chapter() -> list[Cell]:
    link = notebooks.colab_link(ADDRESS, "notebooks/03-made-up.ipynb")
    stub = "answer = None\nnotebook.check_answer(answer, 2)"
    solution = f"{SOLUTION_TITLE}\nnotebook.check_answer(1 + 1, 2)"
    exercise = [
        code(stub, "exercise"),
        code(solution, "solution", "hide-cell"),
    ]
    cells = [
        markdown(f"# Maps\n\n[Open this chapter in Colab]({link})\n\nMaps show where."),
        markdown("## What you will learn\n\n- a\n- b\n- c\n\n**What you need.** Nothing."),
        markdown("## Setup"),
        code(notebooks.install_cell(ADDRESS), "colab-install", "hide-cell"),
        code("from diqa_utils import notebook\n\nnotebook.setup(seed=0)\n\nimport numpy as np"),
        markdown("## Exercises\n\n### Exercise 3.1: one\n\nDo this."),
        *exercise,
        markdown("### Exercise 3.2: two\n\nDo that."),
        *exercise,
        markdown("## What you have learnt\n\n- a\n- b\n- c\n\n## Where to go next\n\nOn."),
    ]
    return [replace(cell, number=number) for number, cell in enumerate(cells)]


def shape_problems(cells: list[Cell]) -> list[str]:
    return [
        *opening_problems(cells, "notebooks/03-made-up.ipynb"),
        *setup_problems(cells),
        *exercise_problems(cells, chapter=3),
        *long_cells(cells),
        *directives([cell for cell in cells if cell.kind == "markdown"]),
        *figure_problems(cells),
    ]


def test_a_good_chapter_passes():
    assert shape_problems(good_chapter()) == []


@pytest.mark.parametrize(
    ("number", "changes", "message"),
    [
        (0, {"source": "Maps"}, "begins with the title"),
        (0, {"source": "# Maps\n\nMaps show where."}, "cell 0 shall have this line"),
        (1, {"source": "## What you will learn\n\n- a\n- b"}, "has 2 bullets: write three"),
        (1, {"source": "## What you will learn\n\n- a\n- b\n- c"}, "**What you need.**"),
        (1, {"source": "## Aims"}, "the first sections shall be"),
        (3, {"source": "%pip install diqa-utils"}, "cell 3) shall be exactly"),
        (3, {"tags": ["hide-cell"]}, "the tags of cell 3 shall be"),
        (4, {"source": "import numpy as np"}, "cell 4 shall begin with `from diqa_utils"),
        (5, {"source": "## Exercises\n\n### Exercise 2.1: one"}, "begin with 'Exercise 3.1: '"),
        (6, {"tags": []}, "shall have two code cells"),
        (6, {"source": "answer = None"}, "cell 6 does not call `notebook.check_answer"),
        (7, {"source": "notebook.check_answer(2, 2)"}, "cell 7 shall begin with # @title"),
        (8, {"source": "Then that."}, "has 1 exercises: write two"),
        (11, {"source": "## What you have learnt\n\n- a"}, "the last sections shall be"),
        (4, {"source": "\n" * 25}, "cell 4 has 25 lines"),
        (5, {"source": "```{note}\nLook.\n```"}, "cell 5 has the block {note}"),
        (4, {"source": "import matplotlib.pyplot as plt\nplt.plot(x)"}, "mystnb.figure.caption"),
        (4, {"source": "_ = plotting.show_images(x)"}, "without mystnb.image.alt"),
        (4, {"source": "from diqa_utils.plotting import draw\ndraw(x)"}, "mystnb.figure.name"),
    ],
)
def test_what_a_chapter_lacks_is_named(number, changes, message):
    cells = good_chapter()
    cells[number] = replace(cells[number], **changes)
    assert any(message in problem for problem in shape_problems(cells)), shape_problems(cells)


def test_a_figure_with_its_metadata_passes():
    metadata = {"figure": {"caption": "A map.", "name": "fig-a"}, "image": {"alt": "Grey, dark."}}
    assert figure_problems([code("_ = plotting.show_images(x)", **metadata)]) == []
    assert figure_problems([code("notebook.show_source(error_map)")]) == []


def test_a_second_definition_is_named():
    cells = [code("def error_map(x):\n    return x\n\ndef mine():\n    pass")]
    assert redefined(cells, {"error_map"}) == [
        "cell 0 defines error_map again: import it and show its source"
    ]
