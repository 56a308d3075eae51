"""The kernel in which a notebook runs: this interpreter, this checkout, and nothing of the user's
own set-up.

Each notebook gets a process of its own, forked from one that has the heavy libraries loaded already
(`multiprocessing`'s forkserver), so a kernel starts in a moment and shares no state with another.
It notes which files it read.
"""

from __future__ import annotations

import functools
import importlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from compendium import ROOT

#: What most notebooks import; loaded once by `warm`, shared by every kernel after.
PRELOAD = [
    "rbc.training",
    "rbc.figures",
    "compendium.evidence.claims",
    "compendium.runs",
    "rbc.simulate",
    "ipykernel.kernelapp",
]
#: glibc reuses blocks up to 32 MB; larger ones are huge pages that go back when they are freed.
#: Kept as well, they left holes, since each batch of a C-RNN has a size of its own: after ten
#: batches at K = 50 a process held 2.8 GB between them instead of 0.5, for a twentieth of the time.
MALLOC = (
    "glibc.malloc.mmap_threshold=33554432"
    ":glibc.malloc.trim_threshold=536870912"
    ":glibc.malloc.hugetlb=1"
)
INLINE = "module://matplotlib_inline.backend_inline"  #: figures go into the notebook
#: A server process to fork from exists on Linux and macOS; elsewhere each kernel starts anew.
START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

_processes = multiprocessing.get_context(START)
_running: set[multiprocessing.process.BaseProcess] = set()


@dataclass(frozen=True)
class Place:
    """Where a kernel runs.

    cwd : its working folder
    environment : variables set for it alone, such as CUDA_VISIBLE_DEVICES
    log : file that takes what its libraries print past the notebook
    reads : file for the list of what it read, as JSON (`_Reads`)
    """

    cwd: str
    environment: dict[str, str]
    log: str
    reads: str


def warm() -> None:
    """Load the heavy libraries once, in a process that every later kernel is forked from; returns
    at once.
    """
    prepare()
    if START == "forkserver":
        multiprocessing.set_forkserver_preload(PRELOAD)
        from multiprocessing import forkserver

        forkserver.ensure_running()


def prepare() -> None:
    """Set what a process reads only when it starts: memory, pictures, paths of this checkout; no
    user's style.
    """
    os.environ.setdefault("GLIBC_TUNABLES", MALLOC)
    os.environ["MPLBACKEND"] = INLINE
    os.environ["MATPLOTLIBRC"] = str(ROOT / "workflow" / "matplotlibrc")
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p for p in paths if p))


def stop_all() -> None:
    """Kill every kernel that runs now."""
    for process in list(_running):
        process.kill()


class Manager(AsyncKernelManager):
    """Starts our kernels, whatever kernel of the user's is called python3."""

    place: Place  #: set on a subclass made for one notebook (`manager`)

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-f", "{connection_file}"]
        return KernelSpec(
            argv=command, display_name="Python 3", language="python", interrupt_mode="signal"
        )

    async def _async_pre_start_kernel(self, **keywords: Any) -> tuple[list[str], dict[str, Any]]:
        if self.provisioner is None:
            self.provisioner = _Provisioner(
                parent=self, kernel_id=self.kernel_id, kernel_spec=self.kernel_spec
            )
        return await super()._async_pre_start_kernel(**keywords)


def manager(place: Place) -> type[Manager]:
    """A `Manager` class for one notebook, as papermill takes it."""
    return type("PlacedManager", (Manager,), {"place": place})


class _Provisioner(LocalProvisioner):
    """Forks a kernel instead of starting a program."""

    async def launch_kernel(self, cmd: list[str], **_: Any) -> dict:
        process = _processes.Process(
            target=serve, args=(self.connection_file(cmd), self.parent.place)
        )
        process.start()
        _running.add(process)
        self.process, self.pid, self.pgid = _Forked(process), process.pid, None
        return self.connection_info

    @staticmethod
    def connection_file(command: list[str]) -> str:
        return command[command.index("-f") + 1]


class _Forked:
    """A process of `multiprocessing` with the methods of `subprocess.Popen` that a provisioner
    calls.
    """

    stdin = stdout = stderr = None

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self.process = process

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int | None:
        self.process.join()
        _running.discard(self.process)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()

    def terminate(self) -> None:
        self.process.terminate()


def serve(connection_file: str, place: Place) -> None:
    """Be a kernel until told to end. Runs in a process of its own.

    Parameters
    ----------
    connection_file : of Jupyter, which says where to listen
    place : where it runs
    """
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C in the terminal is for the program that started the kernel
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(place.environment)
    os.chdir(place.cwd)
    if sys.path[0] != str(ROOT):
        sys.path.insert(0, str(ROOT))
    _print_to(place.log)
    reads = _Reads()
    # here, as the programs that start kernels do without it
    from ipykernel.kernelapp import IPKernelApp

    from compendium import drawn

    with tempfile.TemporaryDirectory(prefix="rbc-kernel-") as empty:
        os.environ["IPYTHONDIR"] = empty  # no start-up files, no profile, no history of the user's
        arguments = [
            "-f",
            connection_file,
            "--HistoryManager.enabled=False",
            "--IPKernelApp.quiet=True",
        ]
        arguments += ["--IPKernelApp.exec_PYTHONSTARTUP=False", "--InteractiveShell.colors=NoColor"]
        app = IPKernelApp.instance()
        app.initialize(arguments)
        drawn.keep_with_pictures(app.shell)
        try:
            app.start()
        finally:
            reads.write(Path(place.reads))


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it went."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _print_to(log: str) -> None:
    """Send what is printed past the notebook (by C code, by dying processes) to a file."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


class _Reads:
    """Notes files of the checkout that this process opens to read, and folders of it that it lists.

    Python tells of both by audit events. What compiled code opens by itself it does not tell of; of
    such readers we use two, pandas' of Parquet and safetensors', and these are wrapped.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.folders: set[str] = set()
        sys.addaudithook(self._hear)
        self._wrap("pandas", "read_parquet")
        self._wrap("safetensors.torch", "load_file")
        self._wrap("safetensors.numpy", "load_file")

    def _wrap(self, module: str, name: str) -> None:
        """Note the first argument of a function that opens files in compiled code."""
        home = importlib.import_module(module)
        reader = getattr(home, name)

        @functools.wraps(reader)
        def noting(path: object, *rest: object, **named: object) -> object:
            if isinstance(path, str | os.PathLike):
                self.files.add(os.path.abspath(path))
            return reader(path, *rest, **named)

        setattr(home, name, noting)

    def _hear(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (
                "w" in (mode or "")
                or "a" in (mode or "")
                or (flags or 0) & (os.O_WRONLY | os.O_RDWR)
            )
            if isinstance(path, str | os.PathLike) and not writes:
                self.files.add(os.fspath(path))
        elif event in ("os.scandir", "os.listdir") and isinstance(arguments[0], str | os.PathLike):
            self.folders.add(os.fspath(arguments[0]))

    def write(self, out: Path) -> None:
        """As JSON: files and folders, relative to the checkout."""
        kept = {"files": self._inside(self.files), "folders": self._inside(self.folders)}
        out.write_text(json.dumps(kept), encoding="utf-8")

    @staticmethod
    def _inside(paths: set[str]) -> list[str]:
        whole = {Path(os.path.abspath(path)) for path in paths if isinstance(path, str)}
        return sorted(str(path.relative_to(ROOT)) for path in whole if path.is_relative_to(ROOT))
