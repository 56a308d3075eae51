"""The packet for reviewers: codecheck.yml, outputs, tables and figures, checklists, model cards
(``rbc packet``).

Everything is read from the runs below a results folder and from the checkout. Every file says
whether its numbers come from simulated or from real sequences.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import yaml

from compendium import ROOT, runs, yamlfiles
from compendium.evidence.checklists import (
    FOLDER,
    NAMES,
    Reply,
    command,
    in_words,
    load,
    patient_scores,
    replies,
    shown,
)
from compendium.evidence.pages import filled
from compendium.evidence.study import Study
from compendium.provenance import chosen, origins
from rbc import RbcError, metrics, prevalence
from rbc.files import whole_folder
from rbc.paper import LABELS, SPLITS, STAGES

SPECIFICATION = "https://codecheck.org.uk/spec/config/2.0/"
#: What a packet holds, its marker first.
PACKET_FILES = (
    "codecheck.yml",
    "README.md",
    "tables-and-figures.md",
    "outputs/*",
    "checklists/*",
    "model-cards/*",
)
SCORES = [
    "model",
    "sampling",
    "k",
    "seed",
    "variant",
    "split",
    "n",
    "tp",
    "fp",
    "fn",
    "tn",
    *metrics.SCORES,
]
INTENDED = (
    "Research only: to reproduce a paper's tables and to look into what its method does. Not a"
    " medical device. Not for "
    "diagnosis, treatment or any decision about a patient."
)


def write(study: Study, out: Path) -> dict[str, dict[str, int]]:
    """Write the packet into a folder, whole or not at all; how many items of each checklist are
    answered and open.

    Raises `RbcError` where the results folder lacks a stage, where a run was made from other data
    than the folder describes, or where an answer names an artefact that is not there.

    Parameters
    ----------
    study : the runs, the data and the profile
    out : the folder
    """
    _check_data(study)
    given = {name: replies(load(name), study) for name in NAMES}
    with whole_folder(Path(out), PACKET_FILES) as part:
        for folder in ("outputs", "checklists", "model-cards"):
            (part / folder).mkdir()
        tables = outputs(study)
        for name, table in tables.items():
            table.assign(kind=kind(study)).to_csv(part / "outputs" / name, index=False)
        (part / "codecheck.yml").write_text(codecheck(study, list(tables)), encoding="utf-8")
        pages = {
            "README.md": overview_page(study, given),
            "tables-and-figures.md": sources_page(study),
            **{f"checklists/{n}.md": checklist_page(n, study, found) for n, found in given.items()},
            **{
                f"model-cards/{run.replace('/', '-')}.md": model_card(study, run)
                for run in chosen(study.folder)
            },
        }
        for name, text in pages.items():
            (part / name).write_text(text, encoding="utf-8")
    return counts(given)


def _check_data(study: Study) -> None:
    """A run from other data would stand under a wrong kind: simulated under real, or the other
    way.
    """
    table = origins(study.folder)
    for run in table.loc[table["data"] != study.meta["sha256"], "run"]:
        raise RbcError(
            f"{study.folder / run}: made from other data than dataset.json describes; make the run"
            " anew"
        )


def counts(given: dict[str, list[Reply]]) -> dict[str, dict[str, int]]:
    """Items answered and open, by checklist."""
    return {
        name: {
            "answered": sum(r.answered for r in found),
            "open": sum(not r.answered for r in found),
        }
        for name, found in given.items()
    }


def kind(study: Study) -> str:
    """``simulated sequences`` or ``real sequences``."""
    return runs.kind_words(study.meta)["kind"]


def says_kind(study: Study) -> str:
    """The line at the top of every file."""
    if study.meta["simulated"]:
        return "Simulated sequences: no number here says anything about blood."
    return f"Real sequences ({study.meta['source']})."


def outputs(study: Study) -> dict[str, pd.DataFrame]:
    """The paper's tables as these runs give them, by the name of their file."""
    table = runs.collect(study.folder)
    bounds = [
        f"{score}_{end}" for score in ("recall", "specificity", "f1") for end in ("low", "high")
    ]
    by_stage = {stage: table[table["stage"] == stage][[*SCORES, *bounds]] for stage in STAGES}
    validation = runs.chosen_answers(study.folder, 2, "validation")
    counted = study.index.groupby(["label", "split"]).size().unstack(fill_value=0)
    return {
        "table2.csv": counted.reindex(index=LABELS, columns=SPLITS, fill_value=0).reset_index(),
        "table3.csv": by_stage[1],
        "table4.csv": by_stage[2],
        "table5.csv": prevalence.by_acquisition(runs.chosen_answers(study.folder, 2), validation),
        "test_results.csv": _test_results(study),
    }


