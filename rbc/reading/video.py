"""Movies of any common kind, read as a stream of 8-bit grey frames.

Video files by `rbc.reading.videofiles`, TIFF stacks and folders of frames by
`rbc.reading.tiffstacks`, formats of makers of cameras and microscopes by `rbc.reading.vendors`.
Memory holds a few frames at a time, whatever the length of the movie.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

import av
import numpy as np

from rbc import RbcError
from rbc.reading.reel import DAMAGED, Numbered, Reel
from rbc.reading.tiffstacks import TIFF, is_tiff, open_folder, open_stack
from rbc.reading.vendors import READERS, open_vendor
from rbc.reading.videofiles import open_video

DICOM = b"DICM"  #: from byte 128 on, whatever the name
#: The paper's units (um, 1/s, 1/s), assumed where neither user nor file says them.
USUAL = {"um_per_px": 0.6, "frame_rate": 60.0, "shear_rate": 10.0}
ASSUMED, GIVEN = "assumed", "given"
#: How Fiji turns a format that we do not read into one that we do.
BIO_FORMATS = (
    "open it in Fiji (File > Import > Bio-Formats) and save it as TIFF, or: bfconvert IN"
    " OUT.ome.tiff"
)
#: Formats that no reader here knows, and why or what to do.
REFUSED = {
    **dict.fromkeys(
        (".lof", ".oib", ".oif", ".vsi", ".ims", ".zvi", ".sld", ".cxd", ".dv", ".mrc", ".xlef"),
        BIO_FORMATS,
    ),
    ".sif": "save it as TIFF in the camera's program (Solis), or " + BIO_FORMATS,
    ".spe": "save it as TIFF in the camera's program (LightField, WinView), or " + BIO_FORMATS,
    ".raw": "import it in Fiji (File > Import > Raw) and save it as TIFF",
    ".npy": "write it as TIFF: tifffile.imwrite(OUT.tif, array)",
    ".zarr": "write it as TIFF: bfconvert IN OUT.ome.tiff",
    ".rtdc": "a cytometer photographs each cell once, so there is no motion to judge",
}
#: What a file that is none of a movie begins with.
STARTS = {
    b"version https://git-lfs": "a pointer of Git LFS, not the movie: run git lfs pull",
    b"<!DOCTYPE": "a web page, not a movie: the download went wrong",
    b"<html": "a web page, not a movie: the download went wrong",
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x89HDF": "an HDF5 file: " + BIO_FORMATS,
}
SAMPLE = 10  #: frames that the depth is judged by
#: the brightest cells may be this much above the 99.9th percentile; what is above is a hot pixel
HEADROOM = 1.25
#: a picture that fills a smaller part of its levels sits on an offset (usual: a third)
SHALLOW = 1 / 16
SIGNED = 2**15  #: what programs add to signed 16-bit levels to make them unsigned
COMBED = 1.3  #: from this ratio on, neighbouring rows differ by being of two times
MIDDLE = 512  #: px in the middle of the picture that are looked at for woven fields
FIELDS = 8  #: frames looked at for woven fields


@dataclass(frozen=True)
class Movie:
    """An open movie.

    Attributes
    ----------
    path : file or folder
    n_frames : frames that are there, as far as can be told without decoding them
    shape : height, width (px)
    frame_rate : frames per second, None where the file does not say
    um_per_px : pixel size, None where the file does not say
    shift : bits dropped to fit 8 bits (0 for 8-bit movies), after `offset` was taken away
    read : all frames in order
    pick : the frames of the given numbers, None where one cannot be had
    simulated : whether the file says that it was simulated (`rbc.simulate.movies` writes it into
        every movie)
    offset : level taken away before
    times : (n_frames,) float64, s from the first frame, None where the file has no time stamps
    sources : where in the file "um_per_px" and "frame_rate" stand
    notes : what the user should know of how it was read
    """

    path: Path
    n_frames: int
    shape: tuple[int, int]
    frame_rate: float | None
    um_per_px: float | None
    shift: int
    read: Callable[[], Iterator[Numbered]]
    pick: Callable[[list[int]], list[np.ndarray | None]]
    simulated: bool = False
    offset: int = 0
    times: np.ndarray | None = None
    sources: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def frames(self) -> Iterator[Numbered]:
        """All frames: (number, (H, W) uint8), or (number, None) where one is damaged.

        Raises `RbcError` where a frame has another size than the first.
        """
        for number, grey in self.read():
            if grey is not None and grey.shape != self.shape:
                size = "{1} x {0}".format(*grey.shape)
                raise RbcError(
                    f"{self.path}: frame {number} is {size} px, the first {self.shape[1]} x"
                    f" {self.shape[0]}; "
                    "split the movie there"
                )
            yield number, grey

    def frame(self, number: int) -> np.ndarray:
        """The frame of a number, (H, W) uint8, or the first whole one after it.

        Raises `RbcError` where there is none.
        """
        # empty where there is no index to seek by: read through instead
        sought = self._sought([number])
        if sought:
            return sought[0]
        found = next((f for i, f in self.frames() if i >= number and f is not None), None)
        if found is None:
            raise RbcError(f"{self.path}: no frame from number {number} on can be decoded")
        return found

    def sample(self, n: int) -> np.ndarray:
        """`n` frames spread equally over the movie (all of a shorter one): (n, H, W) uint8, damaged
        ones left out.

        Raises `RbcError` where none can be decoded, or where two fields of different times are
        woven into a frame.
        """
        wanted = spread(self.n_frames, n)
        found = self._sought(wanted)
        if len(found) < (len(wanted) + 1) // 2:  # no index to seek by: read through instead
            numbers = set(wanted)
            found = [f for i, f in self.frames() if i in numbers and f is not None]
        if not found:
            raise RbcError(
                f"{self.path}: none of {len(wanted)} frames spread over the movie can be decoded"
            )
        frames = np.stack(found)
        if (ratio := combing(frames)) > COMBED:
            raise RbcError(
                f"{self.path}: each frame is woven of two fields of different times (interlaced;"
                " its rows differ "
                f"{ratio:.1f} times more from the next than from the next but one); "
                "separate them first: ffmpeg -i IN -vf separatefields OUT.avi, and double the"
                " frame rate"
            )
        return frames

    def _sought(self, numbers: list[int]) -> list[np.ndarray]:
        """The whole ones of the frames of some numbers, (H, W) uint8."""
        return [f for f in self.pick(numbers) if f is not None and f.shape == self.shape]

    def about(
        self, um_per_px: float | None, frame_rate: float | None, shear_rate: float | None
    ) -> dict[str, dict]:
        """Units and where they are from, for `meta["units"]`.

        Parameters are what the user gave, None where nothing. The answer names each of the three:
        its "value", and its "source": "given", "file: ..." or "assumed".
        """
        asked = {"um_per_px": um_per_px, "frame_rate": frame_rate, "shear_rate": shear_rate}
        said = {"um_per_px": self.um_per_px, "frame_rate": self.frame_rate, "shear_rate": None}
        units = {}
        for name, given in asked.items():
            found = said[name]
            if given is not None:
                units[name] = {"value": float(given), "source": GIVEN}
            elif found is not None:
                units[name] = {"value": float(found), "source": self.sources.get(name, "file")}
            else:
                units[name] = {"value": USUAL[name], "source": ASSUMED}
        return units


def spread(n_frames: int, n: int) -> list[int]:
    """Numbers of frames in the middle of equal parts of a movie.

    Parameters
    ----------
    n_frames : length of the movie
    n : how many; all of them where the movie is shorter
    """
    n = min(n, n_frames)
    return [(2 * i + 1) * n_frames // (2 * n) for i in range(n)]


def open_movie(path: Path) -> Movie:
    """Open a movie file, a TIFF stack or a folder of frames.

    Raises `RbcError`, one line, where there is nothing to read, nothing that can be decoded, a
    format that no reader knows, or where the file holds more than one movie (channels, planes).
    """
    path = Path(path)
    try:
        reel = _reel(path)
    except RbcError as error:
        raise error if str(path) in str(error) else RbcError(f"{path}: {error}") from error
    except DAMAGED as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise RbcError(
            f"{path}: not a readable movie ({said}); it may be truncated or of another kind"
        ) from error
    if reel.n_frames == 0 or 0 in reel.shape:
        raise RbcError(f"{path}: the movie holds no frame")
    return _eight_bit(path, reel)


def _reel(path: Path) -> Reel:
    """What the reader of this kind of file makes of it."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise RbcError(f"{path}: no such movie") from None
    hint = REFUSED.get(path.suffix.lower())
    if stat.S_ISDIR(mode):
        if hint:
            raise RbcError(f"{path}: {path.suffix} is not read; {hint}")
        return open_folder(path)
    if not stat.S_ISREG(mode):
        raise RbcError(
            f"{path}: neither a file nor a folder (a pipe or a device); save the movie to a file"
            " first"
        )
    with path.open("rb") as file:
        start = file.read(132)
    if not start:
        raise RbcError(f"{path}: not a readable movie: the file is empty (0 bytes)")
    if is_tiff(start):
        return open_stack(path)
    if path.suffix.lower() in READERS or start.startswith(DICOM, 128):
        return open_vendor(path)
    if hint:
        raise RbcError(f"{path}: {path.suffix} is not read; {hint}")
    for begin, what in STARTS.items():
        if start.lower().startswith(begin.lower()):
            raise RbcError(f"{path}: {what}")
    if path.suffix.lower() in TIFF:
        raise RbcError(
            f"{path}: not a readable movie: named as TIFF, but begins with {start[:4]!r}"
        )
    return open_video(path)


