"""From a movie to its sequences: detect, link, register, cut out, and say what was seen, assumed
and left out.

The steps are those of the paper ("Trajectories extraction"): objects move only left to right along
x, each at its own steady speed, neighbouring frames are registered by cross-correlation, and every
cell becomes one sequence of 31 x 31 px crops.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from rbc import RbcError, in_words
from rbc.files import whole_folder, write_table
from rbc.paper import FRAME_PX, MIN_FRAMES, PX_UM
from rbc.reading.video import Movie, open_movie
from rbc.sequences import COLUMNS, SEQUENCE_FILES, UNLABELLED, Sequences, checksum, load
from rbc.tracking import detection, flow, scale
from rbc.tracking.crops import Finished, finish
from rbc.tracking.detection import UNIT, Detections
from rbc.tracking.linking import ALIKE, FEW, WIDEST, Linker, Parameters, Track
from rbc.tracking.overlay import box_half, overlay, write_film

FOR_NOISE = 8  #: frames of the sample that the noise is measured on
DARKEST = UNIT // 4  #: a frame below a quarter of the background's light is no picture
#: frames after which a cell that was lost has left the picture, or cannot be told from another
LATER = 60
SAME = 0.6  #: cell diameters; cells that stay closer for half a track would lie in each other
NOTHING = Detections(
    np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, bool), UNIT
)  #: of a frame left out
TRACKS = ("track", "frame", "x_px", "y_px", "speed_px", "name")
#: What a folder of tracked cells may hold, its marker first.
TRACKED_FILES = ("tracks.parquet", *SEQUENCE_FILES, "overlay.png", "clip.avi")


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

    The table has a row for each frame of each sequence: track, frame (from 0), x_px, y_px (centre
    of the cell), speed_px (px/frame along the flow's axis, of the whole track) and name of the
    sequence. The places are those in the movie as it is; where the cells move another way than left
    to right, the crops are turned so that they do.

    `meta` of the sequences tells what was found: "flow" (direction, tilt, speeds, steadiness),
    "parameters" (the limits used), "continued" (pairs of names, the earlier first, that may be one
    cell), "notes" (what was left out and what to know, in words) and "objections" (why the movie
    should not be judged; empty where nothing speaks against it).

    Raises `RbcError` where the movie cannot be read, is shorter than a sequence, black, changes
    size, holds no moving cell, or flows along a diagonal of the picture.
    """
    movie = open_movie(Path(video))
    sources = movie.about(um_per_px, frame_rate, shear_rate)
    units = tuple(sources[name]["value"] for name in ("um_per_px", "frame_rate", "shear_rate"))
    # The models know one scale and one pace. Parameters in px and frames are of the movie as it is,
    # so it stays that.
    by = scale.factor(units[0]) if parameters is None else 1.0
    every = scale.every(*units[1:]) if parameters is None else 1
    if every != 1:
        shear = f"{units[2]:g}/s ({sources['shear_rate']['source']})"
        thinned = (
            f"one of {every} frames is tracked: at {units[1]:g} frames/s and a shear rate of"
            f" {shear} cells turn less from frame to frame than the models know"
        )
        if -(-movie.n_frames // every) < MIN_FRAMES:
            raise RbcError(
                f"{movie.path}: {movie.n_frames} frames are too few; {thinned}, and a sequence"
                f" needs {MIN_FRAMES} of them"
            )
    shown = movie if every == 1 else scale.thinned(movie, every)
    shown = shown if by == 1 else scale.resized(shown, by)
    # The first pass: background, noise, direction and limits.
    seen = (units[0] / by, units[1] / every, units[2])
    run = _Run(shown, parameters, seen, threads or os.cpu_count() or 1, chunk, progress)
    # The second pass: crops go to disk as their tracks end, so memory does not grow with the
    # movie.
    store = store or tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the frames mapped on it
    spool = _Spool(store, in_words(movie.path.stem), patient, run.unturned, by, every)
    for ended in run.tracks():
        spool.add(ended)
    if not spool.rows:
        # What we did to the movie may be the reason, so it is said first.
        before = f"{thinned}; " if every != 1 else ""
        if run.repeated:
            before += f"{len(run.repeated)} frames repeat the one before and were left out; "
        if run.stuck:
            before += f"{run.stuck} cells do not move; "
        raise RbcError(
            f"{movie.path}: {before}no moving cell in {run.done} frames, at {units[0]:g} um/px"
            f" ({sources['um_per_px']['source']}); check that, and look at the movie"
        )
    meta: dict[str, Any] = {
        "source": in_words(movie.path.name),
        "version": 1,
        "simulated": movie.simulated,
    }
    meta |= {"units": sources}
    meta |= dict(zip(("um_per_px", "frame_rate", "shear_rate"), units, strict=True))
    meta |= {
        "parameters": asdict(run.parameters),
        "n_frames": min(run.done * every, movie.n_frames),
        "noise_variance": run.noise,
    }
    meta |= run.about(spool.names())
    if by != 1:
        meta["resized"] = by
        meta["notes"].insert(
            0,
            f"frames resized from {units[0]:g} to {PX_UM:g} um/px, which the models know (px/frame"
            " below are of that size); check the pixel size: stated a little wrongly, it"
            " moves the marker far",
        )
    if every != 1:
        meta["every"] = every
        meta["notes"].insert(
            0,
            f"{thinned} (numbers of frames and px/frame below are of those that are tracked)",
        )
    return spool.sequences(meta), spool.tracks()


def track_movie(video: Path, out: Path, *, clip: bool = False, **options: Any) -> Sequences:
    """Track a movie into a folder, whole or not at all.

    The folder holds the sequences (frames.npy, index.parquet, meta.json), tracks.parquet (the table
    of `track`), overlay.png (the middle frame with the paths of its cells) and, if asked for,
    clip.avi (MJPEG; the first 300 frames with a box around each cell).

    Parameters
    ----------
    video : movie, TIFF stack, or folder of frames
    out : the folder
    clip : whether clip.avi is written
    options : those of `track`, whose errors are raised

    Returns
    -------
    The sequences, opened from there
    """
    with whole_folder(Path(out), TRACKED_FILES) as part:
        with open(part / "frames.npy", "w+b") as store:
            sequences, tracks = track(video, store=store, **options)
        write_table(sequences.index, part / "index.parquet")
        meta = {**sequences.meta, "sha256": checksum(sequences)}
        (part / "meta.json").write_text(
            json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8"
        )
        write_table(tracks, part / "tracks.parquet")
        half = box_half(meta)
        picture = overlay(open_movie(Path(video)), tracks, meta["n_frames"], half)
        picture.save(part / "overlay.png")
        if clip:
            film = open_movie(Path(video))
            write_film(part / "clip.avi", film, tracks, half, every=meta.get("every", 1))
    return load(Path(out))


class _Run:
    """Two passes over a movie: a look at its flow, then its tracks.

    From the first pass on the movie is turned so that the cells move left to right; `unturned`
    leads back.
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
            raise RbcError(
                f"{movie.path}: {movie.n_frames} frames; a sequence needs"
                f" {self.parameters.min_frames}"
            )
        self.movie, self.threads, self.chunk, self.progress = (
            movie,
            threads,
            max(chunk, 1),
            progress,
        )
        self.done = 0
        self.damaged: list[int] = []
        self.dark: list[int] = []
        self.finished: list[Finished] = []  # without their crops
        self.stuck = 0  # tracks of cells that do not move
        # Frames by what they show; those that repeat the one before, or one long before it.
        self.digests: dict[int, bytes] = {}
        self.shown: set[bytes] = set()
        self.repeated: list[int] = []
        self.again: list[int] = []
        self.last: bytes | None = None
        # Background and noise of the whole movie, from frames spread over it.
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
        """Measure the flow on some runs of frames; turn the movie, and derive the limits of speed
        where asked for.
        """
        numbers = flow.runs(self.movie.n_frames)
        pictures = _picked(self.movie, numbers)
        with ThreadPoolExecutor(self.threads) as pool:
            found = dict(zip(pictures, pool.map(self._detect_only, pictures.values()), strict=True))
        nobody = np.zeros((0, 2))
        # A frame that could not be read has nobody in it.
        centres = [[found[i].centres if i in found else nobody for i in run] for run in numbers]
        longest = max(self.movie.shape) / 3  # a step that can be seen three times
        self.flow = flow.survey(centres, self.parameters.gate_px, longest)
        if abs(self.flow.tilt) > flow.MOST_TILT:
            raise RbcError(
                f"{self.movie.path}: the cells move {abs(self.flow.tilt):.0f} degrees off the axes"
                " of the picture; "
                "turn the movie so that they move left to right"
            )
        if self.flow.turn:
            # All that follows knows one direction only; what was found before is in the old one.
            self.movie = _turned(self.movie, self.flow.turn)
            self.background = np.ascontiguousarray(np.rot90(self.background, self.flow.turn))
        else:
            self.known = found
        if limits:
            self._derive_limits()

    def _derive_limits(self) -> None:
        """The fastest cell is the one that still makes a sequence; the slowest the slowest seen, or
        slower.
        """
        p = self.parameters
        slowest = p.min_speed_px
        if len(self.flow.speeds):
            # Half the speed of the slowest: those that the first pass missed may be slower.
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
                # Ended tracks are cut out by the threads; their order stays that of their ends.
                while ending and ending[0].done():
                    yield from self._kept(ending.popleft().result())
                if self.progress:
                    self.progress(self.done, self.movie.n_frames)
            ending.extend(self._finish(pool, linker.end()))
            for future in ending:
                yield from self._kept(future.result())

    def _finish(
        self, pool: ThreadPoolExecutor, tracks: list[tuple[Track, np.ndarray]]
    ) -> list[Future]:
        return [
            pool.submit(finish, t, self.background, self.level, self.parameters, clock)
            for t, clock in tracks
        ]

    def _kept(self, ended: list[Finished]) -> list[Finished]:
        """Remember where tracks began and ended, to compare them at the end."""
        # A cell that sticks belongs to the background, and its speed of 0 divides nothing.
        moving = [f for f in ended if abs(f.speed) >= flow.STILL]
        self.stuck += len(ended) - len(moving)
        self.finished += [replace(f, crops=f.crops[:0]) for f in moving]
        return moving

    def _detections(
        self, pool: ThreadPoolExecutor
    ) -> Iterator[tuple[int, np.ndarray | None, Detections]]:
        """Every frame with its number and detections, in order, found by several threads some
        frames ahead.
        """
        ahead: deque[tuple[int, Future]] = deque()
        for number, frame in self.movie.frames():
            # At most `chunk` frames wait in memory.
            ahead.append((number, pool.submit(self._detect, number, frame)))
            if len(ahead) >= self.chunk:
                first, future = ahead.popleft()
                yield first, *self._once(first, *future.result())
        for first, future in ahead:
            yield first, *self._once(first, *future.result())

    def _once(
        self, number: int, frame: np.ndarray | None, found: Detections
    ) -> tuple[np.ndarray | None, Detections]:
        """A frame and its detections; none of them where the frame before was the same."""
        digest = self.digests.pop(number, None)
        # Empty frames may well be alike.
        if digest is None or not len(found.x):
            return frame, found
        if digest == self.last:
            self.repeated.append(number)
            return None, NOTHING
        if digest in self.shown:
            self.again.append(number)
        self.shown.add(digest)
        self.last = digest
        return frame, found

    def _detect(
        self, number: int, frame: np.ndarray | None
    ) -> tuple[np.ndarray | None, Detections]:
        if frame is None:
            self.damaged.append(number)
            return None, NOTHING
        # What the first pass found is not computed again.
        found = self.known.pop(number, None) or self._detect_only(frame)
        if found.gain < DARKEST:
            self.dark.append(number)
            return None, NOTHING
        self.digests[number] = blake2b(np.ascontiguousarray(frame).data, digest_size=16).digest()
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
        # What the tracks tell of the flow, and what makes them doubtful.
        speeds = np.array([f.speed for f in self.finished])
        unsteady, lost = flow.unsteady(np.array(steps)[np.array(self.linker.pace.support) >= FEW])
        same = dict.fromkeys((*self._continued(), *self._beside()))
        pairs = [(names[i], names[j]) for i, j in same]
        low, high = np.quantile(speeds, [0.05, 0.95])
        notes = self._left_out()
        direction = flow.NAMES[self.flow.turn]
        notes.append(
            f"cells move {direction}, {low:.1f} to {high:.1f} px/frame (nine in ten), tilted"
            f" {self.flow.tilt:.1f} "
            f"degrees; limits {p.min_speed_px:.1f} to {p.max_speed_px:.1f} px/frame"
        )
        if self.stuck:
            notes.append(f"{self.stuck} cells that do not move were left out")
        if self.flow.turn:
            notes.append("the crops are turned so that the cells move left to right")
        if lost:
            notes.append(f"the camera seems to have lost {lost} frames; gaps are bridged")
        if self.linker.joined:
            notes.append(f"{self.linker.joined} cells were lost for a while and found again")
        # Each doubt becomes a note, and an objection where it is grave (`flow.SHARES`).
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
                f"{len(pairs)} of {len(names)} tracks start where another ended, or run beside it:"
                " these "
                "cells may count twice",
            ),
            flow.remarks(
                "unsteady",
                unsteady,
                f"all cells change their speed together, by over {flow.UNSTEADY:.0%} in "
                f"{unsteady:.0%} of the frames: the flow is not steady",
            ),
            flow.remarks(
                "second",
                self.flow.second,
                f"{self.flow.second:.0%} of the steps seen agree on another way than {direction}:"
                " cells move in two directions",
            ),
            flow.remarks(
                "again",
                len(self.again) / self.done,
                f"{len(self.again)} of {self.done} frames were shown before: the movie was joined"
                " to itself, and these cells count twice; cut it to one showing",
            ),
            flow.remarks(
                "repeated",
                len(self.repeated) / self.done,
                f"{len(self.repeated)} of {self.done} frames repeat the one before and were left"
                " out: the frame rate is not that of the camera; film or save each frame once",
            ),
            flow.remarks(
                "astray",
                1 - self.flow.agree,
                f"{1 - self.flow.agree:.0%} of the steps seen do not go {direction}: there is no"
                " flow in one direction",
            ),
        ]
        return {
            "flow": {
                "direction": direction,
                "turned_quarters": self.flow.turn,
                "tilt_degrees": self.flow.tilt,
                "agree": self.flow.agree,
                "speed_px": {
                    "low": float(low),
                    "median": float(np.median(speeds)),
                    "high": float(high),
                },
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
        """Pairs of tracks, by number, of which the second begins where the first must be by
        then.
        """
        p, clock = self.parameters, np.cumsum([0.0, *self.linker.pace.steps[1:]])
        first = np.array([f.frames[0] for f in self.finished])
        last = np.array([f.frames[-1] for f in self.finished])
        start = np.array([f.path[0] for f in self.finished])
        end = np.array([f.path[-1] for f in self.finished])
        speed = (end - start)[:, 0] / np.maximum(clock[last] - clock[first], 1e-9)
        pairs, taken = [], set()
        for i in np.argsort(last, kind="stable"):
            # Where must this cell be when each other track begins, at its own speed and the
            # common clock?
            gap = first - last[i]
            there = end[i, 0] + speed[i] * (clock[first] - clock[last[i]])
            off_x, off_y = (
                start[:, 0] - there,
                start[:, 1] - end[i, 1] - self.flow.slope * (there - end[i, 0]),
            )
            fits = (gap >= 0) & (gap <= LATER) & (abs(speed / speed[i] - 1) < ALIKE)
            # The speed of a track of n frames is known to about a gate over n frames.
            reach = p.gate_px * (WIDEST + abs(gap) / max(last[i] - first[i], 1))
            fits &= (abs(off_x) < reach) & (abs(off_y) < 2 * p.gate_px)
            fits[i] = False
            # The next one in time, and each only once.
            best = min(
                (int(j) for j in np.flatnonzero(fits) if j not in taken),
                key=lambda j: gap[j],
                default=None,
            )
            if best is not None:
                pairs.append((int(i), best))
                taken.add(best)
        return pairs

    def _beside(self) -> list[tuple[int, int]]:
        """Pairs of tracks, by number, that go side by side, closer than two cells can: the longer
        one first.
        """
        # All places by frame; then which tracks met in how many frames.
        places: dict[int, list[tuple[int, np.ndarray]]] = {}
        for number, f in enumerate(self.finished):
            for frame, place in zip(f.frames, f.path, strict=True):
                places.setdefault(int(frame), []).append((number, place))
        met: Counter[tuple[int, int]] = Counter()
        for here in places.values():
            close = cKDTree([place for _, place in here]).query_pairs(
                SAME * self.parameters.cell_px
            )
            met.update((here[i][0], here[j][0]) for i, j in close)
        lengths = [len(f.frames) for f in self.finished]
        twins = [pair for pair, n in met.items() if 2 * n >= min(lengths[k] for k in pair)]
        ordered = (sorted(pair, key=lambda k: (-lengths[k], k)) for pair in twins)
        return sorted((longer, shorter) for longer, shorter in ordered)

    def _left_out(self) -> list[str]:
        """What the reader remarked, and what was left out, in words."""
        notes = list(self.movie.notes)
        if self.done < self.movie.n_frames:
            notes.append(
                f"the movie ends after {self.done} of {self.movie.n_frames} announced frames"
            )
        for what, numbers in (("damaged", self.damaged), ("dark", self.dark)):
            if numbers:
                notes.append(
                    f"{len(numbers)} {what} frames left out:"
                    f" {', '.join(map(str, sorted(numbers)[:10]))}"
                )
        return notes


def _picked(movie: Movie, numbers: list[range]) -> dict[int, np.ndarray]:
    """Frames of some runs by their numbers, damaged ones left out; read through where the file has
    no index.
    """
    # Jump to the frames where the file allows it; else read through, once.
    wanted = [i for run in numbers for i in run]
    frames = movie.pick(wanted)
    if any(f is not None for f in frames):
        whole = [f is not None and f.shape == movie.shape for f in frames]
        pairs = zip(wanted, frames, whole, strict=True)
        return {i: f for i, f, good in pairs if f is not None and good}
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
    return replace(
        movie, shape=shape, read=read, pick=lambda numbers: [turn(f) for f in movie.pick(numbers)]
    )


def _expected_steps(movie: Movie) -> Callable[[int], float | None]:
    """The step to a frame by its time stamp, in usual ones; None where the reader gives no time
    stamps.

    `movie.times`, where the reader has it, holds the seconds of each frame.
    """
    times = getattr(movie, "times", None)
    if times is None or len(times) < 2:
        return lambda number: None
    # A frame after a lost one is two usual steps later.
    steps = np.diff(np.asarray(times, float), prepend=np.nan)
    steps /= np.nanmedian(steps)
    return lambda number: (
        float(steps[number]) if number < len(steps) and np.isfinite(steps[number]) else None
    )


class _Spool:
    """Sequences as they come: crops go straight to a .npy file, only the table stays in memory."""

    def __init__(
        self,
        file: BinaryIO,
        acquisition: str,
        patient: str,
        place: Callable[[np.ndarray], np.ndarray],
        resized: float,
        every: int,
    ) -> None:
        """place: from the places of a path to those in the movie as it was resized, by the factor
        `resized`, and thinned to one of `every` frames. The table is in px and frames of the movie
        as it is.
        """
        self.file, self.acquisition, self.patient, self.place = file, acquisition, patient, place
        self.resized, self.every = resized, every
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
        path, speed = self.place(done.path), done.speed
        if self.resized != 1:
            path, speed = scale.original(path, self.resized), speed / self.resized
        frames = np.asarray(done.frames) * self.every
        self.tables.append((number, frames, path, speed / self.every, name))
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
        columns = (
            np.repeat(numbers, lengths),
            np.concatenate(frames),
            *path.T,
            np.repeat(speeds, lengths),
        )
        return pd.DataFrame(dict(zip(TRACKS, (*columns, np.repeat(names, lengths)), strict=True)))
