"""What the full record will settle: how often each claim would be decided there, if the paper is
right.

All of it is **simulated**: runs are drawn around the printed scores with a spread over seeds that
is assumed, and judged by the rules of `compendium.evidence.claims`. On the full record the cells
are the paper's own, so seeds are all that makes an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from compendium.evidence import claims, decisions, judging
from compendium.evidence.claims import Claim, Order, Side, Tolerance
from compendium.evidence.decisions import Comparison, Difference
from compendium.evidence.study import Cell, derived, share
from rbc.paper import reported

SPREADS = (0.005, 0.01, 0.02, 0.04)  #: spreads of one run over seeds that are looked at, in score
REPEATS = 200  #: simulated replications; a power of one half is known to 0.035


def of_printed(
    spreads: Sequence[float],
    seeds: int,
    off: Sequence[float],
    tolerance: Tolerance,
    repeats: int = REPEATS,
) -> pd.DataFrame:
    """How a printed score comes out if the method's true score is `off` away from what the paper's
    run was drawn from.

    Parameters
    ----------
    spreads : spreads of one run over seeds
    seeds : how many runs of ours
    off : true differences; 0 is a perfect replication
    tolerance : margin and z

    Returns
    -------
    a row each spread and true difference: spread, off, and the shares reproduced, not resolved and
    differs
    """
    rng, rows = np.random.default_rng(0), []
    for spread in spreads:
        for away in off:
            said = []
            for _ in range(repeats):
                printed = round(rng.normal(0, spread), 2)  # the paper's own run, with two decimals
                ours = rng.normal(away, spread, seeds)
                d = judging._from_printed(
                    ours.mean() - printed, 0.0, ours.std(ddof=1), seeds, seeds - 1
                )
                said.append(
                    Comparison("printed", ((d,),), 0.005).verdict(tolerance.margin, tolerance.z)
                )
            shares = {
                name: said.count(name) / repeats
                for name in (decisions.REPRODUCED, decisions.UNRESOLVED, decisions.DIFFERS)
            }
            rows.append({"spread": spread, "off": away} | shares)
    return pd.DataFrame(rows)


def of_comparisons(
    listed: list[Claim],
    spreads: Sequence[float],
    seeds: int,
    tolerance: Tolerance,
    repeats: int = REPEATS,
) -> pd.DataFrame:
    """How often each comparison is reproduced if the printed scores are the true ones.

    Parameters
    ----------
    listed : all claims; those that compare are taken
    spreads : standard deviations over seeds that are tried, in the unit of a score
    seeds : runs of each configuration
    tolerance : margins of the verdicts
    repeats : simulated replications

    Returns
    -------
    a row each comparison (its id): printed left and right (of the best: the best ones), and for
    each spread the share of simulated replications in which it is reproduced
    """
    rows = {}
    for claim in listed:
        if isinstance(claim.rule, Order):
            ends = [_printed_value(side) for side in (claim.rule.left, claim.rule.right)]
            power = {
                f"spread {s:g}": _reproduced(claim.rule, s, seeds, tolerance, repeats)
                for s in spreads
            }
            rows[claim.id] = {"left": ends[0], "right": ends[1]} | power
    return pd.DataFrame(rows).T.rename_axis("comparison")


def _reproduced(
    rule: Order, spread: float, seeds: int, tolerance: Tolerance, repeats: int
) -> float:
    rng = np.random.default_rng(0)
    cells = {
        (side.stage, side.split, side.score, c): None for side in rule.sides() for c in side.cells()
    }
    truth = np.array([_printed(*key) for key in cells])
    column = {key: i for i, key in enumerate(cells)}

    # means over seeds and estimated spreads of every cell, in every simulated replication
    means = truth + rng.normal(0, spread / seeds**0.5, (repeats, len(truth)))
    errors = spread / seeds**0.5 * np.sqrt(rng.chisquare(seeds - 1, means.shape) / (seeds - 1))

    def of(side: Side | float, table: np.ndarray) -> np.ndarray:
        if not isinstance(side, Side):
            return np.full(repeats, side)
        own = [column[side.stage, side.split, side.score, c] for c in side.cells()]
        return judging._taken(side, table[:, own])

    def squared(side: Side | float) -> np.ndarray:
        if not isinstance(side, Side):
            return np.zeros(repeats)
        own = [column[side.stage, side.split, side.score, c] for c in side.cells()]
        return (errors[:, own] ** 2).sum(axis=1) / len(own) ** 2

    left, right = ([side] for side in (rule.left, rule.right))
    if judging._of_the_best(rule):
        left, right = (judging._single(side) for side in (rule.left, rule.right))
    pairs = []
    for a in left:
        row = []
        for b in right:
            d = of(a, means) - of(b, means)
            se = np.sqrt(squared(a) + squared(b))
            if any(isinstance(side, Side) and side.take.startswith("variance") for side in (a, b)):
                # of a variance no formula: its spread over the replications
                se = np.full(repeats, d.std())
            df = (seeds - 1) * sum(len(side.cells()) for side in (a, b) if isinstance(side, Side))
            row.append((d, se, df))
        pairs.append(row)
    said = [
        Comparison(
            rule.relation,
            tuple(
                tuple(Difference(d[i], 0.0, se[i], df, se[i]) for d, se, df in row) for row in pairs
            ),
        ).verdict(tolerance.margin, tolerance.z)
        for i in range(repeats)
    ]
    return said.count(decisions.REPRODUCED) / repeats


def _printed_value(side: Side | float) -> float:
    if not isinstance(side, Side):
        return float(side)
    values = np.array([[_printed(side.stage, side.split, side.score, c) for c in side.cells()]])
    return float(judging._taken(side, values)[0])


def _printed(stage: int, split: str, score: str, cell: Cell) -> float:
    """A score of a cell as printed, or as it follows from the printed recall and precision.

    The paper prints test scores of its chosen cells only; of others those of the validation split
    stand for them.
    """
    known = (stage, split, *cell) in judging._rows()
    used = split if known else "validation"
    row = judging._row(stage, used, cell).scores
    if score in row:
        return row[score]
    return float(derived(score, *judging._printed_rates(stage, used, cell), share(stage, used)))


def label_noise(shares: Sequence[float]) -> pd.DataFrame:
    """What wrong labels among the *unreliable* test sequences would do to the printed precision of
    stage 1.

    If a share of the sequences that are labelled unreliable is reliable in truth, and the model
    keeps these as often as other reliable ones (the printed recall), they are counted as false
    positives though the model is right. Taken from the printed matrix: true and false positives are
    the middle of those that all four printed scores leave.

    Returns
    -------
    a row each share: wrong labels, false positives that they make, the share of all false
    positives, and the precision with the labels put right; nan where the share would make more
    false positives than there are
    """
    row = judging._row(1, "test", claims.chosen(1))
    p, n = claims.audit.sizes(1, "test")
    tp, fp = (float(np.median(x)) for x in claims.audit.meet(claims.audit.spans(row.scores, p, n)))
    rows = []
    for wrong in shares:
        made = wrong * n * row.scores["recall"]
        rows.append(
            {
                "wrong labels among unreliable": wrong,
                "sequences": round(wrong * n),
                "false positives they make": round(made),
                "of all false positives": made / fp,
                "precision with labels put right": (tp + made) / (tp + fp)
                if made <= fp * (1 + 1e-9)
                else np.nan,
            }
        )
    return pd.DataFrame(rows)


def explaining_share() -> float:
    """Share of wrong labels among the unreliable that would make all false positives of stage 1's
    printed matrix.
    """
    return float(1 / label_noise([1.0])["of all false positives"].iat[0])


def seed_spreads() -> pd.DataFrame:
    """Spread of one run over seeds in the register's runs (released sample), by stage, model and
    score, validation.
    """
    from compendium import profiles, runs
    from compendium.evidence.study import Study

    lender = Study(profiles.load("register"), runs.REFERENCE / "register")
    rows = []
    scores = [s for s in reported("table3") if s in ("f1", "accuracy", "precision", "recall")]
    for cell, own in lender.runs.groupby(["stage", "model", "sampling", "k"]):
        if len(own) > 1:
            spread = {
                s: lender.seed_variance(cell[0], "validation", s, cell[1:]) ** 0.5 for s in scores
            }
            rows.append(
                dict(zip(("stage", "model", "sampling", "k"), cell)) | {"seeds": len(own)} | spread
            )
    return pd.DataFrame(rows)
