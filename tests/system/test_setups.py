"""The table of set-ups (`tests/setups.py`) can fail.

All of its rows take a quarter of an hour, so they are tried by the weekly workflow; here stand
those that have found faults, and the proof that a fault is seen.
"""

import dataclasses
import shutil

import pytest
from conftest import copy_checkout
from setups import ONE_RUN, RESULT, SETUPS, TINY, Machine, tried

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    folder = tmp_path_factory.mktemp("setups")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)  # another user must be able to read the movie
    return Machine(folder)


def _named(name):
    return next(setup for setup in SETUPS if setup.name == name)


@pytest.mark.parametrize("name", ["movie and output in bytes that are no text", "full"])
def test_set_ups_are_right_or_end_in_one_line(machine, name):
    """Parquet could not be written where a folder's name is no text."""
    row = tried(_named(name), machine)
    assert not row["fault"], row


def test_a_fault_is_seen(machine):
    """A set-up that should be right and ends in a line, and one that should fail and does not."""
    blocked, plain = _named("a file where the output goes"), _named("output through a link")
    assert tried(dataclasses.replace(blocked, expects="right"), machine)["fault"]
    assert tried(dataclasses.replace(plain, expects="no space"), machine)["fault"]


def test_a_run_in_a_checkout_in_braces_after_the_results_were_removed(machine, tmp_path):
    """Papermill filled in braces of the checkout's own path. And ``make clean`` leaves the data,
    while what pages say of them goes with the results: a run ended in "no such file" without it.
    """
    home = copy_checkout(tmp_path / "{braces}")
    assert machine.rbc("data", "prepare", "--profile", TINY, checkout=home).returncode == 0
    data = home / "data" / "derived" / "tiny" / "frames.npy"
    before = data.stat().st_mtime_ns
    shutil.rmtree(home / "results")
    done = machine.rbc("run", "--profile", TINY, *ONE_RUN, checkout=home)
    assert done.returncode == 0, done.stderr
    assert (home / RESULT / "metrics.json").exists()
    assert (home / "results" / "tiny" / "checks.json").exists()
    grid = machine.rbc("grid", "--profile", TINY, "--dry-run", checkout=home)
    assert grid.returncode == 0 and data.stat().st_mtime_ns == before
