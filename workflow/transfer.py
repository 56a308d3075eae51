"""From simulated cells alone to real ones: how simulators carry over, kept in data/reference/transfer/; no pixels.

    python workflow/transfer.py fit --data data/derived/ours      # search for ranges of the simulator
    python workflow/transfer.py train --data data/derived/ours    # train on each simulator, answer for real cells

The search varies `rbc.simulate.Ranges` so that a support vector machine on numbers of simulated sequences (`rbc.focus`)
tells the motions of the real training strips apart. It sees the strips and their labels, never a test acquisition.
Networks then learn from simulated sequences alone, and so does their threshold. Needs about an hour on one core.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from rbc import beyond, focus, metrics, profiles, runs, sequences, simulate, training
from rbc.paper import RELIABLE, Configuration, positive
from rbc.profiles import Fold
from rbc.sequences import Sequences
from rbc.simulate import Ranges

KEPT = runs.REFERENCE / "transfer"
WEIGHTS = runs.ROOT / "data" / "models" / "simulated.safetensors"
SEARCHED, FRESH = (50, 51), (70, 71, 72)  #: seeds of the simulator that the search sees, and that tell of its result
TRAINED, HELD_OUT = range(100, 108), 200  #: seeds whose sequences train, and the one whose set the threshold
A_SEED = 300  #: simulated sequences of each of these seeds, both motions alike
EPOCHS, BATCH, SEEDS = 6, 32, (0, 1, 2)
FROM = "ranges by eye"  #: where the search starts
#: from and to which each number may move, pairs by their ends
LIMITS = {
    "gain": (80, 150), "oblique": (0, 1.4), "relief": (0, 1.4), "relief_drift": (0, 1.4), "focus": (2.5, 6),
    "focus_sd": (0.5, 2.5), "hollow": (0, 1.1), "jitter": (0.2, 0.9), "crowd": (0.02, 0.14), "long": (-0.3, 1),
    "flat": (0.05, 0.4), "thick": (0.2, 0.7), "heading_sd": (0.1, 0.6), "swing": (1, 15), "breathing": (0, 0.08),
    "wide": (-0.8, 0.6), "ratio": (0.2, 0.8), "period": (30, 220), "orbit": (0.3, 4), "stretch": (0, 0.35),
}  # fmt: skip


def main() -> None:
    """Search, or train."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=("fit", "train"))
    options.add_argument("--data", type=Path, required=True, help="sequences of the released sample, as prepared")
    options.add_argument("--tries", type=int, default=150, help="steps of the search")
    chosen = options.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    cells = beyond.with_noise(sequences.load(chosen.data))
    cells = cells.select(cells.index["label"].isin(RELIABLE).to_numpy())
    fit(cells, chosen.tries) if chosen.what == "fit" else train(cells)


# --- the search ---


def fit(cells: Sequences, tries: int) -> None:
    """Random steps that are kept where they help; writes search.json."""
    strips = cells.select((cells.index["split"] == "train").to_numpy())
    real, truth = focus.of_sequences(strips), positive(strips.index["label"], 2)
    rng, best, steps = np.random.default_rng(0), Ranges(), []
    reached = sum(carries_over(best, SEARCHED, real, truth))
    with threadpool_limits(1):
        for number in tqdm(range(tries), desc="search", unit="try"):
            tried = step(best, rng)
            value = sum(carries_over(tried, SEARCHED, real, truth))
            if value > reached:
                best, reached = tried, value
                steps.append({"try": number, "auc_and_balanced_accuracy": value})
        fresh = {name: carries_over(r, FRESH, real, truth) for name, r in ((FROM, Ranges()), ("searched", best))}
    fresh = {name: dict(zip(("auc", "balanced_accuracy"), values)) for name, values in fresh.items()}
    write(
        KEPT / "search.json", {"ranges": asdict(best), "tries": tries, "steps": steps, "fresh": fresh} | origin(cells)
    )


