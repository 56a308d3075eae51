"""The marker's interval from both stages together, and when no estimate can be given.

The predictions fall into three kinds (`rbc.prevalence.ANSWERS`): tank-treading, flipping, or
discarded. Error rates of labelled cells of other blood draws turn their counts back into three
classes. Three things are uncertain:

1. the rates, since few cells of each class are labelled. They are drawn many times;
2. how the rates of a new blood draw differ from those of the known ones (beta-binomial: an
intraclass correlation). It is drawn with them;
3. the cells of the movie. For each draw of the rates, the likelihood of the counts is taken at each
fraction of a grid, and summed over the draws. So an interval has a width even where all predictions
are equal.

What labels of the movie's own cells add is in `rbc.labelling`. estimate.js, of the report's page,
holds the same steps in JavaScript: the drawn rates come with the page, the rest is computed there.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from rbc.metrics import wilson

#: Correlations of the cells of one blood draw that are tried; 0: all draws alike. As likely
#: beforehand.
CORRELATIONS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
#: cells of each answer added to a class's counts (Perks): no rate is known to be exactly 0
PSEUDO = 1 / 3
#: Of the rates; the page carries as many. Of 1,000, so few explained some movies that another seed
#: moved an interval's end by half of all fractions.
DRAWS = 8192
ROWS = 128  #: draws weighed at once: more leave the processor's cache, and it takes longer
LEVEL = 0.95
#: Fractions at which the likelihood is taken, equally spaced in arcsine: binomial errors are there
#: alike everywhere.
ANGLES = (np.arange(240) + 0.5) / 240 * np.pi / 2
FRACTIONS = np.sin(ANGLES) ** 2
STEP = ANGLES[1] - ANGLES[0]  #: width of a cell of the grid
#: An end nearer than this to 0 or 1 is put there: fractions below .0016. A likelihood is never
#: quite 0 beside them, the truth may be 0 or 1.
EDGE = 6 * STEP
TIE = 1e-9  #: rad by which two angles differ through rounding alone
#: Multiples of these, without their whole part, fill the unit interval and the unit square evenly:
#: the golden ratio, and its like of two dimensions (Roberts 2018, "The unreasonable effectiveness
#: of quasirandom sequences").
EVENLY = 0.6180339887498949
EVENLY_2 = (0.7548776662466927, 0.5698402909980532)
#: In an interval wider than this a healthy and a sick movie both fit (`caution`). It is shown all
#: the same: kept back, the narrow ones that remain would be those that miss the truth.
WIDEST = 0.4
LABEL_SOME = "label 50 cells, chosen at random"  #: what narrows it: this movie's own labels
TOO_WIDE = f"too wide to tell a healthy from a sick movie: {LABEL_SOME}"
LOWEST_COVERAGE = 0.90  #: of nominal 95 %, simulated, at every truth; below it no estimate is given
#: Mean width of a design's simulated intervals above which the models alone give no estimate: they
#: then leave three quarters of all fractions possible.
REFUSED_WIDTH = 0.75
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


def interval(said: np.ndarray, rates: np.ndarray, own: tuple[int, int] = (0, 0)) -> Interval:
    """95 % interval of the fraction of tank-treading among reliable cells.

    Parameters
    ----------
    said, rates, own : as of `density`

    Returns
    -------
    Ends as `ends` chooses them. Never of zero width.
    """
    return ends(density(said, rates, own))


def density(said: np.ndarray, rates: np.ndarray, own: tuple[int, int] = (0, 0)) -> np.ndarray:
    """How likely the answers make each fraction of tank-treading among reliable cells.

    Nothing is drawn here: the same answers and rates give the same density.

    Parameters
    ----------
    said : (3,) counts of answers of the cells that no one looked at
    rates : (B, 3, 3) of `rate_draws`
    own : cells that the operator calls tank-treading, and flipping

    Returns
    -------
    (P,) float64: shares of `FRACTIONS`, each that of its cell of the grid; their sum is 1
    """
    log_likelihood = np.empty((len(rates), len(FRACTIONS)))
    unreliable = np.empty_like(log_likelihood)
    kept = _kept(said, len(rates))
    for start in range(0, len(rates), ROWS):
        part = slice(start, start + ROWS)
        found = _explained(said, rates[part], kept[part])
        log_likelihood[part], unreliable[part] = found
    likelihood = np.exp(log_likelihood - log_likelihood.max())  # (B, P)

    if sum(own):
        reliable = sum(said) * (1 - unreliable)
        shares = _with_labels(likelihood, reliable, own)
    else:
        shares = likelihood.sum(axis=0)
    return shares / shares.sum()


def _with_labels(likelihood: np.ndarray, reliable: np.ndarray, own: tuple[int, int]) -> np.ndarray:
    """How likely each fraction is once the cells that the operator labelled are counted too.

    Those cells have a fraction of their own. A movie's fraction is the mean of both, each weighed
    by its number of reliable cells.

    Parameters
    ----------
    likelihood : (B, P) of each fraction of the cells that no one looked at
    reliable : (B, P) how many of these are reliable
    own : labelled tank-treading, and flipping cells

    Returns
    -------
    (P,) float64, of `FRACTIONS`, up to a constant
    """
    labelled = sum(own)
    treading = reliable * FRACTIONS + labelled * _looked(own, reliable.shape)
    fraction = treading / (reliable + labelled)
    angle = np.arcsin(np.sqrt(np.clip(fraction, 0, 1)))
    cell = np.minimum((angle / STEP).astype(int), len(FRACTIONS) - 1)
    return np.bincount(cell.ravel(), likelihood.ravel(), len(FRACTIONS))


def _kept(said: np.ndarray, draws: int) -> np.ndarray:
    """Shares of all cells that stage 1 keeps, (draws, 1): the counted one with its own error."""
    more, less = said[0] + said[1] + 0.5, said[2] + 0.5
    # Normal errors of the log odds (Box and Muller) from two sequences that fill the unit square
    # evenly: the report's page computes the same ones.
    number = np.arange(draws)[:, None] + 0.5
    first, second = (number * step % 1 for step in EVENLY_2)
    normal = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
    log_odds = np.log(more / less) + normal * np.sqrt(1 / more + 1 / less)
    return 1 / (1 + np.exp(-log_odds))


def _explained(
    said: np.ndarray, rates: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How well each fraction explains the answers.

    Parameters
    ----------
    said : (3,) counts of answers
    rates : (B, 3, 3) of `rate_draws`
    kept : (B, 1) shares of all cells that stage 1 keeps

    Returns
    -------
    log_likelihood : (B, P) of each of `FRACTIONS`, up to a constant
    unreliable : (B, P) shares of unreliable cells among all
    """
    # Of each class, the share that is kept and called tank-treading, and the share that is kept.
    treading_share = rates[:, 0, :, None]  # (B, 3, 1)
    kept_share = treading_share + rates[:, 1, :, None]

    # The same of all reliable cells of a movie with each fraction, (B, P), and of unreliable ones,
    # (B, 1).
    p = FRACTIONS
    reliable_kept = kept_share[:, 0] * p + kept_share[:, 1] * (1 - p)
    reliable_treading = treading_share[:, 0] * p + treading_share[:, 1] * (1 - p)
    unreliable_kept = kept_share[:, 2]
    unreliable_treading = treading_share[:, 2]

    # The share that stage 1 keeps of all tells how many are unreliable.
    apart = reliable_kept - unreliable_kept
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = np.where(apart > 0, (reliable_kept - kept) / apart, np.inf)
    unreliable = np.clip(exact, 0, 1)
    expected = (1 - unreliable) * reliable_kept + unreliable * unreliable_kept
    expected = np.clip(expected, 1e-9, 1 - 1e-9)
    log_likelihood = _of_kept(said, expected, explained=exact == unreliable)

    # Each share of unreliable cells is as likely beforehand. The further apart the two kinds are
    # kept, the fewer shares explain the number.
    log_likelihood -= np.log(np.maximum(apart, _error_of_kept(said)))

    # Likelihood of the predictions for the kept cells: tank-treading or flipping.
    called = (1 - unreliable) * reliable_treading + unreliable * unreliable_treading
    called = np.clip(called / expected, 1e-9, 1 - 1e-9)
    treading, flipping, _ = said
    log_likelihood = log_likelihood + treading * np.log(called) + flipping * np.log1p(-called)
    return log_likelihood, unreliable


