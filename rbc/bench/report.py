"""The report of `rbc analyze`: one page that asks nothing from anywhere, on which the operator
labels cells.

The page is made from report.html, with its style in report.css and its scripts in estimate.js (the
estimator of `rbc.marker`, in JavaScript) and report.js (what a person does with the page).
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from rbc import files, labelling, marker, sampling
from rbc.paper import LABELS, RELIABLE
from rbc.sequences import Sequences, strip
from rbc.templates import filled

TEMPLATE = Path(__file__).with_name("report.html")
CHOICES = (*RELIABLE, "unreliable", "unsure")
#: Frames of a clip at most, spread evenly over its sequence: half a turn of a slow cell shows.
FRAMES = 30
FEWEST_FRAMES = 10  #: of a clip in a movie of very many cells
#: Frames on one page: at some 0.2 kB each they come to 3 MB. Every cell has a clip of the same
#: length, because each can be chosen at random.
PAGE_FRAMES = 15_000
#: Clips are encoded for looking, not for computing: grey levels about their median are spread by
#: `STRETCH`, and WebP of this quality takes a third of a PNG.
QUALITY = 80
STRETCH = 2.0
#: Of the clip with tracks: half a second at 60 frames/s.
TRACK_FRAMES = 30
TRACK_WIDTH = 960  #: px at most, of the clip with tracks: boxes are then some 20 px wide


class Known(NamedTuple):
    """What is known of the models' errors on other blood draws."""

    rates: np.ndarray  #: (3, 3) share of each prediction in each class (`prevalence.known_rates`)
    draws: np.ndarray  #: (B, 3, 3) drawn rates, of the same function
    limit: float  #: `rbc.marker.most_unreliable`
    by_draw: np.ndarray  #: (D, 3, 3) labelled cells: blood draw, prediction, class


class Pictures(NamedTuple):
    """What shows whether cells were followed well."""

    overlay: Image.Image  #: the middle frame with the paths of its cells
    film: Iterable[Image.Image]  #: frames in a row, a box around each cell; read once


def page(
    found: Sequences,
    cells: pd.DataFrame,
    result: dict,
    known: Known,
    pictures: Pictures,
    labels: dict[str, str] | None = None,
) -> str:
    """HTML of the report.

    Parameters
    ----------
    found : the sequences tracked
    cells : a row a sequence, the least sure first: name, decision, reliable, flipping, first_frame,
        length, speed_px
    result : what marker.json holds
    known : errors from which the page computes the marker again
    pictures : of the tracks
    labels : of the operator, by name, with which the page begins
    """
    most = affordable(len(cells))
    return filled(
        TEMPLATE,
        title=result["source"],
        tags=_tags(result),
        objections=result["objections"],
        facts=_facts(result),
        choices=[{"label": label, "words": _words(label)} for label in CHOICES],
        discarded=discarded(result),
        coverage=_coverage(cells, most),
        overlay=_address(pictures.overlay, "JPEG", 80),
        made=_made(result),
        data=_data(found, cells, result, known, labels or {}, pictures.film, most),
    )


