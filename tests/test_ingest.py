"""Reading folders of strips: made ones, broken ones and, where RBC_SAMPLE names it, the released sample."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from strips import LAYOUTS, NAMES, frames, made, write_csv

from rbc import RbcError, ingest, sequences

SAMPLE = os.environ.get("RBC_SAMPLE")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A small folder laid out as the released sample."""
    strips = [frames(name, i + 1) for i, name in enumerate(NAMES)]
    write_csv(tmp_path / "Stage_1" / "test", NAMES, strips, [0, 1, 2, 2, 0, 1, 2, 2])
    for folder, track in (("Flipping", 7), ("TankTreading", 8)):
        grey = np.full((31, 620), 90 + track, np.uint8)
        file = tmp_path / "Stage_2" / "data" / folder / f"BK0930_10s01_{track}.jpg"
        file.parent.mkdir(parents=True)
        Image.fromarray(np.dstack([grey] * 3)).save(file)
    return tmp_path


def test_released_reads_frames_left_to_right(sample: Path) -> None:
    got = ingest.released(sample)
    assert len(got) == 10 and got.simulated is False
    row = got.index.set_index("name").loc["BG1017_10s02_4"]
    assert tuple(row[["label", "acquisition", "patient", "split"]]) == ("unreliable", "BG1017_10s02", "BG", "test")
    strips = dict(zip(got.index["name"], got, strict=True))
    for i, name in enumerate(NAMES):
        np.testing.assert_array_equal(strips[name], frames(name, i + 1))


def test_released_takes_grey_jpeg_as_it_is(sample: Path) -> None:
    got = ingest.released(sample)
    strips = got.select(got.index["split"] == "train")
    assert dict(zip(strips.index["name"], strips.index["label"], strict=True)) == {
        "BK0930_10s01_7": "flipping",
        "BK0930_10s01_8": "tank-treading",
    }
    assert {int(s.mean()) for s in strips} == {97, 98} and set(strips.index["length"]) == {20}


