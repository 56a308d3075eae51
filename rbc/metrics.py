"""Scores of predictions and their two uncertainties, over test cells and over seeds, kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.special import logit

from rbc import RbcError
from rbc.paper import positive

SCORES = ("f1", "accuracy", "precision", "recall", "specificity")
#: Blood draws from which on an interval is given. In simulations with so many draws, intervals
#: cover the truth in nine of ten cases even at a correlation of .55 within draws, which the
#: released sample makes likely; of 24 draws they covered .82 (data/reference/draws.json).
FEWEST_DRAWS = 60
FEW = 5  #: acquisitions; fewer say too little of their spread to do without that of their cells
#: a sequence is called positive at this probability or above (the paper names no other)
THRESHOLD = 0.5


Count = int | float | np.ndarray


@dataclass(frozen=True)
class Confusion:
    """True and false positives and negatives of one stage's positive class: numbers, or arrays of
    one shape.
    """

    tp: Count
    fp: Count
    fn: Count
    tn: Count

    @property
    def n(self) -> Count:
        return self.tp + self.fp + self.fn + self.tn

    @property
    def recall(self) -> Count:
        """TP / (TP + FN); nan where there is no positive."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Count:
        """TN / (TN + FP); nan where there is no negative."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> Count:
        """TP / (TP + FP); nan where nothing was called positive."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def accuracy(self) -> Count:
        """(TP + TN) / n."""
        return _ratio(self.tp + self.tn, self.n)

    @property
    def f1(self) -> Count:
        """2 TP / (2 TP + FP + FN), equation 2 of the paper without its gap where nothing was called
        positive.
        """
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def balanced_accuracy(self) -> Count:
        """(recall + specificity) / 2."""
        return (self.recall + self.specificity) / 2


def _ratio(part: Count, whole: Count) -> Count:
    with np.errstate(invalid="ignore"):
        return np.divide(part, whole)


def truth_and_call(predictions: pd.DataFrame, stage: int) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are, and which are called, the stage's positive class.

    Parameters
    ----------
    predictions : columns label and probability (of the positive class)
    stage : 1 or 2

    Returns
    -------
    truth, called : (N,) bool each
    """
    return positive(predictions["label"], stage), predictions["probability"].to_numpy() >= THRESHOLD


def confusion(predictions: pd.DataFrame, stage: int) -> Confusion:
    """Counts of a table of predictions at the threshold `THRESHOLD`.

    Parameters
    ----------
    predictions : columns label and probability (of the positive class)
    stage : 1 or 2
    """
    truth, called = truth_and_call(predictions, stage)
    counts = (truth & called, ~truth & called, truth & ~called, ~truth & ~called)
    return Confusion(*(int(c.sum()) for c in counts))


def wilson(part: float, whole: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion (Wilson, J. Am. Stat. Assoc. 22:209, 1927).

    Parameters
    ----------
    part, whole : counts
    level : how often it is to cover

    Returns
    -------
    low, high : nan where `whole` is 0
    """
    if not whole:
        return float("nan"), float("nan")
    from scipy.stats import binomtest  # here, as it is slow to load

    interval = binomtest(part, whole).proportion_ci(level, "wilson")
    return interval.low, interval.high


def f1_interval(c: Confusion) -> tuple[float, float]:
    """95 % interval of F1 from that of a proportion: TP / (TP + FP + FN) is F1 / (2 - F1); nan
    where that is 0 / 0.

    Lam, Gopal & Qian, arXiv 2309.14621 (2023), "Wilson indirect". It holds the truth more often
    than a bootstrap where there are few positives (data/reference/coverage.json).
    """
    low, high = (2 * end / (1 + end) for end in wilson(c.tp, c.tp + c.fp + c.fn))
    return low, high


#: The 95 % intervals that `summary` gives: by score, the name of the method and its function.
INTERVALS = {
    "recall": ("Wilson", lambda c: wilson(c.tp, c.tp + c.fn)),
    "specificity": ("Wilson", lambda c: wilson(c.tn, c.tn + c.fp)),
    "f1": ("Wilson indirect", f1_interval),
}


