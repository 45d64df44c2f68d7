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


def test_every_address_of_the_repository_is_the_one_in_pyproject():
    """Links to Colab and installations from git can mean no other repository than this one."""
    ours = {f"{OWNER}/{NAME}", f"{OWNER}/{NAME}.git"}
    places = r"(?:colab\.research\.google\.com/github|git\+https://github\.com)"
    wrong = {
        (relative(path), found)
        for path in FILES
        for found in re.findall(rf"{places}/([\w.-]+/[\w-]+(?:\.[\w-]+)*)", read(path))
        if found not in ours
    }
    assert not wrong, f"These are not addresses of {ADDRESS}: {wrong}"


def test_settings_name_the_repository():
    settings = yaml.safe_load(read(ROOT / "_config.yml"))
    assert settings["repository"]["url"] == ADDRESS
    assert settings["html"]["baseurl"] == PUBLISHED
    assert f'Documentation = "{PUBLISHED}"' in read(ROOT / "pyproject.toml")
    assert ADDRESS in read(ROOT / "README.md")
    assert ADDRESS in read(ROOT / "CITATION.cff")


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


def test_no_file_names_a_folder_of_one_machine():
    # In an address a host stands before such a folder, and its last letter before the slash.
    folder = re.compile(r"(?<![\w.~}])/(?:work|root)/[\w./-]*")
    found = [f"{relative(path)}: {match}" for path in FILES for match in folder.findall(read(path))]
    assert not found, f"These folders exist on one machine only: {found}"


def test_git_holds_no_large_file():
    # The weights in the package have a limit of their own.
    files = [path for path in FILES if path.suffix not in {".npz", ".onnx"}]
    large = [relative(path) for path in files if path.stat().st_size > MOST_BYTES]
    assert not large, f"{large} are larger than {MOST_BYTES} bytes: let a script make them."
