"""A profile: which data, which runs, how long, with which seeds (config/<name>.yaml)."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rbc import ROOT, RbcError
from rbc.augment import PARTS
from rbc.paper import KS, LABELS, MODELS, SAMPLINGS, SPLITS, STAGES, Configuration
from rbc.variants import TEXT, VARIANTS, applies


class Strict(BaseModel):
    """An unknown or wrong-typed key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Data(Strict):
    """Where the sequences come from; `counts` (split, label, number) and `seed` only for simulated ones."""

    source: Literal["simulated", "released", "zenodo"]
    counts: dict[Literal[SPLITS], dict[Literal[LABELS], Annotated[int, Field(ge=0)]]] = {}
    seed: int = 0


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


class Cell(Strict):
    """One cell of a table, once for each of some variants (`rbc.variants`)."""

    model: Literal[MODELS]
    sampling: Literal[SAMPLINGS]
    k: Literal[KS]
    variants: Annotated[list[Literal[tuple(VARIANTS)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _apply(self) -> Cell:
        for name in self.variants:
            if not applies(name, self.model, self.sampling):
                raise ValueError(f"variant {name} changes nothing for {self.model} with {self.sampling} sampling")
        return self


class Stage(Strict):
    """The part of Table 3 or 4 that is run; without folds the data's own split is taken.

    Every combination of `models`, `samplings` and `ks`; or, where `cells` are given, these instead.
    """

    models: list[Literal[MODELS]] = list(MODELS)
    samplings: list[Literal[SAMPLINGS]] = list(SAMPLINGS)
    ks: list[Literal[KS]] = list(KS)
    cells: list[Cell] = []
    why_not_all: str = ""
    folds: list[Fold] = []

    def combinations(self) -> list[tuple[str, str, int, str]]:
        """Model, sampling, K and variant of everything that is run, in the order of the tables."""
        if self.cells:
            return [(c.model, c.sampling, c.k, variant) for c in self.cells for variant in c.variants]
        return list(product(self.models, self.samplings, self.ks, [TEXT]))


class Training(Strict):
    """How one configuration is trained (paper: "Model hyperparameters"; batch 64, 20 to 40 epochs).

    grey : each sequence minus its background, or the raw grey levels / 255
    augment : in which ways training sequences are varied (`rbc.augment.PARTS`)
    start : weights in the checkout (safetensors) that training starts from; none: fresh ones
    keep : the epoch of lowest validation loss, or the last
    padding : what stands after a short sequence's end: empty background, or black
    lr_finder_batches : length of the learning-rate finder's mock training before the first fold; 0: none
    checkpoint_seconds : how often a run's state is put on disk, at the end of an epoch
    """

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)] = 64
    lr_low: float = 1e-4
    lr_high: float = 1e-3
    noise_sd: float = 0.0
    augment: list[Literal[PARTS]] = []
    start: str = ""
    keep: Literal["best", "last"] = "best"
    grey: Literal["background", "raw"] = "background"
    padding: Literal["empty", "black"] = "empty"
    precision: Literal["float32", "bfloat16"] = "float32"
    lr_finder_batches: Annotated[int, Field(ge=0)] = 100
    checkpoint_seconds: float = 60.0
    threads: Annotated[int, Field(ge=1)] = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Profile(Strict):
    """One file of config/."""

    name: str
    path: str = Field(exclude=True)  # the file it was read from; not part of a run's record
    title: str
    data: Data
    stages: Annotated[dict[Literal[STAGES], Stage], Field(min_length=2)]
    training: Training
    seeds: Annotated[list[int], Field(min_length=1)] = [0]

    def configurations(self) -> list[Configuration]:
        """Every run of this profile, in the order of Tables 3 and 4."""
        return [
            Configuration(stage, model, sampling, k, seed, variant)
            for stage, part in self.stages.items()
            for (model, sampling, k, variant), seed in product(part.combinations(), self.seeds)
        ]

    @property
    def data_folder(self) -> Path:
        """Its `Sequences` on disk (made by ``rbc data prepare``)."""
        return ROOT / "data" / "derived" / self.name

    @property
    def results_folder(self) -> Path:
        """Its runs."""
        return ROOT / "results" / self.name


def load(profile: str) -> Profile:
    """The profile of that name in config/, or in a file of that path (.yaml). Raises `RbcError` naming the key."""
    path = Path(profile) if profile.endswith(".yaml") else ROOT / "config" / f"{profile}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in (ROOT / "config").glob("*.yaml")))
        raise RbcError(f"{path}: no such profile; there are {known}")
    try:
        return Profile(name=path.stem, path=str(path.resolve()), **_read(path))
    except (TypeError, yaml.YAMLError) as error:
        raise RbcError(f"{path}: not a profile in YAML ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RbcError(f"{path}: key {key}: {first['msg']}; compare it with config/demo.yaml") from error


def _read(path: Path) -> dict:
    """A profile's file; where it `extends` another of config/, that one's keys hold where it says nothing."""
    own = yaml.safe_load(path.read_text())
    base = own.pop("extends", None)
    return _over(_read(ROOT / "config" / f"{base}.yaml"), own) if base else own


def _over(base: dict, own: dict) -> dict:
    both = {key: base[key] for key in base if key not in own}
    return both | {
        key: _over(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in own.items()
    }
