"""Shared pieces: simulated sequences, the released sample where it is, a copy of the checkout, one
with its book.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from compendium import ROOT, cli
from rbc import simulate
from rbc.sequences import Sequences

TINY = "tests/tiny.yaml"
#: What `rbc book` makes of it.
BOOK = ("results", "data/derived", "book/pages", "book/files", "_build")
RUNS = [f"stage{s}/{m}-similarity-k10-s0" for s in (1, 2) for m in ("cnn", "crnn")]

# in the background, what tests start would be deaf to it
signal.signal(signal.SIGINT, signal.default_int_handler)


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
    """A copy of the checkout without what was built in it: tests may run, break and kill things
    there.
    """
    return copy_checkout(tmp_path_factory.mktemp("checkout") / "rbc-dynamics")


def copy_checkout(copy: Path) -> Path:
    """Copy the checkout with what Python and numba have compiled, so that no copy does it anew."""
    built = shutil.ignore_patterns(
        ".git", ".venv", "results", "pages", "files", "_build", "derived", "raw", ".snakemake"
    )
    return shutil.copytree(ROOT, copy, ignore=built)


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A copy of the checkout with the tiny profile's book.

    Made once: the worker that comes second waits for the first. Where RBC_TINY_BOOK is set, the
    checkout itself holds that book, as in continuous integration: then its parts are copied, and
    the same command makes only what is out of date.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    copy = folder / "built" / "rbc-dynamics"
    with FileLock(folder / "built.lock"):
        if not copy.exists():
            copy_checkout(copy)
            if "RBC_TINY_BOOK" in os.environ:
                for part in BOOK:
                    if (ROOT / part).exists():
                        shutil.copytree(ROOT / part, copy / part, dirs_exist_ok=True)
            result = rbc("book", "--profile", TINY, cwd=copy)
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert (copy / "_build" / "html" / "index.html").exists(), (
        "not built: see the first test that needs the book"
    )
    return copy


@pytest.fixture(scope="session")
def html(built) -> Path:
    """The tiny profile's book."""
    return built / "_build" / "html"


CALM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--force-color-profile=srgb",
]


# not longer: while it is open, no test of the same worker can run a notebook
@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium that playwright drives; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = (
        os.environ.get("RBC_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
    )
    if program is None:
        pytest.skip(
            "no chromium on the path and RBC_CHROMIUM is not set: pages cannot be looked at"
        )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=CALM)
        yield browser
        browser.close()


def with_scripts(body: str) -> str:
    """A page with the book's own scripts and styles around some HTML, to be opened from a file."""
    static = ROOT / "book" / "_static"
    head = "".join(
        f'<link rel="stylesheet" href="{path.as_uri()}">' for path in sorted(static.glob("*.css"))
    )
    head += "".join(
        f'<script defer src="{path.as_uri()}"></script>' for path in sorted(static.glob("*.js"))
    )
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Test</title>{head}'
    return f"{head}<main><h1>Test</h1>{body}</main></html>"


#: Commands that start kernels or take locks: always in a process of their own.
HEAVY = {"run", "grid", "book"}


def rbc(*arguments: object, cwd: Path = ROOT, **keywords) -> subprocess.CompletedProcess:
    """Run the real command line in a checkout.

    In this process where it makes no difference, as most of a short command is its start; in one of
    its own in another checkout, with other variables, and where runs are made.
    """
    words = [str(a) for a in arguments]
    if cwd == ROOT and not keywords and words[0] not in HEAVY:
        return _here(words)
    environment = {**os.environ, "PYTHONPATH": str(cwd)} | keywords.pop("env", {})
    command = [sys.executable, "-m", "compendium", *words]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, **keywords
    )


def _here(words: list[str]) -> subprocess.CompletedProcess:
    """The command line's own entry point, what it says caught; an error that it does not foresee is
    one here too.
    """
    said, complained, before = io.StringIO(), io.StringIO(), (sys.argv, Path.cwd())
    sys.argv = ["rbc", *words]
    os.chdir(ROOT)
    try:
        with redirect_stdout(said), redirect_stderr(complained), pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    code = ended.value.code or 0
    return subprocess.CompletedProcess(words, code, said.getvalue(), complained.getvalue())


def one_line_error(result: subprocess.CompletedProcess) -> str:
    """The error of a command that must have failed with exactly one line."""
    assert result.returncode != 0, result.stdout
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def complete(checkout: Path) -> list[str]:
    """Runs of the tiny profile that are there and fresh."""
    listed = json.loads(rbc("grid", "--profile", TINY, "--dry-run", "--json", cwd=checkout).stdout)
    return [row["run"] for row in listed if row["complete"]]


#: Examples that hypothesis draws are the same each time, and no clock decides: on a busy machine
#: any example may be slow.
settings.register_profile("tests", deadline=None, derandomize=True)
settings.load_profile("tests")

#: Fixtures that take long to make; a test that uses one is not for the inner loop.
SLOW_FIXTURES = {"built", "html", "chromium", "checkout", "released_sample"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests are marked and come first, so that no worker is left with a long one at the end;
    those that need the book follow what can be done while another worker makes it.
    """

    def place(item: pytest.Item) -> int:
        fixtures = set(getattr(item, "fixturenames", ()))
        if SLOW_FIXTURES & fixtures:
            item.add_marker(pytest.mark.slow)
        if "built" in fixtures:
            return 1
        return 0 if item.get_closest_marker("slow") else 2

    items.sort(key=place)
