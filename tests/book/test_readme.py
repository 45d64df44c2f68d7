"""What README tells its readers to type works, the Python code without a network."""

import shlex
import subprocess
import sys

import pytest
from book_source import README, tokens
from PIL import Image
from skimage.data import chelsea
from typer.main import get_command

from diqa_utils.cli import app

# Run before the code of README: any use of the network is an error.
NO_NETWORK = """
import socket

def refuse(*arguments):
    raise OSError("README's code used the network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
"""


def code(language: str) -> str:
    blocks = tokens(README.read_text(encoding="utf-8"))
    return "\n".join(block.content for block in blocks if block.info.strip() == language)


def test_python_code_in_readme_runs(tmp_path):
    assert "photo.jpg" in code("python")
    Image.fromarray(chelsea()).save(tmp_path / "photo.jpg")
    finished = subprocess.run(
        [sys.executable, "-c", NO_NETWORK + code("python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, f"The code in README.md fails:\n{finished.stderr[-2000:]}"


@pytest.mark.parametrize(
    "line", [line for line in code("bash").splitlines() if line.startswith("diqa ")]
)
def test_commands_in_readme_exist(line):
    _, *words = shlex.split(line)
    command = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
