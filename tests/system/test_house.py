"""Two packages with one rule between them: `rbc`, the science, never imports `compendium`, the
reproduction.
"""

from __future__ import annotations

import importlib
import operator
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compendium import ROOT

#: What takes long to load, and no command needs before it knows what it is asked.
HEAVY = {
    "torch",
    "fastai",
    "sklearn",
    "scipy",
    "pandas",
    "numpy",
    "matplotlib",
    "papermill",
    "yaml",
    "pydantic",
}


def test_the_science_stands_alone() -> None:
    """A stranger can take `rbc` without the checkout, its profiles and its downloads; the contracts
    stand in pyproject.toml.
    """
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that some code loads, in a fresh interpreter."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    "code", ["import rbc", "import rbc.paper", "import rbc.cli", "import compendium.cli"]
)
def test_the_start_is_light(code: str) -> None:
    """`import rbc` loads no PyTorch, nor does the command line before it knows what it is asked."""
    assert not loaded_by(code) & HEAVY


def rooms() -> dict[str, object]:
    """Our modules by the last part of their names."""
    found = {}
    for package in ("rbc", "compendium"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if not name.endswith(("__init__", "__main__")):
                found[name.rpartition(".")[2]] = importlib.import_module(name)
    return found | {"tracking": importlib.import_module("rbc.tracking")}


def test_the_register_of_open_details_names_code_that_exists() -> None:
    """A reader who follows a row of the register into the code finds what it names."""
    text = (ROOT / "book" / "open-details.md").read_text(encoding="utf-8")
    named = sorted(set(re.findall(r"`([a-z]+)\.([A-Za-z_.]+)`", text)) - {("rbc", "settings")})
    assert len(named) > 20
    known, missing = rooms(), []
    for module, path in named:
        try:
            operator.attrgetter(path)(known[module])
        except (KeyError, AttributeError):
            missing.append(f"{module}.{path}")
    assert not missing


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that nobody can write, with the package on it; needs the right to mount."""
    place = tmp_path / "read-only"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a file system that cannot be written")
    leave = shutil.ignore_patterns("__pycache__", "weights")
    shutil.copytree(ROOT / "rbc", place / "rbc", ignore=leave)
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_read_only_installation_and_home_still_compile(read_only: Path) -> None:
    """On a cluster the package and the home may both be closed to writing."""
    code = "import numpy as np; from rbc import sampling; a = np.zeros((8, 8), np.uint8);"
    code += "print(sampling.ssim(a, a), sampling.__file__)"
    there = {**os.environ, "PYTHONPATH": str(read_only), "HOME": str(read_only)}
    there.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-P", "-c", code]
    answer = subprocess.run(command, cwd=read_only, env=there, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["1.0", str(read_only / "rbc" / "sampling.py")]


@pytest.mark.parametrize("below", [".", "notebooks"])
def test_an_rbc_of_another_checkout_does_not_work_on_it(tmp_path: Path, below: str) -> None:
    """A copied checkout brings an environment whose rbc would overwrite the original's results."""
    (tmp_path / "compendium").mkdir()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "train.ipynb").write_text("{}", encoding="utf-8")
    command = [sys.executable, "-P", "-m", "compendium", "grid", "--dry-run"]
    there = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        command, cwd=tmp_path / below, env=there, capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"rbc: you are in the checkout {tmp_path}, but this rbc works")
