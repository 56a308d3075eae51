"""Power on the full record: it falls with the spread over seeds, never calls a true score
different, and adds up.
"""

import numpy as np
import pytest

from compendium.evidence import audit, claims, power

TOLERANCE, LISTED = claims.load()


def test_a_perfect_replication_is_reproduced_less_often_the_more_seeds_scatter():
    """Runs without scatter always tell, and those with much hardly ever, but they do not accuse."""
    found = power.of_printed((0.002, 0.01, 0.04), 5, (0.0,), TOLERANCE, repeats=100).set_index(
        "spread"
    )
    assert found.loc[0.002, "reproduced"] == 1 and found.loc[0.04, "reproduced"] < 0.5
    assert found["reproduced"].is_monotonic_decreasing and (found["differs"] < 0.05).all()
    assert np.allclose(found[["reproduced", "not resolved", "differs"]].sum(axis=1), 1)


def test_a_score_that_is_far_off_is_found_to_differ():
    """A tenth away, with little scatter: it differs, and is never called reproduced."""
    found = power.of_printed((0.005,), 5, (0.1,), TOLERANCE, repeats=100).iloc[0]
    assert found["differs"] > 0.9 and found["reproduced"] == 0


def test_each_comparison_has_its_power_and_large_gaps_have_more():
    """Every comparison stands in the table; one of .45 above chance is always seen, a gap of .01 is
    not.
    """
    found = power.of_comparisons(LISTED, (0.005, 0.04), 5, TOLERANCE, repeats=40)
    assert set(found.index) == {c.id for c in LISTED if c.rule.kind == "order"}
    assert found.loc["d-dynamics-cnn", "spread 0.04"] == 1
    assert found.loc["s1-best-recall", "spread 0.04"] < 0.2  # 0.98 against 0.97
    assert (found["spread 0.04"] <= found["spread 0.005"] + 0.1).all()


def test_labels_put_right_move_false_positives_to_true_ones():
    """By hand, from the counts of Table 2 and the printed recall."""
    p, n = audit.sizes(1, "test")
    found = power.label_noise([0.0, 0.01]).set_index("wrong labels among unreliable")
    assert found.loc[0.0, "precision with labels put right"] == pytest.approx(0.52, abs=0.005)
    assert found.loc[0.01, "false positives they make"] == round(0.01 * n * 0.92)
    share = power.explaining_share()
    assert power.label_noise([share])["precision with labels put right"].iat[0] == pytest.approx(1)
    assert 0.02 < share < 0.05 and p < n
