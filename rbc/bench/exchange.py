"""Tracks, tables and descriptions in the forms that other programs read.

The ending of the file says which: TrackMate's XML or a table of its spots (CSV), a graph (GEFF),
a workbook of tables (XLSX), or the description of a folder as a research object (RO-Crate) or as
a data set (Croissant).
"""

from __future__ import annotations

import csv
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from rbc import RbcError, __version__
from rbc.bench import croissant
from rbc.files import file_hash, new_file, read_table, whole_folder
from rbc.reading.video import ASSUMED

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet
    from rocrate.model import SoftwareApplication
    from rocrate.rocrate import ROCrate

CRATE = "ro-crate-metadata.json"
#: Of a spot in TrackMate. Its centre is what is known of a cell here, its outline is not: the
#: radius is that of a normal red cell.
RADIUS_UM = 4.0
#: name of the exported column, and where it comes from
SPOTS = {
    "ID": "spot", "TRACK_ID": "track", "FRAME": "frame", "POSITION_X": "x_um", "POSITION_Y": "y_um",
    "POSITION_Z": "z_um", "POSITION_T": "seconds", "QUALITY": "quality", "RADIUS": "radius_um",
    "VISIBILITY": "visible",
}  # fmt: skip
#: Columns of our tables that name something.
NAMING = {"name", "patient", "date", "draw", "earlier", "later", "continues", "why"}
#: Columns and keys that a reader of a workbook would not understand, in words.
WORDS = {
    "um_per_px": "pixel size, um", "frame_rate": "frame rate, 1/s", "shear_rate": "shear rate, 1/s",
    "n_frames": "frames", "low": "lower end of 95 % interval", "high": "upper end of 95 % interval",
    "withheld": "why there is no estimate", "why": "remark", "ways": "estimate by",
    "counted": "fraction as predicted", "adjusted": "fraction less known errors",
    "looked at": "labelled by hand", "looked_at": "labelled by hand", "smallest":
    "smallest change shown", "unlike": "unlike the other movies of its draw", "answer":
    "predicted class", "sure": "distance from the nearest threshold", "continues":
    "may be the same cell as", "y_px": "height, px", "speed_px": "speed, px a frame",
    "reliable_margin": "reliable: distance from threshold", "movie_sha256": "SHA-256 of the movie",
    "flipping_margin": "flipping: distance from threshold", "left_out": "sequences left out",
    "at_highest": "cells at the highest speed followed", "at_lowest":
    "cells at the lowest speed followed", "agree": "steps in the direction of the flow",
}  # fmt: skip
#: What a workbook cannot hold.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
WHOLE = {"ID", "TRACK_ID", "FRAME", "VISIBILITY"}  #: columns of whole numbers


class Tracked(NamedTuple):
    """Tracks of a movie.

    spots : a row a cell in a frame, by track and frame: spot (number), track, name (of the
        sequence; empty where tracking left it out), frame, seconds, x_um, y_um
    meta : what the tracked folder says of the movie
    """

    spots: pd.DataFrame
    meta: dict


def export(source: Path, out: Path) -> str:
    """Write what the ending of `out` names.

    Parameters
    ----------
    source : folder of `rbc track`, `rbc analyze` or `rbc study`, or of sequences
    out : ``.xml``, ``.csv``, ``.geff``, ``.xlsx``, or a file called ``ro-crate-metadata.json`` or
        ``croissant.json`` in `source` itself

    Returns
    -------
    What was written, in words

    Raises
    ------
    RbcError
        for another ending, a folder that holds nothing of the kind, or a package that is not there
    """
    ways: dict[str, Callable[[Path, Path], str]] = {
        ".xml": trackmate_xml, ".csv": trackmate_csv, ".geff": geff, ".xlsx": workbook,
    }  # fmt: skip
    if not source.is_dir():
        raise RbcError(f"{source}: no such folder; name one that rbc track, analyze or study wrote")
    if out.name == CRATE:
        return crate(source, out)
    if out.name == croissant.NAME:
        return croissant.describe(source, out)
    if out.suffix.lower() not in ways:
        raise RbcError(
            f"{out}: ends in {out.suffix or 'nothing'}; choose {', '.join(ways)}, or call it"
            f" {CRATE} or {croissant.NAME}"
        )
    said = ways[out.suffix.lower()](source, out)
    return said if out.suffix.lower() == ".xlsx" else said + _assumed(tracked(source).meta)


def _assumed(meta: dict) -> str:
    """Which units of the exported places and times nobody gave, in words; empty where none."""
    units = {name: unit["source"] for name, unit in meta["units"].items() if name != "shear_rate"}
    named = [name for name, told in units.items() if told == ASSUMED]
    return f"; assumed, as neither the file nor you say: {', '.join(named)}" if named else ""


