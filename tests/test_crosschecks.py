"""Statements against tables: each is looked at, each can turn out either way, and ratios of whole cells are known."""

import re
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbc import audit, crosschecks
from rbc.paper import reported

VERDICTS = {"agrees", "agrees in part", "contradicts"}


def test_every_statement_is_checked_once_and_has_a_place():
    table = reported("statements")
    found = crosschecks.statements()
    assert [c.key for c in found] == list(table["key"]) and set(table["key"]) == set(crosschecks.CHECKS)
    assert table["key"].is_unique and all(c.place and c.found for c in found)
    assert {c.verdict for c in found} <= VERDICTS


def test_the_numbers_of_a_statement_stand_in_its_sentence():
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
        ("total-true", 93.3, 93.3, "contradicts"),
        ("total-estimated", 91.7, 91.7, "agrees"),
        ("table5-against-precision", 0.77, 0.85, "agrees"),
        ("table5-errors", 2, 3.2, "contradicts"),
        ("table5-bias", 91.7, 93.2, "agrees"),
        ("best-accuracy", 50, 50, "contradicts"),
        ("short-sequences", 1, 1, "agrees"),
        ("crossing", 40, 90, "agrees"),
        ("epochs", 30, 40, "contradicts"),
    ],
)
def test_another_statement_would_have_another_verdict(key, low, high, verdict):
    assert crosschecks.CHECKS[key](low, high)[1] == verdict


@pytest.mark.parametrize(("rule", "rounding"), [("half up", ROUND_HALF_UP), ("truncated", ROUND_DOWN)])
@given(n=st.integers(1, 400), share=st.floats(0, 1))
def test_a_ratio_of_whole_cells_is_known_as_one(rule, rounding, n, share):
    k = round(share * n)
    percent = (Decimal(100 * k) / n).quantize(Decimal("0.1"), rounding)
    assert k in crosschecks.whole(float(percent), n, rule)


@given(n=st.integers(1, 400), tenths=st.integers(0, 1000))
def test_what_is_called_a_ratio_is_printed_so(n, tenths):
    for k in crosschecks.whole(tenths / 10, n):
        assert abs(1000 * k / n - tenths) <= 0.5 + 1e-9


def test_counts_of_table_5_add_up_to_those_of_table_2():
    by = crosschecks.called_flipping().set_index("source")
    p, n = audit.sizes(2, "test")
    assert crosschecks._tank_treading("ground_truth").sum() == n
    assert (by.loc["truth (Table 2)"] == p).all() and (by["low"] <= by["high"]).all()


def test_explanations_speak_of_impossible_rows_only():
    rows = [r for r in audit.rows() if r.table == "table4"]
    impossible = sum(not r.possible for r in rows)
    found = crosschecks.explanations(rows)
    assert [c.key for c in found] == [f"explanation: {name}" for name in audit.EXPLANATIONS]
    assert all(f"of {impossible} impossible" in c.found for c in found)
