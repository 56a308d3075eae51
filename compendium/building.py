"""From a profile to its data, its runs, its pages and its book: what is stale is made anew, what is
fresh is left.

Content decides what is stale (`compendium.keys`), never the time of a file. Jobs run in threads,
each in a kernel of its own; what a stopped build has finished stays, and the same command goes on.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compendium import ROOT, attempts, keys, notebooks, runs
from compendium.profiles import Profile
from rbc import RbcError, record
from rbc.files import file_hash
from rbc.paper import LABELS, RELIABLE, SPLITS, Configuration
from rbc.signals import ended_by_signals

if TYPE_CHECKING:
    from rbc.sequences import Sequences

PAGES = ROOT / "book" / "pages"
FILES = ROOT / "book" / "files"  #: what the site holds beside its pages: predictions, films
#: Pages of a part of the book: one profile's results, on simulated or on real cells.
REPORTS = (
    "dataset",
    "claims",
    "sampling",
    "selection",
    "test",
    "errors",
    "browse",
    "marker",
    "packet",
)
#: Pages of no part.
OWN = (
    "index", "tracking", "ladder", "audit", "beside", "coverage", "learn-motion", "learn-optics",
    "learn-sampling", "learn-networks", "learn-training", "learn-imbalance", "learn-prevalence",
    "example-report",
)  # fmt: skip
#: parts without pages of runs, and the reports of each
ONE_PAGE = {"register": ("register",), "ours": ("ours", "ours-experiments")}
KEPT = ("released", *ONE_PAGE)  #: committed results that every book shows
#: the recurrent network takes longer: begun first, it ends with the others
SLOWEST = {"crnn": 2, "cnn": 1}


@dataclass(frozen=True)
class Job:
    """One thing to make.

    Attributes
    ----------
    name : as the progress bar and the log call it
    work : makes it; gets the variables for its kernel
    needs_gpu : whether it takes a GPU where there is one
    """

    name: str
    work: Callable[[dict[str, str]], object]
    needs_gpu: bool = False


# --- data ---


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
    from compendium.data import ingest  # here, as these would slow the start of every command
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
        ingest.into(raw_folder(p, data), p.data_folder, simulated=simulated)
    found = sequences.load(p.data_folder)
    # Similarity ranks serve every K, so they are computed once, with the data.
    ranks = sampling.ranks(found, threads=os.cpu_count(), progress=progress)
    sequences.add_similarity(p.data_folder, ranks)
    _describe(p, found)
    files = _raw(p, data, made)
    digest = keys.data_key(p, {name: file[2] for name, file in files.items()})
    # What it was made from lies beside the data: a later command asks whether it still holds.
    kept = {"key": digest, "sha256": found.meta["sha256"], "simulated": simulated, "files": files}
    _note(p).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return len(found)


def is_prepared(p: Profile, data: Path | None) -> bool:
    """Whether a profile's sequences are there and were made from what it and its raw data say
    now.

    Parameters
    ----------
    p : the profile
    data : folder of the raw data that the user names; None: the default one
    """
    if not (p.data_folder / "meta.json").exists():
        return False
    made = _made(p)
    if "key" not in made or made.get("sha256") != data_checksum(p):
        return False
    files = _raw(p, data, made)
    return made["key"] == keys.data_key(p, {name: file[2] for name, file in files.items()})


def _data_stand(p: Profile) -> bool:
    """`is_prepared`, asked where no raw data need be at hand: then those that the sequences were
    made from count.
    """
    try:
        return is_prepared(p, None)
    except RbcError:
        made = _made(p)
        files = {name: file[2] for name, file in made.get("files", {}).items()}
        return made.get("key") == keys.data_key(p, files)


def data_checksum(p: Profile) -> str:
    """Checksum of a profile's sequences; empty where there are none."""
    return _checksum_of(p.data_folder / "meta.json")