def _of_kept(said: np.ndarray, expected: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """Log likelihood of the number of cells kept, up to a constant.

    Where no share of unreliable cells explains the number, what the nearest one would keep counts
    against these rates.

    Parameters
    ----------
    said : (3,) counts of answers
    expected : (B, P) share of all cells that the nearest share of unreliable cells would keep
    explained : (B, P) bool, whether some share of unreliable cells explains the number
    """
    kept, discarded = said[0] + said[1] + 0.5, said[2] + 0.5
    n = kept + discarded
    observed = kept / n
    of_kept = observed * np.log(expected / observed)
    of_discarded = (1 - observed) * np.log((1 - expected) / (1 - observed))
    return np.where(explained, 0.0, n * (of_kept + of_discarded))


def _error_of_kept(said: np.ndarray) -> float:
    """How wide the likelihood of the share kept is: sqrt(2 pi) standard errors."""
    kept, discarded = said[0] + said[1] + 0.5, said[2] + 0.5
    n = kept + discarded
    observed = kept / n
    return float(np.sqrt(2 * np.pi * observed * (1 - observed) / n))


def _looked(own: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Fractions that the operator's own cells allow, as many as `shape` asks for: each is taken as
    often as it is likely.
    """
    mine = own[0] * np.log(FRACTIONS) + own[1] * np.log1p(-FRACTIONS)
    likely = np.exp(mine - mine.max())
    likely /= likely.sum()
    # Shares in an order in which neighbours lie far apart, so that each row sees all of them.
    share = (np.arange(shape[0] * shape[1]) + 0.5) * EVENLY % 1
    return (np.sin(_angles(likely, share)) ** 2).reshape(shape)


def _angles(density: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Angles below which these shares of a density lie; within a cell of the grid it is even."""
    sums = np.concatenate([[0], np.cumsum(density)])
    cell = np.minimum(np.searchsorted(sums[1:], share), len(density) - 1)
    return (cell + (share - sums[cell]) / np.maximum(density[cell], 1e-300)) * STEP


def ends(density: np.ndarray) -> Interval:
    """Median and ends of an interval that holds `LEVEL` of a density or more.

    Of two such intervals, the shortest in arcsine and the one with equal tails, each end is the
    outer one. The shortest reaches 0 and 1 where the truth may lie there, but alone it held the
    truth too seldom in simulated movies, as it may cut one tail only.

    Parameters
    ----------
    density : (P,) of `density`
    """
    # The shortest, from each of a hundred lower tails.
    tails = np.linspace(1e-9, 1 - LEVEL - 1e-9, 101)
    first, last = _angles(density, tails), _angles(density, tails + LEVEL)
    # Of equally short ones the first: rounding must not choose, since the page rounds otherwise.
    length = last - first
    best = int(np.argmax(length <= length.min() + TIE))

    tail = (1 - LEVEL) / 2
    equal_low, middle, equal_high = _angles(density, np.array([tail, 0.5, 1 - tail]))
    low, high = min(first[best], equal_low), max(last[best], equal_high)
    low = 0.0 if low < EDGE else low
    high = np.pi / 2 if high > np.pi / 2 - EDGE else high
    return Interval(*(float(np.sin(angle) ** 2) for angle in (middle, low, high)))


# --- when no estimate is given ---


@cache
def _simulated() -> tuple[dict, ...]:
    return tuple(json.loads(VALIDITY.read_text(encoding="utf-8"))["rows"])


def covers(rows: list[dict]) -> bool:
    """Whether the simulated intervals of a design cover every truth, whichever correlation.

    Coverage is never averaged over truths: an average hides that healthy blood, where nearly every
    cell tank-treads, is covered less often.

    Parameters
    ----------
    rows : of the kept table, of one design: a row a truth and a correlation. No rows cover nothing.
    """
    return bool(rows) and min(row["covered"] for row in rows) >= LOWEST_COVERAGE


def withheld(known: np.ndarray, per_reliable: float) -> str | None:
    """Why the models alone give no estimate, in words; None where they do.

    The design decides, never the interval found: if wide intervals were withheld, those shown would
    miss the truth more often than simulated.

    Parameters
    ----------
    known : (D, 3, 3) labelled cells: blood draw, answer, class
    per_reliable : unreliable sequences of the movie for each reliable one
    """
    if per_reliable <= most_unreliable(known):
        return None
    unreliable = int(known[:, :, 2].sum())
    design = (
        f"with {per_reliable:.1f} unreliable sequences per reliable one, and errors known from"
        f" {unreliable} unreliable cells of {len(known)} blood draws, the models alone give no"
        " usable interval"
    )
    width = expected_width(known, per_reliable)
    if width is None:
        why = "nothing as hard was simulated"
    elif width > REFUSED_WIDTH:
        why = f"in simulated movies it is {100 * width:.0f} points wide on average"
    else:
        why = "in simulated movies it covers the truth too seldom"
    return f"{design} ({why}): {LABEL_SOME}"


def caution(found: Interval) -> str | None:
    """What to say beside an interval that a healthy and a sick movie both fit in, else None."""
    if not found.high - found.low > WIDEST:
        return None
    return TOO_WIDE


def _designs(draws: int, unreliable: int, per_reliable: float) -> list[dict]:
    """The simulated designs nearest to this one that are not easier, with every correlation between
    cells of a draw that was tried: how far draws differ is never known. Empty where none is as
    hard.
    """
    rows = list(_simulated())
    harder = [row["per_reliable"] for row in rows if row["per_reliable"] >= per_reliable]
    rows = [row for row in rows if harder and row["per_reliable"] == min(harder)]
    for name, value in {"draws": draws, "known_unreliable": unreliable}.items():
        # Rounded to fewer draws and cells, and to more unreliable ones: never to an easier
        # design.
        fewer = [row[name] for row in rows if row[name] <= value]
        rows = [row for row in rows if fewer and row[name] == max(fewer)]
    return rows


def expected_width(known: np.ndarray, per_reliable: float) -> float | None:
    """Mean width of the simulated intervals of a design that is not easier than this one.

    The mean is over truths and correlations, since neither is known beforehand.

    Parameters
    ----------
    known, per_reliable : as of `withheld`

    Returns
    -------
    A fraction; None where no design as hard was simulated
    """
    rows = _designs(len(known), int(known[:, :, 2].sum()), per_reliable)
    return fmean(row["mean_width"] for row in rows) if rows else None


def most_unreliable(known: np.ndarray) -> float:
    """The largest simulated number of unreliable sequences for each reliable one at which the
    models alone give an estimate.

    Parameters
    ----------
    known : (D, 3, 3) labelled cells: blood draw, answer, class

    Returns
    -------
    Negative where they give none. A movie with as many or fewer is never refused (`withheld`).
    """
    # Upwards until the first design that fails: beyond it nothing is promised.
    limit = -1.0
    for per_reliable in sorted({row["per_reliable"] for row in _simulated()}):
        rows = _designs(len(known), int(known[:, :, 2].sum()), per_reliable)
        width = expected_width(known, per_reliable)
        if not covers(rows) or width is None or width > REFUSED_WIDTH:
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
