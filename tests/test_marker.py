"""The end-to-end interval: never of zero width, wide where errors are little known, withheld where it fails."""

import json

import numpy as np
import pytest

from rbc import marker

#: Labelled cells of three blood draws alike: (3, 3, 3) draw, answer, class.
KNOWN = np.stack([np.array([[20, 1, 1], [1, 20, 1], [2, 2, 46]])] * 3)


def found(said, known=KNOWN, own=(0, 0)):
    rng = np.random.default_rng(0)
    return marker.interval(np.array(said), marker.rate_draws(known, marker.DRAWS, rng), rng, own)


@pytest.mark.parametrize("said", [(25, 0, 10), (0, 25, 10), (1, 0, 0), (300, 0, 0)])
def test_equal_calls_have_a_width(said):
    """A bootstrap of equal calls said 100.0 % (100.0 to 100.0)."""
    ours = found(said)
    assert ours.low < ours.high and ours.low <= ours.estimate <= ours.high
    assert ours.high - ours.low > 0.005


def test_draws_that_differ_make_it_wider():
    """Errors that vary between blood draws are less known than as many cells of one kind tell."""
    differing = KNOWN.copy()
    differing[0, :, 2], differing[1, :, 2] = (20, 8, 20), (0, 0, 48)
    alike, apart = found((150, 15, 400)), found((150, 15, 400), differing)
    assert marker.correlation(differing) > marker.correlation(KNOWN)
    assert apart.high - apart.low > alike.high - alike.low


def test_the_operators_cells_narrow_it():
    """Cells that the operator labelled have no model's error."""
    alone, helped = found((40, 10, 60)), found((40, 10, 60), own=(160, 40))
    assert helped.high - helped.low < alone.high - alone.low
    assert found((0, 0, 0), own=(30, 10)).low > 0.5


def test_it_is_withheld_where_no_simulated_design_as_hard_holds():
    """More unreliable cells than were ever simulated, one blood draw, or a wide interval give no number."""
    narrow = marker.Interval(0.9, 0.85, 0.95)
    assert "too seldom" in marker.withheld(narrow, KNOWN, 1000)
    assert "too seldom" in marker.withheld(narrow, KNOWN[:1], 1)
    assert "too wide" in marker.withheld(marker.Interval(0.5, 0.1, 0.9), KNOWN, 0)


def test_every_kept_design_was_simulated_and_what_is_given_holds():
    """The rows that decide are measured ones, and no limit lets a failing design through."""
    content = json.loads(marker.VALIDITY.read_text(encoding="utf-8"))
    assert content["simulated"] and len(content["rows"]) > 100
    limit = marker.most_unreliable(KNOWN)
    rows = marker._designs(KNOWN, limit, int(KNOWN[:, :, 2].sum())) if limit else []
    assert all(row["covered_given"] >= marker.LOWEST_COVERAGE for row in rows)