def check_data(p: Profile) -> None:
    """Raises `RbcError` where a profile's sequences are missing or unreadable."""
    from rbc import sequences

    sequences.load(p.data_folder)


#: Code that says what pages tell of the data: what to know about them, one plain number a cell.
DESCRIBING = ("compendium.data.checks", "compendium.evidence.simple")


def describe_data(p: Profile, say: Callable[[str], object]) -> None:
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

    if _is_described(p):
        return
    p.results_folder.mkdir(parents=True, exist_ok=True)
    with FileLock(p.results_folder / ".describing.lock"):
        if _is_described(p):  # by another process, while this one waited
            return
        say(f"describing the data of {p.name}: what its pages say of them is missing or stale")
        _describe(p, sequences.load(p.data_folder))


def _is_described(p: Profile) -> bool:
    note = _described(p)
    whole = all((p.results_folder / name).exists() for name in (note.name, *runs.OF_THE_DATA))
    return whole and note.read_text(encoding="utf-8") == _description_key(p)


def _describe(p: Profile, found: Sequences) -> None:
    note = _described(p)
    note.unlink(missing_ok=True)  # an interrupted description counts as none
    runs.describe(found, p.results_folder)
    note.write_text(_description_key(p), encoding="utf-8")


def _described(p: Profile) -> Path:
    """Where it is kept what the description of a profile's data was made from."""
    return p.results_folder / "described.key"


def _description_key(p: Profile) -> str:
    return record.key_of(data_checksum(p), record.code_key(DESCRIBING))


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


# --- runs ---


def run(
    c: Configuration, p: Profile, environment: dict[str, str] | None = None, anew: bool = False
) -> Path:
    """Execute the train notebook for one configuration into its run folder.

    The folder changes whole or not at all. What an interrupted run had reached lies in a hidden
    folder beside it and is gone on from.

    Parameters
    ----------
    c, p : which run, of which profile
    environment : variables for its kernel, such as CUDA_VISIBLE_DEVICES
    anew : train also where the numbers are fresh and only the page is stale

    Returns
    -------
    The folder
    """
    from rbc.files import whole_folder

    folder = p.results_folder / c.path
    checkpoints = folder.with_name(f".{folder.name}.checkpoints")
    with whole_folder(folder, runs.RUN_FILES) as part:
        if not anew and runs.holds(folder, keys.run_key(c, p, data_checksum(p))):
            shutil.copytree(
                folder, part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("notebook.ipynb")
            )
        places = {
            "profile": p.path,
            "data": p.data_folder,
            "folder": part,
            "checkpoints": checkpoints,
        }
        parameters = {name: notebooks.inside(place) for name, place in places.items()} | asdict(c)
        notebooks.execute(TRAIN, part / "notebook.ipynb", parameters, _run_words(c, p), environment)
        if missing := [f for f in runs.FILES if not (part / f).exists()]:
            raise RbcError(f"{folder}: the train notebook did not write {', '.join(missing)}")
    # Kept until here, so that a run killed on its last step need not train again.
    shutil.rmtree(checkpoints, ignore_errors=True)
    return folder


TRAIN = notebooks.FOLDER / "train.ipynb"


def is_fresh(c: Configuration, p: Profile) -> bool:
    """Whether a run's numbers are complete and made from what the profile, the data and the code
    are now.

    Parameters
    ----------
    c : the run
    p : the profile
    """
    folder = p.results_folder / c.path
    return runs.complete(folder) and runs.holds(folder, keys.run_key(c, p, data_checksum(p)))


def _has_fresh_page(c: Configuration, p: Profile) -> bool:
    folder = p.results_folder / c.path
    places = {"profile": p.path, "data": p.data_folder}
    parameters = {name: notebooks.inside(place) for name, place in places.items()} | asdict(c)
    return notebooks.is_fresh(folder / "notebook.ipynb", TRAIN, parameters, _run_words(c, p))


