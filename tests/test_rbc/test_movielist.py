"""Which movies a study has: told by names or by a table, or refused with the reason."""

from pathlib import Path

import pytest

from rbc import RbcError
from rbc.bench import movielist


def folder_of(tmp_path: Path, *names: str) -> Path:
    """A folder with empty files of these names."""
    for name in names:
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def table_of(tmp_path: Path, text: str) -> Path:
    """A CSV table."""
    path = tmp_path / "movies.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_of_the_authors_tell_patient_and_day(tmp_path):
    """The paper's own names must work without an option."""
    found = movielist.read(
        folder_of(tmp_path, "BG1017_10s02.avi", "BG1017_10s01.avi", "LJ0926_10s03.TIF", "notes.txt")
    )
    assert found["name"].tolist() == ["BG1017_10s01", "BG1017_10s02", "LJ0926_10s03"]
    assert found["patient"].tolist() == ["BG", "BG", "LJ"]
    assert found["date"].tolist() == ["10-17", "10-17", "09-26"]
    assert found["draw"].tolist() == ["BG 10-17", "BG 10-17", "LJ 09-26"]
    assert found[list(movielist.UNITS)].isna().all(axis=None)


def test_how_names_were_understood_is_said(tmp_path):
    """`sample0101` may be a number: a reader must see that it was taken for a day."""
    found = movielist.read(folder_of(tmp_path, "sample0101.avi", "sample0102.avi"))
    assert movielist.in_words(found).splitlines() == [
        "patient sample, 01-01, draw sample 01-01: sample0101",
        "patient sample, 01-02, draw sample 01-02: sample0102",
    ]


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("run7-P012-20260131.avi", r"P(?P<patient>\d+)-(?P<date>\d+)", ("012", "2026-01-31")),
        ("260131_anna_2.tif", r"(?P<date>\d{6})_(?P<patient>[a-z]+)", ("anna", "2026-01-31")),
        ("X2026-01-31.mp4", r"(?P<patient>X)(?P<date>[\d-]+)", ("X", "2026-01-31")),
    ],
)
def test_a_pattern_reads_other_names(tmp_path, name, pattern, expected):
    """Every laboratory names its movies its own way."""
    found = movielist.read(folder_of(tmp_path, name), pattern)
    assert tuple(found.loc[0, ["patient", "date"]]) == expected


def test_two_draws_of_one_day_are_told_by_name(tmp_path):
    """Before and after a transfusion is one day and two draws."""
    pattern = r"(?P<patient>[A-Z]+)(?P<date>\d+)_(?P<draw>before|after)"
    found = movielist.read(folder_of(tmp_path, "AB1017_before.avi", "AB1017_after.avi"), pattern)
    assert sorted(found["draw"]) == ["after", "before"]


def test_a_table_tells_units_and_is_read_as_spreadsheets_write_it(tmp_path):
    """A byte order mark and empty cells are what Excel leaves."""
    text = (
        "\ufeffmovie,patient,date,um_per_px,frame_rate\n"
        "day 1/a.avi,Anna,2026-01-31,0.5,\nb.avi,Anna,20260207,,120\n"
    )
    found = movielist.read(table_of(tmp_path, text))
    assert found["path"].tolist() == [tmp_path / "day 1" / "a.avi", tmp_path / "b.avi"]
    assert found["date"].tolist() == ["2026-01-31", "2026-02-07"]
    assert found["um_per_px"].fillna(0).tolist() == [0.5, 0]
    assert found["frame_rate"].fillna(0).tolist() == [0, 120]


HEAD = "movie,patient,date"
REFUSED = {
    "no date": (f"{HEAD}\na.avi,A,soon\n", "'soon' is no date"),
    "no such day": (f"{HEAD}\na.avi,A,20260230\n", "is no date"),
    "a column is missing": ("movie,patient\na.avi,A\n", "lacks the column date"),
    "no row": (f"{HEAD}\n", "names no movie"),
    "no patient": (f"{HEAD}\na.avi,,1017\n", "a row has no patient"),
    "twice": (f"{HEAD}\nx/a.avi,A,1017\ny/a.avi,A,1018\n", "two movies are called 'a'"),
    "a unit that is none": (f"{HEAD},um_per_px\na.avi,A,1017,0\n", "um_per_px '0' is no number"),
    "a unit in words": (f"{HEAD},frame_rate\na.avi,A,1017,fast\n", "frame_rate 'fast'"),
    "an endless unit": (f"{HEAD},shear_rate\na.avi,A,1017,inf\n", "shear_rate 'inf'"),
    "a draw of two": (f"{HEAD},draw\na.avi,A,1017,d\nb.avi,B,1017,d\n", "two patients or dates"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_does_not_say_is_refused(tmp_path, case):
    """A movie under the wrong patient or day would be a wrong series without a word."""
    text, message = REFUSED[case]
    with pytest.raises(RbcError, match=message) as caught:
        movielist.read(table_of(tmp_path, text))
    assert "movies.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("names", "pattern", "message"),
    [
        (["1.avi"], movielist.PATTERN, "tells no patient and date"),
        (["AB1017.avi", "ab99.avi"], movielist.PATTERN, "ab99.avi"),
        (["AB1399.avi"], movielist.PATTERN, "'1399' is no date"),
        (["AB1017.txt"], movielist.PATTERN, "holds no movie"),
        (["AB1017.avi"], "(", "no regular expression"),
        (["AB1017.avi"], r"(?P<patient>[A-Z]+)", "lacks the groups"),
        (["AB1017.avi", "AB1017.tif"], movielist.PATTERN, "two movies are called"),
    ],
)
def test_names_that_do_not_say_are_refused(tmp_path, names, pattern, message):
    """As with tables; and a pattern that cannot work says so before anything is tracked."""
    with pytest.raises(RbcError, match=message):
        movielist.read(folder_of(tmp_path, *names), pattern)


def test_what_is_neither_folder_nor_table_is_named(tmp_path):
    """The first error that a user makes is a path."""
    with pytest.raises(RbcError, match=r"none\.csv: neither a folder of movies nor a table"):
        movielist.read(tmp_path / "none.csv")
