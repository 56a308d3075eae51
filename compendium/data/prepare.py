"""From raw data to a profile's sequences, and what is known of them without their pixels."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compendium import ROOT, keys, notebooks, runs
from compendium.profiles import Profile
from rbc import RbcError, record
from rbc.paper import LABELS, RELIABLE, SPLITS

if TYPE_CHECKING:
    from rbc.sequences import Sequences

PAGES = ROOT / "book" / "pages"
Say = Callable[[str], object]  #: takes a line about a step


def prepare(p: Profile, data: Path | None, simulated: bool = False, progress: bool = False) -> int:
    """Make a profile's sequences, in data/derived/<profile>, and what pages say of them; how many
    there are.

    Parameters
    ----------
    p : the profile
    data : folder of the raw data, for profiles that do not simulate theirs
    simulated : the raw data are simulated too, not real
    progress : show a bar
    """
    from compendium.data import (  # here, as these would slow the start of every command
        ingest,
        pixels,
        printed,
    )
    from rbc import sampling, sequences, simulate

    made = _made(p)
    simulated = simulated or bool(made.get("simulated"))  # once said, it stays
    if p.data.source == "simulated":
        ranges = simulate.ranges_of(p.data.ranges)
        simulate.sequences(p.data.counts, p.data.seed, progress=progress, ranges=ranges).save(
            p.data_folder
        )
    elif p.data.source == "released":
        ingest.released(raw_folder(p, data)).save(p.data_folder)
    else:
        folder = raw_folder(p, data)
        # Simulated records have counts of their own; all others are the paper's until it is said.
        known = p.data.acknowledged
        check = partial(printed.check, where=folder, acknowledged=known, simulated=simulated)
        ingest.into(folder, p.data_folder, simulated=simulated, check=check)
    found = sequences.load(p.data_folder)
    if p.data.source == "zenodo" and not simulated:
        try:
            pixels.check(found, folder, p.data.acknowledged)
        except RbcError:
            shutil.rmtree(p.data_folder)  # made a moment ago: nothing half-checked is left
            raise
    # Similarity ranks serve every K, so they are computed once, with the data.
    ranks = sampling.ranks(found, threads=os.cpu_count(), progress=progress)
    sequences.add_similarity(p.data_folder, ranks)
    _describe(p, found)
    files = _raw(p, data, made)
    inputs = keys.data_inputs(p, {name: file[2] for name, file in files.items()})
    more = {"sha256": found.meta["sha256"], "simulated": simulated, "files": files}
    record.write(_note(p), inputs, **more)
    return len(found)


def why(p: Profile, data: Path | None, without_raw: bool = False) -> str:
    """In words why a profile's sequences must be made anew; empty where they are fresh.

    Parameters
    ----------
    p : the profile
    data : folder of the raw data that the user names; None: the default one
    without_raw : where no raw data are at hand, those count that the sequences were made from
    """
    made = _made(p)
    if not (p.data_folder / "meta.json").exists() or not made:
        return "not made yet"
    if made.get("sha256") != checksum(p):
        return "the sequences are not those that were made"
    try:
        files = _raw(p, data, made)
    except RbcError:
        if not without_raw:
            raise
        files = made.get("files", {})
    now = keys.data_inputs(p, {name: file[2] for name, file in files.items()})
    return record.in_words(record.read(_note(p)), now)


def checksum(p: Profile) -> str:
    """Checksum of a profile's sequences; empty where there are none."""
    return checksum_of(p.data_folder)


def checksum_of(folder: Path) -> str:
    """Checksum of the sequences in a folder; empty where there are none."""
    meta = folder / "meta.json"
    return json.loads(meta.read_text(encoding="utf-8"))["sha256"] if meta.exists() else ""


def check(p: Profile) -> None:
    """Raises `RbcError` where a profile's sequences are missing or unreadable."""
    from rbc import sequences

    sequences.load(p.data_folder)


#: Code that says what pages tell of the data: what to know about them, one plain number a cell.
DESCRIBING = ("compendium.data.checks", "compendium.evidence.simple")


