"""Content keys: what data, a run or a page was made from. Equal content is fresh, whatever the
times of its files.

A key is the SHA-256 of plain values; how code counts stands in `rbc.record`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from compendium import ROOT
from compendium.profiles import Profile
from rbc.files import file_hash
from rbc.paper import Configuration
from rbc.record import code, code_key, key_of, versions
from rbc.settings import settings

#: Modules that a run's numbers come from; with all that these import.
NUMBERS = ("rbc.training", "rbc.metrics")
#: Modules that make a profile's sequences, by source; with all that these import.
MAKERS = {
    "simulated": ("rbc.simulate", "rbc.sampling"),
    "released": ("compendium.data.ingest", "rbc.sampling"),
    "zenodo": ("compendium.data.ingest", "compendium.data.printed", "rbc.sampling"),
}
#: Packages whose version changes a run's last bits.
PACKAGES = ("torch", "fastai", "numpy")
#: Settings of a training that change no number.
IDLE = {"checkpoint_seconds"}


def run_inputs(c: Configuration, profile: Profile, data: str) -> dict[str, str]:
    """Everything that the numbers of one run depend on, a hash by name.

    Parameters
    ----------
    c : the run
    profile : its training, and the epochs and folds of the stage, count; its title, seeds and other
        stages do not
    data : checksum of the sequences (``sha256`` of their meta.json)
    """
    training = settings(profile.training_of(c), c)
    folds = [fold.model_dump() for fold in profile.stages[c.stage].folds]
    return {
        "configuration": key_of(asdict(c)),
        "training": key_of(training.model_dump(exclude=IDLE)),
        "folds": key_of(folds),
        "started from": file_hash(ROOT / training.start) if training.start else "",
        "data": data,
        "code": code_key(NUMBERS),
        "packages": ", ".join(versions(PACKAGES)),
    }


def run_key(c: Configuration, profile: Profile, data: str) -> str:
    """Of `run_inputs`, as one hash."""
    return key_of(run_inputs(c, profile, data))


def data_inputs(profile: Profile, files: dict[str, str]) -> dict[str, str]:
    """Everything that a profile's sequences depend on, a hash by name.

    Parameters
    ----------
    profile : its part on data counts
    files : checksums of its raw files by relative path
    """
    # What is no longer acknowledged is asked for again.
    said = profile.data.model_dump(), *profile.data.acknowledged
    settings = {"data of the profile": key_of(*said)}
    return settings | files | code(MAKERS[profile.data.source])


def raw_files(folder: Path, before: dict[str, list]) -> dict[str, list]:
    """Every file below a folder of raw data.

    Parameters
    ----------
    folder : of the raw data
    before : what this function answered earlier; a file with the same size and time is not read
        again

    Returns
    -------
    By relative path: bytes, time of change (ns), SHA-256
    """
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, stat = str(path.relative_to(folder)), path.stat()
        size_and_time = [stat.st_size, stat.st_mtime_ns]
        known = before.get(name)
        digest = known[2] if known and known[:2] == size_and_time else file_hash(path)
        found[name] = [*size_and_time, digest]
    return found


def content(root: Path, files: Iterable[str], folders: Iterable[str]) -> dict[str, str]:
    """What some files hold and some folders list now.

    Frames count by the checksum that lies beside them: the file may be larger than memory.

    Parameters
    ----------
    root : the checkout
    files, folders : paths in it

    Returns
    -------
    A hash by path; what is not there is ``"none"``
    """
    found = {}
    for name in files:
        path = root / name
        if path.name == "frames.npy" and path.with_name("meta.json").exists():
            path = path.with_name("meta.json")
        found[name] = file_hash(path) if path.is_file() else "none"
    for name in folders:
        path = root / name
        found[f"{name}/"] = key_of(_listing(path)) if path.is_dir() else "none"
    return found


def _listing(folder: Path) -> list[str]:
    """Names in a folder; hidden ones and notebooks that failed are the workflow's own and do not
    count.
    """
    return sorted(
        name for name in os.listdir(folder) if not name.startswith(".") and ".failed." not in name
    )
