"""Make the kept results anew, all from one commit, and say of each file what became of it.

    python workflow/refresh.py --list
    python workflow/refresh.py scores studies            # those that are named
    python workflow/refresh.py --data FOLDER             # all; FOLDER holds the released sample
    python workflow/refresh.py scores studies --take     # put what was made into this checkout

What is committed now is cloned, and the commands run in that clone, so that no change of the
checkout gets into a result and no finished run of it is taken for a new one. A result that rests on
another kept one reads that as it is committed: take the first, commit it, then make the second.
Interrupted, the same command goes on; results that are finished are not made again.

Ends with one JSON line: for each file `equal` (bit for bit), `equal but for times`, `changed` (how
far), `new` or `gone`; for each result the commits it was kept from, and what has changed since: the
code that makes it, the profiles, the packages.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from compendium import ROOT, keys, runs
from rbc import record
from rbc.files import whole_folder

SCRATCH = ROOT / "data" / "derived" / "refresh"
#: Say when and where something was made, not what came out; and, of a whole file, from what.
TIMES = {"commit", "dirty", "finished", "seconds", "packages", "processor", "device"}
OF_A_FILE = TIMES | {"key", "inputs"}
#: Holds times on every page, and no number that is not in the files beside it.
NOTEBOOK = ".ipynb"


@dataclass(frozen=True)
class Recipe:
    """One kept result.

    Parameters
    ----------
    name : one word
    commands : run in the clone, one after the other; `rbc` and `python` are this environment's,
        `{data}` is the folder of the released sample
    writes : files and folders that the commands write, relative to the checkout
    """

    name: str
    commands: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def needs_data(self) -> bool:
        """Whether the released sample is needed."""
        return any("{data}" in command for command in self.commands)


def of_profile(name: str) -> Recipe:
    """All runs of a profile, copied without their weights."""
    grid = f"rbc grid --profile {name} --data {{data}}"
    copy = f"python workflow/reference.py {name}"
    return Recipe(name, (grid, copy), (f"data/reference/{name}",))


PREPARE = "rbc data prepare --profile ours --data {data}"
#: In the order in which one rests on another; the longest ones last.
RECIPES = (
    Recipe(
        "scores",
        ("python workflow/rescore.py",),
        tuple(
            f"data/reference/{file}"
            for file in ("ours/metrics.json", "duel/metrics.json", "transfer/levels.json")
        ),
    ),
    Recipe(
        "shipped1",
        (PREPARE, "python workflow/beyond.py --stage1"),
        ("rbc/bench/weights", "data/reference/ours"),
    ),
    Recipe(
        "studies",
        ("python benchmarks/studies.py --jobs 2 --out data/reference/studies.json",),
        ("data/reference/studies.json",),
    ),
    Recipe(
        "coverage",
        ("python benchmarks/intervals.py --out data/reference/coverage.json",),
        ("data/reference/coverage.json",),
    ),
    Recipe(
        "validity",
        (
            "python benchmarks/intervals.py --validity --repetitions 200 --jobs 2"
            " --out rbc/validity.json",
        ),
        ("rbc/validity.json",),
    ),
    Recipe(
        "travel",
        (PREPARE, "python workflow/travel.py"),
        ("data/reference/ours/travel.json",),
    ),
    Recipe(
        "labelfree",
        ("python workflow/labelfree.py --data {data}",),
        ("data/reference/labelfree.json",),
    ),
    Recipe(
        "draws",
        ("python benchmarks/draws.py --out data/reference/draws.json",),
        ("data/reference/draws.json",),
    ),
    Recipe(
        "labels",
        (
            "python benchmarks/labels.py --repetitions 300 --jobs 2"
            " --out data/reference/labels.json",
            "python benchmarks/labels.py --sample --repetitions 300"
            " --out data/reference/labels-released.json",
        ),
        ("data/reference/labels.json", "data/reference/labels-released.json"),
    ),
    Recipe(
        "scales",
        ("python benchmarks/scales.py --out data/reference/scales.json",),
        ("data/reference/scales.json",),
    ),
    Recipe(
        "learning",
        (PREPARE, "python workflow/learning.py --seeds 5"),
        ("data/reference/learning.json",),
    ),
    of_profile("released"),
    of_profile("register"),
    Recipe(
        "ours",
        ("rbc grid --profile ours --data {data}", "python workflow/beyond.py"),
        ("data/reference/ours", "rbc/bench/weights"),
    ),
    Recipe(
        "transfer",
        (
            PREPARE,
            "python workflow/transfer.py fit --data data/derived/ours",
            "python workflow/transfer.py train --data data/derived/ours",
        ),
        ("data/reference/transfer",),
    ),
    of_profile("ablations"),
    Recipe(
        "duel",
        ("rbc grid --profile duel --data {data}", "python workflow/duel.py"),
        ("data/reference/duel",),
    ),
)


def main() -> None:
    """List, make or take."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("names", nargs="*", metavar="NAME", help="results; all if none is named")
    options.add_argument("--data", type=Path, help="folder of the released sample")
    options.add_argument("--list", action="store_true", help="names and what they write")
    options.add_argument("--take", action="store_true", help="copy finished ones into the checkout")
    chosen = options.parse_args()
    recipes = named(chosen.names)
    if chosen.list:
        for recipe in recipes:
            print(listed(recipe))
        return
    commit = runs.checkout()["commit"]
    if commit == "unknown":
        raise SystemExit(f"{ROOT}: no git checkout, so no commit could stand behind a result")
    place = SCRATCH / commit[:12]
    if chosen.take:
        take(recipes, place)
        return
    if chosen.data is None and (first := next((r for r in recipes if r.needs_data), None)):
        raise SystemExit(f"{first.name} needs the released sample: give its folder by --data")
    if runs.checkout()["dirty"]:
        print("uncommitted changes of this checkout are not in it", file=sys.stderr)
    told = [made(recipe, place, chosen.data) for recipe in recipes]
    print(json.dumps({"commit": commit, "results": told}))


