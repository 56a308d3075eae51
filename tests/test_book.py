"""The book's builder: what a part is called, and what stops a build."""

import importlib.util
import json

import pytest
import yaml

from rbc import ROOT


@pytest.fixture
def build(tmp_path):
    """book/build.py, working on a folder of its own with the real table of contents."""
    specification = importlib.util.spec_from_file_location("build", ROOT / "book" / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.ROOT, module.PAGES = tmp_path, tmp_path / "book" / "pages"
    (tmp_path / "_toc.yml").write_text((ROOT / "_toc.yml").read_text())
    return module


@pytest.mark.parametrize(
    ("simulated", "caption"), [(True, "Results on simulated cells"), (False, "Results on real cells")]
)
def test_real_cells_never_stand_under_a_heading_of_simulated_ones(build, tmp_path, simulated, caption):
    (tmp_path / "results" / "paper").mkdir(parents=True)
    (tmp_path / "results" / "paper" / "dataset.json").write_text(json.dumps({"simulated": simulated}))
    parts = build.contents("paper")["parts"]
    assert [part["caption"] for part in parts if "pages/paper/" in yaml.safe_dump(part)] == [caption]
    assert "pages/demo/" not in yaml.safe_dump(parts)


def test_a_page_that_ended_with_an_error_stops_the_build(build, tmp_path):
    page = tmp_path / "book" / "pages" / "released" / "runs" / "one.ipynb"
    page.parent.mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "paper.ipynb").write_text(json.dumps({"cells": []}))
    page.write_text(json.dumps({"cells": [{"outputs": [{"output_type": "stream"}]}]}))
    build.check_notebooks()
    page.write_text(json.dumps({"cells": [{"outputs": [{"output_type": "error"}]}]}))
    with pytest.raises(SystemExit, match="ended with an error"):
        build.check_notebooks()


def test_the_status_page_says_when_each_page_was_made_from_what(build, tmp_path):
    pages = tmp_path / "book" / "pages"
    (pages / "tiny").mkdir(parents=True)
    made = {"commit": "a" * 40, "dirty": True, "finished": "2026-01-02T03:04:05Z", "seconds": 12.4}
    page = {"cells": [{"source": "# A page\n\nwords"}], "metadata": {"made": made}}
    (pages / "tiny" / "a.ipynb").write_text(json.dumps(page))
    (pages / "tiny" / "old.ipynb").write_text(json.dumps(page | {"metadata": {}}))
    table = [line for line in build.status().splitlines() if line.startswith("| [")]
    assert table == ["| [A page](tiny/a.ipynb) | 2026-01-02T03:04:05Z | 12 | aaaaaaaaaa with changes |"]
