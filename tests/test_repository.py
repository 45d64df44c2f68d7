"""The repository's address has one source, and git holds nothing that does not belong there."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
specification = importlib.util.spec_from_file_location(
    "set_repository", ROOT / "tools" / "set_repository.py"
)
set_repository = importlib.util.module_from_spec(specification)
specification.loader.exec_module(set_repository)

ADDRESS = set_repository.repository_address()
OWNER, NAME = set_repository.split_address(ADDRESS)
# In pieces, or the script would find it in this file and replace it.
FORK = "/".join(["https://github.com", "another-owner", "their-book"])
MOST_BYTES = 400_000


def files_in_git() -> list[Path]:
    """Every file that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []  # an unpacked archive: there is nothing to compare with
    paths = {ROOT / name for name in listing.decode().split("\0") if name}
    return sorted(path for path in paths if path.is_file())


FILES = files_in_git()
pytestmark = pytest.mark.skipif(not FILES, reason="this is not a git repository")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


# The address is the same everywhere


def foreign_addresses(text: str, address: str) -> list[str]:
    """Addresses that claim to be this repository's and are not.

    Colab links and installations from git can only mean this repository. Other addresses on
    GitHub do where the owner or the name is ours.
    """
    owner, name = set_repository.split_address(address)
    wrong = []
    places = r"(colab\.research\.google\.com/github|git\+https://github\.com|github\.com)"
    for match in re.finditer(rf"{places}/([\w.-]+)/([\w-]+(?:\.[\w-]+)*)", text):
        place, its_owner, its_name = match.groups()
        same = (its_owner == owner, its_name.removesuffix(".git") == name)
        if not all(same) and (place != "github.com" or any(same)):
            wrong.append(match[0])
    published = set_repository.pages_address(address)
    for match in re.finditer(r"https://([\w-]+)\.github\.io/([\w.-]*)", text):
        claims = match[1].lower() == owner.lower() or match[2] == name
        if claims and not f"{match[0]}/".startswith(published):
            wrong.append(match[0])
    return wrong


def test_every_address_of_the_repository_is_the_one_in_pyproject():
    wrong = [
        f"{relative(path)}: {address}"
        for path in FILES
        if path != Path(__file__)  # it makes up wrong ones
        for address in foreign_addresses(read(path), ADDRESS)
    ]
    assert not wrong, f"These are not addresses of {ADDRESS}: {wrong}"


def test_other_addresses_are_found():
    ours = f"{ADDRESS} {ADDRESS}.git {set_repository.pages_address(ADDRESS)}book/data.html"
    others = "https://github.com/someone/else https://numpy.github.io/page"
    assert foreign_addresses(f"{ours} {others}", ADDRESS) == []
    for wrong in [
        f"https://github.com/someone/{NAME}",
        f"https://github.com/{OWNER}/else",
        "https://colab.research.google.com/github/someone/else/blob/main/a.ipynb",
        "git+https://github.com/someone/else@main",
        f"https://{OWNER}.github.io/else/",
    ]:
        assert foreign_addresses(wrong, ADDRESS), f"{wrong} went unnoticed"


def test_documentation_address_follows_from_the_repository_address():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    expected = f'Documentation = "{set_repository.pages_address(ADDRESS)}"'
    assert expected in text, f"pyproject.toml shall have the line {expected}"


def test_settings_of_the_book_name_the_repository():
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert settings["repository"]["url"] == ADDRESS
    assert settings["repository"]["branch"] == "main"


@pytest.mark.parametrize("name", ["README.md", "CITATION.cff"])
def test_file_names_the_repository(name):
    assert ADDRESS in (ROOT / name).read_text(encoding="utf-8"), f"{name} does not name {ADDRESS}."


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=relative)
def test_colab_link_of_a_chapter_is_its_own_path(path):
    links = re.findall(r"https://colab\.research\.google\.com/github/[^)\s\"]+", read(path))
    slug = f"{OWNER}/{NAME}"
    own = f"https://colab.research.google.com/github/{slug}/blob/main/{relative(path)}"
    assert links == [own], f"{path.name} shall have one Colab link, {own}; it has {links}"


# A fork takes another address


@pytest.fixture
def copy(tmp_path):
    """The project in another folder, as git would hold it."""
    for path in FILES:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


def contents(root: Path) -> dict[Path, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path: path.read_bytes() for path in files}


