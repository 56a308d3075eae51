"""Shared pieces: a few simulated sequences, the released sample where it is, and a copy of the checkout to work in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rbc import ROOT, simulate
from rbc.sequences import Sequences


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
    copy = tmp_path_factory.mktemp("checkout") / "rbc-dynamics"
    built = shutil.ignore_patterns(
        ".git", ".venv", "results", "pages", "files", "_build", "derived", "raw", ".snakemake", "__pycache__"
    )
    shutil.copytree(ROOT, copy, ignore=built)
    return copy


@pytest.fixture(scope="module")  # not longer: while it is open, no test of the same worker can run a notebook
def chromium():
    """A headless Chromium that playwright drives; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or pytest.skip("chromium is not here: pages cannot be opened")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--force-color-profile=srgb"])
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
