"""Tables and figures of the pages on the marker, each made from runs on disk or from kept results.

The marker is the fraction of tank-treading cells among the reliable ones of an acquisition (paper:
Table 5).
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import fisher_exact, norm

from compendium import runs
from rbc import figures, labelling, metrics, prevalence
from rbc.marker import LOWEST_COVERAGE, REFUSED_WIDTH, VALIDITY
from rbc.paper import LABELS, RELIABLE, reported

#: Methods whose interval reached its nominal coverage in the simulations of `coverage`.
COVERING = ("by hand", "adjusted count, closed form", "end to end")
#: What a page says where a number does not exist.
UNDEFINED = "undefined"


class MarkerRuns:
    """Predictions of a profile's chosen runs, and the marker estimated from them.

    Parameters
    ----------
    results : a profile's results folder
    """

    def __init__(self, results: Path | str):
        self.results = Path(results)

    @cached_property
    def test(self) -> pd.DataFrame:
        """Stage 2's predictions for the reliable test sequences."""
        return runs.chosen_answers(self.results, 2, "test")

    @cached_property
    def validation(self) -> pd.DataFrame:
        """Stage 2's predictions for its validation sequences."""
        return runs.chosen_answers(self.results, 2, "validation")

    @cached_property
    def stage1(self) -> pd.DataFrame:
        """Stage 1's predictions for the test sequences."""
        return runs.chosen_answers(self.results, 1, "test")

    @cached_property
    def both_stages(self) -> pd.DataFrame:
        """What both stages together predict for each test sequence (column answer)."""
        unreliable = runs.chosen_answers(self.results, 2, unreliable=True)
        stage2 = pd.concat([self.test, unreliable])
        return prevalence.answers(self.stage1, stage2)

    @cached_property
    def by_validation(self) -> pd.DataFrame:
        """Estimates by acquisition and method; errors learned from the validation split."""
        return prevalence.by_acquisition(self.test, self.validation)

    @cached_property
    def by_others(self) -> pd.DataFrame:
        """The same; errors learned from the other test acquisitions."""
        return prevalence.by_acquisition(self.test, None)


def table5() -> pd.DataFrame:
    """The paper's Table 5, with the number of tank-treading cells that its percentages tell."""
    printed = reported("table5")
    counts = printed["ground_truth_percent"] * printed["n_reliable"] / 100
    return printed.assign(n_treading=counts.round().astype(int))


def _wilson_ends(printed: pd.DataFrame) -> pd.DataFrame:
    """Wilson's 95 % interval of each manual count of Table 5, in percent: low and high."""
    pairs = zip(printed["n_treading"], printed["n_reliable"], strict=True)
    ends = [metrics.wilson(part, whole) for part, whole in pairs]
    return 100 * pd.DataFrame(ends, columns=["low", "high"], index=printed.index)


# --- Table 5 ---


def draw_table5(found: MarkerRuns, kind: str) -> Figure:
    """Manual count, reported or replicated estimate and corrected estimate of each acquisition.

    Parameters
    ----------
    found : the runs
    kind : of their cells, as the title names them: real or simulated sequences
    """
    printed = table5()
    names = [
        f"patient {patient}, movie {number}"
        for patient, number in zip(printed["patient"], printed["acquisition"], strict=True)
    ]
    paper = pd.DataFrame(
        {
            "name": names,
            "hand": printed["ground_truth_percent"],
            "estimate": printed["estimated_percent"],
            "corrected": np.nan,  # the paper corrects nothing
        }
    )
    paper = paper.join(_wilson_ends(printed))
    own = found.by_validation.set_index(["acquisition", "method"]).sort_index()
    by_hand = own.xs("by hand", level="method")
    ours = pd.DataFrame(
        {
            "name": by_hand.index,
            "hand": by_hand["percent"].to_numpy(),
            "low": by_hand["low"].to_numpy(),
            "high": by_hand["high"].to_numpy(),
            "estimate": own.xs("classify and count", level="method")["percent"].to_numpy(),
            "corrected": own.xs("adjusted count", level="method")["percent"].to_numpy(),
        }
    )
    return figures.dumbbells({"Reported (Table 5)": paper, f"Replicated ({kind})": ours})


