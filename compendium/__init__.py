"""The reproduction: profiles, data, notebooks, evidence, and the command line. It needs the checkout.

`rbc` is the science and never imports this package.
"""

from pathlib import Path

from rbc import RbcError

#: The checkout: profiles, notebooks and kept results are read from here (the package is installed editable).
ROOT = Path(__file__).resolve().parent.parent
HOME = "https://github.com/rbc-dynamics/compendium"


def need_checkout() -> None:
    """Raise `RbcError` where this package was installed without its checkout."""
    if not (ROOT / "notebooks").is_dir():
        raise RbcError(f"this command needs the checkout of the compendium: git clone {HOME}, then make book there")
