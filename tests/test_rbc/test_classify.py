import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from compendium import runs
from compendium.data import ingest
from rbc import RbcError, metrics
from rbc.bench import classify
from rbc.paper import in_stage


@pytest.fixture(scope="module")
def answers(cells) -> pd.DataFrame:
    return classify.classify(cells)


def test_every_sequence_has_one_record_whose_decision_follows_from_its_numbers(cells, answers):
    """The word must follow from the numbers beside it."""
    stages = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))["stages"]
    assert answers["name"].tolist() == cells.index["name"].tolist()
    assert (
        answers[["reliable", "flipping"]].to_numpy().min() >= 0 and answers["flipping"].max() <= 1
    )
    first, second = (answers[f"{name}_margin"] for name in ("reliable", "flipping"))
    open_1, open_2 = (abs(m) < stages[s]["unsure_within"] for m, s in ((first, "1"), (second, "2")))
    assert ((answers["decision"] == "unsure") == (open_1 | (~open_1 & (first >= 0) & open_2))).all()
    assert ((answers["decision"] == "unreliable") == (~open_1 & (first < 0))).all()
    assert (second[answers["decision"] == "flipping"] > 0).all() and len(
        answers["decision"].unique()
    ) > 1


def test_neither_names_nor_labels_nor_the_others_change_an_answer(cells, answers):
    """A cell is judged by its own frames alone."""
    chosen = np.arange(len(cells)) % 3 == 1
    part = cells.select(chosen)
    part = classify.Sequences(
        part.frames, part.index.assign(name=[f"x{i}" for i in range(len(part))]), part.meta
    )
    part.index["label"] = "unlabelled"
    found = classify.classify(part)
    numbers = ["reliable", "flipping", "reliable_margin", "flipping_margin"]
    np.testing.assert_allclose(found[numbers], answers.loc[chosen, numbers], atol=1e-4)
    assert classify.classify(cells.select(np.zeros(len(cells), bool))).empty


def test_a_member_does_not_judge_what_it_has_seen():
    """Answers on known acquisitions must stay honest."""
    judges = classify._judges(pd.Series(["a", "b", "c", "new"]), [["a", "b"], ["b", "c"], ["b"]])
    assert judges.T.tolist() == [[False, True, True], [True] * 3, [True, False, True], [True] * 3]


def test_the_kept_figures_are_those_of_the_shipped_weights(released_sample):
    """Figures of other weights would praise the wrong models."""
    cells = ingest.strips(released_sample / "Stage_1" / "test")
    found = classify.classify(cells).assign(label=cells.index["label"])
    kept = json.loads((runs.REFERENCE / "ours" / "shipped.json").read_text(encoding="utf-8"))
    for stage, name in ((1, "reliable"), (2, "flipping")):
        own = found[in_stage(found["label"], stage)]
        own = own.assign(probability=expit(own[f"{name}_margin"]))
        scores = {s["score"]: s["mean"] for s in kept[stage - 1]["scores"]}
        called = metrics.confusion(own, stage)
        # one cell, for another processor's rounding
        assert called.recall == pytest.approx(scores["recall"], abs=0.02)
        assert called.specificity == pytest.approx(scores["specificity"], abs=0.02)
        assert (
            metrics.auc(own, stage) == pytest.approx(scores["auc"], abs=0.005)
            and scores["auc"] > 0.95
        )


@pytest.mark.parametrize(
    "file", ["models.json", "known.json", "stage1.safetensors", "stage2.safetensors", "SHA256SUMS"]
)
@pytest.mark.parametrize("damage", ["one bit", "cut", "gone"])
def test_models_that_are_not_as_listed_judge_nothing(cells, tmp_path, file, damage):
    """A flipped bit in a weight gives another answer and no error; a cut file gave a traceback."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    data = bytearray((models / file).read_bytes())
    data[-9] ^= 1
    if damage == "gone":
        (models / file).unlink()
    else:
        (models / file).write_bytes(data if damage == "one bit" else data[: len(data) // 2])
    with pytest.raises(RbcError, match="SHA256SUMS") as told:
        classify.classify(cells, models)
    assert len(str(told.value).splitlines()) == 1


def test_the_advice_of_the_refusal_makes_a_folder_that_is_taken(cells, tmp_path):
    """A list by ``sha256sum *``, also where an older list lies there and is listed itself."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    subprocess.run("sha256sum * > SHA256SUMS", shell=True, cwd=models, check=True)
    assert "  SHA256SUMS" in (models / "SHA256SUMS").read_text(encoding="utf-8")
    assert len(classify.classify(cells, models)) == len(cells)
