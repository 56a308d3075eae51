"""From a movie to the marker: a small simulated movie and the shipped models."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, rbc

from compendium.data import ingest
from rbc import RbcError, marker, metrics, prevalence, sequences, simulate
from rbc.bench import analyze, classify
from rbc.bench.corrections import read_corrections
from rbc.paper import RELIABLE
from rbc.simulate import movies

pytestmark = pytest.mark.slow

KNOWN = json.loads((classify.MODELS / "known.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Simulated cells composited into a small movie."""
    path = tmp_path_factory.mktemp("movie") / 'a "small", <b>.avi'
    scene = movies.Scene(shape=(240, 320), cells=8, seed=3)
    cells = simulate.sequences(
        {"test": {"tank-treading": 30, "flipping": 20, "unreliable": 4}}, seed=1
    )
    frames, _ = movies.sprites(cells, scene)
    movies.write(path, frames, 60.0, "raw")
    return path


@pytest.fixture(scope="module")
def answer(movie, tmp_path_factory):
    """What the command line answers, and the folder it wrote."""
    out = tmp_path_factory.mktemp("out") / "report"
    result = rbc("analyze", movie, "--out", out, "--um-per-px", 0.6, "--threads", 1, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), out


def test_the_marker_is_the_adjusted_count_of_the_calls(answer):
    """The printed marker must follow from the calls and the known errors, and from nothing else."""
    said, out = answer
    assert (
        said == json.loads((out / "marker.json").read_text(encoding="utf-8")) and said["simulated"]
    )
    table = pd.read_csv(out / "cells.csv")
    found = sequences.load(out / "tracked")
    assert len(table) == said["cells"] + said["left_out"] == len(found) > 30
    assert (table["continues"].notna()).sum() == said["left_out"]
    again = classify.classify(found).set_index("name")["decision"]
    assert (again[table["name"]].to_numpy() == table["decision"]).all()
    rates = pd.DataFrame(KNOWN["answers"]).pivot_table("n", "answer", "label", "sum", fill_value=0)
    rates = rates.reindex(prevalence.ANSWERS)[
        ["tank-treading", "flipping", "unreliable"]
    ].to_numpy()
    counting = table[table["continues"].isna()]
    shares = counting["answer"].value_counts().reindex(
        prevalence.ANSWERS, fill_value=0
    ).to_numpy() / len(counting)
    x = prevalence.on_simplex(shares, rates / rates.sum(0))
    assert said["adjusted"] == pytest.approx(x[0] / (x[0] + x[1]))
    if said["withheld"]:
        assert said["estimate"] is None and said["low"] is None
    else:
        assert said["low"] <= said["estimate"] <= said["high"] and said["low"] < said["high"]
    assert table["sure"].is_monotonic_increasing


