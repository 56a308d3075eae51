"""The report of `rbc analyze`: one page that asks nothing from anywhere, in which the operator may overrule a label.

report.html holds the page with its style and script; here its parts are filled in.
"""

from __future__ import annotations

import base64
import io
import json
import re
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from rbc import films, sampling
from rbc.paper import RELIABLE
from rbc.sequences import Sequences

TEMPLATE = Path(__file__).with_name("report.html")
CHOICES = (*RELIABLE, "unreliable", "unsure")
SHOWN = {True: 300, False: 100}  #: cells on the page at most, the least sure first: kept ones, discarded ones
FRAMES = 30  #: of a film at most, spread evenly over its sequence


def page(
    found: Sequences, cells: pd.DataFrame, result: dict, rates: tuple[np.ndarray, np.ndarray], overlay: Path
) -> str:
    """HTML of the report.

    Parameters
    ----------
    found : the sequences tracked
    cells : a row a sequence, the least sure first: name, decision, reliable, flipping, first_frame, length, speed_px
    result : what marker.json holds
    rates : `rbc.prevalence.known_rates`, from which the page computes the marker again
    overlay : picture of the tracks
    """
    kept = cells["decision"].isin(RELIABLE)
    shown = pd.concat([cells[kept].head(SHOWN[True]), cells[~kept].head(SHOWN[False])]).sort_index()
    where = {name: i for i, name in enumerate(found.index["name"])}
    parts = {
        "title": escape(result["source"]),
        "banners": _banners(result),
        "discarded": "".join(f"<li>{escape(line)}</li>" for line in discarded(result)),
        "coverage": _coverage(kept, shown),
        "cells": "".join(_card(row, found[where[row.name]]) for row in shown.itertuples(index=False)),
        "overlay": _jpeg(overlay),
        "made": "".join(f"<tr><th scope='row'>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in _made(result)),
        "data": _data(cells, result, rates),
        "player": films.PLAYER,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], TEMPLATE.read_text())


def _banners(result: dict) -> str:
    lines = ["Research software, not a medical device."]
    if result["simulated"]:
        lines.append("Simulated movie: it shows no patient.")
    lines += [f"Judged by force, against this objection: {line}." for line in result["objections"]]
    return "".join(f'<p class="banner">{escape(line)}</p>' for line in lines)


def discarded(result: dict) -> list[str]:
    """What does not count and why, a line each."""
    n = result["decisions"]
    return [
        *result["notes"],
        f"{n.get('unreliable', 0)} sequences: unreliable, stage 1 tells no motion (out of focus, touching, cut badly)",
        f"{n.get('unsure', 0)} sequences: unsure, too near a threshold of stage 1 or stage 2",
        "Never cut out, and not counted: cells seen in too few frames, too near the edge, too slow or too fast",
    ]


def _coverage(kept: pd.Series, shown: pd.DataFrame) -> str:
    here = shown["decision"].isin(RELIABLE)
    text = f"Here are {here.sum()} of {kept.sum()} kept and {(~here).sum()} of {(~kept).sum()} discarded sequences"
    return f"{text}, the least sure first, with up to {FRAMES} frames each; cells.csv lists all."


def _card(row: tuple, frames: np.ndarray) -> str:
    name = escape(row.name)
    note = f"reliable {row.reliable:.2f}, flipping {row.flipping:.2f}; frame {row.first_frame}, {row.length} frames"
    choices = "".join(
        f'<label><input type="radio" name="{name}" value="{c}"{" checked" * (c == row.decision)} /> {c}</label>'
        for c in CHOICES
    )
    film = films.film(sampling.sample(frames, "uniform", FRAMES), row.name, note)
    return (
        f'<li class="cell" data-name="{name}" data-decision="{row.decision}">{film}'
        f"<fieldset><legend>Label of {name}</legend>{choices}</fieldset></li>"
    )


def _jpeg(picture: Path) -> str:
    out = io.BytesIO()
    Image.open(picture).save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _made(result: dict) -> list[tuple[str, str]]:
    models = ", ".join(f"{k} {v}" for k, v in result["models"].items())
    return [
        ("Movie", f"{result['n_frames']} frames, {result['frame_rate']:g} frames/s, {result['um_per_px']:g} um/px"),
        ("Shear rate", f"{result['shear_rate']:g} 1/s"),
        ("Errors known from", f"{result['known_cells']} cells of {result['known_acquisitions']} acquisitions"),
        ("Models", models or "of the user"),
        ("Software", f"rbc {result['version']}"),
    ]


def _data(cells: pd.DataFrame, result: dict, rates: tuple[np.ndarray, np.ndarray]) -> str:
    """What the page's script computes with, safe inside a script element."""
    point, draws = rates
    defined = draws[np.isfinite(draws).all(axis=(1, 2))]
    data = {
        "choices": CHOICES,
        "cells": cells[["name", "decision"]].to_numpy().tolist(),
        "rates": point.tolist() if np.isfinite(point).all() else None,
        "draws": defined.round(6).tolist(),
        "marker": {name: result[name] for name in ("counted", "estimate", "low", "high")},
    }
    return json.dumps(data).replace("<", "\\u003c")
