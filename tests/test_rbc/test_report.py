"""The report in a browser: its real script, driven as an operator drives it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rbc import labelling, marker, sequences, simulate
from rbc.bench import analyze, classify, report
from rbc.paper import FRAME_PX
from rbc.simulate import movies

PHONE = {"width": 375, "height": 812}
OPTIONS = {"um_per_px": 0.6, "threads": 1}


@pytest.fixture(scope="module")
def movie(tmp_path_factory) -> Path:
    """Enough simulated cells for a hundred labels, in a movie with an awkward name."""
    counts = {"tank-treading": 70, "flipping": 30, "unreliable": 15}
    cells = simulate.sequences({"test": counts}, seed=1)
    path = tmp_path_factory.mktemp("movie") / 'a "small", <b>.avi'
    scene = movies.Scene(shape=(240, 320), cells=4, seed=3)
    movies.simulate_movie(path.parent / "made", scene, cells, codec="raw")
    (path.parent / "made" / "movie.avi").rename(path)
    (path.parent / "made" / "truth.parquet").rename(path.with_name("truth.parquet"))
    return path


@pytest.fixture(scope="module")
def made(movie, tmp_path_factory) -> tuple[dict, Path]:
    """The marker of that movie, and the folder of its report."""
    out = tmp_path_factory.mktemp("out") / "report"
    return analyze.analyze(movie, out, **OPTIONS), out


def opened(chromium, folder: Path, **options):
    """A browser's page with the report, which must not complain or ask for anything."""
    page = chromium.new_page(accept_downloads=True, **options)
    page.set_default_timeout(60_000)  # on a busy machine
    page.asked, page.errors = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda m: m.type == "error" and page.errors.append(m.text))
    page.goto((folder / "report.html").as_uri())
    return page


@pytest.fixture
def page(chromium, made):
    """The report as it opens for the first time."""
    page = opened(chromium, made[1])
    yield page
    assert page.errors == []
    assert {address.split(":")[0] for address in page.asked} <= {"file", "data", "blob"}
    assert sum(address.startswith("file") for address in set(page.asked)) == 1
    page.close()


def exported(page, button: str = "#export") -> str:
    """What a link saves."""
    with page.expect_download() as download:
        page.click(button)
    return download.value.path().read_text(encoding="utf-8")


def ways(page) -> dict:
    """The three estimates as the page exports them, once they are computed."""
    page.locator(".result[aria-busy=false]").wait_for()
    return json.loads(exported(page, "#marker-json"))["ways"]


def label_by_keyboard(page, n: int) -> None:
    """Press the big button, then a key for each of `n` cells."""
    page.locator("#begin").press("Enter")
    for i in range(n):
        if page.locator("#stage").is_hidden():  # a series is done: go on with the next
            page.locator("#begin").press("Enter")
        page.keyboard.press("1112113121114212"[i % 16])


def test_a_hundred_labels_by_keyboard_survive_a_reload_and_reach_the_command(
    page, made, movie, tmp_path
):
    """What an operator labels at random must give the same interval in the page, after a reload and
    in `rbc analyze --corrections`.
    """
    before = ways(page)
    label_by_keyboard(page, 100)
    after = ways(page)
    assert after["models"] == before["models"] == made[0]["ways"]["models"]
    assert after["with labels"] != before["with labels"]
    width = {name: way["high"] - way["low"] for name, way in after.items()}
    assert width["with labels"] < width["models"]

    page.reload()
    assert ways(page) == after
    file = tmp_path / "labels.csv"
    file.write_text(exported(page), encoding="utf-8")
    assert "100" in page.inner_text("#exported")
    table = pd.read_csv(file)
    assert len(table) == 100 and set(table["chosen"]) == {"random"}

    again = analyze.analyze(movie, tmp_path / "again", corrections=file, **OPTIONS)
    assert again["labels"]["random"] == 100
    assert {*after} == {*again["ways"]}
    for name, way in after.items():
        for end in ("estimate", "low", "high"):
            assert again["ways"][name][end] == pytest.approx(way[end], abs=1e-6), (name, end)


def random_samples(n: int) -> list[labelling.Sample]:
    """Movies with labels drawn by chance: empty strata, few labels, all cells labelled."""
    rng = np.random.default_rng(11)
    samples = []
    for _ in range(n):
        sizes = rng.integers(0, (200, 60, 40, 400)) * (rng.random(4) > 0.15)
        sizes[0] += 1
        share = rng.choice([0, 0.1, 0.5, 1], 4)
        looks = [rng.multinomial(int(k * share[s]), rng.dirichlet([0.5] * 3)) for s, k in
                 enumerate(sizes)]  # fmt: skip
        counts = np.array(looks)
        left = sizes - counts.sum(axis=1)
        picked = np.array([rng.multinomial(rng.integers(0, k + 1), [0.5, 0.2, 0.3]) for k in left])
        samples.append(labelling.Sample(sizes, counts, counts + picked, int(counts.sum())))
    return samples


