"""Pictures to look a tracking over: the tracks drawn on the background, and a film with a box
around each cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from rbc.reading.video import Movie, write_clip
from rbc.tracking.crops import HALF

#: Okabe and Ito
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")


def box_half(meta: dict) -> float:
    """Half the side of a crop in px of the movie as it is, by what tracking says of it."""
    return HALF / meta.get("resized", 1.0)


def overlay(movie: Movie, tracks: pd.DataFrame, n_frames: int, half: float = HALF) -> Image.Image:
    """The frame in the middle with the whole path of every cell in it.

    Parameters
    ----------
    movie : is read for that frame
    tracks : the table of `rbc.tracking.track`
    n_frames : length of the movie
    half : half the side of a box, px (`box_half`)
    """
    middle = int(tracks["frame"].iloc[(tracks["frame"] - n_frames // 2).abs().argmin()])
    frame = movie.frame(middle)
    here = tracks[tracks["frame"] == middle]
    picture = boxed(frame, here, half)
    pen = ImageDraw.Draw(picture)
    for number, path in tracks[tracks["track"].isin(here["track"])].groupby("track"):
        pen.line(
            [tuple(p) for p in path[["x_px", "y_px"]].to_numpy()],
            fill=COLOURS[number % len(COLOURS)],
        )
    return picture


def boxed(frame: np.ndarray, here: pd.DataFrame, half: float = HALF) -> Image.Image:
    """A frame in colour with a box of the size of a crop around each cell.

    Parameters
    ----------
    frame : (H, W) uint8
    here : rows of the table of `rbc.tracking.track` that are of this frame
    half : half the side of a box, px
    """
    picture = Image.fromarray(frame).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for row in here.itertuples():
        x, y = round(row.x_px), round(row.y_px)
        pen.rectangle(
            (x - half, y - half, x + half, y + half), outline=COLOURS[row.track % len(COLOURS)]
        )
    return picture


def film(
    movie: Movie, tracks: pd.DataFrame, first: int, n: int, half: float = HALF, every: int = 1
) -> Iterator[Image.Image]:
    """Frames in a row with a box around each cell, one at a time: a movie's do not fit in memory.

    Parameters
    ----------
    movie : is read from its first frame
    tracks : the table of `rbc.tracking.track`
    first : number of the first frame shown
    n : frames at most; damaged ones are left out
    half : half the side of a box, px
    every : one of so many frames was tracked (`rbc.tracking.scale.every`)
    """
    here = tracks[tracks["frame"].between(first, first + n - 1)]
    by_frame, nobody = dict(tuple(here.groupby("frame"))), tracks.iloc[:0]
    for number, frame in islice(movie.frames(), first, first + n):
        if frame is not None:
            # Between two frames that were tracked the boxes stay where they were.
            yield boxed(frame, by_frame.get(number - number % every, nobody), half)


def write_film(
    path: Path, movie: Movie, tracks: pd.DataFrame, half: float = HALF, n: int = 300, every: int = 1
) -> None:
    """Write the first frames of a movie with a box around each cell.

    Parameters
    ----------
    path : of the film, MJPEG
    movie, tracks, half, n, every : as of `film`
    """
    pictures = map(np.asarray, film(movie, tracks, 0, n, half, every))
    write_clip(path, pictures, movie.frame_rate or 60.0)
