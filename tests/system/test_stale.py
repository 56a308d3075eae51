"""What a change makes stale: exactly the runs and pages that depend on it. Asked of a copy of a
finished book.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import RUNS, TINY, rbc

#: Says of each page of the tiny profile's book whether it is fresh.
ASK_PAGES = """
import json
from compendium import profiles, tasks
pages = tasks.of_pages(profiles.load("tests/tiny.yaml"))
print(json.dumps([page.name.removeprefix("page ") for page in pages if page.why()]))
"""


#: Says what pages tell of the tiny profile's data anew where that is stale.
DESCRIBE = """
from compendium import profiles
from compendium.data import prepare
prepare.describe(profiles.load("tests/tiny.yaml"), print)
"""


@pytest.fixture(scope="module")
def finished(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished book, its files as new as a fresh checkout's."""
    return shutil.copytree(
        built, tmp_path_factory.mktemp("finished") / "rbc-dynamics", copy_function=shutil.copy
    )


@pytest.fixture
def changed(finished: Path):
    """Changes a file of the copy for the time of a test."""
    before: dict[Path, bytes] = {}

    def change(file: str, edit: Callable[[str], str]) -> None:
        path = finished / file
        before.setdefault(path, path.read_bytes())
        path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")

    yield change
    for path, content in before.items():
        path.write_bytes(content)


def states(checkout: Path) -> Counter:
    """How many runs are done, stale, to do."""
    answer = rbc("grid", "--profile", TINY, "--status", "--json", cwd=checkout)
    return Counter(row["state"] for row in json.loads(answer.stdout))


def stale_pages(checkout: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", ASK_PAGES]
    return json.loads(
        subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, check=True
        ).stdout
    )


def profile_with(**values: object) -> Callable[[str], str]:
    """An edit of a profile: `training_epochs=2` sets training.epochs."""

    def edit(text: str) -> str:
        content = yaml.safe_load(text)
        for name, value in values.items():
            *way, last = name.split("_")
            place = content
            for key in way:
                place = place[key]
            place[last] = value
        return yaml.safe_dump(content)

    return edit


def appended(line: str) -> Callable[[str], str]:
    return lambda text: f"{text}\n{line}\n"


ALL = {"done": len(RUNS)}
STALE = {"stale": len(RUNS)}


@pytest.mark.parametrize(
    ("file", "edit", "expected"),
    [
        (TINY, profile_with(training_epochs=2), STALE),
        (TINY, profile_with(data_seed=4), STALE),
        (TINY, profile_with(seeds=[0, 1]), {**ALL, "to do": len(RUNS)}),
        (TINY, profile_with(title="Another title"), ALL),
        ("rbc/models.py", appended("WIDER = 2"), STALE),
        ("rbc/sampling.py", appended("WIDER = 2"), STALE),
        ("rbc/augment.py", appended("WIDER = 2"), STALE),
        ("rbc/models.py", appended("# a comment"), ALL),
        ("rbc/training.py", lambda text: text.replace('"""', '"""Said otherwise. ', 1), ALL),
        ("rbc/figures.py", appended("WIDER = 2"), ALL),
        ("notebooks/test.ipynb", lambda text: text.replace("# ", "# Yet another ", 1), ALL),
    ],
    ids=[
        "epochs",
        "data",
        "one more seed",
        "title",
        "networks",
        "sampling",
        "augmentation",
        "comment",
        "docstring",
        "figures",
        "page",
    ],
)
def test_a_change_makes_stale_exactly_the_runs_that_depend_on_it(
    finished, changed, file, edit, expected
):
    """Numbers of another profile, data or code are never taken for those of this one; words retrain
    nothing.
    """
    changed(file, edit)
    assert states(finished) == expected


@pytest.mark.parametrize(
    ("file", "edit", "stale"),
    [
        (TINY, profile_with(training_epochs=3), True),
        ("rbc/inputs.py", appended("GREY = 2"), True),
        ("compendium/provenance.py", appended("WIDER = 2"), False),
    ],
    ids=["epochs", "inputs", "provenance"],
)
def test_scores_of_stale_runs_are_called_stale(finished, changed, file, edit, stale):
    """A table of scores must not pass for that of the profile and the code as they are now."""
    changed(file, edit)
    answer = rbc("results", "--profile", TINY, "--json", cwd=finished)
    assert answer.returncode == 0, answer.stderr
    assert {row["stale"] for row in json.loads(answer.stdout)} == {stale}
    assert (f"{len(RUNS)} runs are stale" in answer.stderr) == stale


