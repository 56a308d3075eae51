"""From detections to tracks: objects move left to right along x, each at its own steady speed.

Paper: "Trajectories extraction". Lengths are in px, times in frames, speeds in px/frame; positions
are as in `rbc.tracking.detection`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from rbc import RbcError
from rbc.paper import MIN_FRAMES
from rbc.tracking import flow
from rbc.tracking.detection import Detections
from rbc.tracking.registration import wide_crop

BACK = 9  #: frames kept, so that a new track can be followed back from its birth
UNSEEN = (np.nan, np.nan)
#: cell diameters within which two cells disturb each other's centre: their outlines touch
BESIDE = 1.3
ENOUGH = 100  #: cells that measure the common step; more make it no surer
FEW = 3  #: cells that must have measured it before it is believed more than the free detections
#: widening of the gate along x, in gates for each frame unseen over the hits that made the speed
YOUNG = 2.5
WIDEST = 3.0  #: gates; beyond it a stranger is as likely
FORBIDDEN = 1e3  #: cost of a pair out of reach, far above that of any set of pairs within
#: what a centre beside another cell counts, as it may be drawn to the neighbour by a third of a
#: cell
TRUST_NEAR = 0.3
MEMORY = 20  #: hits that a speed remembers: a real cell drifts a little in height
SPARSE = 10  #: free detections in a frame, of which three hardly lie on a line by chance
LOOSEST = 0.1  #: relative error of the ratio of two steps with which a track may begin
ALIKE = 0.2  #: relative difference of speed up to which a new track may be a lost one


@dataclass(frozen=True)
class Parameters:
    """What steers the tracking; `Parameters.derive` gives defaults from pixel size, frame rate and
    shear rate.
    """

    cell_px: float = 13.3
    """Diameter of a cell. Larger: more of its halo counts for the position, and close neighbours
    merge sooner.
    """
    threshold: float = 2.0
    """Local variance that makes an object, in units of the noise's variance. Lower: fainter,
    blurred cells are found too, with more false objects and larger outlines; higher: only crisp
    cells.
    """
    min_area_px2: float = 35.0
    """Smallest object. Lower: debris and platelets come in; higher: thin, edge-on cells drop
    out.
    """
    max_area_px2: float = 1600.0
    """Largest object, for each cell in it. Lower: blurred cells drop out; higher: smears of the
    light come in.
    """
    min_speed_px: float = 1.1
    """Slowest cell, px/frame. Lower: cells that stick and creep become tracks; higher: cells at
    the wall are lost. `track` lowers it where the movie has slower cells.
    """
    max_speed_px: float = 46.0
    """Fastest cell, px/frame. Lower: cells far from the wall are lost; higher: more chance
    neighbours at the start. `track` sets it to the fastest speed at which a cell crosses the
    picture in `min_frames`.
    """
    gate_px: float = 3.5
    """How far from its predicted place a cell is accepted. Larger: jitter is forgiven,
    neighbours are swapped sooner.
    """
    max_gap: int = 5
    """Frames a cell may go unseen in the open. Larger: longer blinks are bridged, ended tracks
    catch strangers sooner.
    """
    max_hidden: int = 30
    """Frames a cell may go unseen beside another track, as while it is overtaken; and for which
    a track that ended waits for its cell to come back.
    """
    min_frames: int = MIN_FRAMES
    """Shortest sequence kept, frames (paper: 6)."""
    background_frames: int = 100
    """Frames in the median background (paper: 100). Fewer: faster, and slow cells leave a
    shadow.
    """

    def __post_init__(self) -> None:
        for f in fields(self):
            if not getattr(self, f.name) > 0:
                raise RbcError(f"{f.name} is {getattr(self, f.name)!r}: it must be above 0")
        if self.min_speed_px >= self.max_speed_px:
            raise RbcError(
                f"min_speed_px {self.min_speed_px} is not below max_speed_px {self.max_speed_px}"
            )

    @classmethod
    def derive(
        cls, um_per_px: float, frame_rate: float, shear_rate: float, **chosen: float
    ) -> Parameters:
        """Parameters of a movie from its units.

        A cell is 8 um across. Near the wall its speed is shear rate x height: a cell cannot be
        lower than its radius, 4 um (we take 0.7 of that speed), and beyond 165 um above the wall it
        is too blurred to be seen.

        Parameters
        ----------
        um_per_px : size of a pixel, um
        frame_rate : 1/s
        shear_rate : at the wall, 1/s
        chosen : any parameter by name; it goes before the derived one

        Raises
        ------
        RbcError
            where a number is not above 0
        """
        for name, value in (
            ("um_per_px", um_per_px),
            ("frame_rate", frame_rate),
            ("shear_rate", shear_rate),
        ):
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
        values: dict[str, Any] = {**derived, **chosen}
        return cls(**values)


class Look(NamedTuple):
    """One frame of a track: centre x, y (nan where unseen), whether beside another cell, and the
    wide crop around a pixel.
    """

    x: float
    y: float
    near: bool
    corner: tuple[int, int]  #: x, y of the crop's middle
    crop: np.ndarray | None  #: (39, 39) uint8, None in a damaged frame
    gain: int


@dataclass
class Track:
    """One cell being followed: its motion as known so far, and what was seen of it in every frame
    since its birth.

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
    """Links detections of successive frames, left to right along x, every track at its own steady
    speed.

    Each track predicts its next place from all it has seen and from the step that all cells make in
    this frame (`rbc.tracking.flow.Pace`); tracks and detections within the gate are paired at the
    least total squared distance. Three unclaimed detections on a line, evenly spaced on the common
    clock, begin a track, or go on with one that was lost where its cell must be by now.
    """

    def __init__(self, parameters: Parameters, shape: tuple[int, int], slope: float = 0.0) -> None:
        """shape: height, width px; slope: px that the flow goes down for each px to the right."""
        self.parameters, self.shape, self.slope = parameters, shape, slope
        self.active: list[Track] = []
        # coasting out of reach of the pairing, for a new track to go on with
        self.lost: list[Track] = []
        # frame, unclaimed detections
        self.recent: deque[tuple[np.ndarray | None, Detections]] = deque(maxlen=BACK)
        self.pace = flow.Pace()
        self.joined = 0  # tracks that were lost and went on
        self.number = -1

    def step(
        self, frame: np.ndarray | None, found: Detections, expected: float | None = None
    ) -> list[tuple[Track, np.ndarray]]:
        """Take in the next frame and its detections.

        Parameters
        ----------
        frame : (H, W) uint8; None where it is damaged
        found : its detections
        expected : the step that the time stamps tell, in usual ones; None where there are none

        Returns
        -------
        The tracks that ended, each with its clock
        """
        # First the step that all cells share: every prediction below rests on it.
        self.number += 1
        self._common_step(frame, found, expected)
        self._coast(frame, found)
        # Tracks that are followed choose first; only what they leave can begin a new one.
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

    def _common_step(
        self, frame: np.ndarray | None, found: Detections, expected: float | None
    ) -> None:
        """How far all cells moved since the last frame, by the surest of them."""
        if not self.active:
            self.pace.forget()
        if frame is None or not self.active or not len(found.x):
            self.pace.idle(expected)
            return
        # Cells just seen and long followed are predicted best.
        surest = sorted(self.active, key=lambda t: (t.missed, -t.hits))[:ENOUGH]
        places = np.array([(t.x, t.y) for t in surest])
        speeds = np.array([t.speed for t in surest])
        gates = _gates(surest, self.parameters.gate_px)
        self.pace.measure(
            places, speeds, gates, found.centres, self.parameters.gate_px, self.slope, expected
        )

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
        # Where each cell must be by now, at its own speed and the step of all.
        moved = np.array([t.speed for t in tracks]) * step
        x = np.array([t.x for t in tracks]) + moved
        y = np.array([t.y for t in tracks]) + moved * self.slope
        # A centre beside another cell is drawn towards it, so such hits count for less.
        beside = _crowded(x, y, BESIDE * self.parameters.cell_px)
        pairs = dict(_assign(tracks, x, y, found, self.parameters.gate_px))
        for i, track in enumerate(tracks):
            # The prediction stands until a detection corrects it.
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
        first, second, third = (d.centres for d in found[-3:])
        for triple in _triples(
            first, second, third, limits, p.gate_px, late / early, self.slope, loose
        ):
            if any(taken[t][k] for t, k in zip(last, triple, strict=True)):
                continue
            # A straight, evenly spaced triple: the speed is its length over both steps.
            points = [
                (float(found[t].x[k]), float(found[t].y[k]))
                for t, k in zip(last, triple, strict=True)
            ]
            speed = (points[2][0] - points[0][0]) / (early + late)
            # The mean of the three places across the flow, seen from the last of them.
            y = sum(py - self.slope * (px - points[2][0]) for px, py in points) / 3
            track = Track(self.number - 2, points[2][0], y, speed)
            for t, k, point in zip(last, triple, points, strict=True):
                taken[t][k] = True
                track.looks.append(_look(point, False, frames[t], found[t].gain, *point))
            # A cell is there before its first three free detections: at most BACK frames.
            self._follow_back(track, frames, found, taken)
            # A cell that was lost and found again stays one track, so it counts once.
            if not self._goes_on(track):
                self.active.append(track)
        free = [d.part(~used) for d, used in zip(found, taken, strict=True)]
        self.recent = deque(zip(frames, free, strict=True), maxlen=BACK)

    def _last_steps(self, found: tuple[Detections, ...]) -> tuple[float, float]:
        """The common steps to the last frame but one and to the last, by the free detections where
        no track tells.
        """
        early, late = self.pace.steps[-2:]
        if min(self.pace.support[-2:]) >= FEW:
            return early, late
        p = self.parameters
        limits = (p.min_speed_px, p.max_speed_px)
        first, second, third = (d.centres for d in found)
        ratio = flow.ratio_of_steps(first, second, third, limits, p.gate_px, self.slope)
        if ratio != 1.0 and self.pace.support[-1] == 0:
            self.pace.steps[-1] = late = ratio * early
        return early, late

    def _follow_back(
        self, track: Track, frames: tuple, found: tuple[Detections, ...], taken: list
    ) -> None:
        """Add what was seen of a new track in the frames before its first three."""
        x, y, past = track.looks[0].x, track.looks[0].y, []
        for back, t in enumerate(range(len(found) - 4, -1, -1)):
            d = found[t]
            step = self.pace.steps[self.number - 2 - back]  # from frame t to the one after it
            # One frame back along the track, then the nearest free detection within the gate.
            x -= track.speed * step
            y = track.y + self.slope * (x - track.x)
            off = np.where(taken[t], np.inf, np.hypot(d.x - x, d.y - y))
            k = int(off.argmin()) if len(off) else -1
            seen, place = UNSEEN, (x, y)
            if k >= 0 and off[k] < self.parameters.gate_px:
                taken[t][k], x = True, float(d.x[k])
                seen = place = x, float(d.y[k])
            past.append(_look(seen, False, frames[t], d.gain, *place))
        # What was not seen at the far end is no part of the cell's sequence.
        while past and np.isnan(past[-1].x):
            past.pop()
        track.first -= len(past)
        track.looks[:0] = past[::-1]

    def _goes_on(self, new: Track) -> bool:
        """Whether a new track is a lost one that goes on; then the lost one takes over what was
        seen of it.
        """
        for old in self.lost:
            # The lost track coasted through the frames in which the new one was seen.
            overlap = old.first + len(old.looks) - new.first
            # Two cells seen in one frame cannot be the same.
            unseen_then = all(np.isnan(look.x) for look in old.looks[-overlap:])
            (reach,) = _gates([old], self.parameters.gate_px)
            close = abs(old.x - new.x) < reach and abs(old.y - new.y) < 2 * self.parameters.gate_px
            if unseen_then and close and abs(old.speed / new.speed - 1) < ALIKE:
                # The coasted frames are replaced by what was seen in them.
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
        # Tracks beside another are only hidden and stay active; the others go among the lost.
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
        """The common clock at each frame of a track: (n,) float64, in usual steps since the
        first.
        """
        steps = self.pace.steps[track.first + 1 : track.first + len(track.looks)]
        return np.concatenate([[0.0], np.cumsum(steps)])


