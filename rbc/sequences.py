"""`Sequences`: labelled film strips of single cells, in memory and on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from rbc import RbcError
from rbc.files import read_table, told_by_disk, whole_folder, write_table
from rbc.paper import FRAME_PX, LABELS, SPLITS

UNLABELLED = "unlabelled"  #: a tracked cell that nobody has judged yet
COLUMNS = ("name", "label", "acquisition", "patient", "split", "start", "length")
#: What a folder of sequences may hold, its marker first.
SEQUENCE_FILES = (
    "index.parquet", "meta.json", "frames.npy", "similarity.npy", "similarity.part",
    "croissant.json",  # by rbc export
)  # fmt: skip


@dataclass(frozen=True)
class Sequences:
    """N sequences over one block of frames.

    Attributes
    ----------
    frames : (n_frames_total, 31, 31) uint8, grey levels; in memory or memory-mapped
    index : one row a sequence: name (unique), label, acquisition, patient, split,
        start (first row in `frames`) and length (number of frames)
    meta : source, version, ``simulated`` (bool) and, once saved, ``sha256`` of frames and index
    similarity : (n_frames_total,) uint16, `rbc.sampling.ranks` of the frames, or None where nobody
        computed them; follows from the frames, so it is no part of the checksum
    """

    frames: np.ndarray
    index: pd.DataFrame
    meta: dict = field(default_factory=dict)
    similarity: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.shape[1:] != (FRAME_PX, FRAME_PX):
            raise RbcError(
                f"frames are {self.frames.dtype} {self.frames.shape}: expected uint8 (n, 31, 31)"
            )
        if missing := [c for c in COLUMNS if c not in self.index]:
            raise RbcError(f"the index of the sequences lacks the columns {', '.join(missing)}")
        _check_values(self.index, len(self.frames))
        ranks = self.similarity
        if ranks is not None and (ranks.dtype != np.uint16 or ranks.shape != (len(self.frames),)):
            raise RbcError(
                f"similarity is {ranks.dtype} {ranks.shape}: expected uint16"
                f" ({len(self.frames)},), one number a frame;"
                " make the data again with rbc data prepare"
            )

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> np.ndarray:
        """Frames of sequence i: (length, 31, 31) uint8, a view."""
        start, length = self.index["start"].iat[i], self.index["length"].iat[i]
        return self.frames[start : start + length]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @property
    def simulated(self) -> bool:
        """Whether these cells were simulated; every page, figure and table that shows them must say
        so.
        """
        return bool(self.meta["simulated"])

    def select(self, mask: np.ndarray) -> Sequences:
        """The sequences where `mask` ((N,) bool) is true; frames are shared, not copied."""
        index = self.index[np.asarray(mask)].reset_index(drop=True)
        return Sequences(self.frames, index, self.meta, self.similarity)

    def save(self, folder: Path) -> None:
        """Write frames.npy, index.parquet, meta.json and, where it is known, similarity.npy, whole
        or not at all; only the frames in use are kept.
        """
        lengths = self.index["length"].to_numpy()
        with whole_folder(Path(folder), SEQUENCE_FILES) as part:
            start = create_frames(part / "frames.npy", int(lengths.sum()))
            with (part / "frames.npy").open("r+b") as file:
                file.seek(start)
                for frames in self:  # one sequence at a time: the block may be larger than memory
                    file.write(np.ascontiguousarray(frames).data)
            first = np.cumsum(lengths) - lengths
            if self.similarity is not None:
                rows = np.repeat(self.index["start"].to_numpy() - first, lengths) + np.arange(
                    lengths.sum()
                )
                np.save(part / "similarity.npy", self.similarity[rows])
            finish(part, self.index.assign(start=first), self.meta)


def from_list(strips: list[np.ndarray], rows: pd.DataFrame, meta: dict) -> Sequences:
    """`Sequences` from single arrays.

    Parameters
    ----------
    strips : N arrays (length, 31, 31) uint8
    rows : N rows of the index; start and length are filled in
    meta : source, version, ``simulated``
    """
    lengths = np.array([len(s) for s in strips], dtype=np.int64)
    frames = np.concatenate(strips) if strips else np.zeros((0, FRAME_PX, FRAME_PX), np.uint8)
    index = rows.reset_index(drop=True).assign(start=np.cumsum(lengths) - lengths, length=lengths)
    return Sequences(frames, index[list(COLUMNS)], meta)


def load(folder: Path) -> Sequences:
    """Open a folder written by `Sequences.save`, frames and similarity memory-mapped.

    The checksum is verified, which reads all frames once.

    Raises `RbcError` where the folder or one of its files is missing (but for similarity.npy),
    unreadable or altered.
    """
    folder = Path(folder)
    if not (folder / "meta.json").exists():
        raise RbcError(
            f"{folder}: no sequences there (meta.json is missing); make them with rbc data prepare"
        )
    try:
        frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
        index = read_table(folder / "index.parquet")
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        ranks = folder / "similarity.npy"
        similarity = np.load(ranks, mmap_mode="r", allow_pickle=False) if ranks.exists() else None
    except (OSError, ValueError, EOFError) as error:
        said = " ".join(str(error).split())
        raise RbcError(
            f"{folder}: damaged sequences ({said}); remove the folder and make them again"
        ) from error
    opened = Sequences(frames, index, meta, similarity)
    if meta.get("sha256", "") != _digest(folder / "frames.npy", frames.offset, index):
        raise RbcError(
            f"{folder}: altered or damaged sequences (frames and index have another checksum than"
            " meta.json says); make them again"
        )
    return opened


def add_similarity(folder: Path, ranks: np.ndarray) -> None:
    """Lay similarity ranks beside the frames of a saved folder, whole or not at all.

    Parameters
    ----------
    folder : of saved sequences
    ranks : (n_frames_total,) uint16, of `rbc.sampling.ranks`
    """
    part = Path(folder) / "similarity.part"
    with told_by_disk(Path(folder)):
        with part.open("wb") as file:
            np.save(file, ranks)
        part.replace(part.with_suffix(".npy"))


def checksum(sequences: Sequences) -> str:
    """SHA-256 of the frames and the index, as hex."""
    digest = hashlib.sha256()
    for start in range(0, len(sequences.frames), 4096):
        digest.update(np.ascontiguousarray(sequences.frames[start : start + 4096]).data)
    digest.update(sequences.index.to_csv(index=False).encode())
    return digest.hexdigest()


def create_frames(file: Path, n_frames: int) -> int:
    """A .npy file of uint8 frames that are still to be written.

    Parameters
    ----------
    file : where
    n_frames : frames of 31 x 31 px

    Returns
    -------
    Where the frames begin in the file, in bytes
    """
    with file.open("wb") as out:
        header = {"descr": "|u1", "fortran_order": False, "shape": (n_frames, FRAME_PX, FRAME_PX)}
        np.lib.format.write_array_header_1_0(out, header)
        start = out.tell()
        out.truncate(start + n_frames * FRAME_PX**2)
    return start


def finish(folder: Path, index: pd.DataFrame, meta: dict) -> None:
    """Write the index and meta.json beside a complete frames.npy.

    The checksum is taken from the file's bytes, so memory does not grow with them.

    Parameters
    ----------
    folder : holds frames.npy
    index : one row a sequence, with `COLUMNS`
    meta : source, version, ``simulated``

    Raises
    ------
    RbcError
        where the index makes no sense
    """
    index = index[list(COLUMNS)].reset_index(drop=True)
    frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
    Sequences(frames, index, meta)  # raises where the index makes no sense
    write_table(index, folder / "index.parquet")
    meta = {**meta, "sha256": _digest(folder / "frames.npy", frames.offset, index)}
    text = json.dumps(meta, indent=1, sort_keys=True) + "\n"
    (folder / "meta.json").write_text(text, encoding="utf-8")


def _digest(frames: Path, offset: int, index: pd.DataFrame) -> str:
    """As `checksum`, from the bytes of frames.npy after its header: memory does not grow with
    them.
    """
    with frames.open("rb") as file:
        file.seek(offset)
        digest = hashlib.file_digest(file, "sha256")
    digest.update(index.to_csv(index=False).encode())
    return digest.hexdigest()


def _check_values(index: pd.DataFrame, n_frames: int) -> None:
    if index["name"].duplicated().any():
        raise RbcError(
            f"sequence {index['name'][index['name'].duplicated()].iat[0]!r} is there twice"
        )
    for column, allowed in (("label", (*LABELS, UNLABELLED)), ("split", SPLITS)):
        unknown = ~index[column].isin(allowed)
        if unknown.any():
            row = index[unknown].iloc[0]
            raise RbcError(
                f"sequence {row['name']!r}: {column} {row[column]!r} is none of"
                f" {', '.join(allowed)}"
            )
    if len(index) and (
        (index["length"] < 1).any() or (index["start"] + index["length"]).max() > n_frames
    ):
        raise RbcError("the index of the sequences points outside their frames")


def strip(frames: np.ndarray) -> np.ndarray:
    """Frames side by side, left to right: (T, 31, 31) to (31, 31 T)."""
    return np.hstack(list(frames))
