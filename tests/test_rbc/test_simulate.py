"""The simulator: its physics against independent calculations, its contract, and that no shortcut
gives labels away.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.integrate import solve_ivp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from compendium import ROOT
from rbc import RbcError, simulate
from rbc.paper import LABELS, PX_UM, in_stage, positive
from rbc.sequences import Sequences, checksum
from rbc.simulate import cells, optics

pytestmark = pytest.mark.slow

SMALL = {
    "train": dict.fromkeys(LABELS, 12),
    "test": {"tank-treading": 9, "flipping": 2, "unreliable": 30},
}
FLAT = simulate.Optics(blur=0.0)
Y, X = np.mgrid[:31, :31] - 15


@pytest.fixture(scope="module")
def many() -> Sequences:
    return simulate.sequences(
        {"train": dict.fromkeys(LABELS, 500), "test": dict.fromkeys(LABELS, 200)}, seed=0
    )


# --- physics ---


@pytest.mark.parametrize(("ratio", "constant"), [(0.3, 1.8), (0.5, 0.4), (0.25, 8.0)])
def test_jeffery_solves_jefferys_equation_of_motion(ratio: float, constant: float) -> None:
    """The orbit is held against the differential equation itself."""
    period = 2 * np.pi * (ratio + 1 / ratio) / simulate.SHEAR
    stretch = (ratio**2 - 1) / (ratio**2 + 1)
    strain, spin = np.zeros((3, 3)), np.zeros((3, 3))
    strain[0, 2] = strain[2, 0] = spin[0, 2] = simulate.SHEAR / 2  # u = shear rate * z along x
    spin[2, 0] = -simulate.SHEAR / 2

    def motion(_: float, n: np.ndarray) -> np.ndarray:
        return spin @ n + stretch * (strain @ n - n * (n @ strain @ n))

    frames = simulate.jeffery(100, ratio, constant, phase=0.1)
    times = np.arange(100) / simulate.FPS
    solved = solve_ivp(motion, (0, times[-1]), frames[0], t_eval=times, rtol=1e-9, atol=1e-9).y.T
    np.testing.assert_allclose(frames, solved, atol=1e-6)
    whole = simulate.jeffery(2, ratio, constant, period=period * simulate.FPS)
    # the default period
    np.testing.assert_allclose(whole, simulate.jeffery(2, ratio, constant), atol=1e-9)


def test_render_is_the_projection_of_a_hollow_ellipsoid() -> None:
    """The closed form is held against sums over a grid."""
    shape = simulate.spheroid(np.array([[0.6, 0.0, 0.8]]), 6.0, 2.0)
    fy, fx, squares = optics._frequencies(54, 54)
    k = 2 * np.pi * np.sqrt(np.array([shape[0, 0, 0], 0, shape[0, 1, 1]]) @ squares).reshape(54, -1)
    fine = (np.arange(-270, 270) + 0.5) / 27  # px
    y, x = np.meshgrid(fine, fine, indexing="ij")
    q = 1 - x**2 / shape[0, 0, 0] - y**2 / shape[0, 1, 1]
    hollow = optics.HOLLOW * np.sqrt(
        np.clip(q / optics.HOLLOW**2 + 1 - 1 / optics.HOLLOW**2, 0, None)
    )
    chord = np.sqrt(np.clip(q, 0, None)) - 0.7 * hollow
    for i, j in [(0, 1), (2, 3), (5, 0), (4, 7)]:
        wave = np.cos(2 * np.pi * (fx[j] * x + fy[i] * y))
        expected = (chord * wave).sum() / np.sqrt(np.clip(q, 0, None)).sum()
        assert optics._form_factor(k[i, j : j + 1], 0.7)[0] == pytest.approx(expected, abs=1e-3)


def test_render_shifts_exactly_and_leaves_cells_far_outside_undrawn() -> None:
    """Sub-pixel motion must not blur or wrap."""
    shape = simulate.spheroid(np.tile([0.0, 0.0, 1.0], (3, 1)), 6.0, 2.0)
    centre = np.array([[0.0, 0.0], [3.0, -2.0], [40.0, 0.0]])
    still, moved, gone = simulate.render(shape, centre, np.full(3, 5.0), FLAT, (31, 31))
    np.testing.assert_allclose(moved[:-2, 3:], still[2:, :-3], atol=1e-4)
    assert not gone.any()
    half = simulate.render(shape[:1], np.array([[0.5, 0.0]]), np.array([5.0]), FLAT, (31, 31))[0]
    # mirror symmetric about x = 15.5
    np.testing.assert_allclose(half[:, 16:], half[:, 15:0:-1], atol=1e-4)
    wide = simulate.render(shape[:1], centre[:1], np.array([5.0]), FLAT, (40, 61))[0]
    np.testing.assert_allclose(wide[20 - 15 : 20 + 16, 30 - 15 : 30 + 16], still, atol=0.05)


def test_render_changes_sign_across_the_focus_and_blurs_along_the_flow() -> None:
    """Optics must do what optics does."""
    shape = simulate.spheroid(np.tile([0.0, 0.0, 1.0], (2, 1)), 6.0, 2.0)
    heights = optics.LIQUID * np.array([15.0, -15.0])  # as 15 um in air
    above, below = simulate.render(shape, np.zeros((2, 2)), heights, FLAT, (31, 31))
    assert above[15, 15] > 10 and below[15, 15] < -10
    fast = simulate.render(
        shape[:1], np.zeros((1, 2)), np.array([5.0]), simulate.Optics(blur=5.0), (31, 31)
    )[0]
    assert np.abs(np.diff(fast, axis=1)).max() < 0.8 * np.abs(np.diff(fast, axis=0)).max()


def test_the_projection_of_a_tank_treading_cell_stays_and_of_a_flipping_one_does_not() -> None:
    """The two classes must differ in motion."""
    still = np.linalg.det(simulate.tank_treading(60, (6.5, 5.5, 2.5))[:, :2, :2])
    turning = np.linalg.det(simulate.spheroid(simulate.jeffery(60, 0.3, 1.8), 6.0, 1.8)[:, :2, :2])
    assert still.std() / still.mean() < 0.05 < 0.3 < turning.std() / turning.mean()


@pytest.mark.parametrize(
    ("ratio", "shear", "fps"), [(1.0, 10.0, 60.0), (0.375, 10.0, 60.0), (0.5, 40.0, 120.0)]
)
def test_the_period_is_what_the_equation_of_motion_needs_for_a_turn(
    ratio: float, shear: float, fps: float
) -> None:
    """The one period of both simulators follows from integrating how fast a disc turns, at any
    rates.
    """
    phi = np.linspace(0, 2 * np.pi, 100_001)
    speed = shear / (1 + ratio**2) * (ratio**2 * np.cos(phi) ** 2 + np.sin(phi) ** 2)  # rad/s
    seconds = np.trapezoid(1 / speed, phi)
    assert simulate.jeffery_period(ratio, shear, fps) == pytest.approx(seconds * fps, rel=1e-6)


def test_no_flipping_cell_turns_faster_than_a_sphere_or_at_another_rate_than_its_shape_sets() -> (
    None
):
    """A period drawn apart from the shape made a fifth of the flipping cells impossible."""
    scene = simulate.acquisition("SA0112_10s01", 0, replace(simulate.Ranges(), stretch=0.0))
    for seed in range(40):
        shapes = cells._flipper(200, scene, np.random.default_rng(seed))
        axes, vectors = np.linalg.eigh(shapes)  # ascending; the thinnest one is the symmetry axis
        ratio = np.sqrt(axes[0, 0] / axes[0, 2])
        period = simulate.jeffery_period(ratio)
        across, along = vectors[:, 0, 0], vectors[:, 2, 0]
        # an axis has no sense, so angles count modulo pi
        turned = np.unwrap(2 * np.arctan2(across, along)) / 2
        # even in time, by Jeffery
        whole = np.unwrap(np.arctan2(np.sin(turned) / ratio, np.cos(turned)))
        np.testing.assert_allclose(abs(np.diff(whole)), 2 * np.pi / period, rtol=1e-6)
        assert period >= 4 * np.pi / simulate.SHEAR * simulate.FPS


def test_defocus_delays_light_by_its_wavelength_in_the_liquid() -> None:
    """Against the phase of plane waves that cross a layer of the liquid, exact for any angle."""
    squares = optics._frequencies(64, 64)[2]
    cycles = np.sqrt(squares[0] + squares[2]).reshape(64, -1) / PX_UM  # 1/um
    low = (cycles > 0) & (cycles < 0.15)  # waves at small angles, for which the simulator is made
    wave = optics.LIQUID / optics.WAVELENGTH  # cycles/um in the liquid
    exact = 2 * np.pi * 8.0 * (wave - np.sqrt(wave**2 - cycles[low] ** 2))
    even, odd = (part[low] for part in optics._transfer(64, 64, round(8.0 / optics.Z_STEP)))
    delay = np.arctan(even / odd + optics.ABSORPTION / (2 * optics.PHASE))
    np.testing.assert_allclose(delay, exact, rtol=0.01)


@pytest.mark.parametrize("heading", [0.0, 0.4, -0.4])
def test_the_flow_stretches_a_tank_treading_cell_along_its_length(heading: float) -> None:
    """In u = shear rate * z the stretched quadrant is where x and z have one sign; a disc tumbles
    into it.
    """
    shapes = simulate.tank_treading(60, (6.5, 5.5, 2.5), heading=heading, swing=0.05)
    long = np.linalg.eigh(shapes)[1][:, :, 2]
    assert (long[:, 0] * long[:, 2] > 0).all()
    tilt = np.rad2deg(np.arctan2(abs(long[:, 2]), np.hypot(long[:, 0], long[:, 1])))
    assert tilt.mean() == pytest.approx(18 * np.cos(heading), abs=2)


def test_a_rolling_cell_looks_the_same_all_the_time_and_thin_across_the_flow() -> None:
    """What the camera sees of a wheel that rolls along x: neither a tank-treader's outline nor a
    flip.
    """
    scene = simulate.acquisition("SD0505_10s01", 0, simulate.Ranges(wobble=0.0))
    for seed in range(5):
        seen = cells._roller(40, scene, np.random.default_rng(seed))[:, :2, :2]
        np.testing.assert_allclose(seen, seen[:1].repeat(40, axis=0), atol=1e-9)
        assert np.sqrt(seen[0, 1, 1] / seen[0, 0, 0]) < 0.71 and abs(seen[0, 0, 1]) < 1e-9


# --- contract ---


def test_rolling_cells_are_drawn_on_request_and_get_no_label_of_the_paper() -> None:
    """The paper has no class for them, so stage 2 must never learn from them."""
    made = simulate.rolling(12, seed=3)
    assert (
        set(made.index["label"]) == {"unlabelled"}
        and made.meta["motion"] == "rolling"
        and made.simulated
    )
    assert not in_stage(made.index["label"], 2).any()
    assert (
        checksum(made)
        == checksum(simulate.rolling(12, seed=3))
        != checksum(simulate.rolling(12, seed=4))
    )
    assert made.index["acquisition"].nunique() == 9
    with pytest.raises(RbcError, match="-1 sequences asked for"):
        simulate.rolling(-1, seed=0)


def test_counts_splits_names_and_meta() -> None:
    """What was asked for is what is made, and it is called simulated."""
    made = simulate.sequences(SMALL, seed=3)
    for split, labels in SMALL.items():
        assert made.index[made.index["split"] == split]["label"].value_counts().to_dict() == labels
    assert made.index["name"].str.match(r"^S[ABCD]\d{4}_10s\d{2}_\d+$").all()
    assert (made.index["acquisition"] == made.index["name"].str.rsplit("_", n=1).str[0]).all()
    assert (made.index.groupby("acquisition")["split"].nunique() == 1).all()
    assert made.index["length"].between(1, 120).all()
    assert made.simulated and made.meta["seed"] == 3 and made.meta["source"] == "simulated"
    assert made.meta["physics"] == simulate.PHYSICS


def test_acquisitions_are_those_of_table_2_and_one_patient_is_never_trained_on() -> None:
    """The split must be as hard as the paper's."""
    plan = simulate.plan(
        {s: dict.fromkeys(LABELS, 100) for s in ("train", "validation", "test")}, seed=0
    )
    assert plan.groupby("split")["acquisition"].nunique().to_dict() == {
        "train": 19,
        "validation": 4,
        "test": 9,
    }
    assert plan["patient"].nunique() == 4
    test = plan[plan["split"] == "test"].groupby("patient")["acquisition"].nunique()
    seen = set(plan[plan["split"] == "train"]["patient"])
    assert (
        test[[p not in seen for p in test.index]].sum() == 4
        and test[[p in seen for p in test.index]].sum() == 5
    )
    assert simulate.plan(SMALL, 0, {"train": 2})["acquisition"].nunique() == 2 + 41 // 6


