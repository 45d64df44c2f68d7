"""`make pdf` prints pages as a PDF."""

from book_source import load_tool


def test_a_page_is_printed_with_bookmarks(browser, book_folder, tmp_path):
    pdf = tmp_path / "chapter.pdf"
    page = book_folder / "notebooks" / "04-reliability-maps.html"
    load_tool("make_pdf").print_page(browser, page, pdf)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"/Outlines" in content
