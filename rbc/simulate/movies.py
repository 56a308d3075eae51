"""Simulated movies with ground truth: cells drawn from physics, or sequences composited as sprites.

Every movie made here is simulated: it tests the tracking, it shows no patient.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import tifffile
from numba import njit
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from rbc import RbcError
from rbc.files import whole_folder, write_table
from rbc.paper import FRAME_PX, PX_UM
from rbc.sequences import Sequences
from rbc.simulate.cells import PHYSICS, ROLLING
from rbc.simulate.centring import REACH, off_centre
from rbc.simulate.motion import FPS, SHEAR, jeffery, jeffery_period, spheroid, tank_treading
from rbc.simulate.optics import Optics, render

CODECS = {"ffv1": ("ffv1", "gray"), "raw": ("rawvideo", "gray"), "raw24": ("rawvideo", "bgr24")}
#: What the folder of a simulated movie holds, its marker first.
MOVIE_FILES = ("truth.parquet", "movie.avi", "meta.json")
#: px a cell is drawn on, by the largest defocus (um) it is meant for
PATCH = {15.0: 47, np.inf: 79}
BLOCK = 16  #: frames of one cell drawn at once
#: What a `Scene` needs for its cells to be as large and as sharp as those that the shipped models
#: know: a radius of 4 um, and most of them near the focus: stage 1 discards the others.
#: `rbc simulate video` draws such movies. The defaults of `Scene` spread cells over all depths, to
#: test the tracking.
FAMILIAR = {"radius_px": 6.7, "depths_um": (50.0, 85.0)}
TRUTH = (
    "cell",
    "frame",
    "x_px",
    "y_px",
    "speed_px",
    "depth_um",
    "defocus_um",
    "motion",
    "contrast",
)


@dataclass(frozen=True)
class Scene:
    """A simulated movie.

    Optics and flow as in the paper (field.md of the project gives the sources).
    """

    frames: int = 300
    shape: tuple[int, int] = (1096, 1376)  #: height, width in px
    cells: float = 50.0  #: moving cells whose centre is in a frame, on average
    seed: int = 0
    frame_rate: float = FPS  #: 1/s
    um_per_px: float = PX_UM
    shear_rate: float = SHEAR  #: 1/s
    channel_um: float = 1000.0  #: height H of the channel; speed u(z) = g z (1 - z/H)
    exposure: float = 0.0022  #: s; a cell is blurred by speed x exposure
    focus_um: float = 60.0  #: height of the focus above the wall
    depths_um: tuple[float, float] = (10.0, 115.0)  #: cells are uniform between these heights
    flipping: float = 0.3  #: share of cells that flip, on Jeffery orbits; the others tank-tread
    rolling: float = 0.0  #: share of cells that roll, taken from those that would tank-tread
    #: cells on the glass: half of them from the start, the others arrive in the course of the movie
    stuck: int = 3
    flicker: float = 0.01  #: sd of the lamp's gain
    noise: float = 2.2  #: sd in grey levels
    grey: float = 115.0  #: background
    contrast: float = 0.7  #: of the cells, against `Optics`
    radius_px: float = 6.0  #: mean radius of a cell
    #: grey levels that the light falls, from +uneven at the left to -uneven at the right
    uneven: float = 0.0
    vignette: float = 0.0  #: share of the light that is lost in the corners
    drift: float = 0.0  #: share by which the lamp grows brighter over the movie
    ramp: float = 1.0  #: speed at the end over speed at the start, the same for all cells
    pulse: float = 0.0  #: share by which the speed of all cells swings
    pulse_hz: float = 4.0  #: of these swings
    #: share of frames that the camera lost; the movie goes on as if nothing were missing
    dropped: float = 0.0
    tilt: float = 0.0  #: degrees by which the cells move downwards

    def clock(self) -> np.ndarray:
        """How long the cells have moved by each frame, in frames at the steady speed: (frames,)
        float64.

        0, 1, 2 ... in a steady flow. Cells move faster where it grows faster; a lost frame makes a
        step of two.
        """
        rng = np.random.default_rng([self.seed, 1])  # apart from the cells, which stay the same
        # Time goes on over a lost frame; only the frames that were kept are shown.
        lost = rng.random(self.frames) < self.dropped
        shown = np.arange(self.frames) + np.cumsum(lost)
        n = int(shown[-1]) + 1
        pace = np.linspace(1.0, self.ramp, n)
        pace *= 1 + self.pulse * np.sin(2 * np.pi * self.pulse_hz * np.arange(n) / self.frame_rate)
        return np.concatenate([[0.0], np.cumsum(pace[1:])])[shown]

    def fall(self, x: np.ndarray) -> np.ndarray:
        """How far below its place in the middle of the picture a cell at x (px) is, by the tilt:
        px.
        """
        return np.tan(np.radians(self.tilt)) * (x - self.shape[1] / 2)

    def speed(self, depth_um: np.ndarray) -> np.ndarray:
        """Steady speed in px/frame at a height above the wall."""
        # The parabola of flow between two walls, with the shear rate at the lower one.
        um_per_s = self.shear_rate * depth_um * (1 - depth_um / self.channel_um)
        return um_per_s / self.um_per_px / self.frame_rate


def physics(scene: Scene) -> tuple[Iterator[np.ndarray], pd.DataFrame]:
    """Frames ((H, W) uint8, made as they are asked for) and the truth of a movie of moving cells.

    The truth has one row for each cell and frame with the cell's centre in the picture: cell,
    frame, x_px, y_px, speed_px (per frame), depth_um, defocus_um, motion (tank-treading, flipping,
    rolling or stuck) and contrast (rms in grey levels over the central 11 x 11 px; below the noise
    nobody sees the cell). Same seed, same bits. Raises `RbcError` where more cells should flip and
    roll than there are.
    """
    if min(scene.flipping, scene.rolling) < 0 or scene.flipping + scene.rolling > 1:
        shares = f"flipping {scene.flipping:g} and rolling {scene.rolling:g}"
        raise RbcError(
            f"{shares} are no shares of the cells: choose 0 or more, and 1 at most together"
        )
    rng = np.random.default_rng(scene.seed)
    cells = pd.concat([_moving(scene, rng), _stuck(scene, rng)], ignore_index=True)
    drawn = [_Cell(scene, row, [scene.seed, i]) for i, row in enumerate(cells.itertuples())]
    return _compose(scene, drawn, rng), _truth(scene, drawn)


def _moving(scene: Scene, rng: np.random.Generator) -> pd.DataFrame:
    """Cells uniform in space and time: the faster ones pass in greater number."""
    width, margin = scene.shape[1], 40.0
    # A fast cell enters from further away: in proportion to that more of them pass.
    grid = np.linspace(*scene.depths_um, 1001)
    duration = scene.clock()[-1] + 1  # frames at the steady speed
    paths = width + 2 * margin + scene.speed(grid) * duration  # where a cell may start, px
    n = round(scene.cells * paths.mean() / width)
    depth = np.interp(rng.random(n), np.cumsum(paths) / paths.sum(), grid)
    speed = scene.speed(depth)
    start = width + margin - rng.random(n) * (width + 2 * margin + speed * duration)
    motion = _motions(scene, rng.random(n))
    y = rng.uniform(-10, scene.shape[0] + 10, n)
    return pd.DataFrame(
        {"x": start, "y": y, "speed": speed, "depth": depth, "motion": motion, "first": 0}
    )


def _motions(scene: Scene, dice: np.ndarray) -> np.ndarray:
    """What each cell does, by a number between 0 and 1 of its own: (n,) str."""
    wheels = dice < scene.flipping + scene.rolling
    return np.where(dice < scene.flipping, "flipping", np.where(wheels, ROLLING, "tank-treading"))


def _stuck(scene: Scene, rng: np.random.Generator) -> pd.DataFrame:
    x, y = (
        rng.uniform(20, scene.shape[1] - 20, scene.stuck),
        rng.uniform(20, scene.shape[0] - 20, scene.stuck),
    )
    first = np.where(np.arange(scene.stuck) % 2, scene.frames // 2, 0)
    # visible, as if the glass were within focus
    depth = np.full(scene.stuck, scene.focus_um - 12.0)
    return pd.DataFrame(
        {"x": x, "y": y, "speed": 0.0, "depth": depth, "motion": "stuck", "first": first}
    )


class _Cell:
    """One cell's path, and its pictures drawn a block of frames at a time."""

    def __init__(self, scene: Scene, row: Any, seed: list[int]) -> None:
        rng = np.random.default_rng(seed)
        self.row, self.defocus = row, row.depth - scene.focus_um
        self.size = next(px for limit, px in PATCH.items() if abs(self.defocus) <= limit)
        t = np.arange(row.first, scene.frames)
        x = row.x + row.speed * scene.clock()[row.first :]
        near = (x > -self.size / 2) & (x < scene.shape[1] + self.size / 2)
        self.frames, self.x = t[near], x[near]
        self.y = row.y + (scene.fall(self.x) if row.speed else np.zeros(len(self.x)))
        gain = scene.contrast * Optics.gain
        blur = row.speed * scene.exposure * scene.frame_rate
        self.optics = Optics(gain=gain, oblique=(0.0, 0.0), blur=blur)
        self.shapes = _shapes(row.motion, len(self.frames), scene, rng)
        self.block, self.patches = -1, np.zeros((0, 0, 0), np.float32)

    def patch(self, i: int) -> tuple[np.ndarray, int, int]:
        """Contrast (size, size) float32 in the i-th of its frames, and the left and top pixel where
        it belongs.
        """
        if i // BLOCK != self.block:
            self.block = i // BLOCK
            part = slice(self.block * BLOCK, (self.block + 1) * BLOCK)
            self.patches = self.draw(self.x[part], self.y[part], self.shapes[part])
        # A block of frames is drawn at once, as frames are asked for in order.
        half = self.size // 2
        return self.patches[i % BLOCK], round(self.x[i]) - half, round(self.y[i]) - half

    def draw(self, x: np.ndarray, y: np.ndarray, shapes: np.ndarray) -> np.ndarray:
        """Pictures (T, size, size) at sub-pixel positions `x` and `y` (T,)."""
        # The whole pixels are left to the pasting; only the rest is drawn.
        centre = np.stack([x - np.round(x), y - np.round(y)], axis=1)
        return render(
            shapes, centre, np.full(len(x), self.defocus), self.optics, (self.size, self.size)
        )

    def contrast(self) -> float:
        """Root mean square over the central 11 x 11 px, mean of a few of its frames."""
        if not len(self.frames):
            return 0.0
        some = np.linspace(0, len(self.frames) - 1, 5).astype(int)
        mid = slice(self.size // 2 - 5, self.size // 2 + 6)
        return float(
            np.sqrt(
                np.square(
                    self.draw(self.x[some], self.y[some], self.shapes[some])[:, mid, mid]
                ).mean()
            )
        )


def _shapes(motion: str, n: int, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Shape matrices (n, 3, 3) of one cell; stuck ones stay as they are."""
    radius = rng.normal(scene.radius_px, 0.4)
    if motion in ("flipping", ROLLING):
        ratio = rng.uniform(0.25, 0.45)
        period = jeffery_period(ratio, scene.shear_rate, scene.frame_rate)
        flips = motion == "flipping"
        constant = np.exp(rng.normal(np.log(1.8), 0.4)) if flips else rng.normal(0, 0.1)
        axis = jeffery(n, ratio, constant, rng.random(), period)
        return spheroid(axis, radius, radius * ratio)
    axes = (radius, radius * (1 - abs(rng.normal(0, 0.12))), radius * 0.4)
    swing = 0.0 if motion == "stuck" else 0.05
    heading = rng.uniform(-0.3, 0.3)
    # A membrane goes round in proportion to the shear: the frames of a swing are given for the
    # paper's rates.
    pace = SHEAR / scene.shear_rate * scene.frame_rate / FPS
    period = rng.uniform(40, 90) * pace
    return tank_treading(n, axes, heading, swing, swing / 2, period, rng.random())


def _truth(scene: Scene, cells: list[_Cell]) -> pd.DataFrame:
    height, width = scene.shape
    tables = []
    for i, cell in enumerate(cells):
        inside = (
            (cell.x > -0.5) & (cell.x < width - 0.5) & (cell.y > -0.5) & (cell.y < height - 0.5)
        )
        if inside.any():
            row = cell.row
            place = cell.frames[inside], cell.x[inside], cell.y[inside]
            values = (i, *place, row.speed, row.depth, cell.defocus, row.motion)
            tables.append(pd.DataFrame(dict(zip(TRUTH, (*values, cell.contrast()), strict=True))))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(TRUTH))
    return table.sort_values(["frame", "cell"], ignore_index=True)


def _compose(scene: Scene, cells: list[_Cell], rng: np.random.Generator) -> Iterator[np.ndarray]:
    background, bank = _background(scene, rng), _noise(scene, rng)
    gains = _lamp(scene, scene.frames, rng)
    offsets = rng.integers(0, 128, (scene.frames, 2))
    by_frame: list[list[tuple[_Cell, int]]] = [[] for _ in range(scene.frames)]
    for cell in cells:
        for i, frame in enumerate(cell.frames):
            by_frame[frame].append((cell, i))
    for t in range(scene.frames):
        picture = background * np.float32(gains[t])
        for cell, i in by_frame[t]:
            _add(picture, *cell.patch(i))
        # What is done is let go, so that memory holds a block of each cell in view.
        by_frame[t] = []
        yield _expose(picture, bank, *offsets[t])


def _lamp(scene: Scene, n: int, rng: np.random.Generator) -> np.ndarray:
    """Brightness of the lamp in each of `n` frames, 1 on average: flicker and drift.

    (n,) float64.
    """
    return 1 + scene.flicker * rng.standard_normal(n) + scene.drift * np.linspace(-0.5, 0.5, n)


def _background(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """The picture without cells, before noise: uneven light and specks of dirt. (H, W) float32."""
    height, width = scene.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = scene.grey * (1 + 0.06 * (x / width - 0.5) - 0.05 * (y / height - 0.5) ** 2)
    light += scene.uneven * (1 - 2 * x / width)
    # squared distance: 2 in the corners
    corner = (2 * x / width - 1) ** 2 + (2 * y / height - 1) ** 2
    light *= 1 - scene.vignette * corner / 2
    specks = np.zeros_like(light)
    for cx, cy in zip(rng.uniform(0, width, 12), rng.uniform(0, height, 12), strict=True):
        specks += 15 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18)
    return (light - specks).astype(np.float32)


def _noise(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """A field of noise larger than a frame; every frame takes its own random window of it."""
    shape = (scene.shape[0] + 128, scene.shape[1] + 128)
    return (scene.noise * rng.standard_normal(shape, dtype=np.float32)).astype(np.float32)


def _add(picture: np.ndarray, patch: np.ndarray, left: int, top: int) -> None:
    """Add a patch to the picture where they overlap, in place."""
    height, width = picture.shape
    y0, y1 = max(top, 0), min(top + patch.shape[0], height)
    x0, x1 = max(left, 0), min(left + patch.shape[1], width)
    if y0 < y1 and x0 < x1:
        picture[y0:y1, x0:x1] += patch[y0 - top : y1 - top, x0 - left : x1 - left]


@njit(cache=True, nogil=True)
def _expose(picture: np.ndarray, bank: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Add a window of the noise and round to grey levels: (H, W) uint8."""
    out = np.empty(picture.shape, np.uint8)
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            level = np.float32(picture[i, j] + bank[i + dy, j + dx] + np.float32(0.5))
            out[i, j] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))
    return out


