"""Judge the finished runs of the profile ours, keep the answers in data/reference/ours/ and ship models: no pixels.

    python workflow/beyond.py [--results results/ours]

Runs are those of `rbc grid --profile ours`. The support vector machines are fitted here, in seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from rbc import beyond, metrics, profiles, runs, sequences
from rbc.classify import MODELS
from rbc.paper import RELIABLE, positive
from rbc.profiles import Profile

TOGETHER = -1  #: in column seed: all seeds' networks answer together
SHIPPED_SEED, SHIPPED_FOLDS = 0, 3  #: of stage 2; stage 1 ships one member for each blood draw that it leaves out
SCORES = ("recall", "specificity", "balanced_accuracy", "auc")


def main() -> None:
    """From the runs to the kept answers, the figures and the shipped weights."""
    profile = profiles.load("ours")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=profile.results_folder)
    results = parser.parse_args().results
    cells = sequences.load(profile.data_folder)
    machine, arrays = beyond.machines(cells, profile.stages[1].folds)
    networks = {stage: {seed: network(results, stage, seed) for seed in seeds(results, stage)} for stage in (1, 2)}
    kept = runs.REFERENCE / "ours"
    keep(results, kept)
    runs.describe(cells, kept)
    table = pd.concat([*judged_1(profile, machine, networks[1]), *judged_2(profile, networks[2])], ignore_index=True)
    table.to_parquet(kept / "answers.parquet", index=False)
    columns = ["stage", "model", "left_out"]
    found = [dict(zip(columns, key)) | figures(part, key[0]) for key, part in table.groupby(columns)]
    write(kept / "metrics.json", found)
    shipped = {"1": ship(profile, 1, {"frames": networks[1], "focus": machine}, arrays, results)}
    shipped["2"] = ship(profile, 2, {"frames": networks[2]}, arrays, results)
    origin = {"commit": runs.git("rev-parse", "HEAD"), "dirty": runs.git("status", "--porcelain") != ""}
    origin |= {"finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "data": cells.meta["sha256"]}
    write(kept / "provenance.json", origin)
    about = {"input": "31 x 31 px of 0.6 um, 8 bit; each sequence minus the median of its kept frames, over 20"}
    write(MODELS / "models.json", {"stages": shipped, "origin": origin, **about})
    print(json.dumps(found))


def seeds(results: Path, stage: int) -> list[int]:
    """Seeds whose runs are complete."""
    found = (json.loads(p.read_text()) for p in results.glob(f"stage{stage}/[!.]*/config.json"))
    return sorted(c["seed"] for c in found)


def run_folder(results: Path, stage: int, seed: int) -> Path:
    """Of a stage's network with a seed."""
    (folder,) = results.glob(f"stage{stage}/[!.]*-s{seed}-frames")
    return folder


def network(results: Path, stage: int, seed: int) -> pd.DataFrame:
    """A run's predictions with scores."""
    return beyond.scored(pd.read_parquet(run_folder(results, stage, seed) / "predictions.parquet"))


def keep(results: Path, kept: Path) -> None:
    """The runs without weights and notebooks, and what describes the data."""
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(results, kept, ignore=shutil.ignore_patterns("weights.safetensors", "notebook.ipynb", ".*"))


def judged_1(profile: Profile, machine: pd.DataFrame, networks: dict[int, pd.DataFrame]) -> list[pd.DataFrame]:
    """Stage 1: the machine, each seed's network, both, and all seeds together; acquisitions, then patients left out."""
    folds = profile.stages[1].folds
    acquisitions = sorted({a for fold in folds for a in fold.train})
    patients = sorted({a[:2] for a in acquisitions})
    groups = {"acquisition": [[a] for a in acquisitions]}
    groups["patient"] = [[a for a in acquisitions if a.startswith(p)] for p in patients]
    asked = {("focus", TOGETHER): [machine]}
    for seed, own in (networks | {TOGETHER: pd.concat(networks.values())} if networks else {}).items():
        asked |= {("frames", seed): [own], ("frames + focus", seed): [own, machine]}
    return [
        beyond.judged([(kind, folds) for kind in kinds], 1, group).assign(
            stage=1, model=model, left_out=name, seed=seed
        )
        for (model, seed), kinds in asked.items()
        for name, members in groups.items()
        for group in members
    ]


