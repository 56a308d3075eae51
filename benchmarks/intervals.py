"""How often 95 % intervals hold the truth: simulated counts and calls from known truths; the last
line is one JSON object.

    python benchmarks/intervals.py [--repetitions 500] [--out data/reference/coverage.json]
    python benchmarks/intervals.py --validity --repetitions 200 [--jobs 2] [--out rbc/validity.json]
    python benchmarks/intervals.py --validity --smoke

With --validity: the end-to-end interval of `rbc.marker` at the designs we really have. --smoke: two
of them.

Everything is simulated: no cell, real or drawn, is looked at. Classifiers have the paper's recall
and specificity (Figure 3) and were tried on a validation split of the paper's size (Table 2), drawn
anew each time. Over-dispersed movies differ from each other as much as those of Table 5 do, beyond
what their numbers of cells explain. The truth is that of the blood or of all cells to come, not of
the cells at hand. Column covered: the share of intervals that hold it (an undefined one holds
nothing); chance: the standard error of that share.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm, t

from compendium import runs
from rbc import marker, metrics, prevalence
from rbc.bench import analyze, classify
from rbc.paper import LABELS, reported

RECALL, SPECIFICITY = 0.94, 0.99  # Figure 3 of the paper, stage 2
STAGE1 = (0.92, 0.97)  # the same of stage 1
VALIDATION = {"tank-treading": 649, "flipping": 95, "unreliable": 18251}  # Table 2
UNRELIABLE = 29  #: unreliable cells for each reliable one, as in Table 2's test split
FRACTIONS = (0.70, 0.93, 0.99)
SIZES = (30, 200, 1000)
CLUSTERS = (2, 4, 9)
MOVIE = 200  #: reliable cells of a movie, about Table 5's mean
DRAWS = 500  #: bootstrap samples behind each interval

Interval = tuple[float, float]
Case = tuple[dict, float, Callable[[np.random.Generator], Interval]]


def main() -> None:
    """Run all cases and print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repetitions", type=int, default=500, help="of each case")
    options.add_argument("--out", type=Path, help="also write the JSON there")
    options.add_argument(
        "--validity", action="store_true", help="the end-to-end interval by design"
    )
    options.add_argument(
        "--smoke", action="store_true", help="with --validity: two designs, five repetitions"
    )
    options.add_argument(
        "--jobs", type=int, default=1, help="with --validity: designs simulated at once"
    )
    chosen = options.parse_args()
    if chosen.validity:
        return validity(chosen.repetitions, chosen.smoke, chosen.jobs, chosen.out)
    started, rho = time.perf_counter(), correlation()
    rows = [measure(case, chosen.repetitions, number) for number, case in enumerate(cases(rho))]
    print(
        pd.DataFrame(rows).to_string(index=False, na_rep=""),
        f"\n{time.perf_counter() - started:.0f} s",
    )
    what = (
        "coverage of nominal 95 % intervals, from simulated counts and calls with known truths:"
        " no real cells"
    )
    settings = {
        "recall": RECALL,
        "specificity": SPECIFICITY,
        "stage1": STAGE1,
        "validation": VALIDATION,
        "rho": rho,
    }
    content = {"simulated": True, "what": what, "nominal": 0.95, "settings": settings, "rows": rows}
    content |= {**runs.checkout(), "finished": runs.now()}
    if chosen.out:
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content))


def cases(rho: float) -> list[Case]:
    """Everything that is tried; its number in this list is part of a case's seed."""
    single = [*one_movie(rho), *one_movie_by_probability(), *one_movie_end_to_end()]
    many = [*several_movies(rho), *two_classifiers(rho), *agreement(), *several_draws()]
    return [*single, *many]


# --- the end-to-end interval by design ---

