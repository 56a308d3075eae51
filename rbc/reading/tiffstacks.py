"""TIFF stacks, OME-TIFF sets and folders of frames by tifffile (other pictures by Pillow), as a
`Reel`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile
from PIL import Image

from rbc import RbcError
from rbc.reading.reel import (
    DAMAGED,
    LENGTHS,
    TIMES,
    Numbered,
    Reel,
    check_square,
    first_whole,
    luma,
)

TIFF = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".stk", ".lsm")
PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".pgm")
PIXELS_UM = (0.01, 20.0)  #: a resolution tag outside of this is a printer's, not a microscope's
MOST_CHANNELS = 7  #: that Fiji shows; more of them are a movie whose axis nobody named
ONE_PAGE = 1.5  #: files of a folder up to this many times the size of the first hold a page like it
CONVERT = "convert it in Fiji: File > Open, Image > Type > 16-bit, File > Save As > Tiff"

#: numbers in names; a minus sign is one where no letter or digit stands before it
NUMBERS = re.compile(r"((?<![^\W_])-?[0-9]+|(?<=[^\W_])[0-9]+)")

Get = Callable[[int], np.ndarray | None]


def is_tiff(start: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF does, in either byte order."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_stack(path: Path) -> Reel:
    """Open a TIFF file, with the others of its set where it is OME-TIFF of several files."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # damaged pages are reported by us
    failures: list[str] = []
    tif = tifffile.TiffFile(path)  # stays open as long as the movie: pages are found once
    n, get, notes = _series(path, tif, failures)
    return _reel(path, n, get, tif, failures, notes)


