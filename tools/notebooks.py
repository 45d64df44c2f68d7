"""Keep the notebooks of the book in the form in which git stores them.

    python tools/notebooks.py clean          strip what running a notebook leaves behind
    python tools/notebooks.py check          name every notebook that is not clean
    python tools/notebooks.py run [NAMES]    execute, and keep the outputs of the check cells

Git holds no outputs, with one exception: the few printed numbers of the cells tagged
`nbval-check-output`, which the text quotes and the tests compare. NAMES are files, or beginnings
of file names such as `03`; without them a command takes every notebook.
"""

import argparse
import sys
import time
from pathlib import Path
from textwrap import dedent

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
CHECK_TAG = "nbval-check-output"
INSTALL_TAGS = ["colab-install", "hide-cell"]
KEPT_CELL_METADATA = ("mystnb", "tags")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
SECONDS_PER_CELL = 300


def install_cell(address: str) -> str:
    """The source of the cell that installs the library in Colab; the same in every chapter."""
    return dedent(f"""\
        import sys

        if "google.colab" in sys.modules:
            %pip install -q git+{address}
    """).rstrip()


def colab_link(address: str, path: str) -> str:
    """The address that opens the notebook at this path of the repository in Colab."""
    slug = address.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{slug}/blob/main/{path}"


def is_check_cell(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and CHECK_TAG in cell.metadata.get("tags", [])


def read(text: str) -> NotebookNode:
    """Parse a notebook as it is, without mending anything."""
    notebook = nbformat.reader.reads(text)
    if notebook.nbformat != 4:
        raise ValueError(f"The notebook is in format {notebook.nbformat}; convert it to format 4.")
    return notebook


def write(notebook: NotebookNode) -> str:
    """The text of a notebook file: sorted keys, an indent of 1, a newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def clean(notebook: NotebookNode) -> NotebookNode:
    """Strip, in place, what git shall not store; doing it twice changes nothing more."""
    kept = {"mystnb": notebook.metadata.mystnb} if "mystnb" in notebook.metadata else {}
    notebook.metadata = nbformat.from_dict(METADATA | kept)
    notebook.nbformat_minor = 5  # the first format with cell ids
    ids = set()
    code_cells = 0
    for number, cell in enumerate(notebook.cells):
        if cell.get("id") in {None, *ids}:
            cell["id"] = f"cell-{number}"
        ids.add(cell["id"])
        cell.source = cell.source.rstrip("\n")
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in KEPT_CELL_METADATA if cell.metadata.get(key)}
        )
        if cell.cell_type != "code":
            continue
        code_cells += 1
        cell.outputs = _printed(cell.outputs, code_cells) if is_check_cell(cell) else []
        # nbval wants a number where there are outputs: the one that a fresh run gives.
        cell.execution_count = code_cells if cell.outputs else None
    return notebook


def _printed(outputs: list[NotebookNode], execution_count: int) -> list[NotebookNode]:
    """The outputs with text only: no images, no warnings, no metadata."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stdout":
            if kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
            else:
                kept.append(nbformat.v4.new_output("stream", name="stdout", text=output.text))
        elif output.output_type == "execute_result":
            text = {"text/plain": output.data["text/plain"]}
            result = nbformat.v4.new_output("execute_result", data=text)
            result.execution_count = execution_count
            kept.append(result)
    return kept


def clean_text(text: str) -> str:
    return write(clean(read(text)))


def problems(text: str) -> list[str]:
    """What `clean` would change in this notebook, and what only `run` can mend."""
    before, after = read(text), clean(read(text))
    found = []
    if before.metadata != after.metadata:
        found.append("the notebook's metadata differ from the common ones")
    for number, (old, new) in enumerate(zip(before.cells, after.cells, strict=True)):
        for key, what in [
            ("id", "has no id of its own"),
            ("source", "ends in empty lines"),
            ("metadata", "has metadata other than tags and mystnb"),
            ("outputs", "has outputs that do not belong in git"),
            ("execution_count", "has a wrong execution count"),
        ]:
            if old.get(key) != new.get(key):
                found.append(f"cell {number} {what}")
        if is_check_cell(new) and not new.outputs:
            found.append(f"cell {number} is a check cell without output: run the notebook")
    if not found and text != write(after):
        found.append("the file is not formatted as `clean` formats it")
    return found


def run(path: Path) -> list[str]:
    """Execute a notebook and write back the outputs of its check cells, and nothing else.

    Returns:
        A sentence for each exercise whose answer is not right with its solution, or is right
        before the reader has done anything.
    """
    from nbclient import NotebookClient

    stored = clean(read(path.read_text(encoding="utf-8")))
    executed = nbformat.from_dict(stored)
    folder = {"metadata": {"path": str(path.parent)}}  # where a reader's kernel starts
    NotebookClient(executed, timeout=SECONDS_PER_CELL, resources=folder).execute()
    for kept, fresh in zip(stored.cells, executed.cells, strict=True):
        if is_check_cell(kept):
            kept.outputs = fresh.outputs
    path.write_text(write(clean(stored)), encoding="utf-8")
    return _wrong_exercises(executed)


def _wrong_exercises(executed: NotebookNode) -> list[str]:
    found = []
    for number, cell in enumerate(executed.cells):
        tags = cell.metadata.get("tags", [])
        right = "Right." in "".join(output.get("text", "") for output in cell.get("outputs", []))
        if "solution" in tags and not right:
            found.append(f"the solution in cell {number} does not print 'Right.'")
        if "exercise" in tags and right:
            found.append(f"the exercise in cell {number} prints 'Right.' before it is solved")
    return found


def find(names: list[str], root: Path = ROOT) -> list[Path]:
    """The notebooks of these names; every notebook of the book where there are none."""
    every = sorted((root / "notebooks").glob("*.ipynb"))
    if not names:
        return every
    found = []
    for name in names:
        path = Path(name)
        matches = [path] if path.is_file() else [p for p in every if p.name.startswith(path.name)]
        if not matches:
            raise FileNotFoundError(f"No notebook is called {name} or begins with {name}.")
        found += matches
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Clean, check or run the notebooks of the book.")
    parser.add_argument("command", choices=["clean", "check", "run"])
    parser.add_argument("names", nargs="*", help="files, or beginnings of their names; default all")
    arguments = parser.parse_args()
    try:
        paths = find(arguments.names)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    commands = {"clean": _clean_file, "check": _check_file, "run": _run_file}
    succeeded = [commands[arguments.command](path) for path in paths]
    return 0 if all(succeeded) else 1


def _clean_file(path: Path) -> bool:
    before = path.read_text(encoding="utf-8")
    after = clean_text(before)
    if after != before:
        path.write_text(after, encoding="utf-8")
        print(f"{path.name}: cleaned")
    return True


def _check_file(path: Path) -> bool:
    found = problems(path.read_text(encoding="utf-8"))
    for problem in found:
        print(f"{path.name}: {problem}")
    return not found


def _run_file(path: Path) -> bool:
    from nbclient.exceptions import CellExecutionError

    start = time.monotonic()
    try:
        wrong = run(path)
    except CellExecutionError as error:
        print(f"{path.name}: failed\n{error}")
        return False
    print(f"{path.name}: {time.monotonic() - start:.0f} s")
    for problem in wrong:
        print(f"{path.name}: {problem}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
