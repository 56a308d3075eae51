"""Tables and figures of the pages on our own models, made from the kept results of the profiles
`ours`, `duel`, `ablations`, `register`, `released` and `transfer`.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from scipy.special import expit
from scipy.stats import spearmanr

from compendium import ROOT, beyond, runs
from compendium.evidence import draws, simple
from rbc import figures, metrics, paper
from rbc.settings import TEXT, VARIANTS

SCORES = ("recall", "specificity", "auc")
#: Networks of the duel as a reader knows them.
NETWORKS = {"cnn": "ResNet-18", "crnn": "C-RNN", "frames": "ours (frames)"}
AS_PAPER, AS_WE = "as the paper trains", "as we train"  #: the two trainings of the duel
ENSEMBLE = -1  #: the seed under which the predictions of all seeds together are kept
#: What each stage's final evaluation left out of training.
LEFT_OUT = {1: "blood draw", 2: "test"}


def _load(path: Path) -> list | dict:
    return json.loads(path.read_text(encoding="utf-8"))


def score_of(row: dict, name: str, how: str = "together") -> dict:
    """One score of a row of metrics.json, as `rbc.metrics.uncertainty` gives it.

    Parameters
    ----------
    row : of metrics.json
    name : recall, specificity, balanced_accuracy or auc
    how : together (the ensemble of all seeds) or over_seeds (the mean of single seeds)
    """
    return next(one for one in row[how] if one["score"] == name)


class Ours:
    """Kept predictions and scores of our models.

    Parameters
    ----------
    results : folder of the profile `ours`; kept results of other profiles lie beside it
    """

    def __init__(self, results: Path | str):
        self.results = Path(results)
        self.kept = self.results.parent

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row a model, seed and sequence: score, probability, threshold, label, unsure."""
        return pd.read_parquet(self.results / "answers.parquet")

    @cached_property
    def scores(self) -> list[dict]:
        """Scores of every model, by what was left out."""
        return _load(self.results / "metrics.json")

    @cached_property
    def by_model(self) -> dict[tuple, dict]:
        """The same by stage, model and what was left out."""
        return {(row["stage"], row["model"], row["left_out"]): row for row in self.scores}

    @cached_property
    def simulators(self) -> list[dict]:
        """Scores of networks that were trained on simulated sequences only, a row a simulator."""
        return _load(self.kept / "transfer" / "levels.json")

    @cached_property
    def best(self) -> dict[int, str]:
        """The model of each stage. Stage 1's was fixed beforehand; stage 2's has the highest AUC on
        the training strips that were left out, never on test cells.
        """
        on_strips = {
            row["model"]: score_of(row, "auc")["mean"]
            for row in self.scores
            if row["left_out"] == "strips"
        }
        return {1: "frames + focus", 2: max(on_strips, key=on_strips.get)}

    def of(self, stage: int, model: str, left_out: str) -> pd.DataFrame:
        """Predictions of a model's ensemble for the cells that were left out."""
        p = self.predictions
        chosen = (p["seed"] == ENSEMBLE) & (p["stage"] == stage)
        return p[chosen & (p["model"] == model) & (p["left_out"] == left_out)]

    def of_best(self, stage: int, left_out: str) -> pd.DataFrame:
        """Predictions of the best model's ensemble."""
        return self.of(stage, self.best[stage], left_out)


# --- goals ---


def goals_table(ours: Ours) -> pd.DataFrame:
    """The goals of `data/goals.yaml` beside what was reached."""
    lines = []
    for goal in yaml.safe_load((ROOT / "data" / "goals.yaml").read_text(encoding="utf-8")):
        model, reached = _reached(ours, goal)
        interval = ""
        if "alike" in reached:
            interval = f" [{reached['low']:.2f}, {reached['high']:.2f}]"
        bound = "at_least" if "at_least" in goal else "at_most"
        lines.append(
            {
                "goal": goal["what"],
                "model": model,
                "asked": f"{bound.replace('_', ' ')} {goal[bound]}",
                "reached": f"{reached['mean']:.3f}{interval}",
                "met": _is_met(goal, reached),
            }
        )
    return pd.DataFrame(lines).set_index("goal")


