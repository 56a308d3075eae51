"""The cell is found again in simulated sequences whose crops a neighbour pulled away."""

from __future__ import annotations

import numpy as np
import pytest

from rbc import simulate
from rbc.simulate import centring

FRAMES = 40
OPTICS = simulate.Optics()


def _pulled(motion: str, passing: int, reach: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A simulated sequence (40, 31, 31) in which a blurred cell passes, and the true place of the
    cell (40, 2).
    """
    rng = np.random.default_rng(seed)
    axis = simulate.jeffery(FRAMES, 0.45, 2.0, rng.random(), 160.0)
    flips, treads = (
        simulate.spheroid(axis, 6.0, 2.7),
        simulate.tank_treading(FRAMES, (6.0, 5.5, 2.4)),
    )
    away = np.stack([4.0 * (np.arange(FRAMES) - passing), np.full(FRAMES, 9.0)], axis=1)
    pull = 0.5 * away * (np.hypot(*away.T) < reach)[:, None]  # the crop is cut at the joint centre
    own = rng.normal(0, 0.3, (FRAMES, 2)) - pull
    cell = flips if motion == "flipping" else treads
    light = simulate.render(cell, own, np.full(FRAMES, 4.5), OPTICS, (31, 31))
    light += simulate.render(treads, own + away, np.full(FRAMES, 25.0), OPTICS, (31, 31))
    return np.clip(np.rint(115 + light + 2.2 * rng.standard_normal(light.shape)), 0, 255).astype(
        np.uint8
    ), own


@pytest.mark.parametrize("motion", ["tank-treading", "flipping"])
@pytest.mark.parametrize("passing", [1, 20])
def test_jumps_are_found_also_at_the_start(motion: str, passing: int) -> None:
    """A crop that jumps would look like a flipping cell."""
    jumps, errors = [], []
    for seed in range(3):
        strip, own = _pulled(motion, passing, 22.0, seed)
        errors.append(abs(centring.off_centre(strip) - own).max(axis=1))
        jumps.append(abs(own).max(axis=1) > 3)
    jumped, error = np.concatenate(jumps), np.concatenate(errors)
    assert jumped.sum() >= 9
    assert (error[jumped] < 1.6).mean() >= 0.95
    assert (error[~jumped] < 1.6).mean() >= 0.99


def test_a_sequence_of_one_frame_is_centred() -> None:
    """The shortest film must not break the measure."""
    assert centring.off_centre(_pulled("flipping", 200, 0.0, 0)[0][:1]).tolist() == [[0, 0]]
