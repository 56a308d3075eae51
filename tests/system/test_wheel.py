"""The package as `pip install` gives it: a real wheel, in an environment of its own, far from the
checkout.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from conftest import copy_checkout
from packaging.requirements import Requirement

from compendium import ROOT

#: Put into the environment: it lends this one's packages, but none beyond the base of the wheel.
LENDS = """
import sys
sys.path.append({lender!r})

class OnlyTheBase:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, OnlyTheBase())
"""


def closure(names: set[str]) -> set[str]:
    """Distributions that some need, directly or not, without extras; and these themselves."""
    known: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        known.add(name)
        try:
            needed = distribution(name).requires or []
        except PackageNotFoundError:  # for another platform or Python
            continue
        for text in needed:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting |= {plain(requirement.name)} - known
    return known


def plain(name: str) -> str:
    """A distribution's name as the index normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def modules(names: set[str]) -> set[str]:
    """Top-level modules that some distributions install."""
    found = set()
    for name in names:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        found |= {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
    return {module for module in found if module.isidentifier()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_checkout(folder / "source")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-q",
    ]
    subprocess.run(
        [*command, "-w", str(folder), str(source)], check=True, capture_output=True, timeout=300
    )
    return next(folder.glob("rbc-*.whl"))


@pytest.fixture(scope="module")
def rbc(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs the installed command line in a folder of its own, where only the wheel's base packages
    can be imported.
    """
    folder = tmp_path_factory.mktemp("far")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install", "-q"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True, capture_output=True)

    site = next(environment.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        about = next(name for name in archive.namelist() if name.endswith("METADATA"))
        lines = archive.read(about).decode().splitlines()
    needed = [
        Requirement(line.partition(":")[2]) for line in lines if line.startswith("Requires-Dist:")
    ]
    base = closure({plain(r.name) for r in needed if r.marker is None})
    book = closure({plain(r.name) for r in needed if r.marker is not None}) - base
    refused = sorted(modules(book) - modules(base))
    assert {"fastai", "snakemake", "papermill", "matplotlib"} <= set(refused)
    lender = str(Path(pytest.__file__).parent.parent)
    (site / "sitecustomize.py").write_text(
        LENDS.format(lender=lender, refused=set(refused)), encoding="utf-8"
    )

    def run(*words: object) -> subprocess.CompletedProcess:
        command = [environment / "bin" / "rbc", *map(str, words)]
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "RBC"))
        }
        return subprocess.run(
            command, cwd=folder, env=clean, capture_output=True, text=True, timeout=300
        )

    return run


def test_the_wheel_holds_what_the_bench_tool_reads(wheel: Path) -> None:
    """Weights, reported numbers and templates travel inside the package; tests and data do not."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for file in (
        "bench/weights/stage1.safetensors",
        "bench/weights/models.json",
    ):
        assert f"rbc/{file}" in names
    for package in ("rbc/bench", "compendium/evidence/templates"):
        beside = [*(ROOT / package).glob("*.html"), *(ROOT / package).glob("*.md")]
        assert beside and {f"{package}/{file.name}" for file in beside} <= names
    assert {"rbc/validity.json", "rbc/reported/table5.csv", "compendium/cli.py"} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "rbc",
        "compendium",
    }


def test_a_reader_without_a_movie_or_a_checkout_gets_a_report(rbc) -> None:
    """The lines of the page on own movies, as they stand, and the other two commands of the bench
    tool, from the wheel's base alone.
    """
    page = (ROOT / "book" / "own-movies.md").read_text(encoding="utf-8")
    block = page.partition("No movie is at hand")[2].partition("```bash\n")[2].partition("```")[0]
    lines = [line.split()[1:] for line in block.splitlines()]
    assert [words[0] for words in lines] == ["simulate", "simulate", "analyze"]
    for words in lines:
        done = rbc(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert "report: report/report.html" in done.stdout
    tracked = rbc("track", "movie/movie.avi", "--out", "tracked", "--json")
    assert tracked.returncode == 0, tracked.stderr
    classified = rbc("classify", "tracked", "--json")
    assert classified.returncode == 0, classified.stderr
    assert len(json.loads(classified.stdout)) == json.loads(tracked.stdout)["sequences"] > 50


def test_the_paper_is_audited_without_the_checkout(rbc) -> None:
    """The audit says which statements it cannot check there, and says the same of the others."""
    far = rbc("audit", "--json")
    assert far.returncode == 0, far.stderr
    near = subprocess.run(
        [sys.executable, "-m", "compendium", "audit", "--json"], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    there, here = json.loads(far.stdout), json.loads(near.stdout)
    missing = [check["key"] for check in here["checks"] if check not in there["checks"]]
    assert missing == ["short-sequences", "crossing"]
    assert far.stderr.strip() == (
        "left out, as they need the checkout of the compendium: crossing, short-sequences"
    )
    assert there["rows"] == here["rows"]


@pytest.mark.parametrize(
    "words", [("grid",), ("data", "summary"), ("claims",), ("data", "fetch", "released")]
)
def test_what_needs_the_checkout_says_so(rbc, words: tuple[str, ...]) -> None:
    """One line that says what is missing and how to get it, not a path inside of the installed
    package.
    """
    answer = rbc(*words)
    assert answer.returncode == 1
    assert re.fullmatch(
        r"rbc: this command needs the checkout of the compendium, .*\n", answer.stderr
    )
    assert "site-packages" not in answer.stderr
