"""Tracking against the truth, against the clock and beside trackpy; the last line is one JSON
object of the figures.

    python benchmarks/tracking.py [--threads 2] [--frames 300] [--long 3600] [--smoke]

Movies are simulated at 1376 x 1096 px. Sprites of real sequences are tracked where RBC_SAMPLE names
the folder of the authors' released sample; else simulated ones are, and `sprites_are` says so.
`--smoke` runs every part on small movies, to see that it runs: its figures mean nothing. `--long 0`
leaves the 60 s movie out.

Crops: two sets of sequences are reported. Parameters may be looked at on `tuning` (acquisitions of
patient BG), while `held_out` (patient LJ) is only measured. A cell is recovered where its longest
track is within 2 frames of its length. Its crops are those of the original at a median correlation
of at least 0.98: `same_crop` as both are cut, `aligned_crop` over the part of both that shows the
same place in the picture, because the authors' crop jumps off its cell to a joint centre while a
neighbour passes, and ours stays.

Conditions: each cell crosses the whole field in as many frames as its sequence has, under one
nuisance at a time. `covered` is the share of cells of which one track holds 80 % of the path,
`links` that of their links that one track holds, `twice` that of cells on two tracks of at least
six frames that are not flagged as one. `kept` are the shares of strips and of tracked crops that
stage 1 of the shipped models calls reliable, all members judging both.

trackpy runs in the same process on the same movie, as its users would tune it: on the contrast
without its background, with a predictor of a common speed and a search range chosen by the truth.
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
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from rbc import simulate, tracking
from rbc.paper import MIN_FRAMES
from rbc.reading import video
from rbc.sequences import Sequences, checksum, from_list
from rbc.simulate import movies
from rbc.tracking import detection

SETS = {"tuning": "BG", "held_out": "LJ"}  #: patient whose sequences are in the set
SMALL = (360, 480)  #: px of the movies of --smoke
LIGHTS = {
    "even light": {},
    "uneven light": {"uneven": 15.0},
    "lamp that drifts": {"uneven": 15.0, "drift": 0.2},
    "vignette": {"vignette": 0.3},
}
CONDITIONS = LIGHTS | {
    "tilt of 5 degrees": {"tilt": 5.0},
    "tilt of 15 degrees": {"tilt": -15.0},
    "ramp": {"ramp": 2.0},
    "pulses": {"pulse": 0.3},
    "lost frames": {"dropped": 0.05},
    "all of it": {"uneven": 15.0, "tilt": 5.0, "ramp": 2.0, "pulse": 0.3, "dropped": 0.05},
}
LABELS = ("tank-treading", "flipping", "unreliable")


def main() -> None:
    """Run all parts and print the figures."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--frames", type=int, default=300)
    options.add_argument("--long", type=int, default=3600)
    options.add_argument("--smoke", action="store_true")
    options.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.memory_of:
        print(json.dumps(_long_run(chosen.memory_of, chosen.threads)))
        return
    if chosen.smoke:
        chosen.frames, chosen.long = 30, min(chosen.long, 20)
    shape = SMALL if chosen.smoke else movies.Scene.shape
    figures: dict[str, object] = {"load_average": os.getloadavg()[0], "threads": chosen.threads}
    with tempfile.TemporaryDirectory() as folder:
        for cells in (50, 200):
            figures |= _density(Path(folder), cells, chosen.frames, chosen.threads, shape)
        real = _sample()
        figures["sprites_are"] = "simulated" if real is None else "real"
        cells = _made() if real is None else real
        if chosen.smoke:
            few = cells.index.groupby("patient").cumcount() < 6
            cells = cells.select(few.to_numpy())
        figures |= _sprites(Path(folder), cells, chosen.threads, shape)
        figures |= _conditions(Path(folder), cells, chosen.threads, shape)
        if chosen.long:
            figures |= _memory(Path(folder), chosen.long, chosen.threads, shape)
    print(json.dumps(figures))


