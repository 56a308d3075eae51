"""Reading folders of strips: made ones, broken ones and, where RBC_SAMPLE names it, the released
sample.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.io import savemat
from strips import LAYOUTS, NAMES, frames, made, write_csv, write_strip

from compendium import ROOT
from compendium.data import ingest, layouts
from rbc import RbcError, sequences

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
    """Frames in another order would be another motion."""
    got = ingest.released(sample)
    assert len(got) == 10 and got.simulated is False
    row = got.index.set_index("name").loc["BG1017_10s02_4"]
    assert tuple(row[["label", "acquisition", "patient", "split"]]) == (
        "unreliable",
        "BG1017_10s02",
        "BG",
        "test",
    )
    strips = dict(zip(got.index["name"], got, strict=True))
    for i, name in enumerate(NAMES):
        np.testing.assert_array_equal(strips[name], frames(name, i + 1))


def test_released_takes_grey_jpeg_as_it_is(sample: Path) -> None:
    """No weighting of colours may touch the grey levels."""
    got = ingest.released(sample)
    strips = got.select(got.index["split"] == "train")
    assert dict(zip(strips.index["name"], strips.index["label"], strict=True)) == {
        "BK0930_10s01_7": "flipping",
        "BK0930_10s01_8": "tank-treading",
    }
    assert {int(s.mean()) for s in strips} == {97, 98} and set(strips.index["length"]) == {20}


def test_released_verifies_sums(sample: Path) -> None:
    """A list of checksums beside the data must be used."""
    files = sorted(f for f in sample.rglob("*") if f.is_file())
    lines = [
        f"{hashlib.sha256(f.read_bytes()).hexdigest()}  ./{f.relative_to(sample)}" for f in files
    ]
    (sample / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")
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
    return lambda s: csv_of(s).write_text(
        csv_of(s).read_text(encoding="utf-8").replace(old, new), encoding="utf-8"
    )


BROKEN = {
    "no folder": (lambda s: s.rename(s.with_name("gone")), "no such folder"),
    "no csv": (lambda s: csv_of(s).unlink(), "the list of sequences is missing"),
    "empty csv": (lambda s: csv_of(s).write_text("", encoding="utf-8"), "not a readable UTF-8 CSV"),
    "csv without rows": (
        lambda s: csv_of(s).write_text(",sequence_name,label,size\n", encoding="utf-8"),
        "no rows",
    ),
    "csv without a column": (edit("label", "class"), "columns label are missing"),
    "csv in latin-1": (
        lambda s: csv_of(s).write_bytes(b",sequence_name,label,size\n0,\xe9,0,1\n"),
        "UTF-8",
    ),
    "csv row without its file": (
        lambda s: png_of(s).unlink(),
        "BG1017_10s02_1.png: the file is missing",
    ),
    "unknown label": (edit("_1,0,5", "_1,3,5"), "label '3'"),
    "label in words": (edit("_1,0,5", "_1,flip,5"), "label 'flip'"),
    "label missing": (edit("_1,0,5", "_1,,5"), "label ''"),
    "size of nothing": (edit("_1,0,5", "_1,0,0"), "size '0'"),
    "size with a fraction": (edit("_1,0,5", "_1,0,4.5"), "size '4.5'"),
    "repeated row": (lambda s: csv_of(s).open("a").write("8,BG1017_10s02_1,0,5\n"), "is repeated"),
    "missing row": (edit("0,LJ0926_10s01_1,0,1\n", ""), "no row for 'LJ0926_10s01_1.png'"),
    "duplicate name": (
        lambda s: csv_of(s).open("a").write("8,BG1017_10s02_1,2,5\n"),
        "listed twice",
    ),
    "name that climbs": (edit("BG1017_10s02_1,", "../../secret_1,"), "is not patient, date"),
    "name with a newline": (edit("BG1017_10s02_1,", '"BG1017_10s02_1\n",'), "is not patient, date"),
    "wrong height": (picture(np.zeros((30, 155), np.uint8)), "30 px high"),
    "wrong width": (picture(np.zeros((31, 154), np.uint8)), "154 px wide; expected 31 x 5"),
    "16 bits": (picture(np.zeros((31, 155), np.uint16)), "16 bits a channel"),
    "alpha": (picture(np.zeros((31, 155, 4), np.uint8)), "mode is RGBA"),
    "colours": (
        picture(np.arange(31 * 155 * 3, dtype=np.uint8).reshape(31, 155, 3)),
        "has colours",
    ),
    "not a picture": (lambda s: png_of(s).write_bytes(b"hello"), "not a readable picture"),
    "empty picture": (lambda s: png_of(s).write_bytes(b""), "not a readable picture"),
    "truncated picture": (
        lambda s: png_of(s).write_bytes(png_of(s).read_bytes()[:900]),
        "not a readable picture",
    ),
    "strip not of whole frames": (
        lambda s: Image.new("L", (619, 31)).save(s / "Stage_2/data/Flipping/BK0930_10s01_9.jpg"),
        "multiple of 31",
    ),
    "class folder missing": (
        lambda s: (s / "Stage_2/data/Flipping").rename(s / "x"),
        "no such folder",
    ),
    "class folder empty": (
        lambda s: (s / "Stage_2/data/Flipping/BK0930_10s01_7.jpg").unlink(),
        "no PNG, JPEG or TIFF",
    ),
    "same name in two folders": (
        lambda s: Image.new("L", (31, 31)).save(s / "Stage_2/data/Flipping/BG1017_10s02_1.jpg"),
        "Flipping/BG1017_10s02_1.jpg: the sequence 'BG1017_10s02_1' is listed twice",
    ),
    "sums that climb": (
        lambda s: (s / "SHA256SUMS").write_text(f"{'0' * 64}  ../x\n", encoding="utf-8"),
        "line 1 is not",
    ),
    "sums of a missing file": (
        lambda s: (s / "SHA256SUMS").write_text(f"{'0' * 64}  x\n", encoding="utf-8"),
        "SHA256SUMS lists it",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_released_refuses(sample: Path, case: str) -> None:
    """Every damage ends in one line that names the file."""
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
    """How files lie must not change what they hold."""
    cells = made()
    folder = tmp_path / "data" / "as unpacked"
    folder.mkdir(parents=True)
    LAYOUTS[layout](folder, cells)
    same(ingest.read(tmp_path / "data", simulated=True), cells)
    ingest.into(folder, tmp_path / "out", simulated=True, workers=1)
    opened = sequences.load(tmp_path / "out")
    same(opened, cells)
    assert opened.meta["simulated"] and opened.meta["sha256"] == sequences.checksum(opened)


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Speed must not change data."""
    (tmp_path / "data").mkdir()
    LAYOUTS["split_csv"](tmp_path / "data", made(12 * 50))  # three chunks
    for workers in (1, 2):
        ingest.into(tmp_path / "data", tmp_path / str(workers), simulated=True, workers=workers)
    for name in ("frames.npy", "index.parquet", "meta.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_strip_in_a_big_record_leaves_what_was_there(tmp_path: Path, workers: int) -> None:
    """One bad file must not cost the data that was good."""
    cells = made(12 * 50)
    (tmp_path / "data").mkdir()
    LAYOUTS["split_csv"](tmp_path / "data", cells)
    ingest.into(tmp_path / "data", tmp_path / "out", simulated=True, workers=1)
    name = cells.index["name"].iat[-1]
    (tmp_path / "data" / "test" / "img" / f"{name}.png").write_bytes(b"x")
    with pytest.raises(RbcError, match=f"{name}.png: not a readable picture"):
        ingest.into(tmp_path / "data", tmp_path / "out", simulated=True, workers=workers)
    same(sequences.load(tmp_path / "out"), cells)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "out"]


