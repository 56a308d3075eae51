"""The sequence browser: its data are those of the runs, its pictures the very pixels; and how it
behaves in a page.
"""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import with_scripts
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compendium import runs
from compendium.evidence import browse
from rbc import metrics, sequences

RELEASED = runs.REFERENCE / "released"
RUN = "stage1/cnn-uniform-k20-s0"
LJ = "LJ0926_10s01"  # an acquisition
#: grey of the first frame; each later one is brighter by one, so a pixel tells which frame it is of
DARK = 40


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return browse.shown(RELEASED)


@pytest.fixture(scope="module")
def site(tmp_path_factory, table):
    """A folder like the book's: the page of the kept runs on the released sample, with plain grey
    frames as films.
    """
    folder = tmp_path_factory.mktemp("site")
    index = pd.read_parquet(RELEASED / "index.parquet")
    films = [
        np.full((n, 31, 31), DARK, np.uint8) + np.arange(n, dtype=np.uint8)[:, None, None]
        for n in index.length
    ]
    sequences.from_list(films, index, {"simulated": True}).save(folder / "data")
    pictures, page = (
        folder / "films" / "released",
        folder / "book" / "pages" / "released" / "browse.html",
    )
    pictures.mkdir(parents=True)
    page.parent.mkdir(parents=True)
    browse.publish(RELEASED, folder / "data", pictures)
    content = browse.content(RELEASED, table, "../../../films/released/")
    page.write_text(with_scripts(browse.html(content)), encoding="utf-8")
    page.with_name("no-films.html").write_text(
        with_scripts(browse.html(content | {"pictures": ""})), encoding="utf-8"
    )
    return folder


@pytest.fixture
def page(site, chromium):
    """The browser, opened from its file; an error in a script fails the test."""
    opened, errors = chromium.new_page(viewport={"width": 1440, "height": 900}), []
    opened.on("pageerror", lambda error: errors.append(error))
    opened.goto((site / "book/pages/released/browse.html").as_uri())
    yield opened
    assert not errors
    opened.close()


def frame(page, side: int = 0) -> int:
    """The frame that a window shows, counted from 0, told by its grey."""
    window = page.locator(".browse-window").nth(side)
    page.wait_for_function(
        "i => document.querySelectorAll('.browse-window img')[i].complete", arg=side
    )
    grey = np.asarray(Image.open(io.BytesIO(window.screenshot())).convert("L"))
    return int(np.median(grey)) - DARK


def answers(run: str) -> pd.DataFrame:
    """A run's answers on its test split, with what the page derives from them."""
    part = runs.predictions(RELEASED, run).query("split == 'test'")
    truth, called = metrics.truth_and_call(part, int(run[5]))
    names, p = np.array(runs.class_names(int(run[5]))), part["probability"].astype(float)
    return part.assign(
        wrong=truth != called,
        called=names[called.astype(int)],
        confidence=100 * np.maximum(p, 1 - p),
    )


def test_a_small_test_set_is_shown_whole_and_of_a_large_one_half_are_the_most_often_wrong(table):
    """The page must say and keep what it shows of many."""
    failures = (
        pd.concat([runs.failures(RELEASED, stage) for stage in (1, 2)])
        .groupby("name")["share"]
        .max()
    )
    assert sorted(table["name"]) == sorted(failures.index)
    few = browse.shown(RELEASED, most=40)["name"]
    assert few.is_unique and len(few) == 40 and few.equals(browse.shown(RELEASED, most=40)["name"])
    assert failures[few[:20]].min() >= failures.drop(few[:20]).max()
    # drawn from all the others, those never called wrong among them
    assert failures[few[20:]].min() == 0


def test_every_call_of_every_run_is_kept(table):
    """An answer left out would hide an error."""
    content = browse.content(RELEASED, table, "")
    kept = {f"stage{run['stage']}/{run['name']}": run["p"] for run in content["runs"]}
    for run in runs.collect(RELEASED)["run"].unique():
        called = answers(run).set_index("name")["probability"] >= metrics.THRESHOLD
        shown = dict(zip(table["name"], kept[run]))
        assert {
            name: p >= content["threshold"] for name, p in shown.items() if p is not None
        } == called.to_dict()


@settings(deadline=None)
@given(st.floats(0, 1, width=32))
def test_a_probability_is_cut_on_its_own_side_of_the_threshold(p):
    """Rounding must not turn an answer round."""
    (cut,) = browse._cut(
        pd.DataFrame({"name": ["a"], "probability": np.float32([p])}), pd.Series(["a"])
    )
    assert (cut >= 5000) == (p >= metrics.THRESHOLD) and abs(cut / 10_000 - p) <= 1e-4


