"""A run killed at any point ends, once started again, with the bits of one never killed."""

import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from rbc import checkpoints, training
from rbc.paper import Configuration
from rbc.sequences import Sequences
from rbc.settings import Training

pytestmark = pytest.mark.slow

KILLS = 2  # for each of the two networks
KEY = "what the numbers depend on"
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["rbc.training"])


@pytest.fixture(scope="module")
def few(cells) -> Sequences:
    """Twelve sequences of stage 2, four in each split: an epoch is one step."""
    chosen = cells.index.groupby(["split", "label"]).cumcount().to_numpy() < 2
    return cells.select(chosen & (cells.index["label"] != "unreliable").to_numpy())


def plan(**changed: object) -> Training:
    """Settings whose state is put on disk after every epoch."""
    own = {
        "epochs": 3,
        "batch_size": 4,
        "noise_sd": 2.0,
        "checkpoint_seconds": 0.0,
        "device": "cpu",
    }
    return Training(**own | changed)


def train(cells: Sequences, c: Configuration, out: Path, states: Path) -> None:
    outcome = training.train(cells, c, plan(), checkpoints=states, key=KEY)
    losses = {f"history.{name}": column.to_numpy() for name, column in outcome.history.items()}
    save_file(outcome.weights | losses | {"p": outcome.predictions["probability"].to_numpy()}, out)


def start(*arguments: object) -> multiprocessing.Process:
    process = processes.Process(target=train, args=arguments)
    process.start()
    return process


@pytest.mark.parametrize("model", ["cnn", "crnn"])
@pytest.mark.nightly
def test_killed_at_random_points_it_ends_with_the_same_bits(few, tmp_path, model):
    """A power cut costs time, never a bit."""
    c, dice = Configuration(2, model, "uniform", 10), random.Random(7)
    began = time.monotonic()
    start(few, c, tmp_path / "whole", tmp_path / "never").join()
    whole, seconds = load_file(tmp_path / "whole"), time.monotonic() - began
    resumed = 0
    for trial in range(KILLS):
        states = tmp_path / f"states{trial}"
        process = start(few, c, tmp_path / "killed", states)
        if trial == 0:  # anywhere, also before the first checkpoint
            process.join(dice.uniform(0.3, 1.0) * seconds)
        else:  # soon after one was written, or while the next one is
            while process.is_alive() and not (states / "fold0.safetensors").exists():
                process.join(0.01)
            process.join(dice.uniform(0.0, 0.2) * seconds)
        process.kill()
        process.join()
        (tmp_path / "killed").unlink(missing_ok=True)
        resumed += (states / "fold0.safetensors").exists()
        start(few, c, tmp_path / "again", states).join()
        again = load_file(tmp_path / "again")
        assert again.keys() == whole.keys()
        assert all(np.array_equal(again[name], whole[name]) for name in whole), trial
    assert resumed  # else the kills came before the first checkpoint and nothing was tested


def test_it_goes_on_from_the_checkpoint_and_does_not_begin_anew(few, tmp_path):
    """What is finished is not trained again, and answers the same."""
    c = Configuration(2, "cnn", "uniform", 10)
    first = training.train(few, c, plan(), checkpoints=tmp_path, key=KEY)
    assert checkpoints.read_header(tmp_path / "fold0.safetensors", KEY)["epochs"] == 3
    second = training.train(few, c, plan(), checkpoints=tmp_path, key=KEY)
    assert second.seconds < first.seconds
    pd.testing.assert_frame_equal(first.history, second.history, check_exact=True)
    pd.testing.assert_frame_equal(first.predictions, second.predictions, check_exact=True)


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_not_taken(few, tmp_path):
    """A state of other settings, data or code would be gone on from in silence."""
    file = tmp_path / "fold0.safetensors"
    training.train(
        few, Configuration(2, "cnn", "uniform", 10), plan(epochs=2), checkpoints=tmp_path, key=KEY
    )
    assert checkpoints.read_header(file, KEY)["epochs"] == 2
    assert checkpoints.read_header(file, "another key") == {}
    file.write_bytes(file.read_bytes()[:1000])
    assert checkpoints.read_header(file, KEY) == {}


def test_the_finder_leaves_the_training_as_it_was(few):
    """A curve that is only shown must not change the numbers."""
    c = Configuration(2, "crnn", "uniform", 10)
    without, found = (training.train(few, c, plan(lr_finder_batches=n)) for n in (0, 12))
    assert all(
        np.array_equal(without.weights[name], found.weights[name]) for name in without.weights
    )
    assert without.rates.empty and len(found.rates) >= 6
    assert found.rates["rate"].is_monotonic_increasing
