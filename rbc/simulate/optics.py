"""How a cell looks: a weak phase object through a defocused, partially coherent bright-field
transfer function.

The cell is an ellipsoid with a hollow centre (`rbc.simulate.motion`), whose Fourier transform is
known in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from rbc.paper import PX_UM

WAVELENGTH = 0.55  #: um in air, green; its spread is BANDWIDTH
BANDWIDTH = 0.06  #: um in air, sd
#: Refractive index of the liquid, 9 % dextran ("Dextran solution"). Nobody measured it for us; it
#: is the sum of water at 0.55 um (1.335, Daimon & Masumura, Appl. Opt. 46:3811, 2007), dextran
#: (0.093 g/mL at some 0.15 mL/g: 0.014) and salts and glucose (0.002).
LIQUID = 1.35
CONE = 0.12  #: numerical aperture of the condenser
PHASE = 0.34  #: rad for each px of path through a cell: 2 pi 0.05 (index step) 0.6 / 0.55
ABSORPTION = 0.004  #: relative loss for each px of path through a cell
HOLLOW = 0.55  #: size of the hollow against the size of the cell
SATURATION = 1.5  #: rad
LENS = 0.6  #: px, sd of the lens's point spread
MARGIN = 11  #: px around a patch, so that halos do not wrap round
Z_STEP = 0.1  #: um, defocus is rounded to this
K_STEP = 1 / 128  #: step of the table of form factors
K_MAX = 64.0


@dataclass(frozen=True)
class Optics:
    """What the light of an acquisition does to every cell."""

    gain: float = 118.0  #: grey levels for a relative contrast of 1
    #: (2,) or (T, 2), relief by tilted light along x and y
    oblique: np.ndarray | tuple[float, float] = (0.0, 0.0)
    blur: float = 2.1  #: px a cell moves along x in one exposure


def render(
    shape: np.ndarray,
    centre: np.ndarray,
    defocus: np.ndarray,
    optics: Optics,
    size: tuple[int, int],
    hollow: float = 0.5,
) -> np.ndarray:
    """T frames of one cell: (T, H, W) float32, signed contrast in grey levels against the
    background.

    Parameters
    ----------
    shape : (T, 3, 3) shape matrices in px^2, from `spheroid` or `tank_treading`
    centre : (T, 2) x and y in px, relative to the pixel (H // 2, W // 2) of the patch; sub-pixel
    defocus : (T,) um above the focus; above it the cell has a bright centre, below a dark one
    optics : the light of the acquisition
    size : (H, W) of the patch, px
    hollow : 0 for a full ellipsoid, towards 1 for a thin centre

    Background is zero. A cell whose centre lies more than MARGIN px outside the patch is not drawn.
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
    """Fourier transform (T, padded H, padded W // 2 + 1) of what `render` gives; those of several
    cells add up.

    The projection of an ellipsoid has the closed transform V 3 (sin k - k cos k) / k^3 with k = 2
    pi sqrt(f' S f), S its projected shape matrix, so position and blur are exact at any sub-pixel
    shift. Weak-phase theory makes thick paths too bright: the phase along the longest one is damped
    as p / sqrt(1 + (p / SATURATION)^2).
    """
    height, width = padded(size)
    fy, fx, squares = _frequencies(height, width)
    even, odd = (
        np.stack(t)
        for t in zip(*(_transfer(height, width, round(z / Z_STEP)) for z in defocus), strict=True)
    )
    ellipse = np.stack([shape[:, 0, 0], 2 * shape[:, 0, 1], shape[:, 1, 1]], axis=1)  # (T, 3)
    form = _form_factor(2 * np.pi * np.sqrt(np.maximum(ellipse @ squares, 0)), hollow).reshape(
        even.shape
    )
    volume = 4 / 3 * np.pi * np.sqrt(np.linalg.det(shape))
    oblique = np.reshape(optics.oblique, (-1, 2, 1, 1))
    relief = oblique[:, 0] * fx + oblique[:, 1] * fy[:, None]  # (1 or T, H, W // 2 + 1)
    # beyond, the grid would wrap round
    volume *= (abs(centre) < np.array([size[1], size[0]]) / 2 + MARGIN).all(axis=1)
    # px, longest path through the cell
    chord = 1.5 * volume / (np.pi * np.sqrt(np.linalg.det(shape[:, :2, :2])))
    form *= (optics.gain * volume / np.sqrt(1 + (PHASE * chord / SATURATION) ** 2))[:, None, None]
    shift_x = np.exp(-2j * np.pi * fx * (centre[:, :1] + width // 2)) * np.sinc(fx * optics.blur)
    shift_y = np.exp(-2j * np.pi * fy * (centre[:, 1:] + height // 2))
    spectra = shift_y[:, :, None] * shift_x[:, None, :]  # (T, H, W // 2 + 1)
    tilted = np.empty_like(spectra)
    np.multiply(form, even, out=tilted.real)
    np.multiply(form, odd * relief, out=tilted.imag)
    spectra *= tilted
    return spectra


def from_spectrum(spectra: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Patches from the transforms that `spectrum` gives.

    Parameters
    ----------
    spectra : (T, padded H, padded W // 2 + 1) complex
    size : H, W

    Returns
    -------
    (T, H, W) float32
    """
    height, width = padded(size)
    full = fft.irfft2(spectra, s=(height, width), axes=(1, 2), workers=1)
    top, left = height // 2 - size[0] // 2, width // 2 - size[1] // 2
    return full[:, top : top + size[0], left : left + size[1]].astype(np.float32)


def padded(size: tuple[int, int]) -> tuple[int, int]:
    """Size of the Fourier grid of a patch: (H, W) and its margins, rounded up to a fast length."""
    return tuple(fft.next_fast_len(n + 2 * MARGIN, real=True) for n in size)


@lru_cache(maxsize=8)
def _frequencies(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frequencies in cycles/px along y (H,) and x (W/2+1,), and their products xx, xy, yy (3, H
    (W/2+1)).
    """
    fy, fx = np.fft.fftfreq(height), np.fft.rfftfreq(width)
    y, x = np.meshgrid(fy, fx, indexing="ij")
    return fy, fx, np.stack([x * x, x * y, y * y]).reshape(3, -1)


@lru_cache(maxsize=4096)
def _transfer(height: int, width: int, z_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd part of the transfer function of a weak phase object at a defocus of z_steps *
    Z_STEP um.

    The even part is 2 phase sin(pi lambda z f^2) - absorption cos(pi lambda z f^2); the odd part is
    what tilted light adds for each cycle/px. Both are damped by the condenser's cone, by the
    bandwidth of the light and by the pixel. Lambda is the wavelength in the liquid: there waves are
    shorter, and the cone narrower, by its refractive index.
    """
    fy, fx, squares = _frequencies(height, width)
    f2 = (squares[0] + squares[2]).reshape(height, len(fx)) / PX_UM**2  # 1/um^2
    z = z_steps * Z_STEP / LIQUID  # the depth in air that does the same to the light
    spread = 0.5 * (np.pi * CONE * z) ** 2 * f2 + 0.5 * (np.pi * BANDWIDTH * z * f2) ** 2
    lens = 2 * (np.pi * LENS * PX_UM) ** 2 * f2
    damping = np.exp(-spread - lens) * np.sinc(fy)[:, None] * np.sinc(fx)
    chirp = np.pi * WAVELENGTH * z * f2
    even = (2 * PHASE * np.sin(chirp) - ABSORPTION * np.cos(chirp)) * damping
    return even, 2 * PHASE * np.cos(chirp) * damping


def _form_factor(k: np.ndarray, hollow: float) -> np.ndarray:
    """Transform of a hollow ellipsoid of volume 1 before the hollow, by linear interpolation in a
    table.
    """
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
