"""How far chance moves a count. Fill in `spread`, then run this file: python
book/learn/exercises/chance.py
"""

import sys

import numpy as np


def spread(fraction, cells):
    """Standard deviation of the share of tank-treading cells among `cells` cells, where a
    `fraction` tank-treads.
    """
    ...


def check(answer):
    rng = np.random.default_rng(0)
    for fraction, cells in ((0.93, 200), (0.7, 200), (0.7, 1000)):
        movies = rng.binomial(cells, fraction, 100_000) / cells  # simulated
        given = answer.spread(fraction, cells)
        assert given is not None, "spread gives nothing yet"
        assert abs(given / movies.std() - 1) < 0.02, (
            f"{given:.4f}: simulated movies of {cells} cells differ"
        )


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