def reported_table() -> pd.DataFrame:
    """Table 5 as reported, with the interval of each manual count."""
    printed = table5()
    ends = _wilson_ends(printed)
    error = printed["estimated_percent"] - printed["ground_truth_percent"]
    interval = [f"[{low:.1f}, {high:.1f}]" for low, high in ends.to_numpy()]
    table = printed.drop(columns="n_treading").assign(error=error.round(1), interval=interval)
    titles = {
        "n_reliable": "reliable cells",
        "ground_truth_percent": "manual count (%)",
        "estimated_percent": "classify and count (%)",
        "error": "error (points)",
        "interval": "manual count, 95 % interval",
    }
    return table.rename(columns=titles).set_index(["patient", "acquisition"])


def replicated_table(found: MarkerRuns) -> pd.DataFrame:
    """The estimates of every method, an acquisition a row, with intervals where they cover."""
    table = found.by_validation
    cells = table.drop_duplicates("acquisition").set_index("acquisition")["n_reliable"]
    words = table.assign(words=[_percent(row) for row in table.itertuples()])
    methods = list(table["method"].unique())
    words = words.pivot(index="acquisition", columns="method", values="words")[methods]
    words.insert(0, "reliable cells", cells)
    return words.rename(columns={"by hand": "manual count"}).rename_axis(columns=None)


def _percent(row) -> str:
    """A percentage, and its interval where that covers, e.g. 93.1 [89.4, 95.6]."""
    if pd.isna(row.percent):
        return UNDEFINED
    covers = row.method in COVERING and not pd.isna(row.low)
    return f"{row.percent:.1f}" + (f" [{row.low:.1f}, {row.high:.1f}]" if covers else "")


def classifier_errors(found: MarkerRuns) -> pd.DataFrame:
    """Recall and specificity of stage 2 on the validation and on the test split, with Wilson's
    intervals.
    """
    rows = {}
    for name, part in (("validation", found.validation), ("test", found.test)):
        c = metrics.confusion(part, 2)
        scores = {
            "recall (flipping)": (c.tp, c.tp + c.fn),
            "specificity (tank-treading)": (c.tn, c.tn + c.fp),
        }
        words = {score: _share(k, n) for score, (k, n) in scores.items()}
        rows[name] = {"cells": c.n} | words
    return pd.DataFrame(rows).T


def _share(part: int, whole: int) -> str:
    """A share with Wilson's interval, in words."""
    value = part / whole if whole else np.nan
    return figures.interval(value, *metrics.wilson(part, whole))


# --- errors of the estimates ---


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """Percentages of `prevalence.by_acquisition`, a method a column."""
    return table.pivot(index="acquisition", columns="method", values="percent")


def error_table(found: MarkerRuns) -> pd.DataFrame:
    """Estimate minus manual count over acquisitions, by method and by what its errors were learned
    from; percentage points.
    """
    printed = table5()
    reported_error = printed["estimated_percent"] - printed["ground_truth_percent"]
    count = "classify and count"
    rows = {("reported", count, "-"): _summarise_error(reported_error)}
    own = _wide(found.by_validation)
    rows["replicated", count, "-"] = _summarise_error(own[count] - own["by hand"])
    sources = {"validation": found.by_validation, "other acquisitions": found.by_others}
    for source, table in sources.items():
        own = _wide(table)
        for method in list(prevalence.METHODS)[1:]:
            rows["replicated", method, source] = _summarise_error(own[method] - own["by hand"])
    return pd.DataFrame(rows).T.rename_axis(["", "method", "errors learned from"])


