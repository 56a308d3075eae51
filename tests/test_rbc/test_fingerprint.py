"""A movie is known again under another name, in another container, cut; others are not."""

import json

import numpy as np
import pytest
import tifffile

from rbc.bench import study
from rbc.reading import fingerprint
from rbc.reading.video import open_movie, write_clip


def drawn(seed):
    """Spots that drift to the right on a grainy ground, (90, 120, 160) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :160]
    frames = np.full((90, 120, 160), 120.0)
    for _ in range(25):
        row, start, speed = rng.uniform(5, 115), rng.uniform(-250, 160), rng.uniform(2, 5)
        for number, frame in enumerate(frames):
            apart = (x - start - speed * number) ** 2 + (y - row) ** 2
            frame -= 60 * np.exp(-apart / 30)
    return (frames + rng.normal(0, 1, frames.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Frames of two movies of other cells, and their prints."""
    folder, frames = tmp_path_factory.mktemp("filmed"), [drawn(0), drawn(1)]
    for seed, shown in enumerate(frames):
        tifffile.imwrite(folder / f"{seed}.tif", shown)
    return frames, [print_of(folder / f"{seed}.tif") for seed in (0, 1)]


def print_of(path):
    """The fingerprint of a file."""
    return fingerprint.fingerprint(open_movie(path))


COPIES = {
    "as TIFF": lambda frames: frames,
    "its middle": lambda frames: frames[20:-15],
    "noisier": lambda frames: np.clip(
        frames + np.random.default_rng(0).normal(0, 3, frames.shape), 0, 255
    ).astype(np.uint8),
    "half as large": lambda frames: frames[:, ::2, ::2],
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_known_again(filmed, tmp_path, copy):
    """Two copies would be two movies of a draw: their cells would count twice."""
    (frames, _), (first, _) = filmed
    tifffile.imwrite(tmp_path / "copy.tif", COPIES[copy](frames))
    assert fingerprint.repeated(first, print_of(tmp_path / "copy.tif")) > 0.8


def test_a_compressed_copy_is_known_again(filmed, tmp_path):
    """A lossy copy has no byte and no pixel in common with its original."""
    (frames, _), (first, _) = filmed
    write_clip(tmp_path / "copy.avi", (np.stack([f] * 3, -1) for f in frames), 60.0)
    assert fingerprint.repeated(first, print_of(tmp_path / "copy.avi")) > 0.8


def test_other_cells_of_one_scene_are_another_movie(filmed):
    """Two movies of a draw have their flow, light and dust in common, and both count."""
    _, (first, second) = filmed
    assert fingerprint.repeated(first, second) < fingerprint.REPEATED / 3


def test_a_study_counts_a_movie_once(filmed, tmp_path):
    """The longer one counts; the row of the other says which one that is."""
    _, (first, second) = filmed
    (tmp_path / "fingerprints").mkdir()
    prints = {"AA1001": first[10:60], "BB1001": first, "CC1001": second}
    for name, kept in prints.items():
        np.save(tmp_path / "fingerprints" / f"{name}.npy", kept)
    state = {name: {"status": study.JUDGED, "why": ""} for name in prints}
    again = study._repeated(prints, tmp_path, json.loads(json.dumps(state)))
    assert set(again) == {"AA1001"} and again["AA1001"]["status"] == study.REFUSED
    assert "BB1001" in again["AA1001"]["why"]
