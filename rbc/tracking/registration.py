"""Where a cell is, to a fraction of a pixel: neighbouring crops are registered, then one path fits
all evidence.

Paper: "Trajectories extraction" registers neighbouring frames by cross-correlation. Lengths are in
px, times in frames.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.linalg import solveh_banded

from rbc.paper import FRAME_PX
from rbc.tracking import flow

SLACK = 4  #: px that a crop is cut larger on each side until the path is final
WIDE = FRAME_PX + 2 * SLACK
REACH = 2  #: px searched around the predicted shift when two crops are registered


@njit(cache=True, nogil=True)
def wide_crop(picture: np.ndarray, cx: int, cy: int) -> np.ndarray:
    """(39, 39) px around a pixel, the edge repeated outside the picture.

    Parameters
    ----------
    picture : (H, W)
    cx, cy : the pixel
    """
    out = np.empty((WIDE, WIDE), picture.dtype)
    for i in range(WIDE):
        v = min(max(cy + i - WIDE // 2, 0), picture.shape[0] - 1)
        for j in range(WIDE):
            out[i, j] = picture[v, min(max(cx + j - WIDE // 2, 0), picture.shape[1] - 1)]
    return out


@njit(cache=True, nogil=True)
def register(crops: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Shift of each crop against the one before, by cross-correlation.

    Parameters
    ----------
    crops : (n, 39, 39) float32
    shift : (n - 1, 2) float64, x and y px that are expected; the search goes 2 px around them

    Returns
    -------
    (n - 1, 2) float64 x, y px, refined by a parabola along x and along y; nan where the peak lies
    on the edge of the search
    """
    out = np.full((len(crops) - 1, 2), np.nan)
    side = 2 * REACH + 1
    for k in range(len(crops) - 1):
        sx, sy = int(np.round(shift[k, 0])), int(np.round(shift[k, 1]))
        # The middle of the one crop must stay inside the other at every shift that is tried; the
        # 6 px leave out what may be a neighbour.
        margin = REACH + max(abs(sx), abs(sy)) + 6
        if margin > WIDE // 2 - 6:
            continue
        score = np.empty((side, side))
        for a in range(side):
            for b in range(side):
                score[a, b] = _correlation(
                    crops[k], crops[k + 1], sy + a - REACH, sx + b - REACH, margin
                )
        # A peak on the edge of the search may belong to a shift beyond it: then nothing is said.
        best = int(np.argmax(score))
        a, b = best // side, best % side
        if 0 < a < side - 1 and 0 < b < side - 1:
            out[k, 0] = sx + b - REACH + _parabola(score[a, b - 1], score[a, b], score[a, b + 1])
            out[k, 1] = sy + a - REACH + _parabola(score[a - 1, b], score[a, b], score[a + 1, b])
    return out


@njit(cache=True, nogil=True)
def _correlation(one: np.ndarray, two: np.ndarray, dy: int, dx: int, margin: int) -> float:
    """Correlation coefficient of the middle of `one` with `two` moved by (dy, dx)."""
    # All sums in one pass, each pixel read once.
    n, s1, s2, s11, s22, s12 = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for v in range(margin, WIDE - margin):
        for u in range(margin, WIDE - margin):
            p, q = one[v, u], two[v + dy, u + dx]
            n, s1, s2, s11, s22, s12 = n + 1, s1 + p, s2 + q, s11 + p * p, s22 + q * q, s12 + p * q
    spread = (s11 - s1 * s1 / n) * (s22 - s2 * s2 / n)
    return (s12 - s1 * s2 / n) / np.sqrt(spread) if spread > 0 else 0.0


@njit(cache=True, nogil=True)
def _parabola(left: float, peak: float, right: float) -> float:
    # The top of the parabola through three points; no correction where they make no peak.
    curve = left - 2 * peak + right
    return 0.5 * (left - right) / curve if curve < 0 else 0.0