def tracked(source: Path) -> Tracked:
    """The tracks of a folder of `rbc track` or `rbc analyze`. Raises `RbcError` where it has
    none.
    """
    folder = source / "tracked" if (source / "tracked").is_dir() else source
    if not (folder / "tracks.parquet").is_file():
        raise RbcError(f"{source}: holds no tracks; name a folder that rbc track or analyze wrote")
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    table = read_table(folder / "tracks.parquet").sort_values(["track", "frame"])
    table = table.reset_index(drop=True)
    um = meta["um_per_px"]
    spots = pd.DataFrame(
        {
            "spot": np.arange(len(table)),
            "track": table["track"],
            "name": table["name"].fillna(""),
            "frame": table["frame"],
            "seconds": table["frame"] / meta["frame_rate"],
            "x_um": table["x_px"] * um,
            "y_um": table["y_px"] * um,
        }
    )
    return Tracked(spots, meta)


def links(spots: pd.DataFrame) -> np.ndarray:
    """Pairs of spots of one track that follow each other: (E, 2) int64."""
    same = spots["track"].to_numpy()[1:] == spots["track"].to_numpy()[:-1]
    number = spots["spot"].to_numpy()
    return np.stack([number[:-1][same], number[1:][same]], axis=1)


# --- tracks ---


def trackmate_csv(source: Path, out: Path) -> str:
    """A table of spots with TrackMate's names of columns, in um and s, and the sequence's name."""
    spots = _as_trackmate(tracked(source).spots)
    with new_file(out) as part, part.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["LABEL", *SPOTS])
        rows.writerows(zip(spots["name"], *(spots[c] for c in SPOTS.values()), strict=True))
    return f"{len(spots)} spots of {spots['track'].nunique()} tracks in {out}"


def trackmate_xml(source: Path, out: Path) -> str:
    """A TrackMate model: spots by frame, tracks and their edges; opened by *Load a TrackMate file*
    or read by other programs.
    """
    found = tracked(source)
    spots, meta = _as_trackmate(found.spots), found.meta
    root = ElementTree.Element("TrackMate", version="7.0.0")
    model = ElementTree.SubElement(root, "Model", spatialunits="micron", timeunits="sec")
    _declare(model)

    every = ElementTree.SubElement(model, "AllSpots", nspots=str(len(spots)))
    for frame, part in spots.groupby("frame"):
        inside = ElementTree.SubElement(every, "SpotsInFrame", frame=str(frame))
        for row in part.to_dict("records"):
            told = {key: _text(key, row[column]) for key, column in SPOTS.items()}
            told.pop("TRACK_ID")  # in the tracks below
            ElementTree.SubElement(
                inside, "Spot", told, name=row["name"] or f"track {row['track']}"
            )

    tracks = ElementTree.SubElement(model, "AllTracks")
    filtered = ElementTree.SubElement(model, "FilteredTracks")
    for track, part in spots.groupby("track"):
        name = next(filter(None, part["name"]), f"track {track}")
        edges = links(part)
        if not len(edges):
            continue  # TrackMate's tracks have two spots or more
        one = ElementTree.SubElement(tracks, "Track", name=name, TRACK_ID=str(track))
        for first, second in edges:
            ElementTree.SubElement(
                one, "Edge", SPOT_SOURCE_ID=str(first), SPOT_TARGET_ID=str(second)
            )
        ElementTree.SubElement(filtered, "TrackID", TRACK_ID=str(track))

    settings = ElementTree.SubElement(root, "Settings")
    ElementTree.SubElement(
        settings, "ImageData", filename=Path(meta["source"]).name, folder="", nslices="1",
        nframes=str(meta["n_frames"]), pixelwidth=str(meta["um_per_px"]),
        pixelheight=str(meta["um_per_px"]), voxeldepth="1.0",
        timeinterval=str(1 / meta["frame_rate"]),
    )  # fmt: skip
    with new_file(out) as part:
        ElementTree.ElementTree(root).write(part, encoding="UTF-8", xml_declaration=True)
    return f"{len(spots)} spots of {len(filtered)} tracks in {out}"


