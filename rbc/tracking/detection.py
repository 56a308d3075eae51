"""From frames to detections: background, light, variance map, noise, peaks and centres.

As in the paper ("Trajectories extraction") a median background is removed and objects are found on
the variance-filtered picture. Lengths are in px; positions are pixel centres, x to the right and y
down, (0, 0) in the top left corner.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit

from rbc import RbcError

UNIT = 4096  #: gains are integers in this unit, so that every thread count gives the same bits
WINDOW = 7  #: side of the variance window in bins of 2 x 2 px: 14 px, one cell
#: side of the window of energy in bins: smaller, so that touching cells keep their own peaks
CORE = 5
AREA = 4 * WINDOW**2  #: px in the window
IN_NOISE = 2.0  #: standard deviations of the noise; contrast below tells nothing about a centre
REFINEMENTS = 10  #: of a centre; most are at rest after four
AT_REST = 0.01  #: px, a step after which a centre is at rest
FARTHEST = 3.0  #: px that a centre may move in one refinement, so that it stays with its peak


# --- background ---


def background(frames: np.ndarray, threads: int = 1) -> np.ndarray:
    """Median of frames, each first brought to the same mean light.

    The gains keep a flickering lamp from shifting the median. A cell stuck for more than half of
    the frames belongs to the background; one stuck for less is found, but never moves and so makes
    no track.

    Parameters
    ----------
    frames : (n, H, W) uint8
    threads : how many work at once; the answer does not depend on it

    Returns
    -------
    (H, W) uint8; for even n the lower middle value
    """
    if not len(frames):
        raise RbcError("no frame could be read for the background")
    lights = np.array([int(_light(f)) for f in frames])
    used = lights * 2 > np.median(lights)  # black frames are no background
    if not lights.max():
        raise RbcError("all frames are black; is the lens cap on?")
    frames, lights = frames[used], lights[used]
    # Every frame is brought to the light of the median frame.
    gains = (UNIT * int(np.median(lights)) + lights // 2) // lights
    out = np.empty(frames.shape[1:], np.uint8)
    # Four bands a thread, so that none waits long for the slowest.
    edges = np.linspace(0, len(out), 4 * threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda a, b: _median_rows(frames, gains, out, a, b), edges[:-1], edges[1:]))
    return out


@njit(cache=True, nogil=True)
def _light(frame: np.ndarray) -> int:
    total = np.int64(0)
    for i in range(frame.shape[0]):
        row = np.int32(0)
        for j in range(frame.shape[1]):
            row += np.int32(frame[i, j])
        total += row
    return int(total)


@njit(cache=True, nogil=True)
def _median_rows(
    frames: np.ndarray, gains: np.ndarray, out: np.ndarray, top: int, bottom: int
) -> None:
    """Lower median of rows top to bottom, its bits found from the highest to the lowest."""
    n, _, width = frames.shape
    # The median is built bit by bit: a bit is set where fewer than half of the values lie below.
    # Eight passes over bytes are quicker than sorting, and exact.
    rank = (n + 1) // 2  # so many values are at most the median
    levels = np.empty((n, width), np.uint8)
    count = np.empty(width, np.int16)
    for i in range(top, bottom):
        for k in range(n):
            gain = np.int32(gains[k])
            for j in range(width):
                levels[k, j] = min((np.int32(frames[k, i, j]) * gain + 2048) >> 12, 255)
        median = np.zeros(width, np.uint8)
        for bit in (128, 64, 32, 16, 8, 4, 2, 1):
            count[:] = 0
            for k in range(n):
                for j in range(width):
                    count[j] += levels[k, j] < median[j] + np.uint8(bit)
            for j in range(width):
                if count[j] < rank:
                    median[j] += np.uint8(bit)
        out[i] = median


# --- detection ---


@dataclass(frozen=True)
class Detections:
    """Objects of one frame.

    Attributes
    ----------
    x, y : (n,) float64 centre, px
    energy : (n,) float64 sum of squared contrast, grey levels^2
    shared : (n,) bool, more than one cell in the same outline
    gain : light of the frame against the background, 4096 for equal
    """

    x: np.ndarray
    y: np.ndarray
    energy: np.ndarray
    shared: np.ndarray
    gain: int

    @property
    def centres(self) -> np.ndarray:
        """(n, 2) x, y."""
        return np.stack([self.x, self.y], axis=1)

    def part(self, mask: np.ndarray) -> Detections:
        """Those where `mask` is true."""
        return Detections(
            self.x[mask], self.y[mask], self.energy[mask], self.shared[mask], self.gain
        )


def gain(frame: np.ndarray, background: np.ndarray) -> int:
    """Light of a frame against the background, as an integer: 4096 for equal.

    Parameters
    ----------
    frame, background : (H, W) uint8
    """
    # Half of the divisor is added: whole numbers round to the nearest.
    below = max(int(_light(background)), 1)
    return (UNIT * int(_light(frame)) + below // 2) // below


def variance_map(frame: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Local variance of a frame without its background, in windows of 14 x 14 px.

    Parameters
    ----------
    frame, background : (H, W) uint8

    Returns
    -------
    (H // 2, W // 2) float64, grey levels squared, one value for every 2 x 2 px; 0 within 6 px of
    the edge
    """
    return _filter(frame, background, gain(frame, background))[0] / AREA**2