def test_released_verifies_sums(sample: Path) -> None:
    files = sorted(f for f in sample.rglob("*") if f.is_file())
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  ./{f.relative_to(sample)}" for f in files]
    (sample / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    assert ingest.released(sample).meta["verified_files"] == len(files)
    files[1].write_bytes(files[1].read_bytes() + b" ")
    with pytest.raises(RbcError, match=rf"{files[1].name}: altered or damaged"):
        ingest.released(sample)


def csv_of(sample: Path) -> Path:
    return sample / "Stage_1" / "test" / "dataset.csv"


def png_of(sample: Path) -> Path:
    return sample / "Stage_1" / "test" / "img" / f"{NAMES[4]}.png"


def picture(array: np.ndarray) -> Callable[[Path], None]:
    return lambda s: Image.fromarray(array).save(png_of(s))


def edit(old: str, new: str) -> Callable[[Path], None]:
    return lambda s: csv_of(s).write_text(csv_of(s).read_text().replace(old, new))


BROKEN = {
    "no folder": (lambda s: s.rename(s.with_name("gone")), "no such folder"),
    "no csv": (lambda s: csv_of(s).unlink(), "the list of sequences is missing"),
    "empty csv": (lambda s: csv_of(s).write_text(""), "not a readable UTF-8 CSV"),
    "csv without rows": (lambda s: csv_of(s).write_text(",sequence_name,label,size\n"), "no rows"),
    "csv without a column": (edit("label", "class"), "columns label are missing"),
    "csv in latin-1": (lambda s: csv_of(s).write_bytes(b",sequence_name,label,size\n0,\xe9,0,1\n"), "UTF-8"),
    "csv row without its file": (lambda s: png_of(s).unlink(), "BG1017_10s02_1.png: the file is missing"),
    "unknown label": (edit("_1,0,5", "_1,3,5"), "label '3'"),
    "label in words": (edit("_1,0,5", "_1,flip,5"), "label 'flip'"),
    "label missing": (edit("_1,0,5", "_1,,5"), "label ''"),
    "size of nothing": (edit("_1,0,5", "_1,0,0"), "size '0'"),
    "size with a fraction": (edit("_1,0,5", "_1,0,4.5"), "size '4.5'"),
    "repeated row": (lambda s: csv_of(s).open("a").write("8,BG1017_10s02_1,0,5\n"), "is repeated"),
    "missing row": (edit("0,LJ0926_10s01_1,0,1\n", ""), "no row for 'LJ0926_10s01_1.png'"),
    "duplicate name": (lambda s: csv_of(s).open("a").write("8,BG1017_10s02_1,2,5\n"), "listed twice"),
    "name that climbs": (edit("BG1017_10s02_1,", "../../secret_1,"), "is not patient, date"),
    "name with a newline": (edit("BG1017_10s02_1,", '"BG1017_10s02_1\n",'), "is not patient, date"),
    "wrong height": (picture(np.zeros((30, 155), np.uint8)), "30 px high"),
    "wrong width": (picture(np.zeros((31, 154), np.uint8)), "154 px wide; expected 31 x 5"),
    "16 bits": (picture(np.zeros((31, 155), np.uint16)), "mode is I;16"),
    "alpha": (picture(np.zeros((31, 155, 4), np.uint8)), "mode is RGBA"),
    "colours": (picture(np.arange(31 * 155 * 3, dtype=np.uint8).reshape(31, 155, 3)), "has colours"),
    "not a picture": (lambda s: png_of(s).write_bytes(b"hello"), "not a readable picture"),
    "empty picture": (lambda s: png_of(s).write_bytes(b""), "not a readable picture"),
    "truncated picture": (lambda s: png_of(s).write_bytes(png_of(s).read_bytes()[:900]), "not a readable picture"),
    "strip not of whole frames": (
        lambda s: Image.new("L", (619, 31)).save(s / "Stage_2/data/Flipping/BK0930_10s01_9.jpg"),
        "multiple of 31",
    ),
    "class folder missing": (lambda s: (s / "Stage_2/data/Flipping").rename(s / "x"), "no such folder"),
    "class folder empty": (lambda s: (s / "Stage_2/data/Flipping/BK0930_10s01_7.jpg").unlink(), "no PNG or JPEG"),
    "same name in two folders": (
        lambda s: Image.new("L", (31, 31)).save(s / "Stage_2/data/Flipping/BG1017_10s02_1.jpg"),
        "listed twice",
    ),
    "sums that climb": (lambda s: (s / "SHA256SUMS").write_text(f"{'0' * 64}  ../x\n"), "line 1 is not"),
    "sums of a missing file": (lambda s: (s / "SHA256SUMS").write_text(f"{'0' * 64}  x\n"), "SHA256SUMS lists it"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_released_refuses(sample: Path, case: str) -> None:
    damage, message = BROKEN[case]
    damage(sample)
    with pytest.raises(RbcError, match=message) as caught:
        ingest.released(sample)
    assert "\n" not in str(caught.value)


def same(one: sequences.Sequences, other: sequences.Sequences) -> None:
    """Equal in every frame and every column of the index."""
    np.testing.assert_array_equal(one.frames, other.frames)
    assert one.index.to_csv() == other.index.to_csv()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_sequences(tmp_path: Path, layout: str) -> None:
    cells = made()
    folder = tmp_path / "data" / "as unpacked"
    folder.mkdir(parents=True)
    LAYOUTS[layout](folder, cells)
    same(ingest.read(tmp_path / "data", simulated=True), cells)
    ingest.into(folder, tmp_path / "out", simulated=True, workers=1)
    opened = sequences.load(tmp_path / "out")
    same(opened, cells)
    assert opened.meta["simulated"] and opened.meta["sha256"] == sequences.checksum(opened)


@pytest.mark.skipif(not SAMPLE, reason="RBC_SAMPLE does not name the released sample's folder")
def test_released_sample_as_the_reading_notes_count_it() -> None:
    got = ingest.released(Path(SAMPLE))
    counts = got.index.groupby(["split", "label"]).size().to_dict()
    assert counts == {
        ("test", "tank-treading"): 64,
        ("test", "flipping"): 62,
        ("test", "unreliable"): 143,
        ("train", "tank-treading"): 142,
        ("train", "flipping"): 142,
    }
    assert got.index.groupby("split")["acquisition"].nunique().to_dict() == {"test": 6, "train": 23}
    assert set(got.index["patient"]) == {"BG", "BK", "BM", "LJ"}
    assert set(got.index["length"][got.index["split"] == "train"]) == {20}
    assert got.meta["verified_files"] == 554
