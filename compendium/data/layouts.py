"""What lies where in a folder of film strips: recognised, or described by the user in a
``layout.yaml``.

A layout says which folders (or .mat files) hold sequences, how their labels are spelt, how names
tell the acquisition and the patient, and which acquisition is in which split. The layouts known are
listed in data/README.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from compendium import yamlfiles
from rbc import RbcError
from rbc.paper import LABELS

#: Patient letters, date, shear rate in 1/s, movie number, track number: BG1017_10s02_112.
NAME = r"(?P<acquisition>(?P<patient>[A-Z]{2,})\d+_\d+s\d+)_\d+"
#: Class folders seen in the authors' repository and their notebooks ("TT: Tank-treading, others:
#: flipping").
CLASS_FOLDERS = {
    **{name: "tank-treading" for name in ("tanktreading", "tank-treading", "tank_treading", "tt")},
    **{name: "flipping" for name in ("flipping", "others")},
    "unreliable": "unreliable",
}
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
Label = Literal["tank-treading", "flipping", "unreliable"]
Split = Literal["train", "validation", "test"]


def inside(path: str) -> bool:
    """Whether a relative path stays where it starts: not absolute (also not for Windows), no
    ``..``, no NUL.
    """
    parts = re.split(r"[/\\]", path)
    return (
        bool(path)
        and ".." not in parts
        and parts[0] != ""
        and ":" not in parts[0]
        and "\0" not in path
    )


class Part(BaseModel):
    """One place that holds sequences: a folder with a list (dataset.csv), a folder of class
    folders, a folder of sequences whose names tell their label, or a .mat file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: str
    kind: Literal["csv", "classes", "named", "mat"]
    split: Split | None = None  #: None: told by `Layout.lists` or `Layout.splits`

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if not inside(path):
            raise ValueError("must stay inside the folder")
        return path


