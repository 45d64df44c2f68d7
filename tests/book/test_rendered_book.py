"""Look at every built page in a browser without a network, as a reader does.

On a desktop and on a phone, in light and in dark: the maths is set, no picture is broken, nothing
scrolls sideways, and there is one search box.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, Route

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

SEARCH_BOXES = ".search-button__button, input[type=search]"

# Scripts that must have finished before a page is looked at, and pictures below the fold.
SETTLE = """async () => {
    if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
    for (const image of document.images) image.loading = 'eager';
    await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
    await document.fonts.ready;
}"""

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
    "searches": "shows no search box, or two",
}


@contextmanager
def lone_page(
    browser: Browser, size: dict[str, int], address: str, problems: dict[str, list[str]]
) -> Iterator[Page]:
    """A browser page which can reach nothing but the book, and which notes what goes wrong."""
    context = browser.new_context(viewport=size)
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
def problems(browser: Browser, book_address: str, book_folder: Path) -> dict[str, list[str]]:
    """Every page but the first, looked at in each width and theme."""
    pages = sorted(path.relative_to(book_folder).as_posix() for path in book_folder.rglob("*.html"))
    pages = [page for page in pages if page != "index.html" and not page.startswith("_static/")]
    assert len(pages) >= 15
    problems: dict[str, list[str]] = defaultdict(list)
    for size in (DESKTOP, PHONE):
        with lone_page(browser, size, book_address, problems) as page:
            for name in pages:
                page.goto(f"{book_address}/{name}", wait_until="load")
                page.evaluate(SETTLE)
                for theme in ("light", "dark"):
                    page.evaluate(SET_THEME, theme)
                    where = f"{name} at {size['width']} px, {theme}"
                    for kind, found in page.evaluate(LOOK, SEARCH_BOXES).items():
                        problems[kind] += [f"{where}: {what}" for what in found]
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
        page.goto(f"{book_address}/book/welcome.html")
        page.locator(SEARCH_BOXES).locator("visible=true").click()
        page.keyboard.type("reliability map")
        page.keyboard.press("Enter")
        # Results come in one by one; the wait fails if the chapter is not among them.
        page.locator("#search-results a[href*='04-reliability-maps.html']").first.wait_for()
    assert not problems


def test_first_page_leads_to_the_welcome_without_a_server(
    browser: Browser, book_folder: Path
) -> None:
    problems: dict[str, list[str]] = defaultdict(list)
    with lone_page(browser, DESKTOP, book_folder.as_uri(), problems) as page:
        page.goto((book_folder / "index.html").as_uri())
        page.wait_for_url("**/book/welcome.html")
        page.evaluate(SETTLE)
        assert page.locator("article h1").first.is_visible()
    assert not problems