def describe(p: Profile, say: Say) -> None:
    """Write what pages say of a profile's sequences, where it is gone, of other sequences, or by
    other code than today's.

    It lies with the results, so ``make clean`` removes it and leaves the data. Jobs of a cluster
    may ask at the same time: one writes, the others wait.

    Parameters
    ----------
    p : the profile
    say : called with a line before the work begins, which takes minutes at full size
    """
    from filelock import FileLock

    from rbc import sequences

    if not why_not_described(p):
        return
    p.results_folder.mkdir(parents=True, exist_ok=True)
    with FileLock(p.results_folder / ".describing.lock"):
        if not why_not_described(p):  # by another process, while this one waited
            return
        say(f"describing the data of {p.name}: what its pages say of them is missing or stale")
        _describe(p, sequences.load(p.data_folder))


def why_not_described(p: Profile) -> str:
    """In words why what pages say of a profile's data must be written anew; empty where fresh."""
    if gone := [name for name in runs.OF_THE_DATA if not (p.results_folder / name).exists()]:
        return f"{gone[0]} is not there"
    return record.in_words(record.read(_described(p)), _description_inputs(p))


def _describe(p: Profile, found: Sequences) -> None:
    _described(p).unlink(missing_ok=True)  # an interrupted description counts as none
    runs.describe(found, p.results_folder)
    record.write(_described(p), _description_inputs(p))


def _described(p: Profile) -> Path:
    return p.results_folder / "described.made.json"


def _description_inputs(p: Profile) -> dict[str, str]:
    return {"data": checksum(p), **record.code(DESCRIBING)}


def counts(p: Profile) -> dict[str, dict[str, int]]:
    """Number of a profile's sequences by split and label."""
    from pyarrow import parquet  # without pandas, which takes longer to load than this table

    check_there = p.data_folder / "meta.json"
    if not check_there.exists():
        raise RbcError(
            f"{p.data_folder}: no sequences there (meta.json is missing); make them with rbc data"
            " prepare"
        )
    with parquet.ParquetFile(p.data_folder / "index.parquet") as file:
        table = file.read(columns=["split", "label"]).to_pydict()
    pairs = list(zip(table["split"], table["label"], strict=True))
    found: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        labels = [label for its_split, label in pairs if its_split == split]
        if labels:
            found[split] = {label: labels.count(label) for label in LABELS if label in labels}
    return found


def raw_folder(p: Profile, data: Path | None) -> Path:
    """Folder of a profile's raw data: the given one, else the usual one.

    Parameters
    ----------
    p : the profile
    data : the given one

    Raises
    ------
    RbcError
        where none is given and there is no usual one, or where it is not there
    """
    usual = {"released": os.environ.get("RBC_SAMPLE"), "zenodo": record_folder()}
    folder = data or usual[p.data.source]
    if not folder:
        raise RbcError(
            f"profile {p.name} needs a data folder: give --data PATH (make book: DATA=PATH)"
        )
    if not Path(folder).is_dir():
        raise RbcError(
            f"{folder}: no such data folder; give one that exists by --data PATH (make book:"
            " DATA=PATH)"
        )
    return Path(folder).resolve()


def record_folder() -> Path:
    """Where the paper's record is fetched to.

    What another server gives, in tests and rehearsals, never lies where the record itself would.
    """
    name = "loopback" if os.environ.get(OTHER_SERVER) else "zenodo"
    return ROOT / "data" / "raw" / name


def _raw(p: Profile, data: Path | None, made: dict) -> dict[str, list]:
    return (
        {}
        if p.data.source == "simulated"
        else keys.raw_files(raw_folder(p, data), made.get("files", {}))
    )


def _note(p: Profile) -> Path:
    """Where it is kept, out of git, what a profile's sequences were made from."""
    return p.data_folder.with_name(f"{p.name}.made.json")


