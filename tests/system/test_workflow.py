"""The whole way in a copy of the checkout: grid, interrupt, exactness, pages and book, with the
tests' tiny profile.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from conftest import RUNS, TINY, complete, copy_checkout, one_line_error, rbc
from safetensors.numpy import load_file

from rbc.figures import COUNTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(built) -> Path:
    return built


@pytest.fixture(scope="module")
def grid(checkout) -> Path:
    return checkout / "results" / "tiny"


def test_a_book_is_complete_and_leaves_nothing_half_written(grid, checkout):
    """Every run is there, and no folder that a run was written into."""
    assert sorted(complete(checkout)) == sorted(RUNS)
    assert not [p for p in grid.rglob(".*")]


def stop_at_random(checkout: Path, dice: Random, stop: signal.Signals) -> str:
    """Start the tiny profile's book and stop it after some seconds; its last line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "compendium", "book", "--profile", TINY], cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "2"},
        start_new_session=True, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(dice.uniform(4, 12))
    os.kill(process.pid, stop)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0, said
    return (said.strip().splitlines() or [""])[-1]


@pytest.mark.nightly
def test_a_book_stopped_three_times_has_the_bits_of_one_never_stopped(grid, tmp_path_factory):
    """No number depends on when a build was interrupted, nor on the threads that the machine
    offers, and a stopped run's folder is there whole or not at all.
    """
    other = copy_checkout(tmp_path_factory.mktemp("stopped") / "rbc-dynamics")
    dice = Random(7)
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        said = stop_at_random(other, dice, stop)
        assert stop == signal.SIGKILL or said.startswith("rbc: interrupted"), said
        folders = [f for f in other.glob("results/tiny/stage?/[!.]*")]
        there = [str(f.relative_to(other / "results/tiny")) for f in folders]
        assert sorted(there) == sorted(complete(other))
    result = rbc("book", "--profile", TINY, cwd=other, env={"OMP_NUM_THREADS": "2"})
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert not [p for p in (other / "results" / "tiny").rglob(".*")]
    for run in RUNS:
        for file in ("metrics.json", "weights.safetensors", "predictions.parquet"):
            remade = other / "results" / "tiny" / run / file
            assert (grid / run / file).read_bytes() == remade.read_bytes()


def test_a_finished_grid_and_book_do_nothing_again(grid, checkout):
    """The second command is to be quick, and what is fresh is never touched."""
    made = [grid, checkout / "book" / "pages", checkout / "_build" / "html"]
    before = {p: p.stat().st_mtime_ns for folder in made for p in folder.rglob("*") if p.is_file()}
    for command in ("grid", "book"):
        again = rbc(command, "--profile", TINY, cwd=checkout)
        assert (again.returncode, again.stderr) == (0, "")
    assert {
        p: p.stat().st_mtime_ns for folder in made for p in folder.rglob("*") if p.is_file()
    } == before


def test_a_run_says_where_it_comes_from(grid):
    """Every number knows its run."""
    origin = json.loads((grid / RUNS[0] / "provenance.json").read_text(encoding="utf-8"))
    assert origin["data"]["simulated"] is True and len(origin["data"]["sha256"]) == 64
    assert origin["packages"]["torch"].startswith("2.13") and origin["seconds"] > 0
    assert load_file(grid / RUNS[0] / "weights.safetensors")["fold0.stem.0.weight"].shape == (
        64,
        10,
        7,
        7,
    )


def test_results_of_the_grid_as_json(grid, checkout):
    """Programs read it too."""
    table = json.loads(rbc("results", "--profile", TINY, "--json", cwd=checkout).stdout)
    assert {(r["run"], r["split"]) for r in table} == {
        (run, s) for run in RUNS for s in ("validation", "test")
    }
    assert all(r["tp"] + r["fp"] + r["fn"] + r["tn"] == r["n"] for r in table)


def test_two_grids_at_once_are_refused(grid, checkout):
    """They would write the same folders."""
    from filelock import FileLock

    with FileLock(checkout / "results" / ".lock"):
        assert "another grid" in one_line_error(rbc("grid", "--profile", TINY, cwd=checkout))


def test_the_book_has_a_page_for_every_run_and_report(html):
    """A run without a page cannot be looked into."""
    pages = {str(p.relative_to(html)) for p in html.rglob("*.html")}
    for run in RUNS:
        name = run.replace("/", "-")
        assert f"book/pages/tiny/runs/{name}.html" in pages
        # Each leads to what it answered and to how it was trained.
        text = (html / f"book/pages/tiny/runs/{name}.html").read_text(encoding="utf-8")
        for file in (f"predictions/tiny/{name}.csv", f"predictions/tiny/{name}.json"):
            assert f'href="../../../../{file}"' in text and (html / file).exists()
    for part in ("tiny", "released"):
        reports = (
            "dataset",
            "claims",
            "sampling",
            "selection",
            "test",
            "errors",
            "browse",
            "marker",
            "packet",
        )
        assert {f"book/pages/{part}/{name}.html" for name in reports} <= pages


