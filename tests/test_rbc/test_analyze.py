"""From a movie to the marker: a small simulated movie, the shipped models, the report in a
browser.
"""

import csv
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, rbc

from compendium.data import ingest
from rbc import RbcError, marker, metrics, prevalence, sequences, simulate
from rbc.bench import analyze, classify
from rbc.bench.corrections import read_corrections
from rbc.paper import RELIABLE
from rbc.simulate import movies

KNOWN = json.loads((classify.MODELS / "known.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Simulated cells composited into a small movie."""
    path = tmp_path_factory.mktemp("movie") / 'a "small", <b>.avi'
    scene = movies.Scene(shape=(240, 320), cells=8, seed=3)
    cells = simulate.sequences(
        {"test": {"tank-treading": 30, "flipping": 20, "unreliable": 4}}, seed=1
    )
    frames, _ = movies.sprites(cells, scene)
    movies.write(path, frames, 60.0, "raw")
    return path


@pytest.fixture(scope="module")
def answer(movie, tmp_path_factory):
    """What the command line answers, and the folder it wrote."""
    out = tmp_path_factory.mktemp("out") / "report"
    result = rbc("analyze", movie, "--out", out, "--um-per-px", 0.6, "--threads", 1, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), out


def test_the_marker_is_the_adjusted_count_of_the_calls(answer):
    """The printed marker must follow from the calls and the known errors, and from nothing else."""
    said, out = answer
    assert (
        said == json.loads((out / "marker.json").read_text(encoding="utf-8")) and said["simulated"]
    )
    table = pd.read_csv(out / "cells.csv")
    found = sequences.load(out / "tracked")
    assert len(table) == said["cells"] + said["left_out"] == len(found) > 30
    assert (table["continues"].notna()).sum() == said["left_out"]
    again = classify.classify(found).set_index("name")["decision"]
    assert (again[table["name"]].to_numpy() == table["decision"]).all()
    rates = pd.DataFrame(KNOWN["answers"]).pivot_table("n", "answer", "label", "sum", fill_value=0)
    rates = rates.reindex(prevalence.ANSWERS)[
        ["tank-treading", "flipping", "unreliable"]
    ].to_numpy()
    counting = table[table["continues"].isna()]
    shares = counting["answer"].value_counts().reindex(
        prevalence.ANSWERS, fill_value=0
    ).to_numpy() / len(counting)
    x = prevalence.on_simplex(shares, rates / rates.sum(0))
    assert said["adjusted"] == pytest.approx(x[0] / (x[0] + x[1]))
    if said["withheld"]:
        assert said["estimate"] is None and said["low"] is None
    else:
        assert said["low"] <= said["estimate"] <= said["high"] and said["low"] < said["high"]
    assert table["sure"].is_monotonic_increasing


def test_what_is_refused_leaves_nothing_and_says_why(movie, tmp_path):
    """A refused movie must leave no report that somebody could read as a result."""
    options = ("--out", tmp_path / "out", "--threads", 1, "--um-per-px", 0.8)
    assert "not judged: wrong scale, cells of" in one_line_error(rbc("analyze", movie, *options))
    with pytest.raises(RbcError, match="no readable SHA256SUMS"):
        analyze.analyze(movie, tmp_path / "out", models=tmp_path)
    with pytest.raises(RbcError, match="no such movie"):
        analyze.analyze(movie.with_name("none.avi"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_magnified_a_faint_and_a_smooth_movie_are_unknown(answer):
    """Another scale, contrast or noise is what the models have never seen."""
    found = sequences.load(answer[1] / "tracked")
    said = pd.DataFrame({"answer": ["flipping"] * 30})
    assert analyze.objections(found, said, KNOWN["looks"]) == []
    assert "too few cells, 19 of 19" in analyze.objections(found, said[:19], KNOWN["looks"])[0]
    flat = found.frames.mean(axis=(1, 2), keepdims=True)
    changed = {
        "cells of": np.repeat(np.repeat(found.frames, 2, 1), 2, 2)[:, 15:46, 15:46],
        "contrast of": np.clip(np.round(flat + 0.2 * (found.frames - flat)), 0, 255).astype(
            np.uint8
        ),
        "noise of": _smoothed(found.frames),
    }
    for why, frames in changed.items():
        other = sequences.Sequences(np.ascontiguousarray(frames), found.index, found.meta)
        assert any(why in line for line in analyze.objections(other, said, KNOWN["looks"])), why


def _smoothed(frames: np.ndarray) -> np.ndarray:
    """Means over three neighbours both ways."""
    x = frames.astype(float)
    for axis in (1, 2):
        x = (np.roll(x, 1, axis) + x + np.roll(x, -1, axis)) / 3
    return x.round().astype(np.uint8)


def _darker(frames: np.ndarray) -> np.ndarray:
    """The same with a disc about the middle that absorbs, as red cells do."""
    place = np.arange(31) - 15
    disc = place[:, None] ** 2 + place**2 <= 10**2
    return (frames.astype(int) - 6 * disc).clip(0, 255).astype(np.uint8)


def test_a_movie_with_light_and_dark_swapped_is_objected_to(answer):
    """An inverted movie read 0.0 % tank-treading, and nothing was said of it."""
    found = sequences.load(answer[1] / "tracked")
    dark = _darker(found.frames)
    for frames, swapped in ((dark, False), (255 - dark, True)):
        other = sequences.Sequences(frames, found.index, found.meta)
        against = analyze.unlike(other, KNOWN["looks"])
        assert any("light and dark may be swapped" in line for line in against) == swapped


def test_no_real_acquisition_is_called_swapped_and_most_inverted_ones_are(released_sample):
    """The share of inverted acquisitions that passes unseen is the one that the comment says."""
    cells = ingest.read(released_sample)
    bright = {}
    for name, swapped in (("as they are", False), ("inverted", True)):
        frames = 255 - cells.frames if swapped else cells.frames
        looks = analyze.looks(sequences.Sequences(frames, cells.index, cells.meta))
        medians = looks.groupby("acquisition")["bright"].median()
        bright[name] = int((medians > analyze.BRIGHT).sum()), len(medians)
    assert bright["as they are"][0] == 0
    assert bright["inverted"][0] >= 0.7 * bright["inverted"][1]


def test_force_judges_and_the_report_says_against_what(movie, tmp_path):
    """Who overrules a refusal must hand on its reason with the number."""
    said = analyze.analyze(movie, tmp_path / "yes", um_per_px=0.8, threads=1, force=True)
    assert any("wrong scale, cells of" in line for line in said["objections"])
    assert "Judged by force, against this objection: wrong scale" in (
        tmp_path / "yes" / "report.html"
    ).read_text(encoding="utf-8")


def test_an_acquisition_is_not_judged_with_its_own_errors():
    """Errors learned from the judged movie itself would flatter it."""
    own = KNOWN["answers"][0]["acquisition"]
    assert own not in set(analyze.errors_of_others(KNOWN, {own})["acquisition"])
    assert len(analyze.errors_of_others(KNOWN, {"another"})) == sum(
        row["n"] for row in KNOWN["answers"]
    )


def test_what_is_known_of_models_counts_every_labelled_cell(cells, tmp_path):
    """A lost cell would change the error rates without a word."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    analyze.describe(cells, models)
    known = json.loads((models / "known.json").read_text(encoding="utf-8"))
    counts = pd.DataFrame(known["answers"]).groupby(["acquisition", "label"])["n"].sum()
    assert (
        counts.to_dict() == cells.index.groupby(["acquisition", "label"]).size().to_dict()
        and known["simulated"]
    )
    said = pd.DataFrame({"answer": ["flipping"] * 30})
    found = sequences.Sequences(cells.frames, cells.index, {**cells.meta, "um_per_px": 0.6})
    # the middle of what it was learned from
    assert analyze.objections(found, said, known["looks"]) == []


def test_what_is_known_is_of_the_weights_that_are_shipped(released_sample, tmp_path):
    """Error rates of other weights would correct the wrong mistakes."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    cells = ingest.strips(released_sample / "Stage_1" / "test")
    analyze.describe(cells, models, KNOWN["limits"])
    again = pd.DataFrame(json.loads((models / "known.json").read_text(encoding="utf-8"))["answers"])
    keys = ["acquisition", "label", "answer"]
    both = again.merge(pd.DataFrame(KNOWN["answers"]), on=keys, how="outer").fillna(0)
    # a cell at a threshold may fall elsewhere on another machine
    assert (both["n_x"] - both["n_y"]).abs().sum() <= 2


def test_known_errors_follow_the_thresholds_of_each_blood_draw(cells, tmp_path):
    """A threshold set on a draw's own cells flatters the models on that draw."""
    models = shutil.copytree(classify.MODELS, tmp_path / "models")
    draws = cells.index["acquisition"].map(metrics.blood_draw)
    strict = {"threshold": 1e9, "unsure_within": 0.0}  # stage 1 keeps nothing of this draw
    analyze.describe(cells, models, {"1": {draws.iat[0]: strict}})
    known = pd.DataFrame(json.loads((models / "known.json").read_text(encoding="utf-8"))["answers"])
    mine = known["acquisition"].map(metrics.blood_draw) == draws.iat[0]
    assert set(known["answer"][mine]) == {"discarded"}
    plain = pd.Series(classify.classify(cells)["decision"]).isin(RELIABLE)
    kept = known["n"][~mine & known["answer"].isin(RELIABLE)].sum()
    assert kept == (plain & (draws != draws.iat[0]).to_numpy()).sum()


def test_on_real_cells_the_interval_holds_the_fraction_by_hand(released_sample, tmp_path):
    """Real cells of one acquisition composited into a movie of its name: its members and errors are
    the others'.
    """
    cells = ingest.strips(released_sample / "Stage_1" / "test")
    own = cells.select((cells.index["acquisition"] == "LJ0926_10s03").to_numpy())
    frames, _ = movies.sprites(own, movies.Scene(shape=(480, 640), cells=8, seed=3))
    movies.write(tmp_path / "LJ0926_10s03.avi", frames, 60.0, "raw")
    said = analyze.analyze(tmp_path / "LJ0926_10s03.avi", tmp_path / "out", threads=1, force=True)
    n = own.index["label"].value_counts()
    assert said["known_acquisitions"] == 5
    truth = n["tank-treading"] / (n["tank-treading"] + n["flipping"])
    assert said["withheld"] is None and said["low"] <= truth <= said["high"]
    table = pd.read_csv(tmp_path / "out" / "cells.csv")
    answers = (
        table["answer"][table["continues"].isna()]
        .value_counts()
        .reindex(prevalence.ANSWERS, fill_value=0)
    )
    rates = prevalence.known_rates(analyze.errors_of_others(KNOWN, {"LJ0926_10s03"}))[1]
    ours = marker.interval(answers.to_numpy(), rates)
    assert ours.low <= truth <= ours.high


# --- the report in a browser ---


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("no chromium here: the report is not opened")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, answer):
    """The report, with what it asked for and complained of."""
    page = browser.new_page(accept_downloads=True)
    page.set_default_timeout(120_000)  # on a busy machine
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on(
        "console",
        lambda message: page.errors.append(message.text) if message.type == "error" else None,
    )
    page.goto((answer[1] / "report.html").as_uri())
    yield page
    assert page.errors == []
    page.close()


def test_the_report_asks_nothing_and_shows_the_marker(page, answer):
    """A report of patients' movies must ask no server for anything."""
    said, out = answer
    assert {url.split(":")[0] for url in page.asked} <= {"file", "data"}
    assert [url for url in page.asked if url.startswith("file")] == [(out / "report.html").as_uri()]
    shown = page.inner_text("#marker")
    if said["withheld"]:
        assert said["withheld"] in shown and "nan" not in shown.lower()
    else:
        headline = ("low", "high") if said["caution"] else ("estimate", "low", "high")
        assert all(f"{100 * said[name]:.1f} %" in shown for name in headline)
        assert (said["caution"] or "") in shown
    assert page.inner_text("h1").endswith(
        'a "small", <b>.avi'
    ) and "Simulated movie" in page.inner_text("main")
    assert page.locator(".cell").count() == said["cells"]  # a small movie: every one is shown


def test_the_report_fits_a_phone(page):
    """A line that cannot break makes the whole page wider than the screen."""
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_report_says_where_the_models_come_from_in_words(page, answer):
    """A reader must see both stages, and not the dictionary of a program."""
    row = page.locator('tr:has(th:text-is("Models"))').inner_text()
    kept = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))["origins"]
    assert answer[0]["models"]["stages"] == kept
    for stage, origin in kept.items():  # stage 1 was made anew by a later commit
        assert f"stage {stage}: commit {origin['commit'][:10]}" in row
        assert origin["commit"] not in row
    assert not re.search("dirty|True|False", page.inner_text("main"))


def test_the_film_with_tracks_is_turned_by_hand_and_by_itself(page):
    """Whether cells were followed is seen in frames in a row, not in one picture."""
    first = page.get_attribute("#film", "src")
    page.locator("#film-frame").focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#film-at").startswith("2 of ")
    assert page.get_attribute("#film", "src") != first
    page.click("#film-play")
    page.get_by_text("5 of 30").wait_for()
    page.click("#film-play")
    assert page.inner_text("#film-play") == "Play"
    assert page.evaluate("document.getElementById('film').naturalWidth") > 100


def test_the_page_computes_what_the_library_computes(page, answer):
    """Nothing is left to chance beyond the rates, which come with the page: both agree, with the
    operator's own cells too.
    """
    said, _ = answer
    shares = np.array(page.evaluate("Array.from(drawn)")).reshape(-1, 2, 3)
    rates = np.concatenate([shares, 1 - shares.sum(axis=1, keepdims=True)], axis=1)
    for counts, own in (
        ((40, 12, 30), (0, 0)),
        ((25, 0, 10), (0, 0)),
        ((40, 12, 30), (30, 5)),
        ((60, 3, 200), (1, 0)),
        ((0, 7, 90), (0, 3)),
    ):
        ours = marker.interval(np.array(counts), rates, own)._asdict()
        theirs = page.evaluate("([said, own]) => interval(said, own)", [counts, own])
        assert theirs == pytest.approx(ours, abs=1e-6), (counts, own)
    found = page.evaluate("estimate()")
    for name in ("estimate", "low", "high"):
        assert found[name] == pytest.approx(said[name], abs=1e-4, nan_ok=True)
    assert (found["withheld"] is None) == (said["withheld"] is None)
    assert found["caution"] == said["caution"]


def test_the_operator_overrules_by_keyboard_sees_the_marker_change_and_exports(page, answer):
    """The operator's label counts, at once and in the file."""
    said, _ = answer
    before = page.inner_text("#marker")
    cards = page.locator('.cell[data-decision="tank-treading"]')
    names = [cards.nth(i).get_attribute("data-name") for i in range(3)]
    cards.nth(0).locator('input[value="tank-treading"]').focus()
    page.keyboard.press("ArrowDown")  # the next label
    for i in (1, 2):
        cards.nth(i).get_by_label("unreliable").check()
    counted, n = said["decisions"]["tank-treading"] - 3, said["decisions"]["flipping"] + 1
    assert f"({counted} of {counted + n})" in page.inner_text("#counted")
    after = page.inner_text("#marker")
    assert "undefined" not in after and "NaN" not in after
    assert page.inner_text("#state").startswith(
        "Looked at: 3 of"
    ) and "3 labels changed" in page.inner_text("#state")
    with page.expect_download() as download:
        page.click("#export")
    rows = list(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    wanted = zip(names, ["tank-treading"] * 3, ["flipping", "unreliable", "unreliable"])
    assert rows == [["name", "before", "after"], *map(list, wanted)]
    page.click("#undo")
    assert page.inner_text("#marker") == before and page.locator(".cell[data-changed]").count() == 0


def test_right_counts_as_looked_at_is_saved_and_read_back(page, answer, movie, tmp_path):
    """Real buttons and keys: a confirmed label survives a reload and reaches `rbc analyze
    --corrections`.
    """
    said, _ = answer
    page.keyboard.press("n")
    first = page.evaluate("document.activeElement.dataset.name")
    page.keyboard.press("y")
    page.click("#next")
    second = page.evaluate("document.activeElement.dataset.name")
    page.locator(".cell").nth(1).locator(".right").click()
    assert first != second and page.inner_text("#state").startswith(
        f"Looked at: 2 of {said['cells']} cells; 0"
    )
    page.keyboard.press("n")
    page.keyboard.press("2")
    assert page.locator(".cell[data-looked]").count() == 3
    page.reload()
    assert page.locator(".cell[data-looked]").count() == 3 and "Looked at: 3" in page.inner_text(
        "#state"
    )
    with page.expect_download() as download:
        page.click("#export")
    labels = download.value.path().read_text(encoding="utf-8")
    (tmp_path / "labels.csv").write_text(labels, encoding="utf-8")
    with page.expect_download() as download:
        page.click("#marker-json")
    ways = json.loads(download.value.path().read_text(encoding="utf-8"))["ways"]
    assert ways["models"] == said["ways"]["models"] and set(ways) == {
        "models",
        "corrected",
        "by hand",
    }
    with page.expect_download() as download:
        page.click("#marker-csv")
    assert (
        len(list(csv.reader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))) == 4
    )
    page.click("#undo")
    assert page.locator(".cell[data-looked]").count() == 0

    options = {"um_per_px": 0.6, "threads": 1, "corrections": tmp_path / "labels.csv"}
    again = analyze.analyze(movie, tmp_path / "again", **options)
    assert again["labels"]["looked_at"] == 3
    assert again["ways"]["models"] == said["ways"]["models"]
    for name in ("estimate", "low", "high"):
        assert again["ways"]["by hand"][name] == pytest.approx(ways["by hand"][name])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n", "columns name and after"),
        ("name,after\nx,dancing\n", "unknown label 'dancing'"),
        ("name,after\ny,flipping\n", "no sequence 'y'"),
        ("name,after\nx,flipping\nx,unsure\n", "two labels of 'x'"),
        ("", "cannot be read"),
    ],
)
def test_corrections_that_do_not_fit_are_refused(text, why, tmp_path):
    """A wrong file must not change the marker without a word."""
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RbcError, match=why):
        read_corrections(path, pd.DataFrame({"name": ["x"]}))


