"""Sphinx extension of this book: never stale outputs, figures, docstrings, no outside hosts.

It works for `make book` and for a plain `jupyter-book build .` alike.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import myst_nb.core.execute.cache
from book_inputs import execution_key, figures_key
from jupyter_cache.cache.main import JupyterCacheBase
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

#: The last line of a public function's docstring: where it is taught.
CHAPTER_LINE = "Chapter: "

LOGGER = logging.getLogger(__name__)


class ChapterCache(JupyterCacheBase):
    """A cache of executed chapters which sees a change of a cell's metadata.

    jupyter-cache compares the code alone, and gives a cell back with the metadata it had when it
    ran: an edited caption or alternative text would not reach the page.
    """

    def create_hashed_notebook(
        self,
        nb: Any,
        nb_metadata: Iterable[str] | None = ("kernelspec", "execution"),
        # A tag can decide whether a cell runs, or whether it may fail.
        cell_metadata: Iterable[str] | None = ("tags",),
    ) -> Any:
        """Hashes a notebook by its code and by the metadata that bears on its execution."""
        return super().create_hashed_notebook(nb, nb_metadata, cell_metadata)

    def merge_match_into_notebook(
        self,
        nb: Any,
        nb_meta: Iterable[str] | None = ("kernelspec", "language_info", "widgets"),
        cell_meta: Iterable[str] | None = (),  # of the cached cells: none
    ) -> Any:
        """Puts the stored outputs into a notebook, which keeps its own cell metadata."""
        return super().merge_match_into_notebook(nb, nb_meta, cell_meta)


def choose_execution(app: Sphinx, config: Config) -> None:
    """Points myst-nb to the outputs that were computed with the library as it is now.

    jupyter-cache knows a chapter's own code only. With one cache folder for each state of the
    library and its packages, a change of either runs every chapter again, while an edit of prose
    runs none. As the folder is part of the configuration, Sphinx then reads every page again too.
    """
    if os.environ.get("DIQA_BOOK_EXECUTE") == "off":
        config.nb_execution_mode = "off"
        return
    caches = Path(app.outdir).parent / ".jupyter_cache"
    key = execution_key(Path(app.srcdir))
    for old in caches.glob("*") if caches.is_dir() else []:
        if old.name != key:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    config.nb_execution_cache_path = str(caches / key)
    myst_nb.core.execute.cache.get_cache = ChapterCache


def make_figures(app: Sphinx) -> None:
    """Runs `tools/make_figures.py` if the pages' figures are missing or may be out of date."""
    root = Path(app.srcdir)
    script = root / "tools" / "make_figures.py"
    if not script.exists():
        return
    folder = root / "book" / "_figures"
    # The record names the figures, so that a deleted one is noticed.
    record = folder / ".made.json"
    key = figures_key(root)
    if record.exists():
        made = json.loads(record.read_text(encoding="utf-8"))
        if made["key"] == key and all((folder / name).exists() for name in made["figures"]):
            return
    LOGGER.info("making the figures of the pages in %s", folder.relative_to(root))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # In a process of its own: the figures' settings of matplotlib and TensorFlow stay there.
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); "
        "import make_figures; make_figures.main(pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(script.parent), str(folder)]
    result = subprocess.run(command, cwd=root, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise ExtensionError(f"tools/make_figures.py failed:\n{result.stderr}")
    figures = sorted(path.name for path in folder.iterdir())
    record.write_text(json.dumps({"key": key, "figures": figures}), encoding="utf-8")


def read_docstring(
    app: Sphinx, what: str, name: str, object_: object, options: Any, lines: list[str]
) -> None:
    """Makes a docstring, which is written for `help()`, read well as reStructuredText too."""
    for number, line in enumerate(lines):
        if line.startswith(CHAPTER_LINE):
            # A chapter that does not exist is a warning, and fails the build.
            chapter = line.removeprefix(CHAPTER_LINE).strip().removesuffix(".ipynb")
            lines[number] = f"Chapter: :doc:`/{chapter}`"
        else:
            # |x| is an absolute value here, not the name of a substitution. Code stays as it is.
            parts = re.split(r"(`[^`]*`)", line)
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            lines[number] = "".join(parts)


def remove_outside_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Drops Thebe's scripts, which are put on every page though Thebe is off.

    They name a host that would have to be reached; the book can be read without a network.
    """
    context["script_files"] = [
        script
        for script in context["script_files"]
        if "thebe" not in f"{script} {getattr(script, 'attributes', {}).get('body', '')}".lower()
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the functions above to Sphinx."""
    app.connect("config-inited", choose_execution)
    app.connect("builder-inited", make_figures)
    # Before napoleon, which splits the docstring into its sections.
    app.connect("autodoc-process-docstring", read_docstring, priority=400)
    app.connect("html-page-context", remove_outside_scripts, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
