import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from rbc.bench import focus


def test_the_decision_is_scikit_learns():
    """The shipped arrays must answer as the machine that was fitted."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(3, 2, (80, 30)).astype(np.float32)
    truth = np.square(numbers[:, :4] - 3).sum(1) > 12
    scaler = StandardScaler().fit(numbers)
    oracle = SVC(C=focus.COST, gamma=1 / 30, class_weight="balanced").fit(
        scaler.transform(numbers), truth
    )
    found = focus.decision(focus.fit(numbers, truth), numbers)
    assert np.allclose(found, oracle.decision_function(scaler.transform(numbers)), atol=1e-4)
    assert found.min() < 0 < found.max()


def test_blur_takes_from_the_finest_band_first(cells):
    """The numbers must measure sharpness."""
    sharp = cells[0].astype(float)
    blurred = np.stack([focus.BLURS[3] @ frame @ focus.BLURS[3].T for frame in sharp])
    lost = (focus.of_frames(sharp, 100.0) - focus.of_frames(blurred, 100.0))[
        :, : len(focus.SIGMAS_PX) - 1
    ].mean(0)
    assert (np.diff(lost) < 0).all() and lost[0] > 1


def test_neither_background_nor_order_of_frames_counts(cells):
    """A brighter day must not change an answer."""
    frames = cells[3].astype(np.uint8) // 2
    plain = focus.of_sequence(frames, float(np.median(frames)))
    other = frames[::-1] + 40
    assert np.allclose(focus.of_sequence(other, float(np.median(other))), plain, atol=1e-3)
    assert focus.of_sequences(cells).shape == (len(cells), len(plain))


def test_another_microscope_stays_within_its_ranges_and_leaves_the_cell_where_it_is():
    """What stage 1 learns from must be what a user's movie may be like, not another cell."""
    place = np.arange(31) - 15
    disc = 40.0 * (np.hypot(place[:, None], place) < 5)
    frames = np.repeat(disc[None], 6, axis=0)
    rng = np.random.default_rng(3)
    seen = np.array([focus.otherwise(frames, rng) for _ in range(200)])  # (200, 6, 31, 31)
    middle = seen[:, :, 13:18, 13:18].mean((1, 2, 3)) / 40
    assert focus.CONTRAST[0] - 0.15 < middle.min() < 0.75
    assert 1.35 < middle.max() < focus.CONTRAST[1] + 0.15
    corner = seen[:, :, :4, :4]
    assert corner.std(axis=(1, 2, 3)).max() < focus.NOISE + focus.TILT / 2
    assert np.abs(corner.mean((1, 2, 3))).max() < 2 * focus.TILT
    # the same in every frame but for the noise
    quiet = np.abs(seen.mean((2, 3)) - seen.mean((1, 2, 3))[:, None])
    assert quiet.max() < 4 * focus.NOISE / 31


def test_the_same_dice_film_a_cell_the_same_way():
    """Same seed, same bits."""
    frames = np.random.default_rng(0).normal(0, 5, (4, 31, 31))
    one, two = (focus.otherwise(frames, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
