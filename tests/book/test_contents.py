"""The table of contents, the folders, links, anchors and images fit together."""

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from book_source import (
    CHAPTERS,
    PAGES,
    README,
    ROOT,
    directive,
    headings,
    inline_tokens,
    load_tool,
    read_chapter,
    texts,
    tokens,
)
from myst_parser.mdit_to_docutils.base import default_slugify
from repository_address import ADDRESS, COLAB, PUBLISHED

BOOK = [*CHAPTERS, *PAGES]
FIGURE_SCRIPTS = "".join(
    (ROOT / "tools" / name).read_text(encoding="utf-8")
    for name in ("make_figures.py", "make_landing.py")
)


def file_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


every_page = pytest.mark.parametrize("path", [*BOOK, README], ids=file_name)


# Table of contents


def toc_files(entry: object) -> list[str]:
    """The files of the table of contents, in reading order."""
    if isinstance(entry, list):
        return [file for item in entry for file in toc_files(item)]
    if not isinstance(entry, dict):
        return []
    own = [entry[key] for key in ("root", "file") if key in entry]
    parts = [entry[key] for key in ("parts", "chapters", "sections") if key in entry]
    return own + toc_files(parts)


def test_the_table_of_contents_has_each_page_once_and_the_chapters_in_order():
    files = toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    assert sorted(files) == sorted(page_name(path) for path in BOOK)
    chapters = [file for file in files if file.startswith("notebooks/")]
    assert chapters == sorted(chapters)


# Headings


@every_page
def test_headings_nest(path):
    found = headings(path)
    assert [level for level, _ in found].count(1) == 1
    assert found[0][0] == 1
    for (above, _), (level, title) in pairwise(found):
        assert level <= above + 1, f"{title!r} is of level {level} below one of level {above}"


# Links and anchors


@cache
def anchors(path: Path) -> set[str]:
    """What `#...` may name in a file: its headings as GitHub spells them, and its labels."""
    slugs: Counter[str] = Counter()
    found = set()
    for _, title in headings(path):
        slug = default_slugify(title)
        found.add(f"{slug}-{slugs[slug]}" if slugs[slug] else slug)
        slugs[slug] += 1
    for token in [token for text in texts(path) for token in tokens(text)]:
        options = directive(token)[2]
        found |= {options[key] for key in ("name", "label") if key in options}
        if "id" in token.attrs:
            found.add(str(token.attrs["id"]))
        if token.type == "myst_target":
            found.add(token.content)
        elif token.type == "math_block_label":
            found.add(token.info)
    if path.suffix == ".ipynb":
        found |= {cell.figure.get("figure", {}).get("name") for cell in read_chapter(path)}
    return found


def links(path: Path) -> list[str]:
    """The targets of all links of a file."""
    found = [token for text in texts(path) for token in inline_tokens(text)]
    return [str(token.attrs["href"]) for token in found if token.type == "link_open"]


def leads_somewhere(link: str, path: Path) -> bool:
    """Whether a link of this file does, as far as it leads to what is in this repository."""
    for beginning in (COLAB, f"{ADDRESS}/blob/main/", f"{ADDRESS}/tree/main/"):
        if link.startswith(beginning):
            return (ROOT / link.removeprefix(beginning).partition("#")[0]).exists()
    if link.startswith(PUBLISHED):
        page = re.split("[?#]", link.removeprefix(PUBLISHED))[0].removesuffix(".html")
        return page in {"", load_tool("make_pdf").PDF.name, *map(page_name, BOOK)}
    if link.startswith(("http://", "https://", "mailto:")):
        return True
    name, _, anchor = unquote(link).partition("#")
    target = (path.parent / name).resolve() if name else path
    if anchor and target.suffix in {".md", ".ipynb"}:
        return target.exists() and anchor in anchors(target)
    return target.exists()


@every_page
def test_links_lead_somewhere(path):
    broken = [link for link in links(path) if not leads_somewhere(link, path)]
    assert not broken, f"{path.name} has links that lead nowhere: {broken}"


DOI = re.compile(r"https://doi\.org/(\S+)")


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_sources_are_in_the_bibliography(path):
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8").lower()
    linked = {match[1].lower() for link in links(path) if (match := DOI.fullmatch(unquote(link)))}
    missing = [doi for doi in sorted(linked) if doi not in bibliography]
    assert not missing, f"{path.name} links sources that book/references.bib lacks: {missing}"


# What Colab and GitHub show as it is written


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_text_of_a_chapter_reads_well_outside_the_book(path):
    text = "\n".join(texts(path))
    roles = re.findall(r"\{(?:cite|ref|doc|numref|eq|term)\b[^}]*\}`[^`]*`", text)
    assert not roles, f"{path.name} has roles that only the book understands: {roles}"
    apart = re.findall(r".{0,30}\s<!-- results", text)
    assert not apart, f"{path.name} has a space between a number and its comment: {apart}"


# Images


def images(markdown: str) -> list[tuple[str, str]]:
    """Address and alt text of each image, however it is written."""
    found = []
    for token in [*tokens(markdown), *inline_tokens(markdown)]:
        name, argument, options = directive(token)
        if name in {"image", "figure", "gallery"}:
            found.append((argument, options.get("alt", "")))
        elif token.type == "image":
            found.append((str(token.attrs["src"]), token.content))
    return found


@every_page
def test_images_are_local_and_have_alt_text(path):
    for address, alt in [image for text in texts(path) for image in images(text)]:
        assert alt.strip(), f"image {address} has no alt text"
        if "_figures/" in address:
            drawn = f'"{Path(address).name}"' in FIGURE_SCRIPTS
            assert drawn, f"image {address} is drawn by no script of tools/"
        else:
            assert (path.parent / unquote(address)).exists(), f"there is no image {address}"


# Outputs


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_notebook_is_clean(path):
    problems = load_tool("notebooks").check(path)
    assert not problems, f"{path.name}: {'; '.join(problems)}"