def _density(
    folder: Path, cells: int, n: int, threads: int, shape: tuple[int, int]
) -> dict[str, object]:
    """Quality and speed at a number of cells in a frame; at 50 also the steps, the bits and
    trackpy.
    """
    cells_here = cells * shape[0] * shape[1] / np.prod(movies.Scene.shape)
    scene = movies.Scene(shape=shape, cells=cells_here, frames=n, seed=7)
    frames, truth = movies.physics(scene)
    path = folder / f"{cells}.avi"
    movies.write(path, frames, 60.0, "raw")
    tracking.track(path, threads=threads)  # compiled and in the page cache from here on
    (sequences, tracks), seconds, cpu = _timed(lambda: tracking.track(path, threads=threads))
    result = {
        "fps": n / seconds,
        "cpu_ms_per_frame": 1000 * cpu / n,
        **movies.score(tracks, truth, scene.shape),
    }
    print(f"{cells} cells per frame:", result, flush=True)
    out: dict[str, object] = {f"cells{cells}": result}
    if cells == 50:
        out |= _steps(path, threads)
        other, _ = tracking.track(path, threads=1, chunk=5)
        out["bit_identical"] = checksum(other) == checksum(sequences)
        out |= _trackpy(path, truth, scene, tracks, result["fps"], min(60, n))
    return out


def _timed(call: object) -> tuple:
    start, cpu = time.perf_counter(), time.process_time()
    return call(), time.perf_counter() - start, time.process_time() - cpu