INTO = (
    "import sys, pathlib; from compendium.data import ingest; ingest.into(*map(pathlib.Path,"
    " sys.argv[1:3]), workers=1)"
)


def test_killed_in_the_middle_and_run_again(tmp_path: Path) -> None:
    """A kill must leave nothing that looks whole."""
    cells = made(12 * 100)
    (tmp_path / "data").mkdir()
    LAYOUTS["split_csv"](tmp_path / "data", cells)
    run = subprocess.Popen([sys.executable, "-c", INTO, tmp_path / "data", tmp_path / "out"])
    until = time.monotonic() + 30
    while not (tmp_path / ".out.part" / "frames.npy").exists() and time.monotonic() < until:
        time.sleep(0.002)
    run.kill()
    run.wait()
    with pytest.raises(RbcError, match="no sequences there"):
        sequences.load(tmp_path / "out")
    ingest.into(tmp_path / "data", tmp_path / "out", workers=1)
    same(sequences.load(tmp_path / "out"), cells)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "out"]


def test_never_into_a_folder_of_other_things(tmp_path: Path) -> None:
    """Nothing of the user's may be overwritten."""
    (tmp_path / "data").mkdir()
    LAYOUTS["split_csv"](tmp_path / "data", made())
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(RbcError, match="already holds other files"):
        ingest.into(tmp_path / "data", tmp_path / "home")
    assert (tmp_path / "home" / "thesis.tex").read_text(encoding="utf-8") == "years of work"


