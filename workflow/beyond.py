"""Judge the finished runs of the profile ours, keep the answers in data/reference/ours/ and ship models: no pixels.

    python workflow/beyond.py [--results results/ours]

Runs are those of `rbc grid --profile ours`. The support vector machines are fitted here, in seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from rbc import analyze, beyond, classify, metrics, profiles, runs, sequences
from rbc.paper import POSITIVE, RELIABLE, STAGES, in_stage, positive
from rbc.profiles import Fold, Profile
from rbc.sequences import Sequences

TOGETHER = -1  #: in column seed: all seeds' networks answer together
SHIPPED_SEED = 0  #: stage 1 ships one member for each blood draw, which that member has not seen
SHIPPED_FOLDS = 2  #: of stage 2's five, for speed
K_STAGE_1 = 10  #: frames that the shipped networks of stage 1 look at, for speed; they trained on 7 to 17
INPUT = "31 x 31 px of 0.6 um, 8 bit; networks take each sequence minus the median of its kept frames, over 20"
SCORES = ("recall", "specificity", "balanced_accuracy", "auc")


def main() -> None:
    """From the runs to the kept answers, the figures and the shipped weights."""
    profile = profiles.load("ours")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=profile.results_folder)
    results = parser.parse_args().results
    cells = sequences.load(profile.data_folder)
    left = units(sorted({a for fold in profile.stages[1].folds for a in fold.train}))
    folds = machine_folds(left)
    machine, arrays = beyond.machines(cells, folds)
    networks = {stage: {seed: network(results, stage, seed) for seed in seeds(results, stage)} for stage in (1, 2)}
    kept = runs.REFERENCE / "ours"
    keep(results, kept)
    runs.describe(cells, kept)
    first = judged_1(left, (machine, folds), networks[1], profile.stages[1].folds)
    table = pd.concat([*first, *judged_2(profile, networks[2])], ignore_index=True)
    table.to_parquet(kept / "answers.parquet", index=False)
    columns = ["stage", "model", "left_out"]
    found = [dict(zip(columns, key)) | figures(part, key[0]) for key, part in table.groupby(columns)]
    write(kept / "metrics.json", found)
    shipped = {"1": ship_1(cells, {"focus": (folds, arrays), "frames": (profile.stages[1].folds, None)}, results)}
    shipped["2"] = ship_2(profile, networks[2][SHIPPED_SEED], results)
    origin = {**runs.checkout(), "finished": runs.now(), "data": cells.meta["sha256"]}
    write(kept / "provenance.json", origin)
    write(classify.MODELS / "models.json", {"stages": shipped, "origin": origin, "input": INPUT})
    write(kept / "shipped.json", shipped_figures(cells))
    analyze.describe(cells.select((cells.index["split"] == "test").to_numpy()))
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


def units(acquisitions: list[str]) -> dict[str, list[list[str]]]:
    """What is left out in turn: each acquisition, each blood draw, each patient."""
    part_of = {"acquisition": str, "blood draw": metrics.blood_draw, "patient": lambda name: name[:2]}
    return {
        unit: [[a for a in acquisitions if of(a) == part] for part in sorted(set(map(of, acquisitions)))]
        for unit, of in part_of.items()
    }


def machine_folds(left: dict[str, list[list[str]]]) -> list[Fold]:
    """Each unit left out, for its answers; and each with one more acquisition, for the threshold."""
    acquisitions = [a for (a,) in left["acquisition"]]
    out = {frozenset([*own, *more]) for one in left.values() for own in one for more in ([], *left["acquisition"])}
    parts = [([a for a in acquisitions if a not in o], sorted(o)) for o in sorted(out, key=sorted)]
    return [Fold(train=train, validation=own, test=[]) for train, own in parts if train]


def judged_1(left: dict, machine: tuple, networks: dict[int, pd.DataFrame], folds: list[Fold]) -> list[pd.DataFrame]:
    """Stage 1: the machine; and where draws and patients are left out each seed's network, both, all together."""
    asked = {("focus", TOGETHER): [machine]}
    for seed, own in (networks | {TOGETHER: pd.concat(networks.values())} if networks else {}).items():
        asked |= {("frames", seed): [(own, folds)], ("frames + focus", seed): [(own, folds), machine]}
    return [
        beyond.judged(kinds, 1, group).assign(stage=1, model=model, left_out=name, seed=seed)
        for (model, seed), kinds in asked.items()
        for name, members in left.items()
        if model == "focus" or name != "acquisition"
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
    half = metrics.confusion(together.assign(probability=expit(together["score"])), stage)
    out["calibrated_half"] = {"recall": float(half.recall), "specificity": float(half.specificity)}
    by_label = called.groupby("label")["called"].mean()
    out["called_positive"] = {label: float(share) for label, share in by_label.items()}
    if stage == 1:
        out["motions_apart"] = float(abs(by_label[RELIABLE[0]] - by_label[RELIABLE[1]]))
    return out | {"unsure": float(called["unsure"].mean()), "wrong_of_the_sure": float(wrong.mean())}


def ship_1(cells: Sequences, kinds: dict[str, tuple], results: Path) -> dict:
    """Write stage 1's weights; its part of models.json, set by the shipped members' answers for what each left out.

    `kinds` has their folds and, for the machines, the arrays of each.
    """
    if not seeds(results, 1):
        kinds = {"focus": kinds["focus"]}
    chosen = {kind: draws_left_out(folds) for kind, (folds, _) in kinds.items()}
    members = {kind: {str(i): kinds[kind][0][i].train for i in own} for kind, own in chosen.items()}
    own = {"sampling": "uniform", "k": K_STAGE_1, "kinds": {kind: {"members": m} for kind, m in members.items()}}
    arrays = {"focus": kinds["focus"][1].__getitem__, "frames": lambda fold: weights(results, 1, fold)}
    save(1, {kind: {fold: arrays[kind](fold) for fold in folds} for kind, folds in chosen.items()})
    tests = cells.select((cells.index["split"] == "test").to_numpy())
    tables = [tests.index.assign(score=score) for score in classify.scores(tests, 1, own).values()]
    return placed(own, tables, 1)


def ship_2(profile: Profile, answers: pd.DataFrame, results: Path) -> dict:
    """Write stage 2's weights; its part of models.json, set by all folds' answers for the strips that each left out."""
    folds = profile.stages[2].folds
    kinds = {"frames": {fold: weights(results, 2, fold) for fold in range(SHIPPED_FOLDS)}}
    members = {str(fold): folds[fold].train for fold in range(SHIPPED_FOLDS)}
    own = {"sampling": "similarity", "k": 20, "kinds": {"frames": {"members": members}}}
    save(2, kinds)
    return placed(own, [answers[answers["split"] == "validation"].reset_index(drop=True)], 2)


def placed(own: dict, tables: list[pd.DataFrame], stage: int) -> dict:
    """A stage's part of models.json with calibration, threshold and what stays open; tables as its kinds of model."""
    both, pairs = beyond.combined(tables, np.ones(len(tables[0]), bool), stage)
    threshold, within = beyond.limits(both["score"].to_numpy(), positive(both["label"], stage), stage)
    about = {kind: {"slope": a, "offset": b, **own["kinds"][kind]} for kind, (a, b) in zip(own["kinds"], pairs)}
    return own | {"threshold": threshold, "unsure_within": within, "seed": SHIPPED_SEED, "kinds": about}


def save(stage: int, kinds: dict) -> None:
    """Weights by kind, fold and name."""
    classify.MODELS.mkdir(exist_ok=True)
    each = [(f"{kind}.{fold}", own) for kind, folds in kinds.items() for fold, own in folds.items()]
    tensors = {f"{member}.{name}": array for member, own in each for name, array in own.items()}
    save_file(tensors, classify.MODELS / f"stage{stage}.safetensors")


def draws_left_out(folds: list[Fold]) -> list[int]:
    """Stage 1's folds that leave out one blood draw, all of it and nothing else."""
    draws = [{metrics.blood_draw(a) for a in fold.validation} for fold in folds]
    return [i for i, fold in enumerate(folds) if len(fold.validation) > 1 and len(draws[i]) == 1]


def weights(results: Path, stage: int, fold: int) -> dict[str, np.ndarray]:
    """A fold's weights in half precision."""
    every = load_file(run_folder(results, stage, SHIPPED_SEED) / "weights.safetensors")
    own = {name: array for name, array in every.items() if name.startswith(f"fold{fold}.")}
    return {name.removeprefix(f"fold{fold}."): array.astype(np.float16) for name, array in own.items()}


def shipped_figures(cells: Sequences) -> list[dict]:
    """What `rbc classify` reaches on the test acquisitions, each judged by members that have not seen it."""
    tests = cells.select((cells.index["split"] == "test").to_numpy())
    found = tests.index[beyond.KEY].join(classify.classify(tests).drop(columns="name"))
    out = []
    for stage in STAGES:
        own = found[in_stage(found["label"], stage)]
        own = own.assign(probability=expit(own[f"{POSITIVE[stage]}_margin"]))
        out.append({"stage": stage, "scores": [metrics.uncertainty(own, stage, score) for score in SCORES]})
    wrong = (found["decision"] != found["label"]) & (found["decision"] != "unsure")
    return [*out, {"unsure": float((found["decision"] == "unsure").mean()), "wrong": float(wrong.mean())}]


def write(path: Path, content: dict | list) -> None:
    """JSON, an indent a level; what is not defined is null."""
    plain = json.loads(json.dumps(content), parse_constant=lambda word: None)
    path.write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