def _reached(ours: Ours, goal: dict) -> tuple[str, dict]:
    """The model that stands for a goal, and its score."""
    if goal["left_out"] == "transfer":
        best = max(ours.simulators, key=lambda one: score_of(one["strips"], "auc")["mean"])
        return best["level"], score_of(best["test"], goal["score"])
    model = "focus" if goal["left_out"] == "acquisition" else ours.best[goal["stage"]]
    if goal["score"] != "motions_apart":
        row = ours.by_model[goal["stage"], model, goal["left_out"]]
        return model, score_of(row, goal["score"])
    own = ours.of(goal["stage"], model, goal["left_out"])
    kept = own["probability"] >= metrics.THRESHOLD
    gap = beyond.motions_apart(own["label"], kept, margin=goal["at_most"])
    return model, {"mean": gap["apart"]} | {key: gap[key] for key in ("low", "high", "alike")}


def _is_met(goal: dict, reached: dict) -> str:
    """Whether a goal is met; for two shares that should be alike, what these cells can tell."""
    if "alike" in reached:
        return reached["alike"]
    lowest, highest = goal.get("at_least", 0), goal.get("at_most", 1)
    return "yes" if lowest <= reached["mean"] <= highest else "no"


# --- scores ---


def protocol_table(ours: Ours) -> pd.DataFrame:
    """Every model by one protocol: mean of single seeds, and the ensemble of all seeds."""
    lines = []
    for row in ours.scores:
        if row["left_out"] == "strips":
            continue
        for how, words in (("over_seeds", "mean of seeds"), ("together", "ensemble")):
            if how not in row:
                continue
            auc = score_of(row, "auc", how)
            line = {"stage": row["stage"], "model": row["model"], "left out": row["left_out"]}
            line |= {"predictions": words, "sequences": auc["n_sequences"]}
            line["seeds"] = auc["n_seeds"] if how == "over_seeds" else ""
            lines.append(line | {s: figures.score(score_of(row, s, how)) for s in SCORES})
    table = pd.DataFrame(lines).rename(columns={"auc": "AUC"})
    return table.set_index(["stage", "model", "left out", "predictions"])


def half_threshold_table(ours: Ours) -> pd.DataFrame:
    """Recall and specificity at a threshold of one half of the calibrated probability."""
    lines = [
        {"stage": row["stage"], "model": row["model"], "left out": row["left_out"]}
        | row["calibrated_half"]
        for row in ours.scores
        if row["left_out"] != "strips"
    ]
    return pd.DataFrame(lines).set_index(["stage", "model", "left out"]).round(3)


def papers_networks_table(ours: Ours) -> pd.DataFrame:
    """Test scores of the paper's networks, trained as described in the paper."""
    lines = []
    for profile in ("register", "released"):
        folder = ours.kept / profile
        table = runs.collect(folder)
        table = table[(table["split"] == "test") & (table["variant"] == TEXT)]
        for cell, own in table.groupby(["stage", "model", "sampling", "k"]):
            each = [
                runs.predictions(folder, row.run).assign(seed=row.seed) for row in own.itertuples()
            ]
            tests = pd.concat(each).query("split == 'test'")
            line = dict(zip(("stage", "model", "sampling", "K"), cell, strict=True))
            line |= {"profile": profile, "seeds": len(own)}
            for name in SCORES:
                line[name] = figures.score(metrics.uncertainty(tests, cell[0], name))
            lines.append(line)
    table = pd.DataFrame(lines).rename(columns={"auc": "AUC"})
    return table.set_index(["stage", "model", "sampling", "K", "profile"]).sort_index()


def strips_table(ours: Ours) -> pd.DataFrame:
    """Stage 2's models on the training strips that were left out: what the model is chosen by."""
    lines = []
    for row in ours.scores:
        if row["left_out"] == "strips":
            line = {"model": row["model"], "strips": score_of(row, "auc")["n_sequences"]}
            line["chosen"] = "yes" if row["model"] == ours.best[2] else ""
            line["AUC"] = figures.score(score_of(row, "auc"))
            lines.append(line | {"recall": figures.score(score_of(row, "recall"))})
    return pd.DataFrame(lines).set_index("model")


# --- the duel: network or training? ---


def duel_rows(ours: Ours) -> list[dict]:
    """Scores of the profile `duel`; empty where none are kept."""
    path = ours.kept / "duel" / "metrics.json"
    return _load(path) if path.exists() else []


