"""Set-ups of a machine, each with a real command: is the answer right, or one line?

    python tests/setups.py                       # all of them, as a table in Markdown
    python tests/setups.py locale "a full disk"  # kinds or set-ups that are named
    python tests/setups.py --list

*Right* means the same bits as without the set-up. *One line* means an exit code that is not zero,
one line on standard error, and nothing that looks like a result. Anything else is a fault, and the
script ends with 1. What this machine does not allow (other users, mounts, locales) is called
skipped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conftest import copy_checkout

ROOT = Path(__file__).resolve().parents[1]
TINY = "tests/tiny.yaml"
ONE_RUN = ("--stage", "2", "--model", "cnn", "--sampling", "similarity", "--k", "10")
RESULT = "results/tiny/stage2/cnn-similarity-k10-s0"
NOBODY = 65534  #: user without rights


@dataclass
class Machine:
    """Where set-ups are tried, and what the same commands give without them.

    Parameters
    ----------
    folder : empty, of this script's own
    """

    folder: Path
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.checkout = copy_checkout(self.folder / "rbc-dynamics")
        movie = ("simulate", "video", "--out", self.folder / "movie", "--cells", "8")
        assert self.rbc(*movie, "--frames", "60").returncode == 0
        self.movie = self.folder / "movie" / "movie.avi"

    def plain(self, name: str) -> str:
        """What a command gives without a set-up; it is run once, in the first copy."""
        if name not in self.answers:
            needs_data(self, name, self.checkout)
            done = COMMANDS[name](self, self.checkout, self.movie, self.folder / "plain")
            assert done.returncode == 0, done.stderr
            self.answers[name] = answer(name, self.checkout, self.folder / "plain", done)
        return self.answers[name]

    def rbc(
        self, *words: object, checkout: Path | None = None, env: dict | None = None, **options
    ) -> subprocess.CompletedProcess:
        """The command line of a checkout; options are those of `subprocess.run`."""
        home = checkout or self.checkout
        prefix = options.pop("prefix", [])
        command = [*prefix, sys.executable, "-m", "compendium", *map(str, words)]
        there = {**os.environ, "PYTHONPATH": str(home), **(env or {})}
        there = {name: value for name, value in there.items() if value is not None}
        given = {"cwd": home, "capture_output": True, "timeout": 300} | options
        if "stdout" in given or "stderr" in given:
            given.pop("capture_output")
        return subprocess.run(command, env=there, **given)


#: The commands that set-ups are tried with: the machine, a checkout, a movie, a folder to write.
COMMANDS: dict[str, Callable] = {
    "audit": lambda m, home, movie, out, **o: m.rbc("audit", "--json", checkout=home, **o),
    "track": lambda m, home, movie, out, **o: m.rbc(
        "track", movie, "--out", out, checkout=home, **o
    ),
    "prepare": lambda m, home, movie, out, **o: m.rbc(
        "data", "prepare", "--profile", TINY, checkout=home, **o
    ),
    "run": lambda m, home, movie, out, **o: m.rbc(
        "run", "--profile", TINY, *ONE_RUN, checkout=home, **o
    ),
}  # fmt: skip


def answer(name: str, home: Path, out: Path, done: subprocess.CompletedProcess) -> str:
    """What a command gave, as a checksum: of what it printed or of the numbers that it wrote."""
    if name == "audit":
        return hashlib.sha256(done.stdout).hexdigest()
    if name == "run":
        files = [home / RESULT / file for file in ("metrics.json", "weights.safetensors")]
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    place = out if name == "track" else home / "data" / "derived" / "tiny"
    if not (place / "frames.npy").exists():
        return "nothing was written"
    return hashlib.sha256((place / "frames.npy").read_bytes()).hexdigest()


@dataclass(frozen=True)
class Setup:
    """One set-up.

    Parameters
    ----------
    kind, name : of the table's row
    command : a key of `COMMANDS`
    expects : `right`, or words that the one line must hold
    make : gets the machine and a folder of its own; gives what differs: `home` (a checkout),
        `movie`, `out`, and options of `Machine.rbc`. Raises `Skipped` where it cannot be had here
    """

    kind: str
    name: str
    command: str
    expects: str
    make: Callable[[Machine, Path], dict]


class Skipped(Exception):
    """This machine does not allow a set-up."""


def tried(setup: Setup, machine: Machine) -> dict:
    """A row of the table: what came of a set-up."""
    own = Path(tempfile.mkdtemp(prefix="setup-", dir=machine.folder))
    own.chmod(0o755)
    row = {"kind": setup.kind, "set-up": setup.name, "command": setup.command}
    began = time.monotonic()
    expected = machine.plain(setup.command)
    try:
        given = setup.make(machine, own)
    except Skipped as why:
        return row | {"came": f"skipped: {why}", "fault": False}
    home = given.pop("home", machine.checkout)
    out = given.pop("out", own / "out")
    seen = given.get("cwd", home) / out
    if home == machine.checkout:
        clear(setup.command, home)
    needs_data(machine, setup.command, home)
    done = COMMANDS[setup.command](machine, home, given.pop("movie", machine.movie), out, **given)
    row["seconds"] = round(time.monotonic() - began, 1)
    said = (done.stderr or b"").decode("utf-8", "replace").strip()
    if done.returncode == 0:
        right = answer(setup.command, home, seen, done) == expected
        came, fault = ("right", setup.expects != "right") if right else ("OTHER ANSWER", True)
    elif len(said.splitlines()) == 1 and "Traceback" not in said:
        came = f"one line: {short(said, machine)}"
        fault = setup.expects == "right" or setup.expects not in said
    else:
        came, fault = f"NOT ONE LINE: {said[-300:]}", True
    if done.returncode and (leftovers := list(results(setup.command, home, seen))):
        came, fault = f"{came}; LEFT {leftovers}", True
    return row | {"came": came, "fault": fault}


def needs_data(machine: Machine, command: str, home: Path) -> None:
    """Simulate the sequences that a run learns from, where they are not there yet."""
    if command == "run" and not (home / "data" / "derived" / "tiny").is_dir():
        machine.rbc("data", "prepare", "--profile", TINY, checkout=home)


def clear(command: str, home: Path) -> None:
    """Remove what an earlier set-up has made in the same checkout: it must not pass for this
    one's.
    """
    if command == "run":
        shutil.rmtree(home / "results", ignore_errors=True)
    if command == "prepare":
        shutil.rmtree(home / "data" / "derived", ignore_errors=True)


def results(command: str, home: Path, out: Path) -> Iterator[str]:
    """What looks like a result of a command that has failed."""
    place = {"run": home / RESULT, "track": out, "prepare": home / "data/derived/tiny"}
    found = place.get(command)
    if found is not None and found.is_dir() and os.access(found, os.R_OK) and any(found.iterdir()):
        yield str(found.name)


def short(said: str, machine: Machine) -> str:
    """A line without this machine's own folders."""
    return said.replace(str(machine.folder), "...")


