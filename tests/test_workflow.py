"""The whole way in a copy of the checkout: grid, interrupt, exactness, pages and book, with the tests' tiny profile."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import one_line_error, rbc
from safetensors.numpy import load_file

from rbc.figures import COUNTS

TINY = "tests/tiny.yaml"
RUNS = [f"stage{s}/{m}-similarity-k10-s0" for s in (1, 2) for m in ("cnn", "crnn")]


def start_grid(checkout: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "rbc", "grid", "--profile", TINY, "--jobs", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=checkout, env=environment, start_new_session=True, text=True, **quiet)


def complete(checkout: Path) -> list[str]:
    listed = json.loads(rbc("grid", "--profile", TINY, "--dry-run", "--json", cwd=checkout).stdout)
    return [row["run"] for row in listed if row["complete"]]


@pytest.fixture(scope="module")
def grid(checkout) -> Path:
    """The grid of the tiny profile: interrupted after its first run, then killed, then finished."""
    for stop in (signal.SIGINT, signal.SIGKILL):
        process = start_grid(checkout)
        before = len(list(checkout.glob("results/tiny/stage?/[!.]*/metrics.json")))
        deadline = time.time() + 240
        while len(list(checkout.glob("results/tiny/stage?/[!.]*/metrics.json"))) == before and time.time() < deadline:
            time.sleep(0.2)
        time.sleep(3)  # into the next run
        os.killpg(process.pid, stop)
        _, said = process.communicate(timeout=60)
        assert process.returncode != 0
        if stop == signal.SIGINT:
            assert said.strip().splitlines()[-1] == "rbc: interrupted; the same command goes on where it stopped"
        assert 0 < len(complete(checkout)) < len(RUNS)
        folders = [
            f for f in checkout.glob("results/tiny/stage?/[!.]*") if any(f.iterdir())
        ]  # Snakemake makes empty ones
        assert sorted(str(f.relative_to(checkout / "results/tiny")) for f in folders) == sorted(complete(checkout))
    result = rbc("grid", "--profile", TINY, cwd=checkout)
    assert result.returncode == 0, result.stderr
    return checkout / "results" / "tiny"


def test_an_interrupted_and_killed_grid_ends_complete_and_leaves_nothing_half_written(grid, checkout):
    assert sorted(complete(checkout)) == sorted(RUNS)
    assert not [p for p in grid.rglob(".*")]


def test_a_finished_grid_does_nothing_again(grid, checkout):
    before = {p: p.stat().st_mtime_ns for p in grid.rglob("*") if p.is_file()}
    assert rbc("grid", "--profile", TINY, cwd=checkout).returncode == 0
    assert {p: p.stat().st_mtime_ns for p in grid.rglob("*") if p.is_file()} == before


def test_the_same_seed_gives_the_same_files_bit_for_bit(grid, checkout):
    run = grid / RUNS[3]
    metrics, weights = (run / "metrics.json").read_bytes(), (run / "weights.safetensors").read_bytes()
    arguments = ["--stage", 2, "--model", "crnn", "--sampling", "similarity", "--k", 10]
    result = rbc("run", "--profile", TINY, *arguments, cwd=checkout, env={"OMP_NUM_THREADS": "2"})
    assert result.returncode == 0, result.stderr
    assert (run / "metrics.json").read_bytes() == metrics
    assert (run / "weights.safetensors").read_bytes() == weights


def test_a_run_says_where_it_comes_from(grid):
    origin = json.loads((grid / RUNS[0] / "provenance.json").read_text())
    assert origin["data"]["simulated"] is True and len(origin["data"]["sha256"]) == 64
    assert origin["packages"]["torch"].startswith("2.13") and origin["seconds"] > 0
    assert load_file(grid / RUNS[0] / "weights.safetensors")["fold0.stem.0.weight"].shape == (64, 10, 7, 7)


def test_results_of_the_grid_as_json(grid, checkout):
    table = json.loads(rbc("results", "--profile", TINY, "--json", cwd=checkout).stdout)
    assert {(r["run"], r["split"]) for r in table} == {(run, s) for run in RUNS for s in ("validation", "test")}
    assert all(r["tp"] + r["fp"] + r["fn"] + r["tn"] == r["n"] for r in table)


def test_two_grids_at_once_are_refused(grid, checkout):
    from filelock import FileLock

    with FileLock(checkout / "results" / ".lock"):
        assert "another grid" in one_line_error(rbc("grid", "--profile", TINY, cwd=checkout))


@pytest.fixture(scope="module")
def html(grid, checkout) -> Path:
    result = rbc("book", "--profile", TINY, cwd=checkout)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return checkout / "_build" / "html"


def test_the_book_has_a_page_for_every_run_and_report(html):
    pages = {str(p.relative_to(html)) for p in html.rglob("*.html")}
    for run in RUNS:
        assert f"book/pages/tiny/runs/{run.replace('/', '-')}.html" in pages
        assert (html / f"predictions/tiny/{run.replace('/', '-')}.csv").exists()
    for part in ("tiny", "released"):
        reports = ("dataset", "claims", "sampling", "selection", "test", "errors", "marker", "packet")
        assert {f"book/pages/{part}/{name}.html" for name in reports} <= pages


def test_every_picture_has_alt_text_and_every_link_inside_leads_somewhere(html):
    for page in set(html.rglob("*.html")) - set(html.glob("_static/**/*.html")):
        text = page.read_text()
        for picture in re.findall(r"<img[^>]*>", text):
            assert re.search(r'alt="[^"]{3,}"', picture), (page, picture)
        for link in re.findall(r'href="([^"#:?<]+)[#"]', text):
            assert (page.parent / link).exists(), (page, link)


def test_pages_of_simulated_cells_say_so_and_pages_of_real_ones_and_of_none_too(html):
    for page in (html / "book/pages").rglob("*.html"):
        real = "/released/" in str(page) or "/register/" in str(page) or "/ours/" in str(page)
        word = "Real cells" if real else "Simulated data"
        word = "Printed numbers" if page.name == "audit.html" else word
        assert word in page.read_text(), page


def test_numbers_on_the_page_are_those_of_the_runs(html, grid):
    text = re.sub(r"\s", "", (html / "book/pages/tiny/test.html").read_text())
    for run in RUNS:
        scores = json.loads((grid / run / "metrics.json").read_text())["test"]
        counts = "".join(f"<td>{scores[count]}</td>" for count in COUNTS)
        assert f"<td>0</td>{counts}<td>{scores['recall']:.2f}[" in text  # seed, counts in their order, recall


def test_predictions_are_probabilities(grid):
    for run in RUNS:
        p = pd.read_parquet(grid / run / "predictions.parquet")["probability"]
        assert np.isfinite(p).all() and p.between(0, 1).all()
