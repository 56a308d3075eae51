"""Runs that are handed on: whole, verified, without weights and pixels."""

import json
import shutil

import pandas as pd
import pytest
from typer.testing import CliRunner

from compendium import ROOT, cli, profiles, runs, submission
from rbc import RbcError
from rbc.bench import exchange
from rbc.files import file_hash

KEPT = runs.REFERENCE / "released"


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """The released sample's profile with some of its kept runs as its results."""
    results = tmp_path / "results"
    chosen = ("stage1/cnn-uniform-k20-s0", "stage2/cnn-similarity-k20-s0")
    for run in chosen:
        shutil.copytree(KEPT / run, results / run)
        (results / run / "weights.safetensors").write_bytes(b"weights")
        (results / run / "notebook.ipynb").write_text("{}", encoding="utf-8")
        for name in runs.NUMBERS:  # the kept runs of stage 1 are older than two of these
            if not (results / run / name).exists():
                shutil.copy(KEPT / chosen[1] / name, results / run / name)
    for name in runs.OF_THE_DATA:
        shutil.copy(KEPT / name, results / name)
    monkeypatch.setattr(profiles.Profile, "results_folder", property(lambda self: results))
    return profiles.load("released")


def handed_on(out, *words):
    """The command line, as a user types it."""
    return CliRunner().invoke(cli.app, ["results", "--profile", "released", *words, str(out)])


def test_what_is_handed_on_is_verified_and_holds_no_pixels(profile, tmp_path):
    """A reader with the record sends this by pull request; nothing in it may show a cell."""
    done = handed_on(tmp_path / "sent", "--submit")
    assert done.exit_code == 0, done.output
    assert "2 runs" in done.output and "18 of the profile are missing" in done.output
    about = submission.verify(tmp_path / "sent")
    assert about["profile"] == "released" and not about["simulated"] and about["runs"] == 2
    names = {file.name for file in (tmp_path / "sent").rglob("*") if file.is_file()}
    allowed = {*runs.NUMBERS, *runs.OF_THE_DATA, submission.SUMS, submission.ABOUT}
    allowed |= {exchange.CRATE}
    assert names == allowed
    assert str(ROOT) not in "".join(
        file.read_text(encoding="utf-8") for file in (tmp_path / "sent").rglob("*.json")
    )


@pytest.mark.parametrize("damage", ["altered", "missing", "added"])
def test_a_damaged_folder_is_not_compared(profile, tmp_path, damage):
    """A changed prediction would be a changed result."""
    sent = tmp_path / "sent"
    submission.write(profile, sent)
    file = sent / "stage1" / "cnn-uniform-k20-s0" / "metrics.json"
    if damage == "altered":
        file.write_text(file.read_text(encoding="utf-8") + " ", encoding="utf-8")
    elif damage == "missing":
        file.unlink()
    else:
        (sent / "more.txt").write_text("more", encoding="utf-8")
    words = {"altered": "altered", "missing": "is missing", "added": "is not listed"}[damage]
    with pytest.raises(RbcError, match=words):
        submission.verify(sent)
    assert handed_on(sent, "--beside").exit_code != 0


def test_two_folders_are_compared_configuration_by_configuration(profile, tmp_path):
    """The difference is theirs less ours, of the mean over seeds."""
    sent = tmp_path / "sent"
    submission.write(profile, sent)
    assert (submission.beside(KEPT, sent)[[f"{s} difference" for s in submission.SHOWN]] == 0).all(
        axis=None
    )
    done = handed_on(sent, "--beside")
    assert done.exit_code == 0 and "verified; 2 runs of the same data" in done.output
    metrics = sent / "stage2" / "cnn-similarity-k20-s0" / "metrics.json"
    content = json.loads(metrics.read_text(encoding="utf-8"))
    content["test"]["recall"] += 0.1
    metrics.write_text(json.dumps(content), encoding="utf-8")
    row = submission.beside(KEPT, sent).query("stage == 2 and split == 'test'").iloc[0]
    assert row["recall difference"] == pytest.approx(0.1)


def test_runs_of_other_data_are_not_handed_on(profile, tmp_path):
    """Stale runs beside a new description of the data would say what is not true."""
    file = profile.results_folder / "stage1" / "cnn-uniform-k20-s0" / "provenance.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["data"]["sha256"] = "0" * 64
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(RbcError, match="made from other data"):
        submission.write(profile, tmp_path / "sent")
    assert not (tmp_path / "sent").exists()


def test_the_kept_runs_hold_what_a_submission_holds():
    """The folder that is compared with must have the same files."""
    assert pd.read_parquet(KEPT / "simple.parquet").shape[0] == 553
    assert all((KEPT / name).exists() for name in runs.OF_THE_DATA)


