"""Measure the networks on this machine's GPU in less than eight minutes.

    make gpu            # writes _build/gpu/gpu.json and gpu.html
    .venv/bin/python workflow/gpu.py --data SAMPLE --keep    # kept for the book

Without a GPU the processor is measured, and the page says so. Each step is on disk as soon as it
has ended, so the same command goes on where it was stopped; a step for which no time is left is not
measured. Speeds are those of `rbc run`: fastai's training and `rbc.inputs.predict`, the sequences
resident on the device. Exit code 1 where the device does not compute what a processor computes.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from compendium import ROOT, profiles, runs
from compendium.data import ingest
from compendium.data.simulated import table2
from rbc import simulate, training
from rbc.inputs import Rows, device, predict, rows
from rbc.models import NETWORKS, build
from rbc.paper import FRAME_PX, KS, LABELS, SPLITS, Configuration, in_stage, positive
from rbc.sampling import balance
from rbc.sequences import Sequences
from rbc.settings import Training, settings

KEPT = runs.REFERENCE / "gpu.json"
OUT = ROOT / "_build" / "gpu"
STAGE2 = Configuration(2, "cnn", "similarity", 20, 0)
#: The loss of a batch may differ by so much between two devices in 32-bit floats.
LOSS_APART = 1e-3
PRECISIONS = ("float32", "bfloat16")
STEPS = 3  #: of training, after which two devices are compared
#: The networks whose speed is measured at every K: the paper's two and ours.
TIMED = {"cnn": "text", "crnn": "text", "frames": "frames"}


def main() -> None:
    """Measure what is not on disk yet, write the page, and say what differs."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, default=os.environ.get("RBC_SAMPLE"))
    options.add_argument("--out", type=Path, default=OUT)
    options.add_argument("--seconds", type=float, default=420, help="begin no step later (420)")
    options.add_argument("--small", action="store_true", help="a few sequences, to try the command")
    options.add_argument("--keep", action="store_true", help="write data/reference/gpu.json too")
    given = options.parse_args()
    where = device("auto")
    told = measured(given, where)
    page = given.out / "gpu.html"
    page.write_text(html(told), encoding="utf-8")
    print(page)
    if given.keep:
        if where.type != "cuda" or given.small or told["machine"]["dirty"] or left_out(told):
            raise SystemExit("--keep: only a whole measurement of a GPU, without changes, is kept")
        KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if wrong := unequal(told):
        raise SystemExit(f"the device computes other losses than a processor: {', '.join(wrong)}")


def measured(given: argparse.Namespace, where: torch.device) -> dict:
    """All steps, by name; those of an earlier call of the same commit and device are not redone.

    Parameters
    ----------
    given : the command's options
    where : the device
    """
    file, began = given.out / "gpu.json", time.monotonic()
    given.out.mkdir(parents=True, exist_ok=True)
    told: dict = {"machine": machine(where, given), "steps": {}}
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        told = before if before["machine"] == told["machine"] else told
    for name, step in steps(given, where, told["steps"]):
        if name in told["steps"]:
            continue
        late = time.monotonic() - began > given.seconds
        told["steps"][name] = {"not_measured": "no time was left"} if late else step()
        print(f"{time.monotonic() - began:5.0f} s  {name}  {told['steps'][name]}", flush=True)
        told["hours"] = hours(told["steps"])
        if not late:  # what was left out is tried by the next call
            part = file.with_suffix(".part")
            part.write_text(json.dumps(told, indent=1), encoding="utf-8")
            part.replace(file)  # a kill must not leave half of it
    return told


def machine(where: torch.device, given: argparse.Namespace) -> dict:
    """What the figures hang on."""
    gpu = where.type == "cuda"
    found = {
        "device": torch.cuda.get_device_name(where) if gpu else platform.processor() or "processor",
        "memory_bytes": torch.cuda.mem_get_info(where)[1] if gpu else None,
        "record_bytes_at_k50": int(table2().to_numpy().sum()) * max(KS) * FRAME_PX**2,
        "type": where.type,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "sequences": "simulated",
        "small": given.small,
    }
    return found | runs.checkout()


def steps(
    given: argparse.Namespace, where: torch.device, found: dict
) -> Iterator[tuple[str, Callable]]:
    """Name and function of each step, what matters most first.

    Parameters
    ----------
    given, where : the command's options, and the device
    found : the steps so far; gets those that follow
    """
    few = dict.fromkeys(LABELS, 3 if given.small else 85)
    cells = simulate.sequences({"train": few}, seed=0)
    for name in TIMED if given.small else NETWORKS:
        yield f"equal {name}", partial(equal, name, cells, where)
    for precision in PRECISIONS:
        side = 256 if given.small else 8192
        yield f"peak {precision}", partial(peak, where, precision, side)
    ks, batches = ([10], [4]) if given.small else (KS, [64, 256])
    for k, name, batch, precision in product(ks, TIMED, batches, PRECISIONS):
        how = {"batch_size": batch, "precision": precision}
        step = partial(speed, name, k, cells, how, where, found)
        yield f"speed {name} k{k} batch {batch} {precision}", step
    whole = "released sample" if given.data else "simulated sequences"
    yield f"stage-2 training, {whole}", partial(stage2, given, where)
    if where.type == "cuda":
        for name, change in product(("cnn", "frames"), (compiled, channels_last)):
            how = {"batch_size": batches[0], "precision": "float32"}
            step = partial(speed, name, ks[0], cells, how, where, found, change)
            yield f"speed {name} k{ks[0]} batch {batches[0]} float32 {change.__name__}", step


