"""One configuration: sequences on the device, fastai's Learner, the best epoch, predictions.

Paper: "Implementation details" and "Model hyperparameters".
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from fastai.basics import CrossEntropyLossFlat, DataLoaders, Learner, params, set_seed
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import fit_one_cycle  # noqa: F401  (becomes a method of Learner)
from fastai.callback.tracker import TrackerCallback
from fastai.data.load import DataLoader
from torch import Tensor, nn

from rbc import RbcError
from rbc.models import build
from rbc.paper import SPLITS, Configuration, in_stage, positive
from rbc.profiles import Fold, Profile, Training
from rbc.sampling import balance, medians, sample_all
from rbc.sequences import Sequences

GREY_SCALE = 20.0  #: grey levels that count as 1 at the networks' input: about the contrast of a cell


@dataclass(frozen=True)
class Rows:
    """N sampled sequences on the device.

    frames (N, K, 31, 31) uint8, zeros after a sequence's end; lengths (N,) int64; background (N,) float32, the median
    grey level of each sequence's kept frames; classes (N,) int64, 1 for the stage's positive class.
    """

    frames: Tensor
    lengths: Tensor
    background: Tensor
    classes: Tensor

    def batch(self, rows: Tensor, noise_sd: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """Network input of some rows: frames (B, K, 31, 31) float32, lengths (B,), classes (B,).

        Open in the text: how grey levels enter. Here each sequence minus its background, over `GREY_SCALE`, so that a
        cell's contrast is of order one. The paper's black padding images are zeros here as well,
        which after the subtraction means empty background.
        """
        x = (self.frames[rows].float() - self.background[rows][:, None, None, None]) / GREY_SCALE
        if noise_sd:  # departure: the paper names no augmentation
            x = x + torch.randn_like(x) * (noise_sd / GREY_SCALE)
        real = torch.arange(x.shape[1], device=x.device) < self.lengths[rows][:, None]
        return x * real[:, :, None, None], self.lengths[rows], self.classes[rows]


def rows(sequences: Sequences, configuration: Configuration, device: torch.device) -> Rows:
    """Sample every sequence to at most K frames and lay the result on the device."""
    frames, lengths = sample_all(sequences, configuration.sampling, configuration.k, configuration.seed)
    classes = positive(sequences.index["label"], configuration.stage).astype(np.int64)
    parts = frames, lengths, medians(frames, lengths), classes
    return Rows(*(torch.from_numpy(a).to(device) for a in parts))


def device(wanted: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU. Raises `RbcError` for CUDA without a GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RbcError("device is 'cuda', but PyTorch sees no GPU here; set device: auto or cpu in the profile")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def loader(data: Rows, chosen: np.ndarray, training: Training, shuffle: bool) -> DataLoader:
    """fastai's DataLoader over row numbers: batches are cut by index from what lies on the device."""
    noise = training.noise_sd if shuffle else 0.0

    def create_batch(numbers: list) -> tuple[Tensor, Tensor, Tensor]:
        return data.batch(torch.tensor(numbers, device=data.frames.device), noise)

    alone = len(chosen) % training.batch_size == 1  # batch norm cannot train on a batch of one
    return DataLoader(
        chosen.tolist(), bs=training.batch_size, shuffle=shuffle, num_workers=0, create_batch=create_batch,
        drop_last=shuffle and alone, n_inp=2, device=data.frames.device,
    )  # fmt: skip


class KeepBest(TrackerCallback):
    """The epoch with the lowest validation loss, kept in memory and put back at the end (no file, so no pickle)."""

    def before_fit(self) -> None:
        super().before_fit()
        self.state: dict[str, Tensor] = {}

    def after_epoch(self) -> None:
        super().after_epoch()
        if self.new_best:
            self.state = {name: tensor.clone() for name, tensor in self.learn.model.state_dict().items()}

    def after_fit(self) -> None:
        if not self.state:
            raise RbcError("the validation loss was never a number; lower lr_high in the profile")
        self.learn.model.load_state_dict(self.state)
        super().after_fit()


def groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """Parameter groups for discriminative learning rates: one a top-level layer, input to output."""
    return [params(layer) for layer in model.children()]


