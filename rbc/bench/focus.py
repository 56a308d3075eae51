"""How sharp a cell is and what its rings look like: numbers of a sequence of any length, and an SVM
on them.

Unreliable cells are mostly out of focus. Bands of difference-of-Gaussians measure sharpness without
a threshold (Marr & Hildreth, Proc. R. Soc. B 207:187, 1980); rings around the centre measure
contrast, halo and intruders.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from rbc.paper import FRAME_PX
from rbc.sequences import Sequences

SIGMAS_PX = (0.6, 0.85, 1.2, 1.7, 2.4, 3.4, 4.8)  #: widths of the blurs; neighbours make a band
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  #: over frames; extremes are left to intruders
RINGS = 14  #: of 1 px around the centre of the crop
SCALE = 20.0  #: grey levels that count as 1
#: How another microscope may differ, in training: what a user's movie may be like beside ours.
CONTRAST = (0.6, 1.6)  #: against the sequence's own
BLUR_PX = 0.8  #: sd of a Gaussian, at most
TILT = 10.0  #: grey levels from the middle of the crop to its edge, at most
NOISE = 4.0  #: grey levels, sd, at most
SHIFT_PX = 2  #: px off the centre, at most
COST = 3.0  #: the SVM's C


def _blurs() -> np.ndarray:
    """(S, 31, 31) float32: each row the weights of a Gaussian, summing to 1 inside the crop."""
    place = np.arange(FRAME_PX)
    apart = (place[:, None] - place) ** 2
    weights = np.exp(-apart / (2 * np.array(SIGMAS_PX)[:, None, None] ** 2))
    return (weights / weights.sum(2, keepdims=True)).astype(np.float32)


def _rings() -> np.ndarray:
    """(961, RINGS) float32: the mean over each ring."""
    place = np.arange(FRAME_PX) - FRAME_PX // 2
    radius = np.hypot(place[:, None], place).round().astype(int).ravel()
    member = (radius[:, None] == np.arange(RINGS)).astype(np.float32)
    return member / member.sum(0)


BLURS, RING_MEANS = _blurs(), _rings()


def of_frames(frames: np.ndarray, background: float) -> np.ndarray:
    """Numbers of each frame: sharpness, rings, contrast.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    background : grey level of the sequence's background

    Returns
    -------
    (T, F) float32
    """
    x = _scaled(frames, background)
    # a stack of all is slower
    blurred = [_blurred(x, number) for number in range(len(BLURS))]
    bands = _log(np.stack([_power(*pair) for pair in itertools.pairwise(blurred)], 1))  # (T, S - 1)
    smooth = blurred[1].reshape(len(x), -1)
    ring = smooth @ RING_MEANS
    uneven = np.sqrt(np.maximum(np.square(smooth) @ RING_MEANS - ring**2, 0))
    ends = np.stack([smooth.max(1), smooth.min(1), smooth.std(1)], 1)
    return np.concatenate([bands, bands - bands.mean(1, keepdims=True), ring, uneven, ends], 1)


def band(frames: np.ndarray, background: float, number: int) -> np.ndarray:
    """Log power of each frame in one band, as a column of `of_frames`: (T,) float32.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    background : grey level of the sequence's background
    number : of the band, from 0 (finest) on
    """
    x = _scaled(frames, background)
    return _log(_power(_blurred(x, number), _blurred(x, number + 1)))


def _scaled(frames: np.ndarray, background: float) -> np.ndarray:
    return (frames.astype(np.float32) - np.float32(background)) / np.float32(SCALE)


def _blurred(x: np.ndarray, number: int) -> np.ndarray:
    blur = BLURS[number]
    return blur @ (x.reshape(-1, FRAME_PX) @ blur.T).reshape(x.shape)


def _power(finer: np.ndarray, coarser: np.ndarray) -> np.ndarray:
    """Of what is in the finer blur and not in the coarser: (T,)."""
    apart = coarser - finer
    return np.einsum("tij,tij->t", apart, apart)


def _log(power: np.ndarray) -> np.ndarray:
    return np.log(power / FRAME_PX**2 + 1e-6)


def background(frames: np.ndarray) -> int:
    """The (lower) median grey level of a sequence's pixels: (T, 31, 31) uint8."""
    return int(
        np.searchsorted(
            np.cumsum(np.bincount(frames.ravel(), minlength=256)), (frames.size + 1) // 2
        )
    )


