"""No result is typed: prose carries no measured number, since numbers come from the files of runs.

A typed result is any number with decimals, any percentage, and any count of frames a second,
seconds, minutes or hours, in the Markdown of the book or of a notebook's Markdown cells. These are
none:

* code, inline code, mathematics, and the targets of links (settings and profiles are included as
  code);
* the level of an interval (95 % beside the word interval, Wilson or bootstrap);
* what the paper states, if the sentence names the paper and the place in it, and no result of ours
  stands beside it;
* what tests/prose.yaml lists, word by word, with the reason. An entry that is no longer in its file
  is an error.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

from compendium import ROOT

PAGES = sorted(
    page
    for where in ("book/*.md", "book/learn/*.md", "notebooks/*.ipynb")
    for page in ROOT.glob(where)
)
ALLOWED = yaml.safe_load((ROOT / "tests" / "prose.yaml").read_text(encoding="utf-8"))

RESULT = re.compile(
    r"(?<![\w.])\d*\.\d+(?!\w|\.\d)|\d\s*%|\d percent\b|\d\s*(frames/s|frames a"
    r" second|(milli)?seconds|minutes|hours)\b"
)
NOT_PROSE = [
    re.compile(r"^(`{3,}|~{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL),
    re.compile(r"\$\$.*?\$\$", re.DOTALL),
    re.compile(r"(?<!\d)\$[^$\n]+\$"),
    re.compile(r"(?<!\})`[^`\n]+`"),  # roles such as {cite:t}`...` stay: they name the source
    re.compile(r"\]\([^)\s]*\)"),
]
LEVEL = re.compile(r"\d+ %(?=[ ,]*(?:\w+ )?(?:interval|Wilson|bootstrap))|(?<=Intervals: )\d+ %")
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*(`])|\n")
PAPER = re.compile(
    r"\{cite:\w\}|\b(paper|authors)\b|\b[Tt]hey (report|print|state)|\b(Table|Figure) \d prints\b"
)
PLACE = re.compile(r'\("[A-Z]|\b(Tables?|Figure|Equation) \d')
OURS = re.compile(r"\b(we|our|ours|here|replicated|measured|runs?)\b", re.IGNORECASE)


def typed_results(text: str, allowed: tuple[str, ...] = ()) -> list[str]:
    """Sentences of a Markdown text that carry a typed result."""
    for words in allowed:
        text = text.replace(words, " ")
    for pattern in NOT_PROSE:
        text = pattern.sub(" ", text)
    found = [s.strip() for s in SENTENCE.split(LEVEL.sub(" ", text)) if RESULT.search(s)]
    return [s for s in found if not (PAPER.search(s) and PLACE.search(s) and not OURS.search(s))]


def markdown(page: Path) -> str:
    if page.suffix == ".md":
        return page.read_text(encoding="utf-8")
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_result_is_typed(page):
    """A typed number does not change when its run does."""
    allowed = tuple(entry["words"] for entry in ALLOWED if entry["file"] == page.name)
    assert typed_results(markdown(page), allowed) == []


@pytest.mark.parametrize("place", ["book/methods.md", "notebooks/test.ipynb"])
@pytest.mark.parametrize(
    "sentence",
    [
        "Our recall is 0.94.",
        "On real cells our recall is .94 where the paper has 0.94 (Table 4).",
        "Tracking runs at 310 frames/s.",
        "We discard 97 % of the unreliable strips.",
        "The loss falls to 0.31 (95 % interval 0.28 to 0.35).",
        "A run takes 45 seconds.",
        "| stage 2 | 0.72 |",
    ],
)
def test_a_sentence_with_a_result_fails(place, sentence):
    """Put into a page that passes, in the middle of its prose."""
    page = ROOT / place
    text, allowed = markdown(page), tuple(e["words"] for e in ALLOWED if e["file"] == page.name)
    head, rest = text.split("\n\n", 1)
    assert len(typed_results(f"{head}\n\n{sentence}\n\n{rest}", allowed)) == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "They report that stage 2 reaches an F1 score of 0.94 on the test set (\"Results\", Figure"
        " 3).",
        "Each has its 95 % Wilson interval.",
        "Take `lr_low: 0.001` and a loss of $0.31$.",
        "See [the record](https://doi.org/10.5281/zenodo.1).",
        "There are 32 configurations and three folds.",
    ],
)  # fmt: skip
def test_what_is_no_result_passes(sentence):
    """The rule must leave ordinary prose alone."""
    assert typed_results(sentence) == []


@pytest.mark.parametrize("entry", ALLOWED, ids=lambda entry: entry["words"][:30])
def test_what_is_allowed_is_still_there_and_says_why(entry):
    """An exception that is no longer needed must go."""
    page = next(p for p in PAGES if p.name == entry["file"])
    assert entry["words"] in markdown(page) and len(entry["why"]) > 10
