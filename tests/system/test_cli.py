"""The real command line: help, answers, and one clear line for what is wrong."""

import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import one_line_error, rbc
from strips import LAYOUTS, made
from zenodo import Zenodo

from compendium import ROOT
from rbc import sampling, sequences

pytestmark = pytest.mark.slow

COMMANDS = [
    "data fetch",
    "data prepare",
    "data check",
    "data summary",
    "simulate sequences",
    "simulate video",
]
COMMANDS += [
    "track",
    "run",
    "grid",
    "book",
    "results",
    "audit",
    "claims",
    "packet",
    "classify",
    "analyze",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    """A command that one cannot learn from itself is not finished."""
    result = rbc(*command.split(), "--help")
    assert result.returncode == 0 and f"Example: rbc {command}" in result.stdout


def test_the_dry_run_of_the_demo_lists_32_runs():
    """The demo must be the whole grid of Tables 3 and 4."""
    result = rbc("grid", "--profile", "demo", "--dry-run", "--json")
    assert len({row["run"] for row in json.loads(result.stdout)}) == 32
    assert len(rbc("grid", "--dry-run").stdout.splitlines()) == 32


def test_classify_answers_for_saved_sequences_and_for_strips(cells, tmp_path):
    """Both ways in must give the same cells an answer."""
    few = cells.select(cells.index["split"] == "test")
    few.save(tmp_path / "saved")
    answers = json.loads(rbc("classify", tmp_path / "saved", "--json").stdout)
    assert [a["name"] for a in answers] == few.index["name"].tolist()
    assert {a["decision"] for a in answers} <= {"tank-treading", "flipping", "unreliable", "unsure"}
    assert "dataset.csv" in one_line_error(rbc("classify", tmp_path / "nowhere"))
    assert "known.json" in one_line_error(rbc("classify", tmp_path / "saved", "--models", tmp_path))


def test_classify_warns_of_cells_unlike_the_known_ones(cells, tmp_path):
    """An answer about another kind of picture needs a warning."""
    few = cells.select(cells.index["split"] == "test")
    few.save(tmp_path / "known")
    faint = (128 + 0.2 * (few.frames - 128.0)).astype(few.frames.dtype)
    sequences.Sequences(faint, few.index, few.meta).save(tmp_path / "faint")
    sequences.Sequences(few.frames, few.index, {**few.meta, "um_per_px": 0.3}).save(
        tmp_path / "magnified"
    )
    asked = {name: rbc("classify", tmp_path / name) for name in ("known", "faint", "magnified")}
    assert asked["known"].stderr == "these cells are simulated\n"
    assert "warning: unknown light or focus, contrast of" in asked["faint"].stderr
    assert "warning: wrong scale, 0.3 um/px" in asked["magnified"].stderr
    assert all(result.returncode == 0 and "decision" in result.stdout for result in asked.values())


def test_simulated_sequences_land_in_a_folder(tmp_path):
    """The course and the tests begin with this command."""
    result = rbc(
        "simulate",
        "sequences",
        "--out",
        tmp_path / "cells",
        "--tank-treading",
        3,
        "--flipping",
        2,
        "--unreliable",
        1,
    )
    assert result.returncode == 0, result.stderr
    cells = sequences.load(tmp_path / "cells")
    assert cells.index["label"].value_counts().to_dict() == {
        "tank-treading": 3,
        "flipping": 2,
        "unreliable": 1,
    }
    assert cells.simulated


def test_a_movie_of_few_sprites_says_how_long_it_came_to_be(tmp_path, cells):
    """A shorter movie than asked for must be said."""
    cells.save(tmp_path / "cells")
    made = rbc(
        "simulate",
        "video",
        "--out",
        tmp_path / "movie",
        "--sprites",
        tmp_path / "cells",
        "--frames",
        5000,
    )
    assert made.returncode == 0, made.stderr
    n = json.loads((tmp_path / "movie" / "meta.json").read_text(encoding="utf-8"))["frames"]
    assert (
        n < 5000
        and f"a simulated movie of {n} frames" in made.stdout
        and "give more" in made.stderr
    )


def test_a_simulated_movie_is_tracked_into_sequences(tmp_path):
    """The two commands of the README must fit together."""
    made = rbc("simulate", "video", "--out", tmp_path / "movie", "--frames", 30, "--cells", 5)
    assert made.returncode == 0, made.stderr
    tracked = rbc(
        "track", tmp_path / "movie" / "movie.avi", "--out", tmp_path / "tracked", "--json"
    )
    assert tracked.returncode == 0, tracked.stderr
    cells = sequences.load(tmp_path / "tracked")
    assert json.loads(tracked.stdout)["sequences"] == len(cells) > 0
    assert cells.simulated and cells.index["length"].min() >= 6
    frames = pd.read_parquet(tmp_path / "tracked" / "tracks.parquet").groupby("name").size()
    assert frames.to_dict() == cells.index.set_index("name")["length"].to_dict()


def test_the_audit_has_a_record_for_each_printed_row_and_cross_check_within_ten_seconds():
    """A program must get all that a reader gets."""
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    answer = json.loads(rbc("audit", "--json").stdout)
    assert sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before < 10  # of processor time
    places = {(r["table"], r["model"], r["sampling"], r["k"]) for r in answer["rows"]}
    assert len(places) == len(answer["rows"]) == 34
    assert len({c["key"] for c in answer["checks"]}) == len(answer["checks"])
    lines = rbc("audit").stdout.splitlines()
    assert len([line for line in lines if "K = " in line and "possible" in line]) == 34


def test_a_movie_that_is_not_there_is_named(tmp_path):
    """One line with the path, not a traceback."""
    line = one_line_error(rbc("track", tmp_path / "no.avi", "--out", tmp_path / "out"))
    assert "no.avi: no such movie" in line and not (tmp_path / "out").exists()


def test_a_misspelt_key_of_a_profile_is_named(tmp_path):
    """A key that is passed over would change an experiment in silence."""
    content = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
    content["training"]["epoch"] = 3
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert "mine.yaml: key training.epoch" in one_line_error(
        rbc("grid", "--profile", tmp_path / "mine.yaml")
    )


@pytest.mark.parametrize("command", [["grid"], ["book"], ["data", "prepare"]])
def test_a_missing_data_folder_is_named(command, tmp_path):
    """One line with the path, not a traceback."""
    line = one_line_error(rbc(*command, "--profile", "released", "--data", tmp_path / "nowhere"))
    assert "nowhere: no such data folder" in line


def test_a_profile_that_needs_data_says_so():
    """The reader must learn what to give."""
    result = rbc("data", "prepare", "--profile", "released", env={"RBC_SAMPLE": ""})
    assert "give --data PATH" in one_line_error(result)


def test_a_configuration_outside_the_grid_is_refused():
    """K = 15 is no cell of the tables."""
    result = rbc("run", "--stage", 2, "--model", "vgg", "--sampling", "uniform", "--k", 10)
    assert "model is 'vgg'" in one_line_error(result)


def test_a_configuration_outside_the_profile_is_refused():
    """It would stand in Table 4 where the profile says that it is not possible."""
    result = rbc(
        "run",
        "--profile",
        "released",
        "--stage",
        2,
        "--model",
        "cnn",
        "--sampling",
        "uniform",
        "--k",
        50,
    )
    assert "not a run of profile released" in one_line_error(result)


@pytest.mark.parametrize("layout", ["split_csv", "mat_v73"])
def test_fetch_then_prepare_ends_in_the_same_sequences(layout, tmp_path, checkout):
    """zenodo-get itself, led to a server on loopback, then the paper profile's data steps.

    Pictures with a list, and one binary file; test_download.py reads every layout from the server.
    """
    cells = made(24)
    (tmp_path / "made").mkdir()
    LAYOUTS[layout](tmp_path / "made", cells)
    archive = shutil.make_archive(str(tmp_path / "record"), "zip", tmp_path / "made")
    server = Zenodo({"record.zip": Path(archive).read_bytes()})
    there = {
        "NO_PROXY": "*",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "loopback"), str(checkout)]),
    }
    try:
        fetched = rbc(
            "data",
            "fetch",
            "zenodo",
            "--base",
            server.base,
            cwd=checkout,
            env=there,
        )
    finally:
        server.close()
    assert fetched.returncode == 0, fetched.stderr
    # What another server gave must never be taken for the record itself.
    raw = checkout / "data" / "raw" / "loopback"
    assert (raw / "meta.json").exists() and not raw.with_name("zenodo").exists()
    prepared = rbc(
        "data",
        "prepare",
        "--profile",
        "paper",
        "--data",
        raw,
        "--simulated",
        cwd=checkout,
    )
    assert prepared.returncode == 0, prepared.stderr
    opened = sequences.load(checkout / "data" / "derived" / "paper")
    assert opened.meta["sha256"] == sequences.checksum(cells)
    assert np.array_equal(opened.similarity, sampling.ranks(opened))
    again = rbc("data", "prepare", "--profile", "paper", "--data", raw, cwd=checkout)
    assert again.returncode == 0, again.stderr
    assert sequences.load(
        checkout / "data" / "derived" / "paper"
    ).simulated  # the workflow may prepare anew: it stays said


