"""`make reference`: kept results made anew from one commit, and what is said of each file."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from compendium import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import refresh

pytestmark = pytest.mark.slow


def _json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


WRITE = {
    ".json": _json,
    ".csv": lambda path, columns: pd.DataFrame(columns).to_csv(path),
    ".parquet": lambda path, columns: pd.DataFrame(columns).to_parquet(path),
    ".safetensors": lambda path, arrays: save_file(arrays, path),
    ".bin": lambda path, content: path.write_bytes(content),
}
SAME, OTHER = "equal but for times", "changed"
NAN = float("nan")


@pytest.mark.parametrize(
    ("ending", "before", "after", "state", "words"),
    [
        (".json", {"a": 1, "finished": "x"}, {"a": 1, "finished": "y"}, SAME, ""),
        (".json", {"a": NAN}, {"a": NAN, "commit": "z"}, SAME, ""),
        (".json", {"a": [1, 2.5]}, {"a": [1, 2.75]}, OTHER, "by 0.25 at most; the first: /a/1"),
        (".json", [{"a": None}], [{"a": 0.5}], OTHER, "1 of 1 values; the first: /0/a"),
        (".json", {"a": 1.5}, {"a": NAN}, OTHER, "by inf at most"),
        (".json", [{"key": "x"}], [{"key": "y"}], OTHER, "the first: /0/key"),
        (".json", {"a": 1}, {"b": 1}, OTHER, "2 values are in one of the two only"),
        (".csv", {"v": [1, 2]}, {"v": [1, 5]}, OTHER, "by 3"),
        (".parquet", {"v": [1.0, 2.0]}, {"v": [1.0]}, OTHER, "in one of the two only"),
        (".parquet", {"n": ["x"]}, {"n": ["y"]}, OTHER, "the first: n"),
        (".safetensors", {"w": np.zeros(3)}, {"w": np.full(3, 0.5)}, OTHER, "by 0.5"),
        (".bin", b"one", b"two", OTHER, "not compared by content"),
    ],
)
def test_what_became_of_a_file_is_said_and_how_far(tmp_path, ending, before, after, state, words):
    """A changed number called equal would keep a stale result; a new date called a change would
    send somebody looking for nothing.
    """
    old, new = tmp_path / f"old{ending}", tmp_path / f"new{ending}"
    WRITE[ending](old, before)
    WRITE[ending](new, after)
    found, how = refresh.difference(old, new)
    assert found == state and words in how


def test_every_recipe_writes_what_is_kept_and_every_kept_result_has_one():
    """A kept result that no command makes anew would go stale without a word; measured times, which
    no command can repeat, are none.
    """
    timed = {"ladder.json", "rehearsal.json"}
    written = {path for recipe in refresh.RECIPES for path in recipe.writes}
    assert all((ROOT / path).exists() for path in written)
    kept = {f"data/reference/{path.name}" for path in (ROOT / "data/reference").iterdir()}
    assert kept - {f"data/reference/{name}" for name in timed} <= written


@pytest.mark.nightly
def test_one_result_is_made_anew_in_a_clone_compared_and_taken(tmp_path):
    """The real command on the kept scores: a number that somebody had changed by hand is found,
    what is finished is not made again, and files with changes of one's own are not overwritten.
    """
    home = tmp_path / "checkout"
    git = ["git", "-C", home, "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "clone", "-q", ROOT, home], check=True)
    changed = home / "data/reference/ours/metrics.json"
    content = json.loads(changed.read_text("utf-8"))
    content[0]["together"][0]["n_sequences"] += 7
    _json(changed, content)
    subprocess.run([*git, "commit", "-qam", "a number by hand"], check=True)

    def told(*options):
        return subprocess.run(
            [sys.executable, home / "workflow/refresh.py", *options],
            env=os.environ | {"PYTHONPATH": str(home)}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    answer = told("scores")
    result = json.loads(answer.stdout)["results"][0]
    states = {row["file"]: row for row in result["files"]}
    assert states["data/reference/ours/metrics.json"]["state"] == "changed"
    assert "by 7 at most" in states["data/reference/ours/metrics.json"]["how"]
    assert states["data/reference/duel/metrics.json"]["state"] == "equal"
    assert result["kept_from"] and "scores: making" in answer.stderr
    assert "making" not in told("scores").stderr

    changed.write_text("mine", encoding="utf-8")
    refused = told("scores", "--take")
    assert refused.returncode and "not committed here" in refused.stderr
    assert changed.read_text("utf-8") == "mine"
    subprocess.run([*git, "checkout", "-q", "--", "."], check=True)
    assert told("scores", "--take").returncode == 0
    taken = json.loads(changed.read_text("utf-8"))[0]["together"][0]
    assert taken["n_sequences"] == content[0]["together"][0]["n_sequences"] - 7


@pytest.mark.parametrize(("options", "words"), [(["nonsense"], "no kept result"), ([], "--data")])
def test_what_cannot_be_made_ends_in_one_line(options, words):
    """A name that is none, or real cells without their folder."""
    done = subprocess.run(
        [sys.executable, ROOT / "workflow/refresh.py", *options], capture_output=True, text=True
    )
    assert done.returncode == 1 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("coverage", "rbc/marker.py"),
        ("coverage", "benchmarks/intervals.py"),
        ("studies", "rbc/bench/draws.py"),
        ("scores", "workflow/beyond.py"),
        ("released", "rbc/training.py"),
        ("duel", "config/duel.yaml"),
    ],
)
def test_code_that_makes_a_result_is_looked_at(name, file):
    """A change that is not looked at would leave a changed number with no reason but chance."""
    recipe = next(recipe for recipe in refresh.RECIPES if recipe.name == name)
    assert file in refresh.made_by(ROOT, recipe)