def _summarise_error(error: pd.Series) -> dict[str, str | int]:
    """How many acquisitions, how many estimates are too low, and the size of the error."""
    error = error.dropna()
    sizes = {"mean": np.nan, "root mean square": np.nan, "largest": np.nan}
    if len(error):
        sizes = {
            "mean": error.mean(),
            "root mean square": (error**2).mean() ** 0.5,
            "largest": error.abs().max(),
        }
    words = {key: UNDEFINED if pd.isna(x) else f"{x:.1f}" for key, x in sizes.items()}
    return {"acquisitions": len(error), "too low": int((error < 0).sum())} | words


class Agreement:
    """Bland and Altman's limits of agreement of three estimates with the manual count.

    Parameters
    ----------
    found : the runs
    """

    def __init__(self, found: MarkerRuns):
        printed, own = table5(), _wide(found.by_validation)
        self.pairs = {
            "reported: classify and count": (
                printed["estimated_percent"],
                printed["ground_truth_percent"],
            ),
            "replicated: classify and count": (own["classify and count"], own["by hand"]),
            "replicated: adjusted count": (own["adjusted count"], own["by hand"]),
        }
        self.limits = {name: prevalence.bland_altman(*pair) for name, pair in self.pairs.items()}

    def table(self) -> pd.DataFrame:
        """Bias and limits with their 95 % intervals, in words."""
        titles = {"bias": "bias", "lower": "lower limit", "upper": "upper limit"}
        rows = {}
        for name, a in self.limits.items():
            words = dict.fromkeys(titles.values(), UNDEFINED)
            if a["n"] > 1:
                words = {
                    title: f"{a[key]:.1f} [{a[key + '_low']:.1f}, {a[key + '_high']:.1f}]"
                    for key, title in titles.items()
                }
            rows[name] = {"acquisitions": a["n"]} | words
        return pd.DataFrame(rows).T

    def draw(self) -> Figure:
        """The differences against the means, a panel an estimate."""
        figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
        axes[2].sharey(axes[1])  # the paper's panel has a scale of its own
        for axis, (name, (estimated, true)) in zip(axes, self.pairs.items(), strict=True):
            a = self.limits[name]
            axis.plot((estimated + true) / 2, estimated - true, "o", color="C0")
            axis.axhline(0, color="0.7", linewidth=0.8)
            for x, level, style in (
                (0.93, "lower", "--"),
                (0.955, "bias", "-"),
                (0.98, "upper", "--"),
            ):
                axis.axhline(a[level], color="C1", linestyle=style)
                axis.vlines(
                    x,
                    a[f"{level}_low"],
                    a[f"{level}_high"],
                    color="C1",
                    linewidth=4,
                    alpha=0.5,
                    transform=axis.get_yaxis_transform(),
                )
            axis.margins(x=0.15)
            axis.set_title(name.replace(": ", ":\n"), fontsize=9)
            axis.set_xlabel("mean of both (%)")
        axes[0].set_ylabel("estimate minus manual count (points)")
        plt.close(figure)
        return figure


# --- what two movies can show ---


def dispersion_table() -> pd.DataFrame:
    """Over-dispersion of the movies of Table 5, patient by patient."""
    printed = table5()
    patient = printed["patient"]
    lowest = printed["ground_truth_percent"] == printed["ground_truth_percent"].min()
    groups = {
        "patient 1 (one day)": patient == 1,
        "patient 2 (two days)": patient == 2,
        "patient 2 without its lowest movie": (patient == 2) & ~lowest,
    }
    rows = {}
    for name, chosen in groups.items():
        part = printed[chosen]
        d = prevalence.dispersion_of(part["n_treading"], part["n_reliable"])
        rows[name] = {
            "movies": len(part),
            "mean cells": f"{part['n_reliable'].mean():.0f}",
            "chi-square / df": f"{d['factor']:.2f} [{d['low']:.2f}, {d['high']:.1f}]",
            "p": f"{d['p']:.3f}" if d["p"] >= 0.001 else "below 0.001",
        }
    return pd.DataFrame(rows).T


