"""From video to sequences: the detections of `rbc.detection` are linked, registered and cut out.

The steps are those of the paper ("Trajectories extraction"): objects move only left to right along x, each at its own
steady speed, neighbouring frames are registered by cross-correlation, and every cell becomes one sequence of
31 x 31 px crops. Lengths are in px, times in frames, speeds in px/frame; positions are as in `rbc.detection`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from PIL import Image, ImageDraw
from scipy.linalg import solveh_banded
from scipy.optimize import linear_sum_assignment

from rbc import RbcError, detection, in_words
from rbc.detection import UNIT, Detections
from rbc.paper import FRAME_PX, MIN_FRAMES
from rbc.sequences import COLUMNS, SEQUENCE_FILES, UNLABELLED, Sequences, checksum, load, whole_folder
from rbc.video import Movie, open_movie, write_clip

HALF = FRAME_PX // 2
SLACK = 4  #: px that a crop is cut larger on each side until the path is final
WIDE = FRAME_PX + 2 * SLACK
DARKEST = UNIT // 4  #: a frame below a quarter of the background's light is no picture
REACH = 2  #: px searched around the predicted shift when two crops are registered
BACK = 9  #: frames kept, so that a new track can be followed back from its birth
UNSEEN = (np.nan, np.nan)
DECIDE = 60  #: frames after which the direction of the flow must be clear
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")  #: Okabe and Ito
TRACKS = ("track", "frame", "x_px", "y_px", "speed_px", "name")
#: What a folder of tracked cells may hold, its marker first.
TRACKED_FILES = ("tracks.parquet", *SEQUENCE_FILES, "overlay.png", "clip.avi")


@dataclass(frozen=True)
class Parameters:
    """What steers the tracking; `Parameters.derive` gives defaults from pixel size, frame rate and shear rate."""

    cell_px: float = 13.3
    """Diameter of a cell. Larger: more of its halo counts for the position, and close neighbours merge sooner."""
    threshold: float = 2.0
    """Local variance that makes an object, in units of the noise's variance. Lower: fainter, blurred cells are found
    too, with more false objects and larger outlines; higher: only crisp cells."""
    min_area_px2: float = 35.0
    """Smallest object. Lower: debris and platelets come in; higher: thin, edge-on cells drop out."""
    max_area_px2: float = 1600.0
    """Largest object, for each cell in it. Lower: blurred cells drop out; higher: smears of the light come in."""
    min_speed_px: float = 1.1
    """Slowest cell, px/frame. Lower: cells that stick and creep become tracks; higher: cells at the wall are lost."""
    max_speed_px: float = 46.0
    """Fastest cell, px/frame. Lower: cells far from the wall are lost; higher: more chance neighbours at the start."""
    gate_px: float = 3.5
    """How far from its predicted place a cell is accepted. Larger: jitter is forgiven, neighbours are swapped
    sooner."""
    max_gap: int = 5
    """Frames a cell may go unseen in the open. Larger: longer blinks are bridged, ended tracks catch strangers
    sooner."""
    max_hidden: int = 30
    """Frames a cell may go unseen beside another track, as while it is overtaken."""
    min_frames: int = MIN_FRAMES
    """Shortest sequence kept, frames (paper: 6)."""
    background_frames: int = 100
    """Frames in the median background (paper: 100). Fewer: faster, and slow cells leave a shadow."""

    def __post_init__(self) -> None:
        for f in fields(self):
            if not getattr(self, f.name) > 0:
                raise RbcError(f"{f.name} is {getattr(self, f.name)!r}: it must be above 0")
        if self.min_speed_px >= self.max_speed_px:
            raise RbcError(f"min_speed_px {self.min_speed_px} is not below max_speed_px {self.max_speed_px}")

    @classmethod
    def derive(cls, um_per_px: float, frame_rate: float, shear_rate: float, **chosen: float) -> Parameters:
        """Defaults for a pixel size (um), a frame rate (1/s) and a shear rate (1/s); `chosen` values go first.

        A cell is 8 um across. Near the wall its speed is shear rate x height: a cell cannot be lower than its radius,
        4 um (we take 0.7 of that speed), and beyond 165 um above the wall it is too blurred to be seen.
        """
        for name, value in (("um_per_px", um_per_px), ("frame_rate", frame_rate), ("shear_rate", shear_rate)):
            if not value > 0:
                raise RbcError(f"{name} is {value!r}: it must be above 0")
        cell = 8.0 / um_per_px
        per_um = shear_rate / frame_rate / um_per_px  # px/frame for each um of height
        derived = {
            "cell_px": cell,
            "min_area_px2": 0.2 * cell**2,
            "max_area_px2": 9 * cell**2,
            "min_speed_px": 4 * 0.7 * per_um,
            "max_speed_px": 165 * per_um,
            "gate_px": 0.26 * cell,
        }
        return cls(**{**derived, **chosen})


# ---------------------------------------------------------------------------------------------- linking


class Look(NamedTuple):
    """One frame of a track: centre x, y (nan where unseen), whether beside another cell, and the wide crop around a
    pixel."""

    x: float
    y: float
    near: bool
    corner: tuple[int, int]  #: x, y of the crop's middle
    crop: np.ndarray | None  #: (39, 39) uint8, None in a damaged frame
    gain: int


@dataclass
class Track:
    """One cell being followed: its motion as known so far, and what was seen of it in every frame since its birth."""

    first: int
    x: float
    y: float
    speed: float
    hits: float = 3
    missed: int = 0
    looks: list[Look] = field(default_factory=list)


class Linker:
    """Links detections of successive frames, left to right along x, every track at its own steady speed.

    Each track predicts its next place from all it has seen; tracks and detections within the gate are paired at the
    least total squared distance. Three unclaimed detections on a line, evenly spaced, begin a track.
    """

    def __init__(self, parameters: Parameters, shape: tuple[int, int]) -> None:
        self.parameters, self.shape = parameters, shape
        self.active: list[Track] = []
        self.recent: deque[tuple[np.ndarray | None, Detections]] = deque(maxlen=BACK)  # frame, unclaimed detections
        self.votes: Counter[str] = Counter()  # steps seen in each direction
        self.number = -1

    def step(self, frame: np.ndarray | None, found: Detections) -> list[Track]:
        """Take in the next frame (None: damaged) and its detections; the tracks that ended."""
        self.number += 1
        free = np.ones(len(found.x), bool)
        if self.active:
            free = self._extend(frame, found)
        self.recent.append((frame, found.part(free)))
        if frame is not None and len(self.recent) >= 3:
            self._vote()
            self._begin()
        ended = [t for t in self.active if self._over(t)]
        self.active = [t for t in self.active if not self._over(t)]
        return ended

    def _extend(self, frame: np.ndarray | None, found: Detections) -> np.ndarray:
        """Give each track its detection or let it coast; which detections stay free."""
        tracks = self.active
        x, y = np.array([t.x + t.speed for t in tracks]), np.array([t.y for t in tracks])
        beside = _crowded(x, y, 1.3 * self.parameters.cell_px)
        pairs = dict(_assign(tracks, x, y, found, self.parameters.gate_px))
        self.votes["left to right"] += len(pairs)
        for i, track in enumerate(tracks):
            track.x = x[i]
            seen, near, j = UNSEEN, bool(beside[i]), pairs.get(i)
            if j is None:
                track.missed += 1
            else:
                seen, near = (found.x[j], found.y[j]), bool(near or found.shared[j])
                _update(track, *seen, near)
            track.looks.append(_look(seen, near, frame, found.gain, track.x, track.y))
        return ~np.isin(np.arange(len(found.x)), list(pairs.values()))

    def _vote(self) -> None:
        """Count evenly spaced triples in the three directions in which no cell should move."""
        a, b, c = (d.centres for _, d in list(self.recent)[-3:])
        for name, turn in TURNS.items():
            self.votes[name] += len(_triples(a @ turn, b @ turn, c @ turn, self.parameters))

    def _begin(self) -> None:
        """New tracks from evenly spaced triples of free detections, then followed back."""
        frames, found = zip(*self.recent, strict=True)
        taken = [np.zeros(len(d.x), bool) for d in found]
        last = range(len(found) - 3, len(found))
        for triple in _triples(*(d.centres for d in found[-3:]), self.parameters):
            if any(taken[t][k] for t, k in zip(last, triple, strict=True)):
                continue
            points = [(float(found[t].x[k]), float(found[t].y[k])) for t, k in zip(last, triple, strict=True)]
            speed = (points[2][0] - points[0][0]) / 2
            track = Track(self.number - 2, points[2][0], sum(p[1] for p in points) / 3, speed)
            for t, k, point in zip(last, triple, points, strict=True):
                taken[t][k] = True
                track.looks.append(_look(point, False, frames[t], found[t].gain, *point))
            self._follow_back(track, frames, found, taken)
            self.active.append(track)
            self.votes["left to right"] += 2
        for (frame, d), used in zip(list(self.recent), taken, strict=True):
            self.recent.append((frame, d.part(~used)))

    def _follow_back(self, track: Track, frames: tuple, found: tuple[Detections, ...], taken: list) -> None:
        """Add what was seen of a new track in the frames before its first three."""
        x, past = track.looks[0].x, []
        for t in range(len(found) - 4, -1, -1):
            d = found[t]
            x -= track.speed
            off = np.where(taken[t], np.inf, np.hypot(d.x - x, d.y - track.y))
            k = int(off.argmin()) if len(off) else -1
            seen, place = UNSEEN, (x, track.y)
            if k >= 0 and off[k] < self.parameters.gate_px:
                taken[t][k], x = True, float(d.x[k])
                seen = place = x, float(d.y[k])
            past.append(_look(seen, False, frames[t], d.gain, *place))
        while past and np.isnan(past[-1].x):
            past.pop()
        track.first -= len(past)
        track.looks[:0] = past[::-1]

    def _over(self, track: Track) -> bool:
        """Whether a track has left the picture or was unseen for too long."""
        limit = self.parameters.max_hidden if track.looks[-1].near else self.parameters.max_gap
        return track.missed > limit or track.x > self.shape[1] - 1 or not 0 <= track.y < self.shape[0]


#: what turns a flow in each wrong direction into one left to right
TURNS = {
    "right to left": np.array([[-1.0, 0.0], [0.0, 1.0]]),
    "top to bottom": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "bottom to top": np.array([[0.0, 1.0], [-1.0, 0.0]]),
}


def _crowded(x: np.ndarray, y: np.ndarray, near: float) -> np.ndarray:
    """Which of (n,) points have another within `near`."""
    close = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 < near**2
    return close.sum(axis=1) > 1


def _assign(
    tracks: list[Track], x: np.ndarray, y: np.ndarray, found: Detections, gate: float
) -> Iterator[tuple[int, int]]:
    """Pairs of track and detection with the least total squared distance in units of the gate."""
    unseen = np.array([t.missed for t in tracks])
    hits = np.array([t.hits for t in tracks], float)
    wide = gate * np.minimum(1 + (unseen + 1) * 2.5 / hits, 3.0)  # a young speed is less sure
    dx, dy = (found.x - x[:, None]) / wide[:, None], (found.y - y[:, None]) / gate
    cost = dx**2 + dy**2
    rows, columns = np.nonzero((cost < 1).any(axis=1))[0], np.nonzero((cost < 1).any(axis=0))[0]
    small = np.where(cost < 1, cost, 1e3)[np.ix_(rows, columns)]
    for i, j in zip(*linear_sum_assignment(small), strict=True):
        if small[i, j] < 1:
            yield int(rows[i]), int(columns[j])


def _update(track: Track, x: float, y: float, near: bool) -> None:
    """Growing-memory filter of a steady speed (a straight-line fit to all hits, at most 20); cautious beside others."""
    trust = 0.3 if near else 1.0  # such a hit counts for less, and also less against later ones
    track.hits, track.missed, elapsed = track.hits + trust, 0, track.missed + 1
    n = min(track.hits, 20)
    error = x - track.x
    track.x += trust * error * 2 * (2 * n - 1) / (n * (n + 1))
    track.speed += trust * error * 6 / (n * (n + 1)) / elapsed
    track.y += trust * (y - track.y) / min(n, 10)


def _triples(a: np.ndarray, b: np.ndarray, c: np.ndarray, p: Parameters) -> list[tuple[int, int, int]]:
    """Evenly spaced triples of points (n, 2) along +x within the speed limits, the straightest first."""
    if not (len(a) and len(b) and len(c)):
        return []
    step = c[None, :, :] - b[:, None, :]
    fits = (step[..., 0] >= p.min_speed_px) & (step[..., 0] <= p.max_speed_px) & (abs(step[..., 1]) < p.gate_px)
    j, k = np.nonzero(fits)
    bend = a[None, :, :] - (2 * b[j] - c[k])[:, None, :]
    cost = (bend**2).sum(axis=2) / p.gate_px**2
    pair, i = np.nonzero(cost < 1)
    order = np.lexsort((k[pair], j[pair], i, cost[pair, i]))
    return [(int(i[o]), int(j[pair[o]]), int(k[pair[o]])) for o in order]


def _look(seen: tuple[float, float], near: bool, frame: np.ndarray | None, gain: int, x: float, y: float) -> Look:
    """What is kept of a frame, with the wide crop around a place."""
    corner = round(x), round(y)
    return Look(*seen, near, corner, None if frame is None else _wide(frame, *corner), gain)


@njit(cache=True, nogil=True)
def _wide(picture: np.ndarray, cx: int, cy: int) -> np.ndarray:
    """(39, 39) px around a pixel, the edge repeated outside the picture."""
    out = np.empty((WIDE, WIDE), picture.dtype)
    for i in range(WIDE):
        v = min(max(cy + i - WIDE // 2, 0), picture.shape[0] - 1)
        for j in range(WIDE):
            out[i, j] = picture[v, min(max(cx + j - WIDE // 2, 0), picture.shape[1] - 1)]
    return out


# ----------------------------------------------------------------------------- registration, path, crops


@njit(cache=True, nogil=True)
def register(crops: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Shift of each crop against the one before, by cross-correlation: (n, 39, 39) float32 to (n - 1, 2) float64 x, y
    px.

    `shift` (n - 1, 2) is what is expected, within 2 px; the peak is refined by a parabola along x and y. nan where the
    peak lies on the edge of the search.
    """
    out = np.full((len(crops) - 1, 2), np.nan)
    side = 2 * REACH + 1
    for k in range(len(crops) - 1):
        sx, sy = int(np.round(shift[k, 0])), int(np.round(shift[k, 1]))
        margin = REACH + max(abs(sx), abs(sy)) + 6
        if margin > WIDE // 2 - 6:
            continue
        score = np.empty((side, side))
        for a in range(side):
            for b in range(side):
                score[a, b] = _correlation(crops[k], crops[k + 1], sy + a - REACH, sx + b - REACH, margin)
        best = np.argmax(score)
        a, b = best // side, best % side
        if 0 < a < side - 1 and 0 < b < side - 1:
            out[k, 0] = sx + b - REACH + _parabola(score[a, b - 1], score[a, b], score[a, b + 1])
            out[k, 1] = sy + a - REACH + _parabola(score[a - 1, b], score[a, b], score[a + 1, b])
    return out


