"""Reading movies as people have them: right, or refused with the true reason; never a traceback or
a wrong grey.
"""

from __future__ import annotations

import time
from pathlib import Path

import moviefiles
import numpy as np
import pytest
import tifffile
from moviefiles import CLOSE, READ, REFUSED, avi, encoded

from rbc import RbcError, in_words
from rbc.reading import video

SHOWN = moviefiles.frames()


def levels(movie: video.Movie) -> np.ndarray:
    """All frames of a movie: (n, H, W) uint8."""
    return np.stack([frame for _, frame in movie.frames()])


@pytest.mark.parametrize("name", READ)
def test_a_lossless_movie_gives_its_grey_levels(name: str, tmp_path: Path) -> None:
    """Every way to store a movie without loss must give the same levels, in order, counted
    right.
    """
    movie = video.open_movie(READ[name](tmp_path, SHOWN))
    assert movie.n_frames == len(SHOWN) and movie.shape == SHOWN.shape[1:]
    found = levels(movie)
    # 16 bit without its scale comes back up to a power of 2
    scale = 1 if (found == SHOWN).all() else 2.0 ** np.round(np.log2(found.mean() / SHOWN.mean()))
    np.testing.assert_array_equal(found, np.minimum(SHOWN * scale, 255).astype(np.uint8))
    assert (movie.frame(5) == found[5]).all()
    assert (movie.sample(3) == found[video.spread(len(found), 3)]).all()


@pytest.mark.parametrize("name", CLOSE)
def test_a_lossy_movie_gives_nearly_its_grey_levels(name: str, tmp_path: Path) -> None:
    """A lossy codec may round, but neither shift frames nor stretch the levels."""
    movie = video.open_movie(CLOSE[name](tmp_path, SHOWN))
    assert movie.n_frames == len(SHOWN)
    assert abs(levels(movie).astype(int) - SHOWN).mean() < 2.5
    assert abs(movie.frame(5).astype(int) - SHOWN[5]).mean() < 2.5


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_true_reason(name: str, tmp_path: Path) -> None:
    """One line that names the file and why; no traceback, no hang."""
    writer, reason = REFUSED[name]
    path = writer(tmp_path, SHOWN)
    started = time.process_time()
    with pytest.raises(RbcError, match=reason.replace("(", r"\(")) as caught:
        levels(video.open_movie(path))
    assert "\n" not in str(caught.value) and path.name in str(caught.value)
    assert time.process_time() - started < 5


def test_there_are_sixty_of_them() -> None:
    """The table may grow, not shrink."""
    assert len(READ) + len(CLOSE) + len(REFUSED) >= 100


# --- depth ---


def deep(tmp_path: Path, change: object) -> video.Movie:
    """The movie as a TIFF of 16 bit, 12 used, changed."""
    stack = SHOWN.astype(np.uint16) * 16
    change(stack)
    tifffile.imwrite(tmp_path / "m.tif", stack)
    return video.open_movie(tmp_path / "m.tif")


@pytest.mark.parametrize("pixels", [1, 2])
def test_hot_pixels_do_not_take_the_levels(tmp_path: Path, pixels: int) -> None:
    """A pixel at full scale used to leave the cells a few levels."""

    def heat(stack: np.ndarray) -> None:
        stack[:, 3, 5 : 5 + pixels] = 65535

    found = levels(deep(tmp_path, heat))
    expected = SHOWN.copy()
    expected[:, 3, 5 : 5 + pixels] = 255
    np.testing.assert_array_equal(found, expected)


def test_a_shallow_picture_on_an_offset_keeps_its_contrast(tmp_path: Path) -> None:
    """Levels of 30000 to 30050 must not end as one grey; a note says what was taken away."""
    tifffile.imwrite(tmp_path / "m.tif", SHOWN.astype(np.uint16) + 30000)
    movie = video.open_movie(tmp_path / "m.tif")
    found = levels(movie).astype(int)
    assert np.corrcoef(found.ravel(), SHOWN.ravel())[0, 1] > 0.999
    assert np.ptp(found) >= np.ptp(SHOWN) and any("less" in note for note in movie.notes)


