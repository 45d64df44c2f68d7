"""Give the project another address, for example after a fork.

    python tools/set_repository.py https://github.com/OWNER/NAME

The address has one source, `[project.urls] Repository` in pyproject.toml. This script rewrites it
there and wherever it is repeated: the book's settings, README, CITATION.cff, the Colab links and
install cells of the notebooks, the pages, the workflows. The address of the published book on
GitHub Pages follows from it. Nothing else in a file changes, and a second run changes nothing.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(
    r"https://github\.com/([A-Za-z0-9](?:-?[A-Za-z0-9]){0,38})/([A-Za-z0-9._-]*[A-Za-z0-9_-])"
)


def repository_address(root: Path = ROOT) -> str:
    """The address of the repository, from its one source."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["project"]["urls"]["Repository"]


def split_address(address: str) -> tuple[str, str]:
    """The owner and the name in `https://github.com/OWNER/NAME`."""
    match = ADDRESS.fullmatch(address)
    if match is None or match[2].endswith(".git"):
        raise ValueError(
            f"The address {address!r} is not of the form https://github.com/OWNER/NAME "
            "(no .git, no slash at the end)."
        )
    return match[1], match[2]


def pages_address(address: str) -> str:
    """Where GitHub Pages publishes the book of this repository, with a slash at the end."""
    owner, name = split_address(address)
    host = f"{owner.lower()}.github.io"
    # A repository called after the host is the owner's own site and is published at its root.
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def replace_address(text: str, old: str, new: str) -> str:
    """The same text with the new address in place of the old one, in each form it takes."""
    replacements = {
        "/".join(split_address(old)): "/".join(split_address(new)),
        _without_scheme(pages_address(old)): _without_scheme(pages_address(new)),
        f"cd {split_address(old)[1]}": f"cd {split_address(new)[1]}",
    }
    # One pass, so that what was just written is not replaced again. A longer name that only
    # begins or ends like ours belongs to somebody else.
    any_form = "|".join(re.escape(form) for form in sorted(replacements, key=len, reverse=True))
    ours = rf"(?<![\w.-])(?:{any_form})(?![\w-])(?!\.(?!git\b)\w)"
    return re.sub(ours, lambda match: replacements[match[0]], text)


def text_files(root: Path) -> list[Path]:
    """Every text file of the repository that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout.decode()
    paths = [root / name for name in sorted(set(listing.split("\0"))) if name]
    return [path for path in paths if path.is_file() and _is_text(path)]


def set_repository(address: str, root: Path = ROOT) -> dict[Path, int]:
    """Rewrite the address in all files; return how many lines changed in each."""
    old = repository_address(root)
    split_address(address)
    changed = {}
    # The source comes last: an interrupted run can simply be started again.
    for path in sorted(text_files(root), key=lambda path: path == root / "pyproject.toml"):
        before = path.read_bytes().decode("utf-8")  # not read_text: line ends stay as they are
        after = replace_address(before, old, address)
        if after != before:
            path.write_bytes(after.encode("utf-8"))
            changed[path] = sum(
                a != b for a, b in zip(before.split("\n"), after.split("\n"), strict=True)
            )
    return changed


def _without_scheme(address: str) -> str:
    return address.removeprefix("https://").rstrip("/")


def _is_text(path: Path) -> bool:
    try:
        content = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return "\0" not in content


def main() -> int:
    parser = argparse.ArgumentParser(description="Give the project another address.")
    parser.add_argument("address", help="https://github.com/OWNER/NAME")
    address = parser.parse_args().address
    try:
        old = repository_address()
        changed = set_repository(address)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"git cannot list the files of {ROOT}: {error}", file=sys.stderr)
        return 2
    for path, lines in changed.items():
        print(f"{path.relative_to(ROOT)}: {lines} line{'s' if lines > 1 else ''}")
    if changed:
        print(f"{old} is now {address}, in {len(changed)} files.")
    else:
        print(f"Nothing to change: the address is {address} already.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
