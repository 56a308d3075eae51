"""From video to sequences: the detections of `rbc.tracking.detection` are linked, registered and cut out.

The steps are those of the paper ("Trajectories extraction"): objects move only left to right along x, each at its own
steady speed, neighbouring frames are registered by cross-correlation, and every cell becomes one sequence of
31 x 31 px crops. Lengths are in px, times in frames, speeds in px/frame; positions are as in `rbc.tracking.detection`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from PIL import Image, ImageDraw
from scipy.linalg import solveh_banded
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from rbc import RbcError, in_words
from rbc.tracking import detection, flow
from rbc.tracking.detection import UNIT, Detections
from rbc.paper import FRAME_PX, MIN_FRAMES
from rbc.sequences import COLUMNS, SEQUENCE_FILES, UNLABELLED, Sequences, checksum, load, whole_folder
from rbc.reading.video import Movie, open_movie, write_clip

HALF = FRAME_PX // 2
SLACK = 4  #: px that a crop is cut larger on each side until the path is final
WIDE = FRAME_PX + 2 * SLACK
FOR_NOISE = 8  #: frames of the sample that the noise is measured on
DARKEST = UNIT // 4  #: a frame below a quarter of the background's light is no picture
REACH = 2  #: px searched around the predicted shift when two crops are registered
BACK = 9  #: frames kept, so that a new track can be followed back from its birth
UNSEEN = (np.nan, np.nan)
BESIDE = 1.3  #: cell diameters within which two cells disturb each other's centre: their outlines touch
ENOUGH = 100  #: cells that measure the common step; more make it no surer
FEW = 3  #: cells that must have measured it before it is believed more than the free detections
YOUNG = 2.5  #: widening of the gate along x, in gates for each frame unseen over the hits that made the speed
WIDEST = 3.0  #: gates; beyond it a stranger is as likely
FORBIDDEN = 1e3  #: cost of a pair out of reach, far above that of any set of pairs within
TRUST_NEAR = 0.3  #: what a centre beside another cell counts, as it may be drawn to the neighbour by a third of a cell
MEMORY = 20  #: hits that a speed remembers: a real cell drifts a little in height
LATER = 60  #: frames after which a cell that was lost has left the picture, or cannot be told from another
SAME = 0.6  #: cell diameters; cells that stay closer for half a track would lie in each other
SPARSE = 10  #: free detections in a frame, of which three hardly lie on a line by chance
LOOSEST = 0.1  #: relative error of the ratio of two steps with which a track may begin
ALIKE = 0.2  #: relative difference of speed up to which a new track may be a lost one
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
    """Slowest cell, px/frame. Lower: cells that stick and creep become tracks; higher: cells at the wall are lost.
    `track` lowers it where the movie has slower cells."""
    max_speed_px: float = 46.0
    """Fastest cell, px/frame. Lower: cells far from the wall are lost; higher: more chance neighbours at the start.
    `track` sets it to the fastest speed at which a cell crosses the picture in `min_frames`."""
    gate_px: float = 3.5
    """How far from its predicted place a cell is accepted. Larger: jitter is forgiven, neighbours are swapped
    sooner."""
    max_gap: int = 5
    """Frames a cell may go unseen in the open. Larger: longer blinks are bridged, ended tracks catch strangers
    sooner."""
    max_hidden: int = 30
    """Frames a cell may go unseen beside another track, as while it is overtaken; and for which a track that ended
    waits for its cell to come back."""
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
    """One cell being followed: its motion as known so far, and what was seen of it in every frame since its birth.

    Its speed is px/frame along x at the usual pace of the flow (`rbc.tracking.flow.Pace`).
    """

    first: int
    x: float
    y: float
    speed: float
    hits: float = 3
    missed: int = 0
    looks: list[Look] = field(default_factory=list)


class Linker:
    """Links detections of successive frames, left to right along x, every track at its own steady speed.

    Each track predicts its next place from all it has seen and from the step that all cells make in this frame
    (`rbc.tracking.flow.Pace`); tracks and detections within the gate are paired at the least total squared distance. Three
    unclaimed detections on a line, evenly spaced on the common clock, begin a track, or go on with one that was lost
    where its cell must be by now.
    """

    def __init__(self, parameters: Parameters, shape: tuple[int, int], slope: float = 0.0) -> None:
        """shape: height, width px; slope: px that the flow goes down for each px to the right."""
        self.parameters, self.shape, self.slope = parameters, shape, slope
        self.active: list[Track] = []
        self.lost: list[Track] = []  # coasting out of reach of the pairing, for a new track to go on with
        self.recent: deque[tuple[np.ndarray | None, Detections]] = deque(maxlen=BACK)  # frame, unclaimed detections
        self.pace = flow.Pace()
        self.joined = 0  # tracks that were lost and went on
        self.number = -1

    def step(
        self, frame: np.ndarray | None, found: Detections, expected: float | None = None
    ) -> list[tuple[Track, np.ndarray]]:
        """Take in the next frame (None: damaged) and its detections; the tracks that ended, each with its clock.

        expected: the step that the time stamps tell, in usual ones; None where there are none.
        """
        self.number += 1
        self._common_step(frame, found, expected)
        self._coast(frame, found)
        free = np.ones(len(found.x), bool)
        if self.active:
            free = self._extend(frame, found)
        self.recent.append((frame, found.part(free)))
        if frame is not None and len(self.recent) >= 3:
            self._begin()
        return self._sort_out()

    def end(self) -> list[tuple[Track, np.ndarray]]:
        """The tracks that the end of the movie ended."""
        return [(t, self._clock(t)) for t in (*self.lost, *self.active)]

    def _common_step(self, frame: np.ndarray | None, found: Detections, expected: float | None) -> None:
        """How far all cells moved since the last frame, by the surest of them."""
        if not self.active:
            self.pace.forget()
        if frame is None or not self.active or not len(found.x):
            self.pace.idle(expected)
            return
        surest = sorted(self.active, key=lambda t: (t.missed, -t.hits))[:ENOUGH]
        places = np.array([(t.x, t.y) for t in surest])
        speeds = np.array([t.speed for t in surest])
        gates = _gates(surest, self.parameters.gate_px)
        self.pace.measure(places, speeds, gates, found.centres, self.parameters.gate_px, self.slope, expected)

    def _coast(self, frame: np.ndarray | None, found: Detections) -> None:
        """Move the lost tracks on, unseen."""
        step = self.pace.steps[-1]
        for track in self.lost:
            track.x += track.speed * step
            track.y += track.speed * step * self.slope
            track.missed += 1
            track.looks.append(_look(UNSEEN, False, frame, found.gain, track.x, track.y))

    def _extend(self, frame: np.ndarray | None, found: Detections) -> np.ndarray:
        """Give each track its detection or let it coast; which detections stay free."""
        tracks, step = self.active, self.pace.steps[-1]
        moved = np.array([t.speed for t in tracks]) * step
        x = np.array([t.x for t in tracks]) + moved
        y = np.array([t.y for t in tracks]) + moved * self.slope
        beside = _crowded(x, y, BESIDE * self.parameters.cell_px)
        pairs = dict(_assign(tracks, x, y, found, self.parameters.gate_px))
        for i, track in enumerate(tracks):
            track.x, track.y = x[i], y[i]
            seen, near, j = UNSEEN, bool(beside[i]), pairs.get(i)
            if j is None:
                track.missed += 1
            else:
                seen, near = (found.x[j], found.y[j]), bool(near or found.shared[j])
                _update(track, *seen, near, step)
            track.looks.append(_look(seen, near, frame, found.gain, track.x, track.y))
        return ~np.isin(np.arange(len(found.x)), list(pairs.values()))

    def _begin(self) -> None:
        """New tracks from evenly spaced triples of free detections, then followed back."""
        frames, found = zip(*self.recent, strict=True)
        taken = [np.zeros(len(d.x), bool) for d in found]
        last = range(len(found) - 3, len(found))
        early, late = self._last_steps(found[-3:])
        if not min(early, late) > flow.STOPPED:
            return  # a flow that stands still, or turns back, tells no speed
        p = self.parameters
        # The limits hold at the pace of now, not for the longer step over a lost frame.
        scale = late / self.pace.usual
        limits = (p.min_speed_px * scale, p.max_speed_px * scale)
        loose = min(sum(self.pace.error[-2:]), LOOSEST)
        unsure = min(self.pace.support[-2:]) < FEW
        if unsure and max(len(d.x) for d in found[-3:]) <= SPARSE:
            loose = LOOSEST  # too few candidates for a sure common step, and for chance
        for triple in _triples(*(d.centres for d in found[-3:]), limits, p.gate_px, late / early, self.slope, loose):
            if any(taken[t][k] for t, k in zip(last, triple, strict=True)):
                continue
            points = [(float(found[t].x[k]), float(found[t].y[k])) for t, k in zip(last, triple, strict=True)]
            speed = (points[2][0] - points[0][0]) / (early + late)
            # The mean of the three places across the flow, seen from the last of them.
            y = sum(py - self.slope * (px - points[2][0]) for px, py in points) / 3
            track = Track(self.number - 2, points[2][0], y, speed)
            for t, k, point in zip(last, triple, points, strict=True):
                taken[t][k] = True
                track.looks.append(_look(point, False, frames[t], found[t].gain, *point))
            self._follow_back(track, frames, found, taken)
            if not self._goes_on(track):
                self.active.append(track)
        free = [d.part(~used) for d, used in zip(found, taken, strict=True)]
        self.recent = deque(zip(frames, free, strict=True), maxlen=BACK)

    def _last_steps(self, found: tuple[Detections, ...]) -> tuple[float, float]:
        """The common steps to the last frame but one and to the last, by the free detections where no track tells."""
        early, late = self.pace.steps[-2:]
        if min(self.pace.support[-2:]) >= FEW:
            return early, late
        p = self.parameters
        limits = (p.min_speed_px, p.max_speed_px)
        ratio = flow.ratio_of_steps(*(d.centres for d in found), limits, p.gate_px, self.slope)
        if ratio != 1.0 and self.pace.support[-1] == 0:
            self.pace.steps[-1] = late = ratio * early
        return early, late

    def _follow_back(self, track: Track, frames: tuple, found: tuple[Detections, ...], taken: list) -> None:
        """Add what was seen of a new track in the frames before its first three."""
        x, y, past = track.looks[0].x, track.looks[0].y, []
        for back, t in enumerate(range(len(found) - 4, -1, -1)):
            d = found[t]
            step = self.pace.steps[self.number - 2 - back]  # from frame t to the one after it
            x -= track.speed * step
            y = track.y + self.slope * (x - track.x)
            off = np.where(taken[t], np.inf, np.hypot(d.x - x, d.y - y))
            k = int(off.argmin()) if len(off) else -1
            seen, place = UNSEEN, (x, y)
            if k >= 0 and off[k] < self.parameters.gate_px:
                taken[t][k], x = True, float(d.x[k])
                seen = place = x, float(d.y[k])
            past.append(_look(seen, False, frames[t], d.gain, *place))
        while past and np.isnan(past[-1].x):
            past.pop()
        track.first -= len(past)
        track.looks[:0] = past[::-1]

    def _goes_on(self, new: Track) -> bool:
        """Whether a new track is a lost one that goes on; then the lost one takes over what was seen of it."""
        for old in self.lost:
            overlap = old.first + len(old.looks) - new.first
            unseen_then = all(np.isnan(look.x) for look in old.looks[-overlap:])
            (reach,) = _gates([old], self.parameters.gate_px)
            close = abs(old.x - new.x) < reach and abs(old.y - new.y) < 2 * self.parameters.gate_px
            if unseen_then and close and abs(old.speed / new.speed - 1) < ALIKE:
                old.looks[-overlap:] = new.looks
                old.x, old.y, old.speed, old.missed = new.x, new.y, (old.speed + new.speed) / 2, 0
                self.lost.remove(old)
                self.active.append(old)
                self.joined += 1
                return True
        return False

    def _sort_out(self) -> list[tuple[Track, np.ndarray]]:
        """Set tracks aside that were unseen for too long; those that are over."""
        p, ended = self.parameters, []
        for track in (*self.active, *self.lost):
            if self._outside(track) or track.missed > p.max_hidden:
                ended.append((track, self._clock(track)))
        gone = {id(track) for track, _ in ended}
        remaining = [t for t in self.active if id(t) not in gone]
        missing = [t.missed > p.max_gap and not t.looks[-1].near for t in remaining]
        self.active = [t for t, lost in zip(remaining, missing, strict=True) if not lost]
        self.lost = [t for t in self.lost if id(t) not in gone]
        self.lost += [t for t, lost in zip(remaining, missing, strict=True) if lost]
        return ended

    def _outside(self, track: Track) -> bool:
        """Whether a track has left the picture, on either side as a flow may turn back."""
        return not (0 <= track.x <= self.shape[1] - 1 and 0 <= track.y < self.shape[0])

    def _clock(self, track: Track) -> np.ndarray:
        """The common clock at each frame of a track: (n,) float64, in usual steps since the first."""
        steps = self.pace.steps[track.first + 1 : track.first + len(track.looks)]
        return np.concatenate([[0.0], np.cumsum(steps)])


def _crowded(x: np.ndarray, y: np.ndarray, near: float) -> np.ndarray:
    """Which of (n,) points have another within `near`."""
    close = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 < near**2
    return close.sum(axis=1) > 1


def _gates(tracks: list[Track], gate: float) -> np.ndarray:
    """How far along x each track's cell may be from its prediction, (n,) px: a young speed is less sure."""
    unseen = np.array([t.missed for t in tracks])
    hits = np.array([t.hits for t in tracks], float)
    return gate * np.minimum(1 + (unseen + 1) * YOUNG / hits, WIDEST)