#: standard deviations of what `smooth_path` weighs, px
CENTRE, CENTRE_NEAR = 0.25, 1.0  #: of a centre, alone and beside another cell
STEP, STEP_NEAR = 0.08, 1.0  #: of a registered step
CHANGE = 0.02  #: of a change of a cell's speed from frame to frame
#: relative error of a common step where it changes, by which a path may leave the steady speed
CLOCK = 0.01
OUTLIER = 3.0  #: evidence so many px off the path counts half
REWEIGHTED = 3  #: solutions, each weighing outliers by the one before


def smooth_path(
    seen: np.ndarray, steps: np.ndarray, near: np.ndarray, clock: np.ndarray | None = None
) -> np.ndarray:
    """Most likely path of a cell at nearly steady speed: (n, 2) float64 x, y px for every frame.

    Least squares over three kinds of evidence: the centres, the registered steps, and that the
    speed hardly changes from frame to frame. Beside another cell the first two count little.
    Outliers are weighed down twice.

    Parameters
    ----------
    seen : (n, 2) centres, px; nan where unseen
    steps : (n - 1, 2) registered steps, px; nan where unknown
    near : (n,) bool, beside another cell
    clock : (n,) common clock of all cells, by which the speed is steady; default the frames'
    """
    # A weight is one over a variance; what was not seen weighs nothing.
    weight = np.where(near, CENTRE_NEAR**-2, CENTRE**-2) * np.isfinite(seen[:, 0])
    step_weight = np.where(near[1:] | near[:-1], STEP_NEAR**-2, STEP**-2) * np.isfinite(steps[:, 0])
    # The common clock runs slow where the pump does: on it a cell's speed is steady.
    elapsed = np.ones(len(seen) - 1) if clock is None else np.diff(clock)
    first, last = np.flatnonzero(np.isfinite(seen[:, 0]))[[0, -1]]
    speed = np.hypot(*(seen[last] - seen[first])) / max(abs(elapsed[first:last].sum()), 1.0)
    seen, steps = np.nan_to_num(seen), np.nan_to_num(steps)
    w, s = weight, step_weight
    for _ in range(REWEIGHTED):
        # Solve, then let what lies far off the path weigh less, and solve again.
        path = _solve(seen, steps, w, s, elapsed, speed)
        w = weight / (1 + weight * ((path - seen) ** 2).sum(axis=1) / OUTLIER**2)
        s = step_weight / (
            1 + step_weight * ((np.diff(path, axis=0) - steps) ** 2).sum(axis=1) / OUTLIER**2
        )
    return path


def _solve(
    seen: np.ndarray,
    steps: np.ndarray,
    w: np.ndarray,
    s: np.ndarray,
    elapsed: np.ndarray,
    speed: float,
) -> np.ndarray:
    """The banded normal equations of `smooth_path` with given weights.

    elapsed: (n - 1,) time between frames by the common clock; speed: px in a time of 1.
    """
    n = len(seen)
    band, right = np.zeros((3, n)), w[:, None] * seen
    band[2] = w
    # Registered steps: x[k + 1] - x[k].
    band[2, 1:] += s
    band[2, :-1] += s
    band[1, 1:] -= s
    right[1:] += s[:, None] * steps
    right[:-1] -= s[:, None] * steps
    # Steady speed: (x[k + 1] - x[k]) / late - (x[k] - x[k - 1]) / early is 0.
    # Divided by a time near 0, where the flow stands still, the tiniest error would rule.
    safe = np.where(elapsed < 0, -1, 1) * np.maximum(abs(elapsed), flow.STOPPED)
    early, late = safe[:-1], safe[1:]
    # Where the common step changes, its own error is in the speed too: less stiff there.
    changing = abs(late - early) > 2 * CLOCK
    stiff = 1 / (CHANGE**2 + changing * (CLOCK * speed) ** 2)
    before, here, after = 1 / early, -1 / early - 1 / late, 1 / late
    # The three coefficients of each equation, times each other, into the band: the diagonal
    # first, then both lines beside it.
    for offset, value in enumerate((before, here, after)):
        band[2, offset : n - 2 + offset] += stiff * value**2
    band[1, 1 : n - 1] += stiff * before * here
    band[1, 2:] += stiff * here * after
    band[0, 2:] += stiff * before * after
    return solveh_banded(band, right)
