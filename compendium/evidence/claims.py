"""The paper's statements (data/claims.yaml), and what the runs of a results folder say of each.

A claim names its place, says what is claimed in our words, and has a rule. The rule and the runs of a folder give the
verdict; nothing else does. Scores of runs are computed from their predictions, so a verdict follows them.

Claims are of five groups, which are never counted together: printed scores, comparisons of models (both decided by
runs), arithmetic of the printed numbers, facts of the data, and statements that nothing here decides.

How the verdicts on runs are reached:

* Errors are those that are there. On the full record the paper and we look at the same cells, so only seeds differ; on
  other cells the sampling of ours and of the paper's is added. A spread over seeds that is not known is not zero: such
  a comparison is *not resolved*.
* A printed score is one run's. It is *reproduced* where the mean of our seeds, with its error, is inside the margin. It
  *differs* only where not even one more run of ours would come so near.
* The best of many noisy cells is higher than the best of few. So "the best" is decided cell by cell: one cell of the
  left side must beat every cell of the right one, at a level shared among the left's (Bonferroni; an
  intersection-union test, Berger, Technometrics 24:295, 1982).
* Models that learned little decide no comparison: a side counts where each of its cells' balanced accuracy is nearer to
  the paper's than to chance.

The paper is *contradicted by itself* only where a number is impossible alone, or where two of its statements exclude
each other in every reading that it leaves. A row of scores is one such statement (`Row`), not four: no single score of
it is called wrong. Where one reading allows a statement and another does not, both readings are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import Field, ValidationError
from scipy.special import ndtr, ndtri, stdtrit

from compendium import ROOT
from compendium.evidence import audit, crosschecks
from compendium.evidence.study import DRAWS, Cell, Measured, Study, chosen, sampling_sd, share
from rbc import RbcError, metrics
from rbc.paper import KS, LABELS, MODELS, RELIABLE, SAMPLINGS, SPLITS, STAGES, reported
from rbc.settings import Strict

REPRODUCED, HOLDS = "reproduced", "holds"
UNRESOLVED, DIFFERS = "not resolved", "differs"
READING, CONTRADICTED = "depends on the reading", "contradicted by the paper itself"
UNTESTABLE, NOT_RUN = "not testable with this data", "not yet run"
VERDICTS = (REPRODUCED, HOLDS, UNRESOLVED, DIFFERS, READING, CONTRADICTED, UNTESTABLE, NOT_RUN)
MEANING = {
    REPRODUCED: "the runs bear it out: the interval of the difference lies where the claim puts it",
    HOLDS: "the printed numbers, or the data, bear it out",
    UNRESOLVED: "these runs cannot tell",
    DIFFERS: "the interval of the difference lies wholly where the claim does not put it, or the data say otherwise",
    READING: "true in one fair reading of the paper, not in another; both are shown",
    CONTRADICTED: "a number that is impossible alone, or two statements that exclude each other",
    UNTESTABLE: "with the reason",
    NOT_RUN: "with what is missing",
}
#: Group of claims, by kind of rule. Scores come first wherever groups are shown.
GROUPS = {
    "score": "printed scores",
    "estimate": "printed scores",
    "order": "comparisons",
    "row": "arithmetic",
    "audit": "arithmetic",
    "data": "facts of the data",
    "count": "facts of the data",
    "hand count": "facts of the data",
    "untestable": "no rule here",
}
#: ``fraction``: share of reliable cells that stage 2 calls tank-treading, at the paper's share of flipping ones.
CLAIMED = (*metrics.SCORES, "balanced_accuracy", "fraction")
CHANCE = 0.5  #: balanced accuracy of any answer that does not look at the cell


# --- what data/claims.yaml holds ---


class Tolerance(Strict):
    """Fixed before any verdict: margin (in score) within which two scores count as equal, z of every interval, why."""

    margin: Annotated[float, Field(ge=0)]
    z: Annotated[float, Field(gt=0)]
    why: str


class Score(Strict):
    """A printed score of one cell of Table 3 or 4, by default of the cell that the paper chose for the stage."""

    kind: Literal["score"]
    stage: Literal[STAGES]
    split: Literal["validation", "test"]
    score: Literal[CLAIMED]
    printed: float
    digits: int = 2
    cell: tuple[Literal[MODELS], Literal[SAMPLINGS], Literal[KS]] | None = None


class Side(Strict):
    """A score of some cells of Table 3 or 4: their mean, the best of them, or the variance over K or over sampling.

    `apart_from` takes cells out again (those that fit all of it); `chosen` keeps the paper's chosen cell only.
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
        out = {"model": MODELS, "sampling": SAMPLINGS, "k": KS} | self.apart_from
        fits = product(self.model, self.sampling, self.k)
        return [c for c in fits if not (self.apart_from and all(x in out[f] for f, x in zip(out, c)))]


class Order(Strict):
    """A comparison: left is greater than right, is no worse, or is alike.

    `of_learned`: whether models that learned little leave it open (see the module); not where learning is what is said.
    """

    kind: Literal["order"]
    relation: Literal["greater", "no worse", "alike"]
    left: Side | float
    right: Side | float
    of_learned: bool = True

    def sides(self) -> list[Side]:
        """Those that are scores of cells."""
        return [side for side in (self.left, self.right) if isinstance(side, Side)]