def test_a_fork_changes_every_address_and_nothing_else(copy):
    before = contents(copy)
    changed = set_repository.set_repository(FORK, root=copy)
    after = contents(copy)

    assert set_repository.repository_address(copy) == FORK
    assert set(changed) == {path for path in after if before[path] != after[path]}
    for path, content in after.items():
        assert f"{OWNER}/{NAME}".encode() not in content, f"{path.name} has the old address"
        assert f"{OWNER}.github.io".encode() not in content, f"{path.name} has the old pages"
        if path.suffix == ".ipynb":
            json.loads(content)

    # Back again: every byte that is not part of an address is as it was.
    set_repository.set_repository(ADDRESS, root=copy)
    assert contents(copy) == before


def test_a_second_run_changes_nothing(copy):
    set_repository.set_repository(FORK, root=copy)
    before = contents(copy)
    assert set_repository.set_repository(FORK, root=copy) == {}
    assert contents(copy) == before


def test_each_form_of_the_address_is_replaced():
    old, new = "https://github.com/Old-Owner/book", "https://github.com/new/quality.book"
    before = (
        "git clone https://github.com/Old-Owner/book.git && cd book\n"
        "https://colab.research.google.com/github/Old-Owner/book/blob/main/a.ipynb\n"
        "https://old-owner.github.io/book/index.html and https://github.com/Old-Owner/book.\n"
        "if: github.repository == 'Old-Owner/book'\r\n"
    )
    after = (
        "git clone https://github.com/new/quality.book.git && cd quality.book\n"
        "https://colab.research.google.com/github/new/quality.book/blob/main/a.ipynb\n"
        "https://new.github.io/quality.book/index.html and https://github.com/new/quality.book.\n"
        "if: github.repository == 'new/quality.book'\r\n"
    )
    assert set_repository.replace_address(before, old, new) == after
    assert set_repository.replace_address(after, new, old) == before


def test_the_pages_of_an_owner_have_no_name():
    own_site = "https://github.com/Owner/owner.github.io"
    assert set_repository.pages_address(own_site) == "https://owner.github.io/"
    project = "https://github.com/Owner/book"
    text = f"{project} https://owner.github.io/book/a.html"
    moved = set_repository.replace_address(text, project, own_site)
    assert moved == f"{own_site} https://owner.github.io/a.html"
    assert set_repository.replace_address(moved, own_site, project) == text


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/owner/book-two",
        "https://github.com/owner/book.jl",
        "https://github.com/the-owner/book",
        "https://owner.github.io/bookshop/",
        "cd books",
    ],
)
def test_longer_names_are_left_alone(text):
    new = "https://github.com/new/name"
    assert set_repository.replace_address(text, "https://github.com/owner/book", new) == text


@pytest.mark.parametrize(
    "address",
    [
        "owner/name",
        "http://github.com/owner/name",
        "https://github.com/owner",
        "https://github.com/owner/name/",
        "https://github.com/owner/name.git",
        "https://github.com/-owner/name",
        "https://gitlab.com/owner/name",
        "https://github.com/OWNER/NAME; rm",
        "",
    ],
)
def test_an_address_of_another_form_is_refused(address, copy):
    before = contents(copy)
    with pytest.raises(ValueError, match="is not of the form"):
        set_repository.set_repository(address, root=copy)
    assert contents(copy) == before


def test_the_command_says_what_it_changed(copy):
    command = [sys.executable, str(copy / "tools" / "set_repository.py")]
    changed = subprocess.run([*command, FORK], capture_output=True, text=True)
    again = subprocess.run([*command, FORK], capture_output=True, text=True)
    refused = subprocess.run([*command, "owner/name"], capture_output=True, text=True)
    assert "pyproject.toml: 2 lines" in changed.stdout
    assert f"{ADDRESS} is now {FORK}" in changed.stdout
    assert again.stdout == f"Nothing to change: the address is {FORK} already.\n"
    assert (changed.returncode, again.returncode, refused.returncode) == (0, 0, 2)
    assert refused.stderr.count("\n") == 1


# What git holds


def test_no_file_names_a_folder_of_one_machine():
    # In an address a host stands before such a folder, and its last letter before the slash.
    folder = re.compile(r"(?<![\w.~}])/(?:work|root)/[\w./-]*")
    found = [f"{relative(path)}: {match}" for path in FILES for match in folder.findall(read(path))]
    assert not found, f"These folders exist on one machine only: {found}"


def test_git_holds_no_large_file():
    # The weights in the package have a limit of their own.
    files = [path for path in FILES if path.suffix != ".npz"]
    large = [relative(path) for path in files if path.stat().st_size > MOST_BYTES]
    assert not large, f"{large} are larger than {MOST_BYTES} bytes: let a script make them."
