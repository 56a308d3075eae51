"""Do thresholds travel to another blood draw? Ways to set them, each tried on blood draws left out.

    python workflow/travel.py

Needs the prepared data of the profile ours. Stage 1: the machine that saw nothing of a draw scores
its cells, and the other draws' cells set the threshold. Stage 2: the strips set the threshold, the
test acquisitions are predicted. Written to data/reference/ours/travel.json.
"""

from __future__ import annotations

from collections.abc import Callable

import beyond as workflow  # beside this script
import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.mixture import GaussianMixture

from compendium import beyond, profiles, runs
from rbc import metrics, sequences
from rbc.bench import focus, thresholds
from rbc.paper import RELIABLE, in_stage, positive

OURS = "focus", "frames + focus"  #: the models of stage 1 and 2
SEEDS = range(5)  #: of the halves that are labelled
SHIFT_SD = 2.0  #: log odds by which a draw's threshold may differ, before any label; set beforehand
DISTURBED = (
    "contrast x 0.6",
    "contrast x 1.6",
    "blur of 0.6 px",
    "JPEG of quality 75",
    "noise of 4 grey levels more",
)

#: A way to set thresholds: from setting cells and the cells of one draw (score, label,
#: acquisition) to the threshold of each of the draw's cells.
Way = Callable[[pd.DataFrame, pd.DataFrame, int, int], np.ndarray]


def main() -> None:
    """Try all ways in both stages."""
    profile = profiles.load("ours")
    cells = sequences.load(profile.data_folder)
    content = {"stage 1": of_stage(stage1_parts(profile, cells), 1)}
    content["stage 2"] = of_stage(stage2_parts(), 2)
    content |= {**runs.checkout(), "finished": runs.now()}
    workflow.write(runs.REFERENCE / "ours" / "travel.json", content)


# --- scores of setting cells and of cells left out ---


def stage1_parts(profile, cells) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Setting cells and cells left out, of each blood draw; log odds as score.

    The setting cells are there once more for each of `DISTURBED`, in column `disturbed`.
    """
    left = workflow.left_out(profile, 1)
    folds = workflow.machine_folds(left)
    table, fitted = beyond.machines(cells, folds, 1)
    tests = cells.select((cells.index["split"] == "test").to_numpy())
    numbers = {
        name: focus.of_sequences(workflow._changed(tests, workflow.NUISANCES[name]))
        for name in DISTURBED
    }
    parts = []
    for draw in left["blood draw"]:
        own = beyond.answers(table, folds, draw)
        others = own[~own["acquisition"].isin(draw)].assign(disturbed="")
        mine = own[own["acquisition"].isin(draw)]
        more = [others]
        for number, fold in enumerate(folds):
            # The machine that saw neither the draw left out nor this acquisition.
            if set(fold.validation) >= set(draw) and len(fold.validation) == len(draw) + 1:
                (name,) = set(fold.validation) - set(draw)
                rows = (tests.index["acquisition"] == name).to_numpy()
                for what, values in numbers.items():
                    score = focus.decision(fitted[number], values[rows])
                    index = tests.index.loc[rows, beyond.KEY]
                    more.append(index.assign(score=score, disturbed=what))
        parts.append(_calibrated(pd.concat(more, ignore_index=True), mine, 1))
    return parts


def stage2_parts() -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The same of stage 2 from the kept answers: the strips set, each test draw is left out."""
    kept = pd.read_parquet(runs.REFERENCE / "ours" / "answers.parquet")
    kept = kept[(kept["stage"] == 2) & (kept["model"] == OURS[1])]
    kept = kept[kept["seed"] == workflow.TOGETHER]
    strips = kept[kept["left_out"] == workflow.SETTING].assign(disturbed="")
    tests = kept[kept["left_out"] == "test"]
    draws = tests["acquisition"].map(metrics.blood_draw)
    return [_calibrated(strips, part, 2) for _, part in tests.groupby(draws)]


