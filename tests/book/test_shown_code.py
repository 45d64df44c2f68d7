"""What a chapter says of the code that it shows is in the code that it shows."""

import ast
import inspect
import re
import textwrap

import pytest
from book_source import CHAPTERS, PAGES, code_cells, directive, read_chapter, texts, tokens

from diqa_utils.notebook import show_source

METHOD = [path for path in CHAPTERS if "02" <= path.name[:2] <= "07"]

#: Names in the databases, which no code has to repeat.
COLUMNS = {"pseudo_dmos"}

#: Lines of a shown function's body: what fits on one screen together with its formula.
LONGEST_BODY = 18

#: Columns of a line that a page shows whole, as notebooks/ruff.toml has it.
WIDEST_LINE = 76

#: Columns of a line of fenced code that a page shows whole.
WIDEST_FENCED_LINE = 75


def shown_functions(chapter):
    """The functions that a chapter shows with `show_source`, by the number of the cell."""
    names = {}
    shown = {}
    for cell in code_cells(chapter):
        if "colab-install" in cell.tags:
            continue
        tree = ast.parse(cell.source)
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        exec(ast.unparse(ast.Module(imports, [])), names)
        for call in re.findall(r"show_source\(([\w.]+)\)", cell.source):
            shown.setdefault(cell.number, []).append(inspect.unwrap(eval(call, names)))
    return shown


def body_of(function):
    """The source lines of a function below its docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    [definition] = ast.parse(source).body
    first = definition.body[1] if ast.get_docstring(definition) else definition.body[0]
    return [line for line in source.splitlines()[first.lineno - 1 :] if line.strip()]


@pytest.mark.parametrize("chapter", METHOD, ids=lambda path: path.name)
def test_shown_functions_fit_on_a_screen(chapter):
    for functions in shown_functions(chapter).values():
        for function in functions:
            assert len(body_of(function)) <= LONGEST_BODY, function.__name__


@pytest.mark.parametrize("chapter", METHOD, ids=lambda path: path.name)
def test_prose_after_a_listing_names_what_is_in_the_code(chapter):
    shown = shown_functions(chapter)
    code = "\n".join(
        [inspect.getsource(function) for functions in shown.values() for function in functions]
        + [cell.source for cell in code_cells(chapter)]
    )
    words = set(re.findall(r"\w+", code)) | COLUMNS
    cells = read_chapter(chapter)
    for number in shown:
        prose = re.sub(r"\{[\w:]+\}`[^`]+`", "", cells[number + 1].source)  # without citations
        for span in re.findall(r"`([^`]+)`", prose):
            missing = set(re.findall(r"[A-Za-z_]\w*", span)) - words
            assert not missing, f"{chapter.name}, cell {number + 1}: `{span}` is in no listing."


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.name)
def test_shown_functions_are_not_cut_at_the_edge_of_a_page(chapter):
    for functions in shown_functions(chapter).values():
        for function in functions:
            lines = show_source(function).data.splitlines()
            wide = [line for line in lines if len(line) > WIDEST_LINE]
            assert not wide, f"{function.__name__}: {wide}"


@pytest.mark.parametrize("page", [*CHAPTERS, *PAGES], ids=lambda path: path.name)
def test_fenced_code_is_not_cut_at_the_edge_of_a_page(page):
    fences = [
        token.content
        for text in texts(page)
        for token in tokens(text)
        if token.type == "fence" and not directive(token)[0]
    ]
    lines = "".join(fences).splitlines()
    assert not [line for line in lines if len(line) > WIDEST_FENCED_LINE]
