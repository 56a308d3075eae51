"""The best epoch of a training, and its state on disk, so that a killed run ends with the bits of
one never killed.

A checkpoint is one safetensors file a fold, replaced whole: weights, best weights, the optimizer's
moments, and in the header the epoch, the losses and a key of everything that the numbers depend on.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
from fastai.callback.tracker import TrackerCallback
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rbc import RbcError

#: what fastai's Adam keeps of each parameter, beside the number of steps
MOMENTS = ("grad_avg", "sqr_avg")


class BestEpoch(TrackerCallback):
    """Keeps the epoch with the lowest validation loss and puts it back at the end (paper: "Training
    loss").

    Each epoch draws its order and noise from a seed of its own, so that it does not matter what was
    drawn before it. With a file, the state is written there after an epoch once `seconds` have
    passed since the last time, and a file with the same `key` is gone on from. With `last` every
    epoch counts as the best: nothing is chosen.
    """

    def __init__(
        self,
        seed: int,
        file: Path | None = None,
        key: str = "",
        seconds: float = 60.0,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.seed, self.file, self.key, self.seconds, self.last = seed, file, key, seconds, last
        self.kept: dict[str, Tensor] = {}
        self.header = read_header(file, key)

    @property
    def start(self) -> int:
        """The first epoch that is still to be trained."""
        return self.header.get("epochs", 0)

    def before_fit(self) -> None:
        super().before_fit()
        self.written = time.monotonic()
        if self.start:
            self._restore()

    def before_train(self) -> None:
        seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)[0])
        torch.manual_seed(seed)
        self.dls.train.rng = random.Random(seed)

    def after_epoch(self) -> None:
        if self.epoch < self.start:  # trained before the interrupt: fastai recorded nothing for it
            self.recorder.values[-1] = self.header["losses"][self.epoch]
            return
        super().after_epoch()
        if self.new_best or self.last:
            self.kept = {
                name: tensor.clone() for name, tensor in self.learn.model.state_dict().items()
            }
        if self.file and time.monotonic() - self.written >= self.seconds:
            self._write()

    def after_fit(self) -> None:
        if not self.kept:
            raise RbcError("the validation loss was never a number; lower lr_high in the profile")
        self.learn.model.load_state_dict(self.kept)
        super().after_fit()

    def _write(self) -> None:
        tensors = {f"model.{name}": t for name, t in self.learn.model.state_dict().items()}
        tensors |= {f"kept.{name}": t for name, t in self.kept.items()}
        states = [self.opt.state[p] for p, *_ in self.opt.all_params()]
        tensors |= {f"{m}.{i}": s[m] for i, s in enumerate(states) for m in MOMENTS if m in s}
        smooth = self.recorder.smooth_loss
        header = {
            "key": self.key, "epochs": self.epoch + 1, "best": float(self.best),
            "steps": [s["step"] for s in states],
            "losses": [[float(x) for x in row] for row in self.recorder.values],
            "smooth": [smooth.count, float(smooth.val)],
        }  # fmt: skip
        whole_file(
            self.file, {k: t.detach().cpu().contiguous() for k, t in tensors.items()}, header
        )
        self.written = time.monotonic()

    def _restore(self) -> None:
        with safe_open(self.file, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        self.kept = {
            name.removeprefix("kept."): t for name, t in tensors.items() if name.startswith("kept.")
        }
        model = {
            name.removeprefix("model."): t
            for name, t in tensors.items()
            if name.startswith("model.")
        }
        self.learn.model.load_state_dict(model)
        for i, (p, *_) in enumerate(self.opt.all_params()):
            moments = {m: torch.empty_like(p).copy_(tensors[f"{m}.{i}"]) for m in MOMENTS}
            self.opt.state[p].update(moments, step=self.header["steps"][i])
        self.best = self.header["best"]
        smooth = self.recorder.smooth_loss
        smooth.count, smooth.val = self.header["smooth"][0], torch.tensor(self.header["smooth"][1])


def read_header(file: Path | None, key: str) -> dict:
    """What a checkpoint says of itself.

    Parameters
    ----------
    file : the checkpoint, or None
    key : of everything that the run's numbers depend on

    Returns
    -------
    Its header; empty where there is none, or where it has another key (another run, other code)
    """
    if file is None or not file.exists():
        return {}
    try:
        with safe_open(file, "pt") as content:
            header = json.loads(content.metadata()["rbc"])
    except (SafetensorError, KeyError, TypeError, ValueError):  # not one of ours: start afresh
        return {}
    return header if header["key"] == key else {}


def whole_file(file: Path, tensors: dict[str, Tensor], header: dict) -> None:
    """Write a checkpoint so that a kill at any point leaves the old one or the new one.

    Parameters
    ----------
    file : where
    tensors : by name
    header : what `read_header` gives back
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file(tensors, part, {"rbc": json.dumps(header)})
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    os.replace(part, file)
