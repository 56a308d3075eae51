"""Scores by blood draw: each draw's own, and an interval that counts draws, not cells."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from compendium import ROOT, runs
from compendium.evidence import draws
from rbc import metrics


def answers(kept: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Reliable sequences, so many kept of so many in each acquisition."""
    rows = [(a, "flipping", float(i < k)) for a, (k, n) in kept.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["acquisition", "label", "probability"])


def test_a_draw_that_fails_is_seen_beside_the_pooled_score():
    """Movies of one draw are put together; a draw of its own is not hidden in the mean."""
    cells = answers({"BG1_10s01": (2, 10), "BG1_10s02": (4, 10), "LJ2_10s01": (20, 20)})
    found = draws.by_draw(cells, 1).query("score == 'recall'").set_index("draw")
    assert found["value"].to_dict() == {"BG1": 0.3, "LJ2": 1.0} and found.loc["BG1", "whole"] == 20
    shown = draws.table(cells, 1)
    assert (
        shown.loc["BG1", "recall"].startswith("0.30 [")
        and shown.loc["all cells", "recall"] == "0.65 (26 of 40)"
    )
    assert shown.loc["mean of draws", "recall"].endswith("too few draws")
    assert shown.loc["BG1", "specificity"] == "none"


def test_the_interval_over_draws_is_students_t_and_stays_a_share():
    """The degrees of freedom are those of the draws, however many cells they hold."""
    values = pd.Series([0.80, 0.85, 0.84, 0.9, 0.82, 0.88, 0.79, 0.91] * 8)
    mean, low, high = draws.interval(values)
    expected = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    assert (mean, low, high) == pytest.approx((values.mean(), *expected))
    assert draws.interval(pd.Series([0.0] + [1.0] * (metrics.FEWEST_DRAWS - 1)))[2] == 1.0


@pytest.mark.parametrize("known", [2, 3, 23])
def test_of_few_draws_no_interval_is_given(known):
    """Simulated, the t-interval of three draws that differ holds the truth far too seldom."""
    mean, low, high = draws.interval(pd.Series([0.9, 1.0] * 12)[:known])
    assert mean > 0.9 and np.isnan(low) and np.isnan(high)


def test_cells_of_a_kept_draw_are_those_of_its_answers():
    """On the kept answers with blood draws left out, the draws are three and their cells add up to
    all.
    """
    own = pd.read_parquet(runs.REFERENCE / "ours" / "answers.parquet")
    own = own[
        (own["seed"] == -1)
        & (own["model"] == "focus")
        & (own["left_out"] == "blood draw")
        & (own["stage"] == 1)
    ]
    found = draws.by_draw(own, 1).query("score == 'recall'")
    reliable = own["label"].isin(["flipping", "tank-treading"])
    assert len(found) == 3 and found["whole"].sum() == reliable.sum()
    assert found["part"].sum() == (reliable & (own["probability"] >= 0.5)).sum()


def test_pages_name_the_number_of_draws_that_the_code_asks_for():
    """It is typed in sentences; another number there would be a rule that does not hold."""
    pages = [*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "book").rglob("*.md")]
    said = re.compile(
        r"(?:[Ff]rom|fewer than|where) (\d+)(?: blood)? draws|fewer than (\d+) were judged"
    )
    found = [
        (page.name, next(filter(None, match)))
        for page in pages
        for match in said.findall(page.read_text(encoding="utf-8"))
    ]
    assert found and {number for _, number in found} == {str(metrics.FEWEST_DRAWS)}, found
