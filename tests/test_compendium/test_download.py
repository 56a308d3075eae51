"""Fetching from a loopback Zenodo, hostile and broken input, interrupts and full disks."""

import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import numpy as np
import pytest
import requests
from strips import LAYOUTS, made
from zenodo import Zenodo

from compendium.data import archives, download, ingest
from compendium.data.download import Patience, fetch_released, fetch_zenodo
from rbc import RbcError, sequences
from rbc.files import file_hash

pytestmark = pytest.mark.slow

SAMPLE = os.environ.get("RBC_SAMPLE")
QUICK = Patience(tries=3, wait=0.02)
DATA = {"a.zip": b"a" * 5000, "b.csv": b"b" * 70_000}


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join([str(Path(__file__).parents[1] / "loopback"), str(download.ROOT)]),
    )


@pytest.fixture
def zenodo() -> Iterator[Zenodo]:
    server = Zenodo(DATA)
    yield server
    server.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB; needs the right to mount."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("no right to mount a small file system")
    yield place
    subprocess.run(["umount", place], check=True)


def get(server: Zenodo, out: Path) -> dict:
    return fetch_zenodo(out, base=server.base, patience=QUICK)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        f.name: f.read_bytes()
        for f in folder.iterdir()
        if f.is_file() and f.name not in (".lock", "meta.json")
    }


def zipped(folder: Path) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            archive.write(file, file.relative_to(folder))
    return memory.getvalue()


def tarred(folder: Path) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        archive.add(folder, folder.name)
    return memory.getvalue()


def loose_or_packed(folder: Path) -> dict[str, bytes]:
    """As a record may have it: loose files stay, each folder is an archive of its own."""
    files = {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}
    return files | {f"{f.name}.zip": zipped(f) for f in folder.iterdir() if f.is_dir()}


def nested(folder: Path) -> dict[str, bytes]:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("data/inner.tar.gz", tarred(folder))
    return {"everything.zip": memory.getvalue()}


PACKINGS = {
    "folders": loose_or_packed,
    "one": lambda f: {"data.tar.gz": tarred(f)},
    "nested": nested,
}


def some_real_cells() -> sequences.Sequences:
    cells = ingest.released(Path(SAMPLE))
    chosen = np.zeros(len(cells), bool)
    chosen[:: len(cells) // 20] = True
    cells = cells.select(chosen)
    return sequences.from_list(list(cells), cells.index, cells.meta)


def served_and_read(cells: sequences.Sequences, layout: str, packing: str, tmp_path: Path) -> None:
    (folder := tmp_path / "made").mkdir()
    LAYOUTS[layout](folder, cells)
    server = Zenodo(PACKINGS[packing](folder))
    get(server, tmp_path / "record")
    server.close()
    ingest.into(tmp_path / "record", tmp_path / "out", simulated=cells.simulated, workers=1)
    got = sequences.load(tmp_path / "out")
    np.testing.assert_array_equal(got.frames, cells.frames)
    assert got.index.to_csv() == cells.index.to_csv()
    assert got.meta["licence"] == "cc-by-4.0" and got.meta["simulated"] == cells.simulated
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "frames.npy",
        "index.parquet",
        "meta.json",
    ]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_from_the_server_is_the_same(
    tmp_path: Path, layout: str, packing: str
) -> None:
    """However a record is packed, its cells are the same cells."""
    served_and_read(made(), layout, packing, tmp_path)


@pytest.mark.skipif(not SAMPLE, reason="RBC_SAMPLE does not name the released sample's folder")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_real_cells_is_the_same(tmp_path: Path, layout: str) -> None:
    """Real pictures could break what simulated ones do not."""
    served_and_read(some_real_cells(), layout, "one", tmp_path)


def test_fetch_keeps_what_the_record_says(zenodo: Zenodo, tmp_path: Path) -> None:
    """Title, version, licence and checksums belong to the data."""
    told = get(zenodo, tmp_path / "out")
    assert contents(tmp_path / "out") == DATA
    assert json.loads((tmp_path / "out" / "meta.json").read_text(encoding="utf-8")) == told
    assert (
        told["title"] == "Sequences" and told["version"] == "1.0" and told["licence"] == "cc-by-4.0"
    )
    assert told["files"][0] == {
        "name": "a.zip",
        "size": 5000,
        "md5": hashlib.md5(DATA["a.zip"]).hexdigest(),
    }
    assert not (tmp_path / "out" / ingest.UNFINISHED).exists()


