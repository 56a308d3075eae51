"""From a movie to its report against the clock; the last line is one JSON object of the figures.

    python benchmarks/analyze.py [--threads 2] [--frames 3600] [--cells 50]

The movie is simulated at 1376 x 1096 px, 60 frames/s (3600 frames: 60 s) and judged by the shipped
models with --force, so that nothing ends it early. Time runs in a process of its own from the
command's call to its end, compilation and start included; seconds of the steps are those of
marker.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rbc.simulate import movies


def main() -> None:
    """Make the movie, run the command and print the figures."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--frames", type=int, default=3600)
    options.add_argument("--cells", type=float, default=50)
    chosen = options.parse_args()
    figures = {
        "benchmark": "analyze",
        "load_average": os.getloadavg()[0],
        "simulated": True,
        **vars(chosen),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.avi"
        frames, _ = movies.physics(movies.Scene(cells=chosen.cells, frames=chosen.frames, seed=9))
        movies.write(path, frames, 60.0, "raw")
        print(json.dumps(figures | _run(path, chosen.threads)))


def _run(path: Path, threads: int) -> dict[str, object]:
    out = path.with_name("report")
    command = [
        sys.executable,
        "-m",
        "compendium",
        "analyze",
        path,
        "--out",
        out,
        "--threads",
        threads,
        "--force",
        "--json",
    ]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    answer = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True
    )
    total, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(answer.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {
        "total_s": total,
        "cpu_s": cpu,
        "seconds": said["seconds"],
        "peak_gb": after.ru_maxrss / 2**20,
    }
    figures |= {
        "sequences": said["cells"],
        "decisions": said["decisions"],
        "objections": said["objections"],
    }
    return figures | {"report_mb": (out / "report.html").stat().st_size / 1e6}


if __name__ == "__main__":
    main()
