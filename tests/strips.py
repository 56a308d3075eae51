"""Writes the same sequences in every layout that `compendium.data.ingest` reads, for the tests."""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import yaml
from PIL import Image
from scipy.io import savemat

from rbc.paper import LABELS, SPLITS
from rbc.sequences import Sequences, from_list

NAMES = [f"{a}_{n}" for a in ("LJ0926_10s01", "BG1017_10s02") for n in range(1, 5)]
FOLDERS = {"train": "Train", "validation": "Valid", "test": "Test"}
CLASSES = {"tank-treading": "TT", "flipping": "others", "unreliable": "Unreliable"}


def frames(name: str, size: int) -> np.ndarray:
    """Distinct grey frames that depend on the name only: (size, 31, 31) uint8."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).integers(0, 256, (size, 31, 31), dtype=np.uint8)


def made(n: int = 12) -> Sequences:
    """A made record: n sequences (a multiple of 12) of six acquisitions, two a split, every class
    in each split.
    """
    tracks = [
        (f"{p}10{d:02}_10s01", d // 2, t)
        for d, p in enumerate(("BG", "BK", "BM", "BG", "LJ", "LJ"))
        for t in range(n // 6)
    ]
    rows = pd.DataFrame(
        {
            "name": [f"{a}_{t}" for a, _, t in tracks],
            "label": [
                LABELS[t % 3 if n > 12 else (t + d) % 3] for d, (_, _, t) in enumerate(tracks)
            ],
            "acquisition": [a for a, _, _ in tracks],
            "patient": [a[:2] for a, _, _ in tracks],
            "split": [SPLITS[s] for _, s, _ in tracks],
        }
    )
    order = rows["split"].map(SPLITS.index)
    rows = rows.assign(order=order).sort_values(["order", "name"], ignore_index=True)
    return from_list(
        [frames(name, 1 + i % 9) for i, name in enumerate(rows["name"])], rows, {"simulated": True}
    )


def write_strip(file: Path, cells: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.hstack(list(cells))).save(file)


def write_csv(folder: Path, names: list[str], strips: list[np.ndarray], labels: list[int]) -> None:
    """dataset.csv with img/, as the authors' train.py reads it."""
    for name, cells in zip(names, strips, strict=True):
        write_strip(folder / "img" / f"{name}.png", cells)
    lines = [
        f"{i},{n},{c},{len(s)}"
        for i, (n, c, s) in enumerate(zip(names, labels, strips, strict=True))
    ]
    (folder / "dataset.csv").write_text(
        "\n".join([",sequence_name,label,size", *lines]) + "\n", encoding="utf-8"
    )


def _csv(folder: Path, sequences: Sequences) -> None:
    index = sequences.index
    write_csv(
        folder,
        list(index["name"]),
        list(sequences),
        [LABELS.index(label) for label in index["label"]],
    )


def split_csv(folder: Path, sequences: Sequences) -> None:
    """{train,validation,test}/dataset.csv."""
    for split, group in sequences.index.groupby("split"):
        _csv(folder / split, sequences.select(sequences.index.index.isin(group.index)))


def one_csv(folder: Path, sequences: Sequences) -> None:
    """One dataset.csv; the splits are told in layout.yaml."""
    _csv(folder, sequences)
    splits = dict(zip(sequences.index["acquisition"], sequences.index["split"], strict=True))
    text = yaml.safe_dump({"parts": [{"path": ".", "kind": "csv"}], "splits": splits})
    (folder / "layout.yaml").write_text(text, encoding="utf-8")


def class_folders(folder: Path, sequences: Sequences) -> None:
    """{Train,Valid,Test}/{TT,others,Unreliable}/*.png."""
    for row, cells in zip(sequences.index.itertuples(), sequences, strict=True):
        write_strip(folder / FOLDERS[row.split] / CLASSES[row.label] / f"{row.name}.png", cells)


def mat_v5(folder: Path, sequences: Sequences) -> None:
    """One v5 .mat file a split: films 31 x 31 x T."""
    for split, (films, codes, names) in _mat(sequences).items():
        savemat(folder / f"{split}.mat", {"seq": films, "label": codes, "id": names})


def mat_strips(folder: Path, sequences: Sequences) -> None:
    """One v5 .mat file a split: films as strips, 31 x 31T, left to right."""
    for split, (films, codes, names) in _mat(sequences).items():
        strips = np.empty_like(films)
        strips[:] = [np.hstack(list(film.transpose(2, 0, 1))) for film in films]
        savemat(folder / f"{split}.mat", {"seq": strips, "label": codes, "id": names})


def mat_v73(folder: Path, sequences: Sequences) -> None:
    """One v7.3 .mat file a split, written as MATLAB does: axes reversed, cells as references, text
    as uint16.
    """
    for split, (films, codes, names) in _mat(sequences).items():
        with h5py.File(folder / f"{split}.mat", "w", userblock_size=512) as file:
            hidden = file.create_group("#refs#")
            cells = {
                "seq": [f.T for f in films],
                "id": [np.array([[ord(c)] for c in n], np.uint16) for n in names],
            }
            for key, values in cells.items():
                made = [hidden.create_dataset(f"{key}{i}", data=v) for i, v in enumerate(values)]
                for dataset in made:
                    dataset.attrs["MATLAB_class"] = np.bytes_("char" if key == "id" else "uint8")
                file.create_dataset(key, data=np.array([[d.ref] for d in made], h5py.ref_dtype))
            file.create_dataset("label", data=codes.T)


def _mat(sequences: Sequences) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    parts = {}
    for split, group in sequences.index.groupby("split"):
        films, names = np.empty(len(group), object), np.empty(len(group), object)
        films[:] = [np.ascontiguousarray(sequences[i].transpose(1, 2, 0)) for i in group.index]
        names[:] = list(group["name"])
        codes = np.array([[LABELS.index(label) for label in group["label"]]], float)
        parts[split] = films, codes, names
    return parts


LAYOUTS = {f.__name__: f for f in (split_csv, one_csv, class_folders, mat_v5, mat_strips, mat_v73)}
