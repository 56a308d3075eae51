"""Folders of film strips into `Sequences`: every file is checked, nothing is guessed.

A strip is one picture 31 px high and 31 x size px wide: the frames of one sequence from left to
right. Sequences come out in the order of split and name, so the same cells give the same
`Sequences` from every layout (`compendium.data.layouts`).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from compendium.data import archives, matfiles, surprises
from compendium.data.layouts import (
    PICTURES,
    RELEASED,
    Layout,
    Part,
    Strange,
    describe,
    inside,
    printable,
    recognise,
)
from rbc import RbcError
from rbc.files import file_hash, whole_folder
from rbc.paper import FRAME_PX, SPLITS
from rbc.sequences import SEQUENCE_FILES, Sequences, create_frames, finish, from_list

UNFINISHED = ".fetching"  #: folder in which a fetch keeps its files until all are whole
RELEASED_META = {
    "source": "released sample, github.com/icannos/redbloodcells_disease_classification",
    "version": "470fa075405b1271919f1b4550797166b1d6fbe2",
}
CHUNK = 256  #: sequences that one process reads at a time: about 8 MB of frames


def released(folder: Path) -> Sequences:
    """The authors' released sample: stage-1 test strips (split ``test``) and stage-2 strips (split
    ``train``).

    The stage-2 strips come from the paper's 23 training and validation acquisitions mixed; which of
    them validate is for a profile to say (`Sequences.index` has the acquisitions). Where the folder
    holds ``SHA256SUMS``, every file listed there is verified first.

    Raises `RbcError`, one line, for a missing folder or file, a picture that is no strip and labels
    that make no sense.
    """
    folder = _existing(folder, "make it with: rbc data fetch released")
    return _in_memory(folder, RELEASED, RELEASED_META, simulated=False)


def read(folder: Path, layout: Path | None = None, *, simulated: bool = False) -> Sequences:
    """Sequences of a folder in any known layout, in memory.

    Archives in it are unpacked, for the while, into the system's temporary folder.

    Parameters
    ----------
    folder : the raw data
    layout : a YAML file that describes it; by default its own layout.yaml, or what is recognised
    simulated : the cells are simulated, not real

    Raises
    ------
    RbcError
        in one line; where what is there is not what was expected, a page with the tree and with
        the lines of layout.yaml that would describe it
    """
    with TemporaryDirectory(prefix="rbc-") as scratch:
        root, chosen = _layout(folder, layout, Path(scratch))
        with surprises.explained(root, layout):
            return _in_memory(root, chosen, _record(folder), simulated=simulated)


def strips(folder: Path) -> Sequences:
    """Sequences of one folder of strips with its ``dataset.csv``, all in the split ``test``.

    Raises `RbcError`, one line, as `read` does.
    """
    layout = Layout(parts=(Part(path=".", kind="csv", split="test"),))
    return _in_memory(
        _existing(folder, "name the folder that holds dataset.csv"), layout, {}, simulated=False
    )


def into(
    folder: Path,
    out: Path,
    layout: Path | None = None,
    *,
    simulated: bool = False,
    workers: int | None = None,
    check: Callable[[pd.DataFrame], object] | None = None,
) -> None:
    """As `read`, but straight into a folder of sequences: for data larger than memory.

    Each worker writes its chunks in their place, so memory does not grow with the data. Archives
    are unpacked beside `out` for the while. Written whole or not at all.

    Parameters
    ----------
    folder, layout, simulated : as of `read`
    out : the folder, which `rbc.sequences.load` opens
    workers : processes that read strips; by default one a core
    check : called with the rows of `listing` before a picture is read; may raise
    """
    workers = workers or _cores()
    with whole_folder(Path(out), SEQUENCE_FILES) as part, _pool(workers) as pool:
        root, chosen = _layout(folder, layout, part / "unpacked")
        meta = _meta(root, chosen, _record(folder), simulated)
        with surprises.explained(root, layout):
            rows = listing(root, chosen)
            if check:
                check(rows)
            chunks = _chunks(rows)
            # First how long each sequence is, so that every worker knows where its frames belong.
            sizes = _gather(pool, _sizes, chunks, "measuring")
        rows["size"] = np.concatenate(sizes)
        ends = np.cumsum(rows["size"].to_numpy(np.int64))
        # Then the frames, each chunk straight to its place in one file.
        start = create_frames(part / "frames.npy", int(ends[-1]))
        places = [
            start + int(ends[c.index[0]] - rows["size"].iat[c.index[0]]) * FRAME_PX**2
            for c in chunks
        ]
        write = partial(_write, part / "frames.npy")
        _gather(
            pool,
            write,
            list(zip([rows.loc[c.index] for c in chunks], places, strict=True)),
            "reading",
        )
        finish(part, rows.assign(start=ends - rows["size"], length=rows["size"]), meta)
        shutil.rmtree(part / "unpacked", ignore_errors=True)


def listing(folder: Path, layout: Layout) -> pd.DataFrame:
    """The sequences of a folder, unread, in order of split and name.

    Parameters
    ----------
    folder : the raw data
    layout : how they lie in it

    Returns
    -------
    name, label, acquisition, patient, split, file, item (place in a .mat file, else -1), size
    (frames; 0 where only the picture tells), frames (how they lie, `Layout.frames`)
    """
    readers = {"csv": csv_rows, "classes": class_rows, "named": named_rows, "mat": mat_rows}
    tables = [readers[part.kind](folder, layout, part) for part in layout.parts]
    # One name twice would make one sequence of two, or two of one.
    rows = pd.concat(tables, ignore_index=True)
    if (twice := rows["name"].duplicated()).any():
        name = rows["name"][twice].iat[0]
        files = " and ".join(dict.fromkeys(rows["file"][rows["name"] == name]))
        raise RbcError(f"{files}: the sequence {name!r} is listed twice; names must be unique")
    for name in _split_lists(folder, layout).keys() - set(rows["name"]):
        raise RbcError(f"{folder}: {name!r} is in a list of a split, but no sequence is called so")
    order = rows["split"].map({split: i for i, split in enumerate(SPLITS)})
    return (
        rows.assign(order=order)
        .sort_values(["order", "name"], ignore_index=True)
        .drop(columns="order")
    )


def csv_rows(folder: Path, layout: Layout, part: Part) -> pd.DataFrame:
    """Rows of a list, ``dataset.csv`` (by default sequence_name, label 0 to 2, size in frames), as
    `listing` has them.

    Parameters
    ----------
    folder : root of the data
    layout : how it is laid out
    part : the split or stage that is read
    """
    where = folder / part.path / layout.list
    table = _read_csv(where, layout.columns)
    if (repeated := table.duplicated()).any():
        raise RbcError(f"{where}: row {table['name'][repeated].iat[0]!r} is repeated; remove one")
    sizes = pd.to_numeric(table["size"], errors="coerce")
    if (wrong := ~(sizes >= 1) | (sizes % 1 != 0)).any():
        bad = table[wrong].iloc[0]
        raise RbcError(
            f"{where}: {bad['name']!r} has the size {bad['size']!r}; it is a number of frames"
        )
    names = _parsed(where, table["name"], layout)  # before any path is made of a name
    files = [where.parent / layout.image.format(name=name) for name in table["name"]]
    # A list that lacks some of its pictures would leave cells out without a word.
    if not layout.unlisted:
        _check_listed(where, files)
    return _rows(folder, where, names, table["label"], files, sizes.astype(int), layout, part)


def class_rows(folder: Path, layout: Layout, part: Part) -> pd.DataFrame:
    """Rows of the pictures in folders named for their class (``TankTreading/``, ``others/``), as
    `listing` has them.

    Parameters
    ----------
    folder : root of the data
    layout : how it is laid out
    part : the split or stage that is read
    """
    where = _existing(folder / part.path, "the layout needs it")
    folders = [f for f in sorted(where.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    if layout is RELEASED:  # both are needed there, other layouts have the classes that they have
        folders = [where / "TankTreading", where / "Flipping"]
    files = [file for f in folders for file in _sequences(f, layout)]
    # The label is the folder that a picture lies in.
    labels = [file.relative_to(where).parts[0] for file in files]
    names = _parsed(where, [f.stem for f in files], layout)
    if len(kinds := {layout.labels.get(f.name.lower()) for f in folders}) < len(folders):
        shown = ", ".join(f.name for f in folders)
        raise RbcError(
            f"{where}: the folders {shown} stand for {len(kinds)} classes; describe"
            " them in layout.yaml"
        )
    return _rows(folder, where, names, labels, files, 0, layout, part)


def named_rows(folder: Path, layout: Layout, part: Part) -> pd.DataFrame:
    """Rows of the sequences in one folder whose names tell their label, as `listing` has them.

    Parameters
    ----------
    folder : root of the data
    layout : how it is laid out; the pattern of its names has a group ``label``
    part : the split or stage that is read
    """
    where = _existing(folder / part.path, "the layout needs it")
    if "label" not in re.compile(layout.name).groupindex:
        raise RbcError(
            f"{where}: a part of kind named needs the group (?P<label>...) in the pattern of names"
        )
    files = [f for f in _sequences(where, layout) if f.parent == where]
    names = _parsed(where, [f.stem for f in files], layout)
    return _rows(folder, where, names, [m["label"] for m in names], files, 0, layout, part)


def mat_rows(folder: Path, layout: Layout, part: Part) -> pd.DataFrame:
    """Rows of a .mat file's sequences, as `listing` has them.

    Parameters
    ----------
    folder : root of the data
    layout : how it is laid out
    part : the split or stage that is read
    """
    where = folder / part.path
    names, labels, sizes = matfiles.contents(where, layout.name)
    parsed = _parsed(where, names, layout)
    return _rows(folder, where, parsed, labels, where, sizes, layout, part, items=range(len(names)))


def strip(file: Path, size: int = 0) -> np.ndarray:
    """Frames of one strip, left to right.

    8-bit grey pictures are taken as they are. The released JPEG strips are RGB with three equal
    channels (chroma is neutral in all 284), so one channel is the grey level and nothing is
    weighted; an RGB picture with real colour is no strip of these cells and is refused, as is every
    other mode (16 bits, palette, alpha).

    Parameters
    ----------
    file : the picture
    size : frames that it must hold; 0: as many as there are

    Returns
    -------
    (size, 31, 31) uint8

    Raises
    ------
    RbcError
        for a missing or undecodable picture, a wrong mode or height, or a width that is not
        31 x size
    """
    with _opened(file) as picture:
        _check_depth(file)
        _check_shape(file, picture.mode, picture.size, size)
        pixels = _grey(file, np.asarray(picture))
    # (T, H, W)
    return np.ascontiguousarray(pixels.reshape(FRAME_PX, -1, FRAME_PX).transpose(1, 0, 2))


def film(file: Path, size: int, frames: str) -> np.ndarray:
    """The frames of one sequence, as `strip` but however they lie.

    Parameters
    ----------
    file : the picture, or the folder of a file a frame
    size : frames that it must hold; 0: as many as there are
    frames : of `Layout.frames`

    Returns
    -------
    (size, 31, 31) uint8
    """
    if frames == "across":
        return strip(file, size)
    if frames == "files":
        pictures = _frame_files(file)
        if size and len(pictures) != size:
            raise RbcError(f"{file}: holds {len(pictures)} frames; the list says {size}")
        return np.concatenate([strip(picture, 1) for picture in pictures])
    with _opened(file) as picture:
        _check_depth(file)
        _check_shape(file, picture.mode, picture.size[::-1], size)
        pixels = _grey(file, np.asarray(picture))
    return np.ascontiguousarray(pixels.reshape(-1, FRAME_PX, FRAME_PX))


def _grey(file: Path, pixels: np.ndarray) -> np.ndarray:
    """Grey saved as colour has three equal channels; anything else is no strip of these cells."""
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise RbcError(f"{file}: the strip has colours; expected grey levels")
        return pixels[..., 0]
    return pixels


def verify(folder: Path) -> int:
    """Check every file listed in ``SHA256SUMS`` of `folder`; returns how many, 0 where there is no
    such list.
    """
    sums = read_sums(folder / "SHA256SUMS") if (folder / "SHA256SUMS").exists() else {}
    for path, expected in sums.items():
        if not (folder / path).is_file():
            raise RbcError(
                f"{folder / path}: the file is missing although SHA256SUMS lists it;"
                " fetch the data again"
            )
        if file_hash(folder / path) != expected:
            raise RbcError(
                f"{folder / path}: altered or damaged (SHA-256 differs from"
                " SHA256SUMS); fetch it again"
            )
    return len(sums)


def read_sums(file: Path) -> dict[str, str]:
    """A list in the format of sha256sum: path inside the folder to SHA-256 in hex."""
    sums = {}
    for number, line in enumerate(_text(file).splitlines(), 1):
        # A path that leaves the folder is as wrong as a digest that is none.
        digest, _, path = line.partition("  ")
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not inside(path):
            raise RbcError(f"{file}: line {number} is not 'SHA-256  path inside the folder'")
        sums[path.removeprefix("./")] = digest
    return sums


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """A picture opened by Pillow, whose many ways to fail are each one line."""
    try:
        with Image.open(file, formats=("PNG", "JPEG", "TIFF")) as picture:
            pages = getattr(picture, "n_frames", 1)
            if pages > 1:  # only the first would be read
                raise RbcError(f"{file}: holds {pages} pictures; save each frame as a file")
            yield picture
    except FileNotFoundError as error:
        raise RbcError(
            f"{file}: the file is missing although the list names it; fetch the data again"
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise RbcError(f"{file}: not a readable picture ({error}); fetch it again") from error


def _check_listed(where: Path, files: list[Path]) -> None:
    """Rows missing from the list: pictures beside its own that it does not name."""
    folder = files[0].parent
    listed = {file.name for file in files}
    there = (
        {
            f.name
            for f in folder.iterdir()
            if f.suffix.lower() in PICTURES and not f.name.startswith(".")  # macOS's companions
        }
        if folder.is_dir()
        else set()
    )
    if extra := sorted(printable(name) for name in there - listed):
        raise RbcError(
            f"{where}: has no row for {extra[0]!r} and {len(extra) - 1} more of {folder.name}/; "
            "complete it, or leave them out with unlisted: true in layout.yaml"
        )


def _check_depth(file: Path) -> None:
    """Refuse a PNG of other than 8 bits a channel: Pillow would give its high bytes in silence."""
    with file.open("rb") as opened:
        head = opened.read(
            25
        )  # signature, length and name of the first chunk, width, height, depth
    if head.startswith(b"\x89PNG") and len(head) == 25 and head[24] != 8:
        raise RbcError(
            f"{file}: {head[24]} bits a channel; expected 8: say how grey levels are to be made of"
            " them, and convert the pictures"
        )


def _check_shape(file: Path, mode: str, shape: tuple[int, int], size: int) -> None:
    """Refuse a strip that is none. `shape`: its length along the frames, and across them."""
    width, height = shape
    if mode not in ("L", "RGB"):
        raise RbcError(f"{file}: the picture's mode is {mode}; expected 8-bit grey")
    if height != FRAME_PX:
        raise Strange(f"{file}: the strip is {height} px high; expected {FRAME_PX}")
    if not size and width % FRAME_PX:
        raise Strange(f"{file}: the strip is {width} px wide; expected a multiple of {FRAME_PX}")
    if size and width != FRAME_PX * size:
        raise RbcError(
            f"{file}: the strip is {width} px wide; expected {FRAME_PX} x {size} ="
            f" {FRAME_PX * size}"
        )


def _in_memory(folder: Path, layout: Layout, meta: dict, *, simulated: bool) -> Sequences:
    meta = _meta(folder, layout, meta, simulated)
    rows = listing(folder, layout)
    strips = [frames for chunk in _chunks(rows) for frames in _frames(chunk)]
    return from_list(strips, rows.drop(columns=["file", "item", "size"]), meta)


def _meta(folder: Path, layout: Layout, meta: dict, simulated: bool) -> dict:
    described = layout.model_dump(exclude_defaults=True)
    return {
        "source": "strips",
        **meta,
        "simulated": simulated,
        "verified_files": verify(folder),
        "layout": described,
    }


def _layout(folder: Path, layout: Path | None, scratch: Path) -> tuple[Path, Layout]:
    """The folder to read, its archives unpacked into `scratch`, and its layout."""
    folder = _existing(folder, "name the folder that holds the strips")
    if (folder / UNFINISHED).exists():
        raise RbcError(f"{folder}: its fetch was not finished; run the same rbc data fetch again")
    if not layout and not (folder / "layout.yaml").exists():
        archives.refuse_foreign(folder)  # a split that lies in it would be missing without a word
    folder = archives.opened(folder, scratch)
    if layout:
        return folder, describe(layout)
    with surprises.explained(folder, None):
        return recognise(folder)


def _record(folder: Path) -> dict:
    """What `rbc data fetch` noted about a folder: source, version, licence, files and their
    checksums.
    """
    try:
        noted = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if not isinstance(noted, dict):
            raise ValueError("not an object")
        return noted
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RbcError(
            f"{folder / 'meta.json'}: damaged ({error}); fetch the data again"
        ) from error


def _rows(
    folder: Path,
    where: Path,
    names: Sequence[re.Match],
    labels: Sequence[str],
    files: Sequence[Path] | Path,
    sizes: Sequence[int] | int,
    layout: Layout,
    part: Part,
    items: Sequence[int] | int = -1,
) -> pd.DataFrame:
    codes = {str(label) for label in labels}
    if codes == {"1", "2"} and "labels" not in layout.model_fields_set:
        raise RbcError(
            f"{where}: its labels are 1 and 2, none is 0: whether they are counted from 0 or from 1"
            " cannot be told; say so in layout.yaml, such as labels: {1: flipping, 2: unreliable}"
        )
    known = [layout.labels.get(str(label).lower()) for label in labels]
    if None in known:
        i = known.index(None)
        allowed = ", ".join(layout.labels)
        raise Strange(
            f"{where}: {names[i].string!r} has the label {labels[i]!r}; there are only {allowed}"
        )
    acquisitions = [m["acquisition"] for m in names]
    split = part.split or _splits(folder, where, names, known, layout)
    columns = {
        "name": [m.string for m in names],
        "label": known,
        "acquisition": acquisitions,
        "patient": [m["patient"] for m in names],
        "split": split,
        "file": str(files) if isinstance(files, Path) else [str(f) for f in files],
        "item": items,
        "size": sizes,
        "frames": layout.frames,
    }
    return pd.DataFrame(columns).astype({"item": int, "size": int})


def _splits(
    folder: Path, where: Path, names: Sequence[re.Match], labels: list[str], layout: Layout
) -> list[str]:
    """The split of each sequence, by the lists of the layout or by its acquisition."""
    if layout.lists:
        return _listed_splits(folder, where, [m.string for m in names], layout)
    acquisitions = [m["acquisition"] for m in names]
    if not (missing := set(acquisitions) - set(layout.splits)):
        return [layout.splits[a] for a in acquisitions]
    table = pd.DataFrame(
        {"acquisition": acquisitions, "reliable": [label != "unreliable" for label in labels]}
    )
    counts = table.groupby("acquisition")["reliable"].agg(["size", "sum"])
    shown = ", ".join(
        f"{a} ({n} sequences, {r} reliable)" for a, n, r in counts.loc[sorted(missing)].itertuples()
    )
    raise Strange(
        f"{where}: which split are these acquisitions in? Say so under splits in"
        f" layout.yaml: {shown}"
    )


def _listed_splits(folder: Path, where: Path, names: list[str], layout: Layout) -> list[str]:
    """The split of each sequence by the lists that name it."""
    split_of = _split_lists(folder, layout)
    if unknown := [name for name in names if name not in split_of]:
        raise RbcError(
            f"{where}: {unknown[0]!r} and {len(unknown) - 1} more are in none of the lists of"
            " splits"
        )
    return [split_of[name] for name in names]


def _split_lists(folder: Path, layout: Layout) -> dict[str, str]:
    """Names and splits of all lists. A path, an ending and further columns are none of a name."""
    split_of: dict[str, str] = {}
    for split, file in layout.lists.items():
        if not (folder / file).is_file():
            raise RbcError(f"{folder / file}: the list is missing, which layout.yaml names")
        for line in filter(None, map(str.strip, _text(folder / file).splitlines())):
            name = line.partition(",")[0].strip().replace("\\", "/").rpartition("/")[2]
            name = name.removesuffix(next((e for e in PICTURES if name.lower().endswith(e)), ""))
            if split_of.setdefault(name, split) != split:
                raise RbcError(f"{folder / file}: {name!r} is in the list of another split too")
    return split_of


def _parsed(where: Path, names: Sequence[str], layout: Layout) -> list[re.Match]:
    pattern = re.compile(layout.name)
    parsed = [pattern.fullmatch(str(name)) for name in names]
    if None in parsed:
        bad = list(names)[parsed.index(None)]
        raise Strange(
            f"{where}: the name {bad!r} is not patient, date, shear rate, movie, track (as"
            " BG1017_10s02_112)"
        )
    if "/" in (joined := "".join(names)) or "\\" in joined or "\0" in joined:
        raise RbcError(
            f"{where}: a sequence's name holds a slash; the pattern for names in"
            " layout.yaml is too wide"
        )
    return parsed


def _chunks(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """`rows` in pieces of at most CHUNK, each of one .mat file where there are any: such a file is
    opened whole.
    """
    group = np.where(rows["item"] < 0, "", rows["file"])
    change = np.flatnonzero(group[1:] != group[:-1]) + 1
    cuts = [0, *change, len(rows)]
    spans = [(a, b) for start, end in pairwise(cuts) for a, b in _spans(start, end)]
    return [rows.iloc[a:b] for a, b in spans]


def _spans(start: int, end: int) -> Iterator[tuple[int, int]]:
    return ((a, min(a + CHUNK, end)) for a in range(start, end, CHUNK))


def _frames(rows: pd.DataFrame) -> list[np.ndarray]:
    """The frames of one chunk's sequences."""
    if rows["item"].iat[0] >= 0:
        return matfiles.sequences(Path(rows["file"].iat[0]), list(rows["item"]))
    lie = zip(rows["file"], rows["size"], rows["frames"], strict=True)
    return [film(Path(file), size, frames) for file, size, frames in lie]


