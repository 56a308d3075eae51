"""What a cell does, by the shipped models: reliable or not, flipping or tank-treading, or better not said.

The weights are data/models/stage1.safetensors and stage2.safetensors; models.json beside them says how they were
trained and set, by `workflow/beyond.py`. They are research software, not a medical device.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file
from scipy.special import expit
from torch import nn

from rbc import ROOT, focus
from rbc.metrics import log_odds
from rbc.models import build
from rbc.paper import NEGATIVE, POSITIVE, STAGES, Configuration
from rbc.profiles import Training
from rbc.sequences import Sequences
from rbc.training import Rows, predict, rows

MODELS = ROOT / "data" / "models"
COLUMNS = ("name", "reliable", "reliable_margin", "flipping", "flipping_margin", "decision")
INPUT = Training(epochs=1, batch_size=16)  #: the networks' input: each sequence minus its background, small batches


def classify(sequences: Sequences, models: Path = MODELS) -> pd.DataFrame:
    """What the shipped models say of each sequence, whatever its label.

    A sequence of an acquisition that some of the shipped members were trained on is judged by the others only, where
    there are any, so the answers for the released test sequences are honest; all members judge a new acquisition, and
    their mean counts. The name of a sequence is never looked at.

    Parameters
    ----------
    sequences : frames (n, 31, 31) uint8 of about 0.6 um/px, as `rbc.tracking` or `rbc.ingest` make them
    models : folder of the weights

    Returns
    -------
    A row a sequence, in their order: name; reliable and flipping (float64 in [0, 1], calibrated on cells that were
    left out, both classes counting alike); reliable_margin and flipping_margin (float64, log odds above the threshold);
    decision: ``tank-treading``, ``flipping``, ``unreliable``, or ``unsure`` where a margin is too small for the answer.
    """
    if not len(sequences):
        return pd.DataFrame(columns=COLUMNS)
    specification = json.loads((models / "models.json").read_text())["stages"]
    out = sequences.index[["name"]].copy()
    sure = {}
    for stage in STAGES:
        own = specification[str(stage)]
        parts = scores(sequences, stage, own, models)
        calibrated = [own["kinds"][kind]["slope"] * s + own["kinds"][kind]["offset"] for kind, s in parts.items()]
        score = np.mean(calibrated, axis=0)
        out[POSITIVE[stage]] = expit(score)
        out[f"{POSITIVE[stage]}_margin"] = score - own["threshold"]
        sure[stage] = abs(score - own["threshold"]) >= own["unsure_within"]
    reliable, flipping = (out[f"{POSITIVE[stage]}_margin"] >= 0 for stage in STAGES)
    motion = np.where(sure[2], np.where(flipping, POSITIVE[2], NEGATIVE[2]), "unsure")
    out["decision"] = np.where(sure[1], np.where(reliable, motion, NEGATIVE[1]), "unsure")
    return out


def scores(sequences: Sequences, stage: int, own: dict, models: Path = MODELS) -> dict[str, np.ndarray]:
    """Each kind of model's mean score of the members that judge, not yet calibrated: (N,) float64 by kind.

    `own` is the stage's part of models.json.
    """
    tensors, out = _tensors(models / f"stage{stage}.safetensors"), {}
    for kind, about in own["kinds"].items():
        prepared = PREPARED[kind](sequences, stage, own)
        judges = _judges(sequences.index["acquisition"], list(about["members"].values()))
        total = np.zeros(len(sequences))
        for member, chosen in zip(about["members"], judges):
            which = np.flatnonzero(chosen)
            total[which] += ANSWER[kind](_part(tensors, f"{kind}.{member}."), prepared, which)
        out[kind] = total / judges.sum(0)
    return out


def _judges(acquisitions: pd.Series, seen: list[list[str]]) -> np.ndarray:
    """Which members judge which sequences: (members, N) bool; those that have not seen its acquisition, or else all."""
    unseen = np.array([~acquisitions.isin(own) for own in seen])
    return unseen | ~unseen.any(axis=0)


@cache
def _tensors(file: Path) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float32) for name, array in load_file(file).items()}


def _part(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}


def _sampled(sequences: Sequences, stage: int, own: dict) -> Rows:
    return rows(sequences, Configuration(stage, "cnn", own["sampling"], own["k"]), torch.device("cpu"))


def _network(weights: dict[str, np.ndarray], data: Rows, chosen: np.ndarray) -> np.ndarray:
    return log_odds(predict(_loaded(weights, data.frames.shape[1]), data, chosen, INPUT))


def _loaded(weights: dict[str, np.ndarray], k: int) -> nn.Module:
    model = build("frames", k)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model.to(memory_format=torch.channels_last)


PREPARED = {"frames": _sampled, "focus": lambda sequences, stage, own: focus.of_sequences(sequences)}
ANSWER = {"frames": _network, "focus": lambda machine, numbers, chosen: focus.decision(machine, numbers[chosen])}
