"""The shipped models for another microscope: from labelled cells of its movies to thresholds and
error rates of its own.

The networks stay as they are. What is learned is the last layer, from the scores of each kind of
model to a predicted class, and how often that errs. The cells of each blood draw are predicted with
what the other draws' cells set, since the cells of one draw are alike.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from rbc import RbcError, files, marker, metrics, prevalence, sequences
from rbc.bench import analyze, classify
from rbc.bench.corrections import read_corrections
from rbc.bench.thresholds import calibration, limits, weights
from rbc.paper import LABELS, NEGATIVE, POSITIVE, STAGES, in_stage, positive
from rbc.sequences import Sequences
from rbc.templates import filled

CARD = Path(__file__).with_name("adapted.md")
#: Labelled cells of each class, and blood draws, below which a threshold is left as shipped: the
#: twentieth part of fewer negatives is less than one cell.
FEWEST_CELLS, FEWEST_DRAWS = 20, 3
#: cells of each class from which on the scores are calibrated anew too
CALIBRATED_FROM = 60
#: Cells of each class from which on it is learned too how much each kind of model counts. With
#: fewer they count alike, as shipped.
WEIGHED_FROM = 100
SCORE = "balanced_accuracy"  #: by which shipped and adapted thresholds are compared
#: What the folder of adapted models holds, its marker first.
ADAPTED_FILES = ("models.json", "known.json", "card.md", "*.safetensors", files.SUMS)


@dataclass(frozen=True)
class Stage:
    """What was learned for a stage.

    specification : its part of models.json, shipped or adapted
    compared : balanced accuracy of its own and of the shipped thresholds on blood draws left out,
        their difference and its 95 % interval; empty where too few cells are labelled
    missing : how many cells of a class, or blood draws, are missing, in words
    adapted : whether the adapted thresholds are the ones taken
    """

    specification: dict
    compared: dict
    missing: list[str]
    adapted: bool


def labelled(folder: Path) -> Sequences:
    """Labelled cells of a folder.

    Parameters
    ----------
    folder : sequences with labels, or a report of `rbc analyze` that holds the corrections exported
        from its page (`analyze.CORRECTIONS`); a cell that somebody labelled unsure is left out

    Raises
    ------
    RbcError
        where it is neither, where no cell in it has a label, or where cells of a report were not
        looked at
    """
    folder = Path(folder)
    if (folder / "marker.json").exists():
        cells = _of_report(folder)
    elif (folder / "meta.json").exists():
        cells = sequences.load(folder)
    else:
        raise RbcError(f"{folder}: neither sequences nor a report of rbc analyze")
    cells = cells.select(cells.index["label"].isin(LABELS).to_numpy())
    if not len(cells):
        raise RbcError(f"{folder}: no cell in it has a label of {', '.join(LABELS)}")
    return cells


def _of_report(folder: Path) -> Sequences:
    file = folder / analyze.CORRECTIONS
    if not file.exists():
        raise RbcError(
            f"{folder}: no {analyze.CORRECTIONS} in it; export it from the report and put it there"
        )
    found = sequences.load(folder / "tracked")
    given = read_corrections(file, found.index).labels
    cells = pd.read_csv(folder / "cells.csv", keep_default_na=False)
    shown = cells["name"][cells["continues"] == ""]  # the others are on no page to be labelled

    # The page shows the least sure cells first. Learned from those alone, errors would be far more
    # frequent than they are.
    if unseen := len({*shown} - {*given}):
        raise RbcError(
            f"{file}: {unseen} of {len(shown)} cells were not looked at, and those looked at first"
            " are the hardest: label all of them, or leave this report out"
        )
    labels = found.index["name"].map(given)
    labels = labels.where(labels.isin(LABELS), sequences.UNLABELLED)  # neither unsure ones
    index = found.index.assign(label=labels)
    return replace(found, index=index)


def adapt(parts: list[Sequences], out: Path, models: Path = classify.MODELS) -> dict:
    """Learn thresholds and error rates from labelled cells, and write a folder of models.

    A stage takes the adapted thresholds only where, on blood draws left out, they are better by
    more than chance; else the shipped ones stay. The error rates are learned anew in any case.

    Parameters
    ----------
    parts : labelled cells (`labelled`)
    out : folder for models.json, known.json, card.md and the weights, as `--models` takes it
    models : folder of the models that are adapted

    Returns
    -------
    What card.md says: cells by label; acquisitions; names of the blood draws; of each stage whether
    it was adapted, the comparison, and what is missing; unreliable: the most unreliable sequences
    for each reliable one at which the models alone give an estimate, and expected_width, the mean
    width of simulated intervals there

    Raises
    ------
    RbcError
        where a class has no labelled cell, two parts share an acquisition, or `out` holds something
        else
    """
    table = _scored(parts, models)
    shipped = classify.specification(models)
    stages = {stage: _learn(table, stage, shipped["stages"][str(stage)]) for stage in STAGES}
    errors = _left_out_answers(table, stages)
    said = _said(table, stages, errors)
    with files.whole_folder(Path(out), ADAPTED_FILES) as part:
        for stage in STAGES:
            shutil.copy(Path(models) / f"stage{stage}.safetensors", part)
            shipped["stages"][str(stage)] = stages[stage].specification
        shipped["adapted"] = {key: said[key] for key in ("cells", "acquisitions", "stages")}
        _write(part / "models.json", shipped)
        _write(part / "known.json", _known(parts, errors))
        (part / "card.md").write_text(filled(CARD, **said), encoding="utf-8")
        files.write_sums(part)
    return said


def _write(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _scored(parts: list[Sequences], models: Path) -> pd.DataFrame:
    """A row a labelled cell: name, acquisition, label, and each kind's score of each stage."""
    shipped = classify.specification(models)["stages"]
    stages = {stage: shipped[str(stage)] for stage in STAGES}
    tables: list[pd.DataFrame] = []
    seen: set[str] = set()
    for cells in parts:
        names = {*cells.index["acquisition"]}
        if both := sorted(seen & names):
            raise RbcError(f"acquisition {both[0]!r} is given twice; give it once")
        seen |= names
        table = cells.index[["name", "acquisition", "label"]].reset_index(drop=True)
        for stage, kinds in classify.scores(cells, stages, Path(models)).items():
            table = table.assign(**{f"{stage} {kind}": score for kind, score in kinds.items()})
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    if absent := [label for label in LABELS if not (table["label"] == label).any()]:
        raise RbcError(f"no labelled cell is {absent[0]}: label at least {FEWEST_CELLS} of each")
    return table