def smallest_change_table(found: MarkerRuns) -> pd.DataFrame:
    """The smallest fall that two movies show with the power `prevalence.POWER`, in points."""
    second = table5().query("patient == 2")
    factor = prevalence.dispersion_of(second["n_treading"], second["n_reliable"])["factor"]
    mean_cells = second["n_reliable"].mean()
    errors = _stage2_errors(found)
    rows = {}
    for percent in (99, 93, 86, 70):
        for cells in (200, 500, 1000, 3000):
            between = {"factor": prevalence.dispersion_at(cells, factor, mean_cells)}
            designs = {
                "within a day": {},
                "within a day, replicated classifier": errors,
                "between days": between,
                "between days, replicated classifier": between | errors,
            }
            rows[percent, cells] = {
                name: _points(prevalence.smallest_change(percent / 100, cells, **design))
                for name, design in designs.items()
            }
    return pd.DataFrame(rows).T.rename_axis(["tank-treading (%)", "cells a movie"])


def cells_needed_table(found: MarkerRuns) -> pd.DataFrame:
    """Reliable cells that each of two movies needs to show a fall, and the power of 200 cells."""
    errors = _stage2_errors(found)
    rows = {}
    for percent in (93, 70):
        for fall in (2, 5, 10):
            p, change = percent / 100, fall / 100
            needed = {
                "classified rightly": prevalence.cells_for_change(p, change),
                "replicated classifier": prevalence.cells_for_change(p, change, **errors),
            }
            words = {name: UNDEFINED if pd.isna(n) else f"{n:.0f}" for name, n in needed.items()}
            power = prevalence.power_of_change(p, change, 200)
            rows[percent, fall] = words | {"power of 200 cells": f"{power:.2f}"}
    return pd.DataFrame(rows).T.rename_axis(["tank-treading (%)", "fall (points)"])


def _stage2_errors(found: MarkerRuns) -> dict[str, float]:
    """Shares of both motions that stage 2 predicts to be tank-treading."""
    c = metrics.confusion(found.test, 2)
    return {"right": c.specificity, "wrong": 1 - c.recall}


def _points(change: float) -> str:
    return UNDEFINED if pd.isna(change) else f"{100 * change:.1f}"


# --- both stages ---


def kept_table(found: MarkerRuns) -> pd.DataFrame:
    """Share of each class that stage 1 keeps; p compares both motions (Fisher's exact test)."""
    kept = found.stage1["probability"] >= metrics.THRESHOLD
    rows, counts = {}, {}
    for label in LABELS:
        of_label = found.stage1["label"] == label
        part, whole = int(kept[of_label].sum()), int(of_label.sum())
        counts[label] = [part, whole - part]
        rows[label] = {"sequences": whole, "kept": part, "share kept": _share(part, whole)}
    p = fisher_exact([counts[motion] for motion in RELIABLE]).pvalue
    return pd.DataFrame(rows).T.assign(p=[f"{p:.2g}", "", ""])


def both_stages_table(found: MarkerRuns) -> pd.DataFrame:
    """Test sequences by what both stages predict (rows) and by expert label (columns)."""
    both = found.both_stages
    counts = pd.crosstab(both["answer"], both["label"])
    counts = counts.reindex(prevalence.ANSWERS, fill_value=0)[list(LABELS)]
    return counts.rename_axis(index="predicted by both stages", columns="expert label")


def end_to_end_table(found: MarkerRuns) -> tuple[pd.DataFrame, dict[str, str]]:
    """The marker of each acquisition after both stages, and why some are withheld.

    Returns
    -------
    table : an acquisition a row
    withheld : reasons by acquisition, where no estimate is given
    """
    both, rows, withheld = found.both_stages, {}, {}
    for acquisition, part in both.groupby("acquisition"):
        others = both[both["acquisition"] != acquisition]
        estimate = prevalence.end_to_end(part, others)
        treading, flipping, unreliable = ((part["label"] == label).sum() for label in LABELS)
        reliable = treading + flipping
        corrected = _with_interval(estimate)
        if estimate["withheld"]:
            withheld[acquisition] = estimate["withheld"]
            corrected = "withheld"
        rows[acquisition] = {
            "reliable": reliable,
            "unreliable": unreliable,
            "manual count (%)": _points(treading / reliable if reliable else np.nan),
            "counted after both stages (%)": _points(estimate["counted"]),
            "corrected (%)": corrected,
            "remark": "wide" if estimate["caution"] else "",
        }
    return pd.DataFrame(rows).T.rename_axis("acquisition"), withheld


