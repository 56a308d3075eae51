"""How often intervals from cells labelled at random cover the truth, and how wide they are; the
last line is one JSON object.

    python benchmarks/labels.py [--repetitions 1000] [--jobs 2] [--out data/reference/labels.json]
    python benchmarks/labels.py --sample DATA [--out data/reference/labels-released.json]
    python benchmarks/labels.py --smoke

Everything is simulated but with --sample: no cell, real or drawn, is looked at. A movie has so many
reliable cells of a known fraction of tank-treading ones, and so many unreliable ones. Models
predict them with the error rates of a blood draw of its own (`benchmarks/intervals.py`). Of these
cells some are labelled, in the order of `rbc.labelling.next_looks`, and all labels are right. The
truth is that of the blood, not of the cells at hand.

Intervals are made with a quarter of the draws that `rbc` takes, because these cost most of the
time. That makes coverage a little worse than it is.

With --sample: movies are drawn with replacement from the labelled cells of one blood draw of the
authors' released sample at a time, with the predictions that the shipped models' kept results have
for them (data/reference/ours). All its cells are real.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from intervals import SAID

from compendium import runs
from rbc import labelling, marker
from rbc.labelling import STRATA, Sample
from rbc.paper import LABELS

SEED = 20261201  #: nothing in `rbc.labelling` was tuned with movies of this seed
LOOKS = (25, 50, 100, 200)
TRUTHS = (0.5, 0.7, 0.86, 0.93, 0.99)
RELIABLE = (100, 300, 1000)
PER_RELIABLE = (0, 1, 3, 10, 20)  #: unreliable cells
CORRELATIONS = (0.0, 0.2, 0.6)  #: between the predictions for the cells of a draw
WRONG = 0.3  #: share of flipping cells that the models of a bad draw predict to tank-tread
MEAN_RATES = SAID / SAID.sum(axis=0)  # (prediction, class)
DISCARDED = STRATA.index("unreliable")


def main() -> None:
    """Simulate every design and print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repetitions", type=int, default=1000, help="movies of each design")
    options.add_argument("--jobs", type=int, default=1, help="designs simulated at once")
    options.add_argument("--out", type=Path, help="also write the JSON there")
    options.add_argument("--smoke", action="store_true", help="two designs, five movies each")
    options.add_argument("--sample", action="store_true", help="real cells of the released sample")
    chosen = options.parse_args()
    started = time.perf_counter()
    designs = list(enumerate(all_designs()))
    repetitions = chosen.repetitions
    if chosen.smoke:
        designs, repetitions = designs[:2], 5
    simulate = partial(simulate_design, repetitions=repetitions)
    if chosen.sample:
        designs, simulate = list(real_designs()), partial(resample_draw, repetitions=repetitions)
    with ProcessPoolExecutor(chosen.jobs) as pool:
        rows = [row for part in pool.map(simulate, designs) for row in part]
    what = "coverage of 95 % intervals from cells labelled at random"
    content = {"simulated": not chosen.sample, "what": what, "nominal": 0.95, "rows": rows}
    content |= {"seed": SEED, "seconds": round(time.perf_counter() - started)}
    content |= {**runs.checkout(), "finished": runs.now()}
    if chosen.out:
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(pd.DataFrame(rows).to_string(index=False))
    print(json.dumps(content))


def all_designs() -> list[dict]:
    """Every design of the table; its place in this list is part of its seed."""
    names = ("truth", "reliable", "per_reliable", "correlation")
    grid = product(TRUTHS, RELIABLE, PER_RELIABLE, CORRELATIONS)
    designs = [dict(zip(names, values, strict=True)) | {"wrong": False} for values in grid]
    bad = product(TRUTHS, RELIABLE, PER_RELIABLE, (0.2,))
    return designs + [dict(zip(names, values, strict=True)) | {"wrong": True} for values in bad]


def simulate_design(numbered: tuple[int, dict], repetitions: int) -> list[dict]:
    """Coverage and width of one design, a row each number of looks.

    Parameters
    ----------
    numbered : place in `all_designs`, and the design
    repetitions : movies
    """
    number, design = numbered
    rng = np.random.default_rng([SEED, number])
    movies = [simulate_movie(rng, **design) for _ in range(repetitions)]
    return [design | row for row in coverage(rng, movies, design["truth"])]


