"""A movie of other pixels must be judged as the same movie at the models' own."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rbc import RbcError, sequences, simulate, tracking
from rbc.bench import analyze
from rbc.reading.video import open_movie
from rbc.simulate import movies
from rbc.tracking import scale


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """The same simulated cells at 0.6, 0.3 and 1.0 um/px, tracked: sequences and tracks by size."""
    folder, found = tmp_path_factory.mktemp("scales"), {}
    scene = movies.Scene(shape=(200, 320), cells=6, seed=3)
    part = {"tank-treading": 14, "flipping": 6, "unreliable": 2}
    cells = simulate.sequences({"test": part}, seed=1, acquisitions={"test": 1})
    frames = list(movies.sprites(cells, scene)[0])
    for um in (0.6, 0.3, 1.0):
        height, width = (round(side * 0.6 / um) for side in scene.shape)
        shown = [
            Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC) for f in frames
        ]
        path = folder / f"AA0101_{round(10 * um)}.avi"
        movies.write(path, map(np.asarray, shown), 60.0, "raw")
        options = {"um_per_px": um, "frame_rate": 60.0, "shear_rate": 10.0, "threads": 1}
        out = folder / f"tracked{um}"
        found[um] = (
            tracking.track_movie(path, out, **options),
            pd.read_parquet(out / "tracks.parquet"),
        )
    return found


@pytest.mark.parametrize("um", [0.3, 1.0])
def test_a_movie_of_another_scale_gives_the_same_cells(filmed, um):
    """Crops of the old pixels would show a part of a cell, or three cells at once."""
    (native, there), (other, tracks) = filmed[0.6], filmed[um]
    assert abs(len(other) - len(native)) <= 0.05 * len(native) + 1
    assert other.meta["um_per_px"] == um and other.meta["resized"] == pytest.approx(um / 0.6)
    assert "resized" in other.meta["notes"][0] and "resized" not in native.meta
    size = [analyze.looks(cells)["size_px"].median() for cells in (native, other)]
    assert size[1] == pytest.approx(size[0], rel=0.1)
    assert not [line for line in analyze.unlike(other, {}) if "scale" in line]
    # The table is in px of the movie as it is: cells cross the whole of it, at that speed.
    for column in ("x_px", "speed_px"):
        ends = [table[column].quantile([0.1, 0.9]).to_numpy() for table in (there, tracks)]
        np.testing.assert_allclose(ends[1], ends[0] * 0.6 / um, rtol=0.05)


def test_a_scale_like_the_models_changes_no_bit(filmed):
    """Resizing loses detail, so what need not be resized is not."""
    assert scale.factor(0.6) == scale.factor(0.62) == scale.factor(0.56) == 1
    assert scale.factor(0.2) == scale.factor(1.4) == 1  # objected to
    assert scale.factor(0.3) == 0.5 and scale.factor(1.2) == 2


@pytest.mark.parametrize("factor", [0.87, 1.15])
def test_a_resized_movie_whose_cells_are_not_of_the_known_size_is_objected_to(filmed, factor):
    """A pixel size that is stated a little wrongly moved the marker by 25 points without a word."""
    native, _ = filmed[0.6]
    size = analyze.looks(native)["size_px"].median()
    known = {"size_px": [size * 0.95, size * 1.05]}
    resized = native.meta | {"um_per_px": 0.3, "resized": 0.5}
    other = sequences.Sequences(native.frames, native.index, resized)
    assert analyze.unlike(other, known) == []
    off = {"size_px": [size * 0.95 * factor, size * 1.05 * factor]}
    (line,) = analyze.unlike(other, off)
    assert line.endswith("check the pixel size")
    # At the models' own scale acquisitions may differ a little more, as real ones do.
    wider = {"size_px": [size * 1.04, size * 1.06]}
    plain = sequences.Sequences(native.frames, native.index, native.meta)
    assert analyze.unlike(plain, wider) == [] and len(analyze.unlike(other, wider)) == 1


@pytest.mark.parametrize("um", [0.2, 1.4])
def test_a_scale_that_was_never_tried_is_objected_to(filmed, um):
    """Of pixels that coarse nobody knows what the models say."""
    native, _ = filmed[0.6]
    other = sequences.Sequences(native.frames, native.index, native.meta | {"um_per_px": um})
    (line,) = analyze.unlike(other, {})
    assert line.startswith(f"wrong scale, {um:g} um/px") and "0.3 to 1.2" in line


def test_places_come_back_to_where_they_were():
    """The middle of a pixel is at a whole number before and after."""
    places = np.array([[0.0, 0.0], [10.0, 4.5]])
    resized = (places + 0.5) * 0.5 - 0.5
    np.testing.assert_allclose(scale.original(resized, 0.5), places)


def test_a_resized_movie_keeps_its_light_and_its_damaged_frames(tmp_path):
    """A damaged frame is told as one, and grey levels stay what they are."""
    x = np.mgrid[:64, :96][1]
    frames = [(100 + 20 * np.sin(x / 9 + t)).round().astype(np.uint8) for t in range(8)]
    movies.write(tmp_path / "a.avi", frames, 60.0, "raw")
    movie = scale.resized(open_movie(tmp_path / "a.avi"), 0.5)
    numbers, found = zip(*movie.frames(), strict=True)
    assert numbers == tuple(range(8)) and found[0].shape == (32, 48) == movie.shape
    assert abs(found[3].mean() - frames[3].mean()) < 0.5
    assert np.array_equal(movie.frame(3), found[3])
    broken = replace(open_movie(tmp_path / "a.avi"), read=lambda: iter([(0, None)]))
    assert list(scale.resized(broken, 0.5).frames()) == [(0, None)]


def test_a_movie_without_cells_names_the_pixel_size_it_was_read_with(tmp_path):
    """A wrong size is the likeliest reason why no cell is found."""
    movies.write(tmp_path / "a.avi", [np.full((64, 96), 100, np.uint8)] * 20, 60.0, "raw")
    with pytest.raises(RbcError, match=r"no moving cell in 20 frames, at 0\.5 um/px \(given\)"):
        tracking.track_movie(tmp_path / "a.avi", tmp_path / "out", um_per_px=0.5)


@pytest.mark.parametrize(
    ("frame_rate", "shear_rate", "one_of"),
    [
        (60, 10, 1),
        (30, 10, 1),
        (100, 10, 1),
        (119.88, 10, 2),
        (200, 10, 3),
        (60, 5, 2),
        (60, 20, 1),
    ],
)
def test_as_many_frames_are_tracked_as_let_a_cell_turn_as_the_models_know(
    frame_rate, shear_rate, one_of
):
    """Never so few that it turns further: the models were tried on little more."""
    assert scale.every(frame_rate, shear_rate) == one_of
    assert shear_rate * one_of / frame_rate <= max(shear_rate / frame_rate, 1.01 * 10 / 60)


def test_a_faster_camera_gives_the_same_cells_bit_for_bit(tmp_path):
    """Of a movie with a frame between each two, those between are passed over; numbers, speeds and
    the drawn boxes are of the movie as it is.
    """
    scene = movies.Scene(shape=(200, 320), cells=6, seed=3)
    part = {"tank-treading": 8, "flipping": 4}
    cells = simulate.sequences({"test": part}, seed=1, acquisitions={"test": 1})
    frames = list(movies.sprites(cells, scene)[0])[:80]
    between = [frame for one in frames for frame in (one, np.full_like(one, 90))]
    movies.write(tmp_path / "AA0101_1.avi", iter(frames), 60.0, "raw")
    movies.write(tmp_path / "AA0101_2.avi", iter(between), 120.0, "raw")
    given = {"um_per_px": 0.6, "shear_rate": 10.0, "threads": 1}
    slow, there = tracking.track(tmp_path / "AA0101_1.avi", frame_rate=60.0, **given)
    fast, tracks = tracking.track(tmp_path / "AA0101_2.avi", frame_rate=120.0, **given)
    assert len(slow) > 5 and np.array_equal(slow.frames, fast.frames)
    assert "every" not in slow.meta and fast.meta["every"] == 2
    assert "one of 2 frames is tracked" in fast.meta["notes"][0]
    assert fast.meta["n_frames"] == 2 * slow.meta["n_frames"] == 2 * len(frames)
    assert (tracks["frame"] == 2 * there["frame"]).all()
    np.testing.assert_allclose(tracks["speed_px"], there["speed_px"] / 2)
    np.testing.assert_array_equal(tracks[["x_px", "y_px"]], there[["x_px", "y_px"]])
    # On a frame between two, the boxes stay where they were.
    first = int(tracks["frame"].min())
    film = [
        np.asarray(picture)
        for picture in tracking.overlay.film(
            open_movie(tmp_path / "AA0101_2.avi"), tracks, first, 2, every=2
        )
    ]
    coloured = [(np.ptp(picture, axis=2) > 0) for picture in film]
    assert coloured[0].any() and np.array_equal(*coloured)


def test_a_movie_that_is_too_short_when_thinned_says_so(tmp_path):
    """A quarter of twelve frames make no sequence, and the line says why twelve do not."""
    frames = np.random.default_rng(0).integers(90, 110, (12, 100, 100)).astype(np.uint8)
    movies.write(tmp_path / "a.avi", iter(frames), 240.0, "raw")
    with pytest.raises(RbcError, match="12 frames are too few; one of 4 frames is tracked"):
        tracking.track(tmp_path / "a.avi", frame_rate=240.0, um_per_px=0.6, shear_rate=10.0)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_shear_rate_that_is_none_thins_nothing(wrong):
    """What no flow has is refused in words later, not by a division here."""
    assert scale.every(60.0, wrong) == scale.every(wrong, 10.0) == 1


def test_a_shear_rate_that_nobody_gave_is_called_assumed(tmp_path):
    """How many frames are tracked hangs on it."""
    frames = np.random.default_rng(0).integers(90, 110, (12, 100, 100)).astype(np.uint8)
    movies.write(tmp_path / "a.avi", iter(frames), 240.0, "raw")
    with pytest.raises(RbcError, match=r"10/s \(assumed\)"):
        tracking.track(tmp_path / "a.avi", frame_rate=240.0, um_per_px=0.6)
