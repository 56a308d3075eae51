"""Print the built book as one PDF, book.pdf in the site, by headless Chromium: python book/pdf.py.

Each page then links to it.

A cover with the table of contents, then all pages in its order, each from a new sheet. Links
between pages lead to their headings; the outline has the book's parts, the pages and their
sections. What is folded on a page (code, long tables) and what moves is left out, and the cover
says so.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import yaml
from playwright.sync_api import sync_playwright

BUILD = Path(__file__).resolve().parent.parent / "_build"
HTML = BUILD / "html"
#: What Chromium is called on Debian, on Ubuntu and Fedora, and by Google.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: Sheets of A4 with page numbers; headings as on the pages, though they stand one level lower.
STYLE = """
@page {
  size: A4; margin: 18mm 16mm 20mm;
  @bottom-center { content: counter(page); font-size: 9pt; }
}
@page :first { @bottom-center { content: none; } }
html { font-size: 10.5pt; }
body { background: white; }
.headerlink, .copybtn, .toggle-button { display: none !important; }
article { max-width: none; padding: 0 !important; }
article h1.part { break-before: page; margin-top: 30vh; text-align: center; font-size: 2.4em; }
article h2 { font-size: 2em; break-after: avoid; }
article h3 { font-size: 1.5em; break-after: avoid; }
article h4, article h5, article h6 { font-size: 1.15em; break-after: avoid; }
.cover { text-align: center; padding-top: 24vh; }
.cover ~ nav { break-before: page; }
nav li { list-style: none; }
table { font-size: 0.72em !important; }
td, th { white-space: normal !important; }
"""
SHEET = 673  #: px between the margins
#: A wide table is made smaller: not cut at the edge of the sheet, no number broken over two lines.
FIT_TABLES = """for (const table of document.querySelectorAll("table")) {
  const room = table.closest("article").clientWidth;
  if (table.scrollWidth > room) table.style.zoom = room / table.scrollWidth;
}"""
PDF = "book.pdf"
LINKED = re.compile(r'<span class="pdf">.*?</span>')


def chapters(contents: dict) -> Iterator[tuple[str, list[str]]]:
    """The parts of a table of contents with their pages, those below a page too, without runs."""
    yield "", [contents["root"]]
    for part in contents["parts"]:
        yield part["caption"], list(files(part["chapters"]))


def files(entries: list[dict]) -> Iterator[str]:
    """The pages of these entries and of those below them; runs are no file but a pattern."""
    for entry in entries:
        if "file" in entry:
            yield entry["file"]
            yield from files(entry.get("sections", []))


def content(page: Path) -> str:
    """HTML of what a page says, without the theme's frame around it."""
    text = page.read_text(encoding="utf-8")
    return re.search(r"<article[^>]*>(.*)</article>", text, re.DOTALL)[1]


def article(page: Path) -> str:
    """A page's content, with addresses as seen from the root, names of its own for what it links
    to, and headings one level lower, so that the parts of the book stand above them.
    """
    body = content(page)

    def address(found: re.Match) -> str:
        attribute, to = found.groups()
        if re.match(r"[a-z]+:", to):
            return found[0]
        path, _, name = to.partition("#")
        target = Path(os.path.normpath(page.parent / path)) if path else page
        place = target.relative_to(HTML).as_posix()
        return (
            f'{attribute}="#{place}:{name}"'
            if target.suffix == ".html"
            else f'{attribute}="{quote(place)}"'
        )

    here = page.relative_to(HTML).as_posix()
    body = re.sub(r'\b(href|src)="([^"]*)"', address, body)
    body = re.sub(r'(?<=\sid=")', f"{here}:", body)
    body = re.sub(r"(?<=<)(/?)h([1-5])\b", lambda h: f"{h[1]}h{int(h[2]) + 1}", body)
    return f'<article class="bd-article" id="{here}:" style="break-before: page">{body}</article>'


def title(page: Path) -> str:
    """The heading of a page, as text."""
    heading = re.search(r'<h1>(.*?)<a class="headerlink"', content(page), re.DOTALL)[1]
    return html.unescape(re.sub(r"<[^>]+>", "", heading)).strip()


def cover(first: Path, parts: list[tuple[str, list[Path]]]) -> str:
    """The first sheet, and the table of contents on the next ones."""
    built = re.search(r"Built on [^<]*?\.(?=\s|<)", first.read_text(encoding="utf-8"))
    sheet = (
        f'<section class="cover"><p style="font-size: 3em">{html.escape(title(first))}</p>'
        f"<p>{built[0] if built else ''}</p><p>Folded code and tables, films and what one can"
        " move are in the book of web pages only.</p></section>"
    )
    rows = []
    for caption, pages in parts:
        rows.append(f"<p><strong>{html.escape(caption)}</strong></p>" if caption else "")
        rows.append("<ul>")
        for page in pages:
            there = page.relative_to(HTML).as_posix()
            rows.append(f'<li><a href="#{there}:">{html.escape(title(page))}</a></li>')
        rows.append("</ul>")
    return f'<article class="bd-article">{sheet}<nav>{"".join(rows)}</nav></article>'


def document(contents: dict) -> str:
    """The whole book as one page of HTML, with the theme's style sheets and without its scripts."""
    parts = [
        (caption, [HTML / f"{Path(name).with_suffix('')}.html" for name in names])
        for caption, names in chapters(contents)
    ]
    first = parts[0][1][0]
    text = first.read_text(encoding="utf-8")
    up = os.path.relpath(HTML, first.parent).replace(os.sep, "/")
    sheets = [
        link.replace(f"{up}/_static", "_static")
        for link in re.findall(r'<link [^>]*rel="stylesheet"[^>]*>', text)
    ]
    body = [cover(first, parts)]
    for caption, pages in parts:
        if caption:
            heading = f'<h1 class="part">{html.escape(caption)}</h1>'
            body.append(f'<article class="bd-article">{heading}</article>')
        body += [article(page) for page in pages]
    head = f'<meta charset="utf-8"><title>{html.escape(title(first))}</title>{"".join(sheets)}'
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light"><head>{head}<style>{STYLE}</style>'
        f"</head><body>{''.join(body)}</body></html>"
    )


def link_from_pages() -> None:
    """Fill the place that each page keeps for a link to the PDF."""
    for page in HTML.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        up = "../" * len(page.relative_to(HTML).parents[:-1])
        link = f'<span class="pdf"><a href="{up}{PDF}">The whole book as PDF</a>.</span>'
        page.write_text(LINKED.sub(link, text), encoding="utf-8")


def main() -> None:
    found = (shutil.which(name) for name in PROGRAMS)
    program = os.environ.get("RBC_CHROMIUM") or next(filter(None, found), None)
    if not program:
        sys.exit(
            "no chromium on the path and RBC_CHROMIUM is not set: install it, or print pages in a"
            " browser"
        )
    if not (HTML / "index.html").exists() or not (BUILD / "toc.yml").exists():
        sys.exit(f"{HTML}: no built book; run make book first")
    contents = yaml.safe_load((BUILD / "toc.yml").read_text(encoding="utf-8"))
    whole, made = HTML / "whole.html", HTML / PDF
    try:
        whole.write_text(document(contents), encoding="utf-8")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program)
            page = browser.new_page(viewport={"width": SHEET, "height": 1000})
            page.emulate_media(media="print")
            page.goto(whole.as_uri())
            page.evaluate(FIT_TABLES)
            content = page.pdf(outline=True, tagged=True, prefer_css_page_size=True)
            browser.close()
    finally:
        whole.unlink(missing_ok=True)
    made.write_bytes(content)
    link_from_pages()
    print(f"{made}: {made.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
