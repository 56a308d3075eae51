"""How sharp a cell is and what its rings look like: numbers of a sequence of any length, and an SVM on them (stage 1).

Unreliable cells are mostly out of focus. Bands of difference-of-Gaussians measure sharpness without a threshold
(Marr & Hildreth, Proc. R. Soc. B 207:187, 1980); rings around the centre measure contrast, halo and intruders.
"""

from __future__ import annotations

import numpy as np

from rbc.paper import FRAME_PX

SIGMAS_PX = (0.6, 0.85, 1.2, 1.7, 2.4, 3.4, 4.8)  #: widths of the blurs; neighbours make a band
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  #: over frames; extremes are left to intruders
RINGS = 14  #: of 1 px around the centre of the crop
SCALE = 20.0  #: grey levels that count as 1


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
    """Numbers of each frame: (T, 31, 31) uint8 and its sequence's background to (T, F) float32."""
    x = (frames.astype(np.float32) - np.float32(background)) / np.float32(SCALE)
    blurred = np.stack([b @ x @ b.T for b in BLURS])
    bands = np.log(np.square(np.diff(blurred, axis=0)).mean((2, 3)) + 1e-6).T  # (T, S - 1)
    smooth = blurred[1].reshape(len(x), -1)
    ring = smooth @ RING_MEANS
    uneven = np.sqrt(np.maximum(np.square(smooth) @ RING_MEANS - ring**2, 0))
    ends = np.stack([smooth.max(1), smooth.min(1), smooth.std(1)], 1)
    return np.concatenate([bands, bands - bands.mean(1, keepdims=True), ring, uneven, ends], 1)


def of_sequence(frames: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    """Quantiles over (chosen) frames of `of_frames`: (T, 31, 31) uint8 to (5 F,) float32."""
    numbers = of_frames(frames, float(np.median(frames)))
    return quantiles(numbers if chosen is None else numbers[chosen])


def quantiles(numbers: np.ndarray) -> np.ndarray:
    """(T, F) to (5 F,) float32."""
    return np.quantile(numbers, QUANTILES, axis=0).ravel().astype(np.float32)
