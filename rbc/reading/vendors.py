"""Movies in the formats of makers of cameras and microscopes, as a `Reel`.

Nikon .nd2 (nd2), Zeiss .czi (pylibCZIrw), Leica .lif (liffile) and DICOM (pydicom) are read by
libraries that are kept, the extra ``formats``. PyAV decodes Vision Research .cine. Photron .mraw
and Norpix .seq hold plain pixels behind a short header, so they are read here: the only library for
.mraw brings a test runner that nobody keeps.

Frame rate, pixel size and time stamps are those in the file. Where time stamps and a stated rate
disagree, the time stamps decide, because a camera may have saved every tenth frame.
"""

from __future__ import annotations

import importlib
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np

from rbc import RbcError
from rbc.reading.reel import DAMAGED, Numbered, Reel, check_square, first_whole, luma
from rbc.reading.videofiles import notes_on_times, open_video

INSTALL = "install its reader first: pip install 'rbc[formats]'"
#: From this relative difference on, stated rate and time stamps are two rates.
ANOTHER_RATE = 0.02


@dataclass(frozen=True)
class Film:
    """An open file.

    Attributes
    ----------
    n : frames that are there
    get : the frame of a number, (H, W) or (H, W, 3) with red first, of an integer type
    stamps : (n,) s, as the file has them; None where it has none
    rate : frames per second that the file states; None where it states none
    um_per_px : width and height of a pixel (um); None where the file does not say
    announced : frames that the file promises
    """

    n: int
    get: Callable[[int], np.ndarray]
    stamps: np.ndarray | None = None
    rate: float | None = None
    um_per_px: tuple[float, float] | None = None
    announced: int = 0
    notes: tuple[str, ...] = ()


def open_vendor(path: Path) -> Reel:
    """Open a movie in the format of a maker of cameras or microscopes, by its suffix.

    Parameters
    ----------
    path : of a suffix in `READERS`; of another one it is read as DICOM

    Raises
    ------
    RbcError
        where the format's library is not installed, where the file holds more than one movie
        (channels, planes, positions), and where nothing of it can be decoded
    """
    suffix = path.suffix.lower()
    opener = READERS.get(suffix, _dicom)
    try:
        if opener is None:
            return _open_cine(path)
        read = partial(_read, opener, path)
        with opener(path) as film:
            times, rate, notes = _in_time(film)
            first = first_whole(read())
            if first is None:
                first = film.get(0)  # raises what is wrong
    except RbcError:
        raise
    except Exception as error:  # each library has errors of its own
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise RbcError(f"{path}: not a readable movie as {suffix} ({said})") from error
    if sizes := film.um_per_px:
        check_square(*sizes, f"file: {suffix}")
    units = {"frame_rate": (rate, f"file: {suffix}")} if rate else {}
    if sizes:
        units["um_per_px"] = (sizes[0], f"file: {suffix}")
    return Reel(film.n, first.shape, read, partial(_pick, opener, path), times, units, notes=notes)


def _in_time(film: Film) -> tuple[np.ndarray | None, float | None, tuple[str, ...]]:
    """Times from the first frame, frames per second, and what to know of both."""
    notes = [*film.notes, *notes_on_times(film.announced, film.n, None)]
    if film.stamps is None or film.n < 2:
        return None, film.rate, tuple(notes)
    steps = np.diff(film.stamps)
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        notes.append("time stamps do not rise from frame to frame: they are not used")
        return None, film.rate, tuple(notes)
    rate = 1 / float(np.median(steps))
    if film.rate and abs(rate / film.rate - 1) > ANOTHER_RATE:
        notes.append(
            f"time stamps give {rate:.5g} frames/s, the header {film.rate:.5g}: time stamps count"
        )
    elif film.rate:
        rate = film.rate
    times = film.stamps - film.stamps[0]
    return times, rate, (*notes, *notes_on_times(0, film.n, times))


Opener = Callable[[Path], AbstractContextManager[Film]]


