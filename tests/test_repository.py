"""The repository's address has one source, and git holds nothing that does not belong there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from repository_address import ADDRESS, NAME, OWNER, PUBLISHED

ROOT = Path(__file__).resolve().parents[1]
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


def foreign_addresses(text: str) -> list[str]:
    """Addresses that claim to be this repository's and are not.

    Colab links and installations from git can only mean this repository. Other addresses on
    GitHub do where the owner or the name is ours.
    """
    wrong = []
    places = r"(colab\.research\.google\.com/github|git\+https://github\.com|github\.com)"
    for match in re.finditer(rf"{places}/([\w.-]+)/([\w-]+(?:\.[\w-]+)*)", text):
        place, its_owner, its_name = match.groups()
        same = (its_owner == OWNER, its_name.removesuffix(".git") == NAME)
        if not all(same) and (place != "github.com" or any(same)):
            wrong.append(match[0])
    for match in re.finditer(r"https://([\w-]+)\.github\.io/([\w.-]*)", text):
        claims = match[1].lower() == OWNER.lower() or match[2] == NAME
        if claims and not f"{match[0]}/".startswith(PUBLISHED):
            wrong.append(match[0])
    return wrong


def test_every_address_of_the_repository_is_the_one_in_pyproject():
    wrong = [
        f"{relative(path)}: {address}"
        for path in FILES
        if path != Path(__file__)  # it makes up wrong ones
        for address in foreign_addresses(read(path))
    ]
    assert not wrong, f"These are not addresses of {ADDRESS}: {wrong}"


def test_other_addresses_are_found():
    ours = f"{ADDRESS} {ADDRESS}.git {PUBLISHED}book/data.html"
    others = "https://github.com/someone/else https://numpy.github.io/page"
    assert foreign_addresses(f"{ours} {others}") == []
    for wrong in [
        f"https://github.com/someone/{NAME}",
        f"https://github.com/{OWNER}/else",
        "https://colab.research.google.com/github/someone/else/blob/main/a.ipynb",
        "git+https://github.com/someone/else@main",
        f"https://{OWNER}.github.io/else/",
    ]:
        assert foreign_addresses(wrong), f"{wrong} went unnoticed"


def test_documentation_address_follows_from_the_repository_address():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    expected = f'Documentation = "{PUBLISHED}"'
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


def test_the_command_for_a_fork_changes_every_address(tmp_path):
    for path in FILES:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
    [command] = re.findall(r"```bash\n(git ls-files.+?)```", read(ROOT / "CONTRIBUTING.md"), re.S)
    command = command.replace("NEW_OWNER", "somebody").replace("NEW_NAME", "their-book")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    for path in FILES:
        text = read(tmp_path / path.relative_to(ROOT))
        assert f"{OWNER}/{NAME}" not in text, path.name
        assert f"{OWNER}.github.io" not in text, path.name
    assert "https://github.com/somebody/their-book" in read(tmp_path / "pyproject.toml")


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
