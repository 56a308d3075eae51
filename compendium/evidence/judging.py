"""Each statement of the paper against what it rests on: its own printed numbers, the data, or our
runs.

How the verdicts on runs are reached:

* Errors are those that are there. On the full record the paper and we look at the same cells, so
  only seeds differ; on other cells the sampling of ours and of the paper's is added. A spread over
  seeds that is not known is not zero: such a comparison is *not resolved*.
* Of few blood draws no interval covers (`metrics.FEWEST_DRAWS`). Other cells than the paper's that
  are of fewer decide no printed score.
* A printed score is one run's. It is *reproduced* where the mean of our seeds, with its error, is
  inside the margin. It *differs* only where not even one more run of ours would come so near.
* The best of many noisy cells is higher than the best of few. So "the best" is decided cell by
  cell: one cell of the left side must beat every cell of the right one, at a level shared among the
  left's (Bonferroni; an intersection-union test, Berger, Technometrics 24:295, 1982).
* Models that learned little decide no comparison: a side counts where each of its cells' balanced
  accuracy is nearer to the paper's than to chance.

The paper is *contradicted by itself* only where a number is impossible alone, or where two of its
statements exclude each other in every reading that it leaves. A row of scores is one such statement
(`Row`), not four: no single score of it is called wrong. Where one reading allows a statement and
another does not, both readings are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import ndtr

from compendium.evidence import audit, crosschecks
from compendium.evidence.claims import (
    GROUPS,
    Audit,
    Claim,
    Estimate,
    Order,
    Row,
    Rule,
    Score,
    Side,
    Tolerance,
    Untestable,
)
from compendium.evidence.decisions import (
    CONTRADICTED,
    DIFFERS,
    HOLDS,
    NOT_RUN,
    READING,
    REPRODUCED,
    UNRESOLVED,
    UNTESTABLE,
    VERDICTS,
    Comparison,
    Difference,
    Verdict,
)
from compendium.evidence.facts import acquisition, judge_count, judge_data, judge_hand_count, part
from compendium.evidence.measures import MEASURES
from compendium.evidence.study import DRAWS, Cell, Measured, Study, chosen, sampling_sd, share
from rbc import metrics
from rbc.paper import MODELS, SAMPLINGS, STAGES

CHANCE = 0.5  #: balanced accuracy of any answer that does not look at the cell


def judge(claim: Claim, study: Study, tolerance: Tolerance) -> Verdict:
    """The verdict on one claim.

    Parameters
    ----------
    claim : of data/claims.yaml
    study : the runs of a results folder
    tolerance : margin and z
    """
    return JUDGES[claim.rule.kind](claim.rule, study, tolerance)


def in_words(rule: Rule, tolerance: Tolerance) -> str:
    """The rule that decides a claim, as a sentence.

    Parameters
    ----------
    rule : of the claim
    tolerance : margin and z
    """
    margin, level = tolerance.margin, f"{100 * (2 * ndtr(tolerance.z) - 1):.0f} %"
    orders = {
        "greater": f"the {level} interval of left minus right is above 0",
        "no worse": f"the {level} interval of left minus right is above -{margin:g}",
        "alike": f"the {level} interval of left minus right is within {margin:g} of 0",
    }
    printed = (
        f"reproduced if the {level} interval of our mean is within {margin:g} (and half a printed"
        " digit) of the "
        "printed number; differs if the interval of one more run is wholly outside; not resolved on"
        f" other cells of fewer than {metrics.FEWEST_DRAWS} blood draws"
    )
    return {
        "score": lambda: printed,
        "estimate": lambda: printed,
        "order": lambda: (
            f"reproduced if {orders[rule.relation]}" + "; cell by cell" * _of_the_best(rule)
        ),
        "row": lambda: (
            "some confusion matrix with Table 2's class counts has all four scores as printed"
        ),
        "audit": lambda: "arithmetic of printed numbers (compendium.evidence.crosschecks)",
        "data": lambda: f"{rule.measure} {rule.compare} {rule.value:g}, counted in the data",
        "count": lambda: f"{rule.printed:,} sequences, counted in the data",
        "hand count": lambda: f"{rule.printed:g} % of {rule.n} labels, counted in the data",
        "untestable": lambda: "none",
    }[rule.kind]()


def _score(rule: Score, study: Study, tolerance: Tolerance) -> Verdict:
    cell = rule.cell or chosen(rule.stage)
    if _impossible_alone(rule):
        why = (
            f"No answers for Table 2's {rule.split} sequences of stage {rule.stage} have a"
            f" {rule.score} of "
        )
        return Verdict(
            CONTRADICTED,
            f"{why}{rule.printed:g}, and the text speaks of one model.",
            (_place(rule, cell),),
        )
    # A printed score that could be is held against ours; a doubtful row is only noted.
    ours = _beside(rule, cell, study, tolerance)
    if _row(rule.stage, rule.split, cell).possible:
        return ours
    note = "Its row cannot be one model's; which of its scores is meant otherwise is not known."
    return Verdict(
        ours.verdict,
        f"{ours.found} {note}",
        (*ours.evidence, _place(rule, cell)),
        ours.numbers,
        (),
        ours.compared,
    )


def _impossible_alone(rule: Score) -> bool:
    """Whether no confusion matrix of the test split has this one score.

    A score of the validation split is never so: a mean over runs can have any value, and Tables 3
    and 4 do not say.
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
        return Verdict(
            UNRESOLVED, f"Our {rule.score} is undefined: nothing was called positive.", evidence
        )
    # On the same cells both make the same draw of cells: then only seeds can differ.
    same = study.same_cells(rule.stage, rule.split)
    at = "" if rule.score in ("recall", "specificity") else " at the paper's share of positives"
    beside = f"Ours{at} {m.value:.3f}, printed {rule.printed:.{rule.digits}f}"
    if not same and m.blood_draws < metrics.FEWEST_DRAWS:
        # Simulated, no interval of so few draws holds the truth as often as it says.
        numbers = {"ours": m.value, "printed": rule.printed, "difference": m.value - rule.printed}
        numbers |= {"seeds": m.seeds, "blood draws": m.blood_draws}
        found = (
            f"{beside}. Our cells are of {m.blood_draws} blood draws, and fewer than"
            f" {metrics.FEWEST_DRAWS} do not tell how far another one's would be, so nothing is"
            " concluded."
        )
        return Verdict(UNRESOLVED, found, evidence, _known(numbers))
    paper = 0.0 if same else _paper_sd(rule, cell)
    d = _from_printed(
        m.value - rule.printed, float(np.hypot(m.cells_sd, paper)), m.seed_sd, m.seeds, m.seed_df
    )
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
    found = f"{beside}: {_interval(d, tolerance.z)}"
    found += f" ({m.seeds} seed{'s' * (m.seeds > 1)}; {_of_seeds(m)})."
    said = compared.verdict(tolerance.margin, tolerance.z)
    return Verdict(said, found, evidence, _known(numbers), (), compared)