def of_sequence(frames: np.ndarray, background: float) -> np.ndarray:
    """Quantiles over all frames of `of_frames`.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    background : grey level of the sequence's background

    Returns
    -------
    (5 F,) float32
    """
    return np.quantile(of_frames(frames, background), QUANTILES, axis=0).ravel().astype(np.float32)


def of_sequences(sequences: Sequences) -> np.ndarray:
    """`of_sequence` of each: (N, 5 F) float32."""
    return np.array([of_sequence(x, background(x)) for x in sequences])


def varied(sequences: Sequences, rng: np.random.Generator) -> np.ndarray:
    """Numbers as of `of_sequences`, of each sequence as another microscope might have filmed it.

    Parameters
    ----------
    sequences : N sequences
    rng : draws the frames that are left and what the microscope does (`otherwise`)

    Returns
    -------
    (N, 5 F) float32
    """
    rows = []
    for frames in sequences:
        part = frames[rng.permutation(len(frames)) < np.ceil(len(frames) * rng.uniform(0.5, 1))]
        rows.append(of_sequence(otherwise(part - float(background(frames)), rng), 0.0))
    return np.array(rows)


def otherwise(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same frames off the centre, of another contrast, less sharp, unevenly lit and noisier.

    Each is drawn evenly within its range (`SHIFT_PX`, `CONTRAST`, `BLUR_PX`, `TILT`, `NOISE`), and
    is the same in all frames of a sequence, but for the noise.

    Parameters
    ----------
    frames : (T, 31, 31) float, grey levels above the background
    rng : draws everything

    Returns
    -------
    (T, 31, 31) float64
    """
    dy, dx = rng.integers(-SHIFT_PX, SHIFT_PX + 1, 2)
    frames = np.roll(frames, (dy, dx), (1, 2))
    frames = frames * np.exp(rng.uniform(*np.log(CONTRAST)))
    frames = gaussian_filter(frames, (0, *[rng.uniform(0, BLUR_PX)] * 2))
    # A lamp that stands aside: the light rises from one edge of the crop to the other.
    angle, place = rng.uniform(0, 2 * np.pi), np.linspace(-1, 1, FRAME_PX)
    rise = np.cos(angle) * place + np.sin(angle) * place[:, None]
    frames = frames + rng.uniform(0, TILT) * rise
    return frames + rng.normal(0, 1, frames.shape) * rng.uniform(0, NOISE)


def fit(numbers: np.ndarray, positive: np.ndarray) -> dict[str, np.ndarray]:
    """An RBF-SVM on standardised numbers.

    C = 3 and gamma = 1 / F were fixed beforehand; classes weigh alike.

    Parameters
    ----------
    numbers : (N, F) float32
    positive : (N,) bool

    Returns
    -------
    The arrays that `decision` needs, by name
    """
    scaler = StandardScaler().fit(numbers)
    machine = SVC(C=COST, gamma=1 / numbers.shape[1], class_weight="balanced").fit(
        scaler.transform(numbers), positive
    )
    arrays = {
        "mean": scaler.mean_, "scale": scaler.scale_, "vectors": machine.support_vectors_,
        "duals": machine.dual_coef_[0], "intercept": machine.intercept_,
    }  # fmt: skip
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def decision(machine: dict[str, np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """What scikit-learn's decision_function says.

    Parameters
    ----------
    machine : of `fit`
    numbers : (N, F) float32

    Returns
    -------
    (N,) float64, above 0 for the positive class
    """
    x = (numbers - machine["mean"]) / machine["scale"]
    kernel = np.exp(-cdist(x, machine["vectors"], "sqeuclidean") / x.shape[1])
    return kernel @ machine["duals"].astype(float) + float(machine["intercept"][0])
