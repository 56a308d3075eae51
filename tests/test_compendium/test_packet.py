"""The packet for reviewers: written whole, every answer from an artefact that is there, simulated
called simulated.
"""

import json
import re
import shutil
import types

import pandas as pd
import pytest
import yaml
from conftest import one_line_error, rbc

from compendium import ROOT, profiles, runs
from compendium.evidence import checklists, packet
from compendium.evidence.pages import filled
from compendium.evidence.study import Study
from rbc import RbcError

pytestmark = pytest.mark.slow

RELEASED = runs.REFERENCE / "released"


def study(folder=RELEASED) -> Study:
    return Study(profiles.load("released"), folder)


@pytest.fixture
def copy(tmp_path):
    """The kept runs, to be changed."""
    shutil.copytree(RELEASED, tmp_path / "released")
    return tmp_path / "released"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("packet") / "packet"
    packet.write(study(), out)
    return out


def change(path, **values) -> None:
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8"
    )


def test_the_manifest_lists_outputs_that_are_there_and_the_paper(written):
    """A codechecker follows the manifest."""
    text = (written / "codecheck.yml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert "\n---\n" in text  # version 2.0 of the specification wants an explicit document
    assert {row["file"] for row in content["manifest"]} == {
        f"outputs/{p.name}" for p in written.glob("outputs/*")
    }
    assert all((written / row["file"]).exists() and row["comment"] for row in content["manifest"])
    assert content["paper"]["reference"] == "https://doi.org/10.1038/s41598-023-27718-w"
    assert len(content["paper"]["authors"]) == 10
    assert not {"codechecker", "report", "certificate"} & set(content)  # nobody has checked it


def test_the_outputs_are_the_runs_scores(written):
    """The files must hold what the runs say."""
    table = pd.read_csv(written / "outputs" / "table4.csv").set_index(
        ["model", "sampling", "k", "split"]
    )
    scores = json.loads(
        (RELEASED / "stage2/crnn-similarity-k20-s0/metrics.json").read_text(encoding="utf-8")
    )["validation"]
    assert table.loc[("crnn", "similarity", 20, "validation"), "f1"] == pytest.approx(scores["f1"])
    marker = pd.read_csv(written / "outputs" / "table5.csv").set_index(["acquisition", "method"])[
        "percent"
    ]
    for acquisition, cells in runs.chosen_answers(RELEASED, 2).groupby("acquisition"):
        assert marker[acquisition, "by hand"] == pytest.approx(
            100 * (cells["label"] == "tank-treading").mean()
        )
        assert marker[acquisition, "classify and count"] == pytest.approx(
            100 * (cells["probability"] < 0.5).mean()
        )


@pytest.mark.parametrize(
    ("name", "items", "numbers"), [("ml-code", 5, 5), ("reforms", 32, 8), ("tripod-ai", 52, 27)]
)
def test_checklists_have_every_item_once(name, items, numbers):
    """An item left out would look answered."""
    ids = [item.id for item in checklists.load(name).items]
    assert len(ids) == len(set(ids)) == items
    assert len({re.match(r"\d+", i)[0] for i in ids}) == numbers


@pytest.mark.parametrize("name", checklists.NAMES)
def test_every_answer_names_an_artefact_that_is_there_and_the_rest_says_who(name):
    """No answer without evidence."""
    found = checklists.replies(checklists.load(name), study())
    assert 0 < sum(r.answered for r in found) < len(found)
    for reply in found:
        assert len(reply.says) > 8 and reply.answered == bool(reply.artefacts)
        assert all(any(ROOT.glob(artefact)) for artefact in reply.artefacts), reply


def test_an_answer_from_an_artefact_that_is_gone_is_an_error(copy):
    """Evidence that was removed must not be cited."""
    (copy / "checks.json").rename(copy / "kept.json")
    gone = study(copy)
    gone.__dict__["findings"] = study().findings  # known, but no longer on disk
    with pytest.raises(RbcError, match=r"checks\.json: an answer names it"):
        checklists.replies(checklists.load("reforms"), gone)


def test_a_function_that_does_not_exist_is_refused():
    """A reviewer must find the code that a table names."""
    listed = checklists.load("reforms").model_dump()
    listed["items"][0] |= {"answer": ["wishes"]}
    with pytest.raises(ValueError, match="no function wishes"):
        checklists.Checklist(**listed)


def test_weights_are_open_until_they_are_there(copy):
    """A promise is no answer."""
    item = next(i for i in checklists.load("ml-code").items if i.answer == ["weights"])
    listed = checklists.Checklist(title="t", source="s", items=[item])
    assert not checklists.replies(listed, study(copy))[0].answered
    for run in set(runs.select(copy, 1)["run"]) | set(runs.select(copy, 2)["run"]):
        (copy / run / "weights.safetensors").touch()
    assert checklists.replies(listed, study(copy))[0].answered


def test_other_metrics_give_another_card(copy):
    """A card must follow its run."""
    run = runs.select(copy, 2)["run"][0]
    before = packet.model_card(study(copy), run)
    path = copy / run / "metrics.json"
    scores = json.loads(path.read_text(encoding="utf-8"))
    scores["test"]["recall"] = 0.123
    path.write_text(json.dumps(scores), encoding="utf-8")
    after = packet.model_card(study(copy), run)
    assert "recall 0.12 [" in after and "recall 0.12 [" not in before


def test_a_shared_acquisition_is_counted(copy):
    """A leak must stand on the card."""
    for path in copy.glob("stage2/*/config.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        fold = content["profile"]["stages"]["2"]["folds"][0]
        fold["train"].append(fold["test"][0])
        path.write_text(json.dumps(content), encoding="utf-8")
    assert "stage 2: 1 acquisitions in test and elsewhere" in checklists.separation(study(copy))[0]
    assert "stage 2: 0 acquisitions" in checklists.separation(study())[0]


def test_simulated_results_are_called_simulated_in_every_file(copy, tmp_path):
    """A file is read alone, far from the book."""
    change(copy / "dataset.json", simulated=True, source="rbc.simulate")
    packet.write(Study(profiles.load(str(ROOT / "tests" / "tiny.yaml")), copy), tmp_path / "packet")
    files = [path for path in (tmp_path / "packet").rglob("*") if path.is_file()]
    cards = [path for path in files if path.parent.name == "model-cards"]
    assert len(files) - len(cards) == 11 and len(cards) >= 2  # one a chosen model
    for path in files:
        assert re.search("simulated", path.read_text(encoding="utf-8"), re.IGNORECASE), path
        assert not re.search(
            "real (sequences|cells)", path.read_text(encoding="utf-8"), re.IGNORECASE
        ), path


def test_real_results_are_called_real_in_every_file(written):
    """The same for real cells."""
    assert all(
        re.search("real sequences", p.read_text(encoding="utf-8"), re.IGNORECASE)
        for p in written.rglob("*")
        if p.is_file()
    )


def test_a_run_from_other_data_is_refused_and_nothing_is_left(copy, tmp_path):
    """Simulated runs must not stand under real data."""
    change(copy / "dataset.json", sha256="0" * 64)
    with pytest.raises(RbcError, match="made from other data"):
        packet.write(study(copy), tmp_path / "packet")
    assert [p.name for p in tmp_path.iterdir()] == ["released"]


def test_programs_pages_and_cells_are_where_the_list_says():
    """The list of sources must not drift from the code."""
    for row in yaml.safe_load((checklists.FOLDER / "outputs.yaml").read_text(encoding="utf-8"))[
        "outputs"
    ]:
        assert packet.line_of(row["program"], row["function"]) > 0
        if "cell" in row:
            cells = json.loads((ROOT / row["page"]).read_text(encoding="utf-8"))["cells"]
            assert row["cell"] in [cell["id"] for cell in cells], row
        assert (ROOT / row["page"]).exists()
    with pytest.raises(RbcError, match="no resnet there"):
        packet.line_of("rbc/models.py", "resnet")


def test_bars_in_cells_do_not_break_a_table():
    """A sign in a sentence must not shift its columns."""
    profile = types.SimpleNamespace(name="tiny", title="Tiny")
    sources = pd.DataFrame({"what": ["x|y", "z"], "program": ["p", "a|b|c"]})
    page = filled(
        "packet-sources.md", title="Sources", says_kind="Simulated.", profile=profile,
        command="rbc book", sources=sources,
    )  # fmt: skip
    rows = page.splitlines()[-4:]
    assert rows[2:] == ["| x\\|y | p |", "| z | a\\|b\\|c |"]
    assert [row.replace("\\|", "").count("|") for row in rows] == [3, 3, 3, 3]


def test_the_command_answers_in_json_and_names_missing_results(tmp_path):
    """Programs read it too."""
    result = rbc("packet", "--out", tmp_path / "packet", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["checklists"]["reforms"]["answered"] > 20
    line = one_line_error(
        rbc("packet", "--profile", "demo", "--results", tmp_path / "none", "--out", tmp_path / "x")
    )
    assert "none: no results there" in line and not (tmp_path / "x").exists()