def _run_words(c: Configuration, p: Profile) -> dict[str, str]:
    return notebooks.words_of(p.results_folder, notebooks.title(c))


def states(p: Profile) -> list[attempts.Standing]:
    """Where each run of a profile stands; one that is done but made from something else than now is
    stale.

    Where the sequences themselves are to be made anew, every run counts as stale until they are.
    """
    found = attempts.status(p)
    data_stand = _data_stand(p)
    # Without its data no run stands, however whole its files are.
    done = [c for c, s in zip(p.configurations(), found) if s.state == "done"]
    fresh = {c.path: data_stand and is_fresh(c, p) for c in done}
    return [s.as_stale() if not fresh.get(s.run, True) else s for s in found]


def _train(c: Configuration, p: Profile, anew: bool = False) -> Callable[[dict[str, str]], object]:
    def work(environment: dict[str, str]) -> None:
        for last in (False, True):  # a run that fails is tried once more
            try:
                with attempts.attempt(p.results_folder / c.path):
                    _run_or_be_interrupted(c, p, environment, anew)
                return
            except RbcError:
                if last:
                    raise

    return work


def _run_or_be_interrupted(
    c: Configuration, p: Profile, environment: dict[str, str], anew: bool
) -> None:
    try:
        run(c, p, environment, anew)
    except RbcError as error:
        if notebooks.stopping.is_set():  # its kernel was killed with the build: it did not fail
            raise attempts.Interrupted from error
        raise


def run_jobs(p: Profile, pages: bool) -> list[Job]:
    """What is to be done for a profile's runs, the slowest first; with `pages`, also for their
    pages.

    Parameters
    ----------
    p : the profile
    pages : whether the page of each run is wanted too
    """
    stale = [
        c
        for c in p.configurations()
        if not (is_fresh(c, p) and (not pages or _has_fresh_page(c, p)))
    ]
    stale.sort(key=lambda c: (SLOWEST[c.model], c.k, c.stage), reverse=True)
    wants = p.training.device != "cpu"
    return [Job(c.path, _train(c, p), wants) for c in stale]


# --- pages ---


@dataclass(frozen=True)
class Page:
    """A page made from a notebook.

    Attributes
    ----------
    name : below book/pages, without its suffix
    notebook : the notebook of notebooks/ that makes it
    parameters, words : as `compendium.notebooks.execute` takes them
    own : whether it reads the results of the profile whose book is built, so that its runs come
        first
    leaves : files that it links to and leaves outside of book/pages; where one is gone, the page
        is stale
    """

    name: str
    notebook: str
    parameters: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    own: bool = False
    leaves: tuple[Path, ...] = ()

    @property
    def out(self) -> Path:
        return PAGES / f"{self.name}.ipynb"

    @property
    def source(self) -> Path:
        return notebooks.FOLDER / f"{self.notebook}.ipynb"

    def is_fresh(self) -> bool:
        whole = all(file.exists() for file in self.leaves)
        return whole and notebooks.is_fresh(self.out, self.source, self.parameters, self.words)

    def job(self) -> Job:
        def work(environment: dict[str, str]) -> None:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            notebooks.execute(self.source, self.out, self.parameters, self.words, environment)

        return Job(f"page {self.name}", work)


def parts(p: Profile) -> dict[str, Path]:
    """Parts of a profile's book and the results they show; committed ones stand beside its own."""
    return {name: runs.REFERENCE / name for name in KEPT} | {p.name: p.results_folder}


