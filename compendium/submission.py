"""What somebody who has the data hands on: runs without weights and without pixels, with checksums,
and how two such folders compare.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd

from compendium import runs
from compendium.data.ingest import read_sums
from compendium.profiles import Profile
from rbc import RbcError
from rbc.files import file_hash, whole_folder

SUMS, ABOUT = "SHA256SUMS", "submission.json"
#: of a run; neither weights nor the notebook, which may show cells
OF_A_RUN = (
    "config.json", "history.csv", "rates.csv", "predictions.parquet", "unreliable.parquet",
    "metrics.json", "provenance.json",
)  # fmt: skip
OF_THE_DATA = ("index.parquet", "dataset.json", "checks.json", "simple.parquet")
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
    complete), simulated, data (SHA-256), commits
    """
    results = profile.results_folder
    listed = [c.path for c in profile.configurations()]
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
    about = {
        "profile": profile.name, "title": profile.title, "runs": len(done),
        "missing": [path for path in listed if path not in done],
        "simulated": dataset["simulated"], "data": dataset["sha256"],
        "commits": sorted({_commit(origin) for origin in origins.values()}),
    }  # fmt: skip
    with whole_folder(out, (ABOUT, "*")) as part:
        for path in done:
            (part / path).mkdir(parents=True)
            for name in OF_A_RUN:
                shutil.copy(results / path / name, part / path / name)
        for name in OF_THE_DATA:
            if (results / name).exists():
                shutil.copy(results / name, part / name)
        (part / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        files = sorted(file for file in part.rglob("*") if file.is_file())
        lines = [f"{file_hash(file)}  {file.relative_to(part).as_posix()}\n" for file in files]
        (part / SUMS).write_text("".join(lines), encoding="utf-8")
    return about


def _commit(origin: dict) -> str:
    return origin["commit"] + (" with changes" if origin["dirty"] else "")


def _origin(run: Path) -> dict:
    return json.loads((run / "provenance.json").read_text(encoding="utf-8"))


def verify(folder: Path) -> dict:
    """Check a folder that somebody handed on: every file is listed, and no other is there.

    Parameters
    ----------
    folder : of `write`

    Returns
    -------
    What its submission.json holds

    Raises
    ------
    RbcError
        naming the first file that is missing, altered or not listed
    """
    if not (folder / SUMS).is_file():
        raise RbcError(f"{folder}: holds no {SUMS}; name a folder of rbc results --submit")
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
    return json.loads((folder / ABOUT).read_text(encoding="utf-8"))


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
