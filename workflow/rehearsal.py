"""A dress rehearsal of the paper's record: simulated, of Table 2's size and splits, served on
loopback in Zenodo's form, and made into a book by the command that a reader would type.

    python workflow/rehearsal.py [--profile rehearsal] [--sequences N] [--keep]

What it takes is measured step by step: seconds, and the peak memory of all processes together.
Killed, the same command goes on: the record, what was fetched, every finished run and the steps
measured so far stay. With --keep the table becomes data/reference/rehearsal.json.

The films are a few simulated ones, repeated under new names (`compendium.data.simulated`). No score
of it means anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from gpu import speeds  # beside this script

from compendium import ROOT, profiles, runs
from compendium.data.simulated import make_record, table2
from compendium.profiles import Profile
from rbc import RbcError, sequences, training
from rbc.files import whole_folder
from rbc.paper import in_stage
from rbc.settings import folds
from rbc.signals import ended_by_signals

# The server that speaks Zenodo's form is the tests' own.
sys.path.insert(0, str(ROOT / "tests"))
from zenodo import Zenodo

EVERY_S = 0.5  #: between two looks at the memory
TIMED = 256  #: sequences, four batches
KEPT = runs.REFERENCE / "rehearsal.json"
#: what `rbc book` says when a step ends, and the step that ended
ENDS = {": fetched and verified": "fetch", "data of ": "read"}


def main() -> None:
    """Make the record where it is not there, serve it, build, and write what it took."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--profile", default="rehearsal", help="name or file of a profile")
    options.add_argument("--sequences", type=int, default=int(table2().to_numpy().sum()))
    options.add_argument(
        "--command", choices=("book", "grid"), default="book", help="grid: runs without pages"
    )
    options.add_argument("--keep", action="store_true", help="write data/reference/rehearsal.json")
    chosen = options.parse_args()
    scratch = ROOT / "data" / "raw" / f"rehearsal-{chosen.sequences}"
    record = scratch / "record"
    if not record.is_dir():
        with whole_folder(record, ("*.zip",)) as part:
            make_record(part, chosen.sequences)
    zips = sorted(record.iterdir())
    clear_other(zips)
    steps = Steps(scratch / f"{chosen.command}.json")
    server = Zenodo({path.name: path for path in zips})
    try:
        with ended_by_signals():
            code = watched(chosen, server.base, steps)
    except RbcError as stopped:
        raise SystemExit(str(stopped)) from None
    finally:
        server.close()
    if code:
        raise SystemExit(code)
    profile = profiles.load(chosen.profile)
    told = {
        "simulated": True,
        "sequences": chosen.sequences,
        "zip_bytes": sum(path.stat().st_size for path in zips),
        "epochs": profile.training.epochs,
        "cores": len(os.sched_getaffinity(0)),
        "processor": platform.machine(),
        # How wide the processor computes says most of how fast networks learn on it.
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_bytes": psutil.virtual_memory().total,
        "steps": steps.rows,
        "epochs_of": epochs_of(profile),
        "finished": runs.now(),
        **runs.checkout(),
    }
    if chosen.keep:
        KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told))


def epochs_of(profile: Profile) -> list[dict]:
    """How long one epoch of each stage, network and K takes here, from its speeds on a few
    sequences: what a longer training adds.

    Parameters
    ----------
    profile : its sequences are prepared, its settings hold
    """
    cells, found = sequences.load(profile.data_folder), []
    torch.set_num_threads(profile.training.threads)
    splits = folds(cells.index, [])
    trained = (cells.index["split"] == "train").to_numpy()
    validated = (cells.index["split"] == "validation").to_numpy()
    for c in {(c.stage, c.model, c.k): c for c in profile.configurations()}.values():
        learned = len(training.balanced(cells.index["label"], splits, c)[0])
        asked = int((validated & in_stage(cells.index["label"], c.stage)).sum())
        inside = trained & in_stage(cells.index["label"], c.stage)
        few = cells.select(inside & (np.cumsum(inside) <= TIMED))
        trains, answers = speeds(few, c, profile.training_of(c), len(few))
        row = {"stage": c.stage, "model": c.model, "k": c.k, "learned": learned, "validated": asked}
        row |= {"trains_per_s": round(trains, 1), "answers_per_s": round(answers, 1)}
        found.append(row | {"epoch_s": round(learned / trains + asked / answers, 1)})
    return found


