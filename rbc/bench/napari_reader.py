"""Shows tracks in napari (https://napari.org): drop a folder of ``rbc track`` or ``rbc analyze`` on
it.

napari finds this by ``napari.yaml`` beside it. Places are in px and frames, so that they lie on the
movie, opened beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rbc.files import read_table

#: what a reader gives napari: data, what it is shown with, and the kind of layer
Layer = tuple[object, dict, str]


def get_reader(path: str | list[str]) -> Callable[[str], list[Layer]] | None:
    """A function that reads the folder; None where it holds no tracks of ours."""
    if not isinstance(path, str):
        return None
    folder = Path(path)
    there = any((f / "tracks.parquet").is_file() for f in (folder, folder / "tracked"))
    return read if there else None


def read(path: str) -> list[Layer]:
    """Tracks as a layer of napari.

    Parameters
    ----------
    path : folder of `rbc track` or `rbc analyze`

    Returns
    -------
    One layer of tracks: (N, 4) number of the track, frame, y px, x px; with the sequence's name
    and, of `rbc analyze`, the probability of being reliable and of flipping, as features
    """
    folder = Path(path)
    tracked = folder / "tracked" if (folder / "tracked").is_dir() else folder
    table = read_table(tracked / "tracks.parquet").sort_values(["track", "frame"])
    features = table[["name"]].fillna("")
    if (folder / "cells.csv").is_file():
        cells = pd.read_csv(folder / "cells.csv")[["name", "reliable", "flipping"]]
        features = features.merge(cells, on="name", how="left")
    data = table[["track", "frame", "y_px", "x_px"]].to_numpy(float)
    shown = {"name": f"tracks of {folder.name}", "features": features.reset_index(drop=True)}
    return [(data, shown, "tracks")]
