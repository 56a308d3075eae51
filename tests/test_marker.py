"""The end-to-end interval: never of zero width, wide where errors are little known, withheld where
it fails.
"""

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
    """More unreliable cells than were ever simulated, one blood draw, or a wide interval give no
    number.
    """
    narrow = marker.Interval(0.9, 0.85, 0.95)
    assert "too seldom" in marker.withheld(narrow, KNOWN, 1000)
    assert "too seldom" in marker.withheld(narrow, KNOWN[:1], 1)
    assert "too wide" in marker.withheld(marker.Interval(0.5, 0.1, 0.9), KNOWN, 0)


@pytest.fixture
def table(monkeypatch):
    """Puts a table of simulated designs in the place of the kept one."""

    def put(coverage: dict[float, float]) -> None:
        design = {"draws": 3, "correlation": 0.6, "known_unreliable": 50, "given": 0.5}
        rows = [
            design | {"per_reliable": n, "covered_given": share} for n, share in coverage.items()
        ]
        monkeypatch.setattr(marker, "_simulated", lambda: tuple(rows))

    return put


@pytest.mark.parametrize(
    ("coverage", "limit"),
    [
        ({1: 0.95, 5: 0.91, 15: 0.89}, 5),
        ({1: 0.95, 5: 0.89, 15: 0.95}, 1),  # what holds beyond a failure is luck
        ({1: 0.89, 5: 0.95, 15: 0.95}, 0),
    ],
)
def test_the_limit_is_the_last_design_before_one_that_fails(table, coverage, limit):
    """The rule flips where its table does, so a new table must not change it unseen."""
    table(coverage)
    assert marker.most_unreliable(KNOWN) == limit
    narrow = marker.Interval(0.9, 0.85, 0.95)
    assert marker.withheld(narrow, KNOWN, limit) is None
    assert "too seldom" in marker.withheld(narrow, KNOWN, limit + 0.1)


def test_the_kept_designs_are_those_that_were_simulated():
    """Each row of the kept table has its own numbers of draws and known cells, and shares that are
    shares.
    """
    content = json.loads(marker.VALIDITY.read_text(encoding="utf-8"))
    assert content["simulated"] and len(content["rows"]) > 100
    for row in content["rows"]:
        assert 0 <= row["given"] <= 1 and (row["given"] == 0) == (row["covered_given"] is None)
        assert row["draws"] <= row["known_unreliable"]