def open_folder(path: Path) -> Reel:
    """Open a folder of frames or stacks, in the natural order of their names."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    files, notes = _listed(path)
    failures: list[str] = []
    if files[0].suffix.lower() in PICTURES:
        _check_counting(path, files)
        get = partial(_picture, files, failures)
        return _timed(_reel(path, len(files), get, None, failures, notes), files)
    tif = next(filter(None, map(_opened, files)), None)
    if tif is None:
        raise RbcError(f"{path}: none of its {len(files)} TIFF files can be read as TIFF")
    if tif.is_ome and _pages(tif) > len(tif.pages):
        n, get, more = _series(path, tif, failures)
        return _reel(path, n, get, tif, failures, [*notes, *more])
    _check_counting(path, files)
    if tif.is_ome or tif.is_imagej:
        _frame_numbers(path, tif.series[0])  # raises where a file holds channels
    places = _places(files, tif)
    get = partial(_page_of, files, places, failures)
    reel = _reel(path, len(places), get, tif, failures, notes)
    return _timed(reel, files) if len(places) == len(files) else reel


def _reel(
    path: Path,
    n: int,
    get: Get,
    tif: tifffile.TiffFile | None,
    failures: list[str],
    notes: list[str],
) -> Reel:
    """A reel of numbered frames; raises `RbcError` where none of them can be decoded."""
    first = first_whole((i, get(i)) for i in range(n))
    if first is None:
        packed = "" if tif is None else f" ({_compression(tif)})"
        why = f": {failures[0]}" if failures else ""
        raise RbcError(f"{path}: none of its {n} frames could be decoded{packed}{why}")
    units, times = ({}, None) if tif is None else _units(tif)
    said = (tif.shaped_metadata or [{}])[0] if tif is not None else {}
    return Reel(
        n_frames=n,
        shape=first.shape,
        read=partial(_read, get, n),
        pick=partial(_pick, get, n),
        times=times if times is not None and len(times) == n else None,
        units=units,
        simulated=bool(said.get("simulated")),
        notes=tuple(notes),
    )


def _read(get: Get, n: int) -> Iterator[Numbered]:
    return ((i, get(i)) for i in range(n))


def _pick(get: Get, n: int, numbers: list[int]) -> list[np.ndarray | None]:
    return [get(i) if i < n else None for i in numbers]


# --- one file ---


def _series(path: Path, tif: tifffile.TiffFile, failures: list[str]) -> tuple[int, Get, list[str]]:
    """Number of frames, their getter and notes: straight from the file where stored in one piece,
    else by page.
    """
    series = max(tif.series, key=len) if tif.series else None
    if series is None or not len(tif.pages):
        raise RbcError(f"{path}: the TIFF file holds no picture")
    chosen, notes = _frame_numbers(path, series)
    page, start = series.keyframe, series.dataoffset
    said = tif.imagej_metadata or {}
    # ImageJ's pages without a directory, cut short
    if start is None or len(chosen) < int(said.get("images", 1)):
        counts = {
            "C": said.get("channels", 1),
            "Z": said.get("slices", 1),
            "T": said.get("frames", 1),
        }
        if said and series.kind == "generic" and len(tif.pages) == 1:
            _check_axes(
                path, {axis: int(n) for axis, n in counts.items() if int(n) > 1 and axis != "C"}
            )
            chosen, start = list(range(int(said.get("images", 1)))), page.dataoffsets[0]
    if start is not None and not page.is_tiled and page.compression == 1:
        size = page.size * page.dtype.itemsize
        there = (path.stat().st_size - start) // size if size and path.is_file() else len(chosen)
        if there < len(chosen):
            notes.append(f"the movie ends after {there} of {len(chosen)} announced frames")
            chosen = chosen[: max(there, 0)]
        kind = page.dtype.newbyteorder(tif.byteorder)
        return len(chosen), partial(_mapped, path, page, kind, start, failures), notes
    pages = list(series.pages)
    if len(pages) < len(chosen):
        notes.append(f"the movie ends after {len(pages)} of {len(chosen)} announced frames")
    kept = [pages[i] for i in chosen if i < len(pages)]
    return len(kept), partial(_page, kept, page, failures), notes


def _frame_numbers(path: Path, series: tifffile.TiffPageSeries) -> tuple[list[int], list[str]]:
    """Pages of a series that are its frames, in order, and notes.

    Raises `RbcError` where pages count in more than one way: which channel or plane is the movie,
    only the user knows.
    """
    sizes = {axis: size for axis, size in _lead(series) if size > 1}
    if list(sizes) == ["C"] and sizes["C"] > MOST_CHANNELS:
        return list(range(sizes["C"])), [
            "its pages are called channels and were read as frames in time"
        ]
    _check_axes(path, sizes)
    notes = (
        ["its pages are called planes (Z) and were read as frames in time"] if "Z" in sizes else []
    )
    return list(range(math.prod(sizes.values()))), notes


def _lead(series: tifffile.TiffPageSeries) -> list[tuple[str, int]]:
    """Axes of a series along which its pages are counted, with their lengths: all but those inside
    of a page.
    """
    axes = list(zip(series.axes, series.shape))
    inside = 1
    while axes and inside < series.keyframe.size:
        inside *= axes.pop()[1]
    return axes


def _check_axes(path: Path, sizes: dict[str, int]) -> None:
    """Raise `RbcError` where pages count channels, or more than one thing."""
    if len(sizes) > 1 or "C" in sizes:
        names = {
            "C": "channels",
            "Z": "planes (Z)",
            "T": "times",
            "P": "positions",
            "R": "positions",
        }
        counted = ", ".join(
            f"{size} {names.get(axis, f'pages along {axis}')}" for axis, size in sizes.items()
        )
        raise RbcError(
            f"{path}: the file holds {counted}: which is the movie? Save one channel and one plane"
            " alone "
            "(in Fiji: Image > Duplicate), with time as the only axis"
        )


def _pages(tif: tifffile.TiffFile) -> int:
    return max((len(series) for series in tif.series), default=0)


def _mapped(
    path: Path, page: tifffile.TiffPage, kind: np.dtype, offset: int, failures: list[str], i: int
) -> np.ndarray | None:
    data = np.fromfile(path, kind, page.size, offset=offset + i * page.size * kind.itemsize)
    if len(data) < page.size:
        return None
    return _grey(data.reshape(page.shape), page, failures)


def _page(pages: list, like: tifffile.TiffPage, failures: list[str], i: int) -> np.ndarray | None:
    if pages[i] is None:
        failures.append("a file of its set is missing")
        return None
    try:
        data = pages[i].asarray()
    except Exception as error:  # tifffile and its codecs raise what they like
        failures.append(_said(error))
        return None
    return _grey(data, like, failures)


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _compression(tif: tifffile.TiffFile) -> str:
    page = tif.pages[0]
    name = getattr(page.compression, "name", str(page.compression))
    return f"{name} compression, {getattr(page.photometric, 'name', page.photometric)}"


def _grey(data: np.ndarray, page: tifffile.TiffPage, failures: list[str]) -> np.ndarray | None:
    """Grey levels of a page as its photometric interpretation means them: (H, W), brighter is more.

    Raises `RbcError` where levels are no integers, or colours are none that can be turned into
    grey.
    """
    if data.dtype.kind not in "ui" or data.dtype.itemsize > 4:
        raise RbcError(
            f"a TIFF frame of {data.dtype}: only whole numbers to 32 bit are read; {CONVERT}"
        )
    data = np.ascontiguousarray(data, data.dtype.newbyteorder("="))
    axes = page.axes
    if "S" in axes:
        data = np.moveaxis(data.reshape(page.shape), axes.index("S"), -1)
        axes = axes.replace("S", "") + "S"
    # axes of one left (Z, T or a channel inside of a page) go
    extra = [i for i, axis in enumerate(axes) if axis not in "YXS"]
    data = data.squeeze(axis=tuple(i for i in extra if data.shape[i] == 1))
    if data.ndim not in (2, 3):
        failures.append(f"a page of shape {data.shape} is no picture")
        return None
    photometric = int(page.photometric)
    if photometric == tifffile.PHOTOMETRIC.PALETTE:
        return _from_palette(data, page.colormap)
    if photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR):
        if data.ndim != 3 or data.shape[2] < 3:
            failures.append(f"a colour page of shape {data.shape}")
            return None
        if data.dtype not in (np.uint8, np.uint16):
            raise RbcError(f"a colour TIFF of {data.dtype}: only 8 and 16 bit are read; {CONVERT}")
        return luma(np.ascontiguousarray(data[..., :3]))
    if photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE):
        name = getattr(page.photometric, "name", photometric)
        raise RbcError(
            f"a TIFF of photometric interpretation {name}: only grey, palette and RGB are read;"
            f" {CONVERT}"
        )
    if data.ndim == 3:  # grey, with alpha or other samples after it
        data = np.ascontiguousarray(data[..., 0])
    if photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
        return (2**bits - 1 - data.astype(np.int64)).astype(data.dtype)
    return data


def _from_palette(data: np.ndarray, palette: np.ndarray | None) -> np.ndarray:
    """Indices (H, W) by way of a palette (3, 2^bits) uint16 to the luma of their colours, 8 bit."""
    if palette is None:
        raise RbcError(f"a palette TIFF without its palette; {CONVERT}")
    colours = np.ascontiguousarray(palette.T[None])  # (1, n, 3)
    if colours.max() > 255:  # some programs write 8-bit palettes
        colours = (colours.astype(np.uint32) + 128) // 257
    return luma(np.ascontiguousarray(colours.astype(np.uint8)))[0][
        np.minimum(data, colours.shape[1] - 1)
    ]


# --- a folder ---


def _listed(path: Path) -> tuple[list[Path], list[str]]:
    """Frames of a folder in natural order, and notes.

    Companions that macOS and other programs hide are left out.
    """
    there = [f for f in path.iterdir() if not f.name.startswith(".") and f.is_file()]
    by_kind = {
        kind: sorted((f for f in there if f.suffix.lower() == kind), key=_natural)
        for kind in (*TIFF, *PICTURES)
    }
    by_kind = {kind: files for kind, files in by_kind.items() if files}
    if by_kind:
        # The first kind of the most files, so that lossless ones go before JPEG.
        chosen = max(by_kind, key=lambda kind: len(by_kind[kind]))
        return by_kind[chosen], _passed_over(path, chosen, by_kind)
    others = f"; it holds {sorted(f.name for f in there)[0]}: name the file itself" if there else ""
    raise RbcError(f"{path}: the folder holds no TIFF frame{others}")


def _passed_over(path: Path, chosen: str, by_kind: dict[str, list[Path]]) -> list[str]:
    """Notes on the kinds of pictures that are not read; raises `RbcError` where they may be frames.

    The same frames once more, or a single picture beside them, may be passed over.
    """
    frames = {tuple(_natural(file)[0]) for file in by_kind[chosen]}
    notes = []
    for kind, files in by_kind.items():
        if kind == chosen:
            continue
        again = all(tuple(_natural(file)[0]) in frames for file in files)
        if not again and len(files) > 1:
            raise RbcError(
                f"{path}: the folder holds {len(by_kind[chosen])} {chosen} and {len(files)} {kind}"
                " files of other names; keep the frames of one kind in it"
            )
        notes.append(f"{len(files)} {kind} files were not read: the {chosen} files are the frames")
    return notes


def _natural(path: Path) -> tuple[list[int | str], str]:
    """Words without regard to case, numbers by their value; the whole name where these are equal.

    A minus sign belongs to a number after an underscore, a space or nothing: img_-003 comes before
    img_000, while in img-003 the sign parts the number from the word.
    """
    parts = NUMBERS.split(path.stem)
    key = [int(part) if i % 2 else part.casefold() for i, part in enumerate(parts)]
    return key, path.name


def _timed(reel: Reel, files: list[Path]) -> Reel:
    """The reel with the times that the numbers of its files tell: a missing number is a lost frame.

    Nothing changes where the files have their own times, where no number is missing, or where names
    do not count in one place.
    """
    numbers = _counted(files)
    if reel.times is not None or numbers is None:
        return reel
    steps = np.diff(numbers)
    usual = int(np.median(steps)) if len(steps) else 0
    # Every second frame kept is a rate of its own; steps that fit no rate tell nothing.
    if usual < 1 or (steps % usual).any() or (steps == usual).all():
        return reel
    missing = int((steps // usual - 1).sum())
    rate = reel.units.get("frame_rate", (1.0, ""))[0]
    note = f"names of files: {missing} frames are missing in {int((steps > usual).sum())} gaps"
    times = (numbers - numbers[0]) / usual / rate
    return replace(reel, times=times, notes=(*reel.notes, note))


def _counted(files: list[Path]) -> np.ndarray | None:
    """The number in each file's name, None where names differ in no or in several numbers."""
    parts = [NUMBERS.split(f.stem)[1::2] for f in files]
    if len({len(part) for part in parts}) != 1:
        return None
    varying = [place for place in zip(*parts, strict=True) if len(set(place)) > 1]
    if len(varying) != 1:
        return None
    numbers = [int(text) for text in varying[0]]
    # A running number, not a time of day or an identity of many digits.
    if max(abs(n) for n in numbers) >= 10**9 or len(set(numbers)) < len(numbers):
        return None
    return np.array(numbers)


