"""Damaged input drawn by chance (`tests/fuzz.py`): some attempts of each reader, and the proof
that faults are seen. The weekly workflow makes thousands.
"""

import fuzz
import pytest

from rbc import RbcError

pytestmark = pytest.mark.nightly

FEW = range(6)


@pytest.mark.parametrize("name", fuzz.READERS)
def test_damaged_input_ends_in_content_or_in_one_line(name):
    """A traceback, or an error of several lines, is no answer to a file that was cut off."""
    assert [fault for seed in FEW if (fault := fuzz.attempt(name, seed))] == []


@pytest.mark.parametrize(
    ("name", "seed"),
    [("archives", 10), ("tables", 59), ("matlab", 160), ("movies", 127), ("movies", 145)],
)
def test_kinds_of_damage_that_once_ended_in_a_traceback(name, seed):
    """A place before the file's beginning, a table that pandas tells of in two lines, and numbers
    at which HDF5 and tifffile raise what nobody had foreseen.
    """
    assert fuzz.attempt(name, seed) == ""


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda folder, dice: 1 / 0, "none of ours"),
        (lambda folder, dice: (_ for _ in ()).throw(RbcError("one\ntwo")), "several lines"),
        (lambda folder, dice: (folder.parent / "other").write_text("x"), "written outside"),
    ],
)
def test_a_fault_is_seen(monkeypatch, read, words):
    """A fuzzer that sees nothing is always content."""
    monkeypatch.setitem(fuzz.READERS, "broken", read)
    assert words in fuzz.attempt("broken", 0)
