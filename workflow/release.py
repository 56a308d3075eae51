"""Pack the built book for a release: python workflow/release.py. Refuses a checkout with changes.

Writes _build/release/: site.tar.gz (the same bits from the same pages), MANIFEST.sha256 (every file
of the site) and SHA256SUMS (of these two).
"""

import gzip
import hashlib
import sys
import tarfile
from pathlib import Path

from compendium import ROOT, runs
from rbc.files import whole_folder

SITE = ROOT / "_build" / "html"
OUT = ROOT / "_build" / "release"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bare(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file's entry without who packed it and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def pack(site: Path, out: Path) -> None:
    """Archive, manifest and checksums of a site into the folder `out`, whole or not at all."""
    files = sorted(path for path in site.rglob("*") if path.is_file())
    with whole_folder(out, ("SHA256SUMS", "MANIFEST.sha256", "site.tar.gz")) as part:
        with (
            gzip.GzipFile(part / "site.tar.gz", "wb", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w") as tar,
        ):
            for path in files:
                tar.add(path, str(path.relative_to(site)), filter=bare)
        lines = [f"{digest(path)}  {path.relative_to(site)}\n" for path in files]
        (part / "MANIFEST.sha256").write_text("".join(lines), encoding="utf-8")
        sums = [f"{digest(part / name)}  {name}\n" for name in ("MANIFEST.sha256", "site.tar.gz")]
        (part / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


def main() -> None:
    if runs.git("status", "--porcelain"):
        sys.exit(
            "the checkout has changes, or is none: commit or remove them, build the book again,"
            " then publish"
        )
    if not (SITE / "index.html").exists():
        sys.exit(f"{SITE}: no book there; make it with make book")
    pack(SITE, OUT)
    print(f"{OUT}: site.tar.gz, MANIFEST.sha256, SHA256SUMS")


if __name__ == "__main__":
    main()
