"""Comparisons of models: one side of cells of Table 3 or 4 with another, or with a number."""

from __future__ import annotations

from itertools import product
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.special import ndtr

from compendium.evidence import reported
from compendium.evidence.decisions import UNRESOLVED, Comparison, Difference, Verdict, known
from compendium.evidence.rules.base import Rule, Tolerance, no_comparison, runs_as_evidence
from compendium.evidence.study import CLAIMED, DRAWS, Cell, Measured, Study, chosen
from rbc import metrics
from rbc.paper import KS, MODELS, SAMPLINGS, STAGES
from rbc.settings import Strict

CHANCE = 0.5  #: balanced accuracy of any prediction that does not depend on the cell


class Side(Strict):
    """A score of some cells of Table 3 or 4: their mean, the best of them, or the variance over K
    or over sampling.

    `apart_from` takes cells out again (those that fit all of it); `chosen` keeps the paper's chosen
    cell only.
    """

    stage: Literal[STAGES]
    split: Literal["validation", "test"] = "validation"
    score: Literal[CLAIMED] = "f1"
    model: list[Literal[MODELS]] = Field(list(MODELS))
    sampling: list[Literal[SAMPLINGS]] = Field(list(SAMPLINGS))
    k: list[Literal[KS]] = Field(list(KS))
    apart_from: dict[Literal["model", "sampling", "k"], list[str | int]] = Field({})
    chosen: bool = False
    take: Literal["mean", "best", "variance over k", "variance over sampling"] = "mean"

    def cells(self) -> list[Cell]:
        """What it is about, in the order of the tables."""
        if self.chosen:
            return [chosen(self.stage)]
        fits = list(product(self.model, self.sampling, self.k))
        if not self.apart_from:
            return fits
        out = {"model": MODELS, "sampling": SAMPLINGS, "k": KS} | self.apart_from
        return [c for c in fits if not all(x in out[field] for field, x in zip(out, c))]

    def single(self) -> list[Side]:
        """A side for each of its cells."""
        whole = {"apart_from": {}, "chosen": False, "take": "mean"}
        return [
            self.model_copy(update=whole | {"model": [m], "sampling": [s], "k": [k]})
            for m, s, k in self.cells()
        ]

    def taken(self, table: np.ndarray) -> np.ndarray:
        """Mean, best or variance of scores.

        Parameters
        ----------
        table : (B, cells) float, columns as `cells` lists them

        Returns
        -------
        (B,) float
        """
        if self.take == "best":
            return table.max(axis=1)
        if self.take == "mean":
            return table.mean(axis=1)
        columns = pd.MultiIndex.from_tuples(self.cells(), names=["model", "sampling", "k"])
        over = self.take.removeprefix("variance over ")
        levels = [name for name in columns.names if name != over]
        by_cell = pd.DataFrame(table, columns=columns).T
        return by_cell.groupby(level=levels).var().mean().to_numpy()

    def in_words(self) -> str:
        """What is taken of which cells."""
        cells = self.cells()
        one = len(cells) == 1
        which = ", ".join(map(str, cells[0])) if one else f"{len(cells)} cells"
        what = "the" if one else self.take
        return f"{what} {self.score} of {which}, stage {self.stage}, {self.split}"

    def measured(self, study: Study) -> list[Measured]:
        """Its cells' scores, as `cells` lists them."""
        return [study.measured(self.stage, self.split, self.score, c) for c in self.cells()]

    def sampled(self, study: Study) -> np.ndarray:
        """What is taken: first of the sequences as they are, then of each sample of them."""
        return self.taken(np.stack([m.draws for m in self.measured(study)], axis=1))

    def reseeded(self, study: Study) -> np.ndarray:
        """(`DRAWS`,): the same had other seeds been taken; nan where their spread is not known.

        A cell's noise is the same wherever it stands, so that sides which share cells share it too.
        """
        columns = []
        for cell, m in zip(self.cells(), self.measured(study)):
            model, sampling, k = cell
            key = [self.stage, MODELS.index(model), SAMPLINGS.index(sampling), k]
            noise = np.random.default_rng(key).normal(size=DRAWS)
            columns.append(m.value + m.seed_se * noise)
        return self.taken(np.stack(columns, axis=1))


