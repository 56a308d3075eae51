"""The kept scores anew, from the kept answers: no network is asked again.

    python workflow/rescore.py [--data data/derived/ours]

For a change in how scores are summed up (`rbc.metrics.uncertainty`). Writes metrics.json of
data/reference/ours and duel, and levels.json of transfer. With --data, shipped.json too: then the
shipped models look at the cells once more, in seconds. Provenance stays that of the answers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import beyond as judging  # beside this script
import duel  # beside this script
import pandas as pd
import transfer  # beside this script

from compendium import runs
from rbc import sequences


def main() -> None:
    """Each kept table of scores in turn."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, help="sequences of the profile ours")
    chosen = options.parse_args()
    ours, of_duel, simulated = (runs.REFERENCE / name for name in ("ours", "duel", "transfer"))

    answers = pd.read_parquet(ours / "answers.parquet")
    judging.write(ours / "metrics.json", judging.scores(answers))

    singles = pd.DataFrame([*duel.single(of_duel, 2), *duel.single(ours, 2)])
    answers = pd.read_parquet(of_duel / "answers.parquet")
    judging.write(of_duel / "metrics.json", duel.figures(answers, singles))

    # What a level was trained for, how long and how far its simulator is stays as it was.
    levels = json.loads((simulated / "levels.json").read_text(encoding="utf-8"))
    answers = pd.read_parquet(simulated / "answers.parquet")
    anew = {level: transfer.told_of(part, level) for level, part in answers.groupby("level")}
    transfer.write(simulated / "levels.json", [one | anew[one["level"]] for one in levels])

    if chosen.data:
        judging.write(ours / "shipped.json", judging.shipped_figures(sequences.load(chosen.data)))


if __name__ == "__main__":
    main()
