"""From simulated cells alone to real ones: how simulators carry over, kept in
data/reference/transfer/; no pixels.

    python workflow/transfer.py fit --data data/derived/ours      # search for ranges of the
    simulator python workflow/transfer.py train --data data/derived/ours    # train on each
    simulator, answer for real cells

The search varies `rbc.simulate.Ranges` so that looks and shapes of simulated cells are spread like
those of the real training strips, motion by motion: once what concerns motions and shapes alone,
once the light too. It never sees a test acquisition. Networks then learn from simulated sequences
alone, and so does their threshold. About an hour on one core.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from compendium import beyond, profiles, runs
from rbc import RbcError, metrics, sequences, simulate, training
from rbc.bench import focus
from rbc.paper import FRAME_PX, RELIABLE, Configuration, positive
from rbc.sampling import sample_all
from rbc.sequences import Sequences
from rbc.settings import Fold
from rbc.simulate import Ranges

#: seeds of the simulator that the search sees, and that tells of its result
SEARCHED, FRESH = 50, 77
#: seeds whose sequences train, and the one whose set the threshold
TRAINED, HELD_OUT = range(100, 108), 200
BATCH = 32
BEST = "by eye and motions fitted, in turn"  #: whose weights are kept
FROM = "by eye"  #: the ranges that the search starts from
#: from and to which each number may move, pairs by their ends
MOTIONS = {
    "long": (-0.3, 1.2), "flat": (0.05, 0.4), "thick": (0.2, 0.7), "heading_sd": (0.1, 0.6),
    "swing": (1, 20), "breathing": (0, 0.1), "wide": (-0.8, 1), "ratio": (0.2, 0.8),
    "orbit": (0.3, 4), "stretch": (0, 0.35),
}  # fmt: skip
LIGHT = {
    "gain": (60, 150), "oblique": (0, 1.2), "relief": (0, 1.2), "relief_drift": (0, 1.2),
    "focus": (2.7, 8.8), "focus_sd": (0.7, 3.4), "hollow": (0, 1.2), "jitter": (0.2, 0.9),
    "crowd": (0.02, 0.14),
}  # fmt: skip


def main() -> None:
    """Search, or train."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("what", choices=("fit", "train"))
    options.add_argument(
        "--data", type=Path, required=True, help="sequences of the released sample, as prepared"
    )
    options.add_argument(
        "--out", type=Path, default=runs.REFERENCE / "transfer", help="folder for what is found"
    )
    options.add_argument("--tries", type=int, default=200, help="fit: steps of each search")
    options.add_argument(
        "--simulated", type=int, default=300, help="train: sequences of each seed of the simulator"
    )
    options.add_argument("--epochs", type=int, default=6, help="train")
    options.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="train: seeds of the networks"
    )
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    cells = beyond.with_noise(sequences.load(chosen.data))
    cells = cells.select(cells.index["label"].isin(RELIABLE).to_numpy())
    fit(cells, chosen) if chosen.what == "fit" else train(cells, chosen)


# --- the search ---


def fit(cells: Sequences, chosen: argparse.Namespace) -> None:
    """Random steps that are kept where they bring simulation nearer to the strips; writes
    search.json.
    """
    strips = cells.select((cells.index["split"] == "train").to_numpy())
    real = quantiles(strips)
    out = {"tries": chosen.tries, "ranges": {}, "distance": {FROM: distance(Ranges(), FRESH, real)}}
    with threadpool_limits(1):
        for name, limits in (("motions", MOTIONS), ("everything", MOTIONS | LIGHT)):
            rng, best = np.random.default_rng(0), Ranges()
            reached = distance(best, SEARCHED, real)
            for _ in tqdm(range(chosen.tries), desc=name, unit="try"):
                tried = step(best, limits, rng)
                if (value := distance(tried, SEARCHED, real)) < reached:
                    best, reached = tried, value
            out["ranges"][name], out["distance"][name] = asdict(best), distance(best, FRESH, real)
    write(chosen.out / "search.json", out | origin(cells))


def distance(ranges: Ranges, seed: int, real: dict[str, np.ndarray]) -> float:
    """How far a simulator's numbers are from the strips': mean over numbers, quantiles and both
    motions.

    In units of the strips' interquartile range, none counting more than 3.
    """
    own = quantiles(simulate.sequences(both(160), seed, ranges=ranges))
    apart = [abs(own[label] - q) / (q[3] - q[1] + 1e-3) for label, q in real.items()]
    return float(np.mean(np.minimum(apart, 3)))


