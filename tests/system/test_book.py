"""The book's builder and its extensions: parts, what stops a build, formulas, names, the document
that is printed.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes
from sphinx.errors import ExtensionError

from compendium import ROOT


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
    (tmp_path / "_toc.yml").write_text(
        (ROOT / "_toc.yml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    return module


@pytest.mark.parametrize("simulated", [True, False])
def test_real_cells_never_stand_under_a_heading_of_simulated_ones(build, tmp_path, simulated):
    """A heading that lies about the kind of data misleads at a glance."""
    (tmp_path / "results" / "paper").mkdir(parents=True)
    (tmp_path / "results" / "paper" / "dataset.json").write_text(
        json.dumps({"simulated": simulated}), encoding="utf-8"
    )
    parts = build.contents("paper")["parts"]
    chapters = [chapter["file"] for part in parts for chapter in part["chapters"]]
    captions = [part["caption"] for part in parts if "pages/paper/" in yaml.safe_dump(part)]
    if simulated:
        assert captions == ["Appendix"]
        assert not [name for name in chapters if "pages/paper/" in name]
        assert "book/simulated-cells" in chapters
    else:
        assert captions == ["Results on real cells"] == [parts[0]["caption"]]
        assert "book/simulated-cells" not in chapters
    assert "pages/demo/" not in yaml.safe_dump(parts)


#: Kinds of output that hold words, the one that a page shows first.
SHOWN = ("text/html", "text/markdown", "text/plain")
STREAM = {"output_type": "stream", "name": "stdout", "text": "well"}
#: Outputs that only their author should see, and what the build says of each.
FLAWED = {
    "error": ({"output_type": "error"}, "ended with an error"),
    "warning": (STREAM | {"name": "stderr", "text": "UserWarning: x"}, "standard error: UserW"),
    "string": ({"output_type": "execute_result", "data": {"text/plain": "'none'"}}, "a value of"),
    "object": (
        {"output_type": "execute_result", "data": {"text/plain": "<rbc.Run at 0x7f12>"}},
        "at 0x7f12> stands on it",
    ),
    "temporary": (
        {"output_type": "display_data", "data": {"text/html": ["<p>", "/tmp/x.py</p>"]}},
        "/tmp/ stands on it",
    ),
}
#: Outputs like these that are right.
WHOLE = [
    STREAM,
    {"output_type": "execute_result", "data": {"text/plain": "'x'", "text/markdown": "x"}},
    {"output_type": "display_data", "data": {"text/plain": "<Figure>", "image/png": "AA"}},
]


@pytest.mark.parametrize("kind", FLAWED)
def test_a_page_with_what_only_its_author_should_see_stops_the_build(build, tmp_path, kind):
    """Errors, warnings, bare values of Python, addresses of objects, temporary paths."""
    page = tmp_path / "book" / "pages" / "released" / "runs" / "one.ipynb"
    page.parent.mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "paper.ipynb").write_text(json.dumps({"cells": []}), encoding="utf-8")
    page.write_text(json.dumps({"cells": [{"outputs": WHOLE}]}), encoding="utf-8")
    toc = {"parts": [{"chapters": [{"glob": "book/pages/released/runs/*"}]}]}
    build.check_notebooks(toc)
    flawed, said = FLAWED[kind]
    page.write_text(json.dumps({"cells": [{"outputs": [*WHOLE, flawed]}]}), encoding="utf-8")
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
    outputs = [o for cell in page["cells"] for o in cell.get("outputs", [])]
    words = [
        "".join(output.get("text", ""))
        or next(("".join(output["data"][kind]) for kind in SHOWN if kind in output["data"]), "")
        for output in outputs
        if not any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    return [number for text in words for number in TOO_EXACT.findall(UNREAD.sub(" ", text))]


def test_no_page_shows_more_than_three_decimals(built):
    """Digits that nothing supports hide those that count."""
    pages = [*(built / "book" / "pages").rglob("*.ipynb"), built / "notebooks" / "paper.ipynb"]
    found = {
        path.relative_to(built): too_exact(json.loads(path.read_text(encoding="utf-8")))
        for path in pages
    }
    assert {path: numbers for path, numbers in found.items() if numbers} == {}


def test_too_many_decimals_are_told_from_other_numbers():
    """Else the test above passes, or fails, for another reason."""
    shown = (
        "<style>a { width: 1.23456em }</style>856 0.851, doi 10.1126/sciadv.adk, rate 0.0001"
        ' <a href="0.12345">on</a> version 1.2.34567 <td>0.8512</td>'
    )
    output = {"output_type": "display_data", "data": {"text/html": shown}}
    assert too_exact({"cells": [{"outputs": [output]}]}) == ["0.8512"]


def test_the_status_page_says_when_each_page_was_made_from_what(build, tmp_path):
    """A reader must see which commit made a page."""
    pages = tmp_path / "book" / "pages"
    (pages / "tiny").mkdir(parents=True)
    made = {"commit": "a" * 40, "dirty": True, "finished": "2026-01-02T03:04:05Z", "seconds": 12.4}
    page = {"cells": [{"source": "# A page\n\nwords"}], "metadata": {"made": made}}
    (pages / "tiny" / "a.ipynb").write_text(json.dumps(page), encoding="utf-8")
    (pages / "tiny" / "old.ipynb").write_text(json.dumps(page | {"metadata": {}}), encoding="utf-8")
    (pages / "other").mkdir()
    (pages / "other" / "b.ipynb").write_text(json.dumps(page), encoding="utf-8")
    toc = {"parts": [{"chapters": [{"file": "book/pages/tiny/a"}]}]}
    table = [line for line in build.status(toc).splitlines() if line.startswith("| [")]
    assert table == [
        "| [A page](tiny/a.ipynb) | 2026-01-02T03:04:05Z | 12 | aaaaaaaaaa with changes |"
    ]


@pytest.mark.parametrize(
    "tex", [r"\frac{2\pi}{\dot\gamma}", r"\begin{aligned} a &= b \\ c &= d \end{aligned}"]
)
def test_a_formula_becomes_mathml(tex):
    """Formulas must need no other site."""
    made = load("_ext/formulas.py").mathml(nodes.math_block(tex, tex), "block")
    assert made.startswith("<math") and ("&" not in tex or made.count("<mtr>") == 2)


@pytest.mark.parametrize("tex", [r"\unheardof x", r"\begin{unheardof} a & b \end{unheardof}", "x_"])
def test_a_formula_that_does_not_become_mathml_is_a_warning(tex, caplog):
    """A formula that is not shown must stop the build."""
    load("_ext/formulas.py").mathml(nodes.math(tex, tex), "inline")
    assert [tex in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("tex", "spaces"),
    [
        (r"y \log p", '<mo form="prefix" lspace="0.167em" rspace="0.167em">log</mo>'),
        (r"\sin(x)", '<mo form="prefix" lspace="0.167em" rspace="0">sin</mo>'),
        (r"\cos^2 x", '<mo form="prefix" lspace="0.167em" rspace="0.167em">cos</mo>'),
    ],
)
def test_names_of_functions_stand_apart_from_what_they_are_of(tex, spaces):
    """Without a space "y log p" reads like a product of five letters."""
    assert spaces in load("_ext/formulas.py").mathml(nodes.math(tex, tex), "inline")


def test_the_font_of_formulas_holds_their_signs_and_what_stretches(tmp_path):
    """A sign that the font lacks comes from another one, or is not shown at all: the root was cut
    away once, as no page spells it.
    """
    from fontTools.ttLib import TTFont

    (tmp_path / "_static").mkdir()
    page = "<p>no \u2603</p><math><mi>x</mi><mo>\u2211</mo><msqrt><mi>&#x003B1;</mi></msqrt></math>"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=str(tmp_path))
    formulas = load("_ext/formulas.py")
    formulas.write_font(app, ValueError("the build failed"))
    assert not list((tmp_path / "_static").iterdir())
    formulas.write_font(app, None)
    font = TTFont(tmp_path / "_static" / "formulas.woff2")
    signs = font.getBestCmap()
    assert {ord("x"), 0x2211, 0x3B1, 0x221A, 0x1D465} <= set(signs)
    assert 0x2603 not in signs and "MATH" in font
    root = font["MATH"].table.MathVariants.VertGlyphCoverage.glyphs
    assert signs[0x221A] in root  # it grows with what is below it


def test_every_page_names_the_file_that_it_is_made_from():
    """Who finds a mistake must find its source."""
    source = load("_ext/pages.py").source
    assert (
        source("book/methods") == "book/methods.md"
        and source("notebooks/paper") == "notebooks/paper.ipynb"
    )
    assert source("book/pages/demo/runs/stage1-cnn-uniform-k10-s0") == "notebooks/train.ipynb"
    assert source("book/pages/tracking") == "notebooks/tracking.ipynb"


@pytest.mark.parametrize(
    "origin", ["https://github.com/lab/rbc.git", "git@github.com:lab/rbc", "unknown", "/srv/rbc"]
)
def test_pages_of_the_course_lead_to_binder_where_the_origin_is_on_github(origin):
    """A link to a place that is not there must not be made."""
    launch = load("_ext/pages.py").launch
    there = "https://mybinder.org/v2/gh/lab/rbc/HEAD?labpath=notebooks/learn-motion.ipynb"
    assert (there in launch(origin, "notebooks/learn-motion.ipynb")) == ("github" in origin)
    assert launch(origin, "notebooks/marker.ipynb") == ""


def test_a_figure_of_another_page_is_shown_again_under_a_name_of_its_own():
    """Slides must show what the chapters show, and a name may stand once in a book."""
    pages = load("_ext/pages.py")
    figure = (
        '<figure class="align-default" id="fig-a">\n<img src="../../_images/a.png">'
        '<figcaption>A<a class="headerlink" href="#fig-a">#</a></figcaption>\n</figure>'
    )
    there, here = Path("there.html"), Path("here.html")
    texts = {there: f"<p>{figure}</p>", here: '<div class="figure-of" data-name="fig-a"></div>'}
    shown = pages.shown_again(texts)
    assert list(shown) == [here]
    assert 'id="again-fig-a"' in shown[here] and "_images/a.png" in shown[here]
    assert "headerlink" not in shown[here]


def test_a_slide_that_shows_a_figure_which_is_not_there_stops_the_build():
    """An empty slide is found in front of the class otherwise."""
    empty = {Path("here.html"): '<div class="figure-of" data-name="fig-b"></div>'}
    with pytest.raises(ExtensionError, match="no page has the figure fig-b"):
        load("_ext/pages.py").shown_again(empty)


def test_folded_code_stands_in_one_place_after_what_a_page_says():
    """A reader wants figures, a programmer all code in its order; nothing of it may be lost."""
    pages = load("_ext/pages.py")
    folded = (
        '<details class="admonition hide above-input">\n<summary aria-label="Toggle"><p>Show</p>'
        "</summary>\n<div>{}</div>\n</details>\n"
    )
    page = f"<article><h1>A</h1>{folded.format('x = 1')}<p>one</p>{folded.format('y = 2')}two"
    made = pages.code_at_end(f"{page}</article><footer></footer>")
    assert made.startswith("<article><h1>A</h1><p>one</p>two<details")
    assert made.count("<details") == made.count("</details>") == 1
    assert made.index("x = 1") < made.index("y = 2") < made.index("</article>")
    assert pages.code_at_end("<article>none</article>") == "<article>none</article>"


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
    for there in (
        'id="book/one.html:top"',
        'href="#two.html:end"',
        'href="#book/one.html:top"',
        'src="_images/a.png"',
    ):
        assert there in made


@pytest.mark.nightly
def test_the_printed_book_has_an_outline_of_parts_and_pages(built, chromium, tmp_path):
    """`make pdf` must give a book that one would print; it stopped once, and nobody saw it."""
    # A copy: other tests look at every page of the book while this one lays a page beside them.
    left_out = shutil.ignore_patterns(".doctrees", "jupyter_execute")
    shutil.copytree(built / "_build", tmp_path / "_build", ignore=left_out)
    (tmp_path / "book").mkdir()
    program = shutil.copy(built / "book" / "pdf.py", tmp_path / "book")
    made = tmp_path / "_build" / "book.pdf"
    command = [sys.executable, str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    content = made.read_bytes()
    titles = re.findall(rb"/Title \(((?:\\.|[^\\()])*)\)", content)  # brackets are escaped in a PDF
    outline = {re.sub(r"\\(.)", r"\1", title.decode("latin-1")) for title in titles}
    contents = yaml.safe_load((tmp_path / "_build" / "toc.yml").read_text(encoding="utf-8"))
    assert {part["caption"] for part in contents["parts"]} <= outline
    chapters = {re.sub(r"^\d+\. ", "", title) for title in outline}
    assert {"The course", "Glossary", "The methods"} <= chapters
    sheets = len(re.findall(rb"/Type\s*/Page\b", content))
    assert 100 < sheets < 400, f"{sheets} sheets"


@pytest.mark.nightly
def test_the_same_sources_build_with_plain_sphinx(built, html, tmp_path):
    """Whoever leaves Jupyter Book must not lose the book."""
    left_out = shutil.ignore_patterns("html", ".doctrees", "results", "jupyter_execute", ".git")
    copy = shutil.copytree(built, tmp_path / "book", ignore=left_out)
    tools = Path(sys.executable).parent
    toc = copy / "_build" / "toc.yml"
    configured = [tools / "jupyter-book", "config", "sphinx", copy, "--toc", toc]
    subprocess.run(list(map(str, configured)), check=True, capture_output=True, timeout=60)
    built_anew = [tools / "sphinx-build", "-W", "-n", "--keep-going", "-q", copy, tmp_path / "html"]
    # Jupyter Book puts the folder of our extensions on the path by itself.
    place = os.environ | {"PYTHONPATH": os.pathsep.join([str(copy / "book" / "_ext"), str(copy)])}
    ended = subprocess.run(
        list(map(str, built_anew)), cwd=copy, env=place, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    pages = {path.relative_to(html) for path in html.rglob("*.html")}
    again = {path.relative_to(tmp_path / "html") for path in (tmp_path / "html").rglob("*.html")}
    assert again == pages - {path for path in pages if path.parts[0] == "lab"}


@pytest.mark.nightly
def test_what_jupyter_book_2_lacks_is_counted_by_kind(built):
    """Who moves the book some day must know what that takes."""
    command = [sys.executable, str(built / "workflow" / "book2.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "npx" in ended.stderr:
        pytest.skip(ended.stderr.strip())
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"read \d\d pages; \d+ complaints of \d+ kinds", ended.stdout)
    # It does not know the form in which Sphinx writes a glossary.
    assert "child of a glossary" in ended.stdout


def test_complaints_of_one_kind_are_counted_together():
    """A table with a row for each word of the glossary says nothing."""
    said = (
        "\x1b[33m⚠️  book/a.md:3:7 Cross reference target was not found: term-k\x1b[0m\n"
        "⚠️  book/pages/b.ipynb Cross reference target was not found: term-track\n"
        '⛔️ book/a.md:4 unexpected option "widths" provided (in list-table)\n'
        "📖 Built book/a.md in 2 s.\n"
    )
    module = load("../workflow/book2.py")
    found = module.complaints(said)
    assert sum(found.values()) == 3
    assert "| unexpected option ... provided (in list-table) | 1 |" in module.table(found, 2)
