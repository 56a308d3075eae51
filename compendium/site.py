"""What the book takes beside its pages, and the book itself."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from compendium import ROOT, engine, notebooks, profiles, runs
from compendium.data.prepare import PAGES, checksum_of
from compendium.profiles import Profile
from rbc import RbcError, record
from rbc.files import file_hash

FILES = ROOT / "book" / "files"  #: what the site holds beside its pages: predictions, films
#: Code that lays the pages, predictions and films of runs where the book takes them.
MAKERS = ("compendium.evidence.browse", "compendium.evidence.scoreboard", notebooks.__name__)
SITE = ROOT / "_build" / "html" / "index.html"


def publish(part: str, results: Path) -> None:
    """Lay the pages of a part's runs, their predictions and configurations, and the films of its
    test sequences where the book takes them.

    Parameters
    ----------
    part : folder of the book's pages
    results : folder of its runs
    """
    # here, as a book that is fresh needs neither
    from compendium.evidence import browse, scoreboard

    inputs = _published_from(part, results)
    _published(part).unlink(missing_ok=True)
    folders = _places(part)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for run in runs.folders(results):
        stage, name = run.parts[-2:]
        page = run / runs.NOTEBOOK
        if page.exists():
            notebooks.copy_of_run(page, folders[0] / f"{stage}-{name}.ipynb", part)
        scoreboard.publish(results, f"{stage}/{name}", folders[1])
    browse.publish(results, _data(part, results), folders[2])
    record.write(_published(part), inputs)


def why_not_published(part: str, results: Path) -> str:
    """In words why `publish` must be done again; empty where what it made is fresh."""
    if not all(folder.is_dir() for folder in _places(part)):
        return "not made yet"
    return record.in_words(record.read(_published(part)), _published_from(part, results))


def _places(part: str) -> tuple[Path, Path, Path]:
    """Folders of a part's run pages, of its predictions, of its films."""
    return PAGES / part / "runs", FILES / "predictions" / part, FILES / "films" / part


def _published(part: str) -> Path:
    return ROOT / notebooks.LOGS / f"{part}.published.made.json"


def _published_from(part: str, results: Path) -> dict[str, str]:
    files = [folder / name for folder in runs.folders(results) for name in runs.PUBLISHED]
    found = {notebooks.inside(file): file_hash(file) for file in files if file.exists()}
    return found | {"data": checksum_of(_data(part, results)), **record.code(MAKERS)}


def _data(part: str, results: Path) -> Path:
    """Folder of a part's sequences."""
    if results.is_relative_to(runs.REFERENCE):
        return profiles.load(part).data_folder
    return ROOT / "data" / "derived" / results.name


def build(p: Profile) -> None:
    """Build the HTML pages."""
    inputs = _built_from(p)
    _built().unlink(missing_ok=True)
    if code := engine.watched([sys.executable, str(ROOT / "book" / "build.py"), p.name]):
        raise RbcError(f"the book was not built (exit code {code}): see the warnings above")
    record.write(_built(), inputs)


def why_not_built(p: Profile) -> str:
    """In words why the HTML pages must be built anew; empty where they are fresh."""
    if not SITE.exists():
        return "not made yet"
    return record.in_words(record.read(_built()), _built_from(p))


def _built() -> Path:
    return ROOT / "_build" / "site.made.json"


def _built_from(p: Profile) -> dict[str, str]:
    """Everything that the builder of the site reads."""
    sources = [ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "notebooks" / "paper.ipynb"]
    sources += [path for path in (ROOT / "book").rglob("*") if path.is_file()]
    kept = [path for path in sorted(sources) if "__pycache__" not in path.parts]
    # The page of status is made by the builder itself.
    files = {
        str(path.relative_to(ROOT)): file_hash(path) for path in kept if path != PAGES / "status.md"
    }
    return {"profile": p.name, **files}