def balanced_interval(c: Confusion) -> tuple[float, float]:
    """95 % interval of the balanced accuracy from those of recall and specificity; nan where a
    class has no sequence.

    The two are of different sequences, so their errors add as squares (Newcombe, Stat. Med. 17:873,
    1998, method 10).
    """
    parts = [(c.recall, *wilson(c.tp, c.tp + c.fn)), (c.specificity, *wilson(c.tn, c.tn + c.fp))]
    # Each side on its own, as intervals near 0 and 1 are lopsided.
    below = sum((share - low) ** 2 for share, low, _ in parts) ** 0.5
    above = sum((high - share) ** 2 for share, _, high in parts) ** 0.5
    return float(c.balanced_accuracy - below / 2), float(c.balanced_accuracy + above / 2)


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """2.5th and 97.5th percentile of what a bootstrap gave; draws that were undefined (nan) are
    left out.
    """
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
    return float(low), float(high)


def summary(predictions: pd.DataFrame, stage: int) -> dict:
    """n, the counts, the five scores and the 95 % intervals of recall, specificity and F1.

    Parameters
    ----------
    predictions : columns label and probability (of the positive class)
    stage : 1 or 2

    Returns
    -------
    Plain numbers by name, for JSON
    """
    if predictions.empty:
        raise RbcError(
            "there is no sequence to score; check the profile's folds and the data's splits"
        )
    c = confusion(predictions, stage)
    intervals = {score: interval(c) for score, (_, interval) in INTERVALS.items()}
    scores = {score: getattr(c, score) for score in SCORES}
    ends = {
        f"{score}_{end}": x
        for score, pair in intervals.items()
        for end, x in zip(("low", "high"), pair)
    }
    return {
        "n": c.n,
        **asdict(c),
        **{k: None if np.isnan(x) else float(x) for k, x in (scores | ends).items()},
    }


def reweighted(c: Confusion, prevalence: float) -> dict[str, float]:
    """Scores that the same recall and specificity give at another share of positives.

    With p positive, R recalled and specificity S, precision is pR / (pR + (1 - p)(1 - S)) (Bayes;
    Altman & Bland, BMJ 309:102, 1994) and accuracy pR + (1 - p)S. The paper's shares: 1,839 of
    54,654 reliable, 125 of 1,839 flipping.

    Parameters
    ----------
    c : counts, or rates
    prevalence : share of positives, in [0, 1]

    Returns
    -------
    precision, f1 and accuracy, in [0, 1]

    Raises
    ------
    RbcError
        for a share outside [0, 1]
    """
    if not 0 <= prevalence <= 1:
        raise RbcError(f"a share of positives of {prevalence}: give one between 0 and 1")
    r, s, p = c.recall, c.specificity, prevalence
    expected = Confusion(p * r, (1 - p) * (1 - s), p * (1 - r), (1 - p) * s)
    return {score: float(getattr(expected, score)) for score in ("precision", "f1", "accuracy")}