# --- lengths, time ---


def test_what_is_announced_and_not_there_is_noted(tmp_path: Path) -> None:
    """The background must be made of the frames that are there, and the user told."""
    movie = video.open_movie(avi(tmp_path / "m.avi", list(SHOWN), announced=3000))
    assert movie.notes == ("the movie ends after 8 of 3000 announced frames",)
    assert len(movie.sample(100)) == 8


def test_empty_chunks_are_lost_frames(tmp_path: Path) -> None:
    """Cameras write an empty chunk for a frame they lost; time goes on."""
    shown = [*SHOWN[:3], None, *SHOWN[3:5], None, None, *SHOWN[5:]]
    movie = video.open_movie(avi(tmp_path / "m.avi", shown))
    np.testing.assert_array_equal(levels(movie), SHOWN)
    np.testing.assert_allclose(movie.times * 60, [0, 1, 2, 4, 5, 8, 9, 10])
    assert movie.frame_rate == 60
    assert movie.notes[-1] == "time stamps: 3 frames are missing in 2 gaps"


@pytest.mark.parametrize("kind", ["mkv", "mov"])
def test_a_varying_frame_rate_is_seen(tmp_path: Path, kind: str) -> None:
    """Time stamps, not numbers, tell when a frame was taken; the usual step gives the rate."""
    ticks = [0, 10, 20, 30, 55, 65, 75, 85]
    codec = {"mkv": "ffv1", "mov": "png"}[kind]
    pixels = {"mkv": "gray", "mov": "rgb24"}[kind]
    movie = video.open_movie(encoded(tmp_path / f"m.{kind}", SHOWN, codec, pixels, pts=ticks))
    np.testing.assert_allclose(movie.times * 600, ticks, atol=1)
    assert movie.frame_rate == pytest.approx(60, rel=0.03)
    assert any("missing" in note or "varies" in note for note in movie.notes)


def test_a_steady_rate_is_steady_to_the_bit(tmp_path: Path) -> None:
    """MKV rounds to milliseconds; that must not look like an unsteady camera."""
    movie = video.open_movie(encoded(tmp_path / "m.mkv", SHOWN, "ffv1", "gray"))
    np.testing.assert_array_equal(movie.times, np.arange(8) / 60)
    assert movie.frame_rate == 60 and not movie.notes


def test_a_stream_without_a_container_has_no_rate(tmp_path: Path) -> None:
    """The 25 frames/s of the reader are its guess, not the file's word."""
    movie = video.open_movie(encoded(tmp_path / "m.h264", SHOWN, "libx264", "yuv420p"))
    assert movie.frame_rate is None and movie.times is None
    assert movie.about(None, None, 10)["frame_rate"] == {"value": 60.0, "source": "assumed"}


def test_missing_numbers_of_files_are_gaps(tmp_path: Path) -> None:
    """The names of frames tell which are lost, so speeds must not grow over the gap."""
    folder = moviefiles.sheets(tmp_path, SHOWN)
    for lost in (3, 5, 6):
        (folder / f"f{lost}.tif").unlink()
    movie = video.open_movie(folder)
    np.testing.assert_allclose(movie.times / movie.times[1], [0, 1, 2, 4, 7])
    assert any("3 frames are missing" in note for note in movie.notes)


# --- units ---

