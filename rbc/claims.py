"""The paper's statements (data/claims.yaml), and what the runs of a results folder say of each.

A claim names its place, says what is claimed in our words, and has a rule. The rule and the runs of a folder give the
verdict; nothing else does. Scores of runs are computed from their predictions, so a verdict follows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import Field, ValidationError

from rbc import ROOT, RbcError, audit, crosschecks, metrics
from rbc.paper import KS, LABELS, MODELS, RELIABLE, SAMPLINGS, SPLITS, STAGES, reported
from rbc.settings import Strict
from rbc.study import Cell, Measured, Study, chosen, sampling_sd

REPRODUCED, NOISE, DIFFERS = "reproduced", "within noise", "differs"
CONTRADICTED = "contradicted by the paper itself"
UNTESTABLE, NOT_RUN = "not testable with this data", "not yet run"
VERDICTS = (REPRODUCED, NOISE, DIFFERS, CONTRADICTED, UNTESTABLE, NOT_RUN)
#: ``fraction``: share of reliable cells that stage 2 calls tank-treading, at the paper's share of flipping ones.
CLAIMED = (*metrics.SCORES, "balanced_accuracy", "fraction")
HALF_DIGIT = 0.005  #: a printed score may be off by so much


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
    """A comparison: left is greater than right, is no worse, or is alike."""

    kind: Literal["order"]
    relation: Literal["greater", "no worse", "alike"]
    left: Side
    right: Side | float


class Audit(Strict):
    """A cross-check of the paper against itself decides (`rbc.crosschecks`)."""

    kind: Literal["audit"]
    key: Literal[tuple(crosschecks.CHECKS)]


class Data(Strict):
    """A figure of the data (`MEASURES`) beside the stated one; `whole`: only the whole record can tell."""

    kind: Literal["data"]
    measure: str
    compare: Literal["=", "<", "<=", ">", ">="]
    value: float
    whole: bool = False


class Count(Strict):
    """A number of Table 2."""

    kind: Literal["count"]
    label: Literal[LABELS]
    split: Literal[SPLITS]
    printed: int


class Ratio(Strict):
    """A percentage of Table 5."""

    kind: Literal["ratio"]
    patient: int
    acquisition: int
    which: Literal["ground_truth", "estimated"]
    printed: float
    n: int


class Untestable(Strict):
    """Nothing that could be run here decides it."""

    kind: Literal["untestable"]
    why: str


Rule = Score | Order | Audit | Data | Count | Ratio | Untestable


class Claim(Strict):
    """A statement: id, place in the paper, what it says in our words, and the rule that decides."""

    id: str
    place: str
    says: str
    rule: Annotated[Rule, Field(discriminator="kind")]


class Each(Strict):
    """One claim for every number of a table; `says` has ``{...}`` for its columns."""

    each: Literal["table2", "table3", "table4", "table5", "test_results"]
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
        raise RbcError(f"{path}: key {where}: {first['msg']}; see rbc.claims for what a claim holds") from error
    claims = [c for entry in book.claims for c in ([entry] if isinstance(entry, Claim) else _written_out(entry))]
    ids = [c.id for c in claims]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise RbcError(f"{path}: claim {twice[0]} is there twice; give it another id")
    if odd := [c for c in claims if isinstance(c.rule, Data) and c.rule.measure not in MEASURES]:
        raise RbcError(f"{path}: claim {odd[0].id}: unknown measure; choose one of {', '.join(MEASURES)}")
    return book.tolerance, claims


def _written_out(entry: Each) -> Iterator[Claim]:
    for name, words, rule in TABLES[entry.each](entry.each):
        yield Claim(id=f"{entry.each}-{name}".lower(), place=entry.place, says=entry.says.format(**words), rule=rule)


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


def _of_table5(_: str) -> Iterator[tuple[str, dict, Rule]]:
    for row, which in product(reported("table5").itertuples(), ("ground_truth", "estimated")):
        words = {"patient": row.patient, "acquisition": row.acquisition, "which": which, "n": row.n_reliable}
        rule = Ratio(kind="ratio", printed=getattr(row, f"{which}_percent"), **words)
        said = {"ground_truth": "by hand", "estimated": "by estimate"}[which]
        yield f"p{row.patient}-a{row.acquisition}-{which}", words | {"printed": rule.printed, "said": said}, rule


NAMES = {"cnn": "CNN", "crnn": "C-RNN"}
TABLES: dict[str, Callable] = {
    "table2": _of_table2,
    "table3": _of_scores,
    "table4": _of_scores,
    "table5": _of_table5,
    "test_results": _of_test,
}


# --- verdicts ---


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    verdict : one of `VERDICTS`
    found : what was computed, in words
    evidence : what it rests on: ``run: <folder>``, ``audit: <key>``, ``check: <key>``
    numbers : what was computed, as numbers
    comparison : what the runs alone say, also where the paper contradicts itself; None where no runs are compared
    """

    verdict: str
    found: str
    evidence: tuple[str, ...] = ()
    numbers: dict[str, float | str] = field(default_factory=dict)
    comparison: str | None = None


