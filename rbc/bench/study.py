"""Many movies: each is judged, those of a blood draw are put together, and a patient's draws are
followed over time.

Research software, not a medical device.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from rbc import RbcError, __version__, files, labelling, prevalence, record
from rbc.bench import analyze
from rbc.bench.corrections import Corrections, read_corrections
from rbc.bench.draws import LOOKS, OWN, by_draw, pooled, spread, unlike_their_draw
from rbc.bench.movielist import UNITS
from rbc.paper import RELIABLE
from rbc.reading.fingerprint import REPEATED, fingerprint, repeated
from rbc.reading.video import open_movie
from rbc.templates import filled

TEMPLATE = Path(__file__).with_name("study.html")
STATE = "study.json"  #: what was judged, and from what; a study's folder always holds it
#: What else may lie in the folder of a study that was killed at its beginning.
BEGUN = {"reports", "fingerprints", ".study.lock"}
#: Modules that a movie's answers come from, with all that they import; and the packages that
#: decode, track and predict.
MAKERS = ("rbc.bench.analyze", "rbc.reading.fingerprint")
PACKAGES = ("numpy", "scipy", "scikit-image", "torch", "numba", "av", "tifffile", "imagecodecs")
JUDGED, REFUSED, FAILED = "judged", "refused", "failed"
#: columns of the table of movies
OF_MOVIE = (
    "name", "patient", "date", "draw", "status", "why", *prevalence.ANSWERS, *OWN, "looked at",
    "estimate", "low", "high", "simulated", "unlike",
)  # fmt: skip


@dataclass(frozen=True)
class Study:
    """What a study found.

    movies : columns `OF_MOVIE`, a row a movie. status: judged, refused (something speaks against
        judging it) or failed (it cannot be read or tracked); unlike: the other movies of its draw
    draws, changes : of `rbc.bench.draws.by_draw`
    notes : what to know of all of it
    """

    movies: pd.DataFrame
    draws: pd.DataFrame
    changes: pd.DataFrame
    notes: list[str]


def judge(
    listed: pd.DataFrame,
    out: Path,
    *,
    models: Path = analyze.MODELS,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
    **units: float | None,
) -> Study:
    """Judge every movie of a list, and put the answers together.

    A movie that was judged before, from the same bytes by the same models and the same code with
    the same units, is not judged again. One that cannot be judged does not stop the others: its
    reason stands in its row.

    Parameters
    ----------
    listed : of `rbc.bench.movielist.read`
    out : folder for reports/<name> (of each movie, as `rbc.bench.analyze.analyze` writes it),
        fingerprints/<name>.npy (what each movie is known again by), movies.csv, draws.csv,
        changes.csv, study.html and study.json
    models : folder of the weights and of known.json
    jobs : movies at the same time, a process each
    progress : called with the name of each movie that is done
    units : um_per_px, frame_rate and shear_rate of the movies for which the list has none

    Raises
    ------
    RbcError
        where `out` holds something else, or another process writes it
    """
    out, known = Path(out), analyze.read_known(models)
    with files.told_by_disk(out):
        check_place(out)
        (out / "reports").mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".study.lock", timeout=0), files.told_by_disk(out):
            state = _state(out)
            for name, result in _each(_tasks(listed, out, models, units), state, jobs):
                state[name] = result
                _write(out / STATE, json.dumps(state, indent=1) + "\n")
                if progress:
                    progress(name)
            samples: dict[str, labelling.Sample] = {}
            again = _repeated(listed["name"], out, state)
            rows = []
            for movie in listed.to_dict("records"):
                result = state[movie["name"]] | again.get(movie["name"], {})
                rows.append(_row(movie, out, result, known, samples))
            movies = pd.DataFrame(rows)
            study = together(movies.reindex(columns=list(OF_MOVIE)), known, samples)
            _publish(study, out)
            return study
    except Timeout as error:
        raise RbcError(f"{out}: another rbc works there now; wait for it") from error


def check_place(out: Path) -> None:
    """Raises `RbcError` where a folder holds what no study made."""
    if out.exists() and not out.is_dir():
        raise RbcError(f"{out}: a file is there; name a folder that is new")
    begun = (out / STATE).exists() or not out.is_dir()
    if not begun and {path.name for path in out.iterdir()} - BEGUN:
        raise RbcError(f"{out}: already holds other files; name a folder that is new")


def _state(out: Path) -> dict[str, dict]:
    """Of each movie that was looked at: the key of what it was judged from, status and why."""
    try:
        return json.loads((out / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RbcError(f"{out / STATE}: damaged ({error}); remove it to judge all anew") from error


def _write(path: Path, text: str) -> None:
    """Write a file whole: of a study that is killed the old one stays."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