def quantiles(cells: Sequences) -> dict[str, np.ndarray]:
    """Quantiles over sequences of their numbers, by motion: (5, F)."""
    frames, lengths = sample_all(cells, "similarity", 20, 0)
    rows = np.array([numbers(x[:n]) for x, n in zip(frames, lengths)])
    return {
        label: np.quantile(rows[cells.index["label"] == label], focus.QUANTILES, axis=0)
        for label in RELIABLE
    }


def numbers(frames: np.ndarray) -> np.ndarray:
    """Of a sequence: medians over frames, and spread between the outer quantiles, of looks and
    shape.
    """
    background = focus.background(frames)
    each = np.concatenate([focus.of_frames(frames, background), shape(frames, background)], axis=1)
    low, middle, high = np.quantile(each, (0.1, 0.5, 0.9), axis=0)
    return np.concatenate([middle, high - low])


def shape(frames: np.ndarray, background: float) -> np.ndarray:
    """(T, 4): root of the second moments of the contrast, their anisotropy along and across the
    axes, its amount.
    """
    place = np.arange(FRAME_PX) - FRAME_PX // 2
    inside = np.hypot(place[:, None], place) < 9
    weight = (
        np.maximum(abs(gaussian_filter(frames - np.float32(background), (0, 1, 1))) * inside - 3, 0)
        + 1e-3
    )
    total = weight.sum((1, 2))
    x, y = (weight.sum(axis) @ place / total for axis in (1, 2))
    xx, yy = (weight.sum(axis) @ place**2 / total - mean**2 for axis, mean in ((1, x), (2, y)))
    xy = (weight @ place) @ place / total - x * y
    return np.stack(
        [
            np.sqrt(xx + yy),
            (xx - yy) / (xx + yy),
            np.hypot(xx - yy, 2 * xy) / (xx + yy),
            total / 3000,
        ],
        1,
    )


def step(ranges: Ranges, limits: dict, rng: np.random.Generator) -> Ranges:
    """One to four numbers moved by a fifth of their room, about; sometimes the headings."""
    changed = {}
    for name in rng.choice(list(limits), rng.integers(1, 5), replace=False):
        low, high = limits[name]
        moved = np.array(getattr(ranges, name)) + rng.normal(
            0, 0.2, np.shape(getattr(ranges, name))
        ) * (high - low)
        moved = np.clip(moved, low, high)
        ends = moved.tolist() if name == "orbit" or not moved.shape else sorted(moved.tolist())
        changed[name] = tuple(ends) if moved.shape else ends
    if rng.random() < 0.2:
        changed["headings"] = (0.0,) * int(rng.integers(0, 2)) + (np.pi / 2,) * int(
            rng.integers(1, 4)
        )
    return replace(ranges, **changed)


# --- from simulated to real ---


