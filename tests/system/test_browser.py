"""Every page of the book in a browser, opened from the disk as from a USB stick: whole, light,
private, for everybody.

Chromium is found on the path or by RBC_CHROMIUM; without one these tests are skipped.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Error

#: colour schemes and widths (px) in which each page is looked at
VIEWS = [("light", 1440), pytest.param("dark", 375, marks=pytest.mark.nightly)]
# Without preload: axe would fetch style sheets, which a browser refuses from a disk.
ANSWER = {"resultTypes": ["violations"], "preload": False}
CONTRAST = "color-contrast"  #: the rule that takes nine tenths of the time
WCAG = {
    **ANSWER,
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "rules": {CONTRAST: {"enabled": False}},
}
#: Rows of a table look alike: contrast is asked of the first ones, all else of every row.
LATER_ROWS = {"exclude": [["tbody tr:nth-child(n+9)"]]}


def visit(page, address: str) -> tuple[list[str], set[str]]:
    """Open a page and let it settle: what went wrong on it, and all that it asked for."""
    wrong, asked = [], set()
    listeners = {
        "console": lambda message: message.type == "error" and wrong.append(message.text),
        "pageerror": lambda error: wrong.append(str(error)),
        # a page's icon may still be on its way when the next page is opened
        "requestfailed": lambda request: (
            request.failure != "net::ERR_ABORTED" and wrong.append(f"failed: {request.url}")
        ),
        "request": lambda request: asked.add(request.url),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    try:
        page.goto(address)
    except Error as error:
        wrong.append(str(error))
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    return wrong, asked


def too_wide(page) -> list[str]:
    """By how much the page is wider than its window."""
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"{wider} px too wide"] * (wider > 0)


def barriers(page, structure: bool = True) -> list[str]:
    """What axe finds against WCAG 2.1 A and AA; `structure`: also what no colour changes."""
    axe = Axe()
    found = [axe.run(page, context=LATER_ROWS, options={**ANSWER, "runOnly": [CONTRAST]})]
    if structure:
        found.append(axe.run(page, options=WCAG))
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary']}"
        for rule in (rule for answer in found for rule in answer.response["violations"])
        for node in rule["nodes"]
    ]


def template(path: Path) -> str:
    """What a page is made from: runs share one notebook, and so do pages of one name in each part
    of the book.
    """
    return "runs" if path.parent.name == "runs" else path.stem


def size(address: str) -> int:
    """Bytes of a file that a page asked for; none where it is missing, which is an error of its
    own.
    """
    path = Path(unquote(urlsplit(address).path))
    return path.stat().st_size if path.exists() else 0


@pytest.fixture(scope="module")
def pages(html) -> list:
    """All pages but the one that only leads to the first."""
    found = [
        p
        for p in sorted(html.rglob("*.html"))
        if "_static" not in p.parts and p != html / "index.html"
    ]
    assert len(found) > 20
    return found


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_every_page_loads_alone_and_meets_wcag(chromium, pages, scheme, width):
    """No page asks the internet, has an error, is heavy or too wide, or keeps anybody out.

    axe takes seconds a page, so it looks at one page of each template, and at what a colour scheme
    does not change in the first view alone; all else is asked of every page.
    """
    page, wrong = (
        chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme),
        {},
    )
    seen = set()
    for path in pages:
        errors, asked = visit(page, path.as_uri())
        outside = [a for a in asked if not a.startswith(("file:", "data:", "blob:"))]
        own = sum(size(a) for a in asked if a.startswith("file:"))
        heavy = [f"{own / 1e6:.1f} MB with all that it loads"] * (own > 2e6)
        first = (scheme, width) == VIEWS[0]
        closed = [] if template(path) in seen else barriers(page, structure=first)
        seen.add(template(path))
        if found := [*errors, *outside, *heavy, *too_wide(page), *closed]:
            wrong[path.name] = found
    page.close()
    assert wrong == {}


def test_the_example_of_a_report_opens_on_its_page_and_works(html, chromium):
    """A biologist must see what a report is before filming anything."""
    page = chromium.new_page()
    errors, _ = visit(page, (html / "book/pages/example-report.html").as_uri())
    page.locator("summary", has_text="Show the report of").first.click()
    report = page.frame_locator("iframe.report").first
    before = report.locator("#state").inner_text()
    assert "simulated" in report.locator("body").inner_text().lower()
    report.locator("#begin").click()
    report.locator("#choices button").first.click()
    assert report.locator("#state").inner_text() != before
    assert errors == []
    page.close()


def test_axe_and_the_listeners_find_what_is_wrong(chromium, tmp_path):
    """A check that finds nothing on a bad page proves nothing on a good one."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<html lang="en"><title>Bad</title><body><p style="width: 3000px; color: #ccc; background:'
        ' #fff">pale</p>'
        '<img src="none.png"><script>nothing()</script></body></html>',
        encoding="utf-8",
    )
    page = chromium.new_page()
    errors, asked = visit(page, bad.as_uri())
    text = " ".join([*errors, *too_wide(page), *barriers(page)])
    page.close()
    assert bad.with_name("none.png").as_uri() in asked
    assert all(
        word in text
        for word in ("failed: ", "nothing is not defined", "px too wide", "image-alt", "contrast")
    )


