"""Labelled sequences with ground truth: who films which cells, what each does, and how the camera
sees it.

Intruding cells pass and pull the crop, as they do in the authors' tracks. No pixel here comes from
a real cell; ranges were set by eye and by the statistics of real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from tqdm import tqdm

from rbc import RbcError, __version__
from rbc.paper import FRAME_PX, LABELS, SPLITS
from rbc.sequences import UNLABELLED, Sequences, from_list
from rbc.simulate.motion import FPS, jeffery, jeffery_period, spheroid, tank_treading
from rbc.simulate.optics import MARGIN, Optics, from_spectrum, spectrum

#: What each change of the physics brought, by its number. Kept results of a lower number rest on
#: other cells.
CHANGES = {
    2: "flipping cells turn with the period that their shape and the shear rate set, where it was"
    " drawn at random"
    " before; light has its wavelength in the liquid, where it had that in air",
}
PHYSICS = max(CHANGES)
EXPOSURE = 2.2e-3  #: s
#: Patient, day and number of movies of each split, in the proportions of Table 2 ("Dataset"): 19, 4
#: and 9 acquisitions of 4 patients. SD is never trained on (test patient 1); SA is in training on
#: other days (test patient 2).
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
#: Nor has this compendium: it is drawn where somebody asks for it by name, and no network learns
#: from it.
ROLLING = "rolling"


@dataclass(frozen=True)
class Ranges:
    """What light, cells and motions vary within; px, um and frames where not said.

    The defaults were set by eye. `workflow/transfer.py` fits others to the statistics of real
    training strips.
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
    #: its thickness over its diameter; this sets the period of its orbit
    ratio: tuple[float, float] = (0.3, 0.7)
    #: median of its orbit constant, and the sd of its logarithm
    orbit: tuple[float, float] = (1.8, 0.6)
    #: orbit constant of a rolling cell, sd; 0 rolls like a wheel on a straight road
    wobble: float = 0.1
    #: how much longer across the flow than along it a flipping cell is, as a share, sd
    stretch: float = 0.0
    #: Frames in place of each that the paper's rates take: frame rate / 60 times 10 / shear rate.
    #: Cells turn, and cross the field, by the shear that passes.
    pace: float = 1.0


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
    """The microscope of an acquisition; the same for the same seed.

    Parameters
    ----------
    name : of `acquisition_names`
    seed : of the simulation
    ranges : what light and motions vary within

    Raises
    ------
    RbcError
        for an unknown name
    """
    split = next((s for s in SPLITS if name in acquisition_names(s)), None)
    if split is None:
        raise RbcError(
            f"acquisition {name!r} is not one of the simulated ones; see"
            " rbc.simulate.acquisition_names"
        )
    # Own streams for the movie and for its patient: another number of movies changes neither.
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
    """One simulated sequence.

    Parameters
    ----------
    label : its class, or the motion `ROLLING`
    scene : its acquisition
    rng : draws everything

    Returns
    -------
    (T, 31, 31) uint8
    """
    length = max(1, round(_length(label, rng) * scene.ranges.pace))
    story, crowding = _tell(label, length, scene, rng)
    # Others that pass are drawn into the same frames, and pull the crop towards them.
    pull = np.zeros((length, 2))
    others = []
    pace = scene.ranges.pace
    for _ in range(rng.poisson(scene.crowd * crowding * (length / pace + 4))):
        frames, other, pulled = _intruder(length, scene, rng)
        if len(frames):
            others.append((frames, other))
            pull[frames] += pulled
    # Contrasts add in the spectrum: one transform back for all cells together.
    spectra = _draw(story, pull, scene)
    for frames, other in others:
        spectra[frames] += _draw(other, pull[frames], scene)
    return _expose(from_spectrum(spectra, (FRAME_PX, FRAME_PX)), scene, rng)


def _draw(story: Story, pull: np.ndarray, scene: Acquisition) -> np.ndarray:
    light = scene.optics
    optics = Optics(
        light.gain * story.dye, light.oblique + story.relief, story.speed * EXPOSURE * FPS
    )
    return spectrum(
        story.shape, story.centre - pull, story.defocus, optics, (FRAME_PX, FRAME_PX), story.hollow
    )