class Order(Rule):
    """A comparison: left is greater than right, is no worse, or is alike.

    `of_learned`: whether models that learned little leave it open (see the package); not where
    learning is what is claimed.
    """

    kind: Literal["order"] = "order"
    group: ClassVar[str] = "comparisons"
    relation: Literal["greater", "no worse", "alike"]
    left: Side | float
    right: Side | float
    of_learned: bool = True

    def in_words(self, tolerance: Tolerance) -> str:
        level = f"{100 * (2 * ndtr(tolerance.z) - 1):.0f} %"
        ends = {
            "greater": "above 0",
            "no worse": f"above -{tolerance.margin:g}",
            "alike": f"within {tolerance.margin:g} of 0",
        }
        words = f"reproduced if the {level} interval of left minus right is {ends[self.relation]}"
        return f"{words}; cell by cell" if self.of_the_best() else words

    def sides(self) -> list[Side]:
        """Those that are scores of cells."""
        return [side for side in (self.left, self.right) if isinstance(side, Side)]

    def of_the_best(self) -> bool:
        """Whether a side takes the best of its cells."""
        return any(side.take == "best" for side in self.sides())

    def pairs(self) -> list[list[tuple[Side | float, Side | float]]]:
        """What is compared with what: every left cell with every right one where the best is meant,
        else one pair of the whole sides. A row each left one.
        """
        lefts, rights = [self.left], [self.right]
        if self.of_the_best():
            lefts, rights = _singles(self.left), _singles(self.right)
        return [[(a, b) for b in rights] for a in lefts]

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        for side in self.sides():
            if no := no_comparison(study, side.stage, side.cells()):
                return no
        evidence = self._evidence(study)
        left, right = (float(_sampled(side, study)[0]) for side in (self.left, self.right))
        if np.isnan([left, right]).any():
            found = "A score is undefined: no cell was predicted positive."
            return Verdict(UNRESOLVED, found, evidence)
        differences = tuple(tuple(_difference(a, b, study) for a, b in row) for row in self.pairs())
        numbers = {"left": left, "right": right, "difference": left - right}
        sentences = [f"Left {left:.3f}, right {right:.3f}."]
        if len(differences) == len(differences[0]) == 1:
            only = differences[0][0]
            sentences = [f"{sentences[0][:-1]}: {only.in_words(tolerance.z)}."]
            numbers["reach"] = only.reach(tolerance.z)
        sentences.append(self._what_is_compared())
        if any(np.isnan(d.seeds) for row in differences for d in row):
            sentences.append(
                "How far another seed would be is not known of every cell, so nothing is concluded."
            )
        weak = self._learned_little(study) if self.of_learned else []
        if weak:
            cells = sum(len(side.cells()) for side in self.sides())
            sentences.append(
                f"{len(weak)} of {cells} cells have a balanced accuracy nearer to chance than to"
                f" the paper's, such as {weak[0]}: models that learned little decide nothing."
            )
            return Verdict(UNRESOLVED, " ".join(sentences), evidence, known(numbers))
        compared = Comparison(self.relation, differences)
        verdict = compared.verdict(tolerance.margin, tolerance.z)
        return Verdict(verdict, " ".join(sentences), evidence, known(numbers), (), compared)

    def _evidence(self, study: Study) -> tuple[str, ...]:
        own = []
        for side in self.sides():
            for cell in side.cells():
                own += study.of(side.stage, cell)
        return runs_as_evidence(own)

    def _what_is_compared(self) -> str:
        variances = any("variance" in side.take for side in self.sides())
        what = "Variances" if variances else "Scores"
        left, right = (
            side.in_words() if isinstance(side, Side) else f"{side:g}"
            for side in (self.left, self.right)
        )
        return f"{what} at the paper's share of positives; {left} against {right}."

    def _learned_little(self, study: Study) -> list[str]:
        """Cells whose balanced accuracy is not nearer to the paper's than to chance, in words.

        The paper reports test scores of its chosen cells only; beside others stand those of the
        validation split.
        """
        found = []
        for side in self.sides():
            for cell, m in zip(side.cells(), side.measured(study)):
                split = reported.nearest_split(side.stage, side.split, cell)
                paper = sum(reported.rates(side.stage, split, cell)) / 2
                # Half way between chance and the paper: below it a model has not learned the task.
                if m.balanced <= (CHANCE + paper) / 2:
                    name = " ".join(map(str, cell))
                    found.append(f"{name} ({m.balanced:.2f}, the paper's is {paper:.2f})")
        return list(dict.fromkeys(found))


def _singles(side: Side | float) -> list[Side | float]:
    return side.single() if isinstance(side, Side) else [side]


def _sampled(side: Side | float, study: Study) -> np.ndarray:
    return side.sampled(study) if isinstance(side, Side) else np.array([side])


def _reseeded(side: Side | float, study: Study) -> np.ndarray:
    return side.reseeded(study) if isinstance(side, Side) else np.zeros(DRAWS)


def _difference(left: Side | float, right: Side | float, study: Study) -> Difference:
    # The same resampled cells on both sides, so that hard cells are hard for both.
    d = _sampled(left, study) - _sampled(right, study)
    cells = metrics.spread(d[1:]) if len(d) > 1 else 0.0
    seeds = float(np.std(_reseeded(left, study) - _reseeded(right, study)))
    return Difference(float(d[0]), cells, seeds, _df([left, right], study), seeds)


def _df(sides: list[Side | float], study: Study) -> float:
    """Degrees of freedom of the seeds' error of a difference (Satterthwaite, Biometrics 2:110,
    1946).
    """
    variances, degrees = [], []
    for side in sides:
        measured = side.measured(study) if isinstance(side, Side) else []
        for m in measured:
            variances.append((m.seed_se / len(measured)) ** 2)
            degrees.append(m.seed_df)
    variance, df = np.array(variances, float), np.array(degrees, float)
    if not variance.sum() > 0:  # none, or not known
        return float(max(df.sum(), 1))
    return float(variance.sum() ** 2 / (variance**2 / np.maximum(df, 1)).sum())