def pages(p: Profile) -> list[Page]:
    """Every page of a profile's book that a notebook makes; the profile's data must have been
    prepared.
    """
    from compendium import profiles

    found = []
    simulated = runs.kind_words({"simulated": True})
    for name in OWN:
        given, leaves = {}, ()
        if name == "beside":  # the only one that shows the profile's runs
            given = {"profile": p.path, "results": p.results_folder}
        elif name == "example-report":  # the site takes what lies there as it is
            given = {"folder": FILES / name}
            leaves = tuple(FILES / name / f"{movie}-cells.html" for movie in ("many", "few"))
        given = {key: notebooks.inside(place) for key, place in given.items()}
        found.append(Page(name, name, given, simulated, name == "beside", leaves))
    for part, results in parts(p).items():
        profile = p if part == p.name else profiles.load(part)
        for name in ONE_PAGE.get(part, REPORTS):
            out = PAGES / part / f"{name}.ipynb"
            places = notebooks.report_places(name, profile, results, out)
            words = notebooks.words_of(results, profile.title)
            found.append(Page(f"{part}/{name}", name, places, words, part == p.name))
    return found


def publish_runs(part: str, results: Path) -> None:
    """Lay the pages of a part's runs, their predictions and configurations, and the films of its
    test sequences where the book takes them.

    Nothing is done where they were made from the same runs, data and code.

    Parameters
    ----------
    part : folder of the book's pages
    results : folder of its runs
    """
    from compendium import profiles

    folders = [PAGES / part / "runs", FILES / "predictions" / part, FILES / "films" / part]
    found = runs.folders(results)
    files = [
        f / name
        for f in found
        for name in ("notebook.ipynb", "predictions.parquet", "config.json")
        if (f / name).exists()
    ]
    data = (
        profiles.load(part).data_folder
        if part in KEPT
        else ROOT / "data" / "derived" / results.name
    )
    makers = ("compendium.evidence.browse", "compendium.evidence.scoreboard", notebooks.__name__)
    code = record.code_key(makers)
    key = record.key_of(
        [[str(f), file_hash(f)] for f in files], _checksum_of(data / "meta.json"), code
    )
    note = ROOT / notebooks.LOGS / f"{part}.published"
    if (
        note.exists()
        and note.read_text(encoding="utf-8") == key
        and all(f.is_dir() for f in folders)
    ):
        return
    # here, as a book that is fresh needs neither
    from compendium.evidence import browse, scoreboard

    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for run_folder in found:
        stage, name = run_folder.parts[-2:]
        page = run_folder / "notebook.ipynb"
        if page.exists():
            notebooks.copy_of_run(page, folders[0] / f"{stage}-{name}.ipynb", part)
        scoreboard.publish(results, f"{stage}/{name}", folders[1])
    browse.publish(results, data, folders[2])
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(key, encoding="utf-8")


def _checksum_of(meta: Path) -> str:
    """Of the sequences that a JSON file describes; empty where there is no such file."""
    return json.loads(meta.read_text(encoding="utf-8"))["sha256"] if meta.exists() else ""


# --- the whole ---


def one(c: Configuration, p: Profile) -> Path:
    """Make one run anew, whether it is fresh or not; its folder.

    The data must have been prepared.

    Parameters
    ----------
    c : the run
    p : the profile
    """
    with ended_by_signals(), Bar() as shown:
        _do([Job(c.path, _train(c, p, anew=True), p.training.device != "cpu")], [], p, 1, shown)
    return p.results_folder / c.path


def grid(p: Profile, data: Path | None, jobs: int, simulated: bool = False) -> None:
    """Make a profile's data and every run of it that is not fresh.

    Parameters
    ----------
    p, data : the profile and the folder of its raw data
    jobs : runs at the same time; 0: one a core
    simulated : the raw data are simulated too, not real
    """
    with _alone(), ended_by_signals(), Bar() as shown:
        _prepare_if_stale(p, data, shown, simulated)
        _do(run_jobs(p, pages=False), [], p, jobs, shown)


