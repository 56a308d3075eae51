"""Pictures and tables for the book: confusion matrix, error gallery, strips, curves, reported
beside replicated.
"""

from __future__ import annotations

from html import escape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from rbc.metrics import SCORES, THRESHOLD, Confusion, truth_and_call
from rbc.paper import KS, MODELS, SAMPLINGS, reported
from rbc.sampling import sample
from rbc.sequences import Sequences, strip
from rbc.settings import Training

#: Okabe and Ito's colours, told apart with any colour vision; and marks, told apart in grey.
SOURCES = ("#000000", "#e69f00", "#0072b2", "#009e73")
MARKS = ("o", "s", "D", "^")
PAPER_SCORES = SCORES[:4]  #: what Tables 3 and 4 print


class Sentence(str):
    """Words that stand on a page where a picture or a table would."""

    def _repr_markdown_(self) -> str:
        return str(self)


NO_PICTURES = Sentence(
    "We do not publish pictures of real cells. They are here if you build the book with the data:"
    " `make book PROFILE=released DATA=FOLDER`."
)
COUNTS = ["n", "tp", "fp", "fn", "tn"]


def confusion_matrix(c: Confusion, names: tuple[str, str]) -> Figure:
    """Normalised confusion matrix as Figure 3: rows are the truth and sum to 100 %, counts below.

    Parameters
    ----------
    c : counts
    names : of the negative and of the positive class
    """
    counts = np.array([[c.tn, c.fp], [c.fn, c.tp]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    notes = [[f"{100 * s:.0f} %\n({n})" for s, n in zip(*pair)] for pair in zip(shares, counts)]
    figure, axis = plt.subplots(figsize=(4, 3.2), layout="constrained")
    sns.heatmap(
        shares,
        annot=notes,
        fmt="",
        vmin=0,
        vmax=1,
        cmap="Blues",
        cbar=False,
        square=True,
        ax=axis,
        xticklabels=names,
        yticklabels=names,
    )
    axis.set(xlabel="predicted class", ylabel="expert label")
    plt.close(figure)
    return figure


def matrices(panels: dict[str, Confusion], names: tuple[str, str]) -> Figure:
    """Normalised confusion matrices side by side on one scale, as in Figure 3.

    Parameters
    ----------
    panels : counts by title; a panel of shares alone holds rates, which are drawn without counts
    names : of the negative and of the positive class
    """
    width = 3.6 * len(panels)
    figure, axes = plt.subplots(1, len(panels), figsize=(width, 3.2), layout="constrained")
    for axis, (title, c) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        counts = np.array([[c.tn, c.fp], [c.fn, c.tp]], float)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
        whole = counts.sum() > 2.0 + 1e-9  # two rows of rates sum to 2: no counts are known
        notes = [
            [f"{100 * s:.0f} %" + (f"\n({n:,.0f})" if whole else "") for s, n in zip(*pair)]
            for pair in zip(shares, counts)
        ]
        look = {"annot": notes, "fmt": "", "vmin": 0, "vmax": 1, "cmap": "Blues", "cbar": False}
        ticks = {"xticklabels": names, "yticklabels": names}
        sns.heatmap(shares, square=True, ax=axis, **look, **ticks)
        axis.set_title(title, fontsize=10)
        axis.set(xlabel="predicted class", ylabel="expert label")
    plt.close(figure)
    return figure


def forest(rows: pd.DataFrame) -> Figure:
    """What is known of a few shares, from whom.

    Parameters
    ----------
    rows : quantity, source, value, low, high, draws; shares in [0, 1], ends nan where none are
        known. The ends are those of a 95 % interval where draws is 0, else the lowest and the
        highest of so many blood draws, drawn as a dotted line
    """
    quantities = list(dict.fromkeys(rows["quantity"]))
    sources = list(dict.fromkeys(rows["source"]))
    step = 0.8 / len(sources)  # rows of one quantity share four fifths of its height
    height = 0.8 + 0.2 * len(quantities) * len(sources)
    figure, axis = plt.subplots(figsize=(7.5, height), layout="constrained")
    for row in rows.itertuples():
        number = sources.index(row.source)
        y = quantities.index(row.quantity) + (number - (len(sources) - 1) / 2) * step
        colour = SOURCES[number % len(SOURCES)]
        style = ":" if row.draws else "-"
        axis.plot([row.low, row.high], [y, y], style, color=colour, lw=2, gid=row.source)
        axis.plot(row.value, y, MARKS[number % len(MARKS)], color=colour, ms=6, gid=row.source)
    for number, source in enumerate(sources):
        colour, mark = SOURCES[number % len(SOURCES)], MARKS[number % len(MARKS)]
        axis.plot([], [], lw=2, label=source, color=colour, marker=mark)
    axis.set_yticks(range(len(quantities)), quantities)
    axis.set(xlim=(0, 1.02), xlabel="share of those cells")
    axis.invert_yaxis()
    axis.grid(axis="x", color="0.9")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    plt.close(figure)
    return figure


def dumbbells(panels: dict[str, pd.DataFrame]) -> Figure:
    """A manual count of each acquisition beside its estimates; each panel has its own scale.

    Parameters
    ----------
    panels : by title; columns name, hand, low, high (95 % of the manual count), estimate, and
        corrected (nan where there is none); percent
    """
    rows = [len(table) for table in panels.values()]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(7, 1.2 * len(panels) + 0.34 * sum(rows)),
        height_ratios=[n + 1 for n in rows], layout="constrained", squeeze=False,
    )  # fmt: skip
    for axis, (title, table) in zip(axes[:, 0], panels.items(), strict=True):
        places = np.arange(len(table))
        above, below = places - 0.17, places + 0.17  # so that no mark covers another
        axis.hlines(above, table["low"], table["high"], color="0.75", lw=5)
        axis.plot(table["hand"], above, "o", color=SOURCES[0], label="manual count, 95 % interval")
        axis.hlines(below, table["hand"], table["estimate"], color=SOURCES[2], lw=1)
        axis.plot(table["estimate"], below, "D", color=SOURCES[2], label="classify and count")
        if table["corrected"].notna().any():
            axis.plot(table["corrected"], below, "^", color=SOURCES[1], label="adjusted count")
        axis.set_yticks(places, table["name"])
        axis.set_ylim(len(table) - 0.5, -0.5)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("tank-treading cells (%)")
        axis.grid(axis="x", color="0.9")
    # The panel with the most kinds of marks has the legend for all.
    kinds = [len(axis.get_legend_handles_labels()[0]) for axis in axes[:, 0]]
    fullest = axes[int(np.argmax(kinds)), 0]
    handles, labels = fullest.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    plt.close(figure)
    return figure


def over_k(table: pd.DataFrame, stage: int) -> Figure:
    """Table 3 or 4 as small multiples: validation F1 over K, a panel a network and sampling.

    Parameters
    ----------
    table : of `compendium.runs.collect`; means over seeds are drawn, with the widest 95 % interval
        of a seed
    stage : 1 or 2
    """
    printed = reported(f"table{stage + 2}")
    ours = table[(table["stage"] == stage) & (table["split"] == "validation")]
    figure, axes = plt.subplots(
        len(MODELS), len(SAMPLINGS), figsize=(7.2, 4.6), layout="constrained", sharex=True,
        sharey=True,
    )  # fmt: skip
    for row, model in zip(axes, MODELS, strict=True):
        for axis, sampling in zip(row, SAMPLINGS, strict=True):
            known, own = (
                part[(part["model"] == model) & (part["sampling"] == sampling)]
                for part in (printed, ours)
            )
            axis.plot(
                known["k"],
                known["f1"],
                "s--",
                color="0.45",
                mfc="white",
                label="the paper, reported",
            )
            seeds = own.groupby("k").agg(
                f1=("f1", "mean"), low=("f1_low", "min"), high=("f1_high", "max")
            )
            axis.vlines(seeds.index, seeds["low"], seeds["high"], color=SOURCES[2], lw=2, alpha=0.5)
            axis.plot(seeds.index, seeds["f1"], "o-", color=SOURCES[2], label="this profile")
            axis.set_title(f"{model}, {sampling}", fontsize=10)
            axis.set(xticks=KS, ylim=(0, 1.02))
            axis.grid(axis="y", color="0.9")
    for axis in axes[-1]:
        axis.set_xlabel("K, frames at most")
    for axis in axes[:, 0]:
        axis.set_ylabel("validation F1")
    axes[0, 0].legend(frameon=False, fontsize=9, loc="lower right")
    plt.close(figure)
    return figure


def strips(named: dict[str, np.ndarray]) -> Figure:
    """One strip of frames a row, each with its name; grey levels stretched alike within a row."""
    # About one dot a pixel of the cells: noise makes large files, and a page has eight of these.
    figure, axes = plt.subplots(
        len(named),
        1,
        figsize=(9, 0.5 * len(named) + 0.4),
        dpi=72,
        squeeze=False,
        layout="constrained",
    )
    for axis, (name, frames) in zip(axes[:, 0], named.items()):
        axis.imshow(strip(frames), cmap="gray", aspect="equal")
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
        axis.set(xticks=[], yticks=[], anchor="W")
        axis.spines[:].set_visible(False)
    plt.close(figure)
    return figure


def outcomes(predictions: pd.DataFrame, stage: int) -> pd.Series:
    """TP, TN, FN or FP for each row of a table of predictions.

    Parameters
    ----------
    predictions : columns label and probability (of the positive class)
    stage : 1 or 2
    """
    truth, called = truth_and_call(predictions, stage)
    words = np.where(called, np.where(truth, "TP", "FP"), np.where(truth, "FN", "TN"))
    return pd.Series(words, index=predictions.index)


def gallery(
    sequences: Sequences, predictions: pd.DataFrame, stage: int, outcome: str, n: int = 8
) -> Figure | None:
    """Sequences of one outcome, as in Figure 3, 20 frames each by similarity.

    Departure (D36): the paper does not say how its examples were chosen or ordered. Here the most
    confident come first.

    Parameters
    ----------
    sequences : the frames
    predictions : which sequences, with the answers
    stage : 1 or 2
    outcome : TP, TN, FN or FP
    n : how many at most

    Returns
    -------
    None where no sequence has that outcome
    """
    cells = predictions[outcomes(predictions, stage) == outcome]
    certainty = (cells["probability"] - THRESHOLD).abs()
    cells = cells.loc[certainty.sort_values(ascending=False, kind="stable").index[:n]]
    where = {name: i for i, name in enumerate(sequences.index["name"])}
    named = {
        f"{row.name} ({row.label}, p = {row.probability:.2f})": sample(
            sequences[where[row.name]], "similarity", 20
        )
        for row in cells.itertuples(index=False, name="Cell")
    }
    return strips(named) if named else None


def failed(failures: pd.DataFrame) -> pd.DataFrame:
    """`compendium.runs.failures` counted over all sequences, by label and by acquisition."""
    parts = {("all", ""): failures}
    for by in ("label", "acquisition"):
        parts |= {(by, value): part for value, part in failures.groupby(by)}
    rows = {key: _failed(part) for key, part in parts.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def _failed(part: pd.DataFrame) -> dict:
    return {
        "sequences": len(part),
        "wrong in all runs": (part["wrong"] == part["runs"]).sum(),
        "wrong in none": (part["wrong"] == 0).sum(),
        "predictions": part["runs"].sum(),
        "wrong predictions": f"{part['wrong'].sum()}"
        f" ({100 * part['wrong'].sum() / part['runs'].sum():.0f} %)",
    }


def failing(failures: pd.DataFrame) -> str:
    """HTML table of `compendium.runs.failures`, a row a sequence; the runs that call it wrong open
    as links to their pages.
    """
    rows = [
        {
            "sequence": escape(row.name),
            "acquisition": escape(row.acquisition),
            "label": row.label,
            "wrong in": _run_links(f"{row.wrong} of {row.runs}", row.failed),
            "mean probability": f"{row.mean_probability:.2f}",
        }
        for row in failures.itertuples(index=False, name="Sequence")
    ]
    return pd.DataFrame(rows).to_html(escape=False, index=False, border=0, classes="sortable")


def sortable(table: pd.DataFrame) -> str:
    """HTML of a table that a reader can sort and filter (book/_static/tables.js); its index become
    columns.

    A tuple holds runs, which become links to their pages (in a column `seed`: by their seed);
    anything else is text.
    """
    cells = table.reset_index()
    for name in cells:
        cells[name] = [
            _links(x, name == "seed") if isinstance(x, tuple) else escape(str(x))
            for x in cells[name]
        ]
    return cells.to_html(escape=False, index=False, border=0, classes="sortable")


def _run_links(count: str, failed: tuple[str, ...]) -> str:
    return f"<details><summary>{count}</summary>{_links(failed)}</details>" if failed else count


def _links(runs: tuple[str, ...], by_seed: bool = False) -> str:
    """Links to the pages of runs, one a line, by what follows model, sampling and K or by their
    whole name.
    """
    pages = [(run.replace("/", "-"), run.split("/")[1]) for run in sorted(set(runs))]
    named = [
        (page, f"seed {name.split('-', 3)[-1][1:]}" if by_seed else name) for page, name in pages
    ]
    return "<br>".join(
        f'<a href="runs/{escape(page)}.html">{escape(name)}</a>' for page, name in named
    )


def curves(history: pd.DataFrame) -> Figure:
    """Training and validation loss by epoch, one line a fold; the kept epoch is marked."""
    figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
    for fold, part in history.groupby("fold"):
        kept = part.loc[part["valid_loss"].idxmin()]
        axis.plot(
            part["epoch"] + 1,
            part["train_loss"],
            "--",
            color=f"C{fold}",
            label=f"training, fold {fold}",
        )
        axis.plot(
            part["epoch"] + 1,
            part["valid_loss"],
            color=f"C{fold}",
            label=f"validation, fold {fold}",
        )
        axis.plot(kept["epoch"] + 1, kept["valid_loss"], "o", color=f"C{fold}")
    axis.set(xlabel="epoch", ylabel="cross-entropy")
    axis.legend(fontsize=7)
    plt.close(figure)
    return figure


def finder(rates: pd.DataFrame, training: Training) -> Figure | None:
    """The learning-rate finder's curve, the rates that were used shaded.

    Parameters
    ----------
    rates : one row a batch: rate, loss
    training : the rates used

    Returns
    -------
    None where the finder was switched off
    """
    if rates.empty:
        return None
    figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
    axis.plot(rates["rate"], rates["loss"])
    axis.axvspan(training.lr_low, max(training.lr_high, 1.05 * training.lr_low), alpha=0.2)
    axis.set(xscale="log", xlabel="learning rate", ylabel="cross-entropy")
    plt.close(figure)
    return figure


def beside(table: pd.DataFrame, stage: int, why_not: str = "") -> pd.DataFrame:
    """Table 3 or 4, reported beside replicated, means over seeds on the validation split.

    Parameters
    ----------
    table : of `compendium.runs.collect`
    stage : 1 or 2
    why_not : what a cell says that was not run

    Returns
    -------
    16 rows. Columns ``recall, reported``, ``recall, replicated`` and so on; before them seed, the
    runs of the cell as a tuple. Precision is undefined where nothing was called positive.
    """
    printed = reported(f"table{stage + 2}").set_index(["model", "sampling", "k"])
    mine = (table["stage"] == stage) & (table["split"] == "validation")
    ours = (
        table[mine]
        .groupby(["model", "sampling", "k"])[list(PAPER_SCORES)]
        .mean()
        .reindex(printed.index)
    )
    words = ours.map(lambda x: "undefined" if pd.isna(x) else f"{x:.2f}")
    made = {
        cell: tuple(part["run"]) for cell, part in table[mine].groupby(["model", "sampling", "k"])
    }
    words[~printed.index.isin(list(made))] = why_not or "not run"
    sources = {"reported": printed.map(lambda x: f"{x:.2f}"), "replicated": words}
    both = {
        f"{score}, {source}": part[score]
        for score in PAPER_SCORES
        for source, part in sources.items()
    }
    return pd.DataFrame(
        {"seed": [made.get(cell, ()) for cell in printed.index]}, printed.index
    ).join(pd.DataFrame(both))


def every_run(table: pd.DataFrame, stage: int, split: str, why_not: str = "") -> pd.DataFrame:
    """All 16 cells of Table 3 or 4, a row each run.

    Parameters
    ----------
    table : of `compendium.runs.collect`
    stage, split : which runs, judged on which sequences
    why_not : what a cell says that was not run

    Returns
    -------
    n, confusion counts, scores with 95 % intervals, the paper's F1. That is its validation F1
    (Tables 3 and 4); it prints test scores only for its two chosen models.
    """
    printed = reported(f"table{stage + 2}").set_index(["model", "sampling", "k"])
    rows = []
    for cell in [(m, s, k) for m in MODELS for s in SAMPLINGS for k in KS]:
        chosen = table[(table["stage"] == stage) & (table["split"] == split)]
        chosen = chosen[(chosen[["model", "sampling", "k"]] == list(cell)).all(axis=1)]
        reference = {"paper's F1 (validation)": f"{printed.loc[cell, 'f1']:.2f}"}
        lines = [_with_intervals(run) for _, run in chosen.iterrows()] or [
            {"recall": why_not or "not run"}
        ]
        rows += [dict(zip(("model", "sampling", "K"), cell)) | line | reference for line in lines]
    columns = ["seed", *COUNTS, "recall", "specificity", "f1", *reference]
    return (
        pd.DataFrame(rows).set_index(["model", "sampling", "K"]).reindex(columns=columns).fillna("")
    )


def _with_intervals(run: pd.Series) -> dict:
    counts = {"seed": (run["run"],)} | {count: str(run[count]) for count in COUNTS}
    return counts | {
        s: interval(run[s], run[f"{s}_low"], run[f"{s}_high"])
        for s in ("recall", "specificity", "f1")
    }


def score(found: dict) -> str:
    """A score of `metrics.uncertainty` in words: with its interval, ``0.91 [0.85, 0.95]``, or where
    none is given with its lowest and highest blood draw, ``0.91 (0.36 to 1.00)``.

    Parameters
    ----------
    found : mean, low, high, n_draws, lowest, highest
    """
    if pd.isna(found["mean"]):
        return "undefined"
    if not pd.isna(found["low"]):
        return interval(found["mean"], found["low"], found["high"])
    if found["n_draws"] < 2:  # of none where no draw has cells of both classes
        return f"{found['mean']:.2f} ({'one draw' if found['n_draws'] else 'of no single draw'})"
    return f"{found['mean']:.2f} ({found['lowest']:.2f} to {found['highest']:.2f})"


def interval(value: float, low: float, high: float) -> str:
    """A score with its interval, e.g. ``0.91 [0.85, 0.95]``.

    Parameters
    ----------
    value : the score, nan where undefined
    low, high : ends of its interval
    """
    return "undefined" if pd.isna(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"
