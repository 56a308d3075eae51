"""The shipped models for another microscope: what labelled cells teach, and what they do not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, rbc

from compendium.data import ingest
from rbc import RbcError, simulate
from rbc.bench import adapt, analyze, classify
from rbc.simulate import movies

SHIPPED = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))["stages"]


def scored(shift: float, acquisitions: int = 6, cells: int = 40, seed: int = 0) -> pd.DataFrame:
    """Made-up scores of stage 2: both classes apart around the shipped threshold, then shifted as
    another light would shift them all.
    """
    rng, shipped = np.random.default_rng(seed), SHIPPED["2"]
    rows = []
    for a in range(acquisitions):
        for label, side in (("tank-treading", -1), ("flipping", 1)):
            middle = shipped["threshold"] + 3 * side + shift
            rows += [(f"A{a}_1", label, rng.normal(middle, 1)) for _ in range(cells // 2)]
    table = pd.DataFrame(rows, columns=["acquisition", "label", "log odds"])
    for kind, about in shipped["kinds"].items():
        table[f"2 {kind}"] = (table["log odds"] - about["offset"]) / about["slope"]
    return table.assign(name=[f"c{i}" for i in range(len(table))])


@pytest.mark.parametrize("shift", [-4.0, 4.0])
def test_scores_that_another_light_shifts_get_thresholds_of_their_own(shift):
    """This is what adapting is for: the shipped threshold then calls nearly all cells alike."""
    learned = adapt._learn(scored(shift), 2, SHIPPED["2"])
    assert learned.adapted and learned.missing == []
    assert learned.compared["own"] > 0.9 > learned.compared["shipped"] + 0.2
    moved = adapt._margins(scored(shift, seed=1), 2, learned.specification)
    truth = scored(shift, seed=1)["label"] == "flipping"
    assert ((moved >= 0) == truth).mean() > 0.9


def test_scores_as_the_models_know_them_keep_the_shipped_thresholds():
    """A threshold that is not better by more than chance would only add chance."""
    learned = adapt._learn(scored(0.0), 2, SHIPPED["2"])
    assert not learned.adapted and learned.specification == SHIPPED["2"]
    assert learned.compared["low"] <= 0


def test_a_kind_of_model_that_fails_on_the_new_microscope_counts_for_little():
    """One kind may stand on looks that another camera does not have: then the other must decide."""
    table, other = scored(0.0), scored(0.0, seed=1)
    noise = np.random.default_rng(5)
    for made in (table, other):
        made["2 frames"] = noise.normal(
            made["2 frames"].mean(), 5 * made["2 frames"].std(), len(made)
        )
    learned = adapt._learn(table, 2, SHIPPED["2"])
    truth = other["label"] == "flipping"
    own = (adapt._margins(other, 2, learned.specification) >= 0) == truth
    shipped = (adapt._margins(other, 2, SHIPPED["2"]) >= 0) == truth
    assert learned.adapted and own.mean() > 0.9 > shipped.mean() + 0.1


def test_with_fewer_cells_the_kinds_count_alike():
    """Weights from a few dozen cells would follow their chance."""
    few = adapt._fitted(scored(4.0, cells=25), 2, SHIPPED["2"])
    assert 60 <= 6 * (25 // 2) < 100  # of each class: calibrated, but not weighed
    parts = [about["slope"] * 1.0 + about["offset"] for about in few["kinds"].values()]
    assert len(set(parts)) == len(parts)
    same = adapt._fitted(scored(4.0, cells=9), 2, SHIPPED["2"])
    assert same["kinds"] == SHIPPED["2"]["kinds"]


@pytest.mark.parametrize(
    ("acquisitions", "cells", "missing"),
    [
        (6, 2, ["14 more flipping cells", "14 more tank-treading cells"]),
        (2, 40, ["movies of 1 more blood draws"]),
        (1, 10, ["15 more flipping cells", "15 more tank-treading cells",
                 "movies of 2 more blood draws"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(acquisitions, cells, missing):
    """Who labels must know how far to go."""
    learned = adapt._learn(scored(4.0, acquisitions, cells), 2, SHIPPED["2"])
    assert learned.missing == missing and not learned.adapted


def test_left_out_means_left_out():
    """A blood draw whose scores are like no other must not set its own threshold, by no other
    acquisition of the same draw either.
    """
    odd = scored(0.0, acquisitions=4)
    odd.loc[odd["acquisition"] == "A0_1", ["2 focus", "2 frames"]] += 20.0
    sister = odd["acquisition"] == "A0_1"
    sister &= np.arange(len(odd)) % 2 == 0
    odd["acquisition"] = odd["acquisition"].where(~sister, "A0_2")
    stages = {2: adapt.Stage(SHIPPED["2"], {}, [], adapted=True)}
    sure = scored(0.0, acquisitions=4).assign(**{"1 focus": 50.0})
    stages[1] = adapt.Stage(SHIPPED["1"], {}, [], adapted=False)
    answers = adapt._left_out_answers(odd.assign(**{"1 focus": sure["1 focus"]}), stages)
    own = answers[answers["acquisition"].str.startswith("A0")]
    assert (own["answer"] == "flipping").all()
    rest = answers[~answers["acquisition"].str.startswith("A0")]
    called = rest[rest["answer"] != "discarded"]
    assert len(called) > 0.5 * len(rest)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of a simulated movie, every cell of it but one labelled by the operator."""
    folder = tmp_path_factory.mktemp("adapt")
    part = {"tank-treading": 30, "flipping": 20, "unreliable": 4}
    cells = simulate.sequences({"test": part}, seed=1)
    scene = movies.Scene(shape=(240, 320), cells=8, seed=3)
    movies.write(folder / "AA1001_1.avi", movies.sprites(cells, scene)[0], 60.0, "raw")
    (folder / "BB1002_1.avi").write_bytes((folder / "AA1001_1.avi").read_bytes())
    options = ("--um-per-px", 0.6, "--threads", 1)
    made = rbc("analyze", folder / "AA1001_1.avi", "--out", folder / "report", *options)
    assert made.returncode == 0, made.stderr
    cells = pd.read_csv(folder / "report" / "cells.csv", keep_default_na=False)
    cells = cells[cells["continues"] == ""].reset_index(drop=True)  # those that the page shows
    after = cells["decision"].where(cells.index > 0, "unsure")  # one cell nobody can tell
    after = after.where(cells.index < 1, after.replace("unsure", "unreliable"))
    table = pd.DataFrame({"name": cells["name"], "before": cells["decision"], "after": after})
    table.to_csv(folder / "report" / analyze.CORRECTIONS, index=False)
    return folder