def _with_interval(estimate: dict) -> str:
    """Estimate and interval of `prevalence.end_to_end`, in percent."""
    value, low, high = (100 * estimate[key] for key in ("estimate", "low", "high"))
    return UNDEFINED if pd.isna(value) else f"{value:.1f} [{low:.1f}, {high:.1f}]"


def draw_counts_after_both_stages(found: MarkerRuns) -> Figure:
    """What counting gives on the paper's test split after both stages, against the unknown share of
    the kept unreliable cells that stage 2 predicts to flip.
    """
    cells = reported("table2").set_index("label")["test"].reindex(LABELS).to_numpy(float)
    paper = reported("test_results").set_index("stage")[["tpr_percent", "tnr_percent"]] / 100
    own = [metrics.confusion(part, stage) for stage, part in ((1, found.stage1), (2, found.test))]
    rates = {
        "the paper's rates": tuple(map(tuple, paper.to_numpy())),
        "replicated rates": tuple((c.recall, c.specificity) for c in own),
    }
    shares = np.linspace(0, 1, 51)
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for name, stages in rates.items():
        counted = [
            prevalence.fraction(prevalence.two_stage_rates(*stages, share) @ cells)
            for share in shares
        ]
        axis.plot(shares, 100 * np.array(counted), label=name)
    passed = both_stages_table(found).loc[list(RELIABLE), "unreliable"]
    if passed.any():
        measured = passed["flipping"] / passed.sum()
        axis.axvline(measured, color="0.5", linestyle=":", linewidth=1)
    truth = 100 * prevalence.fraction(cells)
    axis.axhline(truth, color="0.5", linewidth=0.8, label="manual count")
    axis.set(
        xlabel="share of kept unreliable cells predicted to flip",
        ylabel="tank-treading, counted (%)",
        ylim=(0, 102),
    )
    axis.legend()
    plt.close(figure)
    return figure


# --- simulations of coverage, kept by benchmarks/ ---


class Coverage:
    """How often intervals contain the truth in simulations (`benchmarks/intervals.py`)."""

    def __init__(self):
        kept = json.loads((runs.REFERENCE / "coverage.json").read_text(encoding="utf-8"))
        rows = pd.DataFrame(kept["rows"])
        percent = zip(100 * rows["covered"], 100 * rows["chance"], strict=True)
        rows["covered (%)"] = [f"{covered:.0f} ± {error:.0f}" for covered, error in percent]
        rows["over-dispersed"] = np.where(rows["over_dispersed"].eq(True), "yes", "no")
        rows["fraction (%)"] = (100 * rows["fraction"]).map("{:.0f}".format).replace("nan", "-")
        rows["mean width"] = rows["mean_width"].map("{:.3f}".format)
        for count in ("cells", "seeds"):
            rows[count] = rows[count].map("{:.0f}".format).replace("nan", "-")
        self.rows = rows
        #: rows that simulate several blood draws that differ
        self.several_draws = rows["correlation"].notna()
        sizes = rows.groupby("interval")["interval"].transform("size")
        #: intervals that were simulated at every fraction and size
        self.in_grid = (sizes >= 9) & ~self.several_draws

    def of_one_movie(self) -> pd.DataFrame:
        """Coverage by interval, fraction and number of cells."""
        key = ["interval", "over-dispersed", "fraction (%)", "cells"]
        return self.rows[self.in_grid].set_index(key)["covered (%)"].unstack([2, 3], sort=False)

    def of_others(self) -> pd.DataFrame:
        """Coverage and width of the other intervals, and of several movies."""
        shown = ["fraction (%)", "movies", "cells", "seeds", "over-dispersed"]
        rest = self.rows[~self.in_grid & ~self.several_draws]
        return rest.set_index("interval")[[*shown, "covered (%)", "mean width"]]

    def of_several_draws(self) -> pd.DataFrame:
        """Coverage of the mean over all possible blood draws, by correlation within a draw."""
        rows = self.rows[self.several_draws]
        rows = rows.assign(blood_draws=rows["draws"].astype(int))
        key = ["interval", "blood_draws", "correlation"]
        table = rows.set_index(key)["covered (%)"].unstack()
        return table.rename_axis(["interval", "blood draws"])


