"""Plans must not promise what simulated movies do not keep."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, rbc

from rbc import RbcError, labelling, marker, planning, prevalence
from rbc.bench import plan

#: answers (rows) by labels (columns) of labelled cells
KNOWN = np.array([[80.0, 2, 5], [4, 85, 5], [16, 13, 90]])


def simulated(design, looks, rng):
    """A movie of this design with so many random labels, its fraction known."""
    classes = rng.multinomial(design.reliable, [design.fraction, 1 - design.fraction])
    classes = [*classes, rng.poisson(design.per_reliable * design.reliable)]
    rates = prevalence.rates(KNOWN + marker.PSEUDO)
    cells = np.transpose([rng.multinomial(n, p) for n, p in zip(classes, rates.T, strict=True)])
    cells = np.vstack([cells[:2], np.zeros((1, 3), int), cells[2:]])
    sizes = cells.sum(axis=1)
    planned = np.bincount(labelling.next_looks(sizes)[:looks], minlength=len(sizes))
    counts = np.zeros_like(cells)
    for row, (own, n) in enumerate(zip(cells, planned, strict=True)):
        counts[row] = rng.multivariate_hypergeometric(own, n) if n else 0
    return labelling.Sample(sizes, counts, counts, looks)


@pytest.mark.parametrize(
    ("fraction", "reliable", "per_reliable", "looks"), [(0.7, 300, 1, 100), (0.93, 200, 3, 60)]
)
def test_the_planned_width_is_that_of_simulated_movies(fraction, reliable, per_reliable, looks):
    """A narrower promise than the interval that is then shown would cost a study."""
    rng = np.random.default_rng(7)
    design = planning.Design(fraction, reliable, per_reliable)
    planned = planning.widths_of(design, KNOWN)[looks]
    found = []
    for _ in range(15):
        ends = marker.ends(labelling.density(simulated(design, looks, rng)))
        found.append((ends.high - ends.low) / 2)
    assert planned == pytest.approx(np.median(found), rel=0.25)


def test_a_planned_change_is_shown_as_often_as_planned():
    """Normal errors of the planned size: the test finds the change in as many pairs as asked."""
    design = planning.Design(0.8, 300, 1, movies=2, correlation=0.006)
    widths = planning.widths_of(design, KNOWN)
    looks = planning.looks_for_change(design, widths, 0.15, 0.9)
    assert planning.smallest_change(design, widths, looks, 0.9) <= 0.15
    assert planning.smallest_change(design, widths, looks - 1, 0.9) > 0.15
    rng, spread = np.random.default_rng(0), 0.006 * 0.8 * 0.2
    of_movie = np.sqrt((widths[looks] / 1.96) ** 2 + spread)
    draws = rng.normal([0.8, 0.65], of_movie / np.sqrt(2), (20000, 2))
    error = of_movie / np.sqrt(2) * np.sqrt(2)
    assert (abs(draws[:, 0] - draws[:, 1]) > 1.96 * error).mean() == pytest.approx(0.9, abs=0.02)


def test_where_no_look_helps_none_is_promised():
    """Too few cells, or movies that differ, cannot be mended by looks."""
    few = planning.Design(0.7, 30, 1)
    assert planning.looks_for_width(planning.widths_of(few, KNOWN), 0.02) is None
    apart = planning.Design(0.7, 300, 1, correlation=0.3)
    assert planning.looks_for_change(apart, planning.widths_of(apart, KNOWN), 0.05) is None
    for wrong in ({"fraction": 1.0}, {"reliable": 0}, {"per_reliable": -1}):
        with pytest.raises(RbcError):
            planning.Design(**wrong)


def movie(*sizes):
    """A movie nobody has labelled yet."""
    nothing = np.zeros((4, 3), dtype=int)
    return labelling.Sample(np.array(sizes), nothing, nothing, 0)


def test_looks_go_where_they_narrow_most():
    """Every look is given, none twice, and a movie that is hard gets more than an easy one."""
    easy, hard = movie(60, 0, 0, 5), movie(100, 80, 60, 400)
    more = planning.spend([easy, hard], 150)
    assert sum(more) == 150 and more[1] > more[0] >= labelling.FEWEST_LOOKS
    assert planning.spend([easy], 500) == [65]  # no more than there are cells
    assert sum(planning.spend([easy, hard, hard], 30)) == 30
    by_hand = [sum(planning._variances(m)[n] for m, n in zip((easy, hard), split, strict=True))
               for split in (more, (50, 100))]  # fmt: skip
    assert by_hand[0] <= by_hand[1]


def test_the_command_plans_and_divides(tmp_path):
    """Who films needs both answers from the command line, and one line where a folder is wrong."""
    made = rbc("plan", "--fraction", 80, "--cells", 200, "--json")
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert said["change"]["1000"]["typical"] < said["change"]["200"]["typical"]
    assert "looks" in plan.in_words(said)
    assert "no cells.csv" in one_line_error(rbc("plan", tmp_path))
    cells = pd.DataFrame({"name": range(90), "continues": "", "decision": "tank-treading"})
    cells.loc[60:, "decision"] = "flipping"
    cells.to_csv(tmp_path / "cells.csv", index=False)
    table = plan.divide([tmp_path, tmp_path], 80)
    assert table["looks"].sum() == 80 and (table["half_width"] < 0.25).all()
