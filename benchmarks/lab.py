"""What the page "Try it" costs a reader: bytes to load, and seconds in a browser for score and map.

    make book
    python -m benchmarks.lab

The networks of the built book run in Chromium on a picture of 512 x 768, in the page's own worker,
in WebAssembly and one thread. `python -m playwright install chromium` brings one where the machine
has none.
"""

import functools
import http.server
import json
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks import results
from benchmarks.speed.timing import seconds

HTML = Path(__file__).resolve().parents[1] / "_build" / "html"
NAME = "lab"
ROUNDS = 5
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

#: Seconds for each run of a network on noise, after a first one that is not counted.
RUN = """async ([graph, rounds]) => {
    const address = file => new URL(`../lab/${file}`, location.href).href;
    const { Helper } = await import(address('jobs.js'));
    const helper = new Helper('networks.js');
    const content = await (await fetch(address(`${graph}.onnx`))).arrayBuffer();
    const begun = performance.now();
    await helper.ask({ gpu: false, graphs: { [graph]: content } });
    const started = (performance.now() - begun) / 1000;
    const image = new ImageData(768, 512);
    for (let at = 0; at < image.data.length; at++) image.data[at] = 256 * Math.random();
    const seconds = [];
    for (let round = 0; round <= rounds; round++) {
        const begun = performance.now();
        await helper.ask({ graph, image });
        if (round) seconds.push((performance.now() - begun) / 1000);
    }
    helper.worker.terminate();
    return { started, seconds };
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the book without a word."""

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def main() -> None:
    if not (HTML / "lab" / "lab.json").exists():
        sys.exit(f"There is no lab in {HTML}: `make book` builds it, or says what is missing.")
    facts = json.loads((HTML / "lab" / "lab.json").read_text(encoding="utf-8"))
    measured: dict[str, Any] = {"runtime": facts["runtime"], "megabytes": {}}
    for name in ("ort-wasm-simd-threaded.wasm", "score.onnx", "error_map.onnx", "maps.onnx"):
        measured["megabytes"][name.partition(".")[0]] = facts["sizes"][name] / 1e6
    handler = functools.partial(Quiet, directory=HTML)
    server = http.server.ThreadingHTTPServer(("localhost", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://localhost:{server.server_port}/book/try-it.html")
        for graph in ("score", "error_map", "maps"):
            found = page.evaluate(RUN, [graph, ROUNDS])
            measured[graph] = {"start_s": found["started"], **seconds(found["seconds"])}
        measured["browser"] = browser.version
        browser.close()
    server.shutdown()
    results.write(NAME, measured)


if __name__ == "__main__":
    main()