def noise_variance(frames: np.ndarray, background: np.ndarray) -> float:
    """Variance of the noise: the median of the variance maps, since cells cover little of a frame.

    Parameters
    ----------
    frames : (n, H, W) uint8
    background : (H, W) uint8

    Returns
    -------
    Grey levels squared, at least 0.5, which rounding to grey levels and compression leave even of a
    noiseless movie
    """
    # Three bins at each edge have no whole window around them.
    maps = [_filter(f, background, gain(f, background))[0][3:-3, 3:-3] for f in frames]
    return max(float(np.median(np.stack(maps))) / AREA**2, 0.5)


def detect(
    frame: np.ndarray,
    background: np.ndarray,
    noise: float,
    threshold: float,
    cell_px: float,
    areas_px2: tuple[float, float],
) -> Detections:
    """Objects of a frame: outlines of high local variance, parted at peaks of energy.

    Same input, same bits.

    Parameters
    ----------
    frame, background : (H, W) uint8
    noise : of `noise_variance`
    threshold : local variance that makes an object, in units of the noise
    cell_px : diameter of a cell, px
    areas_px2 : smallest object, and largest for each cell in it
    """
    # The threshold is set in units of the noise, in the whole numbers of the variance map.
    light = gain(frame, background)
    variance, energy = _filter(frame, background, light)
    limit = int(threshold * noise * AREA**2)
    # Two peaks nearer than about half a cell are one cell; in bins of 2 px.
    apart = max(2, round(0.55 * cell_px / 2))
    peaks = _peaks(variance, energy, limit, apart, areas_px2[0] / 4, areas_px2[1] / 4)
    found = _centres(frame, background, light, peaks, 0.75 * cell_px, noise)
    # Centres may meet while they are refined: of those within half a cell one stays.
    own = _distinct(found, 0.5 * cell_px)
    return Detections(found[own, 0], found[own, 1], found[own, 2], peaks[own, 2] > 1, light)


