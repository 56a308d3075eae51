"""The marker's estimators beside QuaPy, their intervals, the 3 x 3 correction, agreement and
smallest change.
"""

import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import quapy.functional
from hypothesis import given
from hypothesis import strategies as st
from quapy.method.aggregative import ACC, CC, EMQ, PACC
from scipy import stats
from scipy.stats import chi2_contingency
from sklearn.linear_model import LogisticRegression

from compendium import ROOT
from rbc import RbcError, prevalence
from rbc.paper import reported

# QuaPy asks a fitted classifier for its classes: 1 tank-treads
CLASSES = LogisticRegression().fit([[0], [1]], [0, 1])
SEEDS = range(20)


def cells(
    rng, treading: int, flipping: int, acquisition="T1_10s01", skill: float = 1.5
) -> pd.DataFrame:
    """Stage 2 predictions of so many cells; `skill` parts the classes."""
    labels = np.repeat(["tank-treading", "flipping"], [treading, flipping])
    odds = np.where(labels == "flipping", skill, -skill) + rng.normal(0, 1.5, len(labels))
    return pd.DataFrame(
        {"acquisition": acquisition, "label": labels, "probability": 1 / (1 + np.exp(-odds))}
    )


def pair(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells to estimate and known cells, of random numbers and skill."""
    rng = np.random.default_rng(seed)
    skill = rng.uniform(0.3, 3)
    known = cells(rng, *rng.integers(20, 200, 2), acquisition="V1_10s01", skill=skill)
    return cells(rng, *rng.integers(1, 200, 2), skill=skill), known


def posteriors(table: pd.DataFrame) -> np.ndarray:
    return np.column_stack([table["probability"], 1 - table["probability"]])


# --- estimators ---


@pytest.mark.parametrize("seed", SEEDS)
def test_counts_and_adjusted_counts_equal_quapy(seed):
    """A published estimator must be the published one."""
    test, known = pair(seed)
    treading = (known["label"] == "tank-treading").to_numpy(int)
    calls, known_calls = ((t["probability"] < 0.5).to_numpy(int) for t in (test, known))
    adjusting = {
        "solver": "exact-raise",
        "norm": "clip",
        "fit_classifier": False,
        "val_split": None,
    }
    acc, pacc = ACC(CLASSES, **adjusting), PACC(CLASSES, **adjusting)
    acc.aggregation_fit(known_calls, treading)
    pacc.aggregation_fit(posteriors(known), treading)
    ours = {m: prevalence.estimate(test, known, m, draws=10)[0] for m in prevalence.METHODS}
    assert ours["classify and count"] == pytest.approx(
        CC(CLASSES, fit_classifier=False).aggregate(calls)[1]
    )
    assert ours["adjusted count"] == pytest.approx(acc.aggregate(calls)[1])
    assert ours["probabilistic adjusted count"] == pytest.approx(
        pacc.aggregate(posteriors(test))[1]
    )


@given(*[st.floats(0, 1) for _ in range(3)])
def test_adjusted_count_equals_quapy_or_is_undefined_at_chance(observed, right, wrong):
    """Where QuaPy gives a number for a coin's answers, we give none."""
    ours = prevalence.adjusted_count(observed, right, wrong)
    if abs(right - wrong) < 1e-12:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(
            quapy.functional.solve_adjustment_binary(observed, right, wrong)
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_emq_equals_quapy(seed, monkeypatch):
    """A published estimator must be the published one."""
    monkeypatch.setattr(EMQ, "MAX_ITER", 50_000)
    test, known = pair(seed)
    prior = (known["label"] == "tank-treading").mean()
    theirs, _ = EMQ.EM(np.array([1 - prior, prior]), posteriors(test), epsilon=1e-10)
    p = 1 - test["probability"].to_numpy()
    assert prevalence.emq(p, prior, np.ones(len(p))) == pytest.approx(theirs[1], abs=1e-5)
    times = np.random.default_rng(seed).integers(0, 3, (4, len(p)))
    for row, ours in zip(times, prevalence.emq(p, np.full(4, prior), times)):
        assert ours == pytest.approx(
            prevalence.emq(np.repeat(p, row), prior, np.ones(row.sum())), abs=1e-9
        )


@pytest.mark.parametrize("seed", range(5))
def test_calibration_equals_a_logistic_regression_on_platts_targets(seed):
    """Our batch of Newton steps is held against scikit-learn's, one sample at a time."""
    _, known = pair(seed)
    p, treading = (
        1 - known["probability"].to_numpy(),
        (known["label"] == "tank-treading").to_numpy(),
    )
    times = np.random.default_rng(seed).integers(0, 4, (3, len(p)))
    x = np.log(p / (1 - p))[:, None]
    for row, *ours in zip(times, *prevalence.calibration(p, treading, times)):
        n = row @ ~treading, row @ treading
        target = np.where(treading, (n[1] + 1) / (n[1] + 2), 1 / (n[0] + 2))
        weights = np.concatenate([row * target, row * (1 - target)])
        model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
        model.fit(np.vstack([x, x]), np.repeat([1, 0], len(p)), sample_weight=weights)
        assert ours == pytest.approx([model.intercept_[0], model.coef_[0, 0]], abs=1e-3)


def test_calibration_ends_where_the_classes_part_cleanly():
    """A perfect classifier must not send the slope to infinity."""
    p, treading = np.array([0.999999, 0.99, 0.01, 1e-9]), np.array([True, True, False, False])
    offset, slope = prevalence.calibration(p, treading, np.array([[1, 1, 1, 1], [1, 1, 0, 0]]))
    assert np.isfinite([offset[0], slope[0]]).all() and slope[0] > 0
    assert np.isnan([offset[1], slope[1]]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_three_classes_equal_quapy_and_the_inverse_where_that_is_possible(seed):
    """The end-to-end correction rests on this."""
    rng = np.random.default_rng(seed)
    rates = rng.dirichlet(np.ones(3), 3).T + 1.5 * np.eye(3)
    rates /= rates.sum(axis=0)
    observed = rng.dirichlet(np.ones(3))
    ours = prevalence.on_simplex(observed, rates)
    theirs = ACC.solve_adjustment(rates, observed, method="inversion", solver="minimize")
    assert ours.min() >= 0 and ours.sum() == pytest.approx(1)
    assert (
        np.linalg.norm(rates @ ours - observed) <= np.linalg.norm(rates @ theirs - observed) + 1e-9
    )
    assert ours == pytest.approx(theirs, abs=5e-3)
    inside = rng.dirichlet(np.ones(3))
    assert prevalence.on_simplex(rates @ inside, rates) == pytest.approx(inside)


# --- estimates of predictions ---


def test_what_cannot_be_known_is_nan_and_what_must_not_be_used_is_refused():
    """An acquisition must not correct itself, and unknown is not zero."""
    rng = np.random.default_rng(0)
    test, known = pair(0)
    one_class = known[known["label"] == "tank-treading"]
    blind = known.assign(probability=0.2)
    for method in list(prevalence.METHODS)[1:]:
        assert np.isnan(prevalence.estimate(test, one_class, method)).all()
    for method in ("adjusted count", "probabilistic adjusted count"):
        assert np.isnan(prevalence.estimate(test, blind, method)).all()
    with pytest.raises(RbcError, match="T1_10s01 would be estimated with its own errors"):
        prevalence.estimate(test, pd.concat([known, test]), "adjusted count")
    with pytest.raises(RbcError, match="no cells"):
        prevalence.estimate(test.iloc[:0], known, "adjusted count")
    assert np.isnan(prevalence.lang_reiczigel(5, 10, 0, 0, 1, 10)).all()
    assert np.isnan(prevalence.lang_reiczigel(5, 10, 2, 10, 2, 10)).all()
    assert np.isnan(prevalence.on_simplex(np.full(3, 1 / 3), np.full((3, 3), 1 / 3))).all()
    alone = prevalence.by_acquisition(cells(rng, 5, 2))
    assert alone["percent"].notna().tolist() == [True, True, False, False, False, False]


@given(st.data())
def test_the_closed_form_is_symmetric_in_the_classes(data):
    """Naming the classes the other way round must mirror the interval."""
    n, n_treading, n_flipping = (data.draw(st.integers(1, 500)) for _ in range(3))
    called, right, wrong = (data.draw(st.integers(0, m)) for m in (n, n_treading, n_flipping))
    low, high = prevalence.lang_reiczigel(called, n, right, n_treading, wrong, n_flipping)
    other = prevalence.lang_reiczigel(
        n - called, n, n_flipping - wrong, n_flipping, n_treading - right, n_treading
    )
    assert (1 - high, 1 - low) == pytest.approx(other, nan_ok=True)


def test_the_closed_form_with_known_error_rates_is_agresti_and_coulls_stretched():
    """With errors known exactly the formula has a form that can be written down."""
    n, called, right, wrong, many = 200, 150, 0.96, 0.07, 10**9
    q, m = (called + 1.959964**2 / 2) / (n + 1.959964**2), n + 1.959964**2
    ends = q + np.array([-1, 1]) * 1.959964 * np.sqrt(q * (1 - q) / m)
    ours = prevalence.lang_reiczigel(
        called, n, round(right * many), many, round(wrong * many), many
    )
    assert ours == pytest.approx((ends - wrong) / (right - wrong), abs=1e-6)


@pytest.mark.parametrize("method", ["adjusted count", "probabilistic adjusted count", "EMQ"])
def test_corrected_estimates_and_intervals_find_a_fraction_that_counting_misses(method):
    """Simulated: 60 acquisitions with 93 % tank-treading; counting reads some 79 %."""
    rng, estimates, covered = np.random.default_rng(1), [], 0
    for _ in range(60):
        known = cells(rng, 300, 100, acquisition="V1_10s01")
        treading = rng.binomial(200, 0.93)
        value, low, high = prevalence.estimate(
            cells(rng, treading, 200 - treading), known, method, draws=200
        )
        estimates.append(value)
        covered += low <= 0.93 <= high
    assert np.mean(estimates) == pytest.approx(0.93, abs=0.02)
    assert covered >= 50


def test_by_acquisition_counts_and_never_learns_from_the_acquisition_itself():
    """A correction learned from the judged cells would flatter itself."""
    rng = np.random.default_rng(2)
    parts = [cells(rng, 30, 10, acquisition=f"T1_10s0{i}").assign(fold=i // 2) for i in range(4)]
    table = pd.concat(parts, ignore_index=True)
    ours = prevalence.by_acquisition(table, draws=50).set_index(["acquisition", "method"])
    assert ours.loc[("T1_10s00", "by hand"), ["n_reliable", "percent"]].tolist() == [40, 75.0]
    calls = table.query("acquisition == 'T1_10s00'")["probability"] < 0.5
    assert ours.loc[("T1_10s00", "classify and count"), "percent"] == 100 * calls.mean()
    own = table["acquisition"] == "T1_10s00"
    for changed, same in (
        (own, True),
        (table["fold"] == 1, True),
        ((table["fold"] == 0) & ~own, False),
    ):
        lied = table.assign(label=table["label"].where(~changed, "flipping"))
        again = prevalence.by_acquisition(lied, draws=50).set_index(["acquisition", "method"])
        corrected = [("T1_10s00", m) for m in list(prevalence.METHODS)[1:]]
        assert again.loc[corrected].equals(ours.loc[corrected]) == same


# --- end to end ---


def counted(table: np.ndarray, acquisition: str) -> pd.DataFrame:
    """A row a cell from counts of answers (rows) by labels (columns)."""
    where = [(a, c) for a in range(3) for c in range(3) for _ in range(round(table[a, c]))]
    names = [(prevalence.ANSWERS[a], prevalence.LABELS[c]) for a, c in where]
    return pd.DataFrame(names, columns=["answer", "label"]).assign(acquisition=acquisition)


def test_end_to_end_takes_out_the_unreliable_cells_that_stage_1_lets_through():
    """Counting them would move the marker where unreliable cells are many."""
    rates = prevalence.two_stage_rates((0.9, 0.9), (0.8, 0.9), unreliable=0.5)
    assert rates.sum(axis=0) == pytest.approx(1)
    known = counted(rates * [2000, 1000, 4000], "V1_10s01")
    ours = prevalence.end_to_end(counted(rates * [3000, 1000, 8000], "T1_10s01"), known, draws=200)
    kept = np.array([0.9, 0.9, 0.1]) * [3000, 1000, 8000]
    treading = kept @ [0.9, 0.2, 0.5]
    assert ours["counted"] == pytest.approx(treading / kept.sum()) and ours["counted"] < 0.7
    assert ours["adjusted"] == pytest.approx(0.75)
    assert ours["unreliable"] == pytest.approx(2 / 3)
    # Known from one blood draw only, so nothing is promised: two unreliable for each reliable one.
    assert "with 2.0 unreliable sequences per reliable one" in ours["withheld"]
    unseen = known[known["label"] != "unreliable"]
    assert np.isnan(prevalence.end_to_end(counted(rates * 100, "T1_10s01"), unseen)["estimate"])
    with pytest.raises(RbcError, match="its own errors"):
        prevalence.end_to_end(known, known)


def test_the_two_stages_give_three_answers_and_stage_2_must_have_been_asked():
    """A kept cell without stage 2's answer must not be dropped in silence."""
    stage1 = pd.DataFrame(
        {"name": list("abc"), "label": "unreliable", "probability": [0.9, 0.8, 0.1]}
    )
    stage2 = pd.DataFrame({"name": list("ab"), "probability": [0.3, 0.7]})
    assert prevalence.answers(stage1, stage2)["answer"].tolist() == list(prevalence.ANSWERS)
    with pytest.raises(
        RbcError, match="stage 2 has no answer for 1 sequences that stage 1 kept, such as b"
    ):
        prevalence.answers(stage1, stage2.iloc[:1])


# --- agreement and change ---


def test_agreement_of_the_peak_flow_meters_of_bland_and_altman():
    """Their own example (Lancet 327:307, 1986): bias -2.1, sd 38.8, interval of the bias -22.0 to
    17.8 l/min.
    """
    wright = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    ours = prevalence.bland_altman(np.array([*wright, np.nan]), np.array([*mini, 1.0]))
    assert (ours["n"], round(ours["bias"], 1), round(ours["sd"], 1)) == (17, -2.1, 38.8)
    assert (round(ours["bias_low"], 1), round(ours["bias_high"], 1)) == (-22.0, 17.8)
    assert ours["upper"] - ours["lower"] == pytest.approx(2 * 1.959964 * ours["sd"])


def test_limits_of_agreement_lie_in_their_intervals_as_often_as_said():
    """Simulated: 400 sets of nine differences, limits known; the interval is an approximation."""
    draws = np.random.default_rng(0).normal(0, 1, (400, 9))
    ours = [prevalence.bland_altman(d, 0 * d) for d in draws]
    assert 0.90 <= np.mean([b["upper_low"] <= 1.959964 <= b["upper_high"] for b in ours]) <= 0.99
    assert 0.92 <= np.mean([b["bias_low"] <= 0 <= b["bias_high"] for b in ours]) <= 0.98
    assert np.isnan(prevalence.bland_altman([1.0], [0.0])["upper"])


def test_dispersion_is_the_chi_square_of_independence():
    """Over-dispersion is a textbook number; SciPy's must be the same."""
    part, whole = np.array([10, 25, 31, 7, 12]), np.array([40, 60, 90, 10, 20])
    chi2 = [chi2_contingency([part[g], whole[g] - part[g]]) for g in (slice(0, 3), slice(3, 5))]
    one = prevalence.dispersion(part[:3], whole[:3], np.zeros(3))
    assert one == pytest.approx(chi2[0].statistic / chi2[0].dof)
    uncorrected = chi2_contingency([part[3:], whole[3:] - part[3:]], correction=False).statistic
    both = prevalence.dispersion(part, whole, np.array([0, 0, 0, 1, 1]))
    assert both == pytest.approx((chi2[0].statistic + uncorrected) / 3)
    assert np.isnan(prevalence.dispersion([5], [9], [0])) and np.isnan(
        prevalence.dispersion([9, 9], [9, 9], [0, 0])
    )


def test_only_one_patient_of_table_5_differs_by_more_than_cells_explain_and_there_one_movie_does():
    """Over-dispersion over both patients hides that four movies of one day agree, and that one
    movie stands apart.
    """
    table = reported("table5")
    part = (table["ground_truth_percent"] * table["n_reliable"] / 100).round()
    told = {
        name: prevalence.dispersion_of(part[own], table["n_reliable"][own])
        for name, own in _patients(table)
    }
    assert (
        told[1]["factor"] == pytest.approx(0.58, abs=0.005)
        and told[1]["p"] > 0.5
        and told[1]["df"] == 3
    )
    assert told[2]["factor"] == pytest.approx(3.44, abs=0.005) and told[2]["p"] < 0.01
    assert told[1]["low"] < 1 < told[1]["high"] and told[2]["low"] > 1
    others = (table["patient"] == 2) & (table["ground_truth_percent"] != 86.4)
    assert prevalence.dispersion_of(part[others], table["n_reliable"][others])["factor"] < 1


def _patients(table):
    return [(name, table["patient"] == name) for name in (1, 2)]


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_the_interval_of_an_over_dispersion_holds_it_as_often_as_said(factor):
    """Simulated: nine movies whose counts scatter by a known factor; one of few movies is wide, and
    must be.
    """
    rng, n, p = np.random.default_rng(0), 400, 0.8
    rho = (factor - 1) / (n - 1)
    shares = (
        np.full((800, 9), p)
        if factor == 1
        else rng.beta(p * (1 / rho - 1), (1 - p) * (1 / rho - 1), (800, 9))
    )
    told = [prevalence.dispersion_of(part, np.full(9, n)) for part in rng.binomial(n, shares)]
    assert np.mean([t["low"] <= factor <= t["high"] for t in told]) == pytest.approx(0.95, abs=0.03)
    assert np.isnan(prevalence.dispersion_of(np.array([9, 9]), np.array([9, 9]))["high"])


def test_sample_sizes_of_the_referee():
    """From .93 to .88: 201 cells find it four times in ten; 539 are needed for four in five."""
    assert prevalence.power_of_change(0.93, 0.05, 201) == pytest.approx(0.40, abs=0.005)
    assert prevalence.cells_for_change(0.93, 0.05) == 539
    assert prevalence.cells_for_change(0.93, 0.02) == 2888  # 2887.2, rounded up


def test_sample_sizes_are_near_those_of_another_approximation():
    """By arcsines (Cohen 1988), within two in a hundred."""
    for p, change in ((0.93, 0.05), (0.7, 0.1), (0.5, 0.08)):
        effect = 2 * (np.arcsin(np.sqrt(p)) - np.arcsin(np.sqrt(p - change)))
        arcsine = 2 * ((1.959964 + 0.841621) / effect) ** 2
        assert prevalence.cells_for_change(p, change) == pytest.approx(arcsine, rel=0.02)


@pytest.mark.parametrize(
    ("p", "change", "n"), [(0.93, 0.05, 201), (0.93, 0.05, 539), (0.7, 0.1, 356)]
)
def test_power_is_that_of_all_pairs_of_counts(p, change, n):
    """Against the exact sum over every pair of counts that two movies can give."""
    k = np.arange(n + 1)
    first, second = (stats.binom.pmf(k, n, fraction) for fraction in (p, p - change))
    middle = (k[:, None] + k) / (2 * n)
    apart = abs(k[:, None] - k) / n
    shown = apart > 1.959964 * np.sqrt(2 * middle * (1 - middle) / n)
    exact = float((np.outer(first, second) * shown).sum())
    assert prevalence.power_of_change(p, change, n) == pytest.approx(exact, abs=0.01)


def test_the_smallest_change_is_found_in_four_of_five_pairs_of_simulated_movies():
    """Simulated counts of a classifier with errors, over-dispersed movies; the test knows the
    factor alone.
    """
    rng, p, n, right, wrong, factor = np.random.default_rng(0), 0.85, 400, 0.97, 0.08, 2.0
    rho = (factor - 1) / (n - 1)
    change = prevalence.smallest_change(p, n, factor=factor, right=right, wrong=wrong)
    counts = []
    for fraction in (p, p - change):
        q = fraction * right + (1 - fraction) * wrong
        counts.append(
            rng.binomial(n, rng.beta(q * (1 / rho - 1), (1 - q) * (1 / rho - 1), 20_000)) / n
        )
    middle = np.mean(counts, axis=0)
    found = abs(counts[0] - counts[1]) > 1.959964 * np.sqrt(2 * factor * middle * (1 - middle) / n)
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_sizes_changes_and_powers_are_three_views_of_one_thing():
    """A size gives the power it was computed for, with one cell less it does not; what cannot be is
    nan.
    """
    errors = {"factor": 1.5, "right": 0.97, "wrong": 0.08}
    n = prevalence.cells_for_change(0.9, 0.06, 0.9, **errors)
    assert prevalence.power_of_change(0.9, 0.06, n, **errors) >= 0.9
    assert prevalence.power_of_change(0.9, 0.06, n - 1, **errors) < 0.9
    assert prevalence.smallest_change(0.9, n, 0.9, **errors) == pytest.approx(0.06, rel=1e-3)
    assert np.isnan(prevalence.smallest_change(0.05, 20))
    alike = {"right": 0.5, "wrong": 0.5}
    assert np.isnan(prevalence.smallest_change(0.9, 100, **alike))
    assert np.isnan(prevalence.cells_for_change(0.9, 0.1, **alike))


def test_over_dispersion_grows_with_the_cells_of_a_movie():
    """A spread between movies is the same share of the variance for any size of movie."""
    assert prevalence.dispersion_at(400, 2.0, 400) == pytest.approx(2.0)
    assert prevalence.dispersion_at(400, 0.7, 50) == 1


def test_the_stored_table_of_coverage_is_what_the_benchmark_gives():
    """Its cases are all there and simulated; two that need no bootstrap are run again, to the last
    digit.
    """
    specification = importlib.util.spec_from_file_location(
        "intervals", ROOT / "benchmarks" / "intervals.py"
    )
    benchmark = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    stored = json.loads((ROOT / "data" / "reference" / "coverage.json").read_text(encoding="utf-8"))
    cases = benchmark.cases(benchmark.correlation())
    assert stored["simulated"] is True and len(stored["rows"]) == len(cases)
    for number, (row, case) in enumerate(zip(stored["rows"], cases)):
        assert row["repetitions"] >= 500 and case[0].items() <= row.items()
        if number in (0, len(cases) - 1):
            assert benchmark.measure(case, row["repetitions"], number) == row
