"""Statements against tables: each is looked at, each can turn out either way, and ratios of whole
cells are known.
"""

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compendium.evidence import audit, crosschecks
from rbc.paper import reported

VERDICTS = set(crosschecks.VERDICTS)


def test_every_statement_is_checked_once_and_has_a_place():
    """A reader must find each sentence in the paper."""
    table = reported("statements")
    found = crosschecks.statements()
    assert [c.key for c in found] == list(table["key"]) and set(table["key"]) == set(
        crosschecks.CHECKS
    )
    assert table["key"].is_unique and all(c.place and c.found for c in found)
    assert {c.verdict for c in found} <= VERDICTS


def test_the_numbers_of_a_statement_stand_in_its_sentence():
    """A number typed wrong would accuse the paper of our mistake."""
    for s in reported("statements").dropna().itertuples():
        numbers = {float(x.replace(",", "")) for x in re.findall(r"\d[\d,]*\.?\d*", s.statement)}
        assert {s.low, s.high} <= numbers, s.key


@pytest.mark.parametrize(
    ("key", "low", "high", "verdict"),
    [
        ("validation-counts", 744, 18250, "contradicts"),
        ("balance-counts", 60000, 3800, "contradicts"),
        ("ratio-stage1", 15, 25, "contradicts"),
        ("majority", 80, 80, "contradicts"),
        ("acquisitions", 9, 5, "contradicts"),
        ("cells-per-video", 250, 5000, "agrees"),
        ("cells-per-video", 5000, 6000, "contradicts"),
        ("majority", 95, 95, "depends on the reading"),
        ("total-true", 93.3, 93.3, "contradicts"),
        ("total-estimated", 91.7, 91.7, "agrees"),
        ("table5-against-precision", 0.77, 0.85, "agrees"),
        ("table5-errors", 2, 3.2, "contradicts"),
        ("table5-bias", 93.5, 93.2, "depends on the reading"),
        ("table5-bias", 91.7, 93.2, "contradicts"),
        ("best-accuracy", 50, 50, "contradicts"),
        ("short-sequences", 1, 1, "agrees"),
        ("crossing", 40, 90, "agrees"),
        ("crossing", 40, 70, "depends on the reading"),
        ("epochs", 30, 40, "contradicts"),
    ],
)
def test_another_statement_would_have_another_verdict(key, low, high, verdict):
    """A check that says the same of everything checks nothing."""
    assert crosschecks.CHECKS[key](low, high)[1] == verdict


@pytest.mark.parametrize(
    ("rule", "rounding"), [("half up", ROUND_HALF_UP), ("truncated", ROUND_DOWN)]
)
@given(n=st.integers(1, 400), share=st.floats(0, 1))
def test_a_ratio_of_whole_cells_is_known_as_one(rule, rounding, n, share):
    """A ratio that some cells give must not be called impossible."""
    k = round(share * n)
    percent = (Decimal(100 * k) / n).quantize(Decimal("0.1"), rounding)
    assert k in crosschecks.whole(float(percent), n, rule)


@given(n=st.integers(1, 400), tenths=st.integers(0, 1000))
def test_what_is_called_a_ratio_is_printed_so(n, tenths):
    """The check must be of what the paper prints."""
    for k in crosschecks.whole(tenths / 10, n):
        assert abs(1000 * k / n - tenths) <= 0.5 + 1e-9


def test_counts_of_table_5_add_up_to_those_of_table_2():
    """Both tables are of the same cells."""
    by = crosschecks.called_flipping().set_index("source")
    p, n = audit.sizes(2, "test")
    assert crosschecks._tank_treading("ground_truth").sum() == n
    assert (by.loc["truth (Table 2)"] == p).all() and (by["low"] <= by["high"]).all()


def test_explanations_speak_of_impossible_rows_only():
    """A possible row needs no excuse."""
    rows = [r for r in audit.rows() if r.table == "table4"]
    impossible = sum(not r.possible for r in rows)
    found = crosschecks.explanations(rows)
    assert [c.key for c in found] == [f"explanation: {name}" for name in audit.EXPLANATIONS]
    assert all(f"of {impossible} impossible" in c.found for c in found)


def test_readings_are_shown_where_a_verdict_depends_on_them_and_nowhere_else():
    """Both readings stand beside the verdict, and one that cannot be decided makes nothing
    contradicted.
    """
    for check in crosschecks.statements():
        assert bool(check.readings) == (check.verdict == crosschecks.READING), check.key
    assert crosschecks._by_reading({"a": False, "b": None})[0] == crosschecks.READING
    assert crosschecks._by_reading({"a": False, "b": np.False_})[0] == crosschecks.CONTRADICTS
    assert crosschecks._by_reading({"a": True, "b": None}) == (crosschecks.AGREES, ())


def test_a_row_is_called_below_only_where_its_digits_tell():
    """Two rows print 0.96, which may be 0.965 beside 0.961: twelve rows are surely below, not
    fourteen.
    """
    note = crosschecks.CHECKS["majority"](95, 95)[2]
    assert note.startswith("12 of 16 rows") and "of 2 more" in note