def _check_counting(path: Path, files: list[Path]) -> None:
    """Raise `RbcError` where names are those of several movies, or count channels beside the
    frames.
    """
    parts = [NUMBERS.split(f.stem) for f in files]
    words = sorted({"#".join(part[::2]).lower() for part in parts})
    # single odd names among frames are another matter: all are told
    if len(words) > 1 and len(files) > len(words):
        raise RbcError(
            f"{path}: names of {len(words)} kinds ({words[0]!r}, {words[1]!r}): one movie a"
            " folder, please"
        )
    if len(words) > 1:
        raise RbcError(
            f"{path}: names do not count frames ({files[0].name}, {files[1].name}); number them"
        )
    counts = [len({part[i] for part in parts}) for i in range(1, len(parts[0]), 2)]
    counting = [n for n in counts if n > 1]
    if len(counting) > 1 and math.prod(counting) == len(files):
        raise RbcError(
            f"{path}: names count in {len(counting)} places ({' x '.join(map(str, counting))}):"
            " channels, planes or "
            "positions beside time? Keep one of them in a folder, numbered straight through"
        )


def _opened(file: Path) -> tifffile.TiffFile | None:
    try:
        tif = tifffile.TiffFile(file)
        return tif if len(tif.pages) else None
    except DAMAGED:
        return None


