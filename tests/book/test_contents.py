"""The table of contents, the folders, links, anchors, labels and images fit together."""

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
    plain_text,
    read_chapter,
    texts,
    tokens,
)
from myst_parser.mdit_to_docutils.base import default_slugify
from repository_address import ADDRESS, PUBLISHED

notebooks = load_tool("notebooks")
BOOK = [*CHAPTERS, *PAGES]
FIGURE_SCRIPT = (ROOT / "tools" / "make_figures.py").read_text(encoding="utf-8")


def file_name(path: Path) -> str:
    return path.name


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


def without_suffix(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


@cache
def table_of_contents() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [re.sub(r"\.(md|ipynb)$", "", file) for file in toc_files(toc)]


def test_every_entry_of_the_table_of_contents_is_a_file():
    missing = set(table_of_contents()) - {without_suffix(path) for path in BOOK}
    assert not missing, f"_toc.yml names {sorted(missing)}, which are not in notebooks/ or book/."


def test_every_chapter_and_page_is_in_the_table_of_contents_once():
    count = Counter(table_of_contents())
    wrong = [without_suffix(path) for path in BOOK if count[without_suffix(path)] != 1]
    assert not wrong, f"_toc.yml shall name each of these once: {wrong}."


def test_chapters_stand_in_the_order_of_their_numbers():
    listed = [file for file in table_of_contents() if file.startswith("notebooks/")]
    assert listed == sorted(listed), f"_toc.yml lists the chapters in this order: {listed}."


# Headings


def misplaced_headings(markdown: str) -> list[str]:
    """What is wrong with the headings of a whole document."""
    found = headings(markdown)
    levels = [level for level, _ in found]
    if levels[:1] != [1] or levels.count(1) != 1:
        return [f"has {levels.count(1)} first-level headings; it shall begin with its only one"]
    return [
        f"heading {title!r} is of level {level} below one of level {above}"
        for (above, _), (level, title) in pairwise(found)
        if level > above + 1
    ]


def whole_text(path: Path) -> str:
    places = [text.markdown for text in texts(path) if "," not in text.place]
    return "\n\n".join(places)


@pytest.mark.parametrize("path", [*BOOK, README], ids=file_name)
def test_headings_nest(path):
    found = misplaced_headings(whole_text(path))
    assert not found, f"{path.name}: " + "; ".join(found)


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("## A", "has 0 first-level headings"),
        ("# A\n\n# B", "has 2 first-level headings"),
        ("# A\n\n### B", "'B' is of level 3 below one of level 1"),
    ],
)
def test_misplaced_headings_are_named(markdown, message):
    assert message in misplaced_headings(markdown)[0]
    assert misplaced_headings("# A\n\n## B\n\n### C\n\n## D\n\n```python\n# no heading\n```") == []


# Links and anchors


@cache
def anchors(path: Path) -> set[str]:
    """What `#...` may name in a file: its headings as GitHub spells them, and its labels."""
    slugs: Counter[str] = Counter()
    found = set()
    for _, title in headings(whole_text(path)):
        slug = default_slugify(title)
        found.add(f"{slug}-{slugs[slug]}" if slugs[slug] else slug)
        slugs[slug] += 1
    return found | labels(path)


@cache
def labels(path: Path) -> set[str]:
    """The labels that a file gives to its headings, figures, formulas and directives."""
    found = set()
    for token in tokens(whole_text(path)):
        options = directive(token)[2]
        found |= {options[key] for key in ("name", "label") if key in options}
        if "id" in token.attrs:
            found.add(str(token.attrs["id"]))
        if token.type == "myst_target":
            found.add(token.content)
        elif token.type == "math_block_label":
            found.add(token.info)
    if path.suffix == ".ipynb":
        found |= {cell.figure.get("figure", {}).get("name") for cell in read_chapter(path)} - {None}
    return found


def links(path: Path) -> list[str]:
    """The targets of all links of a file."""
    found = [token for text in texts(path) for token in inline_tokens(text.markdown)]
    return [str(token.attrs["href"]) for token in found if token.type == "link_open"]