def _crowded(x: np.ndarray, y: np.ndarray, near: float) -> np.ndarray:
    """Which of (n,) points have another within `near`."""
    close = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 < near**2
    return close.sum(axis=1) > 1


def _gates(tracks: list[Track], gate: float) -> np.ndarray:
    """How far along x each track's cell may be from its prediction, (n,) px: a young speed is less
    sure.
    """
    unseen = np.array([t.missed for t in tracks])
    hits = np.array([t.hits for t in tracks], float)
    return gate * np.minimum(1 + (unseen + 1) * YOUNG / hits, WIDEST)


def _assign(
    tracks: list[Track], x: np.ndarray, y: np.ndarray, found: Detections, gate: float
) -> Iterator[tuple[int, int]]:
    """Pairs of track and detection with the least total squared distance in units of the gate."""
    dx, dy = (found.x - x[:, None]) / _gates(tracks, gate)[:, None], (found.y - y[:, None]) / gate
    cost = dx**2 + dy**2
    # Only tracks and detections that can reach something enter the assignment: it grows with the
    # cube of their number.
    rows, columns = np.nonzero((cost < 1).any(axis=1))[0], np.nonzero((cost < 1).any(axis=0))[0]
    # The assignment must pair all rows; a pair out of reach is so dear that it is never
    # preferred, and is dropped after.
    small = np.where(cost < 1, cost, FORBIDDEN)[np.ix_(rows, columns)]
    for i, j in zip(*linear_sum_assignment(small), strict=True):
        if small[i, j] < 1:
            yield int(rows[i]), int(columns[j])


