"""Formulas as MathML, made when the book is built: a page needs neither a script nor another site
to show them. The font that stretches their roots and braces is part of the site.
"""

from __future__ import annotations

import html
import re
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from fontTools import subset
from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
#: STIX Two Math (SIL Open Font License 1.1), which the package ziamath carries; the package is not
#: loaded.
FONT = Path(find_spec("ziamath").origin).with_name("fonts") / "STIXTwoMath-Regular.ttf"
#: Browsers show a single letter of a formula by its slanted form, which no page spells out: Latin
#: and Greek, and the h, which stands elsewhere.
SLANTED = (*range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C), 0x210E)
ROOT_SIGN = 0x221A  #: which a browser draws where MathML says msqrt
#: Names of functions, which latex2mathml sets as if they were products of letters.
FUNCTION = re.compile(r"<mi>(log|sin|cos|tan|tanh)</mi>(?=(<mo [^>]*>[(&])?)")
#: Environments that latex2mathml does not know or would number itself, and those that look the
#: same.
SAME = {
    "{aligned}": "{split}",
    "{align}": "{align*}",
    "{gathered}": "{gather*}",
    "{equation}": "{split}",
}


def mathml(node: nodes.Element, display: str) -> str:
    """A formula's MathML; a warning (an error in this book) names one that does not convert."""
    tex = node.astext()
    for environment, same in SAME.items():
        tex = tex.replace(environment, same)
    try:
        made = convert(tex, display=display)
        ElementTree.fromstring(made)
    except Exception as error:  # latex2mathml has no common base for its errors
        made = f"\\ {error!r}"
    made = FUNCTION.sub(_spaced, made)
    if "\\" in made:
        logger.warning("this formula does not become MathML: %s", node.astext(), location=node)
    return made


def _spaced(name: re.Match) -> str:
    """The name of a function with the narrow spaces that printers set: none before a bracket."""
    after = "0" if name[2] else "0.167em"
    return f'<mo form="prefix" lspace="0.167em" rspace="{after}">{name[1]}</mo>'


def inline(self, node: nodes.math) -> None:
    self.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def block(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math", TABINDEX="0"))  # it scrolls
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(mathml(node, "block") + "</div>\n")
    raise nodes.SkipNode


def write_font(app, failed: Exception | None) -> None:
    """Put a font with the signs of all formulas beside the pages: the whole one weighs as much as a
    page may.
    """
    if failed or app.builder.format != "html":
        return
    site = Path(app.outdir)
    pages = "".join(page.read_text(encoding="utf-8") for page in sorted(site.rglob("*.html")))
    formulas = "".join(re.findall(r"<math\b.*?</math>", pages, re.DOTALL))
    signs = set(html.unescape(re.sub(r"<[^>]*>", "", formulas)))
    # All features stay: by these a script letter gets smaller, a prime higher.
    options = subset.Options(flavor="woff2", layout_features=["*"], name_IDs=["*"])
    font = subset.load_font(str(FONT), options)
    made = subset.Subsetter(options)
    made.populate(unicodes=[*map(ord, signs), *SLANTED, ROOT_SIGN])
    made.subset(font)
    subset.save_font(font, str(site / "_static" / "formulas.woff2"), options)


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("build-finished", write_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
