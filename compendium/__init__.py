"""The reproduction: profiles, data, notebooks, evidence, and the command line. It needs the
checkout.

`rbc` is the science and never imports this package.
"""

from pathlib import Path

from rbc import RbcError

#: The checkout: profiles, notebooks and kept results are read from here (the package is installed
#: editable).
ROOT = Path(__file__).resolve().parent.parent


def need_checkout() -> None:
    """Raise `RbcError` where this package was installed without its checkout."""
    if not (ROOT / "notebooks").is_dir():
        raise RbcError(
            "this command needs the checkout of the compendium, the source that this package was"
            " built from:"
            " clone or unpack it, run make book there, and call its .venv/bin/rbc"
        )