def local_target(link: str) -> str | None:
    """The path in the repository that an address of this project shows; None for others."""
    for beginning in (f"{ADDRESS}/blob/main/", f"{ADDRESS}/tree/main/"):
        if link.startswith(beginning):
            return link.removeprefix(beginning)
    if link.startswith(PUBLISHED):
        page = link.removeprefix(PUBLISHED).partition("#")[0]
        stem = page.removesuffix(".html")
        found = [path for path in BOOK if without_suffix(path) == stem]
        return found[0].relative_to(ROOT).as_posix() if found or page else "README.md"
    return None


def broken_link(link: str, path: Path) -> str:
    """Why a link of this file leads nowhere; nothing if it leads somewhere."""
    if link.startswith(("http://", "https://")):
        target = local_target(link)
        return (
            "" if target is None or (ROOT / target.partition("#")[0]).exists() else "no such file"
        )
    if link.startswith("mailto:"):
        return ""
    name, _, anchor = unquote(link).partition("#")
    target_path = (path.parent / name).resolve() if name else path
    if not target_path.exists():
        return "no such file"
    if anchor and target_path.suffix in {".md", ".ipynb"} and anchor not in anchors(target_path):
        return f"no such heading or label in {target_path.name}"
    return ""


@pytest.mark.parametrize("path", [*BOOK, README], ids=file_name)
def test_links_lead_somewhere(path):
    broken = [f"{link} ({why})" for link in links(path) if (why := broken_link(link, path))]
    assert not broken, f"{path.name} has links that lead nowhere: " + ", ".join(broken)


def test_broken_links_are_found(tmp_path):
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    page.write_text("# A page\n\n(here)=\n## One & two\n\n## One & two")
    other.write_text("# Other")
    good = ["other.md", "other.md#other", "#one--two", "#one--two-1", "#here", "https://a.org/b"]
    assert [broken_link(link, page) for link in good] == [""] * len(good)
    assert broken_link("nowhere.md", page) == "no such file"
    assert broken_link("other.md#nothing", page) == "no such heading or label in other.md"
    assert broken_link(f"{ADDRESS}/blob/main/nowhere.md", page) == "no such file"


@pytest.mark.parametrize("path", [*BOOK, README], ids=file_name)
def test_colab_links_name_a_chapter(path):
    opened = [link for link in links(path) if "colab.research.google.com/github" in link]
    existing = {notebooks.colab_link(ADDRESS, f"{without_suffix(c)}.ipynb") for c in CHAPTERS}
    wrong = set(opened) - existing
    assert not wrong, f"{path.name} has Colab links that open no chapter: {sorted(wrong)}"


# Roles


def citation_keys() -> list[str]:
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    return re.findall(r"^\s*@\w+\s*\{\s*([^,\s]+)\s*,", bibliography, re.MULTILINE)


def glossary_terms() -> set[str]:
    pages = [token for path in PAGES for token in tokens(whole_text(path))]
    glossaries = [token for token in pages if directive(token)[0] == "glossary"]
    terms = set()
    for glossary in glossaries:
        found = tokens(re.sub(r"^:[\w-]+:.*\n", "", glossary.content, flags=re.MULTILINE))
        terms |= {plain_text(found[i + 1]) for i, t in enumerate(found) if t.type == "dt_open"}
        terms |= {line for line in glossary.content.splitlines() if re.match(r"[^\s:]", line)}
    return {term.lower() for term in terms}


def unknown_role_targets(path: Path, known: dict[str, set[str]]) -> list[str]:
    """The targets of roles in this file that name nothing."""
    roles = [
        (token.meta["name"].partition(":")[0], token.content)
        for text in texts(path)
        for token in inline_tokens(text.markdown)
        if token.type == "myst_role"
    ]
    found = []
    for name, content in roles:
        explicit = re.search(r"<([^>]+)>$", content)
        target = explicit[1] if explicit else content
        if name.startswith("cite"):
            unknown = [key.strip() for key in target.split(",")]
            unknown = [key for key in unknown if key not in known["cite"]]
        elif name == "doc":
            folder = ROOT if target.startswith("/") else path.parent
            file = (folder / target.lstrip("/")).resolve()
            unknown = [] if any(file == page.with_suffix("") for page in BOOK) else [target]
        elif name == "term":
            unknown = [target] if target.lower() not in known["term"] else []
        elif name in {"ref", "numref", "eq"}:
            unknown = [target] if target not in known["label"] else []
        else:
            continue
        found += [f"{{{name}}}`{key}`" for key in unknown]
    return found