#: What the shipped models say (rows: `prevalence.ANSWERS`) of labelled cells (columns: `LABELS`).
#: As in `rbc.marker` a third of a cell is added, since no rate is known to be exactly 0.
SAID = marker.PSEUDO + prevalence.by_draw(
    analyze.errors_of_others(analyze.read_known(classify.MODELS), set())
).sum(axis=0)
#: known tank-treading and flipping cells of a blood draw, as in known.json
RELIABLE_OF_A_DRAW = (21, 21)


def validity(repetitions: int, smoke: bool, jobs: int, out: Path | None) -> None:
    """How often the interval of `marker.interval` holds the truth, by design; prints the rows as
    JSON.
    """
    designs = list(product(TRUTHS, BLOOD_DRAWS, RHOS, KNOWN_UNRELIABLE, PER_RELIABLE))
    if smoke:
        designs, repetitions = designs[:2], 5
    # A design's number is its seed: the figures are the same with any number of jobs.
    with ProcessPoolExecutor(jobs) as pool:
        numbered = (itertools.repeat(repetitions), itertools.count(), *zip(*designs))
        rows = list(pool.map(coverage_of, *numbered))
    what = (
        "coverage of the nominal 95 % end-to-end interval by design, from simulated answers: no"
        " real cells"
    )
    content = {"simulated": True, "what": what, "nominal": 0.95}
    content |= {"rate_draws": VALIDITY_DRAWS, "rows": rows}
    content |= {**runs.checkout(), "finished": runs.now()}
    if out:
        out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content))


#: fractions of tank-treading cells in these movies, sick to healthy
TRUTHS = (0.5, 0.7, 0.86, 0.93, 0.99)
BLOOD_DRAWS = (2, 3, 10)  #: with labelled cells; known.json has three, two when one is left out
#: Correlations between cells of a draw. In known.json the most likely ones are .4 (tank-treading),
#: .2 (flipping) and .02 (unreliable).
RHOS = (0.05, 0.2, 0.6)
#: Labelled unreliable cells; 143 in known.json. With 140, or 18,000, intervals were narrower by
#: eight points at most, so that the fewest stand for all.
KNOWN_UNRELIABLE = (50,)
PER_RELIABLE = (0, 1, 5, 15)  #: unreliable cells in the movie; the paper has 15 to 30
#: Error rates drawn behind each simulated interval. `rbc analyze` draws `marker.DRAWS`, four times
#: as many, which takes ten times as long.
VALIDITY_DRAWS = 2048


def coverage_of(
    repetitions: int,
    number: int,
    truth: float,
    draws: int,
    rho: float,
    unreliable: int,
    per_reliable: float,
) -> dict:
    """How often the end-to-end interval of one design holds the truth, and how wide it is.

    Parameters
    ----------
    repetitions : movies simulated
    number : part of the seed
    truth : fraction of tank-treading among the reliable cells of the movie
    draws : blood draws with labelled cells
    rho : correlation between the calls of the cells of one draw
    unreliable : labelled unreliable cells, all draws together
    per_reliable : unreliable cells of the movie for each reliable one
    """
    rng = np.random.default_rng([20230745, number])
    found = np.array(
        [_end_to_end(rng, truth, draws, rho, unreliable, per_reliable) for _ in range(repetitions)]
    )
    low, high = found.T
    covered = (low <= truth) & (high >= truth)
    return {
        "truth": truth,
        "draws": draws,
        "correlation": rho,
        "known_unreliable": unreliable,
        "per_reliable": per_reliable,
        "covered": float(covered.mean()),
        "mean_width": round(float((high - low).mean()), 4),
        "wide": float((high - low > marker.WIDEST).mean()),
        "repetitions": repetitions,
    }