class Layout(BaseModel):
    """Where sequences are and how to read them; the defaults are those of the authors' code."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    parts: tuple[Part, ...] = Field(min_length=1)
    image: str = "img/{name}.png"
    #: how the frames of a sequence lie: side by side in a picture, below each other, or one file a
    #: frame in a folder of the sequence's name
    frames: Literal["across", "down", "files"] = "across"
    list: str = "dataset.csv"
    columns: dict[Literal["name", "label", "size"], str] = {
        "name": "sequence_name",
        "label": "label",
        "size": "size",
    }
    labels: dict[str, Label] = {
        str(code): label for code, label in enumerate(LABELS)
    } | CLASS_FOLDERS
    name: str = NAME
    unlisted: bool = False  #: whether pictures that dataset.csv does not list may be left out
    splits: dict[str, Split] = {}  #: acquisition to split, for parts that name none
    lists: dict[Split, str] = {}  #: text files of the names of a split's sequences, a name a line

    @field_validator("lists", "list")
    @classmethod
    def _lists_are_inside(cls, given: dict[str, str] | str) -> dict[str, str] | str:
        if not all(map(inside, given.values() if isinstance(given, dict) else [given])):
            raise ValueError("must stay inside the folder")
        return given

    @field_validator("labels", mode="before")
    @classmethod
    def _as_text(cls, labels: object) -> object:
        return (
            {str(key).lower(): value for key, value in labels.items()}
            if isinstance(labels, dict)
            else labels
        )

    @field_validator("image")
    @classmethod
    def _is_inside(cls, image: str) -> str:
        fields = [field for _, field, _, _ in Formatter().parse(image) if field is not None]
        if fields != ["name"] or not inside(image):
            raise ValueError("needs {name} once, and a path that stays in the folder")
        return image

    @field_validator("name")
    @classmethod
    def _has_groups(cls, name: str) -> str:
        if not {"acquisition", "patient"} <= set(re.compile(name).groupindex):
            raise ValueError("needs the groups (?P<acquisition>...) and (?P<patient>...)")
        return name


class Strange(RbcError):
    """What is there is not what a layout says, or no layout is known: describing it may help.

    understood : parts that are clear, where something else is not
    """

    understood: tuple[Part, ...] = ()


RELEASED = Layout(
    parts=(
        Part(path="Stage_1/test", kind="csv", split="test"),
        Part(path="Stage_2/data", kind="classes", split="train"),
    )
)


def describe(file: Path) -> Layout:
    """The layout written in a YAML file.

    Raises `RbcError` naming the first key that is unknown or wrong.
    """
    if not file.exists():
        raise RbcError(f"{file}: no such file; it should describe the layout, see data/README.md")
    try:
        return yamlfiles.checked(Layout, yamlfiles.read(file), file, "see data/README.md")
    except (OSError, ValueError, re.error) as error:
        raise RbcError(
            f"{file}: not a readable YAML file ({' '.join(str(error).split())})"
        ) from error


def recognise(folder: Path) -> tuple[Path, Layout]:
    """A folder's layout and the folder it holds for: a ``layout.yaml`` or the released sample, here
    or further down, or else whatever parts are found.

    A part is in the split of the nearest folder named train, valid, validation or test (or of the
    .mat file's name).

    Raises `Strange` where nothing is recognised, or pictures belong to no part.
    """
    for root, _, files in walk(folder):
        if "layout.yaml" in files:
            return Path(root), describe(Path(root) / "layout.yaml")
        if _is_released(Path(root)):
            return Path(root), RELEASED
    parts, stray = _parts(folder)
    if not parts:
        raise Strange(f"{folder}: no layout is recognised in this tree")
    if stray:
        strange = Strange(
            f"{printable(stray[0])}: no label is known for this picture and {len(stray) - 1} more;"
            " the lines below leave them out"
        )
        strange.understood = tuple(parts)
        raise strange
    return folder, Layout(parts=tuple(parts))


def _is_released(root: Path) -> bool:
    """Whether a folder holds the released sample and nothing more.

    The whole record may lie in the same tree, with further splits beside ``Stage_1/test``; as the
    released sample it would lose them.
    """
    if not all((root / part.path).is_dir() for part in RELEASED.parts):
        return False
    allowed = [root / part.path for part in RELEASED.parts]
    for place, folders, files in walk(root):
        here = Path(place)
        folders[:] = [name for name in folders if here / name not in allowed]
        # Pictures elsewhere may be a repository's own figures.
        in_a_stage = here != root and here.relative_to(root).parts[0].startswith("Stage_")
        endings = (".mat", *(PICTURES if in_a_stage else ()))
        if "dataset.csv" in files or any(name.lower().endswith(endings) for name in files):
            return False
    return True


def tree(folder: Path, lines: int = 30) -> str:
    """The folder's first folders and files, two files a folder, as an indented list of at most
    `lines` lines.

    Parameters
    ----------
    folder : its root
    lines : at most so many
    """
    shown = []
    for root, folders, files in walk(folder):
        depth = len(Path(root).relative_to(folder).parts)
        more = f" ... {len(files)} files" if len(files) > 2 else ""
        shown.append(f"{'  ' * depth}{Path(root).name}/  {' '.join(files[:2])}{more}".rstrip())
        folders.sort()
    return printable("\n".join([*shown[:lines], *(["..."] if len(shown) > lines else [])]))


def printable(text: object) -> str:
    """Text that can be printed anywhere: bytes of a name that are not UTF-8 are shown as
    escapes.
    """
    return str(text).encode("utf-8", "backslashreplace").decode()


def _parts(folder: Path) -> tuple[list[Part], list[Path]]:
    """Every part found below a folder, in order of path, and the pictures that belong to none."""
    parts, stray = [], []
    for root, folders, files in walk(folder):
        parts += [_part(folder, Path(root) / f, "mat") for f in files if f.lower().endswith(".mat")]
        stray += [Path(root) / f for f in files if f.lower().endswith(PICTURES)]
        if "dataset.csv" in files:
            parts.append(_part(folder, Path(root), "csv"))
            folders.clear()  # its img/ is not looked into
        elif known := [f for f in folders if f.lower() in CLASS_FOLDERS]:
            parts.append(_part(folder, Path(root), "classes"))
            folders[:] = [f for f in folders if f not in known]
    return sorted(parts, key=lambda part: part.path), stray


def _part(folder: Path, place: Path, kind: str) -> Part:
    path = place.relative_to(folder)
    steps = [*path.parts[:-1], path.stem] if path.parts else []
    splits = [SPLIT_FOLDERS[s.lower()] for s in steps if s.lower() in SPLIT_FOLDERS]
    return Part(path=path.as_posix(), kind=kind, split=splits[-1] if splits else None)


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` in order and without hidden entries and what macOS leaves in archives."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        yield root, folders, sorted(f for f in files if not f.startswith("."))