def test_names_and_order_do_not_give_the_label_away() -> None:
    """A model could learn names instead of cells."""
    plan = simulate.plan({"train": dict.fromkeys(LABELS, 1000)}, seed=1)
    track = plan["name"].str.rsplit("_", n=1).str[1].astype(int)
    rank = track.groupby(plan["acquisition"]).rank(pct=True)
    for label in LABELS:
        assert roc_auc_score(plan["label"] == label, rank) == pytest.approx(0.5, abs=0.04)


def test_same_seed_same_bits_in_whole_and_in_part() -> None:
    """A part of the data must be the same cells."""
    made = simulate.sequences(SMALL, seed=7)
    assert (
        checksum(made)
        == checksum(simulate.sequences(SMALL, seed=7))
        != checksum(simulate.sequences(SMALL, seed=8))
    )
    row = simulate.plan(SMALL, seed=7).iloc[20]
    np.testing.assert_array_equal(simulate.strip(row.label, row.acquisition, row.key, 7), made[20])
    alone = simulate.sequences({"test": SMALL["test"]}, seed=7)
    test = made.select(made.index["split"] == "test")
    assert all(np.array_equal(a, b) for a, b in zip(alone, test, strict=True))


def test_same_bits_with_other_kernels_and_threads() -> None:
    """Another processor's kernels must not make other cells."""
    script = "from rbc import sequences, simulate; "
    script += f"print(sequences.checksum(simulate.sequences({SMALL!r}, seed=7)))"
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "OPENBLAS_", "NPY_"))}
    other = {
        "OPENBLAS_CORETYPE": "Prescott",
        "OMP_NUM_THREADS": "2",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
    }
    made = [_output(script, {**plain, **more}) for more in ({"OMP_NUM_THREADS": "1"}, other)]
    assert made[0] == made[1] != ""


