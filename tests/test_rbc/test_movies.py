"""Simulated movies: the truth is where the cells are, and the same seed gives the same bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rbc import RbcError, simulate
from rbc.reading import video
from rbc.sequences import from_list
from rbc.simulate import movies

SCENE = movies.Scene(frames=40, shape=(160, 320), cells=4, seed=2, stuck=1)


def _sequences(n: int) -> object:
    """Discs with a bright middle, one grey apart, each with a mark that tells its frames apart."""
    v, u = np.mgrid[-15:16, -15:16]
    cell = 100 - 20 * (abs(np.hypot(u, v) - 6) < 1.5) + 30 * (np.hypot(u, v) < 3)
    strips = [np.stack([cell + i for _ in range(12)]).astype(np.uint8) for i in range(n)]
    rows = pd.DataFrame({"name": [f"s{i}" for i in range(n)]}).assign(
        label="tank-treading", acquisition="a", patient="p", split="test"
    )
    return from_list(strips, rows, {"simulated": True})


def test_same_seed_same_bits() -> None:
    """A simulated movie must be the same movie tomorrow."""
    one, two = (list(movies.physics(SCENE)[0]) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    other = next(movies.physics(movies.Scene(**{**SCENE.__dict__, "seed": 3}))[0])
    assert (other != one[0]).any()


def test_cells_are_where_the_truth_says() -> None:
    """A wrong truth would score a right tracking as wrong."""
    quiet = movies.Scene(
        **{
            **SCENE.__dict__,
            "noise": 0.0,
            "flicker": 0.0,
            "cells": 1.5,
            "stuck": 0,
            "flipping": 0.0,
        }
    )
    frames, truth = movies.physics(quiet)
    stack = np.stack(list(frames)).astype(float)
    contrast = (stack - np.median(stack, axis=0)) ** 2
    tested = 0
    for row in truth.itertuples():
        x, y = round(row.x_px), round(row.y_px)
        alone = (
            np.hypot(
                *(
                    truth.loc[truth.frame == row.frame, c] - getattr(row, c)
                    for c in ("x_px", "y_px")
                )
            )
            < 50
        ).sum()
        if alone == 1 and 20 <= x < 300 and 20 <= y < 140 and row.contrast > 4:
            part = contrast[row.frame, y - 15 : y + 16, x - 15 : x + 16]
            v, u = np.mgrid[-15:16, -15:16]
            at = np.array([(part * u).sum(), (part * v).sum()]) / part.sum() + (x, y)
            assert abs(at - (row.x_px, row.y_px)).max() < 1.0
            tested += 1
    assert tested > 10


def test_speed_follows_the_depth() -> None:
    """Cells higher above the wall are faster: that is shear."""
    truth = movies.physics(SCENE)[1]
    moving = truth[truth["motion"] != "stuck"]
    assert np.allclose(moving["speed_px"], SCENE.speed(moving["depth_um"].to_numpy()))
    # 564 um/s at 0.6 um/px and 60 frames/s
    assert SCENE.speed(np.array(60.0)) == pytest.approx(15.67, abs=0.05)
    for _, path in moving.groupby("cell"):
        assert np.allclose(np.diff(path["x_px"]), path["speed_px"].iloc[1:])


def test_density_is_as_asked() -> None:
    """Crowding is what makes tracking hard."""
    scene = movies.Scene(frames=60, shape=(400, 700), cells=20, stuck=0, seed=4)
    moving = movies.physics(scene)[1]
    assert moving.groupby("frame").size().mean() == pytest.approx(20, rel=0.25)


def test_sprites_are_pasted_where_the_truth_says() -> None:
    """The same for movies of given cells."""
    sequences = _sequences(5)
    frames, truth = movies.sprites(sequences, movies.Scene(shape=(200, 400), cells=2, seed=1))
    stack = list(frames)
    assert truth.groupby("name").size().tolist() == [12] * 5
    alike = []
    for row in truth.itertuples():
        x, y = round(row.sprite_x), round(row.sprite_y)
        others = truth[(truth["frame"] == row.frame) & (truth["cell"] != row.cell)]
        if (np.hypot(others["sprite_x"] - x, others["sprite_y"] - y) < 45).any():
            continue
        crop = stack[row.frame][y - 12 : y + 13, x - 12 : x + 13].astype(float)
        own = sequences[row.cell][row.step][3:-3, 3:-3].astype(float)
        alike.append(np.corrcoef(crop.ravel(), own.ravel())[0, 1])
    assert len(alike) > 20
    assert np.median(alike) > 0.99 and min(alike) > 0.8  # some lie on a speck of dirt


def test_score_of_the_truth_itself_and_of_a_swap() -> None:
    """A perfect tracking scores 1, and a swap is noticed."""
    truth = movies.physics(SCENE)[1]
    exact = truth[truth["motion"] != "stuck"].rename(columns={"cell": "track"})[
        ["track", "frame", "x_px", "y_px"]
    ]
    result = movies.score(exact, truth, SCENE.shape)
    assert (result["recall"], result["precision"], result["switches"], result["rms_px"]) == (
        1.0,
        1.0,
        0,
        0.0,
    )
    two = exact["track"].value_counts().index[:2]
    swapped = exact.assign(
        track=exact["track"].where(
            exact["frame"] < 20, exact["track"].replace(dict(zip(two, two[::-1], strict=True)))
        )
    )
    assert movies.score(swapped, truth, SCENE.shape)["precision"] < 1
    assert movies.score(exact[exact["frame"] % 9 > 0], truth, SCENE.shape)["recall"] < 0.9


def test_folder_with_movie_and_truth(tmp_path: Path) -> None:
    """The folder is whole or not there."""
    done = []
    out = movies.simulate_movie(tmp_path / "sim", SCENE, progress=done.append)
    opened = video.open_movie(out / "movie.avi")
    assert done == list(range(1, 41))
    assert (opened.n_frames, opened.shape) == (40, SCENE.shape)
    assert json.loads((out / "meta.json").read_text(encoding="utf-8"))["simulated"] is True
    assert list(pd.read_parquet(out / "truth.parquet").columns) == list(movies.TRUTH)
    with pytest.raises(RbcError, match="codec"):
        movies.simulate_movie(tmp_path / "other", SCENE, codec="divx")
    assert [p.name for p in tmp_path.iterdir()] == ["sim"]


@pytest.mark.parametrize(("shear", "rate"), [(10.0, 60.0), (25.0, 60.0), (10.0, 240.0)])
def test_cells_flip_with_jefferys_period_at_the_rates_of_the_movie(
    shear: float, rate: float
) -> None:
    """Both simulators obey one period; a movie at other rates once flipped at the paper's."""
    scene = movies.Scene(shear_rate=shear, frame_rate=rate)
    for seed in range(20):
        shapes = movies._shapes("flipping", 900, scene, np.random.default_rng(seed))
        axes, vectors = np.linalg.eigh(shapes)
        ratio = np.sqrt(axes[0, 0] / axes[0, 2])
        turned = np.unwrap(2 * np.arctan2(vectors[:, 0, 0], vectors[:, 2, 0])) / 2
        whole = np.unwrap(np.arctan2(np.sin(turned) / ratio, np.cos(turned)))  # even in time
        frames = 2 * np.pi / abs(np.diff(whole))
        np.testing.assert_allclose(frames, simulate.jeffery_period(ratio, shear, rate), rtol=1e-6)
        assert frames.min() > 4 * np.pi / shear * rate


def test_some_cells_roll_where_that_is_asked_for() -> None:
    """Rolling has its own name in the truth, and takes nothing from the flipping cells."""
    plain = movies.physics(SCENE)[1]
    some = movies.physics(replace(SCENE, rolling=0.4))[1]
    assert set(plain["motion"]) == {"tank-treading", "flipping", "stuck"}
    assert set(some["motion"]) == {"tank-treading", "flipping", "rolling", "stuck"}
    flips = [set(truth.loc[truth["motion"] == "flipping", "cell"]) for truth in (plain, some)]
    assert flips[0] == flips[1]


@pytest.mark.parametrize(("flipping", "rolling"), [(0.7, 0.4), (-0.1, 0.0), (0.0, 1.1)])
def test_shares_of_motions_that_cannot_be_are_one_clear_error(
    flipping: float, rolling: float
) -> None:
    """More cells than there are cannot move: nothing is drawn in silence."""
    with pytest.raises(RbcError, match="are no shares of the cells"):
        movies.physics(replace(SCENE, flipping=flipping, rolling=rolling))
