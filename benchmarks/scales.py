"""How far the marker is off in movies of other scales, frame rates and shear rates; the last line
is one JSON object.

    python benchmarks/scales.py [--repetitions 4] [--out data/reference/scales.json]
    python benchmarks/scales.py --smoke

Simulated movies: simulated sequences of one acquisition cross an uneven field (`movies.sprites`)
and go through `rbc analyze`, which is told to judge them in any case. For another scale the frames
of the same movie are resized, so finer pixels hold no finer detail. For another frame or shear rate
the cells are simulated anew, as they turn and cross by the shear that passes. *Stated wrongly*: the
movie is of 0.6 um/px, and somebody says another size.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from compendium import runs
from rbc import RbcError, simulate
from rbc.bench import analyze
from rbc.paper import PX_UM
from rbc.simulate import movies

CELLS = {"tank-treading": 84, "flipping": 16, "unreliable": 60}
FEW = {"tank-treading": 12, "flipping": 6, "unreliable": 2}  #: of a movie with --smoke
FIELD = (480, 640)  #: px of 0.6 um
IN_A_FRAME = 12


class Setting(NamedTuple):
    """How a movie is made, and what is said of it."""

    what: str
    um_per_px: float = PX_UM
    stated_um: float = PX_UM
    frame_rate: float = simulate.FPS
    shear_rate: float = simulate.SHEAR


KNOWN = Setting("as the paper")
SETTINGS = (
    KNOWN,
    *(Setting("another scale", um_per_px=um, stated_um=um) for um in (0.3, 0.45, 0.8, 1.0, 1.2)),
    *(Setting("another frame rate", frame_rate=rate) for rate in (30.0, 120.0, 200.0)),
    *(Setting("another shear rate", shear_rate=rate) for rate in (5.0, 20.0)),
    Setting("the slowest turning tried", frame_rate=200.0, shear_rate=5.0),
    Setting("the fastest turning tried", frame_rate=30.0, shear_rate=20.0),
    *(Setting("stated wrongly", stated_um=um) for um in (0.45, 0.52, 0.65, 0.7, 0.8)),
)


def main() -> None:
    """Judge all movies and print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--repetitions", type=int, default=4, help="movies of each setting")
    options.add_argument("--out", type=Path, help="also write the JSON there")
    options.add_argument("--smoke", action="store_true", help="two settings, one movie each")
    chosen = options.parse_args()
    settings, repetitions, cells = SETTINGS, chosen.repetitions, CELLS
    if chosen.smoke:
        settings, repetitions, cells = SETTINGS[:2], 1, FEW
    started = time.perf_counter()
    rows = [row for seed in range(repetitions) for row in judged(settings, seed, cells)]
    print(pd.DataFrame(rows).drop(columns="why").to_string(index=False, na_rep=""))
    print(f"{time.perf_counter() - started:.0f} s")
    what = "the marker of simulated movies of other scales, frame rates and shear rates"
    content = {"simulated": True, "what": what, "cells": cells, "rows": rows}
    content |= {**runs.checkout(), "finished": runs.now()}
    if chosen.out:
        chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content))


def judged(
    settings: tuple[Setting, ...], seed: int, cells: dict[str, int] = CELLS
) -> Iterator[dict]:
    """A row a setting: what `rbc analyze` says of its movie, judged by force where it objects."""
    truth = cells["tank-treading"] / (cells["tank-treading"] + cells["flipping"])
    with TemporaryDirectory() as folder:
        for number, setting in enumerate(settings):
            movie = Path(folder) / f"ZZ{seed:02}01_{number}.avi"
            film(setting, seed, movie, cells)
            row = setting._asdict() | {"seed": seed, "truth": truth}
            try:
                said = analyze.analyze(
                    movie, Path(folder) / f"report{number}", um_per_px=setting.stated_um,
                    frame_rate=setting.frame_rate, shear_rate=setting.shear_rate, force=True,
                )  # fmt: skip
            except RbcError as error:
                yield row | {"tracked": 0, "why": str(error).replace(folder, "")}
                continue
            told = {name: said[name] for name in ("estimate", "low", "high", "counted")}
            yield row | told | {"tracked": said["cells"], "why": "; ".join(said["objections"])}


def film(setting: Setting, seed: int, path: Path, counts: dict[str, int]) -> None:
    """Write the movie of a setting, of so many cells of each label."""
    pace = setting.frame_rate / simulate.FPS * simulate.SHEAR / setting.shear_rate
    cells = simulate.sequences(
        {"test": counts}, seed, acquisitions={"test": 1}, ranges=simulate.Ranges(pace=pace)
    )
    scene = movies.Scene(
        shape=FIELD, cells=IN_A_FRAME, seed=seed, uneven=8.0, frame_rate=setting.frame_rate,
        shear_rate=setting.shear_rate,
    )  # fmt: skip
    by = PX_UM / setting.um_per_px
    size = (round(FIELD[1] * by), round(FIELD[0] * by))
    frames = (
        np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
        if by != 1
        else frame
        for frame in movies.sprites(cells, scene)[0]
    )
    movies.write(path, frames, setting.frame_rate, "raw")


if __name__ == "__main__":
    main()
