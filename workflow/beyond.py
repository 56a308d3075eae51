"""Judge the finished runs of the profile ours, keep the answers in data/reference/ours/ and ship
models: no pixels.

    python workflow/beyond.py [--results results/ours]
    python workflow/beyond.py --stage1
    python workflow/beyond.py --unsure
    python workflow/beyond.py --known

Runs are those of `rbc grid --profile ours`. The support vector machines are fitted here, in
seconds. With `--stage1` only stage 1 is judged and shipped anew, from the predictions that are
kept: its shipped models are machines alone. Stage 2 stays as it is. With `--unsure` only what the
shipped models leave open is set anew. With `--known` the models stay as they are, and only what is
known of their errors is made anew (known.json and the kept figures of the shipped models).
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import series  # beside this script
from PIL import Image
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from compendium import beyond, profiles, runs
from compendium.profiles import Profile
from rbc import RbcError, files, metrics, sequences, training
from rbc.bench import analyze, classify, thresholds
from rbc.paper import MIN_FRAMES, POSITIVE, RELIABLE, STAGES, Configuration, in_stage, positive
from rbc.sequences import Sequences, from_list
from rbc.settings import Fold, folds

TOGETHER = -1  #: in column seed: all seeds' networks answer together
#: in column left_out: stage 2's answers for the strips, each by networks that have not seen it
SETTING = "strips"
TEAMS = {
    1: [("cnn",), ("frames",), ("focus",), ("frames", "focus")],
    2: [
        ("cnn",),
        ("crnn",),
        ("frames",),
        ("frames-transformer",),
        ("focus",),
        ("series",),
        ("frames", "focus"),
        ("frames", "frames-transformer", "focus"),
    ],
}  #: models that answer together
SHIPPED_SEED = 0
ALIKE = 0.05  #: motions kept or decided so far apart count as alike, as data/goals.yaml asks
#: how many members of each kind, None for all, chosen for speed: stage 1 has one for each blood
#: draw, which that member has not seen, and no networks (with the table of all models in sight);
#: stage 2 has one for each of the first folds
SHIPPED = {1: {"focus": None}, 2: {"focus": None, "frames": 2}}
SHIPPED_K = 10  #: frames that the shipped networks look at, for speed; they trained on 7 to 17
INPUT = (
    "31 x 31 px of 0.6 um, 8 bit; networks take each sequence minus the median of its kept"
    " frames, over 20"
)
SCORES = ("recall", "specificity", "balanced_accuracy", "auc")


def main() -> None:
    """From the runs to the kept answers, the figures and the shipped weights."""
    profile = profiles.load("ours")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=profile.results_folder)
    parser.add_argument("--stage1", action="store_true", help="stage 1 alone, anew")
    parser.add_argument(
        "--unsure", action="store_true", help="only what the shipped models leave open, anew"
    )
    parser.add_argument(
        "--known", action="store_true", help="only the known errors of the shipped models, anew"
    )
    chosen = parser.parse_args()
    results = chosen.results
    cells = sequences.load(profile.data_folder)
    origin = {**runs.checkout(), "finished": runs.now(), "data": cells.meta["sha256"]}
    kept = runs.REFERENCE / "ours"
    if chosen.stage1:
        return stage1_anew(profile, cells, kept, origin)
    if chosen.unsure:
        return unsure_anew(profile, cells, kept, origin)
    if chosen.known:
        return end(profile, cells, kept)
    keep(results, kept)
    runs.describe(cells, kept)
    write(kept / "provenance.json", origin)
    tables, shipped = [], {}
    for stage in STAGES:
        own, shipped[str(stage)] = stage_of(stage, profile, cells, results)
        tables += own
    told(pd.concat(tables, ignore_index=True), kept)
    specify({"stages": shipped, "origin": origin, "input": INPUT})
    end(profile, cells, kept)


def stage_of(stage: int, profile: Profile, cells: Sequences, results: Path) -> tuple[list, dict]:
    """Judge a stage and write its shipped weights: tables of answers, its part of models.json."""
    left = left_out(profile, stage)
    folds = machine_folds(left) if stage == 1 else profile.stages[stage].folds
    machine, arrays = beyond.machines(cells, folds, stage)
    others = {"focus": (machine, folds)}
    if stage == 2:
        others |= {"series": (series.machines(cells, folds), folds)}
    found = networks(results, stage, profile, cells)
    tables = judged(stage, found, profile.stages[stage].folds, others, left)
    return list(tables), ship(stage, cells, profile, folds, arrays, results)


def told(table: pd.DataFrame, kept: Path) -> None:
    """Write all answers, and the figures that follow from them."""
    table.to_parquet(kept / "answers.parquet", index=False)
    write(kept / "metrics.json", scores(table))


def scores(table: pd.DataFrame) -> list[dict]:
    """The figures of each stage, model and what was left out."""
    columns = ["stage", "model", "left_out"]
    groups = table.groupby(columns)
    return [dict(zip(columns, key)) | figures(part, key[0]) for key, part in groups]


def end(profile: Profile, cells: Sequences, kept: Path) -> None:
    """What the shipped models predict of labelled cells, for the page and beside the weights."""
    limits = {"1": limits_of_draws(profile, cells)}
    tests = cells.select((cells.index["split"] == "test").to_numpy())
    write(kept / "shipped.json", shipped_figures(cells))
    write(kept / "thresholds.json", threshold_figures(tests, limits["1"]))
    write(kept / "nuisance.json", nuisance_figures(cells))
    analyze.describe(tests, limits=limits)


def limits_of_draws(profile: Profile, cells: Sequences) -> dict[str, dict[str, float]]:
    """Stage 1's thresholds as they would be if a blood draw were not there, for each draw.

    They are set on predictions for the other draws, each acquisition of them by a machine that saw
    neither it nor the draw left out. Stage 2 needs none: the strips that set its thresholds are of
    other draws than the test acquisitions.

    Returns
    -------
    By blood draw: threshold and unsure_within, in the units of the shipped scores
    """
    left = left_out(profile, 1)
    folds = machine_folds(left)
    table, _ = beyond.machines(cells, folds, 1)
    shipped = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))
    about = shipped["stages"]["1"]["kinds"]["focus"]
    out = {}
    for draw in left["blood draw"]:
        own = beyond.answers(table, folds, draw)
        others = own[~own["acquisition"].isin(draw)]
        score = about["slope"] * others["score"].to_numpy() + about["offset"]
        threshold, within = thresholds.limits(score, positive(others["label"], 1), 1)
        out[metrics.blood_draw(draw[0])] = {"threshold": threshold, "unsure_within": within}
    return out


def stage1_anew(profile: Profile, cells: Sequences, kept: Path, origin: dict) -> None:
    """Stage 1 judged and shipped anew from kept predictions; where each stage is from is noted."""
    models = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))
    if cells.meta["sha256"] != models["origin"]["data"]:
        raise RbcError("these are not the cells that stage 2 was made from; make both stages anew")
    before = pd.read_parquet(kept / "answers.parquet")
    tables, own = stage_of(1, profile, cells, kept)
    told(pd.concat([*tables, before[before["stage"] == 2]], ignore_index=True), kept)
    stages = models["stages"] | {"1": own}
    origins = {"1": origin, "2": models.get("origins", {}).get("2", models["origin"])}
    specify(models | {"stages": stages, "origin": origin, "origins": origins})
    end(profile, cells, kept)


def unsure_anew(profile: Profile, cells: Sequences, kept: Path, origin: dict) -> None:
    """What the shipped models leave open, set anew; weights and thresholds stay as they are.

    Set on the cells that set the thresholds, each by the shipped members that have not seen it.
    """
    models = json.loads((classify.MODELS / "models.json").read_text(encoding="utf-8"))
    if cells.meta["sha256"] != models["origin"]["data"]:
        raise RbcError("these are not the cells that the thresholds were set on")
    for stage in STAGES:
        own = models["stages"][str(stage)]
        judged_on = setting_cells(cells, stage)
        found = classify.scores(judged_on, {stage: own})[stage]
        parts = [
            about["slope"] * found[kind] + about["offset"] for kind, about in own["kinds"].items()
        ]
        inside = in_stage(judged_on.index["label"], stage)
        far = abs(np.mean(parts, axis=0) - own["threshold"])[inside]
        own["unsure_within"] = float(np.quantile(far, thresholds.UNSURE))
    models["unsure"] = {"share": thresholds.UNSURE, **origin}
    specify(models)
    end(profile, cells, kept)


def specify(models: dict) -> None:
    """Write models.json beside the shipped weights, and the list of checksums anew."""
    write(classify.MODELS / "models.json", models)
    files.write_sums(classify.MODELS)


def setting_cells(cells: Sequences, stage: int) -> Sequences:
    """The cells that set a stage's threshold: the test acquisitions, or the strips."""
    return beyond.with_noise(
        cells.select((cells.index["split"] == ("test", "train")[stage - 1]).to_numpy())
    )


