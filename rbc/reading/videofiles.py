"""Video files (AVI, MP4, MKV, WebM, raw streams, GIF) by PyAV, as a `Reel`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np

from rbc import RbcError
from rbc.reading.reel import Numbered, Reel, check_square, first_whole, luma

#: a decoder mends damage silently unless told to check and to refuse
STRICT = {"err_detect": "crccheck+explode"}
#: broadcast luma (16 to 235) on the full scale
LIMITED = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
#: codecs of which each packet is one frame, besides those that say so
ALONE = ("ffv1", "png", "huffyuv", "ffvhuff", "utvideo")
#: streams without a container: their frame rate is the reader's guess, not the file's word
BARE = ("h264", "hevc", "mjpeg", "mpegvideo", "m4v", "av1", "obu", "rawvideo")
LONG = 1.5  #: a step between frames longer than this many usual ones lost a frame
#: standard deviation of the steps, in usual steps, from which the rate is said to vary
UNEVEN = 0.1


@dataclass(frozen=True)
class Stamps:
    """Time stamps of all frames: `ticks` in order (None where packets have none), frames there, s a
    tick.
    """

    ticks: list[int] | None
    n: int
    tick: float


def open_video(path: Path) -> Reel:
    """Open a video file.

    Raises `RbcError` where it holds no video or no frame of it can be decoded.
    """
    with opened(path) as box:
        if not box.streams.video:
            raise RbcError(f"{path}: the file holds no video stream")
        stream = box.streams.video[0]
        if stream.codec_context is None:
            raise RbcError(
                f"{path}: no decoder for its codec; convert it: ffmpeg -i IN -c:v ffv1 OUT.avi"
            )
        codec = stream.codec_context.name
        bare = box.format.name in BARE
        if aspect := stream.sample_aspect_ratio:
            check_square(float(aspect), 1.0, "the video's aspect ratio")
        announced = stream.frames
        average = float(stream.average_rate) if stream.average_rate else None
        said = {key.lower(): value for key, value in box.metadata.items()}
        stamps = _stamps(path, box, stream)
    times = None if bare else _times(stamps, average)
    failures: list[str] = []
    read = partial(_read, path, stamps, failures)
    first = first_whole(read())
    if first is None:
        why = f": {failures[0]}" if failures else ""
        raise RbcError(f"{path}: none of its frames could be decoded as {codec}{why}")
    rate = None if bare else _rate(times, average)
    notes = notes_on_times(announced, stamps.n, times)
    return Reel(
        n_frames=stamps.n,
        shape=first.shape,
        read=read,
        pick=partial(_pick, path, stamps),
        times=times,
        units={} if rate is None else {"frame_rate": (rate, "file: container")},
        simulated=said.get("comment") == "simulated",
        notes=notes,
    )


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """A video file, whatever its name holds: a colon is no protocol, and names need not be
    UTF-8.
    """
    full = os.path.abspath(path)
    try:
        full.encode("utf-8")
    except UnicodeEncodeError:
        with open(full, "rb") as file, _quiet(), av.open(file) as box:
            yield box
        return
    with _quiet(), av.open(f"file:{full}") as box:
        yield box


@contextmanager
def _quiet() -> Iterator[None]:
    """Damaged frames are reported by us, once, not by the decoder on every packet."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    try:
        yield
    finally:
        av.logging.set_level(level)


# --- time stamps ---


