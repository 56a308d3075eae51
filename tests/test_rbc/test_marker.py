"""The end-to-end interval: never of zero width, wide where errors are little known, withheld where
it fails.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rbc import marker

ROOT = Path(__file__).parents[2]
#: Labelled cells of three blood draws alike: (3, 3, 3) draw, answer, class.
KNOWN = np.stack([np.array([[20, 1, 1], [1, 20, 1], [2, 2, 46]])] * 3)


def found(said, known=KNOWN, own=(0, 0)):
    rng = np.random.default_rng(0)
    return marker.interval(np.array(said), marker.rate_draws(known, marker.DRAWS, rng), own)


@pytest.mark.parametrize("said", [(25, 0, 10), (0, 25, 10), (1, 0, 0), (300, 0, 0)])
def test_equal_calls_have_a_width(said):
    """A bootstrap of equal calls said 100.0 % (100.0 to 100.0)."""
    ours = found(said)
    assert ours.low < ours.high and ours.low <= ours.estimate <= ours.high
    assert ours.high - ours.low > 0.005


@pytest.mark.parametrize("said", [(40, 12, 30), (100, 2, 40), (15, 15, 300)])
def test_other_draws_of_the_rates_move_the_ends_little(said):
    """Of a thousand draws, few explained a movie: another seed moved an end by twenty points."""
    others = [marker.rate_draws(KNOWN, marker.DRAWS, np.random.default_rng(s)) for s in range(4)]
    ends = np.array([marker.interval(np.array(said), rates)[1:] for rates in others])
    assert np.ptp(ends, axis=0).max() < 0.05


def test_the_density_is_that_of_the_answers_where_stage_1_and_2_do_not_err():
    """Without errors the marker is a binomial fraction: Jeffreys' interval, by scipy."""
    rates = np.tile(np.eye(3) * 0.999998 + 1e-6, (64, 1, 1))
    ours = marker.interval(np.array([45, 5, 0]), rates)
    theirs = stats.beta(45.5, 5.5)
    tails = marker.Interval(*theirs.ppf([0.5, 0.025, 0.975]))
    assert ours.estimate == pytest.approx(tails.estimate, abs=0.005)
    assert ours.low <= tails.low + 0.005 and ours.high >= tails.high - 0.005
    assert ours.high - ours.low < tails.high - tails.low + 0.03


#: Shares of answers (rows) in classes (columns) of one network, and of a worse one.
RATES = {
    "good": np.array([[0.85, 0.06, 0.02], [0.05, 0.80, 0.03], [0.10, 0.14, 0.95]]),
    "worse": np.array([[0.75, 0.10, 0.05], [0.10, 0.60, 0.05], [0.15, 0.30, 0.90]]),
}


def by_integral(said, rates):
    """The same density from its definition: the multinomial likelihood of the answers, summed over
    every share of unreliable cells.
    """
    p, u = marker.FRACTIONS[:, None], (np.arange(4000) + 0.5) / 4000
    classes = np.stack([p * (1 - u), (1 - p) * (1 - u), np.tile(u, (len(p), 1))])
    log = np.einsum("a,apu->pu", said, np.log(np.einsum("ac,cpu->apu", rates, classes)))
    likelihood = np.exp(log - log.max()).sum(axis=1)
    return likelihood / likelihood.sum()


@pytest.mark.parametrize(
    ("said", "name", "apart"),
    [
        ((60, 20, 80), "good", 0.001),
        ((120, 5, 400), "good", 0.001),
        ((30, 30, 20), "good", 0.001),
        ((12, 3, 60), "good", 0.002),
        ((60, 20, 80), "worse", 0.001),
        ((12, 3, 60), "worse", 0.002),
        # Fewer cells are discarded here than these rates let expect of reliable ones alone.
        ((200, 80, 30), "good", 0.05),
        ((30, 30, 20), "worse", 0.1),
        ((200, 80, 30), "worse", 0.1),
    ],
)
def test_the_density_is_its_definition_summed_over_unreliable_cells(said, name, apart):
    """The closed form must be what it stands for; `apart` is half the area between both."""
    rates = RATES[name]
    ours = marker.density(np.array(said), np.tile(rates, (2048, 1, 1)))
    assert np.abs(ours - by_integral(np.array(said), rates)).sum() / 2 < apart


