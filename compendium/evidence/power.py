"""What the full record will settle: how often each claim would be decided there, if the paper is
right.

All of it is **simulated**: runs are drawn around the reported scores with a spread over seeds that
is assumed, and evaluated by the rules of `compendium.evidence.rules`. On the full record the cells
are the paper's own, so seeds are all that makes an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from compendium.evidence import audit, decisions
from compendium.evidence import reported as reported_numbers
from compendium.evidence.claims import Claim
from compendium.evidence.decisions import Comparison, Difference, from_reported
from compendium.evidence.rules import Tolerance
from compendium.evidence.rules.comparisons import Order, Side
from compendium.evidence.study import chosen
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
                sd = ours.std(ddof=1)
                d = from_reported(ours.mean() - printed, 0.0, sd, seeds, seeds - 1)
                compared = Comparison("reported", ((d,),), 0.005)
                said.append(compared.verdict(tolerance.margin, tolerance.z))
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
    """How often each comparison is reproduced if the reported scores are the true ones.

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
            ends = [_reported_value(side) for side in (claim.rule.left, claim.rule.right)]
            power = {
                f"spread {s:g}": _reproduced(claim.rule, s, seeds, tolerance, repeats)
                for s in spreads
            }
            rows[claim.id] = {"left": ends[0], "right": ends[1]} | power
    return pd.DataFrame(rows).T.rename_axis("comparison")


def _reproduced(
    rule: Order, spread: float, seeds: int, tolerance: Tolerance, repeats: int
) -> float:
    """Share of simulated replications in which a comparison is reproduced."""
    simulated = _Replications(rule, spread, seeds, repeats)
    differences = [[simulated.difference(a, b) for a, b in row] for row in rule.pairs()]
    reproduced = 0
    for i in range(repeats):
        pairs = tuple(tuple(d.at(i) for d in row) for row in differences)
        verdict = Comparison(rule.relation, pairs).verdict(tolerance.margin, tolerance.z)
        reproduced += verdict == decisions.REPRODUCED
    return reproduced / repeats


@dataclass(frozen=True)
class _Differences:
    """A difference of two sides in every simulated replication.

    Attributes
    ----------
    values : (R,) float
    errors : (R,) float, the standard error that the seeds leave
    df : degrees of freedom of the errors
    """

    values: np.ndarray
    errors: np.ndarray
    df: float

    def at(self, i: int) -> Difference:
        error = self.errors[i]
        return Difference(self.values[i], cells=0.0, seeds=error, df=self.df, one_more=error)


class _Replications:
    """Means over seeds and their errors, of every cell of a comparison, around the reported scores.

    Parameters
    ----------
    rule : the comparison
    spread : standard deviation of one run over seeds, in the unit of a score
    seeds : runs of each cell
    repeats : replications R
    """

    def __init__(self, rule: Order, spread: float, seeds: int, repeats: int) -> None:
        rng = np.random.default_rng(0)
        cells = dict.fromkeys(key for side in rule.sides() for key in _keys(side))
        truth = np.array([reported_numbers.score(*key) for key in cells])
        self.column = {key: i for i, key in enumerate(cells)}
        self.seeds, self.repeats = seeds, repeats
        error = spread / seeds**0.5
        self.means = truth + rng.normal(0, error, (repeats, len(truth)))
        chi_squared = rng.chisquare(seeds - 1, self.means.shape)
        self.errors = error * np.sqrt(chi_squared / (seeds - 1))

    def difference(self, left: Side | float, right: Side | float) -> _Differences:
        sides = [side for side in (left, right) if isinstance(side, Side)]
        values = self._taken(left) - self._taken(right)
        errors = np.sqrt(sum(self._squared_error(side) for side in sides))
        if any(side.take.startswith("variance") for side in sides):
            # A variance has no formula for its error: its spread over the replications.
            errors = np.full(self.repeats, values.std())
        df = (self.seeds - 1) * sum(len(side.cells()) for side in sides)
        return _Differences(values, errors, df)

    def _own(self, side: Side) -> list[int]:
        return [self.column[key] for key in _keys(side)]

    def _taken(self, side: Side | float) -> np.ndarray:
        if not isinstance(side, Side):
            return np.full(self.repeats, side)
        return side.taken(self.means[:, self._own(side)])

    def _squared_error(self, side: Side) -> np.ndarray:
        own = self._own(side)
        return (self.errors[:, own] ** 2).sum(axis=1) / len(own) ** 2


def _keys(side: Side) -> list[tuple]:
    """Stage, split, score and cell of each cell of a side."""
    return [(side.stage, side.split, side.score, cell) for cell in side.cells()]


def _reported_value(side: Side | float) -> float:
    if not isinstance(side, Side):
        return float(side)
    values = np.array([[reported_numbers.score(*key) for key in _keys(side)]])
    return float(side.taken(values)[0])


def label_noise(shares: Sequence[float]) -> pd.DataFrame:
    """What wrong labels among the *unreliable* test sequences would do to the printed precision of
    stage 1.

    If a share of the sequences that are labelled unreliable is reliable in truth, and the model
    keeps these as often as other reliable ones (the printed recall), they are counted as false
    positives though the model is right. Taken from the printed matrix: true and false positives are
    the middle of those that all four reported scores leave.

    Returns
    -------
    a row each share: wrong labels, false positives that they make, the share of all false
    positives, and the precision with the labels put right; nan where the share would make more
    false positives than there are
    """
    row = reported_numbers.row(1, "test", chosen(1))
    p, n = audit.sizes(1, "test")
    matrices = audit.meet(audit.spans(row.scores, p, n))
    tp, fp = (float(np.median(counts)) for counts in matrices)
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
