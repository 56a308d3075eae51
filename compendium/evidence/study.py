"""A results folder as the claims see it: its data, and every cell's score at the paper's share of
positives.

Scores are computed from predictions, all runs of a stage on the same samples of sequences, so runs
can be compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from compendium import profiles, runs
from compendium.evidence import audit
from compendium.profiles import Profile
from rbc import metrics
from rbc.metrics import Confusion
from rbc.paper import SPLITS, reported
from rbc.settings import TEXT

DRAWS = 1000  #: samples of the bootstrap
#: Scores that claims name. ``fraction``: share of reliable cells that stage 2 predicts
#: tank-treading, at the paper's share of flipping ones.
CLAIMED = (*metrics.SCORES, "balanced_accuracy", "fraction")
Cell = tuple[str, str, int]  #: model, sampling, K


def chosen(stage: int) -> Cell:
    """The cell that the paper chose for a stage."""
    return _chosen()[stage]


@cache
def _chosen() -> dict[int, Cell]:
    return {
        row.stage: (row.model, row.sampling, row.k) for row in reported("test_results").itertuples()
    }


@dataclass(frozen=True)
class Measured:
    """A score of one cell at the paper's share of positives.

    Attributes
    ----------
    draws : (`DRAWS` + 1,), mean over seeds; the first is the sequences as they are, each other one
        sample of them. (1,) where the sequences are the paper's own: there is nothing to draw
    cells_sd : standard error that the sequences leave: the larger of the bootstrap's and that of
        independent cells; 0 where the sequences are the paper's own
    seed_sd : spread of one run over seeds; nan where nothing is known of it, which is not the same
        as 0
    seed_df : degrees of freedom of that spread, 0 where nothing is known
    seeds, borrowed : number of seeds; whether their spread is that of the register's runs
    runs : folders of the runs
    balanced : balanced accuracy of the same runs on the same sequences, mean over seeds
    blood_draws : of which the sequences are
    """

    draws: np.ndarray
    cells_sd: float
    seed_sd: float
    seed_df: int
    seeds: int
    borrowed: bool
    runs: tuple[str, ...]
    balanced: float
    blood_draws: int

    @property
    def value(self) -> float:
        """Mean over seeds, on the sequences as they are."""
        return float(self.draws[0])

    @property
    def seed_se(self) -> float:
        """Standard error that the seeds leave in the mean; nan where nothing is known of their
        spread.
        """
        return self.seed_sd / self.seeds**0.5


class Study:
    """A results folder and its profile: runs of the text's variant, and scores computed from their
    predictions.
    """

    def __init__(
        self, profile: Profile, folder: Path, register: Path = runs.REFERENCE / "register"
    ) -> None:
        self.profile, self.folder, self.register = profile, Path(folder), register
        self._rates, self._measured, self._counts, self._answers = {}, {}, {}, {}
        self._same, self._draws = {}, {}

    @cached_property
    def meta(self) -> dict:
        """What dataset.json says: source, whether simulated."""
        return json.loads((self.folder / "dataset.json").read_text(encoding="utf-8"))

    @cached_property
    def index(self) -> pd.DataFrame:
        """The sequences of the data, a row each."""
        return pd.read_parquet(self.folder / "index.parquet")

    @cached_property
    def findings(self) -> dict[str, dict]:
        """Records of `compendium.data.checks`, by key."""
        return {
            f["key"]: f
            for f in json.loads((self.folder / "checks.json").read_text(encoding="utf-8"))
        }

    @cached_property
    def runs(self) -> pd.DataFrame:
        """stage, model, sampling, k, seed, run."""
        columns = ["stage", "model", "sampling", "k", "seed", "run"]
        if not runs.folders(self.folder):
            return pd.DataFrame(columns=columns)
        table = runs.collect(self.folder)
        return table.loc[table["variant"] == TEXT, columns].drop_duplicates(ignore_index=True)

    @cached_property
    def _by_cell(self) -> dict[tuple, list[str]]:
        found = {}
        for row in self.runs.itertuples():
            found.setdefault((row.stage, row.model, row.sampling, row.k), []).append(row.run)
        return found

    def of(self, stage: int, cell: Cell) -> list[str]:
        """Runs of one cell, a seed each.

        Parameters
        ----------
        stage : 1 or 2
        cell : model, sampling and K
        """
        return self._by_cell.get((stage, *cell), [])

    def predictions(self, run: str) -> pd.DataFrame:
        """A run's predictions, all splits."""
        return runs.predictions(self.folder, run)

    def answers(self, stage: int, split: str) -> pd.DataFrame:
        """Predictions of all runs of a stage on a split, with a column run.

        Parameters
        ----------
        stage : 1 or 2
        split : train, validation or test
        """
        if stage not in self._answers:
            own = self.runs.loc[self.runs["stage"] == stage, "run"]
            self._answers[stage] = pd.concat(
                [self.predictions(run).assign(run=run) for run in own], ignore_index=True
            )
        table = self._answers[stage]
        return table[table["split"] == split]

    def counts(self, stage: int, split: str, run: str) -> Confusion:
        """Confusion matrix of one run on a split.

        Parameters
        ----------
        stage : 1 or 2
        split : validation or test
        run : stage and name
        """
        if run not in self._counts:
            parts = self.predictions(run).groupby("split", observed=True)
            self._counts[run] = {name: metrics.confusion(part, stage) for name, part in parts}
        return self._counts[run][split]

    def same_cells(self, stage: int, split: str) -> bool:
        """Whether every run answered for the paper's own sequences of a split.

        So it is on the full record where both classes are as many as Table 2 says. Then nothing was
        drawn: the paper and we look at the same cells, and only the seeds make a difference.

        Parameters
        ----------
        stage : 1 or 2
        split : validation or test
        """
        if self.meta["simulated"] or self.profile.data.source != "zenodo":
            return False
        if (stage, split) not in self._same:
            own = self.runs.loc[self.runs["stage"] == stage, "run"]
            found = [self.counts(stage, split, run) for run in own]
            self._same[stage, split] = {(c.tp + c.fn, c.tn + c.fp) for c in found} == {
                audit.sizes(stage, split)
            }
        return self._same[stage, split]

    def blood_draws(self, stage: int, split: str) -> int:
        """Number of blood draws of which a stage's runs answered for cells of a split.

        Parameters
        ----------
        stage : 1 or 2
        split : validation or test
        """
        if (stage, split) not in self._draws:
            # All runs of a stage have the same cells, so one of them tells.
            one = self.predictions(self.runs.loc[self.runs["stage"] == stage, "run"].iat[0])
            names = one.loc[one["split"] == split, "acquisition"].unique()
            self._draws[stage, split] = len({metrics.blood_draw(name) for name in names})
        return self._draws[stage, split]

    def rates(self, stage: int, split: str) -> tuple[dict[str, pd.DataFrame], tuple[int, int]]:
        """Recall and specificity of every run, resampled together.

        Parameters
        ----------
        stage, split : which runs, judged on which sequences

        Returns
        -------
        By score a table (draws + 1, runs), of one row, the sequences as they are, where they are
        the
        paper's own; and the numbers of positives and of negatives
        """
        if (stage, split) not in self._rates:
            fixed = self.same_cells(stage, split)
            self._rates[stage, split] = (
                self._as_they_are(stage, split) if fixed else self._resampled(stage, split)
            )
        return self._rates[stage, split]

    def _as_they_are(
        self, stage: int, split: str
    ) -> tuple[dict[str, pd.DataFrame], tuple[int, int]]:
        own = self.runs.loc[self.runs["stage"] == stage, "run"]
        found = {run: self.counts(stage, split, run) for run in own}
        names = ("recall", "specificity")
        tables = {
            name: pd.DataFrame({run: [getattr(c, name)] for run, c in found.items()})
            for name in names
        }
        return tables, audit.sizes(stage, split)

    def _resampled(self, stage: int, split: str) -> tuple[dict[str, pd.DataFrame], tuple[int, int]]:
        table = self.answers(stage, split)
        one = metrics.confusion(table[table["run"] == table["run"].iat[0]], stage)
        seed = 10 * stage + SPLITS.index(split)
        found = metrics.together(table, stage, ("recall", "specificity"), DRAWS, seed)
        return found, (one.tp + one.fn, one.tn + one.fp)

    def measured(self, stage: int, split: str, score: str, cell: Cell) -> Measured:
        """A score of a cell that has runs.

        Parameters
        ----------
        stage, split : which runs, judged on which sequences
        score : of `CLAIMED`
        cell : model, sampling, K
        """
        key = (stage, split, score, cell)
        if key not in self._measured:
            self._measured[key] = self._measure(*key)
        return self._measured[key]

    def _measure(self, stage: int, split: str, score: str, cell: Cell) -> Measured:
        own, (rates, (p, n)) = self.of(stage, cell), self.rates(stage, split)
        recall, specificity = (rates[name][own].to_numpy() for name in ("recall", "specificity"))
        positives = share(stage, split)

        # by seed, then their mean; each row is one sample of the sequences
        values = derived(score, recall, specificity, positives)
        draws = values.mean(axis=1)

        # what other sequences would have given: nothing is drawn where they are the paper's own
        cells_sd = 0.0
        if not self.same_cells(stage, split):
            single = sampling_sd(score, recall[0].mean(), specificity[0].mean(), p, n, positives)
            cells_sd = max(metrics.spread(draws[1:]), single)

        # what another seed would have given
        alone = len(own) == 1
        sd, df = (
            self._borrowed(stage, split, score, cell[0])
            if alone
            else (values[0].std(ddof=1), len(own) - 1)
        )
        balanced = float((recall[0].mean() + specificity[0].mean()) / 2)
        return Measured(
            draws, cells_sd, float(sd), df, len(own), alone and df > 0, tuple(own), balanced,
            self.blood_draws(stage, split),
        )  # fmt: skip

    def _borrowed(self, stage: int, split: str, score: str, model: str) -> tuple[float, int]:
        """Spread over seeds, and its degrees of freedom, of the register's runs of the same stage,
        model and data.

        (nan, 0) where there are none: then nothing is known of the spread.
        """
        about = self.register / "dataset.json"
        unknown = float("nan"), 0
        if (
            not about.exists()
            or json.loads(about.read_text(encoding="utf-8"))["source"] != self.meta["source"]
        ):
            return unknown
        lender = _register(self.register)
        cells = [
            c[1:] for c, own in lender._by_cell.items() if c[:2] == (stage, model) and len(own) > 1
        ]
        found = [lender.seed_variance(stage, split, score, c) for c in cells]
        if not found:
            return unknown
        df = [len(lender.of(stage, c)) - 1 for c in cells]
        return float(np.sqrt(np.average(found, weights=df))), sum(df)

    def seed_variance(self, stage: int, split: str, score: str, cell: Cell) -> float:
        """Variance over seeds of a cell that has several.

        Parameters
        ----------
        stage, split, score, cell : as of `measured`
        """
        found = [self.counts(stage, split, run) for run in self.of(stage, cell)]
        values = [derived(score, c.recall, c.specificity, share(stage, split)) for c in found]
        return float(np.var(values, ddof=1))