def decide(relation: str, difference: float, error: float, margin: float, z: float) -> str:
    """Verdict on a difference (left minus right, or ours minus printed) with its standard error.

    reproduced: the interval difference -+ z error lies where the claim puts it: beyond 0 (greater), beyond -margin (no
    worse), inside the margin (alike; of a printed score half a printed digit is added: printed). differs: the interval
    excludes 0 on the wrong side (alike and printed: on either side), of no worse -margin. Else within noise.
    """
    reach = z * error
    if relation in ("alike", "printed"):
        slack = HALF_DIGIT if relation == "printed" else 0.0
        inside = abs(difference) + reach <= margin + slack
        return REPRODUCED if inside else NOISE if abs(difference) <= reach + slack else DIFFERS
    edge = -margin if relation == "no worse" else 0.0
    return REPRODUCED if difference - reach > edge else DIFFERS if difference + reach < edge else NOISE


def judge(claim: Claim, study: Study, tolerance: Tolerance) -> Verdict:
    """The verdict on one claim."""
    return JUDGES[claim.rule.kind](claim.rule, study, tolerance)


def _score(rule: Score, study: Study, tolerance: Tolerance) -> Verdict:
    cell = rule.cell or chosen(rule.stage)
    ours = _beside(rule, cell, study, tolerance)
    row = _row(rule, cell)
    if not any(rule.score in scores for scores in row.fails):
        return ours
    why = f"without {', or without '.join(' and '.join(scores) for scores in row.fails)}"
    why = f"No answers for Table 2's sequences give all scores of its row; some do {why}. {ours.found}"
    place = f"audit: {row.table} {row.model} {row.sampling} K = {row.k}"
    return Verdict(CONTRADICTED, why, (place, *ours.evidence), ours.numbers, ours.comparison)


def _row(rule: Score, cell: Cell) -> audit.Row:
    fits = (r for r in audit.rows() if (r.stage, r.split, r.model, r.sampling, r.k) == (rule.stage, rule.split, *cell))
    return next(fits)


def _beside(rule: Score, cell: Cell, study: Study, tolerance: Tolerance) -> Verdict:
    if no := _no_comparison(study, rule.stage, [cell]):
        return no
    m = study.measured(rule.stage, rule.split, rule.score, cell)
    evidence = tuple(f"run: {run}" for run in m.runs)
    if np.isnan(m.draws[0]):
        return Verdict(UNTESTABLE, f"Our {rule.score} is undefined: nothing was called positive.", evidence)
    paper = _paper_sd(rule, cell)
    seed = 0.0 if np.isnan(m.seed_se) else m.seed_se
    d, error = float(m.draws[0] - rule.printed), float(np.hypot(np.hypot(m.cells_sd, seed), paper))
    said = decide("printed", d, error, tolerance.margin, tolerance.z)
    numbers = {"ours": float(m.draws[0]), "printed": rule.printed, "difference": d, "error": error}
    numbers |= {"error from our cells": m.cells_sd, "error from the paper's cells": paper, "seeds": m.seeds}
    numbers |= {"error from seeds": m.seed_se} if seed else {}
    numbers |= {"relation": "printed"}
    return Verdict(said, _sentence(rule, m, d, tolerance.z * error), evidence, numbers, said)