def duel_table(ours: Ours) -> pd.DataFrame:
    """Each network of the duel in both trainings."""
    lines = []
    for row in duel_rows(ours):
        seeds, single = score_of(row, "auc", "over_seeds"), row.get("single")
        line = {"stage": row["stage"], "network": NETWORKS[row["network"]]}
        line |= {"trained": row["training"], "seeds": seeds["n_seeds"]}
        line["AUC, single networks (sd)"] = (
            f"{single['mean']:.3f} ({single['sd']:.3f})" if single else ""
        )
        line["AUC, mean of seeds"] = f"{seeds['mean']:.3f}"
        line["sd of seeds"] = "" if seeds["seed_sd"] is None else f"{seeds['seed_sd']:.3f}"
        for name in ("auc", "recall", "specificity"):
            words = f"{name.replace('auc', 'AUC')}, ensemble"
            line[words] = figures.score(score_of(row, name))
        lines.append(line)
    if not lines:
        return pd.DataFrame()
    return pd.DataFrame(lines).set_index(["stage", "network", "trained"])


def draw_duel(ours: Ours) -> Figure:
    """AUC of each network, trained as the paper trains and as we train; a panel a stage. Dotted:
    from the lowest to the highest blood draw.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), sharey=True, layout="constrained")
    for axis, stage in zip(axes, (1, 2), strict=True):
        for number, training in enumerate((AS_PAPER, AS_WE)):
            for place, network in enumerate(NETWORKS):
                found = [
                    row
                    for row in duel_rows(ours)
                    if (row["stage"], row["network"], row["training"]) == (stage, network, training)
                ]
                for row in found:
                    auc = score_of(row, "auc", "over_seeds")
                    x = place + (number - 0.5) * 0.25
                    colour, mark = figures.SOURCES[2 - number], figures.MARKS[number]
                    axis.plot([x, x], [auc["lowest"], auc["highest"]], ":", color=colour)
                    label = training if place == 0 else None
                    axis.plot(x, auc["mean"], mark, color=colour, label=label)
        axis.set_xticks(range(len(NETWORKS)), NETWORKS.values())
        axis.set_title(f"stage {stage}", fontsize="medium")
        axis.grid(axis="y", color="0.9")
    axes[0].set_ylabel("AUC, mean of seeds")
    axes[0].legend(frameon=False, fontsize=9)
    plt.close(figure)
    return figure


def training_share(ours: Ours, stage: int, network: str) -> str:
    """How much of the distance between a network of the paper and ours comes from the training.

    The distance is in AUC, mean of seeds: from the paper's network as the paper trains it to our
    network as we train it. The part of the training is what our training adds to the paper's
    network.

    Parameters
    ----------
    ours : kept results
    stage : 1 or 2
    network : cnn or crnn

    Returns
    -------
    A sentence; empty where the duel lacks one of the three
    """
    found = {
        (row["network"], row["training"]): score_of(row, "auc", "over_seeds")
        for row in duel_rows(ours)
        if row["stage"] == stage
    }
    needed = [(network, AS_PAPER), (network, AS_WE), ("frames", AS_WE)]
    if any(key not in found for key in needed):
        return ""
    before, trained, other = (found[key] for key in needed)
    whole = other["mean"] - before["mean"]
    part = trained["mean"] - before["mean"]
    seeds = ", ".join(str(one["n_seeds"]) for one in (before, trained, other))
    return (
        f"Stage {stage}: from the paper's {NETWORKS[network]}, trained as the paper trains, to our"
        f" network, trained as we train, the AUC rises by {whole:+.3f}. Our training alone raises"
        f" the paper's network by {part:+.3f} ({100 * part / whole:.0f} % of that; {seeds} seeds,"
        f" {other['n_draws']} blood draws; no interval)."
    )


# --- parts, and more data ---


def ablation_table(ours: Ours) -> pd.DataFrame:
    """The network `frames` with one part removed or exchanged, on the strips that were left out."""
    folder = ours.kept / "ablations"
    if not folder.exists():
        return pd.DataFrame()
    own = _on_validation(ours.results)
    whole = own[own["variant"] == "frames"]
    variants = pd.concat([_on_validation(folder), own[own["variant"] == "frames-transformer"]])
    lines = []
    for name, part in variants.groupby("variant"):
        # Compare seeds that both sides have.
        part = part[part["seed"].isin(whole["seed"])]
        same = whole[whole["seed"].isin(part["seed"])]
        change = metrics.difference(_left_out(part), _left_out(same), "auc")
        if change["low"] > 0:
            verdict = "more"
        elif change["high"] < 0:
            verdict = "less"
        else:
            verdict = "not resolved"
        interval = f"[{change['low']:+.3f}, {change['high']:+.3f}]"
        lines.append(
            {
                "variant": name,
                "what changes": VARIANTS[name].what.removeprefix("ours: "),
                "seeds": change["seeds_variant"],
                "AUC": round(change["variant"], 3),
                "whole network": round(change["text"], 3),
                "difference": f"{change['difference']:+.3f} {interval}",
                "verdict": verdict,
            }
        )
    return pd.DataFrame(lines).set_index("variant")


def _on_validation(folder: Path) -> pd.DataFrame:
    """Stage 2's runs of a folder on their validation split, with the folder."""
    table = runs.collect(folder)
    chosen = (table["stage"] == 2) & (table["split"] == "validation")
    return table[chosen].assign(folder=str(folder))


