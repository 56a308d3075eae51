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
    """Raise `RbcError` where there is no checkout, or where the user stands in another one."""
    if not _is_checkout(ROOT):
        raise RbcError(
            "this command needs the checkout of the compendium, the source that this package was"
            " built from: clone or unpack it, run make book there, and call its .venv/bin/rbc"
        )
    here = next((f for f in (Path.cwd(), *Path.cwd().parents) if _is_checkout(f)), ROOT)
    if not here.samefile(ROOT):  # a copied folder brings an environment that leads to the original
        raise RbcError(
            f"you are in the checkout {here}, but this rbc works on {ROOT}: remove {here}/.venv if"
            " it is a copy, run make there, and call its own .venv/bin/rbc"
        )


def _is_checkout(folder: Path) -> bool:
    return (folder / "notebooks" / "train.ipynb").is_file() and (folder / "compendium").is_dir()