def edges() -> list[labelling.Sample]:
    """Fractions on the edge of a cell of the grid, one cell alone, no reliable cell."""
    samples = []
    for first, second in (
        ([5, 0, 0], [0, 5, 0]),
        ([1, 0, 0], [0, 3, 0]),
        ([300, 0, 0], [0, 100, 0]),
        ([1, 0, 0], [0, 0, 0]),
        ([0, 0, 9], [0, 0, 0]),
    ):
        counts = np.array([first, second, [0, 0, 0], [0, 0, 0]])
        sizes = counts.sum(axis=1)
        samples.append(labelling.Sample(sizes, counts, counts, int(sizes.sum())))
    return samples


def test_the_page_computes_with_labels_what_the_library_computes(page):
    """An interval that changes when the labels are read back would be worth nothing."""
    samples = random_samples(40) + edges()
    given = [
        {"sizes": s.sizes.tolist(), "counts": s.counts.tolist(), "known": s.known.tolist()}
        for s in samples
    ]
    found = page.evaluate(
        """all => all.map(s => ({all: ends(densityOfLabels(s)),
            kept: ends(densityOfLabels(s, [0, 1, 2])), looks: looksFor(s, 0.05),
            half: expectedHalfWidth(s, 30), order: nextLooks(s.sizes)}))""",
        given,
    )
    for ours, theirs in zip(samples, found, strict=True):
        for name, strata in (("all", None), ("kept", (0, 1, 2))):
            ends = marker.ends(labelling.density(ours, strata=strata))
            assert theirs[name] == pytest.approx(ends._asdict(), abs=1e-6), ours
        assert theirs["looks"] == labelling.looks_for(ours, 0.05)
        assert theirs["half"] == pytest.approx(labelling.expected_half_width(ours, 30), abs=1e-9)
        assert theirs["order"] == labelling.next_looks(list(ours.sizes))


def test_the_page_computes_without_labels_what_the_library_computes(page, made):
    """Nothing is left to chance beyond the known rates, which come with the page."""
    shares = np.array(page.evaluate("Array.from(drawn)")).reshape(-1, 2, 3)
    rates = np.concatenate([shares, 1 - shares.sum(axis=1, keepdims=True)], axis=1)
    compute = "async ([said, own]) => ends(await densityOfModels(said, own))"
    for counts, own in (
        ((40, 12, 30), (0, 0)),
        ((25, 0, 10), (30, 5)),
        ((0, 7, 90), (0, 3)),
    ):
        ours = marker.interval(np.array(counts), rates, own)._asdict()
        assert page.evaluate(compute, [counts, own]) == pytest.approx(ours, abs=1e-6), counts
    found = page.evaluate("modelsWithLabels(new Map())")
    for name in ("estimate", "low", "high"):
        assert found[name] == pytest.approx(made[0][name], abs=1e-4, nan_ok=True)
    assert (found["withheld"], found["caution"]) == (None, made[0]["caution"])


def test_when_every_cell_is_labelled_the_manual_count_is_theirs(page):
    """Where a person has labelled all cells, the manual count must be the plain share."""
    page.evaluate(
        """async () => { for (const cell of cells)
          labels.set(cell.name, cell.index % 4 ? "tank-treading" : "flipping");
          looks = looksOf(labels); await update(); }"""
    )
    n = page.evaluate("cells.length")
    share = (n - len(range(0, n, 4))) / n
    found = ways(page)
    assert found["by hand"]["estimate"] == pytest.approx(share)
    assert abs(found["with labels"]["estimate"] - share) < 0.02
    assert page.locator("#begin").is_disabled()


def test_back_undo_pause_and_close_do_what_they_say(page):
    """A slip of the finger must cost one key, not a wrong label."""
    label_by_keyboard(page, 3)
    keep = exported(page)
    page.keyboard.press("2")
    assert exported(page) != keep
    page.locator("#stage").focus()
    page.keyboard.press("z")
    assert exported(page) == keep
    page.locator("#stage").focus()
    page.keyboard.press("ArrowLeft")
    pressed = page.locator("#choices button[aria-pressed=true]")
    assert pressed.count() == 1  # the label that this cell has
    page.keyboard.press("3")  # corrects it, and goes on to the cell without one
    assert pressed.count() == 0
    assert len(pd.read_csv(io.StringIO(exported(page)))) == 3
    page.locator("#stage").focus()
    page.keyboard.press("Space")
    assert page.inner_text("#pause").endswith("Play")
    page.keyboard.press("Escape")
    assert page.locator("#start").is_visible() and page.locator("#stage").is_hidden()