class Row(Strict):
    """The four scores of a printed row of Table 3 or 4 are those of one model on Table 2's validation split."""

    kind: Literal["row"]
    stage: Literal[STAGES]
    cell: tuple[Literal[MODELS], Literal[SAMPLINGS], Literal[KS]]


class Audit(Strict):
    """A cross-check of the paper against itself decides (`compendium.evidence.crosschecks`)."""

    kind: Literal["audit"]
    key: Literal[tuple(crosschecks.CHECKS)]


class Data(Strict):
    """A figure of the data (`MEASURES`) beside the stated one.

    `other_reading`: a reading of the paper in which data that speak against the statement do not concern it.
    """

    kind: Literal["data"]
    measure: str
    compare: Literal["=", "<", "<=", ">", ">="]
    value: float
    other_reading: str = ""


class Count(Strict):
    """A number of Table 2."""

    kind: Literal["count"]
    label: Literal[LABELS]
    split: Literal[SPLITS]
    printed: int


class HandCount(Strict):
    """A true percentage of Table 5, beside the labels of the acquisition that has as many reliable cells."""

    kind: Literal["hand count"]
    patient: int
    acquisition: int
    printed: float
    n: int


class Estimate(Strict):
    """An estimated percentage of Table 5, beside what our runs call in the acquisition that has as many cells."""

    kind: Literal["estimate"]
    patient: int
    acquisition: int
    printed: float
    n: int


class Untestable(Strict):
    """Nothing that could be run here decides it; `shows`: figures of the data (`MEASURES`) that bear on it."""

    kind: Literal["untestable"]
    why: str
    shows: list[str] = Field([])


Rule = Score | Order | Row | Audit | Data | Count | HandCount | Estimate | Untestable


class Claim(Strict):
    """A statement: id, place in the paper, what it says in our words, and the rule that decides.

    `repeats` names the claim that is the same printed number at another place: it is shown, and counted once.
    """

    id: str
    place: str
    says: str
    rule: Annotated[Rule, Field(discriminator="kind")]
    repeats: str | None = None

    @property
    def group(self) -> str:
        """One of the groups of `GROUPS`."""
        return GROUPS[self.rule.kind]


class Each(Strict):
    """One claim for every number of a table; `says` has ``{...}`` for its columns."""

    each: Literal["table2", "table3", "table4", "rows", "table5", "by hand", "test_results"]
    place: str
    says: str


class Book(Strict):
    """data/claims.yaml as it is written."""

    tolerance: Tolerance
    claims: list[Claim | Each]


def load(path: Path = ROOT / "data" / "claims.yaml") -> tuple[Tolerance, list[Claim]]:
    """Tolerance and claims, tables written out. Raises `RbcError` naming the key, or the id that is there twice."""
    try:
        book = Book.model_validate(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, first["loc"]))
        raise RbcError(
            f"{path}: key {where}: {first['msg']}; see compendium.evidence.claims for what a claim holds"
        ) from error
    claims = [c for entry in book.claims for c in ([entry] if isinstance(entry, Claim) else _written_out(entry))]
    rules = {c.id: c.rule for c in claims}
    ids = [c.id for c in claims]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise RbcError(f"{path}: claim {twice[0]} is there twice; give it another id")
    if odd := [c for c in claims if not set(_measures(c.rule)) <= set(MEASURES)]:
        raise RbcError(f"{path}: claim {odd[0].id}: unknown measure; choose one of {', '.join(MEASURES)}")
    if odd := [c for c in claims if c.repeats and rules.get(c.repeats) != c.rule]:
        raise RbcError(f"{path}: claim {odd[0].id} repeats {odd[0].repeats}, which has another rule or is not there")
    return book.tolerance, claims


def _measures(rule: Rule) -> list[str]:
    return [rule.measure] if isinstance(rule, Data) else rule.shows if isinstance(rule, Untestable) else []


def _written_out(entry: Each) -> Iterator[Claim]:
    for name, words, rule in TABLES[entry.each](entry.each):
        first = entry.each.replace(" ", "-")
        place = entry.place.format(**words)
        yield Claim(id=f"{first}-{name}".lower(), place=place, says=entry.says.format(**words), rule=rule)


def _of_table2(_: str) -> Iterator[tuple[str, dict, Rule]]:
    for row, split in product(reported("table2").itertuples(), SPLITS):
        words = {"label": row.label, "split": split, "printed": getattr(row, split)}
        yield f"{row.label}-{split}", words, Count(kind="count", **words)


def _of_scores(table: str) -> Iterator[tuple[str, dict, Rule]]:
    for row, score in product(reported(table).itertuples(), audit.SCORES):
        words = {"stage": int(table[-1]) - 2, "score": score, "printed": getattr(row, score)}
        cell = (row.model, row.sampling, row.k)
        rule = Score(kind="score", split="validation", cell=cell, **words)
        name = f"{row.model}-{row.sampling}-k{row.k}-{score}"
        yield name, words | {"model": NAMES[row.model], "sampling": row.sampling, "k": row.k}, rule


def _of_test(table: str) -> Iterator[tuple[str, dict, Rule]]:
    for row in reported(table).itertuples():
        printed = {score: getattr(row, score) for score in audit.SCORES}
        for score, value in (printed | {"specificity": row.tnr_percent / 100}).items():
            words = {"stage": int(row.stage), "score": score, "printed": value}
            yield f"stage{row.stage}-{score}", words, Score(kind="score", split="test", **words)


