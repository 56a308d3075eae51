"""Find the leak in a broken split. Fill in `leaks`, then run this file."""

import sys

import numpy as np

from rbc import simulate


def broken_split(table, rng):
    """Shuffle all sequences; give six tenths to train, and of the rest half to validation and half
    to test.
    """
    split = np.array(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)[np.arange(len(table)) % 10]
    return table.assign(split=rng.permutation(split))


def leaks(table, column):
    """Values of a column ("acquisition" or "patient") that occur in more than one split: a set.

    `table` has one row a sequence, with name, label, acquisition, patient and split.
    """
    ...


def check(answer):
    part = {"tank-treading": 60, "flipping": 12, "unreliable": 60}
    fair = simulate.plan({"train": part, "validation": part, "test": part}, seed=0)
    assert answer.leaks(fair, "acquisition") is not None, "leaks gives nothing yet"
    assert answer.leaks(fair, "acquisition") == set(), (
        "whole acquisitions were dealt out here: nothing leaks"
    )
    assert answer.leaks(fair, "patient") == {"SA", "SB"}, (
        "two simulated patients are in training and elsewhere"
    )
    moved = fair.copy()
    moved.loc[0, "split"] = "test"
    assert answer.leaks(moved, "acquisition") == {fair.loc[0, "acquisition"]}, (
        "one stray sequence is a leak too"
    )
    shuffled = broken_split(fair, np.random.default_rng(0))
    missed = set(shuffled["acquisition"]) - answer.leaks(shuffled, "acquisition")
    assert not missed, f"{min(missed)} is in several splits after shuffling"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
