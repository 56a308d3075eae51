"""Simulated red cells: labelled sequences with ground truth, from the physics of the flow and of the microscope.

A cell is an ellipsoid with a hollow centre, given by one 3 x 3 shape matrix a frame. It turns as in Jeffery (1922),
flipping or rolling, or tank-treads as in Keller & Skalak (1982), and is imaged as a weak phase object through a
defocused, partially coherent bright-field transfer function. Axes: x is the flow, whose speed grows along z; y is the
vorticity; z is the gradient of the shear and the line of sight ("Microfluidics and microscopy" of the paper).
Intruding cells pass and pull the crop, as they do in the authors' tracks. No pixel here comes from a real cell; ranges
were set by eye and by the statistics of real ones.

The shear rate is the one that the paper sets at the wall, at every depth: it calls the place "of constant shear rate".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import fft
from tqdm import tqdm

from rbc import RbcError, __version__
from rbc.paper import FRAME_PX, LABELS, SPLITS
from rbc.sequences import UNLABELLED, Sequences, from_list

PX_UM = 0.6  #: size of a pixel, um (830 um / 1376 px)
#: What each change of the physics brought, by its number. Kept results of a lower number rest on other cells.
CHANGES = {
    2: "flipping cells turn with the period that their shape and the shear rate set, where it was drawn at random"
    " before; light has its wavelength in the liquid, where it had that in air",
}
PHYSICS = max(CHANGES)
SHEAR = 10.0  #: shear rate, 1/s
FPS = 60.0  #: frames a second
WAVELENGTH = 0.55  #: um in air, green; its spread is BANDWIDTH
BANDWIDTH = 0.06  #: um in air, sd
#: Refractive index of the liquid, 9 % dextran ("Dextran solution"). Nobody measured it for us; it is the sum of
#: water at 0.55 um (1.335, Daimon & Masumura, Appl. Opt. 46:3811, 2007), dextran (0.093 g/mL at some 0.15 mL/g: 0.014)
#: and salts and glucose (0.002).
LIQUID = 1.35
CONE = 0.12  #: numerical aperture of the condenser
PHASE = 0.34  #: rad for each px of path through a cell: 2 pi 0.05 (index step) 0.6 / 0.55
ABSORPTION = 0.004  #: relative loss for each px of path through a cell
HOLLOW = 0.55  #: size of the hollow against the size of the cell
SATURATION = 1.5  #: rad
LENS = 0.6  #: px, sd of the lens's point spread
EXPOSURE = 2.2e-3  #: s
MARGIN = 11  #: px around a patch, so that halos do not wrap round
Z_STEP = 0.1  #: um, defocus is rounded to this
K_STEP = 1 / 128  #: step of the table of form factors
K_MAX = 64.0


@dataclass(frozen=True)
class Optics:
    """What the light of an acquisition does to every cell."""

    gain: float = 118.0  #: grey levels for a relative contrast of 1
    oblique: np.ndarray | tuple[float, float] = (0.0, 0.0)  #: (2,) or (T, 2), relief by tilted light along x and y
    blur: float = 2.1  #: px a cell moves along x in one exposure


def jeffery_period(ratio: float, shear: float = SHEAR, fps: float = FPS) -> float:
    """Frames in which a rigid spheroid turns once about: (2 pi / shear rate) (r + 1/r) times the frames a second.

    Parameters
    ----------
    ratio : r, thickness over diameter
    shear : shear rate, 1/s
    fps : frames a second

    It shows its edge twice in a period. No spheroid is faster than a sphere, 4 pi / shear rate: 75.4 frames by
    default. Jeffery, Proc. R. Soc. A 102:161 (1922), equation 49.
    """
    return 2 * np.pi / shear * (ratio + 1 / ratio) * fps


def jeffery(
    n_frames: int, ratio: float, constant: float, phase: float = 0.0, period: float | None = None
) -> np.ndarray:
    """Symmetry axis of a spheroid on a Jeffery orbit: (n_frames, 3) float64 unit vectors (x, y, z).

    `ratio` is thickness over diameter, `constant` the orbit constant C (0 rolls, infinity flips), `phase` the
    fraction of a period passed at the first frame (0: seen face on, 0.25: edge on), `period` in frames (default
    `jeffery_period` of the paper's shear and frame rate).
    Jeffery, Proc. R. Soc. A 102:161 (1922), equations 48 and 49.
    """
    period = jeffery_period(ratio) if period is None else period
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

    `semi_axes` in px along its length, its width and its thickness; `heading` (rad) of its length in the picture;
    it is inclined by 18 degrees to the flow, its leading end where the flow is faster, swings by `swing` (rad) and
    breathes by `breathing` (fraction) in `period` frames.
    Inclination and swinging: Keller & Skalak 1982; Abkarian, Faivre & Viallat 2007.
    """
    turns = 2 * np.pi * (phase + np.arange(n_frames) / period)
    wave = np.sin(turns)
    tilt, turn = np.deg2rad(18) + swing * wave, heading + 0.5 * swing * np.cos(turns)
    lengths = np.tile(np.square(semi_axes), (n_frames, 1)) * np.stack(
        [1 + 2 * breathing * wave, 1 - 2 * breathing * wave, np.ones(n_frames)], axis=1
    )
    # A turn by a positive angle about y lowers the leading end; the flow stretches a cell whose leading end is up.
    rotation = _about_y(-tilt) @ _about_z(turn)
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
    """Fourier transform (T, padded H, padded W // 2 + 1) of what `render` gives; those of several cells add up.

    The projection of an ellipsoid has the closed transform V 3 (sin k - k cos k) / k^3 with k = 2 pi sqrt(f' S f), S
    its projected shape matrix, so position and blur are exact at any sub-pixel shift. Weak-phase theory makes thick
    paths too bright: the phase along the longest one is damped as p / sqrt(1 + (p / SATURATION)^2).
    """
    height, width = padded(size)
    fy, fx, squares = _frequencies(height, width)
    even, odd = (np.stack(t) for t in zip(*(_transfer(height, width, round(z / Z_STEP)) for z in defocus), strict=True))
    ellipse = np.stack([shape[:, 0, 0], 2 * shape[:, 0, 1], shape[:, 1, 1]], axis=1)  # (T, 3)
    form = _form_factor(2 * np.pi * np.sqrt(np.maximum(ellipse @ squares, 0)), hollow).reshape(even.shape)
    volume = 4 / 3 * np.pi * np.sqrt(np.linalg.det(shape))
    oblique = np.reshape(optics.oblique, (-1, 2, 1, 1))
    relief = oblique[:, 0] * fx + oblique[:, 1] * fy[:, None]  # (1 or T, H, W // 2 + 1)
    volume *= (abs(centre) < np.array([size[1], size[0]]) / 2 + MARGIN).all(axis=1)  # beyond, the grid would wrap round
    chord = 1.5 * volume / (np.pi * np.sqrt(np.linalg.det(shape[:, :2, :2])))  # px, longest path through the cell
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
    Lambda is the wavelength in the liquid: there waves are shorter, and the cone narrower, by its refractive index.
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


# --- acquisitions: patients, days and the state of the microscope ---

#: Patient, day and number of movies of each split, in the proportions of Table 2 ("Dataset"): 19, 4 and 9 acquisitions
#: of 4 patients. SD is never trained on (test patient 1); SA is in training on other days (test patient 2).
MOVIES = {
    "train": (
        ("SA", "0112", 3),
        ("SB", "0203", 4),
        ("SC", "0310", 3),
        ("SA", "0126", 3),
        ("SB", "0217", 3),
        ("SC", "0324", 3),
    ),
    "validation": (("SB", "0414", 3), ("SA", "0421", 1)),
    "test": (("SD", "0505", 4), ("SA", "0519", 2), ("SA", "0526", 3)),
}
PATIENTS = ("SA", "SB", "SC", "SD")
#: A motion that the paper names on the way from flipping to tank-treading, but has no class for.
#: Nor has this compendium: it is drawn where somebody asks for it by name, and no network learns from it.
ROLLING = "rolling"


@dataclass(frozen=True)
class Ranges:
    """What light, cells and motions vary within; px, um and frames where not said.

    The defaults were set by eye. `workflow/transfer.py` fits others to the statistics of real training strips.
    """

    gain: float = 118.0  #: grey levels for a relative contrast of 1, median of the acquisitions
    oblique: float = 1.0  #: strength of tilted light, sd over acquisitions
    relief: float = 1.0  #: a cell's own lopsidedness, sd
    relief_drift: float = 1.0  #: how much that changes over a sequence, sd
    focus: float = 6.1  #: mean height of reliable cells above the focus, um in the liquid
    focus_sd: float = 2.0  #: of the cells of an acquisition
    hollow: tuple[float, float] = (0.0, 0.8)
    jitter: float = 0.5  #: what registration leaves, sd
    crowd: tuple[float, float] = (0.04, 0.08)  #: intruders for each frame
    long: float = 0.0  #: half length of a tank-treader above its patient's mean
    flat: float = 0.22  #: how much narrower than long a tank-treader is, as a share, sd
    thick: tuple[float, float] = (0.3, 0.55)  #: a tank-treader's thickness over its length
    headings: tuple[float, ...] = (0.0, np.pi / 2)  #: where its length may point, rad from the flow
    heading_sd: float = 0.4  #: rad
    swing: float = 12.0  #: degrees at most
    breathing: float = 0.04  #: sd
    wide: float = -0.2  #: radius of a flipping cell above its patient's mean
    ratio: tuple[float, float] = (0.3, 0.7)  #: its thickness over its diameter; this sets the period of its orbit
    orbit: tuple[float, float] = (1.8, 0.6)  #: median of its orbit constant, and the sd of its logarithm
    wobble: float = 0.1  #: orbit constant of a rolling cell, sd; 0 rolls like a wheel on a straight road
    stretch: float = 0.0  #: how much longer across the flow than along it a flipping cell is, as a share, sd


@dataclass(frozen=True)
class Acquisition:
    """The state of the microscope and of the blood in one movie."""

    background: float  #: grey level
    noise: float  #: grey levels, sd of a pixel
    focus: float  #: um above the focus, where its reliable cells are
    speed: float  #: px/frame of its reliable cells
    crowd: float  #: intruders for each frame
    radius: float  #: px, mean of its patient
    optics: Optics
    ranges: Ranges = Ranges()  #: of its cells


def acquisition_names(split: str) -> list[str]:
    """Names of all acquisitions of a split, days in turn, e.g. ``SD0505_10s01``."""
    days = MOVIES[split]
    return [f"{p}{day}_10s{m:02d}" for m in range(1, 5) for p, day, movies in days if m <= movies]


@lru_cache(maxsize=256)
def acquisition(name: str, seed: int, ranges: Ranges = Ranges()) -> Acquisition:
    """The microscope of the acquisition called `name`; the same for the same seed. Raises `RbcError` if unknown."""
    split = next((s for s in SPLITS if name in acquisition_names(s)), None)
    if split is None:
        raise RbcError(f"acquisition {name!r} is not one of the simulated ones; see rbc.simulate.acquisition_names")
    number = acquisition_names(split).index(name)
    rng = np.random.default_rng([seed, 0, SPLITS.index(split), number])
    patient = np.random.default_rng([seed, 1, PATIENTS.index(name[:2])])
    speed = rng.uniform(8, 25)
    tilt, strength = rng.uniform(0, 2 * np.pi), abs(rng.normal(0, ranges.oblique))
    return Acquisition(
        background=rng.uniform(77, 149),
        noise=rng.normal(2.3, 0.2),
        focus=rng.normal(ranges.focus, 0.7),
        speed=speed,
        crowd=rng.uniform(*ranges.crowd),
        radius=patient.normal(6.0, 0.2),
        optics=Optics(
            gain=ranges.gain * rng.lognormal(0, 0.12),
            oblique=strength * np.array([np.cos(tilt), np.sin(tilt)]),
            blur=speed * EXPOSURE * FPS,
        ),
        ranges=ranges,
    )


# --- one cell's story ---


@dataclass(frozen=True)
class Story:
    """A cell over T frames, before anything comes in its way."""

    shape: np.ndarray  #: (T, 3, 3) px^2
    centre: np.ndarray  #: (T, 2) px from the centre of the crop
    defocus: np.ndarray  #: (T,) um
    hollow: float
    speed: float  #: px/frame, as it blurs
    dye: float  #: haemoglobin against the mean cell's
    relief: np.ndarray  #: (T, 2) its own lopsidedness along x and y, added to the oblique light


def sequence(label: str, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """One simulated sequence of a class, or of the motion `ROLLING`: (T, 31, 31) uint8."""
    length = _length(label, rng)
    story, crowding = _tell(label, length, scene, rng)
    pull = np.zeros((length, 2))
    others = []
    for _ in range(rng.poisson(scene.crowd * crowding * (length + 4))):
        frames, other, pulled = _intruder(length, scene, rng)
        if len(frames):
            others.append((frames, other))
            pull[frames] += pulled
    spectra = _draw(story, pull, scene)
    for frames, other in others:
        spectra[frames] += _draw(other, pull[frames], scene)
    return _expose(from_spectrum(spectra, (FRAME_PX, FRAME_PX)), scene, rng)


def _draw(story: Story, pull: np.ndarray, scene: Acquisition) -> np.ndarray:
    light = scene.optics
    optics = Optics(light.gain * story.dye, light.oblique + story.relief, story.speed * EXPOSURE * FPS)
    return spectrum(story.shape, story.centre - pull, story.defocus, optics, (FRAME_PX, FRAME_PX), story.hollow)


def _expose(contrast: np.ndarray, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """Background, flicker of the lamp, noise of the camera and 8 bits."""
    level = scene.background + rng.normal(0, 0.5) + rng.normal(0, 0.2, (len(contrast), 1, 1))
    grey = level + contrast + scene.noise * rng.standard_normal(contrast.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _length(label: str, rng: np.random.Generator) -> int:
    """Frames of a sequence. Both reliable classes share one distribution; the real medians are 32 and 33."""
    if label != "unreliable":
        return int(np.clip(np.rint(rng.lognormal(np.log(32.5), 0.33)), 11, 60))
    fate = rng.random()
    if fate < 0.08:
        return int(rng.integers(1, 11))
    if fate < 0.13:
        return int(rng.integers(60, 121))
    return int(np.clip(np.rint(rng.lognormal(np.log(29), 0.38)), 6, 60))


def _tell(label: str, length: int, scene: Acquisition, rng: np.random.Generator) -> tuple[Story, float]:
    """The cell of a sequence and how crowded its surroundings are."""
    if label == "unreliable":
        return _unreliable(length, scene, rng)
    return _reliable(label, length, scene, rng), 1.0


def _reliable(label: str, length: int, scene: Acquisition, rng: np.random.Generator) -> Story:
    r = scene.ranges
    draw = {"tank-treading": _tank_treader, "flipping": _flipper, ROLLING: _roller}[label]
    return Story(
        shape=draw(length, scene, rng),
        centre=rng.normal(0, r.jitter, (length, 2)),  # what registration leaves
        defocus=_drift(length, np.clip(rng.normal(scene.focus, r.focus_sd), 1.4, 12.0), rng),
        hollow=rng.uniform(*r.hollow),
        speed=scene.speed * rng.uniform(0.8, 1.2),
        dye=rng.lognormal(0, 0.15),
        relief=rng.normal(0, r.relief, 2) + _trend(length) * rng.normal(0, r.relief_drift, 2),
    )


def _tank_treader(length: int, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """A cell of almost constant projection that swings, breathes and turns a little."""
    r = scene.ranges
    long = rng.normal(scene.radius + r.long, 0.6)
    return tank_treading(
        length,
        (long, long * max(0.5, 1 - abs(rng.normal(0, r.flat))), long * rng.uniform(*r.thick)),
        heading=rng.choice(r.headings) + rng.normal(0, r.heading_sd),
        swing=np.deg2rad(rng.uniform(0, r.swing)),
        breathing=abs(rng.normal(0, r.breathing)),
        period=rng.uniform(20, 120),
        phase=rng.random(),
    )


def _flipper(length: int, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """A Jeffery orbit whose edge-on moment lies in the sequence or little outside: mostly a partial, slow tilt."""
    r = scene.ranges
    radius, ratio = rng.normal(scene.radius + r.wide, 0.6), rng.uniform(*r.ratio)
    period = jeffery_period(ratio)
    phase = 0.25 - rng.uniform(-0.35, 1.35) * length / period
    constant = rng.choice([-1, 1]) * rng.lognormal(np.log(r.orbit[0]), r.orbit[1])
    shape = spheroid(jeffery(length, ratio, constant, phase, period), radius, ratio * radius)
    longer = np.sqrt(1 + abs(rng.normal(0, r.stretch))) if r.stretch else 1.0
    return shape * np.outer(*[(1 / longer, longer, 1.0)] * 2)


def _roller(length: int, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """A rigid disc that rolls like a wheel: seen along the gradient an edge along the flow, almost constant."""
    r = scene.ranges
    radius, ratio = rng.normal(scene.radius + r.wide, 0.6), rng.uniform(*r.ratio)
    axis = jeffery(length, ratio, rng.normal(0, r.wobble), rng.random())
    return spheroid(axis, radius, ratio * radius)


def _drift(length: int, defocus: float, rng: np.random.Generator) -> np.ndarray:
    """Depth (length,) of a cell in um: it moves a little, smoothly."""
    return defocus + _trend(length)[:, 0] * rng.normal(0, 2.0)


def _trend(length: int) -> np.ndarray:
    """From -0.5 to 0.5 in even steps: (length, 1)."""
    return np.linspace(-0.5, 0.5, length)[:, None]


#: What makes a sequence unreliable, and how often.
UNRELIABLE = {
    "above focus": 0.46,
    "below focus": 0.16,
    "faint": 0.08,
    "crowded": 0.12,
    "jumping": 0.09,
    "cut off": 0.05,
    "empty": 0.01,
    "ordinary": 0.03,  # about 3 % of the real ones look reliable
}


def _unreliable(length: int, scene: Acquisition, rng: np.random.Generator) -> tuple[Story, float]:
    kind = rng.choice(list(UNRELIABLE), p=list(UNRELIABLE.values()))
    if kind == "jumping":
        return _jumping(length, scene, rng), 2.0
    story = _reliable(rng.choice(LABELS[:2]), length, scene, rng)
    if kind in ("above focus", "below focus", "faint"):
        return replace(story, defocus=_drift(length, _far(kind, rng), rng)), 1.5
    if kind == "cut off":
        away = rng.uniform(9, 16) * _direction(rng)
        return replace(story, centre=story.centre + away), 1.5
    if kind == "empty":
        return replace(story, dye=0.0), 1.5
    return story, 5.0 if kind == "crowded" else 1.0


def _far(kind: str, rng: np.random.Generator) -> float:
    """Defocus in um of a cell out of focus."""
    if kind == "faint":
        return rng.choice([-1, 1]) * rng.uniform(40, 75)
    if kind == "below focus":
        return -rng.uniform(3, 22)
    return min(7 + rng.gamma(3, 7), 68)


def _jumping(length: int, scene: Acquisition, rng: np.random.Generator) -> Story:
    """A track that changes to other cells, at other depths, on its way."""
    parts = [_reliable(rng.choice(LABELS[:2]), length, scene, rng) for _ in range(rng.integers(2, 5))]
    which = np.searchsorted(np.sort(rng.uniform(0, length, len(parts) - 1)), np.arange(length))
    depths = np.array([_far("above focus", rng) if rng.random() < 0.6 else rng.normal(scene.focus, 1.4) for _ in parts])
    centre = parts[0].centre + rng.normal(0, 3, (len(parts), 2))[which]
    shape = np.stack([p.shape for p in parts])[which, np.arange(length)]
    return replace(parts[0], shape=shape, centre=centre, defocus=depths[which] + rng.normal(0, 0.3, length))


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _intruder(length: int, scene: Acquisition, rng: np.random.Generator) -> tuple[np.ndarray, Story, np.ndarray]:
    """A cell at another depth that overtakes or is overtaken: its frames (M,), its story and its pull on the crop."""
    speed, passing = rng.choice([-1, 1]) * rng.uniform(4, 20), rng.uniform(-2, length + 2)
    x = speed * (np.arange(length) - passing)
    frames = np.flatnonzero(abs(x) < FRAME_PX / 2 + MARGIN)
    centre = np.stack([x[frames], np.full(len(frames), rng.uniform(-20, 20))], axis=1)
    story = _reliable(rng.choice(LABELS[:2]), len(frames), scene, rng)
    defocus = np.full(len(frames), _far(rng.choice(["above focus", "below focus", "faint"], p=[0.5, 0.25, 0.25]), rng))
    blur = max(scene.speed + speed, 1.0)
    merges, reach, share = rng.random() < 2 / 3, rng.uniform(9, 18), rng.uniform(0.3, 0.7)
    near = merges & (np.hypot(*centre.T) < reach)
    return frames, replace(story, centre=centre, defocus=defocus, speed=blur), share * centre * near[:, None]


# --- sequences with their labels ---


def plan(
    counts: Mapping[str, Mapping[str, int]], seed: int, acquisitions: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """The sequences to simulate, one row each: name, label, acquisition, patient, split and key (its own seed).

    See `sequences` for the arguments. Rows are in order of split, acquisition and track number; the latter is random.
    """
    _check(counts, seed, acquisitions or {})
    rows = [row for split in SPLITS if split in counts for row in _plan_split(split, counts[split], seed, acquisitions)]
    return pd.DataFrame(rows, columns=["name", "label", "acquisition", "patient", "split", "key"])


def strip(label: str, name: str, key: tuple[int, int, int], seed: int, ranges: Ranges = Ranges()) -> np.ndarray:
    """Frames (length, 31, 31) uint8 of one row of `plan`: its label, the name of its acquisition and its key.

    The label may also be `ROLLING`, which no plan holds.

    They depend on nothing else, so rows may be drawn in any order, in part or in parallel.
    """
    return sequence(label, acquisition(name, seed, ranges), np.random.default_rng([seed, 3, *key]))


def sequences(
    counts: Mapping[str, Mapping[str, int]],
    seed: int,
    acquisitions: Mapping[str, int] | None = None,
    progress: bool = False,
    ranges: Ranges = Ranges(),
) -> Sequences:
    """Simulated sequences with their labels, split by whole acquisitions.

    Parameters
    ----------
    counts : split -> label -> number of sequences, e.g. ``{"train": {"tank-treading": 60, "flipping": 60}}``
    seed : the same seed and counts give the same bits
    acquisitions : split -> number of acquisitions; by default 19, 4 and 9 as in Table 2, fewer where a split has
        less than six sequences for each
    progress : show a progress bar
    ranges : what cells, light and motions vary within

    Raises `RbcError` for an unknown split or label, a negative number, or more acquisitions than there are.
    """
    rows = plan(counts, seed, acquisitions)
    todo = tqdm(list(rows.itertuples()), desc="simulate", unit="sequence", disable=not progress)
    strips = [strip(row.label, row.acquisition, row.key, seed, ranges) for row in todo]
    return from_list(strips, rows, _meta(seed) | ({} if ranges == Ranges() else {"ranges": other_ranges(ranges)}))


def ranges_of(values: Mapping[str, float | Sequence[float]]) -> Ranges:
    """Ranges with some other values than the defaults. Raises `RbcError` for a name or a shape that is none."""
    known = {f.name: f.default for f in fields(Ranges)}
    for name, value in values.items():
        if name not in known:
            raise RbcError(f"data.ranges: {name} is none of {', '.join(known)}")
        if np.shape(value) != np.shape(known[name]):
            raise RbcError(f"data.ranges: {name} takes {np.size(known[name])} numbers, not {np.size(value)}")
    return Ranges(**{name: tuple(value) if np.ndim(value) else value for name, value in values.items()})


def other_ranges(ranges: Ranges) -> dict[str, float | list[float]]:
    """The values of some ranges that are other than the defaults."""
    found = {f.name: getattr(ranges, f.name) for f in fields(Ranges) if getattr(ranges, f.name) != f.default}
    return {name: list(value) if np.ndim(value) else value for name, value in found.items()}


def rolling(n: int, seed: int, ranges: Ranges = Ranges()) -> Sequences:
    """Simulated sequences of rolling cells, of which the paper's classes know nothing.

    Parameters
    ----------
    n : number of sequences
    seed : the same seed and number give the same bits
    ranges : what cells, light and motions vary within

    Their label is ``unlabelled``, as of tracked cells that nobody has judged; the meta data says
    ``"motion": "rolling"``. They are spread over the acquisitions of the simulated test split.
    Raises `RbcError` for a negative number or seed.
    """
    _check({"test": {LABELS[0]: n}}, seed, {})
    names = np.resize(acquisition_names("test"), n)
    rows = pd.DataFrame({"acquisition": names, "label": UNLABELLED, "split": "test"})
    rows["patient"] = rows["acquisition"].str[:2]
    rows["name"] = [f"{name}_{i + 1}" for i, name in enumerate(names)]
    # 4 keeps these streams apart from those of `sequences`, whose keys begin with the number of a split
    strips = [strip(ROLLING, name, (4, 0, i), seed, ranges) for i, name in enumerate(names)]
    return from_list(strips, rows, {**_meta(seed), "motion": ROLLING})


def older(physics: int, what: str) -> str:
    """A sentence for pages that show results of `what`, made with a former `physics`; empty where nothing changed.

    Example: ``older(1, "These scores")``.
    """
    since = [words for number, words in CHANGES.items() if number > physics]
    if not since:
        return ""
    return f"{what} rest on an older simulator. Since then {'; and '.join(since)}. They have not been made anew."


def _meta(seed: int) -> dict[str, str | int | bool]:
    """What every set of simulated sequences says of itself."""
    return {"source": "simulated", "simulated": True, "seed": seed, "version": __version__, "physics": PHYSICS}


def _plan_split(
    split: str, counts: Mapping[str, int], seed: int, acquisitions: Mapping[str, int] | None
) -> Iterator[tuple[str, str, str, str, str, tuple[int, int, int]]]:
    total, names = sum(counts.values()), acquisition_names(split)
    number = (acquisitions or {}).get(split, min(len(names), max(1, total // 6)))
    rng = np.random.default_rng([seed, 2, SPLITS.index(split)])
    shares = {label: _apportion(counts.get(label, 0), rng.gamma(16, size=number)) for label in LABELS}
    for a, name in enumerate(names[:number]):
        labels = rng.permutation(np.repeat(LABELS, [shares[label][a] for label in LABELS]))
        tracks = np.sort(rng.choice(np.arange(1, 4 * len(labels) + 1), len(labels), replace=False))
        for i, (label, track) in enumerate(zip(labels, tracks, strict=True)):
            yield f"{name}_{track}", str(label), name, name[:2], split, (SPLITS.index(split), a, i)


def _apportion(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers that add up to `total`, in proportion to `weights` (largest remainders)."""
    exact = total * weights / weights.sum()
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole


def _check(counts: Mapping[str, Mapping[str, int]], seed: int, acquisitions: Mapping[str, int]) -> None:
    if seed < 0:
        raise RbcError(f"seed {seed}: choose 0 or more")
    if unknown := (set(counts) | set(acquisitions)) - set(SPLITS):
        raise RbcError(f"split {min(unknown)!r} is none of {', '.join(SPLITS)}")
    for split, labels in counts.items():
        if unknown := set(labels) - set(LABELS):
            raise RbcError(f"{split}: label {min(unknown)!r} is none of {', '.join(LABELS)}")
        if min(labels.values(), default=0) < 0:
            raise RbcError(f"{split}: {min(labels.values())} sequences asked for; choose 0 or more")
    for split, number in acquisitions.items():
        if not 1 <= number <= len(acquisition_names(split)):
            raise RbcError(f"{split}: {number} acquisitions asked for; choose 1 to {len(acquisition_names(split))}")