# --- each movie ---

#: In a process of a movie: whether it was told to end, and whether a movie is at work.
_ENDING, _WORKING = threading.Event(), threading.Event()


@dataclass(frozen=True)
class _Task:
    """A movie to be judged: its name and file, the folder of its report, and how.

    code : of `code_key`, asked once for all movies
    """

    name: str
    movie: Path
    report: Path
    models: Path
    units: dict[str, float | None]
    code: str


def _tasks(listed: pd.DataFrame, out: Path, models: Path, units: dict) -> list[_Task]:
    tasks, code = [], code_key()
    for movie in listed.to_dict("records"):
        own = {unit: None if np.isnan(movie[unit]) else movie[unit] for unit in UNITS}
        given = {unit: own[unit] or units.get(unit) for unit in UNITS}
        report = out / "reports" / movie["name"]
        tasks.append(_Task(movie["name"], Path(movie["path"]), report, Path(models), given, code))
    return tasks


def _each(tasks: list[_Task], state: dict, jobs: int) -> Iterator[tuple[str, dict]]:
    """Name and result of each movie as it is done: judged now, or earlier from the same bytes."""
    # Processes of their own: no movie's crash ends the study, and memory goes back after each.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(jobs, context, _follow, (os.getpid(),), max_tasks_per_child=8)
    try:
        waiting: dict[Future, str] = {}
        for task in tasks:
            before = state.get(task.name)
            if before and _still_holds(before, task):
                yield task.name, before
                continue
            waiting[pool.submit(_judged, task, threads)] = task.name
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BrokenProcessPool as error:
        raise RbcError(
            "a movie's process was ended from outside, as where memory runs out; the same command"
            " goes on, with --jobs 1 for less memory"
        ) from error
    except BaseException:  # interrupted: what runs ends now
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _still_holds(before: dict, task: _Task) -> bool:
    """Whether a movie need not be looked at again. One that failed is: a disk may be back."""
    if before["status"] == FAILED:
        return False
    made = (task.report / "marker.json").exists() and _print_of(task.report).exists()
    if before["status"] == JUDGED and not made:
        return False
    try:
        return before["key"] == _key(task)
    except RbcError:
        return False


def _follow(parent: int) -> None:
    """In a process of a movie: leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def stop(*_: object) -> None:
        _ENDING.set()
        if _WORKING.is_set():
            raise KeyboardInterrupt  # so that what is half written is cleared away

    signal.signal(signal.SIGTERM, stop)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _judged(task: _Task, threads: int) -> dict:
    """Judge a movie into its report; the key of what it was judged from, status and why."""
    if _ENDING.is_set():
        return {"key": "", "status": FAILED, "why": "interrupted"}
    _WORKING.set()
    try:
        key = _key(task)
        options: dict[str, Any] = {"models": task.models, "threads": threads, **task.units}
        analyze.analyze(task.movie, task.report, **options)
        _write_print(task)
    except analyze.NotJudged as error:
        return {"key": key, "status": REFUSED, "why": str(error)}
    except KeyboardInterrupt:
        return {"key": "", "status": FAILED, "why": "interrupted"}
    except Exception as error:
        named = "" if isinstance(error, RbcError) else f"{task.movie}: {type(error).__name__}: "
        return {"key": "", "status": FAILED, "why": f"{named}{' '.join(str(error).split())}"}
    finally:
        _WORKING.clear()
    return {"key": key, "status": JUDGED, "why": ""}


def _key(task: _Task) -> str:
    """Of what a movie's answers depend on: its bytes, its units, the models, the code."""
    weights = sorted(task.models.glob("*.safetensors"))
    used = (task.models / "models.json", task.models / "known.json", *weights)
    models = {path.name: files.movie_hash(path) for path in used}
    units = sorted(task.units.items())
    return record.key_of(files.movie_hash(task.movie), units, models, task.code)


def code_key() -> str:
    """Of the code, its templates and tables, and the packages that a movie's answers come from."""
    return record.key_of(
        record.code_key(MAKERS), record.named_files(MAKERS), record.versions(PACKAGES)
    )


# --- one movie twice ---


def _print_of(report: Path) -> Path:
    """Where the fingerprint of a movie lies, by the folder of its report."""
    return report.parent.with_name("fingerprints") / f"{report.name}.npy"


