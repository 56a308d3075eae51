"""The paper's statements (data/claims.yaml).

A claim names its place, says what is claimed in our words, and has a rule
(`compendium.evidence.rules`). The rule and the runs of a folder give the verdict; nothing else
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Literal

from compendium import ROOT, yamlfiles
from compendium.evidence import audit
from compendium.evidence.measures import MEASURES
from compendium.evidence.rules import AnyRule, Rule, Tolerance
from compendium.evidence.rules.arithmetic import Row
from compendium.evidence.rules.data import Count, HandCount
from compendium.evidence.rules.scores import Estimate, Score
from rbc import RbcError
from rbc.paper import SPLITS, STAGES, reported
from rbc.settings import Strict


class Claim(Strict):
    """A statement: id, place in the paper, what it says in our words, and the rule that decides.

    `repeats` names the claim that is the same reported number at another place: it is shown, and
    counted once.
    """

    id: str
    place: str
    says: str
    rule: AnyRule
    repeats: str | None = None

    @property
    def group(self) -> str:
        """That of its rule."""
        return self.rule.group


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
    if odd := [c for c in claims if not set(c.rule.measures()) <= set(MEASURES)]:
        raise RbcError(
            f"{path}: claim {odd[0].id}: unknown measure; choose one of {', '.join(MEASURES)}"
        )
    if odd := [c for c in claims if c.repeats and rules.get(c.repeats) != c.rule]:
        raise RbcError(
            f"{path}: claim {odd[0].id} repeats {odd[0].repeats}, which has another rule or is not"
            " there"
        )
    return book.tolerance, claims


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
        yield f"{row.label}-{split}", words, Count(**words)


def _of_scores(table: str) -> Iterator[tuple[str, dict, Rule]]:
    for row, score in product(reported(table).itertuples(), audit.SCORES):
        words = {"stage": int(table[-1]) - 2, "score": score, "printed": getattr(row, score)}
        cell = (row.model, row.sampling, row.k)
        rule = Score(split="validation", cell=cell, **words)
        name = f"{row.model}-{row.sampling}-k{row.k}-{score}"
        yield name, words | {"model": NAMES[row.model], "sampling": row.sampling, "k": row.k}, rule


def _of_test(table: str) -> Iterator[tuple[str, dict, Rule]]:
    for row in reported(table).itertuples():
        printed = {score: getattr(row, score) for score in audit.SCORES}
        for score, value in (printed | {"specificity": row.tnr_percent / 100}).items():
            words = {"stage": int(row.stage), "score": score, "printed": value}
            yield f"stage{row.stage}-{score}", words, Score(split="test", **words)


def _of_rows(_: str) -> Iterator[tuple[str, dict, Rule]]:
    for stage in STAGES:
        for row in reported(f"table{stage + 2}").itertuples():
            rule = Row(stage=stage, cell=(row.model, row.sampling, row.k))
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
        rule = Estimate(printed=row.estimated_percent, **words)
        yield name, words | {"printed": rule.printed}, rule


def _of_hand_counts(_: str) -> Iterator[tuple[str, dict, Rule]]:
    for name, words, row in _acquisitions():
        rule = HandCount(printed=row.ground_truth_percent, **words)
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