def left_out(profile: Profile, stage: int) -> dict[str, list[list[str]]]:
    """What is judged in turn, by the name of the unit: groups of acquisitions."""
    folds = profile.stages[stage].folds
    return (
        {"test": [folds[0].test]}
        if stage == 2
        else units(sorted({a for fold in folds for a in fold.train}))
    )


def kind_of(c: Configuration) -> str:
    """The kind of a run's network: our variants by name, the paper's networks by model."""
    return c.variant if c.variant.startswith("frames") else c.model


def networks(
    results: Path,
    stage: int,
    profile: Profile,
    cells: Sequences,
    kind: Callable[[Configuration], str] = kind_of,
) -> dict[str, dict[int, pd.DataFrame]]:
    """Scored predictions of a stage's complete runs, by kind of network and seed.

    Stage 2's validation is asked again, as thresholds come from it: its strips get back the noise
    that JPEG took.
    """
    out = {}
    for file in sorted(results.glob(f"stage{stage}/[!.]*/config.json")):
        c = Configuration(
            **{
                f.name: json.loads(file.read_text(encoding="utf-8"))[f.name]
                for f in fields(Configuration)
            }
        )
        table = pd.read_parquet(file.parent / "predictions.parquet")
        if stage == 2:
            table = pd.concat(
                [table[table["split"] == "test"], validated(file.parent, c, profile, cells)]
            )
        out.setdefault(kind(c), {})[c.seed] = beyond.scored(table.reset_index(drop=True))
    return out


