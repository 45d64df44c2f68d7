"""What README shows, runs, and without a network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from book_source import README, tokens

# Run before the code of README: any use of the network is an error.
NO_NETWORK = """
import socket

def refuse(*arguments):
    raise OSError("README's code used the network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
"""


def python_blocks(markdown: str) -> list[str]:
    fences = [token for token in tokens(markdown) if token.type == "fence"]
    return [token.content for token in fences if token.info.strip() == "python"]


def run_offline(code: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK + code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def put_pictures(code: str, folder: Path) -> None:
    """Give the code the picture files that it names: a photograph from scikit-image."""
    from PIL import Image
    from skimage.data import chelsea

    for name in re.findall(r"[\"']([\w-]+\.(?:jpg|jpeg|png))[\"']", code):
        Image.fromarray(chelsea()).save(folder / name)


def test_python_code_in_readme_runs(tmp_path):
    blocks = python_blocks(README.read_text(encoding="utf-8"))
    assert blocks, "README.md shows no use of the library: add a ```python block."
    code = "\n".join(blocks)
    put_pictures(code, tmp_path)
    finished = run_offline(code, tmp_path)
    assert finished.returncode == 0, f"The code in README.md fails:\n{finished.stderr[-2000:]}"


def test_blocks_in_other_languages_are_not_run():
    assert python_blocks("```python\na\n```\n\n```bash\nb\n```\n\n```python\nc\n```") == [
        "a\n",
        "c\n",
    ]


@pytest.mark.parametrize("code", ["raise ValueError('x')", "socket.create_connection(('a', 80))"])
def test_failing_code_and_code_that_needs_a_network_fail(code, tmp_path):
    assert run_offline(code, tmp_path).returncode != 0
