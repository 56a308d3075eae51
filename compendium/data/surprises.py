"""A record that is laid out as nobody expected: what is there, what was understood, what was not,
and the lines of ``layout.yaml`` that would say it.

What is suggested is guessed from names and from some pictures. Nothing is read by a guess: the user
looks the lines over and puts them into the file.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml
from PIL import Image

from compendium.data.layouts import (
    CLASS_FOLDERS,
    NAME,
    PICTURES,
    SPLIT_FOLDERS,
    Strange,
    printable,
    tree,
    walk,
)
from rbc import RbcError
from rbc.paper import FRAME_PX, LABELS

OPEN = "???"  #: what the user must fill in
#: Parts of words that tell a label. A word with parts of two, or with a denial, tells none.
TOLD = (
    ("unreliable", ("unrel", "garbage", "junk", "rubbish", "trash", "reject", "discard")),
    ("flipping", ("flip", "tumbl")),
    ("tank-treading", ("tank", "tread")),
)
#: Words of a column's name, by what the column holds.
COLUMNS = {
    "label": ("label", "class", "type", "category", "state", "motion"),
    "size": ("size", "length", "frames", "count", "n"),
    "name": ("name", "file", "sequence", "id", "strip"),
}
#: The last number is the track; what stands before it is the movie; its first letters the patient.
SOME_NAME = r"(?P<acquisition>(?P<patient>[A-Za-z]+).*)[^0-9A-Za-z]\d+"
#: The same with a label behind it.
NAME_AND_LABEL = r"(?P<acquisition>(?P<patient>[A-Za-z]+).*)[_-]\d+[_-](?P<label>[A-Za-z-]+)"
SHOWN = 400  #: rows of a list that are looked at
LOOKED_AT = 12  #: pictures of a folder whose size is looked at, and folders


class Found(NamedTuple):
    """Sequences that lie in one folder, as a picture each or a folder each."""

    folder: Path
    names: list[str]


@contextmanager
def explained(folder: Path, layout: Path | None) -> Iterator[None]:
    """Where something strange is met in a folder that nobody has described, say how to.

    Parameters
    ----------
    folder : its root, unpacked
    layout : a description that the user gave, or None

    Raises
    ------
    RbcError
        with `page`
    """
    try:
        yield
    except Strange as error:
        # Of a .mat file nothing can be described but its labels, which the message names.
        matlab = next(folder.rglob("*.mat"), None)
        if layout or matlab or (folder / "layout.yaml").exists():
            raise
        raise RbcError(page(folder, error)) from error


def page(folder: Path, strange: Strange) -> str:
    """What to tell the user of a record that is not understood.

    Parameters
    ----------
    folder : its root, unpacked
    strange : what was not understood
    """
    if strange.understood:
        parts = [part.model_dump(exclude_none=True) for part in strange.understood]
        lines, remarks = _written({"parts": parts}), [f"parts: {len(parts)}"]
    else:
        lines, remarks = suggested(folder)
    told = "\n".join(f"  {remark}" for remark in remarks) or "  nothing"
    seen = f"{strange}\nWhat is there:\n{tree(folder)}\nWhat is understood of it:\n{told}\n"
    if not lines:
        return f"{seen}No layout.yaml can say how to read that: convert the files first."
    return (
        f"{seen}Put this into {printable(folder / 'layout.yaml')}, look it over, replace {OPEN},"
        f" and run the same again (data/README.md explains each key):\n\n{lines}"
    )


def suggested(folder: Path) -> tuple[str, list[str]]:
    """Lines of a ``layout.yaml`` for a folder, and what was understood, a sentence each.

    Parameters
    ----------
    folder : the root of the record, unpacked

    Returns
    -------
    lines : empty where no layout can describe what is there
    remarks : sentences
    """
    remarks: list[str] = []
    frames, found = _sequences(folder)
    if not found:
        remarks.append(f"no pictures ({', '.join(PICTURES)}) and no .mat files lie in it")
        return "", remarks
    if frames == OPEN:
        return "", [f"its pictures are neither {FRAME_PX} px high nor {FRAME_PX} px wide"]
    content: dict[str, object] = {}
    lists = _lists(folder, found)
    if lists:
        _by_list(folder, found, lists, content, remarks)
    elif len({f.folder for f in found}) == 1 or not _class_folders(found):
        _by_name(folder, found, content, remarks)
    else:
        _by_folder(folder, found, content, remarks)
    if frames != "across":
        content["frames"] = frames
    names = [name for part in found for name in part.names]
    if "name" not in content and not all(re.fullmatch(NAME, name) for name in names):
        content["name"] = _pattern(names, remarks)
    if any("split" not in part for part in content["parts"]):
        _splits(folder, names, str(content.get("name", NAME)), content, remarks)
    return _written(content), remarks


def _written(content: dict) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)


# --- where sequences lie ---


def _sequences(folder: Path) -> tuple[str, list[Found]]:
    """How frames lie (`Layout.frames`, or `OPEN`), and the sequences by the folder they lie in."""
    holding = []
    for root, _, files in walk(folder):
        pictures = [file for file in files if file.lower().endswith(PICTURES)]
        if pictures:
            holding.append(Found(Path(root), pictures))
    if not holding:
        return OPEN, []
    # A short sequence may be a single frame, so some pictures of each folder are looked at.
    some = [f.folder / name for f in holding[:LOOKED_AT] for name in f.names[:LOOKED_AT]]
    sizes = {_size(picture) for picture in some[: LOOKED_AT**2]}
    if sizes == {(FRAME_PX, FRAME_PX)}:
        parents: dict[Path, list[str]] = {}
        for found in holding:  # a folder a sequence
            parents.setdefault(found.folder.parent, []).append(found.folder.name)
        return "files", [Found(parent, names) for parent, names in parents.items()]
    stems = [Found(found.folder, [Path(name).stem for name in found.names]) for found in holding]
    if {height for _, height in sizes} == {FRAME_PX}:
        return "across", stems
    return ("down" if {width for width, _ in sizes} == {FRAME_PX} else OPEN), stems


def _size(picture: Path) -> tuple[int, int]:
    """Width and height of a picture; 0 where it cannot be read."""
    try:
        with Image.open(picture, formats=("PNG", "JPEG", "TIFF")) as opened:
            return opened.size
    except (OSError, SyntaxError, ValueError):
        return 0, 0


def _split_of(path: Path) -> str | None:
    """The split that the nearest folder of a path names."""
    told = [SPLIT_FOLDERS[step.lower()] for step in path.parts if step.lower() in SPLIT_FOLDERS]
    return told[-1] if told else None


def _part(folder: Path, place: Path, kind: str) -> dict[str, str]:
    path = place.relative_to(folder)
    split = _split_of(path)
    return {"path": path.as_posix(), "kind": kind} | ({"split": split} if split else {})


# --- three ways to tell a label ---


def _class_folders(found: list[Found]) -> bool:
    """Whether pictures lie beside each other in folders that may be classes."""
    beside = Counter(f.folder.parent for f in found if f.folder.name.lower() not in SPLIT_FOLDERS)
    return any(n > 1 for n in beside.values())


def _by_folder(folder: Path, found: list[Found], content: dict, remarks: list[str]) -> None:
    """Parts and labels where each class has its folder."""
    parents = sorted({f.folder.parent for f in found})
    content["parts"] = [_part(folder, parent, "classes") for parent in parents]
    names = sorted({f.folder.name for f in found})
    _labels(names, content)
    remarks.append(f"folders of classes: {', '.join(names)}")


def _by_name(folder: Path, found: list[Found], content: dict, remarks: list[str]) -> None:
    """Parts, labels and the pattern of names where the name ends in the label."""
    content["parts"] = [_part(folder, f.folder, "named") for f in found]
    names = [name for f in found for name in f.names]
    ends = [m["label"] for name in names if (m := re.fullmatch(NAME_AND_LABEL, name))]
    if len(ends) == len(names) and len(set(ends)) <= 2 * len(LABELS):
        words = sorted(set(ends))
        remarks.append(f"labels at the end of the names: {', '.join(words)}")
        content["name"] = NAME_AND_LABEL
        _labels(words, content)
        return
    remarks.append("no folder, list or name tells a label")
    content["name"] = f"{OPEN}(?P<acquisition>(?P<patient>{OPEN}){OPEN})(?P<label>{OPEN})"


def _lists(folder: Path, found: list[Found]) -> list[Path]:
    """Tables beside the pictures, or one folder up, with columns for names and labels."""
    near = {place for f in found for place in (f.folder, f.folder.parent)}
    files = [Path(root) / file for root, _, names in walk(folder) for file in names]
    tables = [f for f in files if f.suffix.lower() in (".csv", ".tsv") and f.parent in near]
    return [table for table in tables if {"name", "label"} <= set(_columns(_head(table)))]


def _by_list(
    folder: Path, found: list[Found], lists: list[Path], content: dict, remarks: list[str]
) -> None:
    """Parts, columns and labels where a table tells them."""
    content["parts"] = [_part(folder, table.parent, "csv") for table in lists]
    # Pictures beside which no list lies must not be lost.
    outside = [f for f in found if not any(f.folder.is_relative_to(t.parent) for t in lists)]
    classes: dict = {}
    if outside:
        _by_folder(folder, outside, classes, remarks)
        content["parts"] += classes["parts"]
    first = lists[0]
    if first.name != "dataset.csv":
        content["list"] = first.name
    rows = _rows(first)
    columns = {"size": OPEN} | _columns(list(rows[0]) if rows else [])
    content["columns"] = {key: columns[key] for key in ("name", "label", "size")}
    named = rows[0][columns["name"]] if rows else ""
    ending = next((e for e in PICTURES if named.lower().endswith(e)), "")
    inside = next(
        (f.folder for f in found if f.folder.is_relative_to(first.parent)), first.parent
    ).relative_to(first.parent)
    # Where the list names files, the ending belongs to the name.
    picture = "{name}" if ending else "{name}" + _ending(found)
    content["image"] = (inside / picture).as_posix()
    if ending:
        content["name"] = rf"{NAME}\{ending}"
    values = sorted({row[columns["label"]] for row in rows})
    _labels([*values, *sorted({f.folder.name for f in outside})], content)
    remarks.append(f"lists called {first.name}, with labels {', '.join(values)}")


def _ending(found: list[Found]) -> str:
    """The ending of the pictures' names."""
    folder, names = found[0]
    return next((file.suffix for file in folder.iterdir() if file.stem == names[0]), ".png")