def _known(numbers: dict) -> dict:
    """Without those that are not known (nan is no JSON)."""
    return {name: x for name, x in numbers.items() if isinstance(x, str) or not np.isnan(x)}


def _half_digit(digits: int) -> float:
    return 0.5 * 10.0**-digits


def _from_printed(value: float, cells: float, sd: float, seeds: int, df: float) -> Difference:
    """Difference of our mean from a printed score, which is one run's; `sd` is the spread of one
    run over seeds.
    """
    return Difference(value, cells, sd / seeds**0.5, df, sd * (1 + 1 / seeds) ** 0.5)


def _interval(d: Difference, z: float) -> str:
    mean, run = d.reach(z), d.reach(z, one_more=True)
    if np.isnan(mean):
        return f"{d.value:+.3f} ± unknown"
    return f"{d.value:+.3f} ± {mean:.3f}" + (
        f", ± {run:.3f} for one more run" if run > mean else ""
    )


def _of_seeds(m: Measured) -> str:
    if np.isnan(m.seed_sd):
        return "how far another seed would be is not known, so nothing is concluded"
    return "its spread is that of the register's runs" if m.borrowed else "their own spread"


def _paper_sd(rule: Score, cell: Cell) -> float:
    """Standard error that the paper's own sequences leave; its false positives follow from recall
    and precision.
    """
    recall, specificity = _printed_rates(rule.stage, rule.split, cell)
    return sampling_sd(
        rule.score,
        recall,
        specificity,
        *audit.sizes(rule.stage, rule.split),
        share(rule.stage, rule.split),
    )


