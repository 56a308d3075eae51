"""Files that are written whole or not at all, and what they hold as one hash."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from rbc import RbcError

if TYPE_CHECKING:
    import pandas as pd

SUMS = "SHA256SUMS"  #: list of checksums beside the files that it lists
LONGEST_NAME = 200  #: bytes; disks take 255, and a temporary name adds some to a folder's own


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def movie_hash(movie: Path) -> str:
    """SHA-256 of a movie's bytes as hex; of a folder of frames that of its files' names and
    checksums.

    Raises `RbcError` where it cannot be read.
    """
    try:
        if not movie.is_dir():
            return file_hash(movie)
        pages = sorted(page for page in movie.iterdir() if page.is_file())
        told = "".join(f"{file_hash(page)}  {os.fsencode(page.name)!r}\n" for page in pages)
    except OSError as error:
        raise RbcError(
            f"{error.filename}: cannot be read ({os.strerror(error.errno or 0)})"
        ) from error
    return hashlib.sha256(told.encode()).hexdigest()


@contextmanager
def whole_folder(folder: Path, made: Iterable[str]) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well, else goes.

    Nothing is deleted that the same command did not make: an existing folder is replaced only where
    it is empty, or holds the marker and nothing but the listed files. What is there stays until the
    new folder is complete. One process at a time writes a folder.

    Parameters
    ----------
    folder : where the result is to be
    made : patterns (`fnmatch`) of every file that the command writes, relative to the folder; the
        first one is the marker, a file that such a folder always holds

    Raises `RbcError` where the folder holds something else, is a file or the current folder, where
    another process writes it, or where the disk is full, read-only or refuses the name.
    """
    given, folder = folder, Path(folder).resolve()  # a link is followed: what it names is written
    made = tuple(made)
    with told_by_disk(given):
        _check_replaceable(given, folder, made)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(given, folder):
            part, old = _beside(folder, "part"), _beside(folder, "old")
            if old.exists() and not folder.exists():  # killed between the two renames below
                old.rename(folder)
            for left in (part, old):
                shutil.rmtree(left, ignore_errors=True)
            part.mkdir()
            try:
                yield part
                _check_listed(part, made)
                _check_replaceable(given, folder, made)  # again: it may have been filled meanwhile
                if folder.exists():
                    folder.rename(old)
                part.rename(folder)
                shutil.rmtree(old, ignore_errors=True)
            finally:
                shutil.rmtree(part, ignore_errors=True)


@contextmanager
def new_file(file: Path) -> Iterator[Path]:
    """A temporary place for a new file, which gets its name when the block ends well, else goes.

    Parameters
    ----------
    file : where it is to be

    Raises `RbcError` where something is there already, or where the disk refuses it.
    """
    with told_by_disk(file):
        if os.path.lexists(file):
            raise RbcError(f"{file}: is there already; move it away or name another file")
        file.parent.mkdir(parents=True, exist_ok=True)
        part = _beside(file.resolve(), "part")
        try:
            yield part
            part.rename(file)
        finally:
            part.unlink(missing_ok=True)


def write_sums(folder: Path) -> None:
    """List the files of a folder with their checksums in `SUMS`, in the form of ``sha256sum``."""
    lines = [f"{file_hash(Path(folder) / name)}  {name}\n" for name in _listable(folder)]
    (Path(folder) / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> None:
    """Hold the files of a folder against `SUMS`.

    Raises `RbcError` where the list is missing or no list, or where a file is missing, altered,
    damaged or not listed; hidden files do not count.
    """
    try:
        lines = (Path(folder) / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RbcError(f"{folder}: no readable {SUMS} there, the list of checksums") from error
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    listed.pop(SUMS, None)  # ``sha256sum *`` lists an older list too
    there = _listable(folder)
    if strange := sorted(listed.keys() ^ set(there)):
        other = "lists it, but it is not there" if strange[0] in listed else "does not list it"
        raise RbcError(f"{Path(folder) / strange[0]}: {SUMS} {other}")
    for name in there:
        if file_hash(Path(folder) / name) != listed[name]:
            raise RbcError(
                f"{Path(folder) / name}: altered or damaged (its SHA-256 differs from {SUMS})"
            )


def _listable(folder: Path) -> list[str]:
    """Names of a folder's files but for hidden ones and the list itself."""
    files = (path for path in Path(folder).iterdir() if path.is_file())
    return sorted(p.name for p in files if p.name != SUMS and not p.name.startswith("."))


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write a table as Parquet.

    Python opens the file, since pyarrow takes no path whose bytes are no text.
    """
    with Path(file).open("wb") as opened:
        table.to_parquet(opened)


def read_table(file: Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote. Raises `OSError` or `ValueError` where it cannot."""
    import pandas as pd  # slow to load, and not needed by what only writes folders

    with Path(file).open("rb") as opened:
        return pd.read_parquet(opened)


def _beside(folder: Path, what: str) -> Path:
    """A hidden name beside a folder, short enough for every disk."""
    name = folder.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return folder.with_name(f".{name}.{what}")


@contextmanager
def _alone(given: Path, folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; the lock file goes before the lock does, which `filelock` allows
    for.
    """
    file = _beside(folder, "writing")
    try:
        with FileLock(file, timeout=0):
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
    except Timeout as error:
        # `filelock` takes a place where no file can be made for one that is held
        if not file.exists():
            raise RbcError(f"{given}: no folder can be made there; name another one") from error
        raise RbcError(
            f"{given}: another rbc writes there now; wait for it, or name another folder"
        ) from error


def _check_replaceable(given: Path, folder: Path, made: tuple[str, ...]) -> None:
    """Raise `RbcError` where a folder holds what a command that makes the files `made` did not
    make.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise RbcError(f"{given}: a file is there; name a folder that is new")
    if folder == Path.cwd() or folder in Path.cwd().parents:
        raise RbcError(
            f"{given}: the folder you are in, or one around it; name a folder that is new"
        )
    first = next((p for p in folder.iterdir()), None)
    if first is not None and not (folder / made[0]).exists():
        raise RbcError(
            f"{given}: already holds other files, such as {first.name}; name a folder that is new"
        )
    for strange in _unlisted(folder, made):
        raise RbcError(
            f"{given}: holds {strange}, which this command did not make; move it away or name"
            " another folder"
        )


def _unlisted(folder: Path, made: tuple[str, ...]) -> Iterator[str]:
    """Files below a folder that no pattern names."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and not any(
            fnmatch(name, pattern) for pattern in made
        ):
            yield name


def _check_listed(part: Path, made: tuple[str, ...]) -> None:
    """Raise `AssertionError` where a command's list of its files is wrong: it could not write there
    again.
    """
    for strange in _unlisted(part, made):
        raise AssertionError(f"{strange} is written, but not in the list given to whole_folder")


@contextmanager
def told_by_disk(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses into one line."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RbcError(
                f"{folder}: the disk is full; nothing was kept, free some space and run it again"
            ) from error
        named = (
            f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        )
        reason = os.strerror(error.errno or 0).lower()
        raise RbcError(
            f"{folder}: {reason}{named}; nothing was kept, name another folder"
        ) from error