def _assign(
    tracks: list[Track], x: np.ndarray, y: np.ndarray, found: Detections, gate: float
) -> Iterator[tuple[int, int]]:
    """Pairs of track and detection with the least total squared distance in units of the gate."""
    dx, dy = (found.x - x[:, None]) / _gates(tracks, gate)[:, None], (found.y - y[:, None]) / gate
    cost = dx**2 + dy**2
    rows, columns = np.nonzero((cost < 1).any(axis=1))[0], np.nonzero((cost < 1).any(axis=0))[0]
    small = np.where(cost < 1, cost, FORBIDDEN)[np.ix_(rows, columns)]
    for i, j in zip(*linear_sum_assignment(small), strict=True):
        if small[i, j] < 1:
            yield int(rows[i]), int(columns[j])


def _update(track: Track, x: float, y: float, near: bool, step: float) -> None:
    """Growing-memory filter of a steady speed (a straight-line fit to all hits, at most 20); cautious beside others.

    x, y: where the cell was seen, px; step: the common step to this frame.
    """
    trust = TRUST_NEAR if near else 1.0  # such a hit counts for less, and also less against later ones
    elapsed = max(abs(step) + track.missed, 1.0)
    track.hits, track.missed = track.hits + trust, 0
    n = min(track.hits, MEMORY)
    error = x - track.x
    # The gains of a straight line fitted to n evenly spaced points, at its last point.
    track.x += trust * error * 2 * (2 * n - 1) / (n * (n + 1))
    track.speed += trust * error * 6 / (n * (n + 1)) / elapsed
    track.y += trust * (y - track.y) / min(n, MEMORY / 2)


