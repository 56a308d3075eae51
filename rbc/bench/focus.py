"""How sharp a cell is and what its rings look like: numbers of a sequence of any length, and an SVM
on them.

Unreliable cells are mostly out of focus. Bands of difference-of-Gaussians measure sharpness without
a threshold (Marr & Hildreth, Proc. R. Soc. B 207:187, 1980); rings around the centre measure
contrast, halo and intruders.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from rbc.paper import FRAME_PX
from rbc.sequences import Sequences

SIGMAS_PX = (0.6, 0.85, 1.2, 1.7, 2.4, 3.4, 4.8)  #: widths of the blurs; neighbours make a band
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  #: over frames; extremes are left to intruders
RINGS = 14  #: of 1 px around the centre of the crop
SCALE = 20.0  #: grey levels that count as 1
CONTRAST_SD = 0.15  #: of the logarithm of the contrast in training
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
    x = (frames.astype(np.float32) - np.float32(background)) / np.float32(SCALE)
    # a stack of all is slower
    blurred = [b @ (x.reshape(-1, FRAME_PX) @ b.T).reshape(x.shape) for b in BLURS]
    power = [np.einsum("tij,tij->t", band, band) for band in map(np.subtract, blurred[1:], blurred)]
    bands = np.log(np.stack(power, 1) / FRAME_PX**2 + 1e-6)  # (T, S - 1)
    smooth = blurred[1].reshape(len(x), -1)
    ring = smooth @ RING_MEANS
    uneven = np.sqrt(np.maximum(np.square(smooth) @ RING_MEANS - ring**2, 0))
    ends = np.stack([smooth.max(1), smooth.min(1), smooth.std(1)], 1)
    return np.concatenate([bands, bands - bands.mean(1, keepdims=True), ring, uneven, ends], 1)


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
    """Numbers as of `of_sequences`, of a random part of each one's frames, its contrast changed.

    Parameters
    ----------
    sequences : N sequences
    rng : draws the parts and the contrasts

    Returns
    -------
    (N, 5 F) float32
    """
    rows = []
    for frames in sequences:
        part = frames[rng.permutation(len(frames)) < np.ceil(len(frames) * rng.uniform(0.5, 1))]
        contrast = np.exp(rng.normal(0, CONTRAST_SD))
        rows.append(of_sequence((part - float(background(frames))) * contrast, 0.0))
    return np.array(rows)


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
