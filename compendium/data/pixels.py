"""What pixels and lengths of a record say against using it.

Each finding stops the command until the profile acknowledges it by name.
"""

from __future__ import annotations

import numpy as np

from rbc import RbcError
from rbc.bench import analyze
from rbc.paper import MIN_FRAMES
from rbc.sequences import Sequences

#: Names under which a profile acknowledges what `check` finds.
NAMES = ("padding", "inverted", "short")
BLOCK = 50_000  #: frames looked at at once: all of a record do not fit in memory


def check(sequences: Sequences, where: object, acknowledged: list[str]) -> None:
    """Compare a record's pixels and lengths with what the paper describes.

    Parameters
    ----------
    sequences : as read
    where : the folder, for the message
    acknowledged : names of `NAMES` that are known and meant so

    Raises
    ------
    RbcError
        one line, where sequences hold frames of one grey level (padding), light and dark may be
        swapped (inverted), or all sequences are too short to have been kept (short)
    """
    found = {"padding": _padding, "inverted": _inverted, "short": _short}
    for name, finding in found.items():
        if name not in acknowledged and (words := finding(sequences)):
            raise RbcError(
                f"{where}: {words}; mend the record or, if it is meant so, put this under data in"
                f" the profile: acknowledged: [{', '.join([*acknowledged, name])}]"
            )


def _padding(sequences: Sequences) -> str:
    """Sequences with frames of one grey level, as strips are padded to one length."""
    empty = np.zeros(len(sequences.frames), dtype=bool)
    for start in range(0, len(empty), BLOCK):
        block = np.asarray(sequences.frames[start : start + BLOCK])
        empty[start : start + BLOCK] = block.max(axis=(1, 2)) == block.min(axis=(1, 2))
    if not empty.any():
        return ""
    starts = sequences.index["start"].to_numpy()
    ends = starts + sequences.index["length"].to_numpy()
    sums = np.concatenate([[0], np.cumsum(empty)])
    padded = sequences.index["name"][sums[ends] > sums[starts]]
    return (
        f"{len(padded)} of {len(sequences)} sequences hold frames of one grey level, the first is"
        f" {padded.iat[0]!r}: are their strips padded to one length?"
    )


def _inverted(sequences: Sequences) -> str:
    """Whether the cells of most acquisitions are brighter than their surroundings."""
    bright = analyze.looks(sequences).groupby("acquisition")["bright"].median()
    swapped = bright > analyze.BRIGHT
    if swapped.mean() <= 0.5:
        return ""
    return (
        f"in {int(swapped.sum())} of {len(swapped)} acquisitions cells are brighter than their"
        " surroundings, but red cells absorb light: are the grey levels inverted?"
    )


def _short(sequences: Sequences) -> str:
    """Whether all sequences are shorter than those that the paper kept."""
    lengths = sequences.index["length"]
    if not len(lengths) or lengths.max() >= MIN_FRAMES:
        return ""
    return (
        f"all {len(lengths)} sequences have fewer than {MIN_FRAMES} frames, which the paper"
        " discarded"
    )
