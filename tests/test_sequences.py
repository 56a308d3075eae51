import json

import numpy as np
import pytest

from rbc import RbcError, sequences


def test_saved_sequences_open_memory_mapped_and_the_same(cells, tmp_path):
    cells.save(tmp_path / "cells")
    opened = sequences.load(tmp_path / "cells")
    assert isinstance(opened.frames, np.memmap)
    assert opened.index.equals(cells.index)
    assert all(np.array_equal(a, b) for a, b in zip(opened, cells))
    assert opened.simulated


def test_a_selection_shares_frames_and_is_saved_without_the_rest(cells, tmp_path):
    flipping = cells.select(cells.index["label"] == "flipping")
    assert flipping.frames is cells.frames and len(flipping) == 18
    flipping.save(tmp_path / "flipping")
    opened = sequences.load(tmp_path / "flipping")
    assert len(opened.frames) == flipping.index["length"].sum() < len(cells.frames)
    assert all(np.array_equal(a, b) for a, b in zip(opened, flipping))


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


@pytest.mark.parametrize("missing", ["meta.json", "frames.npy", "index.parquet"])
def test_a_folder_that_lacks_a_file_is_an_error(cells, tmp_path, missing):
    cells.save(tmp_path / "cells")
    (tmp_path / "cells" / missing).unlink()
    with pytest.raises(RbcError, match="make them"):
        sequences.load(tmp_path / "cells")


def test_nothing_stays_of_a_folder_that_was_not_finished(tmp_path):
    with pytest.raises(ZeroDivisionError), sequences.whole_folder(tmp_path / "run") as part:
        (part / "half").write_text("x")
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []
