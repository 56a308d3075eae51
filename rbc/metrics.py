"""Scores of a confusion matrix, their intervals, and the marker: the fraction of tank-treading cells."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from rbc import RbcError
from rbc.paper import positive

SCORES = ("f1", "accuracy", "precision", "recall", "specificity")
THRESHOLD = 0.5  #: a sequence is called positive at this probability or above (the paper names no other)


@dataclass(frozen=True)
class Confusion:
    """Counts of true and false positives and negatives of one stage's positive class."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        return self.tp + self.fp + self.fn + self.tn

    @property
    def recall(self) -> float:
        """TP / (TP + FN); nan where there is no positive."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP); nan where there is no negative."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); nan where nothing was called positive."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def accuracy(self) -> float:
        """(TP + TN) / n."""
        return _ratio(self.tp + self.tn, self.n)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), equation 2 of the paper without its gap where nothing was called positive."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def truth_and_call(predictions: pd.DataFrame, stage: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of a table of predictions are, and are called, positive: (N,) bool each."""
    return positive(predictions["label"], stage), predictions["probability"].to_numpy() >= THRESHOLD


def confusion(predictions: pd.DataFrame, stage: int) -> Confusion:
    """Counts of a table of predictions."""
    truth, called = truth_and_call(predictions, stage)
    counts = (truth & called, ~truth & called, truth & ~called, ~truth & ~called)
    return Confusion(*(int(c.sum()) for c in counts))


def wilson(part: int, whole: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, J. Am. Stat. Assoc. 22:209, 1927); nan where whole is 0."""
    if not whole:
        return float("nan"), float("nan")
    interval = binomtest(part, whole).proportion_ci(0.95, "wilson")
    return interval.low, interval.high


def f1_interval(c: Confusion, draws: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap of F1: the n sequences drawn anew, as one multinomial of the four counts."""
    tp, fp, fn, _ = np.random.default_rng(seed).multinomial(c.n, np.array([c.tp, c.fp, c.fn, c.tn]) / c.n, draws).T
    with np.errstate(invalid="ignore"):
        low, high = np.nanpercentile(2 * tp / (2 * tp + fp + fn), [2.5, 97.5])
    return float(low), float(high)


def summary(predictions: pd.DataFrame, stage: int) -> dict:
    """n, the counts, the five scores and the 95 % intervals of recall, specificity and F1, as plain numbers."""
    if predictions.empty:
        raise RbcError("there is no sequence to score; check the profile's folds and the data's splits")
    c = confusion(predictions, stage)
    intervals = {
        "recall": wilson(c.tp, c.tp + c.fn),
        "specificity": wilson(c.tn, c.tn + c.fp),
        "f1": f1_interval(c),
    }
    scores = {score: getattr(c, score) for score in SCORES}
    ends = {f"{score}_{end}": x for score, pair in intervals.items() for end, x in zip(("low", "high"), pair)}
    return {"n": c.n, **asdict(c), **{k: None if np.isnan(x) else float(x) for k, x in (scores | ends).items()}}


def marker(predictions: pd.DataFrame) -> pd.DataFrame:
    """Percentage of tank-treading cells by acquisition, as Table 5: true and estimated (classify and count).

    Takes stage 2 predictions (columns acquisition, label, probability); answers one row an acquisition: acquisition,
    n_reliable, ground_truth_percent, estimated_percent, and the true percentage's 95 % Wilson interval.
    """
    rows = []
    for acquisition, cells in predictions.groupby("acquisition"):
        true, n = int((cells["label"] == "tank-treading").sum()), len(cells)
        called = int((cells["probability"] < THRESHOLD).sum())
        low, high = wilson(true, n)
        rows.append((acquisition, n, 100 * true / n, 100 * called / n, 100 * low, 100 * high))
    columns = ["acquisition", "n_reliable", "ground_truth_percent", "estimated_percent", "low_percent", "high_percent"]
    return pd.DataFrame(rows, columns=columns)
