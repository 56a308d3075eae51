"""What every kind of rule has, and the list of kinds."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from compendium.evidence.decisions import NOT_RUN, UNTESTABLE, Verdict
from compendium.evidence.study import Cell, Study
from rbc.settings import Strict

#: Groups of claims, which are never counted together, in the order in which they are shown.
GROUPS = (
    "reported scores",
    "comparisons",
    "arithmetic",
    "facts of the data",
    "no rule here",
)
#: Kinds of rules by name; a class enters by being written.
RULES: dict[str, type[Rule]] = {}


class Tolerance(Strict):
    """Fixed before any verdict: margin (in score) within which two scores count as equal, z of
    every interval, why.
    """

    margin: Annotated[float, Field(ge=0)]
    z: Annotated[float, Field(gt=0)]
    why: str


class Rule(Strict):
    """Decides a claim. A kind of rule names its ``kind``, its group and has the two methods.

    Attributes
    ----------
    kind : as data/claims.yaml names it
    group : of `GROUPS`
    """

    kind: str
    group: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        RULES[cls.model_fields["kind"].default] = cls

    def evaluate(self, study: Study, tolerance: Tolerance) -> Verdict:
        """The verdict.

        Parameters
        ----------
        study : the runs of a results folder
        tolerance : margin and z
        """
        raise NotImplementedError

    def in_words(self, tolerance: Tolerance) -> str:
        """The rule as part of a sentence.

        Parameters
        ----------
        tolerance : margin and z
        """
        raise NotImplementedError

    def measures(self) -> list[str]:
        """Names of the figures of the data (`compendium.evidence.measures`) that it needs."""
        return []


def simulated_cells(study: Study) -> Verdict | None:
    """The verdict on simulated cells, whatever the claim; None for real cells."""
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing about the paper's.")
    return None


def no_comparison(study: Study, stage: int, cells: list[Cell]) -> Verdict | None:
    """Why runs of some cells of a table cannot be compared with the paper; None where they can.

    Parameters
    ----------
    study : the runs
    stage : 1 or 2
    cells : model, sampling and K of each
    """
    if no := simulated_cells(study):
        return no
    missing = [c for c in cells if not study.of(stage, c)]
    if not missing:
        return None
    planned = {
        (c.model, c.sampling, c.k) for c in study.profile.configurations() if c.stage == stage
    }
    why = study.profile.stages[stage].why_not_all
    words = f"{len(missing)} of {len(cells)} cells of stage {stage} have no run"
    if why and not planned.issuperset(missing):
        return Verdict(UNTESTABLE, f"{words}: {why}.")
    return Verdict(NOT_RUN, f"{words}.")


def runs_as_evidence(runs: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Runs as a verdict lists what it rests on, each once."""
    return tuple(dict.fromkeys(f"run: {run}" for run in runs))