@pytest.mark.parametrize(
    "law",
    [
        stats.norm(0.8, 0.1),
        stats.gamma(4, 0.3, 0.1),
        stats.skewnorm(-6, 1.2, 0.3),
        stats.expon(0, 0.2),
        stats.norm(0.25, 0.115),  # its ends lie so near to 0 and to 1 that they are put there
        stats.norm(1.32, 0.115),
    ],
)
def test_the_ends_are_the_outer_ones_of_the_shortest_interval_and_of_equal_tails(law):
    """An end further in holds the truth too seldom, one further out says less than is known."""
    cells = law.pdf(marker.ANGLES)
    cells /= cells.sum()
    edges = np.linspace(0, np.pi / 2, len(cells) + 1)
    sums = np.concatenate([[0], np.cumsum(cells)])
    tails = np.linspace(0, 0.05, 20001)
    first, last = (np.interp(share, sums, edges) for share in (tails, tails + 0.95))
    shortest = np.argmin(last - first)
    equal = np.interp([0.025, 0.5, 0.975], sums, edges)
    low, high = min(first[shortest], equal[0]), max(last[shortest], equal[2])
    low = 0 if low < marker.EDGE else low
    high = np.pi / 2 if high > np.pi / 2 - marker.EDGE else high
    ours = np.arcsin(np.sqrt(marker.ends(cells)))
    assert ours == pytest.approx([equal[1], low, high], abs=0.01)


def test_blood_draws_alike_tell_the_rates_as_one_draw_of_all_their_cells(monkeypatch):
    """Cells must count once each: no more, no less."""
    monkeypatch.setattr(marker, "CORRELATIONS", (0.0,))
    drawn = marker.rate_draws(KNOWN, 20000, np.random.default_rng(0))
    for c in range(3):
        law = stats.dirichlet(KNOWN.sum(axis=0)[:, c] + marker.PSEUDO)
        assert drawn[:, :, c].mean(axis=0) == pytest.approx(law.mean(), abs=0.002)
        assert drawn[:, :, c].var(axis=0) == pytest.approx(law.var(), rel=0.1)


@pytest.mark.parametrize("correlation", [0.05, 0.4])
def test_rates_of_a_new_blood_draw_differ_as_the_correlation_says(monkeypatch, correlation):
    """With very many known draws only the new draw's own difference is left."""
    monkeypatch.setattr(marker, "CORRELATIONS", (correlation,))
    known = np.concatenate([KNOWN] * 200)
    drawn = marker.rate_draws(known, 20000, np.random.default_rng(0))
    mean = KNOWN.sum(axis=0) / KNOWN.sum(axis=(0, 1))
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=0.01)
    assert drawn.var(axis=0) == pytest.approx(mean * (1 - mean) * correlation, rel=0.1)


def test_few_draws_that_differ_leave_their_mean_less_known(monkeypatch):
    """Cells of one blood draw count for fewer than as many of several: the design effect."""
    monkeypatch.setattr(marker, "CORRELATIONS", (0.2,))
    counts = np.array([[2, 2, 0]] * 40)
    drawn = marker.rate_draws(counts[:, :, None], 40000, np.random.default_rng(0))[:, 0, 0]
    effect = 1 + 3 * 0.2  # of four cells a draw
    law = stats.dirichlet(counts.sum(axis=0) / effect + marker.PSEUDO)
    own = 0.2 * (law.mean()[0] * (1 - law.mean()[0]) - law.var()[0])
    assert drawn.var() == pytest.approx(law.var()[0] + own, rel=0.05)