def _of_rows(_: str) -> Iterator[tuple[str, dict, Rule]]:
    for stage in STAGES:
        for row in reported(f"table{stage + 2}").itertuples():
            rule = Row(kind="row", stage=stage, cell=(row.model, row.sampling, row.k))
            words = {"stage": stage, "model": NAMES[row.model], "sampling": row.sampling, "k": row.k}
            yield f"table{stage + 2}-{row.model}-{row.sampling}-k{row.k}", words | {"table": stage + 2}, rule


def _of_table5(_: str) -> Iterator[tuple[str, dict, Rule]]:
    for name, words, row in _acquisitions():
        rule = Estimate(kind="estimate", printed=row.estimated_percent, **words)
        yield name, words | {"printed": rule.printed}, rule


def _of_hand_counts(_: str) -> Iterator[tuple[str, dict, Rule]]:
    for name, words, row in _acquisitions():
        rule = HandCount(kind="hand count", printed=row.ground_truth_percent, **words)
        yield name, words | {"printed": rule.printed}, rule


def _acquisitions() -> Iterator[tuple[str, dict, tuple]]:
    """Rows of Table 5: a name, what a rule says of it, the row."""
    for row in reported("table5").itertuples():
        words = {"patient": row.patient, "acquisition": row.acquisition, "n": row.n_reliable}
        yield f"p{row.patient}-a{row.acquisition}", words, row


NAMES = {"cnn": "CNN", "crnn": "C-RNN"}
TABLES: dict[str, Callable] = {
    "table2": _of_table2,
    "table3": _of_scores,
    "table4": _of_scores,
    "rows": _of_rows,
    "table5": _of_table5,
    "by hand": _of_hand_counts,
    "test_results": _of_test,
}


# --- differences, and what an interval says of them ---


@dataclass(frozen=True)
class Difference:
    """Left minus right, or ours minus printed, with the errors that it has.

    Attributes
    ----------
    value : the difference
    cells : standard error that the sequences leave, 0 where the paper and we look at the same
    seeds : standard error that the seeds leave in our means; nan where their spread is not known
    df : degrees of freedom of `seeds`
    one_more : of a printed score, `seeds` if ours were one more run instead of a mean; else as `seeds`
    """

    value: float
    cells: float
    seeds: float
    df: float
    one_more: float

    def reach(self, z: float, one_more: bool = False) -> float:
        """Half the width of the interval at z: normal for the cells, Student's t for the seeds."""
        seeds = self.one_more if one_more else self.seeds
        if seeds == 0:
            return z * self.cells
        return float(np.hypot(z * self.cells, stdtrit(self.df, ndtr(z)) * seeds))


def decide(relation: str, d: Difference, margin: float, z: float, half_digit: float = 0.0) -> str:
    """Verdict on one difference.

    Parameters
    ----------
    relation : ``greater``, ``no worse``, ``alike``, or ``printed`` (ours beside a printed score)
    d : the difference, with its errors
    margin : within which two scores count as equal
    z : of the interval
    half_digit : how far a printed score may be off by its rounding

    Returns
    -------
    reproduced : the whole interval lies where the claim puts it: beyond 0 (greater), beyond -margin (no worse), inside
        the margin (alike, and printed with half a digit added)
    differs : the whole interval lies where the claim does not put it: below 0, below -margin, outside the margin. Of a
        printed score it is the interval of one more run, since a printed score is one run's
    not resolved : anything else, and wherever the spread over seeds is not known
    """
    if np.isnan(d.seeds) or np.isnan(d.value):
        return UNRESOLVED
    if relation in ("alike", "printed"):
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
    """What runs are compared in: `pairs` of a left and a right cell, one pair but where the best of several is meant.

    Taking the best of each side and comparing the two would favour the side with more cells, since the best of many
    noisy scores is too high by more.
    """

    relation: str
    pairs: tuple[tuple[Difference, ...], ...]
    half_digit: float = 0.0

    def verdict(self, margin: float, z: float) -> str:
        """See `decide`; of the best of several, see the module."""

        def said(d: Difference, among: int) -> str:
            return decide(self.relation, d, margin, _shared(z, among), self.half_digit)

        columns = tuple(zip(*self.pairs))
        left, right = len(self.pairs), len(columns)
        if any(all(said(d, left) == REPRODUCED for d in row) for row in self.pairs):
            return REPRODUCED
        if any(all(said(d, right) == DIFFERS for d in column) for column in columns):
            return DIFFERS
        return UNRESOLVED


def _shared(z: float, among: int) -> float:
    """The z of each of `among` intervals, so that all hold together as often as one would (Bonferroni)."""
    return z if among == 1 else float(-ndtri(ndtr(-z) / among))


# --- verdicts ---


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


def judge(claim: Claim, study: Study, tolerance: Tolerance) -> Verdict:
    """The verdict on one claim."""
    return JUDGES[claim.rule.kind](claim.rule, study, tolerance)