def compiled(model: nn.Module) -> nn.Module:
    """The network, compiled by PyTorch."""
    return torch.compile(model)


def channels_last(model: nn.Module) -> nn.Module:
    """The network with the channels of a picture innermost in memory."""
    return model.to(memory_format=torch.channels_last)


def equal(name: str, cells: Sequences, where: torch.device) -> dict:
    """How far a network's losses and probabilities lie from a processor's in 32-bit floats, after
    some steps of training, in each arithmetic.

    Parameters
    ----------
    name : of `NETWORKS`
    cells : sequences; the first batch of them is learned from
    where : the device
    """
    torch.manual_seed(0)
    model = build(name, STAGE2.k)
    for part in model.modules():  # what is dropped by chance differs between devices
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if isinstance(part, nn.MultiheadAttention):
            part.dropout = 0.0
    c = Configuration(1, "cnn", "uniform", STAGE2.k)

    def ran(there: torch.device, precision: str) -> tuple[np.ndarray, np.ndarray]:
        strict = precision == "float32"
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = not strict
        return learned(copy.deepcopy(model).to(there), rows(cells, c, there), precision)

    loss, probability = ran(torch.device("cpu"), "float32")
    found = {}
    for precision in ("float32", "tf32", "bfloat16"):
        losses, probabilities = ran(where, precision)
        found[f"{precision}_loss_apart"] = float(np.abs(losses - loss).max())
        found[f"{precision}_probability_apart"] = float(np.abs(probabilities - probability).max())
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    return found


