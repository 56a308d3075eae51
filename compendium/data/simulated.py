"""A simulated record in the released layout, of any size: what rehearsals and benchmarks read.

Its films are a few simulated ones of each class, repeated under new names, so that a record of the
paper's size is made in minutes. No score of it means anything.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from rbc import simulate
from rbc.paper import LABELS, SPLITS, reported

FILMS = 300  #: different films of each class: enough for variety, made in a minute


def table2() -> pd.DataFrame:
    """The paper's counts of sequences, by label (rows) and split (columns)."""
    return reported("table2").set_index("label")[list(SPLITS)]


def make_record(folder: Path, n: int) -> None:
    """Write train.zip, validation.zip and test.zip: strips with their dataset.csv.

    Parameters
    ----------
    folder : is there and empty
    n : sequences, in Table 2's proportions of class and split
    """
    table = table2()
    counts = (table * n / table.to_numpy().sum()).round().astype(int).to_dict()
    plan = simulate.plan(counts, seed=0)
    films = {label: [] for label in LABELS}
    # Simulating a film for every name would take hours.
    for row in plan.itertuples():
        if len(films[row.label]) < FILMS:
            films[row.label].append(
                _as_png(simulate.strip(row.label, row.acquisition, row.key, seed=0))
            )
    with tqdm(total=len(plan), unit=" sequences", desc="simulated record") as bar:
        for split, rows in plan.groupby("split"):
            with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
                lines = [",sequence_name,label,size"]
                for i, row in enumerate(rows.itertuples()):
                    png, size = films[row.label][i % len(films[row.label])]
                    lines.append(f"{i},{row.name},{LABELS.index(row.label)},{size}")
                    archive.writestr(f"{split}/img/{row.name}.png", png)
                    bar.update()
                archive.writestr(f"{split}/dataset.csv", "\n".join(lines))


def _as_png(frames: np.ndarray) -> tuple[bytes, int]:
    """A film (T, 31, 31) as a strip in PNG, and its number of frames."""
    memory = io.BytesIO()
    Image.fromarray(np.hstack(list(frames))).save(memory, "png")
    return memory.getvalue(), len(frames)