def _left_out(table: pd.DataFrame) -> pd.DataFrame:
    """Predictions of runs for what each fold left out."""
    parts = []
    for row in table.itertuples():
        predictions = runs.predictions(Path(row.folder), row.run)
        predictions = predictions[predictions["split"] == "validation"]
        parts.append(predictions.assign(seed=row.seed, stage=2))
    return pd.concat(parts)


def draw_learning_curves(ours: Ours) -> Figure:
    """AUC on the cells left out, against the size of the training set."""
    learned = pd.DataFrame(_load(ours.kept / "learning.json")["rows"])
    largest = learned.groupby("stage")["sequences"].transform("max")
    learned["all"] = learned["sequences"] == largest
    names = {"cnn": "ResNet-18", "focus": "focus (ours)"}
    ticks = {"sequences": (10, 20, 50, 100, 200), "acquisitions": (1, 2, 4, 8, 16)}
    n_seeds = learned["seed"].nunique()
    figure, axes = plt.subplots(
        2, 2, figsize=(7.2, 5.6), layout="constrained", sharey="row", sharex="col"
    )
    for line, (stage, of_stage) in zip(axes, learned.groupby("stage"), strict=True):
        for axis, by in zip(line, ticks, strict=True):
            shown = of_stage[(of_stage["by"] == by) | of_stage["all"]]
            for number, (model, part) in enumerate(shown.groupby("model")):
                # Subsets of one size differ by a few sequences: we draw them at their mean.
                size = part["sequences"].round(-1) if by == "sequences" else by
                groups = part.groupby(size)
                place, auc = groups[by].mean(), groups["auc"]
                style = "os"[number] + "-"
                axis.plot(place, auc.mean(), style, color=f"C{number}", label=names[model])
                if n_seeds > 1:  # one seed has no range
                    axis.fill_between(
                        place, auc.min(), auc.max(), color=f"C{number}", alpha=0.2, lw=0
                    )
            axis.set_xscale("log")
            axis.set_xticks(ticks[by], ticks[by])
            axis.minorticks_off()
            axis.set_title(f"stage {stage}, by {by}", fontsize="medium")
        line[0].set_ylabel("AUC on the cells left out")
    for axis, by in zip(axes[-1], ticks, strict=True):
        axis.set_xlabel(f"{by} in the training set")
    axes[0, 0].legend(loc="lower right")
    figure.suptitle(f"{n_seeds} seed{'s' * (n_seeds > 1)} of each size", fontsize="medium")
    plt.close(figure)
    return figure


# --- from simulated cells to real ones ---


def transfer_table(ours: Ours) -> pd.DataFrame:
    """Networks trained on simulated sequences only, evaluated on real ones."""
    lines = []
    for row in ours.simulators:
        for split in ("strips", "test"):
            ensemble, seeds = row[split]["together"], row[split]["over_seeds"]
            auc = next(one for one in seeds if one["score"] == "auc")
            line = {"simulator": row["level"], "distance": round(row["distance"], 3)}
            line |= {"evaluated on": split, "sequences": auc["n_sequences"]}
            line |= {s["score"].replace("_", " "): figures.score(s) for s in ensemble}
            line["AUC, mean of seeds"] = round(auc["mean"], 3)
            line["sd of seeds"] = round(auc["seed_sd"], 3)
            lines.append(line)
    table = pd.DataFrame(lines).rename(columns={"auc": "AUC"})
    return table.set_index(["simulator", "distance", "evaluated on"])


