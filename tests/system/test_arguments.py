"""Every wrong argument, path or disk ends in one line of the command line, and nothing of the
user's is lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from moviefiles import avi

from compendium import ROOT, cli
from rbc import sequences
from rbc.simulate import movies

SCENE = movies.Scene(frames=24, shape=(120, 240), cells=4, seed=1, stuck=0)


@pytest.fixture(scope="module")
def shown() -> list[np.ndarray]:
    return list(movies.physics(SCENE)[0])


@pytest.fixture
def movie(tmp_path: Path, shown: list[np.ndarray]) -> Path:
    """A small simulated movie that can be tracked."""
    (tmp_path / "in").mkdir()
    movies.write(tmp_path / "in" / "movie.avi", shown, 60.0, "raw")
    return tmp_path / "in" / "movie.avi"


@pytest.fixture
def rbc(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """The command line in this process: exit code, what it says, what it complains of."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rbc", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return call


WRONG = {
    "frame rate of 0": ("--frame-rate", "0", "above 0"),
    "negative frame rate": ("--frame-rate", "-60", "above 0"),
    "frame rate that is none": ("--frame-rate", "nan", "above 0"),
    "infinite frame rate": ("--frame-rate", "inf", "above 0"),
    "frame rate in words": ("--frame-rate", "fast", "--frame-rate"),
    "pixel of 0": ("--um-per-px", "0", "above 0"),
    "negative shear": ("--shear-rate", "-1", "above 0"),
    "negative threads": ("--threads", "-1", "--threads"),
    "an option that is none": ("--framerate", "60", "No such option"),
}


@pytest.mark.parametrize("command", ["track", "analyze"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_number_is_refused_before_any_work(rbc, movie, tmp_path, command, name) -> None:
    """0 used to mean the default; negative numbers ended in a traceback after minutes."""
    option, value, said = WRONG[name]
    code, _, error = rbc(command, movie, "--out", tmp_path / "out", option, value)
    assert code == 2 and said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "sequences", "--out", "OUT", "--flipping", "-3"),
        ("simulate", "sequences", "--out", "OUT", "--seed", "-1"),
        ("simulate", "video", "--out", "OUT", "--frames", "0"),
        ("simulate", "video", "--out", "OUT", "--cells", "-1"),
        ("simulate", "video", "--out", "OUT", "--sprites", "nowhere"),
        ("simulate", "video"),
        ("track", "nowhere.avi", "--out", "OUT"),
        ("classify", "nowhere"),
        ("nothing",),
    ],
)
def test_other_wrong_arguments(rbc, tmp_path, arguments) -> None:
    """One line, an exit code, nothing written."""
    code, _, error = rbc(*(str(tmp_path / "OUT") if a == "OUT" else a for a in arguments))
    assert code in (1, 2) and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "OUT").exists()


COMMANDS = {
    "track": ("track", "MOVIE"),
    "analyze": ("analyze", "MOVIE", "--force"),
    "simulate video": ("simulate", "video", "--frames", "3", "--cells", "0"),
    "simulate sequences": (
        "simulate",
        "sequences",
        "--unreliable",
        "1",
        "--flipping",
        "1",
        "--tank-treading",
        "1",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_deletes_what_it_did_not_make(
    rbc, movie, tmp_path, monkeypatch, command
) -> None:
    """The movie's own folder, a folder of notes, a file, the current folder: all stay as they
    were.
    """
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "meta.json").write_text("mine", encoding="utf-8")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    arguments = [movie if a == "MOVIE" else a for a in COMMANDS[command]]
    for out in (movie.parent, tmp_path / "notes", movie, ".", ".."):
        code, _, error = rbc(*arguments, "--out", out)
        assert code == 1 and len(error.strip().splitlines()) == 1, error
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_folder_that_cannot_be_made_is_told(rbc, movie) -> None:
    """Places like /proc refuse files in their own way; that is not another run."""
    code, _, error = rbc("track", movie, "--out", "/proc/rbc-out")
    assert code == 1 and "can be made there" in error and len(error.strip().splitlines()) == 1


def test_track_twice_says_where_the_units_are_from(rbc, movie, tmp_path) -> None:
    """A second run replaces the first; what was read, given or assumed is printed and kept."""
    rbc("track", movie, "--out", tmp_path / "out", "--threads", 1)
    code, said, _ = rbc(
        "track", movie, "--out", tmp_path / "out", "--threads", 1, "--um-per-px", 0.6
    )
    assert code == 0
    for line in (
        "pixel size: 0.6 um (given)",
        "frame rate: 60/s (file: container)",
        "shear rate: 10/s (assumed)",
    ):
        assert line in said.splitlines()
    units = sequences.load(tmp_path / "out").meta["units"]
    assert units["um_per_px"] == {"value": 0.6, "source": "given"}
    assert units["shear_rate"] == {"value": 10.0, "source": "assumed"}
    answer = json.loads(
        rbc("track", movie, "--out", tmp_path / "json", "--threads", 1, "--json")[1]
    )
    assert answer["units"]["um_per_px"]["source"] == "assumed"


def test_a_name_that_is_not_utf8_is_tracked(rbc, movie, tmp_path) -> None:
    """It used to end in a traceback after all the work."""
    odd = Path(os.fsdecode(os.fsencode(movie.parent) + b"/\xe9.avi"))
    movie.rename(odd)
    code, _, error = rbc("track", odd, "--out", tmp_path / "out", "--threads", 1)
    assert code == 0, error
    found = sequences.load(tmp_path / "out")
    assert found.index["acquisition"].iat[0] == "\\xe9" and found.meta["source"] == "\\xe9.avi"
    odd.write_bytes(b"")
    code, _, error = rbc("track", odd, "--out", tmp_path / "new")
    assert code == 1 and "\\xe9.avi" in error and "empty" in error


def test_palette_and_short_movies_are_tracked_like_plain_ones(rbc, movie, tmp_path, shown) -> None:
    """The same cells must come out of a palette AVI that announces too many frames."""
    rbc("track", movie, "--out", tmp_path / "plain", "--threads", 1)
    avi(tmp_path / "palette.avi", shown, announced=3000)
    code, said, error = rbc(
        "track", tmp_path / "palette.avi", "--out", tmp_path / "out", "--threads", 1
    )
    assert code == 0, error
    assert "the movie ends after 24 of 3000 announced frames" in said
    plain, palette = (sequences.load(tmp_path / name) for name in ("plain", "out"))
    np.testing.assert_array_equal(plain.frames, palette.frames)


def test_a_read_only_disk_is_told(movie, tmp_path) -> None:
    """The real thing, in a mount namespace of its own; skipped where the system allows none."""
    (tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o ro none {tmp_path / 'disk'} && "
    command = f"{sys.executable} -m compendium track {movie} --out {tmp_path / 'disk' / 'out'}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    isolated = ["unshare", "-m", "sh", "-c"]
    try:
        subprocess.run([*isolated, mount + "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no mount namespaces here")
    done = subprocess.run(
        [*isolated, mount + command], capture_output=True, text=True, env=environment
    )
    assert (
        done.returncode == 1
        and "read-only" in done.stderr
        and len(done.stderr.strip().splitlines()) == 1
    )
