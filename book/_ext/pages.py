"""What every page needs beyond the theme: names and roles that screen readers use, and a last line
with its history.
"""

from __future__ import annotations

import re
import time
from functools import cache
from pathlib import Path

from sphinx.errors import ExtensionError

from compendium.runs import git

#: What the theme and docutils write, and what WCAG wants there instead.
MENDED = [
    # the button that opens a part of the contents has no name
    (
        re.compile(r"(<a [^>]*>([^<]*)</a><details[^>]*>)<summary>"),
        r'\1<summary aria-label="Pages below \2">',
    ),
    # the old role is no child of a list
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
    # the theme's icons come from its font as well; this script, 1.5 MB, would only draw them again
    (re.compile(r"<script [^>]*fontawesome\.js[^>]*></script>"), ""),
]
#: A figure, and the place on another page where it is shown again.
FIGURE = re.compile(r'<figure [^>]*id="(fig-[\w-]+)".*?</figure>', re.DOTALL)
PLACE = re.compile(r'<div class="figure-of" data-name="([\w-]+)"></div>')
#: Folded code of a cell, as myst-nb writes it.
FOLDED = re.compile(
    r'<details class="admonition hide above-input">\s*<summary.*?</summary>\s*(.*?)</details>\s*',
    re.DOTALL,
)
NOT_READ = ("fontawesome.js", "*.map")  #: files of the theme that no page reads


@cache
def built() -> str:
    """When and from which commit this book is built; outside a git checkout, that there is none."""
    commit = git("rev-parse", "--short", "HEAD")
    changes = " with changes" if git("status", "--porcelain") else ""
    state = "outside a git checkout" if commit == "unknown" else f"from commit {commit}{changes}"
    return f"Built on {time.strftime('%Y-%m-%d', time.gmtime())} {state}."


def source(page: str) -> str:
    """The file in git that a page is made from: its own, or the notebook that was executed."""
    if not page.startswith("book/pages/"):
        return next((str(p) for p in map(Path, (f"{page}.md", f"{page}.ipynb")) if p.exists()), "")
    return f"notebooks/{'train' if '/runs/' in page else Path(page).name}.ipynb"


def launch(origin: str, notebook: str) -> str:
    """A link that runs a notebook of the course on Binder, where the checkout's origin is on
    GitHub; else nothing.

    The others need runs or data, which Binder does not have.
    """
    found = re.search(r"github\.com[:/](.+?)(\.git)?$", origin)
    if not found or not notebook.startswith("notebooks/learn-"):
        return ""
    return (
        f' <a href="https://mybinder.org/v2/gh/{found[1]}/HEAD?labpath={notebook}">Run this'
        " page on Binder.</a>"
    )


def history(app, page, template, context, doctree) -> None:
    """Put the build, the last change of the page's source and where to run it into the footer."""
    changed = (
        git("log", "-1", "--format=%cs (commit %h)", "--", source(page))
        if doctree and source(page)
        else ""
    )
    last = f" {source(page)} last changed on {changed}." if changed not in ("", "unknown") else ""
    context["theme_extra_footer"] = (
        f"<p>{built()}{last}{launch(git('remote', 'get-url', 'origin'), source(page))}</p>"
    )


def shown_again(pages: dict[Path, str]) -> dict[Path, str]:
    """The pages that show figures of others, with these in place.

    Parameters
    ----------
    pages : address -> HTML of all pages; those that show figures of others lie as deep as they

    Raises
    ------
    ExtensionError
        for a figure that no page has
    """
    figures = {found[1]: found[0] for text in pages.values() for found in FIGURE.finditer(text)}

    def figure(found: re.Match) -> str:
        if found[1] not in figures:
            raise ExtensionError(f"no page has the figure {found[1]}, which another one shows")
        # A name may stand once on a page, and the link to the original's own place leads nowhere.
        again = figures[found[1]].replace(f'id="{found[1]}"', f'id="again-{found[1]}"')
        return re.sub(r'<a class="headerlink".*?</a>', "", again, flags=re.DOTALL)

    return {path: PLACE.sub(figure, text) for path, text in pages.items() if PLACE.search(text)}


def code_at_end(text: str) -> str:
    """A page with the folded code of all its cells in one place, after what it says: up to
    seventeen such lines stood between the figures of a page.
    """
    code = FOLDED.findall(text)
    if not code:
        return text
    summary = "<summary>Code of this page</summary>"
    whole = f'<details class="page-code">{summary}{"".join(code)}</details>'
    before, end, after = FOLDED.sub("", text).rpartition("</article>")
    return before + whole + end + after


def mend(app, error) -> None:
    """Mend the pages as they were written, and take out what none of them reads."""
    pages = [] if error else list(Path(app.outdir).rglob("*.html"))
    texts = {path: path.read_text(encoding="utf-8") for path in pages}
    for path, text in shown_again(texts).items():
        path.write_text(text, encoding="utf-8")
    for path in pages:
        text = code_at_end(path.read_text(encoding="utf-8"))
        for pattern, better in MENDED:
            text = pattern.sub(better, text)
        path.write_text(text, encoding="utf-8")
    for path in [
        path for pattern in NOT_READ for path in Path(app.outdir, "_static").rglob(pattern)
    ]:
        path.unlink()


def setup(app):
    # found pages are fetched for their summaries, which a browser refuses from a disk
    app.add_js_file(
        None,
        body="if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY ="
        " false;",
    )
    app.connect("html-page-context", history)
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
