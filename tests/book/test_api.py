"""The API reference has a page for each public module, and names every name of the top level."""

import importlib
import re
import sys

from book_source import ROOT

import diqa_utils

sys.path.insert(0, str(ROOT / "book" / "_ext"))

from diqa_book import API, list_modules, list_names, module_of

LIBRARY = ROOT / "diqa_utils"
PAGES = sorted((ROOT / API).rglob("*.md"))


def page_name(path):
    return path.relative_to(ROOT).with_suffix("").as_posix()


def public_modules():
    """Every module of the library, but for the package itself, that says what is public."""
    modules = []
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        has_names = "\n__all__ = " in path.read_text(encoding="utf-8")
        if has_names and len(parts) > 1 and not any(part.startswith("_") for part in parts):
            modules.append(importlib.import_module(".".join(parts)))
    return modules


def test_every_public_name_of_a_module_is_on_a_page():
    documented = [module_of(page_name(path)) for path in PAGES]
    shown = {(name, id(getattr(page, name))) for page in documented for name in page.__all__}
    for module in public_modules():
        hidden = [n for n in module.__all__ if (n, id(getattr(module, n))) not in shown]
        page = f"{API}{module.__name__.removeprefix('diqa_utils').replace('.', '/')}.md"
        assert not hidden, f"{hidden} of {module.__name__} are on no page: write {page}."


def test_tables_lead_to_every_name_of_the_top_level_and_to_every_module():
    pages = [page_name(path) for path in PAGES]
    entries = re.findall(r"^\| \{py:obj\}`(\w+) <", "\n".join(list_names(pages)), re.MULTILINE)
    assert sorted(entries) == sorted(diqa_utils.__all__)
    assert len(list(list_modules(pages))) == len(pages) + 2  # the head has two lines
