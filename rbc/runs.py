"""A run's folder: written whole by the train notebook, read by every table and figure; and how notebooks are run."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import papermill
from nbclient.exceptions import DeadKernelError
from safetensors.numpy import save_file

from rbc import ROOT, RbcError, checks, metrics
from rbc.paper import MODELS, NEGATIVE, POSITIVE, SAMPLINGS, Configuration
from rbc.profiles import Profile
from rbc.sequences import Sequences, whole_folder
from rbc.variants import TEXT

if TYPE_CHECKING:  # training is the only module that needs PyTorch; tables and pages do without
    from rbc.training import Outcome

#: What the train notebook writes; the executed notebook itself is the last file.
FILES = (
    "config.json", "history.csv", "rates.csv", "predictions.parquet", "unreliable.parquet", "metrics.json",
    "weights.safetensors", "provenance.json", "notebook.ipynb",
)  # fmt: skip
RUN_FILES = (FILES[0], "*")  #: what a run's folder may hold, its marker first: our own place, notes included
PACKAGES = ("torch", "fastai", "numpy", "pandas", "scikit-image", "numba")
#: glibc keeps and reuses large blocks instead of asking the kernel anew: a third less time for the C-RNN on a CPU.
MALLOC = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592:glibc.malloc.hugetlb=1"
REFERENCE = ROOT / "data" / "reference"
REVIEW = 0.8  #: share of the runs that call a sequence wrong, from which on it deserves a second look


def write(folder: Path, outcome: Outcome, data: dict, c: Configuration, profile: Profile) -> None:
    """Write all artefacts of a run but the notebook into an existing folder; `data` is the sequences' meta."""
    outcome.history.to_csv(folder / "history.csv", index=False)
    outcome.rates.to_csv(folder / "rates.csv", index=False)
    outcome.predictions.to_parquet(folder / "predictions.parquet", index=False)
    outcome.unreliable.to_parquet(folder / "unreliable.parquet", index=False)
    save_file(outcome.weights, folder / "weights.safetensors")
    parts = outcome.predictions.groupby("split")
    _write_json(folder / "metrics.json", {split: metrics.summary(part, c.stage) for split, part in parts})
    _write_json(folder / "config.json", {**asdict(c), "profile": profile.model_dump()})
    _write_json(folder / "provenance.json", provenance(outcome, data, c.seed))


def provenance(outcome: Outcome, data: dict, seed: int) -> dict:
    """Where a run came from: commit, packages, device, data, seconds, seed."""
    return {
        **checkout(),
        "packages": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "device": outcome.device,
        "processor": platform.machine(),
        "data": {key: data.get(key) for key in ("source", "simulated", "sha256")},
        "seconds": outcome.seconds,
        "finished": now(),
        "seed": seed,
    }


def checkout() -> dict:
    """Commit, and whether the checkout had changes (also where there is no git to tell)."""
    return {"commit": git("rev-parse", "HEAD"), "dirty": git("status", "--porcelain") != ""}


def now() -> str:
    """The time, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def git(*arguments: str) -> str:
    """Output of a git command in the checkout, or 'unknown' outside one."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def run(c: Configuration, profile: Profile, data: Path) -> Path:
    """Execute the train notebook for one configuration into its run folder, whole or not at all; the folder.

    What an interrupted run had reached lies in a hidden folder beside it and is gone on from.
    """
    folder = profile.results_folder / c.path
    checkpoints = folder.with_name(f".{folder.name}.checkpoints")
    with whole_folder(folder, RUN_FILES) as part:
        places = {"profile": profile.path, "data": data, "folder": part, "checkpoints": checkpoints}
        parameters = {name: _inside(place) for name, place in places.items()} | asdict(c)
        words = {"title": title(c), **kind_words(json.loads((data / "meta.json").read_text()))}
        execute(ROOT / "notebooks" / "train.ipynb", part / "notebook.ipynb", parameters, words)
        if missing := [f for f in FILES if not (part / f).exists()]:
            raise RbcError(f"{folder}: the train notebook did not write {', '.join(missing)}")
    shutil.rmtree(checkpoints, ignore_errors=True)
    return folder


def title(c: Configuration) -> str:
    """A configuration in words."""
    switched = "" if c.variant == TEXT else f", variant {c.variant}"
    return f"Stage {c.stage}, {c.model}, {c.sampling}, K = {c.k}, seed {c.seed}{switched}"