def test_labels_of_a_file_that_names_no_order_count_as_picked(chromium, made, tmp_path):
    """The page must not find a random order that the command did not find in the same file."""
    text = (made[1] / "report.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    first = [data["cells"][index][0] for index in data["order"][: labelling.FEWEST_LOOKS]]
    data |= {"ordered": False, "corrections": dict.fromkeys(first, "tank-treading")}
    changed = json.dumps(data).replace("<", "\\u003c")
    before, after = text.split('id="data">')[0], text.split("</script>", 1)[1]
    (tmp_path / "report.html").write_text(
        f'{before}id="data">{changed}</script>{after}', encoding="utf-8"
    )
    page = opened(chromium, tmp_path)
    assert "discarded alike" not in ways(page)
    assert set(pd.read_csv(io.StringIO(exported(page)))["chosen"]) == {"picked"}
    page.click("#begin")  # the operator follows the order now: it begins with these cells
    page.keyboard.press("2")
    assert "discarded alike" in ways(page)
    assert set(pd.read_csv(io.StringIO(exported(page)))["chosen"]) == {"random"}
    assert page.errors == []
    page.close()


def test_picked_labels_leave_the_interval_of_the_others_and_are_cleared(page):
    """Cells that were picked say nothing of the others; clearing takes a second click."""
    page.locator("#filters button[data-filter=flipping]").click()
    cards = page.locator(".cell")
    assert set(cards.evaluate_all("c => c.map(x => x.dataset.predicted)")) == {"flipping"}
    cards.nth(0).locator("button[data-label=tank-treading]").click()
    cards.nth(1).locator("button[data-label=flipping]").focus()
    page.keyboard.press("3")
    table = pd.read_csv(io.StringIO(exported(page)))
    assert list(table["chosen"]) == ["picked"] * 2
    assert list(table["after"]) == ["tank-treading", "unreliable"]
    page.click("#clear")
    assert len(pd.read_csv(io.StringIO(exported(page)))) == 2
    page.click("#clear-yes")
    assert len(pd.read_csv(io.StringIO(exported(page)))) == 0
    page.reload()
    assert len(pd.read_csv(io.StringIO(exported(page)))) == 0
    assert page.locator("#filters button[aria-pressed=true]").get_attribute("data-filter") == "all"


def test_a_phone_labels_by_touch_and_nothing_hides_the_cells(chromium, made):
    """At 375 px the clip is as wide as the screen allows, and what sticks takes a tenth at most."""
    page = opened(chromium, made[1], viewport=PHONE, has_touch=True, color_scheme="dark")
    page.tap("#begin")
    for label in ("flipping", "tank-treading", "unsure"):
        page.tap(f"#choices button[data-label={label}]")
    clip = page.locator("#clip").bounding_box()
    buttons = page.locator("#choices").bounding_box()
    assert clip["width"] > 0.8 * PHONE["width"]
    assert clip["y"] >= 0 and buttons["y"] + buttons["height"] < PHONE["height"]
    page.tap("#close")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.locator(".cell").nth(5).scroll_into_view_if_needed()
    page.locator("#line").wait_for()
    assert page.locator("#line").bounding_box()["height"] <= PHONE["height"] / 10
    assert len(pd.read_csv(io.StringIO(exported(page)))) == 3
    assert page.errors == []
    page.close()


def test_the_report_shows_marker_truth_and_origin(page, made):
    """The page's first number must be the command's, and a simulated movie must say its truth."""
    said, _ = made
    shown = page.inner_text(".result")
    assert f"{100 * said['low']:.1f} % to {100 * said['high']:.1f} %" in shown
    assert f"{100 * said['truth']['share']:.1f} %" in page.inner_text("#ways tr.simulated")
    assert page.inner_text("h1").endswith('a "small", <b>.avi')
    assert "simulated" in page.inner_text("header").lower()
    assert page.locator("#filters button").first.inner_text().endswith(str(said["cells"]))
    kept = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))["origins"]
    row = page.locator('tr:has(th:text-is("Models"))').inner_text()
    for stage, origin in kept.items():  # stage 1 was made anew by a later commit
        assert f"stage {stage}: commit {origin['commit'][:10]}" in row
        assert origin["commit"] not in row
    assert not re.search("dirty|True|False|nan|undefined", page.inner_text("body"))


def test_clips_show_the_frames_of_their_sequences(made):
    """A blurred or shifted clip would make an operator mislabel the cell."""
    found = sequences.load(made[1] / "tracked")
    for i in range(0, len(found), 20):
        data = report.clip(found[i], 30)
        strip = np.asarray(Image.open(io.BytesIO(report.base64.b64decode(data))).convert("L"))
        shown = strip.reshape(FRAME_PX, -1, FRAME_PX).swapaxes(0, 1).astype(float)
        own = found[i].astype(float)[: len(shown)] if len(found[i]) <= 30 else None
        if own is not None:
            own = np.clip((own - np.median(own)) * report.STRETCH + 128, 0, 255)
            assert np.corrcoef(own.ravel(), shown.ravel())[0, 1] > 0.9


def test_the_clip_with_tracks_is_turned_by_hand_and_by_itself(page):
    """Whether cells were followed is seen in frames in a row, not in one picture."""
    first = page.get_attribute("#film", "src")
    page.locator("#film-frame").focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#film-at").startswith("2 of ")
    assert page.get_attribute("#film", "src") != first
    page.click("#film-play")
    page.get_by_text("5 of 30").wait_for()
    page.click("#film-play")
    width = page.locator("#film").bounding_box()["width"]
    page.click("#film-zoom")
    assert page.locator("#film").bounding_box()["width"] > 1.5 * width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anyone_can_read_and_use_it(page, scheme):
    """The report must meet WCAG, light and dark, while labelling and after it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    label_by_keyboard(page, 2)
    for _ in range(2):
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        page.evaluate("close()")
