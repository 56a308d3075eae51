"""Data as other people's machines leave them: read right, or refused with the true reason."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from strips import LAYOUTS, made

from compendium.data import archives, ingest
from rbc import RbcError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve simulated sequences in three folders of a split each, with dataset.csv."""
    place = tmp_path / "data"
    place.mkdir()
    LAYOUTS["split_csv"](place, made(12))
    return place


def png(pixels: np.ndarray, depth: int, colour: int) -> bytes:
    """A PNG of any bit depth, which Pillow does not write: pixels are big-endian already."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(
    ("channels", "colour"), [(1, 0), (3, 2), (4, 6)], ids=["grey", "RGB", "RGB and alpha"]
)
def test_sixteen_bits_are_never_read_by_their_high_byte(folder, channels, colour) -> None:
    """A 12-bit camera's levels in 16 bits would come out nearly black, without a word."""
    strip = next((folder / "test" / "img").glob("*.png"))
    width = Image.open(strip).width
    pixels = np.full((31, width, channels), 2000, ">u2")
    strip.write_bytes(png(pixels, 16, colour))
    assert Image.open(strip).size == (width, 31)  # Pillow itself has nothing against it
    with pytest.raises(RbcError, match="16 bits a channel"):
        ingest.read(folder, simulated=True)


def test_four_bits_are_refused_too(folder) -> None:
    """Levels 0 to 15 are not those of an 8-bit camera."""
    strip = next((folder / "train" / "img").glob("*.png"))
    width = Image.open(strip).width
    strip.write_bytes(png(np.zeros((31, (width + 1) // 2), np.uint8), 4, 0))
    with pytest.raises(RbcError, match="4 bits a channel"):
        ingest.strip(strip)


@pytest.mark.parametrize("column", ["label", "sequence_name", "size"])
def test_a_column_that_is_there_twice_is_refused(folder, column) -> None:
    """Pandas takes the first and renames the second: which one is right nobody can tell."""
    file = folder / "test" / "dataset.csv"
    table = pd.read_csv(file)
    table = pd.concat([table, table[[column]].iloc[::-1].reset_index(drop=True)], axis=1)
    table.to_csv(file, index=False)
    with pytest.raises(RbcError, match=f"the column {column} is there twice"):
        ingest.read(folder, simulated=True)


def test_labels_that_may_be_counted_from_one_are_asked_about(folder) -> None:
    """1 and 2 without a 0: counted from 0 they are flipping and unreliable, from 1 they are not."""
    for file in folder.glob("*/dataset.csv"):
        table = pd.read_csv(file)
        table["label"] = table["label"].clip(0, 1) + 1
        table.to_csv(file, index=False)
    with pytest.raises(RbcError, match="whether they are counted from 0 or from 1"):
        ingest.read(folder, simulated=True)
    told = "parts: [{path: test, kind: csv, split: test}]\nlabels: {1: tank-treading, 2: flipping}"
    (folder / "layout.yaml").write_text(told, encoding="utf-8")
    assert set(ingest.read(folder, simulated=True).index["label"]) <= {"tank-treading", "flipping"}


def zipped(folder: Path, separator: str = "/") -> bytes:
    """A zip of a folder, its names written with another separator."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = zipfile.ZipInfo("x")
            name.filename = file.relative_to(folder).as_posix().replace("/", separator)
            archive.writestr(name, file.read_bytes())
    return memory.getvalue()


def test_a_zip_with_backslashes_is_a_zip(folder, tmp_path) -> None:
    """Some programs of Windows write them; the folders inside are folders all the same."""
    whole = ingest.read(folder, simulated=True)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "all.zip").write_bytes(zipped(folder, "\\"))
    found = ingest.read(tmp_path / "packed", simulated=True)
    np.testing.assert_array_equal(found.frames, whole.frames)


@pytest.mark.parametrize("name", ["..\\..\\evil.png", "C:\\evil.png", "\\evil.png"])
def test_backslashes_lead_nowhere(tmp_path, name) -> None:
    """A path that leaves the folder is refused, however it is written."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"x")
    with pytest.raises(RbcError, match="outside the folder"):
        archives.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_deflate64_is_called_what_it_is(folder, tmp_path) -> None:
    """Windows packs large folders so; to fetch the archive again would not help."""
    content = bytearray(zipped(folder))
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.find(mark)
        while at >= 0:
            content[at + place : at + place + 2] = (9).to_bytes(2, "little")
            at = content.find(mark, at + 4)
    (tmp_path / "large.zip").write_bytes(content)
    with pytest.raises(RbcError, match=r"packed in a way that Python does not open.*7-Zip"):
        archives.unpack(tmp_path / "large.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["train.7z", "a.rar", "b.tar.zst", "c.tar.lz", "d.tar.Z", "e.gz"])
def test_an_archive_of_another_kind_is_named_with_the_way_to_open_it(folder, name) -> None:
    """Left lying there, its sequences would be missing without a word."""
    (folder / name).write_bytes(b"packed")
    with pytest.raises(RbcError, match=r"not opened here; unpack it with .*FILE"):
        ingest.read(folder, simulated=True)


def test_what_macos_leaves_beside_files_is_no_data(folder) -> None:
    """AppleDouble companions, Finder's notes and resource folders are neither strips nor errors."""
    whole = ingest.read(folder, simulated=True)
    for strip in (folder / "test" / "img").glob("*.png"):
        strip.with_name(f"._{strip.name}").write_bytes(b"\0\5\x16\7companion")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "test" / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._a.png").write_bytes(b"x")
    found = ingest.read(folder, simulated=True)
    np.testing.assert_array_equal(found.frames, whole.frames)


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "{", ""])
def test_a_strange_meta_json_is_one_line(folder, content) -> None:
    """What another program called meta.json must not end in a traceback."""
    (folder / "meta.json").write_text(content, encoding="utf-8")
    with pytest.raises(RbcError, match=r"meta\.json"):
        ingest.read(folder, simulated=True)
    (folder / "meta.json").write_text(json.dumps({"source": "mine"}), encoding="utf-8")
    assert ingest.read(folder, simulated=True).meta["source"] == "mine"