def _calibrated(
    setting: pd.DataFrame, mine: pd.DataFrame, stage: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    plain = setting[setting["disturbed"] == ""]
    offset, slope = thresholds.calibration(plain["score"], positive(plain["label"], stage))
    both = [t.assign(score=offset + slope * t["score"]) for t in (setting, mine)]
    return both[0], both[1]


# --- ways to set thresholds ---


def as_shipped(setting: pd.DataFrame, mine: pd.DataFrame, stage: int, seed: int) -> np.ndarray:
    """One threshold from the other draws' cells as they are."""
    plain = setting[setting["disturbed"] == ""]
    return np.full(len(mine), _threshold(plain, stage))


def disturbed(setting: pd.DataFrame, mine: pd.DataFrame, stage: int, seed: int) -> np.ndarray:
    """One threshold from the other draws' cells as they are and disturbed."""
    return np.full(len(mine), _threshold(setting, stage))


def median_of_movie(setting: pd.DataFrame, mine: pd.DataFrame, stage: int, seed: int) -> np.ndarray:
    """The threshold stands at a distance from the median score of each movie."""
    plain = setting[setting["disturbed"] == ""]
    middle = plain.groupby("acquisition")["score"].transform("median")
    distance = _threshold(plain.assign(score=plain["score"] - middle), stage)
    return (mine.groupby("acquisition")["score"].transform("median") + distance).to_numpy()


def spread_of_movie(setting: pd.DataFrame, mine: pd.DataFrame, stage: int, seed: int) -> np.ndarray:
    """The same in units of the movie's own spread (quartiles)."""
    plain = setting[setting["disturbed"] == ""]
    middle, spread = _middle_and_spread(plain)
    distance = _threshold(plain.assign(score=(plain["score"] - middle) / spread), stage)
    middle, spread = _middle_and_spread(mine)
    return (middle + spread * distance).to_numpy()


def two_groups(setting: pd.DataFrame, mine: pd.DataFrame, stage: int, seed: int) -> np.ndarray:
    """Where a mixture of two normal distributions, fitted to the scores of each movie without
    labels, has its lower part's share `thresholds.SPECIFICITY` below.
    """
    out = np.empty(len(mine))
    for name in mine["acquisition"].unique():
        own = (mine["acquisition"] == name).to_numpy()
        values = mine["score"].to_numpy()[own, None]
        mixture = GaussianMixture(2, random_state=0, n_init=5).fit(values)
        lower = int(np.argmin(mixture.means_))
        sd = float(np.sqrt(mixture.covariances_[lower, 0, 0]))
        z = {1: 1.6449, 2: 2.0537}[stage]  # normal quantiles at the specificity
        out[own] = mixture.means_[lower, 0] + z * sd
    return out


def half_labelled(setting: pd.DataFrame, mine: pd.DataFrame, stage: int, seed: int) -> np.ndarray:
    """The threshold of the other draws, moved by the labels of half of the draw's cells; each half
    is predicted with the labels of the other.
    """
    start = _threshold(setting[setting["disturbed"] == ""], stage)
    truth = np.where(positive(mine["label"], stage), 1.0, -1.0)
    far = mine["score"].to_numpy() - start
    half = np.random.default_rng(seed).permutation(len(mine)) % 2
    out = np.empty(len(mine))
    for part in (0, 1):
        labelled = half != part
        y, x = truth[labelled], far[labelled]
        weight = np.where(y > 0, 1 / max((y > 0).sum(), 1), 1 / max((y < 0).sum(), 1)) * len(y) / 2

        def cost(shift: float, y=y, x=x, weight=weight) -> float:
            fit = (weight * log_expit(y * (x - shift))).sum()
            return shift**2 / (2 * SHIFT_SD**2) - fit

        out[half == part] = start + minimize_scalar(cost, bounds=(-8, 8), method="bounded").x
    return out


def _threshold(setting: pd.DataFrame, stage: int) -> float:
    truth = positive(setting["label"], stage)
    return thresholds.limits(setting["score"].to_numpy(), truth, stage)[0]


def _middle_and_spread(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    scores = table.groupby("acquisition")["score"]
    quartiles = [scores.transform("quantile", q) for q in (0.25, 0.75)]
    return scores.transform("median"), quartiles[1] - quartiles[0]


WAYS: dict[str, Way] = {
    "one threshold, as shipped": as_shipped,
    "one threshold, set on disturbed cells too": disturbed,
    "distance from the movie's median score": median_of_movie,
    "the same in units of the movie's spread": spread_of_movie,
    "two groups of scores, no labels": two_groups,
    "moved by labels of half the draw's cells": half_labelled,
}


# --- how good they are ---


def of_stage(parts: list[tuple[pd.DataFrame, pd.DataFrame]], stage: int) -> list[dict]:
    """A row a way: scores on draws left out, and the difference from the shipped way."""
    tables = {}
    for name, way in WAYS.items():
        if stage == 2 and way is disturbed:  # the strips were scored as they are only
            continue
        seeds = SEEDS if way is half_labelled else (0,)
        tables[name] = pd.concat(
            mine.assign(
                probability=expit(mine["score"] - way(setting, mine, stage, seed)),
                seed=seed,
                stage=stage,
            )
            for seed in seeds
            for setting, mine in parts
        )
    base, rows = next(iter(tables.values())), []
    for name, table in tables.items():
        table = table[in_stage(table["label"], stage)]
        row = {"way": name}
        row["scores"] = [metrics.uncertainty(table, stage, s) for s in workflow.SCORES[:3]]
        called = table.assign(called=table["probability"] >= metrics.THRESHOLD)
        row["called"] = called.groupby("label")["called"].mean().to_dict()
        if stage == 1:
            row["motions_apart"] = abs(row["called"][RELIABLE[0]] - row["called"][RELIABLE[1]])
        if table is not base and name != next(iter(tables)):
            row["difference"] = metrics.difference(table, base, "balanced_accuracy")
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