def test_the_operators_cells_count_as_they_are_each_as_one_of_the_movie():
    """A movie's fraction is the mean of both groups of cells, weighed by their numbers."""
    rates = np.tile(np.eye(3) * 0.999998 + 1e-6, (512, 1, 1))
    shares = marker.density(np.array([45, 5, 70]), rates, own=(12, 18))
    rest, own = stats.beta(45.5, 5.5), stats.beta(12.5, 18.5)
    mean = (shares * marker.FRACTIONS).sum()
    spread = np.sqrt((shares * (marker.FRACTIONS - mean) ** 2).sum())
    assert mean == pytest.approx((50 * rest.mean() + 30 * own.mean()) / 80, abs=0.003)
    expected = np.hypot(50 * rest.std(), 30 * own.std()) / 80
    assert spread == pytest.approx(expected, rel=0.05)


def test_a_count_by_hand_is_a_share_with_wilsons_interval():
    """The operator's own count is the one number that no model can spoil."""
    low, high = stats.binomtest(27, 30).proportion_ci(method="wilson")
    assert marker.by_hand(27, 3) == pytest.approx((0.9, low, high))
    assert np.isnan(marker.by_hand(0, 0)).all()


def test_draws_that_differ_make_it_wider():
    """Errors that vary between blood draws are less known than as many cells of one kind tell."""
    differing = KNOWN.copy()
    differing[0, :, 2], differing[1, :, 2] = (20, 8, 20), (0, 0, 48)
    alike, apart = found((150, 15, 400)), found((150, 15, 400), differing)
    assert apart.high - apart.low > alike.high - alike.low


def test_the_operators_cells_narrow_it():
    """Cells that the operator labelled have no model's error."""
    alone, helped = found((40, 10, 60)), found((40, 10, 60), own=(160, 40))
    assert helped.high - helped.low < alone.high - alone.low
    assert found((0, 0, 0), own=(30, 10)).low > 0.5


@pytest.mark.parametrize(("truth", "said"), [(1.0, (188, 4, 20)), (0.0, (4, 188, 20))])
def test_an_interval_reaches_the_end_at_which_the_truth_may_lie(truth, said):
    """A likelihood beside 0 and 1 is never quite 0: without a rule, no interval reaches them."""
    ours = found(said)
    assert ours.low <= truth <= ours.high


def test_rates_that_no_mixture_explains_count_for_little():
    """Two draws keep every reliable cell, one keeps few. A movie that keeps nearly all of its
    cells is not like the one: its rates must not widen the interval.
    """
    rates = np.zeros((300, 3, 3))
    rates[:] = [[0.97, 0.01, 0.01], [0.02, 0.98, 0.01], [0.01, 0.01, 0.98]]
    odd = rates.copy()
    odd[::3] = [[0.10, 0.60, 0.01], [0.10, 0.10, 0.01], [0.80, 0.30, 0.98]]
    said = np.array([180, 15, 5])
    alike, mixed = (marker.interval(said, r) for r in (rates, odd))
    assert abs(mixed.low - alike.low) < 0.03 and abs(mixed.high - alike.high) < 0.03


@pytest.mark.parametrize(
    ("draws", "correlation", "known_unreliable", "per_reliable", "truth"),
    [(3, 0.3, 90, 3, 0.85), (2, 0.1, 143, 0.5, 0.6), (4, 0.6, 600, 8, 0.95)],
)
def test_an_interval_that_is_given_holds_the_truth_as_often_as_it_says(
    draws, correlation, known_unreliable, per_reliable, truth, monkeypatch
):
    """Simulated movies of designs that the kept table does not have. When wide intervals were kept
    back, those shown held the truth in fewer than half of the movies of many designs.
    """
    specification = importlib.util.spec_from_file_location(
        "intervals", ROOT / "benchmarks" / "intervals.py"
    )
    intervals = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(intervals)
    monkeypatch.setattr(intervals, "VALIDITY_DRAWS", 1024)  # quicker
    design = (truth, draws, correlation, known_unreliable, per_reliable)
    row = intervals.coverage_of(120, 0, *design)
    assert row["covered"] >= 0.85  # 120 movies: .90 less two standard errors of chance


