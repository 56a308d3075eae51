"""What something was made from: code by what it does, and records that survive being killed."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rbc import record
from rbc.bench import study

pytestmark = pytest.mark.nightly

HOME = Path(record.__file__).parent


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads change places whenever the collector of garbage runs, as they do where a package
    listens to it.
    """
    interval = sys.getswitchinterval()

    def listen(*_: object) -> None:
        sum(range(50))

    gc.callbacks.append(listen)
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    gc.callbacks.remove(listen)


def test_threads_ask_for_keys_at_once(switching: None) -> None:
    """The jobs of a book ask from threads: Python 3.11 ended about one parse in four with a
    SystemError.
    """
    files = sorted(HOME.rglob("*.py"))[:15] * 4
    texts = [path.read_text(encoding="utf-8") for path in files]
    anew = record.module_hash.__wrapped__  # what is known already is not parsed again
    alone = [anew(text) for text in texts[: len(texts) // 4]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(anew, texts))
    assert together == alone * 4


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `rbc` without any checkout, as a wheel installs it; keys are asked of it."""
    hidden = shutil.ignore_patterns("__pycache__", "weights")
    copy = shutil.copytree(HOME, tmp_path / "rbc", ignore=hidden)
    monkeypatch.setattr(record, "_folder", lambda package: tmp_path / package)
    return copy


def key_now() -> str:
    """As another process would answer."""
    for cached in (record.code_key, record.code, record._beside, record.imports):
        cached.cache_clear()
    return study.code_key()


@pytest.mark.parametrize(
    ("file", "line", "anew"),
    [
        ("reading/video.py", "WIDER = 2", True),
        ("tracking/linking.py", "WIDER = 2", True),
        ("prevalence.py", "WIDER = 2", True),
        ("validity.json", " ", True),
        ("bench/report.html", "<br>", True),
        ("tracking/linking.py", "# a comment", False),
        ("training.py", "WIDER = 2", False),
    ],
)
def test_a_study_judges_anew_where_the_code_of_its_answers_changed(package, file, line, anew):
    """Old answers beside new ones would pass for a change of the patient."""
    before = key_now()
    with (package / file).open("a", encoding="utf-8") as opened:
        opened.write(f"\n{line}\n")
    assert (key_now() != before) == anew


def test_a_study_rests_on_reading_tracking_models_and_marker():
    """A reader that is loaded only for its own format counts too."""
    found = set(record.closure(study.MAKERS))
    readers = (HOME / "reading").glob("[!_]*.py")
    assert {f"rbc.reading.{path.stem}" for path in readers} <= found
    assert {"rbc.tracking.movie", "rbc.models", "rbc.marker", "rbc.prevalence"} <= found


def test_a_record_that_was_cut_off_counts_as_none(tmp_path):
    """What it stands for is then made anew, never taken for fresh."""
    path = tmp_path / "deep" / "page.made.json"
    assert record.read(path) == {}
    record.write(path, {"code": "a", "data": "b"})
    assert record.changes(record.read(path), {"code": "a", "data": "c", "words": "d"}) == [
        "data",
        "words",
    ]
    path.write_text(path.read_text(encoding="utf-8")[:20], encoding="utf-8")
    assert record.read(path) == {}
