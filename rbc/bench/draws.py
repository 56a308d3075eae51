"""Movies of one blood draw put together, and the draws of a patient compared.

The interval of a draw holds the chance of its cells, that of the models' known errors, how these
differ between draws (`rbc.marker`), and how far the movies of one draw differ. How often it and
that of a change hold the truth is simulated in benchmarks/studies.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from rbc import marker, prevalence
from rbc.paper import RELIABLE

ODD = 0.05  #: chance that one movie of a study is called unlike its draw though none is
#: Standard errors of a change that is shown with power `prevalence.POWER` at the 5 % level.
SHOWN = float(stats.norm.ppf(0.975) + stats.norm.ppf(prevalence.POWER))
MORE = 4  #: what a draw with so many times the cells would show is told too
#: columns of the cells that the operator labelled: they count as they are
OWN = ("by hand tank-treading", "by hand flipping")
#: columns of the tables
OF_DRAW = ("patient", "date", "draw", "movies", "cells", "estimate", "low", "high", "withheld",
           "caution")  # fmt: skip
OF_CHANGE = ("patient", "earlier", "later", "change", "low", "high", "smallest", "smallest_more")


class Densities(NamedTuple):
    """How likely a draw's answers make each of `marker.FRACTIONS` (`marker.density`).

    of_cells, with_more : (P,) float64; the second with `MORE` times the cells. nan where the
        models' errors are not known.
    """

    of_cells: np.ndarray
    with_more: np.ndarray


def by_draw(movies: pd.DataFrame, errors: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The marker of each blood draw, and its change from one draw of a patient to the next.

    Parameters
    ----------
    movies : a row a judged movie: name, patient, date (as text that sorts), draw, its counts of
        answers by `prevalence.ANSWERS`, and of the operator's labels by `OWN`
    errors : a row a labelled cell: acquisition, label, answer. A draw is judged without those of
        its own movies.

    Returns
    -------
    draws : columns `OF_DRAW`, by patient and date
    changes : columns `OF_CHANGE`; none from or to a draw whose estimate is withheld
    """
    more_than_chance, _ = spread(movies)
    rows, found = [], {}
    for (patient, date, draw), part in movies.groupby(["patient", "date", "draw"]):
        answers = part[list(prevalence.ANSWERS)].sum().to_numpy(float)
        own = part[list(OWN)].sum().to_numpy(float)
        others = errors[~errors["acquisition"].isin(part["name"])]
        row, found[draw] = pooled(answers, others, more_than_chance, own)
        cells = int(answers.sum() + own.sum())
        rows.append((patient, date, draw, len(part), cells, *row.values()))
    draws = pd.DataFrame(rows, columns=list(OF_DRAW))

    told = draws[draws["withheld"].isna()]
    changes = [
        (patient, a.draw, b.draw, *change(found[a.draw], found[b.draw]).values())
        for patient, part in told.groupby("patient")
        for a, b in pairwise(part.itertuples())
    ]
    return draws, pd.DataFrame(changes, columns=list(OF_CHANGE))


def spread(movies: pd.DataFrame) -> tuple[float, int]:
    """How much more the movies of one draw differ than their cells explain.

    Parameters
    ----------
    movies : a row a movie: draw, and counts of tank-treading and flipping answers and labels

    Returns
    -------
    factor : chi-square over its degrees of freedom, 1 at least (`prevalence.dispersion`)
    df : these degrees; 0 where no draw has two movies, and then nothing is known of it
    """
    both = _called(movies)
    called = both.sum(axis=1)
    shown = movies["draw"][called > 0]
    df = int(len(shown) - shown.nunique())
    if df == 0:
        return 1.0, 0
    factor = prevalence.dispersion(both[called > 0, 0], called[called > 0], shown.to_numpy())
    return (max(factor, 1.0) if np.isfinite(factor) else 1.0), df


def _called(movies: pd.DataFrame) -> np.ndarray:
    """Cells called tank-treading and flipping, by the models or the operator: (M, 2) float64."""
    return movies[list(RELIABLE)].to_numpy(float) + movies[list(OWN)].to_numpy(float)


def unlike_their_draw(movies: pd.DataFrame) -> set[str]:
    """Names of movies whose share of tank-treading calls differs from that of the rest of their
    draw.

    Fisher's exact test of each movie against the others of its draw, with Bonferroni's correction
    for as many tests.

    Parameters
    ----------
    movies : as of `spread`, with a column name
    """
    p = {}
    for _, part in movies.groupby("draw"):
        counts = _called(part).astype(int)
        if len(part) > 1:
            rest = counts.sum(axis=0) - counts
            for name, pair in zip(part["name"], zip(counts, rest, strict=True), strict=True):
                p[name] = stats.fisher_exact(pair).pvalue
    return {name for name, value in p.items() if value * len(p) < ODD}


