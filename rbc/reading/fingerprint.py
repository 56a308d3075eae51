"""Whether two movies show the same cells, whatever their names, containers and lengths.

A movie is known again by what moves in it. Compression, another container and a cut at either end
leave that as it is; bytes and checksums they change.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from rbc.reading.video import Movie

SIDE = 64  #: a frame is looked at as so many by so many means
NUMBERS = 256  #: to which these are projected, so that a movie takes little room
BACKGROUND = 25  #: frames that the background is the median of
STANDS_OUT = 6  #: times the median change of a frame's pixels, from which on a cell is seen
#: From this correlation on, two frames show the same cells.
SAME = 0.5
#: From this part of the shorter movie on, two movies are one. Cells of two movies may be in one
#: place for a few frames.
REPEATED = 0.3


def fingerprint(movie: Movie) -> np.ndarray:
    """What moves in each frame of a movie, as a few numbers.

    Parameters
    ----------
    movie : of `rbc.reading.video.open_movie`

    Returns
    -------
    (frames, `NUMBERS`) float16, a unit vector a frame; zeros where a frame is damaged or shows
    nothing
    """
    background = np.median(movie.sample(BACKGROUND), axis=0).astype(np.float32)
    thumbnails = []
    for _, grey in movie.frames():
        if grey is None:
            thumbnails.append(np.zeros(SIDE * SIDE, np.float32))
            continue
        change = np.abs(grey - background)
        # Noise and traces of compression differ between two copies; cells stand out of both.
        cells = np.maximum(change - STANDS_OUT * np.median(change[::4, ::4]), 0)
        small = Image.fromarray(cells).resize((SIDE, SIDE), Image.Resampling.BOX)
        thumbnails.append(np.asarray(small).ravel())
    seen = np.stack(thumbnails)
    seen -= seen.mean(axis=0)  # dust and the profile of the flow are alike in all movies
    # Any fixed projection keeps the angles between frames, to about 1 / sqrt(NUMBERS).
    directions = np.random.default_rng(0).standard_normal((SIDE * SIDE, NUMBERS))
    found = seen @ directions.astype(np.float32)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / np.where(length > 0, length, 1)).astype(np.float16)


def repeated(one: np.ndarray, other: np.ndarray) -> float:
    """Part of the shorter of two movies that the other shows as well, from 0 to 1.

    Frames count where they follow each other in both movies in the same way: two movies of other
    cells have some frames that are alike, but not one after the other.

    Parameters
    ----------
    one, other : of `fingerprint`
    """
    alike = one.astype(np.float32) @ other.astype(np.float32).T > SAME
    first, second = np.nonzero(alike)
    if not len(first):
        return 0.0
    shifts = second - first
    shift = np.bincount(shifts + len(one)).argmax() - len(one)
    matched = np.unique(first[np.abs(shifts - shift) <= 1])
    return len(matched) / min(len(one), len(other))
