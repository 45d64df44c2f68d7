"""Each chapter has the shape that its readers know from the others."""

import ast
import re

import pytest
from book_source import (
    CHAPTERS,
    Cell,
    code_cells,
    markdown_cells,
    read_chapter,
    sections,
    syntax_tree,
    tokens,
)
from repository_address import ADDRESS, COLAB, PUBLISHED
from test_api import public_modules

from diqa_utils.exercises import EXERCISES

MOST_LINES = 24
SOLUTION_TITLE = '# @title Solution {display-mode: "form"}'
SECTIONS_AT_BEGIN = ["What you will learn", "Setup"]
SECTIONS_AT_END = ["Exercises", "What you have learnt", "Where to go next"]
INSTALL = f"""\
import sys

if "google.colab" in sys.modules:
    %pip install -q git+{ADDRESS}"""

#: What a chapter needs beyond the library, as an extra of it.
EXTRAS = {
    "15-take-it-with-you": '\n    %pip install -q "diqa-utils[export]"',
    "16-search": '\n    %pip install -q "diqa-utils[search]"',
    "17-beyond-one-machine": '\n    %pip install -q "diqa-utils[beam]"',
}

every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.name)


def bullets(text: str) -> list[str]:
    return re.findall(r"^(?:[-*]|\d+\.) +(.+)$", text, re.MULTILINE)


@every_chapter
def test_chapter_opens_and_ends_as_the_others(path):
    cells = markdown_cells(path)
    read, run = f"{PUBLISHED}notebooks/{path.stem}.html", f"{COLAB}notebooks/{path.name}"
    links = f"[Read this chapter with its figures]({read}) · [Open it in Colab]({run})"
    assert re.match(rf"# .+\n\n{re.escape(links)}\n\n", cells[0].source)
    parts = sections("\n\n".join(cell.source for cell in cells))
    assert list(parts)[:2] == SECTIONS_AT_BEGIN
    assert list(parts)[-3:] == SECTIONS_AT_END
    aims, learnt = (bullets(parts[f"What you {verb}"]) for verb in ("will learn", "have learnt"))
    assert 3 <= len(aims) <= 5
    assert len(learnt) == len(aims), "what was learnt is the list of what will be learnt"
    assert "**What you need.**" in parts["What you will learn"]
    assert parts["Where to go next"].strip()


@every_chapter
def test_setup_installs_in_colab_and_seeds(path):
    install, imports, *others = code_cells(path)
    assert install.source == INSTALL + EXTRAS.get(path.stem, "")
    assert sorted(install.tags) == ["colab-install", "hide-cell"]
    assert not any("pip install" in cell.source for cell in others)
    assert re.match(r"from diqa_utils import notebook\n+notebook\.setup\(.*seed=", imports.source)


def exercises(path) -> list[tuple[str, list[Cell]]]:
    """The heading of each exercise and the code cells below it."""
    found: list[tuple[str, list[Cell]]] = []
    inside = False
    for cell in read_chapter(path):
        if cell.kind == "code" and inside:
            found[-1][1].append(cell)
        elif cell.kind == "markdown":
            for heading in re.findall(r"^(#{2,3} .+)$", cell.source, re.MULTILINE):
                if heading.startswith("## "):
                    inside = heading.strip() == "## Exercises"
                elif inside:
                    found.append((heading, []))
    return found


@every_chapter
def test_exercises_have_a_stub_and_a_hidden_solution(path):
    chapter = int(path.name[:2])
    assert len(exercises(path)) >= 2
    for number, (heading, cells) in enumerate(exercises(path), start=1):
        assert heading.startswith(f"### Exercise {chapter}.{number}: ")
        tags = [set(cell.tags) - {"nbval-check-output"} for cell in cells]
        assert tags == [{"exercise"}, {"hide-cell", "solution"}], heading
        check = re.compile(rf"notebook\.check\(\s*\"{chapter}\.{number}\", ")
        assert all(check.search(cell.source) for cell in cells), heading
        assert cells[1].source.startswith(SOLUTION_TITLE + "\n"), heading
        assert cells[1].figure["code_prompt_show"] == "Show the solution", heading
    assert exercises(path)[-1][0].endswith(" (harder)")
    numbers = {number for number in EXERCISES if number.startswith(f"{chapter}.")}
    assert numbers == {f"{chapter}.{n}" for n in range(1, len(exercises(path)) + 1)}


