"""`Sequences` on disk: streamed, whole or not at all."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from strips import made

from compendium import ROOT
from rbc import RbcError, files, sampling, sequences


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    """What was prepared is what is trained on."""
    cells = made()
    cells.save(tmp_path / "out")
    opened = sequences.load(tmp_path / "out")
    assert isinstance(opened.frames, np.memmap)
    np.testing.assert_array_equal(opened.frames, cells.frames)
    assert opened.index.to_csv() == cells.index.to_csv()
    assert opened.meta["sha256"] == sequences.checksum(opened) == sequences.checksum(cells)


def test_only_the_chosen_frames_are_saved(tmp_path: Path) -> None:
    """A selection must not carry the pixels of what was left out."""
    cells = made()
    chosen = cells.select(cells.index["label"] == "flipping")
    chosen.save(tmp_path / "out")
    opened = sequences.load(tmp_path / "out")
    assert len(opened.frames) == chosen.index["length"].sum() < len(cells.frames)
    for one, other in zip(opened, chosen, strict=True):
        np.testing.assert_array_equal(one, other)


def test_saving_over_the_folder_it_came_from(tmp_path: Path) -> None:
    """Frames are mapped from the very file that is replaced."""
    made().save(tmp_path / "out")
    opened = sequences.load(tmp_path / "out")
    opened.select(np.arange(len(opened)) < 3).save(tmp_path / "out")
    assert len(sequences.load(tmp_path / "out")) == 3


def test_similarity_goes_along_and_is_no_part_of_the_checksum(tmp_path: Path) -> None:
    """Ranks follow from frames: data with and without them are the same data."""
    cells = made()
    cells.save(tmp_path / "all")
    assert sequences.load(tmp_path / "all").similarity is None
    before = (tmp_path / "all" / "meta.json").read_text(encoding="utf-8")
    sequences.add_similarity(tmp_path / "all", sampling.ranks(cells))
    opened = sequences.load(tmp_path / "all")
    assert isinstance(opened.similarity, np.memmap)
    assert opened.meta["sha256"] == sequences.checksum(opened) == json.loads(before)["sha256"]
    opened.select(cells.index["label"] == "flipping").save(tmp_path / "part")
    part = sequences.load(tmp_path / "part")
    np.testing.assert_array_equal(part.similarity, sampling.ranks(part))
    assert {p.name for p in (tmp_path / "part").iterdir()} == {
        "frames.npy", "index.parquet", "meta.json", "similarity.npy"
    }  # fmt: skip


def test_no_sequences_at_all(tmp_path: Path) -> None:
    """A movie without cells is a result, not a crash."""
    cells = made()
    cells.select(np.zeros(len(cells), bool)).save(tmp_path / "out")
    assert len(sequences.load(tmp_path / "out")) == 0


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    """A failed write must not cost the data that it was to replace."""
    made().save(tmp_path / "out")
    with (
        pytest.raises(ZeroDivisionError),
        files.whole_folder(tmp_path / "out", sequences.SEQUENCE_FILES) as part,
    ):
        (part / "x").write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    assert len(sequences.load(tmp_path / "out")) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_killed_between_the_two_renames(tmp_path: Path) -> None:
    """A kill at the worst moment leaves the old folder to be found again."""
    made().save(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.old")  # as it is then
    with (
        pytest.raises(ZeroDivisionError),
        files.whole_folder(tmp_path / "out", sequences.SEQUENCE_FILES),
    ):
        raise ZeroDivisionError
    assert len(sequences.load(tmp_path / "out")) == 12


@pytest.mark.parametrize(
    "damage",
    [
        "no meta.json",
        "no frames",
        "cut frames",
        "pickled frames",
        "no json",
        "other index",
        "short ranks",
        "no ranks",
    ],
)
def test_damaged_folders_are_refused(tmp_path: Path, damage: str) -> None:
    """A flipped bit or a missing file must not become a training set."""
    folder = tmp_path / "out"
    made().save(folder)
    frames = folder / "frames.npy"
    harm = {
        "no meta.json": (folder / "meta.json").unlink,
        "no frames": frames.unlink,
        "cut frames": lambda: frames.write_bytes(frames.read_bytes()[:-1]),
        "pickled frames": lambda: np.save(frames, np.array([object()]), allow_pickle=True),
        "no json": lambda: (folder / "meta.json").write_text("{", encoding="utf-8"),
        "short ranks": lambda: np.save(folder / "similarity.npy", np.zeros(3, np.uint16)),
        "no ranks": lambda: (folder / "similarity.npy").write_bytes(b"none"),
        "other index": lambda: (
            made().index.assign(start=10**6).to_parquet(folder / "index.parquet")
        ),
    }
    harm[damage]()
    with pytest.raises(RbcError) as caught:
        sequences.load(folder)
    assert "\n" not in str(caught.value)


def test_meta_tells_real_from_simulated(tmp_path: Path) -> None:
    """Without that word a simulated cell could pass for a patient's."""
    made().save(tmp_path / "out")
    assert (
        json.loads((tmp_path / "out" / "meta.json").read_text(encoding="utf-8"))["simulated"]
        is True
    )


