"""Which movies a study has: told by names or by a table, or refused with the reason."""

import unicodedata
from pathlib import Path

import pytest

from rbc import RbcError
from rbc.bench import movielist

HEAD = "movie,patient,date"


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
    """A reader must see what was taken for a patient and a day."""
    found = movielist.read(folder_of(tmp_path, "AB0101.avi", "AB0102.avi"))
    assert movielist.in_words(found).splitlines() == [
        "patient AB, 01-01, draw AB 01-01: AB0101",
        "patient AB, 01-02, draw AB 01-02: AB0102",
        "dates are month and day; --year gives them a year",
    ]


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("run7-P012-20260131.avi", r".*P(?P<patient>\d+)-(?P<date>\d+)", ("012", "2026-01-31")),
        ("20260131_anna_2.tif", r"(?P<date>\d{8})_(?P<patient>[a-z]+).*", ("anna", "2026-01-31")),
        ("X2026-01-31.mp4", r"(?P<patient>X)(?P<date>[\d-]+)", ("X", "2026-01-31")),
        (
            "310126_7.btf",
            r"(?P<day>..)(?P<month>..)(?P<year>..)_(?P<patient>\d)",
            ("7", "2026-01-31"),
        ),
    ],
)
def test_a_pattern_reads_other_names(tmp_path, name, pattern, expected):
    """Every laboratory names its movies its own way."""
    found = movielist.read(folder_of(tmp_path, name), pattern)
    assert tuple(found.loc[0, ["patient", "date"]]) == expected


