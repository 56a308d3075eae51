import json
import shutil

import pytest
from conftest import one_line_error, rbc

from compendium import ROOT, profiles, runs
from compendium.evidence import compare
from rbc import training
from rbc.paper import Configuration

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kept(cells, tmp_path_factory):
    """Three seeds of one configuration, and a fourth."""
    folder, tiny = tmp_path_factory.mktemp("kept"), profiles.load(str(ROOT / "tests" / "tiny.yaml"))
    few = cells.select(cells.index.groupby(["split", "label"]).cumcount().to_numpy() < 3)
    for seed in range(4):
        c = Configuration(2, "cnn", "uniform", 10, seed)
        place = folder / ("kept" if seed < 3 else "mine") / c.path
        place.mkdir(parents=True)
        runs.write(
            place, training.train(few, c, tiny.training), cells.meta, c, tiny, inputs={"test": "x"}
        )
    return folder


def test_one_of_the_kept_seeds_is_normal(kept, tmp_path):
    """A run like the kept ones must not be called strange."""
    shutil.copytree(kept / "kept/stage2/cnn-uniform-k10-s1", tmp_path / "copy")
    found = compare.compare(tmp_path / "copy", kept / "kept")
    assert found.verdict == "normal"
    assert found.seeds == [0, 1, 2]
    assert len(found.scores) == 6 and len(found.epochs) == 1
    assert "data sha256" not in set(found.differences["what"])


def test_scores_far_from_the_kept_ones_and_what_differs_are_named(kept):
    """A strange run must be called so, with what is different."""
    mine = kept / "mine/stage2/cnn-uniform-k10-s3"
    scores, origin = (
        json.loads((mine / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("metrics", "provenance")
    )
    scores["test"]["recall"] = 7.0
    origin["device"] = "cuda:0"
    for name, content in (("metrics", scores), ("provenance", origin)):
        (mine / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    answer = json.loads(
        rbc("compare", str(mine), "--reference", str(kept / "kept"), "--json").stdout
    )
    assert answer["verdict"] == "unusual"
    outside = [
        row["score"] for row in answer["scores"] if row["split"] == "test" and not row["inside"]
    ]
    assert "recall" in outside
    assert {"what": "device", "here": "cuda:0", "kept": "cpu"} in answer["differences"]
    assert "unusual" in rbc("compare", str(mine), "--reference", str(kept / "kept")).stdout


def test_fewer_than_three_seeds_say_nothing(kept):
    """Two seeds make no distribution."""
    found = compare.compare(kept / "kept/stage2/cnn-uniform-k10-s1", kept / "kept")
    assert found.verdict == "too few seeds to say"  # its own folder does not count
    assert found.seeds == [0, 2]


def test_a_folder_that_is_no_run_and_a_run_without_kin_end_in_one_line(kept, tmp_path):
    """A wrong folder must not end in a traceback."""
    mine = kept / "mine/stage2/cnn-uniform-k10-s3"
    assert "not a run's folder" in one_line_error(rbc("compare", tmp_path))
    assert "is kept below" in one_line_error(rbc("compare", mine, "--reference", tmp_path))