def test_the_checksum_tells_frames_and_labels_apart(cells, tmp_path):
    """A changed label is other data, though no pixel moved."""
    sums = []
    for number, change in enumerate([{}, {"label": "flipping"}]):
        index = cells.index.copy()
        index.loc[0, list(change)] = list(change.values())
        sequences.Sequences(cells.frames, index, cells.meta).save(tmp_path / str(number))
        sums.append(
            json.loads((tmp_path / str(number) / "meta.json").read_text(encoding="utf-8"))["sha256"]
        )
    assert cells.index["label"].iat[0] != "flipping" and len(set(sums)) == 2


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "round", "none of tank-treading"),
        ("split", "exam", "none of train"),
        ("length", 10**9, "outside"),
    ],
)
def test_an_impossible_index_is_an_error(cells, column, value, message):
    """Places outside of the block would show another sequence's frames."""
    index = cells.index.copy()
    index.loc[0, column] = value
    with pytest.raises(RbcError, match=message):
        sequences.Sequences(cells.frames, index)


def test_a_name_that_is_there_twice_is_an_error(cells):
    """Predictions are joined by name."""
    index = cells.index.copy()
    index.loc[1, "name"] = index["name"].iat[0]
    with pytest.raises(RbcError, match="there twice"):
        sequences.Sequences(cells.frames, index)


# --- nothing of the user's is lost ---


def write_into(folder: Path) -> None:
    """Save three sequences into a folder."""
    cells = made()
    cells.select(np.arange(len(cells)) < 3).save(folder)


@pytest.mark.parametrize(
    "name", ["notes.txt", "meta.json", "movie.avi", "deep/er/notes.txt", ".hidden"]
)
def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    """`--out` naming a folder of the user's must never delete it, even where names are like
    ours.
    """
    theirs = tmp_path / "theirs"
    (theirs / name).parent.mkdir(parents=True)
    (theirs / name).write_text("mine", encoding="utf-8")
    with pytest.raises(RbcError, match="already holds other files"):
        write_into(theirs)
    assert (theirs / name).read_text(encoding="utf-8") == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.parametrize("name", ["notes.txt", "sub/notes.txt"])
def test_a_file_that_the_user_put_into_our_folder_is_kept(tmp_path: Path, name: str) -> None:
    """A second run into our own folder must not take along what the user laid there."""
    made().save(tmp_path / "out")
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_text("mine", encoding="utf-8")
    with pytest.raises(RbcError, match="did not make"):
        write_into(tmp_path / "out")
    assert (tmp_path / "out" / name).read_text(encoding="utf-8") == "mine"
    assert len(sequences.load(tmp_path / "out")) == 12


def test_what_the_user_lays_there_while_we_work_is_kept(tmp_path: Path) -> None:
    """The check is made again before the folders change places."""
    with (
        pytest.raises(RbcError, match="already holds other files"),
        files.whole_folder(tmp_path / "out", ["x"]) as part,
    ):
        (part / "x").write_text("ours", encoding="utf-8")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "notes.txt"]


