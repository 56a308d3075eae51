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


def check(answer):
    for fraction, cells in ((0.93, 200), (0.7, 200), (0.7, 1000)):
        # All counts that a movie can show, each with its chance.
        known = sqrt(
            sum(
                comb(cells, n)
                * fraction**n
                * (1 - fraction) ** (cells - n)
                * (n / cells - fraction) ** 2
                for n in range(cells + 1)
            )
        )
        given = answer.spread(fraction, cells)
        assert given is not None, "spread gives nothing yet"
        assert abs(given / known - 1) < 1e-6, (
            f"{given:.4f}: movies of {cells} cells spread otherwise where {fraction} tank-tread"
        )


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