def test_fetching_what_there_is_none_of_is_an_error():
    """A misspelt name must not fetch something else."""
    assert "choose one of released, zenodo" in one_line_error(rbc("data", "fetch", "matlab"))


@pytest.fixture
def sample(released_sample, tmp_path):
    """A writable copy of the released sample without its checksums (they would catch the damage
    first).
    """
    copy = tmp_path / "sample"
    shutil.copytree(released_sample, copy)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    (copy / "SHA256SUMS").unlink()
    return copy


def corrupt(sample):
    next((sample / "Stage_1/test/img").glob("*.png")).write_bytes(b"not a picture")


def row_without_file(sample):
    next((sample / "Stage_1/test/img").glob("*.png")).unlink()


def unknown_label(sample):
    table = sample / "Stage_1/test/dataset.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:2], "7", lines[1].split(",")[3]])
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("damage", [corrupt, row_without_file, unknown_label])
def test_a_damaged_sample_ends_in_one_line_and_leaves_nothing(sample, damage, checkout):
    """Half of a sample must not become data."""
    damage(sample)
    line = one_line_error(
        rbc("data", "prepare", "--profile", "released", "--data", sample, cwd=checkout)
    )
    assert str(sample) in line
    assert not list((checkout / "data").glob("derived/*released*"))
    assert (
        one_line_error(rbc("grid", "--profile", "released", "--data", sample, cwd=checkout)) == line
    )
