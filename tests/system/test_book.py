"""The book's builder and its extensions: parts, what stops a build, formulas, captions, origins,
the document that is printed.
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from docutils import nodes
from fontTools.ttLib import TTFont
from sphinx.errors import ExtensionError

from compendium import ROOT, drawn

sys.path.append(str(ROOT / "book" / "_ext"))


def load(file: str):
    """A file of book/ as a module."""
    specification = importlib.util.spec_from_file_location(Path(file).stem, ROOT / "book" / file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def build(tmp_path):
    """book/build.py, working on a folder of its own with the real table of contents."""
    module = load("build.py")
    module.ROOT, module.PAGES = tmp_path, tmp_path / "book" / "pages"
    shutil.copy(ROOT / "_toc.yml", tmp_path)
    return module


def write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("simulated", "caption"), [(True, "Appendix"), (False, "Results on real cells")]
)
def test_real_cells_never_stand_under_a_heading_of_simulated_ones(build, simulated, caption):
    """A heading that lies about the kind of data misleads at a glance."""
    write(build.ROOT / "results" / "paper" / "dataset.json", {"simulated": simulated})
    parts = build.contents("paper")["parts"]
    assert [p["caption"] for p in parts if "pages/paper/" in yaml.safe_dump(p)] == [caption]
    assert ("book/simulated-cells" in yaml.safe_dump(parts)) == simulated
    assert "pages/demo/" not in yaml.safe_dump(parts)


STREAM = {"output_type": "stream", "name": "stdout", "text": "well"}
#: Outputs that only their author should see, and what the build says of each.
FLAWED = {
    "ended with an error": {"output_type": "error"},
    "standard error: UserW": STREAM | {"name": "stderr", "text": "UserWarning: x"},
    "a value of": {"output_type": "execute_result", "data": {"text/plain": "'none'"}},
    "at 0x7f12> stands on it": {
        "output_type": "execute_result",
        "data": {"text/plain": "<rbc.Run at 0x7f12>"},
    },
    "/tmp/ stands on it": {
        "output_type": "display_data",
        "data": {"text/html": ["<p>", "/tmp/x.py</p>"]},
    },
}
#: Outputs like these that are right.
WHOLE = [
    STREAM,
    {"output_type": "execute_result", "data": {"text/plain": "'x'", "text/markdown": "x"}},
    {"output_type": "display_data", "data": {"text/plain": "<Figure>", "image/png": "AA"}},
]


@pytest.mark.parametrize("said", FLAWED)
def test_a_page_with_what_only_its_author_should_see_stops_the_build(build, said):
    """Errors, warnings, bare values of Python, addresses of objects, temporary paths."""
    page = build.PAGES / "released" / "runs" / "one.ipynb"
    toc = {"parts": [{"chapters": [{"glob": "book/pages/released/runs/*"}]}]}
    write(build.ROOT / "notebooks" / "paper.ipynb", {"cells": []})
    write(page, {"cells": [{"outputs": WHOLE}]})
    build.check_notebooks(toc)
    write(page, {"cells": [{"outputs": [*WHOLE, FLAWED[said]]}]})
    with pytest.raises(SystemExit, match=said):
        build.check_notebooks(toc)
    build.check_notebooks({})  # another profile's book, which does not hold the page


#: More digits than any result here is known to. Not the number in a DOI, and no setting such as
#: 0.0001.
TOO_EXACT = re.compile(r"(?<![\w.\-/])(?!0\.0+1\b)\d+\.\d{4,}(?![\w./])")
#: What is not read on a page: programs, styles, and the tags themselves.
UNREAD = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)


def too_exact(page: dict) -> list[str]:
    """Numbers of more than three decimals in what an executed notebook shows."""
    kinds = ("text/html", "text/markdown", "text/plain")
    words = [
        "".join(output.get("text", ""))
        or next(("".join(output["data"][kind]) for kind in kinds if kind in output["data"]), "")
        for cell in page["cells"]
        for output in cell.get("outputs", [])
        if not any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    return [number for text in words for number in TOO_EXACT.findall(UNREAD.sub(" ", text))]


def test_no_page_shows_more_than_three_decimals(built):
    """Digits that nothing supports hide those that count."""
    shown = '<a href="0.12345">doi 10.1126/sciadv.adk, rate 0.0001, version 1.2.34567</a> 0.8512'
    output = {"output_type": "display_data", "data": {"text/html": shown}}
    assert too_exact({"cells": [{"outputs": [output]}]}) == ["0.8512"]
    pages = [*(built / "book" / "pages").rglob("*.ipynb"), built / "notebooks" / "paper.ipynb"]
    found = {path.name: too_exact(json.loads(path.read_text(encoding="utf-8"))) for path in pages}
    assert {name: numbers for name, numbers in found.items() if numbers} == {}


def test_the_status_page_says_when_each_page_was_made_from_what(build):
    """A reader must see which commit made a page."""
    made = {"commit": "a" * 40, "dirty": True, "finished": "2026-01-02T03:04:05Z", "seconds": 12.4}
    page = {"cells": [{"source": "(a-label)=\n# A page\n\nwords"}], "metadata": {"made": made}}
    write(build.PAGES / "tiny" / "a.ipynb", page)
    write(build.PAGES / "tiny" / "old.ipynb", page | {"metadata": {}})
    write(build.PAGES / "other" / "b.ipynb", page)
    toc = {"parts": [{"chapters": [{"file": "book/pages/tiny/a"}]}]}
    table = [line for line in build.status(toc).splitlines() if line.startswith("| [")]
    assert table == [
        "| [A page](tiny/a.ipynb) | 2026-01-02T03:04:05Z | 12 | aaaaaaaaaa with changes |"
    ]


#: Space before and after the name of a function: else "y log p" reads like a product of letters.
APART = '<mo form="prefix" lspace="0.167em" rspace="{}">{}</mo>'


@pytest.mark.parametrize(
    ("tex", "holds"),
    [
        (r"\frac{2\pi}{\dot\gamma}", "<mfrac>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtr>"),
        (r"y \log p", APART.format("0.167em", "log")),
        (r"\sin(x)", APART.format("0", "sin")),
    ],
)
def test_a_formula_becomes_mathml(tex, holds):
    """Formulas must need no other site."""
    made = load("_ext/formulas.py").mathml(nodes.math_block(tex, tex), "block")
    assert made.startswith("<math") and holds in made


@pytest.mark.parametrize("tex", [r"\unheardof x", r"\begin{unheardof} a & b \end{unheardof}", "x_"])
def test_a_formula_that_does_not_become_mathml_is_a_warning(tex, caplog):
    """A formula that is not shown must stop the build."""
    load("_ext/formulas.py").mathml(nodes.math(tex, tex), "inline")
    assert [tex in record.getMessage() for record in caplog.records] == [True]


def test_the_font_of_formulas_holds_their_signs_and_what_stretches(tmp_path):
    """A sign that the font lacks comes from another one, or is not shown at all: the root was cut
    away once, as no page spells it.
    """
    (tmp_path / "_static").mkdir()
    page = "<p>no \u2603</p><math><mi>x</mi><mo>\u2211</mo><msqrt><mi>&#x003B1;</mi></msqrt></math>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(tmp_path))
    load("_ext/formulas.py").write_font(app, None)
    font = TTFont(tmp_path / "_static" / "formulas.woff2")
    signs = font.getBestCmap()
    assert {ord("x"), 0x2211, 0x3B1, 0x221A, 0x1D465} <= set(signs) and 0x2603 not in signs
    # the root grows with what is below it
    assert signs[0x221A] in font["MATH"].table.MathVariants.VertGlyphCoverage.glyphs


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("book/methods", "book/methods.md"),
        ("notebooks/paper", "notebooks/paper.ipynb"),
        ("book/pages/demo/runs/stage1-cnn-uniform-k10-s0", "notebooks/train.ipynb"),
        ("book/pages/tracking", "notebooks/tracking.ipynb"),
    ],
)
def test_every_page_names_the_file_that_it_is_made_from(page, file):
    """Who finds a mistake must find its source."""
    assert load("_ext/origins.py").source(page) == file


def test_where_to_get_the_code_comes_from_one_address():
    """A link to a place that is not there must not be made; without an address a line says so."""
    pages = load("_ext/pages.py")
    address = "https://github.com/lab/rbc"
    assert f"git clone {address}" in pages.where_to_get_it(address, "1.0")
    assert "`repository: url` in `_config.yml`" in pages.where_to_get_it("", "1.0")
    links = pages.launch(address, "notebooks/learn-motion.ipynb")
    assert "mybinder.org/v2/gh/lab/rbc/HEAD" in links and "colab" in links
    for there, notebook in [
        ("", "learn-motion"),
        (address, "marker"),
        ("/srv/rbc", "learn-motion"),
    ]:
        assert pages.launch(there, f"notebooks/{notebook}.ipynb") == ""


def test_tables_have_a_number_a_caption_and_a_scope():
    """Who hears a table read must know which one it is and what a number belongs to."""
    page = (
        '<article><h1><span class="section-number">3. </span>A</h1><h2>Scores</h2>'
        "<table><thead><tr><th>n</th><th colspan=2>x</th></tr></thead>"
        '<tr><th>a</th><th scope="row">b</th></tr></table>'
        "<details><summary>Runs</summary><table></table></details>"
        "<table><caption>Own</caption></table><table></table></article>"
    )
    made = load("_ext/pages.py").tables(page)
    captions = ["Table 3.1. Scores", "Table 3.2. Runs", "Table 3.3. Own", "Table 3.4. Scores (3)"]
    assert re.findall("<caption>(.*?)</caption>", made) == captions
    assert '<th scope="col">n' in made and '<th scope="colgroup" colspan=2>' in made
    assert '<th scope="row">a' in made and made.count("scope") == 4


def test_a_link_to_the_glossary_holds_the_definition():
    """A reader should not leave the page for a word."""
    link = '<a class="x" href="../glossary.html#term-k"><span>K</span></a>'
    made = load("_ext/pages.py").with_definitions(link, {"term-k": 'at most "20"'})
    assert 'data-definition="at most &quot;20&quot;"' in made


def test_a_figure_of_another_page_is_shown_again_under_a_name_of_its_own():
    """Slides must show what the chapters show, and a name may stand once in a book."""
    pages = load("_ext/pages.py")
    figure = (
        '<figure class="align-default" id="fig-a">\n<img src="../../_images/a.png">'
        '<figcaption>A<a class="headerlink" href="#fig-a">#</a></figcaption>\n</figure>'
    )
    place = {Path("here.html"): '<div class="figure-of" data-name="fig-a"></div>'}
    shown = pages.shown_again({Path("there.html"): f"<p>{figure}</p>", **place})
    (again,) = shown.values()
    assert 'id="again-fig-a"' in again and "_images/a.png" in again and "headerlink" not in again
    with pytest.raises(ExtensionError, match="no page has the figure fig-a"):
        pages.shown_again(place)  # an empty slide would be found in front of the class


def test_folded_code_stands_in_one_place_after_what_a_page_says():
    """A reader wants figures, a programmer all code in its order; nothing of it may be lost."""
    folded = (
        '<details class="admonition hide above-input">\n<summary aria-label="Toggle"><p>Show</p>'
        "</summary>\n<div>{}</div>\n</details>\n"
    )
    page = f"<article><h1>A</h1>{folded.format('x = 1')}<p>one</p>{folded.format('y = 2')}two"
    made = load("_ext/pages.py").code_at_end(f"{page}</article><footer></footer>")
    assert made.startswith("<article><h1>A</h1><p>one</p>two<details")
    assert made.index("x = 1") < made.index("y = 2") < made.index("</article>")


def test_a_figure_gives_the_numbers_that_it_draws_and_no_pixel():
    """A reader must be able to draw it anew; pixels may be of real cells."""
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2], [0.25, 0.5], label="seen")
    left.set(title="a\npanel", xticks=[1, 2], xticklabels=["one", "two"])
    right.imshow(np.zeros((3, 4)))
    rows = pd.read_csv(pd.io.common.StringIO(drawn.csv_of(figure)))
    line = rows[rows["kind"] == "line"]
    assert line[["x", "y"]].to_numpy().tolist() == [[1, 0.25], [2, 0.5]]
    assert set(line["series"]) == {"seen"} and set(line["panel"]) == {"a panel"}
    assert rows.loc[rows["kind"] == "x tick", "words"].tolist() == ["one", "two"]
    assert rows.loc[rows["kind"] == drawn.PICTURE, "words"].tolist() == ["3 x 4 px"]
    left.remove()
    assert drawn.csv_of(figure) is None
    plt.close(figure)


def test_every_figure_of_a_notebook_says_where_it_comes_from(html):
    """Data, notebook, commit, kind of cells: beside the figure, not in another chapter."""
    pages = [p for p in (html / "book" / "pages").rglob("*.html") if "runs" not in p.parts]
    figures = [
        (page, found)
        for page in pages
        for found in re.findall(r"<figure\b.*?</figure>", page.read_text(encoding="utf-8"), re.S)
        if "_images/" in found
    ]
    assert len(figures) > 30
    for page, figure in figures:
        assert re.search(r"Drawn by .*notebooks/[\w-]+\.ipynb.*, commit \w{7}\.", figure), page
        for file in re.findall(r'href="([^"]*_figures/[^"]*\.csv)"', figure):
            assert (page.parent / file).exists(), file
    assert sum("Data (CSV)" in figure for _, figure in figures) > 20


def test_the_number_of_each_card_stands_on_the_page_that_it_opens(html):
    """Who clicks on a number must find it."""
    landing = html / "book" / "pages" / "index.html"
    cards = re.findall(r"<article>.*?</article>", landing.read_text(encoding="utf-8"), re.DOTALL)
    assert len(cards) == 4
    for card in cards:
        number = re.search("<strong>(.*?)</strong>", card)[1]
        page = landing.parent / re.search('href="(.*?)"', card)[1]
        words = " ".join(UNREAD.sub(" ", page.read_text(encoding="utf-8")).split())
        assert number.removesuffix(" %") in words, f"{page.name} lacks {number}"


def test_pages_that_are_printed_together_keep_their_links_and_pictures(tmp_path, monkeypatch):
    """A printed book with holes is no book."""
    pdf, page = load("pdf.py"), tmp_path / "book" / "one.html"
    page.parent.mkdir()
    inner = (
        '<h1 id="top">One</h1><a href="../two.html#end">on</a><a href="#top">up</a><img'
        ' src="../_images/a.png">'
    )
    page.write_text(f'<body><article class="bd-article">{inner}</article></body>', encoding="utf-8")
    monkeypatch.setattr(pdf, "HTML", tmp_path)
    made = pdf.article(page)
    for there in ('id="book/one.html:top"', 'href="#two.html:end"', 'src="_images/a.png"'):
        assert there in made


@pytest.mark.nightly
def test_the_printed_book_has_an_outline_of_parts_and_pages(built, chromium, tmp_path):
    """`make pdf` must give a book that one would print, and link it."""
    # A copy: other tests look at every page of the book while this one lays a page beside them.
    left_out = shutil.ignore_patterns(".doctrees", "jupyter_execute")
    shutil.copytree(built / "_build", tmp_path / "_build", ignore=left_out)
    (tmp_path / "book").mkdir()
    program = shutil.copy(built / "book" / "pdf.py", tmp_path / "book")
    command = [sys.executable, str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    site = tmp_path / "_build" / "html"
    content = (site / "book.pdf").read_bytes()
    titles = re.findall(rb"/Title \(((?:\\.|[^\\()])*)\)", content)  # brackets are escaped in a PDF
    outline = {re.sub(r"\\(.)", r"\1", title.decode("latin-1")) for title in titles}
    contents = yaml.safe_load((tmp_path / "_build" / "toc.yml").read_text(encoding="utf-8"))
    assert {part["caption"] for part in contents["parts"]} <= outline
    assert {"The course", "Glossary"} <= {re.sub(r"^\d+\. ", "", title) for title in outline}
    assert 100 < len(re.findall(rb"/Type\s*/Page\b", content)) < 400
    assert 'href="../book.pdf"' in (site / "book" / "methods.html").read_text(encoding="utf-8")