def in_words(rule: Rule, tolerance: Tolerance) -> str:
    """The rule that decides a claim, as a sentence."""
    margin, level = tolerance.margin, f"{100 * (2 * ndtr(tolerance.z) - 1):.0f} %"
    orders = {
        "greater": f"the {level} interval of left minus right is above 0",
        "no worse": f"the {level} interval of left minus right is above -{margin:g}",
        "alike": f"the {level} interval of left minus right is within {margin:g} of 0",
    }
    printed = (
        f"reproduced if the {level} interval of our mean is within {margin:g} (and half a printed digit) of the "
        "printed number; differs if the interval of one more run is wholly outside"
    )
    return {
        "score": lambda: printed,
        "estimate": lambda: printed,
        "order": lambda: f"reproduced if {orders[rule.relation]}" + "; cell by cell" * _of_the_best(rule),
        "row": lambda: "some confusion matrix with Table 2's class counts has all four scores as printed",
        "audit": lambda: "arithmetic of printed numbers (compendium.evidence.crosschecks)",
        "data": lambda: f"{rule.measure} {rule.compare} {rule.value:g}, counted in the data",
        "count": lambda: f"{rule.printed:,} sequences, counted in the data",
        "hand count": lambda: f"{rule.printed:g} % of {rule.n} labels, counted in the data",
        "untestable": lambda: "none",
    }[rule.kind]()


def _score(rule: Score, study: Study, tolerance: Tolerance) -> Verdict:
    cell = rule.cell or chosen(rule.stage)
    if _impossible_alone(rule):
        why = f"No answers for Table 2's {rule.split} sequences of stage {rule.stage} have a {rule.score} of "
        return Verdict(CONTRADICTED, f"{why}{rule.printed:g}, and the text speaks of one model.", (_place(rule, cell),))
    ours = _beside(rule, cell, study, tolerance)
    if _row(rule.stage, rule.split, cell).possible:
        return ours
    note = "Its row cannot be one model's; which of its scores is meant otherwise is not known."
    return Verdict(
        ours.verdict, f"{ours.found} {note}", (*ours.evidence, _place(rule, cell)), ours.numbers, (), ours.compared
    )


def _impossible_alone(rule: Score) -> bool:
    """Whether no confusion matrix of the test split has this one score.

    A score of the validation split is never so: a mean over runs can have any value, and Tables 3 and 4 do not say.
    """
    if rule.split != "test" or rule.score not in audit.LINEAR:
        return False
    found = audit.spans({rule.score: rule.printed}, *audit.sizes(rule.stage, rule.split))
    return audit.count(found) == 0


def _place(rule: Score | Row, cell: Cell) -> str:
    row = _row(rule.stage, getattr(rule, "split", "validation"), cell)
    return f"audit: {row.table} {row.model} {row.sampling} K = {row.k}"


@cache
def _rows() -> dict[tuple, audit.Row]:
    return {(r.stage, r.split, r.model, r.sampling, r.k): r for r in audit.rows()}


def _row(stage: int, split: str, cell: Cell) -> audit.Row:
    return _rows()[stage, split, *cell]


def _beside(rule: Score, cell: Cell, study: Study, tolerance: Tolerance) -> Verdict:
    if no := _no_comparison(study, rule.stage, [cell]):
        return no
    m = study.measured(rule.stage, rule.split, rule.score, cell)
    evidence = tuple(f"run: {run}" for run in m.runs)
    if np.isnan(m.value):
        return Verdict(UNRESOLVED, f"Our {rule.score} is undefined: nothing was called positive.", evidence)
    same = study.same_cells(rule.stage, rule.split)
    paper = 0.0 if same else _paper_sd(rule, cell)
    d = _from_printed(m.value - rule.printed, float(np.hypot(m.cells_sd, paper)), m.seed_sd, m.seeds, m.seed_df)
    numbers = {
        "ours": m.value,
        "printed": rule.printed,
        "difference": d.value,
        "reach of the mean": d.reach(tolerance.z),
    }
    numbers |= {"reach of one more run": d.reach(tolerance.z, one_more=True), "seeds": m.seeds}
    numbers |= {"error from our cells": m.cells_sd, "error from the paper's cells": paper}
    numbers |= {"spread of one run over seeds": m.seed_sd}
    compared = Comparison("printed", ((d,),), _half_digit(rule.digits))
    at = "" if rule.score in ("recall", "specificity") else " at the paper's share of positives"
    found = f"Ours{at} {m.value:.3f}, printed {rule.printed:.{rule.digits}f}: {_interval(d, tolerance.z)}"
    found += f" ({m.seeds} seed{'s' * (m.seeds > 1)}; {_of_seeds(m)})."
    said = compared.verdict(tolerance.margin, tolerance.z)
    return Verdict(said, found, evidence, _known(numbers), (), compared)


def _known(numbers: dict) -> dict:
    """Without those that are not known (nan is no JSON)."""
    return {name: x for name, x in numbers.items() if isinstance(x, str) or not np.isnan(x)}


def _half_digit(digits: int) -> float:
    return 0.5 * 10.0**-digits


def _from_printed(value: float, cells: float, sd: float, seeds: int, df: float) -> Difference:
    """Difference of our mean from a printed score, which is one run's; `sd` is the spread of one run over seeds."""
    return Difference(value, cells, sd / seeds**0.5, df, sd * (1 + 1 / seeds) ** 0.5)


def _interval(d: Difference, z: float) -> str:
    mean, run = d.reach(z), d.reach(z, one_more=True)
    if np.isnan(mean):
        return f"{d.value:+.3f} ± unknown"
    return f"{d.value:+.3f} ± {mean:.3f}" + (f", ± {run:.3f} for one more run" if run > mean else "")


