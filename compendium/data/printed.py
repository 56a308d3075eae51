"""Whether a record's labels and splits are the paper's: Table 2 decides.

The record's files may number the classes otherwise than the authors' code, and folders may be
swapped. Table 2 prints how many sequences of each class are in each split. The record must have
these counts, or, where it is a part, such shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pandas as pd

from rbc import RbcError
from rbc.paper import LABELS, SPLITS, reported

#: A part of the record fits where every share is within this factor of Table 2's. Where several
#: readings do, the nearest must be the one taken.
FACTOR = 2.0


def check(
    rows: pd.DataFrame,
    where: object,
    acknowledged: Sequence[str] = (),
    simulated: bool = False,
) -> None:
    """Compare the counts of a record with Table 2 under every numbering of classes and splits.

    Parameters
    ----------
    rows : one row a sequence, with the columns label and split
    where : the folder, for the message
    acknowledged : findings that are meant so: ``counts``, where no reading has Table 2's shares;
        ``numbering``, where another reading has them than the one taken
    simulated : a simulated record has counts of its own

    Raises
    ------
    RbcError
        always where a split is missing, as nothing can be trained or selected without it; with both
        tables, where no reading fits, or another fits than the one taken
    """
    found = pd.crosstab(rows["label"], rows["split"])
    found = found.reindex(LABELS, columns=SPLITS, fill_value=0)
    table = reported("table2").set_index("label").loc[list(LABELS), list(SPLITS)]
    if missing := [split for split in SPLITS if not found[split].any()]:
        raise RbcError(_page(where, found, table, f"no sequence is in the split {missing[0]}", ""))
    if simulated or (found.to_numpy() == table.to_numpy()).all():
        return
    readings = {
        (labels, splits): _distance(found.loc[list(labels), list(splits)], table)
        for labels in permutations(LABELS)
        for splits in permutations(SPLITS)
    }
    best = min(readings, key=readings.get)
    taken = readings[tuple(LABELS), tuple(SPLITS)]
    if taken <= np.log(FACTOR) and taken <= readings[best]:
        return
    name, why = "numbering", "Table 2 fits where " + _in_words(*best)
    if readings[best] > np.log(FACTOR):
        name = "counts"
        why = "no numbering of classes and no assignment of splits gives Table 2's shares"
    if name not in acknowledged:
        raise RbcError(_page(where, found, table, why, name))


def _distance(found: pd.DataFrame, table: pd.DataFrame) -> float:
    """The largest log ratio of a share to Table 2's: of classes in each split, and of splits."""
    ours = found.to_numpy(float)
    theirs = table.to_numpy(float)
    with np.errstate(divide="ignore"):
        classes = np.log(ours / ours.sum(axis=0)) - np.log(theirs / theirs.sum(axis=0))
        splits = np.log(ours.sum(axis=0) / ours.sum()) - np.log(theirs.sum(axis=0) / theirs.sum())
    return float(max(np.abs(classes).max(), np.abs(splits).max()))


def _in_words(labels: tuple[str, ...], splits: tuple[str, ...]) -> str:
    """What would have to be called otherwise."""
    pairs = [*zip(labels, LABELS, strict=True), *zip(splits, SPLITS, strict=True)]
    return ", ".join(f"{read} is read as {true}" for read, true in pairs if read != true)


def _page(
    where: object, found: pd.DataFrame, table: pd.DataFrame, why: str, acknowledge: str
) -> str:
    """Both tables, why they do not fit, and what to do."""
    both = pd.concat({"this record": found, "Table 2": table}, axis=1)
    meant = (
        "; or, if they are meant so, put this under data in the profile:\n"
        f"  acknowledged: [{acknowledge}]"
    )
    return (
        f"{where}: its labels or splits are not those of the paper: {why}\n{both.to_string()}\n"
        "Say in layout.yaml what labels and splits are (data/README.md)"
        + (meant if acknowledge else "")
    )
