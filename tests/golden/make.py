"""Makes the frozen outputs in this folder, by the real command line.

    python tests/golden/make.py                     # all but the tiny grid's predictions
    python tests/golden/make.py --grid results/tiny # these too, of a finished `rbc grid --profile
    tests/tiny.yaml`

`tests/system/test_golden.py` makes them anew and compares. A change that is meant is committed
together with the outputs that it moves.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
#: Of each output, by how much a number may differ, relative to 1 or to itself where that is larger;
#: and why.
TOLERANCES = {
    "audit.json": (0.0, "integers and enumerated matrices: exact on any machine"),
    "claims.json": (1e-9, "sums in another order on another processor"),
    "packet": (0.0, "text, its numbers rounded"),
    "tracks.csv": (
        1e-4,
        "px; least squares in double precision over detections in single precision",
    ),
    "cells.csv": (
        1e-3,
        "probabilities of networks in single precision, whose kernels differ by processor",
    ),
    "marker.json": (1e-3, "follows the probabilities"),
    "grid.csv": (
        2e-2,
        "probabilities after training in single precision, where differences by processor grow",
    ),
}
#: The movie: seconds to make and to track, yet cells enter, leave and pass each other.
MOVIE = ("--frames", "60", "--cells", "12", "--seed", "3")
#: What `rbc analyze` says that a second run says otherwise, or that another version will.
CHANGING = ("seconds", "version", "models", "movie_sha256")


def make(out: Path, run: Callable[..., str]) -> None:
    """Make every output but the grid's predictions.

    Parameters
    ----------
    out : folder to fill
    run : calls ``rbc`` with some words and returns what it prints
    """
    for name in ("audit", "claims"):
        _write_json(out / f"{name}.json", json.loads(run(name, "--json")))
    run("packet", "--out", out / "packet")
    listing = out / "packet" / "tables-and-figures.md"
    text = listing.read_text(encoding="utf-8")
    # every edit above a function moves it
    listing.write_text(re.sub(r", line \d+", "", text), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        movie, tracked = Path(folder, "movie"), Path(folder, "tracked")
        run("simulate", "video", "--out", movie, *MOVIE)
        run("track", movie / "movie.avi", "--out", tracked)
        _tracks(tracked).to_csv(out / "tracks.csv", index=False)
        cells = json.loads(run("classify", tracked, "--json"))
        pd.DataFrame(cells).to_csv(out / "cells.csv", index=False, float_format="%.6f")
        # --force: the movie is simulated and short, so it is unlike the known ones
        words = "analyze", movie / "movie.avi", "--out", Path(folder, "report"), "--force", "--json"
        marker = json.loads(run(*words))
    _write_json(out / "marker.json", {key: marker[key] for key in marker if key not in CHANGING})


def predictions(grid: Path) -> pd.DataFrame:
    """Every prediction of the runs of a profile: run, name, label, fold, split, probability."""
    tables = [
        pd.read_parquet(path).assign(run=str(path.parent.relative_to(grid)))
        for path in sorted(grid.glob("stage?/*/predictions.parquet"))
    ]
    columns = ["run", "name", "label", "fold", "split", "probability"]
    return pd.concat(tables)[columns].reset_index(drop=True)


def _tracks(folder: Path) -> pd.DataFrame:
    """A row a tracked sequence: where it begins, how long it is, how fast, and the mean grey level
    of its crops.
    """
    tracks = pd.read_parquet(folder / "tracks.parquet")
    by_name = tracks[tracks["name"] != ""].groupby("name", sort=True)
    table = pd.DataFrame({
        "first": by_name["frame"].min(), "frames": by_name.size(), "x_px": by_name["x_px"].mean(),
        "y_px": by_name["y_px"].mean(), "speed_px": by_name["speed_px"].mean(),
    })  # fmt: skip
    index = pd.read_parquet(folder / "index.parquet").set_index("name")
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    for name, cell in index.iterrows():
        table.loc[name, "grey"] = frames[cell["start"] : cell["start"] + cell["length"]].mean()
    return table.round(6).reset_index()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _command_line(*words: object) -> str:
    command = [sys.executable, "-m", "compendium", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", type=Path, help="folder of the finished runs of tests/tiny.yaml")
    given = parser.parse_args()
    make(HERE, _command_line)
    if given.grid:
        predictions(given.grid).to_csv(HERE / "grid.csv", index=False, float_format="%.6f")