def listed(recipe: Recipe) -> str:
    """Name, what is written, and how long its runs took when they were kept."""
    found = [provenance(ROOT / file) for path in recipe.writes for file in files_of(ROOT, path)]
    hours = sum(one.get("seconds", 0) for one in found) / 3600
    notes = [f"its runs took {hours:.1f} h"] if hours else []
    notes += ["needs --data"] if recipe.needs_data else []
    told = f" ({', '.join(notes)})" if notes else ""
    return f"{recipe.name:<10}{', '.join(recipe.writes)}{told}"


def named(names: list[str]) -> list[Recipe]:
    """The recipes of these names, or all. Ends with one line for a name that is none."""
    known = [recipe.name for recipe in RECIPES]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"{unknown[0]!r} is no kept result; there are {', '.join(known)}")
    return [recipe for recipe in RECIPES if not names or recipe.name in names]


def made(recipe: Recipe, place: Path, data: Path | None) -> dict:
    """One result made anew, or read where it was made before; what became of each file.

    Parameters
    ----------
    recipe : what to make
    place : scratch folder of the commit
    data : folder of the released sample, where it is needed
    """
    report = place / recipe.name / "report.json"
    if report.exists():
        return json.loads(report.read_text(encoding="utf-8"))
    kept, clone = cloned(place / "kept"), cloned(place / "checkout")
    # What another result or a killed command has written goes, so that provenance says a clean
    # checkout. Runs that are finished lie where git does not look, and stay.
    git(clone, "checkout", "-q", "--", ".")
    git(clone, "clean", "-fdq")
    print(f"{recipe.name}: making", file=sys.stderr, flush=True)
    began = time.perf_counter()
    for command in recipe.commands:
        run(command, clone, data)
    told = {
        "result": recipe.name,
        "seconds": round(time.perf_counter() - began, 1),
        "files": [row for path in recipe.writes for row in compared(kept, clone, path)],
        **since(kept, recipe),
    }
    with whole_folder(report.parent, ("report.json", "*")) as part:
        for path in recipe.writes:
            copied(clone / path, part / path)
        (part / "report.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    said(told)
    return told


def cloned(folder: Path) -> Path:
    """A clone of what is committed, made once."""
    if not folder.is_dir():
        with whole_folder(folder, (".git/HEAD", "*")) as part:
            git(ROOT, "clone", "-q", "--no-hardlinks", str(ROOT), str(part))
    return folder


def run(command: str, clone: Path, data: Path | None) -> None:
    """One command of a recipe, in the clone and with its code; ends with one line if it fails."""
    words = [word.replace("{data}", str(data and data.resolve())) for word in command.split()]
    own = {"rbc": [sys.executable, "-m", "compendium"], "python": [sys.executable]}
    words = own[words[0]] + words[1:]
    # The clone's modules come first: the environment may know those of this checkout.
    there = os.environ | {"PYTHONPATH": str(clone)}
    if code := subprocess.run(words, cwd=clone, env=there, stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f"{command} (in {clone}): ended with {code}; the same command goes on")


def git(where: Path, *arguments: str) -> str:
    """What a git command prints; ends with its own message if it fails."""
    done = subprocess.run(["git", "-C", str(where), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return done.stdout.strip()


def compared(kept: Path, clone: Path, path: str) -> Iterator[dict]:
    """What became of each file of a kept path: path, state and how far it changed.

    Parameters
    ----------
    kept, clone : the files as committed and as made anew, two checkouts
    path : a file or folder in both, relative
    """
    for file in sorted({*files_of(kept, path), *files_of(clone, path)}):
        old, new = kept / file, clone / file
        if not old.exists():
            state = ("new", "")
        elif not new.exists():
            state = ("gone", "")
        elif old.read_bytes() == new.read_bytes():
            state = ("equal", "")
        else:
            state = difference(old, new)
        yield {"file": file, "state": state[0], "how": state[1]}


def files_of(checkout: Path, path: str) -> list[str]:
    """Relative paths of a file, or of all files of a folder."""
    found = [checkout / path] if (checkout / path).is_file() else (checkout / path).rglob("*")
    return [file.relative_to(checkout).as_posix() for file in found if file.is_file()]


def difference(old: Path, new: Path) -> tuple[str, str]:
    """State of a file whose bytes differ, and in words how far it changed."""
    if old.suffix == NOTEBOOK:
        return "equal but for times", "an executed notebook; its numbers are in the files beside it"
    if old.suffix not in LEAVES:
        return "changed", "of a kind that is not compared by content"
    before, after = (LEAVES[old.suffix](path) for path in (old, new))
    if before.keys() != after.keys():
        return "changed", f"{len(before.keys() ^ after.keys())} values are in one of the two only"
    other = [name for name in before if not same(before[name], after[name])]
    if not other:
        return "equal but for times", ""
    far = [apart(before[name], after[name]) for name in other]
    numbers = [one for one in far if one is not None]
    most = f", by {max(numbers):.3g} at most" if numbers else ""
    return "changed", f"{len(other)} of {len(before)} values{most}; the first: {other[0]}"


def leaves_of_json(path: Path) -> dict[str, object]:
    """Every value of a JSON file by its place, but for times."""

    def walk(value: object, place: str) -> Iterator[tuple[str, object]]:
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in inside:
            if key in (TIMES if place else OF_A_FILE):
                continue
            if isinstance(one, dict | list):
                yield from walk(one, f"{place}/{key}")
            else:
                yield f"{place}/{key}", one

    return dict(walk(json.loads(path.read_text(encoding="utf-8")), ""))


def leaves_of_table(table: pd.DataFrame) -> dict[str, object]:
    """Every column of a table, with its number of rows."""
    return {f"{name} ({len(table)} rows)": table[name].to_numpy() for name in table}


#: How the content of a file is read, by its ending.
LEAVES = {
    ".json": leaves_of_json,
    ".csv": lambda path: leaves_of_table(pd.read_csv(path)),
    ".parquet": lambda path: leaves_of_table(pd.read_parquet(path)),
    ".safetensors": load_file,
    ".npz": lambda path: dict(np.load(path, allow_pickle=False)),
}


def same(one: object, other: object) -> bool:
    """Whether two values, or all values of two columns, are equal; not-a-number equals itself."""
    return pd.Series(np.ravel(one)).equals(pd.Series(np.ravel(other)))


def apart(one: object, other: object) -> float | None:
    """The largest distance between numbers, infinite where one of two is not-a-number; nothing
    where they are no numbers, or not as many.
    """
    first, second = np.ravel(one), np.ravel(other)
    if len(first) != len(second) or not all(a.dtype.kind in "iuf" for a in (first, second)):
        return None
    first, second = first.astype(float), second.astype(float)
    if (np.isnan(first) != np.isnan(second)).any():
        return float("inf")
    return float(np.nanmax(np.abs(first - second), initial=0.0))


def since(kept: Path, recipe: Recipe) -> dict:
    """From which commits a result was kept, and what has changed since that numbers hang on.

    Parameters
    ----------
    kept : a checkout of what is committed
    recipe : which result

    Returns
    -------
    dict of the commits, the files of ours (code and profiles), and the packages with both versions
    """
    found = [provenance(kept / file) for path in recipe.writes for file in files_of(kept, path)]
    told = [one for one in found if "commit" in one]
    commits = {one["commit"] for one in told}
    if not commits:  # the result does not say: the commit that put it there
        commits = {git(kept, "log", "-1", "--format=%H", "--", *recipe.writes)}
    sources = made_by(kept, recipe)
    modules = sorted({file for commit in commits for file in changed_since(kept, commit, sources)})
    packages = {
        f"{name} {before} -> {version(name)}"
        for one in told
        for name, before in one.get("packages", {}).items()
        if name != "python" and before != version(name)
    }
    return {
        "kept_from": sorted(commit[:8] for commit in commits),
        "code_changed": modules,
        "packages_changed": sorted(packages),
    }


def made_by(kept: Path, recipe: Recipe) -> list[str]:
    """Files of ours that a result comes from: the code of its commands with all that it imports,
    and the profiles. Rather too many than too few: what is missing here is never named.
    """
    scripts = {kept / w for command in recipe.commands for w in command.split() if w[-3:] == ".py"}
    beside = {file for script in scripts for file in script.parent.glob("*.py")}
    roots = {*keys.NUMBERS, *keys.MAKERS["released"]}
    for file in beside:  # scripts of a folder import each other by their bare names
        roots |= set(record.imports(file.read_text(encoding="utf-8")))
    found = [*beside, *(kept / "config").glob("*.yaml")]
    for name in record.closure(tuple(sorted(roots))):
        module = kept.joinpath(*name.split("."))
        found.append(module / "__init__.py" if module.is_dir() else module.with_suffix(".py"))
    return sorted(file.relative_to(kept).as_posix() for file in found if file.exists())


def changed_since(kept: Path, commit: str, files: list[str]) -> Iterator[str]:
    """Those of some files that differ from an older commit: code by its statements, the rest by its
    bytes.
    """
    git_there = ["git", "-C", str(kept)]
    if subprocess.run([*git_there, "cat-file", "-e", commit], capture_output=True).returncode:
        yield f"unknown: {commit[:8]} is not in this history"
        return
    for file in files:
        before = subprocess.run(
            [*git_there, "show", f"{commit}:{file}"], capture_output=True, text=True
        )
        digest = record.module_hash if file.endswith(".py") else str
        now = (kept / file).read_text(encoding="utf-8")
        if before.returncode or digest(before.stdout) != digest(now):
            yield file


def provenance(file: Path) -> dict:
    """What a JSON file says at its top of where it comes from; nothing of other files."""
    if file.suffix != ".json":
        return {}
    found = json.loads(file.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def copied(source: Path, target: Path) -> None:
    """Copy a file or a folder to a place that need not be there yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def said(told: dict) -> None:
    """One line a state of files, and what changed, for a person."""
    states = [row["state"] for row in told["files"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    print(f"{told['result']}: {told['seconds']} s; files: {counts}", file=sys.stderr)
    for row in told["files"]:
        if row["state"] in ("changed", "new", "gone"):
            print(f"  {row['file']}: {row['state']} {row['how']}".rstrip(), file=sys.stderr)
    if "changed" in states:
        why = told["code_changed"] + told["packages_changed"]
        reason = ", ".join(why) or "none of the code, profiles and packages that were looked at"
        print(f"  kept from {', '.join(told['kept_from'])}; since: {reason}", file=sys.stderr)


def take(recipes: list[Recipe], place: Path) -> None:
    """Copy finished results into this checkout, whose own changes of those files must be committed.

    Parameters
    ----------
    recipes : which
    place : scratch folder of the commit
    """
    finished = [recipe for recipe in recipes if (place / recipe.name / "report.json").exists()]
    if not finished:
        raise SystemExit(f"{place}: nothing was made from this commit yet")
    paths = [path for recipe in finished for path in recipe.writes]
    if changed := git(ROOT, "status", "--porcelain", "--", *paths):
        raise SystemExit(f"not committed here, so nothing was copied:\n{changed}")
    for recipe in finished:
        for path in recipe.writes:
            new, old = place / recipe.name / path, ROOT / path
            if old.is_dir():
                shutil.rmtree(old)  # git has every file of it, as was asked above
            copied(new, old)
        print(f"{recipe.name}: copied", file=sys.stderr)


if __name__ == "__main__":
    main()