def validated(run: Path, c: Configuration, profile: Profile, cells: Sequences) -> pd.DataFrame:
    """What each fold's network of a run answers for the sequences it left out, with noise
    (`beyond.with_noise`).
    """
    training.torch.set_num_threads(profile.training.threads)
    own = training.settings(profile.training_of(c), c).model_copy(update={"start": ""})
    splits = folds(cells.index, profile.stages[c.stage].folds)
    noisy, device = beyond.with_noise(cells), training.device(own.device)
    every, tables = load_torch(run / "weights.safetensors"), []
    for fold in range(len(splits)):
        model = training.network(c, own, device)
        part = {name: tensor for name, tensor in every.items() if name.startswith(f"fold{fold}.")}
        model.load_state_dict(
            {name.removeprefix(f"fold{fold}."): tensor for name, tensor in part.items()}
        )
        left = training.chosen(noisy, splits[fold], "validation", c)
        tables.append(training.answers(model, noisy, left, c, own, fold, "validation"))
    return pd.concat(tables)


def keep(results: Path, kept: Path) -> None:
    """The runs without weights and notebooks, and what describes the data."""
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(results, kept, ignore=shutil.ignore_patterns(*runs.NOT_KEPT, ".*"))


def units(acquisitions: list[str]) -> dict[str, list[list[str]]]:
    """What is left out in turn: each acquisition, each blood draw, each patient."""
    part_of = {
        "acquisition": str,
        "blood draw": metrics.blood_draw,
        "patient": lambda name: name[:2],
    }
    return {
        unit: [
            [a for a in acquisitions if of(a) == part]
            for part in sorted(set(map(of, acquisitions)))
        ]
        for unit, of in part_of.items()
    }


