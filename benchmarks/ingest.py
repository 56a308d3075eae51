"""Ingest of a record of Table 2's size (146,499 sequences), as three zip files of strips: seconds and peak memory.

    python benchmarks/ingest.py [--sequences N] [--folder F]

Writes to a temporary folder below F (about 9 GB at full size, removed afterwards). The strips are painted, not real:
a noisy ring whose bytes compress as the real ones do; 400 different ones are repeated under new names. Issue's bounds:
minutes on two cores, under 2 GB, opened in under a second. The last line is JSON.
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

from rbc.paper import LABELS, SPLITS, reported

# Peak memory: this process and, as an upper bound, every worker at the size of the largest.
INGEST = """
import json, os, resource, sys, time
from pathlib import Path
from rbc import ingest
began = time.perf_counter()
ingest.into(Path(sys.argv[1]), Path(sys.argv[2]), simulated=True)
own, child = (resource.getrusage(who).ru_maxrss / 1e6 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
workers = len(os.sched_getaffinity(0))
print(json.dumps({"seconds": time.perf_counter() - began, "peak_gb": own + workers * child, "workers": workers}))
"""
OPEN = """
import json, sys, time
from pathlib import Path
from rbc import sequences
began = time.perf_counter()
cells = sequences.load(Path(sys.argv[1]))
cells[len(cells) // 2].sum()
print(json.dumps({"open_seconds": time.perf_counter() - began, "sequences": len(cells), "frames": len(cells.frames)}))
"""


def main() -> None:
    """Paint, ingest, open, report."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sequences", type=int, default=int(reported("table2")[list(SPLITS)].to_numpy().sum()))
    options.add_argument("--folder", type=Path, default=Path("."))
    chosen = options.parse_args()
    with TemporaryDirectory(dir=chosen.folder, prefix="bench-") as scratch:
        record, out = Path(scratch) / "record", Path(scratch) / "out"
        record.mkdir()
        began = time.perf_counter()
        paint_record(record, chosen.sequences)
        packed = sum(f.stat().st_size for f in record.iterdir()) / 1e9
        print(f"painted {chosen.sequences} sequences, {packed:.2f} GB of zip, in {time.perf_counter() - began:.0f} s")
        result = measured(INGEST, record, out) | measured(OPEN, out)
    print(json.dumps({"benchmark": "ingest", "zip_gb": round(packed, 2)} | {k: round(v, 3) for k, v in result.items()}))


def measured(program: str, *arguments: Path) -> dict[str, float]:
    """What a program run in a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def paint_record(folder: Path, n: int) -> None:
    """train.zip, validation.zip and test.zip with n sequences in Table 2's proportions of class and split."""
    rng = np.random.default_rng(0)
    sizes = np.clip(rng.gamma(2.5, 12.5, 400).astype(int), 1, 141)  # as the released lengths: mean 31, 1 to 141
    strips = [painted(rng, size) for size in sizes]
    table = reported("table2").set_index("label")
    share = n / table[list(SPLITS)].to_numpy().sum()
    for s, split in enumerate(SPLITS):
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            lines = [",sequence_name,label,size"]
            labels = [code for code, name in enumerate(LABELS) for _ in range(round(table[split][name] * share))]
            for i, code in enumerate(labels):
                name = f"{('BG', 'BK', 'LJ')[s]}10{i % 8 + 10}_10s0{i % 3}_{i}"
                lines.append(f"{i},{name},{code},{sizes[i % 400]}")
                archive.writestr(f"{split}/img/{name}.png", strips[i % 400])
            archive.writestr(f"{split}/dataset.csv", "\n".join(lines))


def painted(rng: np.random.Generator, size: int) -> bytes:
    """A strip as PNG: a breathing ring 12 below a background of 77 to 149, noise 2.2 (reading notes, section 6)."""
    y, x = np.mgrid[-15:16, -15:16]
    rings = [np.exp(-((np.hypot(x, y) - rng.normal(5.5, 0.3)) ** 2) / 2) for _ in range(size)]
    pixels = rng.integers(77, 150) - 12 * np.hstack(rings) + rng.normal(0, 2.2, (31, 31 * size))
    memory = io.BytesIO()
    Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)).save(memory, "png")
    return memory.getvalue()


if __name__ == "__main__":
    main()
