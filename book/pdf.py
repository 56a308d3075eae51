"""Print the built book as one PDF, _build/book.pdf, by headless Chromium: python book/pdf.py.

All pages become one document in the order of the table of contents; links between them lead to
their headings.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"


def article(page: Path) -> str:
    """A page's content, with addresses as seen from the root, and names of its own for what it
    links to.
    """
    body = re.search(r"<article[^>]*>(.*)</article>", page.read_text(encoding="utf-8"), re.DOTALL)[
        1
    ]

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
    return f'<article class="bd-article" id="{here}:" style="break-before: page">{body}</article>'


def main() -> None:
    program = os.environ.get("RBC_CHROMIUM") or shutil.which("chromium")
    if not program:
        sys.exit(
            "no chromium on the path and RBC_CHROMIUM is not set: install it, or print pages in a"
            " browser"
        )
    first = HTML / "book" / "index.html"
    head, contents = (
        re.search(r"<head>.*?</head>", first.read_text(encoding="utf-8"), re.DOTALL)[0],
        first.read_text(encoding="utf-8"),
    )
    links = dict.fromkeys(
        re.findall(
            r'<li class="toctree-l\d[^>]*><a class="reference internal" href="([^"#]+)"', contents
        )
    )
    pages = [first, *(Path(os.path.normpath(first.parent / link)) for link in links)]
    head = re.sub(r"<script.*?</script>", "", head, flags=re.DOTALL).replace(
        '"../_static', '"_static'
    )
    whole = HTML / "whole.html"
    whole.write_text(
        '<html lang="en"'
        f' data-theme="light">{head}<body>{"".join(map(article, pages))}</body></html>',
        encoding="utf-8",
    )
    calm = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    try:
        subprocess.run(
            [program, *calm, f"--print-to-pdf={HTML.parent / 'book.pdf'}", whole.as_uri()],
            check=True,
        )
    finally:
        whole.unlink()


if __name__ == "__main__":
    main()
