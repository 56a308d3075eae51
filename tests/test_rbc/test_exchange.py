"""Other programs read what is exported: each form is opened by a program that is not ours."""

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from rbc import RbcError
from rbc.bench import exchange, napari_reader
from rbc.cli import app
from rbc.files import file_hash, movie_hash
from rbc.simulate import movies


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A folder as rbc analyze leaves it: tracks of a simulated movie by the command line, and
    answers written here.
    """
    folder = tmp_path_factory.mktemp("report")
    scene = movies.Scene(shape=(200, 320), frames=60, cells=6, seed=4)
    frames, _ = movies.physics(scene)
    movies.write(folder / "PA0301_1.avi", frames, 60.0, "raw")
    out = folder / "report"
    asked = ["track", str(folder / "PA0301_1.avi"), "--out", str(out / "tracked"), "--threads", "1"]
    done = CliRunner().invoke(app, [*asked, "--um-per-px", "0.5", "--frame-rate", "60"])
    assert done.exit_code == 0, done.output
    names = pd.read_parquet(out / "tracked" / "index.parquet")["name"]
    cells = pd.DataFrame({"name": names, "reliable": 0.75, "flipping": 0.25, "decision": "unsure"})
    cells.to_csv(out / "cells.csv", index=False)
    told = {"estimate": 0.9, "ways": {"models": {"low": 0.8}}, "source": "PA0301_1.avi"}
    told["movie_sha256"] = movie_hash(folder / "PA0301_1.avi")
    (out / "marker.json").write_text(json.dumps(told))
    return out


def write(source, out):
    """The command line, as a user types it."""
    done = CliRunner().invoke(app, ["export", str(source), str(out)])
    assert done.exit_code == 0, done.output
    return done.output


def tracks_of(report):
    return pd.read_parquet(report / "tracked" / "tracks.parquet").sort_values(["track", "frame"])


def test_trackmates_xml_is_read_by_another_reader(report, tmp_path):
    """All spots, in um and s, and every link between them, by the reader of GEFF's authors."""
    geff = pytest.importorskip("geff")
    from geff.convert import from_trackmate_xml_to_geff

    write(report, tmp_path / "t.xml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TrackMate's names of units are not OME's
        from_trackmate_xml_to_geff(tmp_path / "t.xml", tmp_path / "theirs.geff")
        graph, _ = geff.read(tmp_path / "theirs.geff", backend="networkx")
    theirs = pd.DataFrame([node for _, node in graph.nodes(data=True)])
    ours = tracks_of(report)
    assert len(theirs) == len(ours) > 100
    assert graph.number_of_edges() == len(ours) - ours["track"].nunique()
    place = theirs.sort_values("ID")
    np.testing.assert_allclose(place["POSITION_X"], ours["x_px"] * 0.5)
    np.testing.assert_allclose(place["POSITION_T"], ours["frame"] / 60)
    assert set(theirs["name"]) >= set(ours["name"].dropna()) - {""}


def test_the_table_of_spots_has_trackmates_columns(report, tmp_path):
    """A spreadsheet reads it, each spot with the name of its sequence."""
    write(report, tmp_path / "t.csv")
    table, ours = pd.read_csv(tmp_path / "t.csv"), tracks_of(report)
    assert list(table)[:4] == ["LABEL", "ID", "TRACK_ID", "FRAME"]
    assert table["TRACK_ID"].tolist() == ours["track"].tolist()
    np.testing.assert_allclose(table["POSITION_Y"], ours["y_px"] * 0.5)


def test_the_graph_is_valid_and_says_what_the_models_say(report, tmp_path):
    """GEFF's own library finds it whole: axes, links within tracks only, answers of sequences."""
    geff = pytest.importorskip("geff")
    write(report, tmp_path / "t.geff")
    geff.validate_structure(tmp_path / "t.geff")
    graph, about = geff.read(tmp_path / "t.geff", backend="networkx")
    assert [axis.name for axis in about.axes] == ["t", "y", "x"]
    assert all(graph.nodes[a]["track"] == graph.nodes[b]["track"] for a, b in graph.edges)
    ours = tracks_of(report).reset_index(drop=True)
    named = ours["name"].fillna("") != ""
    asked = [node.get("reliable") for _, node in sorted(graph.nodes(data=True))]
    assert [a == 0.75 for a in asked] == named.tolist()
    assert about.extra["rbc"]["source"] == "PA0301_1.avi"


def test_the_workbook_holds_each_table_as_a_sheet(report, tmp_path):
    """What a clinician opens: numbers as numbers, the marker beside the cells."""
    pytest.importorskip("openpyxl")
    write(report, tmp_path / "t.xlsx")
    sheets = pd.read_excel(tmp_path / "t.xlsx", sheet_name=None)
    assert set(sheets) == {"cells", "marker"}
    assert sheets["cells"]["reliable"].eq(0.75).all()
    told = sheets["marker"].set_index("what")["value"]
    assert (
        told["estimate"] == 0.9 and told["estimate by: models: lower end of 95 % interval"] == 0.8
    )


def test_names_in_a_workbook_are_what_they_were(tmp_path):
    """A spreadsheet takes NA for a gap, 007 for 7, 1e5 for 100000 and =1+1 for 2."""
    openpyxl = pytest.importorskip("openpyxl")
    named = [
        "NA",
        "007",
        "1e5",
        "None",
        "=1+1",
        "+1",
        "<b>x</b>",
        "2026-11-25",
        "a\x07b",
        "x" * 190,
    ]
    rows = pd.DataFrame({"name": named, "patient": named, "estimate": [0.5, *[None] * 9]})
    rows.assign(why="=2+2").to_csv(tmp_path / "movies.csv", index=False)
    exchange.export(tmp_path, tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx")["movies"]
    cells = [[cell.value for cell in column][1:] for column in sheet.columns]
    shown = [name.replace("\x07", "\ufffd") for name in named]
    assert cells[0] == cells[1] == shown
    assert cells[2] == [0.5, *[None] * 9] and cells[3] == ["=2+2"] * 10
    assert not any(cell.data_type == "f" for row in sheet.iter_rows() for cell in row)


def test_the_crate_names_every_file_and_the_movie_by_checksum(report, tmp_path):
    """A research object that its own library opens; its checksums are those of the files."""
    crates = pytest.importorskip("rocrate.rocrate")
    copy = tmp_path / "report"
    shutil.copytree(report, copy)
    write(copy, copy / "ro-crate-metadata.json")
    crate = crates.ROCrate(copy)
    files = {e.id: e["sha256"] for e in crate.data_entities}
    there = [f for f in copy.rglob("*") if f.is_file() and f.name != "ro-crate-metadata.json"]
    assert files == {f.relative_to(copy).as_posix(): file_hash(f) for f in there}
    movie = crate.dereference("#movie-PA0301_1.avi")
    assert movie["sha256"] == file_hash(report.parent / "PA0301_1.avi")
    action = crate.dereference("#made")
    assert movie in action["object"] and action["instrument"]["name"] == "rbc"
    assert crate.dereference("#setting-PA0301_1.um_per_px")["value"] == 0.5


def test_croissant_is_valid_and_gives_the_sequences_by_its_own_reader(cells, tmp_path):
    """The library of the format's authors checks it, finds files whole, and reads the index."""
    croissant = pytest.importorskip("mlcroissant")
    cells.select(np.arange(len(cells)) < 12).save(tmp_path / "few")
    out = tmp_path / "few" / "croissant.json"
    assert "12 sequences described" in write(tmp_path / "few", out)
    told = croissant.Dataset(jsonld=str(out))
    assert not told.metadata.ctx.issues.errors
    assert told.metadata.description.startswith("Simulated red blood cells")
    records = list(told.records("sequences"))
    index = pd.read_parquet(tmp_path / "few" / "index.parquet")
    assert [r["sequences/name"].decode() for r in records] == index["name"].tolist()
    assert [r["sequences/length"] for r in records] == index["length"].tolist()
    # A file that was altered is not read by its description.
    index.assign(label="flipping").to_parquet(tmp_path / "few" / "index.parquet")
    with pytest.raises(Exception, match=r"Download\(index.parquet\)"):
        list(croissant.Dataset(jsonld=str(out)).records("sequences"))
    # Sequences may be made anew over it.
    cells.select(np.arange(len(cells)) < 3).save(tmp_path / "few")


def test_tracked_cells_are_described_in_their_own_folder_only(report, tmp_path):
    """A description elsewhere would speak of files that are not beside it."""
    with pytest.raises(RbcError, match="in its own folder"):
        exchange.export(report, tmp_path / "croissant.json")
    said = exchange.export(report, report / "tracked" / "croissant.json")
    assert "sequences described" in said
    (report / "tracked" / "croissant.json").unlink()


def test_napari_finds_the_reader_and_gets_tracks(report):
    """npe2 is what napari reads plugins with: the manifest must hold, and the layer be one."""
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(
        exchange.__file__.replace("exchange.py", "napari.yaml")
    )
    manifest.validate_imports()
    manager = npe2.PluginManager()
    manager.register(manifest)
    (found,) = list(manager.iter_compatible_readers([str(report)]))
    assert found.command == "rbc.read_tracks"
    ((data, shown, kind),) = napari_reader.get_reader(str(report))(str(report))
    ours = tracks_of(report)
    assert kind == "tracks" and len(data) == len(shown["features"]) == len(ours)
    np.testing.assert_allclose(data[:, 3], ours["x_px"])
    assert (shown["features"]["reliable"].notna() == (shown["features"]["name"] != "")).all()
    assert napari_reader.get_reader(str(report.parent)) is None


@pytest.mark.parametrize(
    ("source", "out", "says"),
    [
        ("report", "t.doc", "choose .xml, .csv, .geff, .xlsx"),
        ("report", "here.xml", "is there already"),
        ("report", "ro-crate-metadata.json", "described in its own folder"),
        ("nothing", "t.xml", "no such folder"),
        ("empty", "t.xml", "holds no tracks"),
        ("empty", "t.xlsx", "holds no tables"),
        ("empty", "empty/ro-crate-metadata.json", "no report and no study"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    report, tmp_path, source, out, says
):
    """A half-written file, or an overwritten one, would be worse than none."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "here.xml").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    folder = report if source == "report" else tmp_path / source
    with pytest.raises(RbcError, match=says):
        exchange.export(folder, tmp_path / out)
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "here.xml").read_text() == "mine"


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(report, tmp_path, monkeypatch):
    """The bare installation has none of them."""
    monkeypatch.setitem(__import__("sys").modules, "geff", None)
    with pytest.raises(RbcError, match=r"geff is not installed.*rbc\[exchange\]"):
        exchange.export(report, tmp_path / "t.geff")
