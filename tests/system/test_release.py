"""What a release holds: the same bits from the same pages, and nothing from a checkout with
changes.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from importlib.util import module_from_spec, spec_from_file_location

import pytest
import yaml

from compendium import ROOT, profiles

pytestmark = pytest.mark.slow


def load(name: str):
    """A script of workflow/ as a module."""
    spec = spec_from_file_location(name, ROOT / "workflow" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_same_site_gives_the_same_archive_and_the_manifest_holds_every_file(tmp_path):
    """A release must be checkable byte by byte."""
    site = tmp_path / "html"
    (site / "pages").mkdir(parents=True)
    (site / "index.html").write_text("<p>a</p>", encoding="utf-8")
    (site / "pages" / "b.html").write_text("<p>b</p>", encoding="utf-8")
    release = load("release")
    release.pack(site, tmp_path / "one", [])
    (site / "index.html").touch()
    release.pack(site, tmp_path / "two", [])
    for name in ("site.tar.gz", "MANIFEST.sha256", "SHA256SUMS"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    unpacked = tmp_path / "unpacked"
    with tarfile.open(tmp_path / "one" / "site.tar.gz") as tar:
        tar.extractall(unpacked, filter="data")
    for line in (tmp_path / "one" / "MANIFEST.sha256").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == digest
    checked = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "one", capture_output=True
    )
    assert checked.returncode == 0


@pytest.mark.nightly
def test_a_stranger_checks_and_uses_what_is_released(built, tmp_path, monkeypatch):
    """All files are listed and whole; the shipped models read the released sequences."""
    release = load("release")
    home, folder = tmp_path / "made", tmp_path / "release"
    home.mkdir()
    (built / "_build" / "html" / "book.pdf").write_bytes(b"%PDF")
    monkeypatch.setattr(release, "ROOT", built)
    monkeypatch.setattr(release, "SITE", built / "_build" / "html")
    monkeypatch.setenv("PYTHONPATH", str(built))
    tiny = profiles.load(str(built / "tests" / "tiny.yaml"))
    monkeypatch.setattr(type(tiny), "data_folder", built / "data" / "derived" / "tiny")
    release.pack(release.SITE, folder, release.beside_the_site(home, tiny, "0"))
    said = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert said.returncode == 0 and len(said.stdout.splitlines()) == 8
    for name in ("sequences", "runs", "weights"):
        with tarfile.open(folder / f"{name}.tar.gz") as tar:
            tar.extractall(tmp_path, filter="data")
    assert (tmp_path / "runs" / "ro-crate-metadata.json").exists()
    assert (tmp_path / "sequences" / "croissant.json").exists()
    release.rbc("classify", tmp_path / "sequences")


def test_a_checkout_with_changes_is_not_published(checkout):
    """A release must be that of its commit."""
    (checkout / "stray.txt").write_text("not committed", encoding="utf-8")
    try:
        own = {"cwd": checkout, "env": {**os.environ, "PYTHONPATH": str(checkout)}}
        done = subprocess.run(
            [sys.executable, "workflow/release.py"], capture_output=True, text=True, **own
        )
    finally:
        (checkout / "stray.txt").unlink()
    assert done.returncode == 1 and "commit or remove them" in done.stderr
    assert not (checkout / "_build" / "release").exists()


def test_the_ladder_tells_another_output_and_a_failure_from_what_is_expected():
    """A rung that always passes proves nothing."""
    ladder = load("ladder")
    kept = "tests/golden/audit.json"

    def well(command: str, expect: str) -> bool:
        return ladder.climb({"rung": "x", "command": command, "expect": expect})["as_expected"]

    assert well(f"cat {kept}", kept) and not well("cat tests/golden/claims.json", kept)
    assert well("true", "success") and not well("false", "success")


def test_a_python_without_packages_gets_one_line():
    """The README's readers begin there; it was a traceback."""
    command = [sys.executable, "-S", "workflow/ladder.py", "audit"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={})
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "make .venv/ready" in done.stderr


def test_workflows_are_yaml_and_call_what_is_there():
    """A workflow that names a missing file fails when it is needed."""
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        steps = [step for job in content["jobs"].values() for step in job["steps"]]
        for command in (step["run"] for step in steps if "run" in step):
            for word in command.split():
                assert not word.startswith("workflow/") or (ROOT / word).exists(), (path.name, word)


def test_actions_of_others_are_pinned_by_hash():
    """A tag can be moved to other code after it was looked at; a comment says which release it
    is.
    """
    files = list((ROOT / ".github" / "workflows").glob("*.yml"))
    used = [line for f in files for line in f.read_text(encoding="utf-8").splitlines()]
    used = [line for line in used if "uses:" in line]
    assert len(used) > 8
    for line in used:
        assert re.search(r"uses: [\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line), line


def test_a_container_copies_only_what_is_there():
    """A file that is renamed would be missed when the image is built, once a week at most."""
    for file in (ROOT / "workflow" / "containers").glob("*.Dockerfile"):
        text = file.read_text(encoding="utf-8")
        copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY")]
        assert copied and all((ROOT / path).exists() for paths in copied for path in paths)
        assert f"-f workflow/containers/{file.name}" in text