def test_a_movie_beyond_what_was_simulated_gives_no_number():
    """More unreliable cells than were ever simulated, or one blood draw, say why and what helps."""
    for known, per_reliable in ((KNOWN, 1000), (KNOWN[:1], 1)):
        why = marker.withheld(known, per_reliable)
        assert "nothing as hard was simulated" in why and marker.LABEL_SOME in why


def test_a_design_that_misses_one_truth_is_refused(table):
    """Averaged over truths, a miss at healthy blood would be hidden by the others."""
    table({0: 0.99})
    rows = list(marker._simulated())
    assert marker.covers(rows)
    assert not marker.covers([*rows, rows[0] | {"truth": 0.99, "covered": 0.84}])


def test_a_design_whose_intervals_are_wide_on_average_is_refused(table):
    """They cover the truth because they cover nearly everything. The mean over a design decides,
    not the interval found.
    """
    table({0: 0.97, 5: 0.97}, mean_width=0.3)
    assert marker.withheld(KNOWN, 5) is None
    table({0: 0.97, 5: 0.97}, mean_width=0.8)
    assert "80 points wide" in marker.withheld(KNOWN, 5)


def test_a_wide_interval_is_shown_and_said_to_be_wide():
    """Kept back, those that remain are the ones that miss the truth."""
    assert "too wide" in marker.caution(marker.Interval(0.5, 0.1, 0.9))
    assert marker.caution(marker.Interval(0.9, 0.85, 0.95)) is None
    assert marker.caution(marker.Interval(np.nan, np.nan, np.nan)) is None


@pytest.fixture
def table(monkeypatch):
    """Puts a table of simulated designs in the place of the kept one."""

    def put(coverage: dict[float, float], **others: float) -> None:
        design = {"draws": 3, "correlation": 0.6, "known_unreliable": 50, "truth": 0.7}
        design |= {"mean_width": 0.3} | others
        rows = [design | {"per_reliable": n, "covered": share} for n, share in coverage.items()]
        rows += [row | {"correlation": 0.05, "covered": 0.99} for row in rows]
        monkeypatch.setattr(marker, "_simulated", lambda: tuple(rows))

    return put


@pytest.mark.parametrize(
    ("coverage", "limit"),
    [
        ({0: 0.95, 5: 0.91, 15: 0.89}, 5),
        ({0: 0.95, 5: 0.89, 15: 0.95}, 0),  # what holds beyond a failure is luck
        ({0: 0.89, 5: 0.95, 15: 0.95}, -1),
    ],
)
def test_the_limit_is_the_last_design_before_one_that_fails(table, coverage, limit):
    """The rule flips where its table does, so a new table must not change it unseen. The worst
    correlation decides: nobody knows how far draws differ.
    """
    table(coverage)
    assert marker.most_unreliable(KNOWN) == limit
    assert limit < 0 or marker.withheld(KNOWN, limit) is None
    assert marker.withheld(KNOWN, limit + 0.1 if limit >= 0 else 0)


@pytest.mark.parametrize("others", [{"draws": 4}, {"known_unreliable": 500}])
def test_a_design_easier_than_ours_vouches_for_nothing(table, others):
    """What holds with more draws or more known cells than these says nothing of these."""
    table({0: 0.95, 5: 0.95}, **others)
    assert marker.most_unreliable(KNOWN) == -1


def test_the_kept_designs_are_those_that_were_simulated():
    """Each row of the kept table has its own numbers of draws and known cells, and shares that are
    shares; the limits that `analyze` uses come from enough movies.
    """
    content = json.loads(marker.VALIDITY.read_text(encoding="utf-8"))
    assert content["simulated"] and len(content["rows"]) > 100
    for row in content["rows"]:
        assert 0 <= row["covered"] <= 1 and 0 <= row["wide"] <= 1
        assert row["draws"] <= row["known_unreliable"] and row["repetitions"] >= 200
