"""How many cells show a change? Fill in `cells_needed`, then run this file."""

import sys
from math import sqrt
from statistics import NormalDist


def cells_needed(change, fraction):
    """Cells in each of two movies so that a fall by `change` from `fraction` shows in four of five
    such pairs.

    It shows where the movies differ by more than 1.96 standard deviations of "nothing has changed".
    Every cell is classified rightly; cells are independent. Round up.
    """
    ...


def share_shown(change, fraction, cells):
    """In which share of such pairs the fall shows, with the normal approximation."""
    after = fraction - change
    middle = fraction - change / 2
    line = 1.96 * sqrt(2 * middle * (1 - middle) / cells)
    spread = sqrt((fraction * (1 - fraction) + after * (1 - after)) / cells)
    return 1 - NormalDist(change, spread).cdf(line)


def check(answer):
    for change, fraction in ((0.05, 0.93), (0.10, 0.70), (0.02, 0.93)):
        cells = answer.cells_needed(change, fraction)
        assert cells is not None, "cells_needed gives nothing yet"
        shown, before = (share_shown(change, fraction, n) for n in (cells, cells - 1))
        assert shown >= 0.8, f"{cells} cells show a fall of {change} in a share of {shown:.2f} only"
        assert before < 0.8, f"fewer than {cells} cells are enough for {change}"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
