"""The table of set-ups (`tests/setups.py`): it is long enough, and it can fail.

All of its rows take a quarter of an hour, so they are tried by the weekly workflow; here stand
those that have found faults, and the proof that a fault is seen.
"""

import dataclasses
import shutil
from collections import Counter

import pytest
from setups import SETUPS, TINY, Machine, answer, tried


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    folder = tmp_path_factory.mktemp("setups")
    for above in (folder, *folder.parents[:2]):
        above.chmod(0o755)  # another user must be able to read the movie
    return Machine(folder)


def _named(name):
    return next(setup for setup in SETUPS if setup.name == name)


def test_the_table_has_forty_set_ups_of_every_kind():
    """A table that shrinks would still be called right."""
    kinds = Counter(setup.kind for setup in SETUPS)
    assert len(SETUPS) >= 40 and len({(s.kind, s.name) for s in SETUPS}) == len(SETUPS)
    assert set(kinds) == {"path", "locale", "kernel", "copy", "clock", "rights", "disk", "signal"}


@pytest.mark.parametrize(
    "name", ["movie and output in bytes that are no text", "checkout in {braces}", "full"]
)
def test_set_ups_that_were_wrong_once_are_right(machine, name):
    """Parquet could not be written where a folder's name is no text; papermill filled in braces of
    the checkout's own path.
    """
    row = tried(_named(name), machine)
    assert not row["fault"], row


def test_a_fault_is_seen(machine):
    """A set-up that should be right and ends in a line, and one that should fail and does not."""
    blocked, plain = _named("a file where the output goes"), _named("output through a link")
    assert tried(dataclasses.replace(blocked, expects="right"), machine)["fault"]
    assert tried(dataclasses.replace(plain, expects="no space"), machine)["fault"]


def test_a_run_after_the_results_were_removed_needs_no_new_data(machine):
    """``make clean`` leaves the data; what pages say of them lies with the results, and a run ended
    in "no such file" without it.
    """
    data = machine.checkout / "data" / "derived" / "tiny" / "frames.npy"
    before = data.stat().st_mtime_ns
    shutil.rmtree(machine.checkout / "results")
    run = ("--stage", "2", "--model", "cnn", "--sampling", "similarity", "--k", "10")
    done = machine.rbc("run", "--profile", TINY, *run)
    assert done.returncode == 0, done.stderr
    assert answer("run", machine.checkout, None, done) == machine.answers["run"]
    assert (machine.checkout / "results" / "tiny" / "checks.json").exists()
    grid = machine.rbc("grid", "--profile", TINY, "--dry-run")
    assert grid.returncode == 0 and data.stat().st_mtime_ns == before