# --- sprites ---


def sprites(sequences: Sequences, scene: Scene) -> tuple[Iterator[np.ndarray], pd.DataFrame]:
    """Frames and truth of a movie on which every one of `sequences` is composited once, at
    whole-pixel positions.

    Each cell crosses the field, left to right, in as many frames as its sequence has: so a short
    sequence is of a fast cell, as in the paper, whose sequences last while a cell is in the field.
    The movie goes on until all have passed with `scene.cells` in a frame on average. Light, lamp,
    tilt and what the flow does in time are those of `scene`. Where the authors' crop is not centred
    on its cell (it jumps to a joint centre while two cells touch), the sprite is shifted by
    `off_centre`. A sprite keeps its own noise; 2 px of its border fade into the movie's.

    Parameters
    ----------
    sequences : frames (n, 31, 31) uint8
    scene : its frames, depths, flipping, stuck and contrast are not used

    Returns
    -------
    The frames, (H, W) uint8 as they are asked for, and the truth of `physics` (motion: its label;
    depth, defocus and contrast unknown) with the name of the sequence, the sprite's frame in it
    (step) and the pixel its middle is pasted on (sprite_x, sprite_y).
    """
    rng = np.random.default_rng(scene.seed)
    lengths = sequences.index["length"].to_numpy()
    # So long that so many are in a frame on average.
    duration = max(int(lengths.sum() / scene.cells), int(lengths.max()) + 2)
    scene = replace(scene, frames=duration)
    truth = _sprite_truth(sequences, scene, _plan(lengths, scene, rng))
    return _paste(sequences, scene, truth, rng), truth


