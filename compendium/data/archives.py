"""Zip and tar archives unpacked safely: no path out of the folder, no links, no bombs, nothing
executed.
"""

from __future__ import annotations

import errno
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from compendium.data.layouts import inside, printable
from rbc import RbcError

#: Archives that Python's own modules do not open, and what does.
FOREIGN = {
    ".7z": "7-Zip (7z x FILE)",
    ".rar": "unrar (unrar x FILE)",
    ".tar.zst": "tar with zstd (tar --zstd -xf FILE)",
    ".zst": "zstd (zstd -d FILE)",
    ".tar.lz": "tar with lzip (tar --lzip -xf FILE)",
    ".tar.z": "tar (tar -xZf FILE)",
    ".gz": "gzip (gunzip FILE)",
}
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
#: Table 2's sequences are 4.4 GB of pixels; .mat files might hold them as doubles
MAX_BYTES = 40 * 10**9
MAX_FILES = 1_000_000
MAX_RATIO = 100  #: of unpacked to packed bytes, above `FREE_BYTES`; pictures do not get near it
FREE_BYTES = 100 * 10**6
MAX_DEPTH = 3  #: archives within archives
#: what Python's own modules say of damaged archives
DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, ValueError, struct.error,
)  # fmt: skip

Member = tuple[str, int, IO[bytes] | None]  #: path, declared bytes, content (None: a folder)


def is_archive(file: Path) -> bool:
    """Whether a file's name says zip or tar."""
    return Path(file).is_file() and Path(file).name.lower().endswith(SUFFIXES)


def refuse_foreign(folder: Path) -> None:
    """Raise `RbcError` where a folder holds an archive of a kind that is not opened here."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if _hidden(file.relative_to(folder)) or is_archive(file):
            continue
        name = file.name.lower()
        if suffix := next((s for s in FOREIGN if name.endswith(s)), ""):
            raise RbcError(
                f"{file}: an archive that is not opened here; unpack it with {FOREIGN[suffix]}"
                " and give the folder"
            )


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive, and those inside it, into a new folder.

    Parameters
    ----------
    archive : the file
    folder : where; it must not be there yet

    Returns
    -------
    The folder

    Raises
    ------
    RbcError
        for what is no whole archive, encrypted, too large, holds links or devices, or names a path
        outside; nothing is left then
    """
    try:
        _unpack(Path(archive), Path(folder), MAX_DEPTH)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Path(folder)


def opened(folder: Path, scratch: Path) -> Path:
    """The folder itself where it holds no archives; else `scratch`, with them unpacked and links to
    its other files.

    Parameters
    ----------
    folder : what was downloaded
    scratch : an empty folder, used only where there are archives
    """
    archives = _archives(folder)
    if not archives:
        return folder
    for file in (
        f for f in folder.rglob("*") if f.is_file() and not _hidden(f.relative_to(folder))
    ):
        place = scratch / file.parent.relative_to(folder)
        place.mkdir(parents=True, exist_ok=True)
        if file not in archives:
            (place / file.name).symlink_to(file.resolve())
    for archive in archives:
        unpack(archive, _place(archive, scratch / archive.parent.relative_to(folder)))
    return scratch


def _unpack(archive: Path, folder: Path, depth: int) -> None:
    if depth == 0:
        raise RbcError(
            f"{archive}: archives within archives, more than {MAX_DEPTH} deep; unpack it by hand"
        )
    folder.mkdir(parents=True)
    members = _zip if archive.name.lower().endswith(".zip") else _tar
    try:
        _write(archive, members(archive), folder)
    except NotImplementedError as error:  # Deflate64, as Windows makes large archives, and others
        raise RbcError(
            f"{archive}: packed in a way that Python does not open ({error}); unpack it with 7-Zip"
            " (7z x FILE) and give the folder"
        ) from error
    except DAMAGED as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's own: full, read-only, forbidden
            raise
        # bz2 and gzip say so of damaged data; a place before the file's beginning is EINVAL
        raise _damaged(archive, error) from error
    for inner in _archives(folder):
        _unpack(inner, _place(inner, inner.parent), depth - 1)
        inner.unlink()
    _hoist(folder)


def _damaged(archive: Path, error: Exception) -> RbcError:
    return RbcError(f"{archive}: damaged or cut off ({type(error).__name__}); fetch it again")


def _hoist(folder: Path) -> None:
    """train/train/... from a train.zip that holds the folder train becomes train/..."""
    inner = folder / folder.name
    if list(folder.iterdir()) == [inner] and inner.is_dir():
        outer = folder.rename(folder.with_name(f".{folder.name}.outer"))
        (outer / folder.name).rename(folder)
        outer.rmdir()


def _archives(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.rglob("*") if is_archive(p) and not _hidden(p.relative_to(folder))
    )


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _place(archive: Path, folder: Path) -> Path:
    """Where an archive goes: its name without suffix, so that train.zip counts as a folder
    train.
    """
    suffix = next(
        s for s in sorted(SUFFIXES, key=len, reverse=True) if archive.name.lower().endswith(s)
    )
    plain = folder / archive.name[: -len(suffix)]
    return plain if not plain.exists() else folder / f"{archive.name}.unpacked"


def _write(archive: Path, members: Iterator[Member], folder: Path) -> None:
    limit = min(
        MAX_BYTES,
        max(FREE_BYTES, MAX_RATIO * archive.stat().st_size),
        shutil.disk_usage(folder).free,
    )
    total = 0
    for count, (path, size, content) in enumerate(members, 1):
        _check_path(archive, path)
        if count > MAX_FILES or total + size > limit:
            raise RbcError(
                f"{archive}: unpacks to over {limit / 1e9:.1f} GB (or the room there is) or"
                f" {MAX_FILES} files; refused"
            )
        target = folder / path
        try:
            (target if content is None else target.parent).mkdir(parents=True, exist_ok=True)
            if content is not None:
                with content, target.open("xb") as out:
                    total += _copy(content, out, archive, limit - total)
        except (FileExistsError, IsADirectoryError) as error:
            raise RbcError(f"{archive}: holds {path!r} twice; unpack it by hand") from error


def _copy(content: IO[bytes], out: IO[bytes], archive: Path, limit: int) -> int:
    """Copy, trusting no declared size; returns the bytes."""
    copied = 0
    while block := content.read(1 << 20):
        copied += out.write(block)
        if copied > limit:
            raise RbcError(f"{archive}: unpacks to more than it declares; refused")
    return copied


def _check_path(archive: Path, path: str) -> None:
    if not inside(path):
        raise RbcError(f"{archive}: {path!r} would be written outside the folder; refused")
    if printable(path) != path:
        raise RbcError(f"{archive}: the name {printable(path)!r} is not UTF-8; unpack it by hand")


def _zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise RbcError(f"{archive}: {member.filename!r} is a link or a device; refused")
            if member.flag_bits & 1:
                raise RbcError(f"{archive}: {member.filename!r} is encrypted; unpack it by hand")
            path = member.filename.replace("\\", "/")  # some programs of Windows write that
            folder = path.endswith("/")
            yield path, member.file_size, None if folder else opened.open(member)


def _tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r:*", encoding="utf-8") as opened:
        for member in opened:
            if not (member.isfile() or member.isdir()):
                raise RbcError(f"{archive}: {member.name!r} is a link or a device; refused")
            yield (
                str(PurePosixPath(member.name)) if member.name[:1] != "/" else member.name,
                member.size,
                (opened.extractfile(member) if member.isfile() else None),
            )