def draw_transfer(ours: Ours) -> Figure:
    """Scores on real cells against the distance of the simulator from the training strips."""
    names = {"auc": "AUC", "balanced_accuracy": "balanced accuracy"}
    marks = {"strips": ("o", "C0", -0.004), "test": ("s", "C1", 0.004)}
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained", sharex=True)
    for axis, name in zip(axes, names, strict=True):
        for split, (mark, colour, shift) in marks.items():
            for number, row in enumerate(ours.simulators, 1):
                found = score_of(row[split], name)
                place = row["distance"] + shift
                label = split if number == 1 else None
                axis.plot([place, place], [found["lowest"], found["highest"]], ":", color=colour)
                axis.plot(place, found["mean"], mark, color=colour, label=label)
                if split == "test":
                    top = (place, found["highest"])
                    axis.annotate(str(number), top, (0, 3), textcoords="offset points", ha="center")
        axis.set_xlabel("distance of the simulator from the strips")
        axis.set_ylabel(f"{names[name]} on real cells")
        axis.margins(y=0.12)
    axes[0].legend(loc="lower right")
    plt.close(figure)
    return figure


# --- who, which draw, which cells ---


def patient_table(ours: Ours) -> pd.DataFrame:
    """Scores of the best models patient by patient."""
    lines = []
    for stage, left_out in ((1, "patient"), (2, "test")):
        own = ours.of_best(stage, left_out)
        for patient, part in own.groupby(own["acquisition"].str[:2]):
            one = part.drop(columns="seed")
            line = {"stage": stage, "patient": patient, "sequences": len(part)}
            for name in ("recall", "specificity"):
                line[name] = figures.score(metrics.uncertainty(one, stage, name))
            lines.append(line | {"AUC": round(metrics.auc(part, stage), 3)})
    return pd.DataFrame(lines).set_index(["stage", "patient"])


def draw_by_draw_table(ours: Ours) -> pd.DataFrame:
    """Scores of the best models, and of the shipped stage 1, by blood draw."""
    focus = ours.of(1, "focus", LEFT_OUT[1])
    tables = {
        ("stage 1", ours.best[1]): draws.table(ours.of_best(1, LEFT_OUT[1]), 1),
        ("stage 1", "focus"): draws.table(focus, 1),
        ("stage 2", ours.best[2]): draws.table(ours.of_best(2, LEFT_OUT[2]), 2),
    }
    return pd.concat(tables, names=["stage", "model"])


def motions_kept_table(ours: Ours) -> pd.DataFrame:
    """Share of each class that stage 1 keeps, and the gap between both motions."""
    lines = [
        {"model": row["model"], "left out": row["left_out"]}
        | row["called_positive"]
        | {"gap between motions": row["motions_apart"]}
        for row in ours.scores
        if row["stage"] == 1
    ]
    return pd.DataFrame(lines).set_index(["model", "left out"]).round(3)


def kept_and_discarded_table(ours: Ours) -> pd.DataFrame:
    """Medians of plain features among the reliable cells that stage 1 keeps and discards."""
    features = pd.read_parquet(ours.results / "simple.parquet")
    own = ours.of_best(1, LEFT_OUT[1]).merge(features, on="name")
    kept = (own["probability"] >= metrics.THRESHOLD).to_numpy()
    compared = beyond.kept_beside_discarded(own, kept, list(simple.NUMBERS))
    compared["number"] = compared["number"].map(simple.NUMBERS)
    return compared.set_index(["motion", "number"]).round(2).rename_axis(["motion", "feature"])


def unreliable_and_treading_table(ours: Ours) -> tuple[pd.DataFrame, str]:
    """Share of unreliable sequences beside the fraction of tank-treading cells, by acquisition.

    Returns
    -------
    table : an acquisition a row
    words : their rank correlation
    """
    index = pd.read_parquet(ours.results / "index.parquet").query("split == 'test'")
    counts = index.groupby("acquisition")["label"].value_counts().unstack(fill_value=0)
    reliable = counts[["tank-treading", "flipping"]].sum(axis=1)
    shares = pd.DataFrame(
        {
            "unreliable among all": counts["unreliable"] / counts.sum(axis=1),
            "tank-treading among reliable": counts["tank-treading"] / reliable,
        }
    )
    rank = spearmanr(*shares.to_numpy().T)
    words = f"Rank correlation (Spearman) {rank.statistic:.2f}, p = {rank.pvalue:.2f}."
    return shares.round(2), words


