"""What a cell does, by the shipped models: reliable or not, flipping or tank-treading, or better
not said.

The weights are rbc/bench/weights/stage1.safetensors and stage2.safetensors; models.json beside them
says how they were trained and set, by `workflow/beyond.py`. They are research software, not a
medical device.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from scipy.special import expit
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval
from tqdm import tqdm

from rbc import RbcError
from rbc.bench import focus
from rbc.files import SUMS, check_sums
from rbc.inputs import Rows, predict, rows
from rbc.metrics import log_odds
from rbc.models import FrameNet
from rbc.paper import NEGATIVE, POSITIVE, STAGES, Configuration
from rbc.sequences import Sequences
from rbc.settings import Training

MODELS = Path(__file__).with_name("weights")
COLUMNS = ("name", "reliable", "reliable_margin", "flipping", "flipping_margin", "decision")
CHUNK = 64  #: sequences that a thread takes at a time
#: the networks' input: each sequence minus its background, small batches
INPUT = Training(epochs=1, batch_size=16)


def classify(sequences: Sequences, models: Path = MODELS, progress: bool = False) -> pd.DataFrame:
    """What the shipped models say of each sequence, whatever its label.

    A sequence of an acquisition that some of the shipped members were trained on is judged by the
    others only, where there are any, so the answers for the released test sequences are honest; all
    members judge a new acquisition, and their mean counts. The name of a sequence is never looked
    at.

    Parameters
    ----------
    sequences : frames (n, 31, 31) uint8 of about 0.6 um/px, as `rbc.tracking` or
        `compendium.data.ingest` make them
    models : folder of the weights
    progress : show a bar of the sequences judged

    Returns
    -------
    A row a sequence, in their order: name; reliable and flipping (float64 in [0, 1], calibrated on
    cells that were left out, both classes counting alike); reliable_margin and flipping_margin
    (float64, log odds above the threshold); decision: ``tank-treading``, ``flipping``,
    ``unreliable``, or ``unsure`` where a margin is too small for the answer.
    """
    if not len(sequences):
        return pd.DataFrame(columns=COLUMNS)
    stages = specification(models)["stages"]
    out = sequences.index[["name"]].copy()
    margins, sure = {}, {}
    found = scores(sequences, {stage: stages[str(stage)] for stage in STAGES}, models, progress)
    for stage, parts in found.items():
        own = stages[str(stage)]
        score = calibrated(parts, own)
        out[POSITIVE[stage]] = expit(score)
        margins[stage] = score - own["threshold"]
        out[f"{POSITIVE[stage]}_margin"] = margins[stage]
        sure[stage] = abs(margins[stage]) >= own["unsure_within"]
    out["decision"] = decisions(margins, sure)
    return out


def calibrated(scores_of_kinds: dict[str, np.ndarray], stage: dict) -> np.ndarray:
    """Mean over the kinds of model of their calibrated scores.

    Parameters
    ----------
    scores_of_kinds : (N,) float64 by kind, of `scores`
    stage : the stage's part of models.json

    Returns
    -------
    (N,) float64, log odds
    """
    parts = [
        stage["kinds"][kind]["slope"] * score + stage["kinds"][kind]["offset"]
        for kind, score in scores_of_kinds.items()
    ]
    return np.mean(parts, axis=0)


def decisions(margins: dict[int, np.ndarray], sure: dict[int, np.ndarray]) -> np.ndarray:
    """Predicted class of each sequence by both stages.

    Parameters
    ----------
    margins : (N,) float64 by stage, log odds above the threshold
    sure : (N,) bool by stage, whether the margin is large enough

    Returns
    -------
    (N,) of ``tank-treading``, ``flipping``, ``unreliable``, ``unsure``
    """
    motion = np.where(margins[2] >= 0, POSITIVE[2], NEGATIVE[2])
    motion = np.where(sure[2], motion, "unsure")
    both = np.where(margins[1] >= 0, motion, NEGATIVE[1])
    return np.where(sure[1], both, "unsure")


def specification(models: Path) -> dict:
    """What models.json of a folder of models says, once all its files are as SHA256SUMS lists them.

    Weights with a flipped bit would answer all the same, and wrongly.

    Parameters
    ----------
    models : folder with models.json, known.json, the weights and SHA256SUMS

    Raises
    ------
    RbcError
        where a file is missing, altered or damaged, or not listed
    """
    try:
        check_sums(models)
    except RbcError as error:
        raise RbcError(
            f"{error}; a folder of models holds models.json, known.json, the weights and their"
            f" checksums (sha256sum * > {SUMS})"
        ) from error
    return json.loads((Path(models) / "models.json").read_text(encoding="utf-8"))


def scores(
    sequences: Sequences, stages: dict[int, dict], models: Path = MODELS, progress: bool = False
) -> dict[int, dict[str, np.ndarray]]:
    """Each kind of model's mean score of the members that judge, not yet calibrated.

    Parameters
    ----------
    sequences : N sequences
    stages : parts of models.json by stage
    models : folder of the weights
    progress : show a bar

    Returns
    -------
    (N,) float64 by stage and kind
    """
    # chunks of sequences are shared out among threads instead, and so in numpy's algebra
    torch.set_num_threads(1)
    parts = [
        sequences.select(_slice(len(sequences), first)) for first in range(0, len(sequences), CHUNK)
    ]
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda part: _scores(part, stages, models), parts)
        found = list(
            tqdm(answers, "classify", len(parts), unit=f"x {CHUNK} sequences", disable=not progress)
        )
    return {
        stage: {
            kind: np.concatenate([part[stage][kind] for part in found]) for kind in own["kinds"]
        }
        for stage, own in stages.items()
    }


def _slice(n: int, first: int) -> np.ndarray:
    return (np.arange(n) >= first) & (np.arange(n) < first + CHUNK)


def _scores(
    sequences: Sequences, stages: dict[int, dict], models: Path
) -> dict[int, dict[str, np.ndarray]]:
    out: dict[int, dict[str, np.ndarray]] = {stage: {} for stage in stages}
    prepared: dict = {}
    for stage, own in stages.items():
        for kind, about in own["kinds"].items():
            prepare, load, answer = KINDS[kind]
            key = kind, own["sampling"], own["k"]
            if key not in prepared:
                prepared[key] = prepare(sequences, own)
            judges = _judges(sequences.index["acquisition"], list(about["members"].values()))
            total = np.zeros(len(sequences))
            for member, chosen in zip(about["members"], judges):
                if len(which := np.flatnonzero(chosen)):
                    loaded = load(models / f"stage{stage}.safetensors", f"{kind}.{member}.")
                    total[which] += answer(loaded, prepared[key], which)
            out[stage][kind] = total / judges.sum(0)
    return out


def _judges(acquisitions: pd.Series, seen: list[list[str]]) -> np.ndarray:
    """Which members judge which sequences: (members, N) bool; those that have not seen its
    acquisition, or else all.
    """
    unseen = np.array([~acquisitions.isin(own) for own in seen])
    return unseen | ~unseen.any(axis=0)


def _sampled(sequences: Sequences, own: dict) -> Rows:
    return rows(sequences, Configuration(1, "cnn", own["sampling"], own["k"]), torch.device("cpu"))


@cache
def _arrays(file: Path, prefix: str) -> dict[str, np.ndarray]:
    with safe_open(file, "np") as tensors:
        names = [name for name in tensors.keys() if name.startswith(prefix)]  # noqa: SIM118 (not a dict)
        return {
            name.removeprefix(prefix): tensors.get_tensor(name).astype(np.float32) for name in names
        }


@cache
def _network(file: Path, prefix: str) -> FrameNet:
    """A member ready to answer: batch norm folded into the convolutions."""
    model = FrameNet()
    model.load_state_dict(
        {name: torch.from_numpy(array) for name, array in _arrays(file, prefix).items()}
    )
    model.eval()
    for i, layer in enumerate(model.features):
        if isinstance(layer, nn.Sequential):
            convolution, norm, relu = layer
            model.features[i] = nn.Sequential(fuse_conv_bn_eval(convolution, norm), relu)
    return model.to(memory_format=torch.channels_last)


#: by kind: what a member is given, how it is loaded, and its answer for some rows
KINDS = {
    "frames": (
        _sampled,
        _network,
        lambda model, data, which: log_odds(predict(model, data, which, INPUT)),
    ),
    "focus": (
        lambda sequences, own: focus.of_sequences(sequences),
        _arrays,
        lambda machine, numbers, which: focus.decision(machine, numbers[which]),
    ),
}