def _triples(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    limits: tuple[float, float],
    gate: float,
    ratio: float = 1.0,
    slope: float = 0.0,
    loose: float = 0.0,
) -> list[tuple[int, int, int]]:
    """Triples of points (n, 2) along +x whose steps have a ratio (late over early), the straightest first.

    limits: shortest and longest late step, px; gate: px off the line; slope: of the line; loose: relative error of the
    ratio, by which the gate along x is wider for longer steps.
    """
    if not (len(a) and len(b) and len(c)):
        return []
    step = c[None, :, :] - b[:, None, :]
    dx, across = step[..., 0], step[..., 1] - slope * step[..., 0]
    j, k = np.nonzero((dx >= limits[0]) & (dx <= limits[1]) & (abs(across) < gate))
    bend = a[None, :, :] - (b[j] - (c[k] - b[j]) / ratio)[:, None, :]
    along = gate + loose * dx[j, k]
    cost = (bend[..., 0] / along[:, None]) ** 2 + (bend[..., 1] / gate) ** 2
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


#: standard deviations of what `smooth_path` weighs, px
CENTRE, CENTRE_NEAR = 0.25, 1.0  #: of a centre, alone and beside another cell
STEP, STEP_NEAR = 0.08, 1.0  #: of a registered step
CHANGE = 0.02  #: of a change of a cell's speed from frame to frame
CLOCK = 0.01  #: relative error of a common step where it changes, by which a path may leave the steady speed
OUTLIER = 3.0  #: evidence so many px off the path counts half
REWEIGHTED = 3  #: solutions, each weighing outliers by the one before


