"""Tables of the book whose HTML is made by hand."""

import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from rbc import figures

FAILURES = pd.DataFrame(
    {
        "name": ["a<b>_1", "c_2"], "acquisition": ["a<b>", "c"], "label": ["flipping", "tank-treading"],
        "runs": [2, 4], "wrong": [2, 0], "mean_probability": [0.125, 0.25], "share": [1.0, 0.0],
        "failed": [("stage2/cnn-uniform-k10-s1", "stage2/cnn-uniform-k10-s0"), ()],
    }
)  # fmt: skip


@pytest.mark.parametrize("by, value, calls", [("all", "", "2 (33 %)"), ("label", "flipping", "2 (100 %)")])
def test_failures_are_counted_over_all_and_by_label_and_acquisition(by, value, calls):
    table = figures.failed(FAILURES)
    assert table.loc[(by, value), "wrong calls"] == calls
    assert table["sequences"].tolist() == [2, 1, 1, 1, 1]
    assert table[["wrong in all runs", "wrong in none"]].values.tolist()[:2] == [[1, 1], [1, 0]]


def test_each_failing_sequence_opens_the_pages_of_its_runs():
    table = ET.fromstring(figures.failing(FAILURES).replace("<br>", "<br />"))
    rows = [["".join(cell.itertext()) for cell in row] for row in table.find("tbody")]
    assert [row[0] for row in rows] == ["a<b>_1", "c_2"]
    assert rows[1][3] == "0 of 4"
    pages = [link.get("href") for link in table.iter("a")]
    assert pages == [f"runs/stage2-cnn-uniform-k10-s{seed}.html" for seed in (0, 1)]