def studies_table() -> tuple[pd.DataFrame, int]:
    """Simulated studies of `rbc study`: coverage and width by design, and how many of each."""
    kept = json.loads((runs.REFERENCE / "studies.json").read_text(encoding="utf-8"))
    rows = pd.DataFrame(kept["rows"])
    table = pd.DataFrame(
        {
            "movies differ": np.where(rows["between_movies"] > 0, "as in Table 5", "no"),
            "correlation within a draw": rows["correlation"].map("{:g}".format),
            "unreliable per reliable": rows["per_reliable"],
        }
    )
    for name in ("covered", "changes_covered", "shown", "false", "withheld"):
        table[f"{name.replace('_', ' ')} (%)"] = (100 * rows[name]).round(1)
    for name in ("mean_width", "changes_mean_width"):
        table[f"{name.replace('_', ' ')} (points)"] = (100 * rows[name]).round().astype(int)
    return table.astype(str).set_index("movies differ"), int(rows["repetitions"].min())


def scales_table() -> pd.DataFrame:
    """Simulated movies of other pixel sizes, frame rates and shear rates (`benchmarks/scales.py`)
    and how far their marker is off.
    """
    kept = json.loads((runs.REFERENCE / "scales.json").read_text(encoding="utf-8"))
    movies = pd.DataFrame(kept["rows"])
    movies[["estimate", "low", "high"]] = movies[["estimate", "low", "high"]].astype(float)
    as_filmed = movies[movies["what"] == "as the paper"].set_index("seed")["estimate"]
    movies["shift"] = movies["estimate"] - movies["seed"].map(as_filmed)
    movies["error"] = movies["estimate"] - movies["truth"]
    movies["covers"] = movies["truth"].between(movies["low"], movies["high"])
    movies["warned"] = movies["why"] != ""
    setting = ["what", "um_per_px", "stated_um", "frame_rate", "shear_rate"]
    titles = ["movie", "um/px", "stated", "frames/s", "shear rate (/s)"]
    lines = []
    for key, part in movies.groupby(setting, sort=False):
        line = dict(zip(titles, key, strict=True))
        line["sequences"] = f"{part['tracked'].mean():.0f}"
        line["shift (points)"] = _mean_and_range(part["shift"])
        line["error (points)"] = _mean_and_range(part["error"])
        line["truth in the interval"] = f"{part['covers'].sum()} of {len(part)}"
        line["warned of"] = f"{part['warned'].sum()} of {len(part)}"
        lines.append(line)
    return pd.DataFrame(lines).astype(str).set_index("movie")


def _mean_and_range(fractions: pd.Series) -> str:
    """Mean and range of fractions, in percentage points."""
    known = 100 * fractions.dropna()
    if known.empty:
        return "-"
    return f"{known.mean():+.0f} ({known.min():+.0f} to {known.max():+.0f})"