def smooth_path(seen: np.ndarray, steps: np.ndarray, near: np.ndarray, clock: np.ndarray | None = None) -> np.ndarray:
    """Most likely path of a cell at nearly steady speed: (n, 2) float64 x, y px for every frame.

    Least squares over three kinds of evidence: the centres, the registered steps, and that the speed hardly changes
    from frame to frame. Beside another cell the first two count little. Outliers are weighed down twice.

    Parameters
    ----------
    seen : (n, 2) centres, px; nan where unseen
    steps : (n - 1, 2) registered steps, px; nan where unknown
    near : (n,) bool, beside another cell
    clock : (n,) common clock of all cells, by which the speed is steady; default the frames'
    """
    weight = np.where(near, CENTRE_NEAR**-2, CENTRE**-2) * np.isfinite(seen[:, 0])
    step_weight = np.where(near[1:] | near[:-1], STEP_NEAR**-2, STEP**-2) * np.isfinite(steps[:, 0])
    elapsed = np.ones(len(seen) - 1) if clock is None else np.diff(clock)
    first, last = np.flatnonzero(np.isfinite(seen[:, 0]))[[0, -1]]
    speed = np.hypot(*(seen[last] - seen[first])) / max(abs(elapsed[first:last].sum()), 1.0)
    seen, steps = np.nan_to_num(seen), np.nan_to_num(steps)
    w, s = weight, step_weight
    for _ in range(REWEIGHTED):
        path = _solve(seen, steps, w, s, elapsed, speed)
        w = weight / (1 + weight * ((path - seen) ** 2).sum(axis=1) / OUTLIER**2)
        s = step_weight / (1 + step_weight * ((np.diff(path, axis=0) - steps) ** 2).sum(axis=1) / OUTLIER**2)
    return path


def _solve(
    seen: np.ndarray, steps: np.ndarray, w: np.ndarray, s: np.ndarray, elapsed: np.ndarray, speed: float
) -> np.ndarray:
    """The banded normal equations of `smooth_path` with given weights.

    elapsed: (n - 1,) time between frames by the common clock; speed: px in a time of 1.
    """
    n = len(seen)
    band, right = np.zeros((3, n)), w[:, None] * seen
    band[2] = w
    # Registered steps: x[k + 1] - x[k].
    band[2, 1:] += s
    band[2, :-1] += s
    band[1, 1:] -= s
    right[1:] += s[:, None] * steps
    right[:-1] -= s[:, None] * steps
    # Steady speed: (x[k + 1] - x[k]) / late - (x[k] - x[k - 1]) / early is 0.
    safe = np.where(elapsed < 0, -1, 1) * np.maximum(abs(elapsed), flow.STOPPED)
    early, late = safe[:-1], safe[1:]
    changing = abs(late - early) > 2 * CLOCK
    stiff = 1 / (CHANGE**2 + changing * (CLOCK * speed) ** 2)
    before, here, after = 1 / early, -1 / early - 1 / late, 1 / late
    for offset, value in enumerate((before, here, after)):
        band[2, offset : n - 2 + offset] += stiff * value**2
    band[1, 1 : n - 1] += stiff * before * here
    band[1, 2:] += stiff * here * after
    band[0, 2:] += stiff * before * after
    return solveh_banded(band, right)


