"""The reported rows of scores: what they say, and what follows from them."""

from __future__ import annotations

from functools import cache

import numpy as np

from compendium.evidence import audit
from compendium.evidence.study import Cell, derived, share


@cache
def _rows() -> dict[tuple, audit.Row]:
    return {(r.stage, r.split, r.model, r.sampling, r.k): r for r in audit.rows()}


def row(stage: int, split: str, cell: Cell) -> audit.Row:
    """A reported row of scores.

    Parameters
    ----------
    stage : 1 or 2
    split : validation (Tables 3 and 4) or test (chosen cells only)
    cell : model, sampling and K
    """
    return _rows()[stage, split, *cell]


def nearest_split(stage: int, split: str, cell: Cell) -> str:
    """The split itself where the paper reports the cell's scores there, else validation.

    Parameters
    ----------
    stage, split, cell : as of `row`
    """
    return split if (stage, split, *cell) in _rows() else "validation"


def place(stage: int, split: str, cell: Cell) -> str:
    """A row as a verdict lists what it rests on."""
    found = row(stage, split, cell)
    return f"audit: {found.table} {found.model} {found.sampling} K = {found.k}"


def rates(stage: int, split: str, cell: Cell) -> tuple[float, float]:
    """Recall as reported, and the specificity that follows from it and the reported precision.

    Parameters
    ----------
    stage, split, cell : as of `row`

    Returns
    -------
    recall, specificity : in [0, 1]
    """
    scores = row(stage, split, cell).scores
    positives, negatives = audit.sizes(stage, split)
    # Precision = TP / (TP + FP), and TP = recall x positives: so FP follows.
    true = scores["recall"] * positives
    false = true * (1 / scores["precision"] - 1)
    return scores["recall"], float(np.clip(1 - false / negatives, 0, 1))


def score(stage: int, split: str, name: str, cell: Cell) -> float:
    """A score of a cell as reported, or as it follows from the reported recall and precision.

    The paper reports test scores of its chosen cells only; of others those of the validation split
    stand for them.

    Parameters
    ----------
    stage, split, cell : as of `row`
    name : of the score
    """
    used = nearest_split(stage, split, cell)
    scores = row(stage, used, cell).scores
    if name in scores:
        return scores[name]
    return float(derived(name, *rates(stage, used, cell), share(stage, used)))