def auc(predictions: pd.DataFrame, stage: int) -> float:
    """Area under the ROC curve (scikit-learn's).

    Parameters
    ----------
    predictions : columns label and probability (of the positive class)
    stage : 1 or 2

    Returns
    -------
    0 to 1; nan where the table holds one class only
    """
    truth = positive(predictions["label"], stage)
    from sklearn.metrics import roc_auc_score  # here, as it is slow to load

    return (
        float(roc_auc_score(truth, predictions["probability"]))
        if 0 < truth.sum() < len(truth)
        else float("nan")
    )


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Logit of float probabilities, finite at 0 and 1."""
    return logit(np.clip(np.asarray(probability, float), 1e-6, 1 - 1e-6))


def blood_draw(acquisition: str) -> str:
    """Patient and date of an acquisition, told by its name: ``BG1017`` of ``BG1017_10s02``."""
    return acquisition.partition("_")[0]


def alike(
    acquisition: np.ndarray, *columns: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray]:
    """Cells of one acquisition that are alike in all columns put together: acquisition (N,),
    columns, sizes (N,).
    """
    names, code = np.unique(acquisition, return_inverse=True)
    rows, sizes = np.unique(np.column_stack([code, *columns]), axis=0, return_counts=True)
    return names[rows[:, 0].astype(int)], tuple(rows[:, 1:].T), sizes


def resample(
    acquisitions: np.ndarray,
    sizes: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    cells: bool = True,
) -> np.ndarray:
    """Clustered bootstrap: blood draws, in each its acquisitions, in each its cells, all with
    replacement.

    Davison & Hinkley, Bootstrap Methods (1997), section 3.8. Cells of one blood draw are alike, so
    few draws say little however many cells they hold. Of nominal 95 % it covers less with few draws
    that differ and, as cells are drawn on top, more where movies do not differ: measured in
    data/reference/coverage.json (simulated).

    Parameters
    ----------
    acquisitions : (N,) str, where each row's cells are from
    sizes : (N,) int, how many cells each row stands for
    draws : how many samples
    cells : whether cells are drawn too; if not, acquisitions come with the cells that they have

    Returns
    -------
    (draws, N) int64, how often each row's cells are in each sample
    """
    names, acquisition = np.unique(acquisitions, return_inverse=True)
    days, day = np.unique([blood_draw(name) for name in names], return_inverse=True)
    # How often each blood draw is drawn, then its acquisitions, then their cells.
    times = rng.multinomial(len(days), np.full(len(days), 1 / len(days)), draws)
    times = _inside(times, day, np.ones(len(names), int), rng)
    return _inside(times, acquisition, sizes, rng) if cells else times[:, acquisition] * sizes


def _inside(
    times: np.ndarray, group: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Members of G groups, as many as a group has, drawn anew each time that it was drawn: (B, G)
    to (B, N).
    """
    out = np.empty((len(times), len(group)), np.int64)
    for g in range(times.shape[1]):
        own = np.flatnonzero(group == g)
        # A group drawn twice draws its members twice, anew each time.
        n = sizes[own].sum()
        out[:, own] = rng.multinomial(times[:, g] * n, sizes[own] / n)
    return out


def uncertainty(
    predictions: pd.DataFrame, stage: int, score: str, draws: int = 2000, seed: int = 0
) -> dict:
    """A score with its uncertainties apart: spread over seeds, from blood draw to blood draw, and
    an interval over test cells.

    Parameters
    ----------
    predictions : columns name, label, acquisition, probability and, for several seeds, seed
    stage : 1 or 2
    score : one of `SCORES`, balanced_accuracy or auc
    draws, seed : of the bootstrap

    Returns
    -------
    score, n_sequences, n_seeds, mean (over seeds), seed_sd (nan for one seed); n_draws, the blood
    draws of which the score is defined, with the lowest and the highest of theirs (mean over
    seeds); low and high (95 %, `clustered`), nan for fewer than `FEWEST_DRAWS` draws: then no
    interval is given; a score that is undefined is nan

    Raises
    ------
    RbcError
        for an unknown score, and for a sequence that a seed lacks or has twice
    """
    wide = _wide(predictions)
    values = _of_rows(wide, stage, score)
    by_draw = wide.groupby(wide.index.get_level_values("acquisition").map(blood_draw))
    own = np.array([_of_rows(part, stage, score).mean() for _, part in by_draw])
    own = own[~np.isnan(own)]
    low = high = float("nan")
    if len(own) >= FEWEST_DRAWS:
        low, high = clustered(predictions, stage, score, draws, seed)
    sizes = {"n_sequences": len(wide), "n_seeds": len(values), "n_draws": len(own)}
    spread = {"mean": float(values.mean()), "seed_sd": _sd(values)}
    ends = {"lowest": float(own.min()), "highest": float(own.max())} if len(own) else {}
    return {"score": score, **sizes, **spread, **ends, "low": low, "high": high}