def _test_results(study: Study) -> pd.DataFrame:
    rows = []
    for stage in STAGES:
        answers = runs.chosen_answers(study.folder, stage)
        names = ", ".join(sorted(set(answers["run"])))
        rows.append({"stage": stage, "runs": names} | metrics.summary(answers, stage))
    return pd.DataFrame(rows)


def codecheck(study: Study, files: list[str]) -> str:
    """codecheck.yml of version 2.0: manifest, paper and source; the codechecker's own nodes are
    left to that person.

    Parameters
    ----------
    study : the runs, the data and the profile
    files : names of the outputs
    """
    paper = yamlfiles.read(ROOT / "CITATION.cff")["references"][0]
    made = {f"outputs/{row['output']}": [] for row in _sources() if row.get("output") in files}
    for row in _sources():
        if row.get("output") in files:
            made[f"outputs/{row['output']}"].append(f"{row['what']} ({row['of']})")
    content = {
        "version": SPECIFICATION,
        "manifest": [
            {"file": f, "comment": f"{', '.join(what)}; {kind(study)}"} for f, what in made.items()
        ],
        "paper": {
            "title": paper["title"],
            "authors": [
                {"name": f"{a['given-names']} {a['family-names']}"} for a in paper["authors"]
            ],
            "reference": f"https://doi.org/{paper['doi']}",
        },
        "source": "An independent reproduction, not the authors' code: RBC dynamics compendium,"
        " commit "
        f"{_commits(study)}. Data: {study.meta['source']}. {says_kind(study)}",
    }
    open_nodes = (
        "# Open: ORCID of each author; codechecker, report, summary and certificate,"
        " which the codechecker adds."
    )
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return f"# {says_kind(study)}\n{open_nodes}\n---\n{text}"


def _commits(study: Study) -> str:
    return ", ".join(sorted(set(origins(study.folder)["commit"])))


def _sources() -> list[dict]:
    return yamlfiles.read(FOLDER / "outputs.yaml")["outputs"]


def sources_table() -> pd.DataFrame:
    """Table, figure or number of the paper to program and line, page and cell, and output file."""
    rows = []
    for row in _sources():
        where = (
            f"{row['program']}, line {line_of(row['program'], row['function'])} ({row['function']})"
        )
        page = f"{row['page']}, {row['cell']}" if "cell" in row else row["page"]
        output = f"outputs/{row['output']}" if "output" in row else "on the page only"
        names = ("in the paper", "what", "program", "page", "output")
        rows.append(dict(zip(names, (row["what"], row["of"], where, page, output))))
    return pd.DataFrame(rows)


def sources_page(study: Study) -> str:
    """Which program, page and file each table and figure of the paper comes from, as Markdown."""
    parts = {"command": command(study), "sources": sources_table()}
    return _page("packet-sources.md", "Tables and figures", study, parts)


def line_of(program: str, function: str) -> int:
    """Line on which a function or class is defined. Raises `RbcError` where it is not.

    Parameters
    ----------
    program : path from the checkout's root
    function : name of a function or class
    """
    for number, line in enumerate((ROOT / program).read_text(encoding="utf-8").splitlines(), 1):
        if re.match(rf"(def|class) {function}\b", line):
            return number
    raise RbcError(f"{program}: no {function} there; mend data/checklists/outputs.yaml")


def checklist_page(name: str, study: Study, found: list[Reply]) -> str:
    """One checklist as Markdown.

    Parameters
    ----------
    name : of the checklist
    study : the runs, the data and the profile
    found : every item with its answer
    """
    listed = load(name)
    answered = sum(r.answered for r in found)
    parts = {
        "source": listed.source,
        "answered": answered,
        "open": len(found) - answered,
        "replies": replies_table(found),
    }
    return _page("packet-checklist.md", listed.title, study, parts)


