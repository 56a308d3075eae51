"""A run killed at any point ends, once started again, with the bits of one never killed."""

import multiprocessing
import random
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from rbc import ROOT, checkpoints, profiles, training
from rbc.paper import Configuration
from rbc.sequences import Sequences

KILLS = 10  # for each of the two networks
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["rbc.training"])


def plan(**changed: object) -> profiles.Profile:
    tiny = profiles.load(str(ROOT / "tests" / "tiny.yaml"))
    settings = {"epochs": 5, "noise_sd": 2.0, "checkpoint_seconds": 0.0, "lr_finder_batches": 0} | changed
    return tiny.model_copy(update={"training": tiny.training.model_copy(update=settings)})


def train(cells: Sequences, c: Configuration, out: Path, states: Path) -> None:
    outcome = training.train(cells, c, plan(), states)
    losses = {f"history.{name}": column.to_numpy() for name, column in outcome.history.items()}
    save_file(outcome.weights | losses | {"p": outcome.predictions["probability"].to_numpy()}, out)


def start(*arguments: object) -> multiprocessing.Process:
    process = processes.Process(target=train, args=arguments)
    process.start()
    return process


@pytest.mark.parametrize("model", ["cnn", "crnn"])
def test_killed_at_random_points_it_ends_with_the_same_bits(cells, tmp_path, model):
    c, dice = Configuration(2, model, "uniform", 10), random.Random(7)
    began = time.monotonic()
    start(cells, c, tmp_path / "whole", tmp_path / "never").join()
    whole, seconds = load_file(tmp_path / "whole"), time.monotonic() - began
    resumed = 0
    for trial in range(KILLS):
        states = tmp_path / f"states{trial}"
        process = start(cells, c, tmp_path / "killed", states)
        process.join(dice.uniform(0.2, 1.0) * seconds)
        process.kill()
        process.join()
        (tmp_path / "killed").unlink(missing_ok=True)
        resumed += (states / "fold0.safetensors").exists()
        start(cells, c, tmp_path / "again", states).join()
        again = load_file(tmp_path / "again")
        assert again.keys() == whole.keys()
        assert all(np.array_equal(again[name], whole[name]) for name in whole), trial
    assert resumed >= KILLS // 3  # else the kills came before the first checkpoint and nothing was tested


def test_it_goes_on_from_the_checkpoint_and_does_not_begin_anew(cells, tmp_path):
    c = Configuration(2, "cnn", "uniform", 10)
    first = training.train(cells, c, plan(), tmp_path)
    file = tmp_path / "fold0.safetensors"
    header = checkpoints.read_header(file, training.run_key(cells, c, plan()))
    assert header["epochs"] == 5
    second = training.train(cells, c, plan(), tmp_path)
    assert second.seconds < first.seconds
    pd.testing.assert_frame_equal(first.history, second.history, check_exact=True)
    pd.testing.assert_frame_equal(first.predictions, second.predictions, check_exact=True)


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_not_taken(cells, tmp_path):
    c = Configuration(2, "cnn", "uniform", 10)
    file = tmp_path / "fold0.safetensors"
    training.train(cells, c, plan(epochs=2), tmp_path)
    key = training.run_key(cells, c, plan(epochs=2))
    assert checkpoints.read_header(file, key)["epochs"] == 2
    others = [training.run_key(cells, c, plan(epochs=3)), training.run_key(cells.select(slice(0, 30)), c, plan())]
    others.append(training.run_key(cells, Configuration(2, "cnn", "uniform", 10, 1), plan(epochs=2)))
    assert all(checkpoints.read_header(file, other) == {} for other in others)
    file.write_bytes(file.read_bytes()[:1000])
    assert checkpoints.read_header(file, key) == {}


def test_the_finder_leaves_the_training_as_it_was(cells):
    c = Configuration(2, "crnn", "uniform", 10)
    without, found = (training.train(cells, c, plan(lr_finder_batches=n)) for n in (0, 12))
    assert all(np.array_equal(without.weights[name], found.weights[name]) for name in without.weights)
    assert without.rates.empty and len(found.rates) >= 6
    assert found.rates["rate"].is_monotonic_increasing