def affordable(n_cells: int) -> int:
    """How many frames a clip may have for the clips of so many cells to fit into one page."""
    return int(np.clip(PAGE_FRAMES // max(n_cells, 1), FEWEST_FRAMES, FRAMES))


def _words(label: str) -> str:
    """What an operator reads for a label: a person cannot tell where a model is unsure."""
    return "Cannot tell" if label == "unsure" else label.capitalize()


def _tags(result: dict) -> list[str]:
    simulated = ["Simulated movie: it shows no patient"] if result["simulated"] else []
    return ["Research software, not a medical device", *simulated]


def _facts(result: dict) -> list[tuple[str, str]]:
    """What the marker depends on, with who stated it."""
    source = {name: f" ({unit['source']})" for name, unit in result.get("units", {}).items()}
    units = (
        ("Pixel size", "um_per_px", "µm"),
        ("Frame rate", "frame_rate", "frames/s"),
        ("Shear rate", "shear_rate", "s⁻¹"),
    )
    return [
        ("Movie", f"{result['n_frames']} frames"),
        ("Sequences", str(result["cells"])),
        *((words, f"{result[name]:g} {unit}{source.get(name, '')}") for words, name, unit in units),
    ]


def discarded(result: dict) -> list[str]:
    """What does not count and why, a line each."""
    n = result["decisions"]
    twice = result["left_out"]
    return [
        *result["notes"],
        *(
            [f"{twice} sequences: each goes on where another ended and may be the same cell"]
            if twice
            else []
        ),
        f"{n.get('unreliable', 0)} sequences: unreliable, because stage 1 found them out of focus,"
        " touching or cut badly",
        f"{n.get('unsure', 0)} sequences: unsure, because a score is too near a threshold",
        "Never cut out, and not counted: cells seen in too few frames, too near the edge, too slow"
        " or too fast",
    ]


def _coverage(cells: pd.DataFrame, most: int) -> str:
    """How many cells the page shows, and how."""
    kept = int(cells["decision"].isin(RELIABLE).sum())
    return (
        f"The page shows all {len(cells)} sequences, {kept} of them kept, the least sure first;"
        f" each clip has up to {most} frames of its sequence, with more contrast than the movie."
    )


# --- pictures ---


def clip(frames: np.ndarray, most: int) -> str:
    """A sequence for the page: its image strip as WebP, in base64.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    most : frames that are shown, spread evenly over the sequence
    """
    some = sampling.sample(frames, "uniform", most).astype(np.float32)
    # The background becomes middle grey, so that all clips are as bright.
    stretched = (some - np.median(some)) * STRETCH + 128
    shown = np.clip(np.round(stretched), 0, 255).astype(np.uint8)
    return _encoded(Image.fromarray(strip(shown)), "WEBP", QUALITY)


def _encoded(picture: Image.Image, kind: str, quality: int) -> str:
    out = io.BytesIO()
    picture.save(out, kind, quality=quality)
    return base64.b64encode(out.getvalue()).decode()


def _address(picture: Image.Image, kind: str, quality: int) -> str:
    """A picture as an address that holds it."""
    return f"data:image/{kind.lower()};base64,{_encoded(picture, kind, quality)}"


def _narrow(picture: Image.Image) -> Image.Image:
    """The picture, at most `TRACK_WIDTH` wide."""
    scale = min(TRACK_WIDTH / picture.width, 1)
    return picture.resize((round(picture.width * scale), max(round(picture.height * scale), 1)))


# --- how it was made ---


def _made(result: dict) -> list[tuple[str, str]]:
    return [
        *_flow(result.get("flow")),
        (
            "Errors known from",
            f"{result['known_cells']} cells of {result['known_acquisitions']} acquisitions",
        ),
        ("Models", _origin(result["models"])),
        ("Software", f"rbc {result['version']}"),
    ]


def _origin(models: dict) -> str:
    """Where the models come from, by stage where these differ; `marker.json` holds the whole
    hashes.
    """
    if "stages" in models:
        return "; ".join(f"stage {s}: {_origin(one)}" for s, one in models["stages"].items())
    if "commit" not in models:
        return "of the user"
    changes = " with changes" if models.get("dirty") else ""
    data = f", learned from data {models['data'][:10]}" if "data" in models else ""
    return f"commit {models['commit'][:10]}{changes}{data}"


def _flow(flow: dict | None) -> list[tuple[str, str]]:
    if not flow:
        return []
    speed = flow["speed_px"]
    return [
        ("Flow", f"{flow['direction']}, tilted by {flow['tilt_degrees']:.1f} degrees"),
        (
            "Speeds",
            f"{speed['low']:.1f} to {speed['high']:.1f} px/frame, median {speed['median']:.1f}",
        ),
    ]


# --- what the page computes with ---


def simulated_truth(movie: Path) -> dict | None:
    """The share of tank-treading among the reliable cells of a simulated movie.

    Parameters
    ----------
    movie : the movie; `rbc simulate video` puts the truth beside it

    Returns
    -------
    share, in [0, 1], and cells, how many tank-tread or flip; None where the truth is not known
    """
    file = Path(movie).with_name("truth.parquet")
    if not file.exists():
        return None
    motions = files.read_table(file).drop_duplicates("cell")["motion"]
    moving = motions[motions.isin(RELIABLE)]
    if moving.empty:
        return None
    return {"share": float((moving == RELIABLE[0]).mean()), "cells": len(moving)}


def _data(
    found: Sequences,
    cells: pd.DataFrame,
    result: dict,
    known: Known,
    labels: dict[str, str],
    film: Iterable[Image.Image],
    most: int,
) -> str:
    """What the page's scripts need, safe inside a script element."""
    # Rates of a draw in a row: predicted tank-treading by class, then predicted flipping.
    shares = known.draws[:, :2].astype("<f4")
    where = {name: i for i, name in enumerate(found.index["name"])}
    shown = cells[["name", "decision", "reliable", "flipping", "first_frame", "length"]]
    seed = seed_of(result)
    order = labelling.order_of_looks(cells["name"], cells["decision"], seed)
    place = {name: i for i, name in enumerate(cells["name"])}
    data = {
        "cells": shown.round(4).to_numpy().tolist(),
        "clips": [clip(found[where[name]], most) for name in cells["name"]],
        "film": [_address(_narrow(picture), "WEBP", 50) for picture in film],
        "source": result["source"],
        "movie": result["movie_sha256"],
        "truth": result.get("truth"),
        "seed": seed,
        "order": [place[name] for name in order],
        "corrections": labels,
        "ordered": not labels or result["labels"]["seed"] is not None,
        "labelling": {
            "strata": labelling.STRATA,
            "classes": LABELS,
            "prior": labelling.PRIOR.tolist(),
            "worth": labelling.WORTH.tolist(),
            "fewest": labelling.FEWEST_LOOKS,
            "draws": labelling.DRAWS,
        },
        "kept": kept_shares(known.by_draw),
        "rates": known.rates.tolist() if np.isfinite(known.rates).all() else None,
        "draws": base64.b64encode(shares.tobytes()).decode(),
        "marker": result["ways"]["models"],
        "mostUnreliable": known.limit,
        "widest": marker.WIDEST,
        "caution": marker.TOO_WIDE,
        "mend": marker.LABEL_SOME,
        "edge": marker.EDGE,
        "tie": marker.TIE,
        "level": marker.LEVEL,
        "evenly": marker.EVENLY,
        "evenly2": marker.EVENLY_2,
        "angles": len(marker.ANGLES),
    }
    return json.dumps(data).replace("<", "\\u003c")


def kept_shares(by_draw: np.ndarray) -> list[list[float]]:
    """Shares of the tank-treading and the flipping cells that stage 1 kept on each blood draw.

    Parameters
    ----------
    by_draw : (D, 3, 3) labelled cells: blood draw, prediction (the last: discarded), class

    Returns
    -------
    A pair for each draw with cells of both motions. Half a cell is added to those kept and to those
    not, because no share is known to be exactly 0
    """
    cells = by_draw[:, :, :2].sum(axis=1)  # (D, 2)
    kept = by_draw[:, :2, :2].sum(axis=1)
    told = (cells > 0).all(axis=1)
    return ((kept[told] + 0.5) / (cells[told] + 1)).tolist()


def seed_of(result: dict) -> int:
    """The seed of the random order: that of the given labels, else one that the movie determines.

    Nobody chooses it, because an operator could else look for an order that suits.

    Parameters
    ----------
    result : what marker.json holds
    """
    given = result["labels"]["seed"]
    return int(result["movie_sha256"][:8], 16) if given is None else given
