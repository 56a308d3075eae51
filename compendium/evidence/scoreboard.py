"""The scoreboard of claims as one piece of HTML, the predictions that it links to, and a table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd

from compendium import runs
from compendium.evidence import audit, decisions
from compendium.evidence.claims import Claim
from compendium.evidence.decisions import Verdict
from compendium.evidence.pages import filled
from compendium.evidence.rules import Tolerance
from compendium.evidence.study import Study, chosen
from compendium.evidence.verdicts import Verdicts
from rbc import figures, metrics
from rbc.paper import RELIABLE, reported

#: Signs beside the words, so that colour is not needed.
SIGNS = dict(
    zip(decisions.VERDICTS, ("✓", "=", "∋", "≈", "∌", "≠", "↔", "⚡", "–", "…"), strict=True)
)
#: Columns, and whether one can pick a value in them (book/_static/tables.js).
COLUMNS = {"Verdict": True, "Claim (opens its evidence)": False, "Place": True, "Kind": True}


def html(found: Verdicts, part: str) -> str:
    """The table that a reader can sort and filter, reported scores first.

    Parameters
    ----------
    found : the verdicts on all claims
    part : folder of the book's pages that the table stands in
    """
    ordered = [c for own in found.by_group().values() for c in own]
    rows = [_row(claim, found.by_id[claim.id], part, found.tolerance) for claim in ordered]
    return filled("scoreboard.html", columns=COLUMNS, rows=rows)


def counts(found: Verdicts) -> pd.DataFrame:
    """How many of each verdict (columns, those that occur), by group (rows, reported scores first)
    and in all.

    Parameters
    ----------
    found : the verdicts on all claims
    """
    table = pd.DataFrame(found.counts()).T
    table = table.loc[:, table.any()]
    return table.assign(all=table.sum(axis=1)).rename_axis("what is claimed")


def _row(claim: Claim, v: Verdict, part: str, tolerance: Tolerance) -> dict:
    """What the template shows of a claim: its verdict, numbers, rule in words, and evidence."""
    return {
        "claim": claim,
        "verdict": v,
        "order": decisions.VERDICTS.index(v.verdict),
        "sign": SIGNS[v.verdict],
        "numbers": [f"{name} {_number(x)}" for name, x in v.numbers.items()],
        "rule": claim.rule.in_words(tolerance),
        "evidence": [_links(evidence, part) for evidence in v.evidence],
    }


def _number(x: float | str) -> str:
    """A number with three decimals at most, none that say nothing; a smaller one by its power."""
    if isinstance(x, str):
        return x
    return f"{x:.0e}" if 0 < abs(x) < 0.001 else f"{round(x, 3):.10g}"


def _links(evidence: str, part: str) -> list[dict[str, str]]:
    """Addresses and words of what a verdict rests on."""
    kind, _, name = evidence.partition(": ")
    if kind == "run":
        file = name.replace("/", "-")
        beside = f"../../../predictions/{part}/{file}"
        return [
            {"address": f"runs/{file}.html", "words": f"run {name}"},
            {"address": f"{beside}.csv", "words": "its predictions (CSV)"},
            {"address": f"{beside}.json", "words": "its configuration (JSON)"},
        ]
    page = {"audit": "../audit.html", "check": "dataset.html"}[kind]
    return [{"address": page, "words": f"{kind}: {name}"}]


def released_model(study: Study) -> pd.DataFrame:
    """Stage 1 answers of the authors' released model, of the paper's and of ours, a row each: share
    [95 %, Wilson].

    Ours are the runs of the cell that the paper chose, on the test split. The paper prints shares
    of Table 2's test split to a whole percent, so its numbers of sequences are about right only.
    """
    own = reported("released_model")
    rows = [
        (f"{r.truth} {r.answer}", "released model", "", r.part, r.whole) for r in own.itertuples()
    ]
    drawn, (p, n) = reported("test_results").set_index("stage").loc[1], audit.sizes(1, "test")
    for what, percent, whole in (
        ("reliable kept", "tpr_percent", p),
        ("unreliable discarded", "tnr_percent", n),
    ):
        rows.append((what, "paper", "about ", round(drawn[percent] * whole / 100), whole))
    for run in study.of(1, chosen(1)):
        rows += [(what, f"ours: {run}", "", part, whole) for what, part, whole in _kept(study, run)]
    order = list(dict.fromkeys(what for what, *_ in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    lines = [
        (
            what,
            source,
            f"{about}{part:,} of {whole:,}",
            figures.interval(part / whole, *metrics.wilson(part, whole)),
        )
        for what, source, about, part, whole in rows
    ]
    return pd.DataFrame(lines, columns=["what", "source", "sequences", "share"]).set_index(
        ["what", "source"]
    )


def _kept(study: Study, run: str) -> list[tuple[str, int, int]]:
    """What a run of stage 1 says on the test split: words, how many, of how many."""
    answers = runs.predictions(study.folder, run).query("split == 'test'")
    truth, called = metrics.truth_and_call(answers, 1)
    sides = [("reliable kept", truth, called), ("unreliable discarded", ~truth, ~called)]
    sides += [
        (f"{label} kept", (answers["label"] == label).to_numpy(), called) for label in RELIABLE
    ]
    return [(what, int((among & said).sum()), int(among.sum())) for what, among, said in sides]


#: By stage, the shares that a reader asks for first: of which cells, and the score that says it.
SHARES = {
    1: {"recall": "reliable cells kept", "specificity": "unreliable cells discarded"},
    2: {"recall": "flipping cells found", "specificity": "tank-treading cells recognised"},
}
RATES = {"recall": "tpr_percent", "specificity": "tnr_percent"}  #: as Figure 3 prints them


def shares(study: Study) -> pd.DataFrame:
    """The shares of both stages: the paper's, the authors' released model's, ours; for a forest.

    The paper's and the released model's ends are Wilson's intervals, of about as many cells as the
    paper's whole percentages tell. Ours are the lowest and the highest blood draw where the draws
    are too few for an interval (`rbc.metrics.uncertainty`).

    Parameters
    ----------
    study : runs whose chosen cells (those of the paper) are shown, on their test split

    Returns
    -------
    quantity, source, value, low, high, n, draws; draws is 0 where the ends are an interval's
    """
    drawn, rows = reported("test_results").set_index("stage"), []
    released = reported("released_model").set_index("truth")
    whose = {"recall": "reliable", "specificity": "unreliable"}
    own = json.loads((runs.REFERENCE / "ours" / "metrics.json").read_text(encoding="utf-8"))
    for stage, named in SHARES.items():
        sizes = dict(zip(RATES, audit.sizes(stage, "test"), strict=True))
        for score, quantity in named.items():
            n = sizes[score]
            value = drawn.loc[stage, RATES[score]] / 100
            rows.append((quantity, "the paper", value, *metrics.wilson(round(value * n), n), n, 0))
            if stage == 1:
                part, n = (int(released.loc[whose[score], key]) for key in ("part", "whole"))
                rows.append((quantity, "released model", part / n, *metrics.wilson(part, n), n, 0))
            for run in study.of(stage, chosen(stage))[:1]:
                answers = runs.predictions(study.folder, run).query("split == 'test'")
                found = metrics.uncertainty(answers, stage, score)
                n = int((metrics.truth_and_call(answers, stage)[0] == (score == "recall")).sum())
                rows.append((quantity, "the paper's network, trained here", *_ends(found, n)))
            found = _of_ours(own, stage, score)
            rows.append((quantity, "our models", *_ends(found, found["n_sequences"])))
    return pd.DataFrame(rows, columns=["quantity", "source", "value", "low", "high", "n", "draws"])


def _ends(found: dict, n: int) -> tuple[float, float, float, int, int]:
    """Value, ends, n and draws of a score of `metrics.uncertainty`, as `shares` lists them."""
    if pd.isna(found["low"]):
        return found["mean"], found["lowest"], found["highest"], n, found["n_draws"]
    return found["mean"], found["low"], found["high"], n, 0


#: The shipped models of each stage, and what was left out when they were judged.
SHIPPED = {
    1: ("focus", "blood draw"),
    2: ("frames + focus", "test"),
}


def _of_ours(own: list[dict], stage: int, score: str) -> dict:
    """A score of the shipped models, as `metrics.uncertainty` gave it."""
    model, left_out = SHIPPED[stage]
    found = next(
        e for e in own if (e["stage"], e["model"], e["left_out"]) == (stage, model, left_out)
    )
    return next(one for one in found["together"] if one["score"] == score)


def best(stage: int, score: str) -> dict:
    """A score of our shipped models, as `rbc.metrics.uncertainty` gives it.

    Parameters
    ----------
    stage : 1 or 2
    score : recall, specificity, balanced_accuracy or auc
    """
    kept = runs.REFERENCE / "ours" / "metrics.json"
    return _of_ours(json.loads(kept.read_text(encoding="utf-8")), stage, score)


def publish(results: Path, run: str, out: Path) -> Path:
    """Write a run's predictions as CSV into the folder `out`, under the name of its page, and its
    configuration as JSON beside them; the first file.

    No pixels.

    Parameters
    ----------
    results : folder of a profile's runs
    run : stage and name
    out : where the files go
    """
    table: pd.DataFrame = runs.predictions(results, run)
    file = out / f"{run.replace('/', '-')}.csv"
    table.to_csv(file, index=False, float_format="%.6f")
    shutil.copy(results / run / "config.json", file.with_suffix(".json"))
    return file