def pooled(
    answers: np.ndarray,
    errors: pd.DataFrame,
    factor: float = 1.0,
    own: Sequence[float] = (0.0, 0.0),
    seed: int = 0,
) -> tuple[dict, Densities]:
    """The marker of one draw from the answers of all its movies.

    Where movies of a draw differ by more than chance, cells of one movie are alike and count for
    fewer: their numbers are divided by the over-dispersion.

    Parameters
    ----------
    answers : (3,) counts by `prevalence.ANSWERS`, all movies together, of the cells that nobody
        looked at
    errors : a row a labelled cell of other draws: acquisition, label, answer
    factor : over-dispersion, of `spread`
    own : cells that the operator calls tank-treading, and flipping
    seed : of chance

    Returns
    -------
    row : estimate, low, high, withheld and caution, as of `prevalence.end_to_end`
    densities : behind them
    """
    if not answers.any() and any(own):
        # Every cell was looked at: no model's error matters, and nothing is withheld.
        mine = np.asarray(own, float) / factor
        found = Densities(
            *(marker.density(answers, np.eye(3)[None], tuple(n * mine)) for n in (1.0, MORE))
        )
        ends = marker.ends(found.of_cells)
        return ends._asdict() | {"withheld": None, "caution": marker.caution(ends)}, found
    if errors.empty:
        return _untold()
    known = prevalence.by_draw(errors)
    shares = prevalence.on_simplex(
        answers / max(answers.sum(), 1), prevalence.rates(known.sum(axis=0))
    )
    if np.isnan(shares).any():
        return _untold()
    rng = np.random.default_rng(seed)
    rates = marker.rate_draws(known, marker.DRAWS, rng)
    mine = np.asarray(own, float)
    found = Densities(
        *(
            marker.density(times * answers / factor, rates, tuple(times * mine / factor))
            for times in (1.0, MORE)
        )
    )

    unreliable = shares[2]
    per_reliable = unreliable / (1 - unreliable) if unreliable < 1 else np.inf
    withheld = marker.withheld(known, per_reliable)
    ends = marker.ends(found.of_cells)
    if withheld is not None:
        ends = marker.Interval(np.nan, np.nan, np.nan)
    return ends._asdict() | {"withheld": withheld, "caution": marker.caution(ends)}, found


def _untold() -> tuple[dict, Densities]:
    """What `pooled` answers where the models' errors are not known."""
    nothing = np.full(len(marker.FRACTIONS), np.nan)
    ends = marker.Interval(np.nan, np.nan, np.nan)._asdict()
    return ends | {"withheld": prevalence.UNTOLD, "caution": None}, Densities(nothing, nothing)


def change(earlier: Densities, later: Densities) -> dict[str, float]:
    """The change of the marker between two draws.

    The models' errors are taken as those of each draw alone, as if the two had none in common.
    Where they have, the interval is wider than it need be.

    Parameters
    ----------
    earlier, later : of `pooled`

    Returns
    -------
    change : its median
    low, high : its 95 % interval
    smallest : the change that two such draws show with power `prevalence.POWER`
    smallest_more : the same with `MORE` times the cells
    """
    low, middle, high = _of_difference(earlier.of_cells, later.of_cells, (0.025, 0.5, 0.975))
    return {
        "change": middle,
        "low": low,
        "high": high,
        "smallest": SHOWN * _error(earlier.of_cells, later.of_cells),
        "smallest_more": SHOWN * _error(earlier.with_more, later.with_more),
    }


def _of_difference(
    earlier: np.ndarray, later: np.ndarray, shares: tuple[float, ...]
) -> tuple[float, ...]:
    """Differences, later less earlier, below which these shares of all pairs of fractions lie."""
    apart = (marker.FRACTIONS - marker.FRACTIONS[:, None]).ravel()  # later in columns
    likely = (later * earlier[:, None]).ravel()
    order = np.argsort(apart)
    sums = np.cumsum(likely[order])
    return tuple(float(x) for x in apart[order][np.searchsorted(sums, np.array(shares) * sums[-1])])


def _error(earlier: np.ndarray, later: np.ndarray) -> float:
    """Standard deviation of the difference of two fractions as likely as these densities say."""
    variances = [
        density @ marker.FRACTIONS**2 - (density @ marker.FRACTIONS) ** 2
        for density in (earlier, later)
    ]
    return float(np.sqrt(sum(variances)))
