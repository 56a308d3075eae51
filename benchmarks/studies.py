"""How often the intervals of `rbc study` hold the truth: those of blood draws, and of changes
between them; the last line is one JSON object.

    python benchmarks/studies.py [--repetitions 100] [--jobs 2] [--out data/reference/studies.json]
    python benchmarks/studies.py --smoke

Everything is simulated: no cell, real or drawn, is looked at. Two patients give blood on three
days, two movies each day. The movies of a draw differ not at all, or as much as those of Table 5
do; the models err otherwise in each draw, as in benchmarks/intervals.py. `shown` is the share of
true changes of 20 points or more whose interval excludes 0, `false` that of no change.
"""

from __future__ import annotations

import argparse
import itertools
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from intervals import MOVIE, RELIABLE_OF_A_DRAW, _rates, correlation

from compendium import runs
from rbc import prevalence
from rbc.bench import draws
from rbc.paper import LABELS

#: fraction of tank-treading of each patient on each day: a fall in a crisis, a slow rise
TRUTHS = {"A": (0.9, 0.9, 0.5), "B": (0.75, 0.9, 0.95)}
MOVIES = 2  #: of each draw
KNOWN_DRAWS, KNOWN_UNRELIABLE = 3, 140  #: labelled, as in known.json
RHOS = (0.05, 0.2, 0.6)  #: correlations of the models' answers within a draw
PER_RELIABLE = (0, 1)  #: unreliable cells for each reliable one
LARGE = 0.2  #: a change that a patient would want to be shown


def main() -> None:
    """Simulate all designs and print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repetitions", type=int, default=100, help="studies of each design")
    options.add_argument("--jobs", type=int, default=1, help="designs at the same time")
    options.add_argument("--out", type=Path, help="also write the JSON there")
    options.add_argument("--smoke", action="store_true", help="one design, twice")
    chosen = options.parse_args()
    designs = list(itertools.product((0.0, correlation()), RHOS, PER_RELIABLE))
    repetitions = 2 if chosen.smoke else chosen.repetitions
    designs = designs[:1] if chosen.smoke else designs
    with ProcessPoolExecutor(chosen.jobs) as pool:
        numbered = (itertools.repeat(repetitions), itertools.count(), *zip(*designs, strict=True))
        rows = list(pool.map(coverage_of, *numbered))
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    content = {
        "simulated": True,
        "what": "coverage of nominal 95 % intervals of rbc study, from simulated answers: no real"
        " cells",
        "movies_of_a_draw": MOVIES,
        "reliable_of_a_movie": MOVIE,
        "rows": rows,
        **runs.checkout(),
        "finished": runs.now(),
    }
    if chosen.out:
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content))


def coverage_of(
    repetitions: int, number: int, between_movies: float, rho: float, per_reliable: float
) -> dict:
    """One design.

    Parameters
    ----------
    repetitions : studies simulated
    number : part of the seed
    between_movies : correlation of the cells of one movie of a draw
    rho : correlation of the models' answers within a draw
    per_reliable : unreliable cells for each reliable one
    """
    rng = np.random.default_rng([20261125, number])
    found = [_study(rng, between_movies, rho, per_reliable) for _ in range(repetitions)]
    drawn, changed = (pd.concat(tables) for tables in zip(*found, strict=True))
    told = drawn[drawn["withheld"].isna()]
    large, none = changed[changed["truth"].abs() >= LARGE], changed[changed["truth"] == 0]
    return {
        "between_movies": round(between_movies, 4),
        "correlation": rho,
        "per_reliable": per_reliable,
        "repetitions": repetitions,
        "withheld": float(drawn["withheld"].notna().mean()),
        "covered": _held(told),
        "mean_width": float((told["high"] - told["low"]).mean()),
        "changes_covered": _held(changed),
        "changes_mean_width": float((changed["high"] - changed["low"]).mean()),
        "shown": float(_excludes_0(large).mean()),
        "false": float(_excludes_0(none).mean()),
    }


def _held(table: pd.DataFrame) -> float:
    """Share of intervals that hold their truth."""
    return float(table["truth"].between(table["low"], table["high"]).mean())


def _excludes_0(changes: pd.DataFrame) -> pd.Series:
    return (changes["low"] > 0) | (changes["high"] < 0)


def _study(
    rng: np.random.Generator, between_movies: float, rho: float, per_reliable: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draws and changes of one simulated study, each with its truth."""
    rows, truths = [], {}
    for patient, days in TRUTHS.items():
        for day, truth in enumerate(days, 1):
            draw, rates = f"{patient}{day}", _rates(rng, rho)
            truths[draw] = truth
            for movie in range(MOVIES):
                answers = _answers(rng, _own(rng, truth, between_movies), rates, per_reliable)
                rows.append((f"{draw}-{movie}", patient, f"01-0{day}", draw, *answers))
    columns = ["name", "patient", "date", "draw", *prevalence.ANSWERS]
    movies = pd.DataFrame(rows, columns=columns).assign(**dict.fromkeys(draws.OWN, 0.0))
    drawn, changed = draws.by_draw(movies, _known(rng, rho))
    apart = changed["later"].map(truths) - changed["earlier"].map(truths)
    return drawn.assign(truth=drawn["draw"].map(truths)), changed.assign(truth=apart.round(9))


def _own(rng: np.random.Generator, truth: float, correlation: float) -> float:
    """The fraction of one movie of a draw."""
    if correlation == 0:
        return truth
    strength = (1 - correlation) / correlation
    return rng.beta(truth * strength, (1 - truth) * strength)


def _answers(
    rng: np.random.Generator, fraction: float, rates: np.ndarray, per_reliable: float
) -> np.ndarray:
    """Counts of answers of one movie, (3,)."""
    treading = rng.binomial(MOVIE, fraction)
    cells = (treading, MOVIE - treading, rng.poisson(per_reliable * MOVIE))
    return np.sum([rng.multinomial(n, p) for n, p in zip(cells, rates.T, strict=True)], axis=0)


def _known(rng: np.random.Generator, rho: float) -> pd.DataFrame:
    """Labelled cells of other draws: acquisition, label, answer."""
    rows = []
    for draw in range(KNOWN_DRAWS):
        cells = (*RELIABLE_OF_A_DRAW, KNOWN_UNRELIABLE // KNOWN_DRAWS)
        for label, n, p in zip(LABELS, cells, _rates(rng, rho).T, strict=True):
            for answer, count in zip(prevalence.ANSWERS, rng.multinomial(n, p), strict=True):
                rows += [(f"K{draw}_1", label, answer)] * count
    return pd.DataFrame(rows, columns=["acquisition", "label", "answer"])


if __name__ == "__main__":
    main()
