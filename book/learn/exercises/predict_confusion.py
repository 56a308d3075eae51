"""Predict a confusion matrix before you see it. Fill in four numbers, then run this file."""

import sys

# The paper's stage 1 on its test set: 1,839 reliable sequences (positive) and 52,815 unreliable
# ones (negative); recall 92 %, specificity 97 %. How many true and false positives and negatives
# are there?
PREDICTED = {"tp": None, "fp": None, "fn": None, "tn": None}


def check(answer):
    positives, negatives = 1839, 52815
    tp, tn = positives * 92 / 100, negatives * 97 / 100
    known = {"tp": tp, "fp": negatives - tn, "fn": positives - tp, "tn": tn}
    assert None not in answer.PREDICTED.values(), "there are numbers to fill in"
    total = sum(answer.PREDICTED.values())
    assert total == positives + negatives, (
        f"your four numbers are {total} sequences; there are {positives + negatives}"
    )
    for name, count in answer.PREDICTED.items():
        rounding = 0.005 * (positives if name in ("tp", "fn") else negatives)
        assert abs(count - known[name]) <= rounding, f"{name} does not fit the printed rates"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
