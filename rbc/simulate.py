"""Simulated red cells: labelled sequences with ground truth, drawn from the physics of the flow and of the microscope.

A cell is an ellipsoid with a hollow centre, given by one 3 x 3 shape matrix a frame. It turns as Jeffery's (1922) orbits
or tank-treads as Keller & Skalak (1982), and is imaged as a weak phase object through a defocused, partially coherent
bright-field transfer function. Axes: x is the flow, y the vorticity, z the gradient of the shear and the line of sight
("Microfluidics and microscopy" of the paper). No pixel here comes from a real cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

PX_UM = 0.6  #: size of a pixel, um (830 um / 1376 px)
SHEAR = 10.0  #: shear rate, 1/s
FPS = 60.0  #: frames a second
WAVELENGTH = 0.55  #: um, green; its spread is BANDWIDTH
BANDWIDTH = 0.06  #: um, sd
CONE = 0.12  #: numerical aperture of the condenser
PHASE = 0.34  #: rad for each px of path through a cell: 2 pi 0.05 (index step) 0.6 / 0.55
ABSORPTION = 0.004  #: relative loss for each px of path through a cell
HOLLOW = 0.55  #: size of the hollow against the size of the cell
MARGIN = 16  #: px around a patch, so that halos do not wrap round
Z_STEP = 0.1  #: um, defocus is rounded to this
K_STEP = 1 / 128  #: step of the table of form factors
K_MAX = 64.0


@dataclass(frozen=True)
class Optics:
    """What the light of an acquisition does to every cell."""

    gain: float = 70.0  #: grey levels for a relative contrast of 1
    oblique: tuple[float, float] = (0.0, 0.0)  #: relief by tilted light along x and y (about -1 to 1)
    blur: float = 2.1  #: px a cell moves along x in one exposure


def jeffery(
    n_frames: int, ratio: float, constant: float, phase: float = 0.0, period: float | None = None
) -> np.ndarray:
    """Symmetry axis of a spheroid on a Jeffery orbit: (n_frames, 3) float64 unit vectors (x, y, z).

    `ratio` is thickness over diameter, `constant` the orbit constant C (0 rolls, infinity flips), `phase` the fraction of
    a period passed at the first frame (0: seen face on), `period` in frames (default (2 pi / shear rate)(r + 1/r)).
    Jeffery, Proc. R. Soc. A 102:161 (1922), equations 48 and 49.
    """
    period = 2 * np.pi / SHEAR * (ratio + 1 / ratio) * FPS if period is None else period
    turn = 2 * np.pi * (phase + np.arange(n_frames) / period)
    phi = np.arctan2(ratio * np.sin(turn), np.cos(turn))
    tan_theta = constant * ratio / np.sqrt((ratio * np.cos(phi)) ** 2 + np.sin(phi) ** 2)
    theta = np.arctan(tan_theta)
    return np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], axis=1)


def spheroid(axis: np.ndarray, radius: float, thickness: float) -> np.ndarray:
    """Shape matrices (T, 3, 3) in px^2 of a spheroid with symmetry `axis` (T, 3) and two semi-axes in px."""
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
    """Shape matrices (n_frames, 3, 3) in px^2 of a tank-treading ellipsoid, whose projection stays almost constant.

    `semi_axes` in px along its length, its width and its thickness; `heading` (rad) of its length in the picture; it is
    inclined by 18 degrees to the flow, swings by `swing` (rad) and breathes by `breathing` (fraction) in `period` frames.
    Inclination and swinging: Keller & Skalak 1982; Abkarian, Faivre & Viallat 2007.
    """
    wave = np.sin(2 * np.pi * (phase + np.arange(n_frames) / period))
    tilt, turn = np.deg2rad(18) + swing * wave, heading + 0.5 * swing * np.roll(wave, n_frames // 4)
    lengths = np.tile(np.square(semi_axes), (n_frames, 1)) * np.stack(
        [1 + 2 * breathing * wave, 1 - 2 * breathing * wave, np.ones(n_frames)], axis=1
    )
    rotation = _about_y(tilt) @ _about_z(turn)
    return rotation @ (lengths[:, :, None] * rotation.transpose(0, 2, 1))


def render(
    shape: np.ndarray,
    centre: np.ndarray,
    defocus: np.ndarray,
    optics: Optics,
    size: tuple[int, int],
    hollow: float = 0.5,
) -> np.ndarray:
    """T frames of one cell: (T, H, W) float32, signed contrast in grey levels against the background.

    Parameters
    ----------
    shape : (T, 3, 3) shape matrices in px^2, from `spheroid` or `tank_treading`
    centre : (T, 2) x and y in px, relative to the centre of the patch; positions are sub-pixel and may lie outside
    defocus : (T,) um above the focus; above it the cell has a bright centre, below a dark one
    optics : the light of the acquisition
    size : (H, W) of the patch, px
    hollow : 0 for a full ellipsoid, towards 1 for a thin centre

    A whole patch of background is zero. Halos are right up to MARGIN px outside the patch.
    """
    return from_spectrum(spectrum(shape, centre, defocus, optics, size, hollow), size)


def spectrum(
    shape: np.ndarray,
    centre: np.ndarray,
    defocus: np.ndarray,
    optics: Optics,
    size: tuple[int, int],
    hollow: float = 0.5,
) -> np.ndarray:
    """Fourier transform (T, padded H, padded W // 2 + 1) of what `render` gives; those of several cells add up.

    The projection of an ellipsoid has the closed transform V 3 (sin k - k cos k) / k^3 with k = 2 pi sqrt(f' S f), S its
    projected shape matrix, so the position and the blur are exact at any sub-pixel shift.
    """
    height, width = padded(size)
    fy, fx, squares = _frequencies(height, width)
    even, odd = (np.stack(t) for t in zip(*(_transfer(height, width, round(z / Z_STEP)) for z in defocus), strict=True))
    ellipse = np.stack([shape[:, 0, 0], 2 * shape[:, 0, 1], shape[:, 1, 1]], axis=1)  # (T, 3)
    form = _form_factor(2 * np.pi * np.sqrt(np.maximum(ellipse @ squares, 0)), hollow).reshape(even.shape)
    volume = 4 / 3 * np.pi * np.sqrt(np.linalg.det(shape))
    relief = optics.oblique[0] * fx + optics.oblique[1] * fy[:, None]
    shift_x = np.exp(-2j * np.pi * fx * (centre[:, :1] + width // 2)) * np.sinc(fx * optics.blur)
    shift_y = np.exp(-2j * np.pi * fy * (centre[:, 1:] + height // 2))
    strength = (optics.gain * volume)[:, None, None] * form
    return (strength * (even + 1j * odd * relief)) * (shift_y[:, :, None] * shift_x[:, None, :])


def from_spectrum(spectra: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Patches (T, H, W) float32 from the transforms that `spectrum` gives."""
    height, width = padded(size)
    full = fft.irfft2(spectra, s=(height, width), axes=(1, 2), workers=1)
    top, left = height // 2 - size[0] // 2, width // 2 - size[1] // 2
    return full[:, top : top + size[0], left : left + size[1]].astype(np.float32)


def padded(size: tuple[int, int]) -> tuple[int, int]:
    """Size of the Fourier grid of a patch: (H, W) and its margins, rounded up to a fast length."""
    return tuple(fft.next_fast_len(n + 2 * MARGIN, real=True) for n in size)


def _about_y(angle: np.ndarray) -> np.ndarray:
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], axis=1).reshape(-1, 3, 3)