def test_a_copy_with_new_times_is_fresh(finished):
    """A checkout, a copy or touch changes times, not content."""
    for path in [*finished.glob("rbc/*.py"), *finished.glob("notebooks/*.ipynb"), finished / TINY]:
        path.touch()
    assert states(finished) == ALL
    assert stale_pages(finished) == []


@pytest.mark.parametrize(
    ("file", "edit", "expected"),
    [
        (
            "notebooks/learn-motion.ipynb",
            lambda text: text.replace("# ", "# Yet another ", 1),
            ["learn-motion"],
        ),
        ("rbc/simulate/cells.py", appended("# a comment"), []),
        ("data/ladder.yaml", appended("# a comment"), ["ladder"]),
    ],
    ids=["a sentence", "a comment in code", "a file that a page reads"],
)
def test_a_change_makes_stale_exactly_the_pages_that_depend_on_it(
    finished, changed, file, edit, expected
):
    """A sentence remakes its page alone."""
    changed(file, edit)
    assert stale_pages(finished) == expected


@pytest.mark.parametrize(
    ("file", "edit", "depends"),
    [
        ("rbc/reported/table5.csv", lambda text: text.replace("1,", "2,", 1), "released/marker"),
        ("rbc/validity.json", lambda text: text.replace("0.95", "0.9", 1), "released/marker"),
        (
            "compendium/evidence/templates/scoreboard.html",
            lambda text: text.replace("Rule:", "By the rule:"),
            "released/claims",
        ),
        # Read where a module is imported, before the page's own kernel is there.
        ("rbc/bench/player.html", lambda text: text.replace("100)", "200)", 1), "index"),
    ],
    ids=["a printed number", "the coverage table", "a template", "a template of a module"],
)
def test_what_a_page_reads_outside_of_data_counts_too(finished, changed, file, edit, depends):
    """Printed numbers, coverage and templates lie beside the code; a page must follow them."""
    changed(file, edit)
    stale = stale_pages(finished)
    assert depends in stale
    assert "learn-motion" not in stale


def test_what_is_said_of_the_data_follows_the_code_that_says_it(finished, changed):
    """Checks that were mended must be asked again of data that have not changed."""
    kept = finished / "results" / "tiny" / "checks.json"
    right = kept.read_text(encoding="utf-8")

    def after(*command: str) -> str:
        rbc(*command, "--profile", TINY, cwd=finished)
        return kept.read_text(encoding="utf-8")

    kept.write_text("[]", encoding="utf-8")  # as checks of another kind might have said
    assert after("grid") == "[]"  # nothing has changed, nothing is asked again
    changed("compendium/data/checks.py", appended("WIDER = 2"))
    assert after("grid") == right
    kept.unlink()
    assert after("grid") == right


def test_a_page_whose_file_is_gone_is_stale(finished):
    """Its link would lead nowhere, and a second make book would leave it so."""
    report = finished / "book" / "files" / "example-report" / "many-cells.html"
    kept = report.read_bytes()
    report.unlink()
    try:
        assert stale_pages(finished) == ["example-report"]
    finally:
        report.write_bytes(kept)


def test_of_two_jobs_that_find_it_stale_one_describes_the_data_and_says_so(finished, changed):
    """Jobs of a cluster start together: both writing at once would leave halves of two files."""
    changed("compendium/data/checks.py", appended("WIDER = 3"))
    kept = finished / "results" / "tiny" / "checks.json"
    right = kept.read_text(encoding="utf-8")
    kept.unlink()
    command, there = [sys.executable, "-c", DESCRIBE], {**os.environ, "PYTHONPATH": str(finished)}
    jobs = [
        subprocess.Popen(command, cwd=finished, env=there, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(job.communicate(timeout=120)[0] for job in jobs)
    assert said[0] == "" and said[1].startswith("describing the data of tiny")
    assert kept.read_text(encoding="utf-8") == right


@pytest.mark.nightly
def test_a_sentence_remakes_only_its_page_and_stale_runs_are_never_shown(finished, changed):
    """The command itself does what the status says: one page here; and runs first where they are
    stale.
    """
    changed("notebooks/learn-networks.ipynb", lambda text: text.replace("# ", "# Yet another ", 1))
    result = rbc("book", "--profile", TINY, cwd=finished)
    assert result.returncode == 0, result.stderr
    made = [line for line in result.stderr.splitlines() if " of " in line and " s: " in line]
    assert [line.rpartition(": ")[2] for line in made] == ["page learn-networks"]
    assert "Yet another " in (finished / "_build/html/book/pages/learn-networks.html").read_text(
        encoding="utf-8"
    )
