"""Every benchmark runs, in a few seconds, without the released sample; what it measures then means
nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compendium import ROOT

pytestmark = pytest.mark.nightly

#: Arguments that make each benchmark small; FOLDER is a temporary one.
SMALL = {
    "analyze": ("--frames", "30", "--cells", "12", "--threads", "1"),
    "classify": ("--smoke", "--rounds", "1"),
    "ingest": ("--sequences", "300", "--folder", "FOLDER"),
    "intervals": ("--repetitions", "1"),
    "draws": ("--repetitions", "50"),
    "labels": ("--smoke",),
    "startup": ("--smoke",),
    "intervals --validity": ("--validity", "--smoke"),
    "scales": ("--smoke",),
    "studies": ("--smoke",),
    "sampling": ("--smoke", "--rounds", "1", "--many", "20"),
    "tracking": ("--smoke", "--threads", "1"),
    "training": (
        *("--networks", "cnn", "--k", "10"),
        *("--sequences", "16", "--repeats", "1", "--threads", "1"),
    ),
}


def test_every_benchmark_is_tried() -> None:
    """A new benchmark must get small arguments here, or it is never run by a test."""
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == {
        name.split()[0] for name in SMALL
    }


@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_runs_and_ends_in_its_figures(name: str, tmp_path: Path) -> None:
    """A change of the library used to break them unseen; the last line must be its JSON."""
    arguments = [str(tmp_path) if a == "FOLDER" else a for a in SMALL[name]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("RBC_SAMPLE", None)
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name.split()[0]}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures
    if name == "tracking":
        assert figures["sprites_are"] == "simulated" and figures["bit_identical"]
        assert len(figures["conditions"]) > 1 and figures["long"]["frames"] == 20


def test_help_imports_nothing_heavy() -> None:
    """Every command pays for what its start imports; a bar of seconds would depend on the machine,
    this does not.
    """
    specification = importlib.util.spec_from_file_location(
        "startup", ROOT / "benchmarks" / "startup.py"
    )
    startup = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(startup)
    for name in ("help", "dry run", "wrong argument"):
        assert startup.heavy(startup.COMMANDS[name]) == [], name
    assert "pandas" in startup.heavy(startup.COMMANDS["audit"])  # the instrument sees what is there
