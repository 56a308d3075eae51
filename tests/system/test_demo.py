"""The demo shows networks that have learned: its two chosen configurations, trained anew as its
profile says.
"""

from __future__ import annotations

import pytest

from compendium import profiles
from rbc import metrics, simulate, training
from rbc.paper import Configuration
from rbc.sequences import Sequences

pytestmark = pytest.mark.nightly

#: What the demo's validation split chooses (page "Model selection"), and nothing of the test split.
CHOSEN = [Configuration(1, "cnn", "uniform", 50), Configuration(2, "cnn", "uniform", 30)]


@pytest.fixture(scope="module")
def demo() -> profiles.Profile:
    return profiles.load("demo")


@pytest.fixture(scope="module")
def made(demo: profiles.Profile) -> Sequences:
    """The demo's own simulated cells."""
    return simulate.sequences(
        demo.data.counts, demo.data.seed, ranges=simulate.ranges_of(demo.data.ranges)
    )


@pytest.mark.parametrize("c", CHOSEN, ids=lambda c: f"stage{c.stage}")
def test_a_chosen_model_of_the_demo_has_learned(demo, made, c):
    """A demo that shows chance is worth no minute."""
    outcome = training.train(made, c, demo.training_of(c))
    answers = outcome.predictions[outcome.predictions["split"] == "test"]
    assert metrics.confusion(answers, c.stage).balanced_accuracy > 0.85