def _update(track: Track, x: float, y: float, near: bool, step: float) -> None:
    """Growing-memory filter of a steady speed (a straight-line fit to all hits, at most 20);
    cautious beside others.

    x, y: where the cell was seen, px; step: the common step to this frame.
    """
    # such a hit counts for less, and also less against later ones
    trust = TRUST_NEAR if near else 1.0
    # An error that grew over many steps says less of the speed in one.
    elapsed = max(abs(step) + track.missed, 1.0)
    track.hits, track.missed = track.hits + trust, 0
    n = min(track.hits, MEMORY)
    error = x - track.x
    # The gains of a straight line fitted to n evenly spaced points, at its last point.
    track.x += trust * error * 2 * (2 * n - 1) / (n * (n + 1))
    track.speed += trust * error * 6 / (n * (n + 1)) / elapsed
    # Across the flow a cell keeps its place: a running mean, with half the memory for slow drift.
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
    """Triples of points (n, 2) along +x whose steps have a ratio (late over early), the straightest
    first.

    limits: shortest and longest late step, px; gate: px off the line; slope: of the line; loose:
    relative error of the ratio, by which the gate along x is wider for longer steps.
    """
    if not (len(a) and len(b) and len(c)):
        return []
    # Late steps first: all pairs that go along the flow at a possible speed.
    step = c[None, :, :] - b[:, None, :]
    dx, across = step[..., 0], step[..., 1] - slope * step[..., 0]
    j, k = np.nonzero((dx >= limits[0]) & (dx <= limits[1]) & (abs(across) < gate))
    # Each late step says where its early point must be; the bend is how far one is from there.
    bend = a[None, :, :] - (b[j] - (c[k] - b[j]) / ratio)[:, None, :]
    along = gate + loose * dx[j, k]
    cost = (bend[..., 0] / along[:, None]) ** 2 + (bend[..., 1] / gate) ** 2
    pair, i = np.nonzero(cost < 1)
    # The straightest first; equal ones in the order of their numbers, so that the same input
    # gives the same tracks.
    order = np.lexsort((k[pair], j[pair], i, cost[pair, i]))
    return [(int(i[o]), int(j[pair[o]]), int(k[pair[o]])) for o in order]


def _look(
    seen: tuple[float, float], near: bool, frame: np.ndarray | None, gain: int, x: float, y: float
) -> Look:
    """What is kept of a frame, with the wide crop around a place."""
    corner = round(x), round(y)
    return Look(*seen, near, corner, None if frame is None else wide_crop(frame, *corner), gain)
