"""From sequences of any length to at most K frames: four samplings by name, and class balance.

Paper: "Sequences preprocessing" and "Artificial class balance".
"""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numba
import numpy as np
from tqdm import tqdm

from rbc import RbcError
from rbc.sequences import Sequences

WINDOW = 7  #: side of the SSIM window in px (Wang et al. 2004; scikit-image's default)
N_PIXELS = WINDOW * WINDOW
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  #: SSIM constants for grey levels 0 to 255
CHUNK = 256  #: sequences that a thread ranks at a time
#: In the paper's stage 1, model B: the size of both classes after balancing, and the smaller one's
#: before, which the text rounds to hundreds (Table 2 has 3,779).
STAGE1_CRNN, STAGE1_CRNN_FROM = 5000, 3800


@dataclass(frozen=True)
class Longer:
    """N sequences of more than k frames each, and how they are to be shortened.

    frames (n, 31, 31) uint8, the block that holds them; starts and lengths (N,) int64, their places
    in it; ranks (n,) uint16 as of `ranks`, or None where they are not known; k, frames to keep;
    seed of the run.
    """

    frames: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    ranks: np.ndarray | None
    k: int
    seed: int


def sample(frames: np.ndarray, sampling: str, k: int, seed: int = 0) -> np.ndarray:
    """At most k frames of one sequence, in order.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    sampling : a name of `SAMPLERS`
    k : frames to keep
    seed : of the run; only ``uniform-random`` draws

    Returns
    -------
    (min(T, k), 31, 31) uint8

    Raises
    ------
    RbcError
        for an unknown sampling
    """
    return frames[indices(frames, sampling, k, seed)]


def indices(frames: np.ndarray, sampling: str, k: int, seed: int = 0) -> np.ndarray:
    """Which frames `sample` keeps.

    Parameters
    ----------
    frames, sampling, k, seed : as of `sample`

    Returns
    -------
    (min(T, k),) int64, ascending

    Raises
    ------
    RbcError
        for an unknown sampling
    """
    length = np.array([len(frames)])
    return _kept(
        Longer(np.ascontiguousarray(frames), np.array([0]), length, None, k, seed), sampling
    )[0, : len(frames)]


