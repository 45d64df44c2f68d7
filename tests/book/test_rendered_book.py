"""Look at every built page in a browser without a network, as a reader does.

On a desktop and on a phone, in light and in dark: the maths is set, no picture is broken, nothing
scrolls sideways or is cut, and there is one search box. Who cannot see or use a mouse reads it too.
"""

import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, Route, expect
from repository_address import PUBLISHED

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

#: Milliseconds that a busy machine may take for anything, such as to run all networks of the lab.
PATIENCE = 120_000
expect.set_options(timeout=PATIENCE)

SEARCH_BOXES = ".search-button__button, input[type=search]"

# Scripts that must have finished before a page is looked at, and pictures below the fold.
SETTLE = """async () => {
    if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
    for (const image of document.images) image.loading = 'eager';
    await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
    await document.fonts.ready;
}"""

UNFOLD = "open => document.querySelectorAll('article details').forEach(fold => fold.open = open)"

SET_THEME = """theme => {
    document.documentElement.dataset.theme = theme;
    document.documentElement.dataset.mode = theme;
}"""

# What a reader would notice, as lists of descriptions; an empty list is as it should be.
LOOK = r"""searchBoxes => {
    const root = document.documentElement;
    const shown = element => element.checkVisibility({visibilityProperty: true});
    const describe = image => image.getAttribute('src').slice(0, 100);
    const left = element => Math.round(element.getBoundingClientRect().left);
    const images = [...document.images];

    // The text of the page without what holds dollars or backslashes on purpose.
    const article = (document.querySelector('article') || document.body).cloneNode(true);
    article.querySelectorAll('pre, code, script, style, mjx-container').forEach(e => e.remove());
    const raw = article.textContent.match(
        /\\\(|\\\)|\\\[|\\\]|\$\$|\|--|\\(frac|hat|alpha|tag)\b/g);

    return {
        unset: [...document.querySelectorAll('.math')]
            .filter(element => !element.querySelector('mjx-container'))
            .map(element => element.textContent.slice(0, 60)),
        wrong: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
            .map(element => element.getAttribute('data-mjx-error') || element.textContent),
        raw: raw || [],
        cut: [...document.querySelectorAll('div.math mjx-container')]
            .filter(e => left(e) + e.closest('div.math').scrollLeft < left(e.closest('div.math')))
            .map(element => element.textContent.slice(0, 60)),
        broken: images.filter(image => !image.naturalWidth).map(describe),
        unnamed: images.filter(image => !(image.getAttribute('alt') || '').trim()).map(describe),
        // Charts take the colours of the page.
        altered: images.filter(image => image.closest('article') && !/\.svg$/.test(image.src))
            .filter(image => getComputedStyle(image).filter !== 'none').map(describe),
        sideways: root.scrollWidth > innerWidth ? [`${root.scrollWidth} > ${innerWidth}`] : [],
        code: [...document.querySelectorAll('.bd-article pre')]
            .filter(e => innerWidth >= 1280 && e.scrollWidth > e.clientWidth)
            .map(e => e.textContent.slice(0, 60)),
        searches: [[...document.querySelectorAll(searchBoxes)].filter(shown).length]
            .filter(number => number !== 1),
    };
}"""


#: What nobody may find on a page, or while it loads.
PROBLEMS = {
    "outside": "asks another host",
    "failed": "asks for what is not there",
    "console": "reports an error on its console",
    "unset": "has maths that is not set",
    "raw": "shows the source of maths",
    "wrong": "has maths with a mistake",
    "cut": "hides the beginning of a wide formula",
    "broken": "has a broken picture",
    "unnamed": "has a picture without alternative text",
    "altered": "alters a picture in dark mode",
    "sideways": "scrolls sideways",
    "code": "cuts code at the width of a desktop",
    "searches": "shows no search box, or two",
    "axe": "has what axe-core finds, for who cannot see or does without a mouse",
}


#: What axe-core finds in others' work: the rule, and what the element's HTML contains.
NOT_OURS = (
    # The theme's sidebar, and its title for printing, which the page for wrong addresses lacks.
    ("summary-name", "toctree-toggle"),
    ("region", "logo__image"),
    ("region", "sidebar-primary-item"),
    ("empty-heading", "<h1></h1>"),
    # sphinxcontrib-bibtex's list.
    ("aria-allowed-role", "doc-biblioentry"),
    ("aria-deprecated-role", "doc-biblioentry"),
    ("aria-required-children", "citation-list"),
    # Sphinx's signatures of functions on many lines.
    ("definition-list", "<dl>"),
)

