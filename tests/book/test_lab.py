"""The lab of the page "Try it": used in a browser that can reach nothing but the book."""

import base64
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from book_source import CHAPTERS, ROOT, load_tool
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect
from repository_address import PUBLISHED
from test_contents import links
from test_rendered_book import DESKTOP, PHONE, SET_THEME, lone_page, violations

from diqa_utils import load_pretrained, normalize, score
from diqa_utils.datasets.sample_iqa.sample_iqa_dataset_builder import PHOTOGRAPHS
from diqa_utils.maps import reliability_map

TOOL = load_tool("make_lab")
CONTROLS = (ROOT / "book" / "lab" / "lab.html").read_text(encoding="utf-8")

#: How far the page's numbers may be from the library's. Measured: quality and error map 2e-6,
#: reliability 4e-5, as other kernels add up in another order.
TOLERANCE = 1e-4

#: Runs a network on samples in the page's own worker.
RUN = """async ([graph, names]) => {
    const address = file => new URL(`../lab/${file}`, location.href).href;
    const load = async file => (await fetch(address(file))).arrayBuffer();
    const { Helper } = await import(address('jobs.js'));
    const helper = new Helper('networks.js');
    await helper.ask({ gpu: false, graphs: { [graph]: await load(`${graph}.onnx`) } });
    const results = {};
    for (const name of names) {
        const file = await (await fetch(address(`${name}.webp`))).blob();
        const bitmap = await createImageBitmap(file);
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
        canvas.drawImage(bitmap, 0, 0);
        const image = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
        results[name] = [];
        const outputs = await helper.ask({ graph, image });
        for (const [output, { values, sides }] of Object.entries(outputs)) {
            const reader = new FileReader();
            const read = new Promise(resolve => reader.onload = resolve);
            reader.readAsDataURL(new Blob([values]));
            await read;
            results[name].push([output, reader.result.split(',')[1], sides]);
        }
    }
    helper.worker.terminate();
    return results;
}"""

Problems = dict[str, list[str]]


@pytest.fixture
def open_lab(
    browser: Browser, book_address: str, book_folder: Path
) -> Iterator[Callable[..., tuple[Page, Problems]]]:
    """Opens the page, with what its address says after the question mark."""
    if not (book_folder / "lab" / TOOL.MANIFEST.name).exists():
        pytest.skip("this build of the book has no lab: `make book` said what was missing")
    with ExitStack() as stack:

        def open_page(query: str = "", size: dict[str, int] = DESKTOP) -> tuple[Page, Problems]:
            problems: Problems = defaultdict(list)
            page = stack.enter_context(lone_page(browser, size, book_address, problems))
            page.goto(f"{book_address}/book/try-it.html{query}")
            return page, problems

        yield open_page


def wait(page: Page, state: str = "ready") -> None:
    expect(page.locator("#lab")).to_have_attribute("data-state", state)


def picture_file(image: Image.Image, kind: str = "PNG", **options: Any) -> dict[str, Any]:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return {"name": f"mine.{kind.lower()}", "mimeType": "", "buffer": file.getvalue()}


def run(page: Page, graph: str) -> dict[str, dict[str, np.ndarray]]:
    """What a network says of each sample, by name and output."""
    results = page.evaluate(RUN, [graph, [*TOOL.PICTURES]])
    return {
        name: {
            output: np.frombuffer(base64.b64decode(values), np.float32).reshape(sides)
            for output, values, sides in outputs
        }
        for name, outputs in results.items()
    }


def test_the_page_and_the_library_say_the_same_of_the_samples(open_lab):
    page, problems = open_lab("?view=picture")
    judged, errors, maps = (run(page, graph) for graph in ("score", "error_map", "maps"))
    for name in TOOL.PICTURES:
        picture = PHOTOGRAPHS[name]()
        expected = score(picture)
        page.click(f"[data-picture={name}]")
        expect(page.locator("#lab-status")).to_contain_text(f"“{name}”, ")
        expect(page.locator("#lab-score-original")).to_have_text(repr(expected))
        for output in ("quality", "low", "high"):
            value = expected if output == "quality" else getattr(expected, output)
            assert judged[name][output].item() == pytest.approx(value, abs=TOLERANCE)
        assert bool(judged[name]["unusual"].item()) == expected.unusual
        predicted, normalized = (
            load_pretrained("diqa").predict_error_map(picture),
            normalize(picture),
        )
        for computed, wanted in (
            (errors[name]["error_map"], predicted),
            (maps[name]["normalized"], normalized[..., 0]),
            (maps[name]["reliability"], reliability_map(normalized)[..., 0]),
        ):
            np.testing.assert_allclose(computed, wanted, rtol=0, atol=TOLERANCE)
    assert not problems