def sample_all(
    sequences: Sequences, sampling: str, k: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """`sample` for all sequences at once.

    Similarity takes the ranks that came with the sequences; without them they are computed here, on
    one thread.

    Parameters
    ----------
    sequences : N sequences
    sampling, k, seed : as of `sample`

    Returns
    -------
    frames : (N, k, 31, 31) uint8, zeros after a sequence's last kept frame
    lengths : (N,) int64, frames kept of each

    Raises
    ------
    RbcError
        for an unknown sampling, and for ranks that were not made from these sequences
    """
    starts, lengths = (sequences.index[column].to_numpy(np.int64) for column in ("start", "length"))
    kept = _kept(Longer(sequences.frames, starts, lengths, sequences.similarity, k, seed), sampling)
    frames = np.zeros((*kept.shape, *sequences.frames.shape[1:]), np.uint8)
    lengths = np.minimum(lengths, k)
    _copy(sequences.frames, starts[:, None] + kept, lengths, frames)
    return frames, lengths


def _kept(given: Longer, sampling: str) -> np.ndarray:
    """Kept frames of each sequence, short or not: (N, k) int64, of which the first min(T, k)
    count.
    """
    if sampling not in SAMPLERS:
        raise RbcError(f"sampling is {sampling!r}: choose one of {', '.join(SAMPLERS)}")
    long = given.lengths > given.k
    # Short sequences keep all their frames; only the others are sampled.
    kept = np.tile(np.arange(given.k), (len(long), 1))
    kept[long] = SAMPLERS[sampling](
        replace(given, starts=given.starts[long], lengths=given.lengths[long])
    )
    return kept


@numba.njit(cache=True, nogil=True)
def _copy(block: np.ndarray, rows: np.ndarray, lengths: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(lengths)):
        for j in range(lengths[i]):
            out[i, j] = block[rows[i, j]]


def uniform(long: Longer) -> np.ndarray:
    """Evenly spaced frames, first and last among them (paper: "uniformly removing images").

    (N, k) int64.

    Open in the text: which frames go. Here the kept ones are spaced by (T - 1) / (k - 1), rounded
    half to even.
    """
    return np.round(np.linspace(0, long.lengths - 1, long.k, axis=1)).astype(np.int64)


def uniform_random(long: Longer) -> np.ndarray:
    """A random subset without replacement, in order: what "uniform" is in the authors' released
    code. (N, k) int64.

    The draw depends on the run's seed and the sequence's own frames, not on its place among the
    others.
    """
    kept = np.empty((len(long.lengths), long.k), np.int64)
    for i, (start, length) in enumerate(zip(long.starts, long.lengths, strict=True)):
        # So that a sequence is sampled alike in any data set, whatever stands before it.
        own = zlib.crc32(np.ascontiguousarray(long.frames[start : start + length]).data)
        kept[i] = np.random.default_rng([long.seed, own]).choice(length, long.k, replace=False)
    return np.sort(kept, axis=1)


def similarity(long: Longer) -> np.ndarray:
    """The most dissimilar frames (paper: "Similarity downsampling"). (N, k) int64.

    While more than k are left, the pair of neighbours with the highest SSIM loses its later frame,
    and the SSIM of the two frames that become neighbours is computed. Open in the text: which of
    the two goes (here the later, so the first frame always stays) and ties (here the earliest
    pair). So the order in which frames go does not depend on k. Repeated frames tie exactly. Pairs
    less than 1e-12 apart are told apart by rounding, so another implementation may order them
    otherwise; among 13,609 choices in the released sample the best two were never closer than
    6.8e-8.
    """
    ranks = long.ranks
    if ranks is None:
        ranks = np.zeros(len(long.frames), np.uint16)
        _rank_each(long.frames, long.starts, long.lengths, long.k, ranks)
    firsts = np.cumsum(long.lengths) - long.lengths
    frame = np.arange(long.lengths.sum()) - np.repeat(firsts, long.lengths)
    # A frame is kept where it is dropped only when fewer than K are left.
    kept = ranks[np.repeat(long.starts, long.lengths) + frame] < long.k
    if (np.add.reduceat(kept, firsts, dtype=np.int64) != long.k).any():
        raise RbcError(
            "the similarity ranks are not of these sequences; make the data again with rbc data"
            " prepare"
        )
    return frame[kept].reshape(-1, long.k)


def similarity_released(long: Longer) -> np.ndarray:
    """The first k - 1 frames and the last: what "similarity" keeps in effect in the authors'
    released code. (N, k) int64.
    """
    kept = np.tile(np.arange(long.k), (len(long.lengths), 1))
    kept[:, -1] = long.lengths - 1
    return kept


#: The paper's two (`rbc.paper.SAMPLINGS`), each followed by what goes by its name in the authors'
#: released code.
SAMPLERS = {
    "uniform": uniform,
    "uniform-random": uniform_random,
    "similarity": similarity,
    "similarity-released": similarity_released,
}


def ranks(sequences: Sequences, threads: int = 1, progress: bool = False) -> np.ndarray:
    """When similarity sampling drops each frame (`Sequences.similarity`).

    The rank of a frame is the number of frames that are left of its sequence when it has gone, and
    0 for the first frame, which never goes. So `similarity` keeps a frame for K exactly if its rank
    is below K.

    Parameters
    ----------
    sequences : N sequences
    threads : how many work at once; the answer does not depend on it
    progress : show a bar

    Returns
    -------
    (n_frames_total,) uint16

    Raises
    ------
    RbcError
        for a sequence of more than 65,536 frames
    """
    starts, lengths = (sequences.index[column].to_numpy(np.int64) for column in ("start", "length"))
    out = np.zeros(len(sequences.frames), np.uint16)
    if (too_long := lengths > np.iinfo(out.dtype).max + 1).any():
        raise RbcError(
            f"sequence {sequences.index['name'][too_long].iat[0]!r} has over 65,536 frames; cut it"
        )

    def rank(first: int) -> int:
        part = slice(first, first + CHUNK)
        _rank_each(sequences.frames, starts[part], lengths[part], 1, out)
        return len(starts[part])

    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(sequences), desc="similarity", unit="sequence", disable=not progress) as bar,
    ):
        for done in pool.map(rank, range(0, len(sequences), CHUNK)):
            bar.update(done)
    return out