def _of_seeds(m: Measured) -> str:
    if np.isnan(m.seed_sd):
        return "how far another seed would be is not known, so nothing is concluded"
    return "its spread is that of the register's runs" if m.borrowed else "their own spread"


def _paper_sd(rule: Score, cell: Cell) -> float:
    """Standard error that the paper's own sequences leave; its false positives follow from recall and precision."""
    recall, specificity = _printed_rates(rule.stage, rule.split, cell)
    return sampling_sd(
        rule.score, recall, specificity, *audit.sizes(rule.stage, rule.split), share(rule.stage, rule.split)
    )


def _printed_rates(stage: int, split: str, cell: Cell) -> tuple[float, float]:
    """Recall as printed, and the specificity that follows from it and the printed precision, in [0, 1]."""
    row, (p, n) = _row(stage, split, cell).scores, audit.sizes(stage, split)
    false = row["recall"] * p * (1 / row["precision"] - 1)
    return row["recall"], float(np.clip(1 - false / n, 0, 1))


def _no_comparison(study: Study, stage: int, cells: list[Cell]) -> Verdict | None:
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing of the paper's.")
    return _missing(study, stage, cells)


def _missing(study: Study, stage: int, cells: list[Cell]) -> Verdict | None:
    gone = [c for c in cells if not study.of(stage, c)]
    if not gone:
        return None
    planned = {(c.model, c.sampling, c.k) for c in study.profile.configurations() if c.stage == stage}
    why = study.profile.stages[stage].why_not_all
    words = f"{len(gone)} of {len(cells)} cells of stage {stage} have no run"
    if why and not planned.issuperset(gone):
        return Verdict(UNTESTABLE, f"{words}: {why}.")
    return Verdict(NOT_RUN, f"{words}.")


# --- comparisons of cells ---


def _order(rule: Order, study: Study, tolerance: Tolerance) -> Verdict:
    for side in rule.sides():
        if no := _no_comparison(study, side.stage, side.cells()):
            return no
    runs = dict.fromkeys(
        f"run: {run}" for side in rule.sides() for c in side.cells() for run in study.of(side.stage, c)
    )
    evidence = tuple(runs)
    ends = [_value(side, study) for side in (rule.left, rule.right)]
    if np.isnan(ends).any():
        return Verdict(UNRESOLVED, "A score is undefined: nothing was called positive.", evidence)
    pairs = _pairs(rule, study)
    compared = Comparison(rule.relation, pairs)
    said = compared.verdict(tolerance.margin, tolerance.z)

    what = "Variances" if any("variance" in side.take for side in rule.sides()) else "Scores"
    found = f"Left {ends[0]:.4f}, right {ends[1]:.4f}"
    numbers = {"left": ends[0], "right": ends[1], "difference": ends[0] - ends[1]}
    if len(pairs) == len(pairs[0]) == 1:
        found += f": {_interval(pairs[0][0], tolerance.z)}"
        numbers["reach"] = pairs[0][0].reach(tolerance.z)
    found += f". {what} at the paper's share of positives; {_words(rule.left)} against {_words(rule.right)}."
    if any(np.isnan(d.seeds) for row in pairs for d in row):
        found += " How far another seed would be is not known of every cell, so nothing is concluded."
    if rule.of_learned and (weak := _learned_little(rule, study)):
        cells = sum(len(side.cells()) for side in rule.sides())
        found += (
            f" {len(weak)} of {cells} cells have a balanced accuracy nearer to chance than to the paper's, such as "
        )
        found += f"{weak[0]}: models that learned little decide nothing."
        return Verdict(UNRESOLVED, found, evidence, _known(numbers))
    return Verdict(said, found, evidence, _known(numbers), (), compared)


def _of_the_best(rule: Order) -> bool:
    return any(side.take == "best" for side in rule.sides())


def _words(side: Side | float) -> str:
    if not isinstance(side, Side):
        return f"{side:g}"
    cells = side.cells()
    which = ", ".join(map(str, cells[0])) if len(cells) == 1 else f"{len(cells)} cells"
    return f"{side.take if len(cells) > 1 else 'the'} {side.score} of {which}, stage {side.stage}, {side.split}"


def _learned_little(rule: Order, study: Study) -> list[str]:
    """Cells of a comparison whose balanced accuracy is not nearer to the paper's than to chance, in words.

    The paper prints test scores of its chosen cells only; beside others stand those of the validation split.
    """
    found = []
    for side in rule.sides():
        for cell in side.cells():
            split = side.split if (side.stage, side.split, *cell) in _rows() else "validation"
            paper = sum(_printed_rates(side.stage, split, cell)) / 2
            ours = study.measured(side.stage, side.split, side.score, cell).balanced
            if ours <= (CHANCE + paper) / 2:
                found.append(f"{' '.join(map(str, cell))} ({ours:.2f}, the paper's is {paper:.2f})")
    return list(dict.fromkeys(found))


def _pairs(rule: Order, study: Study) -> tuple[tuple[Difference, ...], ...]:
    """Every left cell with every right one where the best is meant, else one pair of the whole sides."""
    left, right = ([side] for side in (rule.left, rule.right))
    if _of_the_best(rule):
        left, right = (_single(side) for side in (rule.left, rule.right))
    return tuple(tuple(_difference(a, b, study) for b in right) for a in left)


