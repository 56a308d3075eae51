"""The marker of one movie from cells that an operator labels, chosen at random.

The movie's cells are divided into strata by what the models predict. In each stratum some cells,
chosen at random, get an expert label. What the labels show of a stratum holds for the whole of it,
whatever the models do, so no error rates of other blood draws are needed (stratified sampling:
Cochran, Sampling Techniques, 3rd edition, chapter 5). What stage 1 discards is a stratum too.

Three kinds of uncertainty enter the interval: the shares of tank-treading, flipping and unreliable
cells in a stratum (Dirichlet distributed, as the labels tell), the cells of the stratum that have
no label (a sample of these shares), and the movie's cells as a sample of the blood (beta
distributed). Their draws give the density of the fraction on the grid of `rbc.marker`.

estimate.js holds `density`, `next_looks` and `expected_half_width` for the page of a report. All
draws come from one small generator of random numbers that is the same in both languages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import cos, log, pi, sqrt

import numpy as np
import pandas as pd
from numba import njit

from rbc.marker import FRACTIONS, STEP, TIE
from rbc.paper import LABELS

#: Strata by predicted class; `unsure` lies too near a threshold to be predicted.
STRATA = ("tank-treading", "flipping", "unsure", "unreliable")
#: Cells of each label (columns: `rbc.paper.LABELS`) that count as labelled in a stratum before any
#: look: one in all. They say weakly that predictions are mostly right, and keep a stratum without
#: a flipping cell among its labels from counting as free of them. Chosen by the coverage in
#: simulated movies and in movies resampled from the released sample.
PRIOR = np.array(
    [
        [0.60, 0.15, 0.25],
        [0.20, 0.55, 0.25],
        [1 / 3, 1 / 3, 1 / 3],
        [0.15, 0.25, 0.60],
    ]
)
#: How much a look into a stratum is worth for each of its cells. Cells predicted to flip are few,
#: and most of the flipping cells are among them. Chosen by simulated width.
WORTH = np.array([1.0, 3.0, 3.0, 1.0])
DRAWS = 4096  #: draws behind a density
#: Random labels from which on the interval is shown. In simulated movies it covers in nine of ten
#: or more from here on, whatever the design; with 25 it covered in .67 of healthy movies with many
#: unreliable cells (data/reference/labels.json).
FEWEST_LOOKS = 50


# --- which cells are labelled ---


def next_looks(sizes: Sequence[int], most: int | None = None) -> list[int]:
    """The stratum of each look, the first one first.

    Each look goes where it is worth most: to the stratum with the largest number of cells times
    `WORTH`, divided by the looks it has got. The order depends on the predictions alone, never on a
    label, so any number of looks from its start is a stratified random sample.

    Parameters
    ----------
    sizes : cells of each stratum
    most : looks; None: until every cell is labelled

    Returns
    -------
    Numbers of strata, as many as there are looks
    """
    worth = [float(size) * WORTH[number % len(WORTH)] for number, size in enumerate(sizes)]
    looks = [0] * len(worth)
    order: list[int] = []
    in_all = int(sum(sizes))
    for _ in range(in_all if most is None else min(most, in_all)):
        stratum, best = 0, -1.0
        for number, size in enumerate(sizes):
            value = worth[number] / (looks[number] + 1)
            if looks[number] < size and value > best:  # the first of equal ones
                stratum, best = number, value
        looks[stratum] += 1
        order.append(stratum)
    return order


def order_of_looks(names: Iterable[str], strata: Iterable[str], seed: int = 0) -> list[str]:
    """All cells of a movie in the order in which they are to be labelled.

    Within a stratum the order is random: by the SHA-256 of seed and name.

    Parameters
    ----------
    names : of the cells
    strata : what is predicted of each, of `STRATA`
    seed : another seed gives another order

    Returns
    -------
    Names; any number of them from the start is a stratified random sample
    """
    waiting: dict[str, list[str]] = {stratum: [] for stratum in STRATA}
    for name, stratum in zip(names, strata, strict=True):
        waiting[stratum].append(name)
    for own in waiting.values():
        own.sort(key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest(), reverse=True)
    sizes = [len(waiting[stratum]) for stratum in STRATA]
    return [waiting[STRATA[number]].pop() for number in next_looks(sizes)]


@dataclass(frozen=True)
class Sample:
    """Labels of one movie, or of several, by stratum.

    Sizes are (S,), labels (S, 3) with the columns of `rbc.paper.LABELS`.

    Attributes
    ----------
    sizes : cells of each stratum
    counts : labels of cells chosen at random
    known : all labels, those that the operator picked included
    looks : cells chosen at random that were looked at, those without an answer included
    """

    sizes: np.ndarray
    counts: np.ndarray
    known: np.ndarray
    looks: int

    @property
    def labelled(self) -> int:
        """Random labels that say a class."""
        return int(self.counts.sum())


def of_several(samples: Sequence[Sample], factor: float = 1.0) -> Sample:
    """The strata of several movies of one blood draw, one movie after the other.

    Parameters
    ----------
    samples : a movie each
    factor : how many times as much these movies differ as their cells explain; numbers of cells and
        labels are divided by it
    """
    sizes, counts, known = (
        np.concatenate([getattr(one, name) for one in samples]) / factor
        for name in ("sizes", "counts", "known")
    )
    return Sample(sizes, counts, known, sum(one.looks for one in samples))


def sample(cells: pd.DataFrame, labels: dict[str, str], seed: int | None) -> Sample:
    """Sort an operator's labels into random and picked ones.

    A label is random if its cell and all cells before it in `order_of_looks` are labelled, however
    the operator came to it. All others were picked.

    Parameters
    ----------
    cells : of one movie; columns name and decision (of `STRATA`)
    labels : by name; one of `rbc.paper.LABELS`, or anything else where the operator could not tell
    seed : of the order that the operator followed; None: all labels were picked
    """
    sizes = np.array([(cells["decision"] == stratum).sum() for stratum in STRATA])
    counts, known = np.zeros((2, len(STRATA), len(LABELS)), dtype=int)
    row = {name: STRATA.index(stratum) for name, stratum in cells[["name", "decision"]].to_numpy()}
    for name, label in labels.items():
        if label in LABELS:
            known[row[name], LABELS.index(label)] += 1
    looks = 0
    if seed is not None:
        for name in order_of_looks(cells["name"], cells["decision"], seed):
            if name not in labels:
                break
            looks += 1
            if labels[name] in LABELS:
                counts[row[name], LABELS.index(labels[name])] += 1
    return Sample(sizes, counts, known, looks)


# --- the density of the fraction ---


def density(
    found: Sample,
    prior: np.ndarray | None = None,
    strata: Sequence[int] | None = None,
    draws: int = DRAWS,
) -> np.ndarray:
    """How likely the labels make each fraction of tank-treading cells among reliable ones.

    Parameters
    ----------
    found : sizes and labels of the strata
    prior : (S, 3) cells of each label that count as labelled before any look; None: `PRIOR`
    strata : numbers of the strata that count; None: all. Without the last one the fraction is that
        of the cells that stage 1 keeps
    draws : of the fraction

    Returns
    -------
    (P,) float64: shares of `rbc.marker.FRACTIONS`; their sum is 1
    """
    if prior is None:
        prior = np.resize(PRIOR, found.counts.shape)
    chosen = list(range(len(found.sizes)) if strata is None else strata)
    shares = _draw(
        found.sizes[chosen].astype(float),
        found.counts[chosen].astype(float),
        prior[chosen].astype(float),
        (found.known - found.counts)[chosen].astype(float),
        draws,
        len(FRACTIONS),
    )
    return shares / shares.sum()


def expected_shares(rates: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Expected share of each label in each stratum, by Bayes' theorem.

    Parameters
    ----------
    rates : (3, 3) share of each prediction (tank-treading, flipping, discarded) in each class, as
        of `rbc.prevalence.rates`
    fractions : (3,) shares of the classes in the movie

    Returns
    -------
    (4, 3): `STRATA`; unsure cells are discarded ones. One cell in a thousand of each label is
    added, since no share is exactly 0
    """
    joint = rates * fractions + 1e-3
    shares = joint / joint.sum(axis=1, keepdims=True)
    return shares[[0, 1, 2, 2]]