# --- paths ---


def at(name: str | bytes) -> Callable[[Machine, Path], dict]:
    """The movie and what is written lie in a folder of this name."""

    def make(machine: Machine, own: Path) -> dict:
        folder = Path(os.fsdecode(os.fsencode(own) + b"/" + os.fsencode(name)))
        folder.mkdir()
        movie = folder / "movie.avi"
        shutil.copy(machine.movie, movie)
        return {"movie": movie, "out": folder / "out"}

    return make


def copied_to(name: str) -> Callable[[Machine, Path], dict]:
    """The checkout itself lies in a folder of this name."""

    return lambda machine, own: {"home": copy_checkout(own / name)}


def linked(machine: Machine, own: Path) -> dict:
    (own / "real").mkdir()
    (own / "link").symlink_to(own / "real")
    return {"out": own / "link" / "out"}


def relative(machine: Machine, own: Path) -> dict:
    return {"cwd": own, "out": Path("out")}


def file_in_the_way(machine: Machine, own: Path) -> dict:
    (own / "out").write_text("mine")
    return {}


def below_a_file(machine: Machine, own: Path) -> dict:
    (own / "file").write_text("mine")
    return {"out": own / "file" / "out"}


# --- the environment ---


def environment(**variables: str | None) -> Callable[[Machine, Path], dict]:
    """Some variables set otherwise; None takes one away."""
    return lambda machine, own: {"env": variables}


def broken_kernel(machine: Machine, own: Path) -> dict:
    folder = own / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["false"], "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return {"env": {"JUPYTER_PATH": str(own)}}


def startup_files(machine: Machine, own: Path) -> dict:
    folder = own / "profile_default" / "startup"
    folder.mkdir(parents=True)
    (folder / "00.py").write_text("raise SystemExit('a startup file of the user')")
    return {"env": {"IPYTHONDIR": str(own), "PYTHONSTARTUP": str(folder / "00.py")}}


