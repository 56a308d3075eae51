"""Records as nobody expected them: each is read once the lines that the page gives are pasted, or
the page says what no layout can mend.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from strips import CLASSES, FOLDERS, made, write_strip

from compendium.data import ingest, surprises
from rbc import RbcError

CELLS = made(24)
ROWS = list(zip(CELLS.index.itertuples(), CELLS, strict=True))


def picture(file: Path, pixels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def in_classes(
    folder: Path, write: Callable[[Path, np.ndarray], None], ending: str = ".png"
) -> None:
    """{Train,Valid,Test}/{TT,others,Unreliable}/, a file a sequence."""
    for row, cell in ROWS:
        write(folder / FOLDERS[row.split] / CLASSES[row.label] / f"{row.name}{ending}", cell)


def other_label_words(folder: Path) -> None:
    """Words for the classes that no code of the authors has."""
    words = {"tank-treading": "TankTreaders", "flipping": "Flippers", "unreliable": "Garbage"}
    for row, cell in ROWS:
        write_strip(folder / FOLDERS[row.split] / words[row.label] / f"{row.name}.png", cell)


def lists_of_splits(folder: Path) -> None:
    """The split is told by text files, as machine learning often does it."""
    for row, cell in ROWS:
        write_strip(folder / CLASSES[row.label] / f"{row.name}.png", cell)
    for split, part in CELLS.index.groupby("split"):
        lines = [f"{CLASSES[row.label]}/{row.name}.png" for row in part.itertuples()]
        (folder / f"{split}.txt").write_text("\n".join(lines), encoding="utf-8")


def single_frames(folder: Path) -> None:
    """A folder a sequence, a file a frame, not padded with zeros: 10 comes after 9."""
    for row, cell in ROWS:
        for number, frame in enumerate(cell):
            place = folder / FOLDERS[row.split] / CLASSES[row.label] / row.name
            picture(place / f"frame{number + 5}.png", frame)


def below_each_other(folder: Path) -> None:
    """Frames from top to bottom."""
    in_classes(folder, lambda file, cell: picture(file, np.vstack(list(cell))))


def as_tiff(folder: Path) -> None:
    """Strips saved as TIFF."""
    in_classes(folder, lambda file, cell: picture(file, np.hstack(list(cell))), ".tif")


def grey_in_colour(folder: Path) -> None:
    """RGB with three equal channels, and class folders in capitals."""
    for row, cell in ROWS:
        grey = np.hstack(list(cell))
        place = folder / FOLDERS[row.split] / CLASSES[row.label].upper()
        picture(place / f"{row.name}.png", np.dstack([grey] * 3))


def another_table(folder: Path) -> None:
    """A list of another name, with other columns, words for labels and names of files."""
    for split, part in CELLS.index.groupby("split"):
        lines = ["file,class,frames"]
        for row in part.itertuples():
            write_strip(folder / split / "strips" / f"{row.name}.png", CELLS[row.Index])
            lines.append(f"{row.name}.png,{row.label},{row.length}")
        (folder / split / "labels.csv").write_text("\n".join(lines), encoding="utf-8")


def label_in_the_name(folder: Path) -> None:
    """No folder of classes: the name ends in the label."""
    for row, cell in ROWS:
        write_strip(folder / FOLDERS[row.split] / f"{row.name}_{CLASSES[row.label]}.png", cell)


def other_names(folder: Path) -> None:
    """Names of another laboratory, which tell patient, day, movie and cell."""
    for row, cell in ROWS:
        name = re.sub(r"^([A-Z]+)(\d+)_10s(\d+)_(\d+)$", r"\1-day\2-movie\3-cell-\4", row.name)
        write_strip(folder / FOLDERS[row.split] / CLASSES[row.label] / f"{name}.png", cell)


def plain_names(folder: Path) -> None:
    """Names that tell no acquisition at all."""
    for number, (row, cell) in enumerate(ROWS):
        place = folder / FOLDERS[row.split] / CLASSES[row.label]
        write_strip(place / f"cell_{number:04}.png", cell)


READ = (
    other_label_words, lists_of_splits, single_frames, below_each_other, as_tiff, grey_in_colour,
    another_table, label_in_the_name, other_names, plain_names,
)  # fmt: skip


def pasted(folder: Path) -> str:
    """What the page says of the folder; its lines are then in layout.yaml."""
    with pytest.raises(RbcError) as caught:
        ingest.read(folder)
    page = str(caught.value)
    (folder / "layout.yaml").write_text(page.partition("\n\n")[2], encoding="utf-8")
    return page


@pytest.mark.parametrize("record", READ)
def test_a_surprising_record_is_read_with_the_lines_of_its_page(record, tmp_path) -> None:
    """The day the record comes nobody should have to read our code."""
    folder = tmp_path / "record"
    record(folder)
    if record in (as_tiff, grey_in_colour):  # these need no words
        got = ingest.read(folder)
    else:
        page = pasted(folder)
        assert "What is there:" in page and surprises.OPEN not in page.partition("\n\n")[2]
        got = ingest.read(folder)
    assert got.index["split"].value_counts().to_dict() == dict.fromkeys(FOLDERS, 8)
    ours = sorted((label, cell.tobytes()) for label, cell in zip(CELLS.index["label"], CELLS))
    theirs = sorted((label, cell.tobytes()) for label, cell in zip(got.index["label"], got))
    assert ours == theirs
    assert got.index["acquisition"].nunique() == (1 if record is plain_names else 6)


def test_straight_to_disk_says_the_same(tmp_path) -> None:
    """The big record goes this way; its workers' errors must end in the page too."""
    below_each_other(tmp_path / "record")
    with pytest.raises(RbcError, match="What is there:"):
        ingest.into(tmp_path / "record", tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()
    pasted(tmp_path / "record")
    ingest.into(tmp_path / "record", tmp_path / "out", workers=2)


def test_what_only_the_user_can_know_stays_open(tmp_path) -> None:
    """A split that is guessed would be a leak."""
    for row, cell in ROWS:
        write_strip(tmp_path / CLASSES[row.label] / f"{row.name}.png", cell)
    page = pasted(tmp_path)
    assert "nothing tells the splits" in page and page.count(f": {surprises.OPEN}") == 6
    lines = (tmp_path / "layout.yaml").read_text(encoding="utf-8")
    with pytest.raises(RbcError, match="key splits"):
        ingest.read(tmp_path)
    (tmp_path / "layout.yaml").write_text(lines.replace(surprises.OPEN, "train"), encoding="utf-8")
    assert set(ingest.read(tmp_path).index["split"]) == {"train"}


def test_an_unknown_word_for_a_label_stays_open(tmp_path) -> None:
    """Good and excellent cells: only the user knows which ones flip."""
    words = {"tank-treading": "good", "flipping": "excellent", "unreliable": "rejected"}
    for row, cell in ROWS:
        write_strip(tmp_path / FOLDERS[row.split] / words[row.label] / f"{row.name}.png", cell)
    lines = pasted(tmp_path).partition("\n\n")[2]
    assert "good: ???" in lines and "excellent: ???" in lines and "rejected: unreliable" in lines


def doubled(file: Path, cell: np.ndarray) -> None:
    """Strips of 62 px."""
    picture(file, np.kron(np.hstack(list(cell)), np.ones((2, 2), np.uint8)))


def coloured(file: Path, cell: np.ndarray) -> None:
    """A red strip on a blue one."""
    grey = np.hstack(list(cell))
    picture(file, np.dstack([grey, grey, 255 - grey]))


def deep(file: Path, cell: np.ndarray) -> None:
    """A strip of 16 bits."""
    picture(file, np.hstack(list(cell)).astype(np.uint16) * 200)


@pytest.mark.parametrize(
    ("write", "says"),
    [(doubled, "nor 31 px wide"), (coloured, "has colours"), (deep, "16 bits a channel")],
)
def test_what_no_layout_can_mend_says_so(tmp_path, write, says) -> None:
    """Lines to paste that cannot help would cost an evening."""
    in_classes(tmp_path, write)
    with pytest.raises(RbcError, match=says) as caught:
        ingest.read(tmp_path)
    assert "Put this into" not in str(caught.value)


def test_lists_that_name_a_sequence_twice_or_not_at_all_are_refused(tmp_path) -> None:
    """One cell in two splits is a leak, one in none is lost."""
    lists_of_splits(tmp_path)
    pasted(tmp_path)
    first = ROWS[0][0].name
    with (tmp_path / "test.txt").open("a", encoding="utf-8") as file:
        file.write(f"\n{first}.png")
    with pytest.raises(RbcError, match=f"{first}.* is in the list of another split too"):
        ingest.read(tmp_path)
    kept = [n for n in CELLS.index["name"][CELLS.index["split"] == "test"] if n != first]
    (tmp_path / "test.txt").write_text("\n".join(kept[2:]), encoding="utf-8")
    with pytest.raises(RbcError, match=rf"'{kept[0]}' and 1 more are in none of the lists"):
        ingest.read(tmp_path)
    (tmp_path / "test.txt").unlink()
    with pytest.raises(RbcError, match=r"test\.txt: the list is missing"):
        ingest.read(tmp_path)


def test_a_folder_between_the_split_and_the_classes_hides_no_split(tmp_path) -> None:
    """A split that is not seen is asked for, or worse, taken for another."""
    for row, cell in ROWS:
        place = tmp_path / FOLDERS[row.split] / "sequences" / CLASSES[row.label]
        write_strip(place / f"{row.name}.png", cell)
    got = ingest.read(tmp_path).index.set_index("name")["split"]
    assert got.to_dict() == CELLS.index.set_index("name")["split"].to_dict()


def test_frames_without_numbers_have_no_order(tmp_path) -> None:
    """Frames in another order would be another motion."""
    for row, cell in ROWS:
        for letter, frame in zip("abcdefghi", cell, strict=False):
            place = tmp_path / FOLDERS[row.split] / CLASSES[row.label] / row.name
            picture(place / f"{letter}.png", frame)
    pasted(tmp_path)
    with pytest.raises(RbcError, match="do not say their order"):
        ingest.read(tmp_path)


def test_a_picture_of_several_pages_is_not_read_as_its_first(tmp_path) -> None:
    """A TIFF with a page a frame would have become sequences of one frame."""
    for row, cell in ROWS:
        file = tmp_path / FOLDERS[row.split] / CLASSES[row.label] / f"{row.name}.tif"
        file.parent.mkdir(parents=True, exist_ok=True)
        first, *rest = (Image.fromarray(frame) for frame in cell)
        first.save(file, save_all=True, append_images=rest)
    with pytest.raises(RbcError, match=r"holds \d pictures"):
        ingest.read(tmp_path)


def test_lists_beside_class_folders_lose_neither(tmp_path) -> None:
    """The suggested parts must be all that is there."""
    another_table(tmp_path)
    write_strip(tmp_path / "more" / "test" / "TT" / "BG1017_10s01_1.png", ROWS[0][1])
    write_strip(tmp_path / "more" / "test" / "others" / "BG1017_10s01_2.png", ROWS[1][1])
    assert "path: more/test" in surprises.suggested(tmp_path)[0]


@pytest.mark.parametrize("word", ["not_flipping", "nonflip", "bad", "flip_or_tank"])
def test_a_denial_or_two_meanings_stay_open(word) -> None:
    """A label that is guessed the wrong way round would turn the marker."""
    assert surprises._meant(word) == surprises.OPEN
