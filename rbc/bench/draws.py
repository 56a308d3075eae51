"""Movies of one blood draw put together, and the draws of a patient compared.

A draw whose movies all have labels of cells chosen at random is estimated from these
(`rbc.labelling`), any other one from the models' known errors (`rbc.marker`). How far the movies of
one draw differ enters both intervals. How often they and that of a change cover the truth is
simulated in benchmarks/studies.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from rbc import labelling, marker, prevalence
from rbc.paper import RELIABLE

ODD = 0.05  #: chance that one movie of a study is called unlike its draw though none is
#: Standard errors of a change that is shown with power `prevalence.POWER` at the 5 % level.
SHOWN = float(stats.norm.ppf(0.975) + stats.norm.ppf(prevalence.POWER))
LOOKS = (50, 100)  #: for so many looks at each movie the smallest change is told too
#: columns of the cells that the operator labelled: they count as they are
OWN = ("by hand tank-treading", "by hand flipping")
#: columns of the tables
OF_DRAW = ("patient", "date", "draw", "movies", "cells", "estimate", "low", "high", "withheld",
           "caution")  # fmt: skip
OF_CHANGE = ("patient", "earlier", "later", "change", "low", "high", "smallest", "smallest_50",
             "smallest_100")  # fmt: skip


class Marker(NamedTuple):
    """What is known of a draw's fraction.

    density : (P,) float64, how likely each of `marker.FRACTIONS` is (`marker.density` or
        `labelling.density`); nan where the models' errors are not known
    planned : standard error expected with so many looks at each movie, for each of `LOOKS`
    """

    density: np.ndarray
    planned: tuple[float, ...]


def by_draw(
    movies: pd.DataFrame,
    errors: pd.DataFrame,
    samples: dict[str, labelling.Sample] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The marker of each blood draw, and its change from one draw of a patient to the next.

    Parameters
    ----------
    movies : a row a judged movie: name, patient, date (as text that sorts), draw, its counts of
        answers by `prevalence.ANSWERS`, and of the operator's labels by `OWN`
    errors : a row a labelled cell: acquisition, label, answer. A draw is judged without those of
        its own movies.
    samples : labels by stratum of the movies that have such, by name

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
        labelled = [(samples or {}).get(name) for name in part["name"]]
        row, found[draw] = pooled(answers, others, more_than_chance, own, samples=labelled)
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
    samples: Sequence[labelling.Sample | None] = (),
) -> tuple[dict, Marker]:
    """The marker of one draw from all its movies.

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
    samples : labels by stratum, a movie each. They decide where every movie has
        `labelling.FEWEST_LOOKS` random looks

    Returns
    -------
    row : estimate, low, high, withheld and caution, as of `prevalence.end_to_end`
    found : what is behind them
    """
    known = prevalence.by_draw(errors) if len(errors) else None
    planned = _planned(answers, known, samples, factor)
    enough = [one for one in samples or () if one and one.looks >= labelling.FEWEST_LOOKS]
    if samples and len(enough) == len(samples):
        found = labelling.density(labelling.of_several(enough, factor))
        return _row_of(found, None), Marker(found, planned)
    if not answers.any() and any(own):
        # Every cell was looked at: no model's error matters, and nothing is withheld.
        found = marker.density(answers, np.eye(3)[None], tuple(np.asarray(own, float) / factor))
        return _row_of(found, None), Marker(found, planned)
    if known is None or np.isnan(shares := _fractions(answers, known)).any():
        unknown = np.full(len(marker.FRACTIONS), np.nan)
        return _row_of(unknown, prevalence.UNTOLD), Marker(unknown, planned)

    rates = marker.rate_draws(known, marker.DRAWS, np.random.default_rng(seed))
    found = marker.density(answers / factor, rates, tuple(np.asarray(own, float) / factor))
    unreliable = shares[2]
    per_reliable = unreliable / (1 - unreliable) if unreliable < 1 else np.inf
    return _row_of(found, marker.withheld(known, per_reliable)), Marker(found, planned)


def _row_of(density: np.ndarray, withheld: str | None) -> dict:
    """Estimate, low, high, withheld and caution of a density."""
    ends = marker.Interval(np.nan, np.nan, np.nan)
    if withheld is None:
        ends = marker.ends(density)
    return ends._asdict() | {"withheld": withheld, "caution": marker.caution(ends)}


def _fractions(answers: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Shares of the three classes by the pooled known errors; nan where they cannot tell."""
    observed = answers / max(answers.sum(), 1)
    return prevalence.on_simplex(observed, prevalence.rates(known.sum(axis=0)))


def _planned(
    answers: np.ndarray,
    known: np.ndarray | None,
    samples: Sequence[labelling.Sample | None],
    factor: float,
) -> tuple[float, ...]:
    """Standard error of the fraction expected with `LOOKS` looks at each movie.

    nan where the known errors cannot tell what the strata hold.
    """
    unknown = (float("nan"),) * len(LOOKS)
    if known is None or not answers.any():
        return unknown
    fractions = _fractions(answers, known)
    if np.isnan(fractions).any():
        return unknown
    shares = labelling.expected_shares(prevalence.rates(known.sum(axis=0)), fractions)
    sizes = np.array([*answers[:2], 0, answers[2]]) / factor
    movies = max(len(samples), 1)
    return tuple(
        labelling.planned_half_width(sizes, shares, int(n * movies / factor)) / 1.96 for n in LOOKS
    )


def change(earlier: Marker, later: Marker) -> dict[str, float]:
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
    smallest_50, smallest_100 : the same if so many cells of each movie, chosen at random, were
        labelled
    """
    low, middle, high = _of_difference(earlier.density, later.density, (0.025, 0.5, 0.975))
    row = {"change": middle, "low": low, "high": high}
    error = np.hypot(_error(earlier.density), _error(later.density))
    row["smallest"] = float(SHOWN * error)
    for n, one, other in zip(LOOKS, earlier.planned, later.planned, strict=True):
        row[f"smallest_{n}"] = float(SHOWN * np.hypot(one, other))
    return row


def _of_difference(
    earlier: np.ndarray, later: np.ndarray, shares: tuple[float, ...]
) -> tuple[float, ...]:
    """Differences, later less earlier, below which these shares of all pairs of fractions lie."""
    apart = (marker.FRACTIONS - marker.FRACTIONS[:, None]).ravel()  # later in columns
    likely = (later * earlier[:, None]).ravel()
    order = np.argsort(apart)
    sums = np.cumsum(likely[order])
    return tuple(float(x) for x in apart[order][np.searchsorted(sums, np.array(shares) * sums[-1])])


def _error(density: np.ndarray) -> float:
    """Standard deviation of a fraction as likely as this density says."""
    mean = density @ marker.FRACTIONS
    return float(np.sqrt(density @ marker.FRACTIONS**2 - mean**2))