def _plan(lengths: np.ndarray, scene: Scene, rng: np.random.Generator) -> pd.DataFrame:
    """When, where and how fast each sequence passes."""
    height, width = scene.shape
    edge = FRAME_PX // 2 + REACH  # the cell's own margin: a sprite may lie REACH px off its cell
    first = rng.integers(0, np.maximum(scene.frames - lengths, 1))
    clock = scene.clock()
    # The speed at which a cell crosses the field in exactly its own frames.
    time = clock[first + lengths - 1] - clock[first]
    speed = (width - 2 * edge - 1) / np.maximum(time, 1)
    fall = abs(scene.fall(0.0))  # a tilted path stays in the picture
    y = rng.integers(edge + int(fall), height - edge - int(fall), len(lengths))
    return pd.DataFrame(
        {"x": float(edge), "y": y, "speed": speed, "first": first, "length": lengths}
    )


def _sprite_truth(sequences: Sequences, scene: Scene, plan: pd.DataFrame) -> pd.DataFrame:
    """Where each sprite and its cell are in each frame, as `sprites` returns it."""
    clock, tables = scene.clock(), []
    for i, row in enumerate(plan.itertuples()):
        step = np.arange(row.length)
        off = off_centre(sequences[i])
        exact = row.x + row.speed * (clock[row.first + step] - clock[row.first])
        x = np.clip(np.round(exact - off[:, 0]), FRAME_PX // 2, scene.shape[1] - 1 - FRAME_PX // 2)
        y = np.round(row.y + scene.fall(exact)) - off[:, 1]
        label = sequences.index["label"].iat[i]
        known = (
            i,
            row.first + step,
            x + off[:, 0],
            y + off[:, 1],
            row.speed,
            np.nan,
            np.nan,
            label,
            np.nan,
        )
        table = pd.DataFrame(dict(zip(TRUTH, known, strict=True)))
        tables.append(
            table.assign(name=sequences.index["name"].iat[i], step=step, sprite_x=x, sprite_y=y)
        )
    return pd.concat(tables, ignore_index=True).sort_values(["frame", "cell"], ignore_index=True)


def _paste(
    sequences: Sequences, scene: Scene, truth: pd.DataFrame, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    background, bank = _background(scene, rng), _noise(scene, rng)
    lamp = _lamp(scene, scene.frames, rng).astype(np.float32)
    fade = np.minimum(
        1, (1 + np.minimum(np.arange(FRAME_PX), np.arange(FRAME_PX)[::-1])) / 3
    ).astype(np.float32)
    window = fade[:, None] * fade
    empty, half = truth.iloc[:0], FRAME_PX // 2
    by_frame = dict(tuple(truth.groupby("frame")))
    for t in range(int(truth["frame"].max()) + 1):
        dy, dx = rng.integers(0, 128, 2)
        noise = bank[dy : dy + background.shape[0], dx : dx + background.shape[1]]
        picture = background * lamp[t] + noise
        bare = np.ones(background.shape, bool)  # where the movie's own noise still is
        for row in by_frame.get(t, empty).itertuples():
            own = sequences[row.cell][row.step].astype(np.float32)
            left, top = round(row.sprite_x) - half, round(row.sprite_y) - half
            here = (slice(top, top + FRAME_PX), slice(left, left + FRAME_PX))
            # The sprite brings its own noise, so the movie's is taken away beneath it, once.
            contrast = (own - np.median(sequences[row.cell])) * lamp[t]
            picture[here] += window * (contrast - noise[here] * bare[here])
            bare[here] = False
        yield np.clip(np.round(picture), 0, 255).astype(np.uint8)


# --- writing ---


def write(path: Path, frames: Iterable[np.ndarray], frame_rate: float, codec: str = "ffv1") -> int:
    """Write grey frames: a TIFF stack by its suffix, else a video.

    The file says that it is simulated, and so will the sequences tracked from it.

    Parameters
    ----------
    path : where
    frames : (H, W) uint8 each
    frame_rate : 1/s
    codec : ffv1 (lossless, small), raw (8 bit) or raw24 (the paper's 24 bit); all keep every bit

    Returns
    -------
    How many frames
    """
    path = Path(path)
    if path.suffix.lower() in (".tif", ".tiff"):
        return _write_tiff(path, frames, frame_rate)
    if codec not in CODECS:
        raise RbcError(f"{path}: no codec {codec!r}; there are {', '.join(CODECS)}")
    name, pixels = CODECS[codec]
    n = 0
    with av.open(str(path), "w") as box:
        box.metadata["comment"] = "simulated"
        for n, frame in enumerate(frames, 1):
            if n == 1:
                stream = box.add_stream(name, rate=Fraction(frame_rate).limit_denominator(1001))
                stream.height, stream.width, stream.pix_fmt = *frame.shape, pixels
                stream.codec_context.options = (
                    {"level": "3", "slicecrc": "1", "g": "1"} if name == "ffv1" else {}
                )
            picture = np.repeat(frame[..., None], 3, axis=2) if pixels == "bgr24" else frame
            box.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format=pixels)))
        if n:
            box.mux(stream.encode(None))
    return n


