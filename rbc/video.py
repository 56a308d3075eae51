"""Movies of any common kind, read as a stream of 8-bit grey frames.

AVI, MP4, MKV (raw, MJPEG, FFV1, H.264 ...) by PyAV; TIFF stacks and folders of TIFF frames by tifffile.
Memory holds a few frames at a time, whatever the length of the movie.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import tifffile
from numba import njit

from rbc import RbcError

TIFF = (".tif", ".tiff")
Numbered = tuple[int, np.ndarray | None]  #: frame number and grey frame; None where the frame cannot be decoded
UM_PER_INCH = 25_400.0


@dataclass(frozen=True)
class Movie:
    """An open movie.

    Attributes
    ----------
    path : file or folder
    n_frames : frames that the file announces (a truncated file may hold fewer)
    shape : height, width (px)
    frame_rate : frames per second, None where the file does not say
    um_per_px : pixel size, None where the file does not say
    shift : bits dropped to fit 8 bits (0 for 8-bit movies)
    read : all frames in order
    pick : the frames of the given numbers, None where one cannot be had
    simulated : whether the file says that it was simulated (`rbc.movies` writes it into every movie)
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

    def frames(self) -> Iterator[Numbered]:
        """All frames: (number, (H, W) uint8), or (number, None) where one is damaged.

        Raises `RbcError` where a frame has another size than the first.
        """
        for number, grey in self.read():
            if grey is not None and grey.shape != self.shape:
                size = "{1} x {0}".format(*grey.shape)
                raise RbcError(
                    f"{self.path}: frame {number} is {size} px, the first {self.shape[1]} x {self.shape[0]}; "
                    "split the movie there"
                )
            yield number, None if grey is None else to_8bit(grey, self.shift)

    def frame(self, number: int) -> np.ndarray:
        """The frame of a number, (H, W) uint8, or the first whole one after it."""
        sought = self._sought([number])  # empty where there is no index to seek by: read through instead
        return sought[0] if sought else next(f for i, f in self.frames() if i >= number and f is not None)

    def sample(self, n: int) -> np.ndarray:
        """`n` frames spread equally over the movie (all of a shorter one): (n, H, W) uint8, damaged ones left out."""
        wanted = spread(self.n_frames, n)
        found = self._sought(wanted)
        if len(found) < (len(wanted) + 1) // 2:  # no index to seek by: read through instead
            numbers = set(wanted)
            found = [f for i, f in self.frames() if i in numbers and f is not None]
        return np.stack(found) if found else np.zeros((0, *self.shape), np.uint8)

    def _sought(self, numbers: list[int]) -> list[np.ndarray]:
        """The whole ones of the frames of some numbers, (H, W) uint8."""
        return [to_8bit(f, self.shift) for f in self.pick(numbers) if f is not None and f.shape == self.shape]