# --- depth ---


def _eight_bit(path: Path, reel: Reel) -> Movie:
    """The movie of a reel, its levels brought to 8 bits as a few of its frames ask for."""
    offset, shift = _depth(reel)
    read, pick, notes = reel.read, reel.pick, list(reel.notes)
    if offset or shift:
        taken = f" less {offset}" if offset else ""
        notes.append(f"grey levels{taken} divided by {2**shift} to fit 8 bits")
    values = {name: value for name, (value, _) in reel.units.items()}
    return Movie(
        path=path,
        n_frames=reel.n_frames,
        shape=reel.shape,
        frame_rate=values.get("frame_rate"),
        um_per_px=values.get("um_per_px"),
        shift=shift,
        read=partial(_read, path, read, offset, shift),
        pick=partial(_pick, path, pick, offset, shift),
        simulated=reel.simulated,
        offset=offset,
        times=reel.times,
        sources={name: source for name, (_, source) in reel.units.items()},
        notes=tuple(notes),
    )


def _read(
    path: Path, read: Callable[[], Iterator[Numbered]], offset: int, shift: int
) -> Iterator[Numbered]:
    for number, grey in _naming(path, read):
        yield number, None if grey is None else to_8bit(grey, shift, offset)


def _naming(path: Path, read: Callable[[], Iterator[Numbered]]) -> Iterator[Numbered]:
    """Errors of a frame name the movie."""
    try:
        yield from read()
    except RbcError as error:
        raise error if str(path) in str(error) else RbcError(f"{path}: {error}") from error


