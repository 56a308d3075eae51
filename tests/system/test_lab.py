"""Exercises that run on the page, by the Python that `book/lab.py` puts there, and the slides: in a
browser, over http on this machine.

Skipped where there is no Chromium, and where npm cannot fetch Pyodide.
"""

import importlib.util
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from compendium import ROOT
from rbc import metrics

pytestmark = pytest.mark.nightly

EXERCISES = ROOT / "book" / "learn" / "exercises"
#: Titles on the page, and the file that each shows.
ON_PAGE = {
    "How large is the sampling error?": "chance",
    "How long must a clip be to see a flip?": "flip_film",
    "Overtaking": "link",
    "Find the leak": "leak",
    "Sizes and weights": "sizes",
    "Predict the confusion matrix": "predict_confusion",
    "Write the liar, and unmask it": "lying_metric",
    "Adjust a count": "adjust",
    "How many cells show a change?": "cells_needed",
}


def program():
    """book/lab.py as a module."""
    specification = importlib.util.spec_from_file_location("lab", ROOT / "book" / "lab.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *said) -> None:
        pass


@pytest.fixture(scope="module")
def served(html, tmp_path_factory):
    """The book over http, without a Python: its folder and its address."""
    folder = tmp_path_factory.mktemp("served")
    for part in html.iterdir():
        (folder / part.name).symlink_to(part)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def page(chromium):
    """An empty page with a memory of its own."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def with_python(served) -> str:
    """Address of the book with a Python beside it."""
    folder, address = served
    lab = program()
    lab.HTML = folder
    try:
        lab.main()
    except SystemExit as ended:
        if "npm" not in str(ended):
            raise
        pytest.skip(str(ended))
    return address


def solved(name: str) -> str:
    """The file of an exercise with the functions of its solution."""
    text = (EXERCISES / f"{name}.py").read_text(encoding="utf-8")
    solution = (EXERCISES / "solutions" / f"{name}.py").read_text(encoding="utf-8")
    return text.replace("if __name__", f"{solution}\n\nif __name__")


def run(page, title: str, text: str | None = None) -> str:
    """Type a text into an exercise (none: as it stands), run it, and read what is said."""
    heading = page.get_by_role("heading", name=title)
    editor = page.locator("section:has(> h2)", has=heading).locator(".lab-editor")
    if text is not None:
        editor.get_by_role("textbox").fill(text)
    editor.get_by_role("button", name="Run").click()
    editor.locator("button", has_text="Run").and_(page.locator(":enabled")).wait_for(timeout=60_000)
    return editor.get_by_role("status").inner_text()


def test_without_its_python_the_page_says_what_to_do(page, served):
    """A button that does nothing is worse than none."""
    folder, address = served
    page.goto((folder / "book" / "learn" / "lab.html").as_uri())
    assert "opened from a disk" in page.locator("#lab-state").inner_text()
    if not (folder / "lab").exists():
        page.goto(f"{address}/book/learn/lab.html")
        page.get_by_text("make lab").wait_for()
    assert page.locator(".lab-editor").count() == 0


def test_every_exercise_of_the_page_is_refused_as_given_and_right_as_solved(page, with_python):
    """A student must get the answer that the file gives on a disk."""
    page.goto(f"{with_python}/book/learn/lab.html")
    page.locator(".lab-editor").first.wait_for()
    assert page.locator(".lab-editor").count() == len(ON_PAGE) + 1  # and the re-analysis
    for title, name in ON_PAGE.items():
        assert run(page, title).startswith("Not yet: "), title
        assert run(page, title, solved(name)).strip() == "Right.", title


def test_a_reader_recomputes_a_score_from_the_predictions_of_the_site(page, with_python, html):
    """A number on a page must follow from the file beside it."""
    page.goto(f"{with_python}/book/learn/lab.html")
    page.locator(".lab-editor").first.wait_for()
    said = run(page, "Recompute the numbers of a page")
    kept = pd.read_csv(html / "predictions" / "released" / "stage2-cnn-similarity-k20-s0.csv")
    counts = metrics.confusion(kept[kept["split"] == "test"], 2)
    assert f"recall {counts.recall:.2f}, specificity {counts.specificity:.2f}" in said


def test_an_endless_loop_is_stopped_and_an_error_names_its_line(page, with_python):
    """What a student types may be anything; the page must stay alive and say where it failed."""
    page.goto(f"{with_python}/book/learn/lab.html")
    editor = page.locator(".lab-editor").first
    editor.get_by_role("textbox").fill("while True:\n    pass\n")
    editor.get_by_role("button", name="Run").click()
    editor.get_by_role("button", name="Stop").click()
    assert "Stopped." in editor.get_by_role("status").inner_text()
    title = next(iter(ON_PAGE))
    assert run(page, title, "x = 1\n") == "It ended and printed nothing."
    assert run(page, title, "x = 1\ny = x +\n").startswith("SyntaxError in line 2")
    assert run(page, title, "print('so far')\n\n1 / 0\n") == (
        "so far\nZeroDivisionError in line 3: division by zero"
    )


def test_what_was_typed_is_there_again_until_it_is_given_up(page, with_python):
    """A closed tab must not cost an answer."""
    address = f"{with_python}/book/learn/lab.html"
    page.goto(address)
    box = page.locator(".lab-editor").first.get_by_role("textbox")
    given = box.input_value()
    box.fill("mine")
    page.goto(address)
    box = page.locator(".lab-editor").first.get_by_role("textbox")
    assert box.input_value() == "mine"
    page.locator(".lab-editor").first.get_by_role("button", name="Start again").click()
    assert box.input_value() == given == (EXERCISES / "chance.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kept", "said"),
    [(True, "not the package that was published"), (False, "npm is not on the path")],
)
def test_a_python_that_cannot_be_had_or_trusted_ends_in_one_line(
    served, tmp_path, monkeypatch, kept, said
):
    """What runs on a reader's machine must be what was published; a teacher may have no npm."""
    lab = program()
    lab.HTML, lab.RAW = served[0], tmp_path
    monkeypatch.setenv("PATH", str(tmp_path))
    if kept:
        (tmp_path / f"pyodide-{lab.VERSION}.tgz").write_bytes(b"another")
    with pytest.raises(SystemExit, match=said):
        lab.main()


def test_slides_show_one_after_the_other_with_their_figures(page, html):
    """A teacher must get through the lesson with one key, and come back to the page."""
    page.goto((html / "book" / "learn" / "slides.html").as_uri())
    count = page.locator("article section > section").count()
    figures = page.locator("figure[id^=again-] img, figure[id^=again-] svg")
    assert figures.count() >= 9
    assert all(
        figures.nth(n).evaluate("image => image.naturalWidth !== 0") for n in range(figures.count())
    )
    page.get_by_role("button", name="Show as slides").click()
    for _ in range(count - 1):
        page.keyboard.press("ArrowRight")
    assert page.locator(".slide-now h2").inner_text().startswith("Back to the guess")
    page.keyboard.press("Home")
    assert page.locator(".slide-now").count() == 1
    page.keyboard.press("Escape")
    assert not page.locator("body.showing-slides").count()