def _single(side: Side | float) -> list[Side | float]:
    """A side for each of its cells."""
    if not isinstance(side, Side):
        return [side]
    whole = {"apart_from": {}, "chosen": False, "take": "mean"}
    return [side.model_copy(update=whole | {"model": [m], "sampling": [s], "k": [k]}) for m, s, k in side.cells()]


def _value(side: Side | float, study: Study) -> float:
    return float(_draws(side, study)[0])


def _difference(left: Side | float, right: Side | float, study: Study) -> Difference:
    d = _draws(left, study) - _draws(right, study)
    cells = float(np.nanstd(d[1:])) if len(d) > 1 else 0.0
    noise = _noise(left, study) - _noise(right, study)
    seeds = float(np.std(noise))
    return Difference(float(d[0]), cells, seeds, _df(left, right, study), seeds)


def _draws(side: Side | float, study: Study) -> np.ndarray:
    """What is taken of a side's cells: first of the sequences as they are, then of each sample of them."""
    if not isinstance(side, Side):
        return np.array([side])
    cells = side.cells()
    return _taken(side, np.stack([study.measured(side.stage, side.split, side.score, c).draws for c in cells], axis=1))


def _noise(side: Side | float, study: Study) -> np.ndarray:
    """(`DRAWS`,): the same had other seeds been taken; nan where nothing is known of them.

    A cell's noise is the same wherever it stands, so that sides which share cells share it too.
    """
    if not isinstance(side, Side):
        return np.zeros(DRAWS)
    columns = []
    for cell in side.cells():
        m = study.measured(side.stage, side.split, side.score, cell)
        key = [side.stage, MODELS.index(cell[0]), SAMPLINGS.index(cell[1]), cell[2]]
        columns.append(m.value + m.seed_se * np.random.default_rng(key).normal(size=DRAWS))
    return _taken(side, np.stack(columns, axis=1))


def _taken(side: Side, table: np.ndarray) -> np.ndarray:
    """Mean, best or variance of scores (B, cells): (B,)."""
    if side.take == "best":
        return table.max(axis=1)
    if side.take == "mean":
        return table.mean(axis=1)
    columns = pd.MultiIndex.from_tuples(side.cells(), names=["model", "sampling", "k"])
    levels = [name for name in columns.names if name != side.take.removeprefix("variance over ")]
    return pd.DataFrame(table, columns=columns).T.groupby(level=levels).var().mean().to_numpy()


def _df(left: Side | float, right: Side | float, study: Study) -> float:
    """Degrees of freedom of the seeds' error of a difference (Satterthwaite, Biometrics 2:110, 1946)."""
    parts = []
    for side in (left, right):
        if isinstance(side, Side):
            cells = side.cells()
            for m in (study.measured(side.stage, side.split, side.score, c) for c in cells):
                parts.append(((m.seed_se / len(cells)) ** 2, m.seed_df))
    variance, df = (np.array(x, float) for x in zip(*parts))
    if not variance.sum() > 0:  # none, or not known
        return float(max(df.sum(), 1))
    return float(variance.sum() ** 2 / (variance**2 / np.maximum(df, 1)).sum())


# --- arithmetic ---


def _joint(rule: Row, *_) -> Verdict:
    """Whether one model, or a mean of several runs, can have a printed row on Table 2's validation split."""
    row, place = _row(rule.stage, "validation", rule.cell), (_place(rule, rule.cell),)
    numbers = {"confusion matrices": row.matrices}
    if row.possible:
        return Verdict(HOLDS, f"Confusion matrices with all four scores: {row.matrices:,}.", place, numbers)
    without = ", or without ".join(" and ".join(scores) for scores in row.fails)
    one = f"one model on Table 2's split: impossible; possible without {without}"
    apart = audit.spread(row)
    if apart is not None:
        mean = "a mean of several runs on that split: possible"
        mean += f", if the runs' accuracies are at least {apart:.1f} points from their mean on average" * (
            apart >= 0.05
        )
        found = "This row cannot be one model on Table 2's split; it could be a mean of several runs."
        return Verdict(READING, found, place, numbers | {"runs apart (points)": apart}, (one, mean))
    found = (
        "This row and Table 2 exclude each other: neither one model nor any mean of runs on that split has all four "
    )
    found += f"scores. One model could without {without}. It proves no mistake in the work: "
    if row.share is None:
        return Verdict(
            CONTRADICTED,
            f"{found}a score may be misprinted, be another than its name, or be a mean over several sets.",
            place,
            numbers,
        )
    low, high = (100 * end for end in row.share)
    found += f"another set, of {low:.1f} to {high:.1f} % positives, could give this row."
    return Verdict(CONTRADICTED, found, place, numbers)


@cache
def _statements() -> dict[str, crosschecks.CrossCheck]:
    return {c.key: c for c in crosschecks.statements()}


def _audit(rule: Audit, *_) -> Verdict:
    check = _statements()[rule.key]
    said = {crosschecks.AGREES: HOLDS, crosschecks.READING: READING, crosschecks.CONTRADICTS: CONTRADICTED}[
        check.verdict
    ]
    return Verdict(said, f"{check.found} {check.note}".strip(), (f"audit: {rule.key}",), {}, check.readings)


# --- facts of the data ---


