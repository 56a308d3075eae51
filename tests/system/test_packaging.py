"""The lock, the conda environment and the licences say the same."""

import re
import runpy
import subprocess
import sys
import tomllib
from importlib.metadata import version

import yaml
from packaging.requirements import Requirement

from compendium import ROOT

LINES = [
    line.partition("  # ")
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
LOCK = dict(package.split("==") for package, _, _ in LINES)
SET = {package.partition("==")[0]: name for package, _, name in LINES}


def test_the_lock_holds_every_direct_dependency_in_range():
    """The lock must be made from this project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(LOCK[wanted.name.lower()]), text


def test_the_lock_is_free_of_local_builds_and_addresses():
    """The lock must work on another machine."""
    assert not [v for v in LOCK.values() if not re.fullmatch(r"[0-9][0-9a-z.]*", v)]


def test_every_package_has_a_set_and_direct_ones_are_in_that_of_their_extra():
    """A package in no set would be installed by no command."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sets = runpy.run_path(str(ROOT / "workflow" / "environment.py"))["SETS"]
    assert set(SET.values()) == {*sets, "fastai only"}
    for text in project["dependencies"]:
        assert SET[Requirement(text).name.lower()] == "base", text
    for text in project["optional-dependencies"]["book"]:
        assert SET[Requirement(text).name.lower()] in ("base", "book"), text


def test_what_only_fastai_names_is_imported_by_nothing_that_we_use():
    """`make` leaves it out: training must not ask for it."""
    names = sorted(name.replace("-", "_") for name in SET if SET[name] == "fastai only")
    program = f"""
import sys
for name in {names}:
    sys.modules[name] = None
import rbc.training, compendium.tasks
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=300)


def test_a_mirror_that_pip_knows_serves_uv_too(monkeypatch):
    """A site that has its own wheels says so to pip alone."""
    path = ROOT / "workflow" / "environment.py"
    environment = runpy.run_path(str(path))
    monkeypatch.setenv("PIP_FIND_LINKS", "file:///mirror/wheels")
    assert environment["pip_settings"]()["find-links"] == "file:///mirror/wheels"


def test_what_runs_is_what_the_lock_says():
    """Tests must run on what readers will install."""
    for name in ("numpy", "pandas", "fastai", "snakemake", "papermill", "scikit-image"):
        assert version(name) == LOCK[name]


def test_the_conda_environment_installs_the_lock_on_the_same_python():
    """Both ways in must give the same versions."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert "-r requirements.lock" in pip
    assert "python=3.11" in environment["dependencies"]
    assert "python3.11" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_citation_names_this_project_and_the_paper():
    """Who cites must find both."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changes, re.MULTILINE)[1]
    assert citation["version"] == project["version"] == newest
    assert citation["title"] == "RBC dynamics compendium"
    assert citation["references"][0]["doi"] == "10.1038/s41598-023-27718-w"