def test_search_from_the_landing_page_finds_a_term_of_the_glossary_on_a_disk(chromium, html):
    """The search must work without a server."""
    page = chromium.new_page()
    visit(page, (html / "index.html").as_uri())  # which leads to the landing page
    page.wait_for_url("**/book/pages/index.html")
    page.locator("button.search-button__button").first.click()
    page.locator("dialog input[type=search]").fill("leakage")
    errors = []
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.keyboard.press("Enter")
    page.locator("#search-results li a[href*='learn/glossary.html']").first.wait_for()
    page.close()
    assert errors == []


@pytest.mark.parametrize("screen", [(1440, 900), (375, 812)])
def test_the_landing_page_answers_on_the_first_screen(chromium, html, screen):
    """Who looks for ten seconds must leave with the four answers, on a desk and on a phone."""
    page = chromium.new_page(viewport=dict(zip(("width", "height"), screen)))
    visit(page, (html / "book" / "pages" / "index.html").as_uri())
    answers = page.locator(".answers article")
    assert answers.count() == 4
    ends = [box["y"] + box["height"] for box in (each.bounding_box() for each in answers.all())]
    page.close()
    assert max(ends) <= screen[1]


def test_the_book_is_below_sixty_megabytes(html):
    """The book must fit on a stick and through a mail; the browser's Python is not part of it."""
    files = (p for p in html.rglob("*") if p.is_file() and html / "lab" not in p.parents)
    assert sum(p.stat().st_size for p in files) < 60e6


def test_a_claim_is_traced_from_the_landing_page_to_its_raw_predictions_in_three_clicks(
    chromium, html
):
    """A reviewer must reach the evidence of any claim; a long table shows its first rows."""
    page = chromium.new_page()
    visit(page, (html / "book" / "pages" / "index.html").as_uri())
    page.locator("ul.verdicts a").first.click()
    # the click only starts to load the page, and the table is made ready last
    controls = page.locator(".table-controls:has(+ #claims-board)")
    controls.wait_for()
    rows, shown = (page.locator(f"#claims-board tbody tr{which}") for which in ("", ":visible"))
    assert shown.count() == 40 < rows.count()
    claims = page.locator("#claims-board tbody tr:has(a[href$='.csv'])")
    chosen = claims.nth(claims.count() - 1)
    controls.get_by_role("button", name="Show all rows").click()
    assert shown.count() == rows.count()
    chosen.locator("summary").click()
    link = chosen.locator("a[href$='.csv']").first
    assert link.is_visible()
    file = Path(unquote(urlsplit(link.evaluate("a => a.href")).path))
    assert file.read_text(encoding="utf-8").startswith("name,acquisition,label,")

    last = rows.last.get_attribute("id")
    visit(page, f"about:blank#{last}")  # from elsewhere, to a row that is not among the first
    visit(page, (html / f"book/pages/released/claims.html#{last}").as_uri().replace("%23", "#"))
    page.locator(f"[id='{last}'] details[open]").wait_for()
    page.close()


def test_formulas_are_set_in_the_font_that_the_site_carries(chromium, html):
    """By a font of the reader's machine roots and braces stay small, and formulas read wrongly."""
    page = chromium.new_page()
    page.goto((html / "book" / "methods.html").as_uri())
    loaded = """async () => { await document.fonts.ready;
      return [...document.fonts].filter(f => f.family == "Formulas").map(f => f.status); }"""
    assert page.evaluate(loaded) == ["loaded"]
    brace = "[...document.querySelectorAll('math mo')].filter(m => m.textContent == '{')"
    heights = page.evaluate(f"{brace}.map(m => m.getBoundingClientRect().height)")
    assert max(heights) > 60, "the brace of a formula of four lines does not stretch"
    page.close()
