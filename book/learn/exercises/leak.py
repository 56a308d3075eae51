"""Find the leak in a broken split. Fill in `leaks`, then run this file."""

import sys
from random import Random

#: Simulated: acquisitions of each split, with their patients.
PLAN = {
    "train": {"A1": "SA", "A2": "SB", "A3": "SC"},
    "validation": {"A4": "SA", "A5": "SD"},
    "test": {"A6": "SB", "A7": "SE"},
}


def sequences(plan):
    """Twenty sequences of each acquisition: a list of dictionaries with name, acquisition, patient
    and split.
    """
    return [
        {"name": f"{film}-{n}", "acquisition": film, "patient": patient, "split": split}
        for split, films in plan.items()
        for film, patient in films.items()
        for n in range(20)
    ]


def broken_split(table, rng):
    """Shuffle all sequences; give six tenths to train, and of the rest half to validation and half
    to test.
    """
    shuffled = rng.sample(table, len(table))
    deal = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    return [{**row, "split": deal[n % 10]} for n, row in enumerate(shuffled)]


def leaks(table, column):
    """Values of a column ("acquisition" or "patient") that occur in more than one split: a set.

    `table` is a list of dictionaries, as of `sequences`.
    """
    ...


def check(answer):
    fair = sequences(PLAN)
    assert answer.leaks(fair, "acquisition") is not None, "leaks gives nothing yet"
    assert answer.leaks(fair, "acquisition") == set(), (
        "whole acquisitions were dealt out here: nothing leaks"
    )
    assert answer.leaks(fair, "patient") == {"SA", "SB"}, (
        "two simulated patients are in training and elsewhere"
    )
    stray = [{**fair[0], "split": "test"}, *fair[1:]]
    assert answer.leaks(stray, "acquisition") == {"A1"}, "one stray sequence is a leak too"
    shuffled = broken_split(fair, Random(0))
    missed = {row["acquisition"] for row in fair} - answer.leaks(shuffled, "acquisition")
    assert not missed, f"{min(missed)} is in several splits after shuffling"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