def machine_folds(left: dict[str, list[list[str]]]) -> list[Fold]:
    """Each unit left out, for its answers; and each with one more acquisition, for the
    threshold.
    """
    acquisitions = [a for (a,) in left["acquisition"]]
    out = {
        frozenset([*own, *more])
        for one in left.values()
        for own in one
        for more in ([], *left["acquisition"])
    }
    parts = [([a for a in acquisitions if a not in o], sorted(o)) for o in sorted(out, key=sorted)]
    return [Fold(train=train, validation=own, test=[]) for train, own in parts if train]


def judged(
    stage: int,
    found: dict[str, dict[int, pd.DataFrame]],
    folds: list[Fold],
    machines: dict[str, tuple],
    left: dict,
    teams: list[tuple[str, ...]] | None = None,
) -> Iterator[pd.DataFrame]:
    """Answers of each of the teams (none: `TEAMS`), of each seed and of all together, for whatever
    is left out in turn.

    `found` are the networks' predictions on `folds`, `machines` the other models' with theirs.
    Stage 2's strips, which set the threshold, are there too, as left_out `SETTING`: what models are
    chosen by.
    """
    for team in TEAMS[stage] if teams is None else teams:
        own = [found.get(kind, {}) for kind in team if kind not in machines]
        seeds = sorted(set.intersection(*map(set, own))) if own else []
        asked = {seed: [(kind[seed], folds) for kind in own] for seed in seeds}
        if all(own):
            asked[TOGETHER] = [(pd.concat(kind.values()), folds) for kind in own]
        for (seed, kinds), (unit, groups) in product(asked.items(), left.items()):
            if own and unit == "acquisition":  # networks leave out blood draws and patients
                continue
            kinds = [*kinds, *(machines[kind] for kind in team if kind in machines)]
            for group in groups:
                table = beyond.judged(kinds, stage, group).assign(
                    stage=stage, model=" + ".join(team), seed=seed
                )
                outside = unit if stage == 1 else np.where(table["setting"], SETTING, unit)
                table = table.assign(left_out=outside).drop(columns="setting")
                yield table[~table["acquisition"].isin(group) == (table["left_out"] == SETTING)]


def figures(table: pd.DataFrame, stage: int) -> dict:
    """Scores over seeds and of all seeds together (`metrics.uncertainty`); recall by label; what
    staying open costs.
    """
    single, together = table[table["seed"] != TOGETHER], table[table["seed"] == TOGETHER]
    called = together.assign(called=together["probability"] >= metrics.THRESHOLD)
    sure = called[~called["unsure"]]
    wrong = sure["called"].to_numpy() != positive(sure["label"], stage)
    out = {
        "together": [metrics.uncertainty(together.drop(columns="seed"), stage, s) for s in SCORES]
    }
    if len(single):
        out["over_seeds"] = [metrics.uncertainty(single, stage, s) for s in SCORES]
    half = metrics.confusion(together.assign(probability=expit(together["score"])), stage)
    out["calibrated_half"] = {"recall": float(half.recall), "specificity": float(half.specificity)}
    by_label = called.groupby("label")["called"].mean()
    out["called_positive"] = {label: float(share) for label, share in by_label.items()}
    if stage == 1:
        out["motions_apart"] = float(abs(by_label[RELIABLE[0]] - by_label[RELIABLE[1]]))
    return out | {
        "unsure": float(called["unsure"].mean()),
        "wrong_of_the_sure": float(wrong.mean()),
    }