def test_what_tracking_objects_to_and_units_nobody_gave_are_objections(answer):
    """A movie that tracking doubts, or of an assumed scale, must not be judged without a word."""
    found, said = sequences.load(answer[1] / "tracked"), pd.DataFrame({"answer": ["flipping"] * 30})
    units = {name: {**unit, "source": "assumed"} for name, unit in found.meta["units"].items()}
    doubted = sequences.Sequences(
        found.frames, found.index, {**found.meta, "objections": ["no steady flow"], "units": units}
    )
    against = analyze.objections(doubted, said, KNOWN["looks"])
    assert against[0] == "no steady flow"
    assert "--um-per-px" in against[1] and "--frame-rate" in against[2] and len(against) == 3


@pytest.mark.parametrize(
    ("shear", "rate", "refused"),
    [
        (10, 60, False),
        (10, 30, False),
        (10, 15, False),
        (10, 14, True),
        (40, 60, False),
        (45, 60, True),
    ],
)
def test_a_cell_that_turns_too_far_between_frames_is_not_judged(cells, shear, rate, refused):
    """Slow cameras and fast flow are refused together: what counts is the shear between frames."""
    units = {"shear_rate": {"value": float(shear)}, "frame_rate": {"value": float(rate)}}
    said = analyze.hurried(replace(cells, meta=cells.meta | {"units": units}))
    assert bool(said) == refused
    if refused:
        assert f"film at {1.5 * shear:.0f} frames/s at least" in said[0]


def test_when_every_cell_is_labelled_the_marker_is_the_operators_count(page):
    """Where a person has judged all, no model has a say."""
    page.evaluate("""for (const [i, card] of document.querySelectorAll(".cell").entries()) {
        const input = card.querySelector(`input[value="${i % 4 ? "tank-treading" : "flipping"}"]`);
        corrected.set(card.dataset.name, input.value); }; update()""")
    n = page.locator(".cell").count()
    share = 100 * (n - len(range(0, n, 4))) / n
    assert page.inner_text("#marker").startswith(f"{share:.1f} %")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anyone_can_read_and_use_it(page, scheme):
    """The report must meet WCAG, light and dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    found = axe.run(page)
    assert found.violations_count == 0, found.generate_report()
