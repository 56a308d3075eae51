"""Which movies a study has: of which patient, which day, which blood draw.

Told by the names of the files in a folder, or by a table. What can be read in two ways is refused:
a movie under the wrong patient or day would be a wrong series without a word.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from rbc import RbcError

#: Patient and date in the authors' names of movies: BG and 1017 of BG1017_10s02. A name with more
#: digits in a row than a date has could tell two dates, so it does not match.
PATTERN = r"(?P<patient>[^\W\d_]+)(?P<date>\d{8}|\d{4})(?!\d)(?!.*\d{4}).*"
#: Before a number, these words count something: P0112 is patient 112 rather than 12 January.
COUNTED = frozenset({
    "c", "case", "cell", "cells", "clip", "d", "day", "donor", "exp", "f", "file", "film", "id",
    "image", "img", "m", "mov", "movie", "n", "no", "nr", "p", "pat", "patient", "pt", "rec", "run",
    "s", "sample", "scan", "subj", "subject", "test", "v", "vid", "video",
})  # fmt: skip
VIDEOS = frozenset({
    ".apng", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv",
    ".ts", ".webm", ".wmv", ".y4m",
})  # fmt: skip
UNITS = ("um_per_px", "frame_rate", "shear_rate")  #: of a movie; columns of a table
COLUMNS = ("name", "path", "patient", "date", "draw", *UNITS)
NEEDED = ("movie", "patient", "date")  #: columns that a table must have
KNOWN = (*NEEDED, "draw", *UNITS)
#: Columns that people write, and the one that each means.
MEANT = {
    "fps": "frame_rate", "framerate": "frame_rate", "hz": "frame_rate",
    "um_per_pixel": "um_per_px", "pixel_size": "um_per_px", "px_size": "um_per_px",
    "file": "movie", "filename": "movie", "file_name": "movie", "path": "movie", "name": "movie",
    "video": "movie", "subject": "patient", "donor": "patient", "id": "patient", "day": "date",
    "sample": "draw", "shear": "shear_rate",
}  # fmt: skip
#: How the columns of the user's own remarks begin.
REMARKS = ("note", "comment", "remark")
HALF_A_YEAR = 183  #: days
SEPARATED = re.compile(r"(\d{1,4})([-./_])(\d{1,2})\2(\d{1,4})", re.ASCII)
#: A time of day that says nothing: spreadsheets add it to a date.
MIDNIGHT = re.compile(r"[T ]00:00(:00(\.0+)?)?$")
DATES_ADVICE = "write 2026-11-25, 20261125 or 1125 (month and day)"
#: What spreadsheets take for the beginning of a formula.
FORMULAS = ("=", "+", "-", "@")


def read(source: Path, pattern: str = PATTERN, year: int | None = None) -> pd.DataFrame:
    """The movies of a study.

    Parameters
    ----------
    source : a folder of movies, or a CSV table with the columns movie, patient and date and, as one
        likes, draw, um_per_px, frame_rate and shear_rate. Movies are named from the table's folder.
        Commas, semicolons or tabs separate its columns; columns named note, comment or remark are
        the user's own.
    pattern : regular expression for the whole names in a folder, with the groups patient and date
        (or year, month and day), and draw where one patient gives blood twice a day
    year : of the dates that have none

    Returns
    -------
    One row a movie, by patient, date and name: `COLUMNS`. date is ISO, or month and day; a unit
    that the table does not give is nan.

    Raises
    ------
    RbcError
        where there is no movie, a patient or date is not told or could be read in two ways, two
        movies or two patients have names that may be one, or one draw has two patients or dates
    """
    source = Path(source)
    table = _of_folder(source, pattern) if source.is_dir() else _of_table(source)
    if year is not None:
        table["date"] = [_in_year(day, year, source) for day in table["date"]]
    table["name"] = [_text(name) for name in table["name"]]
    for column in ("patient", "draw"):
        table[column] = [_text(value) for value in table[column]]
    for column in ("name", "patient", "draw"):
        _check_formulas(table[column], column, source)
    _check_movies(table["name"], source)
    _check_patients(table["patient"], source)
    _check_years(table, source)
    # Where nothing else is said, all movies of a patient and a day are of one draw.
    table["draw"] = table["draw"].where(table["draw"] != "", table["patient"] + " " + table["date"])
    for draw, part in table.groupby("draw"):
        if len(part[["patient", "date"]].drop_duplicates()) > 1:
            raise RbcError(f"{source}: draw {draw!r} has movies of two patients or dates")
    ordered = table.sort_values(["patient", "date", "name"], ignore_index=True)
    return ordered[list(COLUMNS)]


# --- a folder ---


def _of_folder(folder: Path, pattern: str) -> pd.DataFrame:
    try:
        named = re.compile(pattern)
    except re.error as error:
        raise RbcError(f"--pattern {pattern!r} is no regular expression: {error}") from error
    groups = set(named.groupindex)
    if not ({"patient", "date"} <= groups or {"patient", "year", "month", "day"} <= groups):
        raise RbcError(
            f"--pattern {pattern!r} lacks the groups (?P<patient>...) and (?P<date>...);"
            " (?P<year>...), (?P<month>...) and (?P<day>...) may stand for the date"
        )
    found = [path for path in _entries(folder) if is_movie(path)]
    if not found:
        raise RbcError(f"{folder}: holds no movie; of {len(_entries(folder))} entries none is one")
    rows = []
    for path in found:
        told = named.fullmatch(unicodedata.normalize("NFC", _stem(path)))
        if told is None or (pattern == PATTERN and told["patient"].casefold() in COUNTED):
            raise RbcError(_no_match(path, pattern))
        row = (_stem(path), path, told["patient"], _date_of(told, path))
        rows.append((*row, told.groupdict().get("draw") or "", *[np.nan] * len(UNITS)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def is_movie(path: Path) -> bool:
    """Whether a file or folder is meant as a movie, by its name and what lies in it.

    A camera maker's file counts: where it cannot be read, the study says so.
    """
    from rbc.reading.tiffstacks import PICTURES, TIFF
    from rbc.reading.vendors import READERS
    from rbc.reading.video import REFUSED

    suffix = path.suffix.lower()
    if path.is_dir():
        frames = [f for f in path.iterdir() if f.suffix.lower() in (*TIFF, *PICTURES)]
        return suffix in REFUSED or len(frames) > 1
    return any(suffix in known for known in (VIDEOS, TIFF, READERS, REFUSED))


def passed_over(source: Path) -> list[str]:
    """Names in a folder of movies that are no movie, so that none is left out without a word.

    Parameters
    ----------
    source : as of `read`; beside a table nothing is looked for
    """
    source = Path(source)
    if not source.is_dir():
        return []
    beside = (".cih", ".cihx")  # settings of a .mraw file
    others = [path for path in _entries(source) if not is_movie(path)]
    return [path.name for path in others if path.suffix.lower() not in beside]


def _no_match(path: Path, pattern: str) -> str:
    """Why the name of a movie tells no patient and date."""
    if pattern == PATTERN:
        return (
            f"{path}: its name does not tell patient and date in one way only (letters of the"
            " patient, then 1125 or 20261125); give --pattern, or a table with the columns movie,"
            " patient and date"
        )
    return (
        f"{path}: --pattern does not match the whole name {_stem(path)!r}; write .* where anything"
        " may stand"
    )


def _stem(path: Path) -> str:
    """The name of a movie: of a file without its ending."""
    return path.name if path.is_dir() else path.stem


def _date_of(told: re.Match[str], path: Path) -> str:
    """The date that the groups of a pattern tell."""
    groups = told.groupdict()
    if groups.get("date") is not None:
        return _date(groups["date"], path)
    number = {name: groups.get(name) or "" for name in ("year", "month", "day")}
    if not all(text.isdecimal() for text in number.values()):
        raise RbcError(f"{path}: --pattern finds no number for {number}")
    year = int(number["year"]) + (2000 if len(number["year"]) == 2 else 0)
    found = _day_of(year, int(number["month"]), int(number["day"]))
    if found is None:
        raise RbcError(f"{path}: there is no such day as {number}")
    return found


# --- a table ---


def _of_table(file: Path) -> pd.DataFrame:
    rows = _rows(file)
    header, *body = rows
    columns = _columns(header, file)
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise RbcError(
                f"{file}: row {number} has {len(row)} fields, the header {len(header)}; a decimal"
                " comma needs quotes where commas separate the columns"
            )
    table = pd.DataFrame(body, columns=columns, dtype=str)
    table = table[[column for column in columns if not column.startswith(REMARKS)]]
    if table.empty:
        raise RbcError(f"{file}: the table names no movie")
    for column in NEEDED:
        if (table[column].str.strip() == "").any():
            raise RbcError(f"{file}: a row has no {column}")
    for column in (*UNITS, "draw"):
        if column not in table:
            table[column] = ""
    for column in UNITS:
        table[column] = _numbers(table[column].str.strip(), file)
    paths = [_path(file.parent, movie.strip()) for movie in table["movie"]]
    dates = [_date(day, file) for day in table["date"]]
    return table.assign(name=[_stem(path) for path in paths], path=paths, date=dates)


def _rows(file: Path) -> list[list[str]]:
    """Header and rows of a table, its empty rows left out."""
    text = _decoded(file)
    first = next((line for line in text.splitlines() if line.strip()), "")
    # The header decides: no name of a column holds what separates columns.
    separator = max(",;\t", key=first.count)
    try:
        lines = io.StringIO(text, newline="")
        parsed = list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise RbcError(f"{file}: neither a folder of movies nor a table ({error})") from error
    rows = [row for row in parsed if any(field.strip() for field in row)]
    if not rows:
        raise RbcError(f"{file}: the table names no movie")
    return rows


def _decoded(file: Path) -> str:
    """Text of a table: UTF-8, or UTF-16 where its first bytes say so."""
    try:
        content = file.read_bytes()
    except OSError as error:
        said = error.strerror or error
        raise RbcError(f"{file}: neither a folder of movies nor a table ({said})") from error
    if content.startswith(b"PK\x03\x04"):
        raise RbcError(f"{file}: a workbook; save its sheet as CSV (UTF-8)")
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise RbcError(
            f"{file}: neither a folder of movies nor a table in UTF-8; save it as CSV (UTF-8)"
        ) from None
    if "\0" in text:
        raise RbcError(f"{file}: neither a folder of movies nor a table; it holds zero bytes")
    return text


def _columns(header: list[str], file: Path) -> list[str]:
    """The columns of a table by our names."""
    names = [re.sub(r"[\s-]+", "_", _text(name).casefold()) for name in header]
    for written, name in zip(header, names):
        if name not in KNOWN and not name.startswith(REMARKS):
            raise RbcError(f"{file}: the column {written!r} is not known; {_advice(name, names)}")
    for column in NEEDED:
        if column not in names:
            raise RbcError(f"{file}: the table lacks the column {column}")
    repeated = next((name for name in names if name in KNOWN and names.count(name) > 1), None)
    if repeated:
        raise RbcError(f"{file}: two columns are called {repeated}")
    return names


def _advice(name: str, names: list[str]) -> str:
    """What to do about a column that is not known."""
    free = [column for column in KNOWN if column not in names]
    meant = MEANT.get(name) or next(iter(get_close_matches(name, free, 1)), None)
    if meant in free:
        return f"call it {meant} if that is meant, or note_... if it is a remark"
    return f"known are {', '.join(KNOWN)}; call it note_... if it is a remark"


def _path(folder: Path, written: str) -> Path:
    """The movie that a table names, also where accents or separators are written otherwise."""
    path = folder / written
    try:
        if not path.exists():
            path = folder / written.replace("\\", "/")
        if path.exists() or not path.parent.is_dir():
            return path
    except OSError:  # a name that no disk can hold
        return path
    wanted = unicodedata.normalize("NFC", path.name)
    alike = [f for f in path.parent.iterdir() if unicodedata.normalize("NFC", f.name) == wanted]
    return alike[0] if len(alike) == 1 else path


def _numbers(column: pd.Series, file: Path) -> pd.Series:
    """A unit of each movie; nan where the table says nothing."""
    if column.str.contains(",").any() and column.str.contains(".", regex=False).any():
        raise RbcError(f"{file}: {column.name} is written with points and with commas")
    numbers = [np.nan if text == "" else _number(text) for text in column]
    for text, number in zip(column, numbers):
        if text and not (number > 0 and np.isfinite(number)):
            raise RbcError(f"{file}: {column.name} {text!r} is no number above 0")
    return pd.Series(numbers, index=column.index, dtype=float)


def _number(text: str) -> float:
    """A number with a decimal point or comma, else nan. 1,250 may mean a thousand: it is none."""
    thousands = re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", text, re.ASCII)
    if thousands or not re.fullmatch(r"\d*[.,]?\d+([eE][-+]?\d+)?", text, re.ASCII):
        return np.nan
    return float(text.replace(",", "."))


# --- names ---


def _text(written: str) -> str:
    """A name without the spaces around it, its accents in one form."""
    return " ".join(unicodedata.normalize("NFC", written).split())


def _check_formulas(names: Iterable[str], column: str, source: Path) -> None:
    """Raises `RbcError` where a spreadsheet that opens our tables would compute a name."""
    for name in names:
        if name.startswith(FORMULAS):
            raise RbcError(
                f"{source}: the {column} {name!r} begins as a formula does, which spreadsheets"
                " compute; begin it with a letter or a digit"
            )


def _check_movies(names: pd.Series, source: Path) -> None:
    """Raises `RbcError` where two movies have one name, or would where case does not count."""
    folded = names.str.casefold()
    twice = names[folded.duplicated(keep=False)]
    if len(twice):
        alike = twice[folded[twice.index] == folded[twice.index[0]]]
        called = " and ".join(repr(name) for name in dict.fromkeys(alike))
        raise RbcError(f"{source}: two movies are called {called}; rename one")


def _check_patients(patients: pd.Series, source: Path) -> None:
    """Raises `RbcError` where two patients may be one that was written in two ways."""
    seen: dict[str, str] = {}
    for patient in patients.unique():
        alike = unicodedata.normalize("NFKC", patient).casefold()
        alike = re.sub(r"(?<!\d)0+(?=\d)", "", alike).replace(" ", "")
        if alike in seen:
            raise RbcError(
                f"{source}: patients {seen[alike]!r} and {patient!r} may be one; write each in one"
                " way"
            )
        seen[alike] = patient


# --- dates ---


def _date(text: str, where: Path) -> str:
    """A date in ISO form; month and day alone stay so.

    Raises `RbcError` where it is none, or where day and month, or the year, could be others.
    """
    written = MIDNIGHT.sub("", text.strip())
    if re.search(r"\d:\d|\dT\d", written):
        raise RbcError(
            f"{where}: {text!r} has a time of day; give the day of the blood draw alone, also for"
            " a draw across midnight"
        )
    readings = _readings(written)
    if len(readings) > 1:
        raise RbcError(f"{where}: {text!r} may be {' or '.join(sorted(readings))}; {DATES_ADVICE}")
    if not readings:
        raise RbcError(f"{where}: {text!r} is no date; {DATES_ADVICE}")
    return readings.pop()


def _readings(text: str) -> set[str]:
    """Every day that a text may mean, in ISO form."""
    if re.fullmatch(r"\d{8}", text, re.ASCII):
        found = {_day_of(int(text[:4]), int(text[4:6]), int(text[6:]))}
    elif re.fullmatch(r"\d{4}", text, re.ASCII):  # as the authors write
        found = {_day_of(None, int(text[:2]), int(text[2:]))}
    elif re.fullmatch(r"\d{6}", text, re.ASCII):
        found = _short_years(int(text[:2]), int(text[2:4]), int(text[4:]))
    elif parts := SEPARATED.fullmatch(text):
        found = _separated(parts[1], parts[3], parts[4])
    elif parts := re.fullmatch(r"(\d{1,2})[-./_](\d{1,2})\.?", text, re.ASCII):
        first, second = int(parts[1]), int(parts[2])
        found = {_day_of(None, first, second), _day_of(None, second, first)}
    else:
        found = set()
    return {day for day in found if day is not None}


def _separated(first: str, middle: str, last: str) -> set[str | None]:
    """Days that three numbers between separators may mean: the one of four digits is the year."""
    a, b, c = int(first), int(middle), int(last)
    if len(first) == 4 and len(last) <= 2:
        return {_day_of(a, b, c)}
    if len(last) == 4 and len(first) <= 2:
        return {_day_of(c, b, a), _day_of(c, a, b)}
    if len(first) <= 2 and len(last) <= 2:
        return _short_years(a, b, c)
    return set()


def _short_years(a: int, b: int, c: int) -> set[str | None]:
    """Days that three short numbers may mean: the year, of this century, stands first or last."""
    return {_day_of(2000 + a, b, c), _day_of(2000 + c, b, a), _day_of(2000 + c, a, b)}


def _day_of(year: int | None, month: int, day: int) -> str | None:
    """A day in ISO form, or None where the calendar has none such."""
    if year is not None and not 1900 <= year < 2069:
        return None
    try:
        # A leap year, because 29 February is a day of some year.
        found = date(2000 if year is None else year, month, day).isoformat()
    except ValueError:
        return None
    return found if year is not None else found[5:]


def _in_year(day: str, year: int, source: Path) -> str:
    """A day, in a given year where it has none."""
    if len(day) > len("11-25"):
        return day
    month, number = day.split("-")
    found = _day_of(year, int(month), int(number))
    if found is None:
        raise RbcError(f"{source}: {year} has no {day}")
    return found


def _check_years(table: pd.DataFrame, source: Path) -> None:
    """Raises `RbcError` where days without a year may be of two years, so that their order is not
    known: January may come before December or after it.
    """
    for patient, days in table.groupby("patient")["date"]:
        short = sorted({day for day in days if len(day) == len("11-25")})
        if not short:
            continue
        if len(short) < days.nunique():
            raise RbcError(f"{source}: patient {patient!r} has dates with and without a year")
        first, last = (date.fromisoformat(f"2000-{day}") for day in (short[0], short[-1]))
        if (last - first).days > HALF_A_YEAR:
            raise RbcError(
                f"{source}: patient {patient!r} has draws of {short[0]} and {short[-1]} without a"
                " year, so which came first is not known; give --year, or dates with the year"
            )


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
    if any(len(day) == len("11-25") for day in listed["date"]):
        lines.append("dates are month and day; --year gives them a year")
    return "\n".join(lines)