def _output(script: str, env: dict[str, str]) -> str:
    command = [sys.executable, "-W", "ignore", "-c", script]
    return subprocess.run(
        command, cwd=ROOT, env=env, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    ("counts", "more", "says"),
    [
        ({"training": {"flipping": 1}}, {}, "split 'training' is none of"),
        ({"train": {"rolling": 1}}, {}, "label 'rolling' is none of"),
        ({"train": {"flipping": -1}}, {}, "-1 sequences asked for"),
        (
            {"train": {"flipping": 1}},
            {"acquisitions": {"train": 20}},
            "20 acquisitions asked for; choose 1 to 19",
        ),
        ({"train": {"flipping": 1}}, {"seed": -1}, "seed -1"),
    ],
)
def test_a_wrong_request_is_one_clear_error(counts: dict, more: dict, says: str) -> None:
    """A negative count must not simulate nothing."""
    with pytest.raises(RbcError, match=says):
        simulate.sequences(counts, **{"seed": 0, **more})


def test_results_of_an_older_simulator_can_say_so() -> None:
    """A kept result knows its physics; pages must not show it as if today's simulator had made
    it.
    """
    assert simulate.older(simulate.PHYSICS, "These") == ""
    told = simulate.older(simulate.PHYSICS - 1, "These scores")
    assert (
        told.startswith("These scores rest on an older simulator.")
        and simulate.CHANGES[simulate.PHYSICS] in told
    )


