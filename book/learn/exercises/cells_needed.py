"""How many cells show a change? Fill in `cells_needed`, then run this file."""

import sys

from rbc import prevalence


def cells_needed(change, fraction):
    """Cells in each of two movies so that a `change` of the fraction is the smallest that they show (95 %).

    Every cell is classified rightly; cells are independent. Round up.
    """
    ...


def check(answer):
    for change, fraction in ((0.05, 0.93), (0.10, 0.70), (0.02, 0.93)):
        cells = answer.cells_needed(change, fraction)
        assert cells is not None, "cells_needed gives nothing yet"
        shown, before = (prevalence.smallest_change(fraction, n) for n in (cells, cells - 1))
        assert shown <= change, f"{cells} cells show no less than {shown:.4f}; {change} was asked for"
        assert before > change, f"fewer than {cells} cells are enough for {change}"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
