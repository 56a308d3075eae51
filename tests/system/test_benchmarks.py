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
from types import ModuleType

import pytest

from compendium import ROOT
from rbc.paper import KS, MODELS

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


def test_a_gpu_is_measured_once_and_what_it_lacks_is_said(tmp_path: Path) -> None:
    """Here a processor stands for it. A second call redoes nothing; pages that say how long the
    paper's runs take say that it was not measured until it was.
    """
    command = [sys.executable, ROOT / "workflow" / "gpu.py", "--small", "--out", tmp_path]
    environment = {name: os.environ[name] for name in os.environ if name != "RBC_SAMPLE"}
    for again in (False, True):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        assert ("equal cnn" in done.stdout) != again
    told = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert told["steps"]["equal crnn"]["float32_loss_apart"] == 0  # the same device
    assert told["steps"]["equal crnn"]["bfloat16_loss_apart"] > 0
    assert told["steps"]["speed frames k10 batch 4 bfloat16"]["trains_per_s"] > 0
    assert told["hours"] == {}  # most speeds are missing
    gpu = script("workflow", "gpu")
    told["steps"]["equal cnn"]["float32_loss_apart"] = float("nan")
    assert gpu.unequal(told) == ["equal cnn"]
    measured = gpu.KEPT.exists() and json.loads(gpu.KEPT.read_text(encoding="utf-8"))["hours"]
    words = f"{measured['runs_160']:.0f} hours" if measured else "hours: not measured"
    for page in ("config/paper.yaml", "README.md"):
        assert words in " ".join((ROOT / page).read_text(encoding="utf-8").split()), page


def test_hours_are_those_of_every_run_at_its_own_speed() -> None:
    """Twice as fast, half as long; one speed missing, no hours."""
    gpu = script("workflow", "gpu")
    each = {"trains_per_s": 1000.0, "predicts_per_s": 5000.0}
    names = [f"speed {m} k{k} batch 64 float32" for m in MODELS for k in KS]
    once = gpu.hours(dict.fromkeys(names, each))
    fast = {key: 2 * value for key, value in each.items()}
    twice = gpu.hours(dict.fromkeys(names, fast))
    assert once["runs_160"] == 5 * once["runs_32"] == 2 * twice["runs_160"] > 0
    assert gpu.hours(dict.fromkeys(names[1:], each)) == {}


def script(folder: str, name: str) -> ModuleType:
    """A script of the checkout as a module."""
    specification = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_help_imports_nothing_heavy() -> None:
    """Every command pays for what its start imports; a bar of seconds would depend on the machine,
    this does not.
    """
    startup = script("benchmarks", "startup")
    for name in ("help", "dry run", "wrong argument"):
        assert startup.heavy(startup.COMMANDS[name]) == [], name
    assert "pandas" in startup.heavy(startup.COMMANDS["audit"])  # the instrument sees what is there
