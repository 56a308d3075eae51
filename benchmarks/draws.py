"""How many blood draws an interval needs: coverage of Student's t over draws, simulated.

    python benchmarks/draws.py [--repetitions 20000] [--out data/reference/draws.json]

Everything is simulated: no cell is looked at. Each blood draw has a recall of its own, beta
distributed about the paper's (Figure 3) with an intraclass correlation, and 42 tested cells, as in
the released sample. The truth is the mean over all draws that there could be.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import t

from compendium import runs
from rbc.paper import reported

RECALL = float(reported("test_results").set_index("stage").loc[2, "recall"])
CELLS = 42  #: tested cells of a blood draw
DRAWS = (15, 24, 40, 60, 90, 120, 180)
#: intraclass correlations; the released sample's recall may have .55
CORRELATIONS = (0.05, 0.2, 0.39, 0.55)


def coverage(draws: int, correlation: float, repetitions: int) -> float:
    """Share of nominal 95 % intervals over so many blood draws that cover the mean recall."""
    rng = np.random.default_rng([20230745, draws, round(100 * correlation)])
    strength = 1 / correlation - 1
    shape = (repetitions, draws)
    rates = rng.beta(RECALL * strength, (1 - RECALL) * strength, shape)
    found = rng.binomial(CELLS, rates) / CELLS
    mean = found.mean(axis=1)
    reach = t.ppf(0.975, draws - 1) * found.std(axis=1, ddof=1) / draws**0.5
    covered = (mean - reach <= RECALL) & (mean + reach >= RECALL)
    return float(covered.mean())


def main() -> None:
    """Simulate every design and print the table as JSON."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repetitions", type=int, default=20000, help="of each design")
    options.add_argument("--out", type=Path, help="also write the JSON there")
    chosen = options.parse_args()
    rows = [
        {
            "draws": n,
            "correlation": rho,
            "covered": round(coverage(n, rho, chosen.repetitions), 4),
            "repetitions": chosen.repetitions,
        }
        for rho, n in product(CORRELATIONS, DRAWS)
    ]
    content = {"simulated": True, "nominal": 0.95, "recall": RECALL, "cells": CELLS, "rows": rows}
    content |= {**runs.checkout(), "finished": runs.now()}
    if chosen.out:
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content))


if __name__ == "__main__":
    main()
