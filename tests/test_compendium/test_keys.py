"""Content keys that several threads ask for at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from compendium import ROOT, keys


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
    files = sorted((ROOT / "compendium").rglob("*.py"))[:15] * 4
    texts = [path.read_text(encoding="utf-8") for path in files]
    anew = keys.module_hash.__wrapped__  # what is known already is not parsed again
    alone = [anew(text) for text in texts[: len(texts) // 4]]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(anew, texts))
    assert together == alone * 4