IMAGEJ = {"imagej": True, "resolution": (2.5, 2.5)}
UNITS = {
    "OME, um and ms": (
        {"ome": True},
        {"axes": "TYX", "PhysicalSizeX": 0.4, "TimeIncrement": 20, "TimeIncrementUnit": "ms"},
        ("file: OME", 0.4, "file: OME", 50),
    ),
    "OME, nm": (
        {"ome": True},
        {"axes": "TYX", "PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm"},
        ("file: OME", 0.325, "assumed", 60),
    ),
    "ImageJ, interval before fps": (
        IMAGEJ,
        {"axes": "TYX", "unit": "um", "finterval": 0.02, "fps": 7.0},
        ("file: ImageJ", 0.4, "file: ImageJ frame interval", 50),
    ),
    "ImageJ, msec": (
        IMAGEJ,
        {"axes": "TYX", "unit": "micron", "finterval": 20.0, "tunit": "msec"},
        ("file: ImageJ", 0.4, "file: ImageJ frame interval", 50),
    ),
    "ImageJ, fps alone": (
        IMAGEJ,
        {"axes": "TYX", "unit": "pixel", "fps": 50.0},
        ("assumed", 0.6, "file: ImageJ fps", 50),
    ),
    "ImageJ, mm": (
        {"imagej": True, "resolution": (2500, 2500)},
        {"axes": "TYX", "unit": "mm"},
        ("file: ImageJ", 0.4, "assumed", 60),
    ),
    "tags in cm": (
        {"resolution": (25000, 25000), "resolutionunit": "centimeter"},
        None,
        ("file: TIFF resolution", 0.4, "assumed", 60),
    ),
    "tags in inch": (
        {"resolution": (63500, 63500), "resolutionunit": "inch"},
        None,
        ("file: TIFF resolution", 0.4, "assumed", 60),
    ),
    "a printer's tags": (
        {"resolution": (300, 300), "resolutionunit": "inch"},
        None,
        ("assumed", 0.6, "assumed", 60),
    ),
}


@pytest.mark.parametrize("name", UNITS)
def test_units_are_read_in_the_stated_order(name: str, tmp_path: Path) -> None:
    """Given before OME before ImageJ before tags before what is assumed, each with its source."""
    options, meta, (um_source, um, rate_source, rate) = UNITS[name]
    tifffile.imwrite(tmp_path / "m.tif", SHOWN, metadata=meta, photometric="minisblack", **options)
    movie = video.open_movie(tmp_path / "m.tif")
    found = movie.about(None, None, 10)
    assert found["um_per_px"] == {"value": pytest.approx(um, rel=1e-4), "source": um_source}
    assert found["frame_rate"] == {"value": pytest.approx(rate, rel=1e-4), "source": rate_source}
    given = movie.about(0.5, 30, 10)
    assert given["um_per_px"] == {"value": 0.5, "source": "given"}
    assert given["frame_rate"] == {"value": 30.0, "source": "given"}


# --- fields, broken frames ---


def test_woven_fields_are_refused(tmp_path: Path) -> None:
    """Interlaced movies give each cell two places in a frame."""
    from rbc.simulate import movies

    scene = movies.Scene(frames=24, shape=(160, 320), cells=6, seed=3)
    shown = np.stack(list(movies.physics(scene)[0]))
    woven = shown[::2].copy()
    woven[:, 1::2] = shown[1::2, 1::2]
    straight, fields = video.combing(shown), video.combing(woven)
    assert straight < 1.1 < video.COMBED < fields
    assert video.combing(woven.swapaxes(1, 2)) == pytest.approx(fields)
    movies.write(tmp_path / "woven.avi", list(woven), 30.0, "raw")
    with pytest.raises(RbcError, match="interlaced"):
        video.open_movie(tmp_path / "woven.avi").sample(20)


def test_a_missing_file_of_a_set_is_a_damaged_frame(tmp_path: Path) -> None:
    """The rest of an OME-TIFF set is still read, each frame under its number."""
    folder = moviefiles.ome_set(tmp_path, SHOWN)
    (folder / "b.ome.tif").unlink()
    found = dict(video.open_movie(folder / "a.ome.tif").frames())
    assert len(found) == 8 and found[5] is None
    np.testing.assert_array_equal(found[2], SHOWN[2])


def test_names_that_are_not_utf8_can_be_told_and_stored() -> None:
    """A name in Latin-1 must not end in a traceback where it is printed or written."""
    assert in_words(Path("\udce9.avi")) == "\\xe9.avi" and in_words(Path("é.avi")) == "é.avi"
