"""How far chance moves a count. Fill in `spread`, then run this file: python
book/learn/exercises/chance.py
"""

import sys
from math import comb, sqrt


def spread(fraction, cells):
    """Standard deviation of the share of tank-treading cells among `cells` cells, where a
    `fraction` tank-treads.
    """
    ...


def added_up(fraction, cells):
    """The same, from all counts that a movie can show, each with its chance."""
    total = 0.0
    for n in range(cells + 1):
        chance = comb(cells, n) * fraction**n * (1 - fraction) ** (cells - n)
        total += chance * (n / cells - fraction) ** 2
    return sqrt(total)


def check(answer):
    for fraction, cells in ((0.93, 200), (0.7, 200), (0.7, 1000)):
        given, known = answer.spread(fraction, cells), added_up(fraction, cells)
        assert given is not None, "spread gives nothing yet"
        words = f"{fraction} of {cells} cells tank-tread"
        assert abs(given / known - 1) < 1e-6, f"{words}: movies do not spread by {given:.4f}"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
