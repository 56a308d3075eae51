"""``rbc``: the command line. Each command calls one or two functions of the library.

The checkout of the reproduction adds its own commands to these (`add_commands_of_checkout`).
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rbc import RbcError, __version__, in_words

# Each command imports what it needs, because --help and a wrong argument need none of it.
if TYPE_CHECKING:
    from rbc.sequences import Sequences

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
simulate_app = typer.Typer(no_args_is_help=True, help="Simulated cells with known labels.")
MOVIES = "Your own movies"  #: panels of ``rbc --help``, by who needs the commands
SIMULATED = "Without a movie"
app.add_typer(simulate_app, name="simulate", rich_help_panel=SIMULATED)

#: The folder that holds `rbc`: the checkout, or the folder of installed packages.
HOME = Path(__file__).resolve().parent.parent
STRIPS = "dataset.csv"  #: lies in a folder of image strips, the form of the paper's data
#: What reads a folder of another form than sequences, by the file that lies in it. The checkout
#: adds the reader of strips, because that belongs to the paper's data.
READERS: dict[str, Callable[[Path], Sequences]] = {}

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


def _print_version(wanted: bool) -> None:
    """Print version and commit, and end."""
    if wanted:
        typer.echo(version_in_words())
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print version and commit, and end.",
        ),
    ] = False,
) -> None:
    """From a movie of red cells in shear flow to the fraction that tank-treads.

    Research software, not a medical device. Start with: rbc analyze MOVIE
    """


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

    The cells are as large and as sharp as those that the shipped models know, so that they accept
    the movie.

    Example: rbc simulate video --out /tmp/movie --frames 120 --cells 20
    """
    from tqdm import tqdm

    from rbc import sequences
    from rbc.simulate import movies

    given = sequences.load(sprites) if sprites else None
    with tqdm(total=frames, desc="simulate", unit="frame", disable=not sys.stderr.isatty()) as bar:
        familiar: dict[str, Any] = movies.FAMILIAR
        scene = movies.Scene(frames=frames, cells=cells, seed=seed, **familiar)
        movies.simulate_movie(out, scene, given, progress=lambda done: bar.update(done - bar.n))
    made = json.loads((out / "meta.json").read_text(encoding="utf-8"))["frames"]
    typer.echo(f"a simulated movie of {made} frames in {out}")
    if given is not None and made < frames:
        typer.echo(
            f"{sprites}: its {len(given)} sequences last no longer; give more for {frames} frames",
            err=True,
        )


@app.command("track", rich_help_panel=MOVIES)
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
    from rbc.bench import analyze

    options = {"frame_rate": frame_rate, "um_per_px": um_per_px, "shear_rate": shear_rate}
    with _tracked() as progress:
        found = tracking.track_movie(
            video, out, clip=clip, threads=threads or os.cpu_count(), progress=progress, **options
        )
    notes, units = found.meta["notes"], found.meta["units"]
    unlike = analyze.unlike(found, analyze.read_known(analyze.MODELS)["looks"])
    answer = {"sequences": len(found), "folder": str(out), "units": units, "notes": notes}
    answer |= {"unlike": unlike}
    first = f"{len(found)} sequences in {out}"
    if unlike:
        first += "; what moves does not look like the red cells that the models know"
    lines = [first, *unlike, *_units_in_words(units), *notes]
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


@app.command("analyze", rich_help_panel=MOVIES)
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
    options: dict[str, Any] = {"frame_rate": frame_rate, "um_per_px": um_per_px}
    options["shear_rate"] = shear_rate
    with _tracked() as progress:
        options |= {"models": models or analyze.MODELS, "force": force, "progress": progress}
        options["corrections"] = corrections
        found = analyze.analyze(video, folder, threads=threads or os.cpu_count(), **options)
    typer.echo(
        json.dumps(found, indent=1)
        if as_json
        else analyze.in_words(found) + f"\nreport: {folder}/report.html"
    )


