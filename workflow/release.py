"""Pack a release: .venv/bin/python workflow/release.py. Refuses a checkout with changes.

Writes _build/release/: site.tar.gz (the built book; the same bits from the same pages), book.pdf,
the wheel of `rbc`, weights.tar.gz (the shipped models), sequences.tar.gz and runs.tar.gz (those of
a simulated profile, with Croissant and RO-Crate metadata), README.txt (what each of them is),
MANIFEST.sha256 (every file of the site) and SHA256SUMS (every file of the release).
"""

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from compendium import ROOT, profiles, runs
from compendium.profiles import Profile
from rbc.files import whole_folder

SITE = ROOT / "_build" / "html"
OUT = ROOT / "_build" / "release"
README = """\
RBC dynamics compendium, version {version}, commit {commit}

site.tar.gz       the book as a site: unpack it and open index.html
book.pdf          the same book, printed
{wheel}  the library and its command line: pip install {wheel}
weights.tar.gz    the shipped models, with what they were trained on
sequences.tar.gz  SIMULATED sequences of the profile {profile}, with Croissant metadata
runs.tar.gz       the runs made from them, an RO-Crate
MANIFEST.sha256   checksums of every file of the site
SHA256SUMS        checksums of every file of the release: sha256sum -c SHA256SUMS

Code: MIT (LICENSE, in the wheel). Text and figures: CC BY 4.0. No pixel of a real cell is in any
of these files. The weights learned from sequences that the paper's authors released; models.json
names them. Not a medical device.
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--profile", default="demo", help="simulated, and built (demo)")
    profile = profiles.load(options.parse_args().profile)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    tag = os.environ.get("GITHUB_REF", "")
    if tag.startswith("refs/tags/") and tag != f"refs/tags/v{version}":
        sys.exit(f"{tag} is not version {version} of pyproject.toml: correct one of them")
    if runs.git("status", "--porcelain"):
        sys.exit(
            "the checkout has changes, or is none: commit or remove them, build the book again,"
            " then publish"
        )
    made_by = {SITE / "index.html": "book", SITE / "book.pdf": "pdf"}
    for file, target in made_by.items():
        if not file.exists():
            sys.exit(f"{file} is not there; make it with make {target}")
    if profile.data.source != "simulated":
        sys.exit(f"profile {profile.name} is of real cells, which are not ours to release")
    with tempfile.TemporaryDirectory() as folder:
        pack(SITE, OUT, beside_the_site(Path(folder), profile, version))
    print(f"{OUT}: {', '.join(sorted(path.name for path in OUT.iterdir()))}")


def beside_the_site(folder: Path, profile: Profile, version: str) -> list[Path]:
    """Files of a release beside the site, made in a folder.

    Parameters
    ----------
    folder : is there and empty
    profile : its sequences and runs are there
    version : of the release
    """
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # modules that are gone would be packed too
    build = f"from setuptools import build_meta; print(build_meta.build_wheel({str(folder)!r}))"
    said = subprocess.run(
        [sys.executable, "-c", build], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    wheel = said.stdout.split()[-1]
    sequences, sent = folder / "sequences", folder / "runs"
    shutil.copytree(profile.data_folder, sequences)
    rbc("export", sequences, sequences / "croissant.json")
    rbc("results", "--profile", profile.path, "--submit", sent)
    for tree in (ROOT / "rbc" / "bench" / "weights", sequences, sent):
        archive(tree, folder / f"{tree.name}.tar.gz", tree.name)
    shutil.copy(SITE / "book.pdf", folder)
    about = {"version": version, "wheel": wheel, "profile": profile.name}
    text = README.format(commit=runs.checkout()["commit"], **about)
    (folder / "README.txt").write_text(text, encoding="utf-8")
    return sorted(path for path in folder.iterdir() if path.is_file())


def rbc(*words: object) -> None:
    """Run a command of `rbc`; end with its exit code where it fails, after its own message."""
    command = [sys.executable, "-m", "compendium", *map(str, words)]
    if code := subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(code)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def bare(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file's entry without who packed it and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def archive(tree: Path, file: Path, name: str = "") -> list[Path]:
    """Pack a folder, below `name`; which files it holds."""
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    with (
        gzip.GzipFile(file, "wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for path in files:
            tar.add(path, str(Path(name, path.relative_to(tree))), filter=bare)
    return files


def pack(site: Path, out: Path, beside: list[Path]) -> None:
    """Archive, manifest and checksums of a site into the folder `out`, whole or not at all.

    Parameters
    ----------
    site : the built book
    out : the folder
    beside : more files of the release
    """
    with whole_folder(out, ("SHA256SUMS", "*")) as part:
        files = archive(site, part / "site.tar.gz")
        lines = [f"{digest(path)}  {path.relative_to(site)}\n" for path in files]
        (part / "MANIFEST.sha256").write_text("".join(lines), encoding="utf-8")
        for path in beside:
            shutil.copy(path, part)
        sums = [f"{digest(path)}  {path.name}\n" for path in sorted(part.iterdir())]
        (part / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


if __name__ == "__main__":
    main()
