"""The lock, the conda environment and the licences say the same."""

import re
import tomllib
from importlib.metadata import version

import yaml
from packaging.requirements import Requirement

from compendium import ROOT

LOCK = dict(
    line.split("==")
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


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
    assert citation["title"] == "RBC dynamics compendium"
    assert citation["references"][0]["doi"] == "10.1038/s41598-023-27718-w"
