"""Similarity sampling beside a plain loop over scikit-image, and a whole record's worth of it; ends
in a JSON line.

    python benchmarks/sampling.py [--rounds 3] [--many 10000] [--smoke]

The plain loop computes the SSIM of all neighbours once and then, as ours, only that of each new
pair. Both take the same sequences, those of the authors' released test split where RBC_SAMPLE names
its folder, else simulated ones, one after the other on one thread, and give the frames kept. Each
time is the best of some rounds. A record of Table 2's size (146,499 sequences) is extrapolated from
`--many` sequences, the same ones repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from skimage.metrics import structural_similarity

from compendium.data import ingest
from rbc import sampling, sequences, simulate
from rbc.paper import KS, SPLITS, reported
from rbc.sequences import Sequences, from_list

RECORD = int(reported("table2")[list(SPLITS)].to_numpy().sum())


def main() -> None:
    """Run all parts and print the figures."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--smoke", action="store_true", help="a few simulated sequences: does it run at all?"
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--many", type=int, default=10_000)
    chosen = options.parse_args()
    cells = _cells(chosen.smoke)
    sampling.sample_all(cells, "similarity", 10)  # compiled from here on
    figures = {
        "benchmark": "sampling",
        "load_average": os.getloadavg()[0],
        "simulated": cells.simulated,
    }
    figures |= {"sequences": len(cells), "mean_frames": round(cells.index["length"].mean(), 1)}
    closest = []
    for k in KS:
        figures[f"k{k}"] = _beside(cells, k, chosen.rounds, closest)
        print(f"K = {k}:", figures[f"k{k}"], flush=True)
    figures["closest_decision"] = min(closest)
    with TemporaryDirectory() as folder:
        figures["record"] = _record(_repeated(cells, chosen.many), Path(folder))
    print(json.dumps(figures))


def _cells(smoke: bool) -> Sequences:
    if smoke:
        return simulate.sequences(
            {"test": {"tank-treading": 2, "flipping": 2, "unreliable": 2}}, seed=1
        )
    if folder := os.environ.get("RBC_SAMPLE"):
        real = ingest.released(Path(folder))
        # the others are 20 frames each, already sampled
        return real.select(real.index["split"] == "test")
    print("no RBC_SAMPLE: simulated sequences instead of real ones", flush=True)
    return simulate.sequences(
        {"test": {"tank-treading": 60, "flipping": 60, "unreliable": 140}}, seed=1
    )


def _beside(cells: Sequences, k: int, rounds: int, closest: list[float]) -> dict[str, object]:
    """Milliseconds a sequence of both at one K, rounds of the one between rounds of the other, and
    their ratio.
    """
    theirs, ours = [], []
    for _ in range(rounds):
        plain, *times = _timed(
            lambda: [frames[_plain_loop(frames, k, closest)] for frames in cells]
        )
        theirs.append(times)
        (kept, lengths), *times = _best(lambda: sampling.sample_all(cells, "similarity", k), 5)
        ours.append(times)
    if not all(np.array_equal(a, b[:n]) for a, b, n in zip(plain, kept, lengths, strict=True)):
        raise SystemExit(f"K = {k}: other frames than the plain loop")
    (plain_s, plain_cpu), (ours_s, ours_cpu) = (
        np.min(theirs, axis=0).tolist(),
        np.min(ours, axis=0).tolist(),
    )
    each = {"plain_ms": 1000 * plain_s / len(cells), "ours_ms": 1000 * ours_s / len(cells)}
    shortened = int((cells.index["length"] > k).sum())
    return each | {
        "shortened": shortened,
        "ratio": plain_s / ours_s,
        "ratio_of_cpu_time": plain_cpu / ours_cpu,
    }


def _plain_loop(frames: np.ndarray, k: int, closest: list[float]) -> list[int]:
    """Which frames are kept; appends how much the best pair is ahead of the next in the closest of
    its decisions.
    """
    kept = list(range(len(frames)))
    if len(kept) <= k:
        return kept
    pairs = [structural_similarity(a, b, data_range=255) for a, b in zip(frames, frames[1:])]
    while len(kept) > k:
        i = int(np.argmax(pairs))
        if len(pairs) > 1:
            closest.append(pairs[i] - max(pairs[:i] + pairs[i + 1 :]))
        del kept[i + 1], pairs[i]
        if i < len(pairs):
            pairs[i] = structural_similarity(frames[kept[i]], frames[kept[i + 1]], data_range=255)
    return kept


def _record(cells: Sequences, folder: Path) -> dict[str, object]:
    """Ranks for all K with one and two threads, then what a run does with them; seconds for the
    whole record.
    """
    cells.save(folder / "cells")
    cells = sequences.load(folder / "cells")
    one, seconds, cpu = _best(lambda: sampling.ranks(cells, threads=1), 3)
    two, seconds_2, _ = _best(lambda: sampling.ranks(cells, threads=2), 3)
    n, scale = len(cells), RECORD / len(cells)
    figures = {
        "measured_on": n,
        "sequences_per_s_1": n / seconds,
        "sequences_per_s_2": n / seconds_2,
    }
    figures |= {
        "ranks_s_1": scale * seconds,
        "ranks_cpu_s_1": scale * cpu,
        "ranks_s_2": scale * seconds_2,
    }
    figures["bit_identical"] = bool(np.array_equal(one, two))
    sequences.add_similarity(folder / "cells", one)
    ranked = sequences.load(folder / "cells")
    for how in sampling.SAMPLERS:
        (frames, lengths), seconds, cpu = _best(lambda: sampling.sample_all(ranked, how, 20), 3)  # noqa: B023
        figures |= {f"sample_{how}_k20_s": scale * seconds, f"sample_{how}_k20_cpu_s": scale * cpu}
    _, seconds, cpu = _best(lambda: sampling.medians(frames, lengths), 3)
    figures |= {"medians_k20_s": scale * seconds, "medians_k20_cpu_s": scale * cpu}
    print("record:", figures, flush=True)
    return figures


def _repeated(cells: Sequences, n: int) -> Sequences:
    """n sequences: the given ones, again and again under new names."""
    chosen = np.arange(n) % len(cells)
    rows = cells.index.iloc[chosen].assign(name=[f"cell_{i}" for i in range(n)])
    return from_list([cells[i] for i in chosen], rows, cells.meta)


def _timed(call: Callable) -> tuple:
    """What a call gives, its seconds, and its seconds of CPU time."""
    start, cpu = time.perf_counter(), time.process_time()
    return call(), time.perf_counter() - start, time.process_time() - cpu


def _best(call: Callable, rounds: int) -> tuple:
    results, seconds, cpu = zip(*[_timed(call) for _ in range(rounds)], strict=True)
    return results[0], min(seconds), min(cpu)


if __name__ == "__main__":
    main()
