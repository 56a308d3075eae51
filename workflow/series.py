"""How a cell's numbers change from frame to frame: a few thousand small fixed convolutions and a
linear model.

After MiniRocket (Dempster, Schmidt & Webb, KDD 2021), whose kernels these are: nine weights, three
of them 2, the others -1; a feature is the share of frames above a threshold. Its packages do not
fit this project's other ones, and the result is a negative one, so this stays a script's part.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from compendium import beyond
from rbc.bench import focus
from rbc.paper import in_stage, positive
from rbc.sampling import sample_all
from rbc.sequences import Sequences
from rbc.settings import Fold

LENGTH, GROUPS, DILATIONS, BIASES = 20, 6, (1, 2), 2
# (84, 9)
KERNELS = np.array(
    [[2.0 if i in own else -1.0 for i in range(9)] for own in combinations(range(9), 3)]
)
#: of the ridge, chosen by leaving single sequences out inside the training
PENALTIES = np.logspace(0, 5, 11)


def machines(sequences: Sequences, folds: list[Fold]) -> pd.DataFrame:
    """Answers of each fold's linear model in stage 2, as `compendium.beyond.machines` gives
    them.
    """
    own = beyond.with_noise(sequences).select(in_stage(sequences.index["label"], 2))
    numbers, truth = convolved(series(own)), positive(own.index["label"], 2)
    tables = []
    for number, fold in enumerate(folds):
        mine = own.index["acquisition"].isin(fold.train).to_numpy()
        model = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES)).fit(
            numbers[mine], truth[mine]
        )
        for split in ("validation", "test"):
            rows = own.index["acquisition"].isin(getattr(fold, split)).to_numpy()
            table = own.index.loc[rows, beyond.KEY].assign(fold=number, split=split)
            tables.append(table.assign(score=model.decision_function(numbers[rows])))
    return pd.concat(tables, ignore_index=True)


def series(sequences: Sequences) -> np.ndarray:
    """Standardised numbers of each frame (`rbc.bench.focus.of_frames`), the last one repeated: (N,
    LENGTH, F).
    """
    frames, lengths = sample_all(sequences, "similarity", LENGTH, 0)
    each = np.array(
        [
            np.pad(
                focus.of_frames(x[:n], focus.background(x[:n])),
                ((0, LENGTH - n), (0, 0)),
                mode="edge",
            )
            for x, n in zip(frames, lengths)
        ]
    )
    return (each - np.median(each, (0, 1))) / (each.std((0, 1)) + 1e-6)


def convolved(each: np.ndarray, seed: int = 0) -> np.ndarray:
    """(N, T, F) to (N, 84 x groups x dilations x biases): shares of frames above thresholds drawn
    from a sequence.
    """
    rng, out = np.random.default_rng(seed), []
    n, t, f = each.shape
    for dilation in DILATIONS:
        wide = np.pad(each, ((0, 0), (4 * dilation, 4 * dilation), (0, 0)), mode="edge")
        # (N, T, F, 9)
        taps = np.stack([wide[:, i * dilation : i * dilation + t] for i in range(9)], -1)
        for kernel in np.tile(KERNELS, (GROUPS, 1)):
            # (N, T)
            seen = taps[:, :, rng.choice(f, rng.integers(1, 4), replace=False)].sum(2) @ kernel
            limits = np.quantile(seen[rng.integers(n)], rng.uniform(0.1, 0.9, BIASES))
            out.append((seen[:, :, None] > limits).mean(1))
    return np.concatenate(out, 1)
