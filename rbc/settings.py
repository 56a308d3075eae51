"""How one configuration is trained: the settings, the folds, and the open details that can be
switched, by name.

Where the text leaves room, or the authors' released code went elsewhere, a variant changes one
detail of the book's register and nothing else; ``text`` changes none. Those called ``frames`` are
our own network and what it becomes without one of its parts, trained by the same path. Nothing
heavy is imported here: every command reads settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rbc import RbcError
from rbc.paper import SPLITS, Configuration

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: ways to vary training sequences
AUGMENTATIONS = ("intruders", "gaps", "symmetries", "shifts", "light")


class Strict(BaseModel):
    """An unknown or wrong-typed key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Fold(Strict):
    """Which acquisitions train, validate and test."""

    train: list[str]
    validation: list[str]
    test: list[str]

    @model_validator(mode="after")
    def _apart(self) -> Fold:
        everything = [*self.train, *self.validation, *self.test]
        if twice := sorted({a for a in everything if everything.count(a) > 1}):
            raise ValueError(f"a fold names {', '.join(twice)} twice")
        return self


class Training(Strict):
    """How one configuration is trained (paper: "Model hyperparameters"; batch 64, 20 to 40 epochs).

    grey : each sequence minus its background, or the raw grey levels / 255
    augment : in which ways training sequences are varied (`AUGMENTATIONS`)
    start : weights (safetensors) that training starts from, from the working folder; none: fresh
        ones
    keep : the epoch of lowest validation loss, or the last
    padding : what stands after a short sequence's end: empty background, or black
    lr_finder_batches : length of the learning-rate finder's mock training before the first fold; 0:
        none
    checkpoint_seconds : how often a run's state is put on disk, at the end of an epoch
    """

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)] = 64
    lr_low: float = 1e-4
    lr_high: float = 1e-3
    noise_sd: float = 0.0
    augment: list[Literal[AUGMENTATIONS]] = []
    start: str = ""
    keep: Literal["best", "last"] = "best"
    grey: Literal["background", "raw"] = "background"
    padding: Literal["empty", "black"] = "empty"
    precision: Literal["float32", "bfloat16"] = "float32"
    lr_finder_batches: Annotated[int, Field(ge=0)] = 0
    checkpoint_seconds: float = 60.0
    threads: Annotated[int, Field(ge=1)] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class Variant:
    """One switched detail.

    detail : its row in the register, e.g. ``D9``; empty for what is no open detail
    what : what is done instead, in one line
    networks, samplings : the network (`rbc.models.NETWORKS`) or sampler (`rbc.sampling.SAMPLERS`)
        taken for a table's
    training : keys of the profile's training that are set otherwise
    """

    detail: str
    what: str
    networks: dict[str, str] = field(default_factory=dict)
    samplings: dict[str, str] = field(default_factory=dict)
    training: dict[str, object] = field(default_factory=dict)


def without(part: str) -> list[str]:
    """All ways to vary training sequences but one."""
    return [p for p in AUGMENTATIONS if p != part]