def jupyter_settings(machine: Machine, own: Path) -> dict:
    (own / "jupyter_config.json").write_text('{"KernelManager": {"kernel_cmd": ["false"]')
    return {"env": {"JUPYTER_CONFIG_DIR": str(own)}}


def matplotlib_style(machine: Machine, own: Path) -> dict:
    (own / "matplotlibrc").write_text("figure.dpi: 9\nbackend: TkAgg\n")
    return {"env": {"MATPLOTLIBRC": str(own / "matplotlibrc")}}


# --- copies and clocks ---


def foreign_repository(machine: Machine, own: Path) -> dict:
    subprocess.run(["git", "init", "-q", own], check=True)
    return copied_to("unpacked")(machine, own)


def aged(seconds: float) -> Callable[[Machine, Path], dict]:
    """Every file of the checkout has this time."""

    def make(machine: Machine, own: Path) -> dict:
        given = copied_to("aged")(machine, own)
        for path in given["home"].rglob("*"):
            os.utime(path, (seconds, seconds))
        return given

    return make


# --- rights and disks ---


def without_rights(which: str) -> Callable[[Machine, Path], dict]:
    """The command is another user's, who may not write a folder."""

    def make(machine: Machine, own: Path) -> dict:
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            raise Skipped("only root can become another user")
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        seen = subprocess.run([*drop, sys.executable, "-c", f"open({str(machine.movie)!r})"])
        if seen.returncode:
            raise Skipped("another user cannot read this folder or this Python")
        home = own / "home"
        home.mkdir()
        (own / "out").mkdir()
        if which != "home":
            os.chown(home, NOBODY, NOBODY)
        if which != "out":
            os.chown(own / "out", NOBODY, NOBODY)
        return {"prefix": drop, "env": {"HOME": str(home)}, "out": own / "out" / "tracked"}

    return make


