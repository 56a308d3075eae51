"""How well one number tells flipping from tank-treading cells when no label chose it, kept in
data/reference/labelfree.json.

    python workflow/labelfree.py --data RELEASED_SAMPLE

Direction and number follow from physics alone: a cell that flips shows other sides of itself from
frame to frame, so each number should be higher for it. No threshold is set and nothing is fitted.
The first number is the one that we named before any AUC was computed; the others are kept because
they were looked at too. All cells are real.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from compendium import runs
from compendium.data import ingest
from compendium.evidence import simple
from rbc.bench import focus
from rbc.paper import RELIABLE

OUT = runs.REFERENCE / "labelfree.json"
CELL = slice(5, 26)  #: rows and columns in which most of a cell lies
CENTRE = slice(12, 19)
RESAMPLED = 2000  #: bootstrap samples of cells


def change(frames: np.ndarray) -> float:
    """Share of the variance of a cell's pixels that lies between frames; (T, 31, 31) uint8."""
    seen = frames[:, CELL, CELL].astype(float) - focus.background(frames)
    seen = seen - seen.mean(axis=(1, 2), keepdims=True)
    return float(seen.var(axis=0).sum() / (seen**2).mean(axis=0).sum())


def centre(frames: np.ndarray) -> float:
    """How much a cell's centre flickers, in its strongest contrast; (T, 31, 31) uint8."""
    seen = frames.astype(float) - focus.background(frames)
    strongest = abs(seen).max(axis=(1, 2)).mean()
    return float(seen[:, CENTRE, CENTRE].mean(axis=(1, 2)).std() / strongest)


#: In words, and how it is computed; the first was named before any was tried.
NUMBERS: dict[str, Callable[[np.ndarray], float]] = {
    "share of the variance that lies between frames": change,
    "flicker of the centre": centre,
    "spread of the width along the flow": simple.width_spread,
}


def main() -> None:
    """Compute each number's AUC and write the file."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, required=True, help="the released sample's folder")
    cells = ingest.released(options.parse_args().data)
    cells = cells.select(cells.index["label"].isin(RELIABLE).to_numpy())
    flipping = (cells.index["label"] == "flipping").to_numpy()
    draws = cells.index["acquisition"].str.partition("_")[0].to_numpy()
    rows = []
    for name, number in NUMBERS.items():
        values = np.array([number(frames) for frames in cells])
        each = [roc_auc_score(flipping[draws == d], values[draws == d]) for d in np.unique(draws)]
        low, high = interval(flipping, values)
        row = {"number": name, "auc": float(roc_auc_score(flipping, values))}
        rows.append(row | {"low": low, "high": high, "draws": [min(each), max(each)]})
    content = {
        "simulated": False,
        "cells": {"flipping": int(flipping.sum()), "tank-treading": int((~flipping).sum())},
        "draws": len(np.unique(draws)),
        "interval": "95 %, bootstrap over cells",
        "rows": rows,
        **runs.checkout(),
    }
    OUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=1))


def interval(flipping: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """95 % interval of an AUC: cells drawn with replacement, both classes apart."""
    rng = np.random.default_rng(0)
    apart = [np.flatnonzero(flipping), np.flatnonzero(~flipping)]
    found = []
    for _ in range(RESAMPLED):
        chosen = np.concatenate([rng.choice(own, len(own)) for own in apart])
        found.append(roc_auc_score(flipping[chosen], values[chosen]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
