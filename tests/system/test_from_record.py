"""The paper profile's first steps: the record is fetched and read by notebooks, which become pages.

The record is simulated, and served on loopback in Zenodo's form.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import rbc
from strips import LAYOUTS, made
from zenodo import Zenodo

from compendium import ROOT, profiles
from compendium.data import prepare
from rbc import RbcError

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of one archive that holds simulated cells in three splits."""
    folder = tmp_path_factory.mktemp("record")
    (folder / "made").mkdir()
    LAYOUTS["split_csv"](folder / "made", made(36))
    return Path(shutil.make_archive(str(folder / "record"), "zip", folder / "made"))


@pytest.fixture(scope="module")
def profile(checkout: Path) -> Path:
    """Two small runs on whatever the record holds."""
    content = yaml.safe_load((checkout / "tests" / "tiny.yaml").read_text(encoding="utf-8"))
    content |= {"title": "Small record", "data": {"source": "zenodo"}}
    one = {"models": ["cnn"], "samplings": ["similarity"], "ks": [10]}
    content["stages"] = {1: one, 2: one}
    path = checkout / "tests" / "record.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def grid(checkout: Path, profile: Path, base: str):
    """`rbc grid` with no data given: the record is to be fetched from `base`."""
    loopback = os.pathsep.join([str(ROOT / "tests" / "loopback"), str(checkout)])
    there = {"NO_PROXY": "*", "PYTHONPATH": loopback, "RBC_ZENODO_BASE": base}
    return rbc("grid", "--profile", profile, "--simulated", cwd=checkout, env=there)


def text_of(page: Path) -> str:
    """All outputs of a page, as JSON."""
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return json.dumps([cell.get("outputs", []) for cell in cells])


def test_one_command_goes_from_the_record_to_the_runs(checkout, profile, record) -> None:
    """A reader gives no data: the record is fetched, read, shown on two pages, and trained on.

    The first fetch is damaged on its way and ends in one line; the same command goes on.
    """
    server = Zenodo({"record.zip": record.read_bytes()})
    try:
        server.answers["record.zip"] = [b"damaged"] * 40
        failed = one_line_error_of_last(grid(checkout, profile, server.base))
        assert "download.ipynb failed" in failed and "truncated" in failed
        server.answers.clear()
        result = grid(checkout, profile, server.base)
        assert result.returncode == 0, result.stderr
    finally:
        server.close()
    said = result.stderr
    assert "1 files" in said and "GB to fetch" in said and "are free" in said
    pages = checkout / "book" / "pages" / "record"
    fetched, read = (text_of(pages / f"{name}.ipynb") for name in ("download", "ingest"))
    assert "of the size and md5 that the record lists" in fetched and "cc-by-4.0" in fetched
    assert "36 sequences" in read and "Table 2" in read
    assert "Simulated data" in (pages / "ingest.ipynb").read_text(encoding="utf-8")
    runs = sorted(
        path.parent.name for path in checkout.glob("results/record/stage?/*/metrics.json")
    )
    assert runs == ["cnn-similarity-k10-s0"] * 2
    # What another server gave must never be taken for the record itself.
    assert not (checkout / "data" / "raw" / "zenodo").exists()
    # Without the server: what is there and whole is not asked for again.
    again = grid(checkout, profile, "http://127.0.0.1:9")
    assert again.returncode == 0, again.stderr


def one_line_error_of_last(result) -> str:
    """The last line of a command that must have failed."""
    assert result.returncode != 0, result.stdout
    return result.stderr.strip().splitlines()[-1]


def test_a_record_that_cannot_be_reached_ends_in_one_line(checkout, profile) -> None:
    """Without a network nothing is half made, and the line says what to do."""
    shutil.rmtree(checkout / "data" / "raw", ignore_errors=True)
    last = one_line_error_of_last(grid(checkout, profile, "http://127.0.0.1:9"))
    assert "ConnectionError" in last and "--from" in last


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (
            {"train": {"tank-treading": 2, "flipping": 2, "unreliable": 2}},
            "in the split validation",
        ),
        ({"flipping": 0}, "stage 1: no flipping sequence in the split test"),
        ({"unreliable": 0}, "stage 1: no unreliable sequence in the split test"),
    ],
)
def test_a_split_that_was_not_read_stops_the_build(monkeypatch, counts, said) -> None:
    """Data of which a part was left lying would be trained on without a word."""
    whole = {"tank-treading": 3, "flipping": 3, "unreliable": 3}
    found = dict.fromkeys(("train", "validation"), whole) | {"test": whole | counts}
    found = counts if "train" in counts else found
    monkeypatch.setattr(prepare, "counts", lambda p: {
        split: {label: n for label, n in own.items() if n} for split, own in found.items()
    })  # fmt: skip
    with pytest.raises(RbcError, match=said):
        prepare.check_splits(profiles.load("paper"))
    prepare.check_splits(profiles.load("released"))  # its folds name their own acquisitions
