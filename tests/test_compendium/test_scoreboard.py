"""The scoreboard: every claim a row, every run with its predictions, and the released model beside
the paper.
"""

import re

import pandas as pd
import pytest
from conftest import with_scripts

from compendium import profiles, runs
from compendium.evidence import claims, decisions, scoreboard, verdicts
from compendium.evidence.study import Study

RELEASED = runs.REFERENCE / "released"
RUN = "stage1/crnn-uniform-k50-s0"
TOLERANCE, LISTED = claims.load()


def kept(by_id, listed=LISTED) -> verdicts.Verdicts:
    """Verdicts as a page reads them."""
    return verdicts.Verdicts("", TOLERANCE, listed, by_id)


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(profiles.load("released"), RELEASED)


def test_every_claim_is_a_row_that_opens_its_evidence_in_less_than_two_megabytes():
    """The board must hold all and load on a phone."""
    listed = claims.load()[1]
    found = dict.fromkeys(
        (c.id for c in listed), decisions.Verdict(decisions.DIFFERS, "a < b", (f"run: {RUN}",))
    )
    page = scoreboard.html(kept(found, listed), "released")
    ids = re.findall(r'<tr id="([^"]+)"', page)
    assert sorted(ids) == sorted(c.id for c in listed)
    # printed scores lead
    assert ids[0].startswith("table3") and ids[-1].startswith(("d-", "first"))
    assert (
        page.count("<details>")
        == page.count('href="runs/stage1-crnn-uniform-k50-s0.html"')
        == len(listed)
    )
    assert page.count('href="../../../predictions/released/stage1-crnn-uniform-k50-s0.csv"') == len(
        listed
    )
    assert "a &lt; b" in page and len(page) < 2_000_000
    assert not re.search(r"(src|href)=\"(https?:)?//", page)  # no request to anywhere else


def test_published_predictions_are_those_of_the_run(tmp_path):
    """The CSV behind a claim must be its run's."""
    table = pd.read_csv(scoreboard.publish(RELEASED, RUN, tmp_path))
    own = runs.predictions(RELEASED, RUN)
    assert (tmp_path / "stage1-crnn-uniform-k50-s0.csv").exists() and list(table) == list(own)
    assert table["name"].tolist() == own["name"].tolist()
    assert (table["probability"] - own["probability"]).abs().max() < 1e-6
    configured = (tmp_path / "stage1-crnn-uniform-k50-s0.json").read_bytes()
    assert configured == (RELEASED / RUN / "config.json").read_bytes()


def test_the_released_model_stands_beside_the_paper_and_ours(study):
    """Three answers to one question must be told apart."""
    table = scoreboard.released_model(study)
    assert table.loc[("reliable kept", "released model"), "sequences"] == "106 of 200"
    # Wilson, 197 of 200
    assert table.loc[("unreliable discarded", "released model"), "share"] == "0.98 [0.96, 0.99]"
    assert table.loc[("reliable kept", "paper"), "share"].startswith("0.92 [0.91")
    test = runs.collect(RELEASED).set_index(["run", "split"]).loc[(RUN, "test")]
    ours = table.loc[("reliable kept", f"ours: {RUN}"), "sequences"]
    assert ours == f"{test['tp']} of {test['tp'] + test['fn']}"


def test_the_scoreboard_is_filtered_by_verdict_place_and_words_together(chromium, tmp_path):
    """A reviewer asks for all of Table 4 that differs."""
    listed = claims.load()[1]
    found = {
        c.id: decisions.Verdict(decisions.UNRESOLVED if i % 3 else decisions.DIFFERS, "x")
        for i, c in enumerate(listed)
    }
    (tmp_path / "page.html").write_text(
        with_scripts(scoreboard.html(kept(found, listed), "released")), encoding="utf-8"
    )
    page = chromium.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    sign = scoreboard.SIGNS[decisions.UNRESOLVED]
    page.select_option("label:has-text('Verdict') select", f"{sign}{decisions.UNRESOLVED}")
    page.select_option("label:has-text('Place') select", "Table 3")
    page.fill(".table-controls input", "recall")
    wanted = [
        c.id for i, c in enumerate(listed) if i % 3 and c.place == "Table 3" and "recall" in c.says
    ]
    shown = page.eval_on_selector_all("tbody tr:not([hidden])", "rows => rows.map(row => row.id)")
    assert sorted(shown) == sorted(wanted) and len(wanted) > 3
    assert page.text_content("[role=status]") == f"{len(wanted)} of {len(listed)} rows shown"
    page.close()


def test_a_link_to_a_claim_opens_its_two_numbers_its_rule_and_its_predictions(chromium, tmp_path):
    """Who comes from the landing page sees at once what a verdict rests on."""
    listed = [c for c in claims.load()[1] if c.group == "reported scores"]
    verdict = decisions.Verdict(
        decisions.DIFFERS, "x", (f"run: {RUN}",), {"ours": 0.5, "reported": 0.9, "seeds": 5}
    )
    body = scoreboard.html(kept({c.id: verdict for c in listed}, listed), "released")
    (tmp_path / "page.html").write_text(with_scripts(body), encoding="utf-8")
    page = chromium.new_page()
    page.goto(f"{(tmp_path / 'page.html').as_uri()}#test_results-stage1-recall")
    row = page.locator("#test_results-stage1-recall")
    row.locator("details[open]").wait_for()
    assert row.locator("b").text_content() == "ours 0.5; reported 0.9"
    assert "Rule: reproduced if the 95 % interval" in row.text_content()
    assert row.locator("a[href$='.csv']").is_visible()
    assert page.locator("details[open]").count() == 1
    page.close()
