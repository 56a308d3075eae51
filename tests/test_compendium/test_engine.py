"""The engine on tasks that write small files: order, retry, GPUs, and going on after a kill."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from compendium import ROOT, engine, profiles, tasks
from compendium.engine import Task
from rbc import RbcError


@pytest.fixture(autouse=True)
def without_kernels(monkeypatch):
    """No notebook runs here."""
    monkeypatch.setattr("compendium.kernel.warm", lambda: None)


def writing(folder: Path, name: str, needs: tuple[str, ...] = (), **more) -> Task:
    """A task that writes a file of its name; fresh where the file is there."""
    out = folder / name

    def make(_: dict[str, str]) -> None:
        missing = [need for need in needs if not (folder / need).exists()]
        out.write_text(" ".join(missing), encoding="utf-8")

    return Task(name, lambda: "" if out.exists() else "not made yet", make, needs, **more)


def made(listed: list[Task], jobs: int = 2, gpus: tuple[str, ...] = ()) -> None:
    engine.make(listed, jobs, lambda: list(gpus), engine.Bar(), "the test")


def test_a_task_begins_when_all_that_it_needs_is_made(tmp_path):
    """A page of half the runs would look whole."""
    listed = [writing(tmp_path, name) for name in ("a", "b")]
    listed += [writing(tmp_path, "page", ("a", "b")), writing(tmp_path, "site", ("page",))]
    made(listed, jobs=4)
    assert [(tmp_path / name).read_text() for name in ("page", "site")] == ["", ""]
    assert engine.plan(listed) == {}
    (tmp_path / "a").unlink()
    # what needs it may have to be made, too
    assert engine.plan(listed) == {"a": "not made yet", "page": "after a", "site": "after page"}


def test_what_turns_out_to_be_fresh_is_not_made_again(tmp_path):
    """A run that comes out the same leaves its pages alone."""
    listed = [writing(tmp_path, "run"), writing(tmp_path, "page", ("run",))]
    made(listed)
    before = (tmp_path / "page").stat().st_mtime_ns
    (tmp_path / "run").unlink()
    made(listed)
    assert (tmp_path / "run").exists()
    assert (tmp_path / "page").stat().st_mtime_ns == before


def test_one_that_fails_is_tried_once_more_and_stops_only_what_needs_it(tmp_path):
    """One bad run must not cost a night's grid, and no page may show what is not there."""
    tried = []

    def fail(_: dict[str, str]) -> None:
        tried.append(1)
        raise RbcError("a flaw")

    listed = [Task("bad", lambda: "not made yet", fail), writing(tmp_path, "good")]
    listed += [writing(tmp_path, "page", ("bad",))]
    with pytest.raises(RbcError, match=r"2 of 3 not made \(bad; see above\)"):
        made(listed)
    assert len(tried) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def test_the_slowest_is_begun_first(tmp_path):
    """Begun last, it would keep the whole machine waiting for one core."""
    order = []
    listed = [
        Task(str(n), lambda: "not made yet", lambda _, n=n: order.append(n), weight=(n,))
        for n in (2, 3, 1)
    ]
    made(listed, jobs=1)
    assert order == [3, 2, 1]


def test_no_two_tasks_have_one_gpu_at_a_time():
    """Two runs on one GPU would run out of its memory, or one GPU would idle."""
    holding, seen, lock = set(), [], threading.Lock()

    def work(environment: dict[str, str]) -> None:
        gpu = environment["CUDA_VISIBLE_DEVICES"]
        with lock:
            assert gpu not in holding
            holding.add(gpu)
            seen.append((gpu, len(holding)))
        time.sleep(0.1)
        with lock:
            holding.remove(gpu)

    made([Task(f"run {i}", lambda: "stale", work, gpu=True) for i in range(6)], 4, ("0", "GPU-b"))
    assert {gpu for gpu, _ in seen} == {"0", "GPU-b"}
    assert max(n for _, n in seen) == 2


SLEEPER = """
import sys, time
from pathlib import Path
from compendium import engine, kernel
from compendium.engine import Task
kernel.warm = lambda: None
folder = Path(sys.argv[1])
def task(n):
    out = folder / str(n)
    def make(_):
        with (folder / "log").open("a") as log:
            log.write(f"{n} ")
        time.sleep(0.5)
        out.touch()
    return Task(str(n), lambda: "" if out.exists() else "not made yet", make)
with engine.ended_by_signals(), engine.Bar() as bar:
    engine.make([task(n) for n in range(4)], 1, list, bar, "the test")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_finished_before_a_kill_is_not_made_again(number, tmp_path):
    """The same command goes on where it stopped, however it was stopped."""
    command = [sys.executable, "-c", SLEEPER, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    while not (tmp_path / "1").exists():
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    finished = {path.name for path in tmp_path.iterdir()} - {"log"}
    assert {"0", "1"} <= finished < {"0", "1", "2", "3"}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    begun = (tmp_path / "log").read_text().split()
    assert all(begun.count(name) == 1 for name in finished)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "2", "3", "log"}


def test_a_program_that_will_not_end_is_ended_with_us(tmp_path):
    """Snakemake waits for its jobs without end: its processes must not outlive the command."""
    deaf = (
        "import os, signal, time\n"
        "for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    code = (
        "import signal, sys; from compendium import engine\n"
        "engine.PATIENCE = ((signal.SIGINT, .2), (signal.SIGTERM, .2), (signal.SIGKILL, 5))\n"
        f"with engine.ended_by_signals(): engine.watched([sys.executable, '-c', {deaf!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) != 0
    child = Path(f"/proc/{(tmp_path / 'pid').read_text()}")
    assert not child.exists() or not (child / "cmdline").read_bytes()


def test_without_nvidia_s_driver_there_is_no_gpu(tmp_path, monkeypatch):
    """A machine without a driver must not end in an error."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.gpus("auto", "demo") == []
    with pytest.raises(RbcError, match="no GPU here"):
        engine.gpus("cuda", "demo")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
def test_the_gpus_are_those_that_pytorch_sees():
    """Runs must be shared out over the GPUs that training will find."""
    assert len(engine.gpus("auto", "demo")) == torch.cuda.device_count()


@pytest.mark.parametrize(("device", "expected"), [("auto", 2), ("cpu", 0)])
def test_a_run_takes_one_of_the_gpus_found_only_where_the_profile_may_use_it(
    device, expected, monkeypatch
):
    """device: cpu promises bits; a run of such a profile must not even look for a GPU."""
    monkeypatch.setattr(engine, "_visible_gpus", lambda: ["0", "1"])
    demo = profiles.load("demo")
    demo = demo.model_copy(update={"training": demo.training.model_copy(update={"device": device})})
    assert len(engine.gpus(device, "demo")) == expected
    assert {task.gpu for task in tasks.of_runs(demo, pages=False)} == {bool(expected)}
