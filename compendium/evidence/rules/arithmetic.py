"""What the reported numbers say about each other; no run is needed."""

from __future__ import annotations

from functools import cache
from typing import ClassVar, Literal

from compendium.evidence import audit, crosschecks, reported
from compendium.evidence.decisions import CONTRADICTED, HOLDS, READING, Verdict
from compendium.evidence.rules.base import Rule, Tolerance
from compendium.evidence.study import Study
from rbc.paper import KS, MODELS, SAMPLINGS, STAGES


class Row(Rule):
    """The four scores of a reported row of Table 3 or 4 are those of one model on Table 2's
    validation split.
    """

    kind: Literal["row"] = "row"
    group: ClassVar[str] = "arithmetic"
    stage: Literal[STAGES]
    cell: tuple[Literal[MODELS], Literal[SAMPLINGS], Literal[KS]]

    def in_words(self, tolerance: Tolerance) -> str:
        return "some confusion matrix with Table 2's class counts has all four scores as reported"

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        row = reported.row(self.stage, "validation", self.cell)
        place = (reported.place(self.stage, "validation", self.cell),)
        numbers = {"confusion matrices": row.matrices}
        if row.possible:
            found = f"Confusion matrices with all four scores: {row.matrices:,}."
            return Verdict(HOLDS, found, place, numbers)
        without = ", or without ".join(" and ".join(scores) for scores in row.fails)
        apart = audit.spread(row)
        if apart is None:
            return Verdict(CONTRADICTED, _excluded(row, without), place, numbers)
        # Two readings: the row is one model's, or a mean of several runs.
        one = f"one model on Table 2's split: impossible; possible without {without}"
        mean = "a mean of several runs on that split: possible"
        if apart >= 0.05:
            mean += (
                f", if the runs' accuracies are at least {apart:.1f} points from their mean on"
                " average"
            )
        found = (
            "This row cannot be one model on Table 2's split; it could be a mean of several runs."
        )
        numbers["runs apart (points)"] = apart
        return Verdict(READING, found, place, numbers, (one, mean))


def _excluded(row: audit.Row, without: str) -> str:
    found = (
        "This row and Table 2 exclude each other: neither one model nor any mean of runs on that"
        f" split has all four scores. One model could without {without}. It proves no mistake in"
        " the work: "
    )
    if row.share is None:
        return (
            f"{found}a score may be misprinted, be another than its name, or be a mean over several"
            " sets."
        )
    low, high = (100 * end for end in row.share)
    return f"{found}another set, of {low:.1f} to {high:.1f} % positives, could give this row."


@cache
def _statements() -> dict[str, crosschecks.CrossCheck]:
    return {c.key: c for c in crosschecks.statements()}


class Audit(Rule):
    """A cross-check of the paper against itself decides (`compendium.evidence.crosschecks`)."""

    kind: Literal["audit"] = "audit"
    group: ClassVar[str] = "arithmetic"
    key: Literal[tuple(crosschecks.CHECKS)]

    def in_words(self, tolerance: Tolerance) -> str:
        return "arithmetic of reported numbers (compendium.evidence.crosschecks)"

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        check = _statements()[self.key]
        verdicts = {
            crosschecks.AGREES: HOLDS,
            crosschecks.READING: READING,
            crosschecks.CONTRADICTS: CONTRADICTED,
        }
        found = f"{check.found} {check.note}".strip()
        evidence = (f"audit: {self.key}",)
        return Verdict(verdicts[check.verdict], found, evidence, {}, check.readings)