def carries_over(ranges: Ranges, seeds: tuple[int, ...], real: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """AUC, and balanced accuracy at its own threshold, of a machine that knows simulated sequences alone."""
    parts = [simulate.sequences(both(200), seed, ranges=ranges) for seed in seeds]
    numbers = np.concatenate([focus.of_sequences(p) for p in parts])
    labels = np.concatenate([positive(p.index["label"], 2) for p in parts])
    machine = make_pipeline(StandardScaler(), SVC(C=1.0, gamma=0.3 / numbers.shape[1])).fit(numbers, labels)
    score = machine.decision_function(real)
    return float(roc_auc_score(truth, score)), float(balanced_accuracy_score(truth, score > 0))


def step(ranges: Ranges, rng: np.random.Generator) -> Ranges:
    """One to four numbers moved by a fifth of their room, about."""
    changed = {}
    for name in rng.choice(list(LIMITS), rng.integers(1, 5), replace=False):
        low, high = LIMITS[name]
        moved = np.array(getattr(ranges, name)) + rng.normal(0, 0.2, np.shape(getattr(ranges, name))) * (high - low)
        moved = np.clip(moved, low, high)
        ends = moved.tolist() if name == "orbit" or not moved.shape else sorted(moved.tolist())
        changed[name] = tuple(ends) if moved.shape else ends
    if rng.random() < 0.2:
        changed["headings"] = tuple([0.0] * int(rng.integers(0, 2)) + [np.pi / 2] * int(rng.integers(1, 4)))
    return replace(ranges, **changed)


# --- from simulated to real ---


def levels() -> dict[str, Ranges]:
    """Simulators to learn from, by name: those that lack something, the one set by eye, the one searched for."""
    found = json.loads((KEPT / "search.json").read_text())["ranges"]
    best = Ranges(**{f.name: tuple(v) if isinstance(v := found[f.name], list) else v for f in fields(Ranges)})
    return {
        "no intruders": replace(best, crowd=(0.0, 0.0)),
        "no lopsided light": replace(best, oblique=0.0, relief=0.0, relief_drift=0.0),
        "cells alike": replace(best, hollow=(0.4, 0.4), flat=0.0, breathing=0.0, jitter=0.0, focus_sd=0.0),
        FROM: Ranges(),
        "searched": best,
    }


def train(cells: Sequences) -> None:
    """A network of each simulator and seed; writes answers.parquet, levels.json and the weights of the last one."""
    profile, tables, told = profiles.load("ours"), [], []
    split = cells.index.set_index("name")["split"].replace("train", "strips")
    for level, ranges in levels().items():
        mixed, fold = with_simulated(cells, ranges)
        own = profile.model_copy(
            update={
                "stages": profile.stages | {2: profile.stages[2].model_copy(update={"folds": [fold]})},
                "training": profile.training.model_copy(update={"epochs": EPOCHS, "batch_size": BATCH}),
            }
        )
        for seed in SEEDS:
            outcome = training.train(mixed, Configuration(2, "cnn", "similarity", 20, seed, "frames"), own)
            told.append({"level": level, "seed": seed, "seconds": outcome.seconds, "device": outcome.device})
            table = outcome.predictions.assign(level=level, seed=seed).drop(columns="fold")
            tables.append(table.assign(split=table["name"].map(split).fillna("simulated")))
            print(level, seed, f"{outcome.seconds:.0f} s", flush=True)
            if level == "searched" and seed == SEEDS[0]:
                save_file(halved(outcome), WEIGHTS)
    table = pd.concat(tables, ignore_index=True)
    table.to_parquet(KEPT / "answers.parquet", index=False)
    write(KEPT / "levels.json", [told_of(part, level, told) for level, part in table.groupby("level", sort=False)])
    write(KEPT / "provenance.json", origin(cells))


def halved(outcome: training.Outcome) -> dict[str, np.ndarray]:
    """A network's weights in half precision."""
    return {name.removeprefix("fold0."): array.astype(np.float16) for name, array in outcome.weights.items()}


def with_simulated(cells: Sequences, ranges: Ranges) -> tuple[Sequences, Fold]:
    """Real strips and test sequences with simulated ones, and the fold that trains on the latter alone."""
    parts = {seed: simulate.sequences(both(A_SEED), seed, ranges=ranges) for seed in (*TRAINED, HELD_OUT)}
    named = {s: p.index["acquisition"] + f"-{s}" for s, p in parts.items()}
    indexes = [p.index.assign(name=p.index["name"] + f"-{seed}", acquisition=named[seed]) for seed, p in parts.items()]
    index = pd.concat([cells.index, *indexes], ignore_index=True)
    frames = [*cells, *(x for p in parts.values() for x in p)]
    mixed = sequences.from_list(frames, index, {**cells.meta, "simulated": True})
    learned = sorted({a for s in TRAINED for a in named[s]})
    return mixed, Fold(
        train=learned, validation=sorted(set(named[HELD_OUT])), test=sorted(set(cells.index["acquisition"]))
    )


def both(n: int) -> dict[str, dict[str, int]]:
    """Counts of `n` simulated sequences, both motions alike."""
    return {"train": dict.fromkeys(RELIABLE, n // 2)}


def told_of(table: pd.DataFrame, level: str, told: list[dict]) -> dict:
    """Scores of a level on strips and test acquisitions, seeds singly and together; thresholds set on simulation."""
    table = table.assign(score=metrics.log_odds(table["probability"]))
    key = ["name", "acquisition", "label", "split"]
    out = {"level": level, "runs": [t for t in told if t["level"] == level]}
    mean = table.groupby(key, as_index=False)["score"].mean().assign(seed=-1)
    for how, own in (("over_seeds", table), ("together", mean)):
        own = pd.concat([placed(part) for _, part in own.groupby("seed")])
        for split in ("strips", "test"):
            part = own[own["split"] == split]
            scores = ("auc", "balanced_accuracy", "recall", "specificity")
            out.setdefault(split, {})[how] = [metrics.uncertainty(part, 2, s) for s in scores]
    return out


def placed(table: pd.DataFrame) -> pd.DataFrame:
    """Probabilities such that one half is where recall equals specificity on the held-out simulated sequences."""
    own = table[table["split"] == "simulated"]
    truth = positive(own["label"], 2)
    marks = np.sort(own["score"].to_numpy())
    gap = [abs(np.mean(own["score"][truth] >= m) - np.mean(own["score"][~truth] < m)) for m in marks]
    threshold = float(np.median(marks[np.array(gap) == np.min(gap)]))
    return table.assign(probability=1 / (1 + np.exp(threshold - table["score"])))


def origin(cells: Sequences) -> dict:
    """Where a file's numbers come from."""
    return {**runs.checkout(), "finished": runs.now(), "data": cells.meta["sha256"]}


def write(path: Path, content: dict | list) -> None:
    """JSON, an indent a level; what is not defined is null."""
    plain = json.loads(json.dumps(content), parse_constant=lambda word: None)
    path.write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
