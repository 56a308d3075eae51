"""Sequences a second through the shipped models; the last line is one JSON object of the figures.

    python benchmarks/classify.py [--rounds 3] [--smoke]

The sequences are those of the authors' released test split where RBC_SAMPLE names its folder, under
the name of another acquisition, so that every shipped member judges them as it would a new movie;
else simulated ones. Time runs from `Sequences` in memory to the table of decisions, the weights
loaded before; the best of some rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from compendium.data import ingest
from rbc import simulate
from rbc.bench.classify import classify
from rbc.sequences import Sequences


def main() -> None:
    """Time it and print the figures."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--smoke", action="store_true", help="a few simulated sequences: does it run at all?"
    )
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    cells = _cells(chosen.smoke)
    classify(cells)
    figures = {
        "benchmark": "classify",
        "load_average": os.getloadavg()[0],
        "threads": os.cpu_count(),
    }
    figures |= {"simulated": cells.simulated, "sequences": len(cells), "frames": len(cells.frames)}
    rounds = [_timed(cells) for _ in range(chosen.rounds)]
    seconds, cpu = min(rounds)
    figures |= {
        "sequences_per_s": len(cells) / seconds,
        "cpu_ms_per_sequence": 1000 * cpu / len(cells),
    }
    print(json.dumps(figures))


def _cells(smoke: bool) -> Sequences:
    if smoke:
        return simulate.sequences(
            {"test": {"tank-treading": 2, "flipping": 2, "unreliable": 2}}, seed=1
        )
    if folder := os.environ.get("RBC_SAMPLE"):
        real = ingest.strips(Path(folder) / "Stage_1" / "test")
        return Sequences(real.frames, real.index.assign(acquisition="new"), real.meta)
    print("no RBC_SAMPLE: simulated sequences instead of real ones", flush=True)
    return simulate.sequences(
        {"test": {"tank-treading": 60, "flipping": 60, "unreliable": 140}}, seed=1
    )


def _timed(cells: Sequences) -> tuple[float, float]:
    start, cpu = time.perf_counter(), time.process_time()
    classify(cells)
    return time.perf_counter() - start, time.process_time() - cpu


if __name__ == "__main__":
    main()
