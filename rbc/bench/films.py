"""Sequences as films inside a page: one PNG strip each, shown frame by frame; no file beside it, no
request.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from rbc.paper import FRAME_PX
from rbc.sequences import strip
from rbc.templates import filled

LONGEST = 60  #: frames of one film at most, its first
#: frames on one page at most: at some 0.7 kB each (PNG in base64) it stays below 0.9 MB
A_PAGE = 1200
SIDE = 3 * FRAME_PX  #: of the window, in px
FILM = Path(__file__).with_name("film.html")
GROUP = Path(__file__).with_name("film-group.html")

#: How films look and move. Opening a group plays its films, unless the reader prefers less motion;
#: safe to be repeated.
PLAYER = filled(Path(__file__).with_name("player.html"), side=SIDE)


def png(frames: np.ndarray) -> bytes:
    """The strip of one sequence, (T, 31, 31) uint8, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(strip(frames)).save(file, "PNG", optimize=True)
    return file.getvalue()


def film(frames: np.ndarray, name: str, note: str = "") -> str:
    """HTML of one sequence: its strip in a window of one frame, buttons, name and note below.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    name : of the sequence
    note : what stands below, as text
    """
    picture = base64.b64encode(png(frames)).decode()
    return filled(FILM, picture=picture, name=name, n_frames=len(frames), note=note)


def group(title: str, films: list[str]) -> str:
    """HTML of several films that open under a title.

    Parameters
    ----------
    title : as text
    films : HTML, of `film`
    """
    return filled(GROUP, title=title, films=films)


def affordable(lengths: np.ndarray) -> int:
    """How many frames a film may have, up to `LONGEST`, for sequences of these lengths to fit into
    one page.
    """
    caps = range(LONGEST, 1, -1)
    return next((cap for cap in caps if np.minimum(lengths, cap).sum() <= A_PAGE), 1)
