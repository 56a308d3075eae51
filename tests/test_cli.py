"""The real command line: help, answers, and one clear line for what is wrong."""

import json
import shutil

import pytest
import yaml
from conftest import one_line_error, rbc

from rbc import ROOT, sequences

COMMANDS = [
    "data fetch",
    "data prepare",
    "data check",
    "data summary",
    "simulate sequences",
    "run",
    "grid",
    "book",
    "results",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    result = rbc(*command.split(), "--help")
    assert result.returncode == 0 and f"Example: rbc {command}" in result.stdout


def test_the_dry_run_of_the_demo_lists_32_runs():
    result = rbc("grid", "--profile", "demo", "--dry-run", "--json")
    assert len({row["run"] for row in json.loads(result.stdout)}) == 32
    assert len(rbc("grid", "--dry-run").stdout.splitlines()) == 32


def test_simulated_sequences_land_in_a_folder(tmp_path):
    result = rbc(
        "simulate", "sequences", "--out", tmp_path / "cells", "--tank-treading", 3, "--flipping", 2, "--unreliable", 1
    )
    assert result.returncode == 0, result.stderr
    cells = sequences.load(tmp_path / "cells")
    assert cells.index["label"].value_counts().to_dict() == {"tank-treading": 3, "flipping": 2, "unreliable": 1}
    assert cells.simulated


def test_a_misspelt_key_of_a_profile_is_named(tmp_path):
    content = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    content["training"]["epoch"] = 3
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    assert "mine.yaml: key training.epoch" in one_line_error(rbc("grid", "--profile", tmp_path / "mine.yaml"))


@pytest.mark.parametrize("command", [["grid"], ["book"], ["data", "prepare"]])
def test_a_missing_data_folder_is_named(command, tmp_path):
    line = one_line_error(rbc(*command, "--profile", "released", "--data", tmp_path / "nowhere"))
    assert "nowhere: no such data folder" in line


def test_a_profile_that_needs_data_says_so():
    result = rbc("data", "prepare", "--profile", "released", env={"RBC_SAMPLE": ""})
    assert "give --data PATH" in one_line_error(result)


def test_a_configuration_outside_the_grid_is_refused():
    result = rbc("run", "--stage", 2, "--model", "vgg", "--sampling", "uniform", "--k", 10)
    assert "model is 'vgg'" in one_line_error(result) or "no sequences" in one_line_error(result)


@pytest.fixture
def sample(released_sample, tmp_path):
    """A writable copy of the released sample without its checksums (they would catch the damage first)."""
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
    lines = table.read_text().splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:2], "7", lines[1].split(",")[3]])
    table.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("damage", [corrupt, row_without_file, unknown_label])
def test_a_damaged_sample_ends_in_one_line_and_leaves_nothing(sample, damage, checkout):
    damage(sample)
    line = one_line_error(rbc("data", "prepare", "--profile", "released", "--data", sample, cwd=checkout))
    assert str(sample) in line
    assert not (checkout / "data" / "derived").exists() or not list((checkout / "data" / "derived").iterdir())
