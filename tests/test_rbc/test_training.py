import os

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from rbc import RbcError, inputs, settings, training
from rbc.paper import Configuration
from rbc.sequences import Sequences, from_list
from rbc.settings import Fold, Training

pytestmark = pytest.mark.slow

TINY = Training(epochs=1, batch_size=8, device="cpu")
EASY = Training(epochs=12, batch_size=8, lr_low=1e-3, lr_high=3e-3, device="cpu")


@pytest.fixture(scope="module")
def few(cells) -> Sequences:
    """Eighteen sequences of all splits and labels: enough for bits, not for scores."""
    return cells.select(cells.index.groupby(["split", "label"]).cumcount().to_numpy() < 3)


def easy(n: int = 48) -> Sequences:
    """Flipping: a bar that turns; tank-treading: a bar that stays.

    Nothing but the motion differs.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-15:16, -15:16]
    strips, labels = [], []
    for i in range(n):
        turning = i % 2 == 1
        angles = rng.uniform(0, np.pi) + (np.linspace(0, np.pi, 10) if turning else np.zeros(10))
        bars = [40.0 * (np.abs(x * np.sin(a) - y * np.cos(a)) < 2) for a in angles]
        strips.append(
            (100 + np.array(bars) + rng.normal(0, 2, (10, 31, 31))).clip(0, 255).astype(np.uint8)
        )
        labels.append("flipping" if turning else "tank-treading")
    split = ["train", "train", "validation", "test"]
    rows = pd.DataFrame(
        {"name": [f"s{i}" for i in range(n)], "label": labels, "acquisition": "a", "patient": "p"}
    )
    rows["split"] = [split[(i // 2) % 4] for i in range(n)]
    return from_list(strips, rows, {"simulated": True})


@pytest.mark.parametrize("model", ["cnn", "crnn"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(few, model):
    """The promise of every page: the same seed on the same machine gives the same numbers."""
    first, again, other = (
        training.train(few, Configuration(2, model, "similarity", 10, seed), TINY)
        for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(first.predictions, again.predictions, check_exact=True)
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    assert any(
        not np.array_equal(first.weights[name], other.weights[name]) for name in first.weights
    )


@pytest.mark.parametrize("model", ["cnn", "crnn"])
def test_both_networks_learn_an_easy_motion(model):
    """A network that cannot learn this one learns nothing."""
    outcome = training.train(easy(), Configuration(2, model, "uniform", 10), EASY)
    called = outcome.predictions["probability"] >= 0.5
    assert (called == (outcome.predictions["label"] == "flipping")).mean() > 0.8


def test_only_what_is_learned_from_lies_in_memory_and_the_rest_is_predicted_in_pieces(
    cells, monkeypatch
):
    """On the full record the others would fill gigabytes. Pieces change no bit."""
    few = cells.select(cells.index["label"].ne("flipping") | (np.arange(len(cells.index)) % 5 == 0))
    own = few.index["split"].to_numpy(object)
    turned = np.where(own == "train", "validation", np.where(own == "validation", "train", own))
    for splits in ([own], [own, turned]):
        for stage in (1, 2):
            c = Configuration(stage, "cnn", "uniform", 10, seed=1)
            learned = training.learned_from(few, splits, c, TINY)
            drawn = training.balanced(few.index["label"], splits, c)
            left = [np.flatnonzero(training.chosen(few, s, "validation", c)) for s in splits]
            kept = np.unique(np.concatenate([*drawn, *left]))
            assert len(learned.rows.frames) == len(kept) < len(few.index)
            for found, wanted in zip(learned.balanced + learned.validation, drawn + left):
                assert kept[found].tolist() == wanted.tolist()
    wanted, c = np.arange(len(few)) % 3 > 0, Configuration(2, "cnn", "uniform", 10)
    model = training.network(c, TINY, torch.device("cpu"))
    whole = training.answers(model, few, wanted, c, TINY, 0, "test")
    monkeypatch.setattr(training, "PREDICTED", 1)
    pieces = training.answers(model, few, wanted, c, TINY, 0, "test")
    pd.testing.assert_frame_equal(whole, pieces, check_exact=True)
    assert len(whole) == wanted.sum() > 2 * TINY.batch_size
    none = training.answers(model, few, np.zeros(len(few), bool), c, TINY, 0, "test")
    assert none.empty and list(none) == list(whole)


@pytest.mark.parametrize(("model", "kept"), [("crnn", "16"), ("cnn", None)])
def test_a_recurrent_run_keeps_few_of_the_programs_made_for_its_shapes(
    few, monkeypatch, model, kept
):
    """Every batch of a C-RNN has a shape of its own: with a program kept for each, memory grows."""
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, "")  # so that what stood there comes back afterwards
    monkeypatch.delenv(name)
    training.train(few, Configuration(2, model, "uniform", 10), TINY)
    assert os.environ.get(name) == kept
    monkeypatch.setenv(name, "4")
    training.train(few, Configuration(2, model, "uniform", 10), TINY)
    assert os.environ[name] == "4"  # what the user sets stays


def test_stage_2_answers_for_the_unreliable_test_sequences_too(few):
    """The marker end to end needs what stage 2 says of what stage 1 lets through."""
    outcome = training.train(few, Configuration(2, "cnn", "uniform", 10), TINY)
    index = few.index
    asked = index[(index["label"] == "unreliable") & (index["split"] == "test")]
    assert len(asked) and outcome.unreliable["name"].tolist() == asked["name"].tolist()
    assert (
        set(outcome.unreliable["split"]) == {"test"}
        and outcome.unreliable["probability"].between(0, 1).all()
    )
    assert "unreliable" not in set(outcome.predictions["label"])
    assert training.train(few, Configuration(1, "cnn", "uniform", 10), TINY).unreliable.empty


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_kept_weights_are_those_of_the_best_epoch_or_the_last(few, keep):
    """The scores are of the weights that the settings name: their loss is that of the epoch."""
    longer = TINY.model_copy(update={"epochs": 4, "lr_high": 0.05, "keep": keep})
    outcome = training.train(few, Configuration(2, "cnn", "uniform", 10), longer)
    part = outcome.predictions[outcome.predictions["split"] == "validation"]
    p = torch.tensor(part["probability"].to_numpy())
    loss = cross_entropy(
        torch.log(torch.stack([1 - p, p], 1)),
        torch.tensor((part["label"] == "flipping").to_numpy() * 1),
    )
    losses = outcome.history["valid_loss"]
    assert (losses.min() if keep == "best" else losses.iat[-1]) == pytest.approx(
        float(loss), rel=1e-3
    )
    assert outcome.history["valid_loss"].nunique() > 1


def test_inputs_have_no_background_and_zeros_after_the_end():
    """A network that saw the background could learn the day instead of the motion."""
    short = from_list(
        [np.full((4, 31, 31), 90, np.uint8)], easy(2).index.iloc[:1], {"simulated": True}
    )
    data = training.rows(short, Configuration(2, "cnn", "uniform", 10), torch.device("cpu"))
    x, lengths, _ = data.batch(torch.tensor([0]), Training(epochs=1, noise_sd=2.0), learning=True)
    assert lengths.tolist() == [4]
    assert float(x[0, 4:].abs().max()) == 0.0
    # 2 grey levels of noise over 20
    assert 0.05 < float(x[0, :4].std()) < 0.15 and abs(float(x[0, :4].mean())) < 0.01


def test_stage_1_sees_all_sequences_and_stage_2_the_reliable_ones(few):
    """Stage 1 tells reliable from unreliable, stage 2 only the reliable ones apart."""
    for stage, n in ((1, 18), (2, 12)):
        outcome = training.train(few, Configuration(stage, "cnn", "uniform", 10), TINY)
        assert len(outcome.predictions) == n
        assert set(outcome.predictions["split"]) == {"validation", "test"}


def test_folds_are_whole_acquisitions(cells):
    """Cells of one movie in two splits would leak."""
    names = sorted(cells.index["acquisition"].unique())
    fold = Fold(train=names[2:], validation=names[:1], test=names[1:2])
    (split,) = settings.folds(cells.index, [fold])
    assert set(cells.index["acquisition"][split == "test"]) == {names[1]}
    with pytest.raises(RbcError, match="the data lacks: XX"):
        settings.folds(cells.index, [fold.model_copy(update={"test": ["XX"]})])


def test_a_last_batch_of_one_is_left_out_of_training_only(cells):
    """Batch norm cannot train on one sequence, but every sequence must be answered."""
    data = training.rows(cells, Configuration(1, "cnn", "uniform", 10), torch.device("cpu"))
    nine = np.arange(9)
    sizes = [
        [len(b[0]) for b in training.loader(data, nine, TINY, shuffle)] for shuffle in (True, False)
    ]
    assert sizes == [[8], [8, 1]]


@pytest.mark.parametrize("allocate", [torch.empty, np.empty])
def test_out_of_memory_names_a_smaller_batch(allocate):
    """A smaller batch is another training: it is advised, never taken in silence."""
    c = Configuration(2, "cnn", "uniform", 10)
    with (
        pytest.raises(
            RbcError, match="out of memory at batch_size 8; set batch_size: 4 in the profile"
        ) as error,
        training.memory(c, TINY),
    ):
        allocate(2**55)
    assert c.path in str(error.value) and "\n" not in str(error.value)
    # another error stays what it is
    with pytest.raises(RuntimeError, match="shape"), training.memory(c, TINY):
        torch.ones(2).view(3)


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here: running out of its memory is not tried"
)
def test_out_of_memory_on_cuda_names_a_smaller_batch(cells):
    """The same on a GPU, whose error is another class."""
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(RbcError, match="batch_size: 4"):
            on_gpu = TINY.model_copy(update={"device": "cuda"})
            training.train(cells, Configuration(2, "cnn", "uniform", 10), on_gpu)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_bfloat16_changes_the_last_bits_and_little_more():
    """Half precision is a switched detail: it must do something, and no harm. One epoch, as a
    processor that knows no bfloat16 takes minutes for a whole training.
    """
    c = Configuration(2, "crnn", "uniform", 10)
    short = EASY.model_copy(update={"epochs": 1})
    full, half = (
        training.train(easy(), c, short.model_copy(update={"precision": p}))
        for p in ("float32", "bfloat16")
    )
    apart = np.abs(full.predictions["probability"] - half.predictions["probability"])
    assert 0 < apart.max() < 0.05
    assert full.history["valid_loss"].item() == pytest.approx(
        half.history["valid_loss"].item(), rel=0.05
    )


def test_raw_grey_levels_and_black_padding_are_what_they_say():
    """Two details of the register change the input as stated."""
    short = from_list(
        [np.full((4, 31, 31), 90, np.uint8)], easy(2).index.iloc[:1], {"simulated": True}
    )
    data = training.rows(short, Configuration(2, "cnn", "uniform", 10), torch.device("cpu"))
    raw, _, _ = data.batch(torch.tensor([0]), Training(epochs=1, grey="raw"))
    black, _, _ = data.batch(torch.tensor([0]), Training(epochs=1, padding="black"))
    assert raw[0, 0, 0, 0] == pytest.approx(90 / 255) and float(raw[0, 4:].abs().max()) == 0.0
    assert float(black[0, 0].abs().max()) == 0.0 and torch.all(
        black[0, 4:] == -90 / inputs.GREY_SCALE
    )


def test_cuda_without_a_gpu_is_an_error():
    """A profile that asks for a GPU must not train on the CPU for days."""
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    with pytest.raises(RbcError, match="no GPU"):
        training.device("cuda")


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU here: scores on CUDA are not compared"
)
def test_cuda_learns_as_the_cpu_does():
    """Where there is a GPU, the same easy task is learned on it."""
    outcome = training.train(
        easy(), Configuration(2, "crnn", "uniform", 10), EASY.model_copy(update={"device": "auto"})
    )
    assert outcome.device.startswith("cuda")
    called = outcome.predictions["probability"] >= 0.5
    assert (called == (outcome.predictions["label"] == "flipping")).mean() > 0.8


def test_a_network_starts_from_given_weights_and_says_where_there_are_none(tmp_path, monkeypatch):
    """Weights that are not there must not mean fresh ones."""
    monkeypatch.chdir(tmp_path)
    c, cpu = Configuration(2, "cnn", "similarity", 10, 0, "frames"), torch.device("cpu")
    own = training.settings(TINY, c)
    given = training.network(
        Configuration(2, "cnn", "similarity", 10, 7, "frames"), own, cpu
    ).state_dict()
    save_file(given, tmp_path / "given.safetensors")
    found = training.network(
        c, own.model_copy(update={"start": "given.safetensors"}), cpu
    ).state_dict()
    fresh = training.network(c, own, cpu).state_dict()
    assert all(torch.equal(found[name], given[name]) for name in given)
    assert not torch.equal(fresh["head.1.weight"], given["head.1.weight"])
    with pytest.raises(RbcError, match=r"other\.safetensors is not there"):
        training.network(c, own.model_copy(update={"start": "other.safetensors"}), cpu)
