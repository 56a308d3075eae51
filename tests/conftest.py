"""Shared pieces: simulated sequences, the released sample where it is, a copy of the checkout, one with its book."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from rbc import ROOT, simulate
from rbc.sequences import Sequences

TINY = "tests/tiny.yaml"
RUNS = [f"stage{s}/{m}-similarity-k10-s0" for s in (1, 2) for m in ("cnn", "crnn")]

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, what tests start would be deaf to it


@pytest.fixture(scope="session")
def cells() -> Sequences:
    """Sixty simulated sequences in all three splits."""
    part = {"tank-treading": 8, "flipping": 6, "unreliable": 6}
    return simulate.sequences({"train": part, "validation": part, "test": part}, seed=5)


@pytest.fixture(scope="session")
def released_sample() -> Path:
    """Folder of the authors' released sample; skips where it is not given."""
    folder = os.environ.get("RBC_SAMPLE")
    if not folder:
        pytest.skip("RBC_SAMPLE is not set: the authors' released sample is not here")
    return Path(folder)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout without what was built in it: tests may run, break and kill things there."""
    return copy_checkout(tmp_path_factory.mktemp("checkout") / "rbc-dynamics")


def copy_checkout(copy: Path) -> Path:
    built = shutil.ignore_patterns(
        ".git", ".venv", "results", "pages", "files", "_build", "derived", "raw", ".snakemake", "__pycache__"
    )
    return shutil.copytree(ROOT, copy, ignore=built)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A copy of the checkout with the tiny profile's grid, interrupted and killed on its way, and its book.

    Made once: the worker that comes second waits for the first.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    copy = folder / "built" / "rbc-dynamics"
    with FileLock(folder / "built.lock"):
        if not copy.exists():
            stubborn_grid(copy_checkout(copy))
            result = rbc("book", "--profile", TINY, cwd=copy)
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert (copy / "_build" / "html" / "index.html").exists(), "not built: see the first test that needs the book"
    return copy


@pytest.fixture(scope="session")
def html(built) -> Path:
    """The tiny profile's book."""
    return built / "_build" / "html"


CALM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--force-color-profile=srgb"]


@pytest.fixture(scope="module")  # not longer: while it is open, no test of the same worker can run a notebook
def chromium():
    """A headless Chromium that playwright drives; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("RBC_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on the path and RBC_CHROMIUM is not set: pages cannot be looked at")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=CALM)
        yield browser
        browser.close()


def with_scripts(body: str) -> str:
    """A page with the book's own scripts and styles around some HTML, to be opened from a file."""
    static = ROOT / "book" / "_static"
    head = "".join(f'<link rel="stylesheet" href="{path.as_uri()}">' for path in sorted(static.glob("*.css")))
    head += "".join(f'<script defer src="{path.as_uri()}"></script>' for path in sorted(static.glob("*.js")))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Test</title>{head}'
    return f"{head}<main><h1>Test</h1>{body}</main></html>"


def rbc(*arguments: str, cwd: Path = ROOT, **keywords) -> subprocess.CompletedProcess:
    """Run the real command line in a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(cwd)} | keywords.pop("env", {})
    command = [sys.executable, "-m", "rbc", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, **keywords)


def one_line_error(result: subprocess.CompletedProcess) -> str:
    """The error of a command that must have failed with exactly one line."""
    assert result.returncode != 0, result.stdout
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def start_grid(checkout: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "rbc", "grid", "--profile", TINY, "--jobs", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=checkout, env=environment, start_new_session=True, text=True, **quiet)


def complete(checkout: Path) -> list[str]:
    listed = json.loads(rbc("grid", "--profile", TINY, "--dry-run", "--json", cwd=checkout).stdout)
    return [row["run"] for row in listed if row["complete"]]


def stubborn_grid(checkout: Path) -> None:
    """The grid of the tiny profile: interrupted after its first run, then killed, then finished."""
    for stop in (signal.SIGINT, signal.SIGKILL):
        process = start_grid(checkout)
        before = len(list(checkout.glob("results/tiny/stage?/[!.]*/metrics.json")))
        deadline = time.time() + 240
        while len(list(checkout.glob("results/tiny/stage?/[!.]*/metrics.json"))) == before and time.time() < deadline:
            time.sleep(0.2)
        time.sleep(3)  # into the next run
        os.killpg(process.pid, stop)
        _, said = process.communicate(timeout=60)
        assert process.returncode != 0
        if stop == signal.SIGINT:
            assert said.strip().splitlines()[-1] == "rbc: interrupted; the same command goes on where it stopped"
        assert 0 < len(complete(checkout)) < len(RUNS)
        folders = [
            f for f in checkout.glob("results/tiny/stage?/[!.]*") if any(f.iterdir())
        ]  # Snakemake makes empty ones
        assert sorted(str(f.relative_to(checkout / "results/tiny")) for f in folders) == sorted(complete(checkout))
    result = rbc("grid", "--profile", TINY, cwd=checkout)
    assert result.returncode == 0, result.stderr
