"""Adjust a count. Work the numbers by hand first; then fill in `adjusted` and run this file."""

import sys
from random import Random


def adjusted(called, right, wrong):
    """Fraction of tank-treading cells, in [0, 1], where a share `called` of all cells is called
    tank-treading.

    `right` is that share among cells known to tank-tread, `wrong` among cells known to flip.
    """
    ...


def check(answer):
    assert answer.adjusted(0.85, 0.95, 0.10) is not None, "adjusted gives nothing yet"
    rng = Random(0)
    for _ in range(100):
        known, right, wrong = rng.random(), rng.uniform(0.8, 1), rng.uniform(0, 0.3)
        # What a classifier of these rates calls tank-treading, in a drop of blood that is known.
        called = known * right + (1 - known) * wrong
        given = answer.adjusted(called, right, wrong)
        words = f"called {called:.2f}, right {right:.2f}, wrong {wrong:.2f}"
        assert abs(given - known) < 1e-9, f"{words}: not {given:.3f}"
    # By chance more, or fewer, may be called so than any fraction explains.
    for called, most in ((1.0, 1), (0.0, 0)):
        given = answer.adjusted(called, 0.9, 0.1)
        words = f"called {called:.2f}, right 0.90, wrong 0.10"
        assert 0 <= given <= 1, f"{words}: a fraction of {given:.2f} cannot be"
        assert given == most, f"{words}: {given:.2f} is not the nearest fraction that can be"


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
