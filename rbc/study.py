"""A results folder as the claims see it: its data, and every cell's score at the paper's share of positives.

Scores are computed from predictions, all runs of a stage on the same samples of sequences, so runs can be compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from rbc import audit, metrics, profiles, runs
from rbc.metrics import Confusion
from rbc.paper import SPLITS, reported
from rbc.profiles import Profile
from rbc.settings import TEXT

DRAWS = 1000  #: samples of the bootstrap
Cell = tuple[str, str, int]  #: model, sampling, K


def chosen(stage: int) -> Cell:
    """The cell that the paper chose for a stage."""
    row = reported("test_results").set_index("stage").loc[stage]
    return row["model"], row["sampling"], int(row["k"])


@dataclass(frozen=True)
class Measured:
    """A score of one cell at the paper's share of positives.

    Attributes
    ----------
    draws : (`DRAWS` + 1,), mean over seeds; the first is the sequences as they are, each other one sample of them
    cells_sd : standard error that the sequences leave: the larger of the bootstrap's and that of independent cells
    seed_se : standard error that the seeds leave; nan where nothing is known of them
    seeds, borrowed : number of seeds; whether their spread is that of the register's runs
    runs : folders of the runs
    """

    draws: np.ndarray
    cells_sd: float
    seed_se: float
    seeds: int
    borrowed: bool
    runs: tuple[str, ...]


class Study:
    """A results folder and its profile: runs of the text's variant, and scores computed from their predictions."""

    def __init__(self, profile: Profile, folder: Path, register: Path = runs.REFERENCE / "register") -> None:
        self.profile, self.folder, self.register = profile, Path(folder), register
        self._rates, self._measured = {}, {}

    @cached_property
    def meta(self) -> dict:
        return json.loads((self.folder / "dataset.json").read_text())

    @cached_property
    def index(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "index.parquet")

    @cached_property
    def findings(self) -> dict[str, dict]:
        """Records of `rbc.checks`, by key."""
        return {f["key"]: f for f in json.loads((self.folder / "checks.json").read_text())}

    @cached_property
    def runs(self) -> pd.DataFrame:
        """stage, model, sampling, k, seed, run."""
        columns = ["stage", "model", "sampling", "k", "seed", "run"]
        if not any(self.folder.glob("stage?/[!.]*/metrics.json")):
            return pd.DataFrame(columns=columns)
        table = runs.collect(self.folder)
        return table.loc[table["variant"] == TEXT, columns].drop_duplicates(ignore_index=True)

    def of(self, stage: int, cell: Cell) -> list[str]:
        """Runs of one cell, a seed each."""
        table = self.runs[self.runs["stage"] == stage]
        return table.loc[(table[["model", "sampling", "k"]] == list(cell)).all(axis=1), "run"].tolist()

    def answers(self, stage: int, split: str) -> pd.DataFrame:
        """Predictions of all runs of a stage on a split, with a column run."""
        own = self.runs.loc[self.runs["stage"] == stage, "run"]
        table = pd.concat([runs.predictions(self.folder, run).assign(run=run) for run in own], ignore_index=True)
        return table[table["split"] == split]

    def rates(self, stage: int, split: str) -> tuple[dict[str, pd.DataFrame], tuple[int, int]]:
        """Recall and specificity of every run, resampled together, and the numbers of positives and negatives."""
        if (stage, split) not in self._rates:
            table = self.answers(stage, split)
            one = metrics.confusion(table[table["run"] == table["run"].iat[0]], stage)
            seed = 10 * stage + SPLITS.index(split)
            found = metrics.together(table, stage, ("recall", "specificity"), DRAWS, seed)
            self._rates[stage, split] = found, (one.tp + one.fn, one.tn + one.fp)
        return self._rates[stage, split]

    def measured(self, stage: int, split: str, score: str, cell: Cell) -> Measured:
        """A score of a cell that has runs."""
        key = (stage, split, score, cell)
        if key not in self._measured:
            self._measured[key] = self._measure(*key)
        return self._measured[key]

    def _measure(self, stage: int, split: str, score: str, cell: Cell) -> Measured:
        own, (rates, (p, n)) = self.of(stage, cell), self.rates(stage, split)
        r, s = (rates[name][own].to_numpy() for name in ("recall", "specificity"))
        values = derived(score, r, s, share(stage, split))
        single = sampling_sd(score, r[0].mean(), s[0].mean(), p, n, share(stage, split))
        spread = values[0].std(ddof=1) if len(own) > 1 else self._borrowed(stage, split, score, cell[0])
        draws = values.mean(axis=1)
        cells_sd = max(float(np.nanstd(draws[1:])), single)
        return Measured(draws, cells_sd, float(spread / len(own) ** 0.5), len(own), len(own) == 1, tuple(own))

    def _borrowed(self, stage: int, split: str, score: str, model: str) -> float:
        """Spread over seeds of the register's runs of the same stage, model and data; nan where there are none."""
        about = self.register / "dataset.json"
        if not about.exists() or json.loads(about.read_text())["source"] != self.meta["source"]:
            return float("nan")
        lender = _register(self.register)
        own = lender.runs.query("stage == @stage and model == @model")
        cells = {tuple(c) for c in own[["model", "sampling", "k"]].itertuples(index=False)}
        found = [lender.seed_variance(stage, split, score, c) for c in cells if len(lender.of(stage, c)) > 1]
        return float(np.sqrt(np.mean(found))) if found else float("nan")

    def seed_variance(self, stage: int, split: str, score: str, cell: Cell) -> float:
        """Variance over seeds of a cell that has several."""
        answers, own = self.answers(stage, split), self.of(stage, cell)
        counts = [metrics.confusion(answers[answers["run"] == run], stage) for run in own]
        return float(np.var([derived(score, c.recall, c.specificity, share(stage, split)) for c in counts], ddof=1))


@cache
def _register(folder: Path) -> Study:
    return Study(profiles.load("register"), folder)


def share(stage: int, split: str) -> float:
    """Share of positives in a split of the paper (Table 2)."""
    p, n = audit.sizes(stage, split)
    return p / (p + n)


def derived(score: str, recall: np.ndarray, specificity: np.ndarray, positives: float) -> np.ndarray:
    """A score from recall and specificity at a share of positives (as `metrics.reweighted`), of any one shape."""
    if score == "fraction":
        return (1 - positives) * specificity + positives * (1 - recall)
    tp, tn = positives * recall, (1 - positives) * specificity
    return getattr(Confusion(tp, 1 - positives - tn, positives - tp, tn), score)


@cache
def sampling_sd(score: str, recall: float, specificity: float, p: int, n: int, positives: float) -> float:
    """Standard error of a score on p positive and n negative independent cells, Jeffreys' beta for each rate."""
    rng = np.random.default_rng(0)
    r, s = (rng.beta(x * m + 0.5, (1 - x) * m + 0.5, DRAWS) for x, m in ((recall, p), (specificity, n)))
    return float(np.nanstd(derived(score, r, s, positives)))
