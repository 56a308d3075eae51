"""Which runs, or which data, a page of the book was made from: the table at the foot of each report
page.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import pandas as pd

from compendium import runs
from rbc import RbcError
from rbc.files import file_hash
from rbc.paper import STAGES

#: What the numbers and figures of a report page come from: the data alone, every run below the
#: page's results, or the runs that were chosen. What a run's page says of this in words follows the
#: same rule.
MADE_FROM = {
    "dataset": "data",
    "claims": "every run",
    "sampling": "data",
    "selection": "every run",
    "test": "every run",
    "errors": "every run",
    "browse": "every run",
    "marker": "chosen runs",
    "register": "every run",
    "ours": "every run",
    "ours-experiments": "every run",
    "packet": "every run",
    "beside": "every run",
}
#: pages that do not stand beside the pages of their runs
WITHOUT_RUN_PAGES = ("register", "ours", "ours-experiments", "beside")


def origins(results: Path) -> pd.DataFrame:
    """Where the runs below a results folder come from, a row each.

    Columns run, configuration and data (SHA-256 of config.json, of the frames), commit, dirty
    (bool: the checkout had changes), device, seconds, finished (UTC), seed. Raises `RbcError` where
    there is none.
    """
    rows = []
    for folder in runs.folders(results):
        origin = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        row = {
            "run": str(folder.relative_to(results)),
            "configuration": file_hash(folder / "config.json"),
        }
        row |= {
            key: origin[key] for key in ("commit", "dirty", "device", "seconds", "finished", "seed")
        }
        rows.append(row | {"data": origin["data"]["sha256"]})
    if not rows:
        raise RbcError(f"{results}: no runs there; make them with rbc grid")
    return pd.DataFrame(rows)


def chosen(results: Path) -> dict[str, str]:
    """Chosen runs and what for: ``{"stage1/cnn-uniform-k30-s0": "stage 1, fold 0"}``."""
    for_what: dict[str, list[str]] = {}
    for stage in STAGES:
        for row in runs.select(results, stage).itertuples():
            for_what.setdefault(row.run, [f"stage {stage}, fold"]).append(str(row.fold))
    return {run: f"{words[0]} {', '.join(words[1:])}" for run, words in for_what.items()}


def made_from(results: Path, page: str) -> str:
    """The collapsed table at the foot of a report page, as HTML; a run with a page of its own links
    to it.

    Parameters
    ----------
    results : folder of the runs
    page : the page that the table stands on
    """
    results = Path(results)
    if MADE_FROM[page] == "data":
        about = json.loads((results / "dataset.json").read_text(encoding="utf-8"))
        wanted = {key: about.get(key) for key in ("source", "version", "simulated", "sha256")}
        table = pd.DataFrame(
            {"": list(wanted), "data": [escape(str(value)) for value in wanted.values()]}
        )
        return _details("Made from these data", table)
    table = origins(results)
    if page not in WITHOUT_RUN_PAGES:  # there, nothing is chosen
        words = chosen(results)
        table["chosen for"] = [words.get(run, "") for run in table["run"]]
    if MADE_FROM[page] == "chosen runs":
        table = table[table["chosen for"] != ""]
    return _details("Made from these runs", _short(table, results, page not in WITHOUT_RUN_PAGES))


def _short(table: pd.DataFrame, results: Path, linked: bool) -> pd.DataFrame:
    """Checksums cut short, the commit marked where the checkout had changes, runs as links."""
    short = table.assign(
        commit=[c[:10] + " (with changes)" * d for c, d in zip(table["commit"], table["dirty"])]
    )
    short["run"] = [_link(results, run) if linked else escape(run) for run in table["run"]]
    for column in ("configuration", "data"):
        short[column] = [f'<span title="{value}">{value[:12]}</span>' for value in table[column]]
    return short.drop(columns="dirty")


def _link(results: Path, run: str) -> str:
    if not (results / run / runs.NOTEBOOK).exists():
        return escape(run)
    return f'<a href="runs/{run.replace("/", "-")}.html">{escape(run)}</a>'


def _details(summary: str, table: pd.DataFrame) -> str:
    text = table.to_html(index=False, escape=False, border=0)
    return f'<details class="made-from"><summary>{summary}</summary>{text}</details>'
