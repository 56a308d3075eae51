"""The sequence browser: what its page holds, and one picture a sequence beside it.
book/_static/browse.js shows it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from compendium import runs
from compendium.evidence.pages import filled
from rbc import sequences
from rbc.bench import films
from rbc.metrics import THRESHOLD
from rbc.paper import LABELS, STAGES, positive

#: sequences on one page at most: some 7 MB of pictures, of which a reader loads those in view
SHOWN = 400


def shown(results: Path, most: int = SHOWN) -> pd.DataFrame:
    """The test sequences that the page shows, a row each: name, label, acquisition, length,
    wrong_1, wrong_2.

    All of them, or where they are more than `most` half of it those that most runs call wrong and
    as many drawn at random from the others (seed 0). `wrong_<stage>` says in how many of its runs,
    e.g. ``3 of 16``, or is empty.

    Parameters
    ----------
    results : folder of a profile's runs
    most : sequences at most
    """
    failures = {stage: runs.failures(results, stage).set_index("name") for stage in STAGES}
    columns = ["label", "acquisition", "share"]
    table = pd.concat([part[columns].reset_index() for part in failures.values()])
    table = table.sort_values(
        ["share", "name"], ascending=[False, True], ignore_index=True
    ).drop_duplicates("name")
    if len(table) > most:
        first, rest = table.head(most // 2), table.iloc[most // 2 :]
        table = pd.concat([first, rest.sample(most - len(first), random_state=0)])
    lengths = pd.read_parquet(Path(results) / "index.parquet").set_index("name")["length"]
    table = table.assign(length=table["name"].map(lengths)).drop(columns="share")
    for stage, part in failures.items():
        words = part["wrong"].astype(str) + " of " + part["runs"].astype(str)
        table[f"wrong_{stage}"] = table["name"].map(words).fillna("")
    return table.reset_index(drop=True)


def content(results: Path, table: pd.DataFrame, pictures: str) -> dict:
    """What browse.js shows: the sequences of `table` (`shown`), and what every run answers to them
    on its test split.

    `pictures` is the folder of `publish` as seen from the page; empty where there are no pixels. A
    run's `p` are the positive class's probabilities in 1/10,000, cut so that the threshold still
    parts them; None where it has no answer.
    """
    answers = {}
    for stage in STAGES:
        answers[stage, "chosen", "selection.html"] = runs.chosen_answers(results, stage)
    for stage, run in dict.fromkeys(
        runs.collect(results)[["stage", "run"]].itertuples(index=False, name=None)
    ):
        page = f"runs/{run.replace('/', '-')}.html"
        answers[stage, run.split("/")[1], page] = runs.predictions(results, run).query(
            "split == 'test'"
        )
    return {
        "pictures": pictures,
        "threshold": int(10_000 * THRESHOLD),
        "sequences": table.to_dict("records"),
        "classes": {stage: runs.class_names(stage) for stage in STAGES},
        "positive": {
            stage: [label for label in LABELS if positive(pd.Series([label]), stage)[0]]
            for stage in STAGES
        },
        "runs": [
            {"stage": stage, "name": name, "page": page, "p": _cut(part, table["name"])}
            for (stage, name, page), part in answers.items()
        ],
    }


def _cut(answers: pd.DataFrame, names: pd.Series) -> list[int | None]:
    # several only where folds test it twice
    mean = answers.groupby("name")["probability"].mean().reindex(names)
    return [None if np.isnan(p) else int(10_000 * p) for p in mean.astype(float)]


def html(content: dict) -> str:
    """The place that browse.js fills, with its data; without scripts a sentence."""
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return filled("browse.html", data=data)


def publish(results: Path, data: Path, out: Path) -> None:
    """Write a PNG strip of each sequence that the page shows into the folder `out`; none where
    there is no data.

    Parameters
    ----------
    results : folder of a profile's runs
    data : folder of its sequences
    out : where the pictures go
    """
    if not (data / "meta.json").exists():
        return
    cells = sequences.load(data)
    places = {name: i for i, name in enumerate(cells.index["name"])}
    for name in shown(results)["name"]:
        (out / f"{name}.png").write_bytes(films.png(cells[places[name]]))