def test_pictures_are_the_pixels_of_what_is_shown_and_there_are_none_without_data(
    site, table, tmp_path
):
    """A film must be that of its name."""
    files = {file.stem: file for file in (site / "films/released").iterdir()}
    assert sorted(files) == sorted(table["name"])
    strip = np.asarray(Image.open(files[table["name"][0]]))
    assert (
        strip.shape == (31, 31 * table["length"][0])
        and (strip[0, ::31] == DARK + np.arange(len(strip[0]) // 31)).all()
    )
    browse.publish(RELEASED, tmp_path / "nothing", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_cannot_end_the_script():
    """A name from a file is data, not code."""
    page = browse.html({"sequences": [{"name": "</script><b>"}]})
    data = re.search(r'json">(.*?)</script>', page)[1]
    assert json.loads(data)["sequences"][0]["name"] == "</script><b>"


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ({}, "wrong or not wrong"),
        ({"label": "flipping", "answer": "wrong"}, "label == 'flipping' and wrong"),
        ({"called": "reliable", "acquisition": LJ}, "called == 'reliable' and acquisition =="
            f" '{LJ}'"),
        ({"from": "80", "to": "95", "answer": "right"}, "not wrong and 80 <= confidence <= 95"),
        ({"words": "bg1017"}, "name.str.contains('BG1017')"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_filters_leave_what_the_runs_own_table_holds(page, fields, query):
    """Filtered errors must be the errors of the table."""
    page.select_option("[name=run]", label="cnn-uniform-k20-s0 (stage 1)")
    for name, value in fields.items():
        field = page.locator(f".browse-filters [name={name}]")
        field.select_option(value) if field.evaluate("e => e.matches('select')") else field.fill(
            value
        )
    expected = answers(RUN).query(query).sort_values(["wrong", "confidence"], ascending=False)
    assert len(expected) > 0
    assert page.text_content("[role=status]").startswith(
        f"{len(expected)} of {len(answers(RUN))} sequences"
    )
    while page.locator("[data-do=more]").is_visible():
        page.click("[data-do=more]")
    names = page.eval_on_selector_all(
        ".browse-list li", "items => items.map(item => item.dataset.name)"
    )
    assert sorted(names) == sorted(expected["name"])


def test_keys_step_play_pause_and_change_the_sequence(page):
    """The page must work without a mouse."""
    page.locator(".browse-strip").nth(1).press("Enter")
    second = page.get_attribute(".browse-list li:nth-child(2)", "data-name")
    assert page.text_content("figcaption p").startswith(f"{second}, frame 1 of ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert frame(page) == 2
    page.keyboard.press("ArrowLeft")
    assert frame(page) == 1
    page.focus(".browse-viewer")
    page.keyboard.press("Space")
    page.wait_for_function(
        "() => !document.querySelector('figcaption p').textContent.includes('frame 2 of')"
    )
    page.keyboard.press("Space")
    stopped = page.text_content("figcaption p")
    assert frame(page) == int(re.search(r"frame (\d+)", stopped)[1]) - 1
    page.keyboard.press("ArrowDown")
    third = page.get_attribute(".browse-list li:nth-child(3)", "data-name")
    assert page.text_content("figcaption p").startswith(f"{third}, ")
    assert page.get_attribute(".browse-list li[aria-current=true]", "data-name") == third


def test_two_films_of_different_length_run_side_by_side(page, table):
    """The shorter film must not show frames that it has not."""
    lengths = table.set_index("name")["length"]
    names = page.eval_on_selector_all(
        ".browse-list li", "items => items.map(item => item.dataset.name)"
    )
    short = min(names, key=lengths.get)
    other = next(name for name in names if lengths[name] > lengths[short])
    page.click(f"[data-name='{other}'] .browse-strip")
    page.click(f"[data-name='{short}'] >> text=Compare")
    page.fill("[name=frame]", str(lengths[short] + 1))
    assert (frame(page, 0), frame(page, 1)) == (lengths[short], 0)  # the shorter one begins anew
    page.click("[data-do=close]")
    assert not page.locator("figure").nth(1).is_visible()
    assert page.get_attribute("[name=frame]", "max") == str(lengths[other])


def test_without_pixels_answers_are_listed_and_nothing_asks_for_a_picture(page, site):
    """Where data may not be shown, the answers still are."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "book/pages/released/no-films.html").as_uri())
    assert (
        page.locator(".browse-list li").count() == 20
        and not page.locator(".browse-viewer").is_visible()
    )
    assert not page.locator(".browse-list button").count() and not [
        url for url in asked if url.endswith(".png")
    ]


def test_on_a_phone_it_fits_a_tap_plays_a_swipe_steps_and_only_films_in_view_are_loaded(
    site, chromium
):
    """Many films must not load at once on a phone."""
    context = chromium.new_context(viewport={"width": 375, "height": 700}, has_touch=True)
    page, asked = context.new_page(), set()
    page.on("request", lambda request: asked.add(request.url))
    page.goto((site / "book/pages/released/browse.html").as_uri(), wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert 0 < len([url for url in asked if url.endswith(".png")]) <= 21  # of 269
    page.tap(".browse-window")
    assert page.text_content("[data-do=play]") == "Pause"
    page.tap(".browse-window")
    here = frame(page)
    box = page.locator(".browse-window").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y)
    page.mouse.up()
    assert frame(page) == here + 1
    context.close()
