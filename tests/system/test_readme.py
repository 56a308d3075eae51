"""The README's lines, typed as they are printed, in their order, from a clean shell."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import copy_checkout

from compendium import ROOT

pytestmark = pytest.mark.nightly

BLOCKS = [
    line.strip()
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("    ")
]
TYPED = [line for line in BLOCKS if line.startswith(".venv/bin/")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the checkout whose .venv leads to this environment and to the copy's own code."""
    copy = copy_checkout(tmp_path_factory.mktemp("readme") / "rbc-dynamics")
    programs = copy / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, options in (("rbc", "-m compendium"), ("python", "")):
        text = f"""#!/bin/sh
PYTHONPATH={shlex.quote(str(copy))} exec {shlex.quote(sys.executable)} {options} "$@"
"""
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    return copy


def typed(line: str, folder: Path) -> subprocess.CompletedProcess:
    """A line in a shell that knows nothing but where programs and the home are."""
    command = ["env", "-i", "PATH=/usr/bin:/bin", f"HOME={folder.parent}", "sh", "-c", line]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_every_line_is_typed_or_made():
    """A block that is skipped is a line that nobody tried."""
    others = [line for line in BLOCKS if line not in TYPED]
    assert len(TYPED) > 15 and others and all(line.startswith("make ") for line in others)


@pytest.mark.parametrize("line", [line for line in BLOCKS if line not in TYPED])
def test_make_knows_what_to_do(line, clone):
    """What takes minutes is tried by other tests; here make tells what it would run."""
    done = typed(line.replace("make ", "make --dry-run "), clone)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.parametrize("line", TYPED)
def test_a_line_ends_well_or_says_what_comes_first(line, clone):
    """A newcomer types them one after the other; only a line that says so needs something else."""
    done = typed(line, clone)
    said = done.stderr[-2000:]
    if "(after " in line:
        assert done.returncode == 1 and said.strip() and "Traceback" not in said, said
    else:
        assert done.returncode == 0, said