def test_second_fetch_gets_only_what_is_missing_or_altered(zenodo: Zenodo, tmp_path: Path) -> None:
    """A large record must not be fetched twice."""
    get(zenodo, tmp_path)
    (tmp_path / "layout.yaml").write_text("mine", encoding="utf-8")
    get(zenodo, tmp_path)
    assert zenodo.asked["a.zip"] == zenodo.asked["b.csv"] == 1
    (tmp_path / "a.zip").write_bytes(b"x" * 5000)
    get(zenodo, tmp_path)
    assert (zenodo.asked["a.zip"], zenodo.asked["b.csv"]) == (2, 1)
    assert contents(tmp_path) == DATA | {"layout.yaml": b"mine"}


RECOVERS = {
    "429 on the record": {"record": [429, 429]},
    "503 on the record": {"record": [503]},
    "429 on a file": {"a.zip": [429]},
    "504 on a file": {"b.csv": [504, 504]},
    "truncated once": {"a.zip": [b"a" * 4000]},
    "altered once": {"a.zip": [b"z" * 5000]},
    "too long once": {"a.zip": [b"a" * 6000]},
    "500 once": {"b.csv": [500]},
}


@pytest.mark.parametrize("case", RECOVERS)
def test_fetch_recovers(zenodo: Zenodo, tmp_path: Path, case: str) -> None:
    """Servers fail for a moment; a fetch must outlast that."""
    zenodo.answers = {name: list(queue) for name, queue in RECOVERS[case].items()}
    get(zenodo, tmp_path)
    assert contents(tmp_path) == DATA


def named(name: str) -> Callable[[Zenodo], None]:
    return lambda z: z.record["files"][0].update(key=name)


