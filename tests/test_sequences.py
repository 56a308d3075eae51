"""`Sequences` on disk: streamed, whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
from strips import made

from rbc import RbcError, sampling, sequences


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    cells = made()
    cells.save(tmp_path / "out")
    opened = sequences.load(tmp_path / "out")
    assert isinstance(opened.frames, np.memmap)
    np.testing.assert_array_equal(opened.frames, cells.frames)
    assert opened.index.to_csv() == cells.index.to_csv()
    assert opened.meta["sha256"] == sequences.checksum(opened) == sequences.checksum(cells)


def test_only_the_chosen_frames_are_saved(tmp_path: Path) -> None:
    cells = made()
    chosen = cells.select(cells.index["label"] == "flipping")
    chosen.save(tmp_path / "out")
    opened = sequences.load(tmp_path / "out")
    assert len(opened.frames) == chosen.index["length"].sum() < len(cells.frames)
    for one, other in zip(opened, chosen, strict=True):
        np.testing.assert_array_equal(one, other)


def test_saving_over_the_folder_it_came_from(tmp_path: Path) -> None:
    made().save(tmp_path / "out")
    opened = sequences.load(tmp_path / "out")
    opened.select(np.arange(len(opened)) < 3).save(tmp_path / "out")
    assert len(sequences.load(tmp_path / "out")) == 3


def test_similarity_goes_along_and_is_no_part_of_the_checksum(tmp_path: Path) -> None:
    cells = made()
    cells.save(tmp_path / "all")
    assert sequences.load(tmp_path / "all").similarity is None
    before = (tmp_path / "all" / "meta.json").read_text()
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
    cells = made()
    cells.select(np.zeros(len(cells), bool)).save(tmp_path / "out")
    assert len(sequences.load(tmp_path / "out")) == 0


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    made().save(tmp_path / "out")
    with pytest.raises(ZeroDivisionError), sequences.whole_folder(tmp_path / "out") as part:
        (part / "x").write_text("half")
        raise ZeroDivisionError
    assert len(sequences.load(tmp_path / "out")) == 12
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_killed_between_the_two_renames(tmp_path: Path) -> None:
    made().save(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.old")  # as it is then
    with pytest.raises(ZeroDivisionError), sequences.whole_folder(tmp_path / "out"):
        raise ZeroDivisionError
    assert len(sequences.load(tmp_path / "out")) == 12


@pytest.mark.parametrize(
    "damage",
    ["no meta.json", "no frames", "cut frames", "pickled frames", "no json", "other index", "short ranks", "no ranks"],
)
def test_damaged_folders_are_refused(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "out"
    made().save(folder)
    frames = folder / "frames.npy"
    harm = {
        "no meta.json": (folder / "meta.json").unlink,
        "no frames": frames.unlink,
        "cut frames": lambda: frames.write_bytes(frames.read_bytes()[:-1]),
        "pickled frames": lambda: np.save(frames, np.array([object()]), allow_pickle=True),
        "no json": lambda: (folder / "meta.json").write_text("{"),
        "short ranks": lambda: np.save(folder / "similarity.npy", np.zeros(3, np.uint16)),
        "no ranks": lambda: (folder / "similarity.npy").write_bytes(b"none"),
        "other index": lambda: made().index.assign(start=10**6).to_parquet(folder / "index.parquet"),
    }
    harm[damage]()
    with pytest.raises(RbcError) as caught:
        sequences.load(folder)
    assert "\n" not in str(caught.value)


def test_meta_tells_real_from_simulated(tmp_path: Path) -> None:
    made().save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "meta.json").read_text())["simulated"] is True


def test_the_checksum_tells_frames_and_labels_apart(cells, tmp_path):
    sums = []
    for number, change in enumerate([{}, {"label": "flipping"}]):
        index = cells.index.copy()
        index.loc[0, list(change)] = list(change.values())
        sequences.Sequences(cells.frames, index, cells.meta).save(tmp_path / str(number))
        sums.append(json.loads((tmp_path / str(number) / "meta.json").read_text())["sha256"])
    assert cells.index["label"].iat[0] != "flipping" and len(set(sums)) == 2


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("label", "round", "none of tank-treading"), ("split", "exam", "none of train"), ("length", 10**9, "outside")],
)
def test_an_impossible_index_is_an_error(cells, column, value, message):
    index = cells.index.copy()
    index.loc[0, column] = value
    with pytest.raises(RbcError, match=message):
        sequences.Sequences(cells.frames, index)


def test_a_name_that_is_there_twice_is_an_error(cells):
    index = cells.index.copy()
    index.loc[1, "name"] = index["name"].iat[0]
    with pytest.raises(RbcError, match="there twice"):
        sequences.Sequences(cells.frames, index)