def geff(source: Path, out: Path) -> str:
    """A graph of spots and links (live-image-tracking-tools.github.io/geff), with axes in s and
    um; of a folder of `rbc analyze` also what the models say of each sequence.
    """
    _needed("geff")
    from geff.core_io import write_arrays
    from geff_spec import Axis, GeffMetadata

    spots, meta = tracked(source)
    given = {"t": "seconds", "y": "y_um", "x": "x_um", "frame": "frame", "track": "track"}
    props = {
        name: {"values": spots[column].to_numpy(), "missing": None}
        for name, column in given.items()
    }
    if (source / "cells.csv").is_file():
        cells = _read_table(source / "cells.csv").set_index("name")
        for name in ("reliable", "flipping"):
            said = spots["name"].map(cells[name])
            props[name] = {"values": said.fillna(0.0).to_numpy(), "missing": said.isna().to_numpy()}
    axes = [
        Axis(name="t", type="time", unit="second"),
        Axis(name="y", type="space", unit="micrometer"),
        Axis(name="x", type="space", unit="micrometer"),
    ]
    told = {key: meta[key] for key in ("source", "um_per_px", "frame_rate", "simulated")}
    about = GeffMetadata(
        directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={},
        track_node_props={"tracklet": "track"}, extra={"rbc": told | {"version": __version__}},
    )  # fmt: skip
    edges = links(spots)
    if out.exists():
        raise RbcError(f"{out}: is there already; move it away or name another folder")
    with whole_folder(out, ("*",)) as part:
        write_arrays(part, spots["spot"].to_numpy(), props, edges, {}, about, overwrite=True)
    return f"{len(spots)} nodes and {len(edges)} edges in {out}"


def _as_trackmate(spots: pd.DataFrame) -> pd.DataFrame:
    """Spots with all that TrackMate asks of one."""
    return spots.assign(z_um=0.0, quality=1.0, radius_um=RADIUS_UM, visible=1)


def _text(key: str, value: float) -> str:
    return str(int(value)) if key in WHOLE else repr(float(value))


def _declare(model: ElementTree.Element) -> None:
    """Names and units of a spot's features, as TrackMate's reader wants them declared."""
    declared = ElementTree.SubElement(model, "FeatureDeclarations")
    spot = ElementTree.SubElement(declared, "SpotFeatures")
    units = {
        "QUALITY": ("Quality", "QUALITY"), "POSITION_X": ("X", "POSITION"),
        "POSITION_Y": ("Y", "POSITION"), "POSITION_Z": ("Z", "POSITION"),
        "POSITION_T": ("T", "TIME"), "FRAME": ("Frame", "NONE"), "RADIUS": ("Radius", "LENGTH"),
        "VISIBILITY": ("Visibility", "NONE"),
    }  # fmt: skip
    for feature, (name, dimension) in units.items():
        ElementTree.SubElement(
            spot, "Feature", feature=feature, name=name, shortname=name, dimension=dimension,
            isint=str(feature in WHOLE).lower(),
        )  # fmt: skip
    for kind in ("EdgeFeatures", "TrackFeatures"):
        ElementTree.SubElement(declared, kind)


# --- tables ---


def workbook(source: Path, out: Path) -> str:
    """The tables of a report or a study, a sheet each, and what is said of a report's whole beside
    them.

    Names, patients and dates are text, as they were written: NA is a patient, 007 is not 7.
    """
    _needed("openpyxl")
    tables = {
        name: _read_table(file)
        for name in ("cells", "movies", "draws", "changes")
        if (file := source / f"{name}.csv").is_file()
    }
    if not tables:
        raise RbcError(f"{source}: holds no tables; name a folder that rbc analyze or study wrote")
    if (file := source / "marker.json").is_file():
        tables["marker"] = _flat(json.loads(file.read_text(encoding="utf-8")))
    # pandas tells the kind of a workbook by its ending, which the temporary name lacks
    with new_file(out) as part, pd.ExcelWriter(part, engine="openpyxl") as book:
        for name, table in tables.items():
            shown = table.map(_printable).rename(columns=_in_words)
            shown.to_excel(book, sheet_name=name, index=False)
            _keep_text(book.sheets[name])
    return f"{', '.join(f'{name} ({len(t)} rows)' for name, t in tables.items())} in {out}"


def _read_table(file: Path) -> pd.DataFrame:
    """A table that we wrote: what names something stays text, the rest are numbers where all are.

    No text is taken for a gap, so that patient NA keeps the name.
    """
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    for column in table.columns.difference(NAMING):
        filled = table[column] != ""
        numbers = pd.to_numeric(table[column].where(filled), errors="coerce")
        if numbers.notna().equals(filled) and filled.any():
            table[column] = numbers
    return table


