import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from rbc import RbcError, sampling


def film(n: int, seed: int, smooth: float = 2) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(n, 31, 31)), (1, smooth, smooth))
    return np.clip(120 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def plain_similarity(frames: np.ndarray, k: int) -> list[int]:
    """The rule of `rbc.sampling.similarity` as a plain loop over scikit-image: the oracle."""
    kept = list(range(len(frames)))
    while len(kept) > k:
        pairs = [structural_similarity(frames[a], frames[b], data_range=255) for a, b in zip(kept, kept[1:])]
        del kept[int(np.argmax(pairs)) + 1]
    return kept


@given(seed=st.integers(0, 10_000), smooth=st.sampled_from([0.0, 1.0, 3.0]))
@settings(max_examples=30, deadline=None)
def test_ssim_equals_scikit_image(seed, smooth):
    a, b = film(2, seed, smooth)
    assert sampling.ssim(a, b) == pytest.approx(structural_similarity(a, b, data_range=255), abs=1e-5)


def test_ssim_equals_scikit_image_on_flat_and_extreme_frames():
    flat, full = np.full((31, 31), 100, np.uint8), np.full((31, 31), 255, np.uint8)
    for a, b in [(flat, flat), (flat, full), (full, 0 * full), (0 * full, 0 * full)]:
        assert sampling.ssim(a, b) == pytest.approx(structural_similarity(a, b, data_range=255), abs=1e-5)


@pytest.mark.parametrize("k", [1, 2, 10, 20, 30])
def test_similarity_keeps_what_the_plain_loop_keeps(cells, k):
    for i in range(0, len(cells), 7):
        assert sampling.similarity(cells[i], k).tolist() == plain_similarity(cells[i], k)


def test_of_equally_similar_pairs_the_earliest_loses_its_later_frame():
    a, b = film(2, 1)
    assert sampling.similarity(np.stack([a, a, b, b]), 3).tolist() == [0, 2, 3]


@given(n=st.integers(1, 120), k=st.integers(2, 60))
def test_uniform_keeps_both_ends_and_even_gaps(n, k):
    kept = sampling.uniform(np.zeros((n, 31, 31), np.uint8), k)
    assert len(kept) == min(n, k)
    assert kept[0] == 0 and kept[-1] == n - 1
    if n > 1:
        gaps = np.diff(kept)
        assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("how", ["uniform", "similarity"])
def test_short_sequences_stay_as_they_are(how):
    frames = film(7, 3)
    assert np.array_equal(sampling.sample(frames, how, 10), frames)


def test_an_unknown_sampling_is_an_error():
    with pytest.raises(RbcError, match="uniform, similarity"):
        sampling.sample(film(3, 0), "random", 2)


@pytest.mark.parametrize(
    ("model", "stage", "each"), [("cnn", 1, 38), ("cnn", 2, 38), ("crnn", 1, 50), ("crnn", 2, 700)]
)
def test_balance_as_in_the_paper(model, stage, each):
    positive = np.r_[np.ones(38, bool), np.zeros(700, bool)]  # the paper's 3,800 and 70,000, a hundredth
    chosen = sampling.balance(positive, model, stage, seed=0)
    assert (positive[chosen].sum(), (~positive[chosen]).sum()) == (each, each)
    copies = np.bincount(chosen)[:38]
    assert copies.max() - copies.min() <= 1


def test_balance_depends_on_the_seed_and_on_nothing_else():
    positive = np.arange(50) < 10
    first, again, other = (sampling.balance(positive, "cnn", 1, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_balance_of_one_class_is_an_error():
    with pytest.raises(RbcError, match="only one class"):
        sampling.balance(np.ones(5, bool), "cnn", 1, 0)