def test_a_corrected_report_becomes_models_that_analyze_takes(report):
    """The whole way of a biologist: look, correct, adapt, and judge the next movie."""
    made = rbc("adapt", report / "report", "--out", report / "mine", "--json")
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert said["acquisitions"] == 1 and all(said["stages"][s]["missing"] for s in ("1", "2"))
    known = json.loads((report / "mine" / "known.json").read_text(encoding="utf-8"))
    assert known["simulated"] and sum(row["n"] for row in known["answers"]) == sum(
        said["cells"].values()
    )
    card = (report / "mine" / "card.md").read_text(encoding="utf-8")
    assert "Thresholds as shipped" in card and "2 more blood draws" in card
    options = ("--um-per-px", 0.6, "--threads", 1, "--models", report / "mine", "--json")
    other = rbc("analyze", report / "BB1002_1.avi", "--out", report / "next", *options)
    assert other.returncode == 0, other.stderr
    assert json.loads(other.stdout)["known_acquisitions"] == 1
    # The movie that taught the errors must not be judged with them.
    own = rbc("analyze", report / "AA1001_1.avi", "--out", report / "again", *options)
    assert "no cells to estimate from" in one_line_error(own)


def test_what_cannot_teach_is_refused(report, tmp_path, cells):
    """Nothing is written where there is nothing to learn from."""

    def refused(*folders) -> str:
        return one_line_error(rbc("adapt", *folders, "--out", tmp_path / "mine"))

    assert "neither sequences nor a report" in refused(tmp_path)
    assert "given twice" in refused(report / "report", report / "report")
    replace(cells, index=cells.index.assign(label="unlabelled")).save(tmp_path / "unlabelled")
    assert "no cell in it has a label" in refused(tmp_path / "unlabelled")
    cells.select((cells.index["label"] != "flipping").to_numpy()).save(tmp_path / "one kind")
    assert "no labelled cell is flipping" in refused(tmp_path / "one kind")
    assert not (tmp_path / "mine").exists()
    shutil.copytree(report / "report", tmp_path / "half")
    file = tmp_path / "half" / analyze.CORRECTIONS
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[: len(lines) // 2]), encoding="utf-8")
    assert "were not looked at" in refused(tmp_path / "half")
    assert not (tmp_path / "mine").exists()
    with pytest.raises(RbcError, match=r"no corrections\.csv in it"):
        adapt.labelled(_without_corrections(report, tmp_path))


def _without_corrections(report, tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "marker.json").write_text("{}", encoding="utf-8")
    return folder


def test_on_the_released_sample_own_thresholds_are_not_better(released_sample, tmp_path):
    """Measured on real cells (not blind: the shipped thresholds were set on them)."""
    said = adapt.adapt([ingest.read(released_sample)], tmp_path / "mine")
    assert sum(said["cells"].values()) == 553 and said["acquisitions"] == 29
    for about in said["stages"].values():
        assert not about["adapted"] and about["compared"]["low"] <= 0 <= about["compared"]["high"]
        assert min(about["compared"]["own"], about["compared"]["shipped"]) > 0.9
    shipped = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))
    mine = json.loads((tmp_path / "mine" / "models.json").read_text(encoding="utf-8"))
    assert mine["stages"] == shipped["stages"]
    assert analyze.read_known(tmp_path / "mine")["looks"].keys() == analyze.BEYOND.keys()
