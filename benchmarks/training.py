"""Training of each network beside a plain loop: an epoch's time, losses, their ratio.

The plain loop is written from the description of the authors' released one: strips decoded from PNG
by two workers of a DataLoader, the network called once a frame, the GRU run unpacked over the
padding, Adam. Ours is what `rbc run` does: `rbc.training`'s rows on the device, padding left out
or, where it belongs to the network, passed once a step. Both start from the same weights and see
the same batches in the same order, in 32-bit floats; their losses must agree to 1e-4.

python benchmarks/training.py [--networks crnn ...] [--k 20 50] [--sequences 192] [--threads 2]

Ends with one line of JSON: by network and K, seconds an epoch of both, their ratio, the largest
difference of a batch's loss. What precision, batch and device do is measured by `make gpu`.
"""

import argparse
import copy
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from compendium import kernel
from rbc.inputs import GREY_SCALE, rows
from rbc.models import NETWORKS, build
from rbc.paper import Configuration
from rbc.sampling import sample
from rbc.sequences import Sequences
from rbc.settings import Training

BATCH = 64
RATE = 1e-4
SETTINGS = Training(epochs=1, batch_size=BATCH)


class Strips(Dataset):
    """PNG strips of a folder, decoded, sampled and padded one by one."""

    def __init__(self, folder: Path, classes: np.ndarray, k: int) -> None:
        self.files, self.classes, self.k = sorted(folder.glob("*.png")), classes, k

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:
        strip = np.asarray(Image.open(self.files[i]))
        kept = sample(np.stack(np.split(strip, strip.shape[1] // 31, axis=1)), "uniform", self.k)
        x = torch.zeros(self.k, 31, 31)
        x[: len(kept)] = (torch.from_numpy(kept).float() - float(np.median(kept))) / GREY_SCALE
        return x, len(kept), int(self.classes[i])


def plain(model: nn.Module, frames: Tensor, lengths: Tensor) -> Tensor:
    """A network's answer by the plain loop; the same answer as its own forward."""
    if not hasattr(model, "gru") and not hasattr(model, "grus"):
        return model(frames, lengths)
    features = (lambda x: plain_features(model, x)) if hasattr(model, "grus") else model.features
    vectors = torch.stack([features(frames[:, t, None]) for t in range(frames.shape[1])])
    if hasattr(model, "grus"):
        return model.head(model.grus[1](model.grus[0](vectors)[0])[1][0])
    states, _ = model.gru(vectors.transpose(0, 1))
    return model.head(states[torch.arange(len(lengths)), lengths - 1])


def plain_features(model: nn.Module, x: Tensor) -> Tensor:
    """The released network's CNN on one frame of each sequence, padding or not."""
    for number, (convolution, norm) in enumerate(zip(model.convolutions, model.norms)):
        x = torch.relu(nn.BatchNorm2d.forward(norm, convolution(x)))
        if number >= 2:
            x = nn.functional.max_pool2d(x, 3)
    return x.flatten(1)


class Side:
    """One of the two: its network, its optimizer, where its batches come from, how it answers."""

    def __init__(self, model: nn.Module, batches: object, answer: object) -> None:
        self.model, self.batches, self.answer = model, batches, answer
        self.optimizer = torch.optim.Adam(model.parameters(), RATE)
        self.losses: list[float] = []

    def epoch(self) -> float:
        """Train once over all batches; the seconds it took."""
        self.model.train()
        self.losses, began = [], time.perf_counter()
        for frames, lengths, classes in self.batches():
            loss = nn.functional.cross_entropy(self.answer(self.model, frames, lengths), classes)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.losses.append(float(loss.detach()))
        return time.perf_counter() - began


def sides(
    network: str, cells: Sequences, classes: np.ndarray, k: int, folder: Path
) -> tuple[Side, Side]:
    """The plain loop and ours, from the same weights."""
    torch.manual_seed(0)
    model = build(network, k)
    data = rows(cells, Configuration(1, "crnn", "uniform", k), torch.device("cpu"))
    data = type(data)(data.frames, data.lengths, data.background, torch.from_numpy(classes))
    numbers = torch.arange(len(cells)).split(BATCH)

    def ours() -> object:
        return (data.batch(part, SETTINGS) for part in numbers)

    loader = DataLoader(Strips(folder, classes, k), BATCH, num_workers=2)
    fast = copy.deepcopy(model)
    fast = fast.to(memory_format=torch.channels_last) if network.startswith("crnn") else fast
    return (
        Side(model, lambda: iter(loader), plain),
        Side(fast, ours, lambda m, *x: m(*x)),
    )


def compare(
    network: str, cells: Sequences, classes: np.ndarray, k: int, folder: Path, repeats: int
) -> dict:
    """Times of both sides, in turn; the first epoch of each warms up and gives the losses."""
    theirs, ours = sides(network, cells, classes, k, folder)
    theirs.epoch(), ours.epoch()
    apart = max(abs(a - b) for a, b in zip(theirs.losses, ours.losses, strict=True))
    times = np.array([(theirs.epoch(), ours.epoch()) for _ in range(repeats)])
    plain_s, ours_s = times.min(axis=0).tolist()
    found = {
        "plain_epoch_s": plain_s,
        "ours_epoch_s": ours_s,
        "ratio": plain_s / ours_s,
        "loss_apart": apart,
    }
    print(
        f"{network:22} {k:3} " + "  ".join(f"{key} {value:.3g}" for key, value in found.items()),
        flush=True,
    )
    return found


def given(n: int) -> tuple[Sequences, str]:
    """n sequences of the released sample's stage 1 where it is, else simulated ones."""
    if sample_folder := os.environ.get("RBC_SAMPLE"):
        from compendium.data import ingest

        cells = ingest.released(Path(sample_folder))
        cells, source = (
            cells.select(cells.index["split"] == "test"),
            "released sample, test acquisitions (real cells)",
        )
    else:
        from rbc import simulate

        cells = simulate.sequences(
            {"train": {"tank-treading": n // 4, "flipping": n // 4, "unreliable": n // 2}}, seed=0
        )
        source = "simulated cells"
    order = np.random.default_rng(0).permutation(len(cells))[:n]
    return cells.select(np.isin(np.arange(len(cells)), order)), source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--networks", nargs="+", default=["cnn", "crnn", "crnn-released-padded"], choices=NETWORKS
    )
    parser.add_argument("--k", type=int, nargs="+", default=[20])
    parser.add_argument("--sequences", type=int, default=192)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    # as rbc run sets it, for both sides; read by the C library at its start
    if "GLIBC_TUNABLES" not in os.environ:
        os.execve(
            sys.executable,
            [sys.executable, *sys.argv],
            {**os.environ, "GLIBC_TUNABLES": kernel.MALLOC},
        )
    torch.set_num_threads(options.threads)
    cells, source = given(options.sequences)
    classes = (cells.index["label"] != "unreliable").to_numpy().astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        for i, frames in enumerate(cells):
            Image.fromarray(np.hstack(list(frames))).save(Path(folder) / f"{i:06}.png")
        about = {"sequences": len(cells), "source": source, "batch": BATCH}
        about["threads"] = options.threads
        lengths = cells.index["length"]
        about["mean_frames_kept"] = {k: float(np.minimum(lengths, k).mean()) for k in options.k}
        print(json.dumps(about))
        found = {
            name: {
                k: compare(name, cells, classes, k, Path(folder), options.repeats)
                for k in options.k
            }
            for name in options.networks
        }
    print(json.dumps(about | {"load_average": os.getloadavg()[0]} | found))
    if worst := [
        f"{name} at K = {k}"
        for name in found
        for k, f in found[name].items()
        if not f["loss_apart"] < 1e-4
    ]:
        raise SystemExit(f"losses differ: {', '.join(worst)}")


if __name__ == "__main__":
    main()