def judged_2(profile: Profile, networks: dict[int, pd.DataFrame]) -> list[pd.DataFrame]:
    """Stage 2: each seed's networks, and all together, on the test acquisitions."""
    folds = profile.stages[2].folds
    together = {TOGETHER: pd.concat(networks.values())} if networks else {}
    return [
        beyond.judged([(own, folds)], 2, folds[0].test).assign(stage=2, model="frames", left_out="test", seed=seed)
        for seed, own in (networks | together).items()
    ]


def figures(table: pd.DataFrame, stage: int) -> dict:
    """Scores over seeds and of all seeds together, with 95 % intervals; recall by label; what staying open costs."""
    single, together = table[table["seed"] != TOGETHER], table[table["seed"] == TOGETHER]
    called = together.assign(called=together["probability"] >= metrics.THRESHOLD)
    sure = called[~called["unsure"]]
    wrong = sure["called"].to_numpy() != positive(sure["label"], stage)
    out = {"together": [metrics.uncertainty(together.drop(columns="seed"), stage, s) for s in SCORES]}
    if len(single):
        out["over_seeds"] = [metrics.uncertainty(single, stage, s) for s in SCORES]
    by_label = called.groupby("label")["called"].mean()
    out["called_positive"] = {label: float(share) for label, share in by_label.items()}
    if stage == 1:
        out["motions_apart"] = float(abs(by_label[RELIABLE[0]] - by_label[RELIABLE[1]]))
    return out | {"unsure": float(called["unsure"].mean()), "wrong_of_the_sure": float(wrong.mean())}


def ship(profile: Profile, stage: int, kinds: dict, arrays: list[dict], results: Path) -> dict:
    """Write a stage's weights; its part of models.json: calibrated and set on what each member left out."""
    folds = profile.stages[stage].folds
    chosen = list(range(SHIPPED_FOLDS)) if stage == 2 else draws_left_out(profile)
    kinds = {kind: table for kind, table in kinds.items() if len(table)}
    tensors, tables = {}, []
    for kind, given in kinds.items():
        table = given[SHIPPED_SEED] if kind == "frames" else given
        tables.append(table[table["fold"].isin(chosen) & (table["split"] == "validation")].sort_values("name"))
        tables[-1] = tables[-1].reset_index(drop=True)
        for fold in chosen:
            own = arrays[fold] if kind == "focus" else weights(results, stage, fold)
            tensors |= {f"{kind}.{fold}.{name}": array for name, array in own.items()}
    both, pairs = beyond.combined(tables, np.ones(len(tables[0]), bool), stage)
    threshold, within = beyond.limits(both["score"].to_numpy(), positive(both["label"], stage), stage)
    MODELS.mkdir(exist_ok=True)
    save_file(tensors, MODELS / f"stage{stage}.safetensors")
    members = {str(fold): folds[fold].train for fold in chosen}
    about = {kind: {"slope": a, "offset": b, "members": members} for kind, (a, b) in zip(kinds, pairs)}
    cell = profile.stages[stage].cells[0]
    out = {"sampling": cell.sampling, "k": cell.k, "threshold": threshold, "unsure_within": within, "kinds": about}
    return out | {"seed": SHIPPED_SEED, "epochs": profile.training.epochs}


def draws_left_out(profile: Profile) -> list[int]:
    """Stage 1's folds that leave out a blood draw, whole and alone, and train on all others."""
    folds = profile.stages[1].folds
    most = max(len(fold.train) for fold in folds)
    draws = [{metrics.blood_draw(a) for a in fold.validation} for fold in folds]
    return [i for i, fold in enumerate(folds) if len(fold.train) == most and len(draws[i]) == 1]


def weights(results: Path, stage: int, fold: int) -> dict[str, np.ndarray]:
    """A fold's weights in half precision."""
    every = load_file(run_folder(results, stage, SHIPPED_SEED) / "weights.safetensors")
    own = {name: array for name, array in every.items() if name.startswith(f"fold{fold}.")}
    return {name.removeprefix(f"fold{fold}."): array.astype(np.float16) for name, array in own.items()}


def write(path: Path, content: dict | list) -> None:
    """JSON, an indent a level."""
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