def draw_validity() -> tuple[Figure, str]:
    """Coverage and width of the end-to-end interval by unreliable cells per reliable one.

    Returns
    -------
    figure : for each number of known blood draws the lowest coverage of all truths and
        correlations, and the mean width over them, which decides whether an estimate is given
    simulated : the truths, correlations and repetitions behind it, in words
    """
    shown = pd.DataFrame(json.loads(VALIDITY.read_text(encoding="utf-8"))["rows"])
    tried = {name: sorted(set(shown[name])) for name in ("truth", "correlation", "repetitions")}
    simulated = "; ".join(f"{name} {', '.join(map(str, x))}" for name, x in tried.items())
    by_design = shown.groupby(["draws", "per_reliable"])
    covered, width = by_design["covered"].min(), by_design["mean_width"].mean()

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axis, values in zip(axes, (covered, width), strict=True):
        for number, row in values.groupby("draws"):
            per_reliable = row.index.get_level_values("per_reliable")
            axis.plot(per_reliable, 100 * row.to_numpy(), "o-", label=f"{number}")
        axis.set_xlabel("unreliable cells per reliable one")
    axes[0].axhline(100 * LOWEST_COVERAGE, color="0.5", linestyle="--", linewidth=1)
    axes[0].set(ylabel="lowest coverage (%)", ylim=(80, 100))
    axes[1].axhline(100 * REFUSED_WIDTH, color="0.5", linestyle="--", linewidth=1)
    axes[1].set(ylabel="mean width (points)", ylim=(0, 100))
    axes[1].legend(title="blood draws known")
    plt.close(figure)
    return figure, simulated


# --- cells labelled at random, kept by benchmarks/labels.py ---


def labels_kept(name: str = "labels") -> pd.DataFrame:
    """Coverage and width of intervals from labels, a row a design and number of looks.

    Parameters
    ----------
    name : labels (simulated) or labels-released (movies resampled from real cells)
    """
    kept = json.loads((runs.REFERENCE / f"{name}.json").read_text(encoding="utf-8"))
    return pd.DataFrame(kept["rows"])


def labels_summary() -> str:
    """The lowest coverage of the simulated designs, and the width at the design of the report."""
    rows = labels_kept()
    few = rows[rows["looks"] < labelling.FEWEST_LOOKS]
    rows = rows[rows["looks"] >= labelling.FEWEST_LOOKS]
    lowest = rows.loc[rows["covered"].idxmin()]
    repetitions = int(rows["repetitions"].min())
    below = int((rows["covered"] < 0.93).sum())
    # Bonferroni: the level of all designs together is one in twenty.
    reach = norm.isf(0.05 / len(rows)) * (0.93 * 0.07 / repetitions) ** 0.5
    surely = int((rows["covered"] < 0.93 - reach).sum())
    usual = rows.query("truth == 0.93 and reliable == 300 and per_reliable == 1 and not wrong")
    widths = [
        f"{100 * part['median_width'].max():.0f} points with {looks}"
        for looks, part in usual.groupby("looks")
    ]
    return (
        f"**Simulated**, {repetitions} movies of each of {len(rows)} designs and numbers of looks,"
        f" from {labelling.FEWEST_LOOKS} looks on. With fewer the interval is not shown, because it"
        f" covered in as few as {few['covered'].min():.2f} of the movies of a design."
        f" The coverage is {rows['covered'].mean():.3f} on average and {lowest['covered']:.3f} at"
        f" its lowest. It is below .93 in {below} of them, and by more than chance explains in"
        f" {surely} (one-sided, at a level of 5 % shared by all). For 300 reliable and 300"
        " unreliable cells of which 93 % of the reliable ones tank-tread, the median width is at"
        f" most {', '.join(widths)} looks, whatever the correlation."
    )


def labels_table(name: str = "labels") -> pd.DataFrame:
    """Coverage and median width, a design a row and numbers of looks as columns."""
    rows = labels_kept(name)
    rows["words"] = [
        f"{100 * covered:.0f} % ({100 * width:.0f} points)"
        for covered, width in zip(rows["covered"], rows["median_width"], strict=True)
    ]
    design = [
        column
        for column in ("draw", "truth", "reliable", "per_reliable", "correlation", "wrong")
        if column in rows
    ]
    table = rows.set_index([*design, "looks"])["words"].unstack("looks")
    table.columns = [f"{looks} looks" for looks in table.columns]
    titles = {
        "draw": "blood draw",
        "truth": "tank-treading",
        "reliable": "reliable cells",
        "per_reliable": "unreliable per reliable",
        "wrong": "stage 2 misses 30 % of the flipping cells",
    }
    table = table.reset_index().rename(columns=titles).astype(str)
    return table.set_index(titles[design[0]])