def test_what_is_refused_leaves_nothing_and_says_why(movie, tmp_path):
    """A refused movie must leave no report that somebody could read as a result."""
    options = ("--out", tmp_path / "out", "--threads", 1, "--um-per-px", 0.8)
    assert "not judged: wrong scale, cells of" in one_line_error(rbc("analyze", movie, *options))
    with pytest.raises(RbcError, match="no readable SHA256SUMS"):
        analyze.analyze(movie, tmp_path / "out", models=tmp_path)
    with pytest.raises(RbcError, match="no such movie"):
        analyze.analyze(movie.with_name("none.avi"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_magnified_a_faint_and_a_smooth_movie_are_unknown(answer):
    """Another scale, contrast or noise is what the models have never seen."""
    found = sequences.load(answer[1] / "tracked")
    said = pd.DataFrame({"answer": ["flipping"] * 30})
    assert analyze.objections(found, said, KNOWN["looks"]) == []
    assert "too few cells, 19 of 19" in analyze.objections(found, said[:19], KNOWN["looks"])[0]
    flat = found.frames.mean(axis=(1, 2), keepdims=True)
    changed = {
        "cells of": np.repeat(np.repeat(found.frames, 2, 1), 2, 2)[:, 15:46, 15:46],
        "contrast of": np.clip(np.round(flat + 0.2 * (found.frames - flat)), 0, 255).astype(
            np.uint8
        ),
        "noise of": _smoothed(found.frames),
    }
    for why, frames in changed.items():
        other = sequences.Sequences(np.ascontiguousarray(frames), found.index, found.meta)
        assert any(why in line for line in analyze.objections(other, said, KNOWN["looks"])), why


def _smoothed(frames: np.ndarray) -> np.ndarray:
    """Means over three neighbours both ways."""
    x = frames.astype(float)
    for axis in (1, 2):
        x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    return x.round().astype(np.uint8)


def _darker(frames: np.ndarray) -> np.ndarray:
    """The same with a disc about the middle that absorbs, as red cells do."""
    place = np.arange(31) - 15
    disc = place[:, None] ** 2 + place**2 <= 10**2
    return (frames.astype(int) - 6 * disc).clip(0, 255).astype(np.uint8)


def test_a_movie_with_light_and_dark_swapped_is_objected_to(answer):
    """An inverted movie read 0.0 % tank-treading, and nothing was said of it."""
    found = sequences.load(answer[1] / "tracked")
    dark = _darker(found.frames)
    for frames, swapped in ((dark, False), (255 - dark, True)):
        other = sequences.Sequences(frames, found.index, found.meta)
        against = analyze.unlike(other, KNOWN["looks"])
        assert any("light and dark may be swapped" in line for line in against) == swapped


def test_no_real_acquisition_is_called_swapped_and_most_inverted_ones_are(released_sample):
    """The share of inverted acquisitions that passes unseen is the one that the comment says."""
    cells = ingest.read(released_sample)
    bright = {}
    for name, swapped in (("as they are", False), ("inverted", True)):
        frames = 255 - cells.frames if swapped else cells.frames
        looks = analyze.looks(sequences.Sequences(frames, cells.index, cells.meta))
        medians = looks.groupby("acquisition")["bright"].median()
        bright[name] = int((medians > analyze.BRIGHT).sum()), len(medians)
    assert bright["as they are"][0] == 0
    assert bright["inverted"][0] >= 0.7 * bright["inverted"][1]


def test_force_judges_and_the_report_says_against_what(movie, tmp_path):
    """Who overrules a refusal must hand on its reason with the number."""
    said = analyze.analyze(movie, tmp_path / "yes", um_per_px=0.8, threads=1, force=True)
    assert any("wrong scale, cells of" in line for line in said["objections"])
    page = (tmp_path / "yes" / "report.html").read_text(encoding="utf-8")
    assert "The tool objects: wrong scale" in page


def test_an_acquisition_is_not_judged_with_its_own_errors():
    """Errors learned from the judged movie itself would flatter it."""
    own = KNOWN["answers"][0]["acquisition"]
    assert own not in set(analyze.errors_of_others(KNOWN, {own})["acquisition"])
    assert len(analyze.errors_of_others(KNOWN, {"another"})) == sum(
        row["n"] for row in KNOWN["answers"]
    )


def test_what_is_known_of_models_counts_every_labelled_cell(cells, tmp_path):
    """A lost cell would change the error rates without a word."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    analyze.describe(cells, models)
    known = json.loads((models / "known.json").read_text(encoding="utf-8"))
    counts = pd.DataFrame(known["answers"]).groupby(["acquisition", "label"])["n"].sum()
    assert (
        counts.to_dict() == cells.index.groupby(["acquisition", "label"]).size().to_dict()
        and known["simulated"]
    )
    said = pd.DataFrame({"answer": ["flipping"] * 30})
    found = sequences.Sequences(cells.frames, cells.index, {**cells.meta, "um_per_px": 0.6})
    # the middle of what it was learned from
    assert analyze.objections(found, said, known["looks"]) == []


def test_what_is_known_is_of_the_weights_that_are_shipped(released_sample, tmp_path):
    """Error rates of other weights would correct the wrong mistakes."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    cells = ingest.strips(released_sample / "Stage_1" / "test")
    analyze.describe(cells, models, KNOWN["limits"])
    again = pd.DataFrame(json.loads((models / "known.json").read_text(encoding="utf-8"))["answers"])
    keys = ["acquisition", "label", "answer"]
    both = again.merge(pd.DataFrame(KNOWN["answers"]), on=keys, how="outer").fillna(0)
    # a cell at a threshold may fall elsewhere on another machine
    assert (both["n_x"] - both["n_y"]).abs().sum() <= 2


def test_known_errors_follow_the_thresholds_of_each_blood_draw(cells, tmp_path):
    """A threshold set on a draw's own cells flatters the models on that draw."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    draws = cells.index["acquisition"].map(metrics.blood_draw)
    strict = {"threshold": 1e9, "unsure_within": 0.0}  # stage 1 keeps nothing of this draw
    analyze.describe(cells, models, {"1": {draws.iat[0]: strict}})
    known = pd.DataFrame(json.loads((models / "known.json").read_text(encoding="utf-8"))["answers"])
    mine = known["acquisition"].map(metrics.blood_draw) == draws.iat[0]
    assert set(known["answer"][mine]) == {"discarded"}
    plain = pd.Series(classify.classify(cells)["decision"]).isin(RELIABLE)
    kept = known["n"][~mine & known["answer"].isin(RELIABLE)].sum()
    assert kept == (plain & (draws != draws.iat[0]).to_numpy()).sum()


def test_on_real_cells_the_interval_holds_the_fraction_by_hand(released_sample, tmp_path):
    """Real cells of one acquisition composited into a movie of its name: its members and errors are
    the others'.
    """
    cells = ingest.strips(released_sample / "Stage_1" / "test")
    own = cells.select((cells.index["acquisition"] == "LJ0926_10s03").to_numpy())
    frames, _ = movies.sprites(own, movies.Scene(shape=(480, 640), cells=8, seed=3))
    movies.write(tmp_path / "LJ0926_10s03.avi", frames, 60.0, "raw")
    said = analyze.analyze(tmp_path / "LJ0926_10s03.avi", tmp_path / "out", threads=1, force=True)
    n = own.index["label"].value_counts()
    assert said["known_acquisitions"] == 5
    truth = n["tank-treading"] / (n["tank-treading"] + n["flipping"])
    assert said["withheld"] is None and said["low"] <= truth <= said["high"]
    table = pd.read_csv(tmp_path / "out" / "cells.csv")
    answers = (
        table["answer"][table["continues"].isna()]
        .value_counts()
        .reindex(prevalence.ANSWERS, fill_value=0)
    )
    rates = prevalence.known_rates(analyze.errors_of_others(KNOWN, {"LJ0926_10s03"}))[1]
    ours = marker.interval(answers.to_numpy(), rates)
    assert ours.low <= truth <= ours.high


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n", "columns name and after"),
        ("name,after\nx,dancing\n", "unknown label 'dancing'"),
        ("name,after\ny,flipping\n", "no sequence 'y'"),
        ("name,after\nx,flipping\nx,unsure\n", "two labels of 'x'"),
        ("", "cannot be read"),
    ],
)
def test_corrections_that_do_not_fit_are_refused(text, why, tmp_path):
    """A wrong file must not change the marker without a word."""
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RbcError, match=why):
        read_corrections(path, pd.DataFrame({"name": ["x"]}))


def test_what_tracking_objects_to_and_units_nobody_gave_are_objections(answer):
    """A movie that tracking doubts, or of an assumed scale, must not be judged without a word."""
    found, said = sequences.load(answer[1] / "tracked"), pd.DataFrame({"answer": ["flipping"] * 30})
    units = {name: {**unit, "source": "assumed"} for name, unit in found.meta["units"].items()}
    doubted = sequences.Sequences(
        found.frames, found.index, {**found.meta, "objections": ["no steady flow"], "units": units}
    )
    against = analyze.objections(doubted, said, KNOWN["looks"])
    assert against[0] == "no steady flow"
    assert "--um-per-px" in against[1] and "--frame-rate" in against[2] and len(against) == 3


@pytest.mark.parametrize(
    ("shear", "rate", "refused"),
    [
        (10, 60, False),
        (10, 30, False),
        (10, 15, False),
        (10, 14, True),
        (40, 60, False),
        (45, 60, True),
    ],
)
def test_a_cell_that_turns_too_far_between_frames_is_not_judged(cells, shear, rate, refused):
    """Slow cameras and fast flow are refused together: what counts is the shear between frames."""
    units = {"shear_rate": {"value": float(shear)}, "frame_rate": {"value": float(rate)}}
    said = analyze.hurried(replace(cells, meta=cells.meta | {"units": units}))
    assert bool(said) == refused
    if refused:
        assert f"film at {1.5 * shear:.0f} frames/s at least" in said[0]
