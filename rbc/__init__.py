"""Red cell dynamics in shear flow: from video to the tank-treading marker (Darrin et al., Sci. Rep.
13:745, 2023).

The science alone. It needs no checkout, no network and no YAML, and it never imports `compendium`.
"""

import os
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
