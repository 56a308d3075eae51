"""One configuration: fastai's Learner, the best epoch, predictions.

Paper: "Implementation details" and "Model hyperparameters".
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from fastai.basics import CrossEntropyLossFlat, DataLoaders, Learner, params, set_seed
from fastai.callback.progress import ProgressCallback
from fastai.callback.schedule import fit_one_cycle, lr_find  # noqa: F401  (become methods of Learner)
from fastai.data.load import DataLoader
from safetensors.torch import load_file
from torch import Tensor, nn

from rbc import RbcError
from rbc.checkpoints import BestEpoch
from rbc.inputs import Rows, device, predict, rows
from rbc.models import build
from rbc.paper import SPLITS, Configuration, in_stage, positive
from rbc.sampling import balance
from rbc.sequences import Sequences
from rbc.settings import Fold, Training, folds, settings, variant

#: How many of the programs that oneDNN writes for a shape of batch a C-RNN's run keeps. Each of its
#: batches has its own number of frames, so its own shape; by default 1,024 programs are kept, and
#: on a record of the paper's size the process grew to 17 GB.
KEPT_PROGRAMS = {"crnn": "16"}
#: batches whose sequences are laid on the device together for a prediction
PREDICTED = 64
#: what PyTorch's allocators and oneDNN say in a plain RuntimeError where memory is short
NO_MEMORY = ("out of memory", "allocate", "could not create a primitive")


def loader(data: Rows, chosen: np.ndarray, training: Training, shuffle: bool) -> DataLoader:
    """fastai's DataLoader over row numbers.

    Batches are cut by index from what lies on the device.

    Parameters
    ----------
    data : sampled sequences
    chosen : (n,) int64, row numbers
    training : the size of a batch, and what `Rows.batch` needs
    shuffle : for learning: another order each epoch, noise and augmentation laid on
    """

    def create_batch(numbers: list) -> tuple[Tensor, Tensor, Tensor]:
        return data.batch(torch.tensor(numbers, device=data.frames.device), training, shuffle)

    alone = len(chosen) % training.batch_size == 1  # batch norm cannot train on a batch of one
    return DataLoader(
        chosen.tolist(), bs=training.batch_size, shuffle=shuffle, num_workers=0,
        create_batch=create_batch, drop_last=shuffle and alone, n_inp=2, device=data.frames.device,
    )  # fmt: skip


def groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """Parameter groups for discriminative learning rates: one a top-level layer, input to
    output.
    """
    return [params(layer) for layer in model.children()]


def network(c: Configuration, training: Training, device: torch.device) -> nn.Module:
    """A configuration's network on the device, in the arithmetic of the profile.

    Parameters
    ----------
    c : says the network, K and the seed of fresh weights
    training : precision, and `start`, weights to begin with instead of fresh ones
    device : where it is to lie

    Raises
    ------
    RbcError
        where the weights of `start` are not there
    """
    set_seed(c.seed, reproducible=True)
    name = variant(c.variant).networks.get(c.model, c.model)
    model = build(name, c.k)
    if training.start:
        if not Path(training.start).exists():
            raise RbcError(
                f"training.start: {training.start} is not there; name weights that are, from the"
                " working folder"
            )
        model.load_state_dict(load_file(training.start))
    model = model.to(device)
    if c.model == "crnn":
        model = model.to(memory_format=torch.channels_last)
    # departure: half the memory traffic; weights and loss stay float32
    if training.precision == "bfloat16":
        full = model.forward

        def forward(*x: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                return full(*x).float()

        model.forward = forward
    return model


def learner(
    data: Rows, train: np.ndarray, validation: np.ndarray, c: Configuration, training: Training
) -> Learner:
    """fastai's Learner of one configuration: cross-entropy, Adam, groups of layers.

    Parameters
    ----------
    data : sampled sequences
    train, validation : (n,) int64, row numbers
    c : which network, K and seed
    training : the size of a batch, rates, and what `Rows.batch` needs
    """
    model = network(c, training, data.frames.device)
    loaders = DataLoaders(
        loader(data, train, training, True), loader(data, validation, training, False)
    )
    made = Learner(loaders, model, loss_func=CrossEntropyLossFlat(), splitter=groups)
    # A run is followed by its own log, not by fastai's bar.
    made.remove_cb(ProgressCallback)
    return made


def fit(made: Learner, best: BestEpoch, training: Training) -> None:
    """Train, keeping the epoch of lowest validation loss (paper: "Training loss").

    One cycle (Smith and Topin 2018) whose peak rates go from `lr_low` at the input to `lr_high` at
    the output (paper: 1e-4 to 1e-3).

    Parameters
    ----------
    made : of `learner`
    best : keeps the best epoch; where it has read a checkpoint, training goes on from there
    training : epochs and rates
    """
    rates = slice(training.lr_low, training.lr_high)
    with made.no_logging():
        made.fit_one_cycle(training.epochs, rates, cbs=best, start_epoch=best.start)


def find_rates(made: Learner, batches: int) -> pd.DataFrame:
    """fastai's learning-rate finder: smoothed training loss while the rate grows from 1e-7 to 10.

    The network and the optimizer are as before afterwards. Nothing is chosen from the curve; the
    run page shows it.

    Parameters
    ----------
    made : of `learner`
    batches : length of the mock training; 0: none

    Returns
    -------
    One row a batch: rate, loss
    """
    if not batches:
        return pd.DataFrame({"rate": [], "loss": []})
    with TemporaryDirectory() as folder:
        made.path = Path(folder)
        made.lr_find(num_it=batches, show_plot=False, suggest_funcs=None)
    return pd.DataFrame(
        {"rate": made.recorder.lrs, "loss": [float(x) for x in made.recorder.losses]}
    )


@dataclass(frozen=True)
class Outcome:
    """What training one configuration gives.

    history : one row a fold and epoch: fold, epoch, train_loss, valid_loss
    rates : the learning-rate finder's curve on the first fold: rate, loss
    predictions : one row a fold and sequence of validation and test: name, acquisition, label,
        fold, split, probability (of the positive class)
    unreliable : the same of the test split's unreliable sequences in stage 2, which no score of it
        counts but which it is asked about in use; no row in stage 1
    weights : array by name, ``fold0.`` and so on before the network's own names
    device : where it ran
    seconds : how long it took, sampling included
    """

    history: pd.DataFrame
    rates: pd.DataFrame
    predictions: pd.DataFrame
    unreliable: pd.DataFrame
    weights: dict[str, np.ndarray]
    device: str
    seconds: float


def train(
    sequences: Sequences,
    c: Configuration,
    training: Training,
    named: Sequence[Fold] = (),
    checkpoints: Path | None = None,
    key: str = "",
) -> Outcome:
    """Train and apply one configuration, fold by fold.

    Parameters
    ----------
    sequences : all sequences of the data, of every split and label
    c : which network, sampling, K and seed, and which open detail is switched
    training : the settings; those that the configuration's variant sets otherwise are set here
    named : the folds by acquisition; without any, the data's own split is the only fold
    checkpoints : folder where the state of a training is kept and gone on from; None: nowhere
    key : of everything the numbers depend on; a checkpoint of another key is not gone on from

    Returns
    -------
    What training gave (`Outcome`).

    Raises
    ------
    RbcError
        where memory runs out, naming a smaller batch (it is never taken silently), or where a fold
        names an acquisition that the data lacks
    """
    started = time.perf_counter()
    training = settings(training, c)
    if c.model in KEPT_PROGRAMS:  # read once, at the first layer that is computed
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KEPT_PROGRAMS[c.model])
    # more threads give other last bits: part of the profile
    torch.set_num_threads(training.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    splits = folds(sequences.index, named)
    with memory(c, training):
        learned = learned_from(sequences, splits, c, training)
        trained = []
        for number in range(len(splits)):
            file = checkpoints / f"fold{number}.safetensors" if checkpoints else None
            last = training.keep == "last"
            best = BestEpoch(c.seed, file, key, training.checkpoint_seconds, last)
            trained.append(
                train_fold(sequences, splits[number], learned, c, training, best, number)
            )
    return Outcome(
        history=pd.concat([fold.history for fold in trained]),
        rates=trained[0].rates,
        predictions=pd.concat([fold.predictions for fold in trained], ignore_index=True),
        unreliable=pd.concat([fold.unreliable for fold in trained], ignore_index=True),
        weights={name: w for fold in trained for name, w in fold.weights.items()},
        device=str(learned.rows.frames.device),
        seconds=round(time.perf_counter() - started, 1),
    )


@dataclass(frozen=True)
class Learned:
    """Sequences that a network is trained on and whose loss chooses the epoch.

    rows: their frames; validation: of each fold, (n,) int64, row numbers; balanced: of each fold,
    (n,) int64, the row numbers trained on, with copies (`sampling.balance`).
    """

    rows: Rows
    validation: list[np.ndarray]
    balanced: list[np.ndarray]


def learned_from(
    sequences: Sequences, splits: list[np.ndarray], c: Configuration, training: Training
) -> Learned:
    """What all folds learn from, on the device.

    Parameters
    ----------
    sequences : all sequences
    splits : of each fold, (N,) of 'train', 'validation', 'test' or ''
    c : says the stage, the sampling and K
    training : says the device
    """
    trained = balanced(sequences.index["label"], splits, c)
    validated = [np.flatnonzero(chosen(sequences, split, "validation", c)) for split in splits]
    # A training sequence that no fold's balance draws is never looked at, and a tested one only
    # once at the end. On the full record their frames would fill gigabytes.
    wanted = np.zeros(len(sequences), bool)
    wanted[np.concatenate([*trained, *validated])] = True
    number = np.cumsum(wanted) - 1  # of a sequence among those that are kept
    return Learned(
        rows(sequences.select(wanted), c, device(training.device)),
        [number[fold] for fold in validated],
        [number[fold] for fold in trained],
    )


def chosen(
    sequences: Sequences, split: np.ndarray, part: str, c: Configuration, of_stage: bool = True
) -> np.ndarray:
    """Which sequences of a split have a class of the stage, or (not `of_stage`) have none, as
    unreliable ones in stage 2: (N,) bool.
    """
    return (in_stage(sequences.index["label"], c.stage) == of_stage) & (split == part)


def answers(
    model: nn.Module,
    sequences: Sequences,
    wanted: np.ndarray,
    c: Configuration,
    training: Training,
    fold: int,
    part: str,
) -> pd.DataFrame:
    """What a network predicts of sequences, which are laid on the device some at a time.

    Parameters
    ----------
    model : the network
    sequences : all sequences
    wanted : (N,) bool, of which of them
    c : says the stage, the sampling and K
    training : what `predict` needs
    fold, part : what the answer says of its fold and split

    Returns
    -------
    One row a sequence: name, acquisition, label, fold, split, probability
    """
    piece = PREDICTED * training.batch_size  # whole batches, so that the last bits stay
    found = [np.zeros(0, np.float32)]
    for numbers in np.split(np.flatnonzero(wanted), range(piece, wanted.sum(), piece)):
        own = sequences.select(np.isin(np.arange(len(wanted)), numbers))
        data = rows(own, c, device(training.device))
        found.append(predict(model, data, np.arange(len(own)), training))
    table = sequences.index.loc[wanted, ["name", "acquisition", "label"]].reset_index(drop=True)
    return table.assign(fold=fold, split=part, probability=np.concatenate(found))


def balanced(labels: pd.Series, splits: list[np.ndarray], c: Configuration) -> list[np.ndarray]:
    """Each fold's sequences to train on, both classes equally often: (n,) int64, with copies.

    Validation and test keep the proportions of the data.

    Parameters
    ----------
    labels : (N,) of all sequences
    splits : of each fold, (N,) of 'train', 'validation', 'test' or ''
    c : says the stage, the model and the seed
    """
    inside, classes = in_stage(labels, c.stage), positive(labels, c.stage)
    train = [np.flatnonzero(inside & (split == "train")) for split in splits]
    return [own[balance(classes[own], c.model, c.stage, c.seed)] for own in train]


def train_fold(
    sequences: Sequences,
    split: np.ndarray,
    learned: Learned,
    c: Configuration,
    training: Training,
    best: BestEpoch,
    fold: int,
) -> Outcome:
    """What one fold gives, as an `Outcome` of its own.

    Parameters
    ----------
    sequences, split : all sequences, and the fold's split of each
    learned : of all folds
    best : keeps the state of the training and its best epoch
    fold : number of the fold
    """
    started = time.perf_counter()
    rows_of = learned.balanced[fold], learned.validation[fold]
    made = learner(learned.rows, *rows_of, c, training)
    rates = find_rates(made, training.lr_finder_batches if fold == 0 else 0)
    fit(made, best, training)

    # By now the model holds the weights of the epoch that is kept.
    def told(part: str, of_stage: bool) -> pd.DataFrame:
        wanted = chosen(sequences, split, part, c, of_stage)
        return answers(made.model, sequences, wanted, c, training, fold, part)

    weights = made.model.state_dict().items()
    return Outcome(
        history=history(made, fold),
        rates=rates,
        predictions=pd.concat([told(part, of_stage=True) for part in SPLITS[1:]]),
        # Unreliable sequences are no class of stage 2, but in use it is asked about them.
        unreliable=told("test", of_stage=False),
        weights={f"fold{fold}.{name}": w.cpu().contiguous().numpy() for name, w in weights},
        device=str(learned.rows.frames.device),
        seconds=time.perf_counter() - started,
    )


@contextmanager
def memory(c: Configuration, training: Training) -> Iterator[None]:
    """Turn what PyTorch and numpy raise where memory runs out, on a GPU or not, into one line.

    Parameters
    ----------
    c : named in the line
    training : its batch size is named, and half of it advised

    Raises
    ------
    RbcError
        in place of any such error
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error) for words in NO_MEMORY):
            raise
        # A smaller batch is another training, so it is advised and never taken silently.
        batch = training.batch_size
        raise RbcError(
            f"{c.path}: out of memory at batch_size {batch}; set batch_size: {max(batch // 2, 2)}"
            " in the profile (a smaller batch is another training: say so beside its scores)"
        ) from error


def history(learner: Learner, fold: int) -> pd.DataFrame:
    """Losses by epoch of one fold.

    Parameters
    ----------
    learner : after its training
    fold : number of the fold

    Returns
    -------
    One row an epoch: fold, epoch, train_loss, valid_loss
    """
    losses = np.array(learner.recorder.values)
    return pd.DataFrame(
        {
            "fold": fold,
            "epoch": range(len(losses)),
            "train_loss": losses[:, 0],
            "valid_loss": losses[:, 1],
        }
    )
