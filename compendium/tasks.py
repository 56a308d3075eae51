"""THE LIST: everything that a profile's book is made of, in the order in which it is made.

    record -> sequences -> description -> runs -> verdicts -> pages -> files of the runs -> site

Each line of the list says what a task needs, why it is stale and how it is made. Content decides
what is stale (`rbc.record`), never the time of a file. `compendium.engine` makes what is stale;
``rbc book --list`` prints the list.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from compendium import attempts, engine, keys, notebooks, profiles, runs, site
from compendium.data import prepare
from compendium.data.prepare import PAGES, Say
from compendium.engine import Task
from compendium.evidence import kept
from compendium.profiles import Profile
from rbc import RbcError
from rbc.paper import Configuration
from rbc.signals import ended_by_signals

#: Pages of a part of the book: one profile's results, on simulated or on real cells.
REPORTS = (
    "dataset", "claims", "sampling", "selection", "test", "errors", "browse", "marker", "packet",
)  # fmt: skip
#: Pages of no part.
OWN = (
    "index", "tracking", "ladder", "audit", "beside", "coverage", "learn-motion", "learn-optics",
    "learn-sampling", "learn-networks", "learn-training", "learn-imbalance", "learn-prevalence",
    "example-report",
)  # fmt: skip
#: parts without pages of runs, and the reports of each
ONE_PAGE = {"register": ("register",), "ours": ("ours", "ours-experiments")}
KEPT = ("released", *ONE_PAGE)  #: committed results that every book shows
TRAIN = notebooks.FOLDER / "train.ipynb"
#: the recurrent network takes longer: begun first, it ends with the others
SLOWEST = {"crnn": 2, "cnn": 1}


# --- the list ---


def of_book(p: Profile, data: Path | None, say: Say, simulated: bool = False) -> list[Task]:
    """Everything that a profile's book is made of.

    Parameters
    ----------
    p : the profile
    data : folder of its raw data, for profiles that do not simulate theirs
    say : takes a line about a step
    simulated : the raw data are simulated too, not real
    """
    rest = [*of_runs(p, pages=True), *of_verdicts(p), *of_pages(p), *of_files(p)]
    everything = tuple(task.name for task in rest)
    built = Task(
        "site", lambda: site.why_not_built(p), lambda _: site.build(p), everything, here=True
    )
    return [*of_data(p, data, say, simulated), *rest, built]


def of_data(p: Profile, data: Path | None, say: Say, simulated: bool = False) -> list[Task]:
    """A profile's sequences, and what its pages say of them; parameters as of `of_book`."""
    described = Task(
        "description",
        lambda: prepare.why_not_described(p),
        lambda _: prepare.describe(p, say),
        ("sequences",),
        here=True,
    )
    if p.data.source != "zenodo":

        def prepared(_: dict[str, str]) -> None:
            found = prepare.prepare(p, data, simulated, progress=sys.stderr.isatty())
            say(f"data of {p.name}: {found} sequences")

        made = Task("sequences", lambda: prepare.why(p, data), prepared, here=True)
        return [made, described]
    fetched = Task(
        "record",
        lambda: prepare.why_not_fetched(p, data),
        lambda _: prepare.fetch(p, say),
        here=True,
    )
    made = Task(
        "sequences",
        lambda: prepare.why_not_read(p, data),
        lambda _: prepare.read_record(p, data, say, simulated),
        ("record",),
        here=True,
    )
    return [fetched, made, described]


def of_runs(p: Profile, pages: bool, force: bool = False) -> list[Task]:
    """Every run of a profile.

    Parameters
    ----------
    p : the profile
    pages : whether the page of each run must be fresh too, not only its numbers
    force : train anew what is fresh
    """
    return [run_task(c, p, pages, force) for c in p.configurations()]


def run_task(c: Configuration, p: Profile, pages: bool, force: bool = False) -> Task:
    """One run, by the train notebook; parameters as of `of_runs`."""

    def why() -> str:
        if force:
            return "asked for"
        return why_not_run(c, p) or (_why_not_paged(c, p) if pages else "")

    return Task(
        c.path,
        why,
        lambda environment: _train(c, p, environment, force),
        ("description",),
        weight=(SLOWEST[c.model], c.k, c.stage),
        gpu=p.training.device != "cpu",
    )


#: The landing page shows the verdicts on these committed runs, whatever the profile.
LANDING = "verdicts of the kept runs"


def of_verdicts(p: Profile) -> Iterator[Task]:
    """The verdicts on the claims: on the profile's runs, and on the committed ones."""
    of_profile = ("description", *(c.path for c in p.configurations()))
    yield _verdicts(LANDING, profiles.load("released"), runs.REFERENCE / "released", ())
    yield _verdicts(f"verdicts of {p.name}", p, p.results_folder, of_profile)