def _pick(
    path: Path, pick: Callable, offset: int, shift: int, numbers: list[int]
) -> list[np.ndarray | None]:
    return [None if f is None else to_8bit(f, shift, offset) for f in pick(numbers)]


def to_8bit(grey: np.ndarray, shift: int, offset: int = 0) -> np.ndarray:
    """Grey levels without an offset and without their lowest bits.

    Parameters
    ----------
    grey : (H, W) of any unsigned type
    shift : bits that are dropped
    offset : level that becomes 0

    Returns
    -------
    (H, W) uint8, clipped to 0 and 255
    """
    if grey.dtype == np.uint8:
        return grey
    return np.clip((grey.astype(np.int64) - offset) >> shift, 0, 255).astype(np.uint8)


def _depth(reel: Reel) -> tuple[int, int]:
    """Offset and bits to drop so that what a few frames show fits 8 bits (12-bit data in 16-bit
    files: 0 and 4).

    Percentiles, because a single hot pixel would else take most levels for itself. An offset is
    taken away only where next to nothing of the picture would be left without; light and contrast
    are then on no known scale, so a note says it.
    """
    first = next((f for _, f in reel.read() if f is not None), None)
    if first is None or first.dtype == np.uint8:
        return 0, 0
    some = [f for f in reel.pick(spread(reel.n_frames, SAMPLE)) if f is not None]
    if not some:  # no index to seek by
        some = [f for _, f in islice(reel.read(), 0, 10 * SAMPLE, 10) if f is not None]
    levels = np.concatenate(
        [f.ravel()[:: max(1, f.size // 200_000)] for f in [first, *some]]
    ).astype(np.int64)
    low, high = (float(q) for q in np.percentile(levels, [0.1, 99.9]))
    top = min(int(levels.max()), int(HEADROOM * high) if high > 0 else int(high))
    offset = 0
    if low < 0 or high - low < SHALLOW * top:
        margin = (high - low) * (HEADROOM - 1)
        offset = SIGNED if low >= SIGNED else int(low - margin)
        top = min(int(levels.max()), int(high + margin)) - offset
    return offset, max(0, top.bit_length() - 8)


def combing(frames: np.ndarray) -> float:
    """How much more rows differ from the next than from the next but one, in what moves; 1 for
    noise alone.

    `frames` are (n, H, W) uint8. In one picture near rows are alike, so it is below 1; where two
    fields of different times are woven, every other row shows a cell elsewhere. The same along x,
    for movies turned since.
    """
    if len(frames) < 4 or min(frames.shape[1:]) < 8:
        return 0.0
    top, left = (max(0, (size - MIDDLE) // 2) for size in frames.shape[1:])
    some = frames[
        :: max(1, len(frames) // FIELDS), top : top + MIDDLE, left : left + MIDDLE
    ].astype(np.int16)
    moving = some - np.median(some, axis=0).astype(np.int16)
    moving -= np.median(moving, axis=(1, 2)).astype(np.int16)[:, None, None]
    return max(_unlike(moving), _unlike(moving.swapaxes(1, 2)))


def _unlike(moving: np.ndarray) -> float:
    """Squared difference of neighbouring rows over that of rows two apart, where contrast is
    strong.
    """
    noise = max(float(np.median(abs(moving))) / 0.6745, 0.5)
    strong = abs(moving[:, 2:-2]) > 5 * noise
    if strong.sum() < 50:
        return 0.0
    frame, row, column = np.nonzero(strong)
    row += 2  # of the whole picture

    def apart(rows: int) -> float:
        here = moving[frame, row, column].astype(np.float32)
        return sum(
            float(((here - moving[frame, row + k, column]) ** 2).mean()) for k in (-rows, rows)
        )

    far = apart(2)
    return apart(1) / far if far else 0.0


# --- writing ---


def write_clip(path: Path, pictures: Iterable[np.ndarray], frame_rate: float) -> None:
    """Write colour pictures as MJPEG.

    Parameters
    ----------
    path : where
    pictures : (H, W, 3) uint8 each
    frame_rate : 1/s
    """
    with av.open(str(path), "w") as box:
        stream = box.add_stream("mjpeg", rate=Fraction(frame_rate).limit_denominator(1001))
        stream.pix_fmt = "yuvj420p"
        for i, picture in enumerate(pictures):
            if i == 0:
                stream.height, stream.width = picture.shape[:2]
            box.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        box.mux(stream.encode(None))