@dataclass(frozen=True)
class Finished:
    """A track whose path is final: frame numbers (n,), path (n, 2) px, speed px/frame, crops (n, 31, 31) uint8."""

    frames: np.ndarray
    path: np.ndarray
    speed: float
    crops: np.ndarray


def finish(
    track: Track, background: np.ndarray, level: float, parameters: Parameters, clock: np.ndarray | None = None
) -> list[Finished]:
    """Register a track, smooth its path and cut its crops; nothing where fewer than `min_frames` crops fit the
    picture.

    The crops are `evened`: the paper removes the background from every frame, and so its sequences, which the models
    know, lie on one `level` of grey. Which level the paper added is not said; `track` takes the background's median.
    clock: as in `smooth_path`, one number for each look of the track.
    """
    last = max(i for i, look in enumerate(track.looks) if np.isfinite(look.x)) + 1
    if last < parameters.min_frames:
        return []
    x, y, near, corners, crops, gains = zip(*track.looks[:last], strict=True)
    seen, corners = np.stack([x, y], axis=1), np.array(corners)
    whole = np.array([c is not None for c in crops])
    blank = np.zeros((WIDE, WIDE), np.uint8)
    crops = np.stack([blank if c is None else c for c in crops])
    contrast = _contrast(crops, background, corners, np.array(gains))
    steps = _steps(contrast, whole, seen, corners)
    path = smooth_path(seen, steps, np.array(near), None if clock is None else clock[:last])
    chosen = _fitting(path, corners, whole, background.shape)
    if len(chosen) < parameters.min_frames:
        return []
    speed = float(np.polyfit(chosen, path[chosen, 0], 1)[0])
    if not parameters.min_speed_px <= speed <= parameters.max_speed_px:
        return []
    offsets = np.round(path[chosen]).astype(int) - corners[chosen] + SLACK
    cuts = np.stack(
        [contrast[i, v : v + FRAME_PX, u : u + FRAME_PX] for i, (u, v) in zip(chosen, offsets, strict=True)]
    )
    return [Finished(track.first + chosen, path[chosen], speed, evened(cuts, np.array(gains)[chosen], level))]


