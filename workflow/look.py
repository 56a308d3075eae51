"""A first look in two minutes: one simulated movie from film to report, and the committed results.

    make look                                      # opens _build/look/index.html
    .venv/bin/python workflow/look.py --no-open    # only makes it

The movie is simulated, so its marker says nothing about blood. The table shows what the networks
scored on the sequences that the paper's authors released. The whole book is `make book`.
"""

from __future__ import annotations

import argparse
import html
import json
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "data" / "reference" / "released"
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>A first look</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
table {{ border-collapse: collapse }}
th, td {{ padding: .2rem .8rem; text-align: right; white-space: nowrap }}
tr {{ border-bottom: 1px solid #999 }}
th:first-child, td:first-child {{ text-align: left }}
</style>
<main>
<h1>A first look</h1>
<h2>From a movie to the marker (simulated)</h2>
<p>This movie was simulated, tracked and analysed a moment ago by the shipped models; its numbers
say nothing about blood. {outcome}</p>
<p><a href="report/report.html">Open the report</a>, look through its cells, and correct them.</p>
<h2>The networks on real cells (the authors' released sample)</h2>
<p>Test split of the sample; these runs are committed in {kept}. Brackets hold 95 % intervals.
Stage 1 finds reliable cells, stage 2 flipping ones.</p>
{table}
<p>All of it, page by page: <code>make book</code>.</p>
</main></html>
"""


def main() -> None:
    """Make the small site and open it in the browser."""
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--out", type=Path, default=ROOT / "_build" / "look")
    options.add_argument("--frames", type=int, default=100, help="of the simulated movie (100)")
    options.add_argument("--no-open", action="store_true", help="do not open a browser")
    given = options.parse_args()
    begin = time.monotonic()
    rbc("simulate", "video", "--out", given.out / "movie", "--frames", given.frames)
    movie = given.out / "movie" / "movie.avi"
    rbc("analyze", movie, "--out", given.out / "report", "--um-per-px", 0.6)
    page = given.out / "index.html"
    page.write_text(site(given.out / "report"), encoding="utf-8")
    print(f"{page} ({time.monotonic() - begin:.0f} s)")
    if not given.no_open:
        webbrowser.open(page.resolve().as_uri())


def rbc(*words: object) -> None:
    """Run a command of `rbc`; end with its exit code where it fails, after its own message."""
    code = subprocess.run([sys.executable, "-m", "rbc", *map(str, words)]).returncode
    if code:
        sys.exit(code)


def site(report: Path) -> str:
    """The page that leads to the report and shows the committed scores."""
    marker = json.loads((report / "marker.json").read_text(encoding="utf-8"))
    outcome = f"The report says why it is no result: {'; '.join(marker['objections'])}."
    if not marker["objections"]:
        outcome = "Nothing speaks against judging it."
    return PAGE.format(
        outcome=html.escape(outcome),
        kept=KEPT.relative_to(ROOT).as_posix(),
        table=kept_scores().to_html(index=False, border=0),
    )


def kept_scores() -> pd.DataFrame:
    """Scores of the committed runs on the test split of the released sample, a row a run."""
    rows = []
    for path in sorted(KEPT.glob("stage?/*/metrics.json")):
        scores = json.loads(path.read_text(encoding="utf-8"))["test"]
        row = {"run": path.parent.relative_to(KEPT).as_posix(), "sequences": scores["n"]}
        for name in ("recall", "specificity", "f1"):
            low, high = scores[f"{name}_low"], scores[f"{name}_high"]
            row[name] = f"{scores[name]:.2f} [{low:.2f}, {high:.2f}]"
        rows.append(row)
    if not rows:
        sys.exit(f"look: no committed runs in {KEPT}")
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
