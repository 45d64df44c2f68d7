"""Every public function tells its arguments, result and errors.

The sources are read, not imported: the tests need no TensorFlow.
"""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
from book_source import ROOT, code_cells, syntax_tree

Definition = ast.FunctionDef | ast.ClassDef
LIBRARY = ROOT / "diqa_utils"

#: Apps of typer: their docstrings are the help that the terminal shows.
COMMANDS = {"__main__.py", "cli.py"}
MODULES = sorted(
    path
    for path in LIBRARY.rglob("*.py")
    if not path.name.endswith("_test.py")
    and path.name not in COMMANDS
    and not any(re.match(r"_[a-z]", part) for part in path.relative_to(LIBRARY).parts)
)
TOP_LEVEL = {
    *("average_reliability_map", "build_error_map_model", "build_feature_extractor"),
    *("build_score_model", "datasets", "error_map", "krcc", "load_pretrained", "low_frequency"),
    *("normalize", "plcc", "read_image", "reliability_map", "rmse", "score", "show_source"),
    *("srcc", "to_gray", "weighted_error_map_loss"),
}


def module_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def public_names(tree: ast.Module) -> set[str] | None:
    """What a module's `__all__` lists; None where it has none."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return {n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)}
    return None


def public_definitions(tree: ast.Module) -> list[Definition]:
    names = public_names(tree) or set()
    return [n for n in tree.body if isinstance(n, Definition) and n.name in names]


def section(docstring: str, title: str) -> str:
    """The indented text below a heading such as `Args:`; empty where there is none."""
    match = re.search(rf"^{title}:\n((?:[ \t]+.*\n|\n)+)", docstring + "\n", re.MULTILINE)
    return match[1] if match else ""


def raises(function: Definition) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(function))


def docstring_problems(definition: Definition) -> list[str]:
    """What the docstring of a function or class leaves out."""
    docstring = inspect.cleandoc(ast.get_docstring(definition) or "")
    if not docstring:
        return ["has no docstring"]
    found = []
    if isinstance(definition, ast.ClassDef):
        return found
    arguments = definition.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    names += [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
    described = section(docstring, "Args")
    missing = [n for n in names if not re.search(rf"^\s+\**{n}\b.*:", described, re.MULTILINE)]
    if missing:
        found.append(f"does not describe {', '.join(missing)} under `Args:`")
    returns_none = isinstance(definition.returns, ast.Constant) and definition.returns.value is None
    if not returns_none and not section(docstring, "Returns") and not section(docstring, "Yields"):
        found.append("has no section `Returns:`")
    if raises(definition) and not section(docstring, "Raises"):
        found.append("raises an error and has no section `Raises:`")
    return found


@cache
def words_in_code(chapter: Path) -> frozenset[str]:
    """Every name and attribute in the code of a chapter."""
    nodes = [node for cell in code_cells(chapter) for node in ast.walk(syntax_tree(cell.source))]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return frozenset(names | {node.attr for node in nodes if isinstance(node, ast.Attribute)})


def chapter_problem(definition: Definition) -> str:
    """Why the chapter that a docstring names does not teach the function."""
    match = re.search(r"^Chapter: notebooks/(.+)$", ast.get_docstring(definition) or "", re.M)
    if match is None:
        return ""  # the test of docstrings says so
    chapter = ROOT / "notebooks" / match[1]
    if not chapter.exists():
        return f"names {match[1]}, which is not in notebooks/"
    if definition.name not in words_in_code(chapter):
        return f"names {match[1]}, whose code does not use it"
    return ""


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_public_functions_have_complete_docstrings(path):
    definitions = public_definitions(ast.parse(path.read_text(encoding="utf-8")))
    found = [f"{d.name} {problem}" for d in definitions for problem in docstring_problems(d)]
    assert not found, f"{module_name(path)}: " + "; ".join(found)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_chapter_named_by_a_docstring_uses_the_function(path):
    definitions = public_definitions(ast.parse(path.read_text(encoding="utf-8")))
    found = [f"{d.name} {problem}" for d in definitions if (problem := chapter_problem(d))]
    assert not found, f"{module_name(path)}: " + "; ".join(found)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent == LIBRARY], ids=module_name
)
def test_every_module_says_what_is_public(path):
    names = public_names(ast.parse(path.read_text(encoding="utf-8")))
    assert names is not None, f"{module_name(path)} has no __all__."


def test_the_package_offers_the_names_that_readers_rely_on():
    import diqa_utils as package  # light: it loads TensorFlow only when a function needs it

    missing = TOP_LEVEL - set(dir(package))
    assert not missing, f"diqa_utils does not offer {sorted(missing)}."


# The rules, on functions made up for them

GOOD = '''
def double(number: float, *, times: int = 1) -> float:
    """Returns twice the number.

    Args:
        number: any.
        times: how often, one or more.

    Returns:
        Twice the number.

    Raises:
        ValueError: if times is zero.

    Chapter: notebooks/03-error-maps.ipynb
    """
    if times < 1:
        raise ValueError("times")
    return 2 * number
'''


def problems_of(source: str) -> list[str]:
    return docstring_problems(ast.parse(source).body[0])


def test_a_complete_docstring_passes():
    assert problems_of(GOOD) == []
    assert problems_of('def draw() -> None:\n    """Draws."""') == []


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ("        times: how often, one or more.\n", "does not describe times"),
        ("    Returns:\n        Twice the number.\n", "no section `Returns:`"),
        ("    Raises:\n        ValueError: if times is zero.\n", "no section `Raises:`"),
    ],
)
def test_what_a_docstring_leaves_out_is_named(left_out, message):
    (problem,) = problems_of(GOOD.replace(left_out, ""))
    assert message in problem


def test_a_missing_docstring_is_named():
    assert problems_of("def f():\n    return 1") == ["has no docstring"]


def test_a_chapter_that_does_not_exist_is_named():
    definition = ast.parse(GOOD.replace("03-error-maps", "99-nothing")).body[0]
    assert "which is not in notebooks/" in chapter_problem(definition)