def grid_on_cluster(p: Profile, data: Path | None, jobs: int, workflow_profile: Path) -> None:
    """Make a profile's data here and its stale runs on a cluster, by Snakemake and the options of a
    folder.

    Parameters
    ----------
    p, data : the profile and the folder of its raw data
    jobs : runs at the same time; 0: as many as the folder's config.yaml says
    workflow_profile : a Snakemake profile; workflow/slurm is one
    """
    if not (workflow_profile / "config.yaml").exists():
        raise RbcError(
            f"{workflow_profile}: no Snakemake profile there (config.yaml is missing);"
            " workflow/slurm is one"
        )
    logs = ROOT / notebooks.LOGS / p.name
    with _alone(), ended_by_signals(), Bar() as shown:
        _prepare_if_stale(p, data, shown)
        logs.mkdir(parents=True, exist_ok=True)
        for c in p.configurations():
            mark = logs / f"{c.path.replace('/', '-')}.done"
            mark.touch() if is_fresh(c, p) else mark.unlink(missing_ok=True)
        told = logs / "grid.json"  # a file: on a command line, Snakemake would read a path as YAML
        told.write_text(json.dumps({"profile": p.path}), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "runs",
            "--snakefile",
            str(ROOT / "workflow" / "Snakefile"),
        ]
        command += ["--directory", str(ROOT), "--keep-going", "--nolock", "--rerun-incomplete"]
        command += [
            "--rerun-triggers",
            "mtime",
            "--workflow-profile",
            str(workflow_profile.resolve()),
        ]
        command += ["--configfile", str(told), *(["--jobs", str(jobs)] if jobs else [])]
        code = _watched(command)
    missing = [s for s in states(p) if s.state != "done"]
    for standing in missing:
        shown.say(str(standing))
    if code or missing:
        raise RbcError(
            f"profile {p.name}: {len(missing)} runs were not made (see above);"
            " the same command goes on where it stopped"
        )


def book(p: Profile, data: Path | None, jobs: int, simulated: bool = False) -> None:
    """Make all that a profile's book shows and is not fresh, then the book, into _build/html.

    Parameters
    ----------
    p, data, jobs, simulated : as of `grid`
    """
    with _alone(), ended_by_signals(), Bar() as shown:
        _prepare_if_stale(p, data, shown, simulated)
        first = run_jobs(p, pages=True)
        every = pages(p)
        # A page of the profile's results is looked at again once its runs are there.
        apart = [page.job() for page in every if not page.own and not page.is_fresh()]
        own = [page for page in every if page.own and (first or not page.is_fresh())]
        _do([*first, *apart], own, p, jobs, shown)
        for part, results in parts(p).items():
            if part not in ONE_PAGE:
                publish_runs(part, results)
        _build_site(p)


def _prepare_if_stale(p: Profile, data: Path | None, bar: Bar, simulated: bool = False) -> None:
    """Before all else, so that bad data ends in one line: nothing is said before they are known to
    be good.

    Raises `RbcError` also where a profile needs a GPU and there is none: no data are made in vain.
    """
    if p.training.device == "cuda":
        _gpus(p)
    if p.data.source == "zenodo":
        _record(p, data, bar, simulated)
    elif not is_prepared(p, data):
        found = prepare(p, data, progress=sys.stderr.isatty())
        bar.say(f"data of {p.name}: {found} sequences")
    describe_data(p, bar.say)
    check_splits(p)


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


def _record(p: Profile, data: Path | None, bar: Bar, simulated: bool) -> None:
    """Fetch the record, unless its folder is given, and read it into sequences."""
    folder = data or record_folder()
    out = PAGES / p.name
    out.mkdir(parents=True, exist_ok=True)
    if data is None and not ((out / "download.ipynb").exists() and _is_whole_record(folder)):
        _fetch(p, folder, out / "download.ipynb", bar)
    if is_prepared(p, folder) and (out / "ingest.ipynb").exists():
        return
    simulated = simulated or bool(_made(p).get("simulated"))
    words = {"title": p.title, **runs.kind_words({"simulated": simulated, "source": "the record"})}
    places = {"profile": p.path, "folder": folder.resolve()}
    parameters = {name: notebooks.inside(place) for name, place in places.items()}
    parameters |= {"simulated": simulated}
    bar.say("reading the record: its layout, its labels, its sequences")
    notebooks.execute(INGEST, out / "ingest.ipynb", parameters, words)
    bar.say(f"data of {p.name}: {sum(sum(row.values()) for row in counts(p).values())} sequences")


