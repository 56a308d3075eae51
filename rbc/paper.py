"""What the paper says: its classes, its split, its grid of 32 configurations and its reported
numbers.

Source of every fact here: Darrin et al., Scientific Reports 13:745 (2023), doi
10.1038/s41598-023-27718-w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from rbc import RbcError

if TYPE_CHECKING:  # names of classes alone must not cost every command the import of pandas
    import numpy as np
    import pandas as pd

#: hand-given classes; also the codes 0, 1, 2 of dataset.csv
LABELS = ("tank-treading", "flipping", "unreliable")
RELIABLE = LABELS[:2]
SPLITS = ("train", "validation", "test")
STAGES = (1, 2)
MODELS = ("cnn", "crnn")
SAMPLINGS = ("uniform", "similarity")
KS = (10, 20, 30, 50)
POSITIVE = {1: "reliable", 2: "flipping"}
NEGATIVE = {1: "unreliable", 2: "tank-treading"}
FRAME_PX = 31  #: frames are 31 x 31 px ("Trajectories extraction")
PX_UM = 0.6  #: size of a pixel, um (830 um / 1376 px)
REPORTED = Path(__file__).with_name("reported")  #: its printed numbers, one CSV file a table
MIN_FRAMES = 6  #: shorter sequences were discarded ("Trajectories extraction")


@dataclass(frozen=True, order=True)
class Configuration:
    """One cell of Table 3 (stage 1) or Table 4 (stage 2), trained with one seed.

    `variant` names the one open detail that is switched (`rbc.settings`); ``text`` is none.
    """

    stage: int
    model: str
    sampling: str
    k: int
    seed: int = 0
    variant: str = "text"

    def __post_init__(self) -> None:
        allowed = {"stage": STAGES, "model": MODELS, "sampling": SAMPLINGS, "k": KS}
        for field, values in allowed.items():
            if getattr(self, field) not in values:
                raise RbcError(
                    f"{field} is {getattr(self, field)!r}: choose one of"
                    f" {', '.join(map(str, values))}"
                )

    @property
    def name(self) -> str:
        """Folder name of its run, e.g. ``cnn-uniform-k10-s0``, and ``-raw-grey`` after it for that
        variant.
        """
        switched = "" if self.variant == "text" else f"-{self.variant}"
        return f"{self.model}-{self.sampling}-k{self.k}-s{self.seed}{switched}"

    @property
    def path(self) -> str:
        """Its run's folder below a profile's results, e.g. ``stage1/cnn-uniform-k10-s0``."""
        return f"stage{self.stage}/{self.name}"


def grid(seeds: Sequence[int] = (0,)) -> list[Configuration]:
    """All 32 configurations of Tables 3 and 4, once for each seed."""
    return [Configuration(*c) for c in product(STAGES, MODELS, SAMPLINGS, KS, seeds)]


def in_stage(labels: pd.Series, stage: int) -> np.ndarray:
    """Which sequences a stage looks at: all in stage 1, the reliable ones in stage 2.

    Parameters
    ----------
    labels : (N,) of `LABELS`
    stage : 1 or 2

    Returns
    -------
    (N,) bool
    """
    return (labels.isin(RELIABLE) | (stage == 1)).to_numpy()


def positive(labels: pd.Series, stage: int) -> np.ndarray:
    """Which labels are the stage's positive class: reliable in stage 1, flipping in stage 2.

    Parameters
    ----------
    labels : (N,) of `LABELS`
    stage : 1 or 2

    Returns
    -------
    (N,) bool
    """
    return labels.isin(RELIABLE if stage == 1 else ["flipping"]).to_numpy()


def reported(table: str) -> pd.DataFrame:
    """Numbers as printed: ``table2`` to ``table5``, ``test_results`` (the text and Figure 3),
    ``statements`` (text).

    ``released_model`` is what the authors' notebook prints for their released weights on their
    released sequences.
    """
    import pandas as pd

    path = REPORTED / f"{table}.csv"
    if not path.exists():
        raise RbcError(
            f"{path}: no such table; there are table2 to table5, test_results, statements and"
            " released_model"
        )
    return pd.read_csv(path)
