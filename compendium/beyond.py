"""Our models' answers where nothing they learned or were set by has been: thresholds, calibration,
what is left out.

A run of the profile ``ours`` has folds; each fold's networks answer for what they never saw.
Whatever is judged (an acquisition, a patient) is left out of the networks and of the threshold
alike: the threshold comes from the answers for the other acquisitions, by networks that saw neither
these nor what is judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import binomtest, mannwhitneyu

from rbc.bench import focus
from rbc.bench.thresholds import calibration, limits
from rbc.metrics import THRESHOLD, log_odds
from rbc.paper import RELIABLE, in_stage, positive
from rbc.sequences import Sequences
from rbc.settings import Fold

#: Share of the answers that set a threshold that stays open where models are compared; the shipped
#: ones leave fewer (`rbc.bench.thresholds.UNSURE`).
LEFT_OPEN = 0.1
VARIED = 3  #: varied copies of each training sequence of stage 1
JPEG_NOISE = 2.05  #: grey levels; what the strips lack beside the PNG sequences, 2.2 against 0.8
MUCH = 0.75  #: folds that trained on a smaller part of the most acquisitions are left aside
KEY = ["name", "acquisition", "label"]


def machines(
    sequences: Sequences, folds: list[Fold], stage: int
) -> tuple[pd.DataFrame, list[dict[str, np.ndarray]]]:
    """The SVM of each fold (`rbc.bench.focus`).

    In stage 1 the fold's own sequences are there `VARIED` times more, varied, and the strips of the
    split ``train`` help as reliable cells, but for those of a patient whom the fold is to be tested
    on only. In stage 2 the strips are the fold's own.

    Parameters
    ----------
    sequences : all of them
    folds : which acquisitions train, validate and test
    stage : 1 or 2

    Returns
    -------
    Answers as a run's predictions (score, no probability), and each fold's arrays
    """
    own = with_noise(sequences).select(in_stage(sequences.index["label"], stage))
    index, plain, rng = own.index, focus.of_sequences(own), np.random.default_rng(0)
    strips, truth = (index["split"] == "train").to_numpy(), positive(index["label"], stage)
    more = [focus.varied(own, rng) for _ in range(VARIED)] if stage == 1 else []
    tables, fitted = [], []
    for number, fold in enumerate(folds):
        mine = index["acquisition"].isin(fold.train).to_numpy()
        helps = strips & ~index["patient"].isin(_unseen(index, fold)).to_numpy() & (stage == 1)
        numbers = np.concatenate(
            [plain[mine], *(m[mine] for m in more), *(m[helps] for m in more[:1])]
        )
        labels = np.concatenate([np.tile(truth[mine], len(more) + 1), truth[helps]])
        fitted.append(focus.fit(numbers, labels))
        for split in ("validation", "test"):
            rows = index["acquisition"].isin(getattr(fold, split)).to_numpy()
            table = index.loc[rows, KEY].assign(fold=number, split=split)
            tables.append(table.assign(score=focus.decision(fitted[-1], plain[rows])))
    return pd.concat(tables, ignore_index=True), fitted


def with_noise(sequences: Sequences) -> Sequences:
    """The same, but the strips of the split ``train`` with the noise that JPEG took away."""
    rng, index, frames = np.random.default_rng(0), sequences.index, np.array(sequences.frames)
    for row in index[index["split"] == "train"].itertuples():
        part = frames[row.start : row.start + row.length]
        part[:] = np.clip(np.rint(part + rng.normal(0, JPEG_NOISE, part.shape)), 0, 255)
    return replace(sequences, frames=frames)


def _unseen(index: pd.DataFrame, fold: Fold) -> set[str]:
    """Patients whom a fold is tested on only."""
    return set(index["patient"][index["acquisition"].isin(fold.validation)]) - set(
        index["patient"][index["acquisition"].isin(fold.train)]
    )


def scored(predictions: pd.DataFrame) -> pd.DataFrame:
    """A network's predictions with their log odds as score."""
    return predictions.assign(score=log_odds(predictions["probability"]))


def answers(predictions: pd.DataFrame, folds: list[Fold], left_out: Iterable[str]) -> pd.DataFrame:
    """Mean score of each sequence over the folds that trained on nothing of what is left out.

    Of those, only the ones that trained on most (`MUCH`), acquisition by acquisition.

    Parameters
    ----------
    predictions : columns `KEY`, score, fold
    folds : which acquisitions train, validate and test
    left_out : acquisitions

    Returns
    -------
    `KEY`, score
    """
    sizes = pd.Series(
        {i: len(f.train) for i, f in enumerate(folds) if not set(f.train) & set(left_out)}
    )
    table = predictions[predictions["fold"].isin(sizes.index)]
    size = table["fold"].map(sizes)
    table = table[size >= MUCH * size.groupby(table["acquisition"]).transform("max")]
    return table.groupby(KEY, as_index=False)["score"].mean()


def combined(
    kinds: list[pd.DataFrame], setting: np.ndarray, stage: int
) -> tuple[pd.DataFrame, list]:
    """Mean of calibrated scores of several models on the same rows, calibrated where `setting`
    ((N,) bool); slopes.

    Parameters
    ----------
    kinds : predictions of several models on the same rows
    setting : (N,) bool, the rows that calibrate
    stage : 1 or 2

    Returns
    -------
    The mean of their calibrated scores, and the slope of each calibration
    """
    pairs = [calibration(t["score"][setting], positive(t["label"][setting], stage)) for t in kinds]
    score = np.mean(
        [offset + slope * t["score"] for t, (offset, slope) in zip(kinds, pairs)], axis=0
    )
    return kinds[0][KEY].assign(score=score), pairs


