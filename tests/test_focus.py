import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from rbc.bench import focus


def test_the_decision_is_scikit_learns():
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
    sharp = cells[0].astype(float)
    blurred = np.stack([focus.BLURS[3] @ frame @ focus.BLURS[3].T for frame in sharp])
    lost = (focus.of_frames(sharp, 100.0) - focus.of_frames(blurred, 100.0))[
        :, : len(focus.SIGMAS_PX) - 1
    ].mean(0)
    assert (np.diff(lost) < 0).all() and lost[0] > 1


def test_neither_background_nor_order_of_frames_counts(cells):
    frames = cells[3].astype(np.uint8) // 2
    plain = focus.of_sequence(frames, float(np.median(frames)))
    other = frames[::-1] + 40
    assert np.allclose(focus.of_sequence(other, float(np.median(other))), plain, atol=1e-3)
    assert focus.of_sequences(cells).shape == (len(cells), len(plain))