ODD = """
parts:
  - {path: films/a, kind: csv, split: train}
  - {path: films/b, kind: csv}
image: strips/{name}.png
columns: {name: id, label: class, size: n}
labels: {good: tank-treading, bad: flipping, junk: unreliable}
name: (?P<acquisition>(?P<patient>p[0-9])-m[0-9])-c[0-9]
splits: {p2-m1: test}
"""


def odd(folder: Path, text: str = ODD) -> Path:
    """A record nobody could guess, described in layout.yaml."""
    for part, name, label in (("a", "p1-m1-c1", "good"), ("b", "p2-m1-c1", "Junk")):
        write_strip(folder / "films" / part / "strips" / f"{name}.png", frames(name, 2))
        (folder / "films" / part / "dataset.csv").write_text(
            f"id,class,n\n{name},{label},2\n", encoding="utf-8"
        )
    (folder / "layout.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_layout_described_in_yaml(tmp_path: Path) -> None:
    """A record that nobody could guess must be readable."""
    got = ingest.read(odd(tmp_path))
    assert got.index[["name", "label", "acquisition", "patient", "split"]].to_numpy().tolist() == [
        ["p1-m1-c1", "tank-treading", "p1-m1", "p1", "train"],
        ["p2-m1-c1", "unreliable", "p2-m1", "p2", "test"],
    ]
    np.testing.assert_array_equal(got[1], frames("p2-m1-c1", 2))


def test_a_yaml_file_elsewhere(tmp_path: Path) -> None:
    """Data on a read-only disk can be described too."""
    folder = odd(tmp_path / "data")
    (folder / "layout.yaml").rename(tmp_path / "mine.yaml")
    assert len(ingest.read(folder, tmp_path / "mine.yaml")) == 2


def test_the_readme_describes_every_key() -> None:
    """A key that is not described cannot be used."""
    text = (
        (ROOT / "data" / "README.md")
        .read_text(encoding="utf-8")
        .partition("```yaml\n")[2]
        .partition("```")[0]
    )
    described = yaml.safe_load(text)
    assert layouts.Layout.model_validate(described) and set(described) == set(
        layouts.Layout.model_fields
    )


YAML = {
    "unknown key": (ODD + "colour: red\n", "colour: Extra inputs"),
    "misspelt kind": (ODD.replace("kind: csv}", "kind: cvs}"), "parts.1.kind: Input should be"),
    "unknown label": (ODD.replace("junk: unreliable", "junk: rubbish"), "labels.junk"),
    "no parts": ("image: x\n", "parts: Field required"),
    "part outside": (ODD.replace("films/a", "../a"), "must stay inside"),
    "not yaml": ("parts: [", "not a readable YAML"),
    "a list": ("- 1\n", "the whole file: Input should be"),
    "broken pattern": (
        ODD.replace("(?P<patient>p[0-9])", "(?P<patient>p[0-9]"),
        "not a readable YAML|name:",
    ),
    "pattern without patient": (ODD.replace("(?P<patient>p[0-9])", "p[0-9]"), "needs the groups"),
    "acquisition without a split": (
        ODD.replace("p2-m1", "p3-m1"),
        "which split.*p2-m1 .1 sequences, 0 reliable",
    ),
    "label that is not listed": (ODD.replace("good:", "fine:"), "'p1-m1-c1' has the label 'good'"),
    "names that do not fit": (ODD.replace("-c[0-9]", "-d[0-9]"), "the name 'p1-m1-c1' is not"),
}


@pytest.mark.parametrize("case", YAML)
def test_a_wrong_description_is_refused(tmp_path: Path, case: str) -> None:
    """A misspelt key must not be passed over."""
    text, message = YAML[case]
    with pytest.raises(RbcError, match=message) as caught:
        ingest.read(odd(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_an_unknown_layout_shows_the_tree_and_the_way_out(tmp_path: Path) -> None:
    """The reader must get lines to paste, not a riddle."""
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "all.pickle").write_bytes(b"\x80\x04never opened")
    with pytest.raises(RbcError) as caught:
        ingest.read(tmp_path)
    assert "films/  all.pickle" in str(caught.value) and "layout.yaml" in str(caught.value)


def test_pictures_without_a_row_may_be_left_out(tmp_path: Path) -> None:
    """Only when the user says so."""
    folder = odd(tmp_path)
    write_strip(folder / "films/a/strips/p1-m1-c9.png", frames("x", 1))
    with pytest.raises(RbcError, match=r"no row for 'p1-m1-c9\.png' and 0 more"):
        ingest.read(folder)
    (folder / "layout.yaml").write_text(ODD + "unlisted: true\n", encoding="utf-8")
    assert len(ingest.read(folder)) == 2


def test_pictures_that_belong_nowhere_are_not_passed_over(tmp_path: Path) -> None:
    """Cells without a label must not vanish."""
    LAYOUTS["class_folders"](tmp_path, cells := made())
    # the authors' Test/ has no class folders
    write_strip(tmp_path / "Test2" / "BG1017_10s01_1.png", frames("x", 1))
    with pytest.raises(RbcError, match=r"Test2/BG1017_10s01_1\.png: no label is known") as caught:
        ingest.read(tmp_path)
    (tmp_path / "layout.yaml").write_text(str(caught.value).partition("\n\n")[2], encoding="utf-8")
    same(ingest.read(tmp_path), cells)


def mat(**variables: object) -> Callable[[Path], None]:
    return lambda file: savemat(file, variables)


def cells_of(*items: object) -> np.ndarray:
    made_cells = np.empty(len(items), object)
    made_cells[:] = items
    return made_cells


FILM, IDS = np.zeros((31, 31, 4), np.uint8), cells_of("BG1017_10s01_1", "BG1017_10s01_2")
FILMS = cells_of(FILM, FILM)
MATS = {
    "truncated": (lambda f: f.write_bytes(b"MATLAB 5.0" * 20), "not a readable MATLAB file"),
    "hdf5 cut off": (
        lambda f: f.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90)),
        "not a readable MATLAB file",
    ),
    "no films": (mat(id=IDS, y=[0, 1]), "0 variables hold a cell array of 31 x 31 x T"),
    "two sets of films": (mat(a=FILMS, b=FILMS, id=IDS, y=[0, 1]), "2 variables hold"),
    "no names": (mat(a=FILMS, y=[0, 1]), "0 variables hold a cell array of names"),
    "a name too many": (
        mat(a=FILMS, id=cells_of(*IDS, "BG1017_10s01_3"), y=[0, 1]),
        "2 sequences but 3 names",
    ),
    "a label too few": (mat(a=FILMS, id=IDS, y=[0]), "0 variables hold a vector of labels"),
    "label out of range": (mat(a=FILMS, id=IDS, y=[0, 3]), "has the label '3'"),
    "one film of another size": (
        mat(a=cells_of(FILM, FILM[:30]), id=IDS, y=[0, 1]),
        "sequence number 2",
    ),
    "16 bits": (
        mat(a=cells_of(*[FILM.astype(np.uint16)] * 2), id=IDS, y=[0, 1]),
        "frames are uint16",
    ),
}