def _made(p: Profile) -> dict:
    try:
        return json.loads(_note(p).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def check_splits(p: Profile) -> None:
    """Raise `RbcError` where a split lacks a class that a stage needs there.

    A part of the data that was not read (a linked folder, an archive of another kind) would
    otherwise be trained without, in silence. Stages with folds name their acquisitions themselves.
    """
    found = counts(p)
    for number, stage in p.stages.items():
        needed = LABELS if number == 1 else RELIABLE
        for split in () if stage.folds else SPLITS:
            if missing := [label for label in needed if not found.get(split, {}).get(label)]:
                raise RbcError(
                    f"profile {p.name}, stage {number}: no {' and no '.join(missing)} sequence in"
                    f" the split {split}; was a part of the data not read? See rbc data summary"
                    f" --profile {p.name}"
                )


# --- the paper's record, by two notebooks that become pages ---

DOWNLOAD, INGEST = (notebooks.FOLDER / f"{name}.ipynb" for name in ("download", "ingest"))
OTHER_SERVER = "RBC_ZENODO_BASE"  #: names another server than Zenodo's: tests, rehearsals
NO_CELLS = ":::{admonition} No cells\n:class: kind\nThis page shows no cells and no scores.\n:::"


def why_not_fetched(p: Profile, data: Path | None) -> str:
    """In words why the record must be fetched; empty where it is there, or its folder is given."""
    if data is not None:
        return ""
    whole = _page(p, "download").exists() and _is_whole_record(record_folder())
    return "" if whole else "the record is not there whole"


def why_not_read(p: Profile, data: Path | None) -> str:
    """In words why the record must be read into sequences; empty where they are fresh."""
    if not _page(p, "ingest").exists():
        return "its page is not there"
    return why(p, data or record_folder())


def read_record(p: Profile, data: Path | None, say: Say, simulated: bool) -> None:
    """Read the record into sequences by the notebook that becomes its page.

    Parameters
    ----------
    p : the profile
    data : folder of the record; None: where it was fetched to
    say : called with lines about the work
    simulated : the record is simulated, not real
    """
    folder = data or record_folder()
    simulated = simulated or bool(_made(p).get("simulated"))
    words = {"title": p.title, **runs.kind_words({"simulated": simulated, "source": "the record"})}
    places = {"profile": p.path, "folder": folder.resolve()}
    parameters = {name: notebooks.inside(place) for name, place in places.items()}
    parameters |= {"simulated": simulated}
    say("reading the record: its layout, its labels, its sequences")
    _page(p, "ingest").parent.mkdir(parents=True, exist_ok=True)
    notebooks.execute(INGEST, _page(p, "ingest"), parameters, words)
    say(f"data of {p.name}: {sum(sum(row.values()) for row in counts(p).values())} sequences")


def _page(p: Profile, name: str) -> Path:
    return PAGES / p.name / f"{name}.ipynb"


def _is_whole_record(folder: Path) -> bool:
    """Whether a fetch has ended there and nothing has gone since; contents were verified then."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        sizes = {folder / file["name"]: file["size"] for file in meta["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(path.is_file() and path.stat().st_size == size for path, size in sizes.items())


def fetch(p: Profile, say: Say) -> None:
    """Run the download notebook, saying before how much it needs and meanwhile how far it is."""
    from compendium.data import download

    folder, page = record_folder(), _page(p, "download")
    page.parent.mkdir(parents=True, exist_ok=True)
    base = os.environ.get(OTHER_SERVER, download.ZENODO)
    files = download.listed(base)
    size = sum(file.size for file in files)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    say(
        f"record {download.ZENODO_RECORD}: {len(files)} files, {size / 1e9:.2f} GB to fetch into"
        f" {folder}; {free / 1e9:.0f} GB are free, and about as much again is needed to unpack"
    )
    parameters = {"folder": notebooks.inside(folder), "base": base}
    words = {"title": p.title, "banner": NO_CELLS, "kind": ""}
    with _telling(folder, size, say):
        notebooks.execute(DOWNLOAD, page, parameters, words)
    say(f"record {download.ZENODO_RECORD}: fetched and verified")


@contextmanager
def _telling(folder: Path, size: int, say: Say, every: float = 20.0) -> Iterator[None]:
    """Say every some seconds how much of a fetch is there, and how long the rest will take."""
    ended, began = threading.Event(), time.monotonic()
    first = _bytes_in(folder)

    def tell() -> None:
        while not ended.wait(every):
            there = _bytes_in(folder)
            speed = (there - first) / (time.monotonic() - began)
            left = f", {(size - there) / speed / 60:.0f} min left" if speed > 0 else ""
            say(f"fetched {there / 1e9:.2f} of {size / 1e9:.2f} GB{left}")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _bytes_in(folder: Path) -> int:
    """Bytes of all files below a folder, finished or not; what goes meanwhile does not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.path.getsize(os.path.join(place, name))
    return total