def judged(
    kinds: list[tuple[pd.DataFrame, list[Fold]]], stage: int, left_out: Iterable[str]
) -> pd.DataFrame:
    """Answers of several models together for all acquisitions, those left out and those that set
    the threshold.

    `kinds` are predictions of several models (column score) with their folds. Returns `KEY`, score,
    setting (bool), threshold, unsure (bool) and probability, which is set so that the threshold
    stands at one half, as `rbc.metrics` takes it.
    """
    tables = [
        answers(t, folds, left_out).sort_values("name", ignore_index=True) for t, folds in kinds
    ]
    setting = ~tables[0]["acquisition"].isin(list(left_out)).to_numpy()
    both, _ = combined(tables, setting, stage)
    truth = positive(both["label"], stage)
    threshold, margin = limits(both["score"].to_numpy()[setting], truth[setting], stage, LEFT_OPEN)
    far = both["score"] - threshold
    return both.assign(
        setting=setting, threshold=threshold, unsure=abs(far) < margin, probability=expit(far)
    )


def motions_apart(label: pd.Series, kept: np.ndarray, margin: float) -> dict[str, float | str]:
    """Does stage 1 keep both motions alike, and how far can these cells tell?

    Parameters
    ----------
    label : (N,) class of each sequence; unreliable ones are not looked at
    kept : (N,) bool, whether stage 1 keeps it
    margin : largest difference that counts as alike, a share, stated beforehand

    Returns
    -------
    kept_tank-treading, of_tank-treading, kept_flipping, of_flipping : counts
    apart : share kept of the tank-treading minus that of the flipping cells
    error : its standard error, of independent cells
    low, high : 95 % interval of the difference (Newcombe, Stat. Med. 17:873, 1998, method 10)
    alike : ``yes`` where the 90 % interval lies within the margin on either side, which is two
        one-sided tests at 5 % (Schuirmann, J. Pharmacokinet. Biopharm. 15:657, 1987); ``no`` where
        the 95 % interval lies beyond it; else ``not resolved``

    Cells count as independent, so intervals are too narrow where acquisitions differ. nan and ``not
    resolved`` without a cell of either motion.
    """
    keeps = {motion: np.asarray(kept)[(label == motion).to_numpy()] for motion in RELIABLE}
    sizes = {motion: (int(cells.sum()), len(cells)) for motion, cells in keeps.items()}
    out: dict[str, float | str] = {}
    for motion, (k, n) in sizes.items():
        out |= {f"kept_{motion}": k, f"of_{motion}": n}
    if not all(n for _, n in sizes.values()):
        return (
            out
            | dict.fromkeys(("apart", "error", "low", "high"), float("nan"))
            | {"alike": "not resolved"}
        )

    shares = [k / n for k, n in sizes.values()]
    variances = [
        share * (1 - share) / n for share, (_, n) in zip(shares, sizes.values(), strict=True)
    ]
    low, high = _difference(*sizes.values(), level=0.95)
    inner_low, inner_high = _difference(*sizes.values(), level=0.90)
    alike = "not resolved"
    if -margin <= inner_low and inner_high <= margin:
        alike = "yes"
    elif low > margin or high < -margin:
        alike = "no"
    told = {
        "apart": shares[0] - shares[1],
        "error": float(np.sqrt(sum(variances))),
        "low": low,
        "high": high,
    }
    return out | told | {"alike": alike}


def kept_beside_discarded(
    cells: pd.DataFrame, kept: np.ndarray, numbers: list[str]
) -> pd.DataFrame:
    """Do the reliable cells that stage 1 keeps differ from those that it discards?

    Parameters
    ----------
    cells : a row a sequence: label, and the numbers that are compared
    kept : (N,) bool, whether stage 1 keeps it
    numbers : columns

    Returns
    -------
    A row each motion and number: motion, number, kept and discarded (medians), p (Mann and Whitney,
    two-sided, times the number of tests, 1 at most). Unreliable cells are not looked at.
    """
    rows, tests = [], len(RELIABLE) * len(numbers)
    for motion, number in product(RELIABLE, numbers):
        own = (cells["label"] == motion).to_numpy()
        inside, outside = cells[number][own & kept], cells[number][own & ~kept]
        if inside.empty or outside.empty:
            continue
        p = min(1.0, tests * mannwhitneyu(inside, outside).pvalue)
        rows.append((motion, number, inside.median(), outside.median(), p))
    return pd.DataFrame(rows, columns=["motion", "number", "kept", "discarded", "p"])


def workload(answers: pd.DataFrame, stage: int, steps: int = 101) -> pd.DataFrame:
    """How many answers stay wrong once the least sure ones were looked at by eye.

    Parameters
    ----------
    answers : label and probability, the threshold at one half; one answer a sequence
    stage : 1 or 2
    steps : points of the curve

    Returns
    -------
    looked, wrong : shares of all sequences; whoever looks is taken to be right
    """
    call = answers["probability"].to_numpy() >= THRESHOLD
    wrong = call != positive(answers["label"], stage)
    order = np.argsort(abs(log_odds(answers["probability"])), kind="stable")  # the least sure first
    left = wrong.sum() - np.concatenate([[0], np.cumsum(wrong[order])])
    looked = np.linspace(0, 1, steps)
    return pd.DataFrame(
        {"looked": looked, "wrong": left[np.rint(looked * len(wrong)).astype(int)] / len(wrong)}
    )


def _difference(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> tuple[float, float]:
    """Interval of the difference of two shares (part, whole) from the Wilson intervals of each
    (Newcombe 1998).
    """
    p, q = first[0] / first[1], second[0] / second[1]
    a, b = (binomtest(*counts).proportion_ci(level, "wilson") for counts in (first, second))
    low = p - q - np.hypot(p - a.low, b.high - q)
    high = p - q + np.hypot(a.high - p, q - b.low)
    return float(low), float(high)
