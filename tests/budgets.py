"""Hold commands and folders against their budgets (`tests/budgets.yaml`); ends with 1 above one.

    .venv/bin/python tests/budgets.py

A folder that is not there is called not measured.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]


def yardstick() -> float:
    """Seconds that a known work takes here: sorting, and a loop of Python; the best of three."""
    numbers = np.random.default_rng(0).random(1_000_000)
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        np.sort(numbers)
        sum(i * i for i in range(1_000_000))
        best = min(best, time.perf_counter() - begin)
    return best


def exceeded(budgets: dict, root: Path = ROOT) -> list[str]:
    """Names of the budgets that are exceeded; prints what was measured of each."""
    found, unit = [], yardstick()
    print(f"yardstick: {unit:.3f} s")
    for name, budget in budgets["budgets"].items():
        if "folder" in budget:
            taken, limit = megabytes(root / budget["folder"]), budget["megabytes"]
            most, what = limit, "MB"
        else:
            taken, limit = seconds(budget["command"], root) / unit, budget["yardsticks"]
            most, what = limit * (1 + budgets["noise"]), "yardsticks"
        if taken is None:
            print(f"{name}: not measured, {budget['folder']} is not there")
            continue
        print(f"{name}: {taken:.1f} of {limit} {what}")
        if taken > most:
            found.append(name)
    return found


def seconds(command: list[str], root: Path) -> float:
    """Time that a command takes; the best of three, as others may use the machine."""
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - begin)
    return best


def megabytes(folder: Path) -> float | None:
    """Size of a folder without what Python compiles by and by; None where there is none."""
    if not folder.is_dir():
        return None
    files = [f for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc"]
    return sum(f.stat().st_size for f in files) / 1e6


if __name__ == "__main__":
    above = exceeded(yaml.safe_load((ROOT / "tests" / "budgets.yaml").read_text(encoding="utf-8")))
    sys.exit(f"budgets: exceeded by {', '.join(above)}" if above else 0)