#: All rules once; those again whose result depends on the theme, or on the width.
AXE = {
    (1280, "light"): {},
    (1280, "dark"): {"runOnly": ["color-contrast"]},
    (390, "light"): {"runOnly": ["scrollable-region-focusable"]},
}


@contextmanager
def lone_page(
    browser: Browser, size: dict[str, int], address: str, problems: dict[str, list[str]]
) -> Iterator[Page]:
    """A browser page which can reach nothing but the book, and which notes what goes wrong."""
    context = browser.new_context(viewport=size)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()

    def note(kind: str, text: str) -> None:
        problems[kind].append(f"{page.url}: {text}")

    def only_the_book(route: Route) -> None:
        url = route.request.url
        if url.startswith((f"{address}/", "data:", "blob:")):
            route.continue_()
        else:
            note("outside", url)
            route.abort()

    def on_response(response: Response) -> None:
        if response.status >= 400:
            note("failed", f"{response.status} {response.url}")

    def on_failure(request: Request) -> None:
        # What the browser itself gives up on leaving a page, such as the icon, is no failure.
        if request.failure != "net::ERR_ABORTED":
            note("failed", request.url)

    def on_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            note("console", message.text)

    context.route("**/*", only_the_book)
    page.on("response", on_response)
    page.on("requestfailed", on_failure)
    page.on("console", on_message)
    page.on("pageerror", lambda error: note("console", str(error)))
    yield page
    context.close()


@pytest.fixture(scope="module")
def pages(book_folder: Path) -> list[str]:
    """The addresses of all pages, below that of the book."""
    found = sorted(path.relative_to(book_folder).as_posix() for path in book_folder.rglob("*.html"))
    # Not the sources that sphinx.ext.viewcode shows: their looks are its own.
    found = [page for page in found if not page.startswith(("_static/", "_modules/"))]
    assert len(found) >= 15
    return found


def violations(page: Page, options: dict[str, list[str]], within: str | None = None) -> list[str]:
    """What axe-core finds of ours on a page."""
    # Without preload, axe fetches no styles for itself.
    wanted = options | {"resultTypes": ["violations"], "preload": False}
    results = Axe().run(page, within, wanted).response
    found = [(each["id"], node["html"]) for each in results["violations"] for node in each["nodes"]]
    return [
        f"{rule}: {html[:200]}"
        for rule, html in found
        if not any(rule == known and part in html for known, part in NOT_OURS)
    ]


@pytest.fixture(scope="module")
def problems(browser: Browser, book_address: str, pages: list[str]) -> dict[str, list[str]]:
    """Every page, looked at in each width and theme."""
    problems: dict[str, list[str]] = defaultdict(list)
    for size in (DESKTOP, PHONE):
        with lone_page(browser, size, book_address, problems) as page:
            for name in pages:
                page.goto(f"{book_address}/{name}", wait_until="load")
                page.evaluate(SETTLE)
                # Colours are those of the theme, not of a moment on the way to it.
                page.add_style_tag(content="* { transition: none !important }")
                for theme in ("light", "dark"):
                    page.evaluate(SET_THEME, theme)
                    options = AXE.get((size["width"], theme))
                    # The pages of the API are all alike: they are asked once.
                    asked = options == {} or (options and "book/api" not in name)
                    found = {"axe": violations(page, options) if asked else []}
                    page.evaluate(UNFOLD, True)
                    found |= page.evaluate(LOOK, SEARCH_BOXES)
                    page.evaluate(UNFOLD, False)
                    where = f"{name} at {size['width']} px, {theme}"
                    for kind, texts in found.items():
                        problems[kind] += [f"{where}: {text}" for text in texts]
    return problems


@pytest.mark.parametrize("kind", PROBLEMS)
def test_no_page_has_a_problem(kind: str, problems: dict[str, list[str]]) -> None:
    assert not problems[kind], "\n".join([f"A page {PROBLEMS[kind]}:", *problems[kind]])


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_search_finds_the_chapter_on_reliability_maps(
    browser: Browser, book_address: str, size: dict[str, int]
) -> None:
    problems: dict[str, list[str]] = defaultdict(list)
    with lone_page(browser, size, book_address, problems) as page:
        page.goto(f"{book_address}/index.html")
        page.locator(SEARCH_BOXES).locator("visible=true").click()
        page.keyboard.type("reliability map")
        page.keyboard.press("Enter")
        first = page.locator("#search-results li").first
        first.locator("a[href*='04-reliability-maps.html']").first.wait_for()
        # The excerpt is prose, not the table of contents.
        first.locator(".context").wait_for()
        assert "What you will learn" not in first.locator(".context").inner_text()
    assert not problems


