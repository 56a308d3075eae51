"""Content keys: what data, a run or a page was made from. Equal content is fresh, whatever the
times of its files.

A key is the SHA-256 of plain values. Code counts by what it does: a comment or a docstring changes
no key.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from compendium import ROOT
from compendium.profiles import Profile
from rbc.files import file_hash
from rbc.paper import Configuration
from rbc.settings import settings

OURS = ("rbc", "compendium")  #: our packages
#: Modules that a run's numbers come from; with all that these import.
NUMBERS = ("rbc.training", "rbc.metrics")
#: Modules that make a profile's sequences, by source; with all that these import.
MAKERS = {
    "simulated": ("rbc.simulate", "rbc.sampling"),
    "released": ("compendium.data.ingest", "rbc.sampling"),
    "zenodo": ("compendium.data.ingest", "rbc.sampling"),
}
#: Packages whose version changes a run's last bits.
PACKAGES = ("torch", "fastai", "numpy")
#: Settings of a training that change no number.
IDLE = {"checkpoint_seconds"}
#: One parse at a time. Python 3.11 counts the depth of all threads' parses together: when the
#: collector of garbage lets another thread in, both end in "SystemError: AST constructor recursion
#: depth mismatch" (CPython 106905).
_PARSING = threading.Lock()


def key_of(*parts: object) -> str:
    """SHA-256 of plain values, as hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def run_key(c: Configuration, profile: Profile, data: str) -> str:
    """Of everything that the numbers of one run depend on.

    Parameters
    ----------
    c : the run
    profile : its training, and the epochs and folds of the stage, count; its title, seeds and other
        stages do not
    data : checksum of the sequences (``sha256`` of their meta.json)
    """
    training = settings(profile.training_of(c), c)
    folds = [fold.model_dump() for fold in profile.stages[c.stage].folds]
    started = file_hash(ROOT / training.start) if training.start else ""
    own = asdict(c), training.model_dump(exclude=IDLE), folds, started
    return key_of(*own, data, code_key(NUMBERS), versions())


def data_key(profile: Profile, files: dict[str, str]) -> str:
    """Of everything that a profile's sequences depend on.

    Parameters
    ----------
    profile : its part on data counts
    files : checksums of its raw files by relative path
    """
    return key_of(profile.data.model_dump(), files, code_key(MAKERS[profile.data.source]))


@cache
def versions() -> tuple[str, ...]:
    """Versions of `PACKAGES`, without the part that names a build."""
    return tuple(f"{name} {version(name).partition('+')[0]}" for name in PACKAGES)


@cache
def code_key(modules: tuple[str, ...]) -> str:
    """Of what some of our modules do, with all that they import of ours."""
    files = {module: _source(module) for module in closure(modules)}
    return key_of({m: module_hash(file.read_text(encoding="utf-8")) for m, file in files.items()})


#: What a file beside a module may be called in its code.
FILE_NAME = re.compile(r"[\w-]+\.\w+")


def named_files(modules: Iterable[str]) -> dict[str, str]:
    """Files that are no code, which one of our modules names and which lie beside it: templates of
    HTML, checklists, tables.

    Parameters
    ----------
    modules : ours; those that they import count as well

    Returns
    -------
    A hash by path, relative to the checkout
    """
    files = {path for module in closure(modules) for path in _beside(module)}
    return {str(path.relative_to(ROOT)): file_hash(path) for path in sorted(files)}


@cache  # pages share most of their modules
def _beside(module: str) -> tuple[Path, ...]:
    """Files beside a module that its code names and that are no code."""
    source, found = _source(module), []
    for node in ast.walk(_parse(source.read_text(encoding="utf-8"))):
        named = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if named and FILE_NAME.fullmatch(node.value) and not node.value.endswith(".py"):
            found.append(source.with_name(node.value))
    return tuple(path for path in found if path.is_file())


def closure(modules: Iterable[str]) -> list[str]:
    """Our modules that some modules import, directly or not, and these themselves; sorted."""
    known: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in known:
            known.add(module)
            waiting += imports(_source(module).read_text(encoding="utf-8"))
    return sorted(known)


@cache  # pages share most of the modules that their keys rest on
def imports(code: str) -> tuple[str, ...]:
    """Our modules that some code imports, also inside of functions; a block for type checkers does
    not count.
    """
    found: list[str] = []
    tree = _parse(code)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = (name for name in found if name.partition(".")[0] in OURS)
    return tuple(name for name in ours if _source(name).exists())


def _parse(code: str) -> ast.Module:
    with _PARSING:
        return ast.parse(code)


def _source(module: str) -> Path:
    """The file of one of our modules."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def module_hash(code: str) -> str:
    """Of a module's statements, without comments, docstrings and layout."""
    tree = _parse(code)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            first = body[0].value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                node.body = body[1:] or [ast.Pass()]
    return key_of(ast.unparse(tree))


def raw_files(folder: Path, before: dict[str, list]) -> dict[str, list]:
    """Every file below a folder of raw data.

    Parameters
    ----------
    folder : of the raw data
    before : what this function answered earlier; a file with the same size and time is not read
        again

    Returns
    -------
    By relative path: bytes, time of change (ns), SHA-256
    """
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name, stat = str(path.relative_to(folder)), path.stat()
        size_and_time = [stat.st_size, stat.st_mtime_ns]
        known = before.get(name)
        digest = known[2] if known and known[:2] == size_and_time else file_hash(path)
        found[name] = [*size_and_time, digest]
    return found


def content(root: Path, files: Iterable[str], folders: Iterable[str]) -> dict[str, str]:
    """What some files hold and some folders list now.

    Frames count by the checksum that lies beside them: the file may be larger than memory.

    Parameters
    ----------
    root : the checkout
    files, folders : paths in it

    Returns
    -------
    A hash by path; what is not there is ``"none"``
    """
    found = {}
    for name in files:
        path = root / name
        if path.name == "frames.npy" and path.with_name("meta.json").exists():
            path = path.with_name("meta.json")
        found[name] = file_hash(path) if path.is_file() else "none"
    for name in folders:
        path = root / name
        found[f"{name}/"] = key_of(_listing(path)) if path.is_dir() else "none"
    return found


def _listing(folder: Path) -> list[str]:
    """Names in a folder; hidden ones and notebooks that failed are the workflow's own and do not
    count.
    """
    return sorted(
        name for name in os.listdir(folder) if not name.startswith(".") and ".failed." not in name
    )