def clear_other(zips: list[Path]) -> None:
    """Remove what an earlier rehearsal of another size had fetched, or it would be taken for this
    one's.
    """
    fetched = ROOT / "data" / "raw" / "loopback"
    there = {path.name: path.stat().st_size for path in fetched.glob("*.zip")}
    if there and there != {path.name: path.stat().st_size for path in zips}:
        shutil.rmtree(fetched)


def watched(chosen: argparse.Namespace, base: str, steps: Steps) -> int:
    """Exit code of the build, whose lines are passed on and whose steps are measured.

    Parameters
    ----------
    chosen : the command's options
    base : address of the server
    steps : gets each step as it ends
    """
    paths = os.pathsep.join([str(ROOT / "tests" / "loopback"), str(ROOT)])
    there = {"NO_PROXY": "*", "PYTHONPATH": paths, "RBC_ZENODO_BASE": base}
    # One job at a time, so that what the memory holds belongs to one step.
    command = [sys.executable, "-m", "compendium", chosen.command, "--profile", chosen.profile]
    command += ["--simulated", "--jobs", "1"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | there, stderr=subprocess.PIPE, text=True
    )
    memory = Memory(process.pid)
    steps.begin()
    try:
        for line in process.stderr:
            # Kept before it is said: who kills the command on a line finds that step in the table.
            if step := ended(line):
                steps.end(step, memory.peak())
            print(line, end="", file=sys.stderr, flush=True)
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        memory.stop()
    if chosen.command == "book" and not code:
        steps.end("site", memory.peak())
    return code


def ended(line: str) -> str:
    """The step of which a line of `rbc book` says that it has ended; empty for other lines."""
    for words, step in ENDS.items():
        if words in line:
            return step
    head, _, job = line.strip().partition(" s: ")
    return job if job and " of " in head else ""


class Steps:
    """What each step took, of which commit, and how busy the machine was; kept in a file as it
    grows.

    A step that a killed command had begun is marked as resumed: its seconds are those of the rest.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: list[dict] = json.loads(file.read_text("utf-8")) if file.exists() else []
        self.resumed = bool(self.rows)
        self.commit = runs.checkout()["commit"]
        self.began = 0.0

    def begin(self) -> None:
        """Time counts from now on."""
        self.began = time.monotonic()

    def end(self, step: str, peak_bytes: int) -> None:
        """The step that has run since the one before."""
        now = time.monotonic()
        row = {"step": step, "seconds": round(now - self.began, 1), "peak_bytes": peak_bytes}
        row |= {"load": round(os.getloadavg()[2], 1), "commit": self.commit}
        self.rows = [other for other in self.rows if other["step"] != step]
        self.rows.append(row | {"resumed": self.resumed})
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.rows, indent=1), encoding="utf-8")
        part.replace(self.file)  # a kill must not leave half of the table
        self.resumed, self.began = False, now


class Memory:
    """Peak memory of a process and all that it started, looked at from a thread.

    Memory of files that are mapped, such as the frames of all sequences, does not count where the
    system tells it apart: it gives these pages away when others need them.
    """

    def __init__(self, pid: int) -> None:
        self.process, self.most = psutil.Process(pid), 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def peak(self) -> int:
        """Bytes since the last call."""
        most, self.most = self.most, 0
        return most

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.ended.wait(EVERY_S):
            self.most = max(self.most, sum(map(self._of, self._all())))

    def _all(self) -> list[psutil.Process]:
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.Error:
            return []

    def _of(self, process: psutil.Process) -> int:
        try:
            found = process.memory_info()
            return found.rss - getattr(found, "shared", 0)
        except psutil.Error:  # it has ended meanwhile
            return 0


if __name__ == "__main__":
    main()