@pytest.mark.parametrize("case", MATS)
def test_a_mat_file_is_refused(tmp_path: Path, case: str) -> None:
    """Every strange .mat file ends in one line that names it."""
    write, message = MATS[case]
    write(tmp_path / "train.mat")
    with pytest.raises(RbcError, match=message) as caught:
        ingest.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_class_folders_that_mean_the_same_are_refused(tmp_path: Path) -> None:
    """Two folders of one class hide a third that is missing."""
    for folder in ("TT", "Flipping", "others"):
        write_strip(
            tmp_path / "train" / folder / f"BG1017_10s01_{len(folder)}.png", FILM.transpose(2, 0, 1)
        )
    with pytest.raises(RbcError, match="stand for 2 classes"):
        ingest.read(tmp_path)


def test_a_picture_whose_name_is_not_utf8(tmp_path: Path) -> None:
    """A name from another system must not end in a traceback."""
    write_strip(tmp_path / "train" / "TT" / "x.png", FILM.transpose(2, 0, 1))
    os.rename(tmp_path / "train/TT/x.png", os.fsencode(tmp_path) + b"/train/TT/caf\xe9.png")
    with pytest.raises(RbcError, match="not UTF-8") as caught:
        ingest.read(tmp_path)
    str(caught.value).encode()  # can be printed


@pytest.mark.skipif(not SAMPLE, reason="RBC_SAMPLE does not name the released sample's folder")
def test_released_sample_as_the_reading_notes_count_it() -> None:
    """The real sample is read whole."""
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
