"""The register of open details: what it says of settings and code is what these do."""

import re

import numpy as np
import pytest

from compendium import ROOT, profiles
from rbc.paper import reported
from rbc.sampling import balance

PAGE = (ROOT / "book" / "open-details.md").read_text(encoding="utf-8")


def entry(number: int) -> str:
    """The text of one entry."""
    return re.search(rf"\* - \*\*D{number}\*\*.*?(?=\n\* - |\n:::)", PAGE, re.DOTALL).group()


def test_every_number_has_one_entry():
    """Pages and code refer to entries by number."""
    numbers = [int(n) for n in re.findall(r"^\* - \*\*D(\d+)\*\*", PAGE, re.MULTILINE)]
    assert sorted(numbers) == list(range(1, max(numbers) + 1))


def test_numbers_that_code_and_pages_name_are_in_the_register():
    """A departure named on its line has its place in the list."""
    places = [*ROOT.glob("rbc/*.py"), *ROOT.glob("book/*.md"), *ROOT.glob("config/*.yaml")]
    named = {
        int(n)
        for place in places
        for n in re.findall(r"\bD(\d+)\b", place.read_text(encoding="utf-8"))
    }
    assert {17, 23, 35, 36} <= named
    assert all(entry(number) for number in named)


@pytest.mark.parametrize("path", sorted(ROOT.glob("config/*.yaml")), ids=lambda path: path.stem)
def test_batches_and_epochs_are_as_the_register_says(path):
    """D23 and D35 speak of each profile; a profile that changes must change them."""
    training, said = profiles.load(path.stem).training, entry(23)
    assert f"`{path.stem}`" in said
    if path.stem in ("paper", "headline"):
        assert (training.batch_size, training.epochs) == (64, 40) and f"`{path.stem}`" in entry(35)
        return
    assert (training.batch_size == 64) == (path.stem == "rehearsal")
    short = re.search(r"([^.;]*) fewer than 20 epochs", said)[1]
    named = f"`{path.stem}`" in short or f"`{path.stem}` trains for one" in said
    assert (training.epochs < 20) == named
    assert training.epochs <= 40


def test_the_balance_of_the_full_record_is_what_the_register_says():
    """D17: 5,000 of 3,800, applied to the paper's own Table 2."""
    train = reported("table2").set_index("label")["train"]
    reliable = int(train["tank-treading"] + train["flipping"])
    rows = balance(np.arange(reliable + train["unreliable"]) < reliable, "crnn", 1, seed=0)
    each = int((rows < reliable).sum())
    assert each == len(rows) - each
    assert f"{reliable:,} reliable" in entry(17) and f"{each:,} each" in entry(17)
