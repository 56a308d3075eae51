"""Locks, GPUs and states of runs with real processes; and a grid whose runs fail."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from conftest import rbc

from rbc import ROOT, RbcError, attempts, runs

HOLD = "with attempts.attempt(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
TAKE = """
print("ready", flush=True)
sys.stdin.readline()
with attempts.one_gpu(["0", "1"], Path(sys.argv[1])) as gpu:
    began = time.time()
    seen = subprocess.run(["printenv", "CUDA_VISIBLE_DEVICES"], capture_output=True, text=True).stdout.strip()
    time.sleep(1)
    print(json.dumps({"gpu": gpu, "seen": seen, "began": began, "ended": time.time()}), flush=True)
"""


def process(code: str, folder: Path) -> subprocess.Popen:
    code = "import json, subprocess, sys, time; from pathlib import Path; from rbc import attempts\n" + code
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, **pipes)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where a run would lie."""
    return tmp_path / "results" / "demo" / "stage1" / "cnn-uniform-k10-s0"


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in runs.FILES:
        (folder / name).touch()
    origin = {"finished": "2026-01-02T03:04:05Z", "seconds": 12.5, "device": "cpu", "seed": 0}
    (folder / "provenance.json").write_text(json.dumps(origin))


def test_a_run_is_to_do_running_interrupted_and_done(folder):
    assert attempts.standing(folder).state == "to do"
    holder = process(HOLD, folder)
    assert holder.stdout.readline() == "held\n"
    now = attempts.standing(folder)
    assert (now.state, now.run) == ("running", "stage1/cnn-uniform-k10-s0") and now.started and now.host
    with pytest.raises(RbcError, match="another process is making this run"), attempts.attempt(folder):
        pass
    holder.kill()
    holder.wait()
    assert attempts.standing(folder).state == "interrupted"
    with attempts.attempt(folder):
        write_all(folder)
    done = attempts.standing(folder)
    assert (done.state, done.finished, done.seconds, done.device) == ("done", "2026-01-02T03:04:05Z", 12.5, "cpu")
    assert done.started is None


@pytest.mark.parametrize("said, told", [("the loss\nis not a number", "the loss is not a number"), ("", "ValueError")])
def test_an_error_makes_a_run_failed_until_an_attempt_ends_well(said, told, folder):
    with pytest.raises(ValueError), attempts.attempt(folder):
        folder.parent.mkdir(parents=True)
        (folder.parent / f"{folder.name}-notebook.failed.ipynb").touch()
        raise ValueError(said)
    failed = attempts.standing(folder)
    assert (failed.state, failed.error) == ("failed", told)
    with attempts.attempt(folder):
        assert attempts.standing(folder).error is None
        write_all(folder)
    assert attempts.standing(folder).state == "done"
    assert not list(folder.parent.glob("*.failed.ipynb"))


def test_what_an_attempt_left_half_written_is_interrupted_work(folder):
    (folder.parent / f".{folder.name}.checkpoint").mkdir(parents=True)
    assert attempts.standing(folder).state == "interrupted"


def test_no_two_processes_have_one_gpu_at_a_time(tmp_path):
    takers = [process(TAKE, tmp_path) for _ in range(3)]
    assert [taker.stdout.readline() for taker in takers] == ["ready\n"] * 3
    for taker in takers:
        taker.stdin.write("go\n")
        taker.stdin.flush()
    table = pd.DataFrame(json.loads(taker.communicate()[0]) for taker in takers).sort_values("began")
    assert set(table["gpu"]) == {"0", "1"} and (table["seen"] == table["gpu"]).all()
    for _, turns in table.groupby("gpu"):
        assert (turns["began"].iloc[1:].to_numpy() >= turns["ended"].iloc[:-1].to_numpy()).all()


def test_without_nvidia_s_driver_there_is_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert attempts.gpus() == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
def test_pytorch_sees_the_gpu_that_was_taken_and_no_other(tmp_path):
    assert len(attempts.gpus()) == torch.cuda.device_count()
    count = "import torch\nwith attempts.one_gpu(attempts.gpus(), Path(sys.argv[1])): print(torch.cuda.device_count())"
    assert process(count, tmp_path).communicate()[0] == "1\n"


@pytest.fixture(scope="module")
def flawed(checkout) -> Path:
    """A profile of two runs: that of stage 1 fails the first time, that of stage 2 every time."""
    content = yaml.safe_load((checkout / "tests" / "tiny.yaml").read_text())
    content["stages"] = {s: {"models": ["cnn"], "samplings": ["similarity"], "ks": [10]} for s in (1, 2)}
    path = checkout / "tests" / "flawed.yaml"
    path.write_text(yaml.safe_dump(content))
    notebook = checkout / "notebooks" / "train.ipynb"
    content = json.loads(notebook.read_text())
    code = next(cell for cell in content["cells"] if "training.train(" in cell["source"])
    code["source"] = (
        "from pathlib import Path\ntried = Path(f'results/tried-stage{stage}')\n"
        "tried.open('a').write('x')\nassert stage == 1 and len(tried.read_text()) == 2, 'a flaw'\n" + code["source"]
    )
    notebook.write_text(json.dumps(content))
    return path


def test_a_failed_run_is_retried_once_and_reported_and_the_others_finish(flawed, checkout):
    result = rbc("grid", "--profile", flawed, cwd=checkout)
    assert result.returncode == 1
    assert [len((checkout / f"results/tried-stage{s}").read_text()) for s in (1, 2)] == [2, 2]
    report, last = result.stderr.strip().splitlines()[-2:]
    assert re.match(r"failed +stage2/cnn-similarity-k10-s0 .*AssertionError: a flaw.*\(log: .*\.log\)$", report)
    assert last.startswith("rbc: profile flawed: not all of it was made")
    shown = rbc("grid", "--profile", flawed, "--status", cwd=checkout).stdout.splitlines()
    assert re.match(r"done +stage1/cnn-similarity-k10-s0 +20\S+, \S+ s on cpu$", shown[0])
    assert shown[1:] == [report, "2 runs: 1 done, 0 running, 1 failed, 0 interrupted, 0 to do"]


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_run_takes_one_of_the_gpus_found_only_where_the_profile_may_use_it(device, flawed, checkout):
    content = yaml.safe_load(flawed.read_text())
    content["training"]["device"] = device
    profile = checkout / "tests" / f"on-{device}.yaml"
    profile.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "snakemake", "runs", "--snakefile", "workflow/Snakefile", "--dry-run"]
    command += ["--cores", "4", "--printshellcmds", "--resources", "gpu=2"]
    command += ["--config", f"profile={profile}", "data=", "gpus=[0,1]" if device == "auto" else "gpus=[]"]
    there = os.environ | {"PYTHONPATH": str(checkout)}
    said = subprocess.run(command, cwd=checkout, env=there, capture_output=True, text=True, check=True).stdout
    assert said.count("gpu=1") == said.count("--gpus 0,1") == (2 if device == "auto" else 0)


def test_a_profile_that_needs_a_gpu_says_so_where_there_is_none(flawed, checkout, tmp_path):
    content = yaml.safe_load(flawed.read_text())
    content["training"]["device"] = "cuda"
    (checkout / "tests" / "on-cuda.yaml").write_text(yaml.safe_dump(content))
    result = rbc("grid", "--profile", "tests/on-cuda.yaml", cwd=checkout, env={"CUDA_VISIBLE_DEVICES": ""})
    assert result.stderr == "rbc: profile on-cuda has device: cuda, but there is no GPU here; set device: auto or cpu\n"
