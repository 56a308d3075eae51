"""A threshold and a prevalence that a reader moves, and the scores that follow, as HTML.

The page carries the four counts at a hundred thresholds, not the predictions, so it stays small
with any number of cells. `book/_static/slider.js` moves them; without JavaScript and in print the
table shows the threshold of one half.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from compendium.evidence.pages import filled
from rbc import metrics
from rbc.paper import NEGATIVE, POSITIVE

STEPS = 100  #: thresholds of the slider, from 0 to 1


def html(predictions: pd.DataFrame, stage: int, run: str) -> str:
    """Sliders and table of one run's predictions.

    Parameters
    ----------
    predictions : columns label and probability (of the positive class)
    stage : 1 or 2
    run : its name, for the reader
    """
    truth, _ = metrics.truth_and_call(predictions, stage)
    scores = predictions["probability"].to_numpy(float)
    thresholds = np.arange(STEPS + 1) / STEPS
    # A sequence is positive at the threshold or above (as `metrics.THRESHOLD`).
    found = [int((scores[truth] >= threshold).sum()) for threshold in thresholds]
    wrong = [int((scores[~truth] >= threshold).sum()) for threshold in thresholds]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    data = {"tp": found, "fp": wrong, "positives": positives, "negatives": negatives}
    half = round(metrics.THRESHOLD * STEPS)
    return filled(
        "slider.html",
        stage=stage,
        run=run,
        positive=POSITIVE[stage],
        negative=NEGATIVE[stage],
        data=json.dumps(data),
        steps=STEPS,
        half=half,
        prevalence=round(100 * positives / max(positives + negatives, 1)),
        tp=found[half],
        fp=wrong[half],
        fn=positives - found[half],
        tn=negatives - wrong[half],
        n=positives + negatives,
    )
