"""The dress rehearsal of the record, at a size of minutes: killed twice, it ends complete."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.nightly

SEQUENCES = 1_000  #: Table 2's proportions leave each class some in each split


@pytest.fixture(scope="module")
def profile(checkout: Path) -> str:
    """Two runs of one epoch."""
    content = yaml.safe_load((checkout / "tests" / "tiny.yaml").read_text(encoding="utf-8"))
    content |= {"title": "Small rehearsal", "data": {"source": "zenodo"}}
    one = {"models": ["cnn"], "samplings": ["uniform"], "ks": [10], "why_not_all": "a test"}
    content["stages"] = {1: one, 2: one}
    content["training"]["epochs"] = 1
    path = checkout / "tests" / "rehearsed.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def started(checkout: Path, profile: str) -> subprocess.Popen:
    """The rehearsal, without pages, in a group of its own."""
    command = [sys.executable, "workflow/rehearsal.py", "--profile", profile, "--command", "grid"]
    return subprocess.Popen(
        [*command, "--sequences", str(SEQUENCES)], cwd=checkout, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    )  # fmt: skip


def killed_at(words: str, running: subprocess.Popen) -> None:
    """Kill it, and all it started, once it says some words."""
    for line in running.stderr:
        if words in line:
            break
    else:
        raise AssertionError(f"it never said {words!r}")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    time.sleep(1)  # until the kernels, which lead groups of their own, have seen it


def test_a_rehearsal_killed_twice_ends_complete_and_says_what_it_took(checkout, profile):
    """The rung that stands for the paper's record: one command, from the download to the runs."""
    killed_at("fetched and verified", started(checkout, profile))
    killed_at("1 of 2", started(checkout, profile))
    last = started(checkout, profile)
    printed, said = last.communicate(timeout=600)
    assert last.returncode == 0, said[-2000:]
    told = json.loads(printed.splitlines()[-1])
    assert told["simulated"] and abs(told["sequences"] - SEQUENCES) < 10 and told["epochs"] == 1
    steps = {row["step"]: row for row in told["steps"]}
    runs = {f"stage{stage}/cnn-uniform-k10-s0" for stage in (1, 2)}
    assert {"fetch", "read", *runs} <= set(steps)
    assert all(row["seconds"] > 0 and row["peak_bytes"] > 0 for row in steps.values())
    assert all(row["commit"] and row["load"] >= 0 for row in steps.values())
    assert all(row["epoch_s"] > 0 for row in told["epochs_of"]) and len(told["epochs_of"]) == 2
    # The step that a kill cut short is not passed off as whole.
    assert any(row["resumed"] for row in steps.values())
    assert any(not row["resumed"] for row in steps.values())
    for run in runs:
        assert (checkout / "results" / "rehearsed" / run / "metrics.json").exists()
    assert not (checkout / "data" / "raw" / "zenodo").exists()
