"""Movies in sixty and more formats, tiny and simulated, each with what reading it must give.

`READ` names movies that must be read to the grey levels given, `REFUSED` those that must end in one
line with a reason. A writer takes a folder and the frames ((8, 40, 64) uint8) and returns the path
to open.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import tifffile
from PIL import Image

Writer = Callable[[Path, np.ndarray], Path]
READ: dict[str, Writer] = {}
CLOSE: dict[str, Writer] = {}  #: read, but for the rounding of a lossy codec or of colours
REFUSED: dict[str, tuple[Writer, str]] = {}
RAMP = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def frames(n: int = 8) -> np.ndarray:
    """Moving discs on an uneven background: (n, 40, 64) uint8."""
    y, x = np.mgrid[0:40, 0:64]
    out = []
    for i in range(n):
        disc = np.hypot(x - 12 - 4 * i, y - 18) < 6
        ring = np.hypot(x - 40 - 2 * i, y - 28) < 4
        out.append(110 + x / 8 + y / 8 - 30 * disc + 25 * ring)
    return np.stack(out).astype(np.uint8)


def read(name: str, into: dict = READ) -> Callable[[Writer], Writer]:
    def register(writer: Writer) -> Writer:
        into[name] = writer
        return writer

    return register


def refused(name: str, reason: str) -> Callable[[Writer], Writer]:
    def register(writer: Writer) -> Writer:
        REFUSED[name] = (writer, reason)
        return writer

    return register


# --- AVI by hand ---


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def avi(
    path: Path,
    shown: list[np.ndarray | None],
    palette: np.ndarray | None = RAMP,
    colours: int | None = None,
    bottom_up: bool = True,
    announced: int | None = None,
    index: bool = True,
    code: int = 0,
) -> Path:
    """An uncompressed AVI of 8 bits; None among the frames is an empty chunk, as cameras write for
    a lost frame.
    """
    height, width = shown[0].shape
    stride = (width + 3) // 4 * 4
    table = b"" if palette is None else np.pad(palette[:, ::-1], ((0, 0), (0, 1))).tobytes()
    n = len(shown) if announced is None else announced
    used = len(table) // 4 if colours is None else colours
    rows = height if bottom_up else -height
    picture = (
        struct.pack("<IiiHHIIiiII", 40, width, rows, 1, 8, code, stride * height, 0, 0, used, 0)
        + table
    )
    stream = b"vidsDIB " + struct.pack(
        "<IHHIIIIIIII4h", 0, 0, 0, 0, 1, 60, 0, n, 0, 2**32 - 1, 0, 0, 0, width, height
    )
    whole = struct.pack("<14I", 16_667, 0, 0, 16, n, 0, 1, 0, width, height, 0, 0, 0, 0)
    streams = chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", picture))
    movi, entries = b"movi", b""
    for frame in shown:
        data = b""
        if frame is not None:
            padded = np.pad(frame, ((0, 0), (0, stride - width)))
            data = (padded[::-1] if bottom_up else padded).tobytes()
        entries += b"00db" + struct.pack("<III", 16, len(movi), len(data))
        movi += chunk(b"00db", data)
    body = (
        b"AVI " + chunk(b"LIST", b"hdrl" + chunk(b"avih", whole) + streams) + chunk(b"LIST", movi)
    )
    path.write_bytes(chunk(b"RIFF", body + (chunk(b"idx1", entries) if index else b"")))
    return path


INVERTED = RAMP[::-1].copy()


@read("AVI, palette a ramp")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown))


@read("AVI, palette inverted")
def _(folder, shown):
    return avi(folder / "m.avi", list(255 - shown), INVERTED)


@read("AVI, palette of 256 announced as 0 colours")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown), colours=0)


@read("AVI, palette of 160 colours")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown), RAMP[:160])


@read("AVI, palette, top row first")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown), bottom_up=False)


@read("AVI, palette, no index")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown), index=False)


@read("AVI, palette, odd width")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown[:, :, :64]), index=True)


@read("AVI that announces no frame")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown), announced=0)


@read("AVI that announces 3000 of 8")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown), announced=3000)


@read("AVI that announces 3000 of 8, no index")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown), announced=3000, index=False)


# --- by PyAV ---


def encoded(
    path: Path,
    shown: np.ndarray,
    codec: str,
    pixels: str,
    kind: str | None = None,
    rate: int = 60,
    **o: str,
):
    """A movie by an encoder; `pts` among the options are the ticks (1/600 s) of its frames."""
    ticks = o.pop("pts", None)
    with av.open(str(path), "w", format=kind) as box:
        stream = box.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *shown.shape[1:3], pixels
        stream.options = o
        for i, picture in enumerate(shown):
            made = {"gray": "gray", "gray16le": "gray16le"}.get(
                pixels, "gray" if picture.ndim == 2 else "rgb24"
            )
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=made).reformat(
                format=pixels
            )
            if ticks:
                from fractions import Fraction

                stream.codec_context.time_base = Fraction(1, 600)
                frame.pts, frame.time_base = ticks[i], Fraction(1, 600)
            box.mux(stream.encode(frame))
        box.mux(stream.encode(None))
    return path


for _name, _file, _codec, _pixels in (
    ("MKV, FFV1: no announced length", "m.mkv", "ffv1", "gray"),
    ("AVI, FFV1", "m.avi", "ffv1", "gray"),
    ("AVI, HuffYUV in RGB", "m.avi", "huffyuv", "rgb24"),
    ("AVI, PNG", "m.avi", "png", "gray"),
    ("MOV, PNG in RGB", "m.mov", "png", "rgb24"),
    ("AVI, raw RGB", "m.avi", "rawvideo", "bgr24"),
    ("NUT, raw grey", "m.nut", "rawvideo", "gray"),
    ("MKV, FFV1 in planar RGB", "m.mkv", "ffv1", "gbrp14le"),
    ("AVI, extension in capitals", "M.AVI", "ffv1", "gray"),
    ("AVI with a colon in its name", "12:30:05.avi", "ffv1", "gray"),
    ("AVI with the name of a protocol", "concat:a|b.avi", "ffv1", "gray"),
    ("AVI with per cent and spaces", "50 % %03d.avi", "ffv1", "gray"),
):

    @read(_name)
    def _(folder, shown, file=_file, codec=_codec, pixels=_pixels):
        kind = None if file[0] == "m" else "avi"
        made = encoded(folder / f"made{Path(file).suffix.lower()}", shown, codec, pixels, kind)
        return made.rename(folder / file)


for _name, _file, _codec, _pixels, _kind in (
    ("WebM, VP9: no announced length", "m.webm", "libvpx-vp9", "yuv420p", None),
    ("MP4, H.264 with B-frames", "m.mp4", "libx264", "yuv420p", None),
    ("raw H.264 stream", "m.h264", "libx264", "yuv420p", None),
    ("raw MJPEG stream", "m.mjpeg", "mjpeg", "yuvj420p", None),
    ("MP4 named AVI", "m.avi", "libx264", "yuv420p", "mp4"),
    ("MKV, FFV1 of 10 bit YUV", "m.mkv", "ffv1", "yuv420p10le", None),
    ("MPEG-TS", "m.ts", "libx264", "yuv420p", None),
):

    @read(_name, CLOSE)
    def _(folder, shown, file=_file, codec=_codec, pixels=_pixels, kind=_kind):
        options = {"crf": "1"} if codec != "mjpeg" else {"qmin": "1", "qmax": "1"}
        return encoded(folder / file, shown, codec, pixels, kind, **options)


@read("GIF", CLOSE)
def _(folder, shown):
    pictures = [Image.fromarray(frame) for frame in shown]
    pictures[0].save(
        folder / "m.gif", save_all=True, append_images=pictures[1:], duration=50, loop=0
    )
    return folder / "m.gif"


@read("MKV, 16 bit, 12 used")
def _(folder, shown):
    return encoded(folder / "m.mkv", shown.astype(np.uint16) << 4, "ffv1", "gray16le")


@read("a name in Latin-1")
def _(folder, shown):
    path = os.fsencode(folder) + b"/\xe9rythrocyte.avi"
    os.rename(avi(folder / "m.avi", list(shown)), path)
    return Path(os.fsdecode(path))


# --- TIFF ---


def tiff(
    name: str,
    change: Callable[[np.ndarray], np.ndarray] = lambda x: x,
    into: dict = READ,
    **options,
) -> None:
    """Register a TIFF stack written by tifffile with some options."""

    @read(name, into)
    def _(folder, shown):
        tifffile.imwrite(folder / "m.tif", change(shown), **options)
        return folder / "m.tif"


def deep(shown: np.ndarray, factor: int = 16, plus: int = 0) -> np.ndarray:
    return shown.astype(np.uint16) * factor + plus


def doubled(shown: np.ndarray) -> np.ndarray:
    return np.repeat(shown[..., None], 3, axis=3)


tiff("TIFF")
tiff("TIFF, big-endian, 8 bit", byteorder=">")
tiff("TIFF, big-endian, 16 bit", deep, byteorder=">")
tiff("TIFF, ImageJ 16 bit", deep, imagej=True)
tiff("TIFF, MINISWHITE", lambda x: 255 - x, photometric="miniswhite")
tiff("TIFF, MINISWHITE, 16 bit", lambda x: 65535 - deep(x, 256), photometric="miniswhite")
tiff(
    "TIFF, MINISWHITE, compressed", lambda x: 255 - x, photometric="miniswhite", compression="zlib"
)
_TABLE = np.ascontiguousarray(RAMP.T.astype(np.uint16) * 257)
tiff("TIFF, palette a ramp", photometric="palette", colormap=_TABLE)
tiff(
    "TIFF, palette inverted",
    lambda x: 255 - x,
    photometric="palette",
    colormap=_TABLE[:, ::-1].copy(),
)
tiff("TIFF, LZW", compression="lzw")
tiff("TIFF, LZW with predictor, 16 bit", deep, compression="lzw", predictor=True)
tiff("TIFF, PackBits", compression="packbits")
tiff("TIFF, Zstandard", compression="zstd")
tiff("TIFF, LZMA", compression="lzma")
tiff("TIFF, JPEG", into=CLOSE, compression="jpeg", compressionargs={"level": 98})
tiff("TIFF, JPEG 2000, lossless", compression="jpeg2000")
tiff("TIFF, tiled", tile=(16, 16))
tiff("TIFF, strips of three rows", rowsperstrip=3)
tiff("TIFF, BigTIFF", bigtiff=True)
tiff("TIFF, RGB", doubled, photometric="rgb")
tiff(
    "TIFF, planar RGB",
    lambda x: np.repeat(x[:, None], 3, axis=1),
    photometric="rgb",
    planarconfig="separate",
)
tiff("TIFF, RGB of 16 bit", lambda x: deep(doubled(x), 256), photometric="rgb")
tiff(
    "TIFF, RGB and alpha",
    lambda x: np.concatenate([doubled(x), np.full((*x.shape, 1), 255, np.uint8)], 3),
    photometric="rgb",
    extrasamples=["unassalpha"],
)
tiff(
    "TIFF, grey and alpha",
    lambda x: np.stack([x, np.full_like(x, 255)], 3),
    photometric="minisblack",
    planarconfig="contig",
    extrasamples=["unassalpha"],
)
tiff("TIFF of (H, W, 1)", lambda x: x[..., None], photometric="minisblack")
tiff("TIFF, 16 bit, signed made unsigned by 32768", lambda x: deep(x, 4, 32768))
tiff("TIFF, signed 16 bit", lambda x: deep(x, 4).astype(np.int16))
tiff("TIFF, 32 bit whole numbers", lambda x: deep(x, 16).astype(np.uint32))
tiff("TIFF, OME", ome=True, metadata={"axes": "TYX"})
tiff("TIFF, OME, Z called for T", ome=True, metadata={"axes": "ZYX"})
tiff("TIFF, ImageJ hyperstack in time", imagej=True, metadata={"axes": "TYX"})
tiff("TIFF with a thumbnail's resolution tags", resolution=(72, 72), resolutionunit="inch")


@read("TIFF, more pages announced than there")
def _(folder, shown):
    tifffile.imwrite(folder / "long.tif", np.concatenate([shown, shown]), imagej=True)
    data = (folder / "long.tif").read_bytes()
    with tifffile.TiffFile(folder / "long.tif") as tif:
        start = tif.series[0].dataoffset
    (folder / "m.tif").write_bytes(data[: start + shown.nbytes + 100])
    return folder / "m.tif"


@read("TIFF named .lsm of capitals")
def _(folder, shown):
    tifffile.imwrite(folder / "m.tif", shown)
    return (folder / "m.tif").rename(folder / "M.TIFF")


@read("TIFF without an extension")
def _(folder, shown):
    tifffile.imwrite(folder / "m.tif", shown)
    return (folder / "m.tif").rename(folder / "movie")


def sheets(folder: Path, shown: np.ndarray, name: str = "f{}.tif", **options) -> Path:
    (folder / "frames").mkdir()
    for i, frame in enumerate(shown):
        tifffile.imwrite(folder / "frames" / name.format(i), frame, **options)
    return folder / "frames"


@read("folder of frames, not padded")
def _(folder, shown):
    (folder / "frames").mkdir()
    for i, frame in enumerate(shown):
        tifffile.imwrite(folder / "frames" / f"f{i + 6}.tif", frame)
    return folder / "frames"


@read("folder with companions of macOS and a text")
def _(folder, shown):
    made = sheets(folder, shown)
    for i in range(8):
        (made / f"._f{i}.tif").write_bytes(b"\0\5\x16\7Mac OS X")
    (made / "notes.txt").write_text("mine", encoding="utf-8")
    (made / ".DS_Store").write_bytes(b"x")
    return made


@read("folder of extensions in several cases")
def _(folder, shown):
    made = sheets(folder, shown)
    for i in (1, 4):
        (made / f"f{i}.tif").rename(made / f"f{i}.TIF")
    return made


@read("folder of stacks")
def _(folder, shown):
    (folder / "stacks").mkdir()
    for i, part in enumerate(np.split(shown, [3, 6])):
        tifffile.imwrite(folder / "stacks" / f"part{i}.tif", part, photometric="minisblack")
    return folder / "stacks"


@read("folder of ImageJ stacks")
def _(folder, shown):
    (folder / "stacks").mkdir()
    for i, part in enumerate(np.split(shown, 2)):
        tifffile.imwrite(
            folder / "stacks" / f"part{i}.tif", part, imagej=True, metadata={"axes": "TYX"}
        )
    return folder / "stacks"


@read("folder of big-endian frames, MINISWHITE")
def _(folder, shown):
    return sheets(folder, 255 - shown, byteorder=">", photometric="miniswhite")


def ome_set(folder: Path, shown: np.ndarray) -> Path:
    """OME-TIFF of two files that name each other."""
    (folder / "set").mkdir()
    names, ids = (
        ("a.ome.tif", "b.ome.tif"),
        ("urn:uuid:" + "a" * 8 + "-0-0-0-0", "urn:uuid:" + "b" * 8 + "-0-0-0-0"),
    )
    half = len(shown) // 2
    data = "".join(
        f'<TiffData FirstT="{i}" IFD="{i % half}" PlaneCount="1"><UUID'
        f' FileName="{names[i // half]}">{ids[i // half]}'
        "</UUID></TiffData>"
        for i in range(len(shown))
    )
    for k, name in enumerate(names):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
            f' UUID="{ids[k]}">'
            '<Image ID="Image:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint8"'
            f' SizeX="{shown.shape[2]}" '
            f'SizeY="{shown.shape[1]}" SizeZ="1" SizeC="1" SizeT="{len(shown)}"><Channel'
            f' ID="C:0"/>{data}'
            "</Pixels></Image></OME>"
        )
        part = shown[k * half : (k + 1) * half]
        tifffile.imwrite(
            folder / "set" / name, part, description=xml, metadata=None, photometric="minisblack"
        )
    return folder / "set"


@read("OME-TIFF of two files, by its folder")
def _(folder, shown):
    return ome_set(folder, shown)


@read("OME-TIFF of two files, by its first")
def _(folder, shown):
    return ome_set(folder, shown) / "a.ome.tif"


for _kind in ("png", "bmp", "pgm"):

    @read(f"folder of {_kind.upper()} frames")
    def _(folder, shown, kind=_kind):
        (folder / "frames").mkdir()
        for i, frame in enumerate(shown):
            Image.fromarray(frame).save(folder / "frames" / f"f{i}.{kind}")
        return folder / "frames"


@read("folder of names in mixed case")
def _(folder, shown):
    made = sheets(folder, shown, "img{}.tif")
    for i in range(0, 8, 2):
        (made / f"img{i}.tif").rename(made / f"IMG{i:03}.TIF")
    return made


@read("folder of numbers below zero")
def _(folder, shown):
    made = sheets(folder, shown)
    for i in range(8):
        (made / f"f{i}.tif").rename(made / f"f_{i - 4:04}.tif")
    return made


@read("folder of PNG frames and the same as JPEG")
def _(folder, shown):
    made = folder / "frames"
    made.mkdir()
    for i, frame in enumerate(shown):
        Image.fromarray(frame).save(made / f"f{i}.png")
        Image.fromarray(255 - frame).save(made / f"f{i}.jpg")
    return made


# --- formats of makers: written by the library that reads them, or by hand to the layout ---


@read("Photron .mraw and .cih")
def _(folder, shown):
    shown.tofile(folder / "m.mraw")
    return photron(folder, 8)


@read("Photron .mraw of 12 bits")
def _(folder, shown):
    first, second = shown.astype(np.uint16).reshape(-1, 2).T << 4
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1)
    packed.astype(np.uint8).tofile(folder / "m.mraw")
    return photron(folder, 12)


def photron(folder: Path, bits: int) -> Path:
    """The settings of a .mraw file of 8 frames."""
    text = f"Total Frame : 8\nImage Width : 64\nImage Height : 40\nColor Bit : {bits}\n"
    text += "Color Type : Mono\nRecord Rate(fps) : 500\n"
    (folder / "m.cih").write_text(text)
    return folder / "m.mraw"


@read("Norpix .seq")
def _(folder, shown):
    header = bytearray(1024)
    header[:4] = b"\xed\xfe\0\0"
    struct.pack_into("<i", header, 28, 3)
    struct.pack_into("<9I", header, 548, 64, 40, 8, 8, 2560, 100, 8, 0, 2568)
    struct.pack_into("<d", header, 584, 100.0)
    stamps = [struct.pack("<iHH", 1_700_000_000, 10 * i, 0) for i in range(8)]
    frames = b"".join(frame.tobytes() + at for frame, at in zip(shown, stamps, strict=True))
    (folder / "m.seq").write_bytes(bytes(header) + frames)
    return folder / "m.seq"


@read("Zeiss .czi")
def _(folder, shown):
    from pylibCZIrw import czi

    with czi.create_czi(str(folder / "m.czi")) as file:
        for i, frame in enumerate(shown):
            file.write(frame[:, :, None], plane={"T": i, "C": 0, "Z": 0})
        file.write_metadata("m", scale_x=6e-7, scale_y=6e-7)
    return folder / "m.czi"


@read("Leica .lif")
def _(folder, shown):
    def dimension(axis: int, n: int, length: float, unit: str, step: int) -> str:
        return (
            f'<DimensionDescription DimID="{axis}" NumberOfElements="{n}" Origin="0"'
            f' Length="{length}" Unit="{unit}" BytesInc="{step}" BitInc="0"/>'
        )

    dimensions = dimension(1, 64, 63 * 6e-7, "m", 1) + dimension(2, 40, 39 * 6e-7, "m", 64)
    dimensions += dimension(4, 8, 7 / 60, "s", 2560)
    text = (
        '<LMSDataContainerHeader Version="2"><Element Name="m" Visibility="1"><Data/>'
        '<Memory Size="0"/><Children><Element Name="film"><Data><Image><ImageDescription>'
        '<Channels><ChannelDescription DataType="0" ChannelTag="0" Resolution="8" BytesInc="0"'
        ' NameOfMeasuredQuantity="" Min="0" Max="255" Unit="" LUTName=""'
        ' IsLUTInverted="0" BitInc="0"/>'
        f"</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{shown.size}" MemoryBlockID="Mem_1"/></Element></Children></Element>'
        "</LMSDataContainerHeader>"
    )
    parts = [struct.pack("<IIBI", 0x70, 2 * len(text) + 5, 0x2A, len(text))]
    parts += [text.encode("utf-16-le")]
    parts += [struct.pack("<IIBQBI", 0x70, 24, 0x2A, shown.size, 0x2A, 5)]
    parts += ["Mem_1".encode("utf-16-le"), shown.tobytes()]
    (folder / "m.lif").write_bytes(b"".join(parts))
    return folder / "m.lif"


@read("DICOM")
def _(folder, shown):
    return dicom(folder / "m.dcm", shown, "MONOCHROME2")


@read("DICOM in which 0 is white, under another name")
def _(folder, shown):
    return dicom(folder / "IM0001", 255 - shown, "MONOCHROME1")


def dicom(path: Path, shown: np.ndarray, meaning: str) -> Path:
    """A DICOM file of several frames of 8 bits, 60 a second, 0.6 um a pixel."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    about = Dataset()
    about.file_meta = FileMetaDataset()
    about.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    about.SOPClassUID, about.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7.2", generate_uid()
    about.NumberOfFrames, about.Rows, about.Columns = shown.shape
    about.SamplesPerPixel, about.PhotometricInterpretation = 1, meaning
    about.BitsAllocated = about.BitsStored = 8
    about.HighBit, about.PixelRepresentation = 7, 0
    about.PixelSpacing, about.FrameTime = [0.0006, 0.0006], "16.6667"
    about.PixelData = shown.tobytes()
    about.save_as(path, enforce_file_format=True)
    return path


