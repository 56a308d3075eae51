"""``rbc``: the command line. Thin: every command calls one or two functions of the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from rbc import ROOT, RbcError, ingest, profiles, runs, sequences, simulate
from rbc.paper import Configuration
from rbc.profiles import Profile

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="The sequences a profile runs on.")
simulate_app = typer.Typer(no_args_is_help=True, help="Simulated cells with known labels.")
app.add_typer(data_app, name="data")
app.add_typer(simulate_app, name="simulate")

ProfileOption = Annotated[str, typer.Option(help="Name of a profile in config/, or a path to one (.yaml).")]
DataOption = Annotated[Path | None, typer.Option(help="Folder of the data, for profiles that do not simulate theirs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
JobsOption = Annotated[int, typer.Option(help="Runs at the same time; 0: one a core.")]


@data_app.command("prepare")
def data_prepare(profile: ProfileOption = "demo", data: DataOption = None) -> None:
    """Make a profile's sequences, in data/derived/<profile>.

    Example: rbc data prepare --profile released --data ../shared/data/released-sample
    """
    p = profiles.load(profile)
    if p.data.source == "simulated":
        made = simulate.sequences(p.data.counts, seed=p.data.seed, progress=sys.stderr.isatty())
    else:
        made = ingest.released(_data_folder(data))
    made.save(p.data_folder)
    runs.keep_index(made, p.results_folder)
    typer.echo(f"{len(made)} sequences in {p.data_folder}")


def _data_folder(data: Path | None) -> Path:
    folder = data or os.environ.get("RBC_SAMPLE")
    if not folder:
        raise RbcError("this profile needs a data folder: give --data PATH (make book: DATA=PATH)")
    if not Path(folder).is_dir():
        raise RbcError(f"{folder}: no such data folder; give one that exists by --data PATH (make book: DATA=PATH)")
    return Path(folder).resolve()


@data_app.command("summary")
def data_summary(profile: ProfileOption = "demo", as_json: JsonOption = False) -> None:
    """Count a profile's sequences by split and label.

    Example: rbc data summary --profile demo --json
    """
    index = sequences.load(profiles.load(profile).data_folder).index
    table = index.groupby(["split", "label"], sort=False).size().unstack(fill_value=0)
    typer.echo(table.to_json(orient="index") if as_json else table.to_string())


@simulate_app.command("sequences")
def simulate_sequences(
    out: Annotated[Path, typer.Option(help="Folder to write (Sequences).")],
    tank_treading: int = 30,
    flipping: int = 10,
    unreliable: int = 100,
    seed: int = 0,
) -> None:
    """Simulate labelled sequences of single cells (all in the split 'test').

    Example: rbc simulate sequences --out /tmp/cells --tank-treading 50 --seed 7
    """
    counts = {"test": {"tank-treading": tank_treading, "flipping": flipping, "unreliable": unreliable}}
    simulate.sequences(counts, seed=seed, progress=sys.stderr.isatty()).save(out)
    typer.echo(f"{tank_treading + flipping + unreliable} simulated sequences in {out}")


@app.command("run")
def run(
    stage: Annotated[int, typer.Option(help="1: reliable or unreliable; 2: flipping or tank-treading.")],
    model: Annotated[str, typer.Option(help="cnn (ResNet-18 over K frames) or crnn (CNN, then GRU).")],
    sampling: Annotated[str, typer.Option(help="uniform or similarity.")],
    k: Annotated[int, typer.Option(help="Frames at most: 10, 20, 30 or 50.")],
    profile: ProfileOption = "demo",
    seed: int = 0,
) -> None:
    """Train one configuration: executes the train notebook into results/<profile>/stage<S>/<run>.

    Example: rbc run --profile demo --stage 2 --model cnn --sampling similarity --k 20
    """
    p = profiles.load(profile)
    sequences.load(p.data_folder)
    typer.echo(runs.run(Configuration(stage, model, sampling, k, seed), p, p.data_folder))


@app.command("grid")
def grid(
    profile: ProfileOption = "demo",
    data: DataOption = None,
    jobs: JobsOption = 0,
    dry_run: Annotated[bool, typer.Option(help="List the runs and whether each is there; run nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train every configuration of a profile, several at a time; goes on where it was interrupted.

    Example: rbc grid --profile demo --dry-run
    """
    p = profiles.load(profile)
    if dry_run:
        _list_runs(p, as_json)
    else:
        _snakemake("runs", p, data, jobs)


def _list_runs(p: Profile, as_json: bool) -> None:
    rows = [{"run": c.path, "complete": runs.complete(p.results_folder / c.path)} for c in p.configurations()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        typer.echo("\n".join(f"{'complete' if r['complete'] else 'to do   '}  {r['run']}" for r in rows))


@app.command("book")
def book(profile: ProfileOption = "demo", data: DataOption = None, jobs: JobsOption = 0) -> None:
    """Make a profile's runs and pages and build the book into _build/html.

    Example: rbc book --profile released --data ../shared/data/released-sample
    """
    _snakemake("book", profiles.load(profile), data, jobs)


def _snakemake(target: str, p: Profile, data: Path | None, jobs: int) -> None:
    source = "" if p.data.source == "simulated" else _data_folder(data)
    command = [
        sys.executable, "-m", "snakemake", target, "--snakefile", str(ROOT / "workflow" / "Snakefile"), "--directory", str(ROOT),
        "--cores", str(jobs or os.cpu_count()), "--rerun-incomplete", "--rerun-triggers", "mtime", "--keep-going", "--nolock",
        "--quiet", "rules", "host", "reason",
        "--config", f"profile={p.path}", f"data={source}",
    ]  # fmt: skip
    try:
        with FileLock(ROOT / "results" / ".lock", timeout=0):
            code = subprocess.run(command).returncode
    except Timeout as error:
        raise RbcError(f"another grid or book is being made in {ROOT}; wait for it") from error
    if code:
        raise RbcError(f"profile {p.name}: not all of it was made (see above); the same command goes on where it stopped")


@app.command("report", hidden=True)
def report(name: str, profile: ProfileOption, results: Path, out: Path) -> None:
    """Execute one report notebook (used by the workflow)."""
    p = profiles.load(profile)
    runs.report(name, p, results, out)


@app.command("results")
def results(profile: ProfileOption = "demo", as_json: JsonOption = False) -> None:
    """Scores of a profile's runs, validation and test.

    Example: rbc results --profile demo --json
    """
    table = runs.collect(profiles.load(profile).results_folder)
    columns = ["run", "split", "n", "tp", "fp", "fn", "tn", "f1", "recall", "specificity"]
    typer.echo(table.to_json(orient="records", indent=1) if as_json else table[columns].round(3).to_string(index=False))


def main() -> None:
    """Entry point: one line on standard error and exit code 1 for what `RbcError` says."""
    try:
        app()
    except RbcError as error:
        typer.echo(f"rbc: {error}", err=True)
        sys.exit(1)
