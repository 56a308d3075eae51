"""A run's folder: written whole by the train notebook, read by every table and figure."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import lazy_loader

from compendium import ROOT
from compendium.profiles import Profile
from rbc import RbcError, record
from rbc.paper import MODELS, NEGATIVE, POSITIVE, SAMPLINGS, Configuration
from rbc.settings import TEXT

if TYPE_CHECKING:
    from rbc.sequences import Sequences
    from rbc.training import Outcome

pd = lazy_loader.load("pandas")  # what only looks at a run's files does without

#: of a run, what is kept and handed on
NUMBERS = (
    "config.json", "history.csv", "rates.csv", "predictions.parquet", "unreliable.parquet",
    "metrics.json", "provenance.json",
)  # fmt: skip
#: what is neither: weights are large, and the executed notebook, a run's last file, may show cells
NOT_KEPT = ("weights.safetensors", "notebook.ipynb")
FILES = (*NUMBERS, *NOT_KEPT)
#: what a run's folder may hold, its marker first: our own place, notes included
RUN_FILES = (FILES[0], "*")
NOTEBOOK = FILES[-1]
#: files of a run that the book shows or links to
PUBLISHED = (NOTEBOOK, "predictions.parquet", "config.json")
PACKAGES = ("torch", "fastai", "numpy", "pandas", "scikit-image", "numba")
REFERENCE = ROOT / "data" / "reference"
#: pairs of equal sequences that are kept for the page of checks; of a record that holds its
#: sequences twice all of them weighed 58 MB
LISTED = 200
#: what `describe` writes: what pages say of the data, where these are not
OF_THE_DATA = ("index.parquet", "dataset.json", "checks.json", "simple.parquet")
#: share of the runs that call a sequence wrong, from which on it deserves a second look
REVIEW = 0.8


def write(
    folder: Path,
    outcome: Outcome,
    data: dict,
    c: Configuration,
    profile: Profile,
    inputs: dict[str, str],
) -> None:
    """Write all artefacts of a run but the notebook into an existing folder.

    Parameters
    ----------
    folder : the run's folder
    outcome : what training gave
    data : the sequences' meta
    c, profile : which run, and of which profile
    inputs : everything the numbers depend on (`compendium.keys.run_inputs`)
    """
    from safetensors.numpy import save_file

    from rbc import metrics

    outcome.history.to_csv(folder / "history.csv", index=False)
    outcome.rates.to_csv(folder / "rates.csv", index=False)
    outcome.predictions.to_parquet(folder / "predictions.parquet", index=False)
    outcome.unreliable.to_parquet(folder / "unreliable.parquet", index=False)
    save_file(outcome.weights, folder / "weights.safetensors")
    parts = outcome.predictions.groupby("split")
    _write_json(
        folder / "metrics.json", {split: metrics.summary(part, c.stage) for split, part in parts}
    )
    _write_json(folder / "config.json", {**asdict(c), "profile": profile.model_dump()})
    origin = provenance(outcome, data, c.seed)
    origin |= {"key": record.key_of(inputs), "inputs": inputs}
    _write_json(folder / "provenance.json", origin)


def provenance(outcome: Outcome, data: dict, seed: int) -> dict:
    """Where a run came from: commit, packages, device, data, seconds, seed.

    Parameters
    ----------
    outcome : what training gave
    data : the sequences' meta
    seed : of the run
    """
    return {
        **checkout(),
        "packages": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "device": outcome.device,
        "processor": platform.machine(),
        "data": {key: data.get(key) for key in ("source", "simulated", "sha256")},
        "seconds": outcome.seconds,
        "finished": now(),
        "seed": seed,
    }


def checkout() -> dict:
    """Commit, and whether the checkout had changes (also where there is no git to tell, as in a
    ZIP).
    """
    # a ZIP unpacked inside another repository has no commit
    if git("rev-parse", "--show-toplevel") != str(ROOT):
        return {"commit": "unknown", "dirty": True}
    return {"commit": git("rev-parse", "HEAD"), "dirty": git("status", "--porcelain") != ""}


def now() -> str:
    """The time, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def git(*arguments: str) -> str:
    """Output of a git command in the checkout, or 'unknown' outside one.

    A hook of git sets GIT_DIR to its own repository, so no variable of git's counts.
    """
    try:
        return subprocess.run(
            # whoever runs another user's checkout trusts it already
            ["git", "-c", f"safe.directory={ROOT}", *arguments],
            cwd=ROOT,
            env={name: os.environ[name] for name in os.environ if not name.startswith("GIT_")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe(sequences: Sequences, results: Path) -> None:
    """Put what pages say of the data beside the runs, for where the data is not.

    Writes index.parquet (names, labels, lengths), dataset.json (the sequences' meta), checks.json
    (`compendium.data.checks`, of equal sequences the first `LISTED` pairs) and simple.parquet
    (`compendium.evidence.simple`). No pixels.

    Parameters
    ----------
    sequences : of the profile
    results : its results folder
    """
    from compendium.data import checks
    from compendium.evidence import simple

    results.mkdir(parents=True, exist_ok=True)
    sequences.index.to_parquet(results / "index.parquet", index=False)
    _write_json(results / "dataset.json", sequences.meta)
    simple.numbers(sequences).to_parquet(results / "simple.parquet", index=False)
    found = [finding.record(LISTED) for finding in checks.check(sequences)]
    _write_json(results / "checks.json", found)


def kind_words(meta: dict) -> dict[str, str]:
    """What every page says of its data: the badge at its top and the words in its captions."""
    if meta["simulated"]:
        other = ", ".join(f"{name} {value}" for name, value in meta.get("ranges", {}).items())
        other = (
            f" Its cells are drawn from other ranges than the simulator's own ({other})."
            if other
            else ""
        )
        badge = (
            ":::{admonition} Simulated data\n:class: kind simulated\nEvery sequence, score and"
            " picture on this page comes from simulated cells. It shows that the pipeline works; it"
            f" says nothing about real blood.{other}\n:::"
        )
        return {"banner": badge, "kind": "simulated sequences"}
    badge = (
        f":::{{admonition}} Real cells\n:class: kind real\nThe sequences of this page are real"
        f" ({meta['source']}).\n:::"
    )
    return {"banner": badge, "kind": "real sequences"}


def complete(folder: Path) -> bool:
    """Whether a run's folder holds every file."""
    return all((folder / name).exists() for name in FILES)


def holds(folder: Path, key: str) -> bool:
    """Whether a folder holds the numbers of a run made from exactly what a key stands for.

    Its page may be missing.

    Parameters
    ----------
    folder : the run's folder
    key : of `compendium.keys.run_key`
    """
    if not all((folder / name).exists() for name in FILES[:-1]):
        return False
    origin = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    return origin.get("key") == key


def why(folder: Path, inputs: dict[str, str]) -> str:
    """In words why a run must be made anew; empty where it is complete and made from exactly these
    inputs.

    Parameters
    ----------
    folder : the run's folder
    inputs : of `compendium.keys.run_inputs`
    """
    if not complete(folder):
        return "not made yet"
    if holds(folder, record.key_of(inputs)):
        return ""
    before = record.read(folder / "provenance.json")
    return record.in_words(before, inputs) if before else "made by another version"


def folders(results: Path, stage: int | None = None) -> list[Path]:
    """Folders of the runs below a results folder, by name; hidden ones are unfinished.

    Parameters
    ----------
    results : a profile's results folder
    stage : of one stage; None: of both
    """
    which = "?" if stage is None else stage
    return sorted(path.parent for path in Path(results).glob(f"stage{which}/[!.]*/metrics.json"))


def collect(results: Path) -> pd.DataFrame:
    """One row a run and split below a results folder: stage, model, sampling, k, seed, variant,
    split, scores, run.

    Raises `RbcError` where there is none.
    """
    rows = []
    for folder in folders(results):
        configuration = {
            "variant": TEXT,
            **json.loads((folder / "config.json").read_text(encoding="utf-8")),
        }
        configuration.pop("profile")
        for split, scores in json.loads(
            (folder / "metrics.json").read_text(encoding="utf-8")
        ).items():
            rows.append(
                {**configuration, "split": split, **scores, "run": str(folder.relative_to(results))}
            )
    if not rows:
        raise RbcError(f"{results}: no runs there; make them with rbc grid")
    order = ["stage", "model", "sampling", "k", "variant", "seed", "split"]
    return pd.DataFrame(rows).sort_values(order, ignore_index=True)


def select(results: Path, stage: int) -> pd.DataFrame:
    """The chosen configuration of a stage in each fold.

    Highest validation F1, mean over seeds (paper: "Model selection"); ties: the first in the order
    of the tables, as the paper's own tie (uniform before similarity). Each fold chooses by its own
    validation split alone, since one fold's validation cells may be another's test cells. Of
    several seeds the lowest stands for the configuration.

    Parameters
    ----------
    results : a profile's results folder
    stage : 1 or 2

    Returns
    -------
    fold, run, f1 (on that fold's validation split)

    Raises
    ------
    RbcError
        where the stage has no runs
    """
    from rbc import metrics

    scores = []
    for c, path in _configurations(results, stage):
        answers = predictions(results, path).query("split == 'validation'")
        scores += [
            (fold, c, path, metrics.confusion(part, stage).f1)
            for fold, part in answers.groupby("fold")
        ]
    table = pd.DataFrame(scores, columns=["fold", "configuration", "run", "f1"])
    table["seed"] = [c.seed for c in table["configuration"]]
    table["cell"] = [
        (MODELS.index(c.model), SAMPLINGS.index(c.sampling), c.k) for c in table["configuration"]
    ]
    groups = table.sort_values("seed").groupby(["fold", "cell"])
    means = groups.agg(f1=("f1", "mean"), run=("run", "first")).reset_index()
    best = (
        means.sort_values("f1", ascending=False, kind="stable")
        .groupby("fold", as_index=False)
        .first()
    )
    return best[["fold", "run", "f1"]]


def at_chance(table: pd.DataFrame, stage: int, split: str = "validation") -> list[str]:
    """Runs of a stage whose answers cannot be told from a coin's: the interval of the balanced
    accuracy holds 0.5.

    Parameters
    ----------
    table : of `collect`
    stage, split : which runs, judged on which sequences

    Returns
    -------
    Names of the runs, in the order of the table.
    """
    from rbc import metrics  # here, as its SciPy is slow to load

    own = table[(table["stage"] == stage) & (table["split"] == split)]
    counts = own[["tp", "fp", "fn", "tn"]].itertuples(index=False)
    ends = [metrics.balanced_interval(metrics.Confusion(*map(int, row))) for row in counts]
    return [run for run, (low, high) in zip(own["run"], ends, strict=True) if low <= 0.5 <= high]


def chosen_answers(
    results: Path, stage: int, split: str = "test", unreliable: bool = False
) -> pd.DataFrame:
    """Predictions of each fold's chosen configuration on a split of its own.

    Parameters
    ----------
    results : a profile's results folder
    stage : 1 or 2
    split : ``train``, ``validation`` or ``test``
    unreliable : what stage 2 answers for the test split's unreliable sequences instead

    Returns
    -------
    As `predictions`, with a column run

    Raises
    ------
    RbcError
        where a run does not have that
    """
    parts = []
    for row in select(results, stage).itertuples():
        answers = predictions(results, row.run, "unreliable" if unreliable else "predictions")
        parts.append(
            answers[(answers["split"] == split) & (answers["fold"] == row.fold)].assign(run=row.run)
        )
    return pd.concat(parts, ignore_index=True)


def _configurations(results: Path, stage: int) -> list[tuple[Configuration, str]]:
    found = []
    for folder in folders(results, stage):
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if content.get("variant", TEXT) != TEXT:  # a switched detail is never chosen
            continue
        c = Configuration(
            *(content[field] for field in ("stage", "model", "sampling", "k", "seed"))
        )
        found.append((c, str(folder.relative_to(results))))
    if not found:
        raise RbcError(f"{results}: no runs of stage {stage} there; make them with rbc grid")
    return found


def predictions(results: Path, run: str, file: str = "predictions") -> pd.DataFrame:
    """What a run answered.

    Parameters
    ----------
    results : a profile's results folder
    run : the run's folder below it
    file : ``predictions``, or ``unreliable``

    Returns
    -------
    name, acquisition, label, fold, split, probability (of the positive class)

    Raises
    ------
    RbcError
        where the run does not have that file
    """
    path = Path(results) / run / f"{file}.parquet"
    if not path.exists():
        raise RbcError(f"{path}: not there; make the run again with rbc run")
    return _read(path, path.stat().st_mtime_ns).copy()


# a page asks for the same runs again and again: 160 runs of the full record are 80 MB
@lru_cache(maxsize=512)
def _read(path: Path, changed: int) -> pd.DataFrame:
    """A table from disk; `changed`, the time of its last change, makes a new one be read anew."""
    return pd.read_parquet(path)


def failures(results: Path, stage: int) -> pd.DataFrame:
    """How many runs of a stage call each test sequence wrong, the most often wrong first.

    Runs are models x samplings x K x seeds; those with a switched detail are left out. A run that
    tests a sequence in two folds counts twice.

    Parameters
    ----------
    results : a profile's results folder
    stage : 1 or 2

    Returns
    -------
    One row a sequence: name, acquisition, label, runs (that have it in a test split), wrong, share
    (wrong / runs), mean_probability, failed (the runs that call it wrong)
    """
    from rbc import metrics

    parts = [
        predictions(results, run).assign(run=run) for _, run in _configurations(results, stage)
    ]
    answers = pd.concat(parts, ignore_index=True).query("split == 'test'")
    truth, called = metrics.truth_and_call(answers, stage)
    answers = answers.assign(
        wrong=truth != called, probability=answers["probability"].astype(float)
    )
    table = answers.groupby(["name", "acquisition", "label"], as_index=False).agg(
        runs=("run", "size"), wrong=("wrong", "sum"), mean_probability=("probability", "mean")
    )
    failed = answers[answers["wrong"]].groupby("name")["run"].agg(tuple)
    table = table.assign(share=table["wrong"] / table["runs"], failed=table["name"].map(failed))
    table["failed"] = [runs if isinstance(runs, tuple) else () for runs in table["failed"]]
    return table.sort_values(
        ["share", "wrong", "name"], ascending=[False, False, True], ignore_index=True
    )


def review(failures: pd.DataFrame, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two sheets of the sequences that most runs call wrong, with an empty column relabelled.

    Parameters
    ----------
    failures : of `failures`; those with a share of at least `REVIEW` are taken
    seed : of the order of the second sheet

    Returns
    -------
    The first says all that is known; the second, in random order, only what does not tell the
    label: name and acquisition
    """
    sheet = (
        failures[failures["share"] >= REVIEW].assign(relabelled="").round({"mean_probability": 4})
    )
    columns = ["name", "acquisition", "label", "runs", "wrong", "mean_probability", "relabelled"]
    return sheet[columns], sheet.sample(frac=1, random_state=seed)[
        ["name", "acquisition", "relabelled"]
    ]


def class_names(stage: int) -> tuple[str, str]:
    """Negative and positive class of a stage."""
    return NEGATIVE[stage], POSITIVE[stage]


def _write_json(path: Path, content: dict | list) -> None:
    path.write_text(
        json.dumps(content, indent=1, sort_keys=True, default=str) + "\n", encoding="utf-8"
    )
