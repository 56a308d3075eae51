"""A profile: which data, which runs, how long, with which seeds (config/<name>.yaml)."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rbc import ROOT, RbcError
from rbc.paper import KS, LABELS, MODELS, SAMPLINGS, SPLITS, STAGES, Configuration


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


class Stage(Strict):
    """The part of Table 3 or 4 that is run; without folds the data's own split is taken."""

    models: list[Literal[MODELS]] = list(MODELS)
    samplings: list[Literal[SAMPLINGS]] = list(SAMPLINGS)
    ks: list[Literal[KS]] = list(KS)
    why_not_all: str = ""
    folds: list[Fold] = []


class Training(Strict):
    """How one configuration is trained (paper: "Model hyperparameters"; batch 64, 20 to 40 epochs)."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)] = 64
    lr_low: float = 1e-4
    lr_high: float = 1e-3
    noise_sd: float = 0.0
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
            Configuration(stage, *cell)
            for stage, part in self.stages.items()
            for cell in product(part.models, part.samplings, part.ks, self.seeds)
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
        return Profile(name=path.stem, path=str(path.resolve()), **yaml.safe_load(path.read_text()))
    except (TypeError, yaml.YAMLError) as error:
        raise RbcError(f"{path}: not a profile in YAML ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RbcError(f"{path}: key {key}: {first['msg']}; compare it with config/demo.yaml") from error
