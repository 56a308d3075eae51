"""From simulated cells to real ones: the script end to end on little, and what is kept of the true
one.
"""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from compendium import ROOT, runs
from rbc import RbcError, simulate

pytestmark = pytest.mark.slow

spec = importlib.util.spec_from_file_location("transfer", ROOT / "workflow" / "transfer.py")
transfer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(transfer)
KEPT = runs.REFERENCE / "transfer"


def script(*arguments) -> None:
    found = subprocess.run(
        [sys.executable, "workflow/transfer.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
    )
    assert found.returncode == 0, found.stderr.decode()[-3000:]


@pytest.mark.nightly
def test_a_search_and_a_training_leave_answers_for_cells_that_were_not_learned_from(
    tmp_path, cells
):
    """Scores must be of cells not learned from."""
    cells.save(tmp_path / "cells")
    out = ("--data", tmp_path / "cells", "--out", tmp_path / "out")
    script("fit", *out, "--tries", 1)
    script("train", *out, "--simulated", 8, "--epochs", 1, "--seeds", 0)
    answers = pd.read_parquet(tmp_path / "out" / "answers.parquet")
    reliable = cells.index[cells.index["label"] != "unreliable"].set_index("name")["split"]
    for _, part in answers.groupby("level"):
        asked = part[part["split"] != "simulated"].set_index("name")["split"]
        assert asked.to_dict() == reliable.replace("train", "strips").to_dict()
    levels = json.loads((tmp_path / "out" / "levels.json").read_text(encoding="utf-8"))
    assert [one["level"] for one in levels] == list(transfer.levels(tmp_path / "out"))
    assert (tmp_path / "out" / "simulated.safetensors").stat().st_size < 1e6


def test_a_simulator_is_nearer_to_itself_than_another_one():
    """The distance that a search minimises must mean something."""
    own = transfer.quantiles(simulate.sequences(transfer.both(160), 1))
    other = simulate.Ranges(gain=60.0, stretch=0.3, swing=1.0)
    assert transfer.distance(simulate.Ranges(), 2, own) < 0.8 * transfer.distance(other, 2, own)


@pytest.mark.parametrize("made_with", [{}, {"physics": 1}, {"physics": 99}])
def test_ranges_found_with_another_physics_are_refused(tmp_path, made_with):
    """A depth of then is another blur today, and periods are no longer drawn: such ranges would
    pass in silence.
    """
    kept = json.loads((KEPT / "search.json").read_text(encoding="utf-8"))
    kept.pop("physics", None)
    (tmp_path / "search.json").write_text(json.dumps(kept | made_with), encoding="utf-8")
    with pytest.raises(RbcError, match="search again"):
        transfer.levels(tmp_path)


def test_what_is_kept_says_with_which_physics_it_was_made():
    """The page that shows these scores reads it, and says so where the simulator has changed
    since.
    """
    for name in ("search.json", "provenance.json"):
        assert json.loads((KEPT / name).read_text(encoding="utf-8"))["physics"] <= simulate.PHYSICS


def test_steps_stay_inside_their_limits():
    """A search must not leave physics."""
    rng, ranges, limits = (
        np.random.default_rng(0),
        simulate.Ranges(),
        transfer.MOTIONS | transfer.LIGHT,
    )
    for _ in range(100):
        ranges = transfer.step(ranges, limits, rng)
    for name, (low, high) in limits.items():
        value = np.array(getattr(ranges, name))
        assert (value >= low).all() and (value <= high).all(), name
    assert ranges.ratio[0] <= ranges.ratio[1]


def test_the_threshold_comes_from_simulation_alone():
    """Real cells must set nothing here."""
    table = pd.DataFrame({
        "label": ["flipping"] * 4 + ["tank-treading"] * 4 + ["flipping"],
        "split": ["simulated"] * 8 + ["test"], "score": [3.0, 4, 5, 6, -1, 0, 1, 2, 2.9],
    })  # fmt: skip
    found = transfer.placed(table)
    assert (found["probability"][:8] >= 0.5).tolist() == [True] * 4 + [False] * 4
    changed = transfer.placed(table.assign(score=[*table["score"][:8], -50.0]))
    assert changed["probability"][:8].tolist() == found["probability"][:8].tolist()


def test_kept_figures_are_those_of_the_kept_answers():
    """A figure on the page must follow from the answers beside it."""
    answers = pd.read_parquet(KEPT / "answers.parquet")
    for one in json.loads((KEPT / "levels.json").read_text(encoding="utf-8")):
        again = transfer.told_of(answers[answers["level"] == one["level"]], one["level"])
        for split in ("strips", "test"):
            for how, scores in one[split].items():
                assert [x["mean"] for x in again[split][how]] == pytest.approx(
                    [x["mean"] for x in scores]
                )
