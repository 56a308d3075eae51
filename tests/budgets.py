"""Hold commands and folders against their budgets (`tests/budgets.yaml`); ends with 1 above one.

    .venv/bin/python tests/budgets.py

A folder that is not there, and a step that did not run, are called not measured. `.ci/run` times
its steps and writes their seconds to .venv/steps.txt.
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
        if "megabytes" in budget:
            taken, limit, what = megabytes(root, budget), budget["megabytes"], "MB"
            most = limit
        else:
            taken, limit, what = seconds(root, budget), budget["yardsticks"], "yardsticks"
            taken = None if taken is None else taken / unit
            most = limit * (1 + budgets["noise"])
        if taken is None:
            print(f"{name}: not measured")
            continue
        print(f"{name}: {taken:.1f} of {limit} {what}")
        if taken > most:
            found.append(name)
    return found


def seconds(root: Path, budget: dict) -> float | None:
    """Time that a command takes, the best of three, as others may use the machine; of a step what
    `.ci/run` wrote last, None where it did not.
    """
    if "step" in budget:
        steps = root / ".venv" / "steps.txt"
        lines = steps.read_text(encoding="utf-8").splitlines() if steps.exists() else []
        taken = dict(reversed(line.split(" ", 1)) for line in lines)
        return float(taken[budget["step"]]) if budget["step"] in taken else None
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(budget["command"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - begin)
    return best


def megabytes(root: Path, budget: dict) -> float | None:
    """Size of a folder without what Python compiles by and by, or of the largest page in it; None
    where there is none.
    """
    folder = root / budget.get("folder", budget.get("pages"))
    if not folder.is_dir():
        return None
    kind = "*.html" if "pages" in budget else "*"
    files = [f for f in folder.rglob(kind) if f.is_file() and f.suffix != ".pyc"]
    sizes = [f.stat().st_size / 1e6 for f in files]
    return max(sizes, default=0.0) if "pages" in budget else sum(sizes)


if __name__ == "__main__":
    above = exceeded(yaml.safe_load((ROOT / "tests" / "budgets.yaml").read_text(encoding="utf-8")))
    sys.exit(f"budgets: exceeded by {', '.join(above)}" if above else 0)