@numba.njit(cache=True, nogil=True)
def _rank_each(
    frames: np.ndarray, starts: np.ndarray, lengths: np.ndarray, k: int, ranks: np.ndarray
) -> None:
    for i in range(len(starts)):
        own = slice(starts[i], starts[i] + lengths[i])
        _rank(frames[own], k, ranks[own])


@numba.njit(cache=True, nogil=True)
def _rank(frames: np.ndarray, k: int, ranks: np.ndarray) -> None:
    """Set the rank of the frames of one sequence that are not kept for k."""
    n = len(frames)
    kept, pairs = np.arange(n), np.empty(n)
    # What SSIM needs of each frame alone is computed once, as a frame meets several others.
    sums, spreads = _windows(frames)
    for i in range(n - 1):
        pairs[i] = _ssim(frames, sums, spreads, i, i + 1)
    while n > k:
        # the later frame of the most similar pair, the first of equals
        drop = np.argmax(pairs[: n - 1]) + 1
        n -= 1
        ranks[kept[drop]] = n
        # Close the gap; the two frames that become neighbours are compared.
        kept[drop:n] = kept[drop + 1 : n + 1].copy()
        if drop < n:
            pairs[drop - 1] = _ssim(frames, sums, spreads, kept[drop - 1], kept[drop])
            pairs[drop : n - 1] = pairs[drop + 1 : n].copy()


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two pictures.

    Equal to `skimage.metrics.structural_similarity(a, b, data_range=255)` at its defaults: 7 x 7
    windows inside the image, sample covariance (Wang et al., IEEE Trans. Image Process. 13:600,
    2004). The sums over a window are exact integers here, rounded numbers there: both agree to
    1e-12. Equal pairs, also in the other order, have equal bits.

    Parameters
    ----------
    a, b : (H, W) uint8, H and W at least 7

    Returns
    -------
    -1 to 1; 1 for equal pictures
    """
    frames = np.stack([a, b])
    return float(_ssim(frames, *_windows(frames), 0, 1))


@numba.njit(cache=True, nogil=True)
def _windows(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum s of every window of every frame, and 49 times its sum of squares less s * s: (T, H - 6,
    W - 6) int32.
    """
    n, h, w = frames.shape
    sums = np.empty((n, h - WINDOW + 1, w - WINDOW + 1), np.int32)
    spreads = np.empty_like(sums)
    ones = np.ones((h, w), np.uint8)
    for i in range(n):
        sums[i] = _window_sums(frames[i], ones)
        squares = _window_sums(frames[i], frames[i])
        for y in range(squares.shape[0]):
            for x in range(squares.shape[1]):
                spreads[i, y, x] = N_PIXELS * squares[y, x] - sums[i, y, x] * sums[i, y, x]
    return sums, spreads


