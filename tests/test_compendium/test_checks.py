"""Checks before results: each planted fault is found, and nothing is where there is none."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from strips import made

from compendium.data import checks, ingest
from rbc.paper import LABELS, SPLITS, reported
from rbc.sequences import Sequences, from_list

SAMPLE = os.environ.get("RBC_SAMPLE")


def of_table2() -> Sequences:
    """The index of a record with the counts of Tables 2 and 5; all sequences share six frames."""
    rows, table2, table5 = [], reported("table2").set_index("label"), reported("table5")
    for split in ("train", "validation"):
        for label in LABELS:
            rows += [(label, f"BK1010_10s{i % 5:02}", split) for i in range(table2[split][label])]
    for row in table5.itertuples():
        acquisition = f"{'LJ0926' if row.patient == 1 else 'BG1017'}_10s{row.acquisition:02}"
        flipping = round(row.n_reliable * (100 - row.ground_truth_percent) / 100)
        rows += [("flipping", acquisition, "test")] * flipping
        rows += [("tank-treading", acquisition, "test")] * (row.n_reliable - flipping)
    rows += [("unreliable", "LJ0926_10s01", "test")] * table2["test"]["unreliable"]
    index = pd.DataFrame(rows, columns=["label", "acquisition", "split"])
    names = index["acquisition"] + "_" + index.index.astype(str)
    index = index.assign(name=names, patient=index["acquisition"].str[:2], start=0, length=6)
    return Sequences(np.zeros((6, 31, 31), np.uint8), index, {"simulated": True})


def varied(n: int = 24) -> Sequences:
    """Films of noise on a ring, none like another, classes and splits mixed, every patient in one
    split.
    """
    cells = made(n)
    rng = np.random.default_rng(1)
    ring = 12 * (np.abs(np.hypot(*np.mgrid[-15:16, -15:16]) - 5.5) < 1)
    strips = [
        (110 - ring + rng.normal(0, 2.2, (8, 31, 31))).astype(np.uint8) for _ in range(len(cells))
    ]
    index = cells.index.assign(
        patient=cells.index["split"].map(dict(zip(SPLITS, ("BG", "BK", "LJ"), strict=True)))
    )
    return from_list(strips, index, {"simulated": True})


def with_film(cells: Sequences, i: int, film: np.ndarray) -> Sequences:
    strips = list(cells)
    strips[i] = film
    return from_list(strips, cells.index, cells.meta)


def in_split(cells: Sequences, split: str) -> int:
    return int(np.flatnonzero(cells.index["split"] == split)[0])


def test_the_papers_record_is_known_by_its_counts() -> None:
    """The full record must be told from a part of it."""
    cells = of_table2()
    counts, acquisitions = checks.counts(cells), checks.test_acquisitions(cells)
    assert (
        not counts.grave
        and "9 of 9" in counts.data
        and (counts.table["found"] == counts.table["reported"]).all()
    )
    assert not acquisitions.grave and acquisitions.table["table5"].nunique() == 9


def test_an_acquisition_of_table_5_is_found_by_its_number_so_its_percentage_can_differ() -> None:
    """Two labels turned leave the acquisition known, and its percentage another than the printed
    one.
    """
    cells = of_table2()
    own = cells.index.index[
        (cells.index["acquisition"] == "LJ0926_10s02") & (cells.index["label"] == "flipping")
    ]
    cells.index.loc[own[:2], "label"] = "tank-treading"
    table = checks.test_acquisitions(cells).table.set_index("acquisition")
    row = table.loc["LJ0926_10s02"]
    assert (
        row["table5"] == "patient 1, acquisition 2"
        and row["tank_treading_percent"] > row["table5_percent"] + 0.5
    )


def test_an_offset_is_no_proof_that_the_background_was_left_in() -> None:
    """The same films with another offset: what is said moves with it, and nobody is accused."""
    for offset in (0, 60):
        cells = varied()
        strips = [(film + offset).astype(np.uint8) for film in cells]
        finding = checks.grey_levels(checks.appearance(from_list(strips, cells.index, cells.meta)))
        assert f"to {110 + offset}; inside" in finding.data and "does not tell" in finding.data
        assert "not removed" not in finding.data and finding.matters == "No."


def test_acquisitions_with_offsets_of_their_own_are_named_by_their_grey_levels() -> None:
    """Where each acquisition has its own background, a model could learn days instead of
    motions.
    """
    cells = varied()
    codes = cells.index["acquisition"].astype("category").cat.codes
    strips = [(film + 20 * code).astype(np.uint8) for film, code in zip(cells, codes, strict=True)]
    finding = checks.grey_levels(checks.appearance(from_list(strips, cells.index, cells.meta)))
    assert "name the acquisition" in finding.matters


def test_one_sequence_less_is_noticed() -> None:
    """A record that lost a file must not pass for whole."""
    cells = of_table2()
    finding = checks.counts(cells.select(np.arange(len(cells)) > 0))
    assert finding.grave and "8 of 9" in finding.data


def test_an_empty_class_is_named() -> None:
    """A class that was not read must be said."""
    cells = made()
    finding = checks.counts(
        cells.select(~((cells.index["label"] == "flipping") & (cells.index["split"] == "test")))
    )
    assert finding.grave and "None: flipping in test" in finding.data


def test_short_sequences() -> None:
    """The paper discarded them, so finding some means other data."""
    assert "None is shorter" in checks.short(varied()).data
    cells = with_film(varied(), 3, np.zeros((5, 31, 31), np.uint8))
    assert list(checks.short(cells).table["shortest"]) == [5]


def test_same_pixels_across_splits() -> None:
    """A cell in two splits is a leak."""
    cells = varied()
    assert not checks.same_pixels(cells).grave
    cells = with_film(cells, in_split(cells, "test"), cells[in_split(cells, "train")])
    finding = checks.same_pixels(cells)
    assert finding.grave and "1 pair equal in every pixel: 1 across splits" in finding.data
    assert checks.near_duplicates(cells).table.empty


def test_shared_frames_within_a_split() -> None:
    """Parts of one film counted twice make errors look smaller."""
    cells = varied()
    assert checks.shared_frames(cells).table.empty
    film = np.concatenate([cells[1][2:], cells[0][:2]])  # six of eight frames are those of film 1
    finding = checks.shared_frames(with_film(cells, 0, film))
    assert list(finding.table["share"]) == [0.75] and "1 pair" in finding.data


def test_black_frames_are_no_shared_frames() -> None:
    """A dark lamp must not be reported as a leak."""
    cells = varied()
    for i in (0, 1):
        cells = with_film(cells, i, np.zeros((3, 31, 31), np.uint8))
    assert checks.shared_frames(cells).table.empty


def test_brighter_and_noisier_copy_across_splits() -> None:
    """A leak can hide behind another file format."""
    cells = varied()
    assert checks.near_duplicates(cells).table.empty
    copied = cells[in_split(cells, "train")].astype(int) + 7
    copied += np.random.default_rng(2).integers(-1, 2, copied.shape)
    finding = checks.near_duplicates(
        with_film(cells, in_split(cells, "test"), copied.astype(np.uint8))
    )
    assert finding.grave and len(finding.table) == 1
    assert set(finding.table.iloc[0][["split", "other_split"]]) == {"train", "test"}


def test_patients_and_acquisitions_across_splits() -> None:
    """A patient in two splits makes scores of a known patient."""
    cells = varied()
    assert not checks.patients(cells).grave
    index = cells.index.copy()
    index.loc[in_split(cells, "test"), ["patient", "acquisition"]] = ["BG", index["acquisition"][0]]
    finding = checks.patients(Sequences(cells.frames, index, cells.meta))
    assert finding.grave and "also trained or validated on: BG" in finding.data
    assert f"Acquisitions in both: {index['acquisition'][0]}" in finding.data


def test_track_numbers_that_tell_the_label() -> None:
    """A name that gives the label away is no feature to learn from."""
    cells = varied(60)
    rank = cells.index["label"].map(LABELS.index)
    order = cells.index.assign(rank=rank).sort_values("rank").groupby("acquisition").cumcount()
    names = cells.index["acquisition"] + "_" + order.sort_index().astype(str)
    finding = checks.track_numbers(
        Sequences(cells.frames, cells.index.assign(name=names), cells.meta)
    )
    assert (
        finding.grave
        and "reliable with AUC 1.00, flipping from tank-treading with 1.00" in finding.data
    )


def test_drift_of_noise() -> None:
    """Files of two kinds can be told apart by their noise alone."""
    cells = varied()
    assert not checks.drift(checks.appearance(cells)).grave
    rng = np.random.default_rng(3)
    test = cells.index["split"] == "test"
    strips = [
        (f + rng.normal(0, 8, f.shape)).astype(np.uint8) if t else f
        for f, t in zip(cells, test, strict=True)
    ]
    finding = checks.drift(checks.appearance(from_list(strips, cells.index, cells.meta)))
    assert finding.grave and "noise" in finding.data


def test_appearance_measures_what_was_drawn() -> None:
    """A measure must find what was put in."""
    looks = checks.appearance(varied())
    assert looks["background"].median() == pytest.approx(110, abs=1)
    assert looks["noise"].median() == pytest.approx(2.2, rel=0.1)


def test_auc_by_hand() -> None:
    """The separation that pages report is held against a count by hand."""
    assert checks.auc(
        pd.Series([1, 2, 3, 3]), pd.Series([False, True, False, True])
    ) == pytest.approx(0.625)
    assert np.isnan(checks.auc(pd.Series([1, 2]), pd.Series([True, True])))


def test_every_finding_goes_to_json() -> None:
    """Programs read the findings too."""
    found = json.loads(json.dumps([f.record() for f in checks.check(varied())], allow_nan=False))
    assert len({f["key"] for f in found}) == len(found) == 11
    assert all(f["paper"] and f["data"] and f["matters"] for f in found)


def test_pairs_are_listed_up_to_a_number_the_gravest_first_and_other_tables_are_whole() -> None:
    """All pairs of a record that holds its films often made a page of 58 MB; facts are computed
    from the other tables, so a row that is missing there would be a wrong number.
    """
    cells = varied()
    many = from_list([cells.frames[:9]] * len(cells), cells.index, {"simulated": True})
    found = {f.key: f for f in checks.check(many)}["same pixels"]
    kept = found.record(10)
    assert len(kept["table"]) == 10 and kept["rows"] == len(found.table) > 10
    assert len(found.record()["table"]) == kept["rows"]
    grave = (found.table["split"] != found.table["other_split"]).to_numpy()
    assert (np.diff(grave.astype(int)) <= 0).all()
    assert all(
        len(f.record(1)["table"]) == len(f.table) for f in checks.check(cells) if not f.pairs
    )


def test_one_split_only() -> None:
    """Data of one split must not break the checks."""
    cells = varied()
    found = checks.check(cells.select(cells.index["split"] == "train"))
    assert json.dumps([f.record() for f in found], allow_nan=False)


@pytest.mark.skipif(not SAMPLE, reason="RBC_SAMPLE does not name the released sample's folder")
def test_findings_on_the_released_sample() -> None:
    """What the book says of the real sample is found again."""
    found = {f.key: f for f in checks.check(ingest.released(Path(SAMPLE)))}
    assert "unseen: LJ; also trained or validated on: BG" in found["patients"].data
    assert "Acquisitions in both: none" in found["patients"].data
    assert (
        "unreliable from reliable with AUC 1.00, flipping from tank-treading with 1.00"
        in found["track numbers"].data
    )
    noise = found["drift"].table.set_index("feature").loc["noise"]
    assert noise["train"] < 1 < 2 < noise["test"]
    assert set(found["short sequences"].table["label"]) == {"unreliable"}
    # one cell, tracked twice
    assert list(found["shared frames"].table["name"]) == ["BM1024_10s02_153"]
    assert found["same pixels"].table.empty and found["near-duplicates"].table.empty