def test_first_page_can_be_read_without_a_server(browser: Browser, book_folder: Path) -> None:
    problems: dict[str, list[str]] = defaultdict(list)
    with lone_page(browser, DESKTOP, book_folder.as_uri(), problems) as page:
        page.goto((book_folder / "index.html").as_uri())
        page.evaluate(SETTLE)
        assert page.locator("article h1").first.is_visible()
    assert not problems


def test_slider_of_the_first_page_moves_with_the_keyboard(
    browser: Browser, book_address: str
) -> None:
    shown = "getComputedStyle(document.querySelector('.landing-pair img:last-child')).clipPath"
    with lone_page(browser, DESKTOP, book_address, defaultdict(list)) as page:
        page.goto(f"{book_address}/index.html")
        bottom = page.locator(".landing").bounding_box()
        assert bottom["y"] + bottom["height"] < 800
        assert "50%" in page.evaluate(shown)
        page.locator(".landing > input").press("Home")
        assert "100%" in page.evaluate(shown)


def test_a_wrong_address_of_any_depth_gets_a_page_with_styles_and_links(
    browser: Browser, book_address: str
) -> None:
    problems: dict[str, list[str]] = defaultdict(list)
    with lone_page(browser, DESKTOP, book_address, problems) as page:
        page.goto(f"{book_address}/no/such/page.html")
        page.locator("article h1", has_text="Page not found").wait_for()
        page.locator("nav a[href$='04-reliability-maps.html']").first.click()
        page.locator("article h1", has_text="Reliability maps").wait_for()
    assert [text for text in problems["failed"] if not text.endswith("/no/such/page.html")] == []


def test_a_page_printed_from_the_dark_is_light_and_unfolded(
    browser: Browser, book_address: str
) -> None:
    with lone_page(browser, DESKTOP, book_address, defaultdict(list)) as page:
        page.emulate_media(color_scheme="dark")
        page.goto(f"{book_address}/notebooks/04-reliability-maps.html")
        page.evaluate(SET_THEME, "dark")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        assert page.locator("article details:not([open])").count() == 0
        assert not page.locator(".bd-sidebar-primary, .bd-sidebar-secondary").first.is_visible()
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.locator("article details:not([open])").count() > 0


# Weight

#: Bytes of a page of the method with all that it loads but MathJax, as a server sends them.
MOST_BYTES = 1_500_000
PACKED = re.compile(r"\.(png|webp|jpe?g|gif|woff2?)$")


def test_pages_of_the_method_are_light(
    browser: Browser, book_address: str, pages: list[str]
) -> None:
    heavy = []
    for name in [page for page in pages if re.match("notebooks/0|index", page)]:
        sent: dict[str, int] = {}

        def weigh(response: Response, sent: dict[str, int] = sent) -> None:
            path = response.url.partition("?")[0]
            if "/mathjax/" not in path and not path.startswith(("data:", "blob:")):
                body = response.body()
                sent[path] = len(body if PACKED.search(path) else gzip.compress(body))

        with lone_page(browser, DESKTOP, book_address, defaultdict(list)) as page:
            page.on("response", weigh)
            page.goto(f"{book_address}/{name}", wait_until="networkidle")
            page.evaluate(SETTLE)
        if sum(sent.values()) > MOST_BYTES:
            heavy.append(
                f"{name}: {sum(sent.values()):,} bytes, most of all {max(sent, key=sent.get)}"
            )
    assert not heavy, "\n".join(heavy)


# What machines read


def test_pages_name_themselves_and_stand_in_the_sitemap(book_folder: Path) -> None:
    addresses = re.findall("<loc>(.*?)</loc>", (book_folder / "sitemap.xml").read_text())
    assert f"{PUBLISHED}index.html" in addresses
    titles = []
    for address in addresses:
        html = (book_folder / address.removeprefix(PUBLISHED)).read_text(encoding="utf-8")
        for tag in ('name="description"', 'property="og:title"', 'property="og:image"'):
            assert f"<meta {tag} content=" in html, f"{address} lacks {tag}"
        titles.append(re.search("<title>(.*?)</title>", html, re.DOTALL)[1])
    assert len(titles) == len(set(titles)) == len(addresses)
    assert (book_folder / "_static" / "social.jpg").exists()


def test_no_output_names_a_folder_of_the_builder(book_folder: Path) -> None:
    for path in book_folder.glob("notebooks/*.html"):
        html = path.read_text(encoding="utf-8")
        outputs = re.findall(r'<div class="output .*?</div>\s*</div>', html, re.DOTALL)
        folders = re.findall(
            r"[\s\"'(](/(?:tmp|work|home|root)/[^\s<]*|\S*\.cache/\S*)", "".join(outputs)
        )
        assert not folders, f"{path.name} shows {folders}"
