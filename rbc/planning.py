"""How many cells and looks a movie needs, worked out before anything is filmed or labelled.

A look is one cell, chosen at random, that an operator labels (`rbc.labelling`). Three errors enter
the fraction of a blood draw: that of the labels, that of the movie's cells, and the spread between
movies of one draw, which no look narrows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from rbc import RbcError, labelling
from rbc.marker import PSEUDO
from rbc.paper import reported
from rbc.prevalence import POWER, Z, dispersion, dispersion_at, rates

CHUNK = 5  #: looks that `spend` gives to a movie at a time


@dataclass(frozen=True)
class Design:
    """A movie as it is planned.

    Attributes
    ----------
    fraction : expected fraction of tank-treading cells among reliable ones
    reliable : reliable cells that are tracked
    per_reliable : unreliable cells that are tracked, for each reliable one
    movies : movies of the blood draw, each with so many cells
    correlation : of the cells of one movie of a draw (`correlation_of_movies`)
    """

    fraction: float = 0.86
    reliable: int = 300
    per_reliable: float = 1.0
    movies: int = 1
    correlation: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no movie can be."""
        if not 0 < self.fraction < 1:
            raise RbcError(f"expected fraction {self.fraction:g}: give a number between 0 and 1")
        if self.reliable < 1 or self.movies < 1 or self.per_reliable < 0:
            raise RbcError("a plan needs at least one reliable cell and one movie")


def resized(design: Design, reliable: int) -> Design:
    """The same design with another number of reliable cells."""
    return replace(design, reliable=reliable)


def correlation_of_movies() -> float:
    """Correlation of the cells of one movie within a patient, from the spread that Table 5 of the
    paper shows beyond what its numbers of cells explain.
    """
    table = reported("table5")
    n = table["n_reliable"]
    treading = (table["ground_truth_percent"] * n / 100).round()
    factor = dispersion(treading, n, table["patient"])
    return float(dispersion_at(2, factor, n.mean()) - 1)


# --- one movie ---


