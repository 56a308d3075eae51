"""How much more sequences, and more acquisitions, bring: learning curves on the released sample,
kept in data/reference/learning.json; no pixels.

    python workflow/learning.py [--data data/derived/ours] [--seeds 5]

The paper's ResNet-18 (K = 20, the last epoch) and our `focus` machine learn from parts of what
there is. Stage 2 learns from strips and is asked about the test acquisitions. Stage 1 learns from
the acquisitions of other blood draws, each blood draw left out in turn. An hour on one core.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from compendium import beyond, profiles, runs
from rbc import metrics, sequences, training
from rbc.bench import focus
from rbc.paper import Configuration, in_stage, positive
from rbc.sequences import Sequences
from rbc.settings import Fold, Training

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  #: of the sequences that are there
#: whole acquisitions by stage; all of them are the last of `SHARES`
ACQUISITIONS = {1: (1, 2), 2: (2, 4, 8, 16)}
CONFIGURATION = {1: ("cnn", "uniform", 20), 2: ("cnn", "similarity", 20)}
FEWEST = 3  #: of each class; fewer teach nothing that is worth a point


@dataclass(frozen=True)
class Part:
    """Sequences to learn from, and those to be asked about: (N,) bool each."""

    learns: np.ndarray
    asked: np.ndarray


def main() -> None:
    """Train on parts, ask, and keep the scores."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, default=profiles.load("ours").data_folder)
    options.add_argument("--seeds", type=int, default=5, help="parts drawn of each size")
    options.add_argument("--out", type=Path, default=runs.REFERENCE / "learning.json")
    chosen = options.parse_args()
    cells, settings = sequences.load(chosen.data), profiles.load("ours").training
    found = list(tqdm(points(cells, settings, chosen.seeds), unit=" points"))
    origin = {**runs.checkout(), "finished": runs.now(), "data": cells.meta["sha256"]}
    content = {"simulated": False, "seeds": chosen.seeds, "epochs": settings.epochs, "rows": found}
    chosen.out.write_text(json.dumps(content | origin, indent=1) + "\n", encoding="utf-8")


def points(cells: Sequences, settings: Training, seeds: int) -> Iterator[dict]:
    """A row each stage, way of taking a part, size, seed and model."""
    cells = beyond.with_noise(cells)
    numbers = focus.of_sequences(cells)
    for stage in CONFIGURATION:
        whole = left_out(cells.index, stage)
        sizes = [("sequences", share) for share in SHARES]
        sizes += [("acquisitions", number) for number in ACQUISITIONS[stage]]
        # All of it is one part, whatever the seed; the network's own seed still differs.
        for (by, size), seed in product(sizes, range(seeds)):
            parts = [taken(cells.index, part, by, size, stage, seed) for part in whole]
            if all(enough(cells.index, part, stage) for part in parts):
                yield from judged(cells, numbers, parts, settings, stage, seed, by)


def left_out(index: pd.DataFrame, stage: int) -> list[Part]:
    """What may teach and what is asked: in stage 1 each blood draw in turn, in stage 2 the test
    split.
    """
    inside, test = in_stage(index["label"], stage), (index["split"] == "test").to_numpy()
    if stage == 2:
        return [Part(inside & ~test, inside & test)]
    draw = index["acquisition"].map(metrics.blood_draw)
    draws = sorted(set(draw[test]))
    return [Part(test & (draw != own).to_numpy(), test & (draw == own).to_numpy()) for own in draws]


def taken(index: pd.DataFrame, part: Part, by: str, size: float, stage: int, seed: int) -> Part:
    """A part of what may teach: a share of the sequences of each class, or so many acquisitions."""
    rng = np.random.default_rng([stage, seed])
    rows = np.flatnonzero(part.learns)
    if by == "acquisitions":
        names = rng.permutation(sorted(set(index["acquisition"].iloc[rows])))
        return Part(part.learns & index["acquisition"].isin(names[:size]).to_numpy(), part.asked)
    truth, learns = positive(index["label"], stage), np.zeros(len(index), bool)
    for value in (True, False):
        own = rng.permutation(rows[truth[rows] == value])
        learns[own[: math.ceil(size * len(own))]] = True
    return Part(learns, part.asked)


def enough(index: pd.DataFrame, part: Part, stage: int) -> bool:
    """Whether both classes are there to learn from."""
    truth = positive(index["label"], stage)[part.learns]
    return min(truth.sum(), (~truth).sum()) >= FEWEST


def judged(
    cells: Sequences,
    numbers: np.ndarray,
    parts: list[Part],
    settings: Training,
    stage: int,
    seed: int,
    by: str,
) -> Iterator[dict]:
    """The AUC of both models on what the parts are asked."""
    index = cells.index
    sizes = {
        "sequences": float(np.mean([part.learns.sum() for part in parts])),
        "acquisitions": float(
            np.mean([index["acquisition"][part.learns].nunique() for part in parts])
        ),
    }
    answers = {
        "focus": [by_machine(index, numbers, part, stage) for part in parts],
        "cnn": [by_network(cells, part, settings, stage, seed) for part in parts],
    }
    for model, tables in answers.items():
        # Scores of models that learned apart are no common scale: the mean of each one's AUC.
        auc = float(np.mean([metrics.auc(table, stage) for table in tables]))
        yield {
            "stage": stage, "model": model, "by": by, "seed": seed,
            "asked": sum(map(len, tables)), **sizes, "auc": auc,
        }  # fmt: skip


def by_machine(index: pd.DataFrame, numbers: np.ndarray, part: Part, stage: int) -> pd.DataFrame:
    """What `focus` answers, a row a sequence that is asked."""
    machine = focus.fit(numbers[part.learns], positive(index["label"], stage)[part.learns])
    decision = focus.decision(machine, numbers[part.asked])
    return index.loc[part.asked, ["name", "acquisition", "label"]].assign(
        probability=1 / (1 + np.exp(-decision))
    )


def by_network(
    cells: Sequences, part: Part, settings: Training, stage: int, seed: int
) -> pd.DataFrame:
    """What the network answers, a row a sequence that is asked. Its last epoch counts, so the
    validation chooses nothing.
    """
    own, index = cells.select(part.learns | part.asked), cells.index
    fold = Fold(
        train=sorted(set(index["acquisition"][part.learns])),
        validation=sorted(set(index["acquisition"][part.asked])),
        test=[],
    )
    c = Configuration(stage, *CONFIGURATION[stage], seed, "last-epoch")
    return training.train(own, c, settings, [fold]).predictions


if __name__ == "__main__":
    main()
