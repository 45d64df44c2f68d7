"""Find the numbers in prose and ask each one where it comes from.

A decimal number or a percentage that a reader meets in the text is a claim. It holds if

(a) a check cell of the same chapter prints it, or
(b) a marker follows it, `<!-- results: FILE.json#dotted.path -->`, and the value in
    benchmarks/results/FILE.json, rounded as printed, is equal; with `percent` before the end of
    the marker the value counts in hundredths, or
(c) its sentence or table row carries a citation or a link to its source, or
(d) it is a constant in the code of the chapter.

In code, formulas, addresses, comments, versions and the numbers of equations, exercises and
chapters nobody looks for claims.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from book_source import Cell, Text, syntax_tree, tokens
from markdown_it.token import Token

from benchmarks.quoting import CODE_MARKER, MARKER
from benchmarks.results import look_up, says

SOURCE = "\ue000"  # stands for a citation or an outside link
FIRST_MARKER = 0xE100  # one character of the private area for each results marker

NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>(?<!\d)[-−])?(?P<digits>\d+(?:[,\u202f]\d{3})+(?:\.\d+)?|\d*\.?\d+)"
    r"(?P<exponent>e[-+]?\d+)?(?P<percent>\s?(?:%|per\s?cent\b))?"
)

_LIST = r"(?:\s*(?:,|and|or|to|–|-|,\s*and|,\s*or)\s*\(?{0}\)?)*"
_VERSION = r"\d+(?:\.\d+)+(?:\.post\d+|rc\d+)?"
NOT_PROSE = [
    re.compile(r"\b(?:https?://|doi:|10\.\d{4,}/)\S+"),
    # Equation (3.1), exercises 3.1 and 3.2, chapter 3
    re.compile(
        r"\b(?:equation|eq\.|formula|exercise|section|chapter|figure|table|solution)s?"
        r"\s*\(?\d+(?:\.\d+)*\)?" + _LIST.format(r"\d+(?:\.\d+)+"),
        re.IGNORECASE,
    ),
    # Python 3.11, 3.12 and 3.13; TensorFlow ≥ 2.19; version 1.0; CC BY 4.0; 2.20.0
    re.compile(
        r"\b(?:python|tensorflow|keras|numpy|scipy|matplotlib|pillow|scikit-\w+|ipython|ipywidgets"
        r"|tfds|jupyter book|sphinx|cuda|colab|nbval|nbformat|version|release|cc by(?:-sa)?)s?"
        r"\s*(?:[<>=≥~]+\s*)?v?" + _VERSION + _LIST.format(_VERSION),
        re.IGNORECASE,
    ),
    re.compile(r"\bv?\d+\.\d+\.\d+(?:\.\w+)*"),
    re.compile(r"\bv\d+\.\d+"),
    re.compile(r"\b95\s?%\s+(?:confidence\s+|bootstrap\s+)?interval"),
]
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@dataclass(frozen=True)
class Number:
    """A number as it is printed, and what stands around it."""

    text: str
    value: Decimal
    decimals: int
    is_percentage: bool = False
    has_source: bool = False  # a citation or link in its sentence or table row
    marker: str = ""

    @property
    def is_claim(self) -> bool:
        """Decimal numbers and percentages are, except 0, 1 and all: those bound a range."""
        trivial = self.value in ({0, 100} if self.is_percentage else {0, 1})
        return (self.decimals > 0 or self.is_percentage) and not trivial


@dataclass(frozen=True)
class Evidence:
    """What the numbers of a text may be compared with."""

    printed: frozenset[Decimal] = frozenset()
    constants: frozenset[Decimal] = frozenset()
    results: Path = Path("benchmarks/results")
    equations: frozenset[str] = frozenset()


def numbers_in_line(line: str, markers: tuple[str, ...] = ()) -> list[Number]:
    """The numbers of a line of plain text, each with the marker that follows it."""
    line = line.replace("..", "–")
    for pattern in NOT_PROSE:
        line = pattern.sub(" ", line)
    found: list[Number] = []
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z“\"(*\ufffc])", line):
        pieces = re.split(f"([{chr(FIRST_MARKER)}-{chr(FIRST_MARKER + 0xFF)}])", sentence)
        for piece in pieces:
            if piece and FIRST_MARKER <= ord(piece[0]) <= FIRST_MARKER + 0xFF:
                marker = markers[ord(piece[0]) - FIRST_MARKER]
                if not found or found[-1].marker:
                    raise ValueError(f"the marker {marker} does not follow a number")
                found[-1] = replace(found[-1], marker=marker)
            else:
                numbers = [_number(match) for match in NUMBER.finditer(piece)]
                found += [replace(n, has_source=SOURCE in sentence) for n in numbers]
    return found


def _number(match: re.Match[str]) -> Number:
    digits = re.sub(r"[,\u202f]", "", match["digits"])
    sign = "-" if match["sign"] else ""
    _, _, fraction = digits.partition(".")
    exponent = match["exponent"] or ""
    return Number(
        text=match[0].strip(),
        value=Decimal(sign + digits + exponent),
        decimals=max(len(fraction) - int(exponent[1:] or 0), 0),
        is_percentage=bool(match["percent"]),
    )


def numbers_in(markdown: str) -> Iterator[tuple[int, Number]]:
    """The numbers in the prose of a Markdown text, each with its line, counted from 1."""
    for inline, in_sourced_row in _lines(tokens(markdown)):
        line, markers = _flatten(inline)
        if "<!-- results:" in line:
            raise ValueError("in a table, write a results marker without the bar |")
        for number in numbers_in_line(line, markers):
            sourced = number.has_source or in_sourced_row
            yield (inline.map or [0])[0] + 1, replace(number, has_source=sourced)


def _lines(found: list[Token]) -> Iterator[tuple[Token, bool]]:
    """Each line of text, and whether it stands in a table row that names its source.

    A row does by a citation, a link, or an entry in a column called "Source"; a citation in the
    header speaks for every row.
    """
    row: list[Token] | None = None
    header: list[str] = []
    for token in found:
        if token.type == "html_block" and "results:" in token.content:
            raise ValueError("a results marker stands on a line of its own, not after its number")
        if token.type == "thead_open":
            header = []
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            cells = [_flatten(cell)[0].strip() for cell in row]
            header = header or cells
            named = any(
                cell for title, cell in zip(header, cells, strict=False) if title == "Source"
            )
            from_source = SOURCE in "".join(header + cells) or (named and cells is not header)
            yield from ((cell, from_source) for cell in row)
            row = None
        elif token.type == "inline" and row is not None:
            row.append(token)
        elif token.type == "inline":
            yield token, False


def _flatten(inline: Token) -> tuple[str, tuple[str, ...]]:
    """A line as plain text, with one character for each thing that is no prose."""
    parts: list[str] = []
    markers: list[str] = []
    for child in inline.children or []:
        if child.type in {"text", "image"}:  # an image speaks by its alt text
            parts.append(child.content)
        elif child.type == "html_inline" and MARKER.fullmatch(child.content):
            parts.append(chr(FIRST_MARKER + len(markers)))
            markers.append(child.content)
        elif child.type == "html_inline" and "results:" in child.content:
            raise ValueError(f"{child.content} is not of the form <!-- results: FILE.json#path -->")
        elif child.type in {"softbreak", "hardbreak"}:
            parts.append(" ")
        elif _names_a_source(child):
            parts.append(SOURCE)
        elif child.type in {"code_inline", "math_inline", "myst_role"}:
            parts.append("\ufffc")
    return "".join(parts), tuple(markers)


def _names_a_source(token: Token) -> bool:
    """Whether this is a citation or a link that leaves the book."""
    if token.type == "link_open":
        return str(token.attrs["href"]).startswith("http")
    return token.type == "myst_role" and token.meta["name"].startswith("cite")


def equation_numbers(markdown: str) -> set[str]:
    """The numbers of the formulas of a text: the 3.1 of a `\\tag{3.1}`."""
    return set(re.findall(r"\\tag\{([^}]+)\}", markdown))


def constants(cells: Iterable[Cell]) -> frozenset[Decimal]:
    """The numbers that stand literally in the code of these cells."""
    nodes = (node for cell in cells for node in ast.walk(syntax_tree(cell.source)))
    values = (node.value for node in nodes if isinstance(node, ast.Constant))
    return frozenset(
        Decimal(repr(value)) for value in values if type(value) in (int, float) and value < 1e300
    )


def printed(cells: Iterable[Cell]) -> frozenset[Decimal]:
    """The numbers that the check cells among these cells print."""
    output = "\n".join(cell.output for cell in cells if cell.is_check)
    return frozenset(_number(match).value for match in NUMBER.finditer(output))


def unfounded_numbers(text: Text, evidence: Evidence) -> list[str]:
    """One sentence for each number of the text that nothing supports."""
    markdown = text.markdown
    for equation in evidence.equations:
        markdown = markdown.replace(f"({equation})", "")
    try:
        return [
            f"{text.file}, {text.place or f'line {line}'}: {number.text} {complaint}"
            for line, number in numbers_in(markdown)
            if (complaint := _complaint(number, evidence))
        ]
    except ValueError as error:
        return [f"{text.file}, {text.place or 'page'}: {error}."]


def _complaint(number: Number, evidence: Evidence) -> str:
    if number.marker:
        return _compare_with_result(number, evidence.results)
    if not number.is_claim or number.has_source:
        return ""
    known = evidence.printed | evidence.constants
    known |= {abs(value) for value in known}
    if number.value in known or (number.is_percentage and number.value / 100 in known):
        return ""
    return (
        "has no source: print it in a check cell of the chapter, put "
        "<!-- results: FILE.json#path --> after it, or cite or link where it comes from."
    )


def _compare_with_result(number: Number, results: Path) -> str:
    file, path, percent = MARKER.fullmatch(number.marker).groups()  # type: ignore[union-attr]
    try:
        value = look_up(file, path, results)
        if type(value) not in (int, float):
            raise ValueError(f"it holds {value!r}")
    except FileNotFoundError:
        return f"names benchmarks/results/{file}.json, which does not exist."
    except (KeyError, IndexError, ValueError) as error:
        return f"names {path} in {file}.json, where there is no number ({error!r})."
    value *= 100 if percent else 1
    if number.value >= 0:
        value = abs(value)  # the words around it say "falls by"
    if says(float(number.value), number.decimals, value):
        return ""
    return (
        f"is {value:.6g} in {file}.json#{path}: correct the text, by hand or with "
        "`python -m benchmarks quote`, or run the benchmark again."
    )


def numbers_missing_from(markdown: str, output: str) -> list[str]:
    """The numbers of a check cell's output that the text after it does not state."""
    stated = set()
    for match in NUMBER.finditer(markdown.replace("{,}", "")):  # formulas write 381{,}329
        value = _number(match).value
        stated |= {value, value / 100} if match["percent"] else {value}
    words = re.findall(r"[a-z]+", markdown.lower())
    stated |= {Decimal(WORDS.index(word)) for word in words if word in WORDS}
    stated |= {-value for value in stated}  # the words around it say "falls by"
    printed_numbers = [_number(match) for match in NUMBER.finditer(output)]
    return [number.text for number in printed_numbers if number.value not in stated]


def wrong_literals(source: str, results: Path) -> list[str]:
    """What a code cell claims to have from a results file and has not.

    A comment `# results: FILE.json#path.{}.to.values` stands above a dictionary of numbers, or of
    lists of them; each of its keys goes into the braces.
    """
    found = []
    for match in CODE_MARKER.finditer(source):
        below = ast.parse(source[match.end() :]).body[0]
        if not (isinstance(below, ast.Assign) and isinstance(below.value, ast.Dict)):
            found.append(f"{match[0]!r} does not stand above a dictionary")
            continue
        for key, stated in ast.literal_eval(below.value).items():
            value = look_up(match[1], match[2].format(key), results)
            pairs = zip(
                stated if isinstance(stated, list) else [stated],
                value if isinstance(value, list) else [value],
                strict=True,
            )
            for one, other in pairs:
                decimals = -int(Decimal(str(one)).as_tuple().exponent)
                if not says(one, decimals, other):
                    found.append(f"{key}: the cell says {one}, {match[1]}.json says {other}")
    return found