def _read(opener: Opener, path: Path) -> Iterator[Numbered]:
    with opener(path) as film:
        for number in range(film.n):
            yield number, _grey(film, number)


def _pick(opener: Opener, path: Path, numbers: list[int]) -> list[np.ndarray | None]:
    with opener(path) as film:
        return [_grey(film, number) if number < film.n else None for number in numbers]


def _grey(film: Film, number: int) -> np.ndarray | None:
    """Grey levels of a frame; None where it cannot be decoded."""
    try:
        frame = np.asarray(film.get(number))
    except DAMAGED:
        return None
    if frame.ndim == 3 and frame.shape[2] == 1:
        frame = frame[:, :, 0]
    if frame.ndim == 3:
        return luma(np.ascontiguousarray(frame))
    return frame.astype(frame.dtype.newbyteorder("="), copy=False)


def _library(name: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise RbcError(f"{path}: {path.suffix} is read by {name}; {INSTALL}") from None


def _only_time(path: Path, sizes: dict[str, int]) -> None:
    """Raise `RbcError` where a file has another axis than time, height and width."""
    others = {axis: n for axis, n in sizes.items() if axis not in "TYXS" and n > 1}
    if others:
        found = ", ".join(f"{n} along {axis}" for axis, n in others.items())
        raise RbcError(
            f"{path}: it holds more than one movie ({found}); save one channel, plane and position"
            " as TIFF"
        )


# --- formats whose pixels lie plain behind a header ---


def _open_cine(path: Path) -> Reel:
    """Vision Research .cine: pixels by PyAV, rate and time stamps from the header.

    The header counts images from byte 20 on and points to its settings at byte 28 and to the
    table of images at byte 32. The settings hold their own length at byte 142 and the frame rate at
    byte 768. Tagged blocks follow them; number 1002 has the time of each image.
    """
    with path.open("rb") as file:
        announced, _, settings, table = struct.unpack("<4I", file.read(36)[20:])
        file.seek(settings)
        content = file.read(max(0, table - settings))
    (length,) = struct.unpack_from("<H", content, 142)
    (rate,) = struct.unpack_from("<I", content, 768)
    stamps, at = None, length
    while at + 8 <= len(content):
        size, kind = struct.unpack_from("<IH", content, at)
        if size < 8:
            break
        if kind == 1002:
            ticks = np.frombuffer(content[at + 8 : at + size], "<u4").reshape(-1, 2)
            # The last two bits of the fraction are flags of the clock.
            stamps = (ticks[:, 0] & ~np.uint32(3)) / 2**32 + (ticks[:, 1] - float(ticks[0, 1]))
        at += size
    reel = open_video(path)
    if stamps is not None and len(stamps) < reel.n_frames:
        stamps = None
    film = Film(
        reel.n_frames,
        lambda number: np.empty(0),
        None if stamps is None else stamps[: reel.n_frames],
        float(rate) or None,
        announced=announced,
    )
    times, rate, notes = _in_time(film)
    units = {"frame_rate": (rate, "file: .cine")} if rate else {}
    return replace(reel, times=times, units=units, notes=notes)


@contextmanager
def _seq(path: Path) -> Iterator[Film]:
    """Norpix StreamPix .seq, uncompressed: frames of equal length, each followed by its time."""
    with path.open("rb") as file:
        header = file.read(600)
    if len(header) < 600 or header[:4] != b"\xed\xfe\0\0":
        raise RbcError(f"{path}: not a readable movie: named as .seq, but not by Norpix")
    (version,) = struct.unpack_from("<i", header, 28)
    width, height, bits, _, image_bytes, kind, announced, _, step = struct.unpack_from(
        "<9I", header, 548
    )
    (rate,) = struct.unpack_from("<d", header, 584)
    if kind not in (100, 101) or bits not in (8, 16) or image_bytes != width * height * bits // 8:
        raise RbcError(
            f"{path}: its frames are in colour or compressed; export it as AVI or TIFF in StreamPix"
        )
    begin = 8192 if version >= 5 else 1024
    whole = (path.stat().st_size - begin) // step
    # StreamPix may count more frames than it has written, and the file may be cut off.
    n = min(whole, announced) if announced else whole
    raw = np.memmap(path, np.uint8, "r", begin, (n, step))
    after = np.ascontiguousarray(raw[:, image_bytes : image_bytes + 8])
    seconds = after[:, :4].copy().view("<i4")[:, 0].astype(float)
    parts = after[:, 4:].copy().view("<u2").astype(float)  # milliseconds, microseconds
    yield Film(
        n,
        lambda i: raw[i, :image_bytes].view(f"<u{bits // 8}").reshape(height, width).copy(),
        seconds - seconds[:1].sum() + parts[:, 0] / 1e3 + parts[:, 1] / 1e6,
        rate or None,
        announced=announced,
    )


@contextmanager
def _mraw(path: Path) -> Iterator[Film]:
    """Photron .mraw: plain pixels of 8, 12 or 16 bits; what they are stands in .cihx or .cih."""
    beside = [path.with_suffix(suffix) for suffix in (".cihx", ".cih", ".CIHX", ".CIH")]
    header = next((file for file in beside if file.exists()), None)
    if header is None:
        raise RbcError(f"{path}: the file of its settings, {path.stem}.cihx or .cih, is missing")
    text = header.read_text(encoding="utf-8", errors="replace")

    def value(old: str, new: str) -> str:
        found = re.search(rf"^{re.escape(old)} : (.+)$", text, re.MULTILINE)
        found = found or re.search(rf"{new}>\s*([^<]+?)\s*</", text, re.DOTALL)
        if not found:
            raise RbcError(f"{header}: it does not say '{old}'")
        return found[1].strip()

    inside = r"<imageDataInfo>.*?<"
    width = int(value("Image Width", inside + "width"))
    height = int(value("Image Height", inside + "height"))
    bits = int(value("Color Bit", inside + "bit"))
    colour = value("Color Type", inside + "type")
    announced = int(value("Total Frame", "<totalFrame"))
    step = re.search(r"(?:^Save Step : |<skipFrame>)\s*(\d+)", text, re.MULTILINE)
    rate = float(value("Record Rate(fps)", "<recordRate"))
    if colour.lower() != "mono" or bits not in (8, 12, 16):
        raise RbcError(
            f"{path}: {colour} of {bits} bits is not read; export it as AVI or TIFF in PFV"
        )
    size = width * height * bits // 8
    n = min(path.stat().st_size // size, announced)
    raw = np.memmap(path, np.uint8, "r", 0, (n, size))
    notes: tuple[str, ...] = ()
    if step and int(step[1]) > 1:
        notes = (
            f"{header.name} names a step of {step[1]} frames; if frames between the saved ones were"
            " left out, say the true rate with --frame-rate",
        )
    yield Film(
        n,
        lambda i: _unpacked(raw[i], bits).reshape(height, width),
        rate=rate,
        announced=announced,
        notes=notes,
    )


def _unpacked(raw: np.ndarray, bits: int) -> np.ndarray:
    """Pixels of a frame of bytes; of 12 bits two pixels lie in three bytes."""
    if bits != 12:
        return raw.view(f"<u{bits // 8}").copy()
    first, middle, last = raw.reshape(-1, 3).astype(np.uint16).T
    return np.stack([(first << 4) | (middle >> 4), ((middle & 15) << 8) | last], axis=1).ravel()


# --- formats that a library reads ---


@contextmanager
def _nd2(path: Path) -> Iterator[Film]:
    """Nikon NIS-Elements."""
    with _library("nd2", path).ND2File(path) as file:
        _only_time(path, dict(file.sizes))
        size = file.voxel_size()
        events = file.events()
        stamps = [event["Time [s]"] for event in events if "Time [s]" in event]
        n = file.sizes.get("T", 1)
        yield Film(
            n,
            lambda i: np.squeeze(file.read_frame(i)),
            np.array(stamps) if len(stamps) == n else None,
            um_per_px=(size.x, size.y) if size.x > 0 else None,
        )


@contextmanager
def _czi(path: Path) -> Iterator[Film]:
    """Zeiss ZEN; lengths in its XML are in m, times in s."""
    with _library("pylibCZIrw.czi", path).open_czi(str(path)) as file:
        extent = file.total_bounding_box
        sizes = {axis: end - begin for axis, (begin, end) in extent.items()}
        _only_time(path, sizes | {"scenes": len(file.scenes_bounding_rectangle)})
        text = file.raw_metadata
        scale = dict(re.findall(r'<Distance Id="([XY])">\s*<Value>([^<]+)<', text))
        step = re.search(r"<T>.*?<Increment>([^<]+)<", text, re.DOTALL)
        yield Film(
            sizes.get("T", 1),
            lambda i: file.read(plane={"T": i, "C": 0, "Z": 0})[:, :, ::-1],  # it gives blue first
            rate=1 / float(step[1]) if step and float(step[1]) > 0 else None,
            um_per_px=(1e6 * float(scale["X"]), 1e6 * float(scale["Y"]))
            if len(scale) == 2
            else None,
        )


@contextmanager
def _lif(path: Path) -> Iterator[Film]:
    """Leica LAS X; coordinates are in m and s."""
    with _library("liffile", path).LifFile(path) as file:
        if len(file.images) != 1:
            names = ", ".join(image.name for image in file.images)
            raise RbcError(
                f"{path}: it holds {len(file.images)} movies ({names}); save one as TIFF"
            )
        (image,) = file.images
        _only_time(path, dict(image.sizes))
        n = image.sizes.get("T", 1)
        frames = image.asarray(out="memmap").reshape(n, *image.shape[-2 - ("S" in image.dims) :])
        step = {axis: float(abs(at[1] - at[0])) for axis, at in image.coords.items() if len(at) > 1}
        stamps = image.timestamps
        yield Film(
            n,
            lambda i: np.array(frames[i]),
            None
            if stamps is None or len(stamps) != n
            else stamps.astype("M8[ns]").astype(float) / 1e9,
            rate=1 / step["T"] if step.get("T") else None,
            um_per_px=(1e6 * step["X"], 1e6 * step["Y"]) if {"X", "Y"} <= set(step) else None,
        )


@contextmanager
def _dicom(path: Path) -> Iterator[Film]:
    """Multi-frame DICOM; pixel spacing in mm (rows first), times in ms."""
    pydicom = _library("pydicom", path)
    about = pydicom.dcmread(path, stop_before_pixels=True)
    n = int(about.get("NumberOfFrames") or 1)
    dark_is_high = about.get("PhotometricInterpretation") == "MONOCHROME1"
    decode = _library("pydicom.pixels", path).pixel_array

    def get(number: int) -> np.ndarray:
        levels = decode(path, index=number)
        return 2**about.BitsStored - 1 - levels if dark_is_high else levels

    spacing = about.get("PixelSpacing") or about.get("ImagerPixelSpacing")
    steps, step = about.get("FrameTimeVector"), about.get("FrameTime")
    rate = 1000 / float(step) if step else about.get("CineRate")
    yield Film(
        n,
        get,
        np.cumsum(np.array(steps, float)) / 1000 if steps and len(steps) == n else None,
        float(rate) if rate else None,
        (1000 * float(spacing[1]), 1000 * float(spacing[0])) if spacing else None,
    )


#: Readers by suffix; .cine is decoded by PyAV.
READERS: dict[str, Opener | None] = {
    ".cine": None,
    ".seq": _seq,
    ".mraw": _mraw,
    ".nd2": _nd2,
    ".czi": _czi,
    ".lif": _lif,
    ".dcm": _dicom,
    ".dicom": _dicom,
}