def _learn(table: pd.DataFrame, stage: int, shipped: dict) -> Stage:
    """What the cells teach for a stage, and whether it is better than what was shipped."""
    own = table[in_stage(table["label"], stage)].reset_index(drop=True)
    missing = _missing(own, stage)
    if missing:
        return Stage(shipped, {}, missing, adapted=False)

    # Every blood draw by thresholds that the others set.
    far = pd.Series(0.0, own.index)
    draws = own["acquisition"].map(metrics.blood_draw)
    for draw in draws.unique():
        mine = draws == draw
        others = own[~mine]
        if _missing(others, stage, draws=FEWEST_DRAWS - 1):
            missing.append(f"without {draw} too few cells of a class are left to learn from")
            return Stage(shipped, {}, missing, adapted=False)
        far[mine] = _margins(own[mine], stage, _fitted(others, stage, shipped))
    adapted = _as_predictions(own, far, stage)
    as_shipped = _as_predictions(own, _margins(own, stage, shipped), stage)
    found = metrics.difference(adapted, as_shipped, SCORE)
    names = {"own": "variant", "shipped": "text"} | {x: x for x in ("difference", "low", "high")}
    compared = {name: found[column] for name, column in names.items()}
    better = compared["low"] > 0
    return Stage(_fitted(own, stage, shipped) if better else shipped, compared, [], better)


def _missing(own: pd.DataFrame, stage: int, draws: int = FEWEST_DRAWS) -> list[str]:
    """What a stage lacks to learn a threshold, in words."""
    truth = positive(own["label"], stage)
    words = []
    for name, n in ((POSITIVE[stage], truth.sum()), (NEGATIVE[stage], (~truth).sum())):
        if n < FEWEST_CELLS:
            words.append(f"{FEWEST_CELLS - n} more {name} cells")
    lacking = draws - own["acquisition"].map(metrics.blood_draw).nunique()
    if lacking > 0:
        words.append(f"movies of {lacking} more blood draws")
    return words


def _fitted(own: pd.DataFrame, stage: int, shipped: dict) -> dict:
    """A stage's part of models.json as these cells set it."""
    truth = positive(own["label"], stage)
    kinds = {kind: dict(about) for kind, about in shipped["kinds"].items()}
    fewest = min(truth.sum(), (~truth).sum())
    if fewest >= WEIGHED_FROM:
        scores = own[[f"{stage} {kind}" for kind in kinds]].to_numpy()
        offset, slopes = weights(scores, truth)
        for about, slope in zip(kinds.values(), slopes, strict=True):
            # `_score` takes the mean over kinds.
            about["offset"], about["slope"] = offset, slope * len(kinds)
    elif fewest >= CALIBRATED_FROM:
        for kind, about in kinds.items():
            about["offset"], about["slope"] = calibration(own[f"{stage} {kind}"], truth)
    specification = {**shipped, "kinds": kinds}
    score = _score(own, stage, specification)
    threshold, within = limits(score, truth, stage)
    return {**specification, "threshold": threshold, "unsure_within": within}