def spread(n_frames: int, n: int) -> list[int]:
    """Numbers of `n` frames in the middle of equal parts of the movie; all of them where it is shorter."""
    n = min(n, n_frames)
    return [(2 * i + 1) * n_frames // (2 * n) for i in range(n)]


def open_movie(path: Path) -> Movie:
    """Open a movie file, a TIFF stack or a folder of TIFF frames.

    Raises `RbcError` where there is nothing to read, no frame, or a format that neither reader knows.
    """
    path = Path(path)
    if not path.exists():
        raise RbcError(f"{path}: no such movie")
    try:
        movie = _open_tiff(path) if path.is_dir() or path.suffix.lower() in TIFF else _open_av(path)
    except (av.error.FFmpegError, tifffile.TiffFileError, OSError, ValueError, IndexError) as error:
        raise RbcError(f"{path}: not a readable movie ({error}); it may be truncated or of another kind") from error
    if movie.n_frames == 0 or 0 in movie.shape:
        raise RbcError(f"{path}: the movie holds no frame")
    return movie


def to_8bit(grey: np.ndarray, shift: int) -> np.ndarray:
    """Grey levels without their `shift` lowest bits, clipped to 255: (H, W) uint8."""
    if grey.dtype == np.uint8:
        return grey
    return np.minimum(grey >> shift, 255).astype(np.uint8)


def _shift(frames: list[np.ndarray | None]) -> int:
    """Bits to drop so that the brightest of a few frames fits 8 bits (12-bit data in 16-bit files: 4)."""
    top = max((int(f.max()) for f in frames if f is not None and f.size), default=0)
    return max(0, top.bit_length() - 8)


# ------------------------------------------------------------------------------------------------- PyAV


def _open_av(path: Path) -> Movie:
    with av.open(str(path)) as box:
        if not box.streams.video:
            raise RbcError(f"{path}: the file holds no video stream")
        stream = box.streams.video[0]
        rate = float(stream.average_rate) if stream.average_rate else None
        n = stream.frames or _estimate(stream, rate)
        shape, said = (stream.height, stream.width), {k.lower(): v for k, v in box.metadata.items()}
    read, pick = partial(_read_av, path), partial(_pick_av, path)
    return Movie(path, n, shape, rate, None, _av_shift(read, pick, n), read, pick, said.get("comment") == "simulated")


def _estimate(stream: av.video.stream.VideoStream, rate: float | None) -> int:
    """Number of frames from the duration, where the container does not count them."""
    if stream.duration is not None and rate:
        return round(float(stream.duration * stream.time_base) * rate)
    seconds = (stream.container.duration or 0) / av.time_base
    return round(seconds * rate) if rate else 0


def _av_shift(read: Callable[[], Iterator[Numbered]], pick: Callable, n: int) -> int:
    first = next((f for _, f in read() if f is not None), None)
    return 0 if first is None or first.dtype == np.uint8 else _shift([first, *pick(spread(n, 10))])


def _read_av(path: Path) -> Iterator[Numbered]:
    """Decode all frames; a packet that cannot be decoded counts as one damaged frame."""
    with av.open(str(path)) as box, _quiet():
        stream = box.streams.video[0]
        stream.codec_context.options = STRICT
        alone = _each_alone(stream)
        yield from enumerate(frame for packet in box.demux(stream) for _, frame in _decode(packet, alone))


def _each_alone(stream: av.video.stream.VideoStream) -> bool:
    """Whether every packet is one frame, so that seeking is cheap and an empty answer is a damaged frame."""
    codec = stream.codec_context.codec
    return codec.intra_only or codec.name in ("ffv1", "png", "huffyuv", "ffvhuff", "utvideo")


def _pick_av(path: Path, numbers: list[int]) -> list[np.ndarray | None]:
    """Seek to each number and decode from the key frame before it."""
    with av.open(str(path)) as box, _quiet():
        stream = box.streams.video[0]
        if not stream.average_rate or not _each_alone(stream):
            return [None] * len(numbers)
        per_frame, origin = 1 / (stream.average_rate * stream.time_base), stream.start_time or 0
        return [_seek(box, stream, math.floor(i * per_frame + origin)) for i in numbers]


def _seek(box: av.container.InputContainer, stream: av.video.stream.VideoStream, time: int) -> np.ndarray | None:
    try:
        box.seek(time, stream=stream)
        for packet in box.demux(stream):
            for at, frame in _decode(packet, alone=True):
                if at is not None and at >= time:
                    return frame
    except av.error.FFmpegError:
        pass
    return None


def _decode(packet: av.Packet, alone: bool) -> list[tuple[int | None, np.ndarray | None]]:
    """Times and grey frames in a packet; (time, None) where it is damaged."""
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        return [(packet.dts, None)] if packet.size else []
    if alone and packet.size and not frames:
        return [(packet.dts, None)]
    return [(packet.dts if f.pts is None else f.pts, None if f.is_corrupt else _grey(f)) for f in frames]


def _grey(frame: av.VideoFrame) -> np.ndarray:
    """Grey levels of a decoded frame: (H, W) uint8 or uint16. YUV gives its luma, RGB and palettes Rec. 601 luma."""
    name = frame.format.name
    if name == "gray" or (name.startswith("gray") and name.endswith("le")):
        return frame.to_ndarray()
    if name == "pal8":
        levels, palette = frame.to_ndarray()
        return _luma(palette[None, :, 1:])[0][levels]
    if name.startswith(("yuv4", "yuvj4", "nv12")) and not name.endswith(("le", "be")):
        full = name.startswith("yuvj") or frame.color_range == av.video.reformatter.ColorRange.JPEG
        levels = _plane(frame)
        return levels if full else LIMITED[levels]
    rgb = frame.to_ndarray() if name in ("rgb24", "bgr24") else frame.to_ndarray(format="rgb24")
    return _luma(rgb[..., ::-1]) if name == "bgr24" else _luma(rgb)


def _plane(frame: av.VideoFrame) -> np.ndarray:
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()


#: a decoder mends damage silently unless told to check and to refuse
STRICT = {"err_detect": "crccheck+explode"}
#: broadcast luma (16 to 235) on the full scale
LIMITED = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)


@njit(cache=True, nogil=True)
def _luma(rgb: np.ndarray) -> np.ndarray:
    """Rec. 601 luma in integers; equal channels come through unchanged. (H, W, 3) to (H, W), same dtype."""
    out = np.empty(rgb.shape[:2], rgb.dtype)
    for i in range(rgb.shape[0]):
        for j in range(rgb.shape[1]):
            r, g, b = np.int64(rgb[i, j, 0]), np.int64(rgb[i, j, 1]), np.int64(rgb[i, j, 2])
            out[i, j] = (77 * r + 150 * g + 29 * b + 128) >> 8
    return out


