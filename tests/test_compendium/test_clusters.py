"""How a cluster is asked how far its jobs are."""

from pathlib import Path

import pytest

from compendium import cluster


def program(folder: Path, name: str, code: int) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("config", "sacct", "expected"),
    [
        ("executor: slurm", 1, ["--slurm-status-command", "squeue"]),
        ("executor: slurm", None, ["--slurm-status-command", "squeue"]),
        ("executor: slurm", 0, []),
        ("executor: slurm\nslurm-status-command: sacct", 1, []),
        ("executor: local", 1, []),
    ],
)
def test_a_cluster_without_accounts_is_asked_by_squeue(
    config, sacct, expected, tmp_path, monkeypatch
):
    """Where sacct fails, Snakemake would wait for ever for jobs that have ended."""
    programs, said = tmp_path / "bin", []
    programs.mkdir()
    program(programs, "squeue", 0)
    if sacct is not None:
        program(programs, "sacct", sacct)
    monkeypatch.setenv("PATH", str(programs))
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    assert cluster.status_options(tmp_path, said.append) == expected
    assert len(said) == bool(expected)
