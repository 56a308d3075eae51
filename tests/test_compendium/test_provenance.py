"""Every report page says what it was made from, and the table is what the runs' own files say."""

import json
import re
import shutil

import pytest

from compendium import ROOT, provenance, runs
from rbc import RbcError

RELEASED = runs.REFERENCE / "released"


def test_origins_hold_every_run_with_what_its_provenance_says():
    """The table at a page's foot must be true."""
    table = provenance.origins(RELEASED).set_index("run")
    assert set(table.index) == set(runs.collect(RELEASED)["run"])
    for run, row in table.iterrows():
        origin = json.loads((RELEASED / run / "provenance.json").read_text(encoding="utf-8"))
        assert (row["commit"], row["data"], row["seconds"]) == (
            origin["commit"], origin["data"]["sha256"], origin["seconds"],
        )  # fmt: skip


def test_no_runs_are_an_error(tmp_path):
    """A page made from nothing must not be made."""
    with pytest.raises(RbcError, match="no runs there"):
        provenance.origins(tmp_path)


def test_another_configuration_has_another_checksum(tmp_path):
    """Two runs must not look like one."""
    shutil.copytree(RELEASED / "stage2", tmp_path / "stage2")
    before = provenance.origins(tmp_path).set_index("run")["configuration"]
    changed = tmp_path / before.index[0] / "config.json"
    changed.write_text(
        changed.read_text(encoding="utf-8").replace('"epochs": 15', '"epochs": 16'),
        encoding="utf-8",
    )
    after = provenance.origins(tmp_path).set_index("run")["configuration"]
    assert list(after.index[after != before]) == [before.index[0]]


def test_the_marker_page_names_only_the_chosen_runs():
    """A page must name the runs that it used, not all."""
    named = set(re.findall(r'href="runs/([^"]+).html"', provenance.made_from(RELEASED, "marker")))
    assert named == {
        run.replace("/", "-") for stage in (1, 2) for run in runs.select(RELEASED, stage)["run"]
    }
    assert "(with changes)" not in provenance.made_from(RELEASED, "marker")


def test_a_checkout_with_changes_shows_and_a_run_without_a_page_is_no_link(tmp_path):
    """Uncommitted code must be said."""
    shutil.copytree(RELEASED, tmp_path, dirs_exist_ok=True)
    run = "stage1/cnn-uniform-k10-s0"
    (tmp_path / run / "notebook.ipynb").unlink()
    path = tmp_path / run / "provenance.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"dirty": True}), encoding="utf-8"
    )
    text = provenance.made_from(tmp_path, "test")
    assert text.count("(with changes)") == 1
    assert f"<td>{run}</td>" in text and f"runs/{run.replace('/', '-')}.html" not in text


@pytest.mark.parametrize("page", provenance.MADE_FROM)
def test_every_such_page_ends_with_the_table(page):
    """No report without its origin."""
    cells = json.loads((ROOT / "notebooks" / f"{page}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert re.search(rf'provenance\.made_from\(\S+, "{page}"\)', "".join(cells[-1]["source"]))