def _end_to_end(
    rng: np.random.Generator,
    truth: float,
    draws: int,
    rho: float,
    unreliable: int,
    per_reliable: float,
) -> Interval:
    """Interval of one simulated movie of a blood draw of its own, its errors known from others."""
    known = np.zeros((draws, 3, 3))
    for i in range(draws):
        # The rest of the division goes to the first draws, so that the row's number is the one
        # simulated.
        counts = (*RELIABLE_OF_A_DRAW, unreliable // draws + (i < unreliable % draws))
        known[i] = np.transpose([rng.multinomial(n, p) for n, p in zip(counts, _rates(rng, rho).T)])
    treading = rng.binomial(MOVIE, truth)
    counts = (treading, MOVIE - treading, rng.poisson(per_reliable * MOVIE))
    said = np.sum([rng.multinomial(n, p) for n, p in zip(counts, _rates(rng, rho).T)], axis=0)
    found = marker.interval(said, marker.rate_draws(known, VALIDITY_DRAWS, rng))
    return found.low, found.high


def _rates(rng: np.random.Generator, rho: float) -> np.ndarray:
    """Rates of a blood draw, each class's Dirichlet distributed with intraclass correlation rho."""
    columns = [rng.dirichlet(c * (1 - rho) / rho) for c in (SAID / SAID.sum(axis=0)).T]
    return np.transpose(columns)


def correlation() -> float:
    """Correlation of the cells of one movie that makes Table 5's over-dispersion within
    patients.
    """
    table = reported("table5")
    part = (table["ground_truth_percent"] * table["n_reliable"] / 100).round()
    factor = prevalence.dispersion(part, table["n_reliable"], table["patient"])
    return float(prevalence.dispersion_at(2, factor, table["n_reliable"].mean()) - 1)


def measure(case: Case, repetitions: int, number: int) -> dict:
    """Share of intervals that hold the truth, share that cannot be computed, and their mean
    width.
    """
    what, truth, interval = case
    rng = np.random.default_rng([20230745, number])
    low, high = np.array([interval(rng) for _ in range(repetitions)]).T
    covered = float(((low <= truth) & (truth <= high)).mean())
    return {
        **what,
        "truth": round(truth, 4),
        "covered": covered,
        "chance": round((covered * (1 - covered) / repetitions) ** 0.5, 4),
        "undefined": float(np.isnan(low).mean()),
        "mean_width": round(float(np.nanmean(high - low)), 4),
        "repetitions": repetitions,
    }


def rate(rng: np.random.Generator, mean: float, rho: float) -> float:
    """What a movie has of a rate: the mean itself, or beta distributed about it with intraclass
    correlation rho.
    """
    return rng.beta(mean * (1 / rho - 1), (1 - mean) * (1 / rho - 1)) if rho else mean


def calls(
    rng: np.random.Generator, treading: int, flipping: int, acquisition: str, rho: float = 0.0
) -> pd.DataFrame:
    """Stage 2 predictions, 0 or 1, of so many cells."""
    labels = np.repeat(["tank-treading", "flipping"], [treading, flipping])
    p = np.where(labels == "flipping", rate(rng, RECALL, rho), 1 - rate(rng, SPECIFICITY, rho))
    return pd.DataFrame(
        {"acquisition": acquisition, "label": labels, "probability": (rng.random(len(p)) < p) * 1.0}
    )


def movie(
    rng: np.random.Generator, fraction: float, n: int, rho: float, name: str = "T1_10s01"
) -> pd.DataFrame:
    """Calls of a movie of n reliable cells."""
    treading = rng.binomial(n, rate(rng, fraction, rho))
    return calls(rng, treading, n - treading, name)


def known(rng: np.random.Generator) -> pd.DataFrame:
    """Calls on the validation split, four acquisitions of one blood draw each."""
    table = calls(rng, VALIDATION["tank-treading"], VALIDATION["flipping"], "")
    return table.assign(acquisition=[f"V{i}_10s01" for i in rng.integers(4, size=len(table))])


def one_movie(rho: float) -> Iterator[Case]:
    """Intervals of the fraction of tank-treading cells from one movie, and of F1."""

    def by_hand(rng: np.random.Generator, p: float, n: int, r: float) -> Interval:
        return metrics.wilson(rng.binomial(n, rate(rng, p, r)), n)

    def counted(rng: np.random.Generator, p: float, n: int, r: float) -> Interval:
        return metrics.wilson(int((movie(rng, p, n, r)["probability"] == 0).sum()), n)

    def adjusted(rng: np.random.Generator, p: float, n: int, r: float) -> Interval:
        return prevalence.estimate(movie(rng, p, n, r), known(rng), "adjusted count", DRAWS)[1:]

    def closed(rng: np.random.Generator, p: float, n: int, r: float) -> Interval:
        k, m = VALIDATION["tank-treading"], VALIDATION["flipping"]
        called = int((movie(rng, p, n, r)["probability"] == 0).sum())
        return prevalence.lang_reiczigel(
            called, n, rng.binomial(k, SPECIFICITY), k, rng.binomial(m, 1 - RECALL), m
        )

    def f1(rng: np.random.Generator, p: float, n: int, r: float) -> Interval:
        c = metrics.confusion(movie(rng, p, n, r), 2)
        drawn = np.random.default_rng(0).multinomial(
            c.n, np.array([c.tp, c.fp, c.fn, c.tn]) / c.n, DRAWS
        )
        return metrics.percentiles(metrics.Confusion(*drawn.T).f1)

    def f1_wilson(rng: np.random.Generator, p: float, n: int, r: float) -> Interval:
        return metrics.f1_interval(metrics.confusion(movie(rng, p, n, r), 2))

    named = {
        "fraction by hand, Wilson": by_hand,
        "fraction by classify and count, Wilson": counted,
        "fraction by adjusted count, bootstrap": adjusted,
        "fraction by adjusted count, Lang and Reiczigel": closed,
        "F1, bootstrap": f1,
        "F1, Wilson indirect": f1_wilson,
    }
    for (name, interval), r, p, n in product(named.items(), (0.0, rho), FRACTIONS, SIZES):
        tp, fp = (1 - p) * RECALL, p * (1 - SPECIFICITY)
        truth = 2 * tp / (tp + fp + 1 - p) if name.startswith("F1") else p
        what = {"interval": name, "movies": 1, "cells": n, "fraction": p, "over_dispersed": r > 0}
        if not (name.startswith("F1") and r):  # there the rates, not the fraction, are in question
            yield what, truth, lambda rng, f=interval, p=p, n=n, r=r: f(rng, p, n, r)


def one_movie_by_probability(fraction: float = 0.93) -> Iterator[Case]:
    """Intervals from probabilities: normal scores about the paper's rates, as log odds too sure of
    themselves.
    """

    def score(
        rng: np.random.Generator, treading: int, flipping: int, acquisition: str
    ) -> pd.DataFrame:
        centre = np.repeat([-norm.ppf(SPECIFICITY), norm.ppf(RECALL)], [treading, flipping])
        table = calls(rng, treading, flipping, acquisition)
        return table.assign(probability=expit(2 * (centre + rng.normal(size=len(centre)))))

    def interval(rng: np.random.Generator, method: str) -> Interval:
        treading = rng.binomial(MOVIE, fraction)
        learned = score(rng, VALIDATION["tank-treading"], VALIDATION["flipping"], "V1_10s01")
        movie = score(rng, treading, MOVIE - treading, "T1_10s01")
        return prevalence.estimate(movie, learned, method, draws=200)[1:]  # EMQ is the slowest

    for method in ("probabilistic adjusted count", "EMQ"):
        what = {
            "interval": f"fraction by {method}, bootstrap",
            "movies": 1,
            "cells": MOVIE,
            "fraction": fraction,
        }
        yield {**what, "over_dispersed": False}, fraction, lambda rng, m=method: interval(rng, m)


def one_movie_end_to_end(fraction: float = 0.93, flipping: float = 0.2) -> Iterator[Case]:
    """The same with unreliable cells in it, 3 x 3; stage 2 calls a share `flipping` of those that
    it gets flipping.
    """
    rates = prevalence.two_stage_rates(STAGE1, (RECALL, SPECIFICITY), flipping)

    def answers(rng: np.random.Generator, counts: list[int], acquisition: str) -> pd.DataFrame:
        table = np.stack([rng.multinomial(n, column) for n, column in zip(counts, rates.T)])
        labels, said = np.repeat(
            [(c, a) for c in range(3) for a in range(3)], table.ravel(), axis=0
        ).T
        table = {"label": np.array(LABELS)[labels], "answer": np.array(prevalence.ANSWERS)[said]}
        return pd.DataFrame(table).assign(acquisition=acquisition)

    def interval(rng: np.random.Generator) -> Interval:
        treading = rng.binomial(MOVIE, fraction)
        movie = answers(
            rng, [treading, MOVIE - treading, rng.poisson(UNRELIABLE * MOVIE)], "T1_10s01"
        )
        known = prevalence.by_draw(answers(rng, list(VALIDATION.values()), "V1_10s01"))
        said = movie["answer"].value_counts().reindex(prevalence.ANSWERS, fill_value=0).to_numpy()
        # Also where `marker.withheld` would give none: how often it holds is the question.
        ours = marker.interval(said, marker.rate_draws(known, marker.DRAWS, rng))
        return ours.low, ours.high

    name = "fraction end to end, errors drawn (rbc.marker)"
    what = {
        "interval": name,
        "movies": 1,
        "cells": MOVIE,
        "fraction": fraction,
        "over_dispersed": False,
    }
    yield what, fraction, interval


def several_movies(rho: float, fraction: float = 0.93) -> Iterator[Case]:
    """Pooled scores and fractions of movies of different blood draws."""

    def movies(rng: np.random.Generator, clusters: int, r: float) -> pd.DataFrame:
        parts = []
        for i in range(clusters):
            treading = rng.binomial(MOVIE, rate(rng, fraction, r))
            parts.append(calls(rng, treading, MOVIE - treading, f"T{i}_10s01", r))
        return pd.concat(parts, ignore_index=True).assign(name=np.arange(clusters * MOVIE))

    def independent(rng: np.random.Generator, clusters: int, r: float) -> Interval:
        c = metrics.confusion(movies(rng, clusters, r), 2)
        return metrics.wilson(c.tn, c.tn + c.fp)

    def clustered(rng: np.random.Generator, clusters: int, r: float) -> Interval:
        return metrics.clustered(movies(rng, clusters, r), 2, "specificity", DRAWS)

    def adjusted(rng: np.random.Generator, clusters: int, r: float) -> Interval:
        return prevalence.estimate(movies(rng, clusters, r), known(rng), "adjusted count", DRAWS)[
            1:
        ]

    named = {
        "pooled specificity, Wilson": (independent, SPECIFICITY),
        "pooled specificity, clustered bootstrap": (clustered, SPECIFICITY),
        "pooled fraction by adjusted count, clustered bootstrap": (adjusted, fraction),
    }
    for (name, (interval, truth)), r, k in product(named.items(), (0.0, rho), CLUSTERS):
        what = {
            "interval": name,
            "movies": k,
            "cells": k * MOVIE,
            "fraction": fraction,
            "over_dispersed": r > 0,
        }
        yield what, truth, lambda rng, f=interval, k=k, r=r: f(rng, k, r)


#: blood draws of two movies each; 3 are those of the released sample's test acquisitions
OF_DRAWS = (3, 6, 9, 15, 24)
DRAW_RHOS = (0.0, 0.05, 0.2, 0.6)  #: the correlation of the released sample's recall may be .55


def several_draws(cells: int = 42) -> Iterator[Case]:
    """A recall of blood draws that differ: the clustered bootstrap, and Student's t over draws.

    The truth is the mean over all draws that there could be.
    """

    def table(rng: np.random.Generator, n: int, rho: float) -> pd.DataFrame:
        rates = [rate(rng, RECALL, rho) for _ in range(n)]
        found = rng.random((n, cells)) < np.array(rates)[:, None]
        names = [f"T{draw}_10s0{i % 2}" for draw in range(n) for i in range(cells)]
        own = pd.DataFrame({"acquisition": names, "label": "flipping", "name": range(n * cells)})
        return own.assign(probability=found.ravel() * 1.0)

    def clustered(rng: np.random.Generator, n: int, rho: float) -> Interval:
        return metrics.clustered(table(rng, n, rho), 2, "recall", DRAWS)

    def over_draws(rng: np.random.Generator, n: int, rho: float) -> Interval:
        found = table(rng, n, rho)["probability"].to_numpy().reshape(n, cells).mean(axis=1)
        reach = t.ppf(0.975, n - 1) * found.std(ddof=1) / n**0.5
        return max(0.0, found.mean() - reach), min(1.0, found.mean() + reach)

    named = {"clustered bootstrap": clustered, "Student's t over draws": over_draws}
    for (name, interval), n, rho in product(named.items(), OF_DRAWS, DRAW_RHOS):
        what = {"interval": f"recall of several blood draws, {name}", "draws": n}
        what |= {"movies": 2 * n, "cells": n * cells, "correlation": rho, "over_dispersed": rho > 0}
        yield what, RECALL, lambda rng, f=interval, n=n, r=rho: f(rng, n, r)


def two_classifiers(rho: float, fraction: float = 0.7, n: int = 50) -> Iterator[Case]:
    """Difference of two variants' recall on the same movies, a few seeds each.

    A flipping cell is found where cell + movie + movie for this variant + seed + noise, all normal,
    stay below the variant's threshold. The seed's part is such that recall varies by about two
    points between seeds.
    """
    cell, common, own, seed_sd, noise = sway = np.array([0.7, rho**0.5, 0.2, 0.15, 0.7])
    thresholds = norm.ppf([0.94, 0.90]) * np.linalg.norm(sway)

    def interval(rng: np.random.Generator, movies: list[str], seeds: int) -> Interval:
        index = pd.DataFrame({"acquisition": np.repeat(movies, n)}).assign(stage=2)
        index["label"] = np.where(index.index % n < n * fraction, "tank-treading", "flipping")
        index["name"] = index.index
        ease = cell * rng.normal(size=len(index)) + common * np.repeat(
            rng.normal(size=len(movies)), n
        )
        tables = []
        for threshold in thresholds:
            base = ease + own * np.repeat(rng.normal(size=len(movies)), n)
            found = (
                base
                + seed_sd * rng.normal(size=(seeds, 1))
                + noise * rng.normal(size=(seeds, len(index)))
            )
            probability = (found < threshold) * 1.0
            tables.append(
                pd.concat([index.assign(seed=s, probability=p) for s, p in enumerate(probability)])
            )
        ours = metrics.difference(*tables, "recall", DRAWS)
        return ours["low"], ours["high"]

    own_days = [f"T{i}_10s01" for i in range(9)]
    # as in the part of the released sample at hand
    three_days = [f"T{i // 2}_10s0{i % 2}" for i in range(6)]
    for movies, seeds in ((own_days, 3), (own_days, 5), (three_days, 3)):
        what = {"interval": "difference of two recalls, clustered bootstrap over cells and seeds"}
        what |= {
            "movies": len(movies),
            "cells": len(movies) * n,
            "seeds": seeds,
            "over_dispersed": True,
        }
        yield what, 0.04, lambda rng, m=movies, s=seeds: interval(rng, m, s)


def agreement(acquisitions: int = 9) -> Iterator[Case]:
    """Upper limit of agreement of nine normal differences."""

    def interval(rng: np.random.Generator) -> Interval:
        ours = prevalence.bland_altman(rng.normal(size=acquisitions), np.zeros(acquisitions))
        return ours["upper_low"], ours["upper_high"]

    yield (
        {"interval": "limit of agreement (Bland-Altman)", "movies": acquisitions},
        prevalence.Z,
        interval,
    )


if __name__ == "__main__":
    main()