def _sizes(rows: pd.DataFrame) -> np.ndarray:
    """Numbers of frames, from the pictures' headers where no list tells them. (n,) int64."""
    sizes = rows["size"].to_numpy(np.int64, copy=True)
    for i in np.flatnonzero(sizes == 0):
        file, frames = Path(rows["file"].iat[i]), rows["frames"].iat[i]
        if frames == "files":
            sizes[i] = len(_frame_files(file))
            continue
        with _opened(file) as picture:
            shape = picture.size if frames == "across" else picture.size[::-1]
            _check_shape(file, picture.mode, shape, 0)
            sizes[i] = shape[0] // FRAME_PX
    return sizes


def _write(file: Path, chunk: tuple[pd.DataFrame, int]) -> None:
    rows, place = chunk
    with file.open("r+b") as out:
        out.seek(place)
        for frames in _frames(rows):
            out.write(frames.data)


def _cores() -> int:
    """The cores this process may use, where the system tells (not on macOS), else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of processes, or none where one is enough; what is still waiting is dropped after an
    error.
    """
    if workers == 1:
        yield None
        return
    # spawn: the caller may hold threads and a GPU, which do not survive a fork
    context = multiprocessing.get_context("spawn")
    # Ctrl-C is for the caller alone: the workers would each print where they were.
    pool = ProcessPoolExecutor(
        workers, context, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _gather(pool: ProcessPoolExecutor | None, task, chunks: list, what: str) -> list:
    """Results of `task` for each chunk, in order, with progress where a person watches."""
    results = pool.map(task, chunks) if pool else map(task, chunks)
    try:
        return list(tqdm(results, what, total=len(chunks), unit=f"x{CHUNK}", disable=None))
    except BrokenProcessPool as error:
        raise RbcError(
            f"{what}: a process was killed (out of memory?); run it again with workers=1"
        ) from error


def _existing(folder: Path, advice: str) -> Path:
    if not Path(folder).is_dir():
        raise RbcError(f"{folder}: no such folder; {advice}")
    return Path(folder)


def _sequences(folder: Path, layout: Layout) -> list[Path]:
    """The pictures of a folder, or its folders of a file a frame."""
    files = _pictures(folder)
    if layout.frames != "files":
        return files
    if loose := [file for file in files if file.parent == folder]:
        raise Strange(f"{loose[0]}: lies in no folder of a sequence; frames are files here")
    return sorted({file.parent for file in files})


def _frame_files(folder: Path) -> list[Path]:
    """Frames of a sequence, a file each, by the numbers in their names."""
    files = _pictures(folder)
    numbers = [[int(n) for n in re.findall(r"\d+", file.stem)] for file in files]
    if len({tuple(n) for n in numbers}) < len(files) or not all(numbers):
        raise RbcError(f"{folder}: the names of its frames do not say their order; number them")
    return [file for _, file in sorted(zip(numbers, files, strict=True))]


def _pictures(folder: Path) -> list[Path]:
    files = sorted(f for f in _existing(folder, "the class folder is needed").rglob("*"))
    files = [f for f in files if f.suffix.lower() in PICTURES and not f.name.startswith(".")]
    if not files:
        raise Strange(f"{folder}: no PNG, JPEG or TIFF strips in it")
    if strange := [f for f in files if printable(f) != str(f)]:
        raise RbcError(f"{printable(strange[0])}: the file's name is not UTF-8; rename it")
    return files


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RbcError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _read_csv(file: Path, columns: dict[str, str]) -> pd.DataFrame:
    if not file.is_file():
        raise RbcError(f"{file}: the list of sequences is missing; fetch the data again")
    try:
        head = pd.read_csv(file, dtype=str, header=None, nrows=1, encoding="utf-8")
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, pd.errors.ParserError) as error:  # UnicodeDecodeError is a ValueError
        raise RbcError(
            f"{file}: not a readable UTF-8 CSV ({' '.join(str(error).split())})"
        ) from error
    named = head.iloc[0].tolist()
    if twice := [c for c in columns.values() if named.count(c) > 1]:
        raise RbcError(f"{file}: the column {twice[0]} is there twice; keep the right one")
    if missing := [c for c in columns.values() if c not in table]:
        raise RbcError(f"{file}: the columns {', '.join(missing)} are missing")
    if table.empty:
        raise RbcError(f"{file}: no rows in it")
    return table.rename(columns={theirs: ours for ours, theirs in columns.items()})[list(columns)]
