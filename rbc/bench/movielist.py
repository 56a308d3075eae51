"""Which movies a study has: of which patient, which day, which blood draw.

Told by the names of the files in a folder, or by a table.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from rbc import RbcError

#: Patient and date in the authors' names of movies: BG and 1017 of BG1017_10s02.
PATTERN = r"(?P<patient>[A-Za-z]+)(?P<date>\d{4,8})"
#: How a date may be written, by its number of digits. Four: month and day, as the authors do.
DATES = {4: "%m%d", 6: "%y%m%d", 8: "%Y%m%d"}
MOVIES = (".avi", ".mp4", ".mkv", ".mov", ".webm", ".tif", ".tiff")
UNITS = ("um_per_px", "frame_rate", "shear_rate")  #: of a movie; columns of a table
COLUMNS = ("name", "path", "patient", "date", "draw", *UNITS)


def read(source: Path, pattern: str = PATTERN) -> pd.DataFrame:
    """The movies of a study.

    Parameters
    ----------
    source : a folder of movies, or a CSV table with the columns movie, patient and date and, as one
        likes, draw, um_per_px, frame_rate and shear_rate. Movies are named from the table's folder.
    pattern : regular expression for the names in a folder, with the groups patient and date, and
        draw where one patient gives blood twice a day

    Returns
    -------
    One row a movie, by patient, date and name: `COLUMNS`. date is ISO, or month and day; a unit
    that the table does not give is nan.

    Raises
    ------
    RbcError
        where there is no movie, a patient or date is not told, two movies have one name, or one
        draw has two patients or dates
    """
    source = Path(source)
    table = _of_folder(source, pattern) if source.is_dir() else _of_table(source)
    twice = table["name"][table["name"].duplicated()]
    if len(twice):
        raise RbcError(f"{source}: two movies are called {twice.iat[0]!r}; rename one")
    # Where nothing else is said, all movies of a patient and a day are of one draw.
    table["draw"] = table["draw"].where(table["draw"] != "", table["patient"] + " " + table["date"])
    for draw, part in table.groupby("draw"):
        if len(part[["patient", "date"]].drop_duplicates()) > 1:
            raise RbcError(f"{source}: draw {draw!r} has movies of two patients or dates")
    ordered = table.sort_values(["patient", "date", "name"], ignore_index=True)
    return ordered[list(COLUMNS)]


def _of_folder(folder: Path, pattern: str) -> pd.DataFrame:
    try:
        named = re.compile(pattern)
    except re.error as error:
        raise RbcError(f"--pattern {pattern!r} is no regular expression: {error}") from error
    if not {"patient", "date"} <= set(named.groupindex):
        raise RbcError(f"--pattern {pattern!r} lacks the groups (?P<patient>...) and (?P<date>...)")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in MOVIES and not path.name.startswith(".")
    )
    if not found:
        raise RbcError(f"{folder}: holds no movie ({', '.join(MOVIES)})")
    rows = []
    for path in found:
        told = named.search(path.stem)
        if told is None:
            raise RbcError(
                f"{path}: its name tells no patient and date; give --pattern, or a table with the"
                " columns movie, patient and date"
            )
        groups = told.groupdict()
        row = (path.stem, path, groups["patient"], _date(groups["date"], path))
        rows.append((*row, groups.get("draw") or "", *[np.nan] * len(UNITS)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_table(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise RbcError(f"{file}: neither a folder of movies nor a table ({said})") from error
    if missing := {"movie", "patient", "date"} - {*table.columns}:
        raise RbcError(f"{file}: the table lacks the column {min(missing)}")
    if table.empty:
        raise RbcError(f"{file}: the table names no movie")
    for column in ("movie", "patient"):
        if (table[column].str.strip() == "").any():
            raise RbcError(f"{file}: a row has no {column}")
    for column in (*UNITS, "draw"):
        if column not in table:
            table[column] = ""
    for column in UNITS:
        table[column] = _numbers(table[column], file)
    paths = [file.parent / movie for movie in table["movie"]]
    dates = [_date(day, file) for day in table["date"]]
    return table.assign(name=[path.stem for path in paths], path=paths, date=dates)


def _numbers(column: pd.Series, file: Path) -> pd.Series:
    """A unit of each movie; nan where the table says nothing."""
    numbers = pd.to_numeric(column.where(column != "", np.nan), errors="coerce")
    wrong = (column != "") & ~((numbers > 0) & np.isfinite(numbers))
    if wrong.any():
        raise RbcError(f"{file}: {column.name} {column[wrong].iat[0]!r} is no number above 0")
    return numbers


def _date(text: str, where: Path) -> str:
    """A date in ISO form; month and day alone stay so."""
    digits = text.strip().replace("-", "")
    try:
        if len(digits) == 4:
            datetime.strptime(f"2000{digits}", "%Y%m%d")  # a leap year: 29 February is a day
            return f"{digits[:2]}-{digits[2:]}"
        return datetime.strptime(digits, DATES[len(digits)]).date().isoformat()
    except (KeyError, ValueError) as error:
        raise RbcError(
            f"{where}: {text!r} is no date; write 2026-11-25, 20261125 or 1125 (month and day)"
        ) from error


def in_words(listed: pd.DataFrame) -> str:
    """How the movies of a list were understood, a line a draw, before any is judged.

    Parameters
    ----------
    listed : of `read`
    """
    draws = listed.groupby(["patient", "date", "draw"])["name"].agg(list)
    lines = [
        f"patient {patient}, {date}, draw {draw}: {', '.join(names)}"
        for (patient, date, draw), names in draws.items()
    ]
    return "\n".join(lines)
