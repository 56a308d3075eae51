"""The scoreboard: every claim a row, every run with its predictions, and the released model beside the paper."""

import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from conftest import with_scripts

from rbc import claims, profiles, runs, scoreboard
from rbc.study import Study

RELEASED = runs.REFERENCE / "released"
RUN = "stage1/crnn-uniform-k50-s0"


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(profiles.load("released"), RELEASED)


def test_every_claim_is_a_row_that_opens_its_evidence_in_less_than_two_megabytes():
    listed = claims.load()[1]
    verdicts = dict.fromkeys((c.id for c in listed), claims.Verdict(claims.DIFFERS, "a < b", (f"run: {RUN}",)))
    page = scoreboard.html(listed, verdicts, "released")
    assert re.findall(r'<tr id="([^"]+)"', page) == [c.id for c in listed]
    assert page.count("<details>") == page.count('href="runs/stage1-crnn-uniform-k50-s0.html"') == len(listed)
    assert page.count('href="../../../predictions/released/stage1-crnn-uniform-k50-s0.csv"') == len(listed)
    assert "a &lt; b" in page and len(page) < 2_000_000
    assert not re.search(r"(src|href)=\"(https?:)?//", page)  # no request to anywhere else


def test_tags_are_closed_in_their_order():
    class Open(HTMLParser):
        stack: list[str] = []

        def handle_starttag(self, tag, attrs):
            if tag != "input":
                self.stack.append(tag)

        def handle_endtag(self, tag):
            assert self.stack.pop() == tag

    listed = claims.load()[1][:3]
    verdicts = {c.id: claims.Verdict(claims.NOISE, "x", ("audit: a", "check: b"), {"ours": 0.5}, None) for c in listed}
    reader = Open()
    reader.feed(scoreboard.html(listed, verdicts, "demo"))
    assert reader.stack == []


def test_published_predictions_are_those_of_the_run(tmp_path):
    table = pd.read_csv(scoreboard.publish(RELEASED, RUN, tmp_path))
    kept = runs.predictions(RELEASED, RUN)
    assert (tmp_path / "stage1-crnn-uniform-k50-s0.csv").exists() and list(table) == list(kept)
    assert table["name"].tolist() == kept["name"].tolist()
    assert (table["probability"] - kept["probability"]).abs().max() < 1e-6


def test_the_released_model_stands_beside_the_paper_and_ours(study):
    table = scoreboard.released_model(study)
    assert table.loc[("reliable kept", "released model"), "sequences"] == "106 of 200"
    assert table.loc[("unreliable discarded", "released model"), "share"] == "0.98 [0.96, 0.99]"  # Wilson, 197 of 200
    assert table.loc[("reliable kept", "paper"), "share"].startswith("0.92 [0.91")
    test = runs.collect(RELEASED).set_index(["run", "split"]).loc[(RUN, "test")]
    ours = table.loc[("reliable kept", f"ours: {RUN}"), "sequences"]
    assert ours == f"{test['tp']} of {test['tp'] + test['fn']}"


def test_the_scoreboard_is_filtered_by_verdict_place_and_words_together(chromium, tmp_path):
    listed = claims.load()[1]
    verdicts = {c.id: claims.Verdict(claims.NOISE if i % 3 else claims.DIFFERS, "x") for i, c in enumerate(listed)}
    (tmp_path / "page.html").write_text(with_scripts(scoreboard.html(listed, verdicts, "released")))
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    sign = scoreboard.SIGNS[claims.NOISE]
    page.select_option("label:has-text('Verdict') select", f"{sign}{claims.NOISE}")
    page.select_option("label:has-text('Place') select", "Table 3")
    page.fill(".table-controls input", "recall")
    kept = [c.id for i, c in enumerate(listed) if i % 3 and c.place == "Table 3" and "recall" in c.says]
    shown = page.eval_on_selector_all("tbody tr:not([hidden])", "rows => rows.map(row => row.id)")
    assert sorted(shown) == sorted(kept) and len(kept) > 3
    assert page.text_content("[role=status]") == f"{len(kept)} of {len(listed)} rows shown"
    page.close()