def write_clip(path: Path, pictures: Iterable[np.ndarray], frame_rate: float) -> None:
    """Write colour pictures ((H, W, 3) uint8) as MJPEG."""
    with av.open(str(path), "w") as box:
        stream = box.add_stream("mjpeg", rate=Fraction(frame_rate).limit_denominator(1001))
        stream.pix_fmt = "yuvj420p"
        for i, picture in enumerate(pictures):
            if i == 0:
                stream.height, stream.width = picture.shape[:2]
            box.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        box.mux(stream.encode(None))


@contextmanager
def _quiet() -> Iterator[None]:
    """Damaged frames are reported by us, once, not by the decoder on every packet."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    try:
        yield
    finally:
        av.logging.set_level(level)


# ---------------------------------------------------------------------------------------------- tifffile


def _open_tiff(path: Path) -> Movie:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # damaged pages are reported by us
    files = sorted((f for f in path.iterdir() if f.suffix.lower() in TIFF), key=_natural) if path.is_dir() else [path]
    if not files:
        raise RbcError(f"{path}: the folder holds no TIFF frame")
    with tifffile.TiffFile(files[0]) as tif:
        rate, um = _tiff_units(tif)
        simulated = bool((tif.shaped_metadata or [{}])[0].get("simulated"))
        if len(files) == 1:
            n, get = _stack(path, tif)
        else:
            n, get = len(files), partial(_file_page, files)
    read, pick = partial(_read_tiff, get, n), partial(_pick_tiff, get)
    first = next((f for _, f in read() if f is not None), np.zeros((0, 0), np.uint8))
    shift = 0 if first.dtype == np.uint8 else _shift([first, *pick(spread(n, 10))])
    return Movie(path, n, first.shape, rate, um, shift, read, pick, simulated)


def _natural(path: Path) -> list[int | str]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _stack(path: Path, tif: tifffile.TiffFile) -> tuple[int, Callable[[int], np.ndarray | None]]:
    """Frame count and getter of a stack: memory-mapped where stored in one piece, else page by page."""
    page = tif.pages[0]
    shape = tuple(page.shape)
    try:
        block = tifffile.memmap(path, mode="r")
        block = block.reshape(-1, *shape) if block.size else block
        return len(block), partial(_mapped, path, block.dtype, block.offset, block.shape)
    except ValueError:  # compressed, or in pieces, or cut short
        still_open = tifffile.TiffFile(path)  # as long as the movie: finding a page by its number walks the file once
        return len(still_open.pages), partial(_page, still_open)


def _mapped(path: Path, dtype: np.dtype, offset: int, shape: tuple[int, ...], i: int) -> np.ndarray:
    size = math.prod(shape[1:])
    data = np.fromfile(path, dtype, size, offset=offset + i * size * dtype.itemsize)
    return _tiff_grey(data.reshape(shape[1:]))


def _page(tif: tifffile.TiffFile, i: int) -> np.ndarray | None:
    try:
        return _tiff_grey(tif.pages[i].asarray())
    except (ValueError, OSError, IndexError, KeyError, tifffile.TiffFileError):
        return None


def _file_page(files: list[Path], i: int) -> np.ndarray | None:
    try:
        return _tiff_grey(tifffile.imread(files[i]))
    except (ValueError, OSError, IndexError, tifffile.TiffFileError):
        return None


def _tiff_grey(page: np.ndarray) -> np.ndarray:
    if page.dtype not in (np.uint8, np.uint16):
        raise RbcError(f"a TIFF frame of {page.dtype}: only 8 and 16 bit unsigned are read; convert the movie")
    native = np.ascontiguousarray(page, page.dtype.newbyteorder("="))
    return _luma(native) if native.ndim == 3 else native


def _read_tiff(get: Callable[[int], np.ndarray | None], n: int) -> Iterator[Numbered]:
    return ((i, get(i)) for i in range(n))


def _pick_tiff(get: Callable[[int], np.ndarray | None], numbers: list[int]) -> list[np.ndarray | None]:
    return [get(i) for i in numbers]


def _tiff_units(tif: tifffile.TiffFile) -> tuple[float | None, float | None]:
    """Frame rate (1/s) and pixel size (um) as ImageJ writes them, None where the file does not say."""
    meta = tif.imagej_metadata or (tif.shaped_metadata or [{}])[0]
    rate = meta.get("fps") or (1 / meta["finterval"] if meta.get("finterval") else None)
    tags = tif.pages[0].tags
    if "XResolution" not in tags or not tags["XResolution"].value[0]:
        return rate, None
    above, below = tags["XResolution"].value
    unit = {"um": 1.0, "micron": 1.0, "\\u00B5m": 1.0, "µm": 1.0, "mm": 1000.0}.get(str(meta.get("unit")))
    return rate, None if unit is None else unit * below / above
