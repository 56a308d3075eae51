"""Make requirements.lock anew from pyproject.toml: every package in one version, with its set.

    .venv/bin/python workflow/lock.py              # keeps the versions that still fit
    .venv/bin/python workflow/lock.py --upgrade    # takes the newest that fit together

Needs uv. `workflow/environment.py` installs the sets; conda and pip read the whole file.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
#: Sets from the smallest on: a package belongs to the first that needs it.
EXTRAS = {
    "base": [], "book": ["book"], "exchange": ["exchange"], "formats": ["formats"],
    "pdf": ["pdf"], "test": ["test"],
}  # fmt: skip
#: fastai asks for these, and nothing that we use of it imports them.
UNUSED = ("spacy", "torchvision")
#: What PyTorch's build for CUDA brings; it pins them itself, and other builds do without.
CUDA = re.compile(r"(nvidia|cuda)-|triton$")
HEAD = """\
# Every package this project runs with, exactly. Made by: workflow/lock.py
# Each line ends with the set that first needs the package: base (rbc), book, exchange,
# formats, pdf, test.
# "fastai only": fastai asks for it and nothing here imports it, so `make` leaves it out.
"""


def main() -> None:
    """Resolve everything together, then see which of it each set needs."""
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--upgrade", action="store_true")
    upgrade = options.parse_args().upgrade
    with tempfile.TemporaryDirectory() as folder:
        leave_out = Path(folder) / "overrides.txt"
        leave_out.write_text("".join(f"{name} ; python_version < '3'\n" for name in UNUSED))
        everything = Path(folder) / "everything.txt"
        # an output that exists tells uv which versions to keep
        if not upgrade:
            everything.write_text(LOCK.read_text(encoding="utf-8"), encoding="utf-8")
        extras = [name for extra in EXTRAS.values() for name in extra]
        versions = resolve(everything, extras)
        pinned = ["-c", str(everything)]
        overrides = ["--overrides", str(leave_out)]
        first = {}
        for name, extra in EXTRAS.items():
            part = Path(folder) / f"{name}.txt"
            for package in resolve(part, extra, *pinned, *overrides):
                first.setdefault(package, name)
    lines = [
        f"{package}=={version}  # {first.get(package, 'fastai only')}\n"
        for package, version in versions.items()
    ]
    LOCK.write_text(HEAD + "".join(lines), encoding="utf-8")


def resolve(out: Path, extras: list[str], *options: str) -> dict[str, str]:
    """Versions that fit together, by package; without local build tags such as ``+cpu``, so that
    each platform takes its own build.
    """
    command = ["uv", "pip", "compile", "-q", "--python-version", "3.11", "--no-header"]
    command += ["--no-annotate", "pyproject.toml", "-o", str(out), *options]
    for extra in extras:
        command += ["--extra", extra]
    subprocess.run(command, cwd=ROOT, check=True)
    text = out.read_text(encoding="utf-8")
    versions = re.findall(r"^([a-z0-9._-]+)==([^\s+]+)", text, re.MULTILINE)
    return {package: version for package, version in versions if not CUDA.match(package)}


if __name__ == "__main__":
    main()