# --- probabilities, labels, rejected predictions ---


def draw_calibration(ours: Ours) -> Figure:
    """Share of positive cells against the predicted probability, both classes weighted alike."""
    figure, axis = plt.subplots(figsize=(4.5, 4), layout="constrained")
    for stage, left_out in LEFT_OUT.items():
        own = ours.of_best(stage, left_out)
        positive = paper.positive(own["label"], stage).astype(float)
        share = positive.mean()
        weight = np.where(positive == 1, 0.5 / share, 0.5 / (1 - share))
        own = own.assign(predicted=expit(own["score"]), weight=weight, positive=weight * positive)
        bins = own.groupby(pd.qcut(own["predicted"], 10, duplicates="drop"), observed=True)
        observed = bins["positive"].sum() / bins["weight"].sum()
        axis.plot(bins["predicted"].mean(), observed, "o-", label=f"stage {stage}")
    axis.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    axis.set(xlabel="predicted probability", ylabel="share of positive cells")
    axis.legend()
    plt.close(figure)
    return figure


def doubtful_labels_table(ours: Ours, most: int = 6) -> pd.DataFrame:
    """Sequences with the most confident predictions against their label."""
    lines = []
    for stage, left_out in ((1, "blood draw"), (2, "test"), (2, "strips")):
        own = ours.of_best(stage, left_out)
        sign = np.where(paper.positive(own["label"], stage), -1, 1)
        against = sign * (own["score"] - own["threshold"])
        for number in against.sort_values(ascending=False).index[:most]:
            if against[number] > 0:
                row = own.loc[number]
                lines.append(
                    {
                        "stage": stage,
                        "sequence": row["name"],
                        "label": row["label"],
                        "log odds against the label": round(against[number], 1),
                    }
                )
    return pd.DataFrame(lines).set_index(["stage", "sequence"])


def rejection_table(ours: Ours) -> pd.DataFrame:
    """How many predictions near the threshold are rejected, and the error rate of the others."""
    lines = []
    ensembles = ours.predictions.query(f"seed == {ENSEMBLE} and left_out != 'strips'")
    for (stage, model, left_out), own in ensembles.groupby(["stage", "model", "left_out"]):
        predicted = (own["probability"] >= metrics.THRESHOLD).to_numpy()
        wrong = predicted != paper.positive(own["label"], stage)
        kept = ~own["unsure"].to_numpy()
        lines.append(
            {
                "stage": stage,
                "model": model,
                "left out": left_out,
                "error rate of all": wrong.mean(),
                "rejected": 1 - kept.mean(),
                "error rate of the others": wrong[kept].mean(),
            }
        )
    return pd.DataFrame(lines).set_index(["stage", "model", "left out"]).round(3)


def draw_workload(ours: Ours) -> Figure:
    """Errors that are left if somebody labels the least certain sequences correctly."""
    figure, axis = plt.subplots(figsize=(4.8, 3.4), layout="constrained")
    for stage, left_out in LEFT_OUT.items():
        left = beyond.workload(ours.of_best(stage, left_out), stage)
        label = f"stage {stage}, {ours.best[stage]}"
        axis.plot(100 * left["looked"], 100 * left["wrong"], label=label)
    axis.set(xlabel="sequences labelled by eye (%)", ylabel="errors left (%)", ylim=(0, None))
    axis.legend()
    plt.close(figure)
    return figure


# --- what is shipped ---


def shipped_table(ours: Ours) -> pd.DataFrame:
    """Scores of the shipped models."""
    lines = [
        {"stage": row["stage"]} | {s["score"].replace("_", " "): figures.score(s) for s in scores}
        for row in _load(ours.results / "shipped.json")
        if (scores := row.get("scores"))
    ]
    return pd.DataFrame(lines).rename(columns={"auc": "AUC"}).set_index("stage")


