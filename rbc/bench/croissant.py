"""Sequences described for machines: Croissant metadata (MLCommons, version 1.0) of their folder.

Only what a machine knows stands there: files with checksums, columns with their types, numbers of
sequences, where they are from. No pixel, and no licence: who filmed the cells must say that.
"""

from __future__ import annotations

import json
from pathlib import Path

from rbc import RbcError
from rbc.files import file_hash, new_file
from rbc.paper import FRAME_PX, LABELS
from rbc.sequences import COLUMNS, load

NAME = "croissant.json"
#: Words of the description language, as every file of version 1.0 repeats them.
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/",
    "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
    "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
FORMATS = {
    "index.parquet": "application/x-parquet",
    "frames.npy": "application/octet-stream",
    "meta.json": "application/json",
}
#: What each column of the index says, and its type.
FIELDS = {
    "name": ("sc:Text", "name of the sequence, unique"),
    "label": ("sc:Text", f"{', '.join(LABELS)} by hand, or unlabelled"),
    "acquisition": ("sc:Text", "the movie that it is cut from"),
    "patient": ("sc:Text", "who gave the blood, by a pseudonym"),
    "split": ("sc:Text", "train, validation or test"),
    "start": ("sc:Integer", "number of its first frame in frames.npy"),
    "length": ("sc:Integer", "how many frames it has"),
}


def describe(source: Path, out: Path) -> str:
    """Write the Croissant metadata of a folder of sequences into that folder.

    Parameters
    ----------
    source : folder of sequences, or a report that holds one as ``tracked``
    out : `NAME` in the folder of the sequences

    Returns
    -------
    What was written, in words

    Raises
    ------
    RbcError
        where there are no sequences, or `out` lies elsewhere
    """
    folder = source / "tracked" if (source / "tracked").is_dir() else source
    if out.resolve().parent != folder.resolve():
        raise RbcError(f"{out}: a data set is described in its own folder; write {folder / NAME}")
    cells = load(folder)
    content = _content(folder, cells.meta, len(cells), len(cells.frames))
    with new_file(out) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return f"{len(cells)} sequences described in {out}"


def _content(folder: Path, meta: dict, n: int, frames: int) -> dict:
    kind = "Simulated" if meta["simulated"] else "Real"
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": folder.resolve().name,
        "description": (
            f"{kind} red blood cells in shear flow: {n} sequences of {FRAME_PX} x {FRAME_PX} px,"
            f" {frames} frames of 8 bits in all. frames.npy holds all frames,"
            f" ({frames}, {FRAME_PX}, {FRAME_PX}) uint8; a sequence is `length` of them from"
            f" `start` on. Source: {meta['source']}."
        ),
        "version": str(meta.get("version", 1)),
        "distribution": [_file(folder / name) for name in FORMATS],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "sequences",
                "name": "sequences",
                "description": "a record a sequence",
                "key": {"@id": "sequences/name"},
                "field": [_field(name) for name in COLUMNS],
            }
        ],
    }


def _file(path: Path) -> dict:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": FORMATS[path.name],
        "sha256": file_hash(path),
    }


def _field(name: str) -> dict:
    kind, words = FIELDS[name]
    return {
        "@type": "cr:Field",
        "@id": f"sequences/{name}",
        "name": name,
        "description": words,
        "dataType": kind,
        "source": {"fileObject": {"@id": "index.parquet"}, "extract": {"column": name}},
    }