@njit(cache=True)
def _draw(
    sizes: np.ndarray,
    counts: np.ndarray,
    prior: np.ndarray,
    picked: np.ndarray,
    draws: int,
    cells: int,
) -> np.ndarray:
    """Number of draws of the fraction in each cell of the grid.

    sizes (S,); counts (S, 3) of random labels, prior (S, 3), picked (S, 3) of other labels.
    """
    found = np.zeros(cells)
    share = np.empty(3)
    rest = np.empty(3)
    for number in range(draws):
        stream = number * (6 * len(sizes) + 2)
        treading = 0.5  # Jeffreys' prior of a binomial fraction
        flipping = 0.5
        for s in range(len(sizes)):
            if sizes[s] == 0:
                continue
            own = stream + 2 + 6 * s
            # The shares of the labels among all cells that could fall into this stratum.
            total = 0.0
            labelled = 0.0
            for c in range(3):
                share[c] = _gamma(counts[s, c] + prior[s, c], own + c)
                total += share[c]
                labelled += counts[s, c]
            # The cells without a random label: a sample of these shares (gamma distributed numbers
            # of them, as a continuous multinomial distribution).
            unlabelled = max(sizes[s] - labelled, 0.0)
            sum_of_rest = 0.0
            for c in range(3):
                rest[c] = _gamma(max(unlabelled * share[c] / total, 1e-9), own + 3 + c)
                sum_of_rest += rest[c]
            scale = unlabelled / sum_of_rest
            # At least as many of them as the operator picked have the picked labels.
            treading += counts[s, 0] + max(rest[0] * scale, picked[s, 0])
            flipping += counts[s, 1] + max(rest[1] * scale, picked[s, 1])
        # The movie's cells are a sample of the blood.
        first = _gamma(treading, stream)
        second = _gamma(flipping, stream + 1)
        angle = np.arcsin(np.sqrt(first / (first + second)))
        # Halves and quarters lie on the edge of a cell: rounding must not choose it.
        found[min(int(angle / STEP + TIE), cells - 1)] += 1
    return found


