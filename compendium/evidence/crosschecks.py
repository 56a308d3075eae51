"""Does the paper agree with itself? Each statement of rbc/reported/statements.csv against its
tables and figures.

*contradicts* is said only of two statements of the paper that exclude each other as they stand.
Where a statement is true in one fair reading and not in another, the verdict is *depends on the
reading*, and both readings are shown.

Needs no data but rbc/reported/ and the committed lengths of the released sample
(data/reference/released/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.special import bdtr

from compendium import ROOT
from compendium.evidence import audit
from compendium.evidence.audit import RULES, meet, sizes, spans
from rbc.paper import MODELS, RELIABLE, SPLITS, STAGES, reported

AGREES, READING, CONTRADICTS = "agrees", "depends on the reading", "contradicts"
VERDICTS = (AGREES, READING, CONTRADICTS)

#: Of a statement's two numbers: what is found, the verdict, perhaps a note, and the readings where
#: it depends on them.
Check = Callable[[float, float], tuple]
#: Names, labels and lengths of the authors' released sample.
RELEASED = ROOT / "data" / "reference" / "released" / "index.parquet"
ACQUISITIONS = 32  #: "Evaluation setting"
#: scores: within so much two are called similar (the margin of data/claims.yaml; our reading)
ALIKE = 0.03
#: percentage points: a fraction printed with one decimal is "very similar" within so much (our
#: reading)
SIMILAR = 1.0
#: "Flow experiments": field and focus in um, shear rate in 1/s, frames/s, depth of the chamber in
#: um.
FIELD, FOCUS, SHEAR, RATE, DEPTH = 830, 60, 10, 60, 1000


@dataclass(frozen=True)
class CrossCheck:
    """A statement of the paper (or a candidate explanation), its place, what is computed, and the
    verdict.

    Verdicts: those of `VERDICTS`; of an explanation: explains all, explains some, explains none.
    `note` says what could lie behind it, innocently, or how far it goes.
    `readings` holds, where the verdict depends on them, each reading and what it makes of the
    statement.
    """

    key: str
    place: str
    statement: str
    found: str
    verdict: str
    note: str = ""
    readings: tuple[str, ...] = ()

    def record(self) -> dict:
        """For JSON."""
        return asdict(self)


def statements() -> list[CrossCheck]:
    """Every statement checked, in the order of rbc/reported/statements.csv."""
    return [
        CrossCheck(s.key, s.place, s.statement, *CHECKS[s.key](s.low, s.high))
        for s in reported("statements").itertuples()
    ]


def explanations(rows: Sequence[audit.Row]) -> list[CrossCheck]:
    """What could make the impossible rows possible: each of
    `compendium.evidence.audit.EXPLANATIONS`, tested on all of them.
    """
    tested = audit.explanations(rows)
    return [
        _explanation(name, part[~part["possible"]])
        for name, part in tested.groupby("explanation", sort=False)
    ]


def _explanation(name: str, part: pd.DataFrame) -> CrossCheck:
    counts = part.groupby("table")["explained"].agg(["sum", "size"])
    found = "; ".join(
        f"{table}: {row['sum']} of {row['size']} impossible rows"
        for table, row in counts.iterrows()
    )
    verdict = "explains " + (
        "all" if part["explained"].all() else "some" if part["explained"].any() else "none"
    )
    return CrossCheck(
        f"explanation: {name}", "Tables 3 and 4, text", audit.EXPLANATIONS[name][0], found, verdict
    )


def whole(percent: float, n: int, rule: str = "nearest") -> list[int]:
    """Which numbers of n cells are printed as this percentage with one decimal (GRIM: Brown and
    Heathers, 2017).

    Parameters
    ----------
    percent : as printed
    n : number of cells
    rule : how it was rounded, a name of `RULES`
    """
    k, r, v = np.arange(n + 1), RULES[rule], 2 * round(percent * 10)
    fits = (2000 * k >= (v + r.low) * n) & (2000 * k <= (v + r.high) * n - (not r.closed))
    return np.flatnonzero(fits).tolist()


def printed(stage: int, *scores: str) -> dict[str, float]:
    """Scores of the test split as printed; recall and specificity are those drawn in Figure 3, as
    shares.
    """
    row = reported("test_results").set_index("stage").loc[stage]
    drawn = {"recall": row["tpr_percent"] / 100, "specificity": row["tnr_percent"] / 100}
    return {score: drawn[score] if score in drawn else row[score] for score in scores}


def called_flipping() -> pd.DataFrame:
    """How many reliable test cells stage 2 called flipping, by each printed number that tells:
    source, low, high.
    """
    p, n = sizes(2, "test")
    total = reported("statements").set_index("key").loc["total-estimated", "low"]
    table5 = p + n - _tank_treading("estimated").sum()
    numbers = {"truth (Table 2)": [p], "text: total": [p + n - k for k in whole(total, p + n)]}
    for source, other in (
        ("text: precision", "precision"),
        ("Figure 3: specificity", "specificity"),
    ):
        numbers[f"{source}, recall"] = sum(meet(spans(printed(2, other, "recall"), p, n)))
    numbers["text: accuracy, recall"] = sum(meet(spans(printed(2, "accuracy", "recall"), p, n)))
    numbers["Table 5: estimates"] = [table5]
    rows = [(source, int(min(called)), int(max(called))) for source, called in numbers.items()]
    return pd.DataFrame(rows, columns=["source", "low", "high"])


def _tank_treading(kind: str) -> np.ndarray:
    """Cells of each acquisition of Table 5 that are (``ground_truth``) or were called
    (``estimated``) tank-treading.
    """
    table = reported("table5")
    return np.rint(table[f"{kind}_percent"] * table["n_reliable"] / 100).astype(int).to_numpy()


def _agrees(yes: bool) -> str:
    return AGREES if yes else CONTRADICTS


def _by_reading(readings: dict[str, bool | None]) -> tuple[str, tuple[str, ...]]:
    """Verdict of several readings, and the readings in words; None is a reading that nothing here
    can decide.

    Agrees where no reading is against the statement, contradicts where all are, else it depends on
    the reading.
    """
    readings = {name: holds if holds is None else bool(holds) for name, holds in readings.items()}
    against = [holds is False for holds in readings.values()]
    verdict = CONTRADICTS if all(against) else READING if any(against) else AGREES
    words = {True: "holds", False: "does not hold", None: "cannot be told here"}
    said = tuple(f"{reading}: {words[holds]}" for reading, holds in readings.items())
    return verdict, said if verdict == READING else ()


def _range(numbers: np.ndarray, form: str = ",") -> str:
    low, high = (format(end, form) for end in (numbers.min(), numbers.max()))
    return low if low == high else f"{low} to {high}"


def _validation_counts(low: float, high: float) -> tuple:
    p, n = sizes(1, "validation")
    return f"Table 2: {p:,} and {n:,}.", _agrees((p, n) == (low, high))


def _test_counts(*_) -> tuple:
    drawn, cells = reported("test_results"), reported("table5")["n_reliable"].sum()
    ours = [sizes(stage, "test") for stage in drawn["stage"]]
    (reliable, unreliable), (flipping, tank_treading) = ours
    same = ours == list(drawn[["n_positive", "n_negative"]].itertuples(index=False, name=None))
    found = (
        f"Table 2: {reliable:,} and {unreliable:,}, {tank_treading:,} and {flipping:,}; Table"
        f" 5: {cells:,} reliable."
    )
    return found, _agrees(same and cells == reliable)


def _balance_counts(low: float, high: float) -> tuple:
    p, n = sizes(1, "train")
    return (
        f"Table 2: {n:,} and {p:,}.",
        _agrees((round(n, -4), round(p, -2)) == (low, high)),
        "Rounded in the text.",
    )


def _ratio(stage: int) -> Check:
    def check(low: float, high: float) -> tuple:
        ratios = {split: n / p for split in SPLITS for p, n in [sizes(stage, split)]}
        found = ", ".join(f"{ratio:.1f} in {split}" for split, ratio in ratios.items())
        return f"Table 2: {found}.", _agrees(all(low <= ratio <= high for ratio in ratios.values()))

    return check


def _majority(low: float, _: float) -> tuple:
    shares = {split: 100 * n / (p + n) for split in SPLITS for p, n in [sizes(1, split)]}
    p, n = (sum(sizes(1, split)[i] for split in SPLITS) for i in (0, 1))
    of_all = 100 * n / (p + n)

    # a row is below only where every accuracy that is printed so is below
    accuracy = reported("table3")["accuracy"]
    half, line = 0.005, shares["validation"] / 100
    below = int((accuracy + half < line).sum())
    open_ = int(((accuracy - half <= line) & (line <= accuracy + half)).sum())

    found = ", ".join(f"{share:.1f} % in {split}" for split, share in shares.items())
    readings = {
        f"rounded, of the {split} split": round(share) == low for split, share in shares.items()
    }
    readings["rounded, of all splits together"] = round(of_all) == low
    verdict, words = _by_reading(readings)
    note = (
        f"{below} of {len(accuracy)} rows of Table 3 print an accuracy below that of calling"
        " all validation "
    )
    note += f"sequences unreliable; of {open_} more their two digits do not tell."
    return f"Table 2: {found}; {of_all:.1f} % of all.", verdict, note, words


def _acquisitions(low: float, high: float) -> tuple:
    patients = reported("table5")["patient"]
    found = len(patients), (patients == 1).sum()
    return f"Table 5 has {found[0]} acquisitions, {found[1]} of patient 1.", _agrees(
        found == (low, high)
    )


def _cells_per_video(low: float, high: float) -> tuple:
    total = reported("table2")[list(SPLITS)].to_numpy().sum()
    each = total / ACQUISITIONS
    found = f"Table 2 has {total:,} sequences in {ACQUISITIONS} acquisitions, {each:,.0f} each."
    readings = {
        "an acquisition is one video and a sequence one cell": low <= each <= high,
        f"an acquisition is several videos, {each / high:.1f} or more on average": each >= low,
    }
    verdict, words = _by_reading(readings)
    return found, verdict, "The paper does not say that an acquisition is one video.", words


def _ratios(kind: str) -> Check:
    def check(*_) -> tuple:
        table = reported("table5").rename(columns={f"{kind}_percent": "percent"})
        ways = ("nearest", "truncated")
        fits = {
            way: np.array([bool(whole(r.percent, r.n_reliable, way)) for r in table.itertuples()])
            for way in ways
        }
        either = np.logical_or(*fits.values())
        found = (
            f"{fits['nearest'].sum()} of {len(table)} are ratios of whole cells,"
            f" {fits['truncated'].sum()} if "
        )
        found += "digits were cut off, not rounded."
        for row in table[~fits["nearest"]].itertuples():
            k = row.percent * row.n_reliable / 100
            near = " or ".join(f"{100 * x / row.n_reliable:.2f}" for x in (np.floor(k), np.ceil(k)))
            found += (
                f" Not patient {row.patient}, acquisition {row.acquisition}: {row.percent} %"
                f" of {row.n_reliable}"
            )
            found += f" ({near} would be)."
        readings = {
            "all rounded to the nearest": bool(fits["nearest"].all()),
            "each rounded or cut off": bool(either.all()),
        }
        if fits["nearest"].all():
            return found, AGREES
        verdict, words = _by_reading(readings)
        return found, verdict, "A number rounded twice can end one off.", words

    return check


def _total(kind: str) -> Check:
    def check(low: float, _: float) -> tuple:
        cells, n = int(_tank_treading(kind).sum()), int(reported("table5")["n_reliable"].sum())
        mean = reported("table5")[f"{kind}_percent"].mean()
        found = (
            f"Table 5 adds up to {cells:,} of {n:,}, {100 * cells / n:.1f} %; the mean of its"
            f" rows is {mean:.1f} %."
        )
        return found, _agrees(cells in whole(low, n))

    return check


def _total_against_precision(*_) -> tuple:
    by = called_flipping().set_index("source")[["low", "high"]]
    total, scores = by.loc["text: total"], by.loc["text: precision, recall"]
    found = (
        f"By the percentage {_range(total)} cells were called flipping, by the scores"
        f" {_range(scores)}; "
    )
    found += f"{_range(by.loc['truth (Table 2)'])} are."
    note = "Both are of the text, on the same cells; they may come from two runs."
    return found, _agrees(total.high >= scores.low and scores.high >= total.low), note


def _table5_against_precision(low: float, high: float) -> tuple:
    p, _ = sizes(2, "test")
    positive = int(called_flipping().set_index("source").loc["Table 5: estimates", "low"])
    precision, f1 = zip(
        *((tp / positive, 2 * tp / (p + positive)) for tp in (_true_positives(2).max(), p))
    )
    found = (
        f"Table 5 implies {positive} cells called flipping where {p} are. With the text's"
        " recall precision is at "
    )
    found += (
        f"most {precision[0]:.2f} and F1 {f1[0]:.2f}; had all {p} been found,"
        f" {precision[1]:.2f} and {f1[1]:.2f}."
    )
    note = "Table 5 may come from another training run, or from another threshold than the scores."
    return found, _agrees(precision[0] >= low - 0.005 and f1[0] >= high - 0.005), note


def _true_positives(stage: int) -> np.ndarray:
    return meet(spans(printed(stage, "recall"), *sizes(stage, "test")))[0]


def _accuracy(stage: int) -> Check:
    def check(*_) -> tuple:
        row = next(r for r in audit.rows() if r.table == "test_results" and r.stage == stage)
        tp, fp = meet(spans(printed(stage, "precision", "recall"), *sizes(stage, "test")))
        found = (
            f"Precision and recall leave {_range(tp)} true and {_range(fp)} false positives,"
            " so an accuracy of "
        )
        found += (
            f"{_range(np.array(row.accuracy), '.3f')}. Matrices with all four scores:"
            f" {row.matrices}."
        )
        balanced = not row.possible and audit.EXPLANATIONS["balanced accuracy"][1](row)
        note = (
            "With the balanced accuracy (mean recall of both classes) in its place the row is"
            " possible."
        )
        return found, _agrees(row.possible), note if balanced else ""

    return check


def _figure3(stage: int) -> Check:
    def check(*_) -> tuple:
        p, n = sizes(stage, "test")
        drawn = printed(stage, "recall", "specificity")
        fp, both = (
            meet(spans(drawn, p, n))[1],
            meet(spans(drawn | printed(stage, "f1", "precision"), p, n))[1],
        )
        found = (
            f"The drawn percentages leave {_range(fp)} false positives. Matrices that have the"
            " text's F1 and precision "
        )
        found += f"too: {len(both)}" + (f", with {_range(both)} of them." if len(both) else ".")
        right = drawn["recall"] * p
        plain = right / (right + (1 - drawn["specificity"]) * n)
        note = f"Taken as exact, the drawn percentages would give a precision of {plain:.2f}."
        return found, _agrees(len(both) > 0), note

    return check


def _errors() -> pd.Series:
    return (
        reported("table5")["estimated_percent"] - reported("table5")["ground_truth_percent"]
    ).round(1)


def _table5_errors(low: float, high: float) -> tuple:
    errors, n = _errors().abs(), reported("table5")["n_reliable"]
    worst = n[errors.idxmax()]
    found = (
        f"{(errors < low).sum()} of {len(errors)} errors are below {low:.0f} points; the"
        f" largest, {errors.max()}, is "
    )
    found += f"that of {worst} cells, the smallest number being {n.min()}."
    return found, _agrees((errors < low).mean() > 0.5 and errors.max() == high and worst == n.min())


def _table5_bias(low: float, high: float) -> tuple:
    errors = _errors()
    below, above = int((errors < 0).sum()), int((errors > 0).sum())
    # Sign test, both sides: at one half they are equal. Not by scipy.stats, which is slow to load.
    chance = min(1.0, 2 * bdtr(min(below, above), below + above, 0.5))
    found = (
        f"By the text's totals the estimate minus the truth is {low - high:+.1f} points; in"
        " Table 5 it is "
    )
    found += (
        f"{errors.mean():+.1f} on average, {below} times negative, {above} times positive"
        " (sign test: p = "
    )
    found += f"{chance:.3f})."
    readings = {
        f"similar is within {SIMILAR:g} point, by the text's totals": abs(low - high) <= SIMILAR,
        f"similar is within {SIMILAR:g} point, by the mean of Table 5": abs(errors.mean())
        <= SIMILAR,
    }
    verdict, words = _by_reading(readings)
    note = (
        "The paper does not say how near is similar. A steady error could be corrected for; the"
        " acquisitions are "
    )
    return found, verdict, note + "of two patients only.", words


def _selection(*_) -> tuple:
    found, best = [], []
    for chosen in reported("test_results").itertuples():
        table = reported(f"table{chosen.stage + 2}").set_index(["model", "sampling", "k"])["f1"]
        ours = table[chosen.model, chosen.sampling, chosen.k]
        best.append(ours == table.max())
        found.append(
            f"Table {chosen.stage + 2}: F1 {ours:.2f}, the best is {table.max():.2f}"
            f" ({(table == ours).sum()} x)."
        )
    return " ".join(found), _agrees(all(best))


def _best_accuracy(low: float, _: float) -> tuple:
    table = reported("table3")
    best = {score: table[table[score] == table[score].max()] for score in ("accuracy", "recall")}
    ours = all(((rows["model"] == "cnn") & (rows["k"] == low)).all() for rows in best.values())
    found = ", ".join(
        f"{score} {rows[score].max():.2f} ({len(rows)} x)" for score, rows in best.items()
    )
    allowed = [
        r.accuracy for r in audit.rows() if (r.table, r.model, r.k) == ("table3", "cnn", low)
    ]
    note = (
        "In those rows precision and recall allow an accuracy of"
        f" {_range(np.array(allowed), '.2f')}."
    )
    return f"The best of Table 3: {found}.", _agrees(ours), note


def _sampling(*_) -> tuple:
    """ "Well" and "poorly" name no measure, so there are readings by each model's rows and one by
    the best F1.

    By rows: uniform is no worse than similarity in stage 1, and no better in stage 2, at half of
    the K or more.
    """
    found, won = [], {}
    for stage in STAGES:
        for model, part in reported(f"table{stage + 2}").groupby("model"):
            f1 = part.pivot(index="k", columns="sampling", values="f1")
            won[stage, model] = (
                int((f1["uniform"] > f1["similarity"]).sum()),
                int((f1["uniform"] < f1["similarity"]).sum()),
            )
            found.append(
                f"stage {stage}, {model}: {won[stage, model][0]} and {won[stage, model][1]}"
            )
    best = {
        stage: reported(f"table{stage + 2}").groupby("sampling")["f1"].max() for stage in STAGES
    }
    readings = {
        f"{model}: uniform higher at half of the K or more in stage 1, similarity in stage 2": (
            won[1, model][0] >= won[1, model][1] and won[2, model][0] <= won[2, model][1]
        )
        for model in MODELS
    }
    readings["best F1: uniform's as high in stage 1, lower in stage 2"] = bool(
        best[1]["uniform"] >= best[1]["similarity"] and best[2]["uniform"] < best[2]["similarity"]
    )
    verdict, words = _by_reading(readings)
    text = (
        f"Values of K where uniform, and where similarity, has the higher F1: {'; '.join(found)}."
    )
    return text, verdict, "To do well is not the same as to do better.", words


def _models_alike(*_) -> tuple:
    """The paper's "similar performances" names no margin; here `ALIKE`, of each score's mean over
    the 8 cells.
    """
    means = reported("table3").groupby("model")[list(audit.SCORES)].mean()
    apart = (means.loc["crnn"] - means.loc["cnn"]).abs()
    found = ", ".join(
        f"{score} {means.at['cnn', score]:.3f} and {means.at['crnn', score]:.3f}"
        for score in apart.index
    )
    readings = {
        f"within {ALIKE:g} in {score}": bool(apart[score] <= ALIKE) for score in apart.index
    }
    verdict, words = _by_reading(readings)
    return (
        f"Means of Table 3, CNN and C-RNN: {found}.",
        verdict,
        "The paper does not say how near is similar.",
        words,
    )


def _precision_below_recall(*_) -> tuple:
    table = reported("table3")
    below = (table["precision"] < table["recall"]).groupby(table["model"]).agg(["sum", "size"])
    found = ", ".join(
        f"{model}: {row['sum']} of {row['size']} rows" for model, row in below.iterrows()
    )
    rare = (
        "Where one sequence in twenty-five is positive, nearly every classifier has it so: it"
        " says little."
    )
    return (
        f"Precision is below recall in Table 3, {found}.",
        _agrees(bool((below["sum"] == below["size"]).all())),
        rare,
    )


def _difficulty(*_) -> tuple:
    """The methods call stage 1 the easier task, the discussion calls it the harder one."""
    f1 = {stage: printed(stage, "f1")["f1"] for stage in STAGES}
    balanced = {
        stage: sum(printed(stage, "recall", "specificity").values()) / 2 for stage in STAGES
    }
    found = (
        f"Printed for the test split: F1 {f1[1]:.2f} in stage 1, {f1[2]:.2f} in stage 2; mean"
        " recall of both "
    )
    found += f"classes {balanced[1]:.3f} and {balanced[2]:.3f}."
    readings = {
        "easier is meant of the eye, before any model (Two-stage deep learning"
        " classification)": None,
        "easier is meant of the models' printed F1": f1[1] > f1[2],
        "easier is meant of the models' printed mean recall of both classes": balanced[1]
        > balanced[2],
    }
    verdict, words = _by_reading(readings)
    return found, verdict, "The paper does not say by what measure.", words


def _released() -> pd.DataFrame:
    index = pd.read_parquet(RELEASED)
    return index[index["split"] == "test"].assign(reliable=lambda t: t["label"].isin(RELIABLE))


def _short_sequences(low: float, _: float) -> tuple:
    cells = _released()
    short = cells[cells["length"] < low]
    found = (
        f"Of {len(cells)} released test sequences {len(short)} are shorter,"
        f" {short['reliable'].sum()} of them "
    )
    readings = {
        "the released test sequences are those that the paper kept": short.empty,
        "they were taken before short ones were discarded": None,
    }
    verdict, words = _by_reading(readings)
    return f"{found}reliable.", verdict, "", words


def _crossing(low: float, high: float) -> tuple:
    linear, curved = (RATE * FIELD / (SHEAR * FOCUS * slower) for slower in (1, 1 - FOCUS / DEPTH))
    lengths = _released().query("reliable")["length"]
    found = (
        f"At the focus a cell takes {linear:.0f} frames to cross the field, or {curved:.0f}"
        " with the parabolic "
    )
    found += (
        f"profile of the chamber; reliable released sequences have {lengths.median():.0f}"
        " (median), at most "
    )
    found += f"{lengths.max()}."
    readings = {
        "a reliable sequence covers the whole field, at the speed of the stated shear rate and"
        " focus": linear < high,
        "it covers a part of the field, or the cell is higher above the wall and faster": None,
    }
    verdict, words = _by_reading(readings)
    return found, verdict, "The paper does not say how much of the field a sequence covers.", words


def _epochs(low: float, high: float) -> tuple:
    epochs = [minutes / each for minutes, each in ((30, 1.5), (105, 5))]
    found = " and ".join(f"{each:.0f}" for each in epochs)
    return f"The times are those of {found} epochs.", _agrees(
        all(low <= each <= high for each in epochs)
    )


#: By key of rbc/reported/statements.csv.
CHECKS: dict[str, Check] = {
    "validation-counts": _validation_counts,
    "test-counts": _test_counts,
    "balance-counts": _balance_counts,
    "ratio-stage1": _ratio(1),
    "ratio-stage2": _ratio(2),
    "majority": _majority,
    "acquisitions": _acquisitions,
    "cells-per-video": _cells_per_video,
    "ratios-true": _ratios("ground_truth"),
    "ratios-estimated": _ratios("estimated"),
    "total-true": _total("ground_truth"),
    "total-estimated": _total("estimated"),
    "total-against-precision": _total_against_precision,
    "table5-against-precision": _table5_against_precision,
    "accuracy-stage1": _accuracy(1),
    "accuracy-stage2": _accuracy(2),
    "figure3-stage1": _figure3(1),
    "figure3-stage2": _figure3(2),
    "table5-errors": _table5_errors,
    "table5-bias": _table5_bias,
    "selection": _selection,
    "best-accuracy": _best_accuracy,
    "sampling": _sampling,
    "models-alike": _models_alike,
    "precision-below-recall": _precision_below_recall,
    "difficulty": _difficulty,
    "short-sequences": _short_sequences,
    "crossing": _crossing,
    "epochs": _epochs,
}
