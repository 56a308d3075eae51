"""Judge the finished runs of the profile duel and keep answers and figures in data/reference/duel/:
no pixels.

    python workflow/duel.py [--results results/duel]

The paper's two networks and ours, each by the paper's training and by ours. Runs that were not made
are left out; the page says how many seeds there are. Thresholds are those of `workflow/beyond.py`:
set on what was left out inside the training. The runs of `ours` that belong to the duel are taken
from data/reference/ours. Runs of stage 1 that were kept earlier, without weights, count when they
are copied back to the results; in stage 2 the networks are asked again, which takes their weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import beyond as judging  # beside this script
import numpy as np
import pandas as pd

from compendium import keys, profiles, runs
from compendium.profiles import Profile
from rbc import metrics, sequences
from rbc.files import whole_folder
from rbc.paper import STAGES, Configuration

#: what is left out in turn, by stage
LEFT_OUT = {1: "blood draw", 2: "test"}
PAPERS, OURS = "as the paper trains", "as we train"
#: Networks and ways of training by the variant of a run.
TRAINING = {
    "last-epoch": PAPERS, "our-training": OURS, "frames-paper-training": PAPERS, "frames": OURS,
}  # fmt: skip
KEPT_OF_OURS = {"cnn": PAPERS, "crnn": PAPERS, "frames": OURS}  #: models of answers.parquet
SEEN_TWICE = {(1, "cnn")}  #: of these the duel has more seeds of its own than `ours`
KEY = ["stage", "network", "training"]


def main() -> None:
    """From the runs to the kept answers and the figures."""
    profile = profiles.load("duel")
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--results", type=Path, default=profile.results_folder)
    results, cells = options.parse_args().results, sequences.load(profile.data_folder)
    check(results, profile, cells.meta["sha256"])
    ours, tables = runs.REFERENCE / "ours", []
    for stage in STAGES:
        found = judging.networks(results, stage, profile, cells, called)
        tables += judging.judged(
            stage,
            found,
            profile.stages[stage].folds,
            {},
            {LEFT_OUT[stage]: judging.left_out(profile, stage)[LEFT_OUT[stage]]},
            [(kind,) for kind in found],
        )
    own = pd.concat(tables, ignore_index=True)
    own[["network", "training"]] = own["model"].str.split(", ", expand=True).to_numpy()
    answers = pd.concat([own, of_ours(ours)], ignore_index=True).drop(columns="model")
    answers = answers[answers["left_out"] == answers["stage"].map(LEFT_OUT)]

    singles = pd.DataFrame([*single(results, 2), *single(ours, 2)])
    origin = {**runs.checkout(), "finished": runs.now(), "data": cells.meta["sha256"]}
    with whole_folder(runs.REFERENCE / "duel", ("answers.parquet", "*")) as part:
        for folder in sorted(results.glob("stage*/[!.]*")):
            if (folder / "predictions.parquet").exists():
                away = shutil.ignore_patterns(*runs.NOT_KEPT)
                shutil.copytree(folder, part / folder.relative_to(results), ignore=away)
        runs.describe(cells, part)
        answers.to_parquet(part / "answers.parquet", index=False)
        judging.write(part / "metrics.json", figures(answers, singles))
        judging.write(part / "provenance.json", origin)


def check(results: Path, profile: Profile, data: str) -> None:
    """End where a run cannot be judged, and name the runs that other code or settings made.

    Parameters
    ----------
    results : folder of the runs
    profile : says what a run is made from now
    data : checksum of the sequences

    Raises
    ------
    SystemExit
        for a run on other sequences, and for one of stage 2 without weights
    """
    for file in sorted(results.glob("stage*/[!.]*/config.json")):
        c, folder = configuration(file), file.parent
        origin = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        if origin["data"]["sha256"] != data:
            raise SystemExit(f"{folder}: made from other sequences; remove it or make it anew")
        if c.stage == 2 and not (folder / "weights.safetensors").exists():
            raise SystemExit(
                f"{folder}: its weights are gone, and stage 2 asks its networks again;"
                " remove it or make it anew"
            )
        if origin["key"] != keys.run_key(c, profile, data):
            print(f"{folder}: made by other code or settings (commit {origin['commit'][:10]})")


def configuration(file: Path) -> Configuration:
    """The configuration of a run, from its config.json."""
    told = json.loads(file.read_text(encoding="utf-8"))
    return Configuration(**{f.name: told[f.name] for f in fields(Configuration)})


def called(c: Configuration) -> str:
    """Network and way of training of a run, joined by a comma."""
    network = "frames" if c.variant.startswith("frames") else c.model
    return f"{network}, {TRAINING[c.variant]}"


def of_ours(folder: Path) -> pd.DataFrame:
    """Answers of the runs of `ours` that belong to the duel."""
    table = pd.read_parquet(folder / "answers.parquet")
    table = table[table["model"].isin(KEPT_OF_OURS)]
    again = [(s, m) in SEEN_TWICE for s, m in zip(table["stage"], table["model"], strict=True)]
    table = table[~np.array(again)]
    return table.assign(network=table["model"], training=table["model"].map(KEPT_OF_OURS))


def single(folder: Path, stage: int) -> Iterator[dict]:
    """The AUC of each single network, a row a fold and run: a seed's answers in stage 2 are those
    of five networks.
    """
    for file in sorted(folder.glob(f"stage{stage}/[!.]*/config.json")):
        c = configuration(file)
        if c.variant not in TRAINING:
            continue
        network, training = called(c).split(", ")
        table = pd.read_parquet(file.parent / "predictions.parquet").query("split == 'test'")
        for fold, part in table.groupby("fold"):
            yield {
                "stage": stage, "network": network, "training": training, "seed": c.seed,
                "fold": int(fold), "auc": metrics.auc(part, stage),
            }  # fmt: skip


def figures(answers: pd.DataFrame, singles: pd.DataFrame) -> list[dict]:
    """Scores of each network and way of training, as of `workflow/beyond.py`; with the spread of
    single networks where a seed's answers are those of several.
    """
    out = []
    for key, part in answers.groupby(KEY):
        row = dict(zip(KEY, key, strict=True)) | judging.figures(part, key[0])
        own = singles[(singles[KEY] == list(key)).all(axis=1)]["auc"]
        if len(own):
            row["single"] = {"n": len(own), "mean": float(own.mean()), "sd": float(own.std())}
        out.append(row)
    return out


if __name__ == "__main__":
    main()
