"""Movies of another scale: frames resized to the pixels that the models know.

A crop of 31 x 31 px is a cell and its surroundings at 0.6 um/px alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from rbc.paper import PX_UM
from rbc.reading.video import Movie

#: Factor by which the stated size of a pixel may differ from the models' without a change.
ALIKE = 1.1
#: Sizes of a pixel, um, from and to which frames are resized. Beyond, details are lost that decide
#: (coarser), or were never tried (finer).
KNOWN_UM = (0.3, 1.2)


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
