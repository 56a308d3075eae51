"""Many movies: judged in one go, put together by draw, compared over time (all simulated)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, rbc

from compendium import ROOT
from rbc import RbcError, metrics, prevalence, simulate
from rbc.bench import analyze, classify, draws, exchange, study
from rbc.files import file_hash
from rbc.simulate import movies

pytestmark = pytest.mark.slow

KNOWN = analyze.read_known(classify.MODELS)
ERRORS = analyze.errors_of_others(KNOWN, set())


def answered(*rows: tuple) -> pd.DataFrame:
    """Judged movies: name, patient, date, draw, and answers."""
    columns = ["name", "patient", "date", "draw", *prevalence.ANSWERS]
    table = pd.DataFrame(rows, columns=columns).assign(**dict.fromkeys(draws.OWN, 0.0))
    return table.astype({answer: float for answer in prevalence.ANSWERS})


# --- by draw and over time


def test_movies_of_a_draw_count_together():
    """Two movies of a draw say what one of all their cells would, and in no wider an interval.

    The known draws err alike here: where they differ much, more cells make no interval narrower.
    """
    halves = answered(("a", "P", "01-01", "d", 60, 20, 40), ("b", "P", "01-01", "d", 60, 20, 40))
    whole = answered(("c", "P", "01-01", "d", 120, 40, 80))
    together, apart = (draws.by_draw(table, ERRORS)[0].iloc[0] for table in (halves, whole))
    assert together["movies"] == 2 and together["cells"] == apart["cells"] == 240
    assert together["estimate"] == pytest.approx(apart["estimate"])
    first = ERRORS["acquisition"].str.startswith("BG1022")
    alike = pd.concat([ERRORS[first].assign(acquisition=f"K{i}_1") for i in range(5)])
    counts = np.array([60.0, 20.0, 40.0])
    single, double = (draws.pooled(n * counts, alike)[0] for n in (1, 2))
    assert double["high"] - double["low"] < single["high"] - single["low"]


def test_movies_that_differ_widen_the_interval_of_their_draw():
    """Where the movies of a draw say different things, more cells of them make it no surer."""
    alike = answered(("a", "P", "01-01", "d", 60, 20, 40), ("b", "P", "01-01", "d", 60, 20, 40))
    apart = answered(("a", "P", "01-01", "d", 78, 2, 40), ("b", "P", "01-01", "d", 42, 38, 40))
    assert draws.spread(alike) == (1.0, 1)
    factor, df = draws.spread(apart)
    assert factor > 10 and df == 1
    first, second = (draws.by_draw(table, ERRORS)[0].iloc[0] for table in (alike, apart))
    assert second["high"] - second["low"] > first["high"] - first["low"]
    assert draws.unlike_their_draw(alike) == set()
    assert draws.unlike_their_draw(apart) == {"a", "b"}


def test_with_one_movie_a_draw_the_spread_is_not_known():
    """Unknown is not none: the page must say so."""
    table = answered(("a", "P", "01-01", "d", 60, 20, 40), ("b", "P", "01-02", "e", 60, 20, 40))
    assert draws.spread(table) == (1.0, 0)
    found = study.together(
        table.assign(status="judged", why="", simulated=False).reindex(
            columns=list(study.OF_MOVIE)
        ),
        KNOWN,
    )
    assert any("no draw has two movies" in note for note in found.notes)


def test_a_change_has_the_sign_of_what_changed():
    """From 90 % to 30 % of the calls is a fall, and one that is shown; the reverse a rise."""
    table = answered(
        ("a", "P", "01-01", "d", 900, 100, 100), ("b", "P", "01-02", "e", 300, 700, 100),
        ("c", "Q", "01-01", "f", 300, 700, 100), ("d", "Q", "01-02", "g", 900, 100, 100),
    )  # fmt: skip
    _, changes = draws.by_draw(table, ERRORS)
    fall, rise = changes.itertuples()
    assert (fall.earlier, fall.later) == ("d", "e") and fall.change < -0.2 < 0.2 < rise.change
    assert fall.low < fall.change < fall.high
    # Labels narrow the interval.
    assert fall.smallest_100 < fall.smallest_50 < fall.smallest


def test_cells_that_the_operator_labelled_count_as_they_are():
    """They have no model's error: the more of them, the narrower is the interval of a draw, and
    where all were labelled it is that of a count.
    """
    judged = answered(("a", "P", "01-01", "d", 60, 20, 40))
    part = answered(("a", "P", "01-01", "d", 30, 10, 20)).assign(
        **dict(zip(draws.OWN, (45.0, 15.0)))
    )
    whole = answered(("a", "P", "01-01", "d", 0, 0, 0)).assign(**dict(zip(draws.OWN, (90.0, 30.0))))
    found = [draws.by_draw(table, ERRORS)[0].iloc[0] for table in (judged, part, whole)]
    widths = [row["high"] - row["low"] for row in found]
    assert widths[0] > widths[1] > widths[2]
    low, high = metrics.wilson(90, 120)
    assert found[2]["cells"] == 120 and found[2]["withheld"] is None
    assert found[2]["low"] == pytest.approx(low, abs=0.02)
    assert found[2]["high"] == pytest.approx(high, abs=0.02)
    # Nor does a draw counted by hand need known errors.
    unknown = draws.by_draw(whole, ERRORS[:0])[0].iloc[0]
    assert unknown["withheld"] is None and unknown["low"] == pytest.approx(found[2]["low"])
    assert draws.spread(pd.concat([judged, whole.assign(name="b")]))[1] == 1


def test_a_draw_without_known_errors_gets_no_estimate_and_no_change():
    """Where no cell of a class is known, any number would be made up."""
    table = answered(("a", "P", "01-01", "d", 60, 20, 40), ("b", "P", "01-02", "e", 60, 20, 40))
    found, changes = draws.by_draw(table, ERRORS[ERRORS["label"] != "flipping"])
    assert found["estimate"].isna().all() and found["withheld"].notna().all()
    assert changes.empty


def test_a_draw_is_not_judged_with_its_own_errors():
    """After `rbc adapt` the labelled cells may be of the very movies of a study."""
    table = answered(("a", "P", "01-01", "d", 60, 20, 40), ("b", "P", "01-02", "e", 60, 20, 40))
    own = pd.concat([ERRORS.assign(acquisition="a"), ERRORS])
    found, _ = draws.by_draw(table, own)
    with_others, with_all = (draws.pooled(np.array([60.0, 20, 40]), e)[0] for e in (ERRORS, own))
    assert found["low"].tolist() == [with_others["low"], with_all["low"]]
    assert with_others["low"] != with_all["low"]
    alone, changes = draws.by_draw(table[:1], ERRORS.assign(acquisition="a"))
    assert alone["withheld"].tolist() == [prevalence.UNTOLD] and changes.empty


# --- the command


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Four movies of one patient: two of a draw, one of another scale, one broken."""
    folder = tmp_path_factory.mktemp("movies")
    scene = movies.Scene(shape=(240, 320), cells=8, seed=3)
    for number, name in enumerate(("AA1001_1", "AA1001_2")):
        part = {"tank-treading": 30, "flipping": 10, "unreliable": 4}
        cells = simulate.sequences({"test": part}, seed=number, acquisitions={"test": 1})
        movies.write(folder / f"{name}.avi", movies.sprites(cells, scene)[0], 60.0, "raw")
    (folder / "AA1008_1.avi").write_bytes(b"RIFF, and then nothing")
    table = "movie,patient,date,um_per_px\n" + "".join(
        f"{name}.avi,AA,{name[2:6]},{um}\n"
        for name, um in (("AA1001_1", 0.6), ("AA1001_2", 0.6), ("AA1008_1", 0.6))
    )
    (folder / "AA1008_2.avi").write_bytes((folder / "AA1001_1.avi").read_bytes())
    (folder / "movies.csv").write_text(f"{table}AA1008_2.avi,AA,1008,1.0\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(filmed, tmp_path_factory):
    """The study of these movies, told to end after its first movie, then ended; what it said as
    JSON.
    """
    out = tmp_path_factory.mktemp("study") / "out"
    words = ["study", str(filmed / "movies.csv"), "--out", str(out), "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "compendium", *words]
    first = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while first.poll() is None and not (out / "study.json").exists():
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate()
    *listed, last = said.splitlines()
    assert listed[0] == "patient AA, 10-01, draw AA 10-01: AA1001_1, AA1001_2"
    assert last == "rbc: interrupted; the same command goes on where it stopped"
    assert not list(out.glob("reports/.*")), "something half written was left"
    state = json.loads((out / "study.json").read_text(encoding="utf-8"))
    files = [out / "reports" / name / "marker.json" for name in state]
    kept = {file: file.stat().st_mtime_ns for file in files}
    ended = subprocess.run(
        [*command, "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), out, kept


def test_one_broken_movie_and_one_of_another_scale_stop_nothing(done):
    """An evening's work must not hang on its worst file; each reason stands in its row."""
    said, out, _ = done
    rows = {row["name"]: row for row in said["movies"]}
    assert [rows[name]["status"] for name in sorted(rows)] == [
        "judged", "judged", "failed", "refused",
    ]  # fmt: skip
    assert "wrong scale" in rows["AA1008_2"]["why"] and "AA1008_1.avi" in rows["AA1008_1"]["why"]
    assert [draw["movies"] for draw in said["draws"]] == [2, 0]
    assert said["draws"][1]["withheld"] == "none of its movies was judged"
    assert "2 of 4 movies were not judged" in said["notes"]
    assert "simulated movies: they show no patient" in said["notes"]
    assert not list(out.glob("reports/.*")), "something half written was left"


def test_what_was_judged_before_it_stopped_is_not_judged_again(done):
    """Resuming must cost only what is missing."""
    _, _, kept = done
    assert kept
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())


def test_tables_and_page_say_the_same(done):
    """Three ways to read one result."""
    said, out, _ = done
    draw = pd.read_csv(out / "draws.csv").iloc[0]
    assert draw["cells"] == said["draws"][0]["cells"]
    answers = pd.read_csv(out / "movies.csv").query("status == 'judged'")
    assert draw["cells"] == answers[list(prevalence.ANSWERS)].sum(axis=None)
    page = (out / "study.html").read_text(encoding="utf-8")
    assert f"<td>{draw['cells']}</td>" in page and "wrong scale" in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_labels_put_beside_a_report_count_when_the_study_runs_again(done, filmed, tmp_path):
    """Who corrects a report must not have to pool the movies by hand. Nothing is judged anew."""
    _, out, _ = done
    again = tmp_path / "out"
    shutil.copytree(out, again)
    report = again / "reports" / "AA1001_1"
    cells = pd.read_csv(report / "cells.csv", keep_default_na=False)
    shown = cells["name"][cells["continues"] == ""]
    after = ["flipping"] * 8 + ["tank-treading"] * (len(shown) - 8)
    labels = pd.DataFrame({"name": shown, "before": "", "after": after})
    labels.to_csv(report / analyze.CORRECTIONS, index=False)
    before = (report / "marker.json").stat().st_mtime_ns
    made = rbc("study", filmed / "movies.csv", "--out", again, "--jobs", 1, "--json")
    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    row = next(row for row in said["movies"] if row["name"] == "AA1001_1")
    assert [row[name] for name in draws.OWN] == [len(shown) - 8, 8]
    assert row["looked at"] == len(shown) and row["discarded"] == 0
    assert row["estimate"] == pytest.approx(1 - 8 / len(shown), abs=0.03)
    assert (report / "marker.json").stat().st_mtime_ns == before
    page = (again / "study.html").read_text(encoding="utf-8")
    assert "Labelled by hand" in page and f"<td>{len(shown)}</td>" in page
    labels.assign(name="strange").to_csv(report / analyze.CORRECTIONS, index=False)
    failed = rbc("study", filmed / "movies.csv", "--out", again, "--jobs", 1)
    assert failed.returncode != 0
    assert "these corrections are of another" in failed.stderr.splitlines()[-1]


def test_a_study_is_described_with_its_movies_and_goes_into_a_workbook(done, filmed, tmp_path):
    """A data steward asks which bytes a result came from; a clinician opens a workbook."""
    crates = pytest.importorskip("rocrate.rocrate")
    _, out, _ = done
    exchange.export(out, out / "ro-crate-metadata.json")
    crate = crates.ROCrate(out)
    for name in ("AA1001_1", "AA1001_2"):
        movie = crate.dereference(f"#movie-{name}.avi")
        assert movie["sha256"] == file_hash(filmed / f"{name}.avi")
    assert "draws.csv" in {entity.id for entity in crate.data_entities}
    study.check_place(out)  # the study goes on with the description in its folder
    exchange.export(out, tmp_path / "study.xlsx")
    sheets = pd.read_excel(tmp_path / "study.xlsx", sheet_name=None)
    assert {"movies", "draws", "changes"} <= set(sheets) and len(sheets["movies"]) == 4


def test_a_changed_movie_is_judged_anew_and_a_strange_folder_is_left_alone(done, filmed, tmp_path):
    """A key of bytes: the name alone says nothing. And nobody's folder is filled."""
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    line = one_line_error(rbc("study", filmed / "movies.csv", "--out", tmp_path))
    assert "already holds other files" in line
    units = {"um_per_px": 0.6}
    movie = filmed / "AA1001_1.avi"
    task = study._Task("a", movie, tmp_path, classify.MODELS, units, study.code_key())
    other = replace(task, movie=filmed / "AA1001_2.avi")
    scaled = replace(task, units={"um_per_px": 0.5})
    by_other_code = replace(task, code="other")
    assert len({study._key(t) for t in (task, other, scaled, by_other_code)}) == 4
    with pytest.raises(RbcError, match=r"gone\.avi: cannot be read"):
        study._key(replace(task, movie=filmed / "gone.avi"))


def test_anyone_can_read_the_page(done, chromium):
    """The page opens from a disk, asks nothing, and has no barrier that axe finds."""
    from axe_playwright_python.sync_playwright import Axe

    _, out, _ = done
    page = chromium.new_page(viewport={"width": 375, "height": 800}, color_scheme="dark")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((out / "study.html").as_uri())
    assert asked == [(out / "study.html").as_uri()]
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.close()


def test_a_study_of_which_nothing_was_judged_ends_with_an_error(tmp_path):
    """A script that goes on with its tables must stop here."""
    (tmp_path / "AA1001.avi").write_bytes(b"RIFF, and then nothing")
    (tmp_path / "remarks.txt").write_text("none", encoding="utf-8")
    made = rbc("study", tmp_path, "--out", tmp_path / "out")
    assert made.returncode == 1
    assert "no movie, so passed over: remarks.txt" in made.stderr
    assert "none of 1 movies could be judged" in made.stderr.splitlines()[-1]
    assert (tmp_path / "out" / "study.html").exists()
