"""Statements that the data decide by themselves: counts, lengths, manual counts; and those that
nothing here decides.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from compendium.evidence import crosschecks
from compendium.evidence.decisions import DIFFERS, HOLDS, READING, UNTESTABLE, Verdict
from compendium.evidence.measures import MEASURES
from compendium.evidence.rules.base import Rule, Tolerance, simulated_cells
from compendium.evidence.study import Study
from rbc.paper import LABELS, RELIABLE, SPLITS

COMPARE = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def part_of_the_record(study: Study) -> Verdict | None:
    """Why numbers of the whole record cannot be told here; None where they can."""
    if no := simulated_cells(study):
        return no
    if study.profile.data.source != "zenodo":
        found = "The released sample is a small part of the record, not drawn at random."
        return Verdict(UNTESTABLE, found)
    return None


def acquisition(n: int, study: Study) -> pd.DataFrame:
    """Reliable test sequences of the acquisitions that have n of them; Table 5's numbers of cells
    are all different.

    Parameters
    ----------
    n : number of cells in Table 5
    study : the runs, the data and the profile
    """
    index = study.index
    own = index[(index["split"] == "test") & index["label"].isin(RELIABLE)]
    sizes = own.groupby("acquisition")["label"].size()
    return own[own["acquisition"].isin(sizes.index[sizes == n])]


class Data(Rule):
    """A figure of the data (`MEASURES`) beside the stated one.

    `other_reading`: a reading of the paper in which data that speak against the statement do not
    concern it.
    """

    kind: Literal["data"] = "data"
    group: ClassVar[str] = "facts of the data"
    measure: str
    compare: Literal["=", "<", "<=", ">", ">="]
    value: float
    other_reading: str = ""

    def in_words(self, tolerance: Tolerance) -> str:
        return f"{self.measure} {self.compare} {self.value:g}, counted in the data"

    def measures(self) -> list[str]:
        return [self.measure]

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        if no := simulated_cells(study):
            return no
        measure = MEASURES[self.measure]
        found = float(measure.compute(study))
        numbers, evidence = {"found": found, "stated": self.value}, (f"check: {measure.check}",)
        counted = f"{round(found, 3):.10g}"
        words = f"{self.measure.capitalize()}: {counted}; stated: {self.compare} {self.value:g}."
        whole = study.profile.data.source == "zenodo"
        holds = self.holds_of_whole(found, measure.moves, whole)
        if holds is None:
            words += " A part of the record cannot tell, as more sequences may change it"
            agrees = COMPARE[self.compare](found, self.value)
            words += "; nothing in it speaks against." if agrees else "."
            return Verdict(UNTESTABLE, words, evidence, numbers)
        if holds:
            return Verdict(HOLDS, words, evidence, numbers)
        if not self.other_reading:
            return Verdict(DIFFERS, words, evidence, numbers)
        readings = (
            "the sequences here are those of the statement: does not hold",
            f"{self.other_reading}: cannot be told here",
        )
        return Verdict(READING, words, evidence, numbers, readings)

    def holds_of_whole(self, found: float, moves: str, whole: bool) -> bool | None:
        """Whether the statement holds of the whole record; None: open.

        Parameters
        ----------
        found : the figure
        moves : up, down or either: where it can go as sequences are added
        whole : whether it was found in the whole record, not in a part
        """
        low = found if whole or moves == "up" else -np.inf
        high = found if whole or moves == "down" else np.inf
        if self.compare == "=":
            if not low <= self.value <= high:
                return False
            return True if low == high else None
        ends = {bool(COMPARE[self.compare](end, self.value)) for end in (low, high)}
        return ends.pop() if len(ends) == 1 else None


class Count(Rule):
    """A number of Table 2."""

    kind: Literal["count"] = "count"
    group: ClassVar[str] = "facts of the data"
    label: Literal[LABELS]
    split: Literal[SPLITS]
    printed: int

    def in_words(self, tolerance: Tolerance) -> str:
        return f"{self.printed:,} sequences, counted in the data"

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        if no := part_of_the_record(study):
            return no
        index = study.index
        n = int(((index["label"] == self.label) & (index["split"] == self.split)).sum())
        verdict = HOLDS if n == self.printed else DIFFERS
        numbers = {"found": n, "stated": self.printed}
        found = f"{n:,} found, {self.printed:,} reported."
        return Verdict(verdict, found, ("check: counts",), numbers)


class HandCount(Rule):
    """A true percentage of Table 5, beside the labels of the acquisition that has as many reliable
    cells.

    The acquisition is found by its number of cells alone, so that its percentage can turn out
    another.
    """

    kind: Literal["hand count"] = "hand count"
    group: ClassVar[str] = "facts of the data"
    patient: int
    acquisition: int
    printed: float
    n: int

    def in_words(self, tolerance: Tolerance) -> str:
        return f"{self.printed:g} % of {self.n} labels, counted in the data"

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        if no := part_of_the_record(study):
            return no
        check = ("check: test acquisitions",)
        own = acquisition(self.n, study)
        names = own["acquisition"].unique()
        if len(names) != 1:
            found = f"{len(names)} test acquisitions have {self.n} reliable cells."
            return Verdict(DIFFERS, found, check)
        treading = int((own["label"] == "tank-treading").sum())
        percent = 100 * treading / self.n
        numbers = {"found": percent, "stated": self.printed}
        words = (
            f"{treading} of {self.n} cells in {names[0]}, {percent:.2f} %; reported"
            f" {self.printed:g} %."
        )
        if treading in crosschecks.whole(self.printed, self.n):
            return Verdict(HOLDS, words, check, numbers)
        if treading in crosschecks.whole(self.printed, self.n, "truncated"):
            readings = ("rounded to the nearest: does not hold", "digits cut off: holds")
            return Verdict(READING, words, check, numbers, readings)
        return Verdict(DIFFERS, words, check, numbers)


class Untestable(Rule):
    """Nothing that could be run here decides it; `shows`: figures of the data (`MEASURES`) that
    bear on it.
    """

    kind: Literal["untestable"] = "untestable"
    group: ClassVar[str] = "no rule here"
    why: str
    shows: list[str] = Field([])

    def in_words(self, tolerance: Tolerance) -> str:
        return "none"

    def measures(self) -> list[str]:
        return self.shows

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        if not self.shows or study.meta["simulated"]:
            return Verdict(UNTESTABLE, self.why)
        numbers = {name: float(MEASURES[name].compute(study)) for name in self.shows}
        found = "; ".join(f"{name} {x:.1f}" for name, x in numbers.items())
        checks = dict.fromkeys(f"check: {MEASURES[name].check}" for name in self.shows)
        return Verdict(UNTESTABLE, f"{self.why} Found: {found}.", tuple(checks), numbers)