def _printable(value: object) -> object:
    """A value that a cell of a workbook can hold: without control characters."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def _keep_text(sheet: Worksheet) -> None:
    """Let no text of a sheet be a formula, which would be computed when it is opened."""
    for row in sheet.iter_rows():
        for cell in row:
            if cell.data_type == "f":
                cell.data_type, cell.quotePrefix = "s", True


def _in_words(key: str) -> str:
    """A column or key of ours as a reader of a workbook would call it."""
    if looks := re.fullmatch(r"smallest_(\d+)", key):
        return f"smallest change shown with {looks[1]} cells labelled"
    return WORDS.get(key, key.replace("_", " "))


def _flat(content: dict) -> pd.DataFrame:
    """Keys in words and values of a JSON object, one a row; inner ones after outer ones."""
    rows: list[tuple[str, object]] = []

    def add(name: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name}: {_in_words(key)}" if name else _in_words(key), inner)
        else:
            rows.append((name, "; ".join(map(str, value)) if isinstance(value, list) else value))

    add("", content)
    return pd.DataFrame(rows, columns=["what", "value"])


# --- the whole folder ---


def crate(source: Path, out: Path) -> str:
    """Describe a report or a study as a research object: its files with their checksums, the
    movies that it was made from, and the program.

    The description lies in the folder itself, as RO-Crate asks.
    """
    _needed("rocrate")
    from rocrate.model import ContextEntity

    if out.resolve().parent != source.resolve():
        raise RbcError(f"{out}: a crate is described in its own folder; write {source / CRATE}")
    told = next((source / n for n in ("marker.json", "study.json") if (source / n).is_file()), None)
    if told is None:
        raise RbcError(f"{source}: no report and no study; name a folder that rbc analyze or study"
                       " wrote")  # fmt: skip
    about = json.loads(told.read_text(encoding="utf-8"))
    made, program = new_crate(
        source,
        f"{'Report' if told.name == 'marker.json' else 'Study'} of {source.resolve().name}",
        "The fraction of tank-treading red cells, by rbc. Research software.",
    )
    movies = [
        made.add(ContextEntity(made, f"#movie-{name}", properties={
            "@type": "CreativeWork", "name": name, "sha256": digest,
        }))
        for name, digest in _movies(source, about)
    ]  # fmt: skip
    chosen = [
        made.add(ContextEntity(made, f"#setting-{name}", properties={
            "@type": "PropertyValue", "name": name, "value": value,
        }))
        for name, value in _settings(source)
    ]  # fmt: skip
    made.add(
        ContextEntity(made, "#made", properties={
            "@type": "CreateAction", "name": "what rbc did", "instrument": {"@id": program.id},
            "object": [{"@id": e.id} for e in [*movies, *chosen]], "result": {"@id": "./"},
        })
    )  # fmt: skip
    with new_file(out) as part:
        part.write_text(json.dumps(made.metadata.generate(), indent=1) + "\n", encoding="utf-8")
    return f"{len(made.data_entities)} files described in {out}"


def new_crate(folder: Path, name: str, description: str) -> tuple[ROCrate, SoftwareApplication]:
    """A research object of every file in a folder, with size and SHA-256, and the program in it.

    Parameters
    ----------
    folder : what is described
    name, description : of the whole
    """
    _needed("rocrate")
    from rocrate.model import SoftwareApplication
    from rocrate.rocrate import ROCrate

    made = ROCrate()
    made.name, made.description = name, description
    made.root_dataset["license"] = "not stated: ask who filmed the cells"
    facts = {"name": "rbc", "softwareVersion": __version__}
    program = made.add(SoftwareApplication(made, "#rbc", properties=facts))
    for file in sorted(f for f in folder.rglob("*") if f.is_file() and f.name != CRATE):
        path = file.relative_to(folder).as_posix()
        facts = {
            "name": file.name, "contentSize": str(file.stat().st_size), "sha256": file_hash(file),
        }  # fmt: skip
        made.add_file(file, dest_path=path, properties=facts)
    return made, program


def _movies(source: Path, about: dict) -> list[tuple[str, str]]:
    """Name and SHA-256 of each movie behind a report or a study."""
    reports = [about] if "ways" in about else []  # a report of its own, no study
    for file in sorted(source.glob("reports/*/marker.json")):
        reports.append(json.loads(file.read_text(encoding="utf-8")))
    if any("movie_sha256" not in report for report in reports):
        raise RbcError(f"{source}: made by an earlier rbc, which kept no checksum; judge it anew")
    return [(report["source"], report["movie_sha256"]) for report in reports]


def _settings(source: Path) -> list[tuple[str, float]]:
    """Parameters of tracking and the units, by movie where there are several."""
    found = []
    for file in sorted(source.rglob("tracked/meta.json")):
        meta = json.loads(file.read_text(encoding="utf-8"))
        units = {name: unit["value"] for name, unit in meta["units"].items()}
        movie = Path(meta["source"]).stem
        found += [(f"{movie}.{name}", v) for name, v in (units | meta["parameters"]).items()]
    return found


def _needed(package: str) -> ModuleType:
    """An optional package. Raises `RbcError` that says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise RbcError(
            f"{package} is not installed, which writes this; get it with: pip install"
            " 'rbc[exchange]'"
        ) from error