@app.command("study", rich_help_panel=MOVIES)
def study_of_movies(
    movies: Annotated[
        Path,
        typer.Argument(
            metavar="MOVIES",
            help="A folder of movies, or a table (CSV) with the columns movie, patient, date and,"
            " if you like, draw, um_per_px, frame_rate, shear_rate, note.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write: study.html, tables, reports.")],
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression for the whole names in a folder, with the groups"
            " (?P<patient>...), (?P<date>...) and, if you like, (?P<draw>...); year, month and day"
            " may stand for date. By default letters, then month and day, as in BG1017_10s02."
        ),
    ] = None,
    year: Annotated[
        int | None, typer.Option(min=1900, max=2068, help="Year of the dates that have none.")
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

    from rbc.bench import analyze, movielist, study
    from rbc.signals import ended_by_signals

    listed = movielist.read(movies, pattern or movielist.PATTERN, year)
    study.check_place(out)
    typer.echo(movielist.in_words(listed), err=True)  # names may mean something else than dates
    if others := movielist.passed_over(movies):
        typer.echo(f"no movie, so passed over: {', '.join(others)}", err=True)
    units: dict[str, Any] = {"frame_rate": frame_rate, "um_per_px": um_per_px}
    units["shear_rate"] = shear_rate
    jobs = min(jobs or 2, len(listed), os.cpu_count() or 1)
    with tqdm(
        total=len(listed), desc="study", unit="movie", disable=not sys.stderr.isatty()
    ) as bar:

        def progress(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        options: dict[str, Any] = {"models": models or analyze.MODELS, "jobs": jobs}
        options["progress"] = progress
        with ended_by_signals():
            found = study.judge(listed, out, **options, **units)
    typer.echo(
        study.as_json(found) if as_json else f"{study.in_words(found)}\nstudy: {out}/study.html"
    )
    if not found.movies["status"].eq(study.JUDGED).any():
        raise RbcError(f"none of {len(found.movies)} movies could be judged: see {out}/study.html")


@app.command("adapt", rich_help_panel=MOVIES)
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
    from rbc.bench import adapt, classify

    parts = [
        _read_cells(folder) if _is_strips(folder) else adapt.labelled(folder) for folder in labelled
    ]
    said = adapt.adapt(parts, out, models or classify.MODELS)
    typer.echo(json.dumps(said, indent=1) if as_json else f"{adapt.in_words(said)}\nmodels: {out}")


@app.command("plan", rich_help_panel=MOVIES)
def plan_looks(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[REPORT]...",
            help="Reports of rbc analyze: --looks are divided among their movies.",
        ),
    ] = None,
    fraction: Annotated[
        float, typer.Option(help="Expected tank-treading among reliable cells, in percent.")
    ] = 86.0,
    cells: Annotated[int, typer.Option(help="Reliable cells of a movie.")] = 300,
    unreliable: Annotated[
        float, typer.Option(help="Unreliable cells tracked for each reliable one.")
    ] = 1.0,
    movies: Annotated[int, typer.Option(help="Movies of each blood draw.")] = 1,
    within: Annotated[
        float, typer.Option(help="Wanted half width of a movie's interval, in points.")
    ] = 5.0,
    change: Annotated[
        float, typer.Option(help="Change between two blood draws to be shown, in points.")
    ] = 20.0,
    power: Annotated[float, typer.Option(help="How often, in percent.")] = 80.0,
    looks: Annotated[int, typer.Option(help="To be divided among the REPORTs.")] = 200,
    models: ModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan a study: how many cells to film and how many of them to label.

    A look is a cell, chosen at random, that you label. Given reports, looks are divided among their
    movies so that the intervals become narrow where that is cheapest.

    Example: rbc plan --fraction 90 --change 15, then rbc plan followed/reports/* --looks 200
    """
    from rbc import planning, prevalence
    from rbc.bench import analyze, classify, plan

    if reports:
        table = plan.divide(reports, looks)
        words = plan.division_in_words(table)
        typer.echo(json.dumps(table.to_dict("records"), indent=1) if as_json else words)
        return
    if not (0 < within < 100 and 0 < change < 100 and 0 < power < 100):
        raise RbcError("--within, --change and --power must lie between 0 and 100")
    known = analyze.errors_of_others(analyze.read_known(models or classify.MODELS), set())
    correlation = planning.correlation_of_movies()
    design = planning.Design(fraction / 100, cells, unreliable, movies, correlation)
    said = plan.plan(design, prevalence.by_draw(known), within / 100, change / 100, power / 100)
    typer.echo(json.dumps(said, indent=1) if as_json else plan.in_words(said))


@app.command("export", rich_help_panel=MOVIES)
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


@app.command("classify", rich_help_panel=MOVIES)
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
    from rbc.bench import analyze, classify

    found = _read_cells(cells)
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


def version_in_words() -> str:
    """Version of this package, and the commit that it was made from where that is known."""
    if commit := _commit():
        return f"rbc {__version__}, commit {commit}"
    return f"rbc {__version__}, commit unknown"


def _commit() -> str:
    """The commit of this checkout, or the one that the wheel was built from; else empty."""
    written = Path(__file__).with_name("commit.txt")
    if not (HOME / ".git").exists():
        return written.read_text(encoding="utf-8").strip() if written.is_file() else ""
    # Git hooks set GIT_DIR, which would tell the commit of another repository.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(HOME), "describe", "--always", "--abbrev=12", "--dirty"]
    try:
        told = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told.stdout.strip().replace("-dirty", " with changes")


def in_checkout() -> bool:
    """Whether this package lies in the checkout, beside the reproduction."""
    beside = HOME / "compendium" / "cli.py"
    return beside.is_file() and (HOME / "pyproject.toml").is_file()


def add_commands_of_checkout() -> None:
    """Add the commands of the reproduction where its checkout is."""
    if in_checkout():
        importlib.import_module("compendium.cli").add_to(app)


def _read_cells(folder: Path) -> Sequences:
    """Sequences of a folder, in whichever form it holds them."""
    from rbc import sequences

    if _is_strips(folder) and not (folder / "meta.json").exists():
        if STRIPS not in READERS:
            raise RbcError(
                f"{folder}: strips with {STRIPS} are read in the checkout of the compendium only;"
                " name a folder that rbc track wrote"
            )
        return READERS[STRIPS](folder)
    if not (folder / "meta.json").exists():
        raise RbcError(
            f"{folder}: neither sequences (meta.json) nor strips ({STRIPS}) are there; name a"
            " folder that rbc track wrote"
        )
    return sequences.load(folder)


def _is_strips(folder: Path) -> bool:
    return (folder / STRIPS).exists()


def main() -> None:
    """Entry point: one line on standard error for a wrong argument (exit code 2) and for what goes
    wrong (1).
    """
    try:
        add_commands_of_checkout()
        sys.exit(app(standalone_mode=False))
    except RbcError as error:
        _end(str(error))
    except typer.TyperException as error:  # a wrong argument
        if type(error).__name__ == "NoArgsIsHelpError" and hasattr(error, "show"):
            error.show()
            sys.exit(error.exit_code)
        message = " ".join(error.format_message().split())
        if message.startswith("No such command") and not in_checkout():
            message = (
                message.rstrip(".")
                + "; commands of the paper's reproduction work in its checkout only"
            )
        _end(message, error.exit_code)
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
