"""Two packages with one rule between them: `rbc`, the science, never imports `compendium`, the reproduction."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from compendium import ROOT

#: What no module of the science may import: the network, YAML, and what only the book needs.
NOT_FOR_SCIENCE = {"compendium", "requests", "urllib", "yaml", "papermill", "snakemake", "nbformat", "jupyter_client"}
#: What takes long to load, and no command needs before it knows what it is asked.
HEAVY = {"torch", "fastai", "sklearn", "scipy", "pandas", "numpy", "matplotlib", "papermill", "yaml", "pydantic"}


def imported(path: Path) -> set[str]:
    """Top-level names of all that a file imports, also inside of functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "rbc").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_science_stands_alone(path: Path) -> None:
    """A stranger can take `rbc` without the checkout, its profiles and its downloads."""
    assert not imported(path) & NOT_FOR_SCIENCE


def loaded_by(code: str) -> set[str]:
    """Top-level names of all modules that some code loads, in a fresh interpreter."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize("code", ["import rbc", "import rbc.paper", "import compendium.cli"])
def test_the_start_is_light(code: str) -> None:
    """`import rbc` loads no PyTorch, nor does the command line before it knows what it is asked."""
    assert not loaded_by(code) & HEAVY
