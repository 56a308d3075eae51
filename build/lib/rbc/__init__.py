"""Red cell dynamics in shear flow: from video to the tank-treading marker (Darrin et al., Sci. Rep.
13:745, 2023).

The science alone. It needs no checkout, no network and no YAML, and it never imports `compendium`.
"""

import os
import tempfile
from pathlib import Path

__version__ = "0.1.0"


class RbcError(Exception):
    """Bad input or a step that cannot go on: one line that says what is wrong, where, and what to
    do.
    """


def in_words(name: Path | str) -> str:
    """A name or a message as it can be printed and stored: bytes that are not UTF-8 stand as
    \\xNN.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _can_write(place: Path) -> bool:
    """Whether a folder can be written, or made where it is not there yet."""
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    return os.access(there, os.W_OK)


def _keep_compiled_code() -> None:
    """Give numba a place for compiled code where neither this package nor the home can be written.

    Without one it ends in "cannot cache function", as on a read-only installation.
    """
    home = Path(os.environ.get("HOME") or os.sep)
    if "NUMBA_CACHE_DIR" in os.environ or _can_write(Path(__file__).parent) or _can_write(home):
        return
    user = getattr(os, "getuid", int)()
    os.environ["NUMBA_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), f"rbc-numba-{user}")


_keep_compiled_code()
