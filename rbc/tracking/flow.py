"""How the cells of a movie move together: which way, how fast, and how far from one frame to the
next.

Cells in a flow share three things, which are measured here and not assumed: the direction, found in
a first pass over a few runs of frames (`survey`); the range of their speeds; and the step from
frame to frame (`Pace`). When the pump speeds up, swings, or the camera loses a frame, all cells
change their step at once and by the same factor. So each cell keeps its own steady speed on a
common clock, and only the clock is uneven. Lengths are in px, times in frames; x to the right, y
down, as in `rbc.tracking.detection`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.spatial import cKDTree

from rbc.paper import FRAME_PX

# --- the first pass ---

#: runs of frames looked at, spread over the movie: a ramp has its slow and its fast part among them
RUNS = 6
RUN = 8  #: frames in a run: half a period of a 4 Hz pulse at 60 frames/s, so that its turn is in it
#: frames between the looks at a cell: one for fast cells, three for those too slow to tell from
#: noise
LAGS = (1, 3)
LEAST_STEP = 2.0  #: px; a smaller step may be the noise of a cell that is stuck
CONE = 20.0  #: degrees around the direction of most cells; what moves otherwise is chance
#: degrees; a flow on the diagonal has no axis to follow (15 are promised, 2 are for the
#: measurement)
MOST_TILT = 17.0
MEDIAN_ERROR = 1.25  #: standard error of a median over that of a mean
LEVEL = 3.0  #: standard errors of the tilt within which the flow counts as level
FEWEST_STEPS = 12  #: steps; fewer are no ground for turning a movie
#: by the quarter turns that undo it
NAMES = ("left to right", "top to bottom", "right to left", "bottom to top")


@dataclass(frozen=True)
class Flow:
    """What the first pass saw.

    Attributes
    ----------
    turn : quarter turns, counter-clockwise as `numpy.rot90` does them, after which the cells move
        left to right
    tilt : degrees that they move downwards then
    speeds : (n,) float64, px/frame, one for each step seen of each cell
    agree : share of all steps seen that go this way
    frames : frames looked at
    second : share of all steps seen that agree on another way
    """

    turn: int
    tilt: float
    speeds: np.ndarray
    agree: float
    frames: int
    second: float = 0.0

    @property
    def slope(self) -> float:
        """px downwards for each px to the right, in the turned picture."""
        return float(np.tan(np.radians(self.tilt)))


def runs(n_frames: int) -> list[range]:
    """Numbers of the frames of the first pass: runs spread over the movie, all of a short one in
    one run.
    """
    if n_frames <= 2 * RUNS * RUN:
        return [range(min(n_frames, RUNS * RUN))]
    starts = np.linspace(0, n_frames - RUN, RUNS).astype(int)
    return [range(start, start + RUN) for start in starts]


def survey(found: Iterable[list[np.ndarray]], gate: float, longest: float) -> Flow:
    """The direction and the speeds of the cells in some runs of frames.

    Parameters
    ----------
    found : for each run the centres of its frames, (n, 2) x, y px each
    gate : px that a cell may be off the place where its last two looks put it
    longest : px; the longest step looked for

    Without enough steps to tell, the flow is taken to go left to right and level.
    """
    found = list(found)
    frames = sum(len(run) for run in found)
    # Three looks at a cell in a row: a step counts only where the one before it was the same.
    triples = [
        _steps(run[t], run[t + lag], run[t + 2 * lag], gate, longest / lag) / lag
        for run in found
        for lag in LAGS
        for t in range(len(run) - 2 * lag)
    ]
    steps = np.concatenate([np.zeros((0, 2)), *triples])
    angles = np.degrees(np.arctan2(steps[:, 1], steps[:, 0]))
    if len(steps) < FEWEST_STEPS:
        return Flow(0, 0.0, np.hypot(*steps.T), 1.0, frames)
    # Most cells go one way; what goes another is chance, dirt, or cells that turn.
    middle = _densest(angles)
    off = (angles - middle + 180) % 360 - 180
    along = abs(off) <= CONE
    # Longer steps tell the angle better: each counts by its length.
    angle = middle + _weighted_median(off[along], np.hypot(*steps[along].T))
    # The nearest axis is undone by turning the picture; what is left is the tilt.
    turn = round(angle / 90) % 4
    tilt = (angle - 90 * turn + 180) % 360 - 180
    # A tilt within its own error is none: a level movie must stay level.
    error = MEDIAN_ERROR * np.std(off[along]) / np.sqrt(along.sum())
    tilt = 0.0 if abs(tilt) < LEVEL * error else float(tilt)
    speeds = np.hypot(*steps[along].T)
    return Flow(turn, tilt, speeds, float(along.mean()), frames, _second_way(angles, off))


def _steps(a: np.ndarray, b: np.ndarray, c: np.ndarray, gate: float, longest: float) -> np.ndarray:
    """Steps (n, 2) from `b` to `c` that the step from `a` to `b` repeats, whatever their
    direction.
    """
    if not (len(a) and len(b) and len(c)):
        return np.zeros((0, 2))
    step = c[None, :, :] - b[:, None, :]
    length = np.hypot(step[..., 0], step[..., 1])
    j, k = np.nonzero((length >= LEAST_STEP) & (length <= longest))
    # The same step backwards from b must end at a detection of a.
    off, _ = cKDTree(a).query(b[j] - step[j, k], distance_upper_bound=gate)
    return step[j, k][np.isfinite(off)]


def _second_way(angles: np.ndarray, off: np.ndarray) -> float:
    """Share of all steps that agree on a way far from that of most.

    angles, off : (n,) degrees, of the steps and off the way of most
    """
    # Steps beside the cone are cells that turn; chance goes in all directions alike.
    others = angles[abs(off) > 2 * CONE]
    if not len(others):
        return 0.0
    apart = (others - _densest(others) + 180) % 360 - 180
    return float((abs(apart) <= CONE / 2).sum() / len(angles))


def _densest(angles: np.ndarray) -> float:
    """The angle (degrees) with the most others within half the cone."""
    # Three turns of the circle, so that 359 and 1 degrees are neighbours.
    ring = np.sort(np.concatenate([angles - 360, angles, angles + 360]))
    near = np.searchsorted(ring, angles + CONE / 2) - np.searchsorted(ring, angles - CONE / 2)
    return float(angles[near.argmax()])


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def fastest(width: int, min_frames: int) -> float:
    """Speed beyond which a cell crosses a picture too fast for enough whole crops.

    Parameters
    ----------
    width : of the picture, px
    min_frames : crops that a sequence needs

    Returns
    -------
    px/frame
    """
    return max(width - FRAME_PX, 1) / max(min_frames - 1, 1)


# --- the common step ---

#: largest common step, in usual ones: two lost frames in a row, and a flow that turns back
RANGE = 3.5
#: share of a small change of pace that is believed at once; lower: calmer, slower to follow a ramp
FOLLOW = 0.15
DOUBT = 4.0  #: standard errors of a change of pace at which half of it is believed
#: px, standard deviation of a cell's place against its prediction: real cells turn, and their
#: centre moves
ERROR = 0.8
#: change of the step from one frame to the next that a pulsing pump may make; more is a lost frame
SMOOTH = 0.25
#: px/frame; a cell that moves less sticks to the wall, or is dust: it tells nothing of the flow
STILL = 0.02
STOPPED = 0.2  #: smaller steps tell no speed, so no track begins on them


class Pace:
    """The step that all cells make together from each frame to the next, 1 at the usual speed.

    `steps` holds one number for each frame so far, `support` how many cells it was measured by (0:
    it was taken to be the usual one), `error` its standard error by these.
    """

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.support: list[int] = []
        self.error: list[float] = []
        self.usual = 1.0

    def idle(self, expected: float | None = None) -> float:
        """The step of a frame in which nothing can be measured."""
        self.steps.append(self.usual * (1.0 if expected is None else expected))
        self.support.append(0)
        self.error.append(0.0)
        return self.steps[-1]

    def forget(self) -> None:
        """No cell is followed any more: the next ones define what the usual step is."""
        self.usual = 1.0

    def measure(
        self,
        places: np.ndarray,
        speeds: np.ndarray,
        gates: np.ndarray,
        found: np.ndarray,
        gate: float,
        slope: float,
        expected: float | None = None,
    ) -> float:
        """The common step of a frame.

        Parameters
        ----------
        places, speeds : (n, 2) px and (n,) px/frame of the cells that are followed
        gates : (n,) px along x by which each may be off
        found : (m, 2) px, the detections of the frame
        gate : px across the flow
        slope : of the flow, px down for each px to the right
        expected : the step that the time stamps tell, in usual ones
        """
        last, before = ([self.usual] * 2 + self.steps)[-1:-3:-1]
        # As usual, as last time, or changing as it did last time.
        likely = [self.usual, last, 2 * last - before]
        guesses = np.array(likely if expected is None else [expected * self.usual, *likely])
        reach = RANGE * max(self.usual, 1.0)
        step, n = _common(places, speeds, gates, found, gate, slope, guesses, reach)
        if n == 0:
            return self.idle(expected)
        # The standard error of a slope fitted through n cells: fast cells tell the step better.
        error = float(ERROR / np.sqrt(n * max(np.mean(speeds**2), 1e-9)))
        if abs(step - last) <= SMOOTH or abs(step - self.usual) <= SMOOTH:
            # The flow itself speeds up or slows down. A change within its error is hardly believed:
            # few or slow cells would make the clock of all others tremble.
            change = step - self.usual
            sure = (change / error) ** 2
            step = self.usual = self.usual + max(FOLLOW, sure / (sure + DOUBT**2)) * change
        self.error.append(error)
        self.steps.append(float(step))
        self.support.append(int(n))
        return self.steps[-1]


@njit(cache=True, nogil=True)
def _common(
    places: np.ndarray,
    speeds: np.ndarray,
    gates: np.ndarray,
    found: np.ndarray,
    gate: float,
    slope: float,
    guesses: np.ndarray,
    longest: float,
) -> tuple[float, int]:
    """The step, at most `longest`, that puts the most cells on a detection, and how many those
    are.
    """
    n = len(places)
    # Which detections a cell could be at, if only the step were right.
    first = np.zeros(n + 1, np.int64)
    dx = np.empty(n * len(found))
    dy = np.empty(n * len(found))
    m = 0
    for i in range(n):
        for j in range(len(found)):
            along = found[j, 0] - places[i, 0]
            across = found[j, 1] - places[i, 1] - slope * along
            if abs(across) < gate and abs(along) < longest * speeds[i] + gates[i]:
                dx[m], dy[m] = along, across
                m += 1
        first[i + 1] = m
    best, score = guesses[0], -1.0
    for guess in guesses:
        fit = _fit(guess, first, dx, dy, speeds, gates, gate)[0]
        if fit > score:
            best, score = guess, fit
    # Another step must put more cells in place than chance could: a quarter of all, and half a cell
    # more.
    needed = score + 0.25 * n + 0.5
    for i in range(n):
        # A cell that sticks moves by no step, whatever the step is.
        if abs(speeds[i]) < STILL:
            continue
        for k in range(first[i], first[i + 1]):
            guess = dx[k] / speeds[i]
            fit = _fit(guess, first, dx, dy, speeds, gates, gate)[0]
            if fit > needed:
                best, needed = guess, fit
    count = 0
    for _ in range(4):  # each refinement brings cells within reach that the one before left out
        _, change, count = _fit(best, first, dx, dy, speeds, gates, gate)
        best += change
    return best, count


@njit(cache=True, nogil=True)
def _fit(
    step: float,
    first: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    speeds: np.ndarray,
    gates: np.ndarray,
    gate: float,
) -> tuple[float, float, int]:
    """How well a step fits, 1 for each cell in its place; the change of it that fits best; the
    cells that count.
    """
    score, above, below, count = 0.0, 0.0, 0.0, 0
    for i in range(len(speeds)):
        good, off = 0.0, 0.0
        for k in range(first[i], first[i + 1]):
            along = dx[k] - step * speeds[i]
            fit = 1 - (along / gates[i]) ** 2 - (dy[k] / gate) ** 2
            if fit > good:
                good, off = fit, along
        if good > 0:
            score += good
            weight = 1 / (1 + off * off)  # strangers, far from their place, count little
            above += weight * speeds[i] * off
            below += weight * speeds[i] * speeds[i]
            count += 1
    return score, above / below if below > 0 else 0.0, count


def ratio_of_steps(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    limits: tuple[float, float],
    gate: float,
    slope: float = 0.0,
) -> float:
    """The last common step over the one before, from three frames' free detections.

    Used where no cell is followed yet, as in the first frames of a movie.

    Parameters
    ----------
    a, b, c : (n, 2) detections of three frames, x and y px
    limits : lowest and highest speed, px/frame
    gate : how far from its place a detection may be, px
    slope : px that the flow goes down for each px to the right

    Returns
    -------
    1 unless many detections say else
    """
    if not (len(a) and len(b) and len(c)):
        return 1.0
    late = c[None, :, :] - b[:, None, :]
    early = b[None, :, :] - a[:, None, :]
    j, k = _possible(late, limits, gate, slope)
    i, j2 = _possible(early, limits, gate, slope)
    pair, other = np.nonzero(j[:, None] == j2)
    if len(pair) < 3:
        return 1.0
    last, before = late[j[pair], k[pair], 0], early[i[other], j2[other], 0]

    def fitting(ratio: float) -> int:
        """How many different cells make this ratio."""
        return len(np.unique(j[pair][abs(last - ratio * before) < gate / 2]))

    ratios = np.clip(last / before, 1 / RANGE, RANGE)
    counts = np.array([fitting(r) for r in ratios[:200]])
    best = int(counts.argmax())
    # A few cells by chance make any ratio: the even one is kept unless another has three cells and
    # twice as many.
    return float(ratios[best]) if counts[best] >= max(3, 2 * fitting(1.0)) else 1.0


def _possible(step: np.ndarray, limits: tuple[float, float], gate: float, slope: float) -> tuple:
    """Which steps (n, m, 2) go along the flow within the limits of speed."""
    dx, across = step[..., 0], step[..., 1] - slope * step[..., 0]
    return np.nonzero((dx >= limits[0]) & (dx <= limits[1]) & (abs(across) < gate))


# --- what to say about it ---

#: from which share on a thing is noted, and from which on the movie should not be judged
SHARES = {
    "limit": (0.02, 0.10),  # tracks at a limit of speed: as many again may lie beyond it
    "continued": (0.01, 0.05),  # tracks that start where others ended: cells may count twice
    # frames in which all cells change their speed: the shear rate is not the one told
    "unsteady": (0.02, 0.25),
    # steps that agree on another way than most: cells in two directions
    "second": (0.05, 0.15),
    # frames that repeat the one before: the frame rate is not the one told
    "repeated": (0.0, 0.02),
    # frames that are shown again later: their cells count twice
    "again": (0.0, 0.02),
    "astray": (0.20, 0.50),  # steps that go another way: no flow in one direction
}
#: change of the common speed that counts: the shear rate of a sequence is known no better
UNSTEADY = 0.10
AT_LIMIT = 0.10  #: share of a limit within which a speed is at it


def remarks(kind: str, share: float, words: str) -> tuple[list[str], list[str]]:
    """Notes and objections about a share of something.

    Parameters
    ----------
    kind : a name of `SHARES`, which says from which share on there is a note, and an objection
    share : in [0, 1]
    words : what is said

    Returns
    -------
    notes, objections : `words` in the one, the other, or none
    """
    note, objection = SHARES[kind]
    noted = share > 0 and share >= note
    return ([words] if noted else []), ([words] if noted and share >= objection else [])


def unsteady(steps: np.ndarray) -> tuple[float, int]:
    """Share of frames whose common step is off the usual by more than `UNSTEADY`, and how many
    frames seem lost.

    A lost frame is a step of two or more between usual ones; it does not count as a change of the
    flow.
    """
    steps = np.asarray(steps)
    if len(steps) < 3:
        return 0.0, 0
    around = (np.concatenate([steps[:1], steps[:-1]]) + np.concatenate([steps[1:], steps[-1:]])) / 2
    whole = np.round(steps / np.where(around > STOPPED, around, np.inf))
    lost = (whole >= 2) & (abs(steps / np.maximum(around, STOPPED) - whole) < 0.25)
    usual = np.median(steps)
    off = abs(steps / max(usual, STOPPED) - 1) > UNSTEADY
    return float((off & ~lost).mean()), int((whole[lost] - 1).sum())