def test_an_unknown_acquisition_is_an_error() -> None:
    """A misspelt name must not film with another microscope."""
    with pytest.raises(RbcError, match="XX0101_10s01"):
        simulate.acquisition("XX0101_10s01", 0)


# --- neither too easy nor too hard ---


def _shortcut(mean: np.ndarray, length: np.ndarray, target: np.ndarray) -> float:
    """Best balanced accuracy, cross-validated, of two classifiers that see only mean grey level and
    length.
    """
    features = np.stack([mean, length], axis=1)
    linear = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    trees = HistGradientBoostingClassifier(
        max_depth=3, max_iter=60, class_weight="balanced", random_state=0
    )
    return max(
        balanced_accuracy_score(target, cross_val_predict(m, features, target, cv=5))
        for m in (linear, trees)
    )


@pytest.mark.parametrize(("stage", "limit"), [(1, 0.65), (2, 0.60)])
def test_mean_grey_level_and_length_stay_near_chance(
    many: Sequences, stage: int, limit: float
) -> None:
    """A trivial feature must not solve the task."""
    part = many.select(in_stage(many.index["label"], stage))
    mean, length = np.array([s.mean() for s in part]), part.index["length"].to_numpy()
    target = positive(part.index["label"], stage)
    assert _shortcut(mean, length, target) < limit
    assert _shortcut(mean + 40 * target, length, target) > limit  # a leak would be seen