# --- random numbers that report.html draws alike ---


@njit(cache=True)
def _scramble(x: int) -> int:
    """A 32-bit number in which every bit of x counts (the finaliser of MurmurHash3)."""
    x &= 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ (x >> 16)


@njit(cache=True)
def _uniform(stream: int, step: int) -> float:
    """The number of a step of a stream, between 0 and 1, both excluded."""
    return (_scramble(_scramble(stream + 1) + step * 0x9E3779B9) + 0.5) / 4294967296.0


@njit(cache=True)
def _gamma(shape: float, stream: int) -> float:
    """A gamma distributed number (Marsaglia & Tsang, ACM Trans. Math. Softw. 26:363, 2000)."""
    scale = 1.0
    step = 0
    if shape < 1:  # their section 6
        scale = _uniform(stream, step) ** (1 / shape)
        step += 1
        shape += 1
    d = shape - 1 / 3
    c = 1 / sqrt(9 * d)
    while True:
        # Normal by Box and Muller.
        radius = sqrt(-2 * log(_uniform(stream, step)))
        x = radius * cos(2 * pi * _uniform(stream, step + 1))
        u = _uniform(stream, step + 2)
        step += 3
        v = (1 + c * x) ** 3
        if v > 0 and log(u) < 0.5 * x * x + d - d * v + d * log(v):
            return max(d * v * scale, 1e-300)


# --- how many looks are needed ---


def expected_half_width(found: Sample, looks: int) -> float:
    """Half the width of the 95 % interval that so many looks are expected to give.

    The error of a ratio by linearisation (Cochran, chapter 6), with the shares that the labels so
    far show.

    Parameters
    ----------
    found : sizes and labels so far
    looks : looks in all, those so far included; more than there are cells count as all cells
    """
    shapes = found.counts + np.resize(PRIOR, found.counts.shape)
    shares = shapes / shapes.sum(axis=1, keepdims=True)
    return planned_half_width(found.sizes, shares, looks)


def planned_half_width(sizes: np.ndarray, shares: np.ndarray, looks: int) -> float:
    """The same before any look, from the shares that are expected.

    Parameters
    ----------
    sizes : (S,) cells of each stratum
    shares : (S, 3) expected share of each label in a stratum (`expected_shares`)
    looks : looks in all
    """
    order = next_looks(list(sizes), looks)
    return half_width(sizes, shares, np.bincount(order, minlength=len(sizes)))


def half_width(sizes: np.ndarray, shares: np.ndarray, planned: np.ndarray) -> float:
    """Half the width from shares of labels (S, 3) and planned looks (S,) of each stratum."""
    weight = sizes / sizes.sum()
    reliable = float(weight @ (shares[:, 0] + shares[:, 1]))
    p = float(weight @ shares[:, 0]) / reliable
    # A cell contributes 1 - p if it tank-treads, -p if it flips, 0 if it is unreliable.
    mean = shares[:, 0] * (1 - p) - shares[:, 1] * p
    square = shares[:, 0] * (1 - p) ** 2 + shares[:, 1] * p**2
    of_labels = weight**2 @ ((square - mean**2) / (planned + PRIOR.sum(axis=1).mean() + 1))
    of_cells = weight @ mean**2 / (sizes.sum() + 1)
    return 1.96 * sqrt(of_labels + of_cells) / reliable


def looks_for(found: Sample, half_width: float) -> int | None:
    """Looks in all after which the interval is expected to be so narrow; None where labelling every
    cell does not suffice.

    Parameters
    ----------
    found : sizes and labels so far
    half_width : wanted, as a fraction
    """
    low, high = 0, int(found.sizes.sum())
    if expected_half_width(found, high) > half_width:
        return None
    while low < high:
        middle = (low + high) // 2
        if expected_half_width(found, middle) <= half_width:
            high = middle
        else:
            low = middle + 1
    return low
