"""Background, variance map and detections against their definitions and against known places."""

from __future__ import annotations

import numpy as np
import pytest

from rbc import RbcError
from rbc.simulate import movies
from rbc.tracking import detection


def test_background_is_the_lower_median_and_ignores_the_lamp() -> None:
    """A flickering lamp must not leave ghosts of cells."""
    rng = np.random.default_rng(0)
    frames = rng.integers(80, 90, (21, 20, 30)).astype(np.uint8)
    frames[:, 0, 0] = frames[:, 1, 1]  # keep sums unequal but close
    same = np.repeat(frames[:1].sum(dtype=int), 21)
    out = np.empty((20, 30), np.uint8)
    detection._median_rows(frames, np.full(len(same), detection.UNIT), out, 0, 20)
    assert (out == np.sort(frames, axis=0)[10]).all()
    background = np.full((40, 40), 100.0)
    lamp = (
        np.stack([background * gain for gain in np.linspace(0.8, 1.2, 41)]).round().astype(np.uint8)
    )
    assert (detection.background(lamp, 2) == 100).all()


def test_background_keeps_no_cell_that_passes_and_no_black_frame() -> None:
    """What moves is no background."""
    scene = movies.Scene(frames=120, shape=(240, 640), cells=7, seed=1, stuck=2)
    few = np.stack(list(movies.physics(scene)[0])[::5])
    black = np.concatenate([few, np.zeros_like(few[:5])])
    assert (detection.background(few) == detection.background(black)).all()
    with pytest.raises(RbcError, match="black"):
        detection.background(np.zeros((10, 20, 20), np.uint8))


def test_variance_map_is_the_variance_of_each_window() -> None:
    """The fast sums must be NumPy's variance."""
    rng = np.random.default_rng(1)
    frame, background = rng.integers(0, 256, (2, 60, 70)).astype(np.uint8)
    light = detection.gain(frame, background)
    difference = frame.astype(int) - ((background.astype(int) * light + 2048) >> 12)
    found = detection.variance_map(frame, background)
    for i, j in ((3, 3), (10, 17), (26, 31)):
        window = difference[2 * i - 6 : 2 * i + 8, 2 * j - 6 : 2 * j + 8]
        assert found[i, j] == pytest.approx(window.var(), rel=1e-12)


def test_spots_are_found_where_they_are() -> None:
    """Positions are what tracks are made of."""
    rng = np.random.default_rng(4)
    at = np.array([[40.3, 30.8], [101.6, 57.2], [118.1, 57.9]])
    v, u = np.mgrid[0:90, 0:160]
    background = np.full((90, 160), 120, np.uint8)
    spots = sum(40 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 18) for x, y in at)
    frame = (background - spots + rng.normal(0, 1, background.shape)).round().astype(np.uint8)
    found = detection.detect(frame, background, 1.0, 2.0, 13.3, (35, 1600))
    order = np.argsort(found.x)
    assert abs(found.centres[order] - at).max() < 0.2
    assert found.shared[order].tolist() == [False, True, True]  # the last two touch
    assert not len(detection.detect(frame, background, 1.0, 2.0, 13.3, (35, 60)).x)
    assert not len(detection.detect(frame, background, 1.0, 1000.0, 13.3, (35, 1600)).x)