def _contrast(crops: np.ndarray, background: np.ndarray, corners: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Wide crops (n, 39, 39) uint8 without the background as the lamp lit it then: (n, 39, 39) float32."""
    behind = np.stack([_wide(background, cx, cy) for cx, cy in corners]).astype(np.float32)
    return crops - behind * (gains.astype(np.float32) / UNIT)[:, None, None]


def evened(contrast: np.ndarray, gains: np.ndarray, level: float) -> np.ndarray:
    """What a camera would have seen of a cell in steady, even light: (n, 31, 31) uint8.

    Parameters
    ----------
    contrast : (n, 31, 31) float32, the frames without their background, grey levels
    gains : (n,) light of each frame against the background's, 4096 for equal (`rbc.tracking.detection.gain`), by which the
        contrast is divided
    level : grey level added
    """
    steady = contrast * (UNIT / gains).astype(np.float32)[:, None, None]
    return np.clip(np.rint(steady + np.float32(level)), 0, 255).astype(np.uint8)


def _steps(contrast: np.ndarray, whole: np.ndarray, seen: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Registered displacement from each frame to the next: (n - 1, 2) px, nan where a frame is damaged."""
    moved = np.diff(corners, axis=0)
    expected = np.nan_to_num(np.diff(seen, axis=0) - moved)
    steps = register(contrast, np.clip(expected, -3, 3)) + moved
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
    parameters : default derived from the three next, the limits of speed from the movie
    frame_rate : 1/s; default the file's, else 60 (paper)
    um_per_px : um; default the file's, else 0.6 (paper)
    shear_rate : 1/s; default 10 (paper)
    patient : written into the index
    threads : default all cores; any number gives the same bits
    chunk : frames in memory at once; any number gives the same bits
    progress : called with the frames done and the frames announced
    store : binary file the crops are kept in as they come; default a temporary one

    The table has a row for each frame of each sequence: track, frame (from 0), x_px, y_px (centre of the cell),
    speed_px (px/frame along the flow's axis, of the whole track) and name of the sequence. The places are those in the
    movie as it is; where the cells move another way than left to right, the crops are turned so that they do.

    `meta` of the sequences tells what was found: "flow" (direction, tilt, speeds, steadiness), "parameters" (the limits
    used), "continued" (pairs of names, the earlier first, that may be one cell), "notes" (what was left out and what to
    know, in words) and "objections" (why the movie should not be judged; empty where nothing speaks against it).

    Raises `RbcError` where the movie cannot be read, is shorter than a sequence, black, changes size, holds no moving
    cell, or flows along a diagonal of the picture.
    """
    movie = open_movie(Path(video))
    sources = movie.about(um_per_px, frame_rate, shear_rate)
    units = tuple(sources[name]["value"] for name in ("um_per_px", "frame_rate", "shear_rate"))
    run = _Run(movie, parameters, units, threads or os.cpu_count() or 1, chunk, progress)
    store = store or tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the frames mapped on it
    spool = _Spool(store, in_words(movie.path.stem), patient, run.unturned)
    for ended in run.tracks():
        spool.add(ended)
    if not spool.rows:
        raise RbcError(f"{movie.path}: no moving cell in {run.done} frames; check threshold, speeds and the movie")
    meta = {"source": in_words(movie.path.name), "version": 1, "simulated": movie.simulated}
    meta |= {"units": sources}
    meta |= dict(zip(("um_per_px", "frame_rate", "shear_rate"), units, strict=True))
    meta |= {"parameters": asdict(run.parameters), "n_frames": run.done, "noise_variance": run.noise}
    meta |= run.about(spool.names())
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
    """Two passes over a movie: a look at its flow, then its tracks.

    From the first pass on the movie is turned so that the cells move left to right; `unturned` leads back.
    """

    def __init__(
        self,
        movie: Movie,
        given: Parameters | None,
        units: tuple[float, float, float],
        threads: int,
        chunk: int,
        progress: Callable | None,
    ) -> None:
        self.parameters = given or Parameters.derive(*units)
        if movie.n_frames < self.parameters.min_frames:
            raise RbcError(f"{movie.path}: {movie.n_frames} frames; a sequence needs {self.parameters.min_frames}")
        self.movie, self.threads, self.chunk, self.progress = movie, threads, max(chunk, 1), progress
        self.done, self.damaged, self.dark = 0, [], []
        self.finished: list[Finished] = []  # without their crops
        sample = movie.sample(self.parameters.background_frames)
        try:
            self.background = detection.background(sample, threads)
        except RbcError as error:
            raise RbcError(f"{movie.path}: {error}") from error
        self.level = float(np.median(self.background))
        few = sample[:: max(1, len(sample) // FOR_NOISE)]
        self.noise = detection.noise_variance(few, self.background)
        self.known: dict[int, Detections] = {}  # found in the first pass
        self._look_ahead(limits=given is None)

    # --- the first pass

    def _look_ahead(self, limits: bool) -> None:
        """Measure the flow on some runs of frames; turn the movie, and derive the limits of speed where asked for."""
        numbers = flow.runs(self.movie.n_frames)
        pictures = _picked(self.movie, numbers)
        with ThreadPoolExecutor(self.threads) as pool:
            found = dict(zip(pictures, pool.map(self._detect_only, pictures.values()), strict=True))
        nobody = np.zeros((0, 2))
        centres = [[found[i].centres if i in found else nobody for i in run] for run in numbers]
        longest = max(self.movie.shape) / 3  # a step that can be seen three times
        self.flow = flow.survey(centres, self.parameters.gate_px, longest)
        if abs(self.flow.tilt) > flow.MOST_TILT:
            raise RbcError(
                f"{self.movie.path}: the cells move {abs(self.flow.tilt):.0f} degrees off the axes of the picture; "
                "turn the movie so that they move left to right"
            )
        if self.flow.turn:
            self.movie = _turned(self.movie, self.flow.turn)
            self.background = np.ascontiguousarray(np.rot90(self.background, self.flow.turn))
        else:
            self.known = found
        if limits:
            self._derive_limits()

    def _derive_limits(self) -> None:
        """The fastest cell is the one that still makes a sequence; the slowest the slowest seen, or slower."""
        p = self.parameters
        slowest = p.min_speed_px
        if len(self.flow.speeds):
            slowest = min(slowest, 0.5 * float(np.quantile(self.flow.speeds, 0.02)))
        fastest = flow.fastest(self.movie.shape[1], p.min_frames)
        self.parameters = replace(p, min_speed_px=min(slowest, fastest / 2), max_speed_px=fastest)

    # --- the second pass

    def tracks(self) -> Iterator[Finished]:
        """Tracks in the order of their ends."""
        self.linker = linker = Linker(self.parameters, self.movie.shape, self.flow.slope)
        ending: deque[Future] = deque()
        expected = _expected_steps(self.movie)
        with ThreadPoolExecutor(self.threads) as pool:
            for number, frame, found in self._detections(pool):
                ending.extend(self._finish(pool, linker.step(frame, found, expected(number))))
                self.done += 1
                while ending and ending[0].done():
                    yield from self._kept(ending.popleft().result())
                if self.progress:
                    self.progress(self.done, self.movie.n_frames)
            ending.extend(self._finish(pool, linker.end()))
            for future in ending:
                yield from self._kept(future.result())

    def _finish(self, pool: ThreadPoolExecutor, tracks: list[tuple[Track, np.ndarray]]) -> list[Future]:
        return [pool.submit(finish, t, self.background, self.level, self.parameters, clock) for t, clock in tracks]

    def _kept(self, ended: list[Finished]) -> list[Finished]:
        """Remember where tracks began and ended, to compare them at the end."""
        self.finished += [replace(f, crops=f.crops[:0]) for f in ended]
        return ended

    def _detections(self, pool: ThreadPoolExecutor) -> Iterator[tuple[int, np.ndarray | None, Detections]]:
        """Every frame with its number and detections, in order, found by several threads some frames ahead."""
        ahead: deque[tuple[int, Future]] = deque()
        for number, frame in self.movie.frames():
            ahead.append((number, pool.submit(self._detect, number, frame)))
            if len(ahead) >= self.chunk:
                first, future = ahead.popleft()
                yield first, *future.result()
        for first, future in ahead:
            yield first, *future.result()

    def _detect(self, number: int, frame: np.ndarray | None) -> tuple[np.ndarray | None, Detections]:
        nothing = Detections(*np.zeros((3, 0)), np.zeros(0, bool), UNIT)
        if frame is None:
            self.damaged.append(number)
            return None, nothing
        found = self.known.pop(number, None) or self._detect_only(frame)
        if found.gain < DARKEST:
            self.dark.append(number)
            return None, nothing
        return frame, found

    def _detect_only(self, frame: np.ndarray) -> Detections:
        p = self.parameters
        areas = (p.min_area_px2, p.max_area_px2)
        return detection.detect(frame, self.background, self.noise, p.threshold, p.cell_px, areas)

    def unturned(self, path: np.ndarray) -> np.ndarray:
        """Places (n, 2) x, y px in the movie as it is, from those in the turned one."""
        x, y = path.T
        right, bottom = self.movie.shape[1] - 1, self.movie.shape[0] - 1
        back = [(x, y), (bottom - y, x), (right - x, bottom - y), (y, right - x)]
        return np.stack(back[self.flow.turn], axis=1)

    # --- what was seen

    def about(self, names: list[str]) -> dict:
        """What `track` says of the movie in its meta."""
        p, steps = self.parameters, self.linker.pace.steps
        speeds = np.array([f.speed for f in self.finished])
        unsteady, lost = flow.unsteady(np.array(steps)[np.array(self.linker.pace.support) >= FEW])
        same = dict.fromkeys((*self._continued(), *self._beside()))
        pairs = [(names[i], names[j]) for i, j in same]
        low, high = np.quantile(speeds, [0.05, 0.95])
        notes = self._left_out()
        direction = flow.NAMES[self.flow.turn]
        notes.append(
            f"cells move {direction}, {low:.1f} to {high:.1f} px/frame (nine in ten), tilted {self.flow.tilt:.1f} "
            f"degrees; limits {p.min_speed_px:.1f} to {p.max_speed_px:.1f} px/frame"
        )
        if self.flow.turn:
            notes.append("the crops are turned so that the cells move left to right")
        if lost:
            notes.append(f"the camera seems to have lost {lost} frames; gaps are bridged")
        if self.linker.joined:
            notes.append(f"{self.linker.joined} cells were lost for a while and found again")
        too_fast, too_slow = self._at_limits(speeds)
        remarks = [
            flow.remarks(
                "limit",
                too_fast,
                f"{too_fast:.0%} of the cells move at the highest speed that is tracked, "
                f"{p.max_speed_px:.1f} px/frame, or faster: film at a higher frame rate",
            ),
            flow.remarks(
                "limit",
                too_slow,
                f"{too_slow:.0%} of the cells move at the lowest speed that is tracked, "
                f"{p.min_speed_px:.1f} px/frame: slower ones are lost",
            ),
            flow.remarks(
                "continued",
                len(pairs) / len(names),
                f"{len(pairs)} of {len(names)} tracks start where another ended, or run beside it: these "
                "cells may count twice",
            ),
            flow.remarks(
                "unsteady",
                unsteady,
                f"all cells change their speed together, by over {flow.UNSTEADY:.0%} in "
                f"{unsteady:.0%} of the frames: the flow is not steady",
            ),
            flow.remarks(
                "astray",
                1 - self.flow.agree,
                f"{1 - self.flow.agree:.0%} of the steps seen do not go {direction}: there is no flow in one direction",
            ),
        ]
        return {
            "flow": {
                "direction": direction,
                "turned_quarters": self.flow.turn,
                "tilt_degrees": self.flow.tilt,
                "agree": self.flow.agree,
                "speed_px": {"low": float(low), "median": float(np.median(speeds)), "high": float(high)},
                "unsteady": unsteady,
                "lost_frames": lost,
                "joined": self.linker.joined,
                "at_highest": too_fast,
                "at_lowest": too_slow,
            },
            "continued": [list(pair) for pair in pairs],
            "notes": [*notes, *(line for note, _ in remarks for line in note)],
            "objections": [line for _, objection in remarks for line in objection],
        }

    def _at_limits(self, speeds: np.ndarray) -> tuple[float, float]:
        """Shares of cells at or beyond the highest speed, and at the lowest."""
        p, seen = self.parameters, self.flow.speeds
        # A fast cell is seen for fewer frames, so that each look at it stands for more cells.
        beyond = float(seen[seen > p.max_speed_px].sum() / seen.sum()) if len(seen) else 0.0
        highest = float((speeds > (1 - flow.AT_LIMIT) * p.max_speed_px).mean())
        lowest = float((speeds < (1 + flow.AT_LIMIT) * p.min_speed_px).mean())
        return max(beyond, highest), lowest

    def _continued(self) -> list[tuple[int, int]]:
        """Pairs of tracks, by number, of which the second begins where the first must be by then."""
        p, clock = self.parameters, np.cumsum([0.0, *self.linker.pace.steps[1:]])
        first = np.array([f.frames[0] for f in self.finished])
        last = np.array([f.frames[-1] for f in self.finished])
        start = np.array([f.path[0] for f in self.finished])
        end = np.array([f.path[-1] for f in self.finished])
        speed = (end - start)[:, 0] / np.maximum(clock[last] - clock[first], 1e-9)
        pairs, taken = [], set()
        for i in np.argsort(last, kind="stable"):
            gap = first - last[i]
            there = end[i, 0] + speed[i] * (clock[first] - clock[last[i]])
            off_x, off_y = start[:, 0] - there, start[:, 1] - end[i, 1] - self.flow.slope * (there - end[i, 0])
            fits = (gap >= 0) & (gap <= LATER) & (abs(speed / speed[i] - 1) < ALIKE)
            # The speed of a track of n frames is known to about a gate over n frames.
            reach = p.gate_px * (WIDEST + abs(gap) / max(last[i] - first[i], 1))
            fits &= (abs(off_x) < reach) & (abs(off_y) < 2 * p.gate_px)
            fits[i] = False
            best = min((int(j) for j in np.flatnonzero(fits) if j not in taken), key=lambda j: gap[j], default=None)
            if best is not None:
                pairs.append((int(i), best))
                taken.add(best)
        return pairs

    def _beside(self) -> list[tuple[int, int]]:
        """Pairs of tracks, by number, that go side by side, closer than two cells can: the longer one first."""
        places: dict[int, list[tuple[int, np.ndarray]]] = {}
        for number, f in enumerate(self.finished):
            for frame, place in zip(f.frames, f.path, strict=True):
                places.setdefault(int(frame), []).append((number, place))
        met: Counter[tuple[int, int]] = Counter()
        for here in places.values():
            close = cKDTree([place for _, place in here]).query_pairs(SAME * self.parameters.cell_px)
            met.update((here[i][0], here[j][0]) for i, j in close)
        lengths = [len(f.frames) for f in self.finished]
        twins = [pair for pair, n in met.items() if 2 * n >= min(lengths[k] for k in pair)]
        return sorted(tuple(sorted(pair, key=lambda k: (-lengths[k], k))) for pair in twins)

    def _left_out(self) -> list[str]:
        """What the reader remarked, and what was left out, in words."""
        notes = list(self.movie.notes)
        if self.done < self.movie.n_frames:
            notes.append(f"the movie ends after {self.done} of {self.movie.n_frames} announced frames")
        for what, numbers in (("damaged", self.damaged), ("dark", self.dark)):
            if numbers:
                notes.append(f"{len(numbers)} {what} frames left out: {', '.join(map(str, sorted(numbers)[:10]))}")
        return notes


def _picked(movie: Movie, numbers: list[range]) -> dict[int, np.ndarray]:
    """Frames of some runs by their numbers, damaged ones left out; read through where the file has no index."""
    wanted = [i for run in numbers for i in run]
    frames = movie.pick(wanted)
    if any(f is not None for f in frames):
        whole = [f is not None and f.shape == movie.shape for f in frames]
        return {i: f for i, f, good in zip(wanted, frames, whole, strict=True) if good}
    chosen, out = set(wanted), {}
    for number, frame in movie.frames():
        if number in chosen and frame is not None:
            out[number] = frame
        if number >= wanted[-1]:
            break
    return out


def _turned(movie: Movie, quarters: int) -> Movie:
    """The same movie, each frame turned counter-clockwise by quarters as `numpy.rot90` does."""

    def turn(frame: np.ndarray | None) -> np.ndarray | None:
        return None if frame is None else np.ascontiguousarray(np.rot90(frame, quarters))

    def read() -> Iterator[tuple[int, np.ndarray | None]]:
        return ((number, turn(frame)) for number, frame in movie.read())

    shape = movie.shape[::-1] if quarters % 2 else movie.shape
    return replace(movie, shape=shape, read=read, pick=lambda numbers: [turn(f) for f in movie.pick(numbers)])


def _expected_steps(movie: Movie) -> Callable[[int], float | None]:
    """The step to a frame by its time stamp, in usual ones; None where the reader gives no time stamps.

    `movie.times`, where the reader has it, holds the seconds of each frame.
    """
    times = getattr(movie, "times", None)
    if times is None or len(times) < 2:
        return lambda number: None
    steps = np.diff(np.asarray(times, float), prepend=np.nan)
    steps /= np.nanmedian(steps)
    return lambda number: float(steps[number]) if number < len(steps) and np.isfinite(steps[number]) else None


class _Spool:
    """Sequences as they come: crops go straight to a .npy file, only the table stays in memory."""

    def __init__(
        self, file: BinaryIO, acquisition: str, patient: str, place: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """place: from the places of a path to those written into the table."""
        self.file, self.acquisition, self.patient, self.place = file, acquisition, patient, place
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
        self.tables.append((number, done.frames, self.place(done.path), done.speed, name))
        self.n += length

    def names(self) -> list[str]:
        """Names of the sequences so far."""
        return [row[0] for row in self.rows]

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
