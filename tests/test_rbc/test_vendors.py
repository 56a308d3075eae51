"""Formats of makers of cameras and microscopes: real files, what they say of time and length, and
what is said where a library is missing. Grey levels of written files stand in test_video.
"""

import os
import sys
from pathlib import Path

import moviefiles
import numpy as np
import pytest
from conftest import rbc

from rbc import RbcError
from rbc.reading import video

SHOWN = moviefiles.frames()
#: Of each real file: frames, height and width, frames per second, and a word of the notes.
REAL = {
    "cine_781.cine": (15, (256, 256), 9003.2, "the header 90000"),  # saved one in ten
    "sample_norpix6.seq": (6, (32, 36), 30.301, "the header 10"),
    "beam.mraw": (4, (80, 1024), 50_000.0, "step of 2500"),
}


@pytest.fixture(scope="module")
def real_files() -> Path:
    """Folder of real cameras' files; skips where it is not given."""
    if not os.environ.get("RBC_FILES"):
        pytest.skip("RBC_FILES is not set: the real cameras' files are not here")
    return Path(os.environ["RBC_FILES"])


@pytest.mark.parametrize("name", REAL)
def test_a_real_camera_s_file_gives_its_frames_and_its_rate(real_files, name):
    """Speeds follow from the rate: that of the saved frames, not that of the camera's sensor."""
    movie = video.open_movie(real_files / name)
    n, shape, rate, note = REAL[name]
    frames = [frame for _, frame in movie.frames()]
    assert len(frames) == movie.n_frames == n and movie.shape == shape
    assert movie.frame_rate == pytest.approx(rate, rel=1e-4)
    assert note in " ".join(movie.notes)
    assert all(frame is not None and frame.std() > 1 for frame in frames)
    assert (movie.frame(n - 1) == frames[-1]).all()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("cluster.nd2", "10 along Z, 2 along C"), ("cytometry/dcnum_thresh_example.rtdc", "once")],
)
def test_a_real_file_that_is_no_movie_of_cells_is_refused_with_its_reason(real_files, name, reason):
    """Planes and channels are not frames, and a cytometer sees each cell once."""
    with pytest.raises(RbcError, match=reason):
        video.open_movie(real_files / name)


def test_a_colour_movie_of_pydicom_s_own_is_read_in_grey():
    """JPEG within DICOM, written by others."""
    from pydicom.data import get_testdata_file

    movie = video.open_movie(Path(get_testdata_file("examples_ybr_color.dcm", download=False)))
    assert movie.n_frames == 30 and movie.shape == (240, 320)
    assert movie.frame_rate == pytest.approx(30, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "rate", "um_per_px"),
    [
        ("Photron .mraw and .cih", 500, None),
        ("Norpix .seq", 100, None),
        ("Zeiss .czi", None, 0.6),
        ("Leica .lif", 60, 0.6),
        ("DICOM", 60, 0.6),
    ],
)
def test_rate_and_pixel_size_are_those_in_the_file(tmp_path, name, rate, um_per_px):
    """Assumed units would make other speeds of them."""
    movie = video.open_movie(moviefiles.READ[name](tmp_path, SHOWN))
    assert movie.frame_rate == pytest.approx(rate, rel=1e-4) if rate else movie.frame_rate is None
    size = movie.um_per_px
    assert size == pytest.approx(um_per_px) if um_per_px else size is None


@pytest.mark.parametrize("name", ["Photron .mraw and .cih", "Norpix .seq"])
def test_a_file_that_ends_early_says_so(tmp_path, name):
    """A full disk cuts a movie off: fewer frames than promised are told, none is invented."""
    path = moviefiles.READ[name](tmp_path, SHOWN)
    path.write_bytes(path.read_bytes()[:-4000])
    movie = video.open_movie(path)
    assert movie.n_frames == 6 and "6 of 8" in " ".join(movie.notes)
    assert (np.stack([frame for _, frame in movie.frames()]) == SHOWN[:6]).all()


@pytest.mark.parametrize("damage", ["equal", "falling", "absurd"])
def test_time_stamps_that_cannot_be_are_not_used(tmp_path, damage):
    """Then the header's rate counts, and a note says so."""
    path = moviefiles.READ["Norpix .seq"](tmp_path, SHOWN)
    content = bytearray(path.read_bytes())
    seconds = {"equal": [7] * 8, "falling": range(8, 0, -1), "absurd": [-(2**31), *range(7)]}
    for i, at in enumerate(seconds[damage]):
        place = 1024 + i * 2568 + 2560
        content[place : place + 8] = int(at).to_bytes(4, "little", signed=True) + bytes(4)
    path.write_bytes(content)
    movie = video.open_movie(path)
    if damage == "absurd":
        assert "missing" in " ".join(movie.notes)
    else:
        assert movie.frame_rate == 100 and "do not rise" in " ".join(movie.notes)


@pytest.mark.parametrize(
    ("name", "library"),
    [("Zeiss .czi", "pylibCZIrw.czi"), ("Leica .lif", "liffile"), ("DICOM", "pydicom")],
)
def test_a_missing_library_is_named_with_what_installs_it(tmp_path, monkeypatch, name, library):
    """The default installation is without these readers."""
    path = moviefiles.READ[name](tmp_path, SHOWN)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(RbcError, match=r"rbc\[formats\]"):
        video.open_movie(path)


def test_what_moves_and_is_no_red_cell_of_the_known_kind_is_said_first(real_files, tmp_path):
    """A cell squeezed through a capillary is tracked too; who reads one line must not miss it."""
    done = rbc("track", str(real_files / "capillary"), "--out", str(tmp_path / "out"))
    first = done.stdout.splitlines()[0]
    assert done.returncode == 0 and "does not look like" in first
