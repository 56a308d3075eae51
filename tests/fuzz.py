"""Damaged input, drawn by chance: every reader ends with content or with one `RbcError` line.

    python tests/fuzz.py                          # two minutes, readers in turn
    python tests/fuzz.py --seconds 600 --reader movies
    python tests/fuzz.py --reader movies --seed 17   # one attempt again

An attempt writes a good file, damages it, and reads it. A fault is another exception, an error of
several lines, a process that dies or hangs, or a file written outside of the attempt's folder. Each
fault is printed with the command that repeats it; then the script ends with 1.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import moviefiles
import numpy as np
import pandas as pd
import strips

from compendium import profiles
from compendium.data import archives, ingest
from rbc import RbcError, sequences
from rbc.bench import classify, movielist
from rbc.bench.corrections import read_corrections
from rbc.reading.video import open_movie

DIED = "the process died"
HANGS_S = 30.0  #: an attempt that takes longer is a fault; good ones take under a second
MEMORY = 8 << 30  #: bytes of addresses an attempt may have
PAGE = "What is there:"  #: begins the page of a record that is not understood, after its line
RECORD = strips.made()


# --- damage ---


def flipped(data: bytearray, dice: np.random.Generator) -> bytearray:
    """A few bytes otherwise."""
    for place in dice.integers(0, len(data), dice.integers(1, 9)):
        data[place] = dice.integers(0, 256)
    return data


def cut(data: bytearray, dice: np.random.Generator) -> bytearray:
    """The end is gone."""
    return data[: dice.integers(0, len(data))]


def number(data: bytearray, dice: np.random.Generator) -> bytearray:
    """Four bytes are an extreme number."""
    place = int(dice.integers(0, max(1, len(data) - 4)))
    extremes = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")
    data[place : place + 4] = extremes[dice.integers(len(extremes))]
    return data


def repeated(data: bytearray, dice: np.random.Generator) -> bytearray:
    """A piece stands twice."""
    first, last = sorted(int(i) for i in dice.integers(0, len(data), 2))
    return data[:last] + data[first:]


def moved(data: bytearray, dice: np.random.Generator) -> bytearray:
    """A piece is gone from the middle."""
    first, last = sorted(int(i) for i in dice.integers(0, len(data), 2))
    return data[:first] + data[last:]


def words(data: bytearray, dice: np.random.Generator) -> bytearray:
    """Some text stands where it should not."""
    odd = (
        "-1",
        "1e99",
        "nan",
        '"',
        "\n",
        ",",
        "\x00",
        "é",
        "../../out",
        "=1+1",
        " " * 50,
        "\ufeff",
    )
    place = int(dice.integers(0, len(data) + 1))
    return data[:place] + odd[dice.integers(len(odd))].encode() + data[place:]


DAMAGE = (flipped, cut, number, repeated, moved, words)


def damage(file: Path, dice: np.random.Generator) -> None:
    """Damage a file once or twice."""
    data = bytearray(file.read_bytes())
    for _ in range(dice.integers(1, 3)):
        if data:
            data = DAMAGE[dice.integers(len(DAMAGE))](data, dice)
    file.write_bytes(data)


def one_of(folder: Path, pattern: str, dice: np.random.Generator) -> Path:
    """A file of a folder, drawn by chance."""
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return files[dice.integers(len(files))]


# --- readers: each writes a good input, damages it, and reads it ---


def strip_files(folder: Path, dice: np.random.Generator) -> None:
    """Strips beside a CSV, one strip damaged."""
    strips.split_csv(folder, RECORD)
    damage(one_of(folder, "*.png", dice), dice)
    ingest.read(folder)


def tables(folder: Path, dice: np.random.Generator) -> None:
    """The CSV of strips, the list of a study's movies, or corrections of a report, damaged."""
    kind = dice.integers(3)
    if kind == 0:
        strips.split_csv(folder, RECORD)
        damage(one_of(folder, "*.csv", dice), dice)
        ingest.read(folder)
        return
    folder.mkdir()
    (folder / "a.avi").write_bytes(b"")
    table = folder / "table.csv"
    text = (
        "movie,patient,date,um_per_px\na.avi,BG,2020-10-17,0.6\n",
        "name,before,after\na_1,flipping,tank-treading\na_2,unreliable,flipping\n",
    )[kind - 1]
    table.write_text(text, encoding="utf-8")
    damage(table, dice)
    if kind == 1:
        movielist.read(table)
    else:
        read_corrections(table, pd.DataFrame({"name": ["a_1", "a_2"]}))


def packed(folder: Path, dice: np.random.Generator) -> None:
    """A ZIP or TAR, damaged."""
    folder.mkdir()
    names = ("train/img/a.png", "train/dataset.csv", "b.bin")
    if dice.integers(2):
        file = folder / "record.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, bytes(dice.integers(0, 256, 300, dtype=np.uint8)))
    else:
        mode = ("w", "w:gz", "w:bz2", "w:xz")[dice.integers(4)]
        file = folder / f"record.tar{mode[1:].replace(':', '.')}"
        with tarfile.open(file, mode) as archive:
            for name in names:
                entry = tarfile.TarInfo(name)
                entry.size = 300
                archive.addfile(entry, io.BytesIO(bytes(300)))
    damage(file, dice)
    archives.unpack(file, folder / "unpacked")