# --- refused ---


@refused("a folder of frames of two kinds", "keep the frames of one kind")
def _(folder, shown):
    made = sheets(folder, shown)
    for i in range(3):
        Image.fromarray(shown[i]).save(made / f"other{i}.png")
    return made


def bytes_file(name: str, file: str, data: bytes, reason: str) -> None:
    @refused(name, reason)
    def _(folder, shown):
        (folder / file).write_bytes(data)
        return folder / file


for damaged in ("nd2", "czi", "LIF", "seq", "cine", "dcm"):
    bytes_file(
        f"damaged {damaged}", f"m.{damaged}", b"\xda\xce\xbe\n" * 300, "not a readable movie"
    )
bytes_file("mraw without its settings", "m.mraw", b"1234" * 99, "cihx")
bytes_file("spe", "m.spe", b"1234" * 99, "LightField")
bytes_file("sif", "m.sif", b"Andor Technology Multi-Channel File", "Solis")
bytes_file("rtdc", "m.rtdc", b"\x89HDF" * 99, "each cell once")
bytes_file("an array of numpy", "m.npy", b"\x93NUMPY" * 9, "write it as TIFF")
bytes_file("empty AVI", "m.avi", b"", "empty")
bytes_file("empty TIFF", "m.tif", b"", "empty")
bytes_file("a web page", "m.avi", b"<!DOCTYPE html><html></html>", "web page")
bytes_file(
    "a pointer of Git LFS", "m.avi", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"
)
bytes_file("a zip archive", "m.avi", b"PK\x03\x04" * 20, "unpack")
bytes_file("noise named AVI", "m.avi", bytes(range(256)) * 9, "not a readable movie")
bytes_file("text named TIFF", "m.tif", b"hello, this is no TIFF", "named as TIFF")
bytes_file("TIFF header alone", "m.tif", b"II*\0\x08\0\0\0", "m.tif")


