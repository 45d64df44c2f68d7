"""The functions of a predictor, run by ONNX Runtime, which is there in a fraction of a second."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from diqa_utils._internal.files import content_hash

#: How to install what is missing.
INSTALL = 'python -m pip install "diqa-utils[fast]"'


def why_not() -> str:
    """Says why ONNX Runtime cannot be used here; nothing if it can."""
    try:
        import onnxruntime  # noqa: F401
    except ModuleNotFoundError:
        return f"ONNX Runtime is not installed: {INSTALL}."
    except (ImportError, OSError) as error:
        return f"ONNX Runtime is installed and cannot be loaded: {error}."
    return ""


def load_functions(folder: Path, graphs: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """Loads graphs that `export.write_graphs` wrote.

    Args:
        folder: Folder of the predictor.
        graphs: SHA-256 of each file of a graph, by its name; the function is called like the file.

    Returns:
        Functions of arrays, each of which returns one array or a list of several.

    Raises:
        FileNotFoundError: If there is no graph, or one is missing.
        ImportError: If ONNX Runtime is not installed, or cannot be loaded.
        ValueError: If a graph is not the file that belongs here.
    """
    if problem := why_not():
        raise ImportError(problem)
    if not graphs:
        raise FileNotFoundError(
            f"{str(folder)!r} has no graphs for ONNX Runtime: run it with TensorFlow, or let "
            "`diqa export-weights` write them."
        )
    # The graphs of the extended predictor's score are a thousand small steps each.
    small = {"sums.onnx", "score.onnx"} if "sums.onnx" in graphs else set()
    return {
        Path(name).stem: _function(folder / name, sha256, small_steps=name in small)
        for name, sha256 in graphs.items()
    }


def _function(path: Path, sha256: str, *, small_steps: bool) -> Callable[..., Any]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no graph at {str(path)!r}: copy the folder anew.")
    content = path.read_bytes()
    if content_hash(content) != sha256:
        raise ValueError(
            f"{str(path)!r} is damaged or not the file that belongs here: its SHA-256 is not "
            f"{sha256}. Install the library anew, or copy the file again."
        )

    lock = Lock()

    @cache
    def session() -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # One switch for both runtimes; without it there are as many threads as cores.
        options.intra_op_num_threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)
        # Threads that wait for work in a loop take the cores from pictures scored beside this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if small_steps:  # to look for better ones takes longer than to do them
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(*arguments: np.ndarray) -> Any:
        with lock:  # threads that come together wait for the first one's session
            loaded = session()
        names = (entry.name for entry in loaded.get_inputs())
        results = loaded.run(None, dict(zip(names, arguments, strict=True)))
        return results if len(results) > 1 else results[0]

    return run
