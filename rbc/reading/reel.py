"""What the readers of movies share: a `Reel`, grey levels of colours, names and units as files
write them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import av
import numpy as np
import tifffile
from numba import njit

from rbc import RbcError

#: number and grey levels; None where the frame cannot be decoded
Numbered = tuple[int, np.ndarray | None]
#: what PyAV, tifffile and its codecs raise where a file is damaged or of another kind
DAMAGED = (
    av.error.FFmpegError, tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError,
    TypeError, AttributeError, RuntimeError, ArithmeticError, EOFError, MemoryError, struct.error,
)  # fmt: skip
SQUARE = 0.01  #: relative difference of a pixel's sides up to which it is square
TRIES = 300  #: frames tried at the start of a movie before it is called unreadable

#: Lengths in um, times in s, as OME, ImageJ and people write them.
LENGTHS = {
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0,
    "micrometer": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25_400.0, "in": 25_400.0,
}  # fmt: skip
TIMES = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3,
    "millisecond": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "\\u00b5s": 1e-6, "min": 60.0,
    "minute": 60.0, "h": 3600.0, "hour": 3600.0,
}  # fmt: skip


@dataclass(frozen=True)
class Reel:
    """Frames of a movie with the levels that the file holds.

    Attributes
    ----------
    n_frames : frames that are there, as far as can be told without decoding them
    shape : height, width (px)
    read : all frames in order, (H, W) of an integer type
    pick : the frames of the given numbers, None where one cannot be had without reading all
    times : (n_frames,) float64, s from the first frame; None where the file has no time stamps
    units : "um_per_px" and "frame_rate" where the file says them, each with the place in the file
    simulated : whether the file says that it was simulated
    notes : what the user should know of how it was read
    """

    n_frames: int
    shape: tuple[int, int]
    read: Callable[[], Iterator[Numbered]]
    pick: Callable[[list[int]], list[np.ndarray | None]]
    times: np.ndarray | None = None
    units: dict[str, tuple[float, str]] = field(default_factory=dict)
    simulated: bool = False
    notes: tuple[str, ...] = ()


def check_square(wide: float, high: float, source: str) -> None:
    """Raise `RbcError` where pixels are not square: speeds and shapes would be on two scales.

    Parameters
    ----------
    wide, high : sides of a pixel in one unit
    source : where the file tells them
    """
    if abs(high / wide - 1) > SQUARE:
        raise RbcError(
            f"pixels are not square: {wide:.4g} wide and {high:.4g} high ({source}); resize the"
            " frames so that they are, or correct the file"
        )


def first_whole(frames: Iterator[Numbered]) -> np.ndarray | None:
    """The first frame that can be decoded, None where none of the first `TRIES` can."""
    for tried, (_, grey) in enumerate(frames, 1):
        if grey is not None and grey.size:
            return grey
        if tried == TRIES:
            break
    return None


@njit(cache=True, nogil=True)
def luma(rgb: np.ndarray) -> np.ndarray:
    """Rec. 601 luma in integers; equal channels come through unchanged.

    (H, W, 3 or more) uint8 or uint16 to (H, W) of the same type; channels after the third are
    ignored.
    """
    if rgb.ndim != 3 or rgb.shape[2] < 3:  # numba checks no index: it would read beyond the picture
        raise ValueError("luma needs an array of (height, width, 3)")
    out = np.empty(rgb.shape[:2], rgb.dtype)
    for i in range(rgb.shape[0]):
        for j in range(rgb.shape[1]):
            r, g, b = np.int64(rgb[i, j, 0]), np.int64(rgb[i, j, 1]), np.int64(rgb[i, j, 2])
            out[i, j] = (77 * r + 150 * g + 29 * b + 128) >> 8
    return out