def clustered(
    predictions: pd.DataFrame, stage: int, score: str, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a score, mean over seeds: percentiles of the clustered bootstrap
    (`resample`).

    Parameters
    ----------
    predictions, stage, score, draws, seed : as of `uncertainty`, which withholds the interval where
        it would not cover
    """
    rng = np.random.default_rng(seed)
    _, sample = _bootstrap(_wide(predictions), stage, score, draws, rng)
    return percentiles(sample.mean(axis=1))


def difference(
    variant: pd.DataFrame, text: pd.DataFrame, score: str, draws: int = 2000, seed: int = 0
) -> dict:
    """Variant minus text in one score on the same sequences, with a 95 % interval.

    The interval is a percentile bootstrap over acquisitions (`resample`, the same ones for both)
    and over the seeds of each side, whose noise in single cells is in it so; cells are drawn too
    only where there are fewer than `FEW` acquisitions. Its coverage is measured in
    data/reference/coverage.json (simulated). With one seed a side it leaves the seeds out, and
    seed_se is nan.

    Parameters
    ----------
    variant, text : columns name, label, acquisition, seed, probability and stage
    score : as of `uncertainty`
    draws, seed : of the bootstrap

    Returns
    -------
    score, n_sequences, seeds of both, both means, difference, low, high, and the two parts apart:
    seed_se, the standard error that the seeds leave, and cell_sd, the bootstrap's spread with all
    seeds kept

    Raises
    ------
    RbcError
        where the tables are not of one stage or not of the same sequences, and as `uncertainty`
    """
    ours, theirs = _wide(variant), _wide(text)
    if len(stages := {*variant["stage"], *text["stage"]}) != 1:
        raise RbcError(f"predictions of stages {sorted(stages)}: compare two tables of one stage")
    if not ours.index.equals(theirs.index):
        odd = ours.index.symmetric_difference(theirs.index)[0][0]
        raise RbcError(
            f"sequence {odd!r} is not alike in both tables: compare predictions of the same"
            " sequences"
        )
    rng, n = np.random.default_rng(seed), ours.shape[1]
    # The same resampled sequences for both sides, so that hard cells are hard for both.
    few = ours.index.get_level_values("acquisition").nunique() < FEW
    values, sample = _bootstrap(
        pd.concat([ours, theirs], axis=1), stages.pop(), score, draws, rng, cells=few
    )
    a, b = values[:n], values[n:]
    low, high = percentiles(_redrawn(sample[:, :n], rng) - _redrawn(sample[:, n:], rng))
    return {
        "score": score, "n_sequences": len(ours), "seeds_variant": len(a), "seeds_text": len(b),
        "variant": float(a.mean()), "text": float(b.mean()),
        "difference": float(a.mean() - b.mean()), "low": low, "high": high,
        "seed_se": float(np.hypot(_sd(a) / len(a) ** 0.5, _sd(b) / len(b) ** 0.5)),
        "cell_sd": _sd(sample[:, :n].mean(axis=1) - sample[:, n:].mean(axis=1)),
    }  # fmt: skip


def together(
    predictions: pd.DataFrame, stage: int, scores: Sequence[str], draws: int, seed: int = 0
) -> dict:
    """Scores of several runs on the same sequences, resampled together.

    Parameters
    ----------
    predictions : as of `uncertainty`; column run says whose answer a row is
    stage : 1 or 2
    scores : of `SCORES`, or balanced_accuracy
    draws, seed : of the bootstrap (`resample`)

    Returns
    -------
    By score a table (draws + 1, runs): its first row are the sequences as they are, each other row
    one sample of them, the same in every column and whatever the answers are

    Raises
    ------
    RbcError
        for a sequence that a run lacks or has twice
    """
    wide = _wide(predictions.drop(columns="seed", errors="ignore").rename(columns={"run": "seed"}))
    index, calls = wide.index.to_frame(index=False), wide.to_numpy() >= THRESHOLD
    acquisition, truth = index["acquisition"].to_numpy(str), positive(index["label"], stage)
    sizes, rng, step = (
        np.ones(len(wide), int),
        np.random.default_rng(seed),
        max(1, 4_000_000 // len(wide)),
    )
    samples = (
        resample(acquisition, sizes, min(step, draws - done), rng) for done in range(0, draws, step)
    )
    parts = [[_scores(s, truth, calls, times) for s in scores] for times in (sizes[None], *samples)]
    return {
        s: pd.DataFrame(np.vstack(part), columns=wide.columns)
        for s, part in zip(scores, zip(*parts))
    }


def spread(values: np.ndarray, ddof: int = 0) -> float:
    """Standard deviation of the values that are known.

    Parameters
    ----------
    values : (N,) float64, nan where unknown
    ddof : as of `numpy.std`

    Returns
    -------
    nan, without a warning, where too few are known
    """
    known = values[~np.isnan(values)]
    return float(known.std(ddof=ddof)) if len(known) > ddof else float("nan")


def _sd(values: np.ndarray) -> float:
    return spread(np.asarray(values), ddof=1)


def _redrawn(sample: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean over seeds drawn anew, for each row: (B, S) to (B,)."""
    return np.take_along_axis(
        sample, rng.integers(sample.shape[1], size=sample.shape), axis=1
    ).mean(axis=1)


def _wide(predictions: pd.DataFrame) -> pd.DataFrame:
    """Probabilities, a row each sequence (name, label, acquisition) and a column each seed; rows
    sorted.
    """
    table = predictions if "seed" in predictions else predictions.assign(seed=0)
    # A sequence that is missing or there twice would shift every score without a word.
    key = ["name", "label", "acquisition"]
    if (twice := table.duplicated([*key, "seed"])).any():
        raise RbcError(
            f"sequence {table['name'][twice].iat[0]!r} is there twice for one seed; select one run"
            " a seed"
        )
    wide = table.pivot(index=key, columns="seed", values="probability")
    if (gap := wide.isna().any(axis=1)).any():
        raise RbcError(
            f"sequence {wide.index[gap][0][0]!r} lacks a seed; take seeds of the same sequences"
        )
    return wide


def _of_rows(wide: pd.DataFrame, stage: int, score: str) -> np.ndarray:
    """A score of each seed: (S,)."""
    _check_known(score)
    truth = positive(wide.index.get_level_values("label").to_series(), stage)
    answers = wide.to_numpy()
    answers = answers if score == "auc" else answers >= THRESHOLD
    return _scores(score, truth, answers, np.ones((1, len(wide)), int))[0]


def _check_known(score: str) -> None:
    if score not in (*SCORES, "balanced_accuracy", "auc"):
        raise RbcError(
            f"unknown score {score!r}: choose {', '.join(SCORES)}, balanced_accuracy or auc"
        )


def _bootstrap(
    wide: pd.DataFrame,
    stage: int,
    score: str,
    draws: int,
    rng: np.random.Generator,
    cells: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """A score of each seed, (S,), and the same on resampled sequences, (draws, S)."""
    _check_known(score)
    index = wide.index.to_frame(index=False)
    acquisition, truth = index["acquisition"].to_numpy(str), positive(index["label"], stage)
    answers, sizes = wide.to_numpy(), np.ones(len(wide), int)
    if score != "auc":
        # At a threshold many cells are alike: they are counted together. The AUC needs each.
        acquisition, (truth, *called), sizes = alike(acquisition, truth, *(answers >= THRESHOLD).T)
        truth, answers = truth.astype(bool), np.stack(called, axis=1)
    # samples at once: memory stays bounded on the full record
    step = max(1, 4_000_000 // len(sizes))
    parts = [min(step, draws - done) for done in range(0, draws, step)]
    sample = [
        _scores(score, truth, answers, resample(acquisition, sizes, part, rng, cells))
        for part in parts
    ]
    return _scores(score, truth, answers, sizes[None])[0], np.concatenate(sample)


def _scores(score: str, truth: np.ndarray, answers: np.ndarray, times: np.ndarray) -> np.ndarray:
    """A score of rows taken so many times: truth (N,) bool, answers (N, S) and times (B, N) to (B,
    S).
    """
    if score == "auc":
        return np.stack([_weighted_auc(truth, p, times) for p in answers.T], axis=1)
    times = times.astype(float)
    positives, negatives = times[:, truth], times[:, ~truth]
    tp, fp = positives @ answers[truth], negatives @ answers[~truth]
    counts = Confusion(tp, fp, positives.sum(1)[:, None] - tp, negatives.sum(1)[:, None] - fp)
    return getattr(counts, score)


def _weighted_auc(truth: np.ndarray, probability: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mann-Whitney form of the AUC, ties one half, for each row of times (B, N): (B,)."""
    # Runs of equal probabilities are one step of the curve: within it ties count one half.
    order = np.argsort(probability, kind="stable")
    starts = np.flatnonzero(np.diff(probability[order], prepend=-1.0))
    positives = np.add.reduceat(times[:, order] * truth[order], starts, axis=1)
    negatives = np.add.reduceat(times[:, order] * ~truth[order], starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return _ratio((positives * below).sum(1), positives.sum(1) * negatives.sum(1))
