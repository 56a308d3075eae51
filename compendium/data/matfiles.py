"""Sequences in MATLAB files, v5 (scipy) and v7.3 (HDF5, h5py): found by what the variables hold,
not by their names.

The authors' help text says that their strips were extracted "from the mat files"; those files are
not known here. Read is what MATLAB would most plainly save: a cell array of N sequences, each 31 x
31 x T or a strip 31 x 31T of uint8; a numeric vector of N labels; a cell array of N names.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from rbc import RbcError
from rbc.paper import FRAME_PX

#: what scipy and HDF5 say of damaged files; an error of ours has its own words already
DAMAGED = (
    OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, EOFError,
    ArithmeticError, MemoryError, MatReadError, struct.error, zlib.error,
)  # fmt: skip


def contents(file: Path, name: str) -> tuple[list[str], list[str], list[int]]:
    """Names, labels and lengths of the sequences of a .mat file.

    Parameters
    ----------
    file : the file
    name : pattern that tells the variable with names from other text

    Returns
    -------
    Names, labels (as text: "0" to "2") and numbers of frames

    Raises
    ------
    RbcError
        where the file cannot be read or does not hold one variable of each kind
    """
    with _variables(file) as variables:
        films = _only(file, variables, "a cell array of 31 x 31 x T pictures", _is_films)
        names = _only(file, variables, "a cell array of names", lambda v: _is_names(v, name))
        labels = _only(file, variables, "a vector of labels", lambda v: _is_labels(v, len(films)))
        if len(names) != len(films):
            raise RbcError(f"{file}: {len(films)} sequences but {len(names)} names")
        sizes = [_n_frames(getattr(film, "shape", ())) for film in films]
        if 0 in sizes:
            raise RbcError(
                f"{file}: sequence number {sizes.index(0) + 1} is no 31 x 31 x T picture"
            )
        return list(names), [f"{code:g}" for code in np.ravel(labels)], sizes


def sequences(file: Path, items: list[int]) -> list[np.ndarray]:
    """Frames of the file's sequences number `items`, each (T, 31, 31) uint8.

    Parameters
    ----------
    file : the .mat file
    items : numbers of sequences, from 0

    Returns
    -------
    Each (T, 31, 31) uint8
    """
    with _variables(file) as variables:
        films = _only(file, variables, "a cell array of 31 x 31 x T pictures", _is_films)
        return [_frames(file, films[item]) for item in items]


class _Cells:
    """A cell array of a v7.3 file, read one element at a time."""

    def __init__(self, dataset) -> None:
        self.file, self.references = dataset.file, dataset[()].ravel(order="F")

    def __len__(self) -> int:
        return len(self.references)

    def __iter__(self) -> Iterator:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int):
        found = self.file[self.references[i]]
        if found.attrs.get("MATLAB_class") == b"char":
            return "".join(chr(code) for code in found[()].ravel())
        return _Reversed(found)


class _Reversed:
    """An array of a v7.3 file, whose axes HDF5 holds in reverse."""

    def __init__(self, dataset) -> None:
        self.dataset, self.shape, self.dtype = dataset, dataset.shape[::-1], dataset.dtype

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.dataset[()].T


@contextmanager
def _variables(file: Path) -> Iterator[dict]:
    """The file's variables by name: arrays, lists of cells (v5) or `_Cells` (v7.3)."""

    try:
        if not h5py.is_hdf5(file):
            yield _v5(file, file.stat().st_mtime_ns)
            return
        with h5py.File(file, "r") as opened:
            sets = {k: v for k, v in opened.items() if isinstance(v, h5py.Dataset)}
            yield {
                k: _Cells(v) if v.dtype == h5py.ref_dtype else _Reversed(v) for k, v in sets.items()
            }
    except DAMAGED as error:
        raise RbcError(
            f"{file}: not a readable MATLAB file ({' '.join(str(error).split())})"
        ) from error


@lru_cache(maxsize=1)
def _v5(file: Path, changed: int) -> dict[str, np.ndarray | list]:
    """A v5 file's variables; such a file is read whole, so the last one (as `changed` then) is
    kept.
    """
    return {k: _unpacked(v) for k, v in loadmat(file).items() if not k.startswith("__")}


def _unpacked(value: np.ndarray) -> np.ndarray | list:
    """A v5 cell array as a list, its text as str; other arrays as they are."""
    if value.dtype != object:
        return value
    cells = list(value.ravel(order="F"))
    return [
        str(c.ravel()[0]) if isinstance(c, np.ndarray) and c.dtype.kind == "U" and c.size else c
        for c in cells
    ]


def _only(file: Path, variables: dict, what: str, test):
    found = {name: value for name, value in variables.items() if test(value)}
    if len(found) != 1:
        seen = ", ".join(variables) or "no variables"
        raise RbcError(
            f"{file}: {len(found)} variables hold {what}, one is needed; the file has {seen}"
        )
    return next(iter(found.values()))


def _is_films(value: object) -> bool:
    cells = isinstance(value, list | _Cells) and len(value) > 0
    return cells and _n_frames(getattr(value[0], "shape", ())) > 0


def _is_names(value: object, name: str) -> bool:
    cells = isinstance(value, list | _Cells) and len(value) > 0
    return cells and isinstance(value[0], str) and bool(re.fullmatch(name, value[0]))


def _is_labels(value: object, n: int) -> bool:
    shape = getattr(value, "shape", ())
    return sorted(shape) == sorted((1, n)) and value.dtype.kind in "uifb"


def _n_frames(shape: tuple[int, ...]) -> int:
    """Frames of a film of this shape, 31 x 31 x T or 31 x 31T; 0 where it is none."""
    if len(shape) == 3 and shape[:2] == (FRAME_PX, FRAME_PX):
        return shape[2]
    strip = len(shape) == 2 and shape[0] == FRAME_PX and shape[1] % FRAME_PX == 0
    return shape[1] // FRAME_PX if strip else 0


def _frames(file: Path, film: np.ndarray | _Reversed) -> np.ndarray:
    if film.dtype != np.uint8:
        raise RbcError(f"{file}: the frames are {film.dtype}; expected 8-bit grey (uint8)")
    pixels = np.asarray(film)
    if pixels.ndim == 2:
        pixels = pixels.reshape(FRAME_PX, -1, FRAME_PX).transpose(0, 2, 1)  # (H, T, W) -> (H, W, T)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))  # (T, H, W)