FOLD = re.compile(
    r'<details class="(hint|quiz|quiz right)"><summary>([^\n]+)</summary>\n\n(.+?)\n\n</details>',
    re.DOTALL,
)


@every_chapter
def test_exercises_have_hints_and_the_summary_begins_with_a_quiz(path):
    """Folds in plain HTML: they open in the book, in Colab, in Jupyter and on GitHub alike."""
    parts = sections("\n\n".join(cell.source for cell in markdown_cells(path)))
    tasks = re.split(r"^### Exercise ", parts["Exercises"], flags=re.MULTILINE)[1:]
    for task in tasks:
        titles = [title for kind, title, _ in FOLD.findall(task) if kind == "hint"]
        assert titles
        assert titles == [f"Hint {n}" for n in range(1, len(titles) + 1)]
    quiz = re.split(r"^- ", parts["What you have learnt"], flags=re.MULTILINE)[0]
    _, *questions = re.split(r"^(?=\*\*)", quiz.strip() + "\n", flags=re.MULTILINE)
    assert len(questions) == 3
    for question in questions:
        assert re.match(r"\*\*[^*]+\?\*\*\n\n", question)
        kinds = [kind for kind, _, _ in FOLD.findall(question)]
        assert 3 <= len(kinds) <= 4
        assert kinds.count("quiz right") == 1
    text = "".join(parts.values())
    assert text.count("<details") == len(FOLD.findall(text)), "a fold is not as the others are"


@every_chapter
def test_code_cells_are_short(path):
    for cell in code_cells(path):
        lines = len(cell.source.splitlines())
        assert lines <= MOST_LINES or "solution" in cell.tags, f"cell {cell.number}: {lines} lines"


@every_chapter
def test_markdown_is_plain(path):
    """Colab and GitHub show MyST's blocks raw."""
    for cell in markdown_cells(path):
        blocks = [token.info for token in tokens(cell.source) if token.info.startswith("{")]
        assert not blocks, f"cell {cell.number} has {blocks}"


@every_chapter
def test_chapter_defines_no_function_of_the_library(path):
    library = {name for module in public_modules() for name in module.__all__}
    for cell in code_cells(path):
        nodes = ast.walk(syntax_tree(cell.source))
        defined = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert not defined & library, f"cell {cell.number}: import it and show its source"


def draws(cell: Cell) -> bool:
    """Whether a cell calls a function of `plotting` or `plt`, or one whose name begins so."""
    calls = [node.func for node in ast.walk(syntax_tree(cell.source)) if isinstance(node, ast.Call)]
    names = [ast.unparse(function) for function in calls]
    return any(re.match(r"(plotting|plt)\.|(show|draw)_(?!source)", name) for name in names)


@every_chapter
def test_figures_have_caption_name_and_alt_text(path):
    for cell in code_cells(path):
        if draws(cell):
            figure, image = cell.figure.get("figure", {}), cell.figure.get("image", {})
            texts = {figure.get("caption", "").strip(), image.get("alt", "").strip()}
            assert figure.get("name", "").startswith("fig-"), f"cell {cell.number}"
            assert "" not in texts, f"cell {cell.number} needs a caption and an alt text"
            assert len(texts) == 2, "the alt text says what is seen, the caption what it means"
            last = syntax_tree(cell.source).body[-1]
            assert isinstance(last, ast.Expr), f"cell {cell.number}: the figure is the cell's value"