def _verdicts(name: str, p: Profile, results: Path, needs: tuple[str, ...]) -> Task:
    def evaluate(_: dict[str, str]) -> None:
        from compendium.evidence import verdicts  # its rules import SciPy

        verdicts.make(p, results)

    return Task(name, lambda: kept.why(p, results), evaluate, needs)


def of_pages(p: Profile) -> Iterator[Task]:
    """Every page of a profile's book that a notebook makes."""
    of_profile = tuple(c.path for c in p.configurations())
    for name in OWN:
        given, leaves = {}, ()
        if name == "beside":  # the only one that shows the profile's runs
            given = {"profile": p.path, "results": p.results_folder}
        elif name == "example-report":  # the site takes what lies there as it is
            folder = site.FILES / name
            given = {"folder": folder}
            leaves = tuple(folder / f"{movie}-cells.html" for movie in ("many", "few"))
        places = {key: notebooks.inside(place) for key, place in given.items()}
        needs = of_profile if name == "beside" else ()
        if name == "index":
            needs = (LANDING,)
        yield _page(name, name, places, None, needs, leaves)
    for part, results in parts(p).items():
        profile = p if part == p.name else profiles.load(part)
        needs = ("description", *of_profile) if part == p.name else ()
        for name in ONE_PAGE.get(part, REPORTS):
            out = PAGES / part / f"{name}.ipynb"
            places = notebooks.report_places(name, profile, results, out)
            evaluated = f"verdicts of {part}" if part == p.name else LANDING
            first = (*needs, evaluated) if name == "claims" else needs
            yield _page(f"{part}/{name}", name, places, (results, profile.title), first)


def of_files(p: Profile) -> Iterator[Task]:
    """What the book takes beside its pages: the pages, predictions and films of each part's runs.

    They are copies, so they are made one after the other.
    """
    for part, results in parts(p).items():
        if part not in ONE_PAGE:
            needs = tuple(c.path for c in p.configurations()) if part == p.name else ()
            yield Task(
                f"files of {part}",
                lambda part=part, results=results: site.why_not_published(part, results),
                lambda _, part=part, results=results: site.publish(part, results),
                needs,
                here=True,
            )


def parts(p: Profile) -> dict[str, Path]:
    """Parts of a profile's book and the results they show; committed ones stand beside its own."""
    return {name: runs.REFERENCE / name for name in KEPT} | {p.name: p.results_folder}


# --- how a page is made ---


def _page(
    name: str,
    notebook: str,
    parameters: dict[str, str],
    of: tuple[Path, str] | None,
    needs: tuple[str, ...],
    leaves: tuple[Path, ...] = (),
) -> Task:
    """The page book/pages/NAME, from a notebook.

    Parameters
    ----------
    name : below book/pages, without its suffix
    notebook : of notebooks/
    parameters : as `compendium.notebooks.execute` takes them
    of : the results that it shows and the title of their profile; None: of no profile
    needs : tasks that come first
    leaves : files that it links to and leaves outside of book/pages; where one is gone, the page is
        stale
    """
    out, source = PAGES / f"{name}.ipynb", notebooks.FOLDER / f"{notebook}.ipynb"

    def words() -> dict[str, str]:
        return notebooks.words_of(*of) if of else runs.kind_words({"simulated": True})

    def why() -> str:
        if gone := [file for file in leaves if not file.exists()]:
            return f"{gone[0].name} is not there"
        return notebooks.why(out, source, parameters, words())

    def make(environment: dict[str, str]) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        notebooks.execute(source, out, parameters, words(), environment)

    return Task(f"page {name}", why, make, needs)


# --- how a run is made ---


def why_not_run(c: Configuration, p: Profile) -> str:
    """In words why a run's numbers must be made anew; empty where they are complete and made from
    what the profile, the data and the code are now.
    """
    return runs.why(p.results_folder / c.path, keys.run_inputs(c, p, prepare.checksum(p)))


def _why_not_paged(c: Configuration, p: Profile) -> str:
    page = p.results_folder / c.path / runs.NOTEBOOK
    places = {"profile": p.path, "data": p.data_folder}
    return notebooks.why(page, TRAIN, _parameters(c, places), _run_words(c, p))


def _parameters(c: Configuration, places: dict[str, Path | str]) -> dict:
    return {name: notebooks.inside(place) for name, place in places.items()} | asdict(c)


def _run_words(c: Configuration, p: Profile) -> dict[str, str]:
    return notebooks.words_of(p.results_folder, notebooks.title(c))


def _train(c: Configuration, p: Profile, environment: dict[str, str], anew: bool) -> None:
    with attempts.attempt(p.results_folder / c.path):
        try:
            execute(c, p, environment, anew)
        except RbcError as error:
            if engine.stopping.is_set():  # its kernel was killed with the build: it did not fail
                raise engine.Interrupted from error
            raise


