"""Scores by blood draw: where cells of one draw are alike, a pooled score hides that it fails on
one of them.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from scipy.stats import t

from compendium import runs
from compendium.profiles import Fold
from rbc import metrics

RATES = {"recall": ("tp", "fn"), "specificity": ("tn", "fp")}


def by_draw(predictions: pd.DataFrame, stage: int) -> pd.DataFrame:
    """Recall and specificity of each blood draw.

    Parameters
    ----------
    predictions : columns acquisition, label and probability, one run or several
    stage : 1 (positive is reliable) or 2 (positive is flipping)

    Returns
    -------
    a row each blood draw and rate: draw, score, part, whole, value, low, high (95 %, Wilson, as if
    cells of one draw were independent; nan where a draw has none of the class)
    """
    rows = []
    for draw, part in predictions.groupby(predictions["acquisition"].map(metrics.blood_draw)):
        counts = metrics.confusion(part, stage)
        for score, (right, wrong) in RATES.items():
            k, n = getattr(counts, right), getattr(counts, right) + getattr(counts, wrong)
            rows.append((draw, score, k, n, k / n if n else np.nan, *metrics.wilson(k, n)))
    return pd.DataFrame(rows, columns=["draw", "score", "part", "whole", "value", "low", "high"])


def interval(values: pd.Series) -> tuple[float, float, float]:
    """Mean of blood draws and its 95 % interval by Student's t, cut off at 0 and 1.

    Draws are what was sampled, so they are what counts, each alike. The ends are nan for fewer than
    `metrics.FEWEST_DRAWS` draws, of which no interval covers. A draw without the class (nan) is
    left out.
    """
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    n = len(known)
    mean = float(known.mean()) if n else float("nan")
    if n < metrics.FEWEST_DRAWS:
        return mean, float("nan"), float("nan")
    reach = t.ppf(0.975, n - 1) * known.std(ddof=1) / n**0.5
    return mean, max(0.0, float(mean - reach)), min(1.0, float(mean + reach))


def table(predictions: pd.DataFrame, stage: int) -> pd.DataFrame:
    """`by_draw` in words, draws as rows and rates as columns, with all draws together and their
    mean at the end.

    Parameters
    ----------
    predictions : of a stage, with label and probability
    stage : 1 or 2
    """
    found = by_draw(predictions, stage)
    rows: dict[str, dict[str, str]] = {}
    for row in found.itertuples():
        words = (
            f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}] ({row.part} of {row.whole})"
            if row.whole
            else "none"
        )
        rows.setdefault(row.draw, {})[row.score] = words
    pooled, mean = {}, {}
    for score, own in found.groupby("score", sort=False):
        part, whole = own["part"].sum(), own["whole"].sum()
        pooled[score] = f"{part / whole:.2f} ({part} of {whole})" if whole else "none"
        middle, low, high = interval(own["value"])
        ends = "no interval: too few draws" if np.isnan(low) else f"[{low:.2f}, {high:.2f}]"
        mean[score] = f"{middle:.2f} {ends}"
    return pd.DataFrame(rows | {"all cells": pooled, "mean of draws": mean}).T.rename_axis(
        "blood draw"
    )


def shared_with_training(folds: list[Fold]) -> list[str]:
    """Names of the tested blood draws of which another acquisition is in the same fold's training
    set. A score on these says little about a new draw.
    """
    shared = set()
    for fold in folds:
        trained = {metrics.blood_draw(acquisition) for acquisition in fold.train}
        tested = {metrics.blood_draw(acquisition) for acquisition in fold.test}
        shared |= trained & tested
    return sorted(shared)


def warn_of_shared(folds: list[Fold], stage: int) -> str:
    """A sentence for readers where tested blood draws also trained, with the scores of the same
    networks when draws are left out; empty where no draw is in both.

    Parameters
    ----------
    folds : of the profile's stage
    stage : 1 or 2
    """
    shared = shared_with_training(folds)
    if not shared:
        return ""
    words = (
        f"**This test is easier than the paper's.** In stage {stage}, other acquisitions of the"
        f" tested blood draws ({', '.join(shared)}) are in the training set."
    )
    kept = runs.REFERENCE / "duel" / "metrics.json"
    duel = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    recalls = []
    for row in duel:
        if (row["stage"], row["training"]) == (stage, "as the paper trains"):
            recall = next(one for one in row["together"] if one["score"] == "recall")
            ends = f"{recall['lowest']:.2f} to {recall['highest']:.2f}"
            recalls.append(f"{row['network']} {recall['mean']:.2f} ({ends})")
    if recalls:
        words += (
            " When whole blood draws were left out of training, networks trained as the paper"
            f" trains had a recall of: {'; '.join(recalls)} (lowest to highest draw). Their"
            " threshold was set for a fixed specificity"
            ' (<a href="../ours/ours.html">Beyond the paper</a>).'
        )
    return words
