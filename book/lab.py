"""Put a Python that runs in the browser beside the built book: python book/lab.py.

The page "Exercises in the browser" needs it; no other page loads it. Pyodide's core (MPL 2.0,
https://github.com/pyodide/pyodide) comes as an npm package, by `npm pack`, so npm is needed once:
the package is kept in data/raw. It is checked against the checksum below each time.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HTML, RAW = ROOT / "_build" / "html", ROOT / "data" / "raw"
VERSION = "0.29.0"
#: As the npm registry states it (`npm view pyodide@VERSION dist.integrity`).
SHA512 = "ObIvsTmcrxAWKg+FT1GjfSdDmQc5CabnYe/nn5BCuhr9BVVITeQ24DBdZuG5B2tIiAZ9YonBpnDB7cmHZyd2Rw=="
#: What a page needs of the package; the rest is for programmers.
NEEDED = (
    "pyodide.js",
    "pyodide.asm.js",
    "pyodide.asm.wasm",
    "pyodide-lock.json",
    "python_stdlib.zip",
)


def fetch() -> Path:
    """The package, from data/raw or by npm; ends in one line where it is not the published one."""
    package = RAW / f"pyodide-{VERSION}.tgz"
    if not package.exists():
        npm = shutil.which("npm")
        if not npm:
            sys.exit(f"npm is not on the path: install it, or put pyodide-{VERSION}.tgz into {RAW}")
        RAW.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", f"pyodide@{VERSION}", "--pack-destination", str(RAW)]
        ended = subprocess.run(command, cwd=RAW, capture_output=True, text=True)
        if ended.returncode or not package.exists():
            said = ended.stderr.strip().rpartition("\n")[2]
            sys.exit(f"npm could not fetch pyodide {VERSION}: {said or 'it did not say why'}")
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if digest != SHA512:
        sys.exit(f"{package}: not the package that was published; remove it and run this again")
    return package


def main() -> None:
    if not (HTML / "index.html").exists():
        sys.exit(f"{HTML}: no built book; run make book first")
    place = HTML / "lab"
    with tarfile.open(fetch()) as package:
        contents = {name: package.extractfile(f"package/{name}").read() for name in NEEDED}
    place.mkdir(exist_ok=True)
    for name, content in contents.items():
        (place / name).write_bytes(content)
    size = sum(map(len, contents.values())) / 1e6
    print(f"{place}: Pyodide {VERSION}, {size:.0f} MB; now run make serve and open the page")


if __name__ == "__main__":
    main()
