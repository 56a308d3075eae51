"""Reported scores beside those of our runs: Tables 3 and 4, the test results, and Table 5."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import ClassVar, Literal

import numpy as np
from scipy.special import ndtr

from compendium.evidence import audit, reported
from compendium.evidence.decisions import (
    ALLOWED_HERE,
    CONTRADICTED,
    EXCLUDED_HERE,
    UNRESOLVED,
    UNTESTABLE,
    Comparison,
    Verdict,
    from_reported,
    known,
)
from compendium.evidence.rules.base import Rule, Tolerance, no_comparison, runs_as_evidence
from compendium.evidence.rules.data import acquisition, part_of_the_record
from compendium.evidence.study import (
    CLAIMED,
    Cell,
    Measured,
    Study,
    chosen,
    derived,
    sampling_sd,
    share,
)
from rbc import metrics
from rbc.paper import KS, MODELS, SAMPLINGS, STAGES


def _reproduced_if(tolerance: Tolerance) -> str:
    level = f"{100 * (2 * ndtr(tolerance.z) - 1):.0f} %"
    return (
        f"reproduced if the {level} interval of our mean is within {tolerance.margin:g} (and half a"
        " reported digit) of the reported number; differs if the interval of one more run is wholly"
        f" outside; on other cells of fewer than {metrics.FEWEST_DRAWS} blood draws, excluded on"
        " these cells if the 95 % Wilson interval of the tested cells is wholly outside"
    )


def _half_digit(digits: int) -> float:
    return 0.5 * 10.0**-digits


class Score(Rule):
    """A reported score of one cell of Table 3 or 4, by default of the cell that the paper chose for
    the stage.
    """

    kind: Literal["score"] = "score"
    group: ClassVar[str] = "reported scores"
    stage: Literal[STAGES]
    split: Literal["validation", "test"]
    score: Literal[CLAIMED]
    printed: float
    digits: int = 2
    cell: tuple[Literal[MODELS], Literal[SAMPLINGS], Literal[KS]] | None = None

    def in_words(self, tolerance: Tolerance) -> str:
        return _reproduced_if(tolerance)

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        cell = self.cell or chosen(self.stage)
        place = reported.place(self.stage, self.split, cell)
        if self._is_impossible_alone():
            found = (
                f"No predictions for Table 2's {self.split} sequences of stage {self.stage} have a"
                f" {self.score} of {self.printed:g}, and the text speaks of one model."
            )
            return Verdict(CONTRADICTED, found, (place,))
        # A reported score that could be is compared with ours; a doubtful row is only noted.
        ours = self._compared(cell, study, tolerance)
        if reported.row(self.stage, self.split, cell).possible:
            return ours
        note = "Its row cannot be one model's; which of its scores is meant otherwise is not known."
        return replace(ours, found=f"{ours.found} {note}", evidence=(*ours.evidence, place))

    def _is_impossible_alone(self) -> bool:
        """Whether no confusion matrix of the test split has this one score.

        A score of the validation split is never so: a mean over runs can have any value, and Tables
        3 and 4 do not say.
        """
        if self.split != "test" or self.score not in audit.LINEAR:
            return False
        found = audit.spans({self.score: self.printed}, *audit.sizes(self.stage, self.split))
        return audit.count(found) == 0

    def _compared(self, cell: Cell, study: Study, tolerance: Tolerance) -> Verdict:
        if no := no_comparison(study, self.stage, [cell]):
            return no
        ours = study.measured(self.stage, self.split, self.score, cell)
        evidence = runs_as_evidence(ours.runs)
        if np.isnan(ours.value):
            found = f"Our {self.score} is undefined: no cell was predicted positive."
            return Verdict(UNRESOLVED, found, evidence)
        same = study.same_cells(self.stage, self.split)
        if not same and ours.blood_draws < metrics.FEWEST_DRAWS:
            return self._on_these_cells(ours, study, tolerance)
        # On the same cells both have the same sampling error: then only seeds can differ.
        papers_error = 0.0 if same else self._sampling_error_of_the_paper(cell)
        d = from_reported(
            ours.value - self.printed,
            float(np.hypot(ours.cells_sd, papers_error)),
            ours.seed_sd,
            ours.seeds,
            ours.seed_df,
        )
        compared = Comparison("reported", ((d,),), _half_digit(self.digits))
        seeds = f"{ours.seeds} seed{'s' * (ours.seeds > 1)}; {_source_of_spread(ours)}"
        found = f"{self._both(ours)}: {d.in_words(tolerance.z)} ({seeds})."
        numbers = {
            "ours": ours.value,
            "reported": self.printed,
            "difference": d.value,
            "reach of the mean": d.reach(tolerance.z),
            "reach of one more run": d.reach(tolerance.z, one_more=True),
            "seeds": ours.seeds,
            "error from our cells": ours.cells_sd,
            "error from the paper's cells": papers_error,
            "spread of one run over seeds": ours.seed_sd,
        }
        verdict = compared.verdict(tolerance.margin, tolerance.z)
        return Verdict(verdict, found, evidence, known(numbers), (), compared)

    def _both(self, ours: Measured) -> str:
        at = "" if self.score in ("recall", "specificity") else " at the paper's share of positives"
        return f"Ours{at} {ours.value:.3f}, reported {self.printed:.{self.digits}f}"

    def _on_these_cells(self, ours: Measured, study: Study, tolerance: Tolerance) -> Verdict:
        """The reported score against the tested cells alone, because their few blood draws do not
        show how far another draw would be.
        """
        low, high = cells_interval(self.stage, self.split, self.score, ours, study)
        edge = tolerance.margin + _half_digit(self.digits)
        excluded = low > self.printed + edge or high < self.printed - edge
        positives, negatives = study.rates(self.stage, self.split)[1]
        numbers = {
            "ours": ours.value,
            "reported": self.printed,
            "difference": ours.value - self.printed,
            "low on these cells": low,
            "high on these cells": high,
            "positive cells": positives,
            "negative cells": negatives,
            "seeds": ours.seeds,
            "blood draws": ours.blood_draws,
        }
        found = (
            f"{self._both(ours)}. On these {positives + negatives} cells only, the 95 % Wilson"
            f" interval is {low:.2f} to {high:.2f}. The cells are from {ours.blood_draws} blood"
            f" draws; fewer than {metrics.FEWEST_DRAWS} allow no conclusion about other cells."
        )
        verdict = EXCLUDED_HERE if excluded else ALLOWED_HERE
        return Verdict(verdict, found, runs_as_evidence(ours.runs), known(numbers))

    def _sampling_error_of_the_paper(self, cell: Cell) -> float:
        """Standard error that the paper's own sequences leave; its false positives follow from
        recall and precision.
        """
        recall, specificity = reported.rates(self.stage, self.split, cell)
        positives, negatives = audit.sizes(self.stage, self.split)
        at = share(self.stage, self.split)
        return sampling_sd(self.score, recall, specificity, positives, negatives, at)


def cells_interval(
    stage: int, split: str, score: str, ours: Measured, study: Study
) -> tuple[float, float]:
    """95 % interval of a score at the paper's share of positives, from the tested cells alone.

    Recall and specificity have Wilson's interval. Any other score follows from the two, so its ends
    are the lowest and the highest that both Wilson intervals allow, at 97.5 % each (Bonferroni).

    Parameters
    ----------
    stage, split, score : which score
    ours : the measured score; the mean over its seeds counts
    study : its runs

    Returns
    -------
    low, high : in [0, 1]
    """
    rates, sizes = study.rates(stage, split)
    names = ("recall", "specificity")
    level = 0.95 if score in names else 0.975
    intervals = {}
    for name, n in zip(names, sizes, strict=True):
        mean = rates[name][list(ours.runs)].iloc[0].mean()
        intervals[name] = metrics.wilson(round(mean * n), n, level)
    if score in names:
        return intervals[score]
    positives = share(stage, split)
    corners = product(intervals["recall"], intervals["specificity"])
    values = [float(derived(score, *corner, positives)) for corner in corners]
    return min(values), max(values)


def _source_of_spread(ours: Measured) -> str:
    if np.isnan(ours.seed_sd):
        return "how far another seed would be is not known, so nothing is concluded"
    return "its spread is that of the register's runs" if ours.borrowed else "their own spread"


class Estimate(Rule):
    """An estimated percentage of Table 5, beside what our runs predict in the acquisition that has
    as many cells.
    """

    kind: Literal["estimate"] = "estimate"
    group: ClassVar[str] = "reported scores"
    patient: int
    acquisition: int
    printed: float
    n: int

    def in_words(self, tolerance: Tolerance) -> str:
        return _reproduced_if(tolerance)

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        if no := part_of_the_record(study) or no_comparison(study, 2, [chosen(2)]):
            return no
        names = acquisition(self.n, study)["acquisition"].unique()
        if len(names) != 1:
            found = f"{len(names)} test acquisitions have {self.n} reliable cells."
            return Verdict(UNTESTABLE, found, ("check: test acquisitions",))
        own = study.of(2, chosen(2))
        shares = [_tank_treading(study, run, names[0]) for run in own]
        ours = float(np.mean(shares))
        # The same cells as the paper's, so only seeds differ; one run says nothing of them.
        sd = float(np.std(shares, ddof=1)) if len(own) > 1 else float("nan")
        d = from_reported(ours - self.printed / 100, 0.0, sd, len(own), max(len(own) - 1, 1))
        compared = Comparison("reported", ((d,),), _half_digit(3))
        numbers = {
            "ours": ours,
            "reported": self.printed / 100,
            "difference": d.value,
            "reach of the mean": d.reach(tolerance.z),
            "reach of one more run": d.reach(tolerance.z, one_more=True),
            "seeds": len(own),
        }
        found = (
            f"Ours {100 * ours:.1f} %, reported {self.printed:g} % (as shares:"
            f" {d.in_words(tolerance.z)})."
        )
        verdict = compared.verdict(tolerance.margin, tolerance.z)
        return Verdict(verdict, found, runs_as_evidence(own), known(numbers), (), compared)


def _tank_treading(study: Study, run: str, acquisition: str) -> float:
    """Share of a test acquisition's cells that a run predicts tank-treading."""
    table = study.predictions(run)
    cells = table[(table["split"] == "test") & (table["acquisition"] == acquisition)]
    return float((cells["probability"] < metrics.THRESHOLD).mean())