def test_a_photograph_is_judged_without_a_network(open_lab):
    page, problems = open_lab("?picture=chelsea")
    wait(page)
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request))
    page.context.set_offline(True)
    page.set_input_files("#lab-file", [picture_file(Image.fromarray(PHOTOGRAPHS["coffee"]()))])
    expect(page.locator("#lab-status")).to_have_text("“mine.png”, 600 × 400 pixels.")
    wait(page)
    assert page.inner_text("#lab-score-original") == repr(score(PHOTOGRAPHS["coffee"]()))
    page.check("[value=normalised]")
    page.focus("[name=noise]")
    page.keyboard.press("End")
    expect(page.locator("#lab-score-damaged")).to_contain_text("to")
    wait(page)
    # As the address changes, the browser asks for the page's icon again.
    assert not [each.url for each in sent if each.post_data or "favicon" not in each.url]
    assert not problems["outside"]


def test_before_it_is_used_the_page_loads_no_network(open_lab):
    page, _ = open_lab()
    page.wait_for_load_state("networkidle")
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert not [name for name in loaded if re.search(r"wasm|onnx|ort\.", name)]
    sizes = re.findall(r"[\d.]+(?= MB)", page.inner_text("#lab-size"))
    assert len(sizes) == 3
    assert min(map(float, sizes)) > 1


def test_the_address_chooses_picture_and_view_and_follows_them(open_lab):
    page, problems = open_lab("?picture=china&view=reliability")
    wait(page)
    assert page.is_checked("[value=reliability]")
    page.click("[data-picture=chelsea]")
    page.keyboard.press("Tab")
    page.check("[value=error-map]")
    expect(page.locator("#lab-status")).to_have_text("“chelsea”, 451 × 300 pixels.")
    assert dict(parse_qsl(urlsplit(page.url).query)) == {"picture": "chelsea", "view": "error-map"}
    assert not problems


def shown(page: Page, which: str) -> bytes:
    return page.evaluate(f"document.getElementById('lab-{which}').toDataURL()")


@pytest.mark.parametrize(
    ("size", "theme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"]
)
def test_damage_lowers_the_score_and_changes_the_map_by_keyboard_alone(open_lab, size, theme):
    page, problems = open_lab("?picture=coffee", size)
    page.add_style_tag(content="* { transition: none !important }")
    page.evaluate(SET_THEME, theme)
    wait(page)
    before = shown(page, "damaged")
    assert not page.locator("#lab-score-damaged").is_visible()
    page.focus("[name=jpeg]")
    page.keyboard.press("End")
    expect(page.locator("#lab-change")).to_have_text(re.compile(r": 0\.\d\d lower"))
    wait(page)
    label = page.locator("label", has=page.locator("[name=jpeg]"))
    expect(label).to_contain_text(re.compile(r"quality 1, \d+ kB"))
    assert shown(page, "damaged") != before == shown(page, "original")
    assert not violations(page, {}, within="#lab")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.focus("#lab-cut")
    page.keyboard.press("Home")
    assert page.evaluate("getComputedStyle(document.getElementById('lab-original')).clipPath") == (
        "inset(0px 100% 0px 0px)"
    )
    page.focus("#lab-reset")
    page.keyboard.press("Enter")
    expect(page.locator("#lab-score-damaged")).to_be_hidden()
    assert shown(page, "damaged") == before
    assert not problems