def _score(own: pd.DataFrame, stage: int, specification: dict) -> np.ndarray:
    """Mean calibrated score of all kinds, as `classify.classify` takes it: (N,)."""
    parts = [
        about["slope"] * own[f"{stage} {kind}"] + about["offset"]
        for kind, about in specification["kinds"].items()
    ]
    return np.mean(parts, axis=0)


def _margins(own: pd.DataFrame, stage: int, specification: dict) -> np.ndarray:
    """How far above the threshold each cell is: (N,) log odds."""
    return _score(own, stage, specification) - specification["threshold"]


def _as_predictions(own: pd.DataFrame, margin: np.ndarray, stage: int) -> pd.DataFrame:
    """Margins as a table of predictions, whose threshold is one half."""
    return own.assign(probability=expit(np.asarray(margin)), seed=0, stage=stage)


def _left_out_answers(table: pd.DataFrame, stages: dict[int, Stage]) -> pd.DataFrame:
    """What both stages together predict of each cell, its blood draw left out: the table with a
    column answer.
    """
    answers = []
    draws = table["acquisition"].map(metrics.blood_draw)
    for draw, mine in table.groupby(draws, sort=False):
        margin, sure = {}, {}
        for stage, learned in stages.items():
            specification = learned.specification
            if learned.adapted:
                others = table[in_stage(table["label"], stage) & (draws != draw)]
                specification = _fitted(others, stage, specification)
            margin[stage] = _margins(mine, stage, specification)
            sure[stage] = abs(margin[stage]) >= specification["unsure_within"]
        kept = sure[1] & sure[2] & (margin[1] >= 0)
        said = np.where(margin[2] >= 0, POSITIVE[2], NEGATIVE[2])
        answers.append(pd.Series(np.where(kept, said, "discarded"), mine.index))
    return table.assign(answer=pd.concat(answers))


def _known(parts: list[Sequences], errors: pd.DataFrame) -> dict:
    """What known.json holds: answers to these cells, and how they look."""
    columns = ["acquisition", "label", "answer"]
    counts = errors[columns].value_counts(sort=False).reset_index(name="n")
    looks = pd.concat([analyze.looks(cells) for cells in parts])
    return {
        "simulated": any(cells.simulated for cells in parts),
        "answers": counts.to_dict("records"),
        "looks": analyze.ranges_of(looks),
    }


def _said(table: pd.DataFrame, stages: dict[int, Stage], errors: pd.DataFrame) -> dict:
    """What the card and the command say."""
    counts, known = table["label"].value_counts(), prevalence.by_draw(errors)
    limit = marker.most_unreliable(known)
    return {
        "cells": {label: int(counts.get(label, 0)) for label in LABELS},
        "acquisitions": int(table["acquisition"].nunique()),
        "draws": sorted({metrics.blood_draw(name) for name in table["acquisition"]}),
        "stages": {
            stage: {"adapted": bool(s.adapted), "missing": s.missing, "compared": s.compared}
            for stage, s in stages.items()
        },
        "unreliable": limit,
        "expected_width": marker.expected_width(known, max(limit, 0)),
    }


def in_words(said: dict) -> str:
    """What was learned, a line each.

    Parameters
    ----------
    said : of `adapt`
    """
    cells = ", ".join(f"{n} {label}" for label, n in said["cells"].items())
    lines = [
        f"learned from {cells} cells of {said['acquisitions']} acquisitions",
        f"blood draws, told by the names up to their first _: {', '.join(said['draws'])}",
    ]
    for stage, about in said["stages"].items():
        lines.append(f"stage {stage}: {_of_stage(about)}")
    if said["unreliable"] < 0:
        lines.append(
            "the models alone give no estimate with so few labelled cells (simulated):"
            f" in each movie, {marker.LABEL_SOME}"
        )
    else:
        lines.append(
            f"the models alone give an estimate up to {said['unreliable']:g} unreliable sequences"
            f" per reliable one; there its 95 % interval is {100 * said['expected_width']:.0f}"
            f" points wide on average (simulated): in each movie, {marker.LABEL_SOME}"
        )
    return "\n".join(lines)


def _of_stage(about: dict) -> str:
    if about["missing"]:
        return f"thresholds as shipped; to learn its own it needs {' and '.join(about['missing'])}"
    c = about["compared"]
    found = (
        f"{100 * c['own']:.1f} against {100 * c['shipped']:.1f} % balanced accuracy on"
        f" blood draws left out, {100 * c['difference']:+.1f} points (95 % interval"
        f" {100 * c['low']:+.1f} to {100 * c['high']:+.1f})"
    )
    if about["adapted"]:
        return f"thresholds of its own: {found}"
    return f"thresholds as shipped, as its own are not better by more than chance: {found}"