def resummed(folder):
    """The list of checksums made anew, as somebody would who alters a file knowingly."""
    lines = [
        f"{file_hash(file)}  {file.relative_to(folder).as_posix()}\n"
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != submission.SUMS
    ]
    (folder / submission.SUMS).write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize("name", ["tp", "recall", "f1_low"])
def test_scores_that_do_not_follow_from_the_predictions_are_refused(profile, tmp_path, name):
    """A checksum vouches for a file, not for what it says."""
    submission.write(profile, sent := tmp_path / "sent")
    file = sent / "stage2" / "cnn-similarity-k20-s0" / "metrics.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["test"][name] += 1
    file.write_text(json.dumps(content), encoding="utf-8")
    resummed(sent)
    with pytest.raises(RbcError, match=f"test {name} is not that of predictions"):
        submission.verify(sent)


def test_what_was_handed_in_stands_beside_what_is_kept_or_came_before(profile, tmp_path):
    """The page shows each folder once, beside earlier results of its profile, or why it does
    not.
    """
    submission.write(profile, tmp_path / "in" / "b-second")
    shutil.copytree(tmp_path / "in" / "b-second", tmp_path / "in" / "a-first")
    shutil.copytree(tmp_path / "in" / "b-second", tmp_path / "in" / "c-broken")
    (tmp_path / "in" / "c-broken" / "index.parquet").unlink()
    first, second, broken = submission.compared(tmp_path / "in", runs.REFERENCE)
    assert first.against == "released (kept here, the same data)" and len(first.scores) >= 2
    assert (second.name, second.refused) == ("b-second", "")
    assert broken.name == "c-broken" and "index.parquet: is missing" in broken.refused
    # Where nothing is kept, the folder before it takes its place.
    first, second, _ = submission.compared(tmp_path / "in", tmp_path / "nothing")
    assert first.against == "" and second.against == "a-first (handed in, the same data)"
    assert (second.scores[[f"{s} difference" for s in submission.SHOWN]] == 0).all(axis=None)


def test_stale_runs_that_are_handed_on_are_called_so(profile, tmp_path):
    """Runs of other code or data than now may be sent, but never without a word."""
    done = handed_on(tmp_path / "sent", "--submit")
    about = submission.verify(tmp_path / "sent")
    assert len(about["stale"]) == about["runs"] == 2
    assert "2 are stale" in done.output


def test_what_is_handed_on_is_a_research_object_of_all_its_files(profile, tmp_path):
    """The library of the format reads it: each file with its checksum, the commit and the data."""
    rocrate = pytest.importorskip("rocrate.rocrate")
    about = submission.write(profile, sent := tmp_path / "sent")
    crate = rocrate.ROCrate(sent)
    files = {e.id: e["sha256"] for e in crate.data_entities if e.type == "File"}
    lines = (sent / submission.SUMS).read_text(encoding="utf-8").splitlines()
    listed = {path: digest for digest, path in (line.split("  ") for line in lines)}
    assert files == {path: d for path, d in listed.items() if path != exchange.CRATE}
    assert crate.dereference("#data")["sha256"] == about["data"]
    assert crate.dereference("#rbc")["commit"] == about["commits"]


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("submission.json", {"profile": "../../ours"}, "its profile"),
        ("submission.json", {"simulated": True}, "its data"),
        ("submission.json", None, "not as rbc results"),
        ("stage2/cnn-similarity-k20-s0/config.json", {"stage": 1}, "another stage"),
        ("stage2/cnn-similarity-k20-s0/metrics.json", {"train": {"tp": 1}}, "other splits"),
    ],
)
def test_a_folder_that_says_what_its_files_do_not_is_one_line(
    profile, tmp_path, file, change, said
):
    """It comes from outside: no traceback on the page, no path out of the kept results, and no
    simulated run passed off as real.
    """
    submission.write(profile, tmp_path / "in" / "sent")
    path = tmp_path / "in" / "sent" / file
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | change) if change else "[]", encoding="utf-8")
    resummed(tmp_path / "in" / "sent")
    (found,) = submission.compared(tmp_path / "in", runs.REFERENCE)
    assert said in found.refused and "\n" not in found.refused and found.scores.empty


def test_runs_of_other_data_are_called_so_where_they_are_compared(profile, tmp_path):
    """A difference between two data sets must not be read as one between two trainings."""
    submission.write(profile, tmp_path / "in" / "sent")
    kept = tmp_path / "kept" / "released"
    shutil.copytree(KEPT, kept)
    dataset = json.loads((kept / "dataset.json").read_text(encoding="utf-8"))
    (kept / "dataset.json").write_text(json.dumps(dataset | {"sha256": "0" * 64}), "utf-8")
    (found,) = submission.compared(tmp_path / "in", tmp_path / "kept")
    assert found.against == "released (kept here, OTHER DATA)"