def _is_whole_record(folder: Path) -> bool:
    """Whether a fetch has ended there and nothing has gone since; contents were verified then."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        sizes = {folder / file["name"]: file["size"] for file in meta["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(path.is_file() and path.stat().st_size == size for path, size in sizes.items())


def _fetch(p: Profile, folder: Path, page: Path, bar: Bar) -> None:
    """Run the download notebook, saying before how much it needs and meanwhile how far it is."""
    from compendium.data import download

    base = os.environ.get(OTHER_SERVER, download.ZENODO)
    files = download.listed(base)
    size = sum(file.size for file in files)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    bar.say(
        f"record {download.ZENODO_RECORD}: {len(files)} files, {size / 1e9:.2f} GB to fetch into"
        f" {folder}; {free / 1e9:.0f} GB are free, and about as much again is needed to unpack"
    )
    parameters = {"folder": notebooks.inside(folder), "base": base}
    words = {"title": p.title, "banner": NO_CELLS, "kind": ""}
    with _telling(folder, size, bar):
        notebooks.execute(DOWNLOAD, page, parameters, words)
    bar.say(f"record {download.ZENODO_RECORD}: fetched and verified")


@contextmanager
def _telling(folder: Path, size: int, bar: Bar, every: float = 20.0) -> Iterator[None]:
    """Say every some seconds how much of a fetch is there, and how long the rest will take."""
    ended, began = threading.Event(), time.monotonic()
    first = _bytes_in(folder)

    def tell() -> None:
        while not ended.wait(every):
            there = _bytes_in(folder)
            speed = (there - first) / (time.monotonic() - began)
            left = f", {(size - there) / speed / 60:.0f} min left" if speed > 0 else ""
            bar.say(f"fetched {there / 1e9:.2f} of {size / 1e9:.2f} GB{left}")

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


def _build_site(p: Profile) -> None:
    """Build the HTML pages, unless they are there and were made from the same sources."""
    key = _site_key(p)
    note, index = ROOT / "_build" / "site.key", ROOT / "_build" / "html" / "index.html"
    if index.exists() and note.exists() and note.read_text(encoding="utf-8") == key:
        return
    note.unlink(missing_ok=True)
    if code := _watched([sys.executable, str(ROOT / "book" / "build.py"), p.name]):
        raise RbcError(f"the book was not built (exit code {code}): see the warnings above")
    note.write_text(key, encoding="utf-8")


def _site_key(p: Profile) -> str:
    """Of everything that the builder of the site reads."""
    sources = [ROOT / "_config.yml", ROOT / "_toc.yml", ROOT / "notebooks" / "paper.ipynb"]
    sources += [path for path in (ROOT / "book").rglob("*") if path.is_file()]
    kept = [path for path in sorted(sources) if "__pycache__" not in path.parts]
    # The page of status is made by the builder itself.
    files = {
        str(path.relative_to(ROOT)): file_hash(path) for path in kept if path != PAGES / "status.md"
    }
    return record.key_of(p.name, files)


def _watched(command: list[str]) -> int:
    """Exit code of a program that is ended with this one."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def _do(first: list[Job], own: list[Page], p: Profile, jobs: int, bar: Bar) -> None:
    """Do jobs several at a time, then those of `own` that are stale; raises `RbcError` where one
    failed.
    """
    if not first and not own:
        return
    from compendium import kernel

    notebooks.stopping.clear()
    kernel.warm()
    workers = jobs or os.cpu_count() or 1
    gpus = _gpus(p)
    bar.expect(len(first) + len(own))
    with ThreadPoolExecutor(workers) as pool:
        try:
            failed = _finish(pool, first, gpus, bar)
            if own and not failed:
                stale = [page.job() for page in own if not page.is_fresh()]
                bar.skip(len(own) - len(stale))
                failed = _finish(pool, stale, gpus, bar)
        except BaseException:
            notebooks.stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            kernel.stop_all()
            raise
    if failed:
        raise RbcError(
            f"profile {p.name}: {len(failed)} of {len(first) + len(own)} not made"
            f" ({', '.join(failed)}; see above);"
            " the same command goes on where it stopped"
        )


