import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from rbc import metrics
from rbc.paper import positive


def table(seed: int, n: int = 80, stage: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    labels = ["tank-treading", "flipping"] if stage == 2 else ["tank-treading", "flipping", "unreliable"]
    return pd.DataFrame(
        {"label": rng.choice(labels, n), "probability": rng.random(n), "acquisition": rng.choice(["a", "b"], n)}
    )


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_scores_equal_scikit_learn(stage, seed):
    cells = table(seed, stage=stage)
    truth, called = positive(cells["label"], stage), cells["probability"] >= 0.5
    ours = metrics.summary(cells, stage)
    assert ours["f1"] == pytest.approx(oracle.f1_score(truth, called))
    assert ours["accuracy"] == pytest.approx(oracle.accuracy_score(truth, called))
    assert ours["precision"] == pytest.approx(oracle.precision_score(truth, called))
    assert ours["recall"] == pytest.approx(oracle.recall_score(truth, called))
    assert ours["specificity"] == pytest.approx(oracle.recall_score(~truth, ~called))
    assert [[ours["tn"], ours["fp"]], [ours["fn"], ours["tp"]]] == oracle.confusion_matrix(truth, called).tolist()


@given(whole=st.integers(1, 400), share=st.floats(0, 1))
def test_wilson_ends_are_where_the_score_test_just_rejects(whole, share):
    part = round(share * whole)
    for end in metrics.wilson(part, whole):
        if 1e-9 < end < 1 - 1e-9:
            z = (part / whole - end) / np.sqrt(end * (1 - end) / whole)
            assert abs(z) == pytest.approx(1.959964, abs=1e-4)


def test_f1_interval_covers_the_true_f1():
    """Simulated coverage: 400 test sets drawn from known rates; nominal 95 %."""
    rng = np.random.default_rng(0)
    rates = np.array([0.3, 0.08, 0.05, 0.57])  # tp, fp, fn, tn
    true = 2 * rates[0] / (2 * rates[0] + rates[1] + rates[2])
    ends = [metrics.f1_interval(metrics.Confusion(*map(int, c)), 500) for c in rng.multinomial(120, rates, 400)]
    covered = np.mean([low <= true <= high for low, high in ends])
    assert 0.90 <= covered <= 0.98


def test_scores_without_a_positive_are_undefined_not_zero():
    cells = pd.DataFrame({"label": ["tank-treading"] * 3, "probability": [0.1, 0.2, 0.3]})
    ours = metrics.summary(cells, 2)
    assert ours["recall"] is None and ours["precision"] is None and ours["specificity"] == 1.0


def test_marker_counts_by_acquisition():
    cells = pd.DataFrame(
        {
            "acquisition": ["a"] * 4 + ["b"],
            "label": ["tank-treading"] * 3 + ["flipping"] * 2,
            "probability": [0.1, 0.9, 0.2, 0.8, 0.3],
        }
    )
    ours = metrics.marker(cells).set_index("acquisition")
    assert ours.loc["a", ["n_reliable", "ground_truth_percent", "estimated_percent"]].tolist() == [4, 75.0, 50.0]
    assert ours.loc["b", ["n_reliable", "ground_truth_percent", "estimated_percent"]].tolist() == [1, 0.0, 100.0]