def _head(table: Path) -> list[str]:
    rows = _rows(table, 1)
    return list(rows[0]) if rows else []


def _rows(table: Path, most: int = SHOWN) -> list[dict[str, str]]:
    """The first rows of a table; none where it is no text."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened, delimiter="\t" if table.suffix == ".tsv" else ",")
            return [row for row, _ in zip(reader, range(most), strict=False)]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _columns(header: Iterable[str]) -> dict[str, str]:
    """Columns of a table by what they seem to hold."""
    found: dict[str, str] = {}
    for key, words in COLUMNS.items():
        for column in header:
            told = set(re.split(r"[^a-z]+", (column or "").lower()))
            if column and column not in found.values() and told & set(words):
                found.setdefault(key, column)
    return found


# --- labels, names, splits ---


def _labels(words: Iterable[str], content: dict) -> None:
    """Say what each word stands for, where it is not known anyhow."""
    known = CLASS_FOLDERS | {str(code): label for code, label in enumerate(LABELS)}
    words = list(words)
    if all(word.lower() in known for word in words):
        return
    content["labels"] = {word: known.get(word.lower()) or _meant(word) for word in words}


def _meant(word: str) -> str:
    """The label that a word seems to mean, or `OPEN`."""
    told = [label for label, parts in TOLD if any(part in word.lower() for part in parts)]
    denied = re.match(r"no[tn]|un(?!rel)|-", word.lower())
    return told[0] if len(told) == 1 and not denied else OPEN


def _pattern(names: list[str], remarks: list[str]) -> str:
    """A pattern for names that are not the paper's."""
    if all(re.fullmatch(SOME_NAME, name) for name in names):
        movies = {re.fullmatch(SOME_NAME, name)["acquisition"] for name in names}
        remarks.append(
            f"names such as {names[0]}: {len(movies)} acquisitions, if the last number is the"
            " track and the first letters are the patient"
        )
        if len(movies) == 1:
            remarks.append(
                "no acquisitions can be told apart: Table 5 and splits by acquisition cannot be"
                " made, the rest can"
            )
        return SOME_NAME
    remarks.append(f"names such as {names[0]} tell neither patient nor acquisition")
    return f"(?P<acquisition>(?P<patient>{OPEN}){OPEN}){OPEN}"


def _splits(
    folder: Path, names: list[str], pattern: str, content: dict, remarks: list[str]
) -> None:
    """How the split of a sequence is told: by lists of names, or by its acquisition."""
    lists = {
        SPLIT_FOLDERS[Path(file).stem.lower()]: (Path(root) / file).relative_to(folder).as_posix()
        for root, _, files in walk(folder)
        for file in files
        if Path(file).stem.lower() in SPLIT_FOLDERS
        and Path(file).suffix.lower() in (".txt", ".lst", ".csv")
    }
    if lists:
        content["lists"] = lists
        remarks.append(f"lists of names for the splits: {', '.join(lists.values())}")
        return
    remarks.append("nothing tells the splits")
    try:
        matches = [re.fullmatch(pattern, name) for name in names]
    except re.error:
        matches = []
    movies = sorted({m["acquisition"] for m in matches if m}) or [OPEN]
    content["splits"] = dict.fromkeys(movies, OPEN)