def matlab(folder: Path, dice: np.random.Generator) -> None:
    """A MATLAB file of either kind, damaged."""
    folder.mkdir()
    (strips.mat_v5, strips.mat_v73)[dice.integers(2)](folder, RECORD)
    damage(one_of(folder, "*.mat", dice), dice)
    ingest.read(folder)


def movies(folder: Path, dice: np.random.Generator) -> None:
    """A movie of any kind that is read, damaged."""
    folder.mkdir()
    kinds = sorted(moviefiles.READ)
    path = moviefiles.READ[kinds[dice.integers(len(kinds))]](folder, moviefiles.frames())
    damage(one_of(path, "*", dice) if path.is_dir() else path, dice)
    movie = open_movie(path)
    assert movie.n_frames >= 0
    for _ in movie.frames():
        pass


def saved(folder: Path, dice: np.random.Generator) -> None:
    """Sequences as `rbc` keeps them, one file damaged."""
    RECORD.save(folder)
    damage(one_of(folder, "*", dice), dice)
    sequences.load(folder)


def settings(folder: Path, dice: np.random.Generator) -> None:
    """A profile, or the layout.yaml of a record, damaged."""
    if dice.integers(2):
        strips.one_csv(folder, RECORD)
        damage(folder / "layout.yaml", dice)
        ingest.read(folder)
        return
    folder.mkdir()
    profile = folder / "own.yaml"
    shutil.copy(Path(__file__).with_name("tiny.yaml"), profile)
    damage(profile, dice)
    profiles.load(str(profile)).configurations()


def shipped(folder: Path, dice: np.random.Generator) -> None:
    """Models for `--models`, one file damaged."""
    shutil.copytree(classify.MODELS, folder)
    damage(one_of(folder, "*", dice), dice)
    classify.classify(RECORD, folder)


#: HDF5's own library ends the process on some damaged MATLAB files, which no Python can hinder; a
#: fetched record is verified by its checksums before it is read.
MAY_DIE = {"matlab"}
READERS: dict[str, Callable[[Path, np.random.Generator], None]] = {
    "strips": strip_files, "tables": tables, "archives": packed, "matlab": matlab, "movies": movies,
    "sequences": saved, "settings": settings, "models": shipped,
}  # fmt: skip


def attempt(name: str, seed: int) -> str:
    """What one attempt came to: empty, or the fault in words."""
    with tempfile.TemporaryDirectory() as above:
        place = Path(above) / "own"
        try:
            READERS[name](place, np.random.default_rng([seed, *name.encode()]))
        except RbcError as error:
            first, _, rest = str(error).partition("\n")
            if not first or (rest and not rest.startswith(PAGE)):
                return f"an error of several lines: {error}"
        except Exception:
            return "an exception that is none of ours:\n" + traceback.format_exc()
        outside = [path.name for path in Path(above).iterdir() if path.name != "own"]
        return f"written outside: {outside}" if outside else ""


# --- many attempts, in processes of their own, as some faults end a process ---


def worker(orders: multiprocessing.Queue, answers: multiprocessing.Queue) -> None:
    """Attempts as they are ordered."""
    warnings.simplefilter("ignore")  # tifffile warns of what it then raises
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while (order := orders.get()) is not None:
        answers.put(attempt(*order))


class Worker:
    """A process that makes attempts, begun anew when it has died or hung."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.begin()

    def begin(self) -> None:
        self.orders, self.answers = self.context.Queue(), self.context.Queue()
        self.process = self.context.Process(target=worker, args=(self.orders, self.answers))
        self.process.daemon = True
        self.process.start()

    def ask(self, name: str, seed: int) -> str:
        """What an attempt came to, also where the process did not live to say it."""
        self.orders.put((name, seed))
        patience = HANGS_S + (30.0 if self.process.exitcode is None else 0.0)  # its start counts
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if not self.answers.empty():
                return self.answers.get()
            if self.process.exitcode is not None and self.answers.empty():
                code = self.process.exitcode
                self.begin()
                return f"{DIED} with {code}"
            time.sleep(0.002)
        self.process.kill()
        self.begin()
        return f"nothing for {patience:.0f} s"


def main() -> None:
    """Attempts until the time is up."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--reader", choices=sorted(READERS), help="one of them alone")
    options.add_argument("--seconds", type=float, default=120.0)
    options.add_argument("--seed", type=int, help="one attempt alone")
    options.add_argument("--first", type=int, default=0, help="seed of the first attempt")
    chosen = options.parse_args()
    names = [chosen.reader] if chosen.reader else list(READERS)
    one, faults, deaths, made = Worker(), 0, 0, dict.fromkeys(names, 0)
    until, seed = time.monotonic() + chosen.seconds, chosen.first
    while time.monotonic() < until or chosen.seed is not None:
        for name in names:
            number = seed if chosen.seed is None else chosen.seed
            if fault := one.ask(name, number):
                known = fault.startswith(DIED) and name in MAY_DIE
                deaths, faults = deaths + known, faults + (not known)
                print(
                    f"python tests/fuzz.py --reader {name} --seed {number}\n  {fault}", flush=True
                )
            made[name] += 1
        if chosen.seed is not None:
            break
        seed += 1
    print(json.dumps({"attempts": made, "faults": faults, "deaths_in_hdf5": deaths}))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
