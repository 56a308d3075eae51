"""Checklists for reviewers, data/checklists/*.yaml: what the artefacts answer, and who must answer
the rest.

An item is answered by a function of this module, from files of the runs or of the checkout that it
names; or it is open and says for whom. Items are described in our own words; the sources that each
file names are binding.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import Field, model_validator

from compendium import ROOT, runs, yamlfiles
from compendium.evidence.study import Study
from compendium.provenance import origins
from rbc import RbcError, metrics
from rbc.figures import interval
from rbc.paper import LABELS, SPLITS, STAGES
from rbc.sequences import UNLABELLED
from rbc.settings import Strict, Training

FOLDER = ROOT / "data" / "checklists"
NAMES = ("ml-code", "reforms", "tripod-ai")
#: what a function says, and the artefacts it says it from
Found = tuple[str, tuple[str, ...]] | None


class Item(Strict):
    """One item: number, part of the list, our wording, and the functions that answer it together,
    or who must.
    """

    id: str
    part: str
    about: str
    answer: list[str] = Field(default_factory=list)
    open: str = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> Item:
        if not (self.answer or self.open):
            raise ValueError(f"item {self.id} has neither an answer nor somebody who must answer")
        if unknown := [name for name in self.answer if name not in ANSWERS]:
            raise ValueError(
                f"item {self.id}: no function {unknown[0]}; there are {', '.join(ANSWERS)}"
            )
        return self


class Checklist(Strict):
    """One file of data/checklists."""

    title: str
    source: str
    items: list[Item]


@dataclass(frozen=True)
class Reply:
    """What is known of an item: `says` from `artefacts` (paths), or, where these are empty, open to
    `says`.
    """

    item: Item
    says: str
    artefacts: tuple[str, ...]

    @property
    def answered(self) -> bool:
        return bool(self.artefacts)


def load(name: str) -> Checklist:
    """A checklist of data/checklists by the name of its file."""
    path = FOLDER / f"{name}.yaml"
    return yamlfiles.checked(Checklist, yamlfiles.read(path), path, "compare it with the others")


def replies(checklist: Checklist, study: Study) -> list[Reply]:
    """Every item with its answer.

    Raises `RbcError` where an answer names an artefact that is not there.

    Parameters
    ----------
    checklist : one of `NAMES`, loaded
    study : the runs, the data and the profile
    """
    return [_reply(item, study) for item in checklist.items]


def _reply(item: Item, study: Study) -> Reply:
    found = [ANSWERS[name](study) for name in item.answer]
    if not found or None in found:
        if not item.open:
            raise RbcError(
                f"item {item.id}: {', '.join(item.answer)} found no answer, and nobody is named"
                " who must"
            )
        return Reply(item, item.open, ())
    names = dict.fromkeys(name for _, artefacts in found for name in artefacts)
    return Reply(
        item, " ".join(says for says, _ in found), tuple(place(study, name) for name in names)
    )


def place(study: Study, name: str) -> str:
    """Where an artefact lies, from the checkout's root: a path or pattern in the results, else in
    the checkout.

    Parameters
    ----------
    study : the runs, the data and the profile
    name : path or pattern of an artefact
    """
    if any(study.folder.glob(name)):
        return f"{shown(study.folder)}/{name}"
    if not any(ROOT.glob(name)):
        raise RbcError(
            f"{name}: an answer names it, but it is neither in {study.folder} nor in the checkout"
        )
    return name


def shown(folder: Path) -> str:
    """A file or folder as it is written: from the checkout's root, or only its name where it lies
    elsewhere.
    """
    folder = Path(folder).resolve()
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else folder.name


def command(study: Study) -> str:
    """What makes the results anew, e.g. ``make book PROFILE=config/demo.yaml``."""
    data = "" if study.profile.data.source == "simulated" else " DATA=FOLDER"
    return f"make book PROFILE={shown(Path(study.profile.path))}{data}"


def told(study: Study, stage: int) -> dict:
    """The profile that the first run of a stage was made under, as its config.json keeps it.

    Parameters
    ----------
    study : the runs, the data and the profile
    stage : 1 or 2
    """
    run = study.runs.loc[study.runs["stage"] == stage, "run"].iat[0]
    return json.loads((study.folder / run / "config.json").read_text(encoding="utf-8"))["profile"]


def divisions(study: Study, stage: int) -> list[dict[str, set[str]]]:
    """Acquisitions of each split, fold by fold, as the runs of a stage were told; without folds the
    data's splits.

    Parameters
    ----------
    study : the runs, the data and the profile
    stage : 1 or 2

    Returns
    -------
    By fold: acquisitions of each split
    """
    if folds := told(study, stage)["stages"][str(stage)]["folds"]:
        return [{split: set(fold[split]) for split in SPLITS} for fold in folds]
    groups = study.index.groupby("split")["acquisition"]
    return [{split: set(groups.get_group(split)) for split in SPLITS if split in groups.groups}]


# --- answers: each takes a Study and says something from files that it names, or None ---


def data(study: Study) -> Found:
    meta = study.meta
    version = f", version {meta['version']}" if meta.get("version") else ""
    return (
        f"{meta['source']}{version}; {len(study.index)} sequences; SHA-256 of the frames"
        f" {meta['sha256']}.",
        ("dataset.json", "index.parquet"),
    )


def data_access(study: Study) -> Found:
    how = (
        "Made anew by rbc data prepare"
        if study.meta["simulated"]
        else "How to get it stands in data/README.md"
    )
    return f"{study.meta['source']}. {how}.", ("dataset.json", "data/README.md")


def code(study: Study) -> Found:
    table = origins(study.folder)
    commits = ", ".join(f"{commit} ({n} runs)" for commit, n in Counter(table["commit"]).items())
    return (
        f"Commit {commits}; {int(table['dirty'].sum())} runs from a checkout with changes."
        " Licence: MIT.",
        ("stage?/*/provenance.json", "LICENSE", "CITATION.cff"),
    )


def infrastructure(study: Study) -> Found:
    table, run = origins(study.folder), study.runs["run"].iat[0]
    origin = json.loads((study.folder / run / "provenance.json").read_text(encoding="utf-8"))
    packages = ", ".join(f"{name} {version}" for name, version in origin["packages"].items())
    return (
        f"Devices: {', '.join(sorted(set(table['device'])))}; {table['seconds'].sum():.0f} s for"
        f" {len(table)} runs; "
        f"{origin['processor']}; {packages}.",
        ("stage?/*/provenance.json", "requirements.lock"),
    )


def readme(study: Study) -> Found:
    return "README.md gives the command from clone to book, book/reproduce.md the steps.", (
        "README.md", "book/reproduce.md",
    )  # fmt: skip


def script(study: Study) -> Found:
    return f"{command(study)} makes all runs, tables and pages.", (
        "Makefile",
        "compendium/tasks.py",
    )


def dependencies(study: Study) -> Found:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    n = sum("==" in line for line in lines)
    return f"{n} packages, each in one exact version.", (
        "requirements.lock",
        "environment.yml",
        "pyproject.toml",
    )


def training_code(study: Study) -> Found:
    return "rbc run trains one configuration, rbc grid all of them.", (
        "rbc/training.py",
        "notebooks/train.ipynb",
    )


def evaluation_code(study: Study) -> Found:
    return "Scores of predictions, and the pages that show them.", (
        "rbc/metrics.py",
        "notebooks/test.ipynb",
    )


def weights(study: Study) -> Found:
    chosen = {row.run for stage in STAGES for row in runs.select(study.folder, stage).itertuples()}
    files = [f"{run}/weights.safetensors" for run in sorted(chosen)]
    if not all((study.folder / file).exists() for file in files):
        return None
    return f"Weights of the {len(files)} chosen runs; the networks are in rbc/models.py.", (
        *files,
        "rbc/models.py",
    )


def classes(study: Study) -> Found:
    counts = (
        study.index.groupby("label")["split"]
        .value_counts()
        .unstack(fill_value=0)
        .reindex(LABELS, fill_value=0)
    )
    rows = "; ".join(
        f"{label}: {', '.join(f'{n} {s}' for s, n in row.items())}"
        for label, row in counts.iterrows()
    )
    return (
        f"Stage 1 tells reliable from unreliable, stage 2 flipping from tank-treading. {rows}.",
        (
            "index.parquet",
            "book/data.md",
        ),
    )


def sizes(study: Study) -> Found:
    table = runs.collect(study.folder).drop_duplicates(["stage", "split"])
    rows = [
        f"stage {r.stage}, {r.split}: {r.n}, of these {r.tp + r.fn} positive"
        for r in table.itertuples()
    ]
    return f"{'; '.join(rows)}. Positive: reliable in stage 1, flipping in stage 2.", (
        "stage?/*/metrics.json",
    )


def missing(study: Study) -> Found:
    index = study.index
    empty = {column: int(n) for column, n in index.isna().sum().items() if n}
    unlabelled = int((index["label"] == UNLABELLED).sum())
    gaps = ", ".join(f"{n} in {column}" for column, n in empty.items()) or "none"
    return (
        f"Of {len(index)} sequences {unlabelled} have no label; missing values in the index:"
        f" {gaps}.",
        ("index.parquet",),
    )


def excluded(study: Study) -> Found:
    rows = []
    for stage in STAGES:
        named = set().union(
            *(acquisitions for fold in divisions(study, stage) for acquisitions in fold.values())
        )
        left = study.index[~study.index["acquisition"].isin(named)]
        rows.append(
            f"stage {stage}: {left['acquisition'].nunique()} acquisitions ({len(left)} sequences)"
            " in no fold"
        )
    return f"{'; '.join(rows)}. Stage 2 looks at reliable sequences only.", (
        "stage?/*/config.json",
        "index.parquet",
    )


def damaged(study: Study) -> Found:
    if study.meta["simulated"]:
        return "None: the sequences are simulated, none was read from a file of others.", (
            "dataset.json",
        )
    n = study.meta.get("verified_files", 0)
    return f"A damaged file ends the reading with an error; {n} files had the known checksum.", (
        "dataset.json", "compendium/data/ingest.py",
    )  # fmt: skip


def preparation(study: Study) -> Found:
    training = Training(**told(study, 1)["training"])
    return (
        f"Frames chosen by {' or '.join(sorted(set(study.runs['sampling'])))} sampling (K = "
        f"{', '.join(map(str, sorted(set(study.runs['k']))))}); grey levels: {training.grey};"
        " padding: "
        f"{training.padding}; noise of {training.noise_sd:g} grey levels in training. Formulas:"
        " book/methods.md.",
        ("stage?/*/config.json", "book/methods.md", "book/open-details.md"),
    )


def balance(study: Study) -> Found:
    return "Training data are balanced by drawing and copying; validation and test data are not.", (
        "rbc/sampling.py", "book/methods.md",
    )  # fmt: skip


def models(study: Study) -> Found:
    table = study.runs.groupby("stage")
    rows = [f"stage {s}: {len(t)} runs, {', '.join(sorted(set(t['model'])))}" for s, t in table]
    return f"{'; '.join(rows)}. Layers, loss and optimiser: book/methods.md.", (
        "stage?/*/config.json",
        "book/methods.md",
    )


def division(study: Study) -> Found:
    rows = [f"stage {stage}: {len(divisions(study, stage))} fold(s)" for stage in STAGES]
    return f"By whole acquisitions. {'; '.join(rows)}; training, validation and test in each.", (
        "stage?/*/config.json",
    )


def selection(study: Study) -> Found:
    rows = [
        f"stage {stage}, fold {row.fold}: {row.run.split('/')[1]} (validation F1 {row.f1:.2f})"
        for stage in STAGES
        for row in runs.select(study.folder, stage).itertuples()
    ]
    return f"Highest validation F1, fold by fold. {'; '.join(rows)}.", (
        "stage?/*/predictions.parquet",
        "compendium/runs.py",
    )


def hyperparameters(study: Study) -> Found:
    profile = told(study, 1)
    t = Training(**profile["training"])
    return (
        f"Fixed in the profile: {t.epochs} epochs, batch {t.batch_size}, peak rates {t.lr_low:g}"
        f" to {t.lr_high:g}, "
        f"seeds {', '.join(map(str, profile['seeds']))}. Model, sampling and K are chosen on"
        " validation data.",
        ("stage?/*/config.json", "book/open-details.md"),
    )


def separation(study: Study) -> Found:
    rows = []
    for stage in STAGES:
        shared = [
            fold["test"] & (fold["train"] | fold["validation"]) for fold in divisions(study, stage)
        ]
        rows.append(
            f"stage {stage}: {sum(map(len, shared))} acquisitions in test and elsewhere in the"
            " same fold"
        )
    return f"{'; '.join(rows)}. Background and sampling use one sequence at a time.", (
        "stage?/*/config.json", "rbc/training.py",
    )  # fmt: skip


def duplicates(study: Study) -> Found:
    return _findings(study, "same pixels", "shared frames", "near-duplicates", "patients")


def giveaways(study: Study) -> Found:
    return _findings(study, "track numbers", "lengths", "grey levels")


def drift(study: Study) -> Found:
    return _findings(study, "drift", "counts")


def limits(study: Study) -> Found:
    grave = [f"{key}: {f['matters']}" for key, f in study.findings.items() if f["grave"]]
    first = (
        "Simulated: nothing here holds for blood." if study.meta["simulated"] else "Research only."
    )
    return " ".join([first, *grave]), ("checks.json", "book/open-details.md")


def _findings(study: Study, *keys: str) -> Found:
    return " ".join(
        f"{key}: {study.findings[key]['data']}" for key in keys if key in study.findings
    ), ("checks.json",)


def scores(study: Study) -> Found:
    return f"{', '.join(metrics.SCORES)} and the four counts; threshold {metrics.THRESHOLD:g}.", (
        "stage?/*/metrics.json", "rbc/metrics.py", "book/methods.md",
    )  # fmt: skip


def uncertainty(study: Study) -> Found:
    seeds = sorted(set(study.runs.groupby(["stage", "model", "sampling", "k"])["seed"].nunique()))
    # The names come from the functions that compute the intervals.
    methods = ", ".join(f"{name} for {score}" for score, (name, _) in metrics.INTERVALS.items())
    return (
        f"Intervals of 95 % over sequences: {methods}; they take sequences as independent. Seeds of"
        f" a configuration: {' or '.join(map(str, seeds))}.",
        ("stage?/*/metrics.json", "book/methods.md"),
    )


def output(study: Study) -> Found:
    return f"A probability of the positive class; positive at {metrics.THRESHOLD:g} or above.", (
        "stage?/*/predictions.parquet", "rbc/training.py",
    )  # fmt: skip


def patients(study: Study) -> Found:
    table = study.index.groupby("split").agg(
        p=("patient", "nunique"), a=("acquisition", "nunique"), n=("name", "size")
    )
    rows = [
        f"{r.Index}: {r.p} patients, {r.a} acquisitions, {r.n} sequences"
        for r in table.itertuples()
    ]
    return f"{'; '.join(rows)}.", ("index.parquet",)


def beyond(study: Study) -> Found:
    owner = study.index.drop_duplicates("acquisition").set_index("acquisition")["patient"]
    rows = []
    for stage in STAGES:
        new = set()
        for fold in divisions(study, stage):
            known = {owner.get(a) for split in ("train", "validation") for a in fold[split]}
            new |= {owner.get(a) for a in fold["test"]} - known - {None}
        rows.append(f"stage {stage}: {', '.join(sorted(new)) or 'none'}")
    return (
        "All data are of one source."
        f" Test patients never trained or validated on: {'; '.join(rows)}.",
        (
            "stage?/*/config.json",
            "index.parquet",
        ),
    )


def performance(study: Study) -> Found:
    rows = [
        f"stage {s}: {in_words(metrics.summary(runs.chosen_answers(study.folder, s), s))}"
        for s in STAGES
    ]
    return f"Chosen configurations on test sequences. {'; '.join(rows)}.", (
        "stage?/*/predictions.parquet",
    )


def by_patient(study: Study) -> Found:
    rows = [
        f"stage {stage}, {patient}: {in_words(scored, ('recall', 'specificity'))}"
        for stage in STAGES
        for patient, scored in patient_scores(
            study, runs.chosen_answers(study.folder, stage), stage
        ).items()
    ]
    return f"Test sequences by patient. {'; '.join(rows)}.", (
        "stage?/*/predictions.parquet",
        "index.parquet",
    )


def patient_scores(study: Study, answers: pd.DataFrame, stage: int) -> dict[str, dict]:
    """`metrics.summary` of a table of predictions, patient by patient.

    Parameters
    ----------
    study : the runs, the data and the profile, whose index says the patient of each sequence
    answers : predictions
    stage : 1 or 2
    """
    owner = study.index.set_index("name")["patient"]
    return {
        patient: metrics.summary(part, stage)
        for patient, part in answers.groupby(answers["name"].map(owner))
    }


def in_words(scored: dict, names: tuple[str, ...] = ("recall", "specificity", "f1")) -> str:
    """Scores with their intervals, e.g. ``n = 126, recall 0.74 [0.62, 0.83]``.

    Parameters
    ----------
    scored : of `metrics.summary`
    names : scores that are said
    """
    known = {key: float("nan") if value is None else value for key, value in scored.items()}
    words = [
        f"{name} {interval(known[name], known[name + '_low'], known[name + '_high'])}"
        for name in names
    ]
    return ", ".join([f"n = {scored['n']}", *words])


ANSWERS = {
    f.__name__: f
    for f in (
        data,
        data_access,
        code,
        infrastructure,
        readme,
        script,
        dependencies,
        training_code,
        evaluation_code,
        weights,
        classes,
        sizes,
        missing,
        excluded,
        damaged,
        preparation,
        balance,
        models,
        division,
        selection,
        hyperparameters,
        separation,
        duplicates,
        giveaways,
        drift,
        limits,
        scores,
        uncertainty,
        output,
        patients,
        beyond,
        performance,
        by_patient,
    )
}
