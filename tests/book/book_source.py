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
PAGES = sorted((ROOT / "book").rglob("*.md"))
README = ROOT / "README.md"

# What these directives hold is Markdown as well; what others hold is code or settings.
TEXT_DIRECTIVES = {
    *("admonition", "attention", "caution", "danger", "error", "hint", "important", "note"),
    *("seealso", "tip", "warning", "dropdown", "epigraph", "glossary", "list-table", "margin"),
    *("figure", "table", "card", "grid", "grid-item-card", "tab-set", "tab-item", "sidebar"),
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


@dataclass(frozen=True)
class Text:
    """A piece of Markdown and its place: the cell of a chapter; nothing for a whole page."""

    file: str
    place: str
    markdown: str


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
            output="".join(_printed(output) for output in cell.get("outputs", [])),
        )
        for number, cell in enumerate(notebook["cells"])
    ]


def _printed(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return "".join(text)


def code_cells(path: Path) -> list[Cell]:
    return [cell for cell in read_chapter(path) if cell.kind == "code"]


def markdown_cells(path: Path) -> list[Cell]:
    return [cell for cell in read_chapter(path) if cell.kind == "markdown"]


def texts(path: Path) -> list[Text]:
    """The Markdown of a chapter, cell by cell with the captions, or that of a page."""
    if path.suffix != ".ipynb":
        return [Text(path.name, "", path.read_text(encoding="utf-8"))]
    found = []
    for cell in read_chapter(path):
        if cell.kind == "markdown":
            found.append(Text(path.name, f"cell {cell.number}", cell.source))
        caption = cell.figure.get("figure", {}).get("caption", "")
        alt = cell.figure.get("image", {}).get("alt", "")
        found += [
            Text(path.name, f"cell {cell.number}, {what}", text)
            for what, text in [("caption", caption), ("alt text", alt)]
            if text
        ]
    return found


@cache
def tokens(markdown: str) -> list[Token]:
    """The Markdown's tokens, with those of the text inside directives."""
    # Not fuzzy: the parser would take file names such as data.md for hosts.
    config = MdParserConfig(enable_extensions=_extensions(), linkify_fuzzy_links=False)
    parser = create_md_parser(config, RendererHTML)
    return list(_with_directives(parser.parse(markdown)))


@cache
def _extensions() -> set[str]:
    """The extensions of Markdown that the book is written in."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return set(settings["parse"]["myst_enable_extensions"])


def _with_directives(found: list[Token]) -> Iterator[Token]:
    for token in found:
        yield token
        name, _, _ = directive(token)
        if name in TEXT_DIRECTIVES:
            options = len(re.match(r"(?::[\w-]+:.*\n?)*", token.content)[0].splitlines())
            body = "\n".join(token.content.splitlines()[options:])
            for inner in tokens(body):
                copy = inner.copy()
                if inner.map and token.map:
                    offset = token.map[0] + 1 + options
                    copy.map = [line + offset for line in inner.map]
                yield copy


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


def headings(markdown: str) -> list[tuple[int, str]]:
    """Level and plain text of each heading."""
    found = tokens(markdown)
    return [
        (int(token.tag[1]), plain_text(found[index + 1]))
        for index, token in enumerate(found)
        if token.type == "heading_open"
    ]


def plain_text(inline: Token) -> str:
    """What a reader sees of a line of Markdown, without marks."""
    kinds = {"text", "code_inline", "math_inline"}
    return "".join(child.content for child in inline.children or [] if child.type in kinds)


def sections(markdown: str) -> dict[str, str]:
    """The text below each second-level heading, up to the next one."""
    parts = re.split(r"^## +(.+?) *$", markdown, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def python_code(source: str) -> str:
    """A cell's source without the lines that only IPython understands."""
    lines = source.split("\n")
    return "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in lines)


@cache
def syntax_tree(source: str) -> ast.Module:
    return ast.parse(python_code(source))
