"""The picture of the two motions that a reader can move: it turns as the simulator does."""

import json

import numpy as np
import pytest

from compendium import ROOT
from rbc import simulate

PAGE = """<div id="orbit">no script has run</div>
<script src="SCRIPT"></script>
<pre id="told"></pre>
<script>
const set = (id, value) => {
  const part = document.querySelector(id);
  part.value = value;
  part.dispatchEvent(new Event("input", { bubbles: true }));
};
set("#orbit-ratio", 0.25); set("#orbit-shear", 20); set("#orbit-frame", 20);
const told = {
  facing: [0.25, 0.6].map(
    (r) => Array.from({ length: 200 }, (_, f) => Math.cos(orbit.angle(r, 10, f)))
  ),
  words: document.querySelector("#orbit-words").textContent,
  title: document.querySelector("#orbit-title").textContent,
};
document.querySelector("[value=tank-treading]").click();
told.treading = document.querySelector("#orbit-title").textContent;
document.querySelector("#told").textContent = JSON.stringify(told);
</script>"""


@pytest.fixture(scope="module")
def told(chromium, tmp_path_factory) -> dict:
    """What the picture says in Chromium, opened from a file."""
    path = tmp_path_factory.mktemp("orbit") / "page.html"
    path.write_text(
        PAGE.replace("SCRIPT", (ROOT / "book" / "_static" / "orbit.js").as_uri()), encoding="utf-8"
    )
    page = chromium.new_page()
    page.goto(path.as_uri())
    return json.loads(page.locator("#told").text_content())


def test_a_flipping_cell_turns_as_in_the_simulator(told):
    """The moving picture must teach the physics of the library."""
    for ratio, facing in zip((0.25, 0.6), told["facing"]):
        np.testing.assert_allclose(facing, simulate.jeffery(200, ratio, np.inf)[:, 2], atol=1e-12)


def test_sliders_and_the_choice_of_motion_change_what_is_told(told):
    # 2 pi / 20 (0.25 + 4)
    """Words must follow the picture."""
    assert told["words"] == "Period 1.34 s = 80 frames; seen edge-on every 40 frames."
    assert told["title"].startswith(
        "Flipping cell in frame 20: 0.25 of its diameter wide."
    )  # a quarter period: edge-on
    assert told["treading"].startswith("Tank-treading cell in frame 20: 0.95 of its diameter wide.")