def test_files_links_and_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, a link to a folder with files, the current folder and one around it all end in a
    line.
    """
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to("full")
    (tmp_path / "here" / "deeper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "deeper")
    refused = {
        tmp_path / "file": "a file is there",
        tmp_path / "link": "other files",
        tmp_path / "file" / "x": "file exists",
    }
    for path, said in {**refused, Path("."): "you are in", Path(".."): "you are in"}.items():
        with pytest.raises(RbcError, match=said) as caught:
            write_into(path)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["notes.txt"]
    assert not list((tmp_path / "here" / "deeper").iterdir())


@pytest.mark.parametrize("length", [250, 255])
def test_a_long_name_is_written(tmp_path: Path, length: int) -> None:
    """Temporary names must fit the disk where the name itself does; one that does not gets a
    line.
    """
    write_into(tmp_path / ("n" * length))
    assert [len(p.name) for p in tmp_path.iterdir()] == [length]
    with pytest.raises(RbcError, match="too long"):
        write_into(tmp_path / ("n" * 256))


def test_an_empty_folder_and_a_link_to_ours_are_filled(tmp_path: Path) -> None:
    """What is empty holds nothing to lose; a link stays a link."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    write_into(tmp_path / "empty")
    made().save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and len(sequences.load(tmp_path / "empty")) == 12


WRITE = """
import sys, time
from pathlib import Path
from rbc import files, sequences
with files.whole_folder(Path(sys.argv[1]), ["x", "y"]) as part:
    (part / "x").write_text("first")
    print("there", flush=True)
    sys.stdin.read()
    (part / "y").write_text("first")
"""


def test_two_runs_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    """The second is refused in a line while the first works, and the first ends whole; killed, it
    holds no lock.
    """
    first, killed = (
        subprocess.Popen(
            [sys.executable, "-c", WRITE, tmp_path / name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        for name in ("out", "killed")
    )
    for process in (first, killed):
        assert process.stdout.readline() == b"there\n"
    for name in ("out", "killed"):
        with pytest.raises(RbcError, match="another rbc writes there now"):
            write_into(tmp_path / name)
    first.communicate(timeout=20)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"x", "y"}
    killed.kill()
    killed.communicate(timeout=20)
    write_into(tmp_path / "killed")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed", "out"]


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EROFS, "read-only"), (errno.EACCES, "permission"), (errno.ENOSPC, "disk is full")],
)
def test_a_disk_that_refuses_gets_a_line(tmp_path: Path, number: int, said: str) -> None:
    """Read-only and full disks are told in words; the folder stays as it was."""
    made().save(tmp_path / "out")
    with (
        pytest.raises(RbcError, match=said),
        files.whole_folder(tmp_path / "out", sequences.SEQUENCE_FILES) as part,
    ):
        raise OSError(number, "no", str(part / "frames.npy"))
    assert len(sequences.load(tmp_path / "out")) == 12


def test_a_command_that_forgets_a_file_in_its_list_is_told(tmp_path: Path) -> None:
    """Else its second run would be refused as if the user had laid the file there."""
    with (
        pytest.raises(AssertionError, match=r"new\.csv"),
        files.whole_folder(tmp_path / "out", ["x"]) as part,
    ):
        (part / "new.csv").write_text("", encoding="utf-8")


@pytest.mark.parametrize("change", ["a pixel", "a label", "the checksum"])
def test_altered_sequences_are_refused_on_load(tmp_path: Path, change: str) -> None:
    """A mixture of two runs, or a bit that fell over, must not be read as data."""
    folder = tmp_path / "out"
    made().save(folder)
    index = pd.read_parquet(folder / "index.parquet")
    if change == "a pixel":
        data = bytearray((folder / "frames.npy").read_bytes())
        data[-1] ^= 1
        (folder / "frames.npy").write_bytes(data)
    elif change == "a label":
        index["label"] = index["label"].iloc[::-1].to_numpy()
        index.to_parquet(folder / "index.parquet")
    else:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        (folder / "meta.json").write_text(
            json.dumps({**meta, "sha256": "0" * 64}), encoding="utf-8"
        )
    with pytest.raises(RbcError, match="altered or damaged"):
        sequences.load(folder)
