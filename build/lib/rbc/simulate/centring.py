"""Where the cell is in each frame of a sequence, when the crop was pulled away from it by a passing
neighbour.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.ndimage import gaussian_filter

from rbc.paper import FRAME_PX

REACH = 12  #: px by which a crop may be off its cell
SIDE = 17  #: px of the cell's picture that is looked for
NEAREST = 9  #: frames that make this picture
ALIKE = 0.6  #: correlation from which on the cell counts as found
EDGE = (FRAME_PX - SIDE) // 2


def off_centre(strip: np.ndarray) -> np.ndarray:
    """Whole pixels by which the cell is off the middle of each frame of a sequence: (T, 31, 31) to
    (T, 2) int, x and y.

    The picture of the cell, the median of the nine nearest frames in which it was found, is looked
    for in each frame by its correlation, as far as it is in the frame and at most 12 px away. The
    search starts where the sequence is most like its own median and goes over all frames twice.
    Grey levels are band-passed, since a neighbour's blur would pull the match; a place 2 px away or
    more must correlate better by 0.3, so that a cell that turns over stays put.
    """
    grey = strip.astype(np.float32)
    fine = gaussian_filter(grey, (0, 0.7, 0.7)) - gaussian_filter(grey, (0, 2, 2))
    out = np.zeros((len(strip), 2), int)
    found, start = _begin(fine)
    for t in (*range(start, len(fine)), *range(start - 1, -1, -1), *range(len(fine))):
        x, y, alike = _find(fine[t], _picture(found, t))
        whole = alike >= ALIKE and max(abs(x), abs(y)) <= EDGE
        found[t] = _part(fine[t], x, y) if whole else np.nan
        out[t] = x, y
    return out


def _part(frame: np.ndarray, x: int, y: int) -> np.ndarray:
    """The picture of a cell that is (x, y) px off the middle."""
    return frame[..., EDGE + y : EDGE + y + SIDE, EDGE + x : EDGE + x + SIDE]


def _begin(fine: np.ndarray) -> tuple[np.ndarray, int]:
    """Pictures, known only where the sequence is most like its median, and the frame to start
    from.
    """
    middle = _part(fine, 0, 0)
    usual = np.median(middle, axis=0).ravel()
    alike = [np.corrcoef(m.ravel(), usual)[0, 1] for m in middle]
    n = min(2 * NEAREST, len(fine))
    first = int(np.convolve(alike, np.ones(n), "valid").argmax())
    found = np.full(middle.shape, np.nan, np.float32)
    found[first : first + n] = middle[first : first + n]
    return found, first


def _picture(found: np.ndarray, t: int) -> np.ndarray:
    """Median picture of the nearest frames with a known one, other than `t` where there is
    another.
    """
    known = np.flatnonzero(np.isfinite(found[:, 0, 0]))
    others = known[known != t] if len(known) > 1 else known
    nearest = others[np.argsort(abs(others - t), kind="stable")[:NEAREST]]
    return np.median(found[nearest], axis=0)


@njit(cache=True)
def _find(frame: np.ndarray, picture: np.ndarray) -> tuple[int, int, float]:
    """Place (x, y) off the middle where a picture fits best, and its correlation there."""
    best, at_x, at_y, alike = -np.inf, 0, 0, 0.0
    for y in range(-REACH, REACH + 1):
        for x in range(-REACH, REACH + 1):
            fit = _correlation(frame, picture, EDGE + x, EDGE + y)
            score = fit - 0.15 * min(np.hypot(x, y), 2.0)
            if score > best:
                best, at_x, at_y, alike = score, x, y, fit
    return at_x, at_y, alike


@njit(cache=True)
def _correlation(frame: np.ndarray, picture: np.ndarray, left: int, top: int) -> float:
    """Correlation of a picture laid on a frame, over the part that is on it; -1 where that is less
    than half.
    """
    n, s1, s2, s11, s22, s12 = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for v in range(max(-top, 0), min(SIDE, FRAME_PX - top)):
        for u in range(max(-left, 0), min(SIDE, FRAME_PX - left)):
            p, q = picture[v, u], frame[top + v, left + u]
            n, s1, s2, s11, s22, s12 = n + 1, s1 + p, s2 + q, s11 + p * p, s22 + q * q, s12 + p * q
    spread = (s11 - s1 * s1 / max(n, 1)) * (s22 - s2 * s2 / max(n, 1))
    return (s12 - s1 * s2 / n) / np.sqrt(spread) if 2 * n > SIDE**2 and spread > 0 else -1.0
