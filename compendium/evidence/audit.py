"""Can the reported scores of a row be true together? Each row against class counts, and what might
explain a no.

A row of scores is possible where some confusion matrix with the class counts of Table 2 has scores
that are all printed so. Every matrix is tried, in whole numbers. Nothing but rbc/reported/ is
needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.optimize import linprog

from rbc.metrics import Confusion
from rbc.paper import LABELS, reported

#: as printed in Tables 3 and 4 and for the test split
SCORES = ("f1", "accuracy", "precision", "recall")
#: Each score as one sum over another: factors of (true positives, false positives, positives,
#: negatives).
LINEAR = {
    "f1": ((2, 0, 0, 0), (1, 1, 1, 0)),
    "accuracy": ((1, -1, 0, 1), (0, 0, 1, 1)),
    "precision": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "recall": ((1, 0, 0, 0), (0, 0, 1, 0)),
    "specificity": ((0, -1, 0, 1), (0, 0, 0, 1)),
}


@dataclass(frozen=True)
class Rule:
    """Which scores are printed as v: from v + low/2 to v + high/2 of the last printed digit; is the
    upper end one?
    """

    low: int
    high: int
    closed: bool


RULES = {
    "nearest": Rule(-1, 1, True),  # a half goes either way, as programs differ
    "half up": Rule(-1, 1, False),
    "truncated": Rule(0, 2, False),
    "within 0.01": Rule(-2, 2, True),  # no rounding gives this: a tolerance
}


@dataclass(frozen=True)
class Row:
    """What one printed row of scores leaves possible.

    Attributes
    ----------
    table, stage, model, sampling, k, split : which row, and the split whose class counts (Table 2)
        it is held against
    scores : the reported scores
    rounding, possible, matrices : the rule; whether, and how many, confusion matrices have these
        scores
    matrix : the only one, where there is one
    fails : where impossible, the smallest sets of scores without which the row is possible
    accuracy : lowest and highest accuracy that the printed precision and recall allow; None where
        they allow none
    share : lowest and highest share of positives that *any* set of sequences, of whatever size,
        must have to give these scores; None where no set can
    under : number of matrices under each rule of `RULES`
    """

    table: str
    stage: int
    model: str
    sampling: str
    k: int
    split: str
    scores: dict[str, float]
    rounding: str
    possible: bool
    matrices: int
    matrix: Confusion | None
    fails: tuple[tuple[str, ...], ...]
    accuracy: tuple[float, float] | None
    share: tuple[float, float] | None
    under: dict[str, int]

    def record(self) -> dict:
        """For JSON."""
        return asdict(self)


@cache
def sizes(stage: int, split: str) -> tuple[int, int]:
    """Numbers of positives and negatives of a stage in a split, by Table 2.

    Parameters
    ----------
    stage : 1 or 2
    split : ``train``, ``validation`` or ``test``
    """
    tank_treading, flipping, unreliable = (
        int(n) for n in reported("table2").set_index("label")[split][list(LABELS)]
    )
    return (tank_treading + flipping, unreliable) if stage == 1 else (flipping, tank_treading)


def spans(
    printed: dict[str, float], p: int, n: int, rule: str = "nearest"
) -> dict[str, np.ndarray]:
    """The false positives that each printed score allows, for each number of true ones.

    Scores of two decimals, compared in whole numbers. ``balanced accuracy`` is known beside
    `LINEAR`. A precision without any call is 0, as scikit-learn prints it.

    Parameters
    ----------
    printed : scores by name
    p, n : numbers of positives and negatives
    rule : how scores were rounded, a name of `RULES`

    Returns
    -------
    By score, (2, p + 1) int64: lowest and highest number of false positives for 0..p true
    positives, none where the highest is below the lowest
    """
    tp, r, found = np.arange(p + 1), RULES[rule], {}
    known = LINEAR | {"balanced accuracy": ((n, -p, n, 0), (0, 0, 2 * n, 0))}
    for score, value in printed.items():
        (a0, a1), (b0, b1) = ((f[0] * tp + f[2] * p + f[3] * n, f[1]) for f in known[score])
        b0 = np.maximum(b0, (score == "precision") & (tp == 0))  # 0 / 1 for 0 / 0
        # Each score is a ratio a / b, and both are linear in the false positives x. Printed as
        # v / 200 it allows those x with (v + low) b <= 200 a < (v + high) b: two inequalities in
        # whole numbers.
        v = 2 * round(value * 100)
        least = _at_least_0(200 * a0 - (v + r.low) * b0, 200 * a1 - (v + r.low) * b1, n)
        most = _at_least_0(
            (v + r.high) * b0 - 200 * a0 - (not r.closed), (v + r.high) * b1 - 200 * a1, n
        )
        found[score] = np.stack([np.maximum(least[0], most[0]), np.minimum(least[1], most[1])])
    return found


def _at_least_0(constant: np.ndarray, slope: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest whole x in 0..n with constant + slope x >= 0."""
    none = np.zeros_like(constant)
    if slope == 0:
        return none, np.where(constant >= 0, n, -1)
    # Whole numbers round towards the side on which the inequality still holds.
    ends = -(constant // slope) if slope > 0 else constant // -slope
    return (np.maximum(ends, 0), none + n) if slope > 0 else (none, np.minimum(ends, n))


def meet(
    found: dict[str, np.ndarray], scores: tuple[str, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Every confusion matrix that all scores allow.

    Parameters
    ----------
    found : of `spans`
    scores : those that count; None: all

    Returns
    -------
    True and false positives, (M,) int64 each
    """
    low, high = _common(found, scores or tuple(found))
    # All (true, false) pairs of all ranges in one go, without a loop over the ranges.
    many = np.maximum(high - low + 1, 0)
    start = np.repeat(low - np.cumsum(many) + many, many)
    return np.repeat(np.arange(len(low)), many), start + np.arange(many.sum())


def _common(found: dict[str, np.ndarray], scores: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    kept = np.stack([found[s] for s in scores])
    return kept[:, 0].max(axis=0), kept[:, 1].min(axis=0)


def count(found: dict[str, np.ndarray], scores: tuple[str, ...] | None = None) -> int:
    """How many confusion matrices all scores allow.

    Parameters
    ----------
    found, scores : as of `meet`
    """
    low, high = _common(found, scores or tuple(found))
    return int(np.maximum(high - low + 1, 0).sum())


def fails(found: dict[str, np.ndarray]) -> tuple[tuple[str, ...], ...]:
    """The smallest sets of scores without which some matrix is left; none where one is left with
    all of them.
    """
    # First without any score left out, then without one, then without two.
    for size in range(len(found)):
        kept = [
            (drop, tuple(s for s in found if s not in drop)) for drop in combinations(found, size)
        ]
        if sets := tuple(drop for drop, rest in kept if count(found, rest)):
            return sets if size else ()
    return (tuple(found),)


def steps(printed: dict[str, float], p: int, n: int, rule: str = "nearest") -> pd.DataFrame:
    """How a row narrows down, score by score.

    Parameters
    ----------
    printed, p, n, rule : as of `spans`

    Returns
    -------
    score, printed, and the number of matrices left after it and all before it
    """
    found, order = spans(printed, p, n, rule), list(printed)
    left = [count(found, tuple(order[: i + 1])) for i in range(len(order))]
    rows = [("any", None, (p + 1) * (n + 1)), *zip(order, printed.values(), left)]
    return pd.DataFrame(rows, columns=["score", "printed", "matrices left"])


def share(printed: dict[str, float], rule: str = "nearest") -> tuple[float, float] | None:
    """Share of positives with which some set of sequences, of any size, can have these scores.

    With p = 1 all scores are linear in (true positives, false positives, negatives): two linear
    programmes.

    Parameters
    ----------
    printed, rule : as of `spans`

    Returns
    -------
    Lowest and highest; None: no set can
    """
    # The first limit: no more false positives than negatives.
    r, limits = RULES[rule], [((0, 1, -1), 0)]
    for score, value in printed.items():
        a, b = (np.array(f, float)[[0, 1, 3, 2]] for f in LINEAR[score])
        for f in ((value + r.low / 200) * b - a, a - (value + r.high / 200) * b):
            limits.append((f[:3], -f[3]))
    (left, right), ends = zip(*limits), []
    for sign in (-1, 1):
        answer = linprog([0, 0, sign], A_ub=left, b_ub=right, bounds=[(0, 1), (0, None), (0, 1e6)])
        if answer.status == 2:
            return None
        ends.append(1 / (1 + answer.x[2]))
    return float(ends[0]), float(ends[1])


def values(scores: Sequence[str], tp: np.ndarray, fp: np.ndarray, p: int, n: int) -> np.ndarray:
    """Scores of confusion matrices.

    Parameters
    ----------
    scores : S names
    tp, fp : (M,) true and false positives
    p, n : numbers of positives and negatives

    Returns
    -------
    (S, M) float64
    """
    sums = [
        [f[0] * tp + f[1] * fp + f[2] * p + f[3] * n for f in LINEAR[score]] for score in scores
    ]
    return np.stack([a / np.where(b == 0, 1, b) for a, b in sums])


@cache
def rows(rule: str = "nearest") -> tuple[Row, ...]:
    """Every printed row: 16 each of Tables 3 and 4 (validation split), two of the text (test
    split).
    """
    tables = [
        ("table3", 1, "validation"),
        ("table4", 2, "validation"),
        ("test_results", None, "test"),
    ]
    return tuple(
        _row(table, stage or line.stage, split, line, rule)
        for table, stage, split in tables
        for line in reported(table).itertuples()
    )


def _row(table: str, stage: int, split: str, line, rule: str) -> Row:
    printed, (p, n) = {s: getattr(line, s) for s in SCORES}, sizes(stage, split)
    found = spans(printed, p, n, rule)
    tp, fp = meet(found)
    right = values(["accuracy"], *meet(found, ("precision", "recall")), p, n)
    return Row(
        **{
            "table": table,
            "stage": stage,
            "model": line.model,
            "sampling": line.sampling,
            "k": line.k,
        },
        split=split,
        scores=printed,
        rounding=rule,
        possible=len(tp) > 0,
        matrices=len(tp),
        matrix=Confusion(int(tp[0]), int(fp[0]), int(p - tp[0]), int(n - fp[0]))
        if len(tp) == 1
        else None,
        fails=fails(found),
        accuracy=(float(right.min()), float(right.max())) if right.size else None,
        share=share(printed, rule),
        under={name: count(spans(printed, p, n, name)) for name in RULES},
    )


def both_classes(row: Row, weights: str) -> bool:
    """Whether precision, recall and F1 can be means over both classes (floats, ends taken in).

    Parameters
    ----------
    row : of the audit
    weights : ``equal`` (macro average), ``class`` (weighted average), or ``sample``: the summary
        that train.py of the authors' released code prints, a weighted average after sample weights
        that make both classes equally heavy (without F1, for which that code takes the weights of
        another split)
    """
    p, n = sizes(row.stage, row.split)
    tp, fp = (
        x.astype(float)
        for x in meet(spans({"accuracy": row.scores["accuracy"]}, p, n, row.rounding))
    )
    kept = ("precision", "recall") if weights == "sample" else ("f1", "precision", "recall")
    a, b = (n, p) if weights == "sample" else (1, 1)  # of a positive and of a negative sequence
    # The scores of each class taken as the positive one, then their weighted mean.
    positive = values(kept, a * tp, b * fp, a * p, b * n)
    negative = values(kept, b * (n - fp), a * (p - tp), b * n, a * p)
    part = p / (p + n) if weights == "class" else 0.5
    return bool(
        _within(
            part * positive + (1 - part) * negative, [row.scores[s] for s in kept], row.rounding
        ).any()
    )


def _within(found: np.ndarray, printed: list[float], rule: str) -> np.ndarray:
    low, high = (
        np.array(printed)[:, None] + end / 200 for end in (RULES[rule].low, RULES[rule].high)
    )
    return ((found >= low - 1e-9) & (found <= high + 1e-9)).all(axis=0)


def spread(row: Row, cells: int = 140) -> float | None:
    """If the scores are means over runs: how far apart the runs' accuracies must lie.

    Linear programme over all mixtures of matrices, gathered in about `cells` x `cells` boxes that
    each count with their best and worst scores: more may exclude more.

    Parameters
    ----------
    row : of the audit
    cells : boxes along each side

    Returns
    -------
    A lower bound of the mean distance from their mean, in points; None where no runs at all have
    such means
    """
    if row.possible:
        return 0.0  # runs that are all alike
    p, n = sizes(row.stage, row.split)
    # Boxes are narrow where the reported scores point, as runs near there decide.
    right = row.scores["recall"] * p
    tp, fp = _edges(right, p, cells), _edges(right / row.scores["precision"] - right, n, cells)
    worst = values(SCORES, *(x.ravel() for x in np.meshgrid(tp[:-1], fp[1:] - 1)), p, n)
    best = values(SCORES, *(x.ravel() for x in np.meshgrid(tp[1:] - 1, fp[:-1])), p, n)
    printed, r = np.array([row.scores[s] for s in SCORES]), RULES[row.rounding]
    # wider than what the solver may be off
    ends = np.r_[printed + r.high / 200, -(printed + r.low / 200)] + 1e-6
    # How far the accuracies in each box lie from the printed one at the least; the mixture with
    # the least mean of that is the bound.
    away = np.maximum(0, np.maximum(worst[1] - printed[1], printed[1] - best[1]))
    answer = linprog(
        100 * away, A_ub=np.r_[worst, -best], b_ub=ends, A_eq=np.ones((1, away.size)), b_eq=[1]
    )
    # 0 where the solver gives up: nothing is excluded
    return None if answer.status == 2 else float(answer.fun or 0)


def _edges(centre: float, n: int, cells: int) -> np.ndarray:
    """Where boxes of 0..n begin, with n + 1 at the end: narrow at the centre, ever wider away from
    it.
    """
    away = np.geomspace(1, n + 1, cells // 2)
    return np.unique(
        np.r_[0, centre - away, centre, centre + away, n + 1].round().astype(int).clip(0, n + 1)
    )


def other_class(row: Row) -> bool:
    """Whether the scores can be those of the other class."""
    p, n = sizes(row.stage, row.split)
    return count(spans(row.scores, n, p, row.rounding)) > 0


def _possible(row: Row, split: str, rule: str | None = None, accuracy: str = "accuracy") -> bool:
    scores = {accuracy if s == "accuracy" else s: value for s, value in row.scores.items()}
    return count(spans(scores, *sizes(row.stage, split), rule or row.rounding)) > 0


#: What might explain an impossible row: a sentence, and whether a row is possible if it is so.
EXPLANATIONS: dict[str, tuple[str, Callable[[Row], bool]]] = {
    "truncation": ("Scores were cut, not rounded.", lambda r: _possible(r, r.split, "truncated")),
    "carelessness": (
        "Each score may be off by a whole 0.01.",
        lambda r: _possible(r, r.split, "within 0.01"),
    ),
    "misprint": ("One score, any one, is wrong.", lambda r: r.possible or len(r.fails[0]) == 1),
    "balanced accuracy": (
        "The accuracy is the mean recall of both classes.",
        lambda r: _possible(r, r.split, accuracy="balanced accuracy"),
    ),
    "macro average": (
        "Precision, recall and F1 are means over both classes.",
        lambda r: both_classes(r, "equal"),
    ),
    "weighted average": (
        "Precision, recall and F1 are means weighted by the sizes of the classes.",
        lambda r: both_classes(r, "class"),
    ),
    "released code": (
        "Precision and recall are what the released code calls so: weighted by class and by"
        " sequence.",
        lambda r: both_classes(r, "sample"),
    ),
    "other class": ("The other class was taken for the positive one.", other_class),
    "training split": ("It was computed on the training split.", lambda r: _possible(r, "train")),
    "swapped split": (
        "It was computed on the test split (those of the text: on the validation split).",
        lambda r: _possible(r, "validation" if r.split == "test" else "test"),
    ),
    "balanced set": (
        "It was computed on a set with as many positives as negatives, of any size.",
        lambda r: r.share is not None and r.share[0] <= 0.5 <= r.share[1],
    ),
    "another set": (
        "It was computed on some other set, of any size and balance.",
        lambda r: r.share is not None,
    ),
    "mean of runs": (
        "It is a mean over several runs on Table 2's split.",
        lambda r: spread(r) is not None,
    ),
}


def explanations(found: Sequence[Row]) -> pd.DataFrame:
    """Every explanation against every row, a line each; `explained`: whether the row is possible if
    it is so.
    """
    columns = ["table", "stage", "model", "sampling", "k", "possible"]
    lines = [
        {"explanation": name, **{c: getattr(row, c) for c in columns}, "explained": holds(row)}
        for name, (_, holds) in EXPLANATIONS.items()
        for row in found
    ]
    return pd.DataFrame(lines)
