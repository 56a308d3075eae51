"""One number alone as a baseline: it learns from its fold only, and says where it cannot."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from compendium import runs
from compendium.data import ingest
from compendium.evidence import simple
from rbc import metrics, simulate
from rbc.settings import Fold


def table(**columns):
    """Sequences of two acquisitions to learn from and one to be asked about."""
    n = len(next(iter(columns.values()))) // 3
    names = {"name": [f"s{i}" for i in range(3 * n)], "acquisition": np.repeat(["A", "B", "C"], n)}
    return pd.DataFrame(names | {"split": np.repeat(["train", "train", "test"], n)} | columns)


FOLD = Fold(train=["A"], validation=["B"], test=["C"])


def test_direction_and_threshold_come_from_the_training_alone():
    """The test acquisition is the other way round: a baseline that looked there would be right."""
    labels = ["flipping", "tank-treading"] * 6
    width = np.where(np.array(labels) == "flipping", 2.0, 1.0)
    width[8:] = 3 - width[8:]
    own = table(label=labels, width_spread=width)
    for folds in ([FOLD], []):  # without folds the data's own split
        called = simple.answers(own, "width_spread", folds, 2)
        assert called["acquisition"].tolist() == ["C"] * 4
        assert metrics.summary(called, 2)["recall"] == 0


def test_a_number_that_is_the_same_for_all_is_no_baseline():
    """The released strips of stage 2 all have 20 frames: their length cannot teach."""
    labels = ["flipping", "tank-treading"] * 6
    assert (
        simple.answers(table(label=labels, length=[20] * 8 + [30] * 4), "length", [FOLD], 2) is None
    )


def test_unreliable_sequences_are_not_asked_about_in_stage_2():
    """They have no motion."""
    labels = ["flipping", "tank-treading", "unreliable"] * 4
    own = table(label=labels, length=np.arange(12))
    assert len(simple.answers(own, "length", [FOLD], 1)) == 4
    assert len(simple.answers(own, "length", [FOLD], 2)) == 2


def disc(half_width, half_height, sd=0.0):
    """A dark ellipse on a grey ground, (31, 31) uint8."""
    y, x = np.mgrid[-15:16, -15:16]
    inside = (x / half_width) ** 2 + (y / half_height) ** 2 <= 1
    return (120 - 40 * inside).astype(np.uint8)


def test_the_width_along_the_flow_is_measured_in_px():
    """A cell that only grows taller, across the flow, keeps its width."""
    tall = np.stack([disc(6, h) for h in (4, 6, 8, 10)])
    wide = np.stack([disc(w, 6) for w in (4, 6, 8, 10)])
    assert simple.width_spread(tall) < 0.5
    # Twice the sd of an ellipse's columns is its half width.
    assert simple.width_spread(wide) == pytest.approx(np.std([4, 6, 8, 10]), rel=0.1)
    assert simple.width_spread(np.full((5, 31, 31), 100, np.uint8)) == 0


def test_a_blurred_cell_is_less_sharp():
    """Unreliable cells are mostly out of focus."""
    sharp = np.stack([disc(7, 6)] * 3)
    soft = gaussian_filter(sharp.astype(float), (0, 2, 2)).round().astype(np.uint8)
    assert simple.sharpness(sharp) > simple.sharpness(soft)


def test_numbers_are_kept_beside_the_runs(tmp_path):
    """The page computes its baselines where the pixels are not."""
    counts = {"train": {"flipping": 2, "tank-treading": 2}, "test": {"unreliable": 2}}
    cells = simulate.sequences(counts, 0)
    runs.describe(cells, tmp_path)
    kept = pd.read_parquet(tmp_path / "simple.parquet")
    assert kept["name"].tolist() == cells.index["name"].tolist()
    assert kept["length"].tolist() == cells.index["length"].tolist()
    assert np.isfinite(kept[list(simple.NUMBERS)]).all().all()


def test_kept_numbers_are_those_of_the_released_cells(released_sample):
    """The kept file is what the code computes, so that the page's figures can be made again."""
    kept = pd.read_parquet(runs.REFERENCE / "released" / "simple.parquet").set_index("name")
    part = ingest.strips(released_sample / "Stage_1" / "test")
    again = simple.numbers(part).set_index("name")
    both = kept.loc[again.index]
    np.testing.assert_allclose(both.to_numpy(float), again.to_numpy(float), rtol=1e-4)
