"""Makes what is stale of a list of tasks: several at a time, the slowest first, and goes on after
any kill.

A task is whole or not made at all, and its record is written last (`rbc.record`). So whatever ends
this program, the same command finds what is finished and makes the rest.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from compendium import ROOT
from rbc import RbcError
from rbc.signals import ended_by_signals

#: how a program is asked to end, and for how many seconds it may take
PATIENCE = ((signal.SIGINT, 20), (signal.SIGTERM, 5), (signal.SIGKILL, 5))
LONG = 60  #: seconds of work from which on a build says what took them
stopping = threading.Event()  #: set when kernels are killed because the whole build is to end


class Interrupted(BaseException):
    """A task was stopped from outside; it did not fail."""


@dataclass(frozen=True)
class Task:
    """One thing that is made.

    Attributes
    ----------
    name : as the list, the progress bar and the log call it
    why : says in words why it must be made now; empty where it is fresh. Asked again once all that
        it needs is made
    make : makes it; gets the variables for its kernel
    needs : names of the tasks that come before it
    weight : the heaviest of those that are ready is begun first
    gpu : whether it takes a GPU where there is one
    here : whether it is made in the main thread, nothing else meanwhile: it uses all cores, or asks
        the terminal
    """

    name: str
    why: Callable[[], str]
    make: Callable[[dict[str, str]], object]
    needs: tuple[str, ...] = ()
    weight: tuple[int, ...] = ()
    gpu: bool = False
    here: bool = False


def plan(tasks: list[Task]) -> dict[str, str]:
    """The tasks that are stale, and why; one that needs a stale one may turn out to be fresh.

    Parameters
    ----------
    tasks : each after all that it needs
    """
    stale: dict[str, str] = {}
    for task in tasks:
        first = next((name for name in task.needs if name in stale), None)
        try:
            why = f"after {first}" if first else task.why()
        except RbcError as error:  # such as raw data that are not at hand
            why = str(error)
        if why:
            stale[task.name] = why
    return stale


def in_order(tasks: list[Task], bar: Bar) -> None:
    """Make what is stale of some tasks, one after the other, in the main thread."""
    for task in tasks:
        if task.why():
            bar.begin(task.name)
            task.make({})
            bar.made(task.name)


def make(tasks: list[Task], jobs: int, gpus: Callable[[], list[str]], bar: Bar, whole: str) -> None:
    """Make what is stale of some tasks.

    Parameters
    ----------
    tasks : each after all that it needs
    jobs : how many at the same time; 0: one a core
    gpus : gives the names of the GPUs, each taken by one task at a time
    bar : shows how far it is
    whole : what is made, for the message

    Raises
    ------
    RbcError
        where a task failed: the others that do not need it are made all the same
    """
    stale = plan(tasks)
    waiting = [task for task in tasks if task.name in stale and not task.here]
    found = gpus() if any(task.gpu for task in waiting) else []
    failed = _in_threads(waiting, jobs, found, bar) if waiting else []
    if failed:
        left = sum(1 for task in waiting if task.name in failed or set(task.needs) & set(failed))
        raise RbcError(
            f"{whole}: {left} of {len(waiting)} not made ({', '.join(failed)}; see above);"
            " the same command goes on where it stopped"
        )
    in_order([task for task in tasks if task.here], bar)


def _in_threads(waiting: list[Task], jobs: int, gpus: list[str], bar: Bar) -> list[str]:
    """Make tasks in threads; names of those that failed."""
    from compendium import kernel

    stopping.clear()
    kernel.warm()
    free: queue.Queue[str] = queue.Queue()
    for name in gpus:
        free.put(name)
    bar.expect(len(waiting))
    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        try:
            return _scheduled(pool, waiting, free if gpus else None, bar)
        except BaseException:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            kernel.stop_all()
            raise


def _scheduled(
    pool: ThreadPoolExecutor, waiting: list[Task], gpus: queue.Queue[str] | None, bar: Bar
) -> list[str]:
    """Begin each task once its needs are made; one that fails does not stop the others."""
    waiting = sorted(waiting, key=lambda task: task.weight, reverse=True)
    running: dict[Future, Task] = {}
    failed: list[str] = []
    while waiting or running:
        for task in [task for task in waiting if set(task.needs) & set(failed)]:
            waiting.remove(task)  # what it shows would be half of it
        open_names = {task.name for task in (*waiting, *running.values())}
        for task in [task for task in waiting if not set(task.needs) & open_names]:
            waiting.remove(task)
            running[pool.submit(_one, task, gpus, bar)] = task
        if not running:
            break
        done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            task = running.pop(future)
            error = future.exception()
            if error is not None and not isinstance(error, RbcError):
                raise error
            if error is not None:
                failed.append(task.name)
            if error is not None or future.result():
                bar.done(task.name, error)
            else:
                bar.skip()
        bar.refresh()
    return failed


def _one(task: Task, gpus: queue.Queue[str] | None, bar: Bar) -> bool:
    """Make a task, a second time where the first fails; False where it turned out to be fresh."""
    if stopping.is_set():
        raise Interrupted
    if not task.why():
        return False
    gpu = gpus.get() if task.gpu and gpus else None
    environment = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
    try:
        bar.begin(task.name)
        try:
            task.make(environment)
        except RbcError:
            if stopping.is_set():
                raise
            task.make(environment)
    finally:
        if gpu is not None:
            gpus.put(gpu)
    return True


def gpus(device: str, profile: str) -> list[str]:
    """The GPUs of this machine that tasks may take, by the names that CUDA_VISIBLE_DEVICES takes.

    Parameters
    ----------
    device : ``cpu`` takes none and does not look for one; ``cuda`` needs one; ``auto``
    profile : its name, for the message

    Raises
    ------
    RbcError
        where one is needed and there is none
    """
    found = [] if device == "cpu" else _visible_gpus()
    if device == "cuda" and not found:
        raise RbcError(
            f"profile {profile} has device: cuda, but there is no GPU here; set device: auto or cpu"
        )
    return found


def _visible_gpus() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    # in a process of its own: PyTorch is slow to import
    count = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run(
        [sys.executable, "-c", count], capture_output=True, text=True, check=True
    )
    numbers = [str(i) for i in range(int(answer.stdout))]
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [name.strip() for name in named.split(",")[: len(numbers)]] if named else numbers


def watched(command: list[str]) -> int:
    """Exit code of a program that is ended with this one, and all that it has started.

    It is asked twice before it is killed: Snakemake cancels its jobs on the first signal, but on
    the second it would wait for them without end.
    """
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        for number, seconds in PATIENCE:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                break
        raise


@contextmanager
def working() -> Iterator[Bar]:
    """The only build of this checkout, ended in one line by signals; gives the bar.

    Raises `RbcError` where another grid or book is being made.
    """
    from filelock import FileLock, Timeout

    (ROOT / "results").mkdir(exist_ok=True)
    lock = FileLock(ROOT / "results" / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RbcError(f"another grid or book is being made in {ROOT}; wait for it") from error
    try:
        with ended_by_signals(), Bar() as bar:
            yield bar
    finally:
        lock.release()


class Bar:
    """What a build shows on standard error: how many jobs are done, which run, how long it has
    taken and will take.

    In a terminal one line that changes; elsewhere a line for each job that ends.
    """

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.started = time.monotonic()
        self.all = self.ended = 0
        self.begun: dict[str, float] = {}  # when each that runs now was begun
        self.took: dict[str, float] = {}
        self.bar = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        if sum(self.took.values()) >= LONG:
            self.say("\n".join(self.longest()))

    def longest(self, most: int = 12) -> list[str]:
        """What took the time, a line a task: the longest ones first."""
        ordered = sorted(self.took.items(), key=lambda pair: -pair[1])
        lines = [f"{seconds:6.0f} s  {name}" for name, seconds in ordered[:most]]
        if rest := ordered[most:]:
            lines.append(f"{sum(s for _, s in rest):6.0f} s  {len(rest)} others together")
        return [f"{time.monotonic() - self.started:6.0f} s in all, of which", *lines]

    def say(self, what: str) -> None:
        """A line about a step without parts."""
        self._write(what)

    def expect(self, jobs: int) -> None:
        """So many jobs are to be done."""
        from tqdm import tqdm

        self.all = jobs
        if self.live:
            form = "{n_fmt} of {total_fmt} |{bar:20}| {elapsed}, {remaining} to go{postfix}"
            self.bar = tqdm(total=jobs, bar_format=form, dynamic_ncols=True)

    def begin(self, name: str) -> None:
        self.begun[name] = time.monotonic()

    def skip(self) -> None:
        """One of the expected jobs turned out to be fresh."""
        self.ended += 1
        if self.bar is not None:
            self.bar.update()

    def done(self, name: str, error: BaseException | None) -> None:
        """A job ended, well or with an error."""
        self.ended += 1
        self.made(name)
        if self.bar is not None:
            self.bar.update()
        if error is not None:
            self._write(f"{name} failed: {error}")
        elif not self.live:
            self._write(
                f"{self.ended} of {self.all}, {time.monotonic() - self.started:.0f} s: {name}"
            )

    def made(self, name: str) -> None:
        """A task ended: how long it took is kept."""
        if name in self.begun:
            self.took[name] = time.monotonic() - self.begun.pop(name)

    def refresh(self) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(", ".join(list(self.begun)[:4]))

    def _write(self, line: str) -> None:
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
