"""Verdicts: by what rule, from which runs, and that they follow the predictions."""

import json
import shutil
from collections import Counter
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, rbc

from compendium import ROOT, profiles, runs
from compendium.evidence import claims, decisions
from compendium.evidence import verdicts as kept_verdicts
from compendium.evidence.rules import GROUPS, RULES, data
from compendium.evidence.study import Study
from rbc import RbcError, metrics

RELEASED = runs.REFERENCE / "released"
CHANGED = "stage1/crnn-uniform-k50-s0"
NOWHERE = Path("nowhere")
HALF_DIGIT = 0.005


@pytest.fixture(scope="module")
def listed() -> list[claims.Claim]:
    return claims.load()[1]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, decisions.Verdict]:
    return judged(RELEASED)


@pytest.fixture
def copied(tmp_path) -> Path:
    return Path(shutil.copytree(RELEASED, tmp_path / "released"))


def judged(folder: Path, only: tuple[str, ...] = ()) -> dict[str, decisions.Verdict]:
    tolerance, listed = claims.load()
    own = Study(profiles.load("released"), folder, NOWHERE)
    return {
        c.id: c.rule.evaluate(own, tolerance) for c in listed if not only or c.rule.kind in only
    }


def rewrite(run: Path, change) -> None:
    table = pd.read_parquet(run / "predictions.parquet")
    table.assign(probability=change(table["probability"])).to_parquet(
        run / "predictions.parquet", index=False
    )


def test_the_list_holds_every_number_of_the_tables_and_forty_sentences(listed):
    """A number left out would never be judged."""
    tables = Counter(c.id.partition("-")[0] for c in listed)
    assert (tables["table2"], tables["table3"], tables["table4"], tables["table5"]) == (
        9,
        64,
        64,
        9,
    )
    assert (tables["rows"], tables["by"]) == (32, 9)
    sentences = [
        c for c in listed if not c.id.startswith(("table", "rows", "by-hand", "test_results"))
    ]
    assert len(sentences) >= 40 and all(c.place and c.says for c in listed)
    assert {c.rule.kind for c in listed} == set(RULES)
    assert {rule.group for rule in RULES.values()} == set(GROUPS)


def test_every_claim_has_a_verdict_with_its_reason_and_what_it_rests_on(listed, verdicts):
    """No verdict stands without words, and none that decides something without its evidence."""
    assert list(verdicts) == [c.id for c in listed]
    assert all(v.found and v.verdict in decisions.VERDICTS for v in verdicts.values())
    open_ = (decisions.UNTESTABLE, decisions.NOT_RUN)
    assert all(v.evidence for v in verdicts.values() if v.verdict not in open_)
    assert all(bool(v.readings) == (v.verdict == decisions.READING) for v in verdicts.values())
    assert all(len(v.readings) > 1 for v in verdicts.values() if v.readings)


def test_no_printed_score_is_accused_and_a_row_is_one_claim(listed, verdicts):
    """Four scores that exclude each other are one finding: nothing tells which of them is meant
    otherwise.
    """
    group = {c.id: c.group for c in listed}
    accused = {name for name, v in verdicts.items() if v.verdict == decisions.CONTRADICTED}
    assert {group[name] for name in accused} == {"arithmetic"}
    rows = {c.id: verdicts[c.id].verdict for c in listed if c.rule.kind == "row"}
    # possible as one model; as a mean of runs only (all ten impossible ones of Table 4 among them);
    # as neither
    assert Counter(rows.values()) == {
        decisions.HOLDS: 9,
        decisions.READING: 17,
        decisions.CONTRADICTED: 6,
    }
    assert all(
        verdicts[name].verdict != decisions.CONTRADICTED for name in rows if "table4" in name
    )


def test_what_the_referee_called_agreeing_in_part_depends_on_the_reading(verdicts):
    """A statement that is true in one reading is not called contradicted (five were)."""
    names = (
        "majority",
        "d-sampling-by-tables",
        "ratios-true",
        "cells-per-video",
        "field-crossed",
        "d-fraction-close",
    )
    assert {verdicts[name].verdict for name in names} == {decisions.READING}


