"""From a movie to sequences: cells are detected, linked to tracks, registered and cut out.

>>> from rbc import tracking
>>> cells = tracking.track_movie(Path("movie.avi"), Path("tracked"), um_per_px=0.6)
"""

from rbc.tracking.crops import evened
from rbc.tracking.linking import Linker, Parameters
from rbc.tracking.movie import TRACKED_FILES, TRACKS, track, track_movie
from rbc.tracking.overlay import COLOURS
from rbc.tracking.registration import register, smooth_path

__all__ = [
    "COLOURS", "TRACKED_FILES", "TRACKS", "Linker", "Parameters", "evened", "register",
    "smooth_path", "track", "track_movie",
]  # fmt: skip
