"""Tell cells in focus from cells far off it. Fill in `sharpness`, then run this file."""

import sys

import numpy as np
from scipy import ndimage  # noqa: F401  gaussian_filter and laplace may help
from sklearn.metrics import roc_auc_score

from rbc import simulate


def sharpness(frames):
    """One number for a sequence (12, 31, 31) of grey levels, the larger the better it is in
    focus.
    """
    ...


def film(defocus, rng):
    """A simulated tank-treading cell, so many um above the focus, in a movie with its own light."""
    shape = simulate.tank_treading(12, (6, 5, 2.4), phase=rng.random())
    optics = simulate.Optics(gain=118 * rng.lognormal(0, 0.3))
    cell = simulate.render(
        shape, rng.normal(0, 0.4, (12, 2)), np.full(12, defocus), optics, (31, 31)
    )
    return rng.uniform(77, 149) + cell + rng.normal(0, 2.3, cell.shape)


def check(answer):
    rng = np.random.default_rng(0)
    near = [answer.sharpness(film(rng.uniform(2.5, 7), rng)) for _ in range(60)]
    far = [answer.sharpness(film(rng.uniform(18, 45), rng)) for _ in range(60)]
    assert None not in near, "sharpness gives nothing yet"
    auc = roc_auc_score([1] * 60 + [0] * 60, near + far)
    assert auc > 0.97, (
        f"a cell in focus beats one out of focus in {100 * auc:.0f} of 100 pairs; 97 are asked for"
    )


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
