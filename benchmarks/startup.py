"""What the command line costs before it does anything: seconds of eight commands, and which heavy
modules each imports.

    python benchmarks/startup.py [--rounds 3] [--smoke]

Seconds are of processor time, the least of some rounds. The last line of the output is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

from compendium import ROOT

COMMANDS = {
    "help": ("--help",),
    "dry run": ("grid", "--dry-run"),
    "status": ("grid", "--status"),
    "summary": ("data", "summary", "--profile", "tests/tiny.yaml"),
    "wrong argument": ("grid", "--jobs", "many"),
    "wrong profile": ("grid", "--profile", "nowhere.yaml"),
    "audit": ("audit",),
    "claims": ("claims",),
}
SMOKE = ("help", "summary", "audit")  #: one of each weight
#: Modules that take longer to import than a short command may last.
HEAVY = (
    "torch",
    "fastai",
    "sklearn",
    "scipy.stats",
    "matplotlib",
    "papermill",
    "pandas",
    "numba",
    "skimage",
)
#: Runs the command line as `rbc` does and says on its last line which heavy modules it then holds.
#: A module that is only announced, to be imported at its first use, does not count.
WATCHED = f"""
import atexit, sys
held = lambda m: m in sys.modules and type(sys.modules[m]).__name__ != "_LazyModule"
atexit.register(lambda: print("\\n" + " ".join(m for m in {HEAVY} if held(m))))
from rbc.cli import main
main()
"""


def main() -> None:
    """Time each command and print the figures."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--smoke", action="store_true", help="one round of three commands")
    chosen = options.parse_args()
    rounds = 1 if chosen.smoke else chosen.rounds
    figures = {}
    for name in SMOKE if chosen.smoke else COMMANDS:
        arguments = COMMANDS[name]
        figures[name] = {"seconds": seconds(arguments, rounds), "heavy": heavy(arguments)}
        print(f"{figures[name]['seconds']:6.2f} s  {name:15} {' '.join(figures[name]['heavy'])}")
    print(json.dumps(figures))


def seconds(arguments: tuple[str, ...], rounds: int) -> float:
    """Processor time of one command, the least of some rounds."""
    return round(min(_once(arguments) for _ in range(rounds)), 2)


def _once(arguments: tuple[str, ...]) -> float:
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    subprocess.run([sys.executable, "-m", "compendium", *arguments], cwd=ROOT, capture_output=True)
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before


def heavy(arguments: tuple[str, ...]) -> list[str]:
    """Heavy modules that a command has imported when it ends."""
    command = [sys.executable, "-c", WATCHED, *arguments]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    return said.splitlines()[-1].split()


if __name__ == "__main__":
    main()
