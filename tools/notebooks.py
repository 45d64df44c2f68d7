"""Keep the notebooks of the book in the form in which git stores them.

    python tools/notebooks.py clean [NAMES]  strip what running a notebook leaves behind
    python tools/notebooks.py check [NAMES]  name every notebook that is not clean
    python tools/notebooks.py run [NAMES]    execute, and keep the outputs of the check cells

Git holds no outputs, with one exception: the few printed numbers of the cells tagged
`nbval-check-output`, which the text quotes and the tests compare. NAMES are files, or beginnings
of file names such as `03`; without them a command takes every notebook.
"""

import argparse
import json
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
SECONDS_PER_CELL = 300


def read(path: Path) -> NotebookNode:
    """Reads a notebook as it is, without mending anything."""
    return nbformat.from_dict(json.loads(path.read_text(encoding="utf-8")))


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return cell.cell_type == "code" and tag in cell.metadata.get("tags", [])


def printed(cell: NotebookNode) -> str:
    """Returns what a cell printed: no pictures, no warnings, no value of its last line."""
    streams = [output for output in cell.outputs if output.get("name") == "stdout"]
    return "".join("".join(output.text) for output in streams)


def is_right(cell: NotebookNode) -> bool:
    """Says whether a cell displayed that the answer to an exercise is right."""
    shown = [output for output in cell.outputs if output.output_type == "display_data"]
    return any(output.data.get("text/plain", "").endswith("that is right.") for output in shown)


def strip(notebook: NotebookNode) -> NotebookNode:
    """Strips, in place, what git does not store; doing it twice changes nothing more."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first format with cell ids
    code_cells = 0
    for number, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{number}")
        cell.source = "".join(cell.source).rstrip("\n")
        kept = {key: cell.metadata[key] for key in ("mystnb", "tags") if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            code_cells += 1
            text = printed(cell) if has_tag(cell, "nbval-check-output") else ""
            cell.outputs = [nbformat.v4.new_output("stream", text=text)] if text else []
            # nbval wants a number where there are outputs: the one that a fresh run gives.
            cell.execution_count = code_cells if text else None
    return notebook


def file_text(notebook: NotebookNode) -> str:
    """Returns what a notebook's file holds: sorted keys, an indent of 1, a newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def clean(path: Path) -> list[str]:
    """Rewrites a notebook without what git does not store; there is nothing to complain of."""
    path.write_text(file_text(strip(read(path))), encoding="utf-8")
    return []


def check(path: Path) -> list[str]:
    """Returns a sentence for everything that keeps a notebook from being stored."""
    notebook = strip(read(path))
    problems = [
        f"cell {number} is a check cell without output: `python tools/notebooks.py run` makes it"
        for number, cell in enumerate(notebook.cells)
        if has_tag(cell, "nbval-check-output") and not cell.outputs
    ]
    if path.read_text(encoding="utf-8") != file_text(notebook):
        problems.append("is not clean: `python tools/notebooks.py clean` mends it")
    return problems


def run(path: Path) -> list[str]:
    """Executes a notebook, and rewrites it with the fresh outputs of its check cells.

    Returns:
        A sentence for each exercise whose answer is not right with its solution, or is right
        before the reader has done anything.
    """
    notebook = strip(read(path))
    folder = {"metadata": {"path": str(path.parent)}}  # where a reader's kernel starts
    try:
        NotebookClient(notebook, timeout=SECONDS_PER_CELL, resources=folder).execute()
    except CellExecutionError as error:
        return [f"failed\n{error}"]
    problems = []
    for number, cell in enumerate(notebook.cells):
        if has_tag(cell, "solution") and not is_right(cell):
            problems.append(f"the solution in cell {number} is not right")
        if has_tag(cell, "exercise") and is_right(cell):
            problems.append(f"the exercise in cell {number} is right before it is solved")
    path.write_text(file_text(strip(notebook)), encoding="utf-8")
    return problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Clean, check or run the notebooks of the book.")
    parser.add_argument("command", choices=["clean", "check", "run"])
    parser.add_argument("names", nargs="*", default=[""], help="beginnings of names; default all")
    arguments = parser.parse_args()
    command = {"clean": clean, "check": check, "run": run}[arguments.command]
    stems = [Path(name).stem for name in arguments.names]
    paths = [path for stem in stems for path in sorted(NOTEBOOKS.glob(f"{stem}*.ipynb"))]
    if not paths:
        sys.exit(f"No notebook in {NOTEBOOKS} begins with {' or '.join(stems)}.")
    complaints = 0
    for path in paths:
        for problem in command(path):
            print(f"{path.name}: {problem}", flush=True)
            complaints += 1
    sys.exit(complaints > 0)