@njit(cache=True, nogil=True)
def _correlation(one: np.ndarray, two: np.ndarray, dy: int, dx: int, margin: int) -> float:
    """Correlation coefficient of the middle of `one` with `two` moved by (dy, dx)."""
    n, s1, s2, s11, s22, s12 = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for v in range(margin, WIDE - margin):
        for u in range(margin, WIDE - margin):
            p, q = one[v, u], two[v + dy, u + dx]
            n, s1, s2, s11, s22, s12 = n + 1, s1 + p, s2 + q, s11 + p * p, s22 + q * q, s12 + p * q
    spread = (s11 - s1 * s1 / n) * (s22 - s2 * s2 / n)
    return (s12 - s1 * s2 / n) / np.sqrt(spread) if spread > 0 else 0.0


@njit(cache=True, nogil=True)
def _parabola(left: float, peak: float, right: float) -> float:
    curve = left - 2 * peak + right
    return 0.5 * (left - right) / curve if curve < 0 else 0.0


def smooth_path(seen: np.ndarray, steps: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Most likely path of a cell at nearly steady speed: (n, 2) float64 x, y px for every frame.

    Least squares over three kinds of evidence, each with its standard deviation: the centres `seen` (n, 2; nan where
    unseen; 0.25 px), the registered `steps` (n - 1, 2; nan where unknown; 0.08 px) and a change of speed from frame to
    frame of 0.02 px. Beside another cell (`near`, (n,) bool) the first two count little. Outliers are weighted down
    twice.
    """
    weight = np.where(near, 1.0, 16.0) * np.isfinite(seen[:, 0])
    step_weight = np.where(near[1:] | near[:-1], 1.0, 150.0) * np.isfinite(steps[:, 0])
    seen, steps = np.nan_to_num(seen), np.nan_to_num(steps)
    w, s = weight, step_weight
    for _ in range(3):
        path = _solve(seen, steps, w, s)
        w = weight / (1 + weight * ((path - seen) ** 2).sum(axis=1) / 9)
        s = step_weight / (1 + step_weight * ((np.diff(path, axis=0) - steps) ** 2).sum(axis=1) / 9)
    return path


def _solve(seen: np.ndarray, steps: np.ndarray, w: np.ndarray, s: np.ndarray) -> np.ndarray:
    """The banded normal equations of `smooth_path` with given weights."""
    n = len(seen)
    band, right = np.zeros((3, n)), w[:, None] * seen
    band[2] = w
    band[2, 1:] += s
    band[2, :-1] += s
    band[1, 1:] -= s
    right[1:] += s[:, None] * steps
    right[:-1] -= s[:, None] * steps
    stiff = 1 / 0.02**2
    for offset, value in ((0, 1.0), (1, 4.0), (2, 1.0)):
        band[2, offset : n - 2 + offset] += stiff * value
    band[1, 1 : n - 1] -= 2 * stiff
    band[1, 2:] -= 2 * stiff
    band[0, 2:] += stiff
    return solveh_banded(band, right)


@dataclass(frozen=True)
class Finished:
    """A track whose path is final: frame numbers (n,), path (n, 2) px, speed px/frame, crops (n, 31, 31) uint8."""

    frames: np.ndarray
    path: np.ndarray
    speed: float
    crops: np.ndarray


def finish(track: Track, paper: np.ndarray, parameters: Parameters) -> list[Finished]:
    """Register a track, smooth its path and cut its crops; nothing where fewer than `min_frames` crops fit the
    picture."""
    last = max(i for i, look in enumerate(track.looks) if np.isfinite(look.x)) + 1
    if last < parameters.min_frames:
        return []
    x, y, near, corners, crops, gains = zip(*track.looks[:last], strict=True)
    seen, corners = np.stack([x, y], axis=1), np.array(corners)
    whole = np.array([c is not None for c in crops])
    path = smooth_path(seen, _steps(crops, gains, whole, paper, seen, corners), np.array(near))
    chosen = _fitting(path, corners, whole, paper.shape)
    if len(chosen) < parameters.min_frames:
        return []
    speed = float(np.polyfit(chosen, path[chosen, 0], 1)[0])
    if not parameters.min_speed_px <= speed <= parameters.max_speed_px:
        return []
    offsets = np.round(path[chosen]).astype(int) - corners[chosen] + SLACK
    cuts = [crops[i][v : v + FRAME_PX, u : u + FRAME_PX] for i, (u, v) in zip(chosen, offsets, strict=True)]
    return [Finished(track.first + chosen, path[chosen], speed, np.stack(cuts))]


def _steps(
    cuts: tuple, gains: tuple, whole: np.ndarray, paper: np.ndarray, seen: np.ndarray, corners: np.ndarray
) -> np.ndarray:
    """Registered displacement from each frame to the next: (n - 1, 2) px, nan where a frame is damaged."""
    blank = np.zeros((WIDE, WIDE), np.uint8)
    behind = np.stack([_wide(paper, cx, cy) for cx, cy in corners]).astype(np.float32)
    crops = np.stack([blank if c is None else c for c in cuts]).astype(np.float32)
    crops -= behind * (np.array(gains, np.float32) / UNIT)[:, None, None]
    moved = np.diff(corners, axis=0)
    expected = np.nan_to_num(np.diff(seen, axis=0) - moved)
    steps = register(crops, np.clip(expected, -3, 3)) + moved
    steps[~(whole[1:] & whole[:-1])] = np.nan
    return steps


def _fitting(path: np.ndarray, corners: np.ndarray, whole: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Indices of the longest run of frames whose crop lies in the picture; damaged frames are left out of it."""
    at = np.round(path).astype(int)
    inside = (at >= HALF).all(axis=1) & (at[:, 0] < shape[1] - HALF) & (at[:, 1] < shape[0] - HALF)
    inside &= (abs(at - corners) <= SLACK).all(axis=1)
    run = np.cumsum(~inside)
    best = np.bincount(run[inside]).argmax() if inside.any() else -1
    return np.flatnonzero(inside & (run == best) & whole)


# ------------------------------------------------------------------------------------------- everything


def track(
    video: Path,
    parameters: Parameters | None = None,
    *,
    frame_rate: float | None = None,
    um_per_px: float | None = None,
    shear_rate: float | None = None,
    patient: str = "unknown",
    threads: int | None = None,
    chunk: int = 16,
    progress: Callable[[int, int], None] | None = None,
    store: BinaryIO | None = None,
) -> tuple[Sequences, pd.DataFrame]:
    """Track a movie: its sequences, and a table of their tracks.

    Parameters
    ----------
    video : movie file, TIFF stack or folder of TIFF frames
    parameters : default derived from the three next
    frame_rate : 1/s; default the file's, else 60 (paper)
    um_per_px : um; default the file's, else 0.6 (paper)
    shear_rate : 1/s; default 10 (paper)
    patient : written into the index
    threads : default all cores; any number gives the same bits
    chunk : frames in memory at once; any number gives the same bits
    progress : called with the frames done and the frames announced
    store : binary file the crops are kept in as they come; default a temporary one

    The table has a row for each frame of each sequence: track, frame (from 0), x_px, y_px (centre of the cell),
    speed_px (px/frame, of the whole track) and name of the sequence. `meta["notes"]` of the sequences says what was
    left out.

    Raises `RbcError` where the movie cannot be read, is shorter than a sequence, black, changes size, holds no moving
    cell or flows another way than left to right.
    """
    movie = open_movie(Path(video))
    sources = movie.about(um_per_px, frame_rate, shear_rate)
    units = tuple(sources[name]["value"] for name in ("um_per_px", "frame_rate", "shear_rate"))
    parameters = parameters or Parameters.derive(*units)
    run = _Run(movie, parameters, threads or os.cpu_count() or 1, chunk, progress)
    store = store or tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the frames mapped on it
    spool = _Spool(store, in_words(movie.path.stem), patient)
    for ended in run.tracks():
        spool.add(ended)
    if not spool.rows:
        raise RbcError(f"{movie.path}: no moving cell in {run.done} frames; check threshold, speeds and the movie")
    meta = {"source": in_words(movie.path.name), "version": 1, "simulated": movie.simulated}
    meta |= {"units": sources, "notes": [*movie.notes, *run.notes()]}
    meta |= dict(zip(("um_per_px", "frame_rate", "shear_rate"), units, strict=True))
    meta |= {"parameters": asdict(parameters), "n_frames": run.done, "noise_variance": run.noise}
    return spool.sequences(meta), spool.tracks()


def track_movie(video: Path, out: Path, *, clip: bool = False, **options: object) -> Sequences:
    """Track a movie into a folder, whole or not at all; the sequences, opened from there.

    The folder holds the sequences (frames.npy, index.parquet, meta.json), tracks.parquet (the table of `track`),
    overlay.png (the middle frame with the paths of its cells) and, if `clip`, clip.avi (MJPEG; the first 300 frames
    with a box around each cell). `options` are those of `track`, whose errors are raised.
    """
    with whole_folder(Path(out), TRACKED_FILES) as part:
        with open(part / "frames.npy", "w+b") as store:
            sequences, tracks = track(video, store=store, **options)
        sequences.index.to_parquet(part / "index.parquet")
        meta = {**sequences.meta, "sha256": checksum(sequences)}
        (part / "meta.json").write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n")
        tracks.to_parquet(part / "tracks.parquet")
        _overlay(open_movie(Path(video)), tracks, meta["n_frames"]).save(part / "overlay.png")
        if clip:
            _clip(part / "clip.avi", open_movie(Path(video)), tracks)
    return load(Path(out))


def _overlay(movie: Movie, tracks: pd.DataFrame, n_frames: int) -> Image.Image:
    """The frame in the middle with the whole path of every cell in it."""
    middle = int(tracks["frame"].iloc[(tracks["frame"] - n_frames // 2).abs().argmin()])
    frame = movie.frame(middle)
    here = tracks[tracks["frame"] == middle]
    picture = _boxed(frame, here)
    pen = ImageDraw.Draw(picture)
    for number, path in tracks[tracks["track"].isin(here["track"])].groupby("track"):
        pen.line([tuple(p) for p in path[["x_px", "y_px"]].to_numpy()], fill=COLOURS[number % len(COLOURS)])
    return picture


def _boxed(frame: np.ndarray, here: pd.DataFrame) -> Image.Image:
    """A frame in colour with a box of the size of a crop around each cell of a table."""
    picture = Image.fromarray(frame).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for row in here.itertuples():
        x, y = round(row.x_px), round(row.y_px)
        pen.rectangle((x - HALF, y - HALF, x + HALF, y + HALF), outline=COLOURS[row.track % len(COLOURS)])
    return picture


def _clip(path: Path, movie: Movie, tracks: pd.DataFrame, n: int = 300) -> None:
    by_frame, nobody = dict(tuple(tracks[tracks["frame"] < n].groupby("frame"))), tracks.iloc[:0]
    pictures = (np.asarray(_boxed(f, by_frame.get(i, nobody))) for i, f in islice(movie.frames(), n) if f is not None)
    write_clip(path, pictures, movie.frame_rate or 60.0)


class _Run:
    """One pass over a movie."""

    def __init__(
        self, movie: Movie, parameters: Parameters, threads: int, chunk: int, progress: Callable | None
    ) -> None:
        if movie.n_frames < parameters.min_frames:
            raise RbcError(f"{movie.path}: {movie.n_frames} frames; a sequence needs {parameters.min_frames}")
        self.movie, self.parameters, self.threads, self.chunk = movie, parameters, threads, max(chunk, 1)
        self.progress = progress
        self.done, self.damaged, self.dark = 0, [], []
        sample = movie.sample(parameters.background_frames)
        try:
            self.paper = detection.background(sample, threads)
        except RbcError as error:
            raise RbcError(f"{movie.path}: {error}") from error
        self.noise = detection.noise_variance(sample[:: max(1, len(sample) // 8)], self.paper)

    def tracks(self) -> Iterator[Finished]:
        """Tracks in the order of their ends."""
        linker, ending = Linker(self.parameters, self.movie.shape), deque()
        with ThreadPoolExecutor(self.threads) as pool:
            for frame, found in self._detections(pool):
                ending.extend(self._finish(pool, linker.step(frame, found)))
                self.done += 1
                if self.done == DECIDE:
                    self._check_direction(linker)
                while ending and ending[0].done():
                    yield from ending.popleft().result()
                if self.progress:
                    self.progress(self.done, self.movie.n_frames)
            self._check_direction(linker)
            ending.extend(self._finish(pool, linker.active))
            for future in ending:
                yield from future.result()

    def _finish(self, pool: ThreadPoolExecutor, tracks: list[Track]) -> list[Future]:
        return [pool.submit(finish, t, self.paper, self.parameters) for t in tracks]

    def _detections(self, pool: ThreadPoolExecutor) -> Iterator[tuple[np.ndarray | None, Detections]]:
        """Every frame with its detections, in order, found by several threads some frames ahead."""
        ahead: deque[Future] = deque()
        for number, frame in self.movie.frames():
            ahead.append(pool.submit(self._detect, number, frame))
            if len(ahead) >= self.chunk:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _detect(self, number: int, frame: np.ndarray | None) -> tuple[np.ndarray | None, Detections]:
        nothing = Detections(*np.zeros((3, 0)), np.zeros(0, bool), UNIT)
        if frame is None:
            self.damaged.append(number)
            return None, nothing
        p = self.parameters
        areas = (p.min_area_px2, p.max_area_px2)
        found = detection.detect(frame, self.paper, self.noise, p.threshold, p.cell_px, areas)
        if found.gain < DARKEST:
            self.dark.append(number)
            return None, nothing
        return frame, found

    def _check_direction(self, linker: Linker) -> None:
        name, votes = max(linker.votes.items(), key=lambda item: item[1], default=("left to right", 0))
        if name != "left to right" and votes >= 10:
            raise RbcError(f"{self.movie.path}: the cells move {name}; turn the movie so that they move left to right")

    def notes(self) -> list[str]:
        """What was left out, in words."""
        notes = []
        if self.done < self.movie.n_frames:
            notes.append(f"the movie ends after {self.done} of {self.movie.n_frames} announced frames")
        for what, numbers in (("damaged", self.damaged), ("dark", self.dark)):
            if numbers:
                notes.append(f"{len(numbers)} {what} frames left out: {', '.join(map(str, sorted(numbers)[:10]))}")
        return notes


class _Spool:
    """Sequences as they come: crops go straight to a .npy file, only the table stays in memory."""

    def __init__(self, file: BinaryIO, acquisition: str, patient: str) -> None:
        self.file, self.acquisition, self.patient = file, acquisition, patient
        self.rows: list[tuple] = []
        self.tables: list[tuple] = []
        self.n = 0
        self._header()

    def _header(self) -> None:
        """numpy leaves room in the header for the first axis to grow."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.n, FRAME_PX, FRAME_PX)}
        self.file.seek(0)
        np.lib.format.write_array_header_1_0(self.file, header)
        self.offset = self.file.tell()

    def add(self, done: Finished) -> None:
        """Append one sequence and its track."""
        number, length = len(self.rows), len(done.crops)
        name = f"{self.acquisition}_{number}"
        self.file.write(np.ascontiguousarray(done.crops).data)
        self.rows.append((name, UNLABELLED, self.acquisition, self.patient, "test", self.n, length))
        self.tables.append((number, done.frames, done.path, done.speed, name))
        self.n += length

    def sequences(self, meta: dict) -> Sequences:
        """All sequences, their frames memory-mapped."""
        self._header()
        self.file.flush()
        frames = np.memmap(self.file, np.uint8, "r", self.offset, (self.n, FRAME_PX, FRAME_PX))
        return Sequences(frames, pd.DataFrame(self.rows, columns=list(COLUMNS)), meta)

    def tracks(self) -> pd.DataFrame:
        """The table of tracks."""
        lengths = [len(frames) for _, frames, _, _, _ in self.tables]
        numbers, frames, paths, speeds, names = zip(*self.tables, strict=True)
        path = np.concatenate(paths)
        columns = (np.repeat(numbers, lengths), np.concatenate(frames), *path.T, np.repeat(speeds, lengths))
        return pd.DataFrame(dict(zip(TRACKS, (*columns, np.repeat(names, lengths)), strict=True)))