@njit(cache=True, nogil=True)
def _filter(frame: np.ndarray, background: np.ndarray, light: int) -> tuple[np.ndarray, np.ndarray]:
    """AREA^2 x variance, and sum of squares, of the frame without its background in a sliding
    window of bins; int32.
    """
    height, width = frame.shape[0] // 2, frame.shape[1] // 2
    variance, energy = np.zeros((height, width), np.int32), np.zeros((height, width), np.int32)
    ring1, ring2 = np.zeros((WINDOW, width), np.int32), np.zeros((WINDOW, width), np.int32)
    column1, column2, core = (
        np.zeros(width, np.int32),
        np.zeros(width, np.int32),
        np.zeros(width, np.int32),
    )
    # The rings hold the last WINDOW rows of bins: a row enters the column sums and, WINDOW rows
    # later, leaves them. So each pixel is read once, however large the window.
    g = np.int32(light)
    for i in range(height):
        new1, new2 = ring1[i % WINDOW], ring2[i % WINDOW]
        column1 -= new1
        column2 -= new2
        for j in range(width):
            # The four pixels of a bin, each without its background at the light of this frame.
            a = np.int32(frame[2 * i, 2 * j]) - (
                (np.int32(background[2 * i, 2 * j]) * g + 2048) >> 12
            )
            b = np.int32(frame[2 * i, 2 * j + 1]) - (
                (np.int32(background[2 * i, 2 * j + 1]) * g + 2048) >> 12
            )
            c = np.int32(frame[2 * i + 1, 2 * j]) - (
                (np.int32(background[2 * i + 1, 2 * j]) * g + 2048) >> 12
            )
            d = np.int32(frame[2 * i + 1, 2 * j + 1]) - (
                (np.int32(background[2 * i + 1, 2 * j + 1]) * g + 2048) >> 12
            )
            new1[j] = a + b + c + d
            new2[j] = a * a + b * b + c * c + d * d
        column1 += new1
        column2 += new2
        # The smaller window for energy leaves from the same ring, CORE rows later.
        core += new2 - ring2[(i - CORE) % WINDOW]
        if i >= WINDOW - 1:
            _slide(column1, column2, variance[i - WINDOW // 2])
        if i >= CORE - 1:
            _sum(core, energy[i - CORE // 2])
    return variance, energy


@njit(cache=True, nogil=True)
def _sum(column: np.ndarray, out: np.ndarray) -> None:
    for j in range(CORE // 2, len(column) - CORE // 2):
        total = np.int32(0)
        for k in range(-(CORE // 2), CORE // 2 + 1):
            total += column[j + k]
        out[j] = total


@njit(cache=True, nogil=True)
def _slide(column1: np.ndarray, column2: np.ndarray, variance: np.ndarray) -> None:
    """One row of the sliding window from the sums of its columns."""
    for j in range(WINDOW // 2, len(column1) - WINDOW // 2):
        one, two = np.int32(0), np.int32(0)
        for k in range(-(WINDOW // 2), WINDOW // 2 + 1):
            one += column1[j + k]
            two += column2[j + k]
        # n * sum of squares - square of the sum: the variance times n squared, without a
        # division.
        variance[j] = AREA * two - one * one


@njit(cache=True, nogil=True)
def _peaks(
    variance: np.ndarray,
    energy: np.ndarray,
    limit: int,
    apart: int,
    min_area: float,
    max_area: float,
) -> np.ndarray:
    """Peaks of energy in each connected outline within the area limits: (n, 3) int64 of x bin, y
    bin, peaks in it.
    """
    height, width = variance.shape
    seen = np.zeros((height, width), np.bool_)
    stack = np.empty(height * width, np.int64)
    found = np.empty((4096, 3), np.int64)
    n = 0
    for i in range(1, height - 1, 2):  # an outline of one row of bins is no cell
        for j in range(1, width - 1):
            if variance[i, j] > limit and not seen[i, j]:
                size = _outline(variance, seen, stack, limit, i * width + j)
                first = n
                # Too small an outline is debris: it is filled, so that it is not met again, and
                # left.
                if size >= min_area:
                    for k in range(size):
                        y, x = stack[k] // width, stack[k] % width
                        if n < len(found) and _is_peak(energy, y, x, apart):
                            found[n, 0], found[n, 1] = x, y
                            n += 1
                # Too large for its number of peaks: a smear of the light, not cells.
                if n > first and size > max_area * (n - first):
                    n = first
                # How many cells share the outline: their centres are less sure.
                found[first:n, 2] = n - first
    return found[:n]


@njit(cache=True, nogil=True)
def _outline(
    variance: np.ndarray, seen: np.ndarray, stack: np.ndarray, limit: int, start: int
) -> int:
    """Bins connected to `start` (8 neighbours) above the limit, left in `stack`; their number."""
    height, width = variance.shape
    # The stack doubles as the list of bins of the outline: none is taken off it.
    stack[0], size, done = start, 1, 0
    seen[start // width, start % width] = True
    while done < size:
        y, x = stack[done] // width, stack[done] % width
        done += 1
        for v in range(max(y - 1, 0), min(y + 2, height)):
            for u in range(max(x - 1, 0), min(x + 2, width)):
                if variance[v, u] > limit and not seen[v, u]:
                    seen[v, u] = True
                    stack[size] = v * width + u
                    size += 1
    return size


@njit(cache=True, nogil=True)
def _smooth(energy: np.ndarray, y: int, x: int) -> int:
    total = np.int64(0)
    for v in range(max(y - 1, 0), min(y + 2, energy.shape[0])):
        for u in range(max(x - 1, 0), min(x + 2, energy.shape[1])):
            total += energy[v, u]
    return int(total)


@njit(cache=True, nogil=True)
def _is_peak(energy: np.ndarray, y: int, x: int, apart: int) -> bool:
    """Whether no bin within `apart` has more smoothed energy; of equal ones the first counts."""
    here = _smooth(energy, y, x)
    # most bins have a higher one next to them
    for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
        if 0 <= v < energy.shape[0] and 0 <= u < energy.shape[1] and _smooth(energy, v, u) > here:
            return False
    for v in range(max(y - apart, 0), min(y + apart + 1, energy.shape[0])):
        for u in range(max(x - apart, 0), min(x + apart + 1, energy.shape[1])):
            if (v - y) ** 2 + (u - x) ** 2 <= apart * apart and (v != y or u != x):
                there = _smooth(energy, v, u)
                if there > here or (there == here and (v < y or (v == y and u < x))):
                    return False
    return True


@njit(cache=True, nogil=True)
def _distinct(found: np.ndarray, near: float) -> np.ndarray:
    """Which centres have none of more energy within `near` px: two arcs of one cell lead to the
    same centre.
    """
    own = np.ones(len(found), np.bool_)
    for i in range(len(found)):
        for j in range(len(found)):
            close = (found[i, 0] - found[j, 0]) ** 2 + (
                found[i, 1] - found[j, 1]
            ) ** 2 < near * near
            if close and (found[j, 2] > found[i, 2] or (found[j, 2] == found[i, 2] and j < i)):
                own[i] = False
    return own


@njit(cache=True, nogil=True)
def _centres(
    frame: np.ndarray,
    background: np.ndarray,
    light: int,
    peaks: np.ndarray,
    radius: float,
    noise: float,
) -> np.ndarray:
    """Centres of contrast within `radius` px of each peak, refined until at rest: (n, 3) x, y,
    energy.

    Each pixel weighs by the root of its contrast above the noise. Where light falls aslant, one
    side of a cell is much stronger than the other; squares would pull the centre there, the root
    sees the cell's outline. A pixel counts for the nearest peak only.
    """
    out = np.empty((len(peaks), 3))
    quiet = IN_NOISE * np.sqrt(noise)
    for k in range(len(peaks)):
        x, y, energy = 2.0 * peaks[k, 0] + 0.5, 2.0 * peaks[k, 1] + 0.5, 0.0
        # A neighbour's pixels belong to the neighbour: the border is half way between the peaks.
        others = _beside(peaks, k, 2 * radius)
        for _ in range(REFINEMENTS):
            sx = sy = total = energy = 0.0
            for v in range(max(int(y - radius), 0), min(int(y + radius) + 2, frame.shape[0])):
                for u in range(max(int(x - radius), 0), min(int(x + radius) + 2, frame.shape[1])):
                    away = np.sqrt((v - y) ** 2 + (u - x) ** 2)
                    # A pixel on the rim counts by the part of it that is inside.
                    edge = radius + 0.5 - away
                    for j in range(len(others)):
                        edge = min(edge, np.hypot(v - others[j, 1], u - others[j, 0]) - away)
                    if edge > 0:
                        inside = min(edge, 1.0)
                        d = abs(
                            int(frame[v, u]) - ((int(background[v, u]) * light + UNIT // 2) // UNIT)
                        )
                        energy += (d * d - noise) * inside
                        if d > quiet:
                            w = np.sqrt(d - quiet) * inside
                            sx, sy, total = sx + w * (u - x), sy + w * (v - y), total + w
            if total == 0:
                break
            step_x = min(max(sx / total, -FARTHEST), FARTHEST)
            step_y = min(max(sy / total, -FARTHEST), FARTHEST)
            x += step_x
            y += step_y
            if abs(step_x) + abs(step_y) < AT_REST:
                break
        out[k, 0], out[k, 1], out[k, 2] = x, y, energy
    return out


@njit(cache=True, nogil=True)
def _beside(peaks: np.ndarray, k: int, reach: float) -> np.ndarray:
    """Places (n, 2) x, y px of the other peaks within `reach` px of peak `k`."""
    out, n = np.empty((len(peaks), 2)), 0
    for j in range(len(peaks)):
        if (
            j != k
            and 4 * ((peaks[j, 0] - peaks[k, 0]) ** 2 + (peaks[j, 1] - peaks[k, 1]) ** 2)
            < reach * reach
        ):
            out[n, 0], out[n, 1] = 2.0 * peaks[j, 0] + 0.5, 2.0 * peaks[j, 1] + 0.5
            n += 1
    return out[:n]
