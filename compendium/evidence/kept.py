"""Where the verdicts on a profile's runs are kept, and whether the kept ones are still right.

It imports nothing heavy, because the list of tasks asks it each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from compendium import ROOT, runs
from compendium.profiles import Profile
from rbc import record
from rbc.files import file_hash
from rbc.paper import REPORTED

FILE = "verdicts.json"


def file_of(folder: Path) -> Path:
    """Where the verdicts on the runs of a folder are kept: beside them, but those on committed runs
    below results/, because they follow from what is committed.

    Parameters
    ----------
    folder : of a profile's runs
    """
    folder = Path(folder).resolve()
    if folder.is_relative_to(runs.REFERENCE):
        return ROOT / "results" / "verdicts" / f"{folder.name}.json"
    return folder / FILE


def why(profile: Profile, folder: Path) -> str:
    """In words why the verdicts on a profile's runs must be evaluated anew; empty where the kept
    ones are right.

    Parameters
    ----------
    profile, folder : as of `make`
    """
    path = file_of(folder)
    if not path.exists():
        return f"{path.name} is not there"
    if content_of(path).get("key") != key_of(profile, folder):
        return "runs, data, claims or rules are others"
    return ""


def content_of(path: Path) -> dict:
    """What a file of verdicts holds, as plain values."""
    return json.loads(path.read_text(encoding="utf-8"))


def key_of(profile: Profile, folder: Path) -> str:
    """Of everything that the verdicts depend on: runs here and of the register, data, claims, the
    profile, the reported numbers and code.
    """
    own, register = Path(folder), runs.REFERENCE / "register"
    named = {f"runs: {path.relative_to(own)}": path for path in _inputs(own)}
    named |= {f"register: {path.relative_to(register)}": path for path in _inputs(register)}
    named |= {path.name: path for path in (ROOT / "data" / "claims.yaml", *REPORTED.glob("*"))}
    # Names without the checkout's place: a copy of it has the same verdicts.
    hashes = {name: file_hash(path) for name, path in named.items() if path.is_file()}
    code = record.code_key(("compendium.evidence.verdicts",))
    return record.key_of(hashes, profile.model_dump(mode="json"), code)


def _inputs(folder: Path) -> Iterable[Path]:
    """Files of a results folder that verdicts depend on, in order."""
    yield from (folder / name for name in ("dataset.json", "index.parquet", "checks.json"))
    for run in runs.folders(folder):
        yield from (run / name for name in ("config.json", "predictions.parquet"))