def _sentence(rule: Score, m: Measured, difference: float, reach: float) -> str:
    at = "" if rule.score in ("recall", "specificity") else " at the paper's share of positives"
    seeds = "their own spread" if not m.borrowed else "its spread is that of the register's runs"
    seeds = "their spread is unknown: sampling error only" if np.isnan(m.seed_se) else seeds
    found = f"Ours{at} {m.draws[0]:.3f}, printed {rule.printed:.3g}: {difference:+.3f} ± {reach:.3f}"
    return f"{found} ({m.seeds} seed{'s' * (m.seeds > 1)}; {seeds})."


def _paper_sd(rule: Score, cell: Cell) -> float:
    """Standard error that the paper's own sequences leave; its false positives follow from recall and precision."""
    row, (p, n) = _row(rule, cell).scores, audit.sizes(rule.stage, rule.split)
    false = row["recall"] * p * (1 / row["precision"] - 1)
    return sampling_sd(rule.score, row["recall"], float(np.clip(1 - false / n, 0, 1)), p, n, p / (p + n))


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


def _order(rule: Order, study: Study, tolerance: Tolerance) -> Verdict:
    sides = [side for side in (rule.left, rule.right) if isinstance(side, Side)]
    for side in sides:
        if no := _no_comparison(study, side.stage, side.cells()):
            return no
    left, right = (_side(side, study) if isinstance(side, Side) else side for side in (rule.left, rule.right))
    d, evidence = left - right, dict.fromkeys(f"run: {run}" for side in sides for run in _runs(side, study))
    if np.isnan(d[0]):
        return Verdict(UNTESTABLE, "A score is undefined: nothing was called positive.", tuple(evidence))
    error = float(np.nanstd(d[1:]))
    said = decide(rule.relation, float(d[0]), error, tolerance.margin, tolerance.z)
    ends = [float(np.broadcast_to(x, d.shape)[0]) for x in (left, right)]
    what = "variances" if "variance" in sides[0].take else "scores"
    found = f"Left {ends[0]:.4f}, right {ends[1]:.4f}: {d[0]:+.4f} ± {tolerance.z * error:.4f} ({what} at the paper's"
    found += f" share of positives; {_words(rule.left)} against {_words(rule.right)})."
    numbers = {"left": ends[0], "right": ends[1], "difference": float(d[0]), "error": error}
    return Verdict(said, found, tuple(evidence), numbers | {"relation": rule.relation}, said)


def _words(side: Side | float) -> str:
    if not isinstance(side, Side):
        return f"{side:g}"
    cells = side.cells()
    which = ", ".join(map(str, cells[0])) if len(cells) == 1 else f"{len(cells)} cells"
    return f"{side.take if len(cells) > 1 else 'the'} {side.score} of {which}, stage {side.stage}, {side.split}"


def _runs(side: Side, study: Study) -> list[str]:
    return [run for cell in side.cells() for run in study.of(side.stage, cell)]


def _side(side: Side, study: Study) -> np.ndarray:
    """What is taken of a side's cells, (`DRAWS` + 1,), the error that seeds leave added to each draw."""
    columns = pd.MultiIndex.from_tuples(side.cells(), names=["model", "sampling", "k"])
    draws = [_with_seeds(study.measured(side.stage, side.split, side.score, c), side.stage, c) for c in columns]
    table = pd.DataFrame(np.stack(draws, axis=1), columns=columns)
    if side.take.startswith("variance"):
        levels = [name for name in columns.names if name != side.take.removeprefix("variance over ")]
        return table.T.groupby(level=levels).var().mean().to_numpy()
    return table.max(axis=1, skipna=False).to_numpy() if side.take == "best" else table.to_numpy().mean(axis=1)