def ship(
    stage: int,
    cells: Sequences,
    profile: Profile,
    folds: list[Fold],
    machines: list[dict],
    results: Path,
) -> dict:
    """Write a stage's weights; its part of models.json.

    `machines` are the arrays of each of `folds`.

    What sets thresholds and calibration: answers for what each fold left out, in stage 1 the
    shipped ones', in stage 2 all five folds' for the strips.
    """
    every = {"focus": folds, "frames": profile.stages[stage].folds}
    own_folds = {kind: every[kind] for kind in SHIPPED[stage]}
    arrays = {"focus": machines.__getitem__, "frames": lambda fold: weights(results, stage, fold)}
    asked = {
        kind: draws_left_out(f) if stage == 1 else list(range(len(f)))
        for kind, f in own_folds.items()
    }
    own = described(stage, own_folds, asked)
    judged_on = setting_cells(cells, stage)
    with TemporaryDirectory() as folder:
        save(
            stage,
            {kind: {n: arrays[kind](n) for n in numbers} for kind, numbers in asked.items()},
            Path(folder),
        )
        found = classify.scores(judged_on, {stage: own}, Path(folder))[stage]
    chosen = {kind: numbers[: SHIPPED[stage][kind]] for kind, numbers in asked.items()}
    save(
        stage,
        {kind: {n: arrays[kind](n) for n in numbers} for kind, numbers in chosen.items()},
        classify.MODELS,
    )
    return placed(
        described(stage, own_folds, chosen),
        [judged_on.index.assign(score=s) for s in found.values()],
        stage,
    )


def described(stage: int, folds: dict[str, list[Fold]], chosen: dict[str, list[int]]) -> dict:
    """A stage's part of models.json before anything is calibrated: who trained on what."""
    members = {
        k: {"members": {str(i): folds[k][i].train for i in numbers}}
        for k, numbers in chosen.items()
    }
    return {"sampling": "uniform", "k": SHIPPED_K, "kinds": members}


def placed(own: dict, tables: list[pd.DataFrame], stage: int) -> dict:
    """A stage's part of models.json with calibration, threshold and what stays open; tables as its
    kinds of model.
    """
    both, pairs = beyond.combined(tables, np.ones(len(tables[0]), bool), stage)
    threshold, within = thresholds.limits(
        both["score"].to_numpy(), positive(both["label"], stage), stage
    )
    about = {
        kind: {"slope": slope, "offset": offset, **own["kinds"][kind]}
        for kind, (offset, slope) in zip(own["kinds"], pairs)
    }
    return own | {
        "threshold": threshold,
        "unsure_within": within,
        "seed": SHIPPED_SEED,
        "kinds": about,
    }


def save(stage: int, kinds: dict, folder: Path) -> None:
    """Weights by kind, fold and name."""
    folder.mkdir(exist_ok=True)
    each = [(f"{kind}.{fold}", own) for kind, folds in kinds.items() for fold, own in folds.items()]
    tensors = {f"{member}.{name}": array for member, own in each for name, array in own.items()}
    save_file(tensors, folder / f"stage{stage}.safetensors")


def draws_left_out(folds: list[Fold]) -> list[int]:
    """Stage 1's folds that leave out one blood draw, all of it and nothing else."""
    draws = [{metrics.blood_draw(a) for a in fold.validation} for fold in folds]
    return [i for i, fold in enumerate(folds) if len(fold.validation) > 1 and len(draws[i]) == 1]


def weights(results: Path, stage: int, fold: int) -> dict[str, np.ndarray]:
    """A fold's weights in half precision."""
    (folder,) = results.glob(f"stage{stage}/[!.]*-s{SHIPPED_SEED}-frames")
    every = load_file(folder / "weights.safetensors")
    own = {name: array for name, array in every.items() if name.startswith(f"fold{fold}.")}
    return {
        name.removeprefix(f"fold{fold}."): array.astype(np.float16) for name, array in own.items()
    }


