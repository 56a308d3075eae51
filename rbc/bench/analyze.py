"""From a movie to the marker with its interval and a report that the operator can correct; or the
reason why not.

Research software, not a medical device. What the shipped models say of labelled cells, and what
those look like, lies beside the weights in known.json (`describe`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from rbc import RbcError, __version__, files, labelling, marker, prevalence, tracking
from rbc.bench import report
from rbc.bench.classify import MODELS, classify, decisions, specification
from rbc.bench.corrections import Corrections, read_corrections
from rbc.metrics import blood_draw
from rbc.paper import FRAME_PX, POSITIVE, PX_UM, RELIABLE, STAGES
from rbc.reading.video import ASSUMED, open_movie
from rbc.sequences import Sequences
from rbc.tracking import overlay, scale

FEWEST = 20  #: cells said to tank-tread or to flip; with fewer the interval says next to nothing
#: Factors by which a movie's median may lie beyond the range of the known acquisitions. Noise:
#: twice the spread by which the contrast was varied in training (`rbc.augment`). Size: half of what
#: cells a quarter larger show. Contrast: known acquisitions of 1.6 times their contrast lose seven
#: points of balanced accuracy in stage 1; those that lose most of it are beyond this
#: (data/reference/ours/nuisance.json).
BEYOND = {"size_px": 1.08, "contrast": 1.2, "noise": 1.5}
#: Where it may lie further below than above. Contrast: .6 times the known costs three points at
#: most. Noise: the authors' own JPEG strips have .7 grey levels in a movie, the known acquisitions
#: 2.2 or more. JPEG of quality 95 costs little. A blur lowers noise too: of .8 px all known
#: acquisitions are refused, of .6 px four of six (all in nuisance.json).
BELOW = {"contrast": 1.5, "noise": 4.0}
#: Shear that may pass from frame to frame. Known cells at 10/s, thinned from 60 to 15 frames/s,
#: were still judged within three points (data/reference/ours/nuisance.json); beyond, nobody has
#: looked.
STRAIN = 10 / 15
#: How much brighter than the rest of its crop a cell is (the mean over 14 px about the middle, less
#: the crop's median, over the cell's contrast) from which on light and dark may be swapped. Red
#: cells absorb light: the medians of the released sample's 29 acquisitions are -.12 to .02.
#: Inverted, 23 of them are above this; six pass unseen.
BRIGHT = 0.04
#: What the folder of a report may hold, its marker first.
REPORT_FILES = (
    "marker.json",
    "report.html",
    "cells.csv",
    *(f"tracked/{name}" for name in tracking.TRACKED_FILES),
    "ro-crate-metadata.json",  # of an earlier report, by rbc export
)
CORRECTIONS = "corrections.csv"  #: as the report's page names what it exports
ENOUGH = 300  #: sequences looked at for `looks`, spread over the movie


class NotJudged(RbcError):
    """A movie was tracked, but something speaks against judging it (`objections`)."""


def analyze(
    video: Path,
    out: Path,
    *,
    models: Path = MODELS,
    force: bool = False,
    corrections: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> dict:
    """Track a movie, judge its cells, estimate the marker and write a report.

    Parameters
    ----------
    video : as `rbc.tracking.track` takes it, as are `options`
    out : folder to write, whole or not at all: report.html (self-contained), cells.csv (a row a
        sequence), marker.json and tracked (sequences, tracks.parquet and overlay.png of
        `rbc.tracking.track_movie`)
    models : folder of the weights and of known.json
    force : judge also what `objections` speak against; they then stand in the report
    corrections : labels of the operator, as the report exports them
        (`rbc.bench.corrections.read_corrections`)
    progress : called with the frames tracked and the frames announced

    Returns
    -------
    What marker.json holds: counts by decision; counted (of the calls); adjusted (by the models'
    known errors); estimate, low and high (median and 95 % interval; None where withheld); withheld
    (why, or None); caution (what to say beside a wide interval, or None); ways (the marker by the
    models, with labels, and by hand) and shown (which of them estimate, low and high are); labels
    (how many, and how they were chosen); objections, notes, seconds of each step, and what it was
    made with.

    Raises `RbcError` where the movie cannot be tracked or the models are missing and, without
    `force`, `NotJudged` where there are objections.
    """
    known = read_known(models)
    seconds = {}
    with files.whole_folder(Path(out), REPORT_FILES) as part:
        start = time.perf_counter()
        found = tracking.track_movie(video, part / "tracked", progress=progress, **options)
        seconds["track"] = time.perf_counter() - start
        cells = _cells(found, classify(found, models), part / "tracked")
        seconds["classify"] = time.perf_counter() - start - sum(seconds.values())
        counting = cells[cells["continues"] == ""].reset_index(drop=True)
        given = read_corrections(corrections, cells, counting) if corrections else Corrections({})
        labels = given.labels
        against = objections(found, counting, known["looks"])
        if against and not force:
            raise NotJudged(f"{video}: not judged: {'; '.join(against)}")
        errors = errors_of_others(known, {found.index["acquisition"].iat[0]})
        result = _result(found, counting, errors, models, given) | {"objections": against}
        result["left_out"] = len(cells) - len(counting)
        result["movie_sha256"] = files.movie_hash(Path(video))
        if found.simulated and (truth := report.simulated_truth(Path(video))):
            result["truth"] = truth
        cells.drop(columns="acquisition").to_csv(part / "cells.csv", index=False)
        by_draw = prevalence.by_draw(errors)
        errors_known = report.Known(
            *prevalence.known_rates(errors), marker.most_unreliable(by_draw), by_draw
        )
        tracks = files.read_table(part / "tracked" / "tracks.parquet")
        first, half = int(tracks["frame"].min()), overlay.box_half(found.meta)
        pictures = report.Pictures(
            Image.open(part / "tracked" / "overlay.png"),
            overlay.film(
                open_movie(Path(video)),
                tracks,
                first,
                report.TRACK_FRAMES,
                half,
                found.meta.get("every", 1),
            ),
        )
        (part / "report.html").write_text(
            report.page(found, counting, result, errors_known, pictures, labels), encoding="utf-8"
        )
        seconds["report"] = time.perf_counter() - start - sum(seconds.values())
        result["seconds"] = {step: round(s, 2) for step, s in seconds.items()}
        (part / "marker.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def in_words(result: dict) -> str:
    """The marker, counts and objections, a line each."""
    said = ", ".join(f"{n} {name}" for name, n in result["decisions"].items())
    said_marker = f"no estimate: {result['withheld']}"
    if result["estimate"] is not None:
        percent = [100 * result[name] for name in ("estimate", "low", "high")]
        said_marker = "{:.1f} % (95 % interval {:.1f} to {:.1f} %)".format(*percent)
    if result["caution"]:  # the ends first: the middle of a wide interval says little
        said_marker = "{1:.1f} to {2:.1f} % (95 % interval), ".format(*percent) + result["caution"]
    simulated = " (simulated)" if result["simulated"] else ""
    lines = [
        f"tank-treading among reliable cells{simulated}: {said_marker}",
        f"{result['cells']} sequences: {said}",
    ]
    if result["left_out"]:
        lines.append(left_out(result["left_out"]))
    return "\n".join(
        [*lines, *(f"objection: {line}" for line in result["objections"]), *result["notes"]]
    )


def left_out(n: int) -> str:
    """How many sequences do not count because they may be cells counted already."""
    return f"{n} sequences left out: each goes on where another ended and may be the same cell"


def read_known(models: Path) -> dict:
    """What lies beside the weights in known.json (`describe`).

    Raises `RbcError` where it is missing, or a file of the folder is not as SHA256SUMS says.
    """
    specification(models)
    try:
        return json.loads((Path(models) / "known.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RbcError(
            f"{models}: no known.json beside the weights; give a folder of models that has one"
        ) from error


def _cells(found: Sequences, said: pd.DataFrame, tracked: Path) -> pd.DataFrame:
    """A row a sequence, the least sure first: where it was, what was said, and the margin that
    decided it.
    """
    tracks = files.read_table(tracked / "tracks.parquet").groupby("name", sort=False)
    place = tracks.agg(
        first_frame=("frame", "min"), speed_px=("speed_px", "first"), y_px=("y_px", "mean")
    )
    cells = (
        found.index[["name", "acquisition", "length"]]
        .merge(place, on="name")
        .merge(said, on="name")
    )
    far = cells[[f"{name}_margin" for name in POSITIVE.values()]].abs()
    discarded = cells["decision"] == "unreliable"  # stage 2 does not matter there
    sure = np.where(discarded, far["reliable_margin"], far.min(axis=1))
    answer = cells["decision"].where(cells["decision"].isin(RELIABLE), "discarded")
    earlier = {later: first for first, later in found.meta.get("continued", [])}
    continues = [earlier.get(name, "") for name in cells["name"]]
    cells = cells.assign(sure=sure, answer=answer, continues=continues)
    return cells.sort_values("sure", ignore_index=True, kind="stable")


def _result(
    found: Sequences,
    cells: pd.DataFrame,
    errors: pd.DataFrame,
    models: Path,
    given: Corrections,
) -> dict:
    """The marker and what it was made with."""
    ways, sampled = _ways(cells, errors, given)
    shown = "with labels" if given.labels else "models"
    kept = ("um_per_px", "frame_rate", "shear_rate", "n_frames", "notes", "simulated", "source")
    described = specification(models)
    origin = described.get("origin", {})
    if "origins" in described:  # the stages were made by different commits
        origin = origin | {"stages": described["origins"]}
    result = {
        "cells": len(cells),
        "decisions": {name: int(n) for name, n in cells["decision"].value_counts().items()},
        **ways[shown],
        "ways": ways,
        "shown": shown,
        "labels": {
            "looked_at": len(given.labels),
            "random": sampled.looks,
            "picked": len(given.labels) - sampled.looks,
            "seed": given.seed,
        },
        **{name: found.meta[name] for name in kept},
        **{name: found.meta[name] for name in ("units", "flow") if name in found.meta},
        "known_cells": len(errors),
        "known_acquisitions": int(errors["acquisition"].nunique()),
        "version": __version__,
        "models": origin,
    }
    result["notes"] = [*result["notes"], *given.notes(sampled.looks)]
    return result


def _ways(
    cells: pd.DataFrame, errors: pd.DataFrame, given: Corrections
) -> tuple[dict[str, dict], labelling.Sample]:
    """The marker by the models alone, with the operator's labels, and by these labels alone.

    Parameters
    ----------
    cells : columns name, acquisition, answer and decision
    errors : of `errors_of_others`
    given : the operator's labels

    Returns
    -------
    ways : by name; each as `prevalence.end_to_end` gives it. With `labelling.FEWEST_LOOKS` random
        labels or more, "with labels" is the stratified estimate (`labelling.density`), which uses
        no known rates; "discarded alike" is the same of the cells that stage 1 keeps.
    sampled : the labels by stratum
    """
    own = cells["name"].map(given.labels)
    treading, flipping = (int((own == motion).sum()) for motion in RELIABLE)
    counts = (treading, flipping)
    by_hand = _interval_of(marker.by_hand(*counts))
    if not sum(counts):
        by_hand["withheld"] = "the operator has labelled no tank-treading or flipping cell"

    models = prevalence.end_to_end(cells, errors)
    ways = {"models": models, "with labels": models, "by hand": by_hand}
    sampled = labelling.sample(cells, given.labels, given.seed)
    if sampled.looks >= labelling.FEWEST_LOOKS:
        kept = [n for n, stratum in enumerate(labelling.STRATA) if stratum != "unreliable"]
        ways["with labels"] = _interval_of(marker.ends(labelling.density(sampled)))
        alike = labelling.density(sampled, strata=kept)
        ways["discarded alike"] = _interval_of(marker.ends(alike))
    elif given.labels:
        # Too few random labels, or none: they count for their own cells.
        rest = cells[own.isna()]
        ways["with labels"] = by_hand
        if len(rest):
            ways["with labels"] = prevalence.end_to_end(rest, errors, own=counts)
    plain = {way: {k: _or_none(v) for k, v in found.items()} for way, found in ways.items()}
    return plain, sampled


def _interval_of(found: marker.Interval) -> dict:
    """An interval as `prevalence.end_to_end` gives one that is not withheld."""
    return found._asdict() | {"withheld": None, "caution": marker.caution(found)}


def _or_none(value: float | str | None) -> float | str | None:
    return None if isinstance(value, float) and np.isnan(value) else value


# --- what cannot be judged ---


def looks(cells: Sequences) -> pd.DataFrame:
    """What tells an unknown scale, light or camera, for each of up to `ENOUGH` sequences.

    size_px: root mean square radius of the squared contrast within 14 px; contrast: root mean
    square in the central 11 x 11 px, grey levels; noise: its standard deviation, grey levels, by
    the filter of Immerkaer (Comput. Vis. Image Underst. 64:300, 1996), its median instead of its
    mean as cells have edges; bright: as `BRIGHT`. The light of the whole crop is none of it: the
    models subtract it.
    """
    some = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), ENOUGH)).astype(int))
    return pd.DataFrame([_look(cells[i]) for i in some], columns=[*BEYOND, "bright"]).assign(
        acquisition=cells.index["acquisition"].to_numpy()[some]
    )


def _look(frames: np.ndarray) -> tuple[float, float, float, float]:
    x = frames.astype(np.float32)
    x -= np.median(x)
    rough = x[:, :-2] - 2 * x[:, 1:-1] + x[:, 2:]
    rough = rough[:, :, :-2] - 2 * rough[:, :, 1:-1] + rough[:, :, 2:]
    noise = float(np.median(np.abs(rough))) / 0.6745 / 6
    place = np.arange(FRAME_PX) - FRAME_PX // 2
    apart = place[:, None] ** 2 + place**2
    disc = apart <= 14**2
    power = np.maximum(np.square(x).mean(0) - noise**2, 1e-6) * disc
    middle = slice(FRAME_PX // 2 - 5, FRAME_PX // 2 + 6)
    contrast = float(np.sqrt(np.square(x[:, middle, middle]).mean()))
    size = float(np.sqrt((power * apart).sum() / power.sum()))
    return size, contrast, noise, float(x[:, disc].mean()) / max(contrast, 1e-6)


def objections(found: Sequences, cells: pd.DataFrame, known: dict[str, list[float]]) -> list[str]:
    """Why a movie cannot be judged, in words.

    What tracking objects to, units that nobody gave (`assumed`), what `unlike` says, and where
    fewer than `FEWEST` cells are said to tank-tread or flip.

    Parameters
    ----------
    found : tracked sequences
    cells : what the models say of them
    known : lowest and highest of each look of the known acquisitions

    Returns
    -------
    Empty where nothing speaks against it
    """
    against = [*found.meta.get("objections", []), *assumed(found), *hurried(found)]
    against += unlike(found, known)
    n = int(cells["answer"].isin(RELIABLE).sum())
    if n < FEWEST:
        against.append(
            f"too few cells, {n} of {len(cells)} are said to tank-tread or flip: {FEWEST} are"
            " needed"
        )
    return against


def hurried(found: Sequences) -> list[str]:
    """Whether cells turn further from frame to frame than the models were tried on, in words.

    How far they turn follows from the shear that passes between two frames, shear rate over frame
    rate; how long a cell is in view counts in it neither way, as it crosses more slowly then.
    """
    units = found.meta.get("units", {})
    if not {"shear_rate", "frame_rate"} <= set(units):
        return []
    shear, rate = (units[name]["value"] for name in ("shear_rate", "frame_rate"))
    if shear / rate <= STRAIN * (1 + 1e-9):
        return []
    return [
        f"cells turn too far from frame to frame, at a shear rate of {shear:g}/s and"
        f" {rate:g} frames/s: film at {shear / STRAIN:.0f} frames/s at least"
    ]


def assumed(found: Sequences) -> list[str]:
    """Pixel size and frame rate that neither the file nor the user gave, in words: the decisions
    hang on both.
    """
    units = found.meta.get("units", {})
    return [
        f"the {words} is not known, {units[name]['value']:g} is assumed: give it with {option}"
        for name, words, option in (
            ("um_per_px", "pixel size in um", "--um-per-px"),
            ("frame_rate", "frame rate", "--frame-rate"),
        )
        if name in units and units[name]["source"] == ASSUMED
    ]


def unlike(found: Sequences, known: dict[str, list[float]]) -> list[str]:
    """In what sequences lie outside of what the models know, in words.

    Their medians of `looks` must lie in the range of the known acquisitions, widened by `BEYOND`,
    their cells must not be brighter than their surroundings (`BRIGHT`), and their pixels be of the
    models' size, which is taken for granted where they do not say.

    Parameters
    ----------
    found : sequences
    known : lowest and highest of each look

    Returns
    -------
    Empty where in nothing
    """
    against, um = [], found.meta.get("um_per_px", PX_UM)
    # Tracking resizes a movie of another scale (`rbc.tracking.scale`), where it can be.
    if not 1 / scale.ALIKE <= um / found.meta.get("resized", 1.0) / PX_UM <= scale.ALIKE:
        low, high = scale.KNOWN_UM
        against.append(
            f"wrong scale, {um:g} um/px: the models know {PX_UM:g}; movies of {low:g} to {high:g}"
            " um/px are resized to that"
        )
    medians = looks(found)[[*BEYOND, "bright"]].median()
    if medians["bright"] > BRIGHT:
        against.append(
            "light and dark may be swapped: cells are brighter than their surroundings, but red"
            " cells absorb light; invert the movie"
        )
    resized = "resized" in found.meta
    for name, (low, high) in known.items():
        # A movie that was resized rests on a pixel size that somebody stated. Stated 13 % too
        # small, it moved the marker of simulated movies by 25 points: cells must then be as large
        # as the known ones are, without allowance.
        if not (resized and name == "size_px"):
            low, high = low / BELOW.get(name, BEYOND[name]), high * BEYOND[name]
        if not low <= medians[name] <= high:
            check = "; check the pixel size" if resized and name == "size_px" else ""
            against.append(
                f"{WORDS[name].format(medians[name])}: the models know {low:.1f} to {high:.1f}"
                f"{check}"
            )
    return against


WORDS = {
    "size_px": "wrong scale, cells of {:.1f} px (root mean square radius)",
    "contrast": "unknown light or focus, contrast of {:.1f} grey levels",
    "noise": "unknown camera or compression, noise of {:.1f} grey levels",
}


# --- what is known of the models ---


def describe(
    cells: Sequences, models: Path = MODELS, limits: dict[str, dict] | None = None
) -> None:
    """Write known.json beside the weights: how often they err, and how the known cells look.

    `classify` predicts each acquisition by members that were not trained on it. Thresholds that
    were set on these very cells would flatter the models all the same, so that `limits` gives each
    blood draw those that the other draws set.

    Parameters
    ----------
    cells : labelled sequences
    models : folder of the weights
    limits : by stage ("1", "2") and blood draw: threshold and unsure_within, in the units of
        models.json. A stage or draw that is absent keeps those of models.json.
    """
    files.write_sums(models)  # who describes a folder of models vouches for what is in it
    limits = limits or {}
    predicted = _by_limits(cells, models, limits)
    table = cells.index[["acquisition", "label"]].assign(
        answer=np.where(np.isin(predicted, RELIABLE), predicted, "discarded")
    )
    counts = table.value_counts(sort=False).reset_index(name="n").to_dict("records")
    content = {
        "simulated": cells.simulated,
        "limits": limits,
        "answers": counts,
        "looks": ranges_of(looks(cells)),
    }
    (Path(models) / "known.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    files.write_sums(models)


def _by_limits(cells: Sequences, models: Path, limits: dict[str, dict]) -> np.ndarray:
    """Predicted class of each of N sequences by its own blood draw's thresholds: (N,) of str."""
    found = classify(cells, models)
    shipped = specification(models)["stages"]
    draws = cells.index["acquisition"].map(blood_draw)
    margins, sure = {}, {}
    for stage in STAGES:
        own = shipped[str(stage)]
        by_draw = limits.get(str(stage), {})
        chosen = [by_draw.get(draw, own) for draw in draws]
        threshold = np.array([limit["threshold"] for limit in chosen])
        within = np.array([limit["unsure_within"] for limit in chosen])
        margin = found[f"{POSITIVE[stage]}_margin"].to_numpy()
        margins[stage] = margin + own["threshold"] - threshold
        sure[stage] = abs(margins[stage]) >= within
    return decisions(margins, sure)


def ranges_of(looked: pd.DataFrame) -> dict[str, list[float]]:
    """Lowest and highest median of the acquisitions for each look, as known.json holds them.

    Parameters
    ----------
    looked : of `looks`
    """
    medians = looked.groupby("acquisition")[list(BEYOND)].median()
    return {name: [float(medians[name].min()), float(medians[name].max())] for name in BEYOND}


def errors_of_others(known: dict, judged: set[str]) -> pd.DataFrame:
    """The answers to labelled cells of other acquisitions than those that are to be judged.

    Parameters
    ----------
    known : of `read_known`
    judged : names of acquisitions

    Returns
    -------
    A row a labelled cell: acquisition, label, answer
    """
    table = pd.DataFrame(known["answers"])
    table = table.loc[table.index.repeat(table["n"])]
    return table[~table["acquisition"].isin(judged)].drop(columns="n").reset_index(drop=True)
