"""Ingest of a record of Table 2's size (146,499 sequences), as three zip files of strips: seconds
and peak memory.

    python benchmarks/ingest.py [--sequences N] [--folder F]

Writes to a temporary folder below F (about 9 GB at full size, removed afterwards). The names are
those of a simulated record, the films a few simulated ones, repeated under new names; so pairs of
equal films are everywhere, and the search for near-duplicates is shorter than on real
data. Aim: minutes on two cores, under 2 GB, opened in under a second. The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from compendium.data.simulated import make_record, table2

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
    options.add_argument("--sequences", type=int, default=int(table2().to_numpy().sum()))
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


if __name__ == "__main__":
    main()
