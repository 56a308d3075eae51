"""Folders of film strips into `Sequences`: the layout is recognised, every file is checked, nothing is guessed.

A strip is one picture 31 px high and 31 x size px wide: the frames of one sequence from left to right.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from rbc import RbcError
from rbc.paper import FRAME_PX, LABELS
from rbc.sequences import Sequences, from_list

#: Patient letters, date, shear rate in 1/s, movie number, track number: BG1017_10s02_112.
NAME = re.compile(r"(?P<acquisition>(?P<patient>[A-Z]{2,})\d+_\d+s\d+)_\d+")
CLASS_FOLDERS = {"TankTreading": "tank-treading", "Flipping": "flipping"}


def released(folder: Path) -> Sequences:
    """The authors' released sample: stage-1 test strips (split ``test``) and stage-2 strips (split ``train``).

    The stage-2 strips come from the paper's 23 training and validation acquisitions mixed; which of them validate is
    for a profile to say (`Sequences.index` has the acquisitions). Where the folder holds ``SHA256SUMS``, every file
    listed there is verified first. Names and labels are explained in data/README.md.

    Raises `RbcError`, one line, for a missing folder or file, a picture that is no strip and labels that make no sense.
    """
    folder = _existing(folder, "make it with: rbc data fetch released")
    verified = verify(folder)
    rows = pd.concat(
        [csv_rows(folder / "Stage_1" / "test", "test"), class_rows(folder / "Stage_2" / "data", "train")],
        ignore_index=True,
    )
    meta = {
        "source": "released sample, github.com/icannos/redbloodcells_disease_classification",
        "version": "470fa075405b1271919f1b4550797166b1d6fbe2",
        "simulated": False,
        "verified_files": verified,
    }
    return assemble(rows, meta)


def csv_rows(folder: Path, split: str) -> pd.DataFrame:
    """Rows of ``dataset.csv`` (sequence_name, label 0 to 2, size in frames) with ``img/<sequence_name>.png`` beside it.

    Returns one row a sequence: name, label, acquisition, patient, split, file, size.
    """
    table = _read_csv(folder / "dataset.csv")
    where = folder / "dataset.csv"
    if (repeated := table.duplicated()).any():
        raise RbcError(f"{where}: row {table['sequence_name'][repeated].iat[0]!r} is repeated; remove one")
    codes = pd.to_numeric(table["label"], errors="coerce")
    if (unknown := ~codes.isin(range(len(LABELS)))).any():
        bad = table[unknown].iloc[0]
        raise RbcError(f"{where}: {bad['sequence_name']!r} has the label {bad['label']!r}; there are 0, 1 and 2 only")
    sizes = pd.to_numeric(table["size"], errors="coerce")
    if (wrong := ~(sizes >= 1) | (sizes % 1 != 0)).any():
        bad = table[wrong].iloc[0]
        raise RbcError(f"{where}: {bad['sequence_name']!r} has the size {bad['size']!r}; it is a number of frames")
    labels = [LABELS[int(code)] for code in codes]
    files = [folder / "img" / f"{name}.png" for name in table["sequence_name"]]
    return _rows(table["sequence_name"], labels, split, files, sizes.astype(int), where)


def class_rows(folder: Path, split: str) -> pd.DataFrame:
    """Rows of the pictures in ``TankTreading/`` and ``Flipping/`` below `folder`, as `csv_rows` returns them."""
    files = [f for c in CLASS_FOLDERS for f in _pictures(_existing(folder / c, "the class folder is needed"))]
    labels = [CLASS_FOLDERS[f.parent.name] for f in files]
    return _rows([f.stem for f in files], labels, split, files, None, folder)


def assemble(rows: pd.DataFrame, meta: dict) -> Sequences:
    """Read the strips named in `rows` (as from `csv_rows`) into memory."""
    _check_unique(rows)
    strips = [strip(file, size) for file, size in zip(rows["file"], rows["size"], strict=True)]
    return from_list(strips, rows.drop(columns=["file", "size"]), meta)


def strip(file: Path, size: int | None = None) -> np.ndarray:
    """Frames of one strip, left to right: (size, 31, 31) uint8.

    8-bit grey pictures are taken as they are. The released JPEG strips are RGB with three equal channels (chroma is
    neutral in all 284), so one channel is the grey level and nothing is weighted; an RGB picture with real colour is
    no strip of these cells and is refused, as is every other mode (16 bits, palette, alpha).

    Raises `RbcError` for a missing or undecodable picture, a wrong mode or height, or a width that is not 31 x size.
    """
    try:
        with Image.open(file) as picture:
            _check_shape(file, picture, size)
            pixels = np.asarray(picture)
    except FileNotFoundError as error:
        raise RbcError(f"{file}: the file is missing although the list names it; fetch the data again") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, UnidentifiedImageError) as error:
        raise RbcError(f"{file}: not a readable picture ({error}); fetch it again") from error
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise RbcError(f"{file}: the strip has colours; expected grey levels")
        pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels.reshape(FRAME_PX, -1, FRAME_PX).transpose(1, 0, 2))  # (T, H, W)


def verify(folder: Path) -> int:
    """Check every file listed in ``SHA256SUMS`` of `folder`; returns how many, 0 where there is no such list."""
    sums = folder / "SHA256SUMS"
    if not sums.exists():
        return 0
    lines = [line.split(maxsplit=1) for line in _text(sums).splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        if len(line) != 2 or not re.fullmatch(r"[0-9a-f]{64}", line[0]) or not _inside(line[1]):
            raise RbcError(f"{sums}: line {number} is not 'SHA-256  path inside the folder'")
        file = folder / line[1]
        if not file.is_file():
            raise RbcError(f"{file}: the file is missing although SHA256SUMS lists it; fetch the data again")
        if hashlib.sha256(file.read_bytes()).hexdigest() != line[0]:
            raise RbcError(f"{file}: altered or damaged (SHA-256 differs from SHA256SUMS); fetch it again")
    return len(lines)


def _rows(names, labels, split, files, sizes, where: Path) -> pd.DataFrame:
    parsed = [NAME.fullmatch(str(name)) for name in names]
    if None in parsed:
        bad = list(names)[parsed.index(None)]
        raise RbcError(f"{where}: the name {bad!r} is not patient, date, shear rate, movie, track (BG1017_10s02_112)")
    return pd.DataFrame(
        {
            "name": list(names),
            "label": list(labels),
            "acquisition": [m["acquisition"] for m in parsed],
            "patient": [m["patient"] for m in parsed],
            "split": split,
            "file": list(files),
            "size": None if sizes is None else list(sizes),
        }
    ).astype({"size": object})


def _check_unique(rows: pd.DataFrame) -> None:
    if (twice := rows["name"].duplicated()).any():
        name = rows["name"][twice].iat[0]
        files = " and ".join(dict.fromkeys(str(f) for f in rows["file"][rows["name"] == name]))
        raise RbcError(f"{files}: the sequence {name!r} is listed twice; names must be unique")


def _check_shape(file: Path, picture: Image.Image, size: int | None) -> None:
    width, height = picture.size
    if picture.mode not in ("L", "RGB"):
        raise RbcError(f"{file}: the picture's mode is {picture.mode}; expected 8-bit grey")
    if height != FRAME_PX:
        raise RbcError(f"{file}: the strip is {height} px high; expected {FRAME_PX}")
    if size is None and width % FRAME_PX:
        raise RbcError(f"{file}: the strip is {width} px wide; expected a multiple of {FRAME_PX}")
    if size is not None and width != FRAME_PX * size:
        raise RbcError(f"{file}: the strip is {width} px wide; expected {FRAME_PX} x {size} = {FRAME_PX * size}")


def _existing(folder: Path, advice: str) -> Path:
    if not Path(folder).is_dir():
        raise RbcError(f"{folder}: no such folder; {advice}")
    return Path(folder)


def _pictures(folder: Path) -> list[Path]:
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not files:
        raise RbcError(f"{folder}: no PNG or JPEG strips in it")
    return files


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RbcError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _inside(path: str) -> bool:
    return not Path(path).is_absolute() and ".." not in Path(path).parts


def _read_csv(file: Path) -> pd.DataFrame:
    if not file.is_file():
        raise RbcError(f"{file}: the list of sequences is missing; fetch the data again")
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, pd.errors.ParserError) as error:  # UnicodeDecodeError is a ValueError
        raise RbcError(f"{file}: not a readable UTF-8 CSV ({' '.join(str(error).split())})") from error
    if missing := [c for c in ("sequence_name", "label", "size") if c not in table]:
        raise RbcError(f"{file}: the columns {', '.join(missing)} are missing")
    if table.empty:
        raise RbcError(f"{file}: no rows in it")
    return table[["sequence_name", "label", "size"]]
