"""``rbc``: the command line. Thin: every command calls one or two functions of the library."""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compendium import ROOT, need_checkout
from rbc import RbcError, in_words

# each command imports what it needs: --help and an error of an argument need none of it
if TYPE_CHECKING:
    from compendium import attempts
    from compendium.evidence import audit, study
    from compendium.profiles import Profile

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
data_app = typer.Typer(no_args_is_help=True, help="The sequences a profile runs on.")
simulate_app = typer.Typer(no_args_is_help=True, help="Simulated cells with known labels.")
app.add_typer(data_app, name="data")
app.add_typer(simulate_app, name="simulate")

ProfileOption = Annotated[
    str, typer.Option(help="Name of a profile in config/, or a path to one (.yaml).")
]
DataOption = Annotated[
    Path | None, typer.Option(help="Folder of the data, for profiles that do not simulate theirs.")
]
SimulatedOption = Annotated[
    bool, typer.Option("--simulated", help="The given data are simulated, not real.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
MovieArgument = Annotated[
    Path, typer.Argument(help="Movie (AVI, MP4, MKV), TIFF stack, or folder of TIFF frames.")
]


def _above_zero(value: float | None) -> float | None:
    """A number that must be above 0 and finite, where one is given."""
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"{value:g} is not above 0")
    return value


RateOption = Annotated[
    float | None,
    typer.Option(callback=_above_zero, help="Frames/s; by default from the file, else 60."),
]
PixelOption = Annotated[
    float | None,
    typer.Option(
        callback=_above_zero, help="Pixel size in um; by default from the file, else 0.6."
    ),
]
ShearOption = Annotated[
    float | None, typer.Option(callback=_above_zero, help="Shear rate at the wall, 1/s; else 10.")
]
ThreadsOption = Annotated[
    int, typer.Option(min=0, help="Threads; 0: one a core. The result does not depend on it.")
]
CountOption = Annotated[int, typer.Option(min=0, help="How many of them.")]
SeedOption = Annotated[int, typer.Option(min=0, help="The same seed gives the same bits.")]
ModelsOption = Annotated[
    Path | None, typer.Option(help="Folder of other models than the shipped ones.")
]
REFERENCE = ROOT / "data" / "reference"  #: runs that are kept in the checkout
JobsOption = Annotated[int, typer.Option(help="Runs at the same time; 0: one a core.")]


@data_app.command("fetch")
def data_fetch(
    which: Annotated[
        str, typer.Argument(help="released (the authors' sample) or zenodo (the paper's record).")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder to fill; by default data/raw/<which>.")
    ] = None,
    from_path: Annotated[
        Path | None, typer.Option("--from", help="A file or folder already downloaded; no network.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(hidden=True, help="Another server, for tests.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch data and verify it; goes on where it was interrupted.

    Example: rbc data fetch zenodo --from ~/Downloads/5723606.zip
    """
    need_checkout()
    from compendium.data import download

    fetchers = {"released": download.fetch_released, "zenodo": download.fetch_zenodo}
    if which not in fetchers:
        raise RbcError(f"{which!r} cannot be fetched: choose one of {', '.join(fetchers)}")
    # What another server gives never lies where the record or the sample itself would.
    folder = out or ROOT / "data" / "raw" / ("loopback" if base else which)
    meta = fetchers[which](folder, from_path, **({"base": base} if base else {}))
    typer.echo(json.dumps(meta, indent=1) if as_json else download.in_words(meta, folder))


@data_app.command("prepare")
def data_prepare(
    profile: ProfileOption = "demo", data: DataOption = None, simulated: SimulatedOption = False
) -> None:
    """Make a profile's sequences, in data/derived/<profile>, and check them.

    Example: rbc data prepare --profile released --data ../shared/data/released-sample
    """
    from compendium import building

    p = _profile(profile)
    found = building.prepare(p, data, simulated, progress=sys.stderr.isatty())
    typer.echo(f"{found} sequences in {p.data_folder}")


@data_app.command("check")
def data_check(profile: ProfileOption = "demo", as_json: JsonOption = False) -> None:
    """Say what the paper states of the data, what this profile's data shows, and whether it
    matters.

    Example: rbc data check --profile released
    """
    from compendium.data import checks
    from rbc import sequences

    findings = checks.check(sequences.load(_profile(profile).data_folder))
    if as_json:
        typer.echo(json.dumps([f.record() for f in findings], indent=1, default=str))
    for f in [] if as_json else findings:
        grave = "  (grave)" if f.grave else ""
        typer.echo(
            f"{f.key}{grave}\n  paper: {f.paper}\n  data: {f.data}\n  matters: {f.matters}\n"
        )


@data_app.command("summary")
def data_summary(profile: ProfileOption = "demo", as_json: JsonOption = False) -> None:
    """Count a profile's sequences by split and label.

    Example: rbc data summary --profile demo --json
    """
    from compendium import building

    counts = building.counts(_profile(profile))
    if as_json:
        typer.echo(json.dumps(counts))
        return
    labels = list(dict.fromkeys(label for row in counts.values() for label in row))
    typer.echo(" ".join(["split".ljust(10), *(label.rjust(13) for label in labels)]))
    for split, row in counts.items():
        typer.echo(
            " ".join([split.ljust(10), *(str(row.get(label, 0)).rjust(13) for label in labels)])
        )


@simulate_app.command("sequences")
def simulate_sequences(
    out: Annotated[Path, typer.Option(help="Folder to write (Sequences).")],
    tank_treading: CountOption = 30,
    flipping: CountOption = 10,
    unreliable: CountOption = 100,
    seed: SeedOption = 0,
) -> None:
    """Simulate labelled sequences of single cells (all in the split 'test').

    Example: rbc simulate sequences --out /tmp/cells --tank-treading 50 --seed 7
    """
    from rbc import simulate

    counts = {
        "test": {"tank-treading": tank_treading, "flipping": flipping, "unreliable": unreliable}
    }
    simulate.sequences(counts, seed=seed, progress=sys.stderr.isatty()).save(out)
    typer.echo(f"{tank_treading + flipping + unreliable} simulated sequences in {out}")


@simulate_app.command("video")
def simulate_video(
    out: Annotated[
        Path, typer.Option(help="Folder to write: movie.avi, truth.parquet, meta.json.")
    ],
    frames: Annotated[int, typer.Option(min=1, help="Length of the movie.")] = 300,
    cells: Annotated[
        float,
        typer.Option(
            min=0, max=5000, help="Moving cells in a frame, on average (the paper: about 50)."
        ),
    ] = 50,
    sprites: Annotated[
        Path | None, typer.Option(help="Sequences to composite instead of drawing cells.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Simulate a movie of cells in shear flow with the truth about every cell.

    The cells are as large and as sharp as those that the shipped models know, so that `rbc analyze`
    accepts the movie.

    Example: rbc simulate video --out /tmp/movie --frames 120 --cells 20
    """
    from tqdm import tqdm

    from rbc import sequences
    from rbc.simulate import movies

    given = sequences.load(sprites) if sprites else None
    with tqdm(total=frames, desc="simulate", unit="frame", disable=not sys.stderr.isatty()) as bar:
        scene = movies.Scene(frames=frames, cells=cells, seed=seed, **movies.FAMILIAR)
        movies.simulate_movie(out, scene, given, progress=lambda done: bar.update(done - bar.n))
    made = json.loads((out / "meta.json").read_text(encoding="utf-8"))["frames"]
    typer.echo(f"a simulated movie of {made} frames in {out}")
    if made < frames:
        typer.echo(
            f"{sprites}: its {len(given)} sequences last no longer; give more for {frames} frames",
            err=True,
        )


@app.command("track")
def track(
    video: MovieArgument,
    out: Annotated[
        Path, typer.Option(help="Folder to write: Sequences, tracks.parquet, overlay.png.")
    ],
    frame_rate: RateOption = None,
    um_per_px: PixelOption = None,
    shear_rate: ShearOption = None,
    clip: Annotated[
        bool,
        typer.Option(help="Also write clip.avi, the first 300 frames with a box around each cell."),
    ] = False,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Track the cells of a movie into sequences of 31 x 31 px.

    Example: rbc track movie.avi --out /tmp/tracked --um-per-px 0.6
    """
    from rbc import tracking

    options = {"frame_rate": frame_rate, "um_per_px": um_per_px, "shear_rate": shear_rate}
    with _tracked() as progress:
        found = tracking.track_movie(
            video, out, clip=clip, threads=threads or os.cpu_count(), progress=progress, **options
        )
    notes, units = found.meta["notes"], found.meta["units"]
    answer = {"sequences": len(found), "folder": str(out), "units": units, "notes": notes}
    lines = [f"{len(found)} sequences in {out}", *_units_in_words(units), *notes]
    typer.echo(json.dumps(answer, indent=1) if as_json else "\n".join(lines))


def _units_in_words(units: dict[str, dict]) -> list[str]:
    """A line for each unit: its value, and whether the file says it, the user, or nobody."""
    names = {
        "um_per_px": "pixel size: {:g} um",
        "frame_rate": "frame rate: {:g}/s",
        "shear_rate": "shear rate: {:g}/s",
    }
    return [
        f"{words.format(units[name]['value'])} ({units[name]['source']})"
        for name, words in names.items()
    ]


@contextmanager
def _tracked() -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar of tracking, as what `rbc.tracking.track` calls."""
    from tqdm import tqdm

    with tqdm(desc="track", unit="frame", disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, announced: int | None) -> None:
            bar.total = announced
            bar.update(done - bar.n)

        yield progress


@app.command("analyze")
def analyze_movie(
    video: MovieArgument,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default <name of the movie>-report.")
    ] = None,
    frame_rate: RateOption = None,
    um_per_px: PixelOption = None,
    shear_rate: ShearOption = None,
    models: ModelsOption = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Judge a movie unlike the known ones all the same; the report says so."
        ),
    ] = False,
    corrections: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Your labels, as a report of this movie exported them (CSV)."
        ),
    ] = None,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """From a movie to the fraction of tank-treading cells and a report to correct.

    Not a medical device.

    Example: rbc analyze movie.avi --out /tmp/report --um-per-px 0.6
    """
    from rbc.bench import analyze

    folder = out or Path(f"{video.stem}-report")
    options = {"frame_rate": frame_rate, "um_per_px": um_per_px, "shear_rate": shear_rate}
    with _tracked() as progress:
        options |= {"models": models or analyze.MODELS, "force": force, "progress": progress}
        options["corrections"] = corrections
        found = analyze.analyze(video, folder, threads=threads or os.cpu_count(), **options)
    typer.echo(
        json.dumps(found, indent=1)
        if as_json
        else analyze.in_words(found) + f"\nreport: {folder}/report.html"
    )


@app.command("study")
def study_of_movies(
    movies: Annotated[
        Path,
        typer.Argument(
            metavar="MOVIES",
            help="A folder of movies, or a table (CSV) with the columns movie, patient, date and,"
            " if you like, draw, um_per_px, frame_rate, shear_rate.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write: study.html, tables, reports.")],
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression for the names in a folder, with the groups (?P<patient>...),"
            " (?P<date>...) and, if you like, (?P<draw>...); by default letters, then digits."
        ),
    ] = None,
    frame_rate: RateOption = None,
    um_per_px: PixelOption = None,
    shear_rate: ShearOption = None,
    models: ModelsOption = None,
    jobs: Annotated[int, typer.Option(min=0, help="Movies at the same time; 0: two.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Judge many movies, put those of a blood draw together, and follow patients over time.

    Not a medical device. The same command goes on where it was interrupted; a movie that cannot be
    judged does not stop the others.

    Example: rbc study movies/ --out followed --um-per-px 0.6 --frame-rate 60
    """
    from tqdm import tqdm

    from compendium.signals import ended_by_signals
    from rbc.bench import analyze, movielist, study

    listed = movielist.read(movies, pattern or movielist.PATTERN)
    study.check_place(out)
    typer.echo(movielist.in_words(listed), err=True)  # names may mean something else than dates
    units = {"frame_rate": frame_rate, "um_per_px": um_per_px, "shear_rate": shear_rate}
    jobs = min(jobs or 2, len(listed), os.cpu_count() or 1)
    with tqdm(
        total=len(listed), desc="study", unit="movie", disable=not sys.stderr.isatty()
    ) as bar:

        def progress(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        options = {"models": models or analyze.MODELS, "jobs": jobs, "progress": progress}
        with ended_by_signals():
            found = study.judge(listed, out, **options, **units)
    typer.echo(
        study.as_json(found) if as_json else f"{study.in_words(found)}\nstudy: {out}/study.html"
    )


@app.command("adapt")
def adapt_models(
    labelled: Annotated[
        list[Path],
        typer.Argument(
            metavar="LABELLED...",
            help="Reports of rbc analyze, each with the corrections.csv exported from its page;"
            " sequences with labels; or strips with dataset.csv.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; --models takes it.")],
    models: ModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn your microscope's error rates and thresholds from labelled cells.

    Not a medical device. Acquisitions are left out to judge what was learned; thresholds that are
    not better than the shipped ones by more than chance are not taken.

    Example: rbc adapt followed/reports/* --out mine, then rbc analyze movie.avi --models mine
    """
    from compendium.data import ingest
    from rbc.bench import adapt, classify

    strips = [(folder / "dataset.csv").exists() for folder in labelled]
    parts = [
        ingest.strips(folder) if strip else adapt.labelled(folder)
        for folder, strip in zip(labelled, strips, strict=True)
    ]
    said = adapt.adapt(parts, out, models or classify.MODELS)
    typer.echo(json.dumps(said, indent=1) if as_json else f"{adapt.in_words(said)}\nmodels: {out}")


@app.command("export")
def export(
    source: Annotated[
        Path,
        typer.Argument(help="Folder that rbc track, rbc analyze or rbc study wrote, or sequences."),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="tracks.xml (TrackMate), tracks.csv (its table of spots), tracks.geff (a graph),"
            " tables.xlsx, SOURCE/ro-crate-metadata.json, or SOURCE/croissant.json (a data set)."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Write tracks, tables or a description of them in the form that another program reads.

    The ending of OUT says which. GEFF, XLSX and RO-Crate need: pip install 'rbc[exchange]'.

    Example: rbc export report tracks.xml
    """
    from rbc.bench import exchange

    said = exchange.export(source, out)
    typer.echo(json.dumps({"out": str(out), "written": said}, indent=1) if as_json else said)


@app.command("classify")
def classify_cells(
    cells: Annotated[
        Path,
        typer.Argument(
            metavar="SEQUENCES", help="Sequences (as rbc track writes), or strips with dataset.csv."
        ),
    ],
    models: ModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each cell whether it is reliable and whether it flips, by the shipped models.

    Not a medical device.

    Warns of cells unlike those that the models know: other pixels, another light, another camera.

    Example: rbc classify /tmp/tracked --json
    """
    from compendium.data import ingest
    from rbc import sequences
    from rbc.bench import analyze, classify

    found = sequences.load(cells) if (cells / "meta.json").exists() else ingest.strips(cells)
    folder = models or analyze.MODELS
    known = analyze.read_known(folder)["looks"]
    if found.simulated:
        typer.echo("these cells are simulated", err=True)
    for warning in analyze.unlike(found, known) if len(found) else ():
        typer.echo(f"warning: {warning}", err=True)
    table = classify.classify(found, folder, progress=sys.stderr.isatty())
    typer.echo(
        table.to_json(orient="records", indent=1)
        if as_json
        else table.round(3).to_string(index=False)
    )


@app.command("run")
def run(
    stage: Annotated[
        int, typer.Option(help="1: reliable or unreliable; 2: flipping or tank-treading.")
    ],
    model: Annotated[
        str, typer.Option(help="cnn (ResNet-18 over K frames) or crnn (CNN, then GRU).")
    ],
    sampling: Annotated[str, typer.Option(help="uniform or similarity.")],
    k: Annotated[int, typer.Option(help="Frames at most: 10, 20, 30 or 50.")],
    profile: ProfileOption = "demo",
    seed: int = 0,
    variant: Annotated[
        str, typer.Option(help="An open detail switched, by name (see the book's register).")
    ] = "text",
) -> None:
    """Train one configuration: executes the train notebook into results/<profile>/stage<S>/<run>.

    Example: rbc run --profile demo --stage 2 --model cnn --sampling similarity --k 20
    """
    from rbc.paper import Configuration

    p, c = _profile(profile), Configuration(stage, model, sampling, k, seed, variant)
    if c not in p.configurations():
        raise RbcError(
            f"{c.path} is not a run of profile {p.name}; rbc grid --profile {p.name} --dry-run"
            " lists them"
        )
    from compendium import building

    building.check_data(p)
    building.describe_data(p, partial(typer.echo, err=True))
    typer.echo(building.one(c, p))


@app.command("grid")
def grid(
    profile: ProfileOption = "demo",
    data: DataOption = None,
    jobs: JobsOption = 0,
    workflow_profile: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a Snakemake profile that leads to a cluster, e.g. workflow/slurm."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option(help="List the runs and whether each is there; run nothing.")
    ] = False,
    status: Annotated[
        bool,
        typer.Option("--status", help="List which runs are done, running, failed; run nothing."),
    ] = False,
    simulated: SimulatedOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train every configuration of a profile, several at a time; goes on where it was interrupted.

    Takes every GPU of this machine, one a run, or with --workflow-profile a cluster. A run that
    fails is tried once more and does not stop the others.

    Example: rbc grid --profile demo --dry-run
    """
    from compendium import building

    p = _profile(profile)
    if dry_run:
        _list_runs(building.states(p), as_json)
    elif status:
        _show(building.states(p), as_json)
    elif workflow_profile:
        building.grid_on_cluster(p, data, jobs, workflow_profile)
    else:
        building.grid(p, data, jobs, simulated)


def _list_runs(standings: list[attempts.Standing], as_json: bool) -> None:
    rows = [{"run": s.run, "complete": s.state == "done", "state": s.state} for s in standings]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    words = {"done": "complete", "stale": "stale"}
    typer.echo("\n".join(f"{words.get(row['state'], 'to do'):8}  {row['run']}" for row in rows))


def _show(standings: list[attempts.Standing], as_json: bool) -> None:
    from compendium.attempts import STATES

    if as_json:
        typer.echo(json.dumps([asdict(s) for s in standings], indent=1))
        return
    numbers = Counter(s.state for s in standings)
    total = ", ".join(f"{numbers[state]} {state}" for state in STATES)
    typer.echo("\n".join([*map(str, standings), f"{len(standings)} runs: {total}"]))


@app.command("book")
def book(
    profile: ProfileOption = "demo",
    data: DataOption = None,
    jobs: JobsOption = 0,
    simulated: SimulatedOption = False,
) -> None:
    """Make a profile's runs and pages and build the book into _build/html.

    Example: rbc book --profile released --data ../shared/data/released-sample
    """
    from compendium import building

    building.book(_profile(profile), data, jobs, simulated)
    typer.echo(f"the book is {ROOT}/_build/html/index.html")


@app.command("results")
def results(
    profile: ProfileOption = "demo",
    submit: Annotated[
        Path | None,
        typer.Option(help="Write what can be handed on into this folder: no weights, no pixels."),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="Folder that somebody handed on: verify it, compare it with these runs."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Scores of a profile's runs; hand them on, or hold them against another's.

    Example: rbc results --profile released --submit to-send
    """
    from compendium import building, runs, submission

    p = _profile(profile)
    if submit and beside:
        raise RbcError("--submit and --beside are two commands; give one of them")
    if submit:
        about = submission.write(p, submit)
        missing = (
            f", {len(about['missing'])} of the profile are missing" if about["missing"] else ""
        )
        stale = (
            f", {len(about['stale'])} are stale (made from other settings, data or code than now)"
            if about["stale"]
            else ""
        )
        listed = "its files are listed in SHA256SUMS"
        said = f"{about['runs']} runs in {submit}{missing}{stale}; {listed}"
        typer.echo(json.dumps(about, indent=1) if as_json else said)
        return
    if beside:
        about = submission.verify(beside)
        found = submission.beside(p.results_folder, beside)
        if as_json:
            typer.echo(found.to_json(orient="records", indent=1))
            return
        same = "the same data" if about["data"] == _data_of(p.results_folder) else "other data"
        typer.echo(f"{beside}: verified; {about['runs']} runs of {same}")
        typer.echo(found.round(3).to_string(index=False))
        return
    table = runs.collect(p.results_folder)
    standing = {s.run: s.state for s in building.states(p)}
    table["stale"] = [standing.get(run) == "stale" for run in table["run"]]
    if stale := table.loc[table["stale"], "run"].nunique():
        words = f"{stale} runs are stale: made from other data, settings or code than now"
        typer.echo(f"{words}; rbc grid --profile {profile} makes them anew", err=True)
    if as_json:
        typer.echo(table.to_json(orient="records", indent=1))
        return
    columns = ["run", "split", "n", "tp", "fp", "fn", "tn", "f1", "recall", "specificity"]
    columns += ["stale"] if stale else []
    typer.echo(table[columns].round(3).to_string(index=False))


def _data_of(results: Path) -> str:
    """Checksum of the data of a folder of runs."""
    return json.loads((results / "dataset.json").read_text(encoding="utf-8"))["sha256"]


@app.command("compare")
def compare_run(
    run: Annotated[Path, typer.Argument(help="A run's folder below results/.")],
    reference: Annotated[Path, typer.Option(help="Folder of kept runs.")] = REFERENCE,
    as_json: JsonOption = False,
) -> None:
    """Is my run normal? Its scores and losses in the distribution of kept seeds, and what differs.

    Example: rbc compare results/released/stage2/cnn-similarity-k20-s0
    """
    from compendium.evidence import compare

    found = compare.compare(run, reference)
    if as_json:
        typer.echo(json.dumps(found.record(), indent=1))
        return
    inside = (
        f"validation loss inside at {int(found.epochs['inside'].sum())} of"
        f" {len(found.epochs)} epochs"
    )
    seeds = ", ".join(map(str, found.seeds))
    typer.echo(
        f"{found.verdict}: beside {len(found.seeds)} kept seeds ({seeds}), 95 % interval of one"
        " more seed"
    )
    typer.echo(f"{found.scores.round(3).to_string(index=False)}\n{inside}\n")
    typer.echo(
        "what differs:\n" + found.differences.to_string(index=False)
        if len(found.differences)
        else "no difference"
    )


@app.command("audit")
def audit_numbers(as_json: JsonOption = False) -> None:
    """Say whether the paper's printed numbers can be true together; needs no data.

    Example: rbc audit --json
    """
    from compendium.evidence import audit, crosschecks

    rows = audit.rows()
    found = [*crosschecks.statements(), *crosschecks.explanations(rows)]
    if missing := crosschecks.left_out():
        typer.echo(
            f"left out, as they need the checkout of the compendium: {', '.join(missing)}", err=True
        )
    if as_json:
        typer.echo(
            json.dumps(
                {"rows": [r.record() for r in rows], "checks": [c.record() for c in found]},
                indent=1,
            )
        )
        return
    for row in rows:
        typer.echo(
            f"{row.table:12}  {row.model:4}  {row.sampling:10}  K = {row.k}  {_possible(row)}"
        )
    for c in found:
        note = f"\n  note: {c.note}" if c.note else ""
        readings = "".join(f"\n  reading: {reading}" for reading in c.readings)
        typer.echo(
            f"\n{c.key}: {c.verdict}\n  paper ({c.place}): {c.statement}\n  found:"
            f" {c.found}{note}{readings}"
        )


@app.command("claims")
def judge_claims(
    profile: ProfileOption = "released",
    results: Annotated[
        Path | None, typer.Option(help="Folder of runs; by default data/reference/<profile>.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a profile's runs make of every statement of the paper, printed scores first.

    Example: rbc claims --profile released --json
    """
    from compendium.evidence import claims, judging

    p, (tolerance, listed) = _profile(profile), claims.load()
    ours = _study(p, results)
    verdicts = {c.id: judging.judge(c, ours, tolerance) for c in listed}
    if as_json:
        kept = {"tolerance": tolerance.model_dump(), "scope": judging.scope(ours)}
        kept["counts"] = judging.counts(listed, verdicts)
        records = [
            judging.record(c, verdicts[c.id])
            for own in judging.by_group(listed).values()
            for c in own
        ]
        typer.echo(json.dumps(kept | {"claims": records}, indent=1))
        return
    for group, found in judging.counts(listed, verdicts).items():
        typer.echo(f"{group}: {', '.join(f'{n} {name}' for name, n in found.items() if n)}")
    typer.echo(judging.scope(ours))
    for group, own in judging.by_group(listed).items():
        typer.echo(f"\n{group.upper()}")
        for c in own:
            v = verdicts[c.id]
            typer.echo(f"{v.verdict}: {c.says} ({c.place})\n  {c.id}: {v.found}")
            for reading in v.readings:
                typer.echo(f"  reading: {reading}")


@app.command("packet")
def packet_for_reviewers(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    profile: ProfileOption = "released",
    results: Annotated[
        Path | None, typer.Option(help="Folder of runs; by default data/reference/<profile>.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the packet for reviewers: codecheck.yml, outputs, checklists with what is open, model
    cards.

    Example: rbc packet --profile released --out packet
    """
    from compendium.evidence import packet

    p = _profile(profile)
    found = packet.write(_study(p, results), out)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "checklists": found}, indent=1))
        return
    typer.echo(
        "\n".join(
            f"{name}: {n['answered']} answered, {n['open']} open" for name, n in found.items()
        )
    )
    typer.echo(f"packet in {out}")


def _profile(name: str) -> Profile:
    """A profile by its name or path; it lies in the checkout, as what its commands need does."""
    need_checkout()
    from compendium import profiles

    return profiles.load(name)


def _study(p: Profile, results: Path | None) -> study.Study:
    """The runs of a profile that are kept, or those of a folder."""
    from compendium.evidence import study

    folder = results or REFERENCE / p.name
    if not (folder / "dataset.json").exists():
        raise RbcError(
            f"{folder}: no results there; give --results FOLDER, such as results/{p.name}"
        )
    return study.Study(p, folder)


def _possible(row: audit.Row) -> str:
    if row.possible:
        return f"possible, {row.matrices} confusion matri{'x' if row.matrices == 1 else 'ces'}"
    if len(row.fails[0]) > 1:
        return f"impossible, even were any {len(row.fails[0]) - 1} of its scores wrong"
    return f"impossible, but for {' or '.join(score for (score,) in row.fails)}"


def main() -> None:
    """Entry point: one line on standard error for a wrong argument (exit code 2) and for what goes
    wrong (1).
    """
    try:
        sys.exit(app(standalone_mode=False))
    except RbcError as error:
        _end(str(error))
    except typer.TyperException as error:  # a wrong argument
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            sys.exit(error.exit_code)
        _end(" ".join(error.format_message().split()), error.exit_code)
    # a package of the book's that a bare `pip install rbc` leaves out
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("rbc", "compendium"):
            raise
        _end(
            f"this command needs the package {error.name}; make book, in the checkout, installs it"
            " (the extra [book])"
        )
    except OSError as error:  # a disk, a path or a pipe that no command foresaw
        if error.errno is None:
            raise
        named = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        _end(f"{named}{os.strerror(error.errno).lower()}")
    except (KeyboardInterrupt, typer.Abort):
        _end("interrupted", 130)


def _end(message: str, code: int = 1) -> None:
    """Tell what went wrong, also where a name in it is not UTF-8, and end."""
    typer.echo(f"rbc: {in_words(message)}", err=True)
    sys.exit(code)
