"""Reading variables of MATLAB files in a process of their own.

A damaged file can bring down the interpreter in which SciPy reads it. So another one does it: it
runs this file as a script, which imports nothing of the library.
"""

import io
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import scipy.io

#: Seconds that a file may take; a score file takes one.
TIME_LIMIT = 60


def read_variables(content: bytes, name: str, variables: tuple[str, ...]) -> dict[str, list[Any]]:
    """Reads variables of a MATLAB file, up to its version 7, each as a list of numbers or texts.

    Args:
        content: Content of the file.
        name: Its name, for messages.
        variables: Names of the variables.

    Raises:
        ValueError: If the file is damaged, or lacks one of them.
    """
    # -P: what lies beside this file is not meant to be imported by its name alone.
    command = [sys.executable, "-P", __file__, *variables]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, timeout=TIME_LIMIT, env=environment
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):  # it hung, or it died before it answered
        answer = "SciPy cannot read it"
    if not isinstance(answer, dict):
        raise ValueError(f"{name!r} is damaged or no MATLAB file: {answer}; fetch it again.")
    if missing := [variable for variable in variables if variable not in answer]:
        raise ValueError(f"{name!r} has no variable {', '.join(missing)}: fetch it again.")
    return answer


def lists_in(content: bytes, variables: list[str]) -> dict[str, list[Any]]:
    """Reads those of the variables that a MATLAB file has; raises what SciPy raises."""
    arrays = scipy.io.loadmat(io.BytesIO(content), variable_names=variables)
    return {name: _as_list(arrays[name]) for name in variables if name in arrays}


def _as_list(array: np.ndarray) -> list[Any]:
    """Numbers as they are; of cells that hold one text each, the texts."""
    values = [np.ravel(value)[0] for value in np.ravel(array)]
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not all(isinstance(value, str | int | float) for value in plain):
        raise ValueError("it holds something else than numbers and texts")
    return plain


if __name__ == "__main__":
    try:
        print(json.dumps(lists_in(sys.stdin.buffer.read(), sys.argv[1:])))
    except Exception as error:  # SciPy has errors of many kinds, and the answer says which
        print(json.dumps(f"{error or type(error).__name__}"))