def test_every_figure_has_a_picture_with_words_and_every_link_inside_leads_somewhere(html):
    """A book with holes is no book."""
    for page in set(html.rglob("*.html")) - set(html.glob("_static/**/*.html")):
        text = page.read_text(encoding="utf-8")
        for picture in re.findall(r"<img[^>]*>", text):
            assert re.search(r'alt="[^"]{3,}"', picture), (page, picture)
        for figure in re.findall(r"<figure.*?</figure>", text, re.DOTALL):
            assert re.search(r"<(img|svg|table|div id=.orbit)", figure), (page, figure)
        for link in re.findall(r'href="([^"#:?<]+)[#"]', text):
            assert (page.parent / link).exists(), (page, link)


#: Pages without data of cells, and what they say instead.
WITHOUT = {
    **dict.fromkeys(("audit.html", "learn-imbalance.html"), "Reported numbers"),
    **dict.fromkeys(("ladder.html", "status.html"), "No cells"),
    "index.html": "What is real and what is simulated",
    "beside.html": "Real and simulated cells, apart",
}


def test_the_sidebar_is_short_and_runs_are_out_of_it_and_of_the_search(html):
    """Dozens of pages of one notebook would bury what a reader looks for."""
    page = (html / "book/pages/released/selection.html").read_text(encoding="utf-8")
    sidebar = page[page.index('<nav class="bd-links') :].partition("</nav>")[0]
    assert "released/test.html" in sidebar or 'href="test.html"' in sidebar
    assert "runs/" not in sidebar and sidebar.count("<li") <= 30
    text = (html / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    runs = {number for number, name in enumerate(index["docnames"]) if "/runs/" in name}
    found = {
        number
        for places in index["terms"].values()
        for number in (places if isinstance(places, list) else [places])
    }
    assert runs and not runs & found and found


def test_pages_of_simulated_cells_say_so_and_pages_of_real_ones_and_of_none_too(html):
    """Kinds of data must never be mixed up."""
    for page in (html / "book/pages").rglob("*.html"):
        real = "/released/" in str(page) or "/register/" in str(page) or "/ours/" in str(page)
        word = "Real cells" if real else "Simulated data"
        assert WITHOUT.get(page.name, word) in page.read_text(encoding="utf-8"), page


def test_numbers_on_the_page_are_those_of_the_runs(html, grid):
    """The page must show the run, not a memory of it."""
    text = re.sub(r"\s", "", (html / "book/pages/tiny/test.html").read_text(encoding="utf-8"))
    for run in RUNS:
        scores = json.loads((grid / run / "metrics.json").read_text(encoding="utf-8"))["test"]
        counts = "".join(f"<td>{scores[count]}</td>" for count in COUNTS)
        # seed, counts in their order, recall
        assert f">seed0</a></td>{counts}<td>{scores['recall']:.2f}[" in text


def test_in_the_built_book_films_step_and_tables_sort_and_filter(html, chromium):
    """Buttons are pressed in the real book."""
    page = chromium.new_page()
    page.goto((html / "book/pages/tiny/browse.html").as_uri())
    # those of tests/tiny.yaml
    assert page.text_content(".browse [role=status]").startswith("20 of 20 sequences")
    page.select_option("[name=label]", "flipping")
    assert page.text_content(".browse [role=status]").startswith("4 of 20 sequences")
    page.locator(".browse-strip").first.press("Enter")
    page.keyboard.press("ArrowRight")
    assert ", frame 2 of " in page.text_content("figcaption p")
    assert (
        page.locator(".browse-window img").first.evaluate(
            "film => film.naturalWidth / film.naturalHeight"
        )
        > 5
    )
    page.goto((html / "book/pages/tiny/test.html").as_uri())
    page.locator("th:has-text('recall') button").first.click()
    assert page.locator("th[aria-sort=ascending]").count() == 1
    page.goto((html / "book/pages/tiny/claims.html").as_uri())
    page.fill(".table-controls input", "flipping sequences in the train split")
    assert page.text_content(".table-controls [role=status]").startswith("1 of ")
    page.close()


def test_predictions_are_probabilities(grid):
    """A logit in their place would break every page."""
    for run in RUNS:
        p = pd.read_parquet(grid / run / "predictions.parquet")["probability"]
        assert np.isfinite(p).all() and p.between(0, 1).all()