def _expose(contrast: np.ndarray, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """Background, flicker of the lamp, noise of the camera and 8 bits."""
    # One level for the sequence, and a little more or less in each frame.
    level = scene.background + rng.normal(0, 0.5) + rng.normal(0, 0.2, (len(contrast), 1, 1))
    grey = level + contrast + scene.noise * rng.standard_normal(contrast.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _length(label: str, rng: np.random.Generator) -> int:
    """Frames of a sequence.

    Both reliable classes share one distribution; the real medians are 32 and 33.
    """
    if label != "unreliable":
        return int(np.clip(np.rint(rng.lognormal(np.log(32.5), 0.33)), 11, 60))
    # Some tracks of unreliable cells break off at once, some stay for long.
    fate = rng.random()
    if fate < 0.08:
        return int(rng.integers(1, 11))
    if fate < 0.13:
        return int(rng.integers(60, 121))
    return int(np.clip(np.rint(rng.lognormal(np.log(29), 0.38)), 6, 60))


def _tell(
    label: str, length: int, scene: Acquisition, rng: np.random.Generator
) -> tuple[Story, float]:
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
        period=rng.uniform(20, 120) * r.pace,
        phase=rng.random(),
    )


def _flipper(length: int, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """A Jeffery orbit whose edge-on moment lies in the sequence or little outside: mostly a
    partial, slow tilt.
    """
    r = scene.ranges
    radius, ratio = rng.normal(scene.radius + r.wide, 0.6), rng.uniform(*r.ratio)
    period = jeffery_period(ratio) * r.pace
    # Edge-on is a quarter turn: it comes in the sequence or up to a third of it outside.
    phase = 0.25 - rng.uniform(-0.35, 1.35) * length / period
    constant = rng.choice([-1, 1]) * rng.lognormal(np.log(r.orbit[0]), r.orbit[1])
    shape = spheroid(jeffery(length, ratio, constant, phase, period), radius, ratio * radius)
    # Across the flow longer and along it shorter, the area kept.
    longer = np.sqrt(1 + abs(rng.normal(0, r.stretch))) if r.stretch else 1.0
    stretch = np.array([1 / longer, longer, 1.0])  # x, y, z
    return shape * np.outer(stretch, stretch)


def _roller(length: int, scene: Acquisition, rng: np.random.Generator) -> np.ndarray:
    """A rigid disc that rolls like a wheel: seen along the gradient an edge along the flow, almost
    constant.
    """
    r = scene.ranges
    radius, ratio = rng.normal(scene.radius + r.wide, 0.6), rng.uniform(*r.ratio)
    period = jeffery_period(ratio) * r.pace
    axis = jeffery(length, ratio, rng.normal(0, r.wobble), rng.random(), period)
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
    parts = [
        _reliable(rng.choice(LABELS[:2]), length, scene, rng) for _ in range(rng.integers(2, 5))
    ]
    # Which of the cells each frame shows: the jumps come at random moments.
    which = np.searchsorted(np.sort(rng.uniform(0, length, len(parts) - 1)), np.arange(length))
    depths = np.array(
        [
            _far("above focus", rng) if rng.random() < 0.6 else rng.normal(scene.focus, 1.4)
            for _ in parts
        ]
    )
    centre = parts[0].centre + rng.normal(0, 3, (len(parts), 2))[which]
    shape = np.stack([p.shape for p in parts])[which, np.arange(length)]
    return replace(
        parts[0], shape=shape, centre=centre, defocus=depths[which] + rng.normal(0, 0.3, length)
    )


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _intruder(
    length: int, scene: Acquisition, rng: np.random.Generator
) -> tuple[np.ndarray, Story, np.ndarray]:
    """A cell at another depth that overtakes or is overtaken: its frames (M,), its story and its
    pull on the crop.
    """
    speed, passing = rng.choice([-1, 1]) * rng.uniform(4, 20), rng.uniform(-2, length + 2)
    # Its path against the crop, which moves with the cell of the sequence.
    x = speed / scene.ranges.pace * (np.arange(length) - passing)
    frames = np.flatnonzero(abs(x) < FRAME_PX / 2 + MARGIN)
    centre = np.stack([x[frames], np.full(len(frames), rng.uniform(-20, 20))], axis=1)
    story = _reliable(rng.choice(LABELS[:2]), len(frames), scene, rng)
    defocus = np.full(
        len(frames),
        _far(rng.choice(["above focus", "below focus", "faint"], p=[0.5, 0.25, 0.25]), rng),
    )
    blur = max(scene.speed + speed, 1.0)
    # Two in three merge with the cell in the detection, and the crop jumps to a joint centre.
    merges, reach, share = rng.random() < 2 / 3, rng.uniform(9, 18), rng.uniform(0.3, 0.7)
    near = merges & (np.hypot(*centre.T) < reach)
    return (
        frames,
        replace(story, centre=centre, defocus=defocus, speed=blur),
        share * centre * near[:, None],
    )


def plan(
    counts: Mapping[str, Mapping[str, int]],
    seed: int,
    acquisitions: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """The sequences to simulate.

    Parameters
    ----------
    counts, seed, acquisitions : as of `sequences`

    Returns
    -------
    One row each: name, label, acquisition, patient, split and key (its own seed), in order of
    split, acquisition and track number; the latter is random
    """
    _check(counts, seed, acquisitions or {})
    rows = [
        row
        for split in SPLITS
        if split in counts
        for row in _plan_split(split, counts[split], seed, acquisitions)
    ]
    return pd.DataFrame(rows, columns=["name", "label", "acquisition", "patient", "split", "key"])


def strip(
    label: str, name: str, key: tuple[int, int, int], seed: int, ranges: Ranges = Ranges()
) -> np.ndarray:
    """Frames of one row of `plan`.

    They depend on nothing else, so rows may be drawn in any order, in part or in parallel.

    Parameters
    ----------
    label : of the row; may also be `ROLLING`, which no plan holds
    name : of its acquisition
    key : its own seed
    seed : of the simulation
    ranges : what light and motions vary within

    Returns
    -------
    (length, 31, 31) uint8
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
    counts : split -> label -> number of sequences, e.g. ``{"train": {"tank-treading": 60,
        "flipping": 60}}``
    seed : the same seed and counts give the same bits
    acquisitions : split -> number of acquisitions; by default 19, 4 and 9 as in Table 2, fewer
        where a split has less than six sequences for each
    progress : show a progress bar
    ranges : what cells, light and motions vary within

    Raises `RbcError` for an unknown split or label, a negative number, or more acquisitions than
    there are.
    """
    rows = plan(counts, seed, acquisitions)
    todo = tqdm(list(rows.itertuples()), desc="simulate", unit="sequence", disable=not progress)
    strips = [strip(row.label, row.acquisition, row.key, seed, ranges) for row in todo]
    return from_list(
        strips, rows, _meta(seed) | ({} if ranges == Ranges() else {"ranges": other_ranges(ranges)})
    )


def ranges_of(values: Mapping[str, float | Sequence[float]]) -> Ranges:
    """Ranges with some other values than the defaults.

    Raises `RbcError` for a name or a shape that is none.
    """
    known = {f.name: f.default for f in fields(Ranges)}
    for name, value in values.items():
        if name not in known:
            raise RbcError(f"data.ranges: {name} is none of {', '.join(known)}")
        if np.shape(value) != np.shape(known[name]):
            raise RbcError(
                f"data.ranges: {name} takes {np.size(known[name])} numbers, not {np.size(value)}"
            )
    return Ranges(
        **{name: tuple(value) if np.ndim(value) else value for name, value in values.items()}
    )


def other_ranges(ranges: Ranges) -> dict[str, float | list[float]]:
    """The values of some ranges that are other than the defaults."""
    found = {
        f.name: getattr(ranges, f.name)
        for f in fields(Ranges)
        if getattr(ranges, f.name) != f.default
    }
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
    # 4 keeps these streams apart from those of `sequences`, whose keys begin with the number of a
    # split
    strips = [strip(ROLLING, name, (4, 0, i), seed, ranges) for i, name in enumerate(names)]
    return from_list(strips, rows, {**_meta(seed), "motion": ROLLING})


def older(physics: int, what: str) -> str:
    """A sentence for pages that show results made with a former physics.

    Parameters
    ----------
    physics : number that the results have
    what : the results, e.g. "These scores"

    Returns
    -------
    Empty where nothing changed
    """
    since = [words for number, words in CHANGES.items() if number > physics]
    if not since:
        return ""
    return (
        f"{what} rest on an older simulator. Since then {'; and '.join(since)}. They have not"
        " been made anew."
    )


def _meta(seed: int) -> dict[str, str | int | bool]:
    """What every set of simulated sequences says of itself."""
    return {
        "source": "simulated",
        "simulated": True,
        "seed": seed,
        "version": __version__,
        "physics": PHYSICS,
    }


def _plan_split(
    split: str, counts: Mapping[str, int], seed: int, acquisitions: Mapping[str, int] | None
) -> Iterator[tuple[str, str, str, str, str, tuple[int, int, int]]]:
    total, names = sum(counts.values()), acquisition_names(split)
    # Fewer than six sequences are no movie.
    number = (acquisitions or {}).get(split, min(len(names), max(1, total // 6)))
    rng = np.random.default_rng([seed, 2, SPLITS.index(split)])
    shares = {
        label: _apportion(counts.get(label, 0), rng.gamma(16, size=number)) for label in LABELS
    }
    for a, name in enumerate(names[:number]):
        # A track number must not tell the label: labels are shuffled, numbers leave gaps.
        labels = rng.permutation(np.repeat(LABELS, [shares[label][a] for label in LABELS]))
        tracks = np.sort(rng.choice(np.arange(1, 4 * len(labels) + 1), len(labels), replace=False))
        for i, (label, track) in enumerate(zip(labels, tracks, strict=True)):
            yield f"{name}_{track}", str(label), name, name[:2], split, (SPLITS.index(split), a, i)


def _apportion(total: int, weights: np.ndarray) -> np.ndarray:
    """Whole numbers that add up to `total`, in proportion to `weights` (largest remainders)."""
    # What is left over after rounding down goes to those that lost most.
    exact = total * weights / weights.sum()
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole


def _check(
    counts: Mapping[str, Mapping[str, int]], seed: int, acquisitions: Mapping[str, int]
) -> None:
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
            raise RbcError(
                f"{split}: {number} acquisitions asked for; choose 1 to"
                f" {len(acquisition_names(split))}"
            )