REFUSED = {
    "no such record": (
        lambda z: z.answers.update(record=[404]),
        "HTTP 404; there is no such record",
    ),
    "withdrawn": (lambda z: z.answers.update(record=[410]), "HTTP 410; it was withdrawn"),
    "closed": (lambda z: z.answers.update(record=[403]), "HTTP 403"),
    "429 for ever": (lambda z: z.answers.update(record=[429] * 9), "HTTP 429; try later"),
    "not json": (lambda z: z.answers.update(record=[b"<html>"]), "not JSON"),
    "json of another kind": (lambda z: z.answers.update(record=[b"[]"]), "not a record"),
    "empty record": (lambda z: z.record.update(files=[]), "lists no files"),
    "no list of files": (lambda z: z.record.pop("files"), "lists no files"),
    "climbing name": (named("../evil.sh"), "'../evil.sh' is not safe"),
    "absolute name": (named("/tmp/evil.sh"), "is not safe"),
    "Windows name": (named("C:\\evil.sh"), "is not safe"),
    "name of nothing": (named(""), "is not safe"),
    "hidden name": (named(".bashrc"), "is not safe"),
    "option as a name": (named("-rf"), "is not safe"),
    "name of our own list": (named("meta.json"), "is not safe"),
    "name with a newline": (named("a\nb"), "is not safe"),
    "name that is no text": (lambda z: z.record["files"][0].update(key=7), "is not safe"),
    "same name twice": (named("B.CSV"), "same name"),
    "no md5": (lambda z: z.record["files"][0].pop("checksum"), "no usable size and md5"),
    "a lie about the size": (lambda z: z.record["files"][0].update(size=10**15), "GB are needed"),
    "file missing": (lambda z: z.files.pop("a.zip"), "a.zip: not fetched .*404"),
    "truncated for ever": (
        lambda z: z.files.update({"a.zip": b"a" * 4000}),
        "truncated .4000 of 5000 bytes",
    ),
    "altered for ever": (
        lambda z: z.files.update({"a.zip": b"z" * 5000}),
        "a.zip: altered on the way",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_fetch_refuses(zenodo: Zenodo, tmp_path: Path, case: str) -> None:
    """Hostile or broken records end in one line with nothing kept."""
    damage, message = REFUSED[case]
    damage(zenodo)
    with pytest.raises(RbcError, match=message) as caught:
        get(zenodo, tmp_path / "deep" / "out")
    assert "\n" not in str(caught.value)
    assert contents(tmp_path / "deep" / "out") == {}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]


def test_what_is_whole_is_kept_for_the_next_run(zenodo: Zenodo, tmp_path: Path) -> None:
    """An interrupted night must not begin anew."""
    zenodo.answers = {"b.csv": [404] * 20}
    with pytest.raises(RbcError, match=r"b\.csv: not fetched"):
        get(zenodo, tmp_path)
    assert contents(tmp_path) == {}
    with pytest.raises(RbcError, match="its fetch was not finished"):
        ingest.read(tmp_path)
    zenodo.answers = {}
    get(zenodo, tmp_path)
    assert contents(tmp_path) == DATA and zenodo.asked["a.zip"] == 1


def test_nobody_there(tmp_path: Path) -> None:
    """Without a network the line says what to do."""
    with pytest.raises(RbcError, match="ConnectionError; try later"):
        fetch_zenodo(tmp_path, base="http://127.0.0.1:9", patience=QUICK)


FETCH = (
    "import sys, pathlib; from compendium.data import download as d;"
    " d.fetch_zenodo(pathlib.Path(sys.argv[1]), base=sys.argv[2])"
)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_the_middle_and_run_again(
    zenodo: Zenodo, tmp_path: Path, how: signal.Signals
) -> None:
    """Ctrl-C must cost only the file that was under way."""
    zenodo.answers = {"b.csv": [429] * 50}  # so that it hangs there, with a.zip whole
    out = tmp_path / "out"
    run = subprocess.Popen(
        [sys.executable, "-c", FETCH, out, zenodo.base], stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 20
    while not zenodo.asked["b.csv"] and time.monotonic() < until:
        time.sleep(0.05)
    run.send_signal(how)
    said = run.communicate(timeout=20)[1]
    assert run.returncode != 0 and contents(out) == {}
    assert how == signal.SIGKILL or "interrupted; what is whole is kept" in said
    zenodo.answers = {}
    get(zenodo, out)
    assert contents(out) == DATA and zenodo.asked["a.zip"] == 1


def test_one_fetch_at_a_time(zenodo: Zenodo, tmp_path: Path) -> None:
    """Two fetches into one folder would mix files."""
    with download._alone(tmp_path), pytest.raises(RbcError, match="another fetch is running"):
        get(zenodo, tmp_path)


def test_disk_too_small_for_the_record(small_disk: Path) -> None:
    """One must learn it before, not after hours."""
    server = Zenodo({"a.bin": b"a" * 3_000_000})
    with pytest.raises(RbcError, match="GB are needed"):
        get(server, small_disk / "out")
    server.close()


def test_disk_full_while_fetching(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not leave a file that looks whole."""
    server = Zenodo({"a.bin": b"a" * 3_000_000})
    # as if another program filled it
    monkeypatch.setattr(download, "_check_space", lambda folder, needed: None)
    with pytest.raises(RbcError, match=r"a\.bin: the disk is full"):
        get(server, small_disk / "out")
    server.close()
    assert contents(small_disk / "out") == {}


def test_disk_full_while_ingesting(small_disk: Path, tmp_path: Path) -> None:
    """A full disk must not leave half a data set."""
    cells = made(12 * 40)
    LAYOUTS["split_csv"](tmp_path, cells)
    shutil.rmtree(small_disk / "x", ignore_errors=True)
    with pytest.raises(RbcError, match="the disk is full; nothing was kept"):
        ingest.into(tmp_path, small_disk / "out", layout=None, simulated=True, workers=1)
    assert list(small_disk.iterdir()) == []


def test_from_a_folder_without_network(zenodo: Zenodo, tmp_path: Path) -> None:
    """Files fetched elsewhere count, if they are whole."""
    get(zenodo, tmp_path / "a")
    assert (
        fetch_zenodo(tmp_path / "b", tmp_path / "a", base="http://127.0.0.1:9")["verified"] is True
    )
    assert contents(tmp_path / "b") == DATA
    (tmp_path / "a" / "a.zip").write_bytes(b"a" * 4999)
    with pytest.raises(RbcError, match=r"a\.zip: missing, truncated or altered"):
        fetch_zenodo(tmp_path / "c", tmp_path / "a")
    assert contents(tmp_path / "c") == {}


def named(folder: Path) -> set[str]:
    """Every file below a folder that is not the fetch's own."""
    files = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}
    return files - {".lock", "meta.json"}


def test_from_one_file_takes_that_file_alone(tmp_path: Path) -> None:
    """A folder of downloads holds films and passwords too: they are nobody's business."""
    downloads = tmp_path / "Downloads"
    downloads.mkdir()
    for name in ("passwords.txt", "holiday.mp4", "other.zip"):
        (downloads / name).write_bytes(b"private")
    (downloads / "5723606.zip").write_bytes(zipped(downloads))
    meta = fetch_zenodo(tmp_path / "out", downloads / "5723606.zip")
    assert named(tmp_path / "out") == {"5723606.zip"}
    assert meta["verified"] is False and [f["name"] for f in meta["files"]] == ["5723606.zip"]
    with pytest.raises(RbcError, match=r"holds other things too, such as holiday\.mp4"):
        fetch_zenodo(tmp_path / "second", downloads)
    assert named(tmp_path / "second") == set()
    with pytest.raises(RbcError, match=r"passwords\.txt: neither an archive nor"):
        fetch_zenodo(tmp_path / "second", downloads / "passwords.txt")


def test_from_a_folder_takes_the_layout_it_knows_and_says_what_it_left(tmp_path: Path) -> None:
    """Unpacked data are taken; a letter that lies beside them is not, and is named."""
    mine = tmp_path / "mine"
    mine.mkdir()
    LAYOUTS["split_csv"](mine, made(12))
    wanted = named(mine)
    (mine / "letter.docx").write_bytes(b"private")
    meta = fetch_zenodo(tmp_path / "out", mine)
    assert named(tmp_path / "out") == wanted
    assert meta["verified"] is False and meta["left"] == ["letter.docx"]
    assert ingest.read(tmp_path / "out", simulated=True).index["split"].nunique() == 3


def test_a_second_fetch_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    """Two versions of a record must not be read as one; what the user put there stays."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.zip").write_bytes(zipped(tmp_path / name))
    fetch_zenodo(tmp_path / "out", tmp_path / "old")
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    fetch_zenodo(tmp_path / "out", tmp_path / "new")
    assert named(tmp_path / "out") == {"new.zip", "notes.txt"}


def test_a_list_that_leads_outside_is_refused(tmp_path: Path) -> None:
    """A meta.json from elsewhere must not make us copy, or remove, files outside of the folder."""
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    entry = {"name": "../secret", "size": 1, "md5": hashlib.md5(b"x").hexdigest()}
    (tmp_path / "mine" / "meta.json").write_text(json.dumps({"files": [entry]}), encoding="utf-8")
    with pytest.raises(RbcError, match="not the list of an earlier fetch"):
        fetch_zenodo(tmp_path / "out", tmp_path / "mine")
    assert named(tmp_path / "out") == set()


@pytest.mark.parametrize("source", ["network", "verified folder", "file", "released"])
def test_what_is_said_at_the_end_is_what_was_done(
    zenodo: Zenodo, tmp_path: Path, source: str
) -> None:
    """Nothing that was not verified is called so."""
    if source == "released":
        meta = {"source": "sample", "verified": 13, "unknown": 2}
        said = download.in_words(meta, tmp_path)
        assert "13 files verified by SHA-256" in said and "of 2 more we know no checksum" in said
        return
    meta = get(zenodo, tmp_path / "a")
    if source == "verified folder":
        meta = fetch_zenodo(tmp_path / "b", tmp_path / "a")
    if source == "file":
        (tmp_path / "c").mkdir()
        cut = shutil.copy(tmp_path / "a" / "a.zip", tmp_path / "c" / "a.zip")
        meta = fetch_zenodo(tmp_path / "b", Path(cut))
    said = download.in_words(meta, tmp_path)
    assert ("NOT verified" in said) == (source == "file")
    assert ("of the size and md5 that the record lists" in said) == (source != "file")


def test_the_newer_form_of_an_answer_is_understood(tmp_path: Path) -> None:
    """Zenodo also lists files as {entries: {name: file}}, and may answer with another version."""
    server = Zenodo(DATA)
    entries = {entry["key"]: entry for entry in server.record["files"]}
    server.record |= {"files": {"count": len(entries), "entries": entries}, "id": 5723607}
    meta = get(server, tmp_path / "out")
    server.close()
    assert contents(tmp_path / "out") == DATA
    assert "record 5723607, another version" in download.in_words(meta, tmp_path)


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [("7", 7, 7), ("in 60 s", 55, 60), ("an hour ago", 0, 0), ("soon", 0, 0), ("9999", 120, 120)],
)
def test_a_server_may_ask_for_patience_in_either_form(asked: str, low: float, high: float) -> None:
    """Retry-After is a number of seconds or a date; we never wait longer than two minutes."""
    shifts = {"in 60 s": 60, "an hour ago": -3600}
    if asked in shifts:
        asked = formatdate(time.time() + shifts[asked], usegmt=True)
    answer = requests.Response()
    answer.headers["Retry-After"] = asked
    assert low <= download._retry_after(answer) <= high


@pytest.mark.parametrize("damage", ["missing", "empty", "link", "strange list"])
def test_from_a_folder_refuses(tmp_path: Path, damage: str) -> None:
    """What cannot be the record is not taken for it."""
    source = tmp_path / "mine"
    if damage != "missing":
        source.mkdir()
    if damage == "link":
        (source / "x").symlink_to("/etc/hostname")
    if damage == "strange list":
        (source / "meta.json").write_text('{"files": [{"url": "x"}]}', encoding="utf-8")
    with pytest.raises(
        RbcError,
        match=r"no folder with downloaded|no layout is recognised|not the list of an earlier fetch",
    ):
        fetch_zenodo(tmp_path / "out", source)
    assert contents(tmp_path / "out") == {}


def packed(entries: list[tuple[zipfile.ZipInfo | str, bytes]]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return memory.getvalue()


def zip_link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info, target.encode()


def tar_of(**fields: object) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        info = tarfile.TarInfo("x")
        for key, value in fields.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(b"x" * info.size))
    return memory.getvalue()


def bomb() -> bytes:
    """10 GB of zeros in 10 MB: gzip allows the same hundredth a hundred times."""
    info = tarfile.TarInfo("zeros")
    info.size = 10**10
    return gzip.compress(info.tobuf()) + gzip.compress(bytes(10**8)) * 100


def lying_bomb() -> bytes:
    """Declares 10 bytes and holds 200 MB."""
    content = bytearray(packed([("zeros", bytes(2 * 10**8))]))
    for at, field in ((content.index(b"PK\x01\x02"), 24), (0, 22)):
        content[at + field : at + field + 4] = (10).to_bytes(4, "little")
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(packed([("x", b"x")]))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def in_zips(depth: int) -> bytes:
    content = b"x"
    for i in range(depth):
        content = packed([(f"{i}.zip", content)])
    return content


ARCHIVES = {
    "climbing": ("a.zip", lambda: packed([("../evil", b"x")]), "outside the folder"),
    "climbing deeper": ("a.zip", lambda: packed([("a/../../evil", b"x")]), "outside the folder"),
    "absolute": ("a.zip", lambda: packed([("/tmp/evil", b"x")]), "outside the folder"),
    "Windows drive": ("a.zip", lambda: packed([("C:\\evil", b"x")]), "outside the folder"),
    "backslashes": ("a.zip", lambda: packed([("..\\evil", b"x")]), "outside the folder"),
    "link": ("a.zip", lambda: packed([zip_link("x", "/etc/passwd")]), "is a link"),
    "same name twice": ("a.zip", lambda: packed([("x", b"1"), ("x", b"2")]), "twice"),
    "file as a folder": ("a.zip", lambda: packed([("x", b"1"), ("x/y", b"2")]), "twice"),
    "encrypted": ("a.zip", encrypted, "is encrypted"),
    "10 GB bomb": ("a.tar.gz", bomb, "unpacks to over"),
    "zip bomb": ("a.zip", lambda: packed([("zeros", bytes(3 * 10**8))]), "unpacks to over"),
    "bomb that lies": ("a.zip", lying_bomb, "unpacks to (over|more)|damaged"),
    "zips all the way": ("a.zip", lambda: in_zips(6), "deep"),
    "truncated zip": (
        "a.zip",
        lambda: packed([("x", os.urandom(9999))])[:5000],
        "damaged or cut off",
    ),
    "zip altered inside": (
        "a.zip",
        lambda: (c := packed([("x", os.urandom(9999))]))[:3000] + b"?????" + c[3005:],
        "damaged or cut off",
    ),
    "not a zip": ("a.zip", lambda: b"hello", "damaged or cut off"),
    "empty": ("a.tar.gz", lambda: b"", "damaged or cut off"),
    "tar climbing": ("a.tar.gz", lambda: tar_of(name="../evil"), "outside the folder"),
    "tar absolute": ("a.tar.gz", lambda: tar_of(name="/tmp/evil"), "outside the folder"),
    "tar link": ("a.tar.gz", lambda: tar_of(type=tarfile.SYMTYPE, linkname="/etc"), "is a link"),
    "tar hard link": (
        "a.tar.gz",
        lambda: tar_of(type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        "is a link",
    ),
    "tar device": ("a.tar.gz", lambda: tar_of(type=tarfile.CHRTYPE), "is a link or a device"),
    "tar name not UTF-8": ("a.tar.gz", lambda: tar_of(name="caf\udce9"), "not UTF-8"),
    "tar bomb": ("a.tar.gz", lambda: tar_of(size=3 * 10**8), "unpacks to over"),
    "truncated tar": (
        "a.tar.gz",
        lambda: tarred(Path(__file__).parent)[:5000],
        "damaged or cut off",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", ARCHIVES)
def test_unpack_refuses(tmp_path: Path, case: str) -> None:
    """An archive from outside must not write outside, nor fill the disk."""
    name, content, message = ARCHIVES[case]
    (tmp_path / name).write_bytes(content())
    with pytest.raises(RbcError, match=message) as caught:
        archives.unpack(tmp_path / name, tmp_path / "in" / "out")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.rglob("*")] in ([name, "in"], ["in", name])


@pytest.fixture
def full_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made repository in the layout of the authors', the sums of all but one strip shipped."""
    cells = made(12)
    root = tmp_path / f"repository-{download.RELEASED_COMMIT}"
    (root / "Stage_1" / "test").mkdir(parents=True)
    LAYOUTS["one_csv"](root / "Stage_1" / "test", cells)
    (root / "Stage_1" / "test" / "layout.yaml").unlink()
    for label, name in (("TankTreading", "BG1001_10s01_77"), ("Flipping", "BG1001_10s01_78")):
        (root / "Stage_2" / "data" / label).mkdir(parents=True)
        shutil.copy(
            next((root / "Stage_1").rglob("*_1.png")),
            root / "Stage_2" / "data" / label / f"{name}.png",
        )
    files = sorted(root.rglob("*.png"))[1:]
    sums = "".join(f"{file_hash(f)}  {f.relative_to(root)}\n" for f in files)
    (tmp_path / "sums").write_text(sums, encoding="utf-8")
    monkeypatch.setattr(download, "RELEASED_SUMS", tmp_path / "sums")
    (root / "weights.pkl").write_bytes(b"never looked at")
    return root


def test_released_from_the_server(full_sample: Path, tmp_path: Path) -> None:
    """The authors' sample is fetched, verified and counted."""
    server = Zenodo({download.RELEASED_COMMIT: b""})
    server.files[download.RELEASED_COMMIT] = zipped(full_sample.parent)
    meta = fetch_released(tmp_path / "out", base=server.base, patience=QUICK)
    server.close()
    assert (meta["verified"], meta["unknown"]) == (13, 2)  # one strip and dataset.csv are unknown
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.name[0] != ".") == [
        "Stage_1",
        "Stage_2",
        "meta.json",
    ]
    assert len(ingest.released(tmp_path / "out")) == 14


@pytest.mark.parametrize("damage", ["altered", "missing", "no list", "no folder", "not the sample"])
def test_released_refuses(full_sample: Path, tmp_path: Path, damage: str) -> None:
    """An altered or partial sample must not become data."""
    strip = sorted(full_sample.rglob("*.png"))[3]
    harm = {
        "altered": lambda: strip.write_bytes(b"x"),
        "missing": strip.unlink,
        "no list": (full_sample / "Stage_1" / "test" / "dataset.csv").unlink,
        "no folder": lambda: full_sample.rename(full_sample.with_name("gone")),
        "not the sample": lambda: shutil.rmtree(full_sample / "Stage_2"),
    }
    harm[damage]()
    messages = "altered|missing from the released sample|not the released sample|no such folder"
    with pytest.raises(RbcError, match=messages):
        fetch_released(tmp_path / "out", full_sample)
    assert contents(tmp_path / "out") == {}


@pytest.mark.skipif(not SAMPLE, reason="RBC_SAMPLE does not name the released sample's folder")
def test_released_sample_is_the_one_whose_sums_we_ship(tmp_path: Path) -> None:
    """The real sample is that of the registry."""
    meta = fetch_released(tmp_path / "out", Path(SAMPLE))
    assert (meta["verified"], meta["unknown"]) == (553, 1)
    assert len(ingest.released(tmp_path / "out")) == 553