def _mean_length(study: Study) -> float:
    """Of the test split, each class as frequent as in Table 2."""
    means = study.index.query("split == 'test'").groupby("label")["length"].mean()
    weights = reported("table2").set_index("label")["test"].reindex(means.index)
    return float(np.average(means, weights=weights))


def _unseen(study: Study) -> int:
    splits = study.index.groupby("patient")["split"].unique()
    return int(sum(list(s) == ["test"] for s in splits))


def _of(what: str, by: str = "") -> Callable[[Study], int]:
    return lambda study: int((study.index[study.index["split"] == by] if by else study.index)[what].nunique())


def _length(of: str, which: str) -> Callable[[Study], int]:
    return lambda study: int(study.index.query(which)["length"].agg(of))


def _backgrounds(study: Study) -> pd.DataFrame:
    return pd.DataFrame(study.findings["grey levels"]["table"])


def _background_spread(study: Study) -> float:
    """Of an acquisition and label, on average: how far apart 90 % of its sequences' backgrounds are, in grey levels."""
    table = _backgrounds(study)
    return float(np.average(table["background_p95"] - table["background_p5"], weights=table["n"]))


@dataclass(frozen=True)
class Measure:
    """A figure of the data: the check that shows it, how it is computed, and which way it goes as sequences are added.

    moves : ``up``, ``down`` or ``either``. A part of the record tells by it what the whole record must be.
    """

    check: str
    compute: Callable[[Study], float]
    moves: Literal["up", "down", "either"]


