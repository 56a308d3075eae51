"""Continuous integration chooses nightly tests by what changed (`tests/affected.py`)."""

from affected import ROOT, closure, nightly_files


def test_a_change_deep_in_the_imports_reaches_the_tests_that_need_it_and_no_others():
    """A choice that is too narrow lets faults through until the night."""
    training = ROOT / "tests" / "test_rbc" / "test_checkpoints.py"
    assert training in nightly_files()
    assert ROOT / "rbc" / "sampling.py" in closure(training)
    assert ROOT / "book" / "pdf.py" not in closure(training)
