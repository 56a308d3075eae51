"""Movies of another scale or pace: frames resized to the pixels that the models know, and as many
as let a cell turn from one to the next as it did for the models.

A crop of 31 x 31 px is a cell and its surroundings at 0.6 um/px alone. How far a cell turns and
moves between two frames follows from the shear that passes between them, shear rate over frame
rate; where little passes, tracks of cells that hardly move break.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from rbc.paper import PX_UM
from rbc.reading.video import USUAL, Movie

#: Factor by which the stated size of a pixel may differ from the models' without a change.
ALIKE = 1.1
#: Sizes of a pixel, um, from and to which frames are resized. Beyond, details are lost that decide
#: (coarser), or were never tried (finer).
KNOWN_UM = (0.3, 1.2)
#: Shear from one of the models' frames to the next: 10/s at 60 frames/s.
KNOWN_STRAIN = USUAL["shear_rate"] / USUAL["frame_rate"]
#: A movie of 119.88 frames/s is one of 120: so little more shear than known may pass.
NEARLY = 0.05


def factor(um_per_px: float) -> float:
    """By how much frames are resized: 1 where the scale is the models', or none that they can be
    brought to.
    """
    low, high = KNOWN_UM
    alike = 1 / ALIKE <= um_per_px / PX_UM <= ALIKE
    return 1.0 if alike or not low <= um_per_px <= high else um_per_px / PX_UM


def resized(movie: Movie, by: float) -> Movie:
    """The same movie, each frame resized.

    Parameters
    ----------
    movie : as it was opened
    by : new over old length of a side, of `factor`
    """
    height, width = (max(1, round(side * by)) for side in movie.shape)

    def resize(frame: np.ndarray | None) -> np.ndarray | None:
        if frame is None:
            return None
        # Pillow averages over the old pixels under a new one where it makes a picture smaller.
        picture = Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(picture)

    def read() -> Iterator[tuple[int, np.ndarray | None]]:
        return ((number, resize(frame)) for number, frame in movie.read())

    return replace(
        movie,
        shape=(height, width),
        read=read,
        pick=lambda numbers: [resize(frame) for frame in movie.pick(numbers)],
    )


def original(places: np.ndarray, by: float) -> np.ndarray:
    """Places x, y in px of the movie as it is, from those in the resized one: (n, 2) float64."""
    return (places + 0.5) / by - 0.5  # a pixel's middle stays in its middle


def every(frame_rate: float, shear_rate: float) -> int:
    """One of how many frames is tracked: as many as keep the shear between two of them at or below
    `KNOWN_STRAIN` (nearly).

    Parameters
    ----------
    frame_rate : frames/s
    shear_rate : 1/s
    """
    if not (0 < frame_rate < np.inf and 0 < shear_rate < np.inf):
        return 1  # `Parameters.derive` refuses these, in words
    known_in_strains = KNOWN_STRAIN * frame_rate / shear_rate
    return max(1, int(known_in_strains + NEARLY))


def thinned(movie: Movie, one_of: int) -> Movie:
    """The same movie with one of so many frames, from the first one on; numbers count those that
    are left.

    Parameters
    ----------
    movie : as it was opened
    one_of : of `every`
    """

    def read() -> Iterator[tuple[int, np.ndarray | None]]:
        for number, frame in movie.read():
            if number % one_of == 0:
                yield number // one_of, frame

    return replace(
        movie,
        n_frames=-(-movie.n_frames // one_of),
        frame_rate=movie.frame_rate and movie.frame_rate / one_of,
        times=None if movie.times is None else movie.times[::one_of],
        read=read,
        pick=lambda numbers: movie.pick([number * one_of for number in numbers]),
    )
