"""Budgets (`tests/budgets.py`) can be exceeded, and are told apart from noise."""

import sys

from budgets import exceeded

QUICK = [sys.executable, "-c", "pass"]


def test_a_budget_that_is_too_low_is_exceeded_and_a_wide_one_is_not(tmp_path):
    """A budget that nothing exceeds guards nothing."""
    (tmp_path / "full").write_bytes(bytes(2_000_000))
    budgets = {
        "noise": 0.5,
        "budgets": {
            "slow": {"command": QUICK, "yardsticks": 0.001},
            "quick": {"command": QUICK, "yardsticks": 10_000},
            "heavy": {"folder": ".", "megabytes": 1},
            "light": {"folder": ".", "megabytes": 3},
            "not there": {"folder": "nowhere", "megabytes": 1},
        },
    }
    assert exceeded(budgets, tmp_path) == ["slow", "heavy"]
