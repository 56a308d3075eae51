"""Is my run normal? A run beside the runs of the same configuration that this project keeps, seed
by seed.

Scores and losses are held against a 95 % prediction interval for one more seed: mean +- t * sd *
sqrt(1 + 1/n) of the n kept seeds (e.g. Hahn and Meeker, Statistical Intervals, 1991, section 4.7).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

from compendium.runs import REFERENCE
from rbc import RbcError
from rbc.settings import TEXT

CELL = ("stage", "model", "sampling", "k", "variant")
SCORES = ("recall", "specificity", "f1")
FEWEST = 3  #: seeds under which no interval is given
ASIDE = ("lr_finder_batches", "checkpoint_seconds")  #: settings of a training that change no number


@dataclass(frozen=True)
class Comparison:
    """A run beside n kept seeds of its configuration.

    scores : a row a split and score: split, score, here, mean, low, high (of the interval), inside
    epochs : a row a fold and epoch, the same for the validation loss
    differences : a row each thing that differs: what, here, kept (of the newest kept run)
    """

    run: str
    seeds: list[int]
    scores: pd.DataFrame
    epochs: pd.DataFrame
    differences: pd.DataFrame

    @property
    def verdict(self) -> str:
        """``normal``, ``unusual`` or ``too few seeds to say``."""
        if len(self.seeds) < FEWEST:
            return "too few seeds to say"
        return (
            "normal"
            if self.scores["inside"].all() and self.epochs["inside"].mean() >= 0.9
            else "unusual"
        )

    def record(self) -> dict:
        """Everything as plain values, for JSON."""
        names = ("scores", "epochs", "differences")
        tables = {name: json.loads(getattr(self, name).to_json(orient="records")) for name in names}
        return asdict(self) | tables | {"verdict": self.verdict}


def compare(run: Path, reference: Path = REFERENCE) -> Comparison:
    """Hold a run's folder against the kept runs of its configuration, other seeds or the same.

    Parameters
    ----------
    run : the run's folder
    reference : folder of kept runs

    Raises
    ------
    RbcError
        where the folder is no run, or none of its configuration is kept
    """
    run, reference = Path(run).resolve(), Path(reference).resolve()
    if not (run / "metrics.json").exists():
        raise RbcError(
            f"{run}: not a run's folder (no metrics.json); rbc grid --dry-run lists runs"
        )
    mine = _read(run)
    kept = [
        _read(path.parent) for path in sorted(reference.rglob("metrics.json")) if path.parent != run
    ]
    alike = {r["config"]["seed"]: r for r in kept if _cell(r) == _cell(mine)}
    if not alike:
        raise RbcError(
            f"{run}: no run of its configuration is kept below {reference}; make some with other"
            " seeds"
        )
    peers = list(alike.values())
    newest = max(peers, key=lambda r: r["provenance"]["finished"])
    return Comparison(
        str(run), sorted(alike), _scores(mine, peers), _epochs(mine, peers),
        _differences(mine, newest)
    )  # fmt: skip


def _read(folder: Path) -> dict:
    parts = {
        name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("config", "metrics", "provenance")
    }
    return parts | {"history": pd.read_csv(folder / "history.csv")}


def _cell(run: dict) -> list:
    """What makes runs comparable: the cell of the table, and the source of its data (folds differ
    by profile).
    """
    config = {"variant": TEXT, **run["config"]}
    stage = config["profile"]["stages"][str(config["stage"])]
    return [config[field] for field in CELL] + [config["profile"]["data"], stage["folds"]]


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and 95 % prediction interval of one more value; nan ends where there are fewer than
    `FEWEST`.
    """
    n, mean = len(values), float(np.mean(values)) if len(values) else np.nan
    if n < FEWEST:
        return mean, np.nan, np.nan
    half = t.ppf(0.975, n - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / n)
    return mean, mean - half, mean + half


def _row(here: float | None, values: list[float | None]) -> dict:
    """A score that is undefined (None) is left out of the kept ones, and is outside itself."""
    mean, low, high = _interval(np.array([v for v in values if v is not None], float))
    inside = here is not None and not here < low - 1e-9 and not here > high + 1e-9
    return {"here": here, "mean": mean, "low": low, "high": high, "inside": inside}


def _scores(mine: dict, peers: list[dict]) -> pd.DataFrame:
    rows = []
    for split, scores in mine["metrics"].items():
        for name in SCORES:
            kept = [p["metrics"][split][name] for p in peers]
            rows.append({"split": split, "score": name} | _row(scores[name], kept))
    return pd.DataFrame(rows)


def _epochs(mine: dict, peers: list[dict]) -> pd.DataFrame:
    """Epochs that both have; a training of another length is a difference of its own."""
    kept = (
        pd.concat([p["history"] for p in peers]).groupby(["fold", "epoch"])["valid_loss"].agg(list)
    )
    rows = [
        {"fold": int(row.fold), "epoch": int(row.epoch)}
        | _row(row.valid_loss, kept[row.fold, row.epoch])
        for row in mine["history"].itertuples()
        if (row.fold, row.epoch) in kept
    ]
    return pd.DataFrame(rows)


def _differences(mine: dict, other: dict) -> pd.DataFrame:
    here, kept = _flat(mine), _flat(other)
    names = [name for name in here | kept if here.get(name) != kept.get(name)]
    rows = [(name, here.get(name, ""), kept.get(name, "")) for name in names]
    return pd.DataFrame(rows, columns=["what", "here", "kept"])


def _flat(run: dict) -> dict[str, str]:
    """Hardware, versions, data and configuration of a run, one value a name."""
    origin, training = run["provenance"], run["config"]["profile"]["training"]
    groups = {
        "": {name: origin[name] for name in ("commit", "dirty", "device", "processor", "seed")},
        "version of ": origin["packages"],
        "data ": origin["data"],
        "training ": {name: value for name, value in training.items() if name not in ASIDE},
    }
    return {
        prefix + name: str(value)
        for prefix, group in groups.items()
        for name, value in group.items()
    }
