import json
import os
import subprocess

import nbformat
import pandas as pd
import pytest

from compendium import ROOT, notebooks, runs
from rbc import RbcError

WORDS = {"title": "T", "banner": "B", "kind": "simulated sequences"}


def notebook(tmp_path, code: str):
    cells = [
        nbformat.v4.new_markdown_cell("# {{title}}"),
        nbformat.v4.new_code_cell("k = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(code),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "source.ipynb"
    )
    return tmp_path / "source.ipynb"


def test_a_notebook_runs_with_its_parameters_and_title(tmp_path):
    """Every page of the book is made this way."""
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "page.ipynb"
    notebooks.execute(notebook(tmp_path, "print(k + 1)"), out, {"k": 41}, WORDS)
    page = nbformat.read(out, 4)
    assert page.cells[0].source == "# T"
    assert page.cells[-1].outputs[0].text == "42\n"


def test_an_unknown_parameter_is_an_error_not_a_warning(tmp_path):
    """A misspelt parameter would leave the default in silence."""
    with pytest.raises(RbcError, match="unknown parameter kk; it knows k"):
        notebooks.execute(notebook(tmp_path, "k"), tmp_path / "page.ipynb", {"kk": 3}, WORDS)


def test_a_cell_that_fails_leaves_no_page(tmp_path):
    """Half a page must not be published."""
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "page.ipynb"
    with pytest.raises(RbcError, match="ZeroDivisionError"):
        notebooks.execute(notebook(tmp_path, "1 / 0"), out, {}, WORDS)
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "out-page.failed.ipynb").exists()
    notebooks.execute(notebook(tmp_path, "1 + 0"), out, {}, WORDS)
    assert out.exists() and not (tmp_path / "out-page.failed.ipynb").exists()


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb")))
def test_notebooks_are_stored_as_nbval_and_the_workflow_expect_them(name):
    """Without outputs, but for the one that nbval compares (it passes a notebook without any)."""
    cells = [c for c in nbformat.read(ROOT / "notebooks" / name, 4).cells if c.cell_type == "code"]
    assert any(c.outputs for c in cells) == (name == "paper.ipynb")


def fake_run(results, name: str, right: dict[int, int]) -> None:
    """A stage 2 run that, of eight validation cells in each fold, gets `right` right, and all test
    cells wrong.
    """
    folder = results / "stage2" / name
    folder.mkdir(parents=True)
    model, sampling, k, seed = name.split("-")
    content = {
        "stage": 2,
        "model": model,
        "sampling": sampling,
        "k": int(k[1:]),
        "seed": int(seed[1:]),
    }
    (folder / "config.json").write_text(json.dumps(content | {"profile": {}}), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps({"validation": {"f1": 0.0}}), encoding="utf-8")
    rows = [(fold, "validation", float(i < n)) for fold, n in right.items() for i in range(8)]
    rows += [(fold, "test", 0.0) for fold in right]
    table = pd.DataFrame(rows, columns=["fold", "split", "probability"])
    table.assign(label="flipping", acquisition="a", name=name).to_parquet(
        folder / "predictions.parquet"
    )


def test_each_fold_chooses_the_highest_validation_f1(tmp_path):
    """The paper's own rule of selection."""
    fake_run(tmp_path, "cnn-uniform-k10-s0", {0: 3, 1: 7})
    fake_run(tmp_path, "crnn-uniform-k10-s0", {0: 5, 1: 2})
    assert runs.select(tmp_path, 2)["run"].tolist() == [
        "stage2/crnn-uniform-k10-s0",
        "stage2/cnn-uniform-k10-s0",
    ]
    answers = runs.chosen_answers(tmp_path, 2)
    assert answers[["fold", "name"]].values.tolist() == [
        [0, "crnn-uniform-k10-s0"],
        [1, "cnn-uniform-k10-s0"],
    ]
    assert runs.chosen_answers(tmp_path, 2, "validation").value_counts(
        ["fold", "split"]
    ).tolist() == [8, 8]


def test_seeds_are_averaged_and_ties_go_to_uniform_as_in_the_paper(tmp_path):
    """The rule must be fixed where scores are equal."""
    for seed, (uniform, similarity, other) in enumerate([(4, 6, 8), (6, 4, 0)]):
        fake_run(tmp_path, f"crnn-similarity-k50-s{seed}", {0: similarity})
        fake_run(tmp_path, f"crnn-uniform-k50-s{seed}", {0: uniform})
        fake_run(tmp_path, f"cnn-uniform-k20-s{seed}", {0: other})
    assert runs.select(tmp_path, 2)["run"].tolist() == ["stage2/crnn-uniform-k50-s0"]


def test_results_without_runs_are_an_error(tmp_path):
    """An empty table must not look like a result."""
    with pytest.raises(RbcError, match="no runs"):
        runs.collect(tmp_path)


def test_committed_reference_results_follow_from_their_predictions():
    """Every metrics.json under data/reference is what its predictions give: no score was typed."""
    from rbc import metrics

    folders = sorted(runs.REFERENCE.glob("*/stage?/*/metrics.json"))
    assert folders
    for path in folders:
        stage = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))["stage"]
        answers = pd.read_parquet(path.parent / "predictions.parquet")
        for split, part in answers.groupby("split"):
            assert json.loads(path.read_text(encoding="utf-8"))[split] == pytest.approx(
                metrics.summary(part, stage)
            ), path


