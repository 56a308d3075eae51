"""The cards of the landing page: what was claimed, what we found, and where the number stands."""

from __future__ import annotations

from compendium.evidence import audit, scoreboard
from compendium.evidence.study import Study
from rbc import figures
from rbc.paper import RELIABLE, reported

PAPER, TRAINED_HERE, OURS = "the paper", "the paper's network, trained here", "our models"


def answer_in_a_word(study: Study) -> str:
    """Whether the reported scores can be true: the shortest answer that the audit allows."""
    possible, rows = _possible_rows()
    return "Partly." if 0 < possible < rows else "See below."


def cards(study: Study) -> list[dict[str, str]]:
    """The four answers of the landing page.

    Parameters
    ----------
    study : runs on the released sample

    Returns
    -------
    title, number, words, link and more (the words of the link); the number of each card stands on
    the page that it links to
    """
    shares = scoreboard.shares(study).set_index(["quantity", "source"])
    found = scoreboard.SHARES[2]["recall"]  # both networks are compared by the same score
    possible, rows = _possible_rows()
    return [
        {
            "title": "The reported scores",
            "number": f"{possible} of {rows}",
            "words": "rows of Tables 3 and 4 can be the scores of one model on the split that their"
            " captions name. The others may be means of runs, or of another split: the paper does"
            " not say.",
            "link": "audit.html",
            "more": "Do the reported numbers agree?",
        },
        _marker_card(),
        {
            "title": "The paper's networks, trained here",
            "number": share_in_words(shares.loc[found, TRAINED_HERE]),
            "words": "of the flipping cells found (lowest to highest blood draw), reported"
            f" {share_in_words(shares.loc[found, PAPER])}. {_training_sizes(study)} A difference"
            " does not mean that the paper is wrong.",
            "link": "released/test.html",
            "more": "Scores and confusion matrices",
        },
        {
            "title": "Our models",
            "number": share_in_words(shares.loc[found, OURS]),
            "words": "of the same flipping cells found by an ensemble of small networks and a"
            " support vector machine, trained on the same sample. Part of the gain is training.",
            "link": "ours/ours.html",
            "more": "Beyond the paper",
        },
    ]


def _possible_rows() -> tuple[int, int]:
    """How many rows of Tables 3 and 4 one confusion matrix can give, and how many there are."""
    rows = [row for row in audit.rows() if row.table in ("table3", "table4")]
    return sum(row.possible for row in rows), len(rows)


def marker_of_the_paper() -> tuple[float, float, float]:
    """Tank-treading cells in percent: as the text says, as Table 5's estimates add up, and as its
    manual counts do.
    """
    table5 = reported("table5")
    cells = table5["n_reliable"]
    sums = [
        (table5[column] * cells).sum() / cells.sum()
        for column in ("estimated_percent", "ground_truth_percent")
    ]
    return reported("statements").set_index("key").loc["total-estimated", "low"], *sums


def _marker_card() -> dict[str, str]:
    in_text, estimated, counted = marker_of_the_paper()
    return {
        "title": "The marker",
        "number": f"{in_text:g} %",
        "words": f"tank-treading, according to the text. Table 5 adds up to {estimated:.1f} %, its"
        f" manual count to {counted:.1f} %.",
        "link": "released/marker.html",
        "more": "Table 5, drawn and corrected",
    }


def _training_sizes(study: Study) -> str:
    """How many reliable sequences the training sets have, ours and the paper's."""
    split = reported("table2").set_index("label")["train"]
    papers = int(split[list(RELIABLE)].sum())
    own = study.index["split"].eq("train") & study.index["label"].isin(RELIABLE)
    return f"Our training set has {int(own.sum())} reliable cells, the paper's {papers:,}."


def share_in_words(row) -> str:
    """A share as `scoreboard.shares` has it: with its interval, or with its lowest and highest
    blood draw.
    """
    if row["draws"]:
        return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    return figures.interval(row["value"], row["low"], row["high"])
