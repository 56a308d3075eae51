"""Where each figure comes from, beside it: real or simulated cells, the numbers that it draws as
CSV, the notebook that drew it and the commit.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError

from compendium import drawn
from compendium.runs import git

FOLDER = "_figures"  #: of the site, for the numbers
NARROW = "narrow-"  #: begins the class of a picture that has a narrow version
LEFT_OUT = {"remove-cell", "remove-output", "remove_cell", "remove_output"}
KINDS = {"real": "Real cells", "simulated": "Simulated cells"}


def source(page: str) -> str:
    """The file in git that a page is made from: its own, or the notebook that was executed."""
    if not page.startswith("book/pages/"):
        return next((str(p) for p in map(Path, (f"{page}.md", f"{page}.ipynb")) if p.exists()), "")
    return f"notebooks/{'train' if '/runs/' in page else Path(page).name}.ipynb"


def kind(caption: str, badges: list[nodes.Element]) -> str:
    """Which cells a figure shows: as its caption says, else as the badge of its page says."""
    words = caption.lower()
    for name, text in KINDS.items():
        if f"{name} cells" in words or f"{name} sequences" in words or words.startswith(name):
            return text
    named = {name for badge in badges for name in badge["classes"] if name in KINDS}
    return KINDS[named.pop()] if len(named) == 1 else ""


def pictures(notebook: dict) -> list[dict]:
    """The output of each picture that an executed notebook shows."""
    shown = (c for c in notebook["cells"] if not LEFT_OUT & set(c["metadata"].get("tags", ())))
    outputs = (output.get("data", {}) for cell in shown for output in cell.get("outputs", ()))
    return [data for data in outputs if "image/png" in data]


def add(app, doctree: nodes.document) -> None:
    """Below the caption of each figure of a notebook's page, say where it comes from."""
    page = app.env.docname
    path = Path(app.env.doc2path(page))
    if path.suffix != ".ipynb":
        return
    notebook = json.loads(path.read_text(encoding="utf-8"))
    shown = pictures(notebook)
    outputs = [n for n in doctree.findall(nodes.container) if "cell_output" in n["classes"]]
    images = [image for output in outputs for image in output.findall(nodes.image)]
    if len(images) != len(shown):
        raise ExtensionError(f"{page}: {len(images)} pictures of {len(shown)} outputs")
    badges = [box for box in doctree.findall(nodes.admonition) if "kind" in box["classes"]]
    commit = notebook["metadata"].get("made", {}).get("commit") or git("rev-parse", "HEAD")
    for number, (image, output) in enumerate(zip(images, shown), 1):
        file = f"{FOLDER}/{page.replace('/', '-')}-{number}"
        table = "".join(output.get(drawn.NUMBERS, ""))
        figure = image.parent
        while figure is not None and not isinstance(figure, nodes.figure):
            figure = figure.parent
        if figure is None:
            raise ExtensionError(f"{page}: picture {number} has no caption (mystnb: figure)")
        if table and drawn.PICTURE not in table:
            figure["classes"].append("drawing")  # its colours may follow the page's
        cells = kind(next(figure.findall(nodes.caption)).astext(), badges)
        line = nodes.paragraph("", f"{cells}. Drawn by " if cells else "Drawn by ")
        line += _drawn_by(app.config, source(page), commit)
        if table:
            _write(Path(app.outdir, f"{file}.csv"), table.encode())
            line += [nodes.Text(" "), _link("Data (CSV)", f"{'../' * page.count('/')}{file}.csv")]
        if drawn.NARROW in output:
            _write(Path(app.outdir, f"{file}.png"), base64.b64decode(output[drawn.NARROW]))
            image["classes"].append(f"{NARROW}{Path(file).name}")
        figure += nodes.legend("", line, classes=["origin"])


def _drawn_by(config, notebook: str, commit: str) -> list[nodes.Node]:
    """The notebook, as a link to that commit where the repository has an address."""
    address = config.html_theme_options.get("repository_url", "")
    name = _link(notebook, f"{address}/blob/{commit}/{notebook}") if address else None
    return [name or nodes.literal("", notebook), nodes.Text(f", commit {commit[:7]}.")]


def _link(words: str, address: str) -> nodes.reference:
    return nodes.reference("", words, refuri=address, internal=False)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def opened(text: str, up: str) -> str:
    """A page whose figures open alone when clicked, and show a narrow version, if they have one, on
    a narrow screen.

    Parameters
    ----------
    text : HTML of the page
    up : what leads from the page to the root of the site, such as ``../../``
    """

    def link(found: re.Match) -> str:
        figure, image, address = found.groups()
        if narrow := re.search(rf"{NARROW}([\w-]+)", image):
            there = f"{up}{FOLDER}/{narrow[1]}.png"
            source = f'<source media="(max-width: 40rem)" srcset="{there}">'
            image = f"<picture>{source}{image}</picture>"
        return f'{figure}<a href="{address}">{image}</a>'

    return re.sub(r'(<figure\b[^>]*>\s*)(<img [^>]*src="([^"]*)"[^>]*>)', link, text)


def setup(app):
    app.connect("doctree-read", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