def test_the_background_is_shown_and_not_judged(verdicts):
    """A grey level above 0 does not say that the background was left in: an offset is needed to
    show it at all.
    """
    v = verdicts["background-removed"]
    assert v.verdict == decisions.UNTESTABLE and v.evidence == ("check: grey levels",)
    low, high, spread = v.numbers.values()
    assert 50 < low < high < 200 and 0 < spread < 5


def test_a_score_of_the_test_split_that_no_matrix_has_is_contradicted_alone(listed):
    """The text speaks of one model there; of the validation split a mean of runs could have any
    score.
    """
    tolerance, _ = claims.load()
    own = Study(profiles.load("released"), RELEASED, NOWHERE)
    claim = next(c for c in listed if c.id == "test_results-stage2-recall")
    # of 125 flipping sequences 0.94 is 117 or 118, and every hundredth has some; of 744 reliable
    # ones too
    assert claim.rule.evaluate(own, tolerance).verdict != decisions.CONTRADICTED
    never = claim.rule.model_copy(update={"score": "recall", "printed": 1.2})
    assert never.evaluate(own, tolerance).verdict == decisions.CONTRADICTED


def difference(
    value: float, cells: float = 0.0, seeds: float = 0.0, one_more: float | None = None
) -> decisions.Difference:
    return decisions.Difference(value, cells, seeds, 4, seeds if one_more is None else one_more)


@pytest.mark.parametrize(
    ("relation", "value", "error", "verdict"),
    [
        ("reported", 0.034, 0.0004, decisions.REPRODUCED),  # margin and half a digit
        ("reported", 0.036, 0.0004, decisions.DIFFERS),
        # surely not equal, perhaps inside the margin
        ("reported", 0.034, 0.004, decisions.UNRESOLVED),
        ("reported", 0.0, 0.02, decisions.UNRESOLVED),  # equal, but the interval leaves the margin
        ("reported", -0.2, 0.11, decisions.UNRESOLVED),
        # surely different, surely by less than the margin
        ("alike", -0.02, 0.004, decisions.REPRODUCED),
        ("alike", 0.05, 0.005, decisions.DIFFERS),
        ("alike", 0.05, 0.05, decisions.UNRESOLVED),
        ("greater", 0.05, 0.02, decisions.REPRODUCED),
        ("greater", 0.05, 0.03, decisions.UNRESOLVED),
        ("greater", 0.0, 0.0, decisions.UNRESOLVED),
        ("greater", -0.05, 0.02, decisions.DIFFERS),
        ("no worse", -0.01, 0.005, decisions.REPRODUCED),
        ("no worse", -0.05, 0.005, decisions.DIFFERS),
        ("no worse", -0.02, 0.02, decisions.UNRESOLVED),
    ],
)
def test_a_difference_is_decided_by_its_interval(relation, value, error, verdict):
    """Each relation, inside, outside and across its edge."""
    assert (
        decisions.decide(
            relation, difference(value, error), 0.03, 1.96, HALF_DIGIT * (relation == "reported")
        )
        == verdict
    )


def test_a_spread_over_seeds_that_is_not_known_is_not_zero():
    """Whatever the difference, a spread of nan concludes nothing, and one of 0 does."""
    for relation, value in product(("reported", "alike", "greater", "no worse"), (-0.5, 0.0, 0.5)):
        assert (
            decisions.decide(relation, difference(value, seeds=np.nan), 0.03, 1.96)
            == decisions.UNRESOLVED
        )
    assert decisions.decide("greater", difference(0.5), 0.03, 1.96) == decisions.REPRODUCED


def test_few_seeds_widen_an_interval_by_students_t():
    """Five seeds leave four degrees of freedom: 2.776 standard errors, not 1.96."""
    assert difference(0, seeds=0.01).reach(1.959964) == pytest.approx(0.02776, rel=1e-3)
    assert difference(0, cells=0.01).reach(1.96) == pytest.approx(0.0196)


def test_a_printed_score_differs_only_from_what_one_more_run_would_print():
    """It is one run's: our mean may be surely elsewhere, and one run of ours still there."""
    sure = difference(0.08, seeds=0.01)
    assert decisions.decide("reported", sure, 0.03, 1.96, HALF_DIGIT) == decisions.DIFFERS
    scattered = difference(0.08, seeds=0.01, one_more=0.024)
    assert decisions.decide("reported", scattered, 0.03, 1.96, HALF_DIGIT) == decisions.UNRESOLVED


