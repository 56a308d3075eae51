"""Adjust a count. Work the numbers by hand first; then fill in `adjusted` and run this file."""

import sys

import numpy as np

from rbc import prevalence


def adjusted(called, right, wrong):
    """Fraction of tank-treading cells, in [0, 1], where a share `called` of all cells is called
    tank-treading.

    `right` is that share among cells known to tank-tread, `wrong` among cells known to flip.
    """
    ...


def check(answer):
    assert answer.adjusted(0.85, 0.95, 0.10) is not None, "adjusted gives nothing yet"
    for called, right, wrong in np.random.default_rng(0).uniform(
        [0, 0.8, 0], [1, 1, 0.3], (100, 3)
    ):
        given, known = (
            answer.adjusted(called, right, wrong),
            prevalence.adjusted_count(called, right, wrong),
        )
        words = f"called {called:.2f}, right {right:.2f}, wrong {wrong:.2f}"
        assert 0 <= given <= 1, f"{words}: a fraction of {given:.2f} cannot be"
        assert abs(given - known) < 1e-9, f"{words}: not {given:.3f}"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
