"""What can be counted in the data of a results folder, by the names that claims use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from compendium.evidence.study import Study
from rbc.paper import RELIABLE, reported


def _mean_length(study: Study) -> float:
    """Of the test split, each class as frequent as in Table 2."""
    means = study.index.query("split == 'test'").groupby("label")["length"].mean()
    weights = reported("table2").set_index("label")["test"].reindex(means.index)
    return float(np.average(means, weights=weights))


def _unseen(study: Study) -> int:
    splits = study.index.groupby("patient")["split"].unique()
    return int(sum(list(s) == ["test"] for s in splits))


def _of(what: str, by: str = "") -> Callable[[Study], int]:
    return lambda study: int(
        (study.index[study.index["split"] == by] if by else study.index)[what].nunique()
    )


def _length(of: str, which: str) -> Callable[[Study], int]:
    return lambda study: int(study.index.query(which)["length"].agg(of))


def _backgrounds(study: Study) -> pd.DataFrame:
    return pd.DataFrame(study.findings["grey levels"]["table"])


def _background_spread(study: Study) -> float:
    """Of an acquisition and label, on average: how far apart 90 % of its sequences' backgrounds
    are, in grey levels.
    """
    table = _backgrounds(study)
    return float(np.average(table["background_p95"] - table["background_p5"], weights=table["n"]))


@dataclass(frozen=True)
class Measure:
    """A figure of the data: the check that shows it, how it is computed, and which way it goes as
    sequences are added.

    moves : ``up``, ``down`` or ``either``. A part of the record tells by it what the whole record
        must be.
    """

    check: str
    compute: Callable[[Study], float]
    moves: Literal["up", "down", "either"]


#: Lengths are those of the test split: the released sample's training strips were shortened before
#: their release.
MEASURES: dict[str, Measure] = {
    "shortest": Measure("short sequences", _length("min", "split == 'test'"), "down"),
    "under six frames": Measure(
        "short sequences",
        lambda s: int((s.index.query("split == 'test'")["length"] < 6).sum()),
        "up",
    ),
    "longest": Measure("lengths", _length("max", "split == 'test'"), "up"),
    "longest reliable": Measure(
        "lengths", _length("max", f"split == 'test' and label in {RELIABLE}"), "up"
    ),
    "mean length": Measure("lengths", _mean_length, "either"),
    "lowest median background": Measure(
        "grey levels", lambda s: _backgrounds(s)["background_median"].min(), "down"
    ),
    "highest median background": Measure(
        "grey levels", lambda s: _backgrounds(s)["background_median"].max(), "up"
    ),
    "spread of the background inside an acquisition": Measure(
        "grey levels", _background_spread, "either"
    ),
    "patients": Measure("patients", _of("patient"), "up"),
    "test patients": Measure("patients", _of("patient", "test"), "up"),
    "unseen patients": Measure("patients", _unseen, "either"),
    "acquisitions": Measure("patients", _of("acquisition"), "up"),
    # of a part we do not know which acquisitions trained and which validated: its strips are of
    # both
    "train acquisitions": Measure("patients", _of("acquisition", "train"), "either"),
    "validation acquisitions": Measure("patients", _of("acquisition", "validation"), "either"),
    "test acquisitions": Measure("patients", _of("acquisition", "test"), "up"),
}
