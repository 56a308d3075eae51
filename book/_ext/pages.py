"""What every page needs beyond the theme: names and roles that screen readers use, captions of
tables, definitions of terms, where to get the code, and a last line with its history.
"""

from __future__ import annotations

import html
import re
import time
from collections import Counter
from functools import cache
from importlib.metadata import version
from pathlib import Path

from origins import opened, source
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
CHAPTER = re.compile(r'<h1><span class="section-number">(\d+)\. </span>')
HEADING_OR_TABLE = re.compile(
    r"<(h[1-6]|summary)[ >].*?</\1>|</details>|(?P<table><table\b.*?</table>)", re.DOTALL
)
CAPTION = re.compile(r"\s*<caption\b[^>]*>(.*?)</caption>", re.DOTALL)
HEAD = re.compile(r"<thead\b.*?</thead>", re.DOTALL)
TERM = re.compile(r'<dt id="(term-[\w-]+)">.*?</dt><dd>(.*?)</dd>', re.DOTALL)
PDF = '<span class="pdf"></span>'  #: where book/pdf.py puts its link
NOT_READ = ("fontawesome.js", "*.map")  #: files of the theme that no page reads


@cache
def built() -> str:
    """When and from which commit this book is built; outside a git checkout, that there is none."""
    commit = git("rev-parse", "--short", "HEAD")
    changes = " with changes" if git("status", "--porcelain") else ""
    state = "outside a git checkout" if commit == "unknown" else f"from commit {commit}{changes}"
    return f"Built on {time.strftime('%Y-%m-%d', time.gmtime())} {state}."


def launch(address: str, notebook: str) -> str:
    """Links that run a notebook of the course on Binder and on Colab, where the configuration names
    a repository on GitHub; else nothing.

    The others need runs or data, which neither has.
    """
    found = re.match(r"https://github\.com/([\w.-]+/[\w.-]+?)/?$", address)
    if not found or not notebook.startswith("notebooks/learn-"):
        return ""
    places = {
        "Binder": f"https://mybinder.org/v2/gh/{found[1]}/HEAD?labpath={notebook}",
        "Colab": f"https://colab.research.google.com/github/{found[1]}/blob/HEAD/{notebook}",
    }
    links = (f'<a href="{there}">{name}</a>' for name, there in places.items())
    return f" Run this page on {' or '.join(links)}."


def where_to_get_it(address: str, release: str) -> str:
    """The lines that say where to get the code, as Markdown; without an address, what to fill in.

    Pages hold them as the substitution ``where_to_get_it``.
    """
    platforms = "Python 3.11 on Linux, macOS or Windows."
    if not address:
        return (
            "This copy of the book does not say where its code is published: whoever builds it can"
            f" fill in `repository: url` in `_config.yml`. The code needs {platforms}"
        )
    wheel = f"{address}/releases/download/v{release}/rbc-{release}-py3-none-any.whl"
    return (
        f"* The code: `git clone {address}`\n* The tool for movies alone: `pip install {wheel}`\n"
        f"* It needs {platforms}"
    )


def configure(app, config) -> None:
    """Hand the address of the repository to the pages that say where to get the code."""
    address = config.html_theme_options.get("repository_url", "").rstrip("/")
    config.html_theme_options["repository_url"] = address
    config.myst_substitutions["where_to_get_it"] = where_to_get_it(address, version("rbc"))
    config.ogp_site_url = config.html_baseurl


def history(app, page, template, context, doctree) -> None:
    """Put the build, the last change of the page's source and where to run it into the footer."""
    file = source(page) if doctree else ""
    changed = git("log", "-1", "--format=%cs (commit %h)", "--", file) if file else ""
    last = f" {file} last changed on {changed}." if changed not in ("", "unknown") else ""
    address = app.config.html_theme_options["repository_url"]
    context["theme_extra_footer"] = f"<p>{built()}{last}{launch(address, file)} {PDF}</p>"


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


def tables(text: str) -> str:
    """A page with a caption of its tables, a number where the chapter has one, and a scope for
    their heads.

    A table without a caption is called as the heading, or the summary, that it stands under.
    """
    chapter = CHAPTER.search(text)
    headings, counts = [""], Counter()

    def named(found: re.Match) -> str:
        if found["table"]:
            counts[""] += 1
            counts[headings[-1]] += 1
            number = f"Table {chapter[1]}.{counts['']}. " if chapter else ""
            return _captioned(found["table"], number, headings[-1], counts[headings[-1]])
        if found[0] == "</details>":
            del headings[1:]
        elif found[1] == "summary":
            headings.append(_words(found[0]))
        else:
            headings[:] = [_words(found[0])]
        return found[0]

    before, start, after = text.partition("<article")
    return before + start + HEADING_OR_TABLE.sub(named, after)


def _words(heading: str) -> str:
    return re.sub(r'<a class="headerlink".*?</a>|<[^>]*>', "", heading).strip()


def _captioned(table: str, number: str, heading: str, place: int) -> str:
    own = CAPTION.search(table)
    words = own[1] if own else heading + f" ({place})" * (place > 1)
    table = HEAD.sub(lambda head: _scoped(head[0], "col"), CAPTION.sub("", table, count=1))
    return _scoped(table, "row").replace(">", f"><caption>{number}{words}</caption>", 1)


def _scoped(rows: str, scope: str) -> str:
    """Rows of a table whose heads say what they are of; those that say so already stay."""

    def head(found: re.Match) -> str:
        group = "group" if "colspan" in found[1] or "rowspan" in found[1] else ""
        return found[0] if "scope=" in found[1] else f'<th scope="{scope}{group}"{found[1]}>'

    return re.sub(r"<th\b([^>]*)>", head, rows)


def with_definitions(text: str, terms: dict[str, str]) -> str:
    """A page whose links to the glossary hold what it says; the style sheet shows it."""

    def link(found: re.Match) -> str:
        return f'{found[0][:-1]} data-definition="{html.escape(terms[found[1]])}">'

    return re.sub(r'<a [^>]*href="[^"]*glossary\.html#(term-[\w-]+)"[^>]*>', link, text)


def mend(app, error) -> None:
    """Mend the pages as they were written, and take out what none of them reads."""
    pages = [] if error else list(Path(app.outdir).rglob("*.html"))
    texts = {path: path.read_text(encoding="utf-8") for path in pages}
    for path, text in shown_again(texts).items():
        path.write_text(text, encoding="utf-8")
    glossary = texts.get(Path(app.outdir, "book", "learn", "glossary.html"), "")
    terms = {name: re.sub(r"<[^>]*>", "", words) for name, words in TERM.findall(glossary)}
    for path in pages:
        text = with_definitions(tables(code_at_end(path.read_text(encoding="utf-8"))), terms)
        text = opened(text, "../" * (len(path.relative_to(app.outdir).parts) - 1))
        for pattern, better in MENDED:
            text = pattern.sub(better, text)
        path.write_text(text, encoding="utf-8")
    for pattern in NOT_READ:
        for path in Path(app.outdir, "_static").rglob(pattern):
            path.unlink()


def setup(app):
    # found pages are fetched for their summaries, which a browser refuses from a disk
    app.add_js_file(
        None,
        body="if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY ="
        " false;"
        # Escape takes the shown definition of a term away (WCAG 1.4.13)
        "addEventListener('keydown', (e) => e.key === 'Escape' &&"
        " document.documentElement.classList.add('no-definitions'));"
        "for (const kind of ['focusin', 'pointerover']) addEventListener(kind, () =>"
        " document.documentElement.classList.remove('no-definitions'));",
    )
    app.connect("config-inited", configure)
    app.connect("html-page-context", history)
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
