"""The README's commands on the only movie that a newcomer has: a simulated one."""

import json
import shutil
from pathlib import Path

import pandas as pd
from conftest import rbc

from rbc import files
from rbc.simulate import movies

#: Few frames, so that the test takes half a minute, and enough cells to be accepted.
MOVIE = ("--frames", "60", "--cells", "50", "--seed", "1")
BLURRED_UM = 15  #: from the focus; further away the operator cannot tell the motion


def expert_labels(report: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """Corrections of an operator who knows what was simulated, one row a cell of a report."""
    tracks = files.read_table(report / "tracked" / "tracks.parquet")
    blurred = truth["defocus_um"].abs() > BLURRED_UM
    seen = truth.assign(motion=truth["motion"].mask(blurred, "unreliable"))
    labels = pd.Series(movies.motions(tracks, seen), name="after").rename_axis("name")
    return labels[labels.isin(["tank-treading", "flipping", "unreliable"])].reset_index()


def run(*words: object) -> str:
    answer = rbc(*words)
    assert answer.returncode == 0, (words, answer.stderr)
    return answer.stdout


def test_the_commands_of_the_readme_go_through_on_a_simulated_movie(tmp_path):
    """No step from simulate video to adapt needs --force: a newcomer sees the whole tool."""
    run("simulate", "video", "--out", tmp_path / "movie", *MOVIE)
    movie = tmp_path / "movies" / "SD0101_10s01.avi"
    movie.parent.mkdir()
    shutil.copy(tmp_path / "movie" / "movie.avi", movie)
    out = tmp_path / "followed"
    said = run("study", movie.parent, "--out", out, "--um-per-px", 0.6, "--json")
    assert "not judged" not in said
    report = out / "reports" / "SD0101_10s01"
    marker = json.loads((report / "marker.json").read_text(encoding="utf-8"))
    assert marker["simulated"] and marker["objections"] == []
    truth = files.read_table(tmp_path / "movie" / "truth.parquet")
    names = set(pd.read_csv(report / "cells.csv", keep_default_na=False)["name"])
    labels = expert_labels(report, truth)
    rest = pd.DataFrame({"name": sorted(names - {*labels["name"]}), "after": "unsure"})
    pd.concat([labels, rest]).to_csv(report / "corrections.csv", index=False)
    run("adapt", report, "--out", tmp_path / "mine")
    assert (tmp_path / "mine" / "known.json").exists()
