"""Look at every built page in a browser without a network, as a reader does.

On a desktop and on a phone, in light and in dark: the maths is set, no picture is broken, nothing
scrolls sideways, and there is one search box.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

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
        altered: images.filter(image => image.closest('article'))
            .filter(image => getComputedStyle(image).filter !== 'none').map(describe),
        sideways: root.scrollWidth > innerWidth ? [`${root.scrollWidth} > ${innerWidth}`] : [],
        searches: [...document.querySelectorAll(searchBoxes)].filter(shown).length,
        maths: document.querySelectorAll('.math').length,
    };
}"""


@dataclass
class View:
    """What was seen of one page at one width and in one theme."""

    page: str
    width: int
    theme: str
    seen: dict[str, Any]


@dataclass
class Report:
    """What was seen of all pages, and what went wrong while they were loaded."""

    views: list[View] = field(default_factory=list)
    # Each is (page, message).
    outside: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)

    def findings(self, name: str) -> list[str]:
        """All findings of one kind, each with its page, width and theme."""
        return [
            f"{view.page} at {view.width} px, {view.theme}: {finding}"
            for view in self.views
            for finding in view.seen[name]
        ]


def expect_none(findings: Sequence[object]) -> None:
    """Fails with all findings, one on a line."""
    assert not findings, "\n".join(str(finding) for finding in findings)


@contextmanager
def lone_page(
    browser: Browser, size: dict[str, int], address: str, report: Report
) -> Iterator[Page]:
    """A browser page which can reach nothing but the book, and which reports what it tries."""
    context = browser.new_context(viewport=size)
    page = context.new_page()

    def only_the_book(route: Route) -> None:
        url = route.request.url
        if url.startswith((f"{address}/", "data:", "blob:")):
            route.continue_()
        else:
            report.outside.append((page.url, url))
            route.abort()

    context.route("**/*", only_the_book)
    page.on(
        "requestfailed",
        lambda request: (
            # What the browser itself gives up on leaving a page, such as the icon, is no failure.
            report.failed.append((page.url, request.url))
            if request.failure != "net::ERR_ABORTED"
            else None
        ),
    )
    page.on(
        "response",
        lambda response: (
            report.failed.append((page.url, f"{response.status} {response.url}"))
            if response.status >= 400
            else None
        ),
    )
    page.on(
        "console",
        lambda message: (
            report.errors.append((page.url, message.text)) if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: report.errors.append((page.url, str(error))))
    yield page
    context.close()


@pytest.fixture(scope="module")
def pages(book_folder: Path) -> list[str]:
    """All pages of the book but the first, which only leads to another one."""
    found = sorted(
        path.relative_to(book_folder).as_posix()
        for path in book_folder.rglob("*.html")
        if "_static" not in path.relative_to(book_folder).parts
    )
    found.remove("index.html")
    return found


@pytest.fixture(scope="module")
def report(browser: Browser, book_address: str, pages: list[str]) -> Report:
    """Every page, looked at once for each width and theme."""
    report = Report()
    for size in (DESKTOP, PHONE):
        with lone_page(browser, size, book_address, report) as page:
            for name in pages:
                page.goto(f"{book_address}/{name}", wait_until="load")
                page.evaluate(SETTLE)
                for theme in ("light", "dark"):
                    page.evaluate(SET_THEME, theme)
                    seen = page.evaluate(LOOK, SEARCH_BOXES)
                    report.views.append(View(name, size["width"], theme, seen))
    return report


def test_every_page_was_looked_at_in_both_widths_and_themes(
    report: Report, pages: list[str]
) -> None:
    assert len(pages) >= 15
    assert len(report.views) == 4 * len(pages)


def test_no_page_asks_another_host(report: Report) -> None:
    expect_none(report.outside)


def test_no_request_fails(report: Report) -> None:
    expect_none(report.failed)


def test_no_page_reports_an_error_on_its_console(report: Report) -> None:
    expect_none(report.errors)


def test_all_maths_is_set(report: Report) -> None:
    assert any(view.seen["maths"] for view in report.views), "no page has any maths"
    expect_none(report.findings("unset"))
    expect_none(report.findings("raw"))
    expect_none(report.findings("wrong"))


def test_no_wide_formula_loses_its_start(report: Report) -> None:
    expect_none(report.findings("cut"))


def test_maths_is_found_where_the_source_has_it(report: Report, book_folder: Path) -> None:
    without = set()
    for view in report.views:
        for suffix in (".md", ".ipynb"):
            source = book_folder / "_sources" / Path(view.page).with_suffix(suffix)
            has_maths = source.exists() and "$$" in source.read_text(encoding="utf-8")
            if has_maths and not view.seen["maths"]:
                without.add(view.page)
    expect_none(sorted(without))


def test_no_picture_is_broken(report: Report) -> None:
    expect_none(report.findings("broken"))


def test_every_picture_says_what_it_shows(report: Report) -> None:
    expect_none(report.findings("unnamed"))


def test_no_picture_is_altered_in_dark_mode(report: Report) -> None:
    expect_none(report.findings("altered"))


def test_no_page_scrolls_sideways(report: Report) -> None:
    expect_none(report.findings("sideways"))


def test_every_page_shows_one_search_box(report: Report) -> None:
    expect_none(
        [
            f"{view.page} at {view.width} px: {view.seen['searches']}"
            for view in report.views
            if view.seen["searches"] != 1
        ]
    )


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_search_finds_the_chapter_on_reliability_maps(
    browser: Browser, book_address: str, size: dict[str, int]
) -> None:
    report = Report()
    with lone_page(browser, size, book_address, report) as page:
        page.goto(f"{book_address}/book/welcome.html")
        page.locator(SEARCH_BOXES).locator("visible=true").click()
        page.keyboard.type("reliability map")
        page.keyboard.press("Enter")
        # Results come in one by one; the wait fails if the chapter is not among them.
        page.locator("#search-results a[href*='04-reliability-maps.html']").first.wait_for()
    expect_none(report.outside)
    expect_none(report.errors)


def test_first_page_leads_to_the_welcome_without_a_server(
    browser: Browser, book_folder: Path
) -> None:
    report = Report()
    with lone_page(browser, DESKTOP, book_folder.as_uri(), report) as page:
        page.goto((book_folder / "index.html").as_uri())
        page.wait_for_url("**/book/welcome.html")
        page.evaluate(SETTLE)
        assert page.locator("article h1").first.is_visible()
        assert not page.evaluate(LOOK, SEARCH_BOXES)["broken"]
    expect_none(report.outside)
    expect_none(report.failed)
    expect_none(report.errors)