def _places(files: list[Path], first: tifffile.TiffFile) -> list[tuple[int, int]]:
    """File and page of every frame."""
    size = first.filehandle.size
    if len(first.pages) == 1 and all(f.stat().st_size <= ONE_PAGE * size for f in files):
        return [(i, 0) for i in range(len(files))]
    places = []
    for i, file in enumerate(files):
        tif = _opened(file)
        if tif is None:
            places.append((i, 0))  # a damaged frame
            continue
        with tif:
            chosen, _ = _frame_numbers(file, tif.series[0])
            places += [(i, k) for k in chosen]
    return places


def _page_of(
    files: list[Path], places: list[tuple[int, int]], failures: list[str], i: int
) -> np.ndarray | None:
    number, page = places[i]
    try:
        with tifffile.TiffFile(files[number]) as tif:
            data = tif.series[0].asarray() if len(tif.pages) <= page else tif.pages[page].asarray()
            keyframe = tif.pages[0]
            # ImageJ: one page stands for all that follow it in one piece
            if len(tif.pages) <= page:
                data = data.reshape(-1, *keyframe.shape)[page]
    except Exception as error:  # tifffile and its codecs raise what they like
        failures.append(f"{files[number].name}: {_said(error)}")
        return None
    return _grey(data, keyframe, failures)


def _picture(files: list[Path], failures: list[str], i: int) -> np.ndarray | None:
    """Grey levels of a PNG, BMP, JPEG or PGM file."""
    try:
        with Image.open(files[i]) as picture:
            deep = picture.mode.startswith("I")
            data = np.asarray(picture if deep or picture.mode == "L" else picture.convert("RGB"))
    except Exception as error:  # Pillow raises what it likes on damage
        failures.append(f"{files[i].name}: {_said(error)}")
        return None
    return luma(np.ascontiguousarray(data)) if data.ndim == 3 else data


