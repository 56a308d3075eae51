"""Scores of a results folder at the paper's share of positives, and their errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compendium import profiles, runs
from compendium.evidence.study import Study, chosen, derived, sampling_sd
from rbc import metrics

RELEASED = runs.REFERENCE / "released"
CHANGED = "stage1/crnn-uniform-k50-s0"
NOWHERE = Path("nowhere")


def study(folder: Path, register: Path = NOWHERE) -> Study:
    return Study(profiles.load("released"), folder, register)


def as_seed(folder: Path, run: str, seed: int, wrong: int) -> None:
    """Add a run's copy under another seed, with the answers of every so many sequences turned
    round.
    """
    new = Path(shutil.copytree(folder / run, folder / run.replace("-s0", f"-s{seed}")))
    config = json.loads((new / "config.json").read_text(encoding="utf-8"))
    (new / "config.json").write_text(json.dumps(config | {"seed": seed}), encoding="utf-8")
    table = pd.read_parquet(new / "predictions.parquet")
    turned = table["probability"].where(
        np.arange(len(table)) % wrong != 0, 1 - table["probability"]
    )
    table.assign(probability=turned).to_parquet(new / "predictions.parquet", index=False)


def test_errors_are_no_smaller_than_those_of_independent_cells():
    """A bootstrap of few clusters can be too small."""
    assert sampling_sd("recall", 0.9, 0.5, 1000, 10, 0.5) == pytest.approx(
        (0.09 / 1000) ** 0.5, rel=0.08
    )
    assert sampling_sd("recall", 1.0, 0.5, 20, 10, 0.5) > 0.02
    m = study(RELEASED).measured(1, "test", "recall", chosen(1))
    assert m.cells_sd >= (0.93 * 0.07 / 126) ** 0.5 * 0.9 and m.seeds == 1
    assert np.isnan(m.seed_sd) and m.seed_df == 0  # not 0: nothing is known of another seed


def test_seeds_widen_an_error_and_a_single_one_borrows_their_spread(tmp_path):
    """Unknown seed spread is not zero."""
    copied = Path(shutil.copytree(RELEASED, tmp_path / "released"))
    cell, about = chosen(1), (1, "test", "recall")
    single = study(copied).measured(*about, cell)
    as_seed(copied, CHANGED, 1, wrong=5)
    both = study(copied).measured(*about, cell)
    assert both.seeds == 2 and not both.borrowed and both.seed_se > 0
    assert both.draws[0] < single.draws[0]
    lender = Path(shutil.copytree(copied, tmp_path / "register"))
    alone = study(RELEASED, lender).measured(*about, ("crnn", "similarity", 20))
    assert (
        alone.seeds == 1
        and alone.borrowed
        and alone.seed_se == pytest.approx(both.seed_se * 2**0.5)
    )
    # another model
    assert np.isnan(study(RELEASED, lender).measured(*about, ("cnn", "uniform", 20)).seed_se)


@pytest.mark.parametrize("score", ["precision", "f1", "accuracy"])
def test_derived_scores_are_the_reweighted_ones(score):
    """Two ways to the same score must agree."""
    c = metrics.Confusion(30, 20, 10, 140)
    assert derived(score, c.recall, c.specificity, 0.1) == pytest.approx(
        metrics.reweighted(c, 0.1)[score]
    )
    # its own share
    assert derived(score, c.recall, c.specificity, 0.2) == pytest.approx(getattr(c, score))


def test_the_fraction_called_counts_both_kinds_of_errors():
    """Of 100 cells 10 flip; 8 of these and 9 of the others are called flipping."""
    assert derived("fraction", 0.8, 0.9, 0.1) == pytest.approx((81 + 2) / 100)