@pytest.mark.parametrize("path", BOOK, ids=file_name)
def test_roles_name_existing_citations_labels_pages_and_terms(path):
    every_label = set().union(*(labels(other) for other in BOOK))
    known = {"cite": set(citation_keys()), "label": every_label, "term": glossary_terms()}
    unknown = unknown_role_targets(path, known)
    assert not unknown, f"{path.name} refers to what does not exist: {', '.join(unknown)}"


def test_unknown_role_targets_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "{cite:p}`kim2019,nobody` {ref}`words <fig-a>` {numref}`fig-b` {doc}`/book/nowhere` "
        "{term}`error map` {term}`thing`"
    )
    known = {"cite": {"kim2019"}, "label": {"fig-a"}, "term": {"error map"}}
    assert unknown_role_targets(page, known) == [
        "{cite}`nobody`",
        "{numref}`fig-b`",
        "{doc}`/book/nowhere`",
        "{term}`thing`",
    ]


def test_labels_and_citation_keys_are_unique():
    if (ROOT / "book" / "references.bib").exists():
        twice = [key for key, count in Counter(citation_keys()).items() if count > 1]
        assert not twice, f"references.bib has these keys twice: {twice}"
    count = Counter(label for path in BOOK for label in labels(path))
    twice = [label for label, times in count.items() if times > 1]
    assert not twice, f"These labels stand in more than one file: {twice}"


# Images


def images(markdown: str) -> list[tuple[str, str]]:
    """Address and alt text of each image, however it is written."""
    found = []
    for token in [*tokens(markdown), *inline_tokens(markdown)]:
        name, argument, options = directive(token)
        if name in {"image", "figure"}:
            found.append((argument, options.get("alt", "")))
        elif token.type == "image":
            found.append((str(token.attrs["src"]), token.content))
        elif token.type in {"html_inline", "html_block"}:
            for tag in re.findall(r"<img\s[^>]*>", token.content):
                attributes = dict(re.findall(r"([\w-]+)=\"([^\"]*)\"", tag))
                found.append((attributes.get("src", ""), attributes.get("alt", "")))
    return found


def bad_images(markdown: str, folder: Path) -> list[str]:
    found = []
    for address, alt in images(markdown):
        if not alt.strip():
            found.append(f"image {address} has no alt text")
        if re.match(r"(https?:)?//", address):
            found.append(f"image {address} is fetched from another host: keep a copy in book/")
        elif address.startswith("_figures/"):
            if f'"{Path(address).name}": ' not in FIGURE_SCRIPT:
                found.append(f"image {address} is not drawn by tools/make_figures.py")
        elif not (folder / unquote(address)).exists():
            found.append(f"image {address} does not exist")
    return found


@pytest.mark.parametrize("path", [*BOOK, README], ids=file_name)
def test_images_are_local_and_have_alt_text(path):
    found = [bad for text in texts(path) for bad in bad_images(text.markdown, path.parent)]
    assert not found, f"{path.name}: " + "; ".join(found)


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("![](here.png)", "image here.png has no alt text"),
        ("Text ![a](https://example.org/a.png)", "is fetched from another host"),
        ('<img src="//example.org/a.png" alt="a">', "is fetched from another host"),
        ("![a](nowhere.png)", "image nowhere.png does not exist"),
        ("```{figure} here.png\n:name: a\n\nA caption.\n```", "image here.png has no alt text"),
    ],
)
def test_bad_images_are_found(markdown, message, tmp_path):
    (tmp_path / "here.png").touch()
    assert message in bad_images(markdown, tmp_path)[0]
    assert bad_images('![a](here.png) <img src="here.png" alt="b">', tmp_path) == []


# Outputs


@pytest.mark.parametrize("path", CHAPTERS, ids=file_name)
def test_notebook_is_clean(path):
    found = notebooks.problems(path.read_text(encoding="utf-8"))
    assert not found, (
        f"{path.name}: {'; '.join(found)}. `python tools/notebooks.py clean` mends most of it, "
        "`python tools/notebooks.py run` makes the outputs of check cells."
    )