def _write_print(task: _Task) -> None:
    """Keep what the movie is known again by (`rbc.reading.fingerprint`)."""
    place = _print_of(task.report)
    place.unlink(missing_ok=True)  # of the movie that had this name before
    with files.new_file(place) as part, part.open("wb") as file:
        np.save(file, fingerprint(open_movie(task.movie)), allow_pickle=False)


def _repeated(names: Iterable[str], out: Path, state: dict) -> dict[str, dict]:
    """Status and why of each movie that shows what another of the study shows.

    Of two such movies the longer one counts; of equally long ones the first of the list.
    """
    judged = [name for name in names if state[name]["status"] == JUDGED]
    prints = {
        name: np.load(_print_of(out / "reports" / name), allow_pickle=False) for name in judged
    }
    again: dict[str, dict] = {}
    kept: list[str] = []
    for name in sorted(judged, key=lambda name: -len(prints[name])):
        parts = {other: repeated(prints[other], prints[name]) for other in kept}
        first = max(parts, key=lambda other: parts[other], default=name)
        if first == name or parts[first] < REPEATED:
            kept.append(name)
            continue
        why = (
            f"it shows what {first} shows ({100 * parts[first]:.0f} % of the shorter one); only"
            f" {first} counts: look which patient and day are right"
        )
        again[name] = {"status": REFUSED, "why": why}
    return again


def _row(
    movie: dict, out: Path, result: dict, known: dict, samples: dict[str, labelling.Sample]
) -> dict:
    """The row of a movie in the table.

    Labels that the operator exported from its report, and put beside it, count as the report counts
    them; those of cells chosen at random are added to `samples`.
    """
    row = {column: movie[column] for column in ("name", "patient", "date", "draw")}
    row |= {"status": result["status"], "why": result["why"]}
    if result["status"] != JUDGED:
        return row
    report = out / "reports" / movie["name"]
    said = json.loads((report / "marker.json").read_text(encoding="utf-8"))
    cells = pd.read_csv(report / "cells.csv", keep_default_na=False)
    # As in its own report: what may be a cell counted already does not count.
    cells = cells[cells["continues"] == ""]
    file = report / analyze.CORRECTIONS
    given = read_corrections(file, cells, cells) if file.is_file() else Corrections({})
    labels = given.labels
    counts = cells["answer"][~cells["name"].isin(labels)].value_counts()
    mine = cells["name"].map(labels).value_counts()
    row |= {answer: int(counts.get(answer, 0)) for answer in prevalence.ANSWERS}
    row |= {name: int(mine.get(motion, 0)) for name, motion in zip(OWN, RELIABLE, strict=True)}
    row |= {"looked at": len(labels), "simulated": said["simulated"]}
    samples[movie["name"]] = labelling.sample(cells, labels, given.seed)
    if labels:
        errors = analyze.errors_of_others(known, {movie["name"]})
        answers = np.array([row[answer] for answer in prevalence.ANSWERS], float)
        own = [float(row[name]) for name in OWN]
        said = pooled(answers, errors, own=own, samples=[samples[movie["name"]]])[0]
    row |= {name: said[name] for name in ("estimate", "low", "high")}
    return row | {"why": said["withheld"] or said["caution"] or ""}


# --- all of them ---


def together(
    movies: pd.DataFrame, known: dict, samples: dict[str, labelling.Sample] | None = None
) -> Study:
    """Movies by draw, and draws by patient.

    Parameters
    ----------
    movies : columns `OF_MOVIE`, unlike not yet known
    known : of `rbc.bench.analyze.read_known`
    samples : labels of the movies by stratum, by name
    """
    counts = (*prevalence.ANSWERS, *OWN)
    judged = movies[movies["status"] == JUDGED].astype({name: float for name in counts})
    movies = movies.assign(unlike=movies["name"].isin(unlike_their_draw(judged)))
    draws, changes = by_draw(judged, analyze.errors_of_others(known, set()), samples)

    # A draw of which nothing is known must not vanish from the series.
    silent = movies[~movies["draw"].isin(judged["draw"])].drop_duplicates("draw")
    nothing = silent[["patient", "date", "draw"]].assign(
        movies=0, cells=0, withheld="none of its movies was judged"
    )
    draws = pd.concat([draws, nothing]).sort_values(["patient", "date", "draw"], ignore_index=True)
    return Study(movies, draws, changes, _notes(movies, judged))