def test_the_best_of_many_is_not_favoured_over_the_best_of_few():
    """Sixteen cells that are all alike but for noise: hardly ever is a best one said to be
    reproduced or to differ.
    """
    rng, said = np.random.default_rng(0), []
    for _ in range(300):
        scores = rng.normal(0, 0.02, 16)
        error = 0.02 * 2**0.5
        pairs = tuple(tuple(difference(a - b, error) for b in scores[2:]) for a in scores[:2])
        said.append(decisions.Comparison("greater", pairs).verdict(0.03, 1.96))
    assert said.count(decisions.REPRODUCED) < 0.05 * len(said) and said.count(
        decisions.DIFFERS
    ) < 0.05 * len(said)
    # comparing the two best instead would favour the side of fourteen
    scores = rng.normal(0, 0.02, (2000, 16))
    assert (scores[:, :2].max(axis=1) < scores[:, 2:].max(axis=1)).mean() > 0.8


def test_a_best_cell_that_beats_every_other_is_found():
    """The correction takes no power from a clear winner, on either side."""
    ahead = tuple(tuple(difference(a - b, 0.01) for b in (0.5, 0.6, 0.7)) for a in (0.2, 0.9))
    assert decisions.Comparison("greater", ahead).verdict(0.03, 1.96) == decisions.REPRODUCED
    behind = tuple(tuple(difference(a - b, 0.01) for b in (0.5, 0.6, 0.95)) for a in (0.2, 0.3))
    assert decisions.Comparison("greater", behind).verdict(0.03, 1.96) == decisions.DIFFERS


def test_models_that_learned_little_decide_no_comparison(verdicts):
    """F1 of 0.49 against 0.24 is above 0 by more than its interval would be; neither model is near
    the paper's.
    """
    own = Study(profiles.load("released"), RELEASED)
    tolerance, listed = claims.load()
    v = next(c for c in listed if c.id == "s2-k20-over-k10-cnn").rule.evaluate(own, tolerance)
    assert (
        v.verdict == decisions.UNRESOLVED and v.compared is None and "nearer to chance" in v.found
    )


@pytest.mark.parametrize(
    ("compare", "value", "found", "moves", "verdict"),
    [
        ("<=", 70, 60, "up", None),  # more sequences may bring a longer one
        ("<=", 70, 71, "up", False),
        (">", 100, 141, "up", True),
        (">", 100, 90, "up", None),
        (">=", 6, 7, "down", None),
        (">=", 6, 5, "down", False),
        ("=", 4, 4, "up", None),
        ("=", 4, 5, "up", False),
        ("<", 40, 90, "either", None),
    ],
)
def test_a_part_of_the_record_decides_only_what_more_cannot_change(
    compare, value, found, moves, verdict
):
    """A maximum of a part is at most that of the whole; the whole record decides everything."""
    rule = data.Data(measure="longest", compare=compare, value=value)
    assert rule.holds_of_whole(found, moves, whole=False) is verdict
    assert rule.holds_of_whole(found, moves, whole=True) is bool(
        data.COMPARE[compare](found, value)
    )


def test_verdicts_follow_the_predictions_of_their_runs_and_of_no_others(copied, listed, verdicts):
    """A verdict must move when its evidence moves, and only then."""
    rewrite(copied / CHANGED, lambda p: 1 - p)
    after = judged(copied)
    resting = {name for name, v in verdicts.items() if f"run: {CHANGED}" in v.evidence}
    told = ("verdict", "found", "numbers")
    changed = {
        n for n in verdicts if any(getattr(after[n], x) != getattr(verdicts[n], x) for x in told)
    }
    assert changed <= resting
    assert resting == changed and "test_results-stage1-recall" in changed


