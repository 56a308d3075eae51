import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from strips import made

from compendium.data import ingest
from rbc import RbcError, paper, sampling
from rbc.sequences import Sequences, from_list

ROUNDING = 1e-12  #: scikit-image's window sums are rounded, ours are exact


def film(n: int, seed: int, smooth: float = 2) -> np.ndarray:
    noise = gaussian_filter(
        np.random.default_rng(seed).normal(size=(n, 31, 31)), (1, smooth, smooth)
    )
    return np.clip(120 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def one(frames: np.ndarray) -> Sequences:
    return from_list([frames], made().index.iloc[:1], {"simulated": True})


def skimage_ssim(a: np.ndarray, b: np.ndarray) -> float:
    return structural_similarity(a, b, data_range=255)


def plain_ranks(frames: np.ndarray) -> list[int]:
    """The rule of `rbc.sampling.similarity` as a plain loop over scikit-image, noting who goes
    when: the oracle.
    """
    ranks, kept = [0] * len(frames), list(range(len(frames)))
    pairs = [skimage_ssim(a, b) for a, b in zip(frames, frames[1:])]
    while len(kept) > 1:
        i = int(np.argmax(pairs))
        gone = kept.pop(i + 1)
        ranks[gone] = len(kept)
        del pairs[i]
        if i < len(pairs):
            pairs[i] = skimage_ssim(frames[kept[i]], frames[kept[i + 1]])
    return ranks


@given(seed=st.integers(0, 10_000), smooth=st.sampled_from([0.0, 1.0, 3.0]))
@settings(max_examples=30, deadline=None)
def test_ssim_equals_scikit_image(seed, smooth):
    """Our faster SSIM must be the one that the paper's readers know."""
    a, b = film(2, seed, smooth)
    assert sampling.ssim(a, b) == pytest.approx(skimage_ssim(a, b), abs=ROUNDING)
    assert sampling.ssim(a, b) == sampling.ssim(b, a)


def test_ssim_equals_scikit_image_on_flat_and_extreme_frames():
    """Black, white and equal frames are where rounding and division could go astray."""
    flat, full = np.full((31, 31), 100, np.uint8), np.full((31, 31), 255, np.uint8)
    # the largest variance there is
    board = np.where(np.indices((31, 31)).sum(axis=0) % 2, full, 0).astype(np.uint8)
    for a, b in [
        (flat, flat),
        (flat, full),
        (full, 0 * full),
        (0 * full, 0 * full),
        (board, 255 - board),
    ]:
        assert sampling.ssim(a, b) == pytest.approx(skimage_ssim(a, b), abs=ROUNDING)


def test_similarity_drops_what_the_plain_loop_drops(cells):
    """The fast kernel keeps exactly the frames of the paper's words written as a loop."""
    ranks = sampling.ranks(cells)
    for number, row in enumerate(cells.index.itertuples()):
        assert ranks[row.start : row.start + row.length].tolist() == plain_ranks(cells[number])


def test_similarity_drops_what_the_plain_loop_drops_in_every_real_sequence(released_sample):
    """Simulated frames could hide a case that the authors' films have."""
    real = ingest.released(released_sample)
    ranks = sampling.ranks(real)
    for row, frames in zip(real.index.itertuples(), real, strict=True):
        assert ranks[row.start : row.start + row.length].tolist() == plain_ranks(frames), row.name


@given(order=st.lists(st.integers(0, 7), min_size=1, max_size=14), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_ties_of_repeated_and_flat_frames_go_as_in_the_plain_loop(order, seed):
    """Equal frames tie exactly; another order would keep other frames on another machine."""
    flat = [np.full((31, 31), grey, np.uint8) for grey in (0, 90, 91, 255)]
    frames = np.stack([*flat, *film(3, seed, 1.0), np.full((31, 31), 90, np.uint8)])[order]
    assert sampling.ranks(one(frames)).tolist() == plain_ranks(frames)


@given(places=st.lists(st.integers(0, 960), min_size=2, max_size=9))
@settings(max_examples=30, deadline=None)
def test_pairs_equal_but_for_rounding_are_the_only_ones_the_plain_loop_may_order_otherwise(places):
    """One bright pixel on a flat frame: its place does not change the SSIM, but the last bits of
    scikit-image's.
    """
    frames = np.full((len(places), 961), 100, np.uint8)
    frames[np.arange(len(places)), places] = 140
    frames = frames.reshape(-1, 31, 31)
    ranks = sampling.ranks(one(frames))
    for left in range(len(frames), 1, -1):
        kept = np.flatnonzero(ranks < left)
        pairs = [skimage_ssim(frames[a], frames[b]) for a, b in zip(kept, kept[1:])]
        gone = int(np.flatnonzero(ranks[kept] == left - 1)[0])
        assert pairs[gone - 1] >= max(pairs) - ROUNDING


def test_of_equally_similar_pairs_the_earliest_loses_its_later_frame():
    """The rule for ties is ours (the text leaves it open), so it must be the one we state."""
    a, b = film(2, 1)
    assert sampling.indices(np.stack([a, a, b, b]), "similarity", 3).tolist() == [0, 2, 3]


@pytest.mark.parametrize("k", [1, 2, 10, 30])
def test_a_frame_is_kept_for_k_if_its_rank_is_below_k(cells, k):
    """One ranking serves every K, or the data would be ranked once for each."""
    ranks = sampling.ranks(cells)
    for number, row in enumerate(cells.index.itertuples()):
        below = np.flatnonzero(ranks[row.start : row.start + row.length] < k)
        assert sampling.indices(cells[number], "similarity", k).tolist() == below.tolist()


def test_ranks_do_not_depend_on_the_number_of_threads():
    """Data prepared on a laptop and on a server must be the same data."""
    many = made(1200)
    assert len(many) > 4 * sampling.CHUNK
    one_thread, three = (sampling.ranks(many, threads) for threads in (1, 3))
    assert np.array_equal(one_thread, three) and one_thread.dtype == np.uint16
    assert one_thread.max() == many.index["length"].max() - 1


def test_a_sequence_too_long_for_a_rank_is_named():
    """A rank that wrapped round would keep wrong frames in silence."""
    with pytest.raises(RbcError, match="BG1000_10s01_0"):
        sampling.ranks(one(np.zeros((65_537, 31, 31), np.uint8)))


@pytest.mark.parametrize("sampler", sampling.SAMPLERS)
@pytest.mark.parametrize("ranked", [False, True])
def test_all_at_once_is_each_by_itself(cells, sampler, ranked):
    """The batch path of training and the single path of the pages must agree."""
    given = Sequences(
        cells.frames, cells.index, cells.meta, sampling.ranks(cells) if ranked else None
    )
    given = given.select(np.arange(len(cells)) % 3 > 0)
    for k in (10, 40, 200):
        frames, lengths = sampling.sample_all(given, sampler, k, seed=4)
        assert frames.shape == (len(given), k, 31, 31) and lengths.max() <= k
        for number, strip in enumerate(given):
            alone = sampling.sample(strip, sampler, k, seed=4)
            assert np.array_equal(frames[number, : lengths[number]], alone)
            assert not frames[number, lengths[number] :].any()


def test_ranks_of_other_sequences_are_an_error(cells):
    """Ranks beside the wrong frames would choose frames at random."""
    wrong = Sequences(cells.frames, cells.index, cells.meta, np.zeros(len(cells.frames), np.uint16))
    with pytest.raises(RbcError, match="rbc data prepare"):
        sampling.sample_all(wrong, "similarity", 10)


@given(n=st.integers(1, 120), k=st.integers(2, 60))
def test_uniform_keeps_both_ends_and_even_gaps(n, k):
    """The whole film must be seen, not its first part."""
    kept = sampling.indices(np.zeros((n, 31, 31), np.uint8), "uniform", k)
    assert len(kept) == min(n, k)
    assert kept[0] == 0 and kept[-1] == n - 1
    if n > 1:
        gaps = np.diff(kept)
        assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1
    if n > k:
        assert kept.tolist() == np.round(np.linspace(0, n - 1, k)).tolist()


def test_a_random_subset_depends_on_seed_and_frames_and_not_on_the_place(cells):
    """A sequence must be sampled alike whatever stands beside it in the list."""
    first, again, other = (
        sampling.sample_all(cells, "uniform-random", 10, seed)[0] for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    late = np.arange(len(cells)) >= 40
    assert np.array_equal(
        sampling.sample_all(cells.select(late), "uniform-random", 10)[0], first[late]
    )


def test_a_random_subset_takes_every_frame_equally_often():
    """A bias to the start or the end would be another sampling."""
    frames = film(20, 5)
    kept = np.array([sampling.indices(frames, "uniform-random", 5, seed) for seed in range(400)])
    assert (np.diff(kept, axis=1) > 0).all()
    counts = np.bincount(kept.ravel(), minlength=20)  # 100 each, standard deviation 8.7
    assert counts.min() > 60 and counts.max() < 140


def test_similarity_as_released_keeps_the_start_and_the_last_frame():
    """The authors' code does that, not what their text says; the variant must copy it."""
    assert sampling.indices(film(9, 2), "similarity-released", 4).tolist() == [0, 1, 2, 8]


def test_the_tables_know_two_samplings_and_the_library_four():
    """A variant must not slip into the paper's grid of 32 configurations."""
    assert paper.SAMPLINGS == ("uniform", "similarity")
    assert set(sampling.SAMPLERS) == {*paper.SAMPLINGS, "uniform-random", "similarity-released"}


@pytest.mark.parametrize("how", sampling.SAMPLERS)
def test_short_sequences_stay_as_they_are(how):
    """Frames must be neither lost nor invented where there are fewer than K."""
    frames = film(7, 3)
    assert np.array_equal(sampling.sample(frames, how, 10), frames)
    assert np.array_equal(sampling.sample(frames, how, 7), frames)


def test_an_unknown_sampling_is_an_error():
    """A misspelt name must not fall back to another sampling."""
    with pytest.raises(RbcError, match="uniform, uniform-random, similarity"):
        sampling.sample(film(3, 0), "random", 2)


@given(seed=st.integers(0, 10_000), levels=st.integers(1, 256))
@settings(max_examples=40, deadline=None)
def test_medians_are_numpys(seed, levels):
    """The network's background is this number."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, levels, (5, 6, 31, 31)).astype(np.uint8)
    frames[0, :2] = [[[10]], [[201]]]  # as many dark as bright pixels: the median lies between
    lengths = np.array([2, 6, 1, 4, 3])
    expected = [np.float32(np.median(f[:n])) for f, n in zip(frames, lengths, strict=True)]
    assert sampling.medians(frames, lengths).tolist() == expected and expected[0] == 105.5


@pytest.mark.parametrize(
    ("model", "stage", "each"), [("cnn", 1, 38), ("cnn", 2, 38), ("crnn", 1, 50), ("crnn", 2, 700)]
)
def test_balance_as_in_the_paper(model, stage, each):
    # the paper's 3,800 and 70,000, a hundredth
    """The classes that training sees are those of "Artificial class balance"."""
    positive = np.r_[np.ones(38, bool), np.zeros(700, bool)]
    chosen = sampling.balance(positive, model, stage, seed=0)
    assert (positive[chosen].sum(), (~positive[chosen]).sum()) == (each, each)
    copies = np.bincount(chosen)[:38]
    assert copies.max() - copies.min() <= 1


@pytest.mark.parametrize(
    ("reliable", "unreliable", "each"),
    [(3779, 75248, 5000), (3800, 70000, 5000), (3700, 70000, 4868), (3779, 4200, 4200)],
)
def test_balance_of_the_record_is_the_printed_one(reliable, unreliable, each):
    """Table 2's 3,779 are the text's 3,800: both classes of the C-RNN meet at the printed 5,000."""
    positive = np.r_[np.ones(reliable, bool), np.zeros(unreliable, bool)]
    chosen = sampling.balance(positive, "crnn", 1, seed=0)
    assert (positive[chosen].sum(), (~positive[chosen]).sum()) == (each, each)


def test_balance_depends_on_the_seed_and_on_nothing_else():
    """Another seed is another draw; the same seed must be the same training set."""
    positive = np.arange(50) < 10
    first, again, other = (sampling.balance(positive, "cnn", 1, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_balance_of_one_class_is_an_error():
    """Training on one class alone would end in a model that always says it."""
    with pytest.raises(RbcError, match="only one class"):
        sampling.balance(np.ones(5, bool), "cnn", 1, 0)
