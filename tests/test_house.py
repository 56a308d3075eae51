"""Two packages with one rule between them: `rbc`, the science, never imports `compendium`, the
reproduction.
"""

from __future__ import annotations

import ast
import importlib
import operator
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compendium import ROOT

#: What no module of the science may import: the network, YAML, and what only the book needs.
NOT_FOR_SCIENCE = {
    "compendium",
    "requests",
    "urllib",
    "yaml",
    "papermill",
    "snakemake",
    "nbformat",
    "jupyter_client",
}
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


def imported(path: Path) -> set[str]:
    """Top-level names of all that a file imports, also inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "rbc").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_science_stands_alone(path: Path) -> None:
    """A stranger can take `rbc` without the checkout, its profiles and its downloads."""
    assert not imported(path) & NOT_FOR_SCIENCE


def loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that some code loads, in a fresh interpreter."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize("code", ["import rbc", "import rbc.paper", "import compendium.cli"])
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