def _with_seeds(m: Measured, stage: int, cell: Cell) -> np.ndarray:
    if np.isnan(m.seed_se):
        return m.draws
    key = [stage, MODELS.index(cell[0]), SAMPLINGS.index(cell[1]), cell[2]]
    return m.draws + m.seed_se * np.r_[0, np.random.default_rng(key).normal(size=len(m.draws) - 1)]


@cache
def _statements() -> dict[str, crosschecks.CrossCheck]:
    return {c.key: c for c in crosschecks.statements()}


def _audit(rule: Audit, *_) -> Verdict:
    check = _statements()[rule.key]
    part = "In part. " if check.verdict == "agrees in part" else ""
    said = REPRODUCED if check.verdict == "agrees" else CONTRADICTED
    return Verdict(said, " ".join(f"{part}{check.found} {check.note}".split()), (f"audit: {rule.key}",))


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


def _background(study: Study) -> float:
    return max(row["background_median"] for row in study.findings["grey levels"]["table"])


def _length(of: str, which: str) -> Callable[[Study], int]:
    return lambda study: int(study.index.query(which)["length"].agg(of))


#: A figure of the data: the check that shows it, and the figure. Lengths are those of the test split: the released
#: sample's training strips were shortened before their release.
MEASURES: dict[str, tuple[str, Callable[[Study], float]]] = {
    "shortest": ("short sequences", _length("min", "split == 'test'")),
    "under six frames": ("short sequences", lambda s: int((s.index.query("split == 'test'")["length"] < 6).sum())),
    "longest": ("lengths", _length("max", "split == 'test'")),
    "longest reliable": ("lengths", _length("max", f"split == 'test' and label in {RELIABLE}")),
    "mean length": ("lengths", _mean_length),
    "background": ("grey levels", _background),
    "patients": ("patients", _of("patient")),
    "test patients": ("patients", _of("patient", "test")),
    "unseen patients": ("patients", _unseen),
    "acquisitions": ("patients", _of("acquisition")),
    **{f"{split} acquisitions": ("patients", _of("acquisition", split)) for split in SPLITS},
}
COMPARE = {"=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


def _data(rule: Data, study: Study, _: Tolerance) -> Verdict:
    key, measure = MEASURES[rule.measure]
    if no := _no_data(study, rule.whole):
        return no
    found = measure(study)
    numbers = {"found": found, "stated": rule.value}
    words = f"{rule.measure.capitalize()}: {found:g}; stated: {rule.compare} {rule.value:g}."
    if study.profile.data.source != "zenodo" and rule.compare == "=" and 0 <= found < rule.value:
        return Verdict(UNTESTABLE, f"{words} A part of the record may hold fewer.", (f"check: {key}",), numbers)
    said = REPRODUCED if COMPARE[rule.compare](found, rule.value) else DIFFERS
    return Verdict(said, words, (f"check: {key}",), numbers)


def _no_data(study: Study, whole: bool) -> Verdict | None:
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing of the paper's.")
    if whole and study.profile.data.source != "zenodo":
        return Verdict(UNTESTABLE, "The released sample is a small part of the record, not drawn at random.")
    return None


def _count(rule: Count, study: Study, _: Tolerance) -> Verdict:
    if no := _no_data(study, whole=True):
        return no
    rows = study.index[(study.index["label"] == rule.label) & (study.index["split"] == rule.split)]
    said = REPRODUCED if len(rows) == rule.printed else DIFFERS
    numbers = {"found": len(rows), "stated": rule.printed}
    return Verdict(said, f"{len(rows):,} found, {rule.printed:,} printed.", ("check: counts",), numbers)


def _ratio(rule: Ratio, study: Study, tolerance: Tolerance) -> Verdict:
    ours = _ratio_beside(rule, study, tolerance)
    if crosschecks.whole(rule.printed, rule.n):
        return ours
    key = {"ground_truth": "ratios-true", "estimated": "ratios-estimated"}[rule.which]
    why = f"No whole number of {rule.n} cells is {rule.printed:g} %. {ours.found}"
    return Verdict(CONTRADICTED, why, (f"audit: {key}", *ours.evidence), ours.numbers, ours.comparison)


def _ratio_beside(rule: Ratio, study: Study, tolerance: Tolerance) -> Verdict:
    if study.meta["simulated"]:
        return Verdict(UNTESTABLE, "Simulated cells say nothing of the paper's.")
    check = ("check: test acquisitions",)
    place = f"patient {rule.patient}, acquisition {rule.acquisition}"
    rows = [r for r in study.findings["test acquisitions"]["table"] if r["table5"] == place]
    if len(rows) != 1:
        return Verdict(UNTESTABLE, "No test acquisition of this data has its number and share of cells.", check)
    if rule.which == "ground_truth":  # found by this percentage, to 0.1: it is the same by the rule that found it
        return Verdict(REPRODUCED, f"{rows[0]['tank_treading_percent']} % of {rows[0]['n_reliable']} cells.", check)
    if no := _no_comparison(study, 2, [chosen(2)]):
        return no
    return _called(rule, study, tolerance, rows[0]["acquisition"])


def _called(rule: Ratio, study: Study, tolerance: Tolerance, acquisition: str) -> Verdict:
    own, cells = study.of(2, chosen(2)), study.answers(2, "test").query("acquisition == @acquisition")
    called = cells["probability"] < metrics.THRESHOLD
    shares = called.groupby(cells["run"]).mean()[own].to_numpy()
    ours, n = float(shares.mean()), len(cells) // cells["run"].nunique()
    seed = shares.std(ddof=1) / len(own) ** 0.5 if len(own) > 1 else 0.0
    ends = [sampling_sd("recall", x, 1.0, m, 1, 0.5) for x, m in ((ours, n), (rule.printed / 100, rule.n))]
    d, error = ours - rule.printed / 100, float(np.hypot(np.hypot(*ends), seed))
    said = decide("alike", d, error, tolerance.margin, tolerance.z)
    numbers = {"ours": ours, "printed": rule.printed / 100, "difference": d, "error": error, "relation": "alike"}
    found = f"Ours {100 * ours:.1f} %, printed {rule.printed:g} %: {100 * d:+.1f} ± {100 * tolerance.z * error:.1f}."
    return Verdict(said, found, tuple(f"run: {run}" for run in own), numbers, said)


def _untestable(rule: Untestable, *_) -> Verdict:
    return Verdict(UNTESTABLE, rule.why)


JUDGES: dict[str, Callable[..., Verdict]] = {
    "score": _score,
    "order": _order,
    "audit": _audit,
    "data": _data,
    "count": _count,
    "ratio": _ratio,
    "untestable": _untestable,
}


def counts(verdicts: dict[str, Verdict]) -> dict[str, int]:
    """Number of claims of each verdict, also of those with none."""
    return {name: sum(v.verdict == name for v in verdicts.values()) for name in VERDICTS}


def moved(verdicts: dict[str, Verdict], margin: float, z: float) -> dict[str, int]:
    """How the comparisons with runs come out at another margin and z: number of each, those of contradicted too."""
    compared = [v.numbers for v in verdicts.values() if "relation" in v.numbers]
    said = [decide(n["relation"], n["difference"], n["error"], margin, z) for n in compared]
    return {name: said.count(name) for name in (REPRODUCED, NOISE, DIFFERS)}


def record(claim: Claim, verdict: Verdict) -> dict:
    """For JSON."""
    return claim.model_dump() | asdict(verdict)
