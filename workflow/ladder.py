"""Climb the reproduction ladder (data/ladder.yaml) and hold what it gives against what is expected.

.venv/bin/python workflow/ladder.py RUNG ... [--keep]     the rungs by name, in the ladder's order;
all of them: --up-to RUNG

Ends with one JSON line a rung: seconds, and whether it gave what was expected. Exit code 1 where
one did not. With --keep the figures become data/reference/ladder.json, which the book's page shows.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

try:
    import yaml

    from compendium import ROOT, runs
except ModuleNotFoundError as missing:  # as a reader without an environment types it
    sys.exit(
        f"ladder.py: this Python has no {missing.name}; `make .venv/ready`, then"
        " .venv/bin/python workflow/ladder.py"
    )

LADDER = ROOT / "data" / "ladder.yaml"
KEPT = ROOT / "data" / "reference" / "ladder.json"


def climb(rung: dict) -> dict:
    """Run one rung: its name, seconds, exit code, and whether it gave what was expected."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    started = time.perf_counter()
    done = subprocess.run(
        rung["command"],
        shell=True,
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
    )
    seconds = round(time.perf_counter() - started, 1)
    well = done.returncode == 0
    if well and rung["expect"] != "success":
        well = values(done.stdout) == values((ROOT / rung["expect"]).read_bytes())
    answer = {"rung": rung["rung"], "seconds": seconds, "exit_code": done.returncode}
    return answer | {"as_expected": well}


def values(text: bytes) -> object:
    """What JSON says, its numbers to nine places, as sums differ in the last bits by processor."""
    return json.loads(text, parse_float=lambda number: round(float(number), 9))


def chosen(names: list[str], up_to: str | None) -> list[dict]:
    """The rungs that are named, or all up to one. Ends with one line for a name that is none."""
    ladder = yaml.safe_load(LADDER.read_text(encoding="utf-8"))
    known = [rung["rung"] for rung in ladder]
    if unknown := [name for name in [*names, *([up_to] if up_to else [])] if name not in known]:
        raise SystemExit(f"{unknown[0]!r} is no rung of {LADDER}; there are {', '.join(known)}")
    wanted = known[: known.index(up_to) + 1] if up_to else names
    return [rung for rung in ladder if rung["rung"] in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rungs", nargs="*", metavar="RUNG")
    parser.add_argument("--up-to", metavar="RUNG", help="all rungs up to this one")
    parser.add_argument(
        "--keep", action="store_true", help="write the figures to data/reference/ladder.json"
    )
    given = parser.parse_args()
    answers = []
    for rung in chosen(given.rungs, given.up_to):
        answers.append(climb(rung))
        print(json.dumps(answers[-1]), flush=True)
    if given.keep:
        machine = {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "commit": runs.git("rev-parse", "HEAD"),
        }
        kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"rungs": {}}
        found = {answer["rung"]: {**answer, **machine} for answer in answers}
        KEPT.write_text(
            json.dumps({"rungs": kept["rungs"] | found}, indent=1, sort_keys=True) + "\n",
            encoding="utf-8",
        )
    raise SystemExit(0 if all(answer["as_expected"] for answer in answers) else 1)


if __name__ == "__main__":
    main()
