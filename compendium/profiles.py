"""A profile: which data, which runs, how long, with which seeds (config/<name>.yaml)."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from compendium import ROOT, yamlfiles
from rbc import RbcError
from rbc.paper import KS, LABELS, MODELS, SAMPLINGS, SPLITS, STAGES, Configuration
from rbc.settings import TEXT, VARIANTS, Fold, Strict, Training, applies


class Data(Strict):
    """Where the sequences come from.

    Only for simulated ones: `counts` (split, label, number), `seed`, and `ranges`, what light,
    cells and motions vary within where it is other than the defaults of `rbc.simulate.Ranges`.
    """

    source: Literal["simulated", "released", "zenodo"]
    counts: dict[Literal[SPLITS], dict[Literal[LABELS], Annotated[int, Field(ge=0)]]] = {}
    seed: int = 0
    ranges: dict[str, float | list[float]] = {}
    #: Findings that do not stop the command, because they are meant so (`compendium.data.printed`,
    #: `compendium.data.pixels`). They are no part of a run's record.
    acknowledged: list[Literal["counts", "numbering", "padding", "inverted", "short"]] = Field(
        [], exclude=True
    )


class Cell(Strict):
    """One cell of a table, once for each of some variants (`rbc.settings`)."""

    model: Literal[MODELS]
    sampling: Literal[SAMPLINGS]
    k: Literal[KS]
    variants: Annotated[list[Literal[tuple(VARIANTS)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _apply(self) -> Cell:
        for name in self.variants:
            if not applies(name, self.model, self.sampling):
                raise ValueError(
                    f"variant {name} changes nothing for {self.model} with {self.sampling} sampling"
                )
        return self


class Stage(Strict):
    """The part of Table 3 or 4 that is run; without folds the data's own split is taken.

    Every combination of `models`, `samplings` and `ks`; or, where `cells` are given, these instead.
    epochs : of a network in this stage, where they are other than those of the profile's training
    """

    models: list[Literal[MODELS]] = list(MODELS)
    samplings: list[Literal[SAMPLINGS]] = list(SAMPLINGS)
    ks: list[Literal[KS]] = list(KS)
    cells: list[Cell] = []
    why_not_all: str = ""
    epochs: dict[Literal[MODELS], Annotated[int, Field(ge=1)]] = {}
    folds: list[Fold] = []

    def combinations(self) -> list[tuple[str, str, int, str]]:
        """Model, sampling, K and variant of everything that is run, in the order of the tables."""
        if self.cells:
            return [
                (c.model, c.sampling, c.k, variant) for c in self.cells for variant in c.variants
            ]
        return list(product(self.models, self.samplings, self.ks, [TEXT]))


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

    def training_of(self, c: Configuration) -> Training:
        """The settings that one configuration is trained with, but for what its variant sets
        otherwise.
        """
        epochs = self.stages[c.stage].epochs.get(c.model, self.training.epochs)
        return self.training.model_copy(update={"epochs": epochs})

    @property
    def data_folder(self) -> Path:
        """Its `Sequences` on disk (made by ``rbc data prepare``)."""
        return ROOT / "data" / "derived" / self.name

    @property
    def results_folder(self) -> Path:
        """Its runs."""
        return ROOT / "results" / self.name


def load(profile: str) -> Profile:
    """The profile of that name in config/, or in a file of that path (.yaml).

    Raises `RbcError` naming the key.
    """
    path = Path(profile) if profile.endswith(".yaml") else ROOT / "config" / f"{profile}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in (ROOT / "config").glob("*.yaml")))
        raise RbcError(f"{path}: no such profile; there are {known}")
    content = {"name": path.stem, "path": str(path.resolve()), **_read(path)}
    return yamlfiles.checked(Profile, content, path, "compare it with config/demo.yaml")


def _read(path: Path) -> dict:
    """A profile's file; where it `extends` another of config/, that one's keys hold where it says
    nothing.
    """
    own = yamlfiles.read(path)
    if not isinstance(own, dict):
        raise RbcError(
            f"{path}: not a profile, which has keys and values; compare it with config/demo.yaml"
        )
    base = own.pop("extends", None)
    return _over(_read(ROOT / "config" / f"{base}.yaml"), own) if base else own


def _over(base: dict, own: dict) -> dict:
    both = {key: base[key] for key in base if key not in own}
    return both | {
        key: _over(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in own.items()
    }
