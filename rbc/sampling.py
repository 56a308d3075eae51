"""From sequences of any length to at most K frames: uniform and similarity sampling, and class balance.

Paper: "Sequences preprocessing" and "Artificial class balance".
"""

from __future__ import annotations

import numba
import numpy as np

from rbc import RbcError

WINDOW = 7  #: side of the SSIM window in px (Wang et al. 2004; scikit-image's default)
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  #: SSIM constants for grey levels 0 to 255
STAGE1_CRNN_TARGET = 5000 / 3800  #: class size over minority size in the paper's stage 1, model B


def sample(frames: np.ndarray, sampling: str, k: int) -> np.ndarray:
    """At most k frames of one sequence, in order. (T, 31, 31) uint8 to (min(T, k), 31, 31) uint8."""
    return frames[indices(frames, sampling, k)]


def indices(frames: np.ndarray, sampling: str, k: int) -> np.ndarray:
    """Which frames `sample` keeps: (min(T, k),) int64, ascending. Raises `RbcError` for an unknown sampling."""
    if sampling not in SAMPLERS:
        raise RbcError(f"sampling is {sampling!r}: choose one of {', '.join(SAMPLERS)}")
    return SAMPLERS[sampling](frames, k)


def uniform(frames: np.ndarray, k: int) -> np.ndarray:
    """Evenly spaced frames, first and last among them (paper: "uniformly removing images").

    Open in the text: which frames go. Here the kept ones are spaced by (T - 1) / (k - 1), rounded half to even.
    """
    n = len(frames)
    return np.arange(n) if n <= k else np.round(np.linspace(0, n - 1, k)).astype(np.int64)


def similarity(frames: np.ndarray, k: int) -> np.ndarray:
    """The most dissimilar frames (paper: "Similarity downsampling").

    While more than k are left, the pair of neighbours with the highest SSIM loses its later frame, and the SSIM of the
    two frames that become neighbours is computed. Open in the text: which of the two goes (here the later, so the
    first frame always stays) and ties (here the earliest pair).
    """
    return _drop_similar(np.ascontiguousarray(frames), k)


SAMPLERS = {"uniform": uniform, "similarity": similarity}


@numba.njit(cache=True)
def _drop_similar(frames: np.ndarray, k: int) -> np.ndarray:
    kept = np.arange(len(frames))
    n = len(kept)
    pairs = np.empty(max(n - 1, 0))
    for i in range(n - 1):
        pairs[i] = _ssim(frames[i], frames[i + 1])
    while n > k:
        drop = np.argmax(pairs[: n - 1]) + 1  # the later frame of the most similar pair, the first of equals
        kept[drop : n - 1] = kept[drop + 1 : n].copy()
        if drop < n - 1:
            pairs[drop - 1] = _ssim(frames[kept[drop - 1]], frames[kept[drop]])
            pairs[drop : n - 2] = pairs[drop + 1 : n - 1].copy()
        n -= 1
    return kept[:n]


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two (H, W) uint8 images, H and W at least 7.

    Equal to `skimage.metrics.structural_similarity(a, b, data_range=255)` at its defaults: 7 x 7 windows inside the
    image, sample covariance (Wang et al., IEEE Trans. Image Process. 13:600, 2004).
    """
    return float(_ssim(a, b))


@numba.njit(cache=True)
def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    h, w = a.shape
    n = WINDOW * WINDOW
    columns = np.zeros((5, w), np.int64)  # sums over WINDOW rows of a, b, aa, bb, ab: exact integers
    total = 0.0
    for row in range(h):
        for x in range(w):
            _add(columns, x, np.int64(a[row, x]), np.int64(b[row, x]), 1)
            if row >= WINDOW:
                _add(columns, x, np.int64(a[row - WINDOW, x]), np.int64(b[row - WINDOW, x]), -1)
        if row >= WINDOW - 1:
            total += _row_of_windows(columns, n)
    return total / ((h - WINDOW + 1) * (w - WINDOW + 1))


@numba.njit(cache=True)
def _add(columns: np.ndarray, x: int, p: int, q: int, sign: int) -> None:
    columns[0, x] += sign * p
    columns[1, x] += sign * q
    columns[2, x] += sign * p * p
    columns[3, x] += sign * q * q
    columns[4, x] += sign * p * q


@numba.njit(cache=True)
def _row_of_windows(columns: np.ndarray, n: int) -> float:
    sums = columns[:, :WINDOW].sum(axis=1)
    total = 0.0
    for x in range(columns.shape[1] - WINDOW + 1):
        if x:
            sums += columns[:, x + WINDOW - 1] - columns[:, x - 1]
        mean_a, mean_b = sums[0] / n, sums[1] / n
        var_a = (sums[2] - sums[0] * sums[0] / n) / (n - 1)
        var_b = (sums[3] - sums[1] * sums[1] / n) / (n - 1)
        covariance = (sums[4] - sums[0] * sums[1] / n) / (n - 1)
        total += ((2 * mean_a * mean_b + C1) * (2 * covariance + C2)) / (
            (mean_a * mean_a + mean_b * mean_b + C1) * (var_a + var_b + C2)
        )
    return total


def balance(positive: np.ndarray, model: str, stage: int, seed: int) -> np.ndarray:
    """Training rows with both classes equally often (paper: "Artificial class balance"); training split only.

    Model A (cnn): the majority is drawn down to the minority. Model B (crnn): the minority is copied up to the
    majority; in stage 1 both meet at 5,000 / 3,800 of the minority, as the paper's 5,000 from 3,800 and 70,000.
    Departure: where the majority is smaller than that target, it is the target (small data sets).

    Parameters
    ----------
    positive : (N,) bool, the class of each training row

    Returns
    -------
    (M,) int64 row numbers, sorted; copies stand beside each other
    """
    groups = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    small, large = sorted(len(g) for g in groups)
    if small == 0:
        raise RbcError("the training split holds only one class: nothing to learn; check the profile's folds")
    up = min(round(small * STAGE1_CRNN_TARGET), large) if stage == 1 else large
    target = small if model == "cnn" else up
    rng = np.random.default_rng([seed, stage, target])
    return np.sort(np.concatenate([_draw(g, target, rng) for g in groups]))


def _draw(group: np.ndarray, target: int, rng: np.random.Generator) -> np.ndarray:
    """`target` of a group: without copies where it is large enough, else every row, copied as evenly as possible."""
    copies, rest = divmod(target, len(group))
    return np.concatenate([np.repeat(group, copies), rng.choice(group, rest, replace=False)])
