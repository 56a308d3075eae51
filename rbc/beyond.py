"""Our models' answers where nothing they learned or were set by has been: thresholds, calibration, what is left out.

A run of the profile ``ours`` has folds; each fold's networks answer for what they never saw. Whatever is judged (an
acquisition, a patient) is left out of the networks and of the threshold alike: the threshold comes from the answers for
the other acquisitions, by networks that saw neither these nor what is judged.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from rbc import focus
from rbc.metrics import log_odds
from rbc.paper import positive
from rbc.profiles import Fold
from rbc.sequences import Sequences

SPECIFICITY = {1: 0.95, 2: 0.98}  #: at which the threshold stands among the answers that set it
UNSURE = 0.1  #: share of the answers that set the threshold, the nearest to it, that stay open
VARIED = 3  #: varied copies of each training sequence
JPEG_NOISE = 2.05  #: grey levels; what the strips lack beside the PNG sequences, 2.2 against 0.8
MUCH = 0.75  #: folds that trained on a smaller part of the most acquisitions are left aside
KEY = ["name", "acquisition", "label"]


def machines(sequences: Sequences, folds: list[Fold]) -> tuple[pd.DataFrame, list[dict[str, np.ndarray]]]:
    """Stage 1's SVM of each fold (`rbc.focus`): answers as a run's predictions (score, no probability), and arrays.

    Beside the fold's own, the strips of the split ``train`` help as reliable cells, with the noise that JPEG took away,
    but for those of a patient whom the fold is to be tested on only. All are there `VARIED` times more, varied.
    """
    index, plain, rng = sequences.index, focus.of_sequences(sequences), np.random.default_rng(0)
    strips, truth = (index["split"] == "train").to_numpy(), positive(index["label"], 1)
    more = [focus.varied(sequences, 0.0, rng) for _ in range(VARIED)]
    noisy = focus.varied(sequences.select(strips), JPEG_NOISE, rng)
    tables, fitted = [], []
    for number, fold in enumerate(folds):
        own = index["acquisition"].isin(fold.train).to_numpy()
        unseen = set(index["patient"][index["acquisition"].isin(fold.validation)]) - set(index["patient"][own])
        helps = ~index["patient"][strips].isin(unseen).to_numpy()
        numbers = np.concatenate([plain[own], *(m[own] for m in more), noisy[helps]])
        labels = np.concatenate([np.tile(truth[own], VARIED + 1), np.ones(helps.sum(), bool)])
        fitted.append(focus.fit(numbers, labels))
        rows = index["acquisition"].isin(fold.validation).to_numpy()
        table = index.loc[rows, KEY].assign(fold=number, split="validation")
        tables.append(table.assign(score=focus.decision(fitted[-1], plain[rows])))
    return pd.concat(tables, ignore_index=True), fitted


def scored(predictions: pd.DataFrame) -> pd.DataFrame:
    """A network's predictions with their log odds as score."""
    return predictions.assign(score=log_odds(predictions["probability"]))


def answers(predictions: pd.DataFrame, folds: list[Fold], left_out: Iterable[str]) -> pd.DataFrame:
    """Mean score of each sequence over the folds that trained on nothing of `left_out`: columns `KEY`, score.

    Of those, only the ones that trained on most (`MUCH`), acquisition by acquisition.
    """
    sizes = pd.Series({i: len(f.train) for i, f in enumerate(folds) if not set(f.train) & set(left_out)})
    table = predictions[predictions["fold"].isin(sizes.index)]
    size = table["fold"].map(sizes)
    table = table[size >= MUCH * size.groupby(table["acquisition"]).transform("max")]
    return table.groupby(KEY, as_index=False)["score"].mean()


def calibration(score: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Slope and offset that turn a score into log odds (Platt 1999), both classes counting alike."""
    found = LogisticRegression(C=1e3, class_weight="balanced").fit(np.asarray(score)[:, None], truth)
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def combined(kinds: list[pd.DataFrame], setting: np.ndarray, stage: int) -> tuple[pd.DataFrame, list]:
    """Mean of calibrated scores of several models on the same rows, calibrated where `setting` ((N,) bool); slopes."""
    pairs = [calibration(t["score"][setting], positive(t["label"][setting], stage)) for t in kinds]
    score = np.mean([a * t["score"] + b for t, (a, b) in zip(kinds, pairs)], axis=0)
    return kinds[0][KEY].assign(score=score), pairs


def limits(score: np.ndarray, truth: np.ndarray, stage: int) -> tuple[float, float]:
    """Threshold, and how far from it an answer stays open, from scores that set them and their truth."""
    threshold = float(np.quantile(score[~truth], SPECIFICITY[stage]))
    return threshold, float(np.quantile(abs(score - threshold), UNSURE))


def judged(kinds: list[tuple[pd.DataFrame, list[Fold]]], stage: int, left_out: Iterable[str]) -> pd.DataFrame:
    """Answers for the acquisitions left out: `KEY`, score, threshold, unsure (bool), probability.

    `kinds` are predictions of several models (column score) with their folds; the probability is set so that the
    threshold stands at one half, as `rbc.metrics` takes it.
    """
    tables = [answers(t, folds, left_out).sort_values("name", ignore_index=True) for t, folds in kinds]
    setting = ~tables[0]["acquisition"].isin(list(left_out)).to_numpy()
    both, _ = combined(tables, setting, stage)
    truth = positive(both["label"], stage)
    threshold, margin = limits(both["score"].to_numpy()[setting], truth[setting], stage)
    own = both[~setting]
    far = own["score"] - threshold
    return own.assign(threshold=threshold, unsure=abs(far) < margin, probability=expit(far))