def _change(strip: np.ndarray) -> float:
    """How much the second moments of the cell change over its frames, px^2; frames with intruders
    count little.
    """
    excess = np.clip(np.abs(strip - np.median(strip)) - 6, 0, None) * (np.hypot(X, Y) < 9)
    mass = excess.sum(axis=(1, 2)) + 1e-6
    moments = [(excess * product).sum(axis=(1, 2)) / mass for product in (X * X, Y * Y, X * Y)]
    low, high = np.percentile(moments, [15, 85], axis=1)
    return (high - low).sum()


def test_an_honest_feature_tells_flipping_from_tank_treading_but_not_perfectly(
    many: Sequences,
) -> None:
    """The task must be learnable and not trivial."""
    part = many.select(in_stage(many.index["label"], 2))
    auc = roc_auc_score(positive(part.index["label"], 2), [_change(s) for s in part])
    assert 0.7 < auc < 0.92


def test_each_acquisition_has_its_own_background(many: Sequences) -> None:
    """A model that learns backgrounds must be able to fail."""
    grey = pd.Series([np.median(s) for s in many.select(in_stage(many.index["label"], 2))])
    by_acquisition = grey.groupby(
        many.index["acquisition"][in_stage(many.index["label"], 2)].to_numpy()
    )
    assert by_acquisition.std().median() < 1 and by_acquisition.mean().between(76, 150).all()
    assert by_acquisition.mean().std() > 10


# --- beside the real cells ---


def _profile(strips: list[np.ndarray]) -> np.ndarray:
    """Median over the sequences of the mean grey level at radius 0 to 9 px, against the background:
    (10,).
    """
    radius = np.rint(np.hypot(X, Y)).astype(int)
    return np.median(
        [[(s - np.median(s))[:, radius == r].mean() for r in range(10)] for s in strips], axis=0
    )


def _real(label: int) -> list[np.ndarray]:
    folder = Path(os.environ.get("RBC_SAMPLE", "")) / "Stage_1" / "test"
    if not (folder / "dataset.csv").exists():
        pytest.skip("RBC_SAMPLE does not name the folder of the released sample")
    rows = pd.read_csv(folder / "dataset.csv")
    paths = [folder / "img" / f"{n}.png" for n in rows[rows["label"] == label]["sequence_name"]]
    strips = [np.array(Image.open(p)).astype(float) for p in paths if p.exists()]
    return [s.reshape(31, -1, 31).transpose(1, 0, 2) for s in strips]


@pytest.mark.parametrize("label", [0, 1, 2])
def test_simulated_cells_look_like_the_real_ones_on_average(many: Sequences, label: int) -> None:
    """Statistics of real cells bound those of simulated ones."""
    real, made = _real(label), list(many.select(many.index["label"] == LABELS[label]))
    spread = [np.median([np.median(s.std(axis=(1, 2))) for s in strips]) for strips in (real, made)]
    assert spread[1] == pytest.approx(spread[0], rel=0.2)  # cell and noise together, grey levels
    noise = [
        np.median([np.diff(s[:, :3, :3].astype(float)).std() / 2**0.5 for s in x])
        for x in (real, made)
    ]
    assert noise[1] == pytest.approx(noise[0], abs=0.3)
    length = [np.median([len(s) for s in x]) for x in (real, made)]
    assert length[1] == pytest.approx(length[0], abs=5)
    if LABELS[label] != "unreliable":
        ring = [np.argmin(_profile(x)) for x in (real, made)]
        assert abs(int(ring[1]) - int(ring[0])) <= 1  # px


def test_ranges_reach_the_cells():
    """A range that changes nothing would make a search meaningless."""
    counts = {"train": {"tank-treading": 6, "flipping": 6}}
    dark = simulate.sequences(counts, seed=4, ranges=simulate.Ranges(gain=0.0))
    assert max(np.std(x - x.mean((1, 2), keepdims=True)) for x in dark) < 3.5  # noise alone
    alone = simulate.Ranges(crowd=(0.0, 0.0))  # intruders may flip
    plain, wide = (
        simulate.sequences(counts, seed=4, ranges=replace(alone, stretch=s)) for s in (0.0, 0.4)
    )
    same = [np.array_equal(a, b) for a, b in zip(plain, wide)]
    assert same == (plain.index["label"] == "tank-treading").tolist()