def answering_run(
    results, name: str, answers: dict[str, tuple[str, float]], variant: str = "text"
) -> None:
    """A stage 2 run with these labels and probabilities of test sequences, and one validation
    sequence, wrong.
    """
    folder = results / "stage2" / name
    folder.mkdir(parents=True)
    model, sampling, k, seed = name.split("-")[:4]
    content = {
        "stage": 2,
        "model": model,
        "sampling": sampling,
        "k": int(k[1:]),
        "seed": int(seed[1:]),
    }
    (folder / "config.json").write_text(
        json.dumps(content | {"variant": variant}), encoding="utf-8"
    )
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    rows = [
        ("v", "flipping", 0.0, "validation"),
        *((n, label, p, "test") for n, (label, p) in answers.items()),
    ]
    table = pd.DataFrame(rows, columns=["name", "label", "probability", "split"])
    table.assign(fold=0, acquisition="a").to_parquet(folder / "predictions.parquet")


@pytest.fixture
def failures(tmp_path) -> pd.DataFrame:
    """Two seeds and a switched detail: `hard` is wrong in both, `half` in one, `easy` in none;
    `once` is in one.
    """
    easy, hard = ("flipping", 0.9), ("tank-treading", 0.75)
    answering_run(
        tmp_path, "cnn-uniform-k10-s0", {"easy": easy, "half": ("flipping", 0.5), "hard": hard}
    )
    more = {"easy": easy, "half": ("flipping", 0.4), "hard": hard, "once": ("flipping", 0.0)}
    answering_run(tmp_path, "cnn-uniform-k10-s1", more)
    answering_run(
        tmp_path, "cnn-uniform-k10-s0-raw-grey", {"easy": ("flipping", 0.0)}, variant="raw-grey"
    )
    return runs.failures(tmp_path, 2)


def test_failures_count_the_runs_that_call_a_test_sequence_wrong(failures):
    """A sequence that all fail on must stand out."""
    assert failures[["name", "runs", "wrong", "share"]].values.tolist() == [
        ["hard", 2, 2, 1.0], ["once", 1, 1, 1.0], ["half", 2, 1, 0.5], ["easy", 2, 0, 0.0],
    ]  # fmt: skip
    assert failures["mean_probability"].tolist() == pytest.approx([0.75, 0.0, 0.45, 0.9])
    both = ("stage2/cnn-uniform-k10-s0", "stage2/cnn-uniform-k10-s1")
    assert failures["failed"].tolist() == [both, both[1:], both[1:], ()]


@pytest.mark.parametrize("stage", [1, 2])
def test_failures_of_the_kept_runs_add_up_to_their_confusion_matrices(stage):
    """Two ways of counting the same errors must agree."""
    table = runs.collect(runs.REFERENCE / "released").query("stage == @stage and split == 'test'")
    failures = runs.failures(runs.REFERENCE / "released", stage)
    assert failures["runs"].sum() == table["n"].sum()
    assert (
        failures["wrong"].sum()
        == failures["failed"].map(len).sum()
        == (table["fp"] + table["fn"]).sum()
    )


def test_a_review_sheet_has_a_blind_twin_that_does_not_tell_the_label(failures):
    """Who relabels must not see the answer."""
    sheet, blind = runs.review(failures)
    assert sheet["name"].tolist() == ["hard", "once"]
    assert sheet["label"].tolist() == ["tank-treading", "flipping"]
    assert sorted(blind["name"]) == ["hard", "once"]
    # nor any answer, which would tell it
    assert blind.columns.tolist() == ["name", "acquisition", "relabelled"]
    many = pd.concat([failures.head(1).assign(name=f"{i:02}") for i in range(20)])
    assert runs.review(many)[1]["name"].tolist() != sorted(many["name"])
    pd.testing.assert_frame_equal(runs.review(many)[1], runs.review(many)[1])


def test_runs_at_chance_are_those_whose_interval_holds_one_half():
    """The page names what learned nothing; a run that always gives one answer is such a one, a good
    one is not.
    """
    rows = {
        "always": (0, 0, 60, 60),
        "good": (50, 10, 10, 50),
        "upside down": (10, 50, 50, 10),
        "thin": (2, 1, 1, 2),
    }
    table = pd.DataFrame(
        [dict(zip(("tp", "fp", "fn", "tn"), counts), run=name) for name, counts in rows.items()]
    )
    table = table.assign(stage=2, split="validation")
    assert runs.at_chance(table, 2) == ["always", "thin"]
    assert runs.at_chance(table, 1) == runs.at_chance(table, 2, "test") == []


def test_the_commit_of_a_run_is_this_checkout_s_also_inside_a_hook_of_git(tmp_path, monkeypatch):
    """Git sets GIT_DIR for its hooks and for rebase --exec: another repository's commit would stand
    in every run's record.
    """
    here = runs.checkout()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert runs.checkout() == here


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_checkout_of_another_user_has_its_commit_too(tmp_path, monkeypatch):
    """Git refuses to read it by default: every record said that its commit is unknown."""
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    made = ["git", *who, "commit", "-q", "--allow-empty", "-m", "first"]
    subprocess.run(made, cwd=tmp_path, check=True)
    for path in (tmp_path, tmp_path / ".git"):
        os.chown(path, 65534, 65534)
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    found = runs.checkout()
    assert len(found["commit"]) == 40 and not found["dirty"]