def simulate_movie(
    rng: np.random.Generator,
    truth: float,
    reliable: int,
    per_reliable: float,
    correlation: float,
    wrong: bool,
) -> np.ndarray:
    """Cells of one movie by stratum and class, (4, 3) int; no cell is unsure."""
    treading = rng.binomial(reliable, truth)
    classes = (treading, reliable - treading, rng.poisson(per_reliable * reliable))
    cells = np.zeros((len(STRATA), len(LABELS)), dtype=int)
    for column, n in enumerate(classes):
        rates = MEAN_RATES[:, column]
        if correlation:
            rates = rng.dirichlet(rates * (1 - correlation) / correlation)
        if wrong and LABELS[column] == "flipping":
            kept = 1 - rates[2]
            rates = np.array([WRONG * kept, (1 - WRONG) * kept, rates[2]])
        predicted = rng.multinomial(n, rates / rates.sum())
        cells[[0, 1, DISCARDED], column] = predicted
    return cells


def coverage(rng: np.random.Generator, movies: list[np.ndarray], truth: float) -> list[dict]:
    """Coverage and median width of the interval, a row each number of looks.

    Parameters
    ----------
    rng : draws the cells that are labelled
    movies : cells by stratum and class, (4, 3) each
    truth : fraction of tank-treading cells
    """
    found = {looks: [] for looks in LOOKS}
    for cells in movies:
        order = labelling.next_looks(list(cells.sum(axis=1)), max(LOOKS))
        for looks in LOOKS:
            sample = label_at_random(rng, cells, order[:looks])
            density = labelling.density(sample, draws=labelling.DRAWS // 4)
            found[looks].append(marker.ends(density))
    rows = []
    for looks, intervals in found.items():
        ends = np.array(intervals)
        covered = (ends[:, 1] <= truth + 1e-9) & (truth - 1e-9 <= ends[:, 2])
        rows.append(
            {
                "looks": looks,
                "covered": round(float(covered.mean()), 4),
                "median_width": round(float(np.median(ends[:, 2] - ends[:, 1])), 4),
                "bias": round(float(np.median(ends[:, 0]) - truth), 4),
                "repetitions": len(movies),
            }
        )
    return rows


def label_at_random(rng: np.random.Generator, cells: np.ndarray, order: list[int]) -> Sample:
    """Labels of some cells of each stratum, drawn without replacement.

    Parameters
    ----------
    cells : by stratum and class, (4, 3)
    order : the stratum of each look
    """
    looks = np.bincount(order, minlength=len(cells))
    drawn = zip(cells, looks, strict=True)
    counts = np.array([rng.multivariate_hypergeometric(row, n) for row, n in drawn])
    return Sample(cells.sum(axis=1), counts, counts, len(order))


# --- real cells ---


def real_designs() -> list[tuple[str, float]]:
    """Blood draws of the released sample and truths."""
    draws = sorted(set(_real_cells()["draw"]))
    return list(product(draws, (0.7, 0.86, 0.93)))


def _real_cells() -> pd.DataFrame:
    """Labelled test cells of the released sample with what the shipped models predict; draw."""
    from rbc.bench import analyze, classify

    known = pd.DataFrame(analyze.read_known(classify.MODELS)["answers"])
    cells = known.loc[known.index.repeat(known["n"])].reset_index(drop=True)
    return cells.assign(draw=cells["acquisition"].str.partition("_")[0])


def resample_draw(design: tuple[str, float], repetitions: int) -> list[dict]:
    """Coverage where a movie of 300 reliable and 300 unreliable cells is drawn from one real blood
    draw.
    """
    draw, truth = design
    cells = _real_cells()
    cells = cells[cells["draw"] == draw]
    rng = np.random.default_rng([SEED, int(1000 * truth), *draw.encode()])
    strata = ["tank-treading", "flipping", "unsure", "discarded"]
    table = pd.crosstab(cells["answer"], cells["label"]).reindex(strata, fill_value=0)
    rates = table[list(LABELS)].to_numpy(float)
    rates = rates / rates.sum(axis=0)
    movies = []
    for _ in range(repetitions):
        treading = rng.binomial(300, truth)
        classes = (treading, 300 - treading, 300)
        predicted = [rng.multinomial(n, rates[:, c]) for c, n in enumerate(classes)]
        movies.append(np.transpose(predicted))
    about = {"draw": draw, "truth": truth, "reliable": 300, "per_reliable": 1}
    return [about | row for row in coverage(rng, movies, truth)]


if __name__ == "__main__":
    main()
