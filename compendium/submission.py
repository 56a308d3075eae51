"""What somebody who has the data hands on: runs without weights and without pixels, with checksums,
and how two such folders compare.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from compendium import ROOT, runs, tasks
from compendium.data.ingest import read_sums
from compendium.profiles import Profile
from rbc import RbcError, metrics
from rbc.bench import exchange
from rbc.files import file_hash, whole_folder

SUMS, ABOUT = "SHA256SUMS", "submission.json"
LAST_BITS = 1e-6  #: by which another machine's scores of the same answers may differ
HANDED_IN = ROOT / "data" / "submissions"  #: folders that came by pull request
KEY = ["stage", "model", "sampling", "k", "variant", "split"]
SHOWN = ("f1", "recall", "specificity")


def write(profile: Profile, out: Path) -> dict:
    """Copy the complete runs of a profile into a folder to hand on.

    Parameters
    ----------
    profile : whose runs
    out : the folder

    Returns
    -------
    What submission.json holds: profile, title, runs, missing (those of the profile that are not
    complete), stale (those that were made from other settings, data or code than now), simulated,
    data (SHA-256), commits
    """
    results = profile.results_folder
    configured = profile.configurations()
    listed = [c.path for c in configured]
    done = [path for path in listed if runs.complete(results / path)]
    if not done:
        raise RbcError(f"{results}: no complete run; make them with rbc grid")
    dataset = json.loads((results / "dataset.json").read_text(encoding="utf-8"))
    origins = {path: _origin(results / path) for path in done}
    if strange := [p for p, o in origins.items() if o["data"]["sha256"] != dataset["sha256"]]:
        raise RbcError(
            f"{results / strange[0]}: made from other data than dataset.json describes; make it"
            " anew with rbc grid"
        )
    stale = [c.path for c in configured if c.path in done and tasks.why_not_run(c, profile)]
    about = {
        "profile": profile.name, "title": profile.title, "runs": len(done),
        "missing": [path for path in listed if path not in done],
        "stale": stale, "simulated": dataset["simulated"], "data": dataset["sha256"],
        "commits": sorted({_commit(origin) for origin in origins.values()}),
    }  # fmt: skip
    with whole_folder(out, (ABOUT, "*")) as part:
        for path in done:
            (part / path).mkdir(parents=True)
            for name in runs.NUMBERS:
                shutil.copy(results / path / name, part / path / name)
        for name in runs.OF_THE_DATA:
            if (results / name).exists():
                shutil.copy(results / name, part / name)
        (part / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        crate = _crate(part, about)
        (part / exchange.CRATE).write_text(json.dumps(crate, indent=1) + "\n", encoding="utf-8")
        files = sorted(file for file in part.rglob("*") if file.is_file())
        lines = [f"{file_hash(file)}  {file.relative_to(part).as_posix()}\n" for file in files]
        (part / SUMS).write_text("".join(lines), encoding="utf-8")
    return about


def _crate(folder: Path, about: dict) -> dict:
    """The folder as a research object (RO-Crate): its files, and the commits and data behind."""
    from rocrate.model import ContextEntity

    kind = "simulated" if about["simulated"] else "real"
    made, program = exchange.new_crate(
        folder,
        f"Runs of the profile {about['profile']}: {about['title']}",
        f"{about['runs']} runs on {kind} cells: configuration, losses, predictions and scores; no"
        " weights, no pixels.",
    )
    program["commit"] = about["commits"]
    data = {"@type": "Dataset", "name": "sequences that the runs were made from"}
    data = made.add(ContextEntity(made, "#data", properties=data | {"sha256": about["data"]}))
    made.add(
        ContextEntity(made, "#made", properties={
            "@type": "CreateAction", "name": "training and testing",
            "instrument": {"@id": program.id}, "object": [{"@id": data.id}],
            "result": {"@id": "./"},
        })
    )  # fmt: skip
    return made.metadata.generate()


def _commit(origin: dict) -> str:
    return origin["commit"] + (" with changes" if origin["dirty"] else "")


def _origin(run: Path) -> dict:
    return json.loads((run / "provenance.json").read_text(encoding="utf-8"))


def verify(folder: Path) -> dict:
    """Check a folder that somebody handed on: every file is as listed, no other is there, and the
    scores follow from the predictions.

    Parameters
    ----------
    folder : of `write`

    Returns
    -------
    What its submission.json holds

    Raises
    ------
    RbcError
        naming the first file that is missing, altered or not listed, or whose scores are not those
        of the predictions beside it
    """
    if not (folder / SUMS).is_file() or not (folder / ABOUT).is_file():
        raise RbcError(
            f"{folder}: holds no {SUMS} and {ABOUT}; name a folder of rbc results --submit"
        )
    sums = read_sums(folder / SUMS)
    there = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.name != SUMS
    }
    if wrong := sorted(there ^ set(sums)):
        words = "is not listed" if wrong[0] in there else "is missing"
        raise RbcError(f"{folder / wrong[0]}: {words}; ask for the folder again")
    for path, digest in sums.items():
        if file_hash(folder / path) != digest:
            raise RbcError(f"{folder / path}: altered; ask for the folder again")
    # What the files say may be anything: they come from outside.
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        dataset = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        same = (about["simulated"], about["data"]) == (dataset["simulated"], dataset["sha256"])
        named = Path(about["profile"]).name == about["profile"]
        for file in sorted(folder.glob("stage*/*/metrics.json")):
            _check_scores(file)
    except (KeyError, TypeError, ValueError, OSError) as error:
        why = f"{type(error).__name__}: {error}"
        raise RbcError(
            f"{folder}: not as rbc results --submit writes it ({why}); ask for the folder again"
        ) from error
    if not (same and named):
        raise RbcError(
            f"{folder / ABOUT}: its data or its profile are not those of the files beside it; ask"
            " for the folder again"
        )
    return about


def _check_scores(file: Path) -> None:
    """A list of checksums vouches for files, not for what they say: the scores are made anew."""
    told = json.loads(file.read_text(encoding="utf-8"))
    stage = json.loads((file.parent / "config.json").read_text(encoding="utf-8"))["stage"]
    if file.parent.parent.name != f"stage{stage}":
        raise RbcError(f"{file.parent / 'config.json'}: of another stage; ask for the folder again")
    answers = pd.read_parquet(file.parent / "predictions.parquet")
    parts = dict(tuple(answers.groupby("split", observed=True)))
    if set(told) != set(parts):
        raise RbcError(f"{file}: scores of other splits than predictions.parquet; ask for the"
                       " folder again")  # fmt: skip
    for split, part in parts.items():
        for name, value in metrics.summary(part, stage).items():
            said = told[split].get(name)
            same = said == value or (None not in (said, value) and abs(said - value) < LAST_BITS)
            if not same:
                raise RbcError(
                    f"{file}: {split} {name} is not that of predictions.parquet; ask for the folder"
                    " again"
                )


def beside(one: Path, other: Path) -> pd.DataFrame:
    """Scores of two folders of runs beside each other, means over seeds.

    Parameters
    ----------
    one, other : results folders, or folders of `write`

    Returns
    -------
    A row a configuration and split that both have: `KEY`, and of each of `SHOWN` its mean in each
    and the difference, other less one; seeds of each
    """
    tables = []
    for folder in (one, other):
        table = runs.collect(folder).assign(f1=lambda t: t["f1"].astype(float))
        means = table.groupby(KEY)[list(SHOWN)].mean()
        tables.append(means.assign(seeds=table.groupby(KEY)["seed"].nunique()))
    both = tables[0].join(tables[1], how="inner", lsuffix=" here", rsuffix=" there")
    for score in SHOWN:
        both[f"{score} difference"] = both[f"{score} there"] - both[f"{score} here"]
    return both.reset_index()


@dataclass(frozen=True)
class Compared:
    """A folder that was handed in, and what it was held against.

    name : of the folder; about : its submission.json; against : what `scores` compares with, in
    words, empty where there is nothing yet; scores : of `beside`; refused : why the folder is not
    shown, empty where it is whole
    """

    name: str
    about: dict
    against: str
    scores: pd.DataFrame
    refused: str = ""


def compared(folders: Path = HANDED_IN, kept: Path = runs.REFERENCE) -> Iterator[Compared]:
    """Each folder that was handed in, by name, beside earlier results of its profile.

    These are the ones kept in this repository; without any, the folder of the same profile that
    was last before it.

    Parameters
    ----------
    folders : holds a folder of `write` each
    kept : holds a folder of kept runs a profile
    """
    earlier: dict[str, Path] = {}
    for folder in sorted(path for path in folders.glob("*") if path.is_dir()):
        try:
            about = verify(folder)
        except RbcError as error:
            yield Compared(folder.name, {}, "", pd.DataFrame(), str(error))
            continue
        own = kept / about["profile"]
        other = own if runs.folders(own) else earlier.get(about["profile"])
        against = ""
        if other:
            dataset = json.loads((other / "dataset.json").read_text(encoding="utf-8"))
            data = "the same data" if dataset["sha256"] == about["data"] else "OTHER DATA"
            where = "kept here" if other == own else "handed in"
            against = f"{other.name} ({where}, {data})"
        scores = beside(other, folder) if other else pd.DataFrame()
        yield Compared(folder.name, about, against, scores)
        earlier[about["profile"]] = folder