def bad_tiff(name: str, reason: str, change: Callable[[np.ndarray], np.ndarray], **options) -> None:
    @refused(name, reason)
    def _(folder, shown):
        tifffile.imwrite(folder / "m.tif", change(shown), **options)
        return folder / "m.tif"


def beside(shown: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.stack([shown, 255 - shown], axis)


bad_tiff("two channels, OME", "2 channels", beside, ome=True, metadata={"axes": "TCYX"})
bad_tiff("two channels, ImageJ", "2 channels", beside, imagej=True, metadata={"axes": "TCYX"})
bad_tiff("planes and times", "2 planes", beside, ome=True, metadata={"axes": "TZYX"})
bad_tiff("planes and times, ImageJ", "2 planes", beside, imagej=True, metadata={"axes": "TZYX"})
bad_tiff(
    "OME pixels that are not square",
    "not square",
    lambda x: x,
    ome=True,
    metadata={"axes": "TYX", "PhysicalSizeX": 0.6, "PhysicalSizeY": 0.52},
)
bad_tiff(
    "TIFF pixels that are not square",
    "not square",
    lambda x: x,
    resolution=(25000, 20000),
    resolutionunit="centimeter",
)
bad_tiff("float TIFF", "whole numbers", lambda x: x.astype(np.float32))
bad_tiff("complex TIFF", "whole numbers", lambda x: x.astype(np.complex64))
bad_tiff("black and white TIFF", "whole numbers", lambda x: x > 110)


def patched(folder: Path, shown: np.ndarray, tag: str, value: int) -> Path:
    """A compressed TIFF whose tag says something else in every page."""
    tifffile.imwrite(folder / "m.tif", shown, compression="lzw")
    data = (folder / "m.tif").read_bytes()
    with tifffile.TiffFile(folder / "m.tif") as tif:
        places = [page.tags[tag].valueoffset for page in tif.pages]
    for at in places:
        data = data[:at] + struct.pack("<H", value) + data[at + 2 :]
    (folder / "m.tif").write_bytes(data)
    return folder / "m.tif"


@refused("TIFF with a compression nobody knows", "could be decoded")
def _(folder, shown):
    return patched(folder, shown, "Compression", 32908)


@refused("TIFF, LZW announced as JPEG 2000", "JPEG2000")
def _(folder, shown):
    return patched(folder, shown, "Compression", 34712)


@refused("TIFF of a Bayer mosaic", "CFA")
def _(folder, shown):
    return patched(folder, shown, "PhotometricInterpretation", 32803)


@refused("video of damaged frames", "could be decoded as ffv1")
def _(folder, shown):
    path = encoded(folder / "m.avi", shown, "ffv1", "gray")
    with av.open(str(path)) as box:
        places = [(packet.pos, packet.size) for packet in box.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for start, size in places:
        data[start + 8 : start + 8 + size] = b"\x55" * size
    path.write_bytes(data)
    return path


@refused("sound alone", "no video stream")
def _(folder, shown):
    with av.open(str(folder / "m.wav"), "w") as box:
        stream = box.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        box.mux(stream.encode(frame))
        box.mux(stream.encode(None))
    return folder / "m.wav"


@refused("a pipe", "neither a file nor a folder")
def _(folder, shown):
    os.mkfifo(folder / "m.avi")
    return folder / "m.avi"


@refused("a folder of two movies", "names of 2 kinds")
def _(folder, shown):
    made = sheets(folder, shown, "run_a_{}.tif")
    for i, frame in enumerate(shown):
        tifffile.imwrite(made / f"run_b_{i}.tif", frame)
    return made


@refused("a folder of two channels", "names count in 2 places")
def _(folder, shown):
    made = sheets(folder, shown, "t{}_c0.tif")
    for i, frame in enumerate(shown):
        tifffile.imwrite(made / f"t{i}_c1.tif", frame)
    return made


@refused("an empty folder", "no TIFF frame")
def _(folder, shown):
    (folder / "frames").mkdir()
    return folder / "frames"


@refused("a folder of a movie file", "name the file itself")
def _(folder, shown):
    (folder / "frames").mkdir()
    return avi(folder / "frames" / "m.avi", list(shown)).parent


@refused("a folder of damaged frames", "none of its 8 TIFF files")
def _(folder, shown):
    made = sheets(folder, shown)
    for file in made.iterdir():
        file.write_bytes(b"no picture")
    return made


@refused("no file", "no such movie")
def _(folder, shown):
    return folder / "m.avi"


@refused("a path through a file", "no such movie")
def _(folder, shown):
    return avi(folder / "m.avi", list(shown)) / "deeper.avi"


def drop(folder: Path) -> None:
    """Remove what a case wrote."""
    shutil.rmtree(folder, ignore_errors=True)