def strata_of(design: Design, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected strata of a movie, and what is in them.

    Parameters
    ----------
    design : the movie
    known : (3, 3) labelled cells: answer, class; all draws together, or one of them

    Returns
    -------
    sizes : (4,) expected cells of each of `labelling.STRATA`; unsure cells count as discarded
    shares : (4, 3) expected share of each label in a stratum
    """
    treading = design.fraction * design.reliable
    flipping = design.reliable - treading
    classes = np.array([treading, flipping, design.per_reliable * design.reliable])
    joint = rates(known + PSEUDO) * classes
    joint = np.vstack([joint[:2], np.zeros(3), joint[2:]])
    sizes = joint.sum(axis=1)
    shares = joint / np.maximum(sizes, 1e-9)[:, None]
    return sizes, shares


def half_widths(sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Half widths of the 95 % interval by number of looks.

    As of `labelling.expected_half_width`, with labels as they are to be expected: each stratum's
    looks show its shares, and `labelling.PRIOR` counts beside them, as in the interval itself.

    Parameters
    ----------
    sizes, shares : as of `strata_of`

    Returns
    -------
    (N + 1,) fractions, from no look to all N cells
    """
    whole = np.rint(sizes).astype(int)
    order = labelling.next_looks(list(whole))
    planned = np.zeros((len(order) + 1, len(whole)))
    planned[np.arange(1, len(order) + 1), order] = 1
    planned = planned.cumsum(axis=0)
    widths = []
    for looks in planned:
        labels = looks[:, None] * shares + labelling.PRIOR
        expected = labels / labels.sum(axis=1, keepdims=True)
        widths.append(labelling.half_width(whole, expected, looks))
    return np.array(widths)


def widths_of(design: Design, known: np.ndarray) -> np.ndarray:
    """Half widths of the interval of one planned movie by number of looks.

    Parameters
    ----------
    design, known : as of `strata_of`

    Returns
    -------
    (N + 1,) fractions, from no look to all N cells
    """
    return half_widths(*strata_of(design, known))


def looks_for_width(widths: np.ndarray, half_width: float) -> int | None:
    """Looks into one movie after which its interval is expected to be so narrow.

    Parameters
    ----------
    widths : of `widths_of`
    half_width : wanted, as a fraction

    Returns
    -------
    None where labelling every cell does not suffice: more cells must be filmed
    """
    enough = np.flatnonzero(widths <= half_width)
    # Fewer labels were never simulated.
    enough = enough[enough >= labelling.FEWEST_LOOKS]
    return int(enough[0]) if len(enough) else None


# --- a change between two blood draws ---


def looks_for_change(
    design: Design, widths: np.ndarray, change: float, power: float = POWER
) -> int | None:
    """Looks into each movie after which two blood draws show a change, by the two-sided test at the
    5 % level.

    Parameters
    ----------
    design : of the movies of both draws
    widths : of `widths_of`
    change : between the fractions of the two draws, in (0, 1)
    power : how often a change that is there is to be shown

    Returns
    -------
    None where no number of looks suffices: more cells or movies must be filmed
    """
    # Of the error of a draw, the part that looks can lower; the rest is the spread of its movies.
    wanted = (change / _errors_shown(power)) ** 2 / 2 * design.movies - _spread(design)
    return looks_for_width(widths, Z * np.sqrt(wanted)) if wanted > 0 else None


def smallest_change(design: Design, widths: np.ndarray, looks: int, power: float = POWER) -> float:
    """The smallest change that two blood draws show with so many looks into each movie.

    Parameters
    ----------
    design, widths, power : as of `looks_for_change`
    looks : more than there are cells count as all cells
    """
    of_movie = widths[min(looks, len(widths) - 1)] / Z
    error = np.sqrt((of_movie**2 + _spread(design)) / design.movies)
    return float(_errors_shown(power) * np.sqrt(2) * error)


def _spread(design: Design) -> float:
    """Variance between movies of one blood draw beyond that of their cells."""
    return design.correlation * design.fraction * (1 - design.fraction)


def _errors_shown(power: float) -> float:
    """How many standard errors a change must be to be shown so often."""
    return float(Z + stats.norm.ppf(power))


# --- a study ---


def spend(movies: Sequence[labelling.Sample], looks: int) -> list[int]:
    """How to divide looks among movies so that the sum of their variances becomes smallest.

    Looks go in fives to the movie whose variance they lower most. Every movie gets
    `labelling.FEWEST_LOOKS` first, as far as they last: below that no interval was simulated.

    Parameters
    ----------
    movies : sizes of the strata and labels so far of each movie
    looks : to be divided, besides those that were made

    Returns
    -------
    More looks of each movie
    """
    variances = [_variances(movie) for movie in movies]
    made = [movie.looks for movie in movies]
    at = list(made)
    for number, own in enumerate(variances):
        first = min(max(labelling.FEWEST_LOOKS - at[number], 0), len(own) - 1 - at[number], looks)
        at[number] += first
        looks -= first
    while looks > 0:
        gains = []
        for number, own in enumerate(variances):
            step = min(CHUNK, looks, len(own) - 1 - at[number])
            gains.append((own[at[number]] - own[at[number] + step], number, step))
        _, best, step = max(gains, key=lambda gain: (gain[2] > 0, gain[0]))
        if step == 0:  # every cell of every movie is labelled
            break
        at[best] += step
        looks -= step
    return [after - before for after, before in zip(at, made, strict=True)]


def _variances(movie: labelling.Sample) -> np.ndarray:
    """Expected variances of a movie's fraction by number of looks in all."""
    shapes = movie.counts + np.resize(labelling.PRIOR, movie.counts.shape)
    shares = shapes / shapes.sum(axis=1, keepdims=True)
    return (half_widths(movie.sizes, shares) / Z) ** 2
