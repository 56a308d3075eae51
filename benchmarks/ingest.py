"""Ingest of a record of Table 2's size (146,499 sequences), as three zip files of strips: seconds
and peak memory.

    python benchmarks/ingest.py [--sequences N] [--folder F]

Writes to a temporary folder below F (about 9 GB at full size, removed afterwards). The names are
those of a simulated record, the films 300 simulated ones of each class, repeated under new names;
so pairs of equal films are everywhere, and the search for near-duplicates is shorter than on real
data. Aim: minutes on two cores, under 2 GB, opened in under a second. The last line is JSON.
"""

import argparse
import io
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from rbc import simulate
from rbc.paper import LABELS, SPLITS, reported

FILMS = 300  #: different films of each class

# Peak memory: this process and, as an upper bound, every worker at the size of the largest.
INGEST = """
import json, os, resource, sys, time
from pathlib import Path
from compendium.data import ingest
began = time.perf_counter()
ingest.into(Path(sys.argv[1]), Path(sys.argv[2]), simulated=True)
seconds = time.perf_counter() - began
who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
own, child = (resource.getrusage(one).ru_maxrss / 1e6 for one in who)
workers = len(os.sched_getaffinity(0))
print(json.dumps({"seconds": seconds, "peak_gb": own + workers * child, "workers": workers}))
"""
OPEN = """
import json, sys, time
from pathlib import Path
from rbc import sequences
began = time.perf_counter()
cells = sequences.load(Path(sys.argv[1]))
cells[len(cells) // 2].sum()
seconds = time.perf_counter() - began
print(json.dumps({"open_seconds": seconds, "sequences": len(cells), "frames": len(cells.frames)}))
"""
CHECK = """
import json, resource, sys, time
from pathlib import Path
from compendium.data import checks
from rbc import sequences
began = time.perf_counter()
found = checks.check(sequences.load(Path(sys.argv[1])))
# counts the mapped frames, which the system may drop
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps({"check_seconds": time.perf_counter() - began, "check_peak_gb": peak}))
"""


def main() -> None:
    """Make, ingest, open, check, report."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--sequences", type=int, default=int(reported("table2")[list(SPLITS)].to_numpy().sum())
    )
    options.add_argument("--folder", type=Path, default=Path("."))
    chosen = options.parse_args()
    with TemporaryDirectory(dir=chosen.folder, prefix="bench-") as scratch:
        record, out = Path(scratch) / "record", Path(scratch) / "out"
        record.mkdir()
        began = time.perf_counter()
        make_record(record, chosen.sequences)
        packed = sum(f.stat().st_size for f in record.iterdir()) / 1e9
        print(
            f"made {chosen.sequences} sequences, {packed:.2f} GB of zip, in"
            f" {time.perf_counter() - began:.0f} s"
        )
        result = measured(INGEST, record, out) | measured(OPEN, out) | measured(CHECK, out)
    print(
        json.dumps(
            {"benchmark": "ingest", "zip_gb": round(packed, 2)}
            | {k: round(v, 3) for k, v in result.items()}
        )
    )


def measured(program: str, *arguments: Path) -> dict[str, float]:
    """What a program run in a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def make_record(folder: Path, n: int) -> None:
    """train.zip, validation.zip and test.zip with n sequences in Table 2's proportions of class and
    split.
    """
    table = reported("table2").set_index("label")[list(SPLITS)]
    counts = (table * n / table.to_numpy().sum()).round().astype(int).to_dict()
    plan = simulate.plan(counts, seed=0)
    pools = {label: [] for label in LABELS}
    # simulating all of them would take much longer than what is measured
    for row in plan.itertuples():
        if len(pools[row.label]) < FILMS:
            pools[row.label].append(
                as_png(simulate.strip(row.label, row.acquisition, row.key, seed=0))
            )
    for split, rows in plan.groupby("split"):
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            lines = [",sequence_name,label,size"]
            for i, row in enumerate(rows.itertuples()):
                png, size = pools[row.label][i % len(pools[row.label])]
                lines.append(f"{i},{row.name},{LABELS.index(row.label)},{size}")
                archive.writestr(f"{split}/img/{row.name}.png", png)
            archive.writestr(f"{split}/dataset.csv", "\n".join(lines))


def as_png(frames: np.ndarray) -> tuple[bytes, int]:
    """A film as a strip, and its number of frames."""
    memory = io.BytesIO()
    Image.fromarray(np.hstack(list(frames))).save(memory, "png")
    return memory.getvalue(), len(frames)


if __name__ == "__main__":
    main()
