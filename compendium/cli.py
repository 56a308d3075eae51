"""The commands that the checkout adds to ``rbc``: the paper's reproduction and its review."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compendium import ROOT, need_checkout
from rbc import RbcError
from rbc.cli import READERS, STRIPS, JsonOption
from rbc.cli import main as main  # the rbc of an older installation calls it here

# Each command imports what it needs, because --help and a wrong argument need none of it.
if TYPE_CHECKING:
    from compendium import attempts
    from compendium.evidence import audit, study
    from compendium.profiles import Profile
    from rbc.sequences import Sequences

app = typer.Typer()
data_app = typer.Typer(no_args_is_help=True, help="The sequences a profile runs on.")
PAPER = "Reproduce the paper"  #: panels of ``rbc --help``, by who needs the commands
REVIEW = "Review the paper"
app.add_typer(data_app, name="data", rich_help_panel=PAPER)

ProfileOption = Annotated[
    str, typer.Option(help="Name of a profile in config/, or a path to one (.yaml).")
]
DataOption = Annotated[
    Path | None, typer.Option(help="Folder of the data, for profiles that do not simulate theirs.")
]
SimulatedOption = Annotated[
    bool, typer.Option("--simulated", help="The given data are simulated, not real.")
]
REFERENCE = ROOT / "data" / "reference"  #: runs that are kept in the checkout
JobsOption = Annotated[int, typer.Option(help="Runs at the same time; 0: one a core.")]


def add_to(commands: typer.Typer) -> None:
    """Add these commands to those of ``rbc``, and let those open the paper's form of data."""
    commands.add_typer(app)
    READERS[STRIPS] = _strips


def _strips(folder: Path) -> Sequences:
    """Sequences of a folder of strips with dataset.csv."""
    from compendium.data import ingest

    return ingest.strips(folder)


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
    from compendium.data import prepare

    p = _profile(profile)
    found = prepare.prepare(p, data, simulated, progress=sys.stderr.isatty())
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
    from compendium.data import prepare

    counts = prepare.counts(_profile(profile))
    if as_json:
        typer.echo(json.dumps(counts))
        return
    labels = list(dict.fromkeys(label for row in counts.values() for label in row))
    typer.echo(" ".join(["split".ljust(10), *(label.rjust(13) for label in labels)]))
    for split, row in counts.items():
        typer.echo(
            " ".join([split.ljust(10), *(str(row.get(label, 0)).rjust(13) for label in labels)])
        )


@app.command("run", rich_help_panel=PAPER)
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
    force: Annotated[
        bool, typer.Option("--force", help="Train it anew where it is done and fresh.")
    ] = False,
) -> None:
    """Train one configuration: executes the train notebook into results/<profile>/stage<S>/<run>.

    A run that is done, of the profile, data and code as they are now, is left as it is.

    Example: rbc run --profile demo --stage 2 --model cnn --sampling similarity --k 20
    """
    from rbc.paper import Configuration

    p, c = _profile(profile), Configuration(stage, model, sampling, k, seed, variant)
    if c not in p.configurations():
        raise RbcError(
            f"{c.path} is not a run of profile {p.name}; rbc grid --profile {p.name} --dry-run"
            " lists them"
        )
    from compendium import tasks
    from compendium.data import prepare

    prepare.check(p)
    prepare.describe(p, partial(typer.echo, err=True))
    if not force and not tasks.run_task(c, p, pages=True).why():
        typer.echo(f"{c.path} is done and fresh; --force trains it anew", err=True)
    typer.echo(tasks.one(c, p, force))


@app.command("grid", rich_help_panel=PAPER)
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
    from compendium import tasks

    p = _profile(profile)
    if dry_run:
        _list_runs(tasks.states(p), as_json)
    elif status:
        _show(tasks.states(p), as_json)
    elif workflow_profile:
        tasks.grid_on_cluster(p, data, jobs, workflow_profile)
    else:
        tasks.grid(p, data, jobs, simulated)


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


@app.command("book", rich_help_panel=PAPER)
def book(
    profile: ProfileOption = "demo",
    data: DataOption = None,
    jobs: JobsOption = 0,
    simulated: SimulatedOption = False,
    listing: Annotated[
        bool,
        typer.Option("--list", help="List all that is made, what is stale and why; make nothing."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a profile's runs and pages and build the book into _build/html.

    Example: rbc book --profile released --data ../shared/data/released-sample
    """
    from compendium import tasks

    p = _profile(profile)
    if listing:
        _list_tasks(tasks.listed(p, data), as_json)
        return
    tasks.book(p, data, jobs, simulated)
    typer.echo(f"the book is {ROOT}/_build/html/index.html")


def _list_tasks(rows: list[dict], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        typer.echo(
            f"{'stale' if row['stale'] else 'fresh'}  {row['task']:32} {row['why']}".rstrip()
        )
    stale = sum(row["stale"] for row in rows)
    typer.echo(f"{len(rows)} tasks, {stale} stale")


@app.command("results", rich_help_panel=PAPER)
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
    from compendium import runs, submission, tasks

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
    standing = {s.run: s.state for s in tasks.states(p)}
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


@app.command("compare", rich_help_panel=PAPER)
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


@app.command("audit", rich_help_panel=REVIEW)
def audit_numbers(as_json: JsonOption = False) -> None:
    """Say whether the paper's printed numbers can be true together; needs no data.

    Example: rbc audit --json
    """
    from compendium.evidence import audit, crosschecks

    rows = audit.rows()
    found = [*crosschecks.statements(), *crosschecks.explanations(rows)]
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


@app.command("claims", rich_help_panel=REVIEW)
def judge_claims(
    profile: ProfileOption = "released",
    results: Annotated[
        Path | None, typer.Option(help="Folder of runs; by default data/reference/<profile>.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a profile's runs make of every claim of the paper, reported scores first.

    Example: rbc claims --profile released --json
    """
    from compendium.evidence import verdicts

    p = _profile(profile)
    ours = _study(p, results)
    verdicts.make(p, ours.folder)
    found = verdicts.read(ours.folder)
    if as_json:
        typer.echo(json.dumps(found.records(), indent=1))
        return
    for group, counted in found.counts().items():
        typer.echo(f"{group}: {', '.join(f'{n} {name}' for name, n in counted.items() if n)}")
    typer.echo(found.scope)
    for group, own in found.by_group().items():
        typer.echo(f"\n{group.upper()}")
        for c in own:
            v = found.by_id[c.id]
            typer.echo(f"{v.verdict}: {c.says} ({c.place})\n  {c.id}: {v.found}")
            for reading in v.readings:
                typer.echo(f"  reading: {reading}")


@app.command("packet", rich_help_panel=REVIEW)
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