def learned(model: nn.Module, data: Rows, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Losses of `STEPS` steps on the first batch, and what the network then predicts of it."""
    plain = Training(epochs=1)
    numbers = torch.arange(len(data.lengths), device=data.frames.device)[: plain.batch_size]
    frames, lengths, classes = data.batch(numbers, plain)
    optimizer, losses = torch.optim.SGD(model.parameters(), 1e-3), []
    half = precision == "bfloat16"

    def logits() -> Tensor:
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=half):
            return model(frames, lengths).float()

    model.train()
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(logits(), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        return np.array(losses), logits().softmax(1)[:, 1].cpu().numpy()


def peak(where: torch.device, precision: str, side: int) -> dict:
    """Operations a second that a product of two large matrices reaches: the bar for the networks.

    Parameters
    ----------
    where : the device
    precision : ``float32`` or ``bfloat16``
    side : of the matrices
    """
    a = torch.ones(side, side, device=where, dtype=getattr(torch, precision))
    best = np.inf
    for _ in range(5):
        wait(where)
        began = time.perf_counter()
        a @ a
        wait(where)
        best = min(best, time.perf_counter() - began)
    return {"operations_per_s": 2 * side**3 / best}


def speed(
    name: str,
    k: int,
    cells: Sequences,
    how: dict,
    where: torch.device,
    found: dict,
    change: Callable | None = None,
) -> dict:
    """Sequences a second of a network, its share of the peak, and the memory that it took.

    Parameters
    ----------
    name : of `TIMED`
    k : frames
    cells : sequences, repeated until the device has enough to do
    how : batch size and precision
    where : the device
    found : the steps so far, the peak among them
    change : made of the network before
    """
    bar = found[f"peak {how['precision']}"]
    c = Configuration(1, "crnn" if name == "crnn" else "cnn", "uniform", k, 0, TIMED[name])
    learning = settings(Training(epochs=1, device=where.type, **how), c)
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
    n = 4096 if where.type == "cuda" else len(cells)
    try:
        trains, answers = speeds(cells, c, learning, n, change)
    except RuntimeError as failed:  # too little memory, or a compiler that is not there
        return {"not_measured": str(failed).splitlines()[0]}
    used = torch.cuda.max_memory_allocated(where) if where.type == "cuda" else None
    return {
        "trains_per_s": round(trains, 1),
        "predicts_per_s": round(answers, 1),
        "share_of_peak": trains * operations(name, k, cells) / bar.get("operations_per_s", np.nan),
        "memory_bytes": used,
    }


def speeds(
    cells: Sequences,
    c: Configuration,
    learning: Training,
    n: int,
    change: Callable | None = None,
) -> tuple[float, float]:
    """Sequences a second in training and in prediction.

    Parameters
    ----------
    cells, c, learning : sequences, configuration and settings, as of `rbc.training.train`
    n : how many sequences an epoch has; they are repeated where there are fewer
    change : made of the network before
    """
    where = device(learning.device)
    data, numbers = rows(cells, c, where), np.arange(n) % len(cells)
    made = training.learner(data, numbers, numbers[:2], c, learning)
    if change:
        made.model = change(made.model)
    took = []
    for _ in range(2):  # the first epoch warms up
        wait(where)
        began = time.perf_counter()
        with made.no_logging():
            made.fit(1)
        wait(where)
        took.append(time.perf_counter() - began)
    began = time.perf_counter()
    predict(made.model, data, numbers, learning)
    return n / took[-1], n / (time.perf_counter() - began)


def operations(name: str, k: int, cells: Sequences) -> float:
    """Operations of a step of training for one sequence, as PyTorch counts them on a processor."""
    data = rows(cells, Configuration(1, "cnn", "uniform", k), torch.device("cpu"))
    frames, lengths, classes = data.batch(torch.arange(len(cells))[:8], Training(epochs=1))
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(build(name, k)(frames, lengths), classes).backward()
    return counter.get_total_flops() / len(lengths)


def wait(where: torch.device) -> None:
    """Until the device has done what it was given."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def stage2(given: argparse.Namespace, where: torch.device) -> dict:
    """One training of stage 2 from sequences to predictions, as `rbc run` does it."""
    profile = profiles.load("released")
    learning = profile.training_of(STAGE2).model_copy(update={"device": where.type})
    folds = profile.stages[2].folds
    if given.data:
        cells = ingest.released(given.data)
    else:
        few = dict.fromkeys(LABELS, 4)
        cells, folds = simulate.sequences(dict.fromkeys(SPLITS, few), seed=0), []
    if given.small:
        learning = learning.model_copy(update={"epochs": 1, "lr_finder_batches": 0})
    outcome = training.train(cells, STAGE2, learning, folds)
    return {"seconds": outcome.seconds, "epochs": learning.epochs, "device": outcome.device}


def hours(found: dict) -> dict:
    """Hours of the profile `paper` at the speeds measured: of one seed (32 runs) and of all five
    (160). Without reading the record and sampling; empty where a speed is missing.

    Parameters
    ----------
    found : the steps, by name
    """
    profile, total = profiles.load("paper"), 0.0
    batch = profile.training.batch_size
    of = {split: np.repeat(table2().index, table2()[split]) for split in table2()}
    sizes = {}
    for c in profile.configurations():
        if c.seed:
            continue
        rate = found.get(f"speed {c.model} k{c.k} batch {batch} {profile.training.precision}", {})
        if "trains_per_s" not in rate:
            return {}
        if (c.model, c.stage) not in sizes:
            inside = {s: pd.Series(x)[in_stage(pd.Series(x), c.stage)] for s, x in of.items()}
            classes = positive(inside["train"], c.stage)
            learned = len(balance(np.asarray(classes), c.model, c.stage, 0))
            sizes[c.model, c.stage] = learned, len(inside["validation"]), len(inside["test"])
        learned, validated, tested = sizes[c.model, c.stage]
        epochs = profile.training_of(c).epochs
        total += epochs * (learned / rate["trains_per_s"] + validated / rate["predicts_per_s"])
        total += (validated + tested) / rate["predicts_per_s"]
    one = total / 3600
    return {"runs_32": one, "runs_160": one * len(profile.seeds)}


def unequal(told: dict) -> list[str]:
    """Networks whose loss in strict 32-bit floats differs from a processor's."""
    found = {name: step.get("float32_loss_apart") for name, step in told["steps"].items()}
    return [name for name, apart in found.items() if apart is not None and not apart < LOSS_APART]


def left_out(told: dict) -> list[str]:
    """Names of the steps that were not measured."""
    return [name for name, step in told["steps"].items() if "not_measured" in step]


def html(told: dict) -> str:
    """The page: what was measured where, and what was not; a table a kind of step."""
    kinds = {
        "equal": f"How far from a processor's 32-bit floats, after {STEPS} steps of training? TF32"
        " is how PyTorch convolves on a GPU unless told otherwise.",
        "peak": "What does a product of two large matrices reach?",
        "speed": "How fast, what share of that product's speed, how much memory?",
        "stage-2": "How long does one whole training take?",
    }
    hours = pd.Series(told["hours"] or {"of the paper's runs": "not measured"}, name="hours")
    parts = [f"<h2>{words}</h2>" + table(told, kind) for kind, words in kinds.items()]
    processor = "" if told["machine"]["type"] == "cuda" else "<b>No GPU: this is a processor.</b>"
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>GPU</title><main>
<h1>The networks on this machine</h1><p>{processor} {json.dumps(told["machine"])}</p>
{"".join(parts)}
<h2>The paper's runs, extrapolated, without reading the record and sampling</h2>
{hours.to_frame().to_html()}</main></html>
"""


def table(told: dict, kind: str) -> str:
    """The steps of one kind, a row each."""
    own = {name: step for name, step in told["steps"].items() if name.startswith(kind)}
    return pd.DataFrame.from_dict(own, orient="index").to_html(float_format="{:.4g}".format)


if __name__ == "__main__":
    main()