def test_a_score_is_that_of_the_predictions_at_the_papers_share(verdicts):
    """Scores at different shares of positives must not be compared."""
    answers = runs.predictions(RELEASED, CHANGED).query("split == 'test'")
    c = metrics.confusion(answers, 1)
    assert verdicts["test_results-stage1-recall"].numbers["ours"] == pytest.approx(c.recall)
    again = metrics.reweighted(c, 1839 / 54654)
    for score in ("precision", "f1", "accuracy"):
        assert verdicts[f"test_results-stage1-{score}"].numbers["ours"] == pytest.approx(
            again[score]
        )
    assert verdicts["cleaning-by-hand"].numbers["right"] == pytest.approx(again["precision"])


def test_a_score_of_an_impossible_row_is_compared_and_its_row_named(verdicts):
    """Accuracy 0.99, where precision and recall allow 0.93: the score stands beside ours, the row
    is another claim.
    """
    v = verdicts["table3-cnn-similarity-k20-accuracy"]
    assert v.numbers["reported"] == 0.99 and "row cannot be one model" in v.found
    assert "audit: table3 cnn similarity K = 20" in v.evidence
    assert verdicts["rows-table3-cnn-similarity-k20"].verdict == decisions.CONTRADICTED


def test_simulated_cells_decide_nothing(copied):
    """Simulation must not speak about the paper's cells."""
    about = json.loads((copied / "dataset.json").read_text(encoding="utf-8"))
    (copied / "dataset.json").write_text(json.dumps(about | {"simulated": True}), encoding="utf-8")
    for name, v in judged(copied).items():
        assert v.compared is None, name
        assert v.verdict == decisions.UNTESTABLE or v.evidence[0].startswith("audit"), name


def test_what_is_planned_is_not_yet_run_and_what_the_data_lacks_is_not_testable(copied):
    """Missing evidence is not evidence against."""
    shutil.rmtree(copied / CHANGED)
    after = judged(copied, only=("score",))
    assert after["test_results-stage1-recall"].verdict == decisions.NOT_RUN
    assert after["table4-crnn-uniform-k10-f1"].verdict == decisions.UNTESTABLE
    assert "not possible with this data" in after["table4-crnn-uniform-k10-f1"].found
    for folder in copied.glob("stage?"):
        shutil.rmtree(folder)
    assert {v.verdict for v in judged(copied, only=("order",)).values()} <= {
        decisions.NOT_RUN,
        decisions.UNTESTABLE,
    }


def test_cells_of_few_blood_draws_give_a_verdict_on_these_cells_only(listed, monkeypatch):
    """Three draws do not tell how far a fourth would be: the paper must not be said to differ. What
    the tested cells exclude is said of them; with enough draws the usual rule decides.
    """
    tolerance, _ = claims.load()
    scores = [c for c in listed if c.rule.kind == "score"]
    own = Study(profiles.load("released"), RELEASED)
    found = {c.id: c.rule.evaluate(own, tolerance) for c in scores}
    beside = {name: v for name, v in found.items() if "blood draws" in v.numbers}
    assert len(beside) > 50
    here = {decisions.ALLOWED_HERE, decisions.EXCLUDED_HERE}
    assert {v.verdict for v in beside.values()} == here
    rules = {c.id: c.rule for c in scores}
    for name, v in beside.items():
        assert not v.compared and "On these" in v.found
        edge = tolerance.margin + HALF_DIGIT
        low, high = (v.numbers[f"{end} on these cells"] for end in ("low", "high"))
        reached = low - edge <= rules[name].printed <= high + edge
        assert reached == (v.verdict == decisions.ALLOWED_HERE)
        assert low - 1e-9 <= v.numbers["ours"] <= high + 1e-9
    # by hand: 46 of 64 flipping cells, Wilson
    recall = beside["test_results-stage2-recall"]
    part = round(recall.numbers["ours"] * recall.numbers["positive cells"])
    ends = metrics.wilson(part, recall.numbers["positive cells"])
    assert [recall.numbers[f"{end} on these cells"] for end in ("low", "high")] == list(ends)
    # With enough draws the usual rule decides, and moving the tolerance moves its verdicts.
    monkeypatch.setattr(metrics, "FEWEST_DRAWS", 1)
    again = kept_verdicts.evaluate(own)
    said = Counter(v.verdict for v in again.by_id.values() if v.compared)
    assert not here & {v.verdict for v in again.by_id.values()}
    assert Counter(again.at(tolerance.margin, tolerance.z)) == said
    assert again.at(2.0, tolerance.z)["differs"] == 0 < said["differs"]


