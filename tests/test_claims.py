"""Verdicts: by what rule, from which runs, and that they follow the predictions."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from conftest import one_line_error, rbc

from rbc import ROOT, RbcError, claims, metrics, profiles, runs
from rbc.study import Study

RELEASED = runs.REFERENCE / "released"
CHANGED = "stage1/crnn-uniform-k50-s0"
NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def listed() -> list[claims.Claim]:
    return claims.load()[1]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, claims.Verdict]:
    return judged(RELEASED)


@pytest.fixture
def copied(tmp_path) -> Path:
    return Path(shutil.copytree(RELEASED, tmp_path / "released"))


def judged(folder: Path, only: tuple[str, ...] = ()) -> dict[str, claims.Verdict]:
    tolerance, listed = claims.load()
    own = Study(profiles.load("released"), folder, NOWHERE)
    return {c.id: claims.judge(c, own, tolerance) for c in listed if not only or c.rule.kind in only}


def rewrite(run: Path, change) -> None:
    table = pd.read_parquet(run / "predictions.parquet")
    table.assign(probability=change(table["probability"])).to_parquet(run / "predictions.parquet", index=False)


def test_the_list_holds_every_number_of_the_tables_and_forty_sentences(listed):
    tables = Counter(c.id.partition("-")[0] for c in listed)
    assert (tables["table2"], tables["table3"], tables["table4"], tables["table5"]) == (9, 64, 64, 18)
    sentences = [c for c in listed if not c.id.startswith(("table", "test_results"))]
    assert len(sentences) >= 40 and all(c.place and c.says for c in listed)
    assert {c.rule.kind for c in listed} == set(claims.JUDGES)


def test_sixty_claims_are_computed_on_the_released_sample(verdicts):
    counts = claims.counts(verdicts)
    assert sum(counts[v] for v in claims.VERDICTS[:4]) >= 60
    assert sum(counts.values()) == len(verdicts) and counts["not yet run"] == 0
    assert all(v.found and v.verdict in claims.VERDICTS for v in verdicts.values())
    assert all(v.evidence for v in verdicts.values() if v.verdict in claims.VERDICTS[:4])


@pytest.mark.parametrize(
    ("relation", "difference", "error", "verdict"),
    [
        ("printed", 0.034, 0.0004, claims.REPRODUCED),  # margin and half a digit
        ("printed", 0.036, 0.0004, claims.DIFFERS),
        ("printed", 0.0, 0.02, claims.NOISE),  # equal, but the interval leaves the margin
        ("printed", -0.2, 0.11, claims.NOISE),
        ("alike", -0.02, 0.004, claims.REPRODUCED),  # surely different, surely by less than the margin
        ("alike", 0.05, 0.01, claims.DIFFERS),
        ("alike", 0.05, 0.05, claims.NOISE),
        ("greater", 0.05, 0.02, claims.REPRODUCED),
        ("greater", 0.05, 0.03, claims.NOISE),
        ("greater", 0.0, 0.0, claims.NOISE),
        ("greater", -0.05, 0.02, claims.DIFFERS),
        ("no worse", -0.01, 0.005, claims.REPRODUCED),
        ("no worse", -0.05, 0.005, claims.DIFFERS),
        ("no worse", -0.02, 0.02, claims.NOISE),
    ],
)
def test_a_difference_is_decided_by_its_interval(relation, difference, error, verdict):
    assert claims.decide(relation, difference, error, margin=0.03, z=1.96) == verdict


def test_verdicts_follow_the_predictions_of_their_runs_and_of_no_others(copied, listed, verdicts):
    rewrite(copied / CHANGED, lambda p: 1 - p)
    after = judged(copied)
    resting = {name for name, v in verdicts.items() if f"run: {CHANGED}" in v.evidence}
    changed = {name for name in verdicts if after[name] != verdicts[name]}
    assert changed <= resting
    best = {c.id for c in listed if c.rule.kind == "order" and c.rule.left.take == "best"}
    assert resting - changed <= best  # of several cells another one may be the best before and after
    turned = {name for name in resting if after[name].verdict != verdicts[name].verdict}
    assert {"test_results-stage1-recall", "reliable-not-missed", "stage1-easier"} <= turned


def test_a_score_is_that_of_the_predictions_at_the_papers_share(verdicts):
    answers = runs.predictions(RELEASED, CHANGED).query("split == 'test'")
    c = metrics.confusion(answers, 1)
    assert verdicts["test_results-stage1-recall"].numbers["ours"] == pytest.approx(c.recall)
    again = metrics.reweighted(c, 1839 / 54654)
    for score in ("precision", "f1", "accuracy"):
        assert verdicts[f"test_results-stage1-{score}"].numbers["ours"] == pytest.approx(again[score])
    assert verdicts["cleaning-by-hand"].numbers["right"] == pytest.approx(again["precision"])


def test_a_printed_number_that_cannot_be_is_contradicted_and_still_compared(verdicts):
    v = verdicts["table3-cnn-similarity-k20-accuracy"]  # 0.99, where precision and recall allow 0.93
    assert v.verdict == claims.CONTRADICTED and v.comparison in claims.VERDICTS[:3] and v.numbers["printed"] == 0.99
    assert verdicts["table3-cnn-similarity-k20-recall"].verdict != claims.CONTRADICTED  # its row fails by the accuracy
    assert verdicts["table5-p1-a4-ground_truth"].verdict == claims.CONTRADICTED  # no number of 212 cells is 92.4 %


def test_simulated_cells_decide_nothing(copied):
    about = json.loads((copied / "dataset.json").read_text())
    (copied / "dataset.json").write_text(json.dumps(about | {"simulated": True}))
    for name, v in judged(copied).items():
        assert v.comparison is None and not v.numbers, name
        assert v.verdict in (claims.UNTESTABLE, claims.CONTRADICTED) or v.evidence[0].startswith("audit"), name


def test_what_is_planned_is_not_yet_run_and_what_the_data_lacks_is_not_testable(copied):
    shutil.rmtree(copied / CHANGED)
    after = judged(copied, only=("score",))
    assert after["test_results-stage1-recall"].verdict == claims.NOT_RUN
    assert after["table4-crnn-uniform-k10-f1"].verdict == claims.UNTESTABLE
    assert "not possible with this data" in after["table4-crnn-uniform-k10-f1"].found
    for folder in copied.glob("stage?"):
        shutil.rmtree(folder)
    assert {v.verdict for v in judged(copied, only=("order",)).values()} <= {claims.NOT_RUN, claims.UNTESTABLE}


def test_moving_the_tolerance_moves_verdicts_and_the_written_one_gives_those_of_the_page(verdicts):
    tolerance, _ = claims.load()
    said = Counter(v.comparison for v in verdicts.values() if v.comparison)
    assert Counter(claims.moved(verdicts, tolerance.margin, tolerance.z)) == said
    assert claims.moved(verdicts, 2.0, 0.0)["differs"] < said["differs"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("margin: 0.03", "margins: 0.03", "tolerance.margin"),
        ("{kind: audit, key: crossing}", "{kind: audit, key: crosing}", "rule.audit.key"),
        ("id: crisis", "id: controls", "controls is there twice"),
        ("measure: longest,", "measure: widest,", "unknown measure"),
    ],
)
def test_a_mistake_in_the_list_is_named(tmp_path, old, new, named):
    text = (ROOT / "data" / "claims.yaml").read_text()
    assert old in text
    (tmp_path / "claims.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(RbcError, match=named):
        claims.load(tmp_path / "claims.yaml")


def test_the_command_answers_in_json_and_names_a_folder_without_results(tmp_path, verdicts):
    answer = json.loads(rbc("claims", "--profile", "released", "--json").stdout)
    assert [c["id"] for c in answer["claims"]] == list(verdicts)
    said = Counter(c["verdict"] for c in answer["claims"])
    assert answer["counts"] == {name: said[name] for name in claims.VERDICTS}
    assert "no results there" in one_line_error(rbc("claims", "--results", tmp_path))
