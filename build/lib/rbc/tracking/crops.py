"""From a track to its sequence: 31 x 31 px around the cell in every frame, the background made
even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rbc.paper import FRAME_PX
from rbc.tracking.detection import UNIT
from rbc.tracking.linking import Parameters, Track
from rbc.tracking.registration import SLACK, WIDE, register, smooth_path, wide_crop

HALF = FRAME_PX // 2


@dataclass(frozen=True)
class Finished:
    """A track whose path is final: frame numbers (n,), path (n, 2) px, speed px/frame, crops (n,
    31, 31) uint8.
    """

    frames: np.ndarray
    path: np.ndarray
    speed: float
    crops: np.ndarray


def finish(
    track: Track,
    background: np.ndarray,
    level: float,
    parameters: Parameters,
    clock: np.ndarray | None = None,
) -> list[Finished]:
    """Register a track, smooth its path and cut its crops.

    The crops are `evened`: the paper removes the background from every frame, and so its sequences,
    which the models know, lie on one level of grey. Which level the paper added is not said; here
    it is the background's median.

    Parameters
    ----------
    track : with all that was seen of it
    background : (H, W) uint8
    level : grey level that the crops lie on
    parameters : of the tracking
    clock : as in `smooth_path`, one number for each look of the track

    Returns
    -------
    Nothing where fewer than `min_frames` crops fit the picture
    """
    # A track coasts on after its cell was last seen; that part is no picture of it.
    last = max(i for i, look in enumerate(track.looks) if np.isfinite(look.x)) + 1
    if last < parameters.min_frames:
        return []
    x, y, near, corners, crops, gains = zip(*track.looks[:last], strict=True)
    seen, corners = np.stack([x, y], axis=1), np.array(corners)
    whole = np.array([c is not None for c in crops])
    blank = np.zeros((WIDE, WIDE), np.uint8)
    crops = np.stack([blank if c is None else c for c in crops])
    # The path first, from centres and from the shifts between neighbouring crops.
    contrast = _contrast(crops, background, corners, np.array(gains))
    steps = _steps(contrast, whole, seen, corners)
    path = smooth_path(seen, steps, np.array(near), None if clock is None else clock[:last])
    # Then the frames in which the whole crop around the final path was kept.
    chosen = _fitting(path, corners, whole, background.shape)
    if len(chosen) < parameters.min_frames:
        return []
    # Stuck and racing objects are no cells in flow.
    speed = float(np.polyfit(chosen, path[chosen, 0], 1)[0])
    if not parameters.min_speed_px <= speed <= parameters.max_speed_px:
        return []
    # The crops kept while tracking are wider by SLACK, as the path was not final then.
    offsets = np.round(path[chosen]).astype(int) - corners[chosen] + SLACK
    cuts = np.stack(
        [
            contrast[i, v : v + FRAME_PX, u : u + FRAME_PX]
            for i, (u, v) in zip(chosen, offsets, strict=True)
        ]
    )
    return [
        Finished(
            track.first + chosen, path[chosen], speed, evened(cuts, np.array(gains)[chosen], level)
        )
    ]


def _contrast(
    crops: np.ndarray, background: np.ndarray, corners: np.ndarray, gains: np.ndarray
) -> np.ndarray:
    """Wide crops (n, 39, 39) uint8 without the background as the lamp lit it then: (n, 39, 39)
    float32.
    """
    behind = np.stack([wide_crop(background, cx, cy) for cx, cy in corners]).astype(np.float32)
    return crops - behind * (gains.astype(np.float32) / UNIT)[:, None, None]


def evened(contrast: np.ndarray, gains: np.ndarray, level: float) -> np.ndarray:
    """What a camera would have seen of a cell in steady, even light: (n, 31, 31) uint8.

    Parameters
    ----------
    contrast : (n, 31, 31) float32, the frames without their background, grey levels
    gains : (n,) light of each frame against the background's, 4096 for equal
        (`rbc.tracking.detection.gain`), by which the contrast is divided
    level : grey level added
    """
    steady = contrast * (UNIT / gains).astype(np.float32)[:, None, None]
    return np.clip(np.rint(steady + np.float32(level)), 0, 255).astype(np.uint8)


def _steps(
    contrast: np.ndarray, whole: np.ndarray, seen: np.ndarray, corners: np.ndarray
) -> np.ndarray:
    """Registered displacement from each frame to the next: (n - 1, 2) px, nan where a frame is
    damaged.
    """
    # The crops themselves moved along; registering tells what is left over.
    moved = np.diff(corners, axis=0)
    expected = np.nan_to_num(np.diff(seen, axis=0) - moved)
    steps = register(contrast, np.clip(expected, -3, 3)) + moved
    steps[~(whole[1:] & whole[:-1])] = np.nan
    return steps


def _fitting(
    path: np.ndarray, corners: np.ndarray, whole: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Indices of the longest run of frames whose crop lies in the picture; damaged frames are left
    out of it.
    """
    at = np.round(path).astype(int)
    inside = (at >= HALF).all(axis=1) & (at[:, 0] < shape[1] - HALF) & (at[:, 1] < shape[0] - HALF)
    inside &= (abs(at - corners) <= SLACK).all(axis=1)
    # Each frame outside begins a new run; the run with the most frames inside is kept.
    run = np.cumsum(~inside)
    best = np.bincount(run[inside]).argmax() if inside.any() else -1
    return np.flatnonzero(inside & (run == best) & whole)
