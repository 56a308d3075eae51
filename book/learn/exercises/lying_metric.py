"""A metric that lies, and one that does not. Fill in both functions, then run this file."""

import sys
from random import Random


def liar(positives, negatives):
    """Counts (tp, fp, fn, tn) of a stage 1 that never looks at a cell and is still right for more
    than 96 in 100.
    """
    ...


def honest(tp, fp, fn, tn):
    """A score in [0, 1]: 1 for a classifier that is always right, at most one half for any that
    never looks.
    """
    ...


def check(answer):
    counts = answer.liar(1839, 52815)
    assert counts is not None, "liar gives nothing yet"
    tp, fp, fn, tn = counts
    assert (tp + fn, fp + tn) == (1839, 52815), "the counts are of other cells"
    assert (tp + tn) / 54654 > 0.96, f"accuracy is only {(tp + tn) / 54654:.3f}"
    assert abs(tp / 1839 - fp / 52815) < 1e-3, (
        "this classifier looks: it calls the two classes differently"
    )
    assert answer.honest(1839, 0, 0, 52815) == 1, "a classifier without error deserves a 1"
    rng = Random(0)
    for _ in range(200):
        positives, called = rng.random(), rng.random()  # shares, at random
        tp, fp = positives * called, (1 - positives) * called
        score = answer.honest(tp, fp, positives - tp, 1 - positives - fp)
        assert score <= 0.5 + 1e-9, (
            f"calling {called:.2f} of all cells positive, unseen, scores {score:.2f}"
        )


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
