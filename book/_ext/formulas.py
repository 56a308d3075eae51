"""Formulas as MathML, made when the book is built: a page needs neither a script nor another site
to show them.
"""

from __future__ import annotations

from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
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
    if "\\" in made:
        logger.warning("this formula does not become MathML: %s", node.astext(), location=node)
    return made


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


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