# --- units ---


def _units(tif: tifffile.TiffFile) -> tuple[dict[str, tuple[float, str]], np.ndarray | None]:
    """Pixel size (um) and frame rate (1/s) with their place in the file, and time stamps (s).

    The first that says it counts: OME, ImageJ, our own stacks, then the TIFF resolution tags.
    """
    found: dict[str, tuple[float, str]] = {}
    times = None
    if tif.ome_metadata:
        ome, times = _ome(tif.ome_metadata)
        found = ome | found
    imagej = tif.imagej_metadata or {}
    found = _imagej(imagej, tif) | found
    own = (tif.shaped_metadata or [{}])[0]
    if (rate := _positive(own.get("fps"))) is not None:
        found.setdefault("frame_rate", (rate, "file: fps"))
    if (um := _resolution(tif)) is not None and not imagej.get("unit"):
        found.setdefault("um_per_px", (um, "file: TIFF resolution"))
    return found, times


def _ome(text: str) -> tuple[dict[str, tuple[float, str]], np.ndarray | None]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return {}, None
    pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return {}, None
    found = {}
    size, unit = (
        _positive(pixels.get("PhysicalSizeX")),
        LENGTHS.get(pixels.get("PhysicalSizeXUnit", "µm")),
    )
    if size and unit:
        high = _positive(pixels.get("PhysicalSizeY"))
        high_unit = LENGTHS.get(pixels.get("PhysicalSizeYUnit", "µm"))
        if high and high_unit:
            check_square(size * unit, high * high_unit, "OME")
        found["um_per_px"] = (size * unit, "file: OME")
    step, unit = (
        _positive(pixels.get("TimeIncrement")),
        TIMES.get(pixels.get("TimeIncrementUnit", "s")),
    )
    planes = [e for e in pixels if e.tag.rpartition("}")[2] == "Plane" and e.get("DeltaT")]
    at = sorted(
        {float(p.get("DeltaT")) * TIMES.get(p.get("DeltaTUnit", "s"), math.nan) for p in planes}
    )
    times = np.array(at) - at[0] if len(at) > 1 and np.isfinite(at).all() else None
    if step and unit:
        found["frame_rate"] = (1 / (step * unit), "file: OME")
    elif times is not None:
        found["frame_rate"] = (1 / float(np.median(np.diff(times))), "file: OME time stamps")
    return found, times


def _imagej(meta: dict, tif: tifffile.TiffFile) -> dict[str, tuple[float, str]]:
    """ImageJ's frame interval goes before its fps, which is the speed at which Fiji plays the
    stack.
    """
    found = {}
    step, unit = (
        _positive(meta.get("finterval")),
        TIMES.get(str(meta.get("tunit") or "sec").strip().lower()),
    )
    if step and unit:
        found["frame_rate"] = (1 / (step * unit), "file: ImageJ frame interval")
    elif (rate := _positive(meta.get("fps"))) is not None:
        found["frame_rate"] = (rate, "file: ImageJ fps")
    unit = LENGTHS.get(str(meta.get("unit")).strip().lower())
    ratio = _ratio(tif)
    if unit and ratio:
        check_square(1 / ratio, 1 / (_ratio(tif, "YResolution") or ratio), "ImageJ")
        found["um_per_px"] = (unit / ratio, "file: ImageJ")
    return found


def _resolution(tif: tifffile.TiffFile) -> float | None:
    """Pixel size by the resolution tags in um; None where it is none of a microscope."""
    tags = tif.pages[0].tags
    code = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 2
    unit = {2: LENGTHS["inch"], 3: LENGTHS["cm"]}.get(code)
    ratio = _ratio(tif)
    if not unit or not ratio:
        return None
    um = unit / ratio
    if not PIXELS_UM[0] <= um <= PIXELS_UM[1]:
        return None
    check_square(um, unit / (_ratio(tif, "YResolution") or ratio), "TIFF resolution")
    return um


def _ratio(tif: tifffile.TiffFile, tag: str = "XResolution") -> float | None:
    """Pixels for each unit of length along x, or as another tag tells."""
    tags = tif.pages[0].tags
    if tag not in tags:
        return None
    above, below = tags[tag].value
    return above / below if above and below else None


def _positive(value: object) -> float | None:
    """A finite number above 0, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None