@cache
def _register(folder: Path) -> Study:
    return Study(profiles.load("register"), folder)


def share(stage: int, split: str) -> float:
    """Share of positives in a split of the paper (Table 2).

    Parameters
    ----------
    stage : 1 or 2
    split : train, validation or test
    """
    p, n = audit.sizes(stage, split)
    return p / (p + n)


def derived(
    score: str, recall: np.ndarray, specificity: np.ndarray, positives: float
) -> np.ndarray:
    """A score from recall and specificity at a share of positives (as `metrics.reweighted`).

    Parameters
    ----------
    score : of `CLAIMED`
    recall, specificity : of any one shape
    positives : share of positives
    """
    if score == "fraction":
        return (1 - positives) * specificity + positives * (1 - recall)
    tp, tn = positives * recall, (1 - positives) * specificity
    return getattr(Confusion(tp, 1 - positives - tn, positives - tp, tn), score)


@cache
def sampling_sd(
    score: str, recall: float, specificity: float, p: int, n: int, positives: float
) -> float:
    """Standard error of a score on independent cells, Jeffreys' beta for each rate.

    Parameters
    ----------
    score : of `CLAIMED`
    recall, specificity : of the classifier
    p, n : numbers of positive and negative cells
    positives : share of positives at which the score is taken
    """
    rng = np.random.default_rng(0)
    r, s = (
        rng.beta(x * m + 0.5, (1 - x) * m + 0.5, DRAWS) for x, m in ((recall, p), (specificity, n))
    )
    return metrics.spread(derived(score, r, s, positives))