def levels(folder: Path) -> dict[str, tuple[Ranges, ...]]:
    """Simulators to learn from, by name: set by eye, without intruders, fitted, and two of them in
    turn.

    Raises `RbcError` where the search was made with another physics: its ranges then mean something
    else.
    """
    found = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    physics = found.get("physics", 1)  # the first searches did not say
    if physics != simulate.PHYSICS:
        raise RbcError(
            f"{folder / 'search.json'}: its ranges were found with physics {physics} of the"
            " simulator, which now has"
            f" {simulate.PHYSICS}; search again with python workflow/transfer.py fit"
        )
    fitted = {}
    for name, own in found["ranges"].items():
        values = {field.name: own[field.name] for field in fields(Ranges)}
        fitted[name] = Ranges(
            **{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        )
    return {
        BEST: (Ranges(), fitted["motions"]),
        FROM: (Ranges(),),
        "motions fitted": (fitted["motions"],),
        "everything fitted": (fitted["everything"],),
        "by eye, no intruders": (Ranges(crowd=(0.0, 0.0)),),
    }


def train(cells: Sequences, chosen: argparse.Namespace) -> None:
    """A network of each simulator and seed; writes answers.parquet, levels.json and the weights of
    `BEST`.
    """
    profile, tables, told = profiles.load("ours"), [], []
    split = cells.index.set_index("name")["split"].replace("train", "strips")
    real = quantiles(cells.select((cells.index["split"] == "train").to_numpy()))
    for level, simulators in levels(chosen.out).items():
        mixed, fold = with_simulated(cells, simulators, chosen.simulated)
        settings = {"epochs": chosen.epochs, "batch_size": BATCH}
        own = profile.training.model_copy(update=settings)
        for seed in chosen.seeds:
            outcome = training.train(
                mixed, Configuration(2, "cnn", "similarity", 20, seed, "frames"), own, [fold]
            )
            told.append(
                {"level": level, "seed": seed, "seconds": outcome.seconds, "device": outcome.device}
            )
            table = outcome.predictions.assign(level=level, seed=seed).drop(columns="fold")
            tables.append(table.assign(split=table["name"].map(split).fillna("simulated")))
            print(level, seed, f"{outcome.seconds:.0f} s", flush=True)
            if level == BEST and seed == chosen.seeds[0]:
                save_file(halved(outcome), chosen.out / "simulated.safetensors")
    table = pd.concat(tables, ignore_index=True)
    table.to_parquet(chosen.out / "answers.parquet", index=False)
    found = [told_of(part, level) for level, part in table.groupby("level", sort=False)]
    for one in found:
        apart = [distance(ranges, FRESH, real) for ranges in levels(chosen.out)[one["level"]]]
        one["distance"] = float(np.mean(apart))
        one["runs"] = [t for t in told if t["level"] == one["level"]]
    write(chosen.out / "levels.json", found)
    write(chosen.out / "provenance.json", origin(cells))


def halved(outcome: training.Outcome) -> dict[str, np.ndarray]:
    """A network's weights in half precision."""
    return {
        name.removeprefix("fold0."): array.astype(np.float16)
        for name, array in outcome.weights.items()
    }


def with_simulated(
    cells: Sequences, simulators: tuple[Ranges, ...], n: int
) -> tuple[Sequences, Fold]:
    """Real strips and test sequences with simulated ones of each simulator in turn, and the fold to
    train on these.
    """
    turns = {seed: simulators[seed % len(simulators)] for seed in TRAINED}
    turns |= {HELD_OUT + i: ranges for i, ranges in enumerate(simulators)}
    parts = {
        seed: simulate.sequences(both(n), seed, ranges=ranges) for seed, ranges in turns.items()
    }
    named = {seed: part.index["acquisition"] + f"-{seed}" for seed, part in parts.items()}
    indexes = [
        p.index.assign(name=p.index["name"] + f"-{seed}", acquisition=named[seed])
        for seed, p in parts.items()
    ]
    index = pd.concat([cells.index, *indexes], ignore_index=True)
    frames = [*cells, *(x for p in parts.values() for x in p)]
    mixed = sequences.from_list(frames, index, {**cells.meta, "simulated": True})
    learned = sorted({a for seed in TRAINED for a in named[seed]})
    others = sorted({a for seed in turns if seed not in TRAINED for a in named[seed]})
    return mixed, Fold(
        train=learned, validation=others, test=sorted(set(cells.index["acquisition"]))
    )


def both(n: int) -> dict[str, dict[str, int]]:
    """Counts of `n` simulated sequences, both motions alike."""
    return {"train": dict.fromkeys(RELIABLE, n // 2)}


def told_of(table: pd.DataFrame, level: str) -> dict:
    """Scores of a level on strips and test acquisitions, seeds singly and together; thresholds set
    on simulation.
    """
    table = table.assign(score=metrics.log_odds(table["probability"]))
    key = ["name", "acquisition", "label", "split"]
    out = {"level": level}
    mean = table.groupby(key, as_index=False)["score"].mean().assign(seed=-1)
    for how, own in (("over_seeds", table), ("together", mean)):
        own = pd.concat([placed(part) for _, part in own.groupby("seed")])
        for split in ("strips", "test"):
            part = own[own["split"] == split]
            scores = ("auc", "balanced_accuracy", "recall", "specificity")
            out.setdefault(split, {})[how] = [metrics.uncertainty(part, 2, s) for s in scores]
    return out


def placed(table: pd.DataFrame) -> pd.DataFrame:
    """Probabilities such that one half is where recall equals specificity on the held-out simulated
    sequences.
    """
    own = table[table["split"] == "simulated"]
    truth = positive(own["label"], 2)
    marks = np.sort(own["score"].to_numpy())
    gap = [
        abs(np.mean(own["score"][truth] >= m) - np.mean(own["score"][~truth] < m)) for m in marks
    ]
    threshold = float(np.median(marks[np.array(gap) == np.min(gap)]))
    return table.assign(probability=1 / (1 + np.exp(threshold - table["score"])))


def origin(cells: Sequences) -> dict:
    """Where a file's numbers come from."""
    known = {"data": cells.meta["sha256"], "physics": simulate.PHYSICS}
    return {**runs.checkout(), "finished": runs.now(), **known}


def write(path: Path, content: dict | list) -> None:
    """JSON, an indent a level; what is not defined is null."""
    plain = json.loads(json.dumps(content), parse_constant=lambda word: None)
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
