"""The package as `pip install` gives it: a real wheel, in an environment of its own, far from the
checkout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from conftest import copy_checkout
from packaging.requirements import Requirement

from compendium import ROOT
from rbc import __version__

pytestmark = pytest.mark.nightly

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
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=300)
    return next(folder.glob("rbc-*.whl"))


def lend_compiled_code(site: Path) -> None:
    """Copy what numba has compiled for this checkout, because half a minute goes into that."""
    for compiled in (ROOT / "rbc").rglob("*.nb[ic]"):
        copy = site / compiled.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(compiled, copy)
    for module in (ROOT / "rbc").rglob("*.py"):  # numba compares the times of the modules
        shutil.copystat(module, site / module.relative_to(ROOT))


@pytest.fixture(scope="module")
def rbc(wheel: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs the installed command line in a folder of its own, where only the wheel's base packages
    can be imported.
    """
    folder = tmp_path_factory.mktemp("far")
    environment = folder / "environment"
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-index"]
    if uv := shutil.which("uv"):
        install = [uv, "pip", "install", "--python", python, "--offline"]
    subprocess.run([*install, "-q", "--no-deps", wheel], check=True, capture_output=True)

    site = next(environment.glob("lib/python*/site-packages"))
    lend_compiled_code(site)
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
    beside = [*(ROOT / "rbc" / "bench").glob("*.html"), *(ROOT / "rbc" / "bench").glob("*.md")]
    assert beside and {f"rbc/bench/{file.name}" for file in beside} <= names
    assert {"rbc/validity.json", "rbc/reported/table5.csv", "rbc/cli.py"} <= names
    # The reproduction stays in the checkout: a stranger's environment gets one package.
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"rbc"}


def test_a_stranger_is_told_what_is_there_and_what_is_not(rbc) -> None:
    """The version stands in a report of a fault; a command of the checkout is named as one."""
    assert re.fullmatch(rf"rbc {re.escape(__version__)}, commit .+\n", rbc("--version").stdout)
    shown = rbc("--help").stdout
    assert "analyze" in shown and "grid" not in shown
    answer = rbc("grid", "--dry-run")
    assert answer.returncode == 2
    assert re.fullmatch(r"rbc: No such command 'grid'; .* its checkout only\n", answer.stderr)


def test_a_reader_without_a_movie_or_a_checkout_gets_a_report(rbc) -> None:
    """The lines of the page on own movies, as they stand, and the other commands of the bench tool,
    from the wheel's base alone.
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
    exported = rbc("export", "report", "tracks.xml")
    assert exported.returncode == 0, exported.stderr