#: How people write days, and what each means; None where it may be two days or is none.
WRITTEN = {
    "2011-1-1": "2011-01-01", "2010-1-5": "2010-01-05", "2026/11/25": "2026-11-25",
    "2026.11.25": "2026-11-25", "20261125": "2026-11-25", "1125": "11-25", "0229": "02-29",
    "25.11.2026": "2026-11-25", "11/25/2026": "2026-11-25", "5-5-2026": "2026-05-05",
    "25-11": "11-25", "2026-11-25 00:00:00": "2026-11-25", " 2026-11-25 ": "2026-11-25",
    "1-1-26": None, "25-11-26": None, "05-11": None, "05/11/2026": None, "260131": None,
    "2026-11-25T23:50": None, "2026-11-25 23:50:00+02:00": None, "25112026": None,
    "45986": None, "2026-02-30": None, "0001-01-01": None, "1-1": "01-01", "2026-11/25": None,
    "२०२६1125": None, "2026-11-25Z": None, "": None,
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_a_day_is_read_by_its_separators_or_refused(tmp_path, written):
    """Day and month are never guessed: a change between draws would carry the wrong sign."""
    table = table_of(tmp_path, f"{HEAD}\na.avi,A,{written}\n")
    if WRITTEN[written] is None:
        with pytest.raises(RbcError, match=r"movies\.csv"):
            movielist.read(table)
        return
    assert movielist.read(table).loc[0, "date"] == WRITTEN[written]


def test_days_without_a_year_are_put_in_order_only_where_it_is_known(tmp_path):
    """January after December is a month later, and sorts eleven months earlier."""
    table = table_of(tmp_path, f"{HEAD}\na.avi,A,1228\nb.avi,A,0104\n")
    with pytest.raises(RbcError, match="which came first is not known"):
        movielist.read(table)
    assert movielist.read(table, year=2025)["date"].tolist() == ["2025-01-04", "2025-12-28"]
    mixed = table_of(tmp_path, f"{HEAD}\na.avi,A,2025-12-28\nb.avi,A,0104\n")
    with pytest.raises(RbcError, match="with and without a year"):
        movielist.read(mixed)


@pytest.mark.parametrize(
    "names",
    [
        ["P0112_20251103.avi", "P0205_20251103.avi"], ["sample0101.avi"], ["patient0112.tif"],
        ["AB10171.avi"], ["AB101720.avi"], ["AB1017_1018.avi"], ["x-AB1017.avi"],
    ],
)  # fmt: skip
def test_a_number_that_may_be_no_date_is_not_taken_for_one(tmp_path, names):
    """Two patients that are numbered would else be one patient on two days."""
    with pytest.raises(RbcError, match="in one way only"):
        movielist.read(folder_of(tmp_path, *names))


def test_every_kind_of_movie_in_a_folder_is_taken_or_told(tmp_path):
    """What is passed over without a word is missing from a patient's series."""
    names = ["AB1017_1.stk", "AB1017_2.LSM", "AB1017_3.btf", "AB1017_4.tf8", "AB1017_5.nd2"]
    folder_of(tmp_path, *names, "notes.docx", "list.csv", ".hidden")
    (tmp_path / "AB1017_6.v2").mkdir()
    folder_of(tmp_path / "AB1017_6.v2", "1.tif", "2.tif")
    (tmp_path / "old").mkdir()
    found = movielist.read(tmp_path)
    assert found["name"].tolist() == [f"AB1017_{i}" for i in range(1, 6)] + ["AB1017_6.v2"]
    assert movielist.passed_over(tmp_path) == ["list.csv", "notes.docx", "old"]


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
    "an unknown unit": (f"{HEAD},um_per_pixel\na.avi,A,1017,0.3\n", "call it um_per_px"),
    "an unknown rate": (f"{HEAD},FPS\na.avi,A,1017,90\n", "call it frame_rate"),
    "an unknown column": (f"{HEAD},age\na.avi,A,1017,3\n", "'age' is not known"),
    "a column twice": (f"{HEAD},Date\na.avi,A,1017,1018\n", "two columns are called date"),
    "a comma too many": (f"{HEAD},um_per_px\na.avi,A,1017,0,6\n", "row 2 has 5 fields"),
    "thousands": (f'{HEAD},frame_rate\na.avi,A,1017,"1,250"\n', "'1,250' is no number"),
    "two writings": (
        "movie;patient;date;um_per_px\na.avi;A;1017;0,5\nb.avi;A;1017;0.6\n",
        "with commas",
    ),
    "two patients or one": (f"{HEAD}\na.avi,007,1017\nb.avi,7,1018\n", "may be one"),
    "case of patients": (f"{HEAD}\na.avi,bg,1017\nb.avi,BG,1018\n", "may be one"),
    "case of movies": (f"{HEAD}\na.avi,A,1017\nA.avi,A,1018\n", "called 'a' and 'A'"),
    "a formula": (f"{HEAD}\na.avi,=1+1,1017\n", "as a formula does"),
    "a command": (f"{HEAD}\n@SUM(A1).avi,A,1017\n", "as a formula does"),
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
    "content",
    [
        b"Movie;Patient;Date;um per px\na.avi;NA;2026-01-31;0,5\n",
        "\ufeffmovie\tpatient\tdate\tum_per_px\r\na.avi\tNA\t2026-01-31\t0.5\r\n".encode(),
        b'movie , "PATIENT",date,UM-PER-PX,Notes\na.avi, NA ,2026-01-31,"0,5",x\n,,,,\n',
        "movie;patient;date;um_per_px\na.avi;NA;2026-01-31;.5\n".encode("utf-16"),
    ],
)
def test_a_table_is_read_as_offices_write_it(tmp_path, content):
    """A German spreadsheet separates by semicolons; NA is a patient's initials, not a gap."""
    (tmp_path / "movies.csv").write_bytes(content)
    row = movielist.read(tmp_path / "movies.csv").loc[0]
    assert (row["name"], row["patient"], row["date"]) == ("a", "NA", "2026-01-31")
    assert row["um_per_px"] == 0.5


@pytest.mark.parametrize(
    "content",
    [
        "movie,patient,date\na.avi,Jürgen,1017\n".encode("latin-1"),
        b"PK\x03\x04rest",
        b"\0\0\0\0",
        b"",
    ],
)
def test_what_is_no_text_is_refused_in_one_line(tmp_path, content):
    """An encoding that is guessed makes another patient of one."""
    (tmp_path / "movies.csv").write_bytes(content)
    with pytest.raises(RbcError, match=r"movies\.csv: .*(CSV|zero bytes|names no movie)"):
        movielist.read(tmp_path / "movies.csv")


def test_accents_are_one_name_however_they_are_stored(tmp_path):
    """A Mac stores ü as u and two dots: file and table must still meet, and a patient stay one."""
    stored = unicodedata.normalize("NFD", "Jürgen1017")
    (tmp_path / f"{stored}.avi").write_bytes(b"")
    table = table_of(tmp_path, f"{HEAD}\nJürgen1017.avi,Jürgen ,1017\nb.avi,{stored[:-4]},1018\n")
    found = movielist.read(table)
    assert found["path"][0].exists() and set(found["patient"]) == {"Jürgen"}


@pytest.mark.parametrize(
    ("names", "pattern", "message"),
    [
        (["1.avi"], movielist.PATTERN, "in one way only"),
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