def replies_table(found: list[Reply]) -> pd.DataFrame:
    """Columns item, part, about, answer, from; a row each item."""
    rows = [
        {"item": r.item.id, "part": r.item.part, "about": r.item.about,
         "answer": r.says if r.answered else f"open: {r.says}", "from": ", ".join(r.artefacts)}
        for r in found
    ]  # fmt: skip
    return pd.DataFrame(rows)


def model_card(study: Study, run: str) -> str:
    """The card of a chosen run, as Markdown.

    Parameters
    ----------
    study : the runs, the data and the profile
    run : stage and name, e.g. stage1/cnn-similarity-k10-s0
    """
    return _page("packet-model-card.md", f"Model card: {run}", study, {"card": card(study, run)})


def card(study: Study, run: str) -> dict[str, list[str]]:
    """The card of a chosen run: heading to sentences.

    Parameters
    ----------
    study : the runs, the data and the profile
    run : as of `model_card`
    """
    config, origin, scored = (
        json.loads((study.folder / run / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("config", "provenance", "metrics")
    )
    stage, index = config["stage"], study.index
    negative, positive = runs.class_names(stage)
    patients = patient_scores(
        study, runs.predictions(study.folder, run).query("split == 'test'"), stage
    )
    return {
        "Model": [
            f"{config['model']}, {config['sampling']} sampling, K = {config['k']}; answers"
            f" {negative} or {positive}.",
            f"Chosen for {chosen(study.folder)[run]}, by the highest validation F1. Layers:"
            " book/methods.md.",
        ],
        "Intended use": [INTENDED],
        "Data": [
            says_kind(study),
            f"{len(index)} sequences, {index['acquisition'].nunique()} acquisitions,"
            f" {index['patient'].nunique()} "
            f"patients; SHA-256 {origin['data']['sha256']}.",
        ],
        "Scores": [
            *(
                f"{split} ({kind(study)}): {_scored(scored[split])}."
                for split in ("validation", "test")
            ),
            "In brackets: 95 % intervals that take sequences as independent. All folds of the run"
            " are pooled.",
        ],
        "By patient (test)": [
            f"{p}: {in_words(s, ('recall', 'specificity'))}." for p, s in patients.items()
        ],
        "Limits": [
            *(
                f"{key}: {f['data']} {f['matters']}"
                for key, f in study.findings.items()
                if f["grave"]
            ),
            "Precision, F1 and accuracy hold only for data with these proportions of the classes.",
        ],
        "Seed and training": [
            f"Seed {config['seed']}.",
            ", ".join(f"{key}: {value}" for key, value in config["profile"]["training"].items())
            + ".",
        ],
        "Provenance": [
            f"{shown(study.folder)}/{run}: commit"
            f" {origin['commit']}{' with changes' * origin['dirty']}, "
            f"{origin['device']}, {origin['seconds']} s, finished {origin['finished']}.",
            ", ".join(f"{name} {version}" for name, version in origin["packages"].items()) + ".",
        ],
    }


def _scored(s: dict) -> str:
    return f"{in_words(s)}; TP {s['tp']}, FP {s['fp']}, FN {s['fn']}, TN {s['tn']}"


def overview_page(study: Study, given: dict[str, list[Reply]]) -> str:
    """What the packet holds, and how many items of each checklist are answered, as Markdown.

    Parameters
    ----------
    study : the runs, the data and the profile
    given : by checklist, every item with its answer
    """
    counted = pd.DataFrame(counts(given)).T.rename_axis("checklist").reset_index()
    return _page("packet-overview.md", "Packet for reviewers", study, {"counted": counted})


def _page(template: str, title: str, study: Study, parts: dict[str, object]) -> str:
    """A page of the packet; each says first which kind of sequences its numbers come from."""
    kind_and_profile = {"says_kind": says_kind(study), "profile": study.profile}
    return filled(template, title=title, **kind_and_profile, **parts)