def _steps(path: Path, threads: int) -> dict[str, float]:
    """Best of three for the background of 100 frames (reading apart), and one frame's detection."""
    movie = video.open_movie(path)
    reading = min(_timed(lambda: movie.sample(100))[1] for _ in range(3))
    sample = movie.sample(100)
    median = min(_timed(lambda: detection.background(sample, threads))[1] for _ in range(3))
    background = detection.background(sample, threads)
    noise = detection.noise_variance(sample[:: max(1, len(sample) // 8)], background)
    p = tracking.Parameters.derive(0.6, 60, 10)
    chosen = (noise, p.threshold, p.cell_px, (p.min_area_px2, p.max_area_px2))
    one = min(
        _timed(lambda: detection.detect(sample[len(sample) // 2], background, *chosen))[1]
        for _ in range(20)
    )
    figures = {"background_s": median, "background_reading_s": reading, "detect_ms": 1000 * one}
    print("steps:", figures, flush=True)
    return figures


def _trackpy(
    path: Path, truth: pd.DataFrame, scene: movies.Scene, tracks: pd.DataFrame, fps: float, n: int
) -> dict[str, object]:
    """trackpy on the first `n` frames, its best of several settings by the truth; ratios of time
    and of missed links.
    """
    import trackpy

    trackpy.quiet()
    warnings.simplefilter("ignore")
    movie = video.open_movie(path)
    background = detection.background(movie.sample(100), 2).astype(int)
    early = truth[truth["frame"] < n]
    ours = {
        "fps": fps,
        **movies.score(tracks[tracks["frame"] < n].reset_index(drop=True), early, scene.shape),
    }
    stack = [
        np.minimum(abs(f.astype(int) - background), 255).astype(np.uint8)
        for i, f in movie.frames()
        if i < n
    ]
    spots, locating, _ = _timed(
        lambda: trackpy.batch(stack, 21, minmass=300, separation=12, processes=1)
    )
    best: dict[str, object] = {}
    for reach in (6, 10, 14):
        speed = float(np.mean(scene.speed(np.array(scene.depths_um))))
        predictor = trackpy.predict.NearestVelocityPredict()
        predictor.initial_guess_positions, predictor.initial_guess_vels = (
            [(0.0, 0.0)],
            [(0.0, speed)],
        )
        try:
            found, linking, _ = _timed(
                lambda p=predictor, r=reach: pd.concat(
                    p.link_df_iter((g for _, g in spots.groupby("frame")), r, memory=3)
                )
            )
        except (trackpy.SubnetOversizeException, AttributeError, ValueError, TypeError) as error:
            print(f"trackpy, search range {reach}: {type(error).__name__}", flush=True)
            continue
        table = found.rename(columns={"particle": "track", "x": "x_px", "y": "y_px"})
        table = table[table.groupby("track")["frame"].transform("size") >= 6]
        inside = table["x_px"].between(15, scene.shape[1] - 16) & table["y_px"].between(
            15, scene.shape[0] - 16
        )
        table = table[inside].reset_index(drop=True)
        result = {
            "fps": n / (locating + linking),
            "search_range": reach,
            **movies.score(table, early, scene.shape),
        }
        print("trackpy:", result, flush=True)
        if not best or result["recall"] * result["precision"] > best["recall"] * best["precision"]:
            best = result
    if not best:
        return {"trackpy": None}
    return {
        "trackpy": best,
        "ours_on_the_same_frames": ours,
        "times_faster_than_trackpy": ours["fps"] / best["fps"],
        "missed_links_trackpy_over_ours": (1 - best["recall"]) / max(1 - ours["recall"], 1e-9),
        "rms_trackpy_over_ours": best["rms_px"] / ours["rms_px"],
    }


def _sample() -> Sequences | None:
    """The reliable sequences of the released sample, None where it is not there."""
    folder = Path(os.environ.get("RBC_SAMPLE", "")) / "Stage_1" / "test"
    if "RBC_SAMPLE" not in os.environ or not (folder / "dataset.csv").exists():
        return None
    table = pd.read_csv(folder / "dataset.csv")
    there = [(folder / "img" / f"{n}.png").exists() for n in table["sequence_name"]]
    table = table[(table["label"] < 2) & np.array(there)]
    names = table["sequence_name"].tolist()
    pictures = [np.asarray(Image.open(folder / "img" / f"{n}.png")) for n in names]
    strips = [p.reshape(31, -1, 31).swapaxes(0, 1) for p in pictures]
    rows = pd.DataFrame(
        {"name": names, "label": [LABELS[i] for i in table["label"]], "split": "test"}
    )
    rows = rows.assign(
        acquisition=rows["name"].str.rsplit("_", n=1).str[0], patient=rows["name"].str[:2]
    )
    return from_list(strips, rows, {"simulated": False})


def _made() -> Sequences:
    """Simulated sequences, as many and as long as the reliable ones of the sample, of the same two
    patients' names.
    """
    made = simulate.sequences(
        {"test": {"tank-treading": 80, "flipping": 40, "unreliable": 0}}, seed=1
    )
    lengths = np.random.default_rng(1).integers(17, 60, len(made))
    rows = made.index.drop(columns=["start", "length"]).assign(
        patient=np.resize(list(SETS.values()), len(made))
    )
    return from_list([made[i][:n] for i, n in enumerate(lengths)], rows, {"simulated": True})


def _sprites(
    folder: Path, cells: Sequences, threads: int, shape: tuple[int, int]
) -> dict[str, object]:
    """Sequences composited and tracked again, by set of patients."""
    figures = {
        name: _set_of_sprites(
            folder, cells.select((cells.index["patient"] == patient).to_numpy()), threads, shape
        )
        for name, patient in SETS.items()
    }
    print("sprites:", figures, flush=True)
    return {"sprites": figures}


def _set_of_sprites(
    folder: Path, cells: Sequences, threads: int, shape: tuple[int, int]
) -> dict[str, float]:
    """Every sequence once in each of three movies: the shares recovered and with the crops of the
    original.
    """
    results = []
    for seed in (3, 4, 5):
        frames, truth = movies.sprites(cells, movies.Scene(shape=shape, cells=8, seed=seed))
        path = folder / "sprites.avi"
        movies.write(path, frames, 60.0, "raw")
        found, tracks = tracking.track(path, threads=threads)
        results.append(_recovered(cells, truth, found, tracks))
    table = pd.concat(results)
    within = (table["length"] - table["tracked"]).abs() <= 2
    return {
        "sequences": len(cells),
        "cells": len(table),
        "cells_recovered": int(within.sum()),
        "recovered": float(within.mean()),
        "same_crop": float((table["same"] >= 0.98).mean()),
        "aligned_crop": float((table["aligned"] >= 0.98).mean()),
        "median_correlation": float(table["same"].median()),
        "median_aligned_correlation": float(table["aligned"].median()),
    }


def _conditions(
    folder: Path, cells: Sequences, threads: int, shape: tuple[int, int]
) -> dict[str, object]:
    """The same cells under one nuisance at a time: what is tracked, and in other light what stage 1
    makes of it.
    """
    from rbc.bench import classify  # here, as PyTorch would count in the memory of the 60 s movie

    unnamed = cells.index.assign(acquisition="condition")  # as a new movie's: all members judge
    strips = classify.classify(Sequences(cells.frames, unnamed, cells.meta))
    figures = {}
    for name, nuisance in CONDITIONS.items():
        scene = movies.Scene(shape=shape, cells=10, seed=3, **nuisance)
        frames, truth = movies.sprites(cells, scene)
        path = folder / "condition.avi"
        n = movies.write(path, frames, 60.0, "raw")
        found, tracks = tracking.track(path, threads=threads)
        figures[name], longest = _held(truth, tracks, found.meta["continued"])
        figures[name] |= {
            "frames": n,
            "sequences": len(found),
            "objections": found.meta["objections"],
        }
        if name in LIGHTS:
            crops = classify.classify(found)["reliable_margin"].to_numpy()[longest["track"]]
            of_strips = strips["reliable_margin"].to_numpy()[longest["cell"]]
            figures[name]["kept"] = {
                "strips": float((of_strips >= 0).mean()),
                "crops": float((crops >= 0).mean()),
            }
        print(f"{name}:", figures[name], flush=True)
    return {"conditions": figures}


def _held(
    truth: pd.DataFrame, tracks: pd.DataFrame, continued: list[list[str]]
) -> tuple[dict, pd.DataFrame]:
    """How much of the cells' paths single tracks hold, and the longest track of each cell that has
    one.
    """
    on = tracks.assign(cell=movies.pair(tracks, truth)).query("cell >= 0")
    both = truth.merge(on[["cell", "frame", "track"]], on=["cell", "frame"], how="left")
    both = both.drop_duplicates(["cell", "frame"]).sort_values(["cell", "frame"])
    after = both.shift(-1)
    linked = after["cell"] == both["cell"]
    parts = (
        on.groupby(["cell", "track", "name"])
        .size()
        .reset_index(name="n")
        .sort_values("n", kind="stable")
    )
    longest = parts.drop_duplicates("cell", keep="last").sort_values("cell")
    lengths = truth.groupby("cell").size()
    held = longest.set_index("cell")["n"].reindex(lengths.index, fill_value=0)
    flagged = {later for _, later in continued}
    counted = (
        parts[(parts["n"] >= MIN_FRAMES) & ~parts["name"].isin(flagged)].groupby("cell").size()
    )
    figures = {
        "cells": len(lengths),
        "covered": float((held >= 0.8 * lengths).mean()),
        "links": float((linked & (after["track"] == both["track"])).sum() / linked.sum()),
        "twice": float((counted > 1).sum() / len(lengths)),
    }
    return figures, longest


def _recovered(
    real: Sequences, truth: pd.DataFrame, found: Sequences, tracks: pd.DataFrame
) -> pd.DataFrame:
    """For each cell its length, the frames of its longest track on it, and the median correlation
    of the crops with the originals: as cut, and after the crop is shifted by whole pixels onto the
    pasted frame (`aligned`).
    """
    paired = tracks.assign(
        cell=movies.pair(tracks, truth), place=tracks.groupby("track").cumcount()
    )
    paired = paired.merge(
        truth[["cell", "frame", "step", "sprite_x", "sprite_y"]], on=["cell", "frame"]
    )
    rows = []
    for cell, own in truth.groupby("cell"):
        seen = paired[paired["cell"] == cell]
        if seen.empty:
            rows.append((len(own), 0, 0.0, 0.0))
            continue
        seen = seen[seen["track"] == seen["track"].mode().iat[0]]
        pairs = [
            _correlate(found[r.track][r.place], real[cell][r.step], r) for r in seen.itertuples()
        ]
        rows.append(
            (
                len(own),
                int((tracks["track"] == seen["track"].iat[0]).sum()),
                *np.nanmedian(pairs, axis=0),
            )
        )
    return pd.DataFrame(rows, columns=["length", "tracked", "same", "aligned"])


def _correlate(crop: np.ndarray, original: np.ndarray, row: object) -> tuple[float, float]:
    """Correlation of two 31 x 31 px crops, and of the part of both that shows the same place."""
    dx, dy = round(row.x_px) - round(row.sprite_x), round(row.y_px) - round(row.sprite_y)
    same = np.corrcoef(crop.ravel(), original.ravel())[0, 1]
    ours = crop[max(-dy, 0) : 31 - max(dy, 0), max(-dx, 0) : 31 - max(dx, 0)]
    theirs = original[max(dy, 0) : 31 - max(-dy, 0), max(dx, 0) : 31 - max(-dx, 0)]
    return same, np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]


def _memory(folder: Path, n: int, threads: int, shape: tuple[int, int]) -> dict[str, object]:
    """A whole 60 s movie in a process of its own, for its peak memory."""
    path = folder / "long.avi"
    frames, _ = movies.physics(movies.Scene(shape=shape, cells=50, frames=n, seed=9))
    movies.write(path, frames, 60.0, "raw")
    command = [sys.executable, __file__, "--memory-of", str(path), "--threads", str(threads)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = {"long": json.loads(answer.stdout.splitlines()[-1])}
    print("60 s movie:", figures, flush=True)
    return figures


def _long_run(path: Path, threads: int) -> dict[str, float]:
    sequences, seconds, cpu = _timed(
        lambda: tracking.track_movie(path, path.parent / "long", threads=threads)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    n = sequences.meta["n_frames"]
    return {
        "frames": n,
        "fps": n / seconds,
        "cpu_ms": 1000 * cpu / n,
        "peak_gb": peak,
        "sequences": len(sequences),
    }


if __name__ == "__main__":
    main()
