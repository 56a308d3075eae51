"""How long must a film be to see a flip? Fill in both functions, then run this file."""

import sys
from math import pi  # noqa: F401  you will need it

import numpy as np

from rbc import simulate


def frames_between_edges(ratio, shear_rate, frame_rate):
    """Frames from one edge-on view of a flipping disc to the next; `ratio` is its thickness over
    its diameter.
    """
    ...


def share_seen(film, between):
    """Share of flipping cells that are seen edge-on in a film of so many frames, if they start at
    any phase.
    """
    ...


def check(answer):
    for ratio in (0.25, 0.375, 0.6):
        given = answer.frames_between_edges(ratio, simulate.SHEAR, simulate.FPS)
        assert given is not None, "frames_between_edges gives nothing yet"
        # 0 where the disc is seen edge-on
        facing = abs(simulate.jeffery(5000, ratio, np.inf)[:, 2])
        edges = 1 + np.flatnonzero((facing[1:-1] < facing[:-2]) & (facing[1:-1] <= facing[2:]))
        assert abs(given - np.diff(edges).mean()) < 0.5, (
            f"ratio {ratio}: {given:.1f}, but a simulated disc differs"
        )
        faster = answer.frames_between_edges(ratio, 2 * simulate.SHEAR, simulate.FPS)
        assert abs(given / faster - 2) < 1e-6, "twice the shear rate turns a cell twice as fast"
    starts = np.random.default_rng(0).random(100_000)  # in units of the time between two edges
    for film in (11, 32, 60, 200):
        seen = (starts + film / 57 >= 1).mean()
        assert abs(answer.share_seen(film, 57) - seen) < 0.01, (
            f"a film of {film} frames shows an edge to {seen:.2f}"
        )


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