def shipped_figures(cells: Sequences) -> list[dict]:
    """What `rbc classify` reaches on the test acquisitions, each judged by members that have not
    seen it.
    """
    tests = cells.select((cells.index["split"] == "test").to_numpy())
    found = tests.index[beyond.KEY].join(classify.classify(tests).drop(columns="name"))
    out = []
    for stage in STAGES:
        own = found[in_stage(found["label"], stage)]
        own = own.assign(probability=expit(own[f"{POSITIVE[stage]}_margin"]))
        out.append(
            {"stage": stage, "scores": [metrics.uncertainty(own, stage, score) for score in SCORES]}
        )
    wrong = (found["decision"] != found["label"]) & (found["decision"] != "unsure")
    counts = pd.crosstab(found["label"], found["decision"])
    reliable = found[found["label"].isin(RELIABLE)]
    right = (reliable["decision"] == reliable["label"]).to_numpy()
    return [
        *out,
        {
            "unsure": float((found["decision"] == "unsure").mean()),
            "wrong": float(wrong.mean()),
            "decisions": {label: row.to_dict() for label, row in counts.iterrows()},
            "motions": beyond.motions_apart(reliable["label"], right, ALIKE) | {"margin": ALIKE},
        },
    ]


def threshold_figures(tests: Sequences, limits: dict[str, dict[str, float]]) -> dict:
    """Stage 1 on the test acquisitions by the shipped threshold, which was set on these very cells,
    and by thresholds that the other blood draws set.

    Parameters
    ----------
    tests : the test acquisitions
    limits : of `limits_of_draws`

    Returns
    -------
    draws : a row a blood draw and label: threshold and cells kept, by both
    scores : `metrics.uncertainty` of each score, by both
    """
    shipped = classify.specification(classify.MODELS)["stages"]["1"]["threshold"]
    margin = classify.classify(tests)["reliable_margin"].to_numpy()
    draw = tests.index["acquisition"].map(metrics.blood_draw)
    nested = draw.map({name: limit["threshold"] for name, limit in limits.items()}).to_numpy()
    cells = tests.index[beyond.KEY].assign(
        draw=draw, shipped=margin >= 0, others=margin + shipped >= nested
    )
    rows = []
    for (name, label), part in cells.groupby(["draw", "label"]):
        row = {"draw": name, "label": label, "cells": len(part), "threshold_shipped": shipped}
        row["threshold_of_others"] = limits[name]["threshold"]
        row["kept_shipped"] = int(part["shipped"].sum())
        row["kept_by_others"] = int(part["others"].sum())
        rows.append(row)
    margins = {"shipped": margin, "others": margin + shipped - nested}
    scores_by = {
        which: [
            metrics.uncertainty(cells.assign(probability=expit(own)), 1, score) for score in SCORES
        ]
        for which, own in margins.items()
    }
    return {"draws": rows, "scores": scores_by}


#: What another microscope may do to every sequence: grey levels above the background to the same.
NUISANCES = {
    "as they are": lambda x, rng: x,
    "contrast x 0.6": lambda x, rng: 0.6 * x,
    "contrast x 0.8": lambda x, rng: 0.8 * x,
    "contrast x 1.3": lambda x, rng: 1.3 * x,
    "contrast x 1.6": lambda x, rng: 1.6 * x,
    "blur of 0.5 px": lambda x, rng: gaussian_filter(x, (0, 0.5, 0.5)),
    "blur of 0.6 px": lambda x, rng: gaussian_filter(x, (0, 0.6, 0.6)),
    "blur of 0.8 px": lambda x, rng: gaussian_filter(x, (0, 0.8, 0.8)),
    "JPEG of quality 95": lambda x, rng: _compressed(x, 95),
    "JPEG of quality 75": lambda x, rng: _compressed(x, 75),
    "noise of 2 grey levels more": lambda x, rng: x + rng.normal(0, 2, x.shape),
    "noise of 4 grey levels more": lambda x, rng: x + rng.normal(0, 4, x.shape),
    "light that rises by 20 grey levels": lambda x, rng: x + np.linspace(-10, 10, x.shape[2]),
    "2 px off the centre": lambda x, rng: np.roll(x, rng.integers(-2, 3, 2), (1, 2)),
}