def test_kept_verdicts_are_those_evaluated_and_follow_their_runs(copied, verdicts):
    """Pages read the file: it must say what the rules say, and be made anew where a run is another
    or a prediction changed, and only then.
    """
    profile = profiles.load("released")
    path = kept_verdicts.make(profile, copied)
    kept = kept_verdicts.read(copied)
    evaluated = kept_verdicts.evaluate(Study(profile, copied))
    assert json.loads(json.dumps(evaluated.records())) == json.loads(json.dumps(kept.records()))
    assert kept.by_group() == evaluated.by_group() and kept.at(0.1, 1.5) == evaluated.at(0.1, 1.5)
    assert "NaN" not in path.read_text(encoding="utf-8")
    before = path.stat().st_mtime_ns
    assert kept_verdicts.make(profile, copied).stat().st_mtime_ns == before
    rewrite(copied / CHANGED, lambda p: 1 - p)
    kept_verdicts.make(profile, copied)
    after = kept_verdicts.read(copied)
    name = "test_results-stage1-recall"
    assert after.by_id[name].numbers["ours"] != kept.by_id[name].numbers["ours"]
    with pytest.raises(RbcError, match="no verdicts are kept"):
        kept_verdicts.read(copied.parent)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("margin: 0.03", "margins: 0.03", "tolerance.margin"),
        ("{kind: audit, key: crossing}", "{kind: audit, key: crosing}", "rule.audit.key"),
        ("id: crisis", "id: controls", "controls is there twice"),
        ("measure: longest,", "measure: widest,", "unknown measure"),
        ("- highest median background", "- widest background", "unknown measure"),
        (
            "repeats: test_results-stage2-f1",
            "repeats: test_results-stage2-recall",
            "repeats test_results-stage2-recall",
        ),
    ],
)
def test_a_mistake_in_the_list_is_named(tmp_path, old, new, named):
    """A misspelt rule must not be skipped."""
    text = (ROOT / "data" / "claims.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "claims.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RbcError, match=named):
        claims.load(tmp_path / "claims.yaml")


def test_a_number_that_is_printed_twice_is_counted_once(listed, verdicts):
    """The abstract's 97 % and Figure 3's are one number; both are shown."""
    twice = [c for c in listed if c.repeats]
    counts = kept_verdicts.Verdicts("", claims.load()[0], listed, verdicts).counts()
    assert len(twice) == 5 and sum(sum(found.values()) for found in counts.values()) == len(
        listed
    ) - len(twice)
    assert all(verdicts[c.id].numbers == verdicts[c.repeats].numbers for c in twice)


def test_every_rule_is_said_in_words(listed):
    """A reader of a verdict sees by what rule it was reached."""
    tolerance, _ = claims.load()
    assert all(len(c.rule.in_words(tolerance)) > 3 for c in listed)
    assert {"greater", "no worse", "alike"} == {
        c.rule.relation for c in listed if c.rule.kind == "order"
    }


def test_the_command_leads_with_printed_scores_and_names_a_folder_without_results(
    tmp_path, verdicts
):
    """Printed scores first, groups never counted together, in words and in JSON."""
    answer = json.loads(rbc("claims", "--profile", "released", "--json").stdout)
    assert {c["id"] for c in answer["claims"]} == set(verdicts)
    groups = [c["group"] for c in answer["claims"]]
    order = [group for group, _ in groupby(groups)]
    assert order == list(GROUPS) and order[0] == "reported scores"
    said = Counter((c["group"], c["verdict"]) for c in answer["claims"] if not c["repeats"])
    assert answer["counts"] == {
        g: {name: said[g, name] for name in decisions.VERDICTS} for g in order
    }
    lines = rbc("claims", "--profile", "released").stdout.splitlines()
    assert lines[0].startswith("reported scores: ") and lines[1].startswith("comparisons: ")
    assert "does not mean that the paper is wrong" in lines[len(order)]
    assert "no results there" in one_line_error(rbc("claims", "--results", tmp_path))
