"""``rbc``: the command line. Thin: every command calls one or two functions of the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout
from tqdm import tqdm

from rbc import (
    ROOT,
    RbcError,
    attempts,
    audit,
    checks,
    claims,
    compare,
    crosschecks,
    download,
    ingest,
    profiles,
    runs,
    sequences,
    simulate,
    study,
)  # fmt: skip
from rbc.paper import Configuration
from rbc.profiles import Profile

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="The sequences a profile runs on.")
simulate_app = typer.Typer(no_args_is_help=True, help="Simulated cells with known labels.")
app.add_typer(data_app, name="data")
app.add_typer(simulate_app, name="simulate")

ProfileOption = Annotated[str, typer.Option(help="Name of a profile in config/, or a path to one (.yaml).")]
DataOption = Annotated[Path | None, typer.Option(help="Folder of the data, for profiles that do not simulate theirs.")]
SimulatedOption = Annotated[bool, typer.Option("--simulated", help="The given data are simulated, not real.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
MovieArgument = Annotated[Path, typer.Argument(help="Movie (AVI, MP4, MKV), TIFF stack, or folder of TIFF frames.")]
RateOption = Annotated[float | None, typer.Option(help="Frames/s; by default from the file.")]
PixelOption = Annotated[float | None, typer.Option(help="Pixel size in um; by default from the file, else 0.6.")]
ShearOption = Annotated[float, typer.Option(help="Shear rate at the wall, 1/s.")]
ThreadsOption = Annotated[int, typer.Option(help="Threads; 0: one a core. The result does not depend on it.")]
ModelsOption = Annotated[Path | None, typer.Option(help="Folder of other models than the shipped ones.")]
JobsOption = Annotated[int, typer.Option(help="Runs at the same time; 0: one a core.")]


@data_app.command("fetch")
def data_fetch(
    which: Annotated[str, typer.Argument(help="released (the authors' sample) or zenodo (the paper's record).")],
    out: Annotated[Path | None, typer.Option(help="Folder to fill; by default data/raw/<which>.")] = None,
    from_path: Annotated[Path | None, typer.Option("--from", help="Take files already downloaded; no network.")] = None,
    base: Annotated[str | None, typer.Option(hidden=True, help="Another server, for tests.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch data and verify it; goes on where it was interrupted.

    Example: rbc data fetch zenodo --from ~/Downloads
    """
    fetchers = {"released": download.fetch_released, "zenodo": download.fetch_zenodo}
    if which not in fetchers:
        raise RbcError(f"{which!r} cannot be fetched: choose one of {', '.join(fetchers)}")
    folder = out or ROOT / "data" / "raw" / which
    meta = fetchers[which](folder, from_path, **({"base": base} if base else {}))
    typer.echo(json.dumps(meta, indent=1) if as_json else f"{meta['source']}, verified, in {folder}")


@data_app.command("prepare")
def data_prepare(profile: ProfileOption = "demo", data: DataOption = None, simulated: SimulatedOption = False) -> None:
    """Make a profile's sequences, in data/derived/<profile>, and check them.

    Example: rbc data prepare --profile released --data ../shared/data/released-sample
    """
    _prepare(profiles.load(profile), data, simulated)


def _prepare(p: Profile, data: Path | None, simulated: bool = False) -> None:
    from rbc import sampling  # here, as numba would slow the start of every command

    simulated = simulated or (_is_prepared(p, data) and sequences.load(p.data_folder).simulated)  # once said, it stays
    if p.data.source == "simulated":
        simulate.sequences(p.data.counts, seed=p.data.seed, progress=sys.stderr.isatty()).save(p.data_folder)
    elif p.data.source == "released":
        ingest.released(_data_folder(p, data)).save(p.data_folder)
    else:
        ingest.into(_data_folder(p, data), p.data_folder, simulated=simulated)
    made = sequences.load(p.data_folder)
    ranks = sampling.ranks(made, threads=os.cpu_count(), progress=sys.stderr.isatty())
    sequences.add_similarity(p.data_folder, ranks)
    runs.describe(made, p.results_folder)
    _source_note(p).write_text(_source(p, data))
    typer.echo(f"{len(made)} sequences in {p.data_folder}")