def _stamps(
    path: Path, box: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Stamps:
    """Time stamps of all packets: from the index of an AVI file, which is quick, else by reading
    the packets.
    """
    tick = float(stream.time_base) if stream.time_base else 0.0
    if box.format.name == "avi" and _each_alone(stream):
        size = os.stat(path).st_size
        ticks = sorted(
            {e.timestamp for e in stream.index_entries if e.size > 0 and e.pos + e.size <= size}
        )
        # else there is no index, only what was met so far
        if ticks and ticks[-1] + 1 >= stream.frames:
            return Stamps(ticks, len(ticks), tick)
    try:
        packets = [
            packet.pts for packet in box.demux(stream) if packet.size and not packet.is_discard
        ]
    except av.error.FFmpegError:
        packets = []
    if box.format.name == "avi" and not _each_alone(stream):
        # AVI numbers packets, which are in another order than the frames
        return Stamps(None, len(packets), tick)
    known = sorted({pts for pts in packets if pts is not None})
    in_full = None not in packets and len(known) == len(packets) > 0 and tick > 0
    return Stamps(known if in_full else None, len(packets), tick)


def _times(stamps: Stamps, average: float | None) -> np.ndarray | None:
    """Seconds from the first frame; on the grid of the announced rate where they only miss it by a
    tick.
    """
    if stamps.ticks is None:
        return None
    times = (np.array(stamps.ticks, float) - stamps.ticks[0]) * stamps.tick
    if average:
        on_grid = np.round(times * average)
        if (abs(times - on_grid / average) <= stamps.tick * 1.01).all() and (
            np.diff(on_grid) > 0
        ).all():
            return on_grid / average
    return times


def _rate(times: np.ndarray | None, average: float | None) -> float | None:
    """Frames/s: by the usual step, because lost frames and pauses pull an average down."""
    if times is None or len(times) < 2:
        return average
    usual = 1 / float(np.median(np.diff(times)))
    return average if average and abs(usual / average - 1) < 0.02 else usual


def notes_on_times(announced: int, n: int, times: np.ndarray | None) -> tuple[str, ...]:
    """What the user should know of a movie's length and its time stamps.

    Parameters
    ----------
    announced, n : frames that the file promises, and that are there
    times : (n,) s; None where there are no time stamps
    """
    notes = []
    if announced > n:
        notes.append(f"the movie ends after {n} of {announced} announced frames")
    if times is not None and len(times) > 2:
        steps = np.diff(times)
        usual = float(np.median(steps))
        lost = np.round(steps / usual - 1)[steps > LONG * usual].sum()
        if lost:
            notes.append(
                f"time stamps: {lost:.0f} frames are missing in {(steps > LONG * usual).sum()} gaps"
            )
        even = steps[steps <= LONG * usual]
        if even.std() > UNEVEN * usual:
            notes.append(
                f"the frame rate varies: {1 / even.max():.3g} to {1 / even.min():.3g} frames/s"
            )
    return tuple(notes)


# --- frames ---


def _read(path: Path, stamps: Stamps, failures: list[str]) -> Iterator[Numbered]:
    """Decode all frames; each one that the file holds has its number, also where it is damaged."""
    numbers = None if stamps.ticks is None else {tick: i for i, tick in enumerate(stamps.ticks)}
    due = 0  # the next number
    with opened(path) as box:
        stream = box.streams.video[0]
        stream.codec_context.options = STRICT
        alone = _each_alone(stream)
        for packet in box.demux(stream):
            if packet.is_discard:
                continue
            for tick, grey in _decode(packet, alone, failures):
                number = due if numbers is None or tick is None else numbers.get(tick, due)
                if number < due:
                    continue
                yield from ((i, None) for i in range(due, number))
                yield number, grey
                due = number + 1
    if numbers is not None:
        yield from ((i, None) for i in range(due, stamps.n))


def _each_alone(stream: av.video.stream.VideoStream) -> bool:
    """Whether every packet is one frame, so that seeking is cheap and an empty answer is a damaged
    frame.
    """
    codec = stream.codec_context.codec
    return codec.intra_only or codec.name in ALONE


def _pick(path: Path, stamps: Stamps, numbers: list[int]) -> list[np.ndarray | None]:
    """Seek to each number and decode from the key frame before it."""
    with opened(path) as box:
        stream = box.streams.video[0]
        # comes with the first packet only: no seeking
        palette = stream.codec_context.pix_fmt == "pal8"
        if stamps.ticks is None or palette or not _each_alone(stream):
            return [None] * len(numbers)
        return [_seek(box, stream, stamps.ticks[i]) if i < stamps.n else None for i in numbers]


def _seek(
    box: av.container.InputContainer, stream: av.video.stream.VideoStream, tick: int
) -> np.ndarray | None:
    try:
        box.seek(tick, stream=stream)
        for packet in box.demux(stream):
            for at, frame in _decode(packet, True, []):
                if at is not None and at >= tick:
                    return frame if at == tick else None
    except av.error.FFmpegError:
        pass
    return None


def _decode(
    packet: av.Packet, alone: bool, failures: list[str]
) -> list[tuple[int | None, np.ndarray | None]]:
    """Ticks and grey frames in a packet; (tick, None) where it is damaged, which `failures` then
    tells.
    """
    at = packet.dts if packet.pts is None else packet.pts
    try:
        frames = packet.decode()
    except av.error.FFmpegError as error:
        failures.append(str(error.strerror))
        return [(at, None)] if packet.size else []
    if alone and packet.size and not frames:
        return [(at, None)]
    return [(at if f.pts is None else f.pts, None if f.is_corrupt else _grey(f)) for f in frames]


def _grey(frame: av.VideoFrame) -> np.ndarray:
    """Grey levels of a decoded frame: (H, W) uint8 or uint16.

    YUV gives its luma, RGB and palettes Rec. 601 luma.
    """
    name = frame.format.name
    if name.startswith("gray") and name.endswith("be"):
        return frame.reformat(format=name[:-2] + "le").to_ndarray()
    if name == "gray" or (name.startswith("gray") and name.endswith("le") and "f" not in name):
        return frame.to_ndarray()
    if name == "pal8":
        levels, palette = frame.to_ndarray()
        return luma(palette[None, :, 1:])[0][levels]
    if name.startswith(("yuv4", "yuvj4", "nv12")) and not name.endswith(("le", "be")):
        full = name.startswith("yuvj") or frame.color_range == av.video.reformatter.ColorRange.JPEG
        levels = _plane(frame)
        return levels if full else LIMITED[levels]
    rgb = frame.to_ndarray() if name in ("rgb24", "bgr24") else frame.to_ndarray(format="rgb24")
    return luma(rgb[..., ::-1]) if name == "bgr24" else luma(rgb)


def _plane(frame: av.VideoFrame) -> np.ndarray:
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()