def fit(data: Rows, train: np.ndarray, validation: np.ndarray, c: Configuration, training: Training) -> Learner:
    """Train on row numbers `train`, keep the epoch of lowest loss on `validation` (paper: "Training loss").

    Cross-entropy, Adam, one cycle (Smith and Topin 2018) whose peak rates go from
    `lr_low` at the input to `lr_high` at the output (paper: 1e-4 to 1e-3).
    """
    set_seed(c.seed, reproducible=True)
    model = build(c.model, c.k).to(data.frames.device)
    if c.model == "crnn":
        model = model.to(memory_format=torch.channels_last)
    loaders = DataLoaders(loader(data, train, training, True), loader(data, validation, training, False))
    learner = Learner(loaders, model, loss_func=CrossEntropyLossFlat(), splitter=groups, cbs=KeepBest())
    learner.remove_cb(ProgressCallback)
    with learner.no_logging():
        learner.fit_one_cycle(training.epochs, slice(training.lr_low, training.lr_high))
    return learner


@torch.no_grad()
def predict(model: nn.Module, data: Rows, chosen: np.ndarray, batch_size: int) -> np.ndarray:
    """Probability of the positive class for some rows: (len(chosen),) float32."""
    model.eval()
    parts = []
    for numbers in torch.from_numpy(chosen).to(data.frames.device).split(batch_size):
        x, lengths, _ = data.batch(numbers)
        parts.append(model(x, lengths).float().softmax(1)[:, 1].cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


@dataclass(frozen=True)
class Outcome:
    """What training one configuration gives.

    history : one row a fold and epoch: fold, epoch, train_loss, valid_loss
    predictions : one row a fold and sequence of validation and test: name, acquisition, label, fold, split,
        probability (of the positive class)
    weights : array by name, ``fold0.`` and so on before the network's own names
    device : where it ran
    seconds : how long it took, sampling included
    """

    history: pd.DataFrame
    predictions: pd.DataFrame
    weights: dict[str, np.ndarray]
    device: str
    seconds: float


def train(sequences: Sequences, c: Configuration, profile: Profile) -> Outcome:
    """Train and apply one configuration, fold by fold."""
    started, training = time.perf_counter(), profile.training
    torch.set_num_threads(training.threads)  # more threads give other last bits: part of the profile
    torch.use_deterministic_algorithms(True, warn_only=True)
    sequences = sequences.select(in_stage(sequences.index["label"], c.stage))
    data = rows(sequences, c, device(training.device))
    histories, predictions, weights = [], [], {}
    for number, split in enumerate(folds(sequences.index, profile.stages[c.stage].folds)):
        where = {part: np.flatnonzero(split == part) for part in SPLITS}
        classes = positive(sequences.index["label"], c.stage)
        chosen = where["train"][balance(classes[where["train"]], c.model, c.stage, c.seed)]
        learner = fit(data, chosen, where["validation"], c, training)
        histories.append(history(learner, number))
        for part in SPLITS[1:]:
            probability = predict(learner.model, data, where[part], training.batch_size)
            table = sequences.index.iloc[where[part]][["name", "acquisition", "label"]]
            predictions.append(table.assign(fold=number, split=part, probability=probability))
        weights |= {f"fold{number}.{k}": v.cpu().contiguous().numpy() for k, v in learner.model.state_dict().items()}
    return Outcome(
        pd.concat(histories), pd.concat(predictions, ignore_index=True), weights,
        str(data.frames.device), round(time.perf_counter() - started, 1),
    )  # fmt: skip


def history(learner: Learner, fold: int) -> pd.DataFrame:
    """Losses by epoch of one fold."""
    losses = np.array(learner.recorder.values)
    return pd.DataFrame(
        {"fold": fold, "epoch": range(len(losses)), "train_loss": losses[:, 0], "valid_loss": losses[:, 1]}
    )


def folds(index: pd.DataFrame, named: list[Fold]) -> list[np.ndarray]:
    """Each fold's split of every sequence: (N,) of 'train', 'validation', 'test' or ''.

    Without named folds the data's own split is the only one. Raises `RbcError` for an acquisition that the data lacks.
    """
    if not named:
        return [index["split"].to_numpy(object)]
    known = set(index["acquisition"])
    splits = []
    for fold in named:
        part_of = {a: part for part in SPLITS for a in getattr(fold, part)}
        if missing := sorted(set(part_of) - known):
            raise RbcError(f"the profile's folds name acquisitions that the data lacks: {', '.join(missing)}")
        splits.append(index["acquisition"].map(part_of).fillna("").to_numpy(object))
    return splits
