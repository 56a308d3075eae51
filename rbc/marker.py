"""The marker's interval from both stages together, and when no estimate can be given.

Three answers (`rbc.prevalence.ANSWERS`) are turned back into three classes with the rates that
labelled cells of other blood draws show. Three things are uncertain, and each is drawn many times:

1. the rates: few cells are known of each class;
2. how a new blood draw's rates differ from the known ones' (beta-binomial: an intraclass
correlation, itself drawn);
3. the cells of the movie: the likelihood of the calls at each fraction, so that equal calls still
have a width.

report.html holds the same steps in JavaScript (`rateDraws` come with the page, the rest is computed
there).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from rbc.metrics import wilson

#: Correlations of the cells of one blood draw that are tried; 0: all draws alike. As likely
#: beforehand.
CORRELATIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
#: cells of each answer added to a class's counts (Perks): no rate is known to be exactly 0
PSEUDO = 1 / 3
DRAWS = 400  #: of the rates; the page carries as many
PER_DRAW = 5  #: fractions taken for each draw of the rates
LEVEL = 0.95
#: Fractions at which the likelihood is taken, equally spaced in arcsine: binomial errors are there
#: alike everywhere.
ANGLES = (np.arange(240) + 0.5) / 240 * np.pi / 2
FRACTIONS = np.sin(ANGLES) ** 2
#: an interval wider than this says too little for a number: a healthy and a sick movie both fit in
#: it
WIDEST = 0.4
LOWEST_COVERAGE = 0.90  #: of nominal 95 %, simulated; below it no estimate is given
VALIDITY = Path(__file__).with_name("validity.json")  #: written by benchmarks/intervals.py


class Interval(NamedTuple):
    """Median and ends of a 95 % interval, fractions in [0, 1]."""

    estimate: float
    low: float
    high: float


def rate_draws(known: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Rates that a new blood draw may have, from labelled cells of known ones.

    Parameters
    ----------
    known : (D, 3, 3) counts: blood draw, answer, class
    draws : how many
    rng : source of chance

    Returns
    -------
    (draws, 3, 3) float64: share of each answer (rows) in each class (columns)
    """
    return np.stack(
        [_rates_of_class(known[:, :, c], draws, rng) for c in range(known.shape[2])], axis=2
    )