def test_each_damage_changes_the_picture_which_can_be_saved(open_lab):
    page, problems = open_lab("?picture=chelsea&view=picture")
    wait(page)
    reference = PHOTOGRAPHS["chelsea"]().astype(np.float32)
    for name in ("blur", "noise", "darkening", "enlargement"):
        page.click("#lab-reset")
        expect(page.locator("#lab-score-damaged")).to_be_hidden()
        page.focus(f"[name={name}]")
        page.keyboard.press("End")
        expect(page.locator("#lab-score-damaged")).to_be_visible()
        with page.expect_download() as download:
            page.click("[data-save=damaged]")
        assert download.value.suggested_filename == "chelsea-damaged-picture.png"
        damaged = np.asarray(Image.open(download.value.path()).convert("RGB"), np.float32)
        assert damaged.shape == reference.shape
        assert np.abs(damaged - reference).mean() > 5, name
        assert (damaged.mean() < 0.2 * reference.mean()) == (name == "darkening")
    assert not problems


def test_a_large_photograph_is_turned_upright_and_reduced(open_lab):
    page, _ = open_lab("?view=picture")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to the right
    picture = Image.new("RGB", (3000, 2000), "navy")
    picture.paste("white", (0, 0, 3000, 1000))
    page.set_input_files("#lab-file", [picture_file(picture, "JPEG", exif=exif)])
    expect(page.locator("#lab-status")).to_have_text(
        "“mine.jpeg”, shown and judged at 768 × 1152 pixels."
    )
    levels = "([x, y]) => document.querySelector('#lab-original').getContext('2d')"
    levels += ".getImageData(x, y, 1, 1).data[0]"
    assert page.evaluate(levels, [700, 600]) > 240
    assert page.evaluate(levels, [60, 600]) < 15


SENTENCES = [
    (
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"},
        "“notes.txt” is no picture that this browser can read: choose a JPEG, PNG or WebP file.",
    ),
    (
        {"name": "IMG_1.HEIC", "mimeType": "", "buffer": b"\0\0\0\x18ftypheic"},
        "This browser cannot read HEIC, an iPhone's format: save “IMG_1.HEIC” as JPEG, or open "
        "this page in Safari.",
    ),
    (
        picture_file(Image.new("RGB", (40, 60))),
        "“mine.png” has 40 × 60 pixels: the networks need 48 a side.",
    ),
]


def test_what_cannot_be_judged_gets_a_sentence(open_lab):
    page, problems = open_lab()
    for file, sentence in SENTENCES:
        page.set_input_files("#lab-file", [file])
        expect(page.locator("#lab-status")).to_have_text(sentence)
        assert not page.locator("#lab-result").is_visible()
    assert not problems


def test_from_a_file_the_page_says_how_to_serve_it(open_lab, browser, book_folder):
    open_lab()
    with lone_page(browser, DESKTOP, book_folder.as_uri(), defaultdict(list)) as page:
        page.goto((book_folder / "book" / "try-it.html").as_uri())
        assert "python -m http.server" in page.inner_text("#lab-served")
        assert not page.locator("#lab-app").is_visible()


def test_chapters_lead_to_samples_and_views_that_there_are():
    lab = f"{PUBLISHED}book/try-it.html"
    asked = {
        path.name[:2]: dict(parse_qsl(urlsplit(link).query))
        for path in CHAPTERS
        for link in links(path)
        if link.startswith(lab)
    }
    assert sorted(asked) == ["02", "03", "04", "09"]
    for query in asked.values():
        assert query["picture"] in TOOL.PICTURES
        assert f'value="{query["view"]}"' in CONTROLS


def test_without_npm_the_book_has_no_lab_and_the_tool_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(TOOL, "LAB", tmp_path / "lab")
    monkeypatch.setattr(TOOL, "MANIFEST", tmp_path / "lab" / "lab.json")
    monkeypatch.setattr(TOOL, "MODULES", tmp_path / "node_modules")
    monkeypatch.setattr(TOOL.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert TOOL.main([]) == 0
    assert "The page Try it gets no lab: there is no npm" in capsys.readouterr().out
    assert not (tmp_path / "lab").exists()
    assert TOOL.main(["--lint"]) == 0
    assert "is not checked: there is no npm" in capsys.readouterr().out
