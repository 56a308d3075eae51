"""What a verdict is, and what an interval around a difference allows one to say."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

REPRODUCED, HOLDS = "reproduced", "holds"
ALLOWED_HERE, EXCLUDED_HERE = "not excluded on these cells", "excluded on these cells"
UNRESOLVED, DIFFERS = "not resolved", "differs"
READING, CONTRADICTED = "depends on the reading", "contradicted by the paper itself"
UNTESTABLE, NOT_RUN = "not testable with this data", "not yet run"
VERDICTS = (
    REPRODUCED, HOLDS, ALLOWED_HERE, UNRESOLVED, EXCLUDED_HERE, DIFFERS, READING, CONTRADICTED,
    UNTESTABLE, NOT_RUN,
)  # fmt: skip
MEANING = {
    REPRODUCED: "the interval of the difference agrees with the claim",
    HOLDS: "the reported numbers, or the data, confirm it",
    ALLOWED_HERE: "the Wilson interval of the tested cells reaches the reported score; it covers no"
    " other blood draw",
    UNRESOLVED: "these runs cannot tell",
    EXCLUDED_HERE: "the Wilson interval of the tested cells excludes the reported score; it covers"
    " no other blood draw, so this is no verdict on the paper's cells",
    DIFFERS: "the whole interval of the difference contradicts the claim, or the data do",
    READING: "true in one fair reading of the paper, not in another; both are shown",
    CONTRADICTED: "a number that is impossible alone, or two statements that exclude each other",
    UNTESTABLE: "with the reason",
    NOT_RUN: "with what is missing",
}


@dataclass(frozen=True)
class Difference:
    """Left minus right, or ours minus reported, with the errors that it has.

    Attributes
    ----------
    value : the difference
    cells : standard error that the sequences leave, 0 where the paper and we look at the same
    seeds : standard error that the seeds leave in our means; nan where their spread is not known
    df : degrees of freedom of `seeds`
    one_more : of a reported score, `seeds` if ours were one more run instead of a mean; else as
        `seeds`
    """

    value: float
    cells: float
    seeds: float
    df: float
    one_more: float

    def reach(self, z: float, one_more: bool = False) -> float:
        """Half the width of the interval at z: normal for the cells, Student's t for the seeds.

        Parameters
        ----------
        z : standard normal quantile of the interval's level
        one_more : whether one more run is to fall inside, not the mean of all
        """
        seeds = self.one_more if one_more else self.seeds
        if seeds == 0:
            return z * self.cells
        return float(np.hypot(z * self.cells, stdtrit(self.df, ndtr(z)) * seeds))

    def in_words(self, z: float) -> str:
        """The difference with its interval.

        Parameters
        ----------
        z : standard normal quantile of the interval's level
        """
        mean, run = self.reach(z), self.reach(z, one_more=True)
        if np.isnan(mean):
            return f"{self.value:+.3f} ± unknown"
        words = f"{self.value:+.3f} ± {mean:.3f}"
        return f"{words}, ± {run:.3f} for one more run" if run > mean else words


def from_reported(value: float, cells: float, sd: float, seeds: int, df: float) -> Difference:
    """Difference of the mean of our runs from a reported score, which is one run's.

    Parameters
    ----------
    value : ours minus reported
    cells : standard error that the sequences leave
    sd : spread of one run over seeds
    seeds : number of our runs
    df : degrees of freedom of `sd`
    """
    of_mean = sd / seeds**0.5
    of_one_more = sd * (1 + 1 / seeds) ** 0.5
    return Difference(value, cells, of_mean, df, of_one_more)


def decide(relation: str, d: Difference, margin: float, z: float, half_digit: float = 0.0) -> str:
    """Verdict on one difference.

    Parameters
    ----------
    relation : ``greater``, ``no worse``, ``alike``, or ``reported`` (ours beside a reported score)
    d : the difference, with its errors
    margin : within which two scores count as equal
    z : of the interval
    half_digit : how far a reported score may be off by its rounding

    Returns
    -------
    reproduced : the whole interval lies where the claim puts it: beyond 0 (greater), beyond -margin
        (no worse), inside the margin (alike, and reported with half a digit added)
    differs : the whole interval lies where the claim does not put it: below 0, below -margin,
        outside the margin. Of a reported score it is the interval of one more run, since a reported
        score is one run's
    not resolved : anything else, and wherever the spread over seeds is not known
    """
    if np.isnan(d.seeds) or np.isnan(d.value):
        return UNRESOLVED
    if relation in ("alike", "reported"):
        edge = margin + half_digit
        inside = abs(d.value) + d.reach(z) <= edge
        outside = abs(d.value) - d.reach(z, one_more=True) > edge
    else:
        edge = -margin if relation == "no worse" else 0.0
        inside = d.value - d.reach(z) > edge
        outside = d.value + d.reach(z) < edge
    return REPRODUCED if inside else DIFFERS if outside else UNRESOLVED


@dataclass(frozen=True)
class Comparison:
    """What runs are compared in: `pairs` of a left and a right cell, one pair but where the best of
    several is meant.

    Taking the best of each side and comparing the two would favour the side with more cells, since
    the best of many noisy scores is too high by more.
    """

    relation: str
    pairs: tuple[tuple[Difference, ...], ...]
    half_digit: float = 0.0

    def verdict(self, margin: float, z: float) -> str:
        """See `decide`; of the best of several, see the module.

        Parameters
        ----------
        margin : difference that counts as none
        z : standard normal quantile of the interval's level
        """

        def said(d: Difference, among: int) -> str:
            return decide(self.relation, d, margin, _shared(z, among), self.half_digit)

        columns = tuple(zip(*self.pairs))
        left, right = len(self.pairs), len(columns)
        if any(all(said(d, left) == REPRODUCED for d in row) for row in self.pairs):
            return REPRODUCED
        if any(all(said(d, right) == DIFFERS for d in column) for column in columns):
            return DIFFERS
        return UNRESOLVED


def known(numbers: dict) -> dict:
    """Numbers without those that are not known (nan is no JSON)."""
    return {name: x for name, x in numbers.items() if isinstance(x, str) or not np.isnan(x)}


def _shared(z: float, among: int) -> float:
    """The z of each of `among` intervals, so that all hold together as often as one would
    (Bonferroni).
    """
    return z if among == 1 else float(-ndtri(ndtr(-z) / among))


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    verdict : one of `VERDICTS`
    found : what was computed, in words
    evidence : what it rests on: ``run: <folder>``, ``audit: <key>``, ``check: <key>``
    numbers : what was computed, as numbers; the two that are compared come first
    readings : where the verdict depends on them, each reading and what it makes of the claim
    compared : the comparison with runs behind it; None where there is none
    """

    verdict: str
    found: str
    evidence: tuple[str, ...] = ()
    numbers: dict[str, float | str] = field(default_factory=dict)
    readings: tuple[str, ...] = ()
    compared: Comparison | None = None
