"""Tables of the book whose HTML is made by hand."""

import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from conftest import with_scripts

from compendium import runs
from rbc import figures

FAILURES = pd.DataFrame(
    {
        "name": ["a<b>_1", "c_2"],
        "acquisition": ["a<b>", "c"],
        "label": ["flipping", "tank-treading"],
        "runs": [2, 4],
        "wrong": [2, 0],
        "mean_probability": [0.125, 0.25],
        "share": [1.0, 0.0],
        "failed": [("stage2/cnn-uniform-k10-s1", "stage2/cnn-uniform-k10-s0"), ()],
    }
)


@pytest.mark.parametrize(
    "by, value, calls", [("all", "", "2 (33 %)"), ("label", "flipping", "2 (100 %)")]
)
def test_failures_are_counted_over_all_and_by_label_and_acquisition(by, value, calls):
    """Errors must not hide in a sum."""
    table = figures.failed(FAILURES)
    assert table.loc[(by, value), "wrong predictions"] == calls
    assert table["sequences"].tolist() == [2, 1, 1, 1, 1]
    assert table[["wrong in all runs", "wrong in none"]].values.tolist()[:2] == [[1, 1], [1, 0]]


def test_each_failing_sequence_opens_the_pages_of_its_runs():
    """From an error one must reach the run that made it."""
    table = ET.fromstring(figures.failing(FAILURES).replace("<br>", "<br />"))
    rows = [["".join(cell.itertext()) for cell in row] for row in table.find("tbody")]
    assert [row[0] for row in rows] == ["a<b>_1", "c_2"]
    assert rows[1][3] == "0 of 4"
    pages = [link.get("href") for link in table.iter("a")]
    assert pages == [f"runs/stage2-cnn-uniform-k10-s{seed}.html" for seed in (0, 1)]


@pytest.fixture
def grid(chromium, tmp_path):
    """Every run of stage 2 of the kept results in a page, as the reader sees it."""
    table = figures.every_run(runs.collect(runs.REFERENCE / "released"), 2, "test", "not <run>")
    (tmp_path / "page.html").write_text(with_scripts(figures.sortable(table)), encoding="utf-8")
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    yield page
    page.close()


def column(page, name: str) -> list[str]:
    """What stands in the rows that are shown."""
    rows = (
        "t => [...t.tBodies[0].rows].filter(r => !r.hidden).map(r => [...r.cells].map(c =>"
        " c.textContent))"
    )
    place = [h.strip() for h in page.locator("th").all_text_contents()].index(name)
    return [cells[place] for cells in page.eval_on_selector("table", rows)]


def test_a_table_sorts_by_value_both_ways_by_keyboard_and_what_was_not_run_stays_last(grid):
    """Sorting must be by number, not by letter."""
    before = column(grid, "specificity")
    ran = sorted((text for text in before if text), key=lambda text: float(text.split()[0]))
    assert 0 < len(ran) < len(before) == 16
    for way, wanted in (("ascending", ran), ("descending", ran[::-1])):
        grid.focus("th:has-text('specificity') button")
        grid.keyboard.press("Enter")
        assert grid.locator("th[aria-sort]").get_attribute("aria-sort") == way
        shown = column(grid, "specificity")
        assert [float(t.split()[0]) for t in shown[: len(ran)]] == [
            float(t.split()[0]) for t in wanted
        ]
        assert not any(shown[len(ran) :])


def test_a_table_is_filtered_by_words_and_its_rows_open_their_runs(grid):
    """Long tables must be searchable, and lead on."""
    grid.fill(".table-controls input", "CRNN simil")
    assert set(column(grid, "model")) == {"crnn"} and set(column(grid, "sampling")) == {
        "similarity"
    }
    assert grid.text_content("[role=status]") == "4 of 16 rows shown"
    links = grid.eval_on_selector_all(
        "tr:not([hidden]) a", "links => links.map(a => a.getAttribute('href'))"
    )
    assert sorted(links) == [f"runs/stage2-crnn-similarity-k{k}-s0.html" for k in (10, 20)]


def test_a_switched_run_is_told_from_the_texts():
    """A variant must not pass for the paper's own configuration."""
    html = figures.sortable(
        pd.DataFrame({"seed": [("stage1/cnn-uniform-k10-s2-similarity-released",)]})
    )
    assert (
        '<a href="runs/stage1-cnn-uniform-k10-s2-similarity-released.html">seed'
        " 2-similarity-released</a>" in html
    )
