"""Whether a record's labels and splits are the paper's: Table 2 decides.

The record's files may number the classes otherwise than the authors' code, and folders may be
swapped. Table 2 prints how many sequences of each class are in each split. The record must have
these counts, or, where it is a part, such shares.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd

from rbc import RbcError
from rbc.paper import LABELS, SPLITS, reported

#: A part of the record fits where every share is within this factor of Table 2's. Where several
#: readings do, the nearest must be the one taken.
FACTOR = 2.0


def check(rows: pd.DataFrame, where: object) -> None:
    """Compare the counts of a record with Table 2 under every numbering of classes and splits.

    Parameters
    ----------
    rows : one row a sequence, with the columns label and split
    where : the folder, for the message

    Raises
    ------
    RbcError
        with both tables, where no reading fits, or another fits than the one taken
    """
    found = pd.crosstab(rows["label"], rows["split"])
    found = found.reindex(LABELS, columns=SPLITS, fill_value=0)
    table = reported("table2").set_index("label").loc[list(LABELS), list(SPLITS)]
    if (found.to_numpy() == table.to_numpy()).all():
        return
    if missing := [split for split in SPLITS if not found[split].any()]:
        raise RbcError(_page(where, found, table, f"no sequence is in the split {missing[0]}"))
    readings = {
        (labels, splits): _distance(found.loc[list(labels), list(splits)], table)
        for labels in permutations(LABELS)
        for splits in permutations(SPLITS)
    }
    best = min(readings, key=readings.get)
    taken = readings[tuple(LABELS), tuple(SPLITS)]
    if taken <= np.log(FACTOR) and taken <= readings[best]:
        return
    if readings[best] > np.log(FACTOR):
        why = "no numbering of classes and no assignment of splits gives Table 2's shares"
    else:
        why = "Table 2 fits where " + _in_words(*best)
    raise RbcError(_page(where, found, table, why))


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


def _page(where: object, found: pd.DataFrame, table: pd.DataFrame, why: str) -> str:
    both = pd.concat({"this record": found, "Table 2": table}, axis=1)
    return (
        f"{where}: its labels or splits are not those of the paper: {why}\n{both.to_string()}\n"
        "Say in layout.yaml what labels and splits are (data/README.md); or, if they are meant so,"
        " put this under data in the profile:\n  acknowledged: [counts]"
    )
