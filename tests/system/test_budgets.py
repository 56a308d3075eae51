"""Budgets (`tests/budgets.py`) can be exceeded, and are told apart from noise."""

import sys

from budgets import exceeded

QUICK = [sys.executable, "-c", "pass"]


def test_a_budget_that_is_too_low_is_exceeded_and_a_wide_one_is_not(tmp_path):
    """A budget that nothing exceeds guards nothing."""
    (tmp_path / "full.html").write_bytes(bytes(2_000_000))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "steps.txt").write_text("3600 make test\n0 make check\n")
    budgets = {
        "noise": 0.5,
        "budgets": {
            "slow": {"command": QUICK, "yardsticks": 0.001},
            "quick": {"command": QUICK, "yardsticks": 10_000},
            "heavy": {"folder": ".", "megabytes": 1},
            "light": {"folder": ".", "megabytes": 3},
            "large page": {"pages": ".", "megabytes": 1},
            "long step": {"step": "make test", "yardsticks": 10},
            "short step": {"step": "make check", "yardsticks": 10},
            "not there": {"folder": "nowhere", "megabytes": 1},
            "not run": {"step": "make book", "yardsticks": 1},
        },
    }
    assert exceeded(budgets, tmp_path) == ["slow", "heavy", "large page", "long step"]