def _write_tiff(path: Path, frames: Iterable[np.ndarray], frame_rate: float) -> int:
    n = 0
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for frame in frames:
            tif.write(frame, contiguous=True, metadata={"fps": frame_rate, "simulated": True})
            n += 1
    return n


def simulate_movie(
    out: Path,
    scene: Scene,
    sequences: Sequences | None = None,
    codec: str = "ffv1",
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write a folder with movie.avi, truth.parquet and meta.json, whole or not at all.

    Parameters
    ----------
    out : the folder
    scene : what is filmed
    sequences : are composited where given; else cells are drawn from physics
    codec : as of `write`
    progress : is called with the number of frames done

    Returns
    -------
    The folder's path
    """
    frames, truth = physics(scene) if sequences is None else sprites(sequences, scene)
    with whole_folder(Path(out), MOVIE_FILES) as part:
        n = write(part / "movie.avi", _counted(frames, progress), scene.frame_rate, codec)
        write_table(truth, part / "truth.parquet")
        kind = "physics" if sequences is None else "sprites"
        meta = {"simulated": True, "kind": kind, "physics": PHYSICS}
        meta |= {**asdict(scene), "frames": n}
        (part / "meta.json").write_text(
            json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
    return Path(out)


def _counted(
    frames: Iterator[np.ndarray], progress: Callable[[int], None] | None
) -> Iterator[np.ndarray]:
    for n, frame in enumerate(frames, 1):
        yield frame
        if progress:
            progress(n)


# --- score ---


def score(
    tracks: pd.DataFrame, truth: pd.DataFrame, shape: tuple[int, int], visible: float = 4.4
) -> dict[str, float]:
    """How well tracks agree with the truth of a movie.

    In every frame tracks and cells are paired one to one at the least total distance, at most 5 px.
    A link joins two successive frames of one cell. Recall: share of the links of moving cells whose
    crop lies in the picture and whose contrast is at least `visible` that one track holds.
    Precision: share of the links of tracks with both ends on the same cell, faint ones included.

    Parameters
    ----------
    tracks : columns track, frame, x_px, y_px
    truth : the movie's truth.parquet
    shape : H, W of the movie, px
    visible : contrast, grey levels rms; twice the noise

    Returns
    -------
    Recall and precision; also switches (a track that changes its cell), fragments (tracks beyond
    the first of a cell) and the position error (px, rms of the distance and along each axis) of
    cells within 10 um of the focus
    """
    truth = truth[truth["motion"] != "stuck"]
    # Stuck cells move nowhere: finding them is neither right nor wrong.
    paired = pair(tracks, truth)
    seen = tracks.assign(cell=paired).sort_values(["track", "frame"])
    after = seen.shift(-1)
    linked = (after["track"] == seen["track"]) & (after["frame"] == seen["frame"] + 1)
    right = linked & (seen["cell"] >= 0) & (after["cell"] == seen["cell"])
    # A link is right where both ends of it lie on the same cell.
    held = set(zip(seen["cell"][right], seen["frame"][right], strict=True))
    wanted = _links(truth, shape, visible)
    on = seen[seen["cell"] >= 0]
    same = on["track"].shift() == on["track"]
    errors = on.merge(truth, on=["cell", "frame"], suffixes=("", "_true"))
    errors = errors[errors["defocus_um"].abs() <= 10]
    dx, dy = errors["x_px"] - errors["x_px_true"], errors["y_px"] - errors["y_px_true"]
    return {
        "links": len(wanted),
        "recall": sum(link in held for link in wanted) / max(len(wanted), 1),
        "precision": float(right.sum() / max(linked.sum(), 1)),
        "switches": int((same & (on["cell"].shift() != on["cell"])).sum()),
        "fragments": int(on.drop_duplicates(["track", "cell"])["cell"].duplicated().sum()),
        "rms_px": float(np.sqrt((dx**2 + dy**2).mean())),
        "rms_x_px": float(np.sqrt((dx**2).mean())),
        "rms_y_px": float(np.sqrt((dy**2).mean())),
    }


def _links(truth: pd.DataFrame, shape: tuple[int, int], visible: float) -> list[tuple[int, int]]:
    """(cell, frame) of the links that a tracker should find."""
    half = FRAME_PX // 2
    fits = truth["x_px"].between(half, shape[1] - 1 - half) & truth["y_px"].between(
        half, shape[0] - 1 - half
    )
    seen = truth[fits & ~(truth["contrast"] < visible)].sort_values(["cell", "frame"])
    after = seen.shift(-1)
    linked = (after["cell"] == seen["cell"]) & (after["frame"] == seen["frame"] + 1)
    return list(zip(seen["cell"][linked], seen["frame"][linked], strict=True))


def motions(tracks: pd.DataFrame, truth: pd.DataFrame) -> dict[str, str]:
    """What the cell of each sequence does, as an operator who knows the simulation would label it.

    Parameters
    ----------
    tracks : table of `rbc.tracking.track`, columns name, frame, x_px, y_px
    truth : the movie's truth.parquet

    Returns
    -------
    Motion by name of the sequence; a sequence that follows no cell is not in it
    """
    followed = tracks.assign(cell=pair(tracks, truth))
    followed = followed[followed["cell"] >= 0]
    cell = followed.groupby("name")["cell"].agg(lambda cells: cells.mode().iat[0])
    motion = truth.drop_duplicates("cell").set_index("cell")["motion"]
    return cell.map(motion).to_dict()


def pair(tracks: pd.DataFrame, truth: pd.DataFrame, reach: float = 5.0) -> np.ndarray:
    """Which cell each row of a table of tracks is.

    Parameters
    ----------
    tracks, truth : as of `score`
    reach : largest distance of a pair, px

    Returns
    -------
    (n,) int64, -1 for none
    """
    cells = np.full(len(tracks), -1, np.int64)
    rows, there = tracks.groupby("frame").indices, dict(tuple(truth.groupby("frame")))
    xy = tracks[["x_px", "y_px"]].to_numpy()
    for frame, own in rows.items():
        if frame in there:
            other = there[frame]
            distance = cdist(xy[own], other[["x_px", "y_px"]].to_numpy())
            # Beyond reach all are alike far, so that one lost cell does not push the others
            # apart.
            i, j = linear_sum_assignment(np.minimum(distance, 2 * reach))
            near = distance[i, j] <= reach
            cells[own[i[near]]] = other["cell"].to_numpy()[j[near]]
    return cells
