"""How long must a film be to see a flip? Fill in both functions, then run this file."""

import sys
from math import cos, pi, sin
from random import Random

SHEAR_RATE, FRAME_RATE = 10.0, 60.0  # per second: the paper's flow and its camera


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


def half_a_turn(ratio, steps=10_000):
    """Seconds that a simulated disc takes for half a turn, step by step, by Jeffery's equation."""
    seconds = 0.0
    for step in range(steps):
        angle = pi * (step + 0.5) / steps
        speed = SHEAR_RATE / (1 + ratio**2) * (ratio**2 * cos(angle) ** 2 + sin(angle) ** 2)
        seconds += pi / steps / speed
    return seconds


def check(answer):
    for ratio in (0.25, 0.375, 0.6):
        given = answer.frames_between_edges(ratio, SHEAR_RATE, FRAME_RATE)
        assert given is not None, "frames_between_edges gives nothing yet"
        assert abs(given - half_a_turn(ratio) * FRAME_RATE) < 0.01, (
            f"ratio {ratio}: {given:.1f}, but a simulated disc differs"
        )
        faster = answer.frames_between_edges(ratio, 2 * SHEAR_RATE, FRAME_RATE)
        assert abs(given / faster - 2) < 1e-6, "twice the shear rate turns a cell twice as fast"
    rng = Random(0)
    starts = [rng.random() for _ in range(20_000)]  # in units of the time between two edges
    for film in (11, 32, 60, 200):
        seen = sum(start + film / 57 >= 1 for start in starts) / len(starts)
        assert abs(answer.share_seen(film, 57) - seen) < 0.01, (
            f"a film of {film} frames shows an edge to {seen:.2f}"
        )


if __name__ == "__main__":
    check(sys.modules["__main__"])
    print("Right.")