#: how our own networks are trained, beside the profile
OURS = {"augment": list(AUGMENTATIONS), "keep": "last", "lr_low": 3e-3, "lr_high": 3e-3}
#: a network that knows simulated sequences alone
SIMULATED = "data/reference/transfer/simulated.safetensors"
TEXT = "text"
VARIANTS = {
    TEXT: Variant("", "as the text says, and as this book reads it where it is open"),
    "raw-grey": Variant("D1", "grey levels / 255, background left in", training={"grey": "raw"}),
    "black-padding": Variant(
        "D2", "padding is black beside the subtracted background", training={"padding": "black"}
    ),
    "uniform-random": Variant(
        "D4", "a random subset of the frames, in order", samplings={"uniform": "uniform-random"}
    ),
    "similarity-released": Variant(
        "D5",
        "frames 0 to K - 2 and the last, as the released code",
        samplings={"similarity": "similarity-released"},
    ),
    "cnn-torchvision": Variant(
        "D9", "first stage at stride 1, as He et al.", networks={"cnn": "cnn-torchvision"}
    ),
    "cnn-strip": Variant(
        "D33", "the frames side by side as one picture", networks={"cnn": "cnn-strip"}
    ),
    "crnn-released-padded": Variant(
        "D34",
        "wider, batch norm, two GRUs, running over the padding",
        networks={"crnn": "crnn-released-padded"},
    ),
    "crnn-released-masked": Variant(
        "D34", "the same network, the padding masked", networks={"crnn": "crnn-released-masked"}
    ),
    "one-rate": Variant(
        "D21", "1e-3 as peak for all layers", training={"lr_low": 1e-3, "lr_high": 1e-3}
    ),
    "no-noise": Variant("D22", "no noise in training", training={"noise_sd": 0.0}),
    "bfloat16": Variant("D32", "forward pass in bfloat16", training={"precision": "bfloat16"}),
    "twenty-epochs": Variant(
        "", "20 epochs, as the paper's own times give its CNN", training={"epochs": 20}
    ),
    "last-epoch": Variant(
        "", "the last epoch kept instead of the best of validation", training={"keep": "last"}
    ),
    # Without gaps, which would leave the CNN's K stacked frames half empty.
    "our-training": Variant(
        "",
        "the paper's network at our rates, augmented but for gaps, the last epoch kept",
        training=OURS | {"augment": without("gaps")},
    ),
} | {
    name: Variant("", f"ours: {what}", networks={"cnn": network}, training=OURS | training)
    for name, what, network, training in (
        ("frames", "one small CNN for every frame, augmented, the last epoch kept", "frames", {}),
        ("frames-transformer", "a transformer over time", "frames-transformer", {}),
        (
            "frames-differences",
            "with each frame's change from the one before",
            "frames-differences",
            {},
        ),
        (
            "frames-pretrained",
            "trained before on simulated sequences, of an older simulator",
            "frames",
            {"start": SIMULATED},
        ),
        ("frames-plain", "not augmented", "frames", {"augment": []}),
        (
            "frames-paper-training",
            "not augmented, at the paper's rates",
            "frames",
            {"augment": [], "lr_low": 1e-4, "lr_high": 1e-3},
        ),
        *(
            (f"frames-no-{part}", f"augmented, but no {part}", "frames", {"augment": without(part)})
            for part in AUGMENTATIONS
        ),
    )
}


def folds(index: pd.DataFrame, named: Sequence[Fold]) -> list[np.ndarray]:
    """Each fold's split of every sequence.

    Parameters
    ----------
    index : the sequences' index
    named : the folds by acquisition; without any, the data's own split is the only fold

    Returns
    -------
    Of each fold, (N,) of 'train', 'validation', 'test' or ''

    Raises
    ------
    RbcError
        for an acquisition that the data lacks
    """
    if not named:
        return [index["split"].to_numpy(object)]
    known = set(index["acquisition"])
    splits = []
    for fold in named:
        part_of = {a: part for part in SPLITS for a in getattr(fold, part)}
        if missing := sorted(set(part_of) - known):
            raise RbcError(
                f"the profile's folds name acquisitions that the data lacks: {', '.join(missing)}"
            )
        splits.append(index["acquisition"].map(part_of).fillna("").to_numpy(object))
    return splits


def variant(name: str) -> Variant:
    """The variant of that name. Raises `RbcError` for one that is not known."""
    if name not in VARIANTS:
        raise RbcError(f"variant is {name!r}: choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]


def applies(name: str, model: str, sampling: str) -> bool:
    """Whether a variant changes anything for a cell of the tables.

    Parameters
    ----------
    name : of `VARIANTS`
    model : ``cnn`` or ``crnn``
    sampling : ``uniform`` or ``similarity``
    """
    v = variant(name)
    return bool(v.training) or model in v.networks or sampling in v.samplings or name == TEXT


def settings(training: Training, c: Configuration) -> Training:
    """A profile's training with what the configuration's variant sets otherwise.

    Parameters
    ----------
    training : of the profile
    c : names the variant
    """
    return training.model_copy(update=variant(c.variant).training)