def mounted(options: str) -> Callable[[Machine, Path], dict]:
    """What is written lies on a disk of its own, in a mount namespace."""

    def make(machine: Machine, own: Path) -> dict:
        disk = own / "disk"
        disk.mkdir()
        mount = f"mount -t tmpfs -o {options} none '{disk}'"
        isolated = ["unshare", "-m", "sh", "-c"]
        try:
            subprocess.run([*isolated, mount], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            raise Skipped("no mount namespaces here") from None
        return {"prefix": [*isolated, f'{mount} && exec "$@"', "sh"], "out": disk / "out"}

    return make


def limited(what: int, most: int) -> Callable[[Machine, Path], dict]:
    """The command may have so much of a resource."""
    return lambda machine, own: {"preexec_fn": lambda: resource.setrlimit(what, (most, most))}


def closed_input(machine: Machine, own: Path) -> dict:
    return {"stdin": subprocess.DEVNULL}


def full_output(machine: Machine, own: Path) -> dict:
    return {"stdout": Path("/dev/full").open("wb"), "stderr": subprocess.PIPE}


# --- signals ---


def stopped(number: int) -> Callable[[Machine, Path], dict]:
    """The same command was stopped once by this signal while it worked."""

    def make(machine: Machine, own: Path) -> dict:
        home = copy_checkout(own / "rbc-dynamics")
        machine.rbc("data", "prepare", "--profile", TINY, checkout=home)
        words = [sys.executable, "-m", "compendium", "run", "--profile", TINY, *ONE_RUN]
        process = subprocess.Popen(
            words, cwd=home, env={**os.environ, "PYTHONPATH": str(home)},
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(6)
        process.send_signal(number)
        process.wait(timeout=60)
        assert process.returncode != 0, "the run had ended before the signal came"
        return {"home": home}

    return make


# --- the table ---

#: Everything that a shell, a template, a format or a locale reads as something else, in one name.
AWKWARD = 'it\'s "red" & Zürich; 红细胞 #3 {cells} {{x}} 50%d %s $HOME'
PATHS: dict[str, str | bytes] = {
    "awkward characters": AWKWARD,
    "a leading dash, a star, a backslash, a line break": "-a*[b]?\\n\n",
    "bytes that are no text": b"caf\xe9",
    "the longest name": "n" * 255,
}
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

SETUPS = (
    *(Setup("path", f"movie and output in {name}", "track", "right", at(value))
      for name, value in PATHS.items()),
    Setup("path", "checkout in awkward characters", "run", "right",
          copied_to(AWKWARD.replace('"', ""))),
    Setup("path", "output through a link", "track", "right", linked),
    Setup("path", "relative output, another folder", "track", "right", relative),
    Setup("path", "a file where the output goes", "track", "out", file_in_the_way),
    Setup("path", "output below a file", "track", "file", below_a_file),
    Setup("locale", "ASCII only, a run", "run", "right", environment(**ASCII)),
    Setup("locale", "ASCII only, umlauts in paths", "track", "right",
          lambda m, own: at("Zürich")(m, own) | {"env": ASCII}),
    Setup("locale", "no locale at all", "prepare", "right",
          environment(LANG=None, LC_ALL=None, LC_CTYPE=None)),
    Setup("locale", "a locale that is not there", "prepare", "right",
          environment(LC_ALL="tr_TR.UTF-9")),
    Setup("locale", "Latin-1 for what is printed", "audit", "right",
          environment(PYTHONIOENCODING="latin-1")),
    Setup("kernel", "another kernel called python3", "run", "right", broken_kernel),
    Setup("kernel", "startup files of the user", "run", "right", startup_files),
    Setup("kernel", "broken settings of Jupyter", "run", "right", jupyter_settings),
    Setup("kernel", "a matplotlibrc of the user", "run", "right", matplotlib_style),
    Setup("kernel", "another seed of hashes", "run", "right", environment(PYTHONHASHSEED="7")),
    Setup("kernel", "more threads than cores", "run", "right", environment(OMP_NUM_THREADS="7")),
    Setup("copy", "a ZIP inside another repository", "run", "right", foreign_repository),
    Setup("copy", "no HOME", "prepare", "right", environment(HOME=None)),
    Setup("copy", "no terminal, no TERM", "audit", "right", environment(TERM=None)),
    Setup("clock", "a time zone of 45 minutes", "run", "right", environment(TZ="Asia/Kathmandu")),
    Setup("clock", "files from the year 2040", "prepare", "right", aged(2_208_988_800)),
    Setup("clock", "files from 1970", "prepare", "right", aged(0)),
    Setup("rights", "a home where nobody writes", "track", "right", without_rights("home")),
    Setup("rights", "an output where nobody writes", "track", "ermission", without_rights("out")),
    Setup("disk", "read-only", "track", "read-only", mounted("ro")),
    Setup("disk", "full", "track", "space", mounted("size=16k")),
    Setup("disk", "full for what is printed", "audit", "space", full_output),
    Setup("disk", "files of at most 20 kB", "track", "large",
          limited(resource.RLIMIT_FSIZE, 20_000)),
    Setup("disk", "few open files", "run", "right", limited(resource.RLIMIT_NOFILE, 128)),
    Setup("disk", "a folder for temporary files that is not there", "track", "right",
          environment(TMPDIR="/nowhere")),
    Setup("signal", "no standard input", "run", "right", closed_input),
    *(Setup("signal", f"{number.name} once, then again", "run", "right", stopped(number))
      for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)),
)  # fmt: skip


def main() -> None:
    """The table of all set-ups, or of those that are named."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("names", nargs="*", metavar="NAME", help="kinds or set-ups; all if none")
    options.add_argument("--list", action="store_true", help="names alone")
    options.add_argument("--json", action="store_true", help="rows as JSON instead of a table")
    chosen = options.parse_args()
    wanted = [
        setup
        for setup in SETUPS
        if not chosen.names or {setup.kind, setup.name} & set(chosen.names)
    ]
    if not wanted:
        raise SystemExit(f"no such kind or set-up: {', '.join(chosen.names)}")
    if chosen.list:
        for setup in wanted:
            print(f"{setup.kind}: {setup.name}")
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        machine = Machine(Path(folder))
        for setup in wanted:
            rows.append(tried(setup, machine))
            print(f"{setup.kind}: {setup.name}: {rows[-1]['came']}", file=sys.stderr, flush=True)
    if chosen.json:
        print(json.dumps(rows))
    else:
        print("| kind | set-up | command | what came of it |\n|---|---|---|---|")
        for row in rows:
            print(f"| {row['kind']} | {row['set-up']} | `{row['command']}` | {row['came']} |")
    raise SystemExit(1 if any(row["fault"] for row in rows) else 0)


if __name__ == "__main__":
    main()