def _notes(movies: pd.DataFrame, judged: pd.DataFrame) -> list[str]:
    notes = []
    if judged["simulated"].eq(True).any():
        notes.append("simulated movies: they show no patient")
    if len(judged) < len(movies):
        notes.append(f"{len(movies) - len(judged)} of {len(movies)} movies were not judged")
    if any(len(day) == len("11-25") for day in movies["date"]):
        notes.append("dates without a year are taken for days of one year")
    factor, df = spread(judged)
    if df == 0 and len(judged):
        notes.append(
            "no draw has two movies: how far movies of one draw differ is in no interval here"
        )
    if factor > 1:
        notes.append(
            f"movies of one draw differ {factor:.1f} times as much as their cells explain"
            f" ({df} degrees of freedom): the intervals of draws are widened by that"
        )
    return notes


def _publish(study: Study, out: Path) -> None:
    for name in ("movies", "draws", "changes"):
        _write(out / f"{name}.csv", getattr(study, name).to_csv(index=False))
    _write(out / "study.html", page(study))


def page(study: Study) -> str:
    """HTML of a study, which asks nothing from anywhere.

    Parameters
    ----------
    study : of `judge`
    """
    pictures = [(patient, _points(part)) for patient, part in study.draws.groupby("patient")]
    tables = {
        name: getattr(study, name).astype(object).where(getattr(study, name).notna(), None)
        for name in ("movies", "draws", "changes")
    }
    return filled(
        TEMPLATE,
        **{name: table.to_dict("records") for name, table in tables.items()},
        n_patients=study.movies["patient"].nunique(),
        pictures=[(patient, points) for patient, points in pictures if points],
        notes=study.notes,
        power=prevalence.POWER,
        looks=LOOKS,
        version=__version__,
        percent=lambda x: "-" if x is None else f"{100 * x:.1f}",
        points=lambda x: "-" if x is None else f"{100 * x:+.1f}",
    )


def _points(draws: pd.DataFrame) -> list[dict[str, float | str]]:
    """Where the draws of a patient stand in a picture 100 wide: days across, percent up."""
    days = np.array([_day(text) for text in draws["date"]], float)
    across = np.full(len(days), 53.0)
    if days.max() > days.min():
        across = 16 + 74 * (days - days.min()) / (days.max() - days.min())
    return [
        {"x": round(float(x), 2), "date": row.date}
        | {name: 100 * getattr(row, name) for name in ("estimate", "low", "high")}
        for x, row in zip(across, draws.itertuples(), strict=True)
        if pd.notna(row.estimate)
    ]


def _day(text: str) -> int:
    """Number of a day; of month and day alone in a leap year."""
    return date.fromisoformat(text if len(text) > len("11-25") else f"2000-{text}").toordinal()


def as_json(study: Study) -> str:
    """Movies, draws, changes and notes for a program."""
    tables = {
        name: json.loads(getattr(study, name).to_json(orient="records"))
        for name in ("movies", "draws", "changes")
    }
    return json.dumps(tables | {"notes": study.notes}, indent=1)


def _in_points(fraction: float) -> str:
    """A fraction in percentage points, or that it is not known."""
    return "not known" if pd.isna(fraction) else f"{100 * fraction:.0f} points"


def in_words(study: Study) -> str:
    """Draws, changes, movies that were not judged, and notes, a line each."""
    lines = []
    for row in study.draws.itertuples():
        said = f"no estimate: {row.withheld}"
        if pd.notna(row.estimate):
            ends = f"{100 * row.low:.1f} to {100 * row.high:.1f} %"
            said = f"{100 * row.estimate:.1f} % (95 % interval {ends})"
            if pd.notna(row.caution):  # the ends first: the middle of a wide interval says little
                said = f"{ends} (95 % interval), {row.caution}"
        lines.append(f"{row.draw}: {said}; {row.movies} movies, {row.cells} sequences")
    for row in study.changes.itertuples():
        lines.append(
            f"{row.earlier} to {row.later}: {100 * row.change:+.1f} points (95 % interval"
            f" {100 * row.low:+.1f} to {100 * row.high:+.1f}); the smallest change that such draws"
            f" show is {100 * row.smallest:.0f} points; if {LOOKS[0]} or {LOOKS[1]} cells of each"
            f" movie, chosen at random, were labelled: {_in_points(row.smallest_50)} or"
            f" {_in_points(row.smallest_100)}"
        )
    for row in study.movies[study.movies["status"] != JUDGED].itertuples():
        lines.append(f"{row.name}: {row.status}: {row.why}")
    for name in study.movies["name"][study.movies["unlike"]]:
        lines.append(f"{name}: unlike the other movies of its draw")
    return "\n".join([*lines, *study.notes])