def _rates_of_class(counts: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """The same of one class: counts (D, 3) to rates (draws, 3)."""
    total = counts.sum(axis=1, keepdims=True)  # (D, 1)
    correlations = np.array(CORRELATIONS)

    # How far do the known draws differ? The likelihood of each correlation at the pooled shares.
    pooled = (counts.sum(axis=0) + PSEUDO) / (counts.sum() + 3 * PSEUDO)
    likelihood = np.array([_log_likelihood(counts, pooled, r) for r in correlations])
    weight = np.exp(likelihood - likelihood.max())
    chosen = rng.choice(correlations, draws, p=weight / weight.sum())  # (draws,)

    # The mean over all blood draws: alike cells of one draw count for fewer.
    effect = 1 + np.maximum(total.T - 1, 0) * chosen[:, None]  # (draws, D)
    mean = _dirichlet(PSEUDO + (1 / effect) @ counts, rng)  # (draws, 3)

    # The new draw's own rates about that mean.
    strength = (1 - chosen) / np.maximum(chosen, 1e-9)
    own = _dirichlet(mean * strength[:, None], rng)
    return np.where(chosen[:, None] > 0, own, mean)


def _log_likelihood(counts: np.ndarray, shares: np.ndarray, correlation: float) -> float:
    """Of counts (D, 3) that differ between draws with this correlation (Dirichlet-multinomial), up
    to a constant.
    """
    if correlation == 0:
        return float((counts * np.log(shares)).sum())
    a = shares * (1 - correlation) / correlation
    n = counts.sum(axis=1)
    each = gammaln(counts + a) - gammaln(a)  # (D, 3)
    return float(each.sum() + (gammaln(a.sum()) - gammaln(n + a.sum())).sum())


def _dirichlet(shape: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.standard_gamma(np.maximum(shape, 1e-6)) + 1e-12
    return drawn / drawn.sum(axis=-1, keepdims=True)


def interval(
    said: np.ndarray, rates: np.ndarray, rng: np.random.Generator, own: tuple[int, int] = (0, 0)
) -> Interval:
    """95 % interval of the fraction of tank-treading among reliable cells.

    Parameters
    ----------
    said : (3,) counts of answers of the cells that no one looked at
    rates : (B, 3, 3) of `rate_draws`
    rng : source of chance
    own : cells that the operator calls tank-treading, and flipping

    Returns
    -------
    The shortest interval (in arcsine) that holds 95 % of the fractions drawn. Never of zero width.
    """
    p, treading_share = FRACTIONS, rates[:, 0, :, None]  # (P,), (B, 3, 1)
    kept_share = treading_share + rates[:, 1, :, None]  # (B, 3, 1)
    treading, flipping, discarded = said

    # What a reliable cell of a movie with fraction p does, and an unreliable one: (B, P) and (B,
    # 1).
    reliable_kept = kept_share[:, 0] * p + kept_share[:, 1] * (1 - p)
    reliable_treading = treading_share[:, 0] * p + treading_share[:, 1] * (1 - p)
    unreliable_kept, unreliable_treading = kept_share[:, 2], treading_share[:, 2]

    # The share that stage 1 keeps of all, with its own error, tells how many are unreliable.
    more, less = treading + flipping + 0.5, discarded + 0.5
    log_odds = np.log(more / less) + rng.normal(size=(len(rates), 1)) * np.sqrt(1 / more + 1 / less)
    kept = 1 / (1 + np.exp(-log_odds))
    apart = reliable_kept - unreliable_kept
    with np.errstate(divide="ignore", invalid="ignore"):
        unreliable = np.where(apart > 0, np.clip((reliable_kept - kept) / apart, 0, 1), 1.0)

    # Likelihood of the calls among the kept: tank-treading or flipping.
    called = (1 - unreliable) * reliable_treading + unreliable * unreliable_treading
    called = np.clip(
        called / ((1 - unreliable) * reliable_kept + unreliable * unreliable_kept), 1e-9, 1 - 1e-9
    )
    log_likelihood = treading * np.log(called) + flipping * np.log1p(-called)
    likelihood = np.exp(log_likelihood - log_likelihood.max())  # (B, P)
    weight = np.repeat(likelihood.sum(axis=1), PER_DRAW)

    # Fractions of the rest, by the likelihood, together with the operator's own cells.
    place = _drawn(likelihood, rng)
    rest = np.sin(_within(place, rng)) ** 2
    reliable = (treading + flipping + discarded) * (
        1 - np.take_along_axis(unreliable, place, axis=1)
    )
    mine = own[0] * np.log(p) + own[1] * np.log1p(-p)
    looked = (
        np.sin(_within(_drawn(np.exp(mine - mine.max())[None].repeat(len(rates), 0), rng), rng))
        ** 2
    )
    whole = reliable + sum(own)
    both = np.where(
        whole > 0, (reliable * rest + sum(own) * looked) / np.maximum(whole, 1e-9), rest
    )
    return shortest(both.ravel(), weight)


def _drawn(likelihood: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places on the grid of fractions, (B, PER_DRAW), as likely as each row of (B, P) says."""
    sums = likelihood.cumsum(axis=1)
    at = rng.random((len(sums), PER_DRAW)) * sums[:, -1:]
    return np.minimum((sums[:, None, :] < at[:, :, None]).sum(axis=2), len(FRACTIONS) - 1)


def _within(place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Angles spread evenly over the cells of the grid."""
    return ANGLES[place] + (rng.random(place.shape) - 0.5) * (ANGLES[1] - ANGLES[0])


def shortest(fractions: np.ndarray, weight: np.ndarray) -> Interval:
    """The shortest interval, in arcsine, that holds `LEVEL` of the weight.

    Where it reaches the outermost fraction drawn it ends at 0 or 1: a fraction drawn is never quite
    that.

    Parameters
    ----------
    fractions : (N,) float64 in [0, 1], drawn
    weight : (N,) float64, how much each counts
    """
    order = np.argsort(fractions)
    angle = np.arcsin(np.sqrt(np.clip(fractions[order], 0, 1)))
    sums = np.concatenate([[0], np.cumsum(weight[order])]) / weight.sum()
    first = np.flatnonzero(sums[:-1] <= 1 - LEVEL)
    last = np.minimum(np.searchsorted(sums, sums[first] + LEVEL) - 1, len(angle) - 1)
    best = int(np.argmin(angle[last] - angle[first]))
    low, high = (float(np.sin(angle[i]) ** 2) for i in (first[best], last[best]))
    middle = float(np.sin(angle[min(np.searchsorted(sums, 0.5), len(angle) - 1)]) ** 2)
    return Interval(
        middle, 0.0 if first[best] == 0 else low, 1.0 if last[best] == len(angle) - 1 else high
    )


# --- when no estimate is given ---


def correlation(known: np.ndarray) -> float:
    """How far known blood draws (D, 3, 3: draw, answer, class) differ: the largest of the classes'
    correlations.

    Each is the mean of `CORRELATIONS`, weighted by their likelihoods.
    """
    found = []
    for c in range(known.shape[2]):
        counts = known[:, :, c]
        pooled = (counts.sum(axis=0) + PSEUDO) / (counts.sum() + 3 * PSEUDO)
        likelihood = np.array([_log_likelihood(counts, pooled, r) for r in CORRELATIONS])
        found.append(np.average(CORRELATIONS, weights=np.exp(likelihood - likelihood.max())))
    return float(max(found))


@cache
def _simulated() -> tuple[dict, ...]:
    return tuple(json.loads(VALIDITY.read_text(encoding="utf-8"))["rows"])


def holds(row: dict) -> bool:
    """Whether the intervals of a simulated design, where they are narrow enough to be given, hold
    the truth.
    """
    return row["given"] >= 0.25 and row["covered_given"] >= LOWEST_COVERAGE


def withheld(found: Interval, known: np.ndarray, per_reliable: float) -> str | None:
    """Why no estimate can be given, in words; None where it can.

    Parameters
    ----------
    found : of the movie
    known : (D, 3, 3) labelled cells: blood draw, answer, class
    per_reliable : unreliable sequences of the movie for each reliable one

    The simulated designs know how far draws differ and how many cells are unreliable; here both are
    estimates. Known draws that look more alike than they are let through a movie whose interval
    fails.
    """
    unreliable = int(known[:, :, 2].sum())
    why = None
    if per_reliable > most_unreliable(known):
        why = (
            f"with {per_reliable:.1f} unreliable sequences per reliable one, and errors known from"
            f" {unreliable} "
            f"unreliable cells of {len(known)} blood draws, intervals hold the truth too seldom"
            " (simulated)"
        )
    elif found.high - found.low > WIDEST:
        why = f"the 95 % interval is too wide, {100 * found.low:.0f} to {100 * found.high:.0f} %"
    return why and f"{why}; {_mend(known, per_reliable)}"


def _designs(
    known: np.ndarray, per_reliable: float, unreliable: float, draws: int | None = None
) -> list[dict]:
    """The simulated design nearest to this one that is not easier; empty where none is as hard."""
    rows = list(_simulated())
    asked = {"correlation": correlation(known), "per_reliable": per_reliable}
    for name, value in asked.items():
        harder = [row[name] for row in rows if row[name] >= value]
        rows = [row for row in rows if harder and row[name] == min(harder)]
    for name, value in {"draws": draws or len(known), "known_unreliable": unreliable}.items():
        harder = [row[name] for row in rows if row[name] <= value]
        rows = [row for row in rows if harder and row[name] == max(harder)]
    return rows


def most_unreliable(known: np.ndarray) -> float:
    """The largest simulated number of unreliable sequences for each reliable one at which intervals
    hold the truth.

    Parameters
    ----------
    known : (D, 3, 3) labelled cells: blood draw, answer, class

    Returns
    -------
    0 where they hold at none. A smaller number is never refused for want of coverage (`withheld`).
    """
    limit = 0.0
    for per_reliable in sorted({row["per_reliable"] for row in _simulated()}):
        if not _ever(_designs(known, per_reliable, int(known[:, :, 2].sum()))):
            break
        limit = per_reliable
    return limit


def by_hand(treading: int, flipping: int) -> Interval:
    """Fraction of tank-treading among cells that the operator labelled, with its 95 % interval.

    Parameters
    ----------
    treading, flipping : how many of each

    Returns
    -------
    Wilson's interval; nan where no cell was labelled
    """
    n = treading + flipping
    return Interval(treading / n, *wilson(treading, n)) if n else Interval(np.nan, np.nan, np.nan)


def _ever(rows: list[dict]) -> bool:
    return bool(rows) and all(map(holds, rows))


def _mend(known: np.ndarray, per_reliable: float) -> str:
    """How many labelled cells would do, by the simulated designs."""
    for draws in sorted({row["draws"] for row in _simulated() if row["draws"] >= len(known)}):
        for unreliable in sorted({row["known_unreliable"] for row in _simulated()}):
            if unreliable > known[:, :, 2].sum() and _ever(
                _designs(known, per_reliable, unreliable, draws)
            ):
                return (
                    f"{unreliable} labelled unreliable cells of {draws} blood draws would mend"
                    " it, or count by hand"
                )
    return (
        "no number of labelled cells that was simulated mends it: look at every kept cell and"
        " count by hand"
    )