@numba.njit(cache=True, nogil=True)
def _window_sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum of a * b over every window: (H - 6, W - 6) int32, exact."""
    h, w = a.shape
    columns = np.zeros(w, np.int32)  # sums over the last 7 rows
    out = np.empty((h - WINDOW + 1, w - WINDOW + 1), np.int32)
    for y in range(h):
        for x in range(w):
            columns[x] += np.int32(a[y, x]) * np.int32(b[y, x])
        if y >= WINDOW:
            for x in range(w):
                columns[x] -= np.int32(a[y - WINDOW, x]) * np.int32(b[y - WINDOW, x])
        if y >= WINDOW - 1:
            for x in range(w - WINDOW + 1):
                total = np.int32(0)
                for i in range(WINDOW):
                    total = np.int32(total + columns[x + i])
                out[y - WINDOW + 1, x] = total
    return out


# no test for division by zero, so that it is done in SIMD
@numba.njit(cache=True, nogil=True, error_model="numpy")
def _ssim(frames: np.ndarray, sums: np.ndarray, spreads: np.ndarray, i: int, j: int) -> float:
    """SSIM of frames i and j; numerator and denominator of each window times (49 * 49) * (49 *
    48).
    """
    cross = _window_sums(frames[i], frames[j])
    h, w = cross.shape
    c1, c2 = N_PIXELS * N_PIXELS * C1, N_PIXELS * (N_PIXELS - 1) * C2
    # one sum a column of windows: the same bits on every processor, as wide as its SIMD may be
    columns = np.zeros(w)
    for y in range(h):
        for x in range(w):
            a, b = sums[i, y, x], sums[j, y, x]
            product, squares = np.int32(a * b), np.int32(a * a + b * b)
            covariance = np.int32(N_PIXELS * cross[y, x] - product)
            variances = np.int32(spreads[i, y, x] + spreads[j, y, x])
            columns[x] += ((2 * product + c1) * (2 * covariance + c2)) / (
                (squares + c1) * (variances + c2)
            )
    return columns.sum() / (h * w)


def medians(frames: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Median grey level of each sequence's frames, as `np.median`: (N,) float32.

    Parameters
    ----------
    frames : (N, K, 31, 31) uint8, of which the first `lengths` ((N,) int64, at least 1) of each
        count
    """
    out = np.empty(len(frames), np.float32)
    _medians(frames, lengths, out)
    return out


@numba.njit(cache=True, nogil=True)
def _medians(frames: np.ndarray, lengths: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(frames)):
        pixels = frames[i, : lengths[i]].reshape(-1)
        counts = np.zeros(256, np.int64)
        for p in pixels:
            counts[p] += 1
        # Of an even number of pixels the median is the mean of the two in the middle.
        upto = np.cumsum(counts)
        low = np.searchsorted(upto, (len(pixels) - 1) // 2, side="right")
        high = np.searchsorted(upto, len(pixels) // 2, side="right")
        out[i] = (low + high) / 2


def balance(positive: np.ndarray, model: str, stage: int, seed: int) -> np.ndarray:
    """Training rows with both classes equally often (paper: "Artificial class balance"); training
    split only.

    Model A (cnn): the majority is drawn down to the minority. Model B (crnn): the minority is
    copied up to the majority; in stage 1 both meet at 5,000, as the paper's from 3,800 and 70,000.
    Departure on data of another size (D17): both meet at 5,000 / 3,800 of the minority, or at the
    majority where that is smaller.

    Parameters
    ----------
    positive : (N,) bool, the class of each training row

    Returns
    -------
    (M,) int64 row numbers, sorted; copies stand beside each other
    """
    # Approach A throws away what the larger class has more; approach B copies the smaller class.
    groups = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    small, large = sorted(len(g) for g in groups)
    if small == 0:
        raise RbcError(
            "the training split holds only one class: nothing to learn; check the profile's folds"
        )
    as_printed = round(small, -2) == STAGE1_CRNN_FROM
    wanted = STAGE1_CRNN if as_printed else round(small * STAGE1_CRNN / STAGE1_CRNN_FROM)
    up = min(wanted, large) if stage == 1 else large
    target = small if model == "cnn" else up
    rng = np.random.default_rng([seed, stage, target])
    return np.sort(np.concatenate([_draw(g, target, rng) for g in groups]))


def _draw(group: np.ndarray, target: int, rng: np.random.Generator) -> np.ndarray:
    """`target` of a group: without copies where it is large enough, else every row, copied as
    evenly as possible.
    """
    copies, rest = divmod(target, len(group))
    return np.concatenate([np.repeat(group, copies), rng.choice(group, rest, replace=False)])