def _compressed(x: np.ndarray, quality: int) -> np.ndarray:
    """Each frame as JPEG leaves it, on a background of medium grey."""
    out = np.empty_like(x)
    for number, frame in enumerate(np.clip(np.rint(x + 128), 0, 255).astype(np.uint8)):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=quality)
        out[number] = np.asarray(Image.open(file), np.float32) - 128
    return out


#: Frame rates, of 60/s as filmed, by every how manieth frame is kept.
THINNED = {"30 frames/s": 2, "20 frames/s": 3, "15 frames/s": 4}


def nuisance_figures(cells: Sequences) -> list[dict]:
    """Balanced accuracy of `rbc classify` on the test acquisitions, filmed otherwise; how many of
    these acquisitions `rbc analyze` would refuse as unlike what the models know; and what it costs,
    in balanced accuracy, on those that it would judge.
    """
    known = analyze.read_known(classify.MODELS)["looks"]
    tests = cells.select((cells.index["split"] == "test").to_numpy())
    filmed = {name: _changed(tests, change) for name, change in NUISANCES.items()}
    filmed |= {name: _thinned(tests, every) for name, every in THINNED.items()}
    out, before = [], None
    for name, seen in filmed.items():
        found = classify.classify(seen)
        acquisitions = seen.index["acquisition"]
        refused = {
            one
            for one in acquisitions.unique()
            if analyze.unlike(seen.select((acquisitions == one).to_numpy()), known)
        }
        row = {"what": name, "unsure": float((found["decision"] == "unsure").mean())}
        row |= {"sequences": len(seen), "acquisitions": acquisitions.nunique()}
        row["refused"] = len(refused)
        table = _called(seen, found)
        before = table if before is None else before  # the first row: as they are
        for stage in STAGES:
            row[f"stage {stage}"] = _balanced(table, stage)
            judged = table[~table["acquisition"].isin(refused)]
            as_was = before[before["name"].isin(judged["name"])]  # some may be too short now
            cost = _balanced(as_was, stage) - _balanced(judged, stage)
            row[f"stage {stage}, cost where judged"] = cost
        out.append(row)
    return out


def _called(seen: Sequences, found: pd.DataFrame) -> pd.DataFrame:
    """A row a sequence: name, acquisition, label, and how each stage calls it."""
    calls = {stage: found[f"{POSITIVE[stage]}_margin"].to_numpy() >= 0 for stage in STAGES}
    return (
        seen.index[["name", "acquisition", "label"]]
        .reset_index(drop=True)
        .assign(**{f"called {stage}": called for stage, called in calls.items()})
    )


def _balanced(table: pd.DataFrame, stage: int) -> float:
    """Balanced accuracy of a stage; nan where a class is missing."""
    own = table[in_stage(table["label"], stage)]
    truth, called = positive(own["label"], stage), own[f"called {stage}"].to_numpy()
    if truth.all() or not truth.any():
        return float("nan")
    return float(np.mean([called[truth].mean(), (~called[~truth]).mean()]))


def _thinned(cells: Sequences, every: int) -> Sequences:
    """Sequences of which only some frames were filmed; those too short for tracking are gone."""
    strips = [frames[::every] for frames in cells]
    long = np.array([len(frames) >= MIN_FRAMES for frames in strips])
    rows = cells.index[long].reset_index(drop=True)
    return from_list([f for f, kept in zip(strips, long) if kept], rows, cells.meta)


def _changed(cells: Sequences, change: Callable) -> Sequences:
    """Every sequence changed above its background, with the same dice."""
    frames, rng = np.empty_like(cells.frames), np.random.default_rng(0)
    for start, length in zip(cells.index["start"], cells.index["length"], strict=True):
        own = cells.frames[start : start + length].astype(np.float32)
        background = np.median(own)
        made = change(own - background, rng) + background
        frames[start : start + length] = np.clip(np.rint(made), 0, 255)
    return replace(cells, frames=frames, similarity=None)


def write(path: Path, content: dict | list) -> None:
    """JSON, an indent a level; what is not defined is null."""
    plain = json.loads(json.dumps(content), parse_constant=lambda word: None)
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
