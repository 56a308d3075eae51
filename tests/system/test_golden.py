"""Frozen outputs (tests/golden): made anew by the real command line, they hold what they held."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import rbc

from compendium import ROOT

pytestmark = pytest.mark.slow

GOLDEN = ROOT / "tests" / "golden"
_specification = importlib.util.spec_from_file_location("make", GOLDEN / "make.py")
golden = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(golden)


def _run(*words: object) -> str:
    answer = rbc(*words)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them but the grid's, made anew."""
    out = tmp_path_factory.mktemp("golden")
    golden.make(out, _run)
    return out


def differences(kept: object, now: object, tolerance: float, where: str = "") -> list[str]:
    """Where two values of JSON differ: the place, what is kept, what is there now."""
    if isinstance(kept, dict) and isinstance(now, dict) and kept.keys() == now.keys():
        return [
            line
            for key in kept
            for line in differences(kept[key], now[key], tolerance, f"{where}.{key}")
        ]
    if isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        pairs = enumerate(zip(kept, now))
        return [
            line for i, pair in pairs for line in differences(*pair, tolerance, f"{where}[{i}]")
        ]
    if isinstance(kept, float) and isinstance(now, float):
        near = abs(kept - now) <= tolerance * max(1.0, abs(kept))
        return [] if near or kept == now else [f"{where}: {kept} is now {now}"]
    return [] if kept == now else [f"{where}: {kept!r} is now {now!r}"]


def read(path: Path) -> object:
    """A file's content as values of JSON."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".csv":
        return json.loads(pd.read_csv(path).to_json(orient="records", double_precision=15))
    return path.read_text(encoding="utf-8").splitlines()


def tell(found: list[str]) -> str:
    """What a failing test says."""
    return "\n".join(
        [*found[:10], f"{len(found)} differences; if they are meant: python tests/golden/make.py"]
    )


@pytest.mark.parametrize(
    "name", [name for name in golden.TOLERANCES if name not in ("packet", "grid.csv")]
)
def test_an_output_is_as_it_was(name: str, made: Path) -> None:
    """A change of the code that should move no number moves none."""
    found = differences(read(GOLDEN / name), read(made / name), golden.TOLERANCES[name][0])
    assert not found, tell(found)


def test_the_packet_is_as_it_was(made: Path) -> None:
    """Every file of the packet for reviewers, and no other."""
    kept, now = GOLDEN / "packet", made / "packet"
    files = [
        sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        for folder in (kept, now)
    ]
    assert files[0] == files[1]
    found = [
        line
        for name in files[0]
        for line in differences(read(kept / name), read(now / name), 0.0, str(name))
    ]
    assert not found, tell(found)


def test_the_tiny_grid_answers_as_it_did(built: Path) -> None:
    """Data, sampling, training and prediction of both models and stages, from end to end."""
    kept = read(GOLDEN / "grid.csv")
    now = golden.predictions(built / "results" / "tiny").to_dict("records")
    found = differences(kept, now, golden.TOLERANCES["grid.csv"][0])
    assert not found, tell(found)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda rows: rows[3].update(x_px=rows[3]["x_px"] + 0.2), "[3].x_px"),
        (lambda rows: rows[0].update(frames=rows[0]["frames"] + 1), "[0].frames"),
        (lambda rows: rows.pop(), ""),
        (lambda rows: rows[1].update(name="another"), "[1].name"),
    ],
)
def test_a_moved_number_is_noticed(change, place: str) -> None:
    """The comparison can fail: a step of a pixel's fraction, a frame, a cell less, another name."""
    kept, now = read(GOLDEN / "tracks.csv"), read(GOLDEN / "tracks.csv")
    change(now)
    found = differences(kept, now, golden.TOLERANCES["tracks.csv"][0])
    assert len(found) == 1
    assert found[0].startswith(f"{place}:")
