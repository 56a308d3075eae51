"""What pyproject.toml cannot say: which packages a checkout has beyond a wheel, and the commit.

A wheel ships the library `rbc` alone. In an installation of the checkout (``pip install -e .``) the
reproduction, `compendium`, can be imported as well.
"""

import os
import subprocess
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
COMMIT = Path("rbc", "commit.txt")  #: what `rbc --version` reads where there is no git


def write_commit(folder: str) -> None:
    """Write the checkout's commit into a tree that is built, where git can tell it."""
    if not (HERE / ".git").exists():
        return
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(HERE), "describe", "--always", "--abbrev=12", "--dirty"]
    try:
        told = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return
    Path(folder, COMMIT).write_text(told.stdout, encoding="utf-8")


class BuildWithCommit(build_py):
    """Builds the packages of a wheel, and writes the commit beside them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            write_commit(self.build_lib)


class SourceWithCommit(sdist):
    """Makes the archive of the source, with the commit in it."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        write_commit(base_dir)


class EditableWithCompendium(editable_wheel):
    """Installs the checkout: the library and the reproduction."""

    def run(self) -> None:
        self.distribution.packages += find_packages(str(HERE), include=["compendium*"])
        super().run()


setup(
    cmdclass={
        "build_py": BuildWithCommit,
        "sdist": SourceWithCommit,
        "editable_wheel": EditableWithCompendium,
    }
)
