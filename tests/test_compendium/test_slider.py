"""The sliders of the test page: the counts that they move are those of the predictions."""

import json
import re
from html import unescape

import pytest

from compendium import runs
from compendium.evidence import slider
from rbc import metrics

RELEASED = runs.REFERENCE / "released"


@pytest.mark.parametrize("stage", [1, 2])
def test_counts_of_every_threshold_are_those_of_the_predictions(stage):
    """A reader who moves the slider must see what the model would do."""
    predictions = runs.chosen_answers(RELEASED, stage)
    page = slider.html(predictions, stage, "a run")
    data = json.loads(unescape(re.search(r'data-counts="([^"]+)"', page).group(1)))
    half = metrics.confusion(predictions, stage)
    assert (data["tp"][50], data["fp"][50]) == (half.tp, half.fp)
    assert (data["tp"][0], data["fp"][0]) == (data["positives"], data["negatives"])
    for step in (10, 37, 90):
        above = predictions[predictions["probability"] >= step / 100]
        truth, _ = metrics.truth_and_call(above, stage)
        assert (data["tp"][step], data["fp"][step]) == (truth.sum(), (~truth).sum())