def _about_z(angle: np.ndarray) -> np.ndarray:
    cos, sin, zero, one = np.cos(angle), np.sin(angle), np.zeros_like(angle), np.ones_like(angle)
    return np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=1).reshape(-1, 3, 3)


@lru_cache(maxsize=8)
def _frequencies(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies in cycles/px along y (H,) and x (W/2+1,), and their products xx, xy, yy (3, H (W/2+1))."""
    fy, fx = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    y, x = np.meshgrid(fy, fx, indexing="ij")
    return fy, fx, np.stack([x * x, x * y, y * y]).reshape(3, -1)


@lru_cache(maxsize=4096)
def _transfer(height: int, width: int, z_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd part of the transfer function of a weak phase object at a defocus of z_steps * Z_STEP um.

    The even part is 2 phase sin(pi lambda z f^2) - absorption cos(pi lambda z f^2); the odd part is what tilted light
    adds for each cycle/px. Both are damped by the condenser's cone, by the bandwidth of the light and by the pixel.
    """
    fy, fx, squares = _frequencies(height, width)
    f2 = (squares[0] + squares[2]).reshape(height, len(fx)) / PX_UM**2  # 1/um^2
    z = z_steps * Z_STEP
    spread = 0.5 * (np.pi * CONE * z) ** 2 * f2 + 0.5 * (np.pi * BANDWIDTH * z * f2) ** 2
    damping = np.exp(-spread) * np.sinc(fy)[:, None] * np.sinc(fx)
    chirp = np.pi * WAVELENGTH * z * f2
    even = (2 * PHASE * np.sin(chirp) - ABSORPTION * np.cos(chirp)) * damping
    return even, 2 * PHASE * np.cos(chirp) * damping


def _form_factor(k: np.ndarray, hollow: float) -> np.ndarray:
    """Transform of a hollow ellipsoid of volume 1 before the hollow, by linear interpolation in a table."""
    full, inner = _form_tables()
    table = full - hollow * HOLLOW**3 * inner
    position = np.minimum(k / K_STEP, len(table) - 2)
    below = position.astype(np.intp)
    return table[below] + (position - below) * np.diff(table)[below]


@lru_cache(maxsize=1)
def _form_tables() -> tuple[np.ndarray, np.ndarray]:
    """3 (sin k - k cos k) / k^3 at k and at HOLLOW * k, from 0 to K_MAX."""
    k = np.arange(0, K_MAX, K_STEP)
    return _ball(k), _ball(HOLLOW * k)


def _ball(k: np.ndarray) -> np.ndarray:
    safe = np.where(k < 0.05, 1.0, k)
    return np.where(k < 0.05, 1 - k**2 / 10, 3 * (np.sin(safe) - safe * np.cos(safe)) / safe**3)
