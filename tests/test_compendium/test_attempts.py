"""Locks and states of runs with real processes; and a grid whose runs fail."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import rbc

from compendium import ROOT, attempts, runs
from rbc import RbcError

pytestmark = pytest.mark.slow

HOLD = "with attempts.attempt(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def process(code: str, folder: Path) -> subprocess.Popen:
    code = (
        "import json, subprocess, sys, time; from pathlib import Path; from compendium import"
        " attempts\n" + code
    )
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
    (folder / "provenance.json").write_text(json.dumps(origin), encoding="utf-8")


def test_a_run_is_to_do_running_interrupted_and_done(folder):
    """A status that is wrong makes one wait for what is dead, or start what runs."""
    assert attempts.standing(folder).state == "to do"
    holder = process(HOLD, folder)
    assert holder.stdout.readline() == "held\n"
    now = attempts.standing(folder)
    assert (
        (now.state, now.run) == ("running", "stage1/cnn-uniform-k10-s0")
        and now.started
        and now.host
    )
    with (
        pytest.raises(RbcError, match="another process is making this run"),
        attempts.attempt(folder),
    ):
        pass
    holder.kill()
    holder.wait()
    assert attempts.standing(folder).state == "interrupted"
    with attempts.attempt(folder):
        write_all(folder)
    done = attempts.standing(folder)
    assert (done.state, done.finished, done.seconds, done.device) == (
        "done",
        "2026-01-02T03:04:05Z",
        12.5,
        "cpu",
    )
    assert done.started is None


@pytest.mark.parametrize(
    "said, told", [("the loss\nis not a number", "the loss is not a number"), ("", "ValueError")]
)
def test_an_error_makes_a_run_failed_until_an_attempt_ends_well(said, told, folder):
    """A failure must stay in sight until it is mended."""
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
    """Half a folder must not count as a run."""
    (folder.parent / f".{folder.name}.checkpoint").mkdir(parents=True)
    assert attempts.standing(folder).state == "interrupted"


@pytest.fixture(scope="module")
def flawed(checkout) -> Path:
    """A profile of two runs: that of stage 1 fails the first time, that of stage 2 every time."""
    content = yaml.safe_load((checkout / "tests" / "tiny.yaml").read_text(encoding="utf-8"))
    content["stages"] = {
        s: {"models": ["cnn"], "samplings": ["similarity"], "ks": [10]} for s in (1, 2)
    }
    path = checkout / "tests" / "flawed.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    notebook = checkout / "notebooks" / "train.ipynb"
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = next(cell for cell in content["cells"] if "training.train(" in "".join(cell["source"]))
    code["source"] = (
        "from pathlib import Path\ntried = Path(f'results/tried-stage{stage}')\n"
        "tried.open('a').write('x')\nassert stage == 1 and len(tried.read_text()) == 2, 'a flaw'\n"
        + "".join(code["source"])
    )
    notebook.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.nightly
def test_a_failed_run_is_retried_once_and_reported_and_the_others_finish(flawed, checkout):
    """One bad run must not cost a night's grid."""
    result = rbc("grid", "--profile", flawed, cwd=checkout)
    assert result.returncode == 1
    assert [
        len((checkout / f"results/tried-stage{s}").read_text(encoding="utf-8")) for s in (1, 2)
    ] == [2, 2]
    *_, last = result.stderr.strip().splitlines()
    assert re.search(
        r"^stage2/cnn-similarity-k10-s0 failed: .*AssertionError: a flaw",
        result.stderr,
        re.MULTILINE,
    )
    assert last.startswith(
        "rbc: profile flawed: 1 of 2 not made (stage2/cnn-similarity-k10-s0; see above)"
    )
    shown = rbc("grid", "--profile", flawed, "--status", cwd=checkout).stdout.splitlines()
    assert re.match(r"done +stage1/cnn-similarity-k10-s0 +20\S+, \S+ s on cpu$", shown[0])
    assert re.match(r"failed +stage2/cnn-similarity-k10-s0 .*AssertionError: a flaw", shown[1])
    assert shown[2] == "2 runs: 1 done, 0 stale, 0 running, 1 failed, 0 interrupted, 0 to do"


def test_a_profile_that_needs_a_gpu_says_so_where_there_is_none(flawed, checkout, tmp_path):
    """Days on a CPU must not begin without a word."""
    content = yaml.safe_load(flawed.read_text(encoding="utf-8"))
    content["training"]["device"] = "cuda"
    (checkout / "tests" / "on-cuda.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    result = rbc(
        "grid", "--profile", "tests/on-cuda.yaml", cwd=checkout, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert (
        result.stderr
        == "rbc: profile on-cuda has device: cuda, but there is no GPU here; set device: auto or"
        " cpu\n"
    )
