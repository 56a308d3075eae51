"""The runs of a profile on a cluster, by Snakemake and its SLURM executor."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from compendium import ROOT, engine, notebooks
from compendium.data.prepare import Say
from compendium.profiles import Profile
from rbc import RbcError

STATUS = "slurm-status-command"  #: of Snakemake's executor: sacct (its default) or squeue


def check(workflow_profile: Path) -> None:
    """Raises `RbcError` where a folder is no Snakemake profile."""
    if not (workflow_profile / "config.yaml").exists():
        raise RbcError(
            f"{workflow_profile}: no Snakemake profile there (config.yaml is missing);"
            " workflow/slurm is one"
        )


def run(p: Profile, stale: list[str], jobs: int, workflow_profile: Path, say: Say) -> int:
    """Send the stale runs of a profile to a cluster and wait for them.

    Parameters
    ----------
    p : the profile
    stale : paths of the runs below its results
    jobs : runs at the same time; 0: as many as the folder's config.yaml says
    workflow_profile : a Snakemake profile
    say : takes a line about a step

    Returns
    -------
    Exit code of Snakemake
    """
    logs = ROOT / notebooks.LOGS / p.name
    logs.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (logs / f"{name.replace('/', '-')}.done").unlink(missing_ok=True)
    told = logs / "grid.json"  # a file: on a command line, Snakemake would read a path as YAML
    told.write_text(json.dumps({"profile": p.path, "runs": stale}), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "runs"]
    command += ["--snakefile", str(ROOT / "workflow" / "Snakefile"), "--directory", str(ROOT)]
    command += ["--keep-going", "--nolock", "--rerun-incomplete", "--rerun-triggers", "mtime"]
    command += ["--workflow-profile", str(workflow_profile.resolve())]
    command += ["--configfile", str(told), *(["--jobs", str(jobs)] if jobs else [])]
    return engine.watched([*command, *status_options(workflow_profile, say)])


def status_options(workflow_profile: Path, say: Say) -> list[str]:
    """Options that make Snakemake ask squeue where a SLURM keeps no accounts, as sacct would never
    say there that a job has ended.

    Parameters
    ----------
    workflow_profile : a Snakemake profile; what it says of the command holds
    say : takes the line that says so
    """
    chosen = yaml.safe_load((workflow_profile / "config.yaml").read_text(encoding="utf-8")) or {}
    if chosen.get("executor") != "slurm" or STATUS in chosen:
        return []
    if _keeps_accounts() or not shutil.which("squeue"):
        return []
    say("this cluster keeps no accounts (sacct fails), so squeue is asked how far the jobs are")
    return [f"--{STATUS}", "squeue"]


def _keeps_accounts() -> bool:
    try:
        asked = subprocess.run(["sacct", "-n", "-X"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
