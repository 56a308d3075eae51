"""Labels and splits of a record are the paper's, or the command stops."""

from itertools import permutations

import pandas as pd
import pytest
from strips import frames, write_csv, write_strip

from compendium.data import ingest, printed
from rbc import RbcError
from rbc.paper import LABELS, SPLITS, reported

TABLE = reported("table2").set_index("label").loc[list(LABELS), list(SPLITS)]


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """A row a sequence, so many as a table says."""
    cells = [(label, split) for label in table.index for split in table.columns]
    times = [int(table.loc[label, split]) for label, split in cells]
    index = pd.DataFrame(cells, columns=["label", "split"])
    return index.loc[index.index.repeat(times)]


@pytest.mark.parametrize("part", [1, 0.1])
def test_only_the_true_numbering_and_the_true_splits_pass(part) -> None:
    """Every other numbering of classes and assignment of splits stops, of a tenth as of all."""
    for labels in permutations(LABELS):
        for splits in permutations(SPLITS):
            read = (TABLE * part).round()
            read.index, read.columns = labels, splits
            if labels == LABELS and splits == SPLITS:
                printed.check(rows(read), "here")
                continue
            with pytest.raises(RbcError, match="acknowledged"):
                printed.check(rows(read), "here")


@pytest.mark.parametrize("lost", [*LABELS, *SPLITS])
def test_a_class_or_a_split_that_is_missing_stops(lost) -> None:
    """It would be met after minutes of training otherwise."""
    read = TABLE.copy()
    if lost in LABELS:
        read.loc[lost] = 0
    else:
        read[lost] = 0
    with pytest.raises(RbcError):
        printed.check(rows(read), "here")


def test_the_whole_tree_of_the_authors_is_not_taken_for_their_sample(tmp_path) -> None:
    """Its further splits would be lost and stage 2's strips taken in their place."""
    for number, split in enumerate(SPLITS):
        names = [f"BG10{number + 10}_10s01_{track}" for track in range(3)]
        write_csv(tmp_path / "Stage_1" / split, names, [frames(n, 6) for n in names], [0, 1, 2])
    for folder in ("TankTreading", "Flipping"):
        name = f"BK1003_10s01_{len(folder)}"
        write_strip(tmp_path / "Stage_2" / "data" / folder / f"{name}.png", frames(name, 20))
    with pytest.raises(RbcError, match="which split"):
        ingest.read(tmp_path)
