"""A grid through Snakemake's SLURM executor and the committed profile, with stand-ins for SLURM's
commands.

With RBC_CLUSTER_PROFILE=demo these tests send the demo's 32 runs instead of the two of the tests'
profile.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from conftest import one_line_error, rbc

from compendium import ROOT, profiles

pytestmark = pytest.mark.nightly

CLUSTER = ROOT / "workflow" / "slurm" / "config.yaml"
KILLED = "stage2/cnn-similarity-k10-s0"
# its comment: stage, model, sampling, K, seed, no variant
DOOMED = "rule_run_wildcards_2_cnn_similarity_10_0_"


@pytest.fixture(scope="module")
def profile(checkout) -> Path:
    """Two runs of the tests' profile with the device `auto`, so that they ask for a GPU; or the
    profile that the user names.
    """
    if named := os.environ.get("RBC_CLUSTER_PROFILE"):
        return checkout / "config" / f"{named}.yaml"
    content = yaml.safe_load((checkout / "tests" / "tiny.yaml").read_text(encoding="utf-8"))
    content["training"]["device"] = "auto"
    for stage in content["stages"].values():
        stage["models"] = ["cnn"]
    path = checkout / "tests" / "clustered.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    """What a user makes of the committed Snakemake profile: account, partition; and here shorter
    waits.
    """
    content = yaml.safe_load(CLUSTER.read_text(encoding="utf-8"))
    content["default-resources"] |= {"slurm_account": "lab-account", "slurm_partition": "gpu-nodes"}
    content |= {"jobs": 2, "latency-wait": 5, "slurm-init-seconds-before-status-checks": 1}
    folder = tmp_path_factory.mktemp("mine")
    (folder / "config.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Path:
    """Where the stand-ins keep their jobs."""
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def grid(checkout, profile, mine, slurm) -> dict:
    """The grid, one of its jobs killed in its first attempt: exit code, what it said, and its
    status meanwhile.
    """
    results = checkout / "results" / profile.stem
    path = f"{checkout / 'tests' / 'slurm'}{os.pathsep}{os.environ['PATH']}"
    killed = f"{DOOMED} {results / KILLED.replace('/', '/.')}.part"
    there = {
        "PATH": path,
        "FAKE_SLURM": str(slurm),
        "FAKE_SLURM_KILL": killed,
        "PYTHONPATH": str(checkout),
    }
    command = [
        sys.executable,
        "-m",
        "compendium",
        "grid",
        "--profile",
        str(profile),
        "--workflow-profile",
        str(mine),
    ]
    with open(slurm / "said", "w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, cwd=checkout, env=os.environ | there, stdout=said, stderr=said
        )
        meanwhile = {}
        while process.poll() is None and "running" not in meanwhile.values():
            time.sleep(0.5)
            meanwhile = status(checkout, profile)
        process.wait()
    return {
        "code": process.returncode,
        "said": (slurm / "said").read_text(encoding="utf-8"),
        "meanwhile": meanwhile,
    }


def status(checkout: Path, profile: Path) -> dict[str, str]:
    answer = rbc("grid", "--profile", profile, "--status", "--json", cwd=checkout)
    return {row["run"]: row["state"] for row in json.loads(answer.stdout)}


def submitted(slurm: Path) -> list[dict]:
    return [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(slurm.glob("*/asked.json"))
    ]


def test_the_grid_is_complete_although_a_job_was_killed(grid, checkout, profile):
    """Clusters kill jobs; the grid must still end whole."""
    assert grid["code"] == 0, grid["said"][-3000:]
    expected = [c.path for c in profiles.load(str(profile)).configurations()]
    assert status(checkout, profile) == dict.fromkeys(expected, "done")


def test_the_killed_job_and_no_other_was_submitted_twice(grid, slurm, profile):
    """A retry must not repeat what was done."""
    numbers = Counter(job["comment"] for job in submitted(slurm))
    assert numbers.pop(DOOMED) == 2
    assert set(numbers.values()) == {1}
    assert len(numbers) == len(profiles.load(str(profile)).configurations()) - 1
    assert "OUT_OF_MEMORY" in {path.read_text(encoding="utf-8") for path in slurm.glob("*/state")}
    mark = f"results/logs/{profile.stem}/{KILLED.replace('/', '-')}.done"
    assert mark in grid["said"].partition("Error in rule run")[2]


def test_sbatch_is_asked_for_a_gpu_memory_and_time(grid, slurm):
    """A job without them waits for ever, or is refused."""
    committed = yaml.safe_load(CLUSTER.read_text(encoding="utf-8"))["default-resources"]
    for job in submitted(slurm):
        assert (job["gpus"], job["cpus_per_task"]) == ("1", "1")
        assert (job["mem"], job["time"]) == (str(committed["mem_mb"]), str(committed["runtime"]))
        assert (job["account"], job["partition"]) == ("lab-account", "gpu-nodes")


def test_status_told_what_was_running_while_it_ran(grid):
    """One must be able to look at a grid from the login node."""
    assert 1 <= list(grid["meanwhile"].values()).count("running") <= 2  # jobs: 2


def test_a_folder_without_a_snakemake_profile_is_named(tmp_path):
    """One line with the path, not a traceback of Snakemake."""
    line = one_line_error(
        rbc("grid", "--profile", "tests/tiny.yaml", "--workflow-profile", tmp_path)
    )
    assert f"{tmp_path}: no Snakemake profile there" in line
