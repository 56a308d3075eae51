"""The report of `rbc analyze`: one page that asks nothing from anywhere, in which the operator may
overrule a label.

report.html is the page, with its style and script, as a template of Jinja; here it is filled in.
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

from rbc import marker, sampling
from rbc.bench import films
from rbc.paper import RELIABLE
from rbc.sequences import Sequences
from rbc.templates import filled

TEMPLATE = Path(__file__).with_name("report.html")
CHOICES = (*RELIABLE, "unreliable", "unsure")
#: Cells with a whole film on the page, the least sure first: kept ones, discarded ones. All others
#: have a short one.
SHOWN = {True: 300, False: 100}
FRAMES = 30  #: of a film at most, spread evenly over its sequence
#: the same of a short film: every cell can be looked at, yet the page stays small enough to open
SHORT = 6
#: Of the film with tracks: half a second at 60 frames/s. About a megabyte.
FILM_FRAMES = 30
FILM_WIDTH = 720  #: px at most


class Pictures(NamedTuple):
    """What shows whether cells were followed well."""

    overlay: Image.Image  #: the middle frame with the paths of its cells
    film: Iterable[Image.Image]  #: frames in a row, a box around each cell; read once


def page(
    found: Sequences,
    cells: pd.DataFrame,
    result: dict,
    rates: tuple[np.ndarray, np.ndarray, float],
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
    rates : `rbc.prevalence.known_rates` and `rbc.marker.most_unreliable`, from which the page
        computes the marker again
    pictures : of the tracks
    labels : of the operator, by name, with which the page begins
    """
    kept = cells["decision"].isin(RELIABLE)
    whole = {*cells["name"][kept].head(SHOWN[True]), *cells["name"][~kept].head(SHOWN[False])}
    where = {name: i for i, name in enumerate(found.index["name"])}
    cards = (
        _card(row, found[where[row.name]], FRAMES if row.name in whole else SHORT)
        for row in cells.itertuples(index=False)
    )
    return filled(
        TEMPLATE,
        title=result["source"],
        banners=_banners(result),
        discarded=discarded(result),
        coverage=_coverage(kept, len(whole)),
        cells=cards,
        choices=CHOICES,
        overlay=_jpeg(pictures.overlay, 80),
        made=_made(result),
        data=_data(cells, result, rates, labels or {}, pictures.film),
        player=films.PLAYER,
    )


def _banners(result: dict) -> list[str]:
    lines = ["Research software, not a medical device."]
    if result["simulated"]:
        lines.append("Simulated movie: it shows no patient.")
    return lines + [
        f"Judged by force, against this objection: {line}." for line in result["objections"]
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
        f"{n.get('unreliable', 0)} sequences: unreliable, stage 1 tells no motion (out of focus,"
        " touching, cut badly)",
        f"{n.get('unsure', 0)} sequences: unsure, too near a threshold of stage 1 or stage 2",
        "Never cut out, and not counted: cells seen in too few frames, too near the edge, too slow"
        " or too fast",
    ]


def _coverage(kept: pd.Series, whole: int) -> str:
    text = (
        f"Here are all {kept.sum()} kept and {(~kept).sum()} discarded sequences, the least"
        " sure first"
    )
    return f"{text}: {whole} with up to {FRAMES} frames, the others with {SHORT}."


def _card(row: tuple, frames: np.ndarray, most: int) -> dict[str, str]:
    """What a cell's card shows: its name, its decision, its film."""
    note = (
        f"reliable {row.reliable:.2f}, flipping {row.flipping:.2f}; frame {row.first_frame},"
        f" {row.length} frames"
    )
    film = films.film(sampling.sample(frames, "uniform", most), row.name, note)
    return {"name": row.name, "decision": row.decision, "film": film}


def _jpeg(picture: Image.Image, quality: int) -> str:
    """A picture as an address that holds it."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _narrow(picture: Image.Image) -> Image.Image:
    """The picture, at most `FILM_WIDTH` wide."""
    scale = min(FILM_WIDTH / picture.width, 1)
    return picture.resize((round(picture.width * scale), max(round(picture.height * scale), 1)))


def _made(result: dict) -> list[tuple[str, str]]:
    source = {name: f" ({unit['source']})" for name, unit in result.get("units", {}).items()}
    units = (
        ("Pixel size", "um_per_px", "um"),
        ("Frame rate", "frame_rate", "1/s"),
        ("Shear rate", "shear_rate", "1/s"),
    )
    return [
        ("Movie", f"{result['n_frames']} frames"),
        *((words, f"{result[name]:g} {unit}{source.get(name, '')}") for words, name, unit in units),
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


def _data(
    cells: pd.DataFrame,
    result: dict,
    rates: tuple[np.ndarray, np.ndarray, float],
    labels: dict[str, str],
    film: Iterable[Image.Image],
) -> str:
    """What the page's script computes with, safe inside a script element."""
    point, draws, limit = rates
    # Rates of a draw in a row: called tank-treading by class, then called flipping.
    shares = draws[:, :2].astype("<f4")
    data = {
        "choices": CHOICES,
        "cells": cells[["name", "decision"]].to_numpy().tolist(),
        "rates": point.tolist() if np.isfinite(point).all() else None,
        "draws": base64.b64encode(shares.tobytes()).decode(),
        "marker": result["ways"]["models"],
        "corrections": labels,
        "film": [_jpeg(_narrow(picture), 55) for picture in film],
        "source": result["source"],
        "mostUnreliable": limit,
        "widest": marker.WIDEST,
        "caution": marker.TOO_WIDE,
        "edge": marker.EDGE,
        "level": marker.LEVEL,
        "evenly": marker.EVENLY,
        "evenly2": marker.EVENLY_2,
        "angles": len(marker.ANGLES),
    }
    return json.dumps(data).replace("<", "\\u003c")
