"""From scores of labelled cells to calibrated ones, a threshold, and what is left unsaid."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

SPECIFICITY = {1: 0.95, 2: 0.98}  #: at which the threshold stands among the answers that set it
#: Share of the answers that set the threshold, the nearest to it, that stay open. Each cell left
#: open is one less to estimate the marker from: of .1 in each stage a seventh of the known cells
#: stayed open, of this a thirteenth, and the answers given were right as often.
UNSURE = 0.05


def calibration(score: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Offset and slope, as `rbc.prevalence.calibration`, that turn a score into log odds.

    Platt 1999, both classes counting alike.

    Parameters
    ----------
    score : (N,) float64
    truth : (N,) bool
    """
    offset, (slope,) = weights(np.asarray(score)[:, None], truth)
    return offset, slope


def weights(scores: np.ndarray, truth: np.ndarray) -> tuple[float, list[float]]:
    """Offset, and what each of several scores counts, in the log odds of both together.

    Parameters
    ----------
    scores : (N, K) float64
    truth : (N,) bool
    """
    found = LogisticRegression(C=1e3, class_weight="balanced").fit(scores, truth)
    return float(found.intercept_[0]), [float(slope) for slope in found.coef_[0]]


def limits(
    score: np.ndarray, truth: np.ndarray, stage: int, unsure: float = UNSURE
) -> tuple[float, float]:
    """Threshold, and how far from it an answer stays open.

    Parameters
    ----------
    score : (N,) float64, scores that set both
    truth : (N,) bool
    stage : 1 or 2
    unsure : share of the answers that stays open
    """
    threshold = float(np.quantile(score[~truth], SPECIFICITY[stage]))
    return threshold, float(np.quantile(abs(score - threshold), unsure))
