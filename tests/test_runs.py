import json

import nbformat
import pandas as pd
import pytest

from rbc import ROOT, RbcError, runs

WORDS = {"title": "T", "banner": "B", "kind": "simulated sequences"}


def notebook(tmp_path, code: str):
    cells = [
        nbformat.v4.new_markdown_cell("# {{title}}"),
        nbformat.v4.new_code_cell("k = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(code),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "source.ipynb")
    return tmp_path / "source.ipynb"


def test_a_notebook_runs_with_its_parameters_and_title(tmp_path):
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "page.ipynb"
    runs.execute(notebook(tmp_path, "print(k + 1)"), out, {"k": 41}, WORDS)
    page = nbformat.read(out, 4)
    assert page.cells[0].source == "# T"
    assert page.cells[-1].outputs[0].text == "42\n"


def test_an_unknown_parameter_is_an_error_not_a_warning(tmp_path):
    with pytest.raises(RbcError, match="unknown parameter kk; it knows k"):
        runs.execute(notebook(tmp_path, "k"), tmp_path / "page.ipynb", {"kk": 3}, WORDS)


def test_a_cell_that_fails_leaves_no_page(tmp_path):
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "page.ipynb"
    with pytest.raises(RbcError, match="ZeroDivisionError"):
        runs.execute(notebook(tmp_path, "1 / 0"), out, {}, WORDS)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb")))
def test_notebooks_are_stored_as_nbval_and_the_workflow_expect_them(name):
    """Parameterised ones without outputs; those that nbval compares with (it passes a notebook without any)."""
    cells = [c for c in nbformat.read(ROOT / "notebooks" / name, 4).cells if c.cell_type == "code"]
    parameterised = any("parameters" in c.metadata.get("tags", []) for c in cells)
    assert any(c.outputs for c in cells) != parameterised


def fake_runs(results, scores: dict[str, float]) -> None:
    for name, f1 in scores.items():
        folder = results / "stage2" / name
        folder.mkdir(parents=True)
        model, sampling, k, seed = name.split("-")
        content = {"stage": 2, "model": model, "sampling": sampling, "k": int(k[1:]), "seed": int(seed[1:])}
        (folder / "config.json").write_text(json.dumps(content | {"profile": {}}))
        splits = {"validation": {"f1": f1}, "test": {"f1": 1 - (f1 or 0)}}
        (folder / "metrics.json").write_text(json.dumps(splits))


def test_the_best_run_has_the_highest_validation_f1_whatever_its_test_f1(tmp_path):
    fake_runs(tmp_path, {"cnn-uniform-k10-s0": 0.5, "crnn-uniform-k10-s0": 0.8, "crnn-uniform-k20-s0": None})
    table = runs.collect(tmp_path)
    assert len(table) == 6
    assert runs.best(table, 2)["run"] == "stage2/crnn-uniform-k10-s0"


def test_results_without_runs_are_an_error(tmp_path):
    with pytest.raises(RbcError, match="no runs"):
        runs.collect(tmp_path)


def test_committed_reference_results_follow_from_their_predictions():
    """Every metrics.json under data/reference is what its predictions give: no score was typed."""
    from rbc import metrics

    folders = sorted(runs.REFERENCE.glob("*/stage?/*/metrics.json"))
    assert folders
    for path in folders:
        stage = json.loads((path.parent / "config.json").read_text())["stage"]
        answers = pd.read_parquet(path.parent / "predictions.parquet")
        scores = {split: metrics.summary(part, stage) for split, part in answers.groupby("split")}
        assert json.loads(path.read_text()) == pytest.approx(scores), path
