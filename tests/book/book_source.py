"""Read the sources of the book: chapters, pages and their Markdown.

The Markdown is parsed by the parser that builds the book, so that the tests and the book agree on
what is text, code, maths or a comment.
"""

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

ROOT = Path(__file__).resolve().parents[2]

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [ROOT / "index.md", *sorted((ROOT / "book").rglob("*.md"))]
README = ROOT / "README.md"

# What these directives hold is Markdown as well; what others hold is code or settings.
TEXT_DIRECTIVES = {
    "admonition",
    "dropdown",
    "figure",
    "gallery",
    "glossary",
    "note",
    "tip",
    "warning",
}


def load_tool(name: str) -> ModuleType:
    """The module in tools/ of this name; by path, for notebooks/ is a folder as well."""
    specification = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Cell:
    """One cell of a notebook; numbers count from 0, as in `notebook["cells"][0]`."""

    number: int
    kind: str
    source: str
    tags: list[str] = field(default_factory=list)
    figure: dict[str, Any] = field(default_factory=dict)  # the `mystnb` metadata
    output: str = ""  # what a check cell printed

    @property
    def is_check(self) -> bool:
        return "nbval-check-output" in self.tags


@cache
def read_chapter(path: Path) -> list[Cell]:
    """All cells of a notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [
        Cell(
            number=number,
            kind=cell["cell_type"],
            source="".join(cell["source"]),
            tags=cell["metadata"].get("tags", []),
            figure=cell["metadata"].get("mystnb", {}),
            output="".join(
                line for output in cell.get("outputs", []) for line in output.get("text", "")
            ),
        )
        for number, cell in enumerate(notebook["cells"])
    ]


def code_cells(path: Path) -> list[Cell]:
    return [cell for cell in read_chapter(path) if cell.kind == "code"]


def markdown_cells(path: Path) -> list[Cell]:
    return [cell for cell in read_chapter(path) if cell.kind == "markdown"]


@cache
def syntax_tree(source: str) -> ast.Module:
    """The tree of a cell's code without the lines that only IPython understands."""
    return ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", source, flags=re.MULTILINE))


def texts(path: Path) -> list[str]:
    """The Markdown of a page, or that of a chapter cell by cell, captions and alt texts too."""
    if path.suffix != ".ipynb":
        return [path.read_text(encoding="utf-8")]
    figures = [cell.figure for cell in code_cells(path)]
    captions = [figure.get("figure", {}).get("caption", "") for figure in figures]
    alternatives = [figure.get("image", {}).get("alt", "") for figure in figures]
    return [*(cell.source for cell in markdown_cells(path)), *captions, *alternatives]


@cache
def tokens(markdown: str) -> list[Token]:
    """The Markdown's tokens, with those of the text inside directives."""
    # Not fuzzy: the parser would take file names such as data.md for hosts.
    config = MdParserConfig(enable_extensions=_extensions(), linkify_fuzzy_links=False)
    found = []
    for token in create_md_parser(config, RendererHTML).parse(markdown):
        found.append(token)
        if directive(token)[0] in TEXT_DIRECTIVES:
            found += tokens(re.sub(r"^:[\w-]+:.*\n", "", token.content, flags=re.MULTILINE))
    return found


@cache
def _extensions() -> set[str]:
    """The extensions of Markdown that the book is written in."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return set(settings["parse"]["myst_enable_extensions"])


def directive(token: Token) -> tuple[str, str, dict[str, str]]:
    """Name, argument and options of a directive; an empty name for any other token."""
    match = re.match(r"\{([\w:-]+)\}\s*(.*)", token.info)
    if token.type not in {"fence", "colon_fence"} or match is None:
        return "", "", {}
    options = dict(re.findall(r"^:([\w-]+):[ \t]*(.*)$", token.content, re.MULTILINE))
    return match[1], match[2].strip(), options


def inline_tokens(markdown: str) -> Iterator[Token]:
    """Links, images, roles and the other tokens inside the lines of a text."""
    for token in tokens(markdown):
        yield from token.children or []


def headings(path: Path) -> list[tuple[int, str]]:
    """Level of each heading of a page or chapter, and its text without marks."""
    found = [token for text in texts(path) for token in tokens(text)]
    return [
        (int(token.tag[1]), "".join(child.content for child in inline.children or []))
        for token, inline in pairwise(found)
        if token.type == "heading_open"
    ]


def sections(markdown: str) -> dict[str, str]:
    """The text below each second-level heading, up to the next one."""
    parts = re.split(r"^## +(.+?) *$", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
