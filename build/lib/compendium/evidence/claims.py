"""The paper's statements (data/claims.yaml), and what the runs of a results folder say of each.

A claim names its place, says what is claimed in our words, and has a rule. The rule and the runs of
a folder give the verdict; nothing else does. Scores of runs are computed from their predictions, so
a verdict follows them.

Claims are of five groups, which are never counted together: printed scores, comparisons of models
(both decided by runs), arithmetic of the printed numbers, facts of the data, and statements that
nothing here decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from compendium import ROOT, yamlfiles
from compendium.evidence import audit, crosschecks
from compendium.evidence.measures import MEASURES
from compendium.evidence.study import Cell, chosen
from rbc import RbcError, metrics
from rbc.paper import KS, LABELS, MODELS, SAMPLINGS, SPLITS, STAGES, reported
from rbc.settings import Strict

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
#: ``fraction``: share of reliable cells that stage 2 calls tank-treading, at the paper's share of
#: flipping ones.
CLAIMED = (*metrics.SCORES, "balanced_accuracy", "fraction")


class Tolerance(Strict):
    """Fixed before any verdict: margin (in score) within which two scores count as equal, z of
    every interval, why.
    """

    margin: Annotated[float, Field(ge=0)]
    z: Annotated[float, Field(gt=0)]
    why: str


class Score(Strict):
    """A printed score of one cell of Table 3 or 4, by default of the cell that the paper chose for
    the stage.
    """

    kind: Literal["score"]
    stage: Literal[STAGES]
    split: Literal["validation", "test"]
    score: Literal[CLAIMED]
    printed: float
    digits: int = 2
    cell: tuple[Literal[MODELS], Literal[SAMPLINGS], Literal[KS]] | None = None


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
        out = {"model": MODELS, "sampling": SAMPLINGS, "k": KS} | self.apart_from
        fits = product(self.model, self.sampling, self.k)
        return [
            c for c in fits if not (self.apart_from and all(x in out[f] for f, x in zip(out, c)))
        ]


class Order(Strict):
    """A comparison: left is greater than right, is no worse, or is alike.

    `of_learned`: whether models that learned little leave it open (see the module); not where
    learning is what is said.
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
    """The four scores of a printed row of Table 3 or 4 are those of one model on Table 2's
    validation split.
    """

    kind: Literal["row"]
    stage: Literal[STAGES]
    cell: tuple[Literal[MODELS], Literal[SAMPLINGS], Literal[KS]]


class Audit(Strict):
    """A cross-check of the paper against itself decides (`compendium.evidence.crosschecks`)."""

    kind: Literal["audit"]
    key: Literal[tuple(crosschecks.CHECKS)]


class Data(Strict):
    """A figure of the data (`MEASURES`) beside the stated one.

    `other_reading`: a reading of the paper in which data that speak against the statement do not
    concern it.
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
    """A true percentage of Table 5, beside the labels of the acquisition that has as many reliable
    cells.
    """

    kind: Literal["hand count"]
    patient: int
    acquisition: int
    printed: float
    n: int


class Estimate(Strict):
    """An estimated percentage of Table 5, beside what our runs call in the acquisition that has as
    many cells.
    """

    kind: Literal["estimate"]
    patient: int
    acquisition: int
    printed: float
    n: int


class Untestable(Strict):
    """Nothing that could be run here decides it; `shows`: figures of the data (`MEASURES`) that
    bear on it.
    """

    kind: Literal["untestable"]
    why: str
    shows: list[str] = Field([])


Rule = Score | Order | Row | Audit | Data | Count | HandCount | Estimate | Untestable


class Claim(Strict):
    """A statement: id, place in the paper, what it says in our words, and the rule that decides.

    `repeats` names the claim that is the same printed number at another place: it is shown, and
    counted once.
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
    """Tolerance and claims, tables written out.

    Raises `RbcError` naming the key, or the id that is there twice.
    """
    advice = "see compendium.evidence.claims for what a claim holds"
    book = yamlfiles.checked(Book, yamlfiles.read(path), path, advice)
    claims = [
        c
        for entry in book.claims
        for c in ([entry] if isinstance(entry, Claim) else _written_out(entry))
    ]
    rules = {c.id: c.rule for c in claims}
    ids = [c.id for c in claims]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise RbcError(f"{path}: claim {twice[0]} is there twice; give it another id")
    if odd := [c for c in claims if not set(_measures(c.rule)) <= set(MEASURES)]:
        raise RbcError(
            f"{path}: claim {odd[0].id}: unknown measure; choose one of {', '.join(MEASURES)}"
        )
    if odd := [c for c in claims if c.repeats and rules.get(c.repeats) != c.rule]:
        raise RbcError(
            f"{path}: claim {odd[0].id} repeats {odd[0].repeats}, which has another rule or is not"
            " there"
        )
    return book.tolerance, claims


def _measures(rule: Rule) -> list[str]:
    return (
        [rule.measure]
        if isinstance(rule, Data)
        else rule.shows
        if isinstance(rule, Untestable)
        else []
    )


def _written_out(entry: Each) -> Iterator[Claim]:
    for name, words, rule in TABLES[entry.each](entry.each):
        first = entry.each.replace(" ", "-")
        place = entry.place.format(**words)
        yield Claim(
            id=f"{first}-{name}".lower(), place=place, says=entry.says.format(**words), rule=rule
        )


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
            words = {
                "stage": stage,
                "model": NAMES[row.model],
                "sampling": row.sampling,
                "k": row.k,
            }
            yield (
                f"table{stage + 2}-{row.model}-{row.sampling}-k{row.k}",
                words | {"table": stage + 2},
                rule,
            )


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