def execute(
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
        if not anew and runs.holds(folder, keys.run_key(c, p, prepare.checksum(p))):
            page = shutil.ignore_patterns(runs.NOTEBOOK)
            shutil.copytree(folder, part, dirs_exist_ok=True, ignore=page)
        places = {
            "profile": p.path,
            "data": p.data_folder,
            "folder": part,
            "checkpoints": checkpoints,
        }
        out = part / runs.NOTEBOOK
        notebooks.execute(TRAIN, out, _parameters(c, places), _run_words(c, p), environment)
        if missing := [f for f in runs.FILES if not (part / f).exists()]:
            raise RbcError(f"{folder}: the train notebook did not write {', '.join(missing)}")
    # Kept until here, so that a run killed on its last step need not train again.
    shutil.rmtree(checkpoints, ignore_errors=True)
    return folder


def states(p: Profile) -> list[attempts.Standing]:
    """Where each run of a profile stands; one that is done but made from something else than now is
    stale.

    Where the sequences themselves are to be made anew, every run counts as stale until they are.
    """
    without_data = prepare.why(p, None, without_raw=True)
    found = []
    for c, standing in zip(p.configurations(), attempts.status(p), strict=True):
        stale = standing.state == "done" and bool(without_data or why_not_run(c, p))
        found.append(standing.as_stale() if stale else standing)
    return found


# --- what is asked for ---


def one(c: Configuration, p: Profile, force: bool) -> Path:
    """Make one run where it is stale; its folder. The data must have been prepared.

    Parameters
    ----------
    c, p : which run, of which profile
    force : train it anew where it is fresh
    """
    with ended_by_signals(), engine.Bar() as bar:
        task = run_task(c, p, pages=True, force=force)
        engine.make([task], 1, partial(_gpus, p), bar, f"profile {p.name}")
    return p.results_folder / c.path


def grid(p: Profile, data: Path | None, jobs: int, simulated: bool = False) -> None:
    """Make a profile's data and every run of it that is not fresh.

    Parameters
    ----------
    p, data, simulated : as of `of_book`
    jobs : runs at the same time; 0: one a core
    """
    with engine.working() as bar:
        _with_data(p, data, bar, simulated)
        engine.make(of_runs(p, pages=False), jobs, partial(_gpus, p), bar, f"profile {p.name}")


def book(p: Profile, data: Path | None, jobs: int, simulated: bool = False) -> None:
    """Make all that a profile's book shows and is not fresh, then the book, into _build/html.

    Parameters
    ----------
    p, data, jobs, simulated : as of `grid`
    """
    with engine.working() as bar:
        _with_data(p, data, bar, simulated)
        rest = [task for task in of_book(p, data, bar.say) if task.name not in DATA]
        engine.make(rest, jobs, partial(_gpus, p), bar, f"profile {p.name}")


DATA = ("record", "sequences", "description")  #: tasks that come before all others


def _with_data(p: Profile, data: Path | None, bar: engine.Bar, simulated: bool = False) -> None:
    """Make a profile's data where they are stale, so that bad data ends in one line before anything
    else is begun.

    Raises `RbcError` also where a profile needs a GPU and there is none: no data are made in vain.
    """
    if p.training.device == "cuda":
        _gpus(p)
    engine.in_order(of_data(p, data, bar.say, simulated), bar)
    prepare.check_splits(p)


def _gpus(p: Profile) -> list[str]:
    return engine.gpus(p.training.device, p.name)


def listed(p: Profile, data: Path | None) -> list[dict[str, str | bool]]:
    """Each task of a profile's book: name, stale, why."""
    found = of_book(p, data, lambda line: None)
    stale = engine.plan(found)
    return [
        {"task": task.name, "stale": task.name in stale, "why": stale.get(task.name, "")}
        for task in found
    ]


# --- on a cluster ---


def grid_on_cluster(p: Profile, data: Path | None, jobs: int, workflow_profile: Path) -> None:
    """Make a profile's data here and its stale runs on a cluster, by Snakemake and the options of a
    folder.

    Parameters
    ----------
    p, data : the profile and the folder of its raw data
    jobs : runs at the same time; 0: as many as the folder's config.yaml says
    workflow_profile : a Snakemake profile; workflow/slurm is one
    """
    from compendium import cluster

    cluster.check(workflow_profile)
    with engine.working() as bar:
        _with_data(p, data, bar)
        stale = [task.name for task in of_runs(p, pages=False) if task.why()]
        code = cluster.run(p, stale, jobs, workflow_profile, bar.say) if stale else 0
    missing = [s for s in states(p) if s.state != "done"]
    for standing in missing:
        bar.say(str(standing))
    if code or missing:
        raise RbcError(
            f"profile {p.name}: {len(missing)} runs were not made (see above);"
            " the same command goes on where it stopped"
        )
