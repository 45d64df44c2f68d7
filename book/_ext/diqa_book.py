"""Sphinx extension of this book: never stale outputs, figures, API reference, no outside hosts.

It works for `make book` and for a plain `jupyter-book build .` alike.
"""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import book_icons
import book_pages
from book_inputs import EXECUTION, FIGURES, inputs_key
from docutils import nodes
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

#: The page that leads to those of the modules.
API = "book/api"


def choose_execution(app: Sphinx, config: Config) -> None:
    """Points myst-nb to the outputs that were computed with the library as it is now.

    jupyter-cache knows a chapter's own code cells only. With one cache folder for each state of
    the library and its packages, a change of either runs every chapter again, while an edit of
    prose runs none. As the folder is part of the configuration, Sphinx then reads every page again.
    """
    if os.environ.get("DIQA_BOOK_EXECUTE") == "off":
        config.nb_execution_mode = "off"
        return
    caches = Path(app.outdir).parent / ".jupyter_cache"
    key = inputs_key(Path(app.srcdir), EXECUTION)
    for old in caches.glob("*"):
        if old.name != key:
            shutil.rmtree(old, ignore_errors=True)
    config.nb_execution_cache_path = str(caches / key)


def run_chapters(app: Sphinx) -> None:
    """Executes the chapters that have no outputs yet, as many at a time as there are cores.

    Sphinx would execute one after the other. What fails here is executed again by Sphinx, which
    says why.
    """
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    chapters = Path(app.srcdir, "notebooks").glob("*.ipynb")
    for chapter in sorted(chapters, key=turn):
        cache.add_nb_to_project(str(chapter))
    executor = load_executor("local-parallel", cache)
    executor.run_and_cache(timeout=app.config.nb_execution_timeout)


def turn(chapter: Path) -> tuple[bool, bool, str]:
    """Orders the chapters so that none waits for what another makes.

    Chapters 6, 7 and 8 take from each other what they train, so they stand first and in a row,
    which one process runs. The studies need none of it. The others need the database that chapter 6
    has built by then.
    """
    number = chapter.name[:2]
    return number not in {"06", "07", "08"}, number < "10", number


def make_figures(app: Sphinx) -> None:
    """Runs the scripts that draw the pages' figures if these may be out of date."""
    root = Path(app.srcdir)
    record = root / "book" / "_figures" / ".made-from"
    key = inputs_key(root, FIGURES)
    if record.exists() and record.read_text(encoding="utf-8") == key:
        return
    # In processes of their own: their settings of matplotlib and TensorFlow stay there.
    scripts = {
        name: subprocess.Popen(
            [sys.executable, str(root / "tools" / name)], stderr=subprocess.PIPE, text=True
        )
        for name in ("make_figures.py", "make_landing.py")
    }
    errors = {name: script.communicate()[1] for name, script in scripts.items()}
    for name, script in scripts.items():
        if script.returncode != 0:
            raise ExtensionError(f"tools/{name} failed:\n{errors[name]}")
    record.write_text(key, encoding="utf-8")


def module_of(page: str) -> ModuleType:
    """Returns the module that a page of the API reference is about."""
    return importlib.import_module("diqa_utils" + page.removeprefix(API).replace("/", "."))


def list_modules(pages: Iterable[str]) -> Iterator[str]:
    """Yields the lines of a Markdown table of the modules."""
    yield from ("| Module | What it holds |", "|---|---|")
    for page in pages:
        yield f"| {{doc}}`/{page}` | {summary(module_of(page))} |"


def list_names(pages: Iterable[str]) -> Iterator[str]:
    """Yields the lines of a Markdown table of what `diqa_utils` passes on."""
    package = importlib.import_module("diqa_utils")
    yield from ("| Name | What it does, and its module |", "|---|---|")
    for page in pages:
        module = module_of(page)
        own = {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
        for path, thing in ({module.__name__: module} | own).items():
            name = path.rpartition(".")[2]
            if name in package.__all__ and getattr(package, name) is thing:
                yield f"| {{py:obj}}`{name} <{path}>` | {summary(thing)} In {{doc}}`/{page}`. |"


def summary(thing: object) -> str:
    """Returns the first line of a docstring, for a cell of a Markdown table."""
    return escape_bars((inspect.getdoc(thing) or "").partition("\n")[0])


def escape_bars(text: str) -> str:
    """Makes |x| an absolute value: no border of a cell, no name of a substitution."""
    return re.sub(r"(`[^`]*`)|\|", lambda match: match[1] or r"\|", text)


class ApiTable(SphinxDirective):
    """A table of the API reference: the `names` of the top level, or the `modules`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Makes the table, in the order of `_toc.yml`."""
        lines = {"names": list_names, "modules": list_modules}[self.arguments[0]]
        pages = self.env.external_site_map[API].child_files()
        return self.parse_text_to_nodes("\n".join(lines(pages)))


def read_docstring(
    app: Sphinx, what: str, name: str, object_: object, options: Any, lines: list[str]
) -> None:
    """Makes a docstring, which is written for `help()`, read well as reStructuredText too."""
    for number, line in enumerate(lines):
        # A chapter that does not exist is a warning, and fails the build.
        lines[number] = re.sub(r"^Chapter: (.+)\.ipynb$", r"Chapter: :doc:`/\1`", escape_bars(line))


def remove_outside_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Drops Thebe's scripts, which are put on every page though Thebe is off.

    They name a host that would have to be reached; the book can be read without a network. Nor has
    the first page its title twice in the browser's.
    """
    if pagename == app.config.root_doc:
        context["docstitle"] = ""
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script} {getattr(script, 'attributes', {}).get('body', '')}".lower()
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the functions above to Sphinx."""
    book_pages.setup(app)
    book_icons.setup(app)
    app.add_directive("api-table", ApiTable)
    app.connect("config-inited", choose_execution)
    app.connect("builder-inited", make_figures)
    app.connect("builder-inited", run_chapters)
    # Before napoleon, which splits the docstring into its sections.
    app.connect("autodoc-process-docstring", read_docstring, priority=400)
    app.connect("html-page-context", remove_outside_scripts, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