#: Lengths are those of the test split: the released sample's training strips were shortened before their release.
MEASURES: dict[str, Measure] = {
    "shortest": Measure("short sequences", _length("min", "split == 'test'"), "down"),
    "under six frames": Measure(
        "short sequences", lambda s: int((s.index.query("split == 'test'")["length"] < 6).sum()), "up"
    ),
    "longest": Measure("lengths", _length("max", "split == 'test'"), "up"),
    "longest reliable": Measure("lengths", _length("max", f"split == 'test' and label in {RELIABLE}"), "up"),
    "mean length": Measure("lengths", _mean_length, "either"),
    "lowest median background": Measure("grey levels", lambda s: _backgrounds(s)["background_median"].min(), "down"),
    "highest median background": Measure("grey levels", lambda s: _backgrounds(s)["background_median"].max(), "up"),
    "spread of the background inside an acquisition": Measure("grey levels", _background_spread, "either"),
    "patients": Measure("patients", _of("patient"), "up"),
    "test patients": Measure("patients", _of("patient", "test"), "up"),
    "unseen patients": Measure("patients", _unseen, "either"),
    "acquisitions": Measure("patients", _of("acquisition"), "up"),
    # of a part we do not know which acquisitions trained and which validated: its strips are of both
    "train acquisitions": Measure("patients", _of("acquisition", "train"), "either"),
    "validation acquisitions": Measure("patients", _of("acquisition", "validation"), "either"),
    "test acquisitions": Measure("patients", _of("acquisition", "test"), "up"),
}
COMPARE = {"=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


def _data(rule: Data, study: Study, _: Tolerance) -> Verdict:
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing of the paper's.")
    measure = MEASURES[rule.measure]
    found = float(measure.compute(study))
    numbers, evidence = {"found": found, "stated": rule.value}, (f"check: {measure.check}",)
    words = f"{rule.measure.capitalize()}: {found:g}; stated: {rule.compare} {rule.value:g}."
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
    """Whether a statement holds of the whole record, given what was found in it or in a part of it; None: open."""
    low = found if whole or moves == "up" else -np.inf
    high = found if whole or moves == "down" else np.inf
    if rule.compare == "=":
        return (low == high or None) if low <= rule.value <= high else False
    ends = {bool(COMPARE[rule.compare](end, rule.value)) for end in (low, high)}
    return ends.pop() if len(ends) == 1 else None


def _part(study: Study) -> Verdict | None:
    """Why counts of the whole record cannot be told here."""
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing of the paper's.")
    if study.profile.data.source != "zenodo":
        return Verdict(UNTESTABLE, "The released sample is a small part of the record, not drawn at random.")
    return None


def _count(rule: Count, study: Study, _: Tolerance) -> Verdict:
    if no := _part(study):
        return no
    rows = study.index[(study.index["label"] == rule.label) & (study.index["split"] == rule.split)]
    said = HOLDS if len(rows) == rule.printed else DIFFERS
    numbers = {"found": len(rows), "stated": rule.printed}
    return Verdict(said, f"{len(rows):,} found, {rule.printed:,} printed.", ("check: counts",), numbers)


def _acquisition(n: int, study: Study) -> pd.DataFrame:
    """Reliable test sequences of the acquisitions that have n of them; Table 5's numbers of cells are all different."""
    index = study.index
    own = index[(index["split"] == "test") & index["label"].isin(RELIABLE)]
    sizes = own.groupby("acquisition")["label"].size()
    return own[own["acquisition"].isin(sizes.index[sizes == n])]


def _hand_count(rule: HandCount, study: Study, _: Tolerance) -> Verdict:
    """The acquisition is found by its number of cells alone, so that its percentage can turn out another."""
    if no := _part(study):
        return no
    check = ("check: test acquisitions",)
    own = _acquisition(rule.n, study)
    if own["acquisition"].nunique() != 1:
        return Verdict(
            DIFFERS, f"{own['acquisition'].nunique()} test acquisitions have {rule.n} reliable cells.", check
        )
    treading = int((own["label"] == "tank-treading").sum())
    numbers = {"found": 100 * treading / rule.n, "stated": rule.printed}
    words = f"{treading} of {rule.n} cells in {own['acquisition'].iat[0]}, {100 * treading / rule.n:.2f} %; "
    words += f"printed {rule.printed:g} %."
    if treading in crosschecks.whole(rule.printed, rule.n):
        return Verdict(HOLDS, words, check, numbers)
    if treading in crosschecks.whole(rule.printed, rule.n, "truncated"):
        readings = ("rounded to the nearest: does not hold", "digits cut off: holds")
        return Verdict(READING, words, check, numbers, readings)
    return Verdict(DIFFERS, words, check, numbers)


def _estimate(rule: Estimate, study: Study, tolerance: Tolerance) -> Verdict:
    if no := _part(study) or _no_comparison(study, 2, [chosen(2)]):
        return no
    names = _acquisition(rule.n, study)["acquisition"].unique()
    if len(names) != 1:
        return Verdict(
            UNTESTABLE, f"{len(names)} test acquisitions have {rule.n} reliable cells.", ("check: test acquisitions",)
        )
    own = study.of(2, chosen(2))
    shares = []
    for run in own:
        table = study.predictions(run)
        cells = table[(table["split"] == "test") & (table["acquisition"] == names[0])]
        shares.append(float((cells["probability"] < metrics.THRESHOLD).mean()))

    # the same cells as the paper's, so only seeds differ; one run says nothing of them
    ours, sd = float(np.mean(shares)), float(np.std(shares, ddof=1)) if len(own) > 1 else float("nan")
    d = _from_printed(ours - rule.printed / 100, 0.0, sd, len(own), max(len(own) - 1, 1))
    compared = Comparison("printed", ((d,),), _half_digit(3))
    numbers = {
        "ours": ours,
        "printed": rule.printed / 100,
        "difference": d.value,
        "reach of the mean": d.reach(tolerance.z),
    }
    numbers |= {"reach of one more run": d.reach(tolerance.z, one_more=True), "seeds": len(own)}
    found = f"Ours {100 * ours:.1f} %, printed {rule.printed:g} % (as shares: {_interval(d, tolerance.z)})."
    said = compared.verdict(tolerance.margin, tolerance.z)
    return Verdict(said, found, tuple(f"run: {run}" for run in own), _known(numbers), (), compared)


def _untestable(rule: Untestable, study: Study, _: Tolerance) -> Verdict:
    """Figures of the data that bear on it are shown; they decide nothing."""
    if not rule.shows or study.meta["simulated"]:
        return Verdict(UNTESTABLE, rule.why)
    numbers = {name: float(MEASURES[name].compute(study)) for name in rule.shows}
    found = "; ".join(f"{name} {x:.1f}" for name, x in numbers.items())
    checks = dict.fromkeys(f"check: {MEASURES[name].check}" for name in rule.shows)
    return Verdict(UNTESTABLE, f"{rule.why} Found: {found}.", tuple(checks), numbers)


JUDGES: dict[str, Callable[..., Verdict]] = {
    "score": _score,
    "estimate": _estimate,
    "order": _order,
    "row": _joint,
    "audit": _audit,
    "data": _data,
    "count": _count,
    "hand count": _hand_count,
    "untestable": _untestable,
}


# --- how many of each ---


def scope(study: Study) -> str:
    """What the verdicts on runs can say at all, with this data: a sentence."""
    if study.meta["simulated"]:
        return "These cells are simulated, so no claim on runs is tested."
    if study.profile.data.source == "zenodo":
        return "These runs learned from the paper's own sequences, so they test the paper."
    paper = " and ".join(f"{sum(audit.sizes(stage, 'train')):,} (stage {stage})" for stage in STAGES)
    return (
        f"All {len(study.index)} sequences here are fewer than those that the paper's models learned from, {paper}: "
        "what differs tells how the method fares on few cells and need not be wrong in the paper."
    )


def by_group(listed: list[Claim]) -> dict[str, list[Claim]]:
    """Claims by group, printed scores first."""
    return {group: [c for c in listed if c.group == group] for group in dict.fromkeys(GROUPS.values())}


def counts(listed: list[Claim], verdicts: dict[str, Verdict]) -> dict[str, dict[str, int]]:
    """Number of claims of each verdict, also of those with none, by group; a number printed twice is counted once."""
    found = {group: dict.fromkeys(VERDICTS, 0) for group in by_group(listed)}
    for claim in listed:
        if not claim.repeats:
            found[claim.group][verdicts[claim.id].verdict] += 1
    return found


def moved(verdicts: dict[str, Verdict], margin: float, z: float) -> dict[str, int]:
    """How the comparisons with runs come out at another margin and z: number of each."""
    said = [v.compared.verdict(margin, z) for v in verdicts.values() if v.compared]
    return {name: said.count(name) for name in (REPRODUCED, UNRESOLVED, DIFFERS)}


def record(claim: Claim, verdict: Verdict) -> dict:
    """For JSON."""
    kept = {name: getattr(verdict, name) for name in ("verdict", "found", "evidence", "numbers", "readings")}
    return claim.model_dump() | {"group": claim.group} | kept
