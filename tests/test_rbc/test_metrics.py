import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from rbc import RbcError, figures, metrics
from rbc.paper import positive


def table(seed: int, n: int = 80, stage: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    labels = (
        ["tank-treading", "flipping"] if stage == 2 else ["tank-treading", "flipping", "unreliable"]
    )
    return pd.DataFrame(
        {
            "label": rng.choice(labels, n),
            "probability": rng.random(n),
            "acquisition": rng.choice(["a", "b"], n),
        }
    )


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_scikit_learn(stage, seed):
    """A score that everybody knows must be the one that everybody knows."""
    cells = table(seed, stage=stage)
    truth, called = positive(cells["label"], stage), cells["probability"] >= 0.5
    ours = metrics.summary(cells, stage)
    assert ours["f1"] == pytest.approx(oracle.f1_score(truth, called))
    assert ours["accuracy"] == pytest.approx(oracle.accuracy_score(truth, called))
    assert ours["precision"] == pytest.approx(oracle.precision_score(truth, called))
    assert ours["recall"] == pytest.approx(oracle.recall_score(truth, called))
    assert ours["specificity"] == pytest.approx(oracle.recall_score(~truth, ~called))
    assert [[ours["tn"], ours["fp"]], [ours["fn"], ours["tp"]]] == oracle.confusion_matrix(
        truth, called
    ).tolist()


@given(whole=st.integers(1, 400), share=st.floats(0, 1))
def test_wilson_ends_are_where_the_score_test_just_rejects(whole, share):
    """The interval is held against its definition, not against another formula for it."""
    part = round(share * whole)
    for end in metrics.wilson(part, whole):
        if 1e-9 < end < 1 - 1e-9:
            z = (part / whole - end) / np.sqrt(end * (1 - end) / whole)
            assert abs(z) == pytest.approx(1.959964, abs=1e-4)


def test_wilson_interval_of_f1_covers_the_true_f1_with_few_positives():
    """Simulated: 2,000 test sets of 100 sequences, 7 % positive."""
    rates = np.array([0.066, 0.009, 0.004, 0.921])
    sets = [
        metrics.Confusion(*map(int, c))
        for c in np.random.default_rng(0).multinomial(100, rates, 2000)
    ]
    true = metrics.Confusion(*rates).f1
    ends = [metrics.f1_interval(c) for c in sets]
    assert np.mean([low <= true <= high for low, high in ends]) == pytest.approx(0.95, abs=0.025)


def test_scores_without_a_positive_are_undefined_not_zero():
    """A precision of 0 and one that does not exist are different findings."""
    cells = pd.DataFrame({"label": ["tank-treading"] * 3, "probability": [0.1, 0.2, 0.3]})
    ours = metrics.summary(cells, 2)
    assert ours["recall"] is None and ours["precision"] is None and ours["specificity"] == 1.0


def runs_of(seeds: int, skill: float, n: int = 120, first: int = 0) -> pd.DataFrame:
    """Stage 2 predictions of a few seeds on n simulated sequences of six acquisitions; `skill`
    parts the classes.
    """
    rng = np.random.default_rng(5)
    index = pd.DataFrame(
        {
            "name": [f"cell{i}" for i in range(n)],
            "label": rng.choice(["tank-treading", "flipping"], n),
        }
    )
    index["acquisition"] = rng.choice(
        [f"{day}_10s0{movie}" for day in ("A1", "A2", "B1") for movie in (1, 2)], n
    )
    parts = []
    for seed in range(first, first + seeds):
        signal = skill * positive(index["label"], 2) + np.random.default_rng([seed, 9]).normal(
            0, 1, n
        )
        parts.append(
            index.assign(
                seed=seed, stage=2, probability=np.round(1 / (1 + np.exp(skill / 2 - signal)), 2)
            )
        )
    return pd.concat(parts).sample(frac=1, random_state=0)


@pytest.mark.parametrize("seed", range(4))
def test_scores_of_resampled_cells_equal_scikit_learn_on_the_cells_repeated(seed):
    """Weights stand for repeated cells; the bootstrap must give what repeating would."""
    rng = np.random.default_rng(seed)
    truth, p, times = (
        rng.random(60) < 0.4,
        rng.integers(0, 20, (60, 3)) / 20,
        rng.integers(0, 4, (5, 60)),
    )
    ours = {
        s: metrics._scores(s, truth, p if s == "auc" else p >= 0.5, times)
        for s in (*metrics.SCORES, "auc")
    }
    for b, s in np.ndindex(5, 3):
        y, q = np.repeat(truth, times[b]), np.repeat(p[:, s], times[b])
        assert ours["auc"][b, s] == pytest.approx(oracle.roc_auc_score(y, q))
        assert ours["f1"][b, s] == pytest.approx(oracle.f1_score(y, q >= 0.5))
        assert ours["precision"][b, s] == pytest.approx(oracle.precision_score(y, q >= 0.5))
        assert ours["specificity"][b, s] == pytest.approx(oracle.recall_score(~y, q < 0.5))


def test_resampling_keeps_draws_acquisitions_and_cells_apart():
    """Cells of one blood draw are alike: intervals that forget it are too narrow."""
    acquisitions = np.array(["A1_10s01"] * 3 + ["A1_10s02"] * 2 + ["B1_10s01"] * 4)
    sizes = np.array([5, 1, 4, 2, 2, 3, 3, 3, 1])
    times = metrics.resample(acquisitions, sizes, 20_000, np.random.default_rng(0))
    first, second, third = (
        times[:, acquisitions == a].sum(1) for a in ("A1_10s01", "A1_10s02", "B1_10s01")
    )
    # no, one or two of two blood draws are this one, each with its ten cells
    assert set(third) == {0, 10, 20}
    assert set(zip(first[third == 10], second[third == 10])) == {(20, 0), (10, 4), (0, 8)}
    assert times.mean(0) == pytest.approx(sizes, rel=0.05)
    whole = metrics.resample(acquisitions, sizes, 200, np.random.default_rng(0), cells=False)
    assert all(len(set(row / sizes)) <= 3 and (row % sizes == 0).all() for row in whole)


def test_the_interval_of_alike_acquisitions_is_wider_than_that_of_independent_cells():
    """Ten blood draws, half of which find every flipping cell and half none: cells say less than
    they seem.
    """
    cells = pd.DataFrame(
        {"acquisition": np.repeat([f"P{i}_1" for i in range(10)], 50), "label": "flipping"}
    )
    cells = cells.assign(name=cells.index.astype(str), probability=np.repeat([0.9, 0.1] * 5, 50))
    (low, high), alone = metrics.clustered(cells, 2, "recall"), metrics.wilson(250, 500)
    assert high - low > 5 * (alone[1] - alone[0])


@pytest.mark.parametrize(("draws", "given"), [(3, False), (59, False), (60, True)])
def test_of_few_blood_draws_no_interval_is_given_but_the_range_of_draws(draws, given):
    """Of three draws that all succeed the bootstrap says [1, 1], whatever a fourth would do."""
    named = [f"P{i}_10s0{movie}" for i in range(draws) for movie in (1, 2)]
    cells = pd.DataFrame({"acquisition": np.repeat(named, 10), "label": "flipping"})
    found = np.where(cells["acquisition"] == "P0_10s01", 0.2, 0.9)
    ours = metrics.uncertainty(cells.assign(name=cells.index, probability=found), 2, "recall")
    assert ours["n_draws"] == draws and (ours["lowest"], ours["highest"]) == (0.5, 1.0)
    assert np.isnan(ours["low"]) != given and np.isnan(ours["high"]) != given
    assert ours["mean"] == pytest.approx(1 - 0.5 / draws)
    words = figures.score(ours)
    assert ("[" in words) == given and ("(0.50 to 1.00)" in words) != given


def test_a_draw_without_the_class_is_no_draw_of_the_score():
    """Draws of which one alone has tank-treading cells say as much of specificity as one."""
    cells = pd.DataFrame({"acquisition": [f"P{i}_1" for i in range(30)] * 4, "label": "flipping"})
    cells.loc[cells.index[:1], "label"] = "tank-treading"
    ours = metrics.uncertainty(cells.assign(name=cells.index, probability=0.2), 2, "specificity")
    assert ours["n_draws"] == 1 and np.isnan(ours["low"])
    assert figures.score(ours) == "1.00 (one draw)"
    # Each draw has one class alone: the AUC is that of all cells, of no single draw.
    cells["label"] = np.where(cells["acquisition"] < "P2", "tank-treading", "flipping")
    both = metrics.uncertainty(cells.assign(name=cells.index, probability=0.2), 2, "auc")
    assert both["n_draws"] == 0 and figures.score(both) == "0.50 (of no single draw)"


def test_uncertainty_keeps_seeds_and_cells_apart():
    """The spread over seeds is no error of the sample, nor the other way round."""
    cells = runs_of(3, skill=2.0)
    ours = metrics.uncertainty(cells, 2, "auc")
    each = [metrics.auc(part, 2) for _, part in cells.groupby("seed")]
    assert ours["mean"] == pytest.approx(np.mean(each)) and ours["seed_sd"] == pytest.approx(
        np.std(each, ddof=1)
    )
    low, high = metrics.clustered(cells, 2, "auc")
    assert low < ours["mean"] < high and ours["n_seeds"] == 3
    assert np.isnan(metrics.uncertainty(cells[cells["seed"] == 0], 2, "auc")["seed_sd"])


@pytest.mark.parametrize("score", ["recall", "specificity", "balanced_accuracy", "auc"])
def test_difference_is_signed_and_its_interval_tells_a_real_one_from_none(score):
    """A switched detail must not seem to help where it harms."""
    better, worse, again = runs_of(4, 4.0), runs_of(4, 1.0, first=4), runs_of(3, 1.0, first=8)
    ours = metrics.difference(better, worse, score)
    assert ours["difference"] == pytest.approx(ours["variant"] - ours["text"]) and ours["low"] > 0
    assert metrics.difference(worse, better, score)["high"] < 0
    assert (same := metrics.difference(worse, again, score))["low"] < 0 < same["high"]


def test_difference_of_one_acquisition_still_knows_that_cells_were_drawn():
    """One acquisition has no spread between acquisitions, yet its cells are a sample."""
    cells = runs_of(1, 1.0).assign(acquisition="A1_10s01")
    better = cells.assign(
        probability=np.where(
            cells["name"] < "cell3", cells["label"] == "flipping", cells["probability"]
        )
    )
    ours = metrics.difference(better, cells, "recall")
    assert ours["low"] < ours["difference"] < ours["high"] and np.isnan(ours["seed_se"])


def test_difference_wants_one_stage_and_the_same_sequences_once_a_seed():
    """Scores of different cells must not be subtracted in silence."""
    cells = runs_of(2, 1.0)
    with pytest.raises(RbcError, match="stages"):
        metrics.difference(cells, cells.assign(stage=1), "recall")
    with pytest.raises(RbcError, match="lacks a seed"):
        metrics.difference(cells, cells.iloc[1:], "recall")
    with pytest.raises(RbcError, match="not alike"):
        metrics.difference(cells, cells[cells["name"] != "cell7"], "recall")
    with pytest.raises(RbcError, match="twice"):
        metrics.difference(cells, pd.concat([cells, cells.iloc[:1]]), "recall")
    with pytest.raises(RbcError, match="unknown score"):
        metrics.difference(cells, cells, "kappa")


@pytest.mark.parametrize("prevalence", [0.01, 125 / 1839, 0.5, 0.9])
def test_reweighted_equals_scikit_learn_with_weighted_cells(prevalence):
    """Scores at the paper's share of positives are held against weighted cells."""
    cells = table(3, n=300)
    truth, called = metrics.truth_and_call(cells, 2)
    weight = np.where(truth, prevalence / truth.mean(), (1 - prevalence) / (~truth).mean())
    ours = metrics.reweighted(metrics.confusion(cells, 2), prevalence)
    assert ours["precision"] == pytest.approx(
        oracle.precision_score(truth, called, sample_weight=weight)
    )
    assert ours["f1"] == pytest.approx(oracle.f1_score(truth, called, sample_weight=weight))
    assert ours["accuracy"] == pytest.approx(
        oracle.accuracy_score(truth, called, sample_weight=weight)
    )


def test_what_cannot_be_known_is_nan_and_nonsense_is_refused():
    """Unknown is not zero, and a share of 1.2 is no share."""
    one_class = pd.DataFrame({"label": ["flipping"] * 2, "probability": [0.1, 0.9]})
    assert np.isnan(metrics.auc(one_class, 2))
    assert np.isnan(metrics.reweighted(metrics.confusion(one_class, 2), 0.5)["precision"])
    assert np.isnan(metrics.f1_interval(metrics.Confusion(0, 0, 0, 7))).all()
    with pytest.raises(RbcError, match="between 0 and 1"):
        metrics.reweighted(metrics.confusion(one_class, 2), 93)


def test_the_interval_of_balanced_accuracy_is_newcombes_published_one():
    """56 of 70 against 48 of 80 (Newcombe, Stat. Med. 17:873, 1998, Table II, method 10): the
    difference has the interval .0524 to .3339, and balanced accuracy is half of it, and a half.
    """
    low, high = metrics.balanced_interval(metrics.Confusion(tp=56, fn=14, fp=48, tn=32))
    assert (2 * low - 1, 2 * high - 1) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_spread_over_seeds_is_the_standard_error_of_two_means():
    """Without the root of the number of seeds, more of them would seem to tell less."""
    frames = [runs_of(4, 4.0), runs_of(3, 1.0, first=8)]
    recalls = [
        one.groupby("seed").apply(
            lambda run: (run["probability"] >= 0.5)[positive(run["label"], 2)].mean(),
            include_groups=False,
        )
        for one in frames
    ]
    expected = np.sqrt(sum(r.var(ddof=1) / len(r) for r in recalls))
    found = metrics.difference(*frames, "recall")
    assert found["seed_se"] == pytest.approx(expected)
