"""An attempt at a run: its lock and its end; and from these, where every run of a profile
stands.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from compendium import runs
from compendium.profiles import Profile
from rbc import RbcError

STATES = ("done", "stale", "running", "failed", "interrupted", "to do")


@dataclass(frozen=True)
class Standing:
    """Where one run stands; what does not apply is None.

    state : one of `STATES`; stale: whole, but made from other data, settings or code than there are
        now; failed: the last attempt ended in an error; interrupted: it was stopped from outside
        (by hand, by a limit of time or memory, by a power cut)
    finished, seconds, device : of a run that is done
    started, host : when (UTC) and where the last attempt at any other began
    error : of a failed one, in one line
    log : where the workflow logged that attempt
    """

    run: str
    state: str
    finished: str | None = None
    seconds: float | None = None
    device: str | None = None
    started: str | None = None
    host: str | None = None
    error: str | None = None
    log: str | None = None

    def as_stale(self) -> Standing:
        """The same of a run that is whole, but made from something else than now."""
        return replace(self, state="stale")

    def __str__(self) -> str:
        details = {
            "stale": f"{self.finished}; its profile, data or code have changed since",
            "done": f"{self.finished}, {self.seconds} s on {self.device}",
            "running": f"since {self.started} on {self.host}",
            "failed": f"{self.error} (log: {self.log})",
            "interrupted": f"begun {self.started} on {self.host}" if self.started else "",
        }
        return f"{self.state:11}  {self.run:30}  {details.get(self.state, '')}".rstrip()


def status(profile: Profile) -> list[Standing]:
    """Where each run of a profile stands; also while a grid runs, as it keeps no lock longer than a
    moment.
    """
    return [standing(profile.results_folder / c.path) for c in profile.configurations()]


def standing(folder: Path) -> Standing:
    """Where the run of that folder stands; one that is complete is done, whatever became of later
    attempts.
    """
    name, log = f"{folder.parent.name}/{folder.name}", _beside(folder, ".log")
    last = _last_attempt(folder) | {"log": str(log) if log.exists() else None}
    if _is_held(_beside(folder, ".lock")):
        return Standing(name, "running", **last)
    if runs.complete(folder):
        origin = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        return Standing(name, "done", *(origin[key] for key in ("finished", "seconds", "device")))
    if last.get("error"):
        return Standing(name, "failed", **last)
    # half-written or a checkpoint
    begun = "started" in last or any(folder.parent.glob(f".{folder.name}.*"))
    return Standing(name, "interrupted", **last) if begun else Standing(name, "to do")


@contextmanager
def attempt(folder: Path) -> Iterator[None]:
    """Hold the lock of the run in `folder` while it is being made, and note an error that ends it
    for `standing`.

    Raises `RbcError` where another process is making the same run.
    """
    note = _beside(folder, ".attempt.json")
    note.parent.mkdir(parents=True, exist_ok=True)
    held = _take(_beside(folder, ".lock"), wait=2)  # `standing` may have it for a moment
    if not held:
        raise RbcError(f"{folder}: another process is making this run; wait for it")
    with held:
        begun = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "host": platform.node(),
        }
        note.write_text(json.dumps(begun), encoding="utf-8")
        try:
            yield
        except Exception as error:
            words = str(error).split() or [type(error).__name__]
            note.write_text(json.dumps(begun | {"error": " ".join(words)}), encoding="utf-8")
            raise
        note.unlink()
        # of earlier attempts
        for failed in folder.parent.glob(f"{folder.name}-notebook.failed.ipynb"):
            failed.unlink()


def _beside(folder: Path, suffix: str) -> Path:
    """A file of a run beside its log: results/logs/<profile>/<stage>-<run><suffix>."""
    results = folder.parents[1]
    return results.parent / "logs" / results.name / f"{folder.parent.name}-{folder.name}{suffix}"


def _last_attempt(folder: Path) -> dict:
    try:
        return json.loads(_beside(folder, ".attempt.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # none, or it is being written
        return {}


def _take(lock: Path, wait: float = 0) -> AcquireReturnProxy | None:
    """A file lock, or None where a living process keeps it longer than `wait` seconds.

    On a shared file system that may be a process of another machine.
    """
    try:
        return FileLock(lock).acquire(timeout=wait)
    except Timeout:
        return None


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    if held := _take(lock):
        held.lock.release()
    return held is None