def _finish(
    pool: ThreadPoolExecutor, jobs: list[Job], gpus: queue.Queue | None, bar: Bar
) -> list[str]:
    """Do jobs; the names of those that failed. One that fails does not stop the others."""
    waiting: dict[Future, Job] = {pool.submit(_one, job, gpus, bar): job for job in jobs}
    failed = []
    while waiting:
        done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            job = waiting.pop(future)
            error = future.exception()
            if error is not None and not isinstance(error, RbcError):
                raise error
            if error is not None:
                failed.append(job.name)
            bar.done(job.name, error)
        bar.refresh()
    return failed


def _one(job: Job, gpus: queue.Queue | None, bar: Bar) -> None:
    if notebooks.stopping.is_set():
        raise attempts.Interrupted
    gpu = gpus.get() if job.needs_gpu and gpus else None
    try:
        bar.begin(job.name)
        job.work({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
    finally:
        if gpu is not None:
            gpus.put(gpu)


def _gpus(p: Profile) -> queue.Queue | None:
    """The GPUs of this machine that runs may take, each by one run at a time; None where there are
    none.
    """
    names = [] if p.training.device == "cpu" else attempts.gpus()
    if p.training.device == "cuda" and not names:
        raise RbcError(
            f"profile {p.name} has device: cuda, but there is no GPU here; set device: auto or cpu"
        )
    free: queue.Queue = queue.Queue()
    for name in names:
        free.put(name)
    return free if names else None


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock of the checkout's results.

    Raises `RbcError` where another grid or book holds it.
    """
    from filelock import FileLock, Timeout

    (ROOT / "results").mkdir(exist_ok=True)
    try:
        with FileLock(ROOT / "results" / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise RbcError(f"another grid or book is being made in {ROOT}; wait for it") from error


class Bar:
    """What a build shows on standard error: how many jobs are done, which run, how long it has
    taken and will take.

    In a terminal one line that changes; elsewhere a line for each job that ends.
    """

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.started = time.monotonic()
        self.all = self.ended = 0
        self.running: list[str] = []
        self.bar = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def say(self, what: str) -> None:
        """A line about a step without parts."""
        self._write(what)

    def expect(self, jobs: int) -> None:
        """So many jobs are to be done."""
        from tqdm import tqdm

        self.all = jobs
        if self.live:
            form = "{n_fmt} of {total_fmt} |{bar:20}| {elapsed}, {remaining} to go{postfix}"
            self.bar = tqdm(total=jobs, bar_format=form, dynamic_ncols=True)

    def begin(self, name: str) -> None:
        self.running.append(name)

    def skip(self, jobs: int) -> None:
        """So many of the expected jobs turned out to be fresh."""
        self.ended += jobs
        if self.bar is not None:
            self.bar.update(jobs)

    def done(self, name: str, error: BaseException | None) -> None:
        """A job ended, well or with an error."""
        self.ended += 1
        if name in self.running:
            self.running.remove(name)
        if self.bar is not None:
            self.bar.update()
        if error is not None:
            self._write(f"{name} failed: {error}")
        elif not self.live:
            self._write(
                f"{self.ended} of {self.all}, {time.monotonic() - self.started:.0f} s: {name}"
            )

    def refresh(self) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(", ".join(self.running[:4]))

    def _write(self, line: str) -> None:
        if self.bar is not None:
            self.bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)