@data_app.command("check")
def data_check(profile: ProfileOption = "demo", as_json: JsonOption = False) -> None:
    """Say what the paper states of the data, what this profile's data shows, and whether it matters.

    Example: rbc data check --profile released
    """
    findings = checks.check(sequences.load(profiles.load(profile).data_folder))
    if as_json:
        typer.echo(json.dumps([f.record() for f in findings], indent=1, default=str))
    for f in [] if as_json else findings:
        grave = "  (grave)" if f.grave else ""
        typer.echo(f"{f.key}{grave}\n  paper: {f.paper}\n  data: {f.data}\n  matters: {f.matters}\n")


def _source(p: Profile, data: Path | None) -> str:
    return "" if p.data.source == "simulated" else str(_data_folder(p, data))


def _source_note(p: Profile) -> Path:
    """Where it is kept, out of git, which folder a profile's sequences were made from."""
    return p.data_folder.with_name(f"{p.name}.source")


def _is_prepared(p: Profile, data: Path | None) -> bool:
    note = _source_note(p)
    there = (p.data_folder / "meta.json").exists() and (p.results_folder / "dataset.json").exists()
    return there and note.exists() and note.read_text() == _source(p, data)


def _data_folder(p: Profile, data: Path | None) -> Path:
    usual = {"released": os.environ.get("RBC_SAMPLE"), "zenodo": ROOT / "data" / "raw" / "zenodo"}
    folder = data or usual[p.data.source]
    if not folder:
        raise RbcError(f"profile {p.name} needs a data folder: give --data PATH (make book: DATA=PATH)")
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


@simulate_app.command("video")
def simulate_video(
    out: Annotated[Path, typer.Option(help="Folder to write: movie.avi, truth.parquet, meta.json.")],
    frames: Annotated[int, typer.Option(help="Length of the movie.")] = 300,
    cells: Annotated[float, typer.Option(help="Moving cells in a frame, on average (the paper: about 50).")] = 50,
    sprites: Annotated[Path | None, typer.Option(help="Sequences to composite instead of drawing cells.")] = None,
    seed: int = 0,
) -> None:
    """Simulate a movie of cells in shear flow with the truth about every cell.

    Example: rbc simulate video --out /tmp/movie --frames 120 --cells 20
    """
    from rbc import movies  # here, as numba and PyAV would slow the start of every command

    given = sequences.load(sprites) if sprites else None
    with tqdm(total=frames, desc="simulate", unit="frame", disable=not sys.stderr.isatty()) as bar:
        scene = movies.Scene(frames=frames, cells=cells, seed=seed)
        movies.simulate_movie(out, scene, given, progress=lambda done: bar.update(done - bar.n))
    made = json.loads((out / "meta.json").read_text())["frames"]
    typer.echo(f"a simulated movie of {made} frames in {out}")
    if made < frames:
        typer.echo(f"{sprites}: its {len(given)} sequences last no longer; give more for {frames} frames", err=True)


