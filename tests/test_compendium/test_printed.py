"""Labels and splits of a record are the paper's, or the command stops."""

import os
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from strips import frames, write_csv, write_strip

from compendium.data import ingest, pixels, printed
from rbc import RbcError, simulate
from rbc.paper import LABELS, SPLITS, reported

TABLE = reported("table2").set_index("label").loc[list(LABELS), list(SPLITS)]


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """A row a sequence, so many as a table says."""
    cells = [(label, split) for label in table.index for split in table.columns]
    times = [int(table.loc[label, split]) for label, split in cells]
    index = pd.DataFrame(cells, columns=["label", "split"])
    return index.loc[index.index.repeat(times)]


@pytest.mark.parametrize("part", [0.2, 0.01])
def test_only_the_true_numbering_and_the_true_splits_pass(part) -> None:
    """Every other numbering of classes and assignment of splits stops, of a part as of all; to
    acknowledge other counts does not let a swapped numbering through.
    """
    for labels in permutations(LABELS):
        for splits in permutations(SPLITS):
            read = (TABLE * part).round()
            read.index, read.columns = labels, splits
            if labels == LABELS and splits == SPLITS:
                printed.check(rows(read), "here")
                continue
            with pytest.raises(RbcError, match="numbering"):
                printed.check(rows(read), "here", acknowledged=["counts"])


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
    known = ["counts", "numbering"]
    if lost in LABELS:
        printed.check(rows(read), "here", known)
    else:  # nothing can be trained or selected without it
        with pytest.raises(RbcError):
            printed.check(rows(read), "here", known)


@pytest.mark.parametrize("finding", pixels.NAMES)
def test_padded_inverted_and_too_short_sequences_stop_until_they_are_acknowledged(finding) -> None:
    """Such records train to the end with scores that mean nothing."""
    cells = simulate.sequences({"train": {"tank-treading": 6, "flipping": 6}}, seed=0)
    if finding == "padding":
        films = [cells[i] for i in range(len(cells))]
        films[3] = np.concatenate([films[3], np.zeros_like(films[3])])
        index = cells.index.assign(length=[len(film) for film in films])
        index["start"] = np.cumsum([0, *index["length"][:-1]])
        cells = replace(cells, frames=np.concatenate(films), index=index)
    elif finding == "inverted":  # simulated cells are about as bright as they are dark
        if "RBC_SAMPLE" not in os.environ:
            pytest.skip("RBC_SAMPLE does not name the released sample")
        cells = ingest.released(Path(os.environ["RBC_SAMPLE"]))
        cells = replace(cells, frames=255 - cells.frames)
    else:
        cells = replace(cells, index=cells.index.assign(length=5))
    with pytest.raises(RbcError, match=finding):
        pixels.check(cells, "here", [])
    pixels.check(cells, "here", [finding])


def test_a_sound_record_passes_the_check_of_pixels() -> None:
    """The real sample, where it is at hand, and simulated cells raise no objection."""
    pixels.check(simulate.sequences({"test": {"tank-treading": 6, "flipping": 6}}, seed=1), "", [])
    if "RBC_SAMPLE" in os.environ:
        pixels.check(ingest.released(Path(os.environ["RBC_SAMPLE"])), "here", [])


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
