"""How a cell turns in shear flow: flipping and rolling (Jeffery 1922), tank-treading (Keller &
Skalak 1982).

A cell is an ellipsoid, given by one 3 x 3 shape matrix a frame. Axes: x is the flow, whose speed
grows along z; y is the vorticity; z is the gradient of the shear and the line of sight
("Microfluidics and microscopy" of the paper). The shear rate is the one that the paper sets at the
wall, at every depth: it calls the place "of constant shear rate".
"""

from __future__ import annotations

import numpy as np

SHEAR = 10.0  #: shear rate, 1/s
FPS = 60.0  #: frames a second


def jeffery_period(ratio: float, shear: float = SHEAR, fps: float = FPS) -> float:
    """Frames in which a rigid spheroid turns once about: (2 pi / shear rate) (r + 1/r) times the
    frames a second.

    Parameters
    ----------
    ratio : r, thickness over diameter
    shear : shear rate, 1/s
    fps : frames a second

    It shows its edge twice in a period. No spheroid is faster than a sphere, 4 pi / shear rate:
    75.4 frames by default. Jeffery, Proc. R. Soc. A 102:161 (1922), equation 49.
    """
    return 2 * np.pi / shear * (ratio + 1 / ratio) * fps


def jeffery(
    n_frames: int, ratio: float, constant: float, phase: float = 0.0, period: float | None = None
) -> np.ndarray:
    """Symmetry axis of a spheroid on a Jeffery orbit.

    Jeffery, Proc. R. Soc. A 102:161 (1922), equations 48 and 49.

    Parameters
    ----------
    n_frames : T
    ratio : thickness over diameter
    constant : the orbit constant C; 0 rolls, infinity flips
    phase : fraction of a period passed at the first frame; 0: seen face on, 0.25: edge on
    period : in frames; by default `jeffery_period` of the paper's shear and frame rate

    Returns
    -------
    (T, 3) float64 unit vectors x, y, z
    """
    period = jeffery_period(ratio) if period is None else period
    turn = 2 * np.pi * (phase + np.arange(n_frames) / period)
    phi = np.arctan2(ratio * np.sin(turn), np.cos(turn))
    tan_theta = constant * ratio / np.sqrt((ratio * np.cos(phi)) ** 2 + np.sin(phi) ** 2)
    theta = np.arctan(tan_theta)
    return np.stack(
        [np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], axis=1
    )


def spheroid(axis: np.ndarray, radius: float, thickness: float) -> np.ndarray:
    """Shape matrices of a spheroid.

    Parameters
    ----------
    axis : (T, 3) its symmetry axis, unit vectors
    radius, thickness : semi-axes across and along it, px

    Returns
    -------
    (T, 3, 3) float64, px^2
    """
    return radius**2 * np.eye(3) + (thickness**2 - radius**2) * axis[:, :, None] * axis[:, None, :]


def tank_treading(
    n_frames: int,
    semi_axes: tuple[float, float, float],
    heading: float = 0.0,
    swing: float = 0.05,
    breathing: float = 0.02,
    period: float = 60.0,
    phase: float = 0.0,
) -> np.ndarray:
    """Shape matrices of a tank-treading ellipsoid, whose projection stays almost constant.

    It is inclined by 18 degrees to the flow, its leading end where the flow is faster. Inclination
    and swinging: Keller & Skalak 1982; Abkarian, Faivre & Viallat 2007.

    Parameters
    ----------
    n_frames : T
    semi_axes : along its length, its width and its thickness, px
    heading : of its length in the picture, rad
    swing : amplitude of its inclination, rad
    breathing : amplitude of its length, as a fraction
    period : of both, frames
    phase : fraction of a period passed at the first frame

    Returns
    -------
    (T, 3, 3) float64, px^2
    """
    turns = 2 * np.pi * (phase + np.arange(n_frames) / period)
    wave = np.sin(turns)
    tilt, turn = np.deg2rad(18) + swing * wave, heading + 0.5 * swing * np.cos(turns)
    lengths = np.tile(np.square(semi_axes), (n_frames, 1)) * np.stack(
        [1 + 2 * breathing * wave, 1 - 2 * breathing * wave, np.ones(n_frames)], axis=1
    )
    # A turn by a positive angle about y lowers the leading end; the flow stretches a cell whose
    # leading end is up.
    rotation = _about_y(-tilt) @ _about_z(turn)
    return rotation @ (lengths[:, :, None] * rotation.transpose(0, 2, 1))


def _about_y(angle: np.ndarray) -> np.ndarray:
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], axis=1).reshape(-1, 3, 3)


def _about_z(angle: np.ndarray) -> np.ndarray:
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=1).reshape(-1, 3, 3)