@app.command("track")
def track(
    video: MovieArgument,
    out: Annotated[Path, typer.Option(help="Folder to write: Sequences, tracks.parquet, overlay.png.")],
    frame_rate: RateOption = None,
    um_per_px: PixelOption = None,
    shear_rate: ShearOption = 10.0,
    clip: Annotated[
        bool, typer.Option(help="Also write clip.avi, the first 300 frames with a box around each cell.")
    ] = False,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Track the cells of a movie into sequences of 31 x 31 px.

    Example: rbc track movie.avi --out /tmp/tracked --um-per-px 0.6
    """
    from rbc import tracking  # here, as numba and PyAV would slow the start of every command

    options = {"frame_rate": frame_rate, "um_per_px": um_per_px, "shear_rate": shear_rate}
    with _tracked() as progress:
        found = tracking.track_movie(
            video, out, clip=clip, threads=threads or os.cpu_count(), progress=progress, **options
        )
    notes = found.meta["notes"]
    answer = {"sequences": len(found), "folder": str(out), "notes": notes}
    typer.echo(json.dumps(answer, indent=1) if as_json else "\n".join([f"{len(found)} sequences in {out}", *notes]))


@contextmanager
def _tracked() -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar of tracking, as what `rbc.tracking.track` calls."""
    with tqdm(desc="track", unit="frame", disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, announced: int | None) -> None:
            bar.total = announced
            bar.update(done - bar.n)

        yield progress


@app.command("analyze")
def analyze_movie(
    video: MovieArgument,
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default <name of the movie>-report.")] = None,
    frame_rate: RateOption = None,
    um_per_px: PixelOption = None,
    shear_rate: ShearOption = 10.0,
    models: ModelsOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Judge a movie unlike the known ones all the same; the report says so.")
    ] = False,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """From a movie to the fraction of tank-treading cells and a report to correct. Not a medical device.

    Example: rbc analyze movie.avi --out /tmp/report --um-per-px 0.6
    """
    from rbc import analyze  # here, as PyTorch and numba would slow the start of every command

    folder = out or Path(f"{video.stem}-report")
    options = {"frame_rate": frame_rate, "um_per_px": um_per_px, "shear_rate": shear_rate}
    with _tracked() as progress:
        options |= {"models": models or analyze.MODELS, "force": force, "progress": progress}
        found = analyze.analyze(video, folder, threads=threads or os.cpu_count(), **options)
    typer.echo(json.dumps(found, indent=1) if as_json else analyze.in_words(found) + f"\nreport: {folder}/report.html")


@app.command("classify")
def classify_cells(
    cells: Annotated[
        Path, typer.Argument(metavar="SEQUENCES", help="Sequences (as rbc track writes), or strips with dataset.csv.")
    ],
    models: ModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each cell whether it is reliable and whether it flips, by the shipped models. Not a medical device.

    Warns of cells unlike those that the models know: other pixels, another light, another camera.

    Example: rbc classify /tmp/tracked --json
    """
    from rbc import analyze, classify  # here, as PyTorch and numba would slow the start of every command

    found = sequences.load(cells) if (cells / "meta.json").exists() else ingest.strips(cells)
    folder = models or analyze.MODELS
    known = analyze.read_known(folder)["looks"]
    if found.simulated:
        typer.echo("these cells are simulated", err=True)
    for warning in analyze.unlike(found, known) if len(found) else ():
        typer.echo(f"warning: {warning}", err=True)
    table = classify.classify(found, folder, progress=sys.stderr.isatty())
    typer.echo(table.to_json(orient="records", indent=1) if as_json else table.round(3).to_string(index=False))


@app.command("run")
def run(
    stage: Annotated[int, typer.Option(help="1: reliable or unreliable; 2: flipping or tank-treading.")],
    model: Annotated[str, typer.Option(help="cnn (ResNet-18 over K frames) or crnn (CNN, then GRU).")],
    sampling: Annotated[str, typer.Option(help="uniform or similarity.")],
    k: Annotated[int, typer.Option(help="Frames at most: 10, 20, 30 or 50.")],
    profile: ProfileOption = "demo",
    seed: int = 0,
    variant: Annotated[str, typer.Option(help="An open detail switched, by name (see the book's register).")] = "text",
    gpus: Annotated[str, typer.Option(help="Take the first free one of these GPUs, e.g. 0,1; else PyTorch's.")] = "",
) -> None:
    """Train one configuration: executes the train notebook into results/<profile>/stage<S>/<run>.

    Example: rbc run --profile demo --stage 2 --model cnn --sampling similarity --k 20
    """
    p, c = profiles.load(profile), Configuration(stage, model, sampling, k, seed, variant)
    if c not in p.configurations():
        raise RbcError(f"{c.path} is not a run of profile {p.name}; rbc grid --profile {p.name} --dry-run lists them")
    gpu = attempts.one_gpu(gpus.split(","), ROOT / "results") if gpus else nullcontext()
    with attempts.attempt(p.results_folder / c.path), gpu:
        sequences.load(p.data_folder)
        typer.echo(runs.run(c, p, p.data_folder))


@app.command("grid")
def grid(
    profile: ProfileOption = "demo",
    data: DataOption = None,
    jobs: JobsOption = 0,
    workflow_profile: Annotated[
        Path | None, typer.Option(help="Folder of a Snakemake profile that leads to a cluster, e.g. workflow/slurm.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="List the runs and whether each is there; run nothing.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="List which runs are done, running, failed; run nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train every configuration of a profile, several at a time; goes on where it was interrupted.

    Takes every GPU of this machine, one a run, or with --workflow-profile a cluster. A run that fails is tried once
    more and does not stop the others.

    Example: rbc grid --profile demo --dry-run
    """
    p = profiles.load(profile)
    if dry_run:
        _list_runs(p, as_json)
    elif status:
        _show(attempts.status(p), as_json)
    else:
        _snakemake("runs", p, data, jobs, workflow_profile)


def _list_runs(p: Profile, as_json: bool) -> None:
    rows = [{"run": c.path, "complete": runs.complete(p.results_folder / c.path)} for c in p.configurations()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        typer.echo("\n".join(f"{'complete' if r['complete'] else 'to do   '}  {r['run']}" for r in rows))


def _show(standings: list[attempts.Standing], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(s) for s in standings], indent=1))
        return
    numbers = Counter(s.state for s in standings)
    total = ", ".join(f"{numbers[state]} {state}" for state in attempts.STATES)
    typer.echo("\n".join([*map(str, standings), f"{len(standings)} runs: {total}"]))


@app.command("book")
def book(profile: ProfileOption = "demo", data: DataOption = None, jobs: JobsOption = 0) -> None:
    """Make a profile's runs and pages and build the book into _build/html.

    Example: rbc book --profile released --data ../shared/data/released-sample
    """
    _snakemake("book", profiles.load(profile), data, jobs)


def _snakemake(target: str, p: Profile, data: Path | None, jobs: int, cluster: Path | None = None) -> None:
    source = _source(p, data)
    command = [sys.executable, "-m", "snakemake", target, "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--directory", str(ROOT), "--keep-going", "--nolock", "--rerun-incomplete"]
    command += ["--rerun-triggers", "mtime", "params"]
    command += _on_cluster(cluster, jobs) if cluster else _on_this_machine(p, jobs)
    command += [f"profile={p.path}", f"data={source}"]
    (ROOT / "results").mkdir(exist_ok=True)
    try:
        with FileLock(ROOT / "results" / ".lock", timeout=0):
            if not _is_prepared(p, data):
                _prepare(p, data)  # before the workflow, so that bad data ends in one line
            code = _watched(command)
    except Timeout as error:
        raise RbcError(f"another grid or book is being made in {ROOT}; wait for it") from error
    if code:
        for missed in [s for s in attempts.status(p) if s.state in ("failed", "interrupted")]:
            typer.echo(missed, err=True)
        raise RbcError(
            f"profile {p.name}: not all of it was made (see above); the same command goes on where it stopped"
        )


def _on_this_machine(p: Profile, jobs: int) -> list[str]:
    """Snakemake's options here, the last one --config: a GPU for each run that may use one, if there are any."""
    gpus = [] if p.training.device == "cpu" else attempts.gpus()
    if p.training.device == "cuda" and not gpus:
        raise RbcError(f"profile {p.name} has device: cuda, but there is no GPU here; set device: auto or cpu")
    options = ["--cores", str(jobs or os.cpu_count()), "--resources", f"gpu={len(gpus)}", "--retries", "1"]
    options += ["--quiet", "rules", "host", "reason"]  # a run that fails shows its log
    return [*options, "--config", f"gpus=[{','.join(gpus)}]"]


def _on_cluster(folder: Path, jobs: int) -> list[str]:
    """Snakemake's options for a cluster, the last one --config; all others are in the folder's config.yaml."""
    if not (folder / "config.yaml").exists():
        raise RbcError(f"{folder}: no Snakemake profile there (config.yaml is missing); workflow/slurm is one")
    at_once = ["--jobs", str(jobs)] if jobs else []
    return ["--workflow-profile", str(folder.resolve()), *at_once, "--config"]


def _watched(command: list[str]) -> int:
    """Exit code of a program; an interrupt is left to it, so that it can stop what it started."""
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt as error:
        process.wait()
        raise RbcError("interrupted; the same command goes on where it stopped") from error


@app.command("report", hidden=True)
def report(
    name: str,
    profile: ProfileOption,
    results: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Execute one report notebook (used by the workflow)."""
    runs.report(name, profiles.load(profile), results, out)


@app.command("results")
def results(profile: ProfileOption = "demo", as_json: JsonOption = False) -> None:
    """Scores of a profile's runs, validation and test.

    Example: rbc results --profile demo --json
    """
    table = runs.collect(profiles.load(profile).results_folder)
    columns = ["run", "split", "n", "tp", "fp", "fn", "tn", "f1", "recall", "specificity"]
    typer.echo(table.to_json(orient="records", indent=1) if as_json else table[columns].round(3).to_string(index=False))


@app.command("compare")
def compare_run(
    run: Annotated[Path, typer.Argument(help="A run's folder below results/.")],
    reference: Annotated[Path, typer.Option(help="Folder of kept runs.")] = runs.REFERENCE,
    as_json: JsonOption = False,
) -> None:
    """Is my run normal? Its scores and losses in the distribution of kept seeds, and what differs.

    Example: rbc compare results/released/stage2/cnn-similarity-k20-s0
    """
    found = compare.compare(run, reference)
    if as_json:
        typer.echo(json.dumps(found.record(), indent=1))
        return
    inside = f"validation loss inside at {int(found.epochs['inside'].sum())} of {len(found.epochs)} epochs"
    seeds = ", ".join(map(str, found.seeds))
    typer.echo(f"{found.verdict}: beside {len(found.seeds)} kept seeds ({seeds}), 95 % interval of one more seed")
    typer.echo(f"{found.scores.round(3).to_string(index=False)}\n{inside}\n")
    typer.echo(
        "what differs:\n" + found.differences.to_string(index=False) if len(found.differences) else "no difference"
    )


@app.command("audit")
def audit_numbers(as_json: JsonOption = False) -> None:
    """Say whether the paper's printed numbers can be true together; needs no data.

    Example: rbc audit --json
    """
    rows = audit.rows()
    found = [*crosschecks.statements(), *crosschecks.explanations(rows)]
    if as_json:
        typer.echo(json.dumps({"rows": [r.record() for r in rows], "checks": [c.record() for c in found]}, indent=1))
        return
    for row in rows:
        typer.echo(f"{row.table:12}  {row.model:4}  {row.sampling:10}  K = {row.k}  {_possible(row)}")
    for c in found:
        note = f"\n  note: {c.note}" if c.note else ""
        readings = "".join(f"\n  reading: {reading}" for reading in c.readings)
        typer.echo(f"\n{c.key}: {c.verdict}\n  paper ({c.place}): {c.statement}\n  found: {c.found}{note}{readings}")


@app.command("claims")
def judge_claims(
    profile: ProfileOption = "released",
    results: Annotated[Path | None, typer.Option(help="Folder of runs; by default data/reference/<profile>.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a profile's runs make of every statement of the paper, printed scores first.

    Example: rbc claims --profile released --json
    """
    p, (tolerance, listed) = profiles.load(profile), claims.load()
    ours = _study(p, results)
    verdicts = {c.id: claims.judge(c, ours, tolerance) for c in listed}
    if as_json:
        kept = {"tolerance": tolerance.model_dump(), "scope": claims.scope(ours)}
        kept["counts"] = claims.counts(listed, verdicts)
        records = [claims.record(c, verdicts[c.id]) for own in claims.by_group(listed).values() for c in own]
        typer.echo(json.dumps(kept | {"claims": records}, indent=1))
        return
    for group, found in claims.counts(listed, verdicts).items():
        typer.echo(f"{group}: {', '.join(f'{n} {name}' for name, n in found.items() if n)}")
    typer.echo(claims.scope(ours))
    for group, own in claims.by_group(listed).items():
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
    results: Annotated[Path | None, typer.Option(help="Folder of runs; by default data/reference/<profile>.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the packet for reviewers: codecheck.yml, outputs, checklists with what is open, model cards.

    Example: rbc packet --profile released --out packet
    """
    from rbc import packet  # here, as its tables would slow the start of every command

    p = profiles.load(profile)
    found = packet.write(_study(p, results), out)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "checklists": found}, indent=1))
        return
    typer.echo("\n".join(f"{name}: {n['answered']} answered, {n['open']} open" for name, n in found.items()))
    typer.echo(f"packet in {out}")


def _study(p: Profile, results: Path | None) -> study.Study:
    """The runs of a profile that are kept, or those of a folder."""
    folder = results or runs.REFERENCE / p.name
    if not (folder / "dataset.json").exists():
        raise RbcError(f"{folder}: no results there; give --results FOLDER, such as results/{p.name}")
    return study.Study(p, folder)


def _possible(row: audit.Row) -> str:
    if row.possible:
        return f"possible, {row.matrices} confusion matri{'x' if row.matrices == 1 else 'ces'}"
    if len(row.fails[0]) > 1:
        return f"impossible, even were any {len(row.fails[0]) - 1} of its scores wrong"
    return f"impossible, but for {' or '.join(score for (score,) in row.fails)}"


def main() -> None:
    """Entry point: one line on standard error and exit code 1 for what `RbcError` says."""
    try:
        app()
    except RbcError as error:
        typer.echo(f"rbc: {error}", err=True)
        sys.exit(1)
