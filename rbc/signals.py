"""Long work that is told to end: by Ctrl-C, by the system, or by a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from rbc import RbcError


class Stopped(KeyboardInterrupt):
    """The work was told to end."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM, SIGHUP and Ctrl-C into one line; what they interrupt cleans up after itself."""
    names = [
        getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
    ]

    def stop(*_: object) -> None:
        raise Stopped

    before = {name: signal.signal(name, stop) for name in names}
    try:
        yield
    except KeyboardInterrupt as error:
        raise RbcError("interrupted; the same command goes on where it stopped") from error
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