def threshold_table(ours: Ours) -> pd.DataFrame:
    """Recall of stage 1 by blood draw, with the shipped threshold, which was set on these very
    cells, and with the threshold that the other blood draws set.
    """
    rows = pd.DataFrame(_load(ours.results / "thresholds.json")["draws"])
    rows = rows[rows["label"].isin(paper.RELIABLE)]
    sums = rows.groupby("draw")[["cells", "kept_shipped", "kept_by_others"]].sum()
    sums.loc["all"] = sums.sum()
    shares = {
        "shipped threshold": sums["kept_shipped"] / sums["cells"],
        "threshold of the other draws": sums["kept_by_others"] / sums["cells"],
    }
    table = pd.DataFrame({"reliable cells": sums["cells"]} | shares)
    return table.rename_axis("blood draw").round(2)


def travel_table(ours: Ours, stage: int) -> pd.DataFrame:
    """Ways to set a stage's threshold on blood draws left out, each compared with the shipped way.

    Parameters
    ----------
    ours : kept results
    stage : 1 or 2
    """
    lines = []
    for row in _load(ours.results / "travel.json")[f"stage {stage}"]:
        scores = {one["score"]: one for one in row["scores"]}
        balanced, recall = scores["balanced_accuracy"], scores["recall"]
        compared = row.get("difference")
        line = {"threshold": row["way"], "balanced accuracy": f"{balanced['mean']:.3f}"}
        line["worst draw"] = f"{balanced['lowest']:.2f}"
        line["recall of the worst draw"] = f"{recall['lowest']:.2f}"
        line["difference (95 % interval)"] = "-"
        if compared:
            line["difference (95 % interval)"] = (
                f"{compared['difference']:+.3f} ({compared['low']:+.2f} to {compared['high']:+.2f})"
            )
        lines.append(line)
    return pd.DataFrame(lines).set_index("threshold")


def shipped_decisions(ours: Ours) -> tuple[pd.DataFrame, str]:
    """Predicted classes of the shipped models, which may be unsure, and a sentence on them.

    Returns
    -------
    table : numbers of test sequences, an expert label a row
    words : how many are unsure and wrong, and the gap between both motions
    """
    shipped = _load(ours.results / "shipped.json")[-1]
    table = pd.DataFrame(shipped["decisions"]).T.rename_axis("expert label")
    gap = shipped["motions"]
    words = (
        f"Of all test sequences {100 * shipped['unsure']:.1f} % are unsure and"
        f" {100 * shipped['wrong']:.1f} % are predicted wrongly. Tank-treading is predicted rightly"
        f" {100 * gap['apart']:+.1f} points more often than flipping (95 % interval"
        f" {100 * gap['low']:+.1f} to {100 * gap['high']:+.1f}, cells as if independent): alike"
        f" within {100 * gap['margin']:.0f} points, {gap['alike']}."
    )
    return table, words


def nuisance_table(ours: Ours) -> pd.DataFrame:
    """Balanced accuracy of the shipped models on test sequences as other microscopes might film
    them.
    """
    rows = pd.DataFrame(_load(ours.results / "nuisance.json")).set_index("what")
    stages = ("stage 1", "stage 2")
    table = {"sequences": rows["sequences"]}
    for stage in stages:
        loss = 100 * (rows[stage].iloc[0] - rows[stage])
        table[stage] = rows[stage].map("{:.3f}".format)
        table[f"{stage}, loss (points)"] = loss.map("{:.1f}".format)
    table["unsure"] = rows["unsure"].map("{:.2f}".format)
    of_all = rows["acquisitions"].astype(str)
    table["refused"] = rows["refused"].astype(str) + " of " + of_all
    for stage in stages:
        loss = 100 * rows[f"{stage}, cost where judged"].astype(float)
        words = loss.map("{:.1f}".format).replace("nan", "-")
        table[f"{stage}, loss where analysed (points)"] = words
    return pd.DataFrame(table)


def label_free() -> pd.DataFrame:
    """AUC of numbers that no label chose, for flipping against tank-treading cells of the released
    sample (`workflow/labelfree.py`).
    """
    kept = json.loads((runs.REFERENCE / "labelfree.json").read_text(encoding="utf-8"))
    flipping, treading = kept["cells"].values()
    rows = [
        {
            "number": row["number"],
            "AUC": f"{row['auc']:.2f} [{row['low']:.2f}, {row['high']:.2f}]",
            f"by blood draw ({kept['draws']})": "{:.2f} to {:.2f}".format(*row["draws"]),
        }
        for row in kept["rows"]
    ]
    cells = f"{flipping} flipping, {treading} tank-treading"
    return pd.DataFrame(rows).assign(cells=cells).set_index("number")