def execute(notebook: Path, out: Path, parameters: dict, words: dict[str, str]) -> None:
    """Run a parameterised notebook by papermill; `words` fill its ``{{...}}`` (in Markdown and captions) first.

    Raises `RbcError` for a parameter that the notebook does not have (papermill would only warn) and for a cell that
    fails; the failed notebook is left one folder above `out`, as ``<folder>-<name>.failed.ipynb``.
    """
    known = set(papermill.inspect_notebook(str(notebook)))
    if unknown := sorted(set(parameters) - known):
        raise RbcError(f"{notebook}: unknown parameter {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
    filled = out.with_name(f".{out.name}")
    failed = out.parent.parent / f"{out.parent.name.strip('.').removesuffix('.part')}-{out.stem}.failed.ipynb"
    _fill(notebook, filled, words)
    os.environ.setdefault("GLIBC_TUNABLES", MALLOC)
    started = time.time()
    try:
        papermill.execute_notebook(str(filled), str(filled), parameters, progress_bar=False, cwd=str(ROOT))
    except (papermill.PapermillExecutionError, DeadKernelError) as error:
        filled.rename(failed)
        what = " ".join(f"{getattr(error, 'ename', 'kernel')}: {getattr(error, 'evalue', error)}".split())
        raise RbcError(f"{notebook.name} failed: {what} (see {failed})") from error
    page = json.loads(filled.read_text())
    page["metadata"].pop("papermill")  # paths of this machine; what matters is in `made` and a run's provenance.json
    page["metadata"]["made"] = {**checkout(), "finished": now(), "seconds": round(time.time() - started, 1)}
    _write_json(out, page)
    filled.unlink()
    failed.unlink(missing_ok=True)  # of an earlier attempt


def _inside(path: Path | str) -> str:
    """A path as notebooks are given it: relative to the checkout, in which they run, where it lies inside."""
    path = Path(path).resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _fill(notebook: Path, out: Path, words: dict[str, str]) -> None:
    text = notebook.read_text()
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", json.dumps(value)[1:-1])
    out.write_text(text)


def report(name: str, profile: Profile, results: Path, out: Path) -> None:
    """Execute a report notebook of notebooks/ over the runs below `results` into the page `out`.

    A notebook with a parameter `folder` may leave files beside the page.
    """
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    words = {"title": profile.title, **kind_words(json.loads((results / "dataset.json").read_text()))}
    out.parent.mkdir(parents=True, exist_ok=True)
    places = {"profile": profile.path, "results": results, "data": profile.data_folder}
    if "folder" in papermill.inspect_notebook(str(notebook)):
        places["folder"] = out.parent
    execute(notebook, out, {name: _inside(place) for name, place in places.items()}, words)


def describe(sequences: Sequences, results: Path) -> None:
    """Put what pages say of the data beside the runs, so that they can say it where the data is not: no pixels.

    Writes index.parquet (names, labels, lengths), dataset.json (the sequences' meta) and checks.json (`rbc.checks`).
    """
    results.mkdir(parents=True, exist_ok=True)
    sequences.index.to_parquet(results / "index.parquet", index=False)
    _write_json(results / "dataset.json", sequences.meta)
    _write_json(results / "checks.json", [f.record() for f in checks.check(sequences)])


def kind_words(meta: dict) -> dict[str, str]:
    """What every page says of its data: the box at its top and the words in its captions."""
    if meta["simulated"]:
        box = (
            ":::{admonition} Simulated data\n:class: warning\nEvery sequence, score and picture on this page comes "
            "from simulated cells. It shows that the pipeline works; it says nothing about real blood.\n:::"
        )
        return {"banner": box, "kind": "simulated sequences"}
    box = f":::{{admonition}} Real cells\n:class: tip\nThe sequences of this page are real ({meta['source']}).\n:::"
    return {"banner": box, "kind": "real sequences"}


def complete(folder: Path) -> bool:
    """Whether a run's folder holds every file."""
    return all((folder / name).exists() for name in FILES)


def collect(results: Path) -> pd.DataFrame:
    """One row a run and split below a results folder: stage, model, sampling, k, seed, variant, split, scores, run.

    Raises `RbcError` where there is none.
    """
    rows = []
    for path in sorted(Path(results).glob("stage?/[!.]*/metrics.json")):
        configuration = {"variant": TEXT, **json.loads((path.parent / "config.json").read_text())}
        configuration.pop("profile")
        for split, scores in json.loads(path.read_text()).items():
            rows.append({**configuration, "split": split, **scores, "run": str(path.parent.relative_to(results))})
    if not rows:
        raise RbcError(f"{results}: no runs there; make them with rbc grid")
    order = ["stage", "model", "sampling", "k", "variant", "seed", "split"]
    return pd.DataFrame(rows).sort_values(order, ignore_index=True)


def select(results: Path, stage: int) -> pd.DataFrame:
    """The chosen configuration of a stage in each fold: fold, run, f1 (on that fold's validation split).

    Highest validation F1, mean over seeds (paper: "Model selection"); ties: the first in the order of the tables, as
    the paper's own tie (uniform before similarity). Each fold chooses by its own validation split alone, since one
    fold's validation cells may be another's test cells. Of several seeds the lowest stands for the configuration.
    """
    scores = []
    for c, path in _configurations(results, stage):
        answers = predictions(results, path).query("split == 'validation'")
        scores += [(fold, c, path, metrics.confusion(part, stage).f1) for fold, part in answers.groupby("fold")]
    table = pd.DataFrame(scores, columns=["fold", "configuration", "run", "f1"])
    table["seed"] = [c.seed for c in table["configuration"]]
    table["cell"] = [(MODELS.index(c.model), SAMPLINGS.index(c.sampling), c.k) for c in table["configuration"]]
    groups = table.sort_values("seed").groupby(["fold", "cell"])
    means = groups.agg(f1=("f1", "mean"), run=("run", "first")).reset_index()
    best = means.sort_values("f1", ascending=False, kind="stable").groupby("fold", as_index=False).first()
    return best[["fold", "run", "f1"]]


def chosen_answers(results: Path, stage: int, split: str = "test", unreliable: bool = False) -> pd.DataFrame:
    """Predictions of each fold's chosen configuration on a split of its own (column run says which).

    With `unreliable`, what stage 2 answers for the test split's unreliable sequences instead. Raises `RbcError` where
    a run does not have that.
    """
    parts = []
    for row in select(results, stage).itertuples():
        answers = predictions(results, row.run, "unreliable" if unreliable else "predictions")
        parts.append(answers[(answers["split"] == split) & (answers["fold"] == row.fold)].assign(run=row.run))
    return pd.concat(parts, ignore_index=True)


def _configurations(results: Path, stage: int) -> list[tuple[Configuration, str]]:
    found = []
    for path in sorted(Path(results).glob(f"stage{stage}/[!.]*/metrics.json")):
        content = json.loads((path.parent / "config.json").read_text())
        if content.get("variant", TEXT) != TEXT:  # a switched detail is never chosen
            continue
        c = Configuration(*(content[field] for field in ("stage", "model", "sampling", "k", "seed")))
        found.append((c, str(path.parent.relative_to(results))))
    if not found:
        raise RbcError(f"{results}: no runs of stage {stage} there; make them with rbc grid")
    return found


def predictions(results: Path, run: str, file: str = "predictions") -> pd.DataFrame:
    """What a run answered: name, acquisition, label, fold, split, probability."""
    path = Path(results) / run / f"{file}.parquet"
    if not path.exists():
        raise RbcError(f"{path}: not there; make the run again with rbc run")
    return pd.read_parquet(path)


def failures(results: Path, stage: int) -> pd.DataFrame:
    """How many runs of a stage call each test sequence wrong, the most often wrong first.

    Runs are models x samplings x K x seeds; those with a switched detail are left out. One row a sequence: name,
    acquisition, label, runs (that have it in a test split), wrong, share (wrong / runs), mean_probability, failed (the
    runs that call it wrong). A run that tests a sequence in two folds counts twice.
    """
    parts = [predictions(results, run).assign(run=run) for _, run in _configurations(results, stage)]
    answers = pd.concat(parts, ignore_index=True).query("split == 'test'")
    truth, called = metrics.truth_and_call(answers, stage)
    answers = answers.assign(wrong=truth != called, probability=answers["probability"].astype(float))
    table = answers.groupby(["name", "acquisition", "label"], as_index=False).agg(
        runs=("run", "size"), wrong=("wrong", "sum"), mean_probability=("probability", "mean")
    )
    failed = answers[answers["wrong"]].groupby("name")["run"].agg(tuple)
    table = table.assign(share=table["wrong"] / table["runs"], failed=table["name"].map(failed))
    table["failed"] = [runs if isinstance(runs, tuple) else () for runs in table["failed"]]
    return table.sort_values(["share", "wrong", "name"], ascending=[False, False, True], ignore_index=True)


def review(failures: pd.DataFrame, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two sheets of the sequences that at least `REVIEW` of the runs call wrong, with an empty column relabelled.

    The first says all that is known; the second, in random order, only what does not tell the label: name and
    acquisition.
    """
    sheet = failures[failures["share"] >= REVIEW].assign(relabelled="").round({"mean_probability": 4})
    columns = ["name", "acquisition", "label", "runs", "wrong", "mean_probability", "relabelled"]
    return sheet[columns], sheet.sample(frac=1, random_state=seed)[["name", "acquisition", "relabelled"]]


def class_names(stage: int) -> tuple[str, str]:
    """Negative and positive class of a stage."""
    return NEGATIVE[stage], POSITIVE[stage]


def _write_json(path: Path, content: dict | list) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True, default=str) + "\n")
