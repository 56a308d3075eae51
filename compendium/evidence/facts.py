"""Statements that the data answer by themselves: counts, lengths, what two people counted by
hand.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from compendium.evidence import crosschecks
from compendium.evidence.claims import Count, Data, HandCount, Tolerance
from compendium.evidence.decisions import DIFFERS, HOLDS, READING, UNTESTABLE, Verdict
from compendium.evidence.measures import MEASURES
from compendium.evidence.study import Study
from rbc.paper import RELIABLE

COMPARE = {
    "=": np.equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def judge_data(rule: Data, study: Study, _: Tolerance) -> Verdict:
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing of the paper's.")
    measure = MEASURES[rule.measure]
    found = float(measure.compute(study))
    numbers, evidence = {"found": found, "stated": rule.value}, (f"check: {measure.check}",)
    counted = f"{round(found, 3):.10g}"
    words = f"{rule.measure.capitalize()}: {counted}; stated: {rule.compare} {rule.value:g}."
    holds = _of_whole(rule, found, measure.moves, study.profile.data.source == "zenodo")
    if holds is None:
        agrees = COMPARE[rule.compare](found, rule.value)
        words += " A part of the record cannot tell, as more sequences may change it"
        words += "; nothing in it speaks against." if agrees else "."
        return Verdict(UNTESTABLE, words, evidence, numbers)
    if holds:
        return Verdict(HOLDS, words, evidence, numbers)
    if not rule.other_reading:
        return Verdict(DIFFERS, words, evidence, numbers)
    readings = (
        "the sequences here are those of the statement: does not hold",
        f"{rule.other_reading}: cannot be told here",
    )
    return Verdict(READING, words, evidence, numbers, readings)


def _of_whole(rule: Data, found: float, moves: str, whole: bool) -> bool | None:
    """Whether a statement holds of the whole record, given what was found in it or in a part of it;
    None: open.
    """
    low = found if whole or moves == "up" else -np.inf
    high = found if whole or moves == "down" else np.inf
    if rule.compare == "=":
        return (low == high or None) if low <= rule.value <= high else False
    ends = {bool(COMPARE[rule.compare](end, rule.value)) for end in (low, high)}
    return ends.pop() if len(ends) == 1 else None


def part(study: Study) -> Verdict | None:
    """Why counts of the whole record cannot be told here."""
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing of the paper's.")
    if study.profile.data.source != "zenodo":
        return Verdict(
            UNTESTABLE, "The released sample is a small part of the record, not drawn at random."
        )
    return None


def judge_count(rule: Count, study: Study, _: Tolerance) -> Verdict:
    if no := part(study):
        return no
    rows = study.index[(study.index["label"] == rule.label) & (study.index["split"] == rule.split)]
    said = HOLDS if len(rows) == rule.printed else DIFFERS
    numbers = {"found": len(rows), "stated": rule.printed}
    return Verdict(
        said, f"{len(rows):,} found, {rule.printed:,} printed.", ("check: counts",), numbers
    )


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


def judge_hand_count(rule: HandCount, study: Study, _: Tolerance) -> Verdict:
    """The acquisition is found by its number of cells alone, so that its percentage can turn out
    another.
    """
    if no := part(study):
        return no
    check = ("check: test acquisitions",)
    own = acquisition(rule.n, study)
    if own["acquisition"].nunique() != 1:
        return Verdict(
            DIFFERS,
            f"{own['acquisition'].nunique()} test acquisitions have {rule.n} reliable cells.",
            check,
        )
    treading = int((own["label"] == "tank-treading").sum())
    numbers = {"found": 100 * treading / rule.n, "stated": rule.printed}
    words = (
        f"{treading} of {rule.n} cells in {own['acquisition'].iat[0]},"
        f" {100 * treading / rule.n:.2f} %; "
    )
    words += f"printed {rule.printed:g} %."
    if treading in crosschecks.whole(rule.printed, rule.n):
        return Verdict(HOLDS, words, check, numbers)
    if treading in crosschecks.whole(rule.printed, rule.n, "truncated"):
        readings = ("rounded to the nearest: does not hold", "digits cut off: holds")
        return Verdict(READING, words, check, numbers, readings)
    return Verdict(DIFFERS, words, check, numbers)