def _printed_rates(stage: int, split: str, cell: Cell) -> tuple[float, float]:
    """Recall as printed, and the specificity that follows from it and the printed precision, in [0,
    1].
    """
    row, (p, n) = _row(stage, split, cell).scores, audit.sizes(stage, split)
    # Precision = TP / (TP + FP), and TP = recall x positives: so FP follows.
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
    planned = {
        (c.model, c.sampling, c.k) for c in study.profile.configurations() if c.stage == stage
    }
    why = study.profile.stages[stage].why_not_all
    words = f"{len(gone)} of {len(cells)} cells of stage {stage} have no run"
    if why and not planned.issuperset(gone):
        return Verdict(UNTESTABLE, f"{words}: {why}.")
    return Verdict(NOT_RUN, f"{words}.")


def _order(rule: Order, study: Study, tolerance: Tolerance) -> Verdict:
    for side in rule.sides():
        if no := _no_comparison(study, side.stage, side.cells()):
            return no
    runs = dict.fromkeys(
        f"run: {run}"
        for side in rule.sides()
        for c in side.cells()
        for run in study.of(side.stage, c)
    )
    evidence = tuple(runs)
    ends = [_value(side, study) for side in (rule.left, rule.right)]
    if np.isnan(ends).any():
        return Verdict(UNRESOLVED, "A score is undefined: nothing was called positive.", evidence)
    # The differences with their errors, and what these allow to be said.
    pairs = _pairs(rule, study)
    compared = Comparison(rule.relation, pairs)
    said = compared.verdict(tolerance.margin, tolerance.z)

    what = "Variances" if any("variance" in side.take for side in rule.sides()) else "Scores"
    found = f"Left {ends[0]:.3f}, right {ends[1]:.3f}"
    numbers = {"left": ends[0], "right": ends[1], "difference": ends[0] - ends[1]}
    if len(pairs) == len(pairs[0]) == 1:
        found += f": {_interval(pairs[0][0], tolerance.z)}"
        numbers["reach"] = pairs[0][0].reach(tolerance.z)
    found += (
        f". {what} at the paper's share of positives; {_words(rule.left)} against"
        f" {_words(rule.right)}."
    )
    if any(np.isnan(d.seeds) for row in pairs for d in row):
        found += (
            " How far another seed would be is not known of every cell, so nothing is concluded."
        )
    if rule.of_learned and (weak := _learned_little(rule, study)):
        cells = sum(len(side.cells()) for side in rule.sides())
        found += (
            f" {len(weak)} of {cells} cells have a balanced accuracy nearer to chance than to"
            " the paper's, such as "
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
    return (
        f"{side.take if len(cells) > 1 else 'the'} {side.score} of {which}, stage {side.stage},"
        f" {side.split}"
    )


def _learned_little(rule: Order, study: Study) -> list[str]:
    """Cells of a comparison whose balanced accuracy is not nearer to the paper's than to chance, in
    words.

    The paper prints test scores of its chosen cells only; beside others stand those of the
    validation split.
    """
    found = []
    for side in rule.sides():
        for cell in side.cells():
            split = side.split if (side.stage, side.split, *cell) in _rows() else "validation"
            # Half way between chance and the paper: below it a model has not learned the task.
            paper = sum(_printed_rates(side.stage, split, cell)) / 2
            ours = study.measured(side.stage, side.split, side.score, cell).balanced
            if ours <= (CHANCE + paper) / 2:
                found.append(f"{' '.join(map(str, cell))} ({ours:.2f}, the paper's is {paper:.2f})")
    return list(dict.fromkeys(found))


def _pairs(rule: Order, study: Study) -> tuple[tuple[Difference, ...], ...]:
    """Every left cell with every right one where the best is meant, else one pair of the whole
    sides.
    """
    left, right = ([side] for side in (rule.left, rule.right))
    if _of_the_best(rule):
        left, right = (_single(side) for side in (rule.left, rule.right))
    return tuple(tuple(_difference(a, b, study) for b in right) for a in left)


def _single(side: Side | float) -> list[Side | float]:
    """A side for each of its cells."""
    if not isinstance(side, Side):
        return [side]
    whole = {"apart_from": {}, "chosen": False, "take": "mean"}
    return [
        side.model_copy(update=whole | {"model": [m], "sampling": [s], "k": [k]})
        for m, s, k in side.cells()
    ]


def _value(side: Side | float, study: Study) -> float:
    return float(_draws(side, study)[0])


def _difference(left: Side | float, right: Side | float, study: Study) -> Difference:
    # The same resampled cells on both sides, so that hard cells are hard for both.
    d = _draws(left, study) - _draws(right, study)
    cells = metrics.spread(d[1:]) if len(d) > 1 else 0.0
    noise = _noise(left, study) - _noise(right, study)
    seeds = float(np.std(noise))
    return Difference(float(d[0]), cells, seeds, _df(left, right, study), seeds)


def _draws(side: Side | float, study: Study) -> np.ndarray:
    """What is taken of a side's cells: first of the sequences as they are, then of each sample of
    them.
    """
    if not isinstance(side, Side):
        return np.array([side])
    cells = side.cells()
    return _taken(
        side,
        np.stack(
            [study.measured(side.stage, side.split, side.score, c).draws for c in cells], axis=1
        ),
    )


def _noise(side: Side | float, study: Study) -> np.ndarray:
    """(`DRAWS`,): the same had other seeds been taken; nan where nothing is known of them.

    A cell's noise is the same wherever it stands, so that sides which share cells share it too.
    """
    if not isinstance(side, Side):
        return np.zeros(DRAWS)
    columns = []
    for cell in side.cells():
        m = study.measured(side.stage, side.split, side.score, cell)
        # The dice are the cell's own, wherever it stands.
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
    """Degrees of freedom of the seeds' error of a difference (Satterthwaite, Biometrics 2:110,
    1946).
    """
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


def _joint(rule: Row, *_) -> Verdict:
    """Whether one model, or a mean of several runs, can have a printed row on Table 2's validation
    split.
    """
    row, place = _row(rule.stage, "validation", rule.cell), (_place(rule, rule.cell),)
    numbers = {"confusion matrices": row.matrices}
    if row.possible:
        return Verdict(
            HOLDS, f"Confusion matrices with all four scores: {row.matrices:,}.", place, numbers
        )
    without = ", or without ".join(" and ".join(scores) for scores in row.fails)
    one = f"one model on Table 2's split: impossible; possible without {without}"
    # Two readings: the row is one model's, or a mean of several runs.
    apart = audit.spread(row)
    if apart is not None:
        mean = "a mean of several runs on that split: possible"
        mean += (
            f", if the runs' accuracies are at least {apart:.1f} points from their mean on average"
            * (apart >= 0.05)
        )
        found = (
            "This row cannot be one model on Table 2's split; it could be a mean of several runs."
        )
        return Verdict(READING, found, place, numbers | {"runs apart (points)": apart}, (one, mean))
    found = (
        "This row and Table 2 exclude each other: neither one model nor any mean of runs on"
        " that split has all four "
    )
    found += f"scores. One model could without {without}. It proves no mistake in the work: "
    if row.share is None:
        return Verdict(
            CONTRADICTED,
            f"{found}a score may be misprinted, be another than its name, or be a mean over"
            " several sets.",
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
    said = {
        crosschecks.AGREES: HOLDS,
        crosschecks.READING: READING,
        crosschecks.CONTRADICTS: CONTRADICTED,
    }[check.verdict]
    return Verdict(
        said, f"{check.found} {check.note}".strip(), (f"audit: {rule.key}",), {}, check.readings
    )


def _estimate(rule: Estimate, study: Study, tolerance: Tolerance) -> Verdict:
    if no := part(study) or _no_comparison(study, 2, [chosen(2)]):
        return no
    names = acquisition(rule.n, study)["acquisition"].unique()
    if len(names) != 1:
        return Verdict(
            UNTESTABLE,
            f"{len(names)} test acquisitions have {rule.n} reliable cells.",
            ("check: test acquisitions",),
        )
    own = study.of(2, chosen(2))
    shares = []
    for run in own:
        table = study.predictions(run)
        cells = table[(table["split"] == "test") & (table["acquisition"] == names[0])]
        shares.append(float((cells["probability"] < metrics.THRESHOLD).mean()))

    # the same cells as the paper's, so only seeds differ; one run says nothing of them
    ours, sd = (
        float(np.mean(shares)),
        float(np.std(shares, ddof=1)) if len(own) > 1 else float("nan"),
    )
    d = _from_printed(ours - rule.printed / 100, 0.0, sd, len(own), max(len(own) - 1, 1))
    compared = Comparison("printed", ((d,),), _half_digit(3))
    numbers = {
        "ours": ours,
        "printed": rule.printed / 100,
        "difference": d.value,
        "reach of the mean": d.reach(tolerance.z),
    }
    numbers |= {"reach of one more run": d.reach(tolerance.z, one_more=True), "seeds": len(own)}
    found = (
        f"Ours {100 * ours:.1f} %, printed {rule.printed:g} % (as shares:"
        f" {_interval(d, tolerance.z)})."
    )
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
    "data": judge_data,
    "count": judge_count,
    "hand count": judge_hand_count,
    "untestable": _untestable,
}


def scope(study: Study) -> str:
    """What the verdicts on runs can say at all, with this data: a sentence."""
    if study.meta["simulated"]:
        return "These cells are simulated, so no claim on runs is tested."
    if study.profile.data.source == "zenodo":
        return "These runs were trained on the paper's own sequences, so they test the paper."
    paper = " and ".join(
        f"{sum(audit.sizes(stage, 'train')):,} (stage {stage})" for stage in STAGES
    )
    return (
        f"All {len(study.index)} sequences here are fewer than the paper's training sets, {paper}."
        " A difference shows how the method performs with few cells and does not mean that the"
        " paper is wrong."
    )


def by_group(listed: list[Claim]) -> dict[str, list[Claim]]:
    """Claims by group, printed scores first."""
    return {
        group: [c for c in listed if c.group == group] for group in dict.fromkeys(GROUPS.values())
    }


def counts(listed: list[Claim], verdicts: dict[str, Verdict]) -> dict[str, dict[str, int]]:
    """Number of claims of each verdict, by group; a number printed twice is counted once.

    Parameters
    ----------
    listed : the claims
    verdicts : by id

    Returns
    -------
    By group, by verdict; verdicts with no claim too
    """
    found = {group: dict.fromkeys(VERDICTS, 0) for group in by_group(listed)}
    for claim in listed:
        if not claim.repeats:
            found[claim.group][verdicts[claim.id].verdict] += 1
    return found


def moved(verdicts: dict[str, Verdict], margin: float, z: float) -> dict[str, int]:
    """How the comparisons with runs come out at another tolerance.

    Parameters
    ----------
    verdicts : by id
    margin, z : the other tolerance

    Returns
    -------
    Number of each verdict
    """
    said = [v.compared.verdict(margin, z) for v in verdicts.values() if v.compared]
    return {name: said.count(name) for name in (REPRODUCED, UNRESOLVED, DIFFERS)}


def record(claim: Claim, verdict: Verdict) -> dict:
    """For JSON.

    Parameters
    ----------
    claim : the statement
    verdict : what was found
    """
    kept = {
        name: getattr(verdict, name)
        for name in ("verdict", "found", "evidence", "numbers", "readings")
    }
    return claim.model_dump() | {"group": claim.group} | kept
