"""The paper's record on Zenodo and the authors' released sample: fetched, verified, unpacked; whole
or not at all.

Zenodo is read through the program ``zenodo_get`` (AGPL, so run and never imported), which writes
outside its folder for hostile names, keeps truncated files and ends well on an empty record. So the
record's list is checked before, and the name, size and md5 of every file after it has come into a
folder of its own.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from compendium import ROOT
from compendium.data import surprises
from compendium.data.archives import is_archive, refuse_foreign, unpack
from compendium.data.ingest import RELEASED_META, UNFINISHED, read_sums, verify
from compendium.data.layouts import inside, printable, recognise
from rbc import RbcError, __version__
from rbc.files import file_hash

ZENODO_RECORD = "5723606"  #: "Data availability": doi 10.5281/zenodo.5723606
ZENODO = "https://zenodo.org"
RELEASED_COMMIT = RELEASED_META["version"]
RELEASED_SUMS = ROOT / "data" / "registry" / "released.sha256"
RETRIED = (429, 500, 502, 503, 504)  #: HTTP answers worth asking again
TIMEOUT_S = 30
LONGEST_PAUSE_S = 120.0  #: however long a server asks to wait
#: Some servers refuse a program that does not say who it is.
HEADERS = {"User-Agent": f"rbc-dynamics-compendium/{__version__} (reproduction of a paper)"}


@dataclass(frozen=True)
class RecordFile:
    """One file of a record: its name, bytes and md5 in hex."""

    name: str
    size: int
    md5: str


@dataclass(frozen=True)
class Patience:
    """How often to try, and the seconds before the second try; they double each time."""

    tries: int = 5
    wait: float = 2.0

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before each further try."""
        return (self.wait * 2**i for i in range(self.tries - 1))


def fetch_zenodo(
    out: Path,
    from_path: Path | None = None,
    *,
    base: str = ZENODO,
    record: str = ZENODO_RECORD,
    patience: Patience = Patience(),
) -> dict:
    """Fetch what `out` still lacks of the record, verify all of it, and return what its meta.json
    says.

    Whole files wait in a hidden folder until all are there, so `out` never holds part of a record;
    run again, it goes on where it stopped. With `from_path` the files are copied from a folder, or
    one file, instead, with no network: only what can be the record's, and verified only where
    a meta.json of an earlier fetch lies beside it.
    `base` is the server, another one for tests only.

    Raises `RbcError`, one line, for a record that is missing, closed, empty or has hostile names;
    for files that stay damaged; for a full disk, and an interrupt.
    """
    out = Path(out)
    with _alone(out):
        if from_path:
            return _copied(Path(from_path), out, record)
        described = _described(_ask(f"{base}/api/records/{record}", patience), record)
        files = [RecordFile(**f) for f in described["files"]]
        waiting = out / UNFINISHED
        waiting.mkdir(exist_ok=True)
        missing = [
            f for f in files if not any(_is_whole(place / f.name, f) for place in (out, waiting))
        ]
        _check_space(out, sum(f.size for f in missing))
        for file in missing:
            _fetch_file(file, waiting, record, base, patience)
        _move_in(waiting, out, files, described)
    return described


def listed(base: str = ZENODO, record: str = ZENODO_RECORD) -> list[RecordFile]:
    """Files of the record as the server lists them, nothing fetched.

    Parameters
    ----------
    base : the server, another one for tests only
    record : number of the record

    Raises
    ------
    RbcError
        for a record that is missing, closed, empty or has hostile names
    """
    answer = _ask(f"{base}/api/records/{record}", Patience(tries=3, wait=1.0))
    return [RecordFile(**file) for file in _described(answer, record)["files"]]


def fetch_released(
    out: Path,
    from_path: Path | None = None,
    *,
    base: str = "https://codeload.github.com",
    patience: Patience = Patience(),
) -> dict:
    """The authors' released sample at `RELEASED_COMMIT`, from GitHub's archive of their repository.

    Only the strips and their list are kept, no code and no weights. Each file is checked against
    the SHA-256 values in data/registry/released.sha256; files with no value there (131 test strips
    and dataset.csv) are counted as unknown. `from_path` is a folder or an archive already there.
    Returns and writes meta.json: source, version, and numbers of verified and unknown files.

    Raises `RbcError` for what cannot be fetched, lacks the strips, or is altered.
    """
    out = Path(out)
    url = f"{base}/icannos/redbloodcells_disease_classification/zip/{RELEASED_COMMIT}"
    with _alone(out), _scratch(out) as scratch:
        source = (
            Path(from_path) if from_path else _download(url, scratch / "released.zip", patience)
        )
        if is_archive(source):
            source = unpack(source, scratch / "unpacked")
        root = _released_root(source)
        verify(root)
        for part in ("Stage_1/test", "Stage_2/data"):
            _copy_tree(root / part, scratch / "new" / part)
        meta = {
            **RELEASED_META,
            **_compare(scratch / "new"),
        }
        _write_json(scratch / "new" / "meta.json", meta)
        for name in ("Stage_1", "Stage_2", "meta.json"):
            _replace(scratch / "new" / name, out / name)
    return meta


def in_words(meta: dict, folder: Path) -> str:
    """What a fetch has done, in one line or a few: what was verified, and what was not.

    Parameters
    ----------
    meta : what `fetch_zenodo` or `fetch_released` returned
    folder : where the files are
    """
    source, verified = meta["source"], meta["verified"]
    if "unknown" in meta:
        unknown = f"; of {meta['unknown']} more we know no checksum: not verified"
        return f"{source}: {verified} files verified by SHA-256{unknown}, in {folder}"
    n = len(meta["files"])
    if verified:
        lines = [f"{source}: {n} files of the size and md5 that the record lists, in {folder}"]
    else:
        lines = [
            f"{source}, as you say: {n} files taken as they are, NOT verified, as no list of the"
            f" record lay beside them, in {folder}"
        ]
    if meta.get("redirected"):
        lines.append(f"the server answered with record {meta['redirected']}, another version")
    if left := meta.get("left"):
        lines.append(f"left where they were: {len(left)} other things, such as {left[0]}")
    return "\n".join(lines)


def _ask(url: str, patience: Patience) -> dict:
    """A record's description as JSON, asked again on 429, 5xx, timeouts and broken connections."""
    answer = _get(url, patience, stream=False)
    try:
        found = answer.json()
    except ValueError as error:
        raise RbcError(
            f"{url}: the server's answer is not JSON; try later or use --from"
        ) from error
    if not isinstance(found, dict):
        raise RbcError(f"{url}: the server's answer is not a record; try later or use --from")
    return found


def _get(url: str, patience: Patience, *, stream: bool) -> requests.Response:
    for pause in [*patience.pauses(), None]:
        try:
            answer = requests.get(url, timeout=TIMEOUT_S, stream=stream, headers=HEADERS)
            trouble, again = f"HTTP {answer.status_code}", answer.status_code in RETRIED
            if answer.ok:
                return answer
            pause = pause and max(pause, _retry_after(answer))
        except requests.RequestException as error:
            trouble, again = (
                type(error).__name__,
                isinstance(error, requests.ConnectionError | requests.Timeout),
            )
        if not again or pause is None:
            break
        tqdm.write(f"{url}: {trouble}; trying again in {pause:.0f} s", file=sys.stderr)
        time.sleep(pause)
    hint = {"HTTP 404": "there is no such record", "HTTP 410": "it was withdrawn"}.get(
        trouble, "try later"
    )
    raise RbcError(f"{url}: {trouble}; {hint}, or use --from with files already downloaded")


def _retry_after(answer: requests.Response) -> float:
    """Seconds the server asks to wait, at most two minutes."""
    asked = answer.headers.get("Retry-After", "0")
    try:
        seconds = Retry().parse_retry_after(asked)  # a number of seconds, or a date
    except InvalidHeader:
        return 0.0
    return min(seconds, LONGEST_PAUSE_S)


def _described(answer: dict, record: str) -> dict:
    """What we keep of a record's description, once its list of files is found safe and usable."""
    where = f"Zenodo record {record}"
    listed = answer.get("files") or []
    if isinstance(listed, dict):  # newer answers of the server: {"entries": {name: file}}
        listed = list((listed.get("entries") or {}).values())
    if not listed:
        raise RbcError(
            f"{where}: it lists no files (closed or empty?); download by hand and use --from"
        )
    files = [_record_file(where, entry) for entry in listed]
    if len({f.name.lower() for f in files}) < len(files):
        raise RbcError(f"{where}: two files have the same name; download by hand and use --from")
    about = answer.get("metadata") or {}
    licence = about.get("license") or {}
    return {
        "source": f"Zenodo record {record}",
        "redirected": str(answer["id"]) if str(answer.get("id", record)) != record else "",
        "doi": answer.get("doi"),
        "title": about.get("title"),
        "version": about.get("version") or about.get("publication_date"),
        "licence": licence.get("id") if isinstance(licence, dict) else licence,
        "files": [asdict(f) for f in files],
        "verified": True,
    }


def _record_file(where: str, entry: dict) -> RecordFile:
    name = entry.get("key") or entry.get("filename") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not _is_plain(name):
        raise RbcError(
            f"{where}: the file name {name!r} is not safe; download by hand and use --from"
        )
    size, checksum = entry.get("size"), str(entry.get("checksum", "")).removeprefix("md5:")
    if (
        not isinstance(size, int)
        or size < 0
        or len(checksum) != 32
        or not set(checksum) <= set("0123456789abcdef")
    ):
        raise RbcError(
            f"{where}: {name!r} has no usable size and md5; download by hand and use --from"
        )
    return RecordFile(name, size, checksum)


def _is_plain(name: str) -> bool:
    """Whether a name is one visible file in one folder on every system, and not that of our own
    meta.json.
    """
    plain = inside(name) and name.isprintable() and not set(name) & set('/\\:*?"<>|')
    return plain and name[0] not in ".~-" and name.lower() != "meta.json"


def _fetch_file(file: RecordFile, folder: Path, record: str, base: str, patience: Patience) -> None:
    """One file of the record into `folder`, through zenodo_get in an empty folder, tried again
    until it is right.
    """
    for pause in [*patience.pauses(), None]:
        scratch = folder / "part"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        said = _zenodo_get(file, scratch, record, base, patience)
        if not (scratch / file.name).exists():  # the program does not know the server's newer form
            _directly(file, scratch, record, base)
        if _is_whole(scratch / file.name, file):
            os.replace(scratch / file.name, folder / file.name)
            shutil.rmtree(scratch)
            return
        problem = _problem(scratch / file.name, file, said)
        shutil.rmtree(scratch)
        if "disk is full" in problem or pause is None:
            raise RbcError(
                f"{file.name}: {problem}; what is whole is kept, run the same command again"
            )
        time.sleep(pause)


def _directly(file: RecordFile, scratch: Path, record: str, base: str) -> None:
    """The same file by its address in the record, tried once; the caller judges what came."""
    url = f"{base}/api/records/{record}/files/{quote(file.name)}/content"
    with suppress(RbcError):
        _download(url, scratch / file.name, Patience(tries=1))


def _zenodo_get(file: RecordFile, scratch: Path, record: str, base: str, patience: Patience) -> str:
    """Run the program for one file, showing how far it is; returns its complaint, if any."""
    options = ["-v", "1", "-R", "0", "-n", "-k", "-t", str(TIMEOUT_S)]
    options += [
        "--max-http-retries",
        str(patience.tries - 1),
        "--backoff-factor",
        str(patience.wait),
    ]
    command = [
        sys.executable,
        "-m",
        "zenodo_get",
        *options,
        "-g",
        glob.escape(file.name),
        "-o",
        str(scratch),
        record,
    ]
    # A session of its own: its handler would keep it going after the first Ctrl-C.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"RBC_ZENODO_BASE": base},
        start_new_session=True,
    ) as program:
        try:
            return _watched(program, scratch / file.name, file)
        finally:
            program.kill()


def _watched(program: subprocess.Popen, growing: Path, file: RecordFile) -> str:
    with tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True, disable=None) as bar:
        while True:
            try:
                said = program.communicate(timeout=0.2)[0].decode(errors="replace")
                return _complaint(said)
            except subprocess.TimeoutExpired:
                bar.update((growing.stat().st_size if growing.exists() else 0) - bar.n)


def _complaint(said: str) -> str:
    """The program's first error, without the colours."""
    errors = re.findall(r"ERROR: (.*)", re.sub("\x1b\\[[0-9;]*m", "", said))
    return errors[0] if errors else "the program gave no reason"


def _problem(found: Path, file: RecordFile, said: str) -> str:
    if shutil.disk_usage(found.parent).free < file.size - (
        found.stat().st_size if found.exists() else 0
    ):
        return "the disk is full"
    if found.exists() and found.stat().st_size != file.size:
        return f"truncated ({found.stat().st_size} of {file.size} bytes)"
    if found.exists():
        return "altered on the way (md5 differs)"
    return f"not fetched ({printable(said)[:200]})"


def _is_whole(found: Path, file: RecordFile) -> bool:
    return found.is_file() and found.stat().st_size == file.size and _md5(found) == file.md5


def _md5(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


def _move_in(waiting: Path, out: Path, files: list[RecordFile], described: dict) -> None:
    """All files are whole: let them appear in `out`, the description last."""
    _clear_former(out, {file.name for file in files})
    for file in files:
        if (waiting / file.name).exists():
            os.replace(waiting / file.name, out / file.name)
    shutil.rmtree(waiting)
    _write_json(out / "meta.json", described)


def _copied(source: Path, out: Path, record: str) -> dict:
    """Files already downloaded: those of the record, and nothing else that lies beside them.

    Where an earlier fetch's meta.json lies beside them they are those that it lists, each verified.
    Otherwise they are taken as they are, and noted as unverified.
    """
    described, files = _noted(source)
    for file in files:
        if not _is_whole(source / file.name, file):
            raise RbcError(
                f"{source / file.name}: missing, truncated or altered (md5 differs); fetch it again"
            )
    taken = [source / file.name for file in files] or _recognised(source)
    with _scratch(out) as scratch:
        new = scratch / "new"
        new.mkdir()
        for path in taken:
            _copy(path, new / _inside(path, source))
        if not described:
            copies = sorted(path for path in new.rglob("*") if path.is_file())
            described = {
                "source": f"Zenodo record {record}",
                "verified": False,
                "files": [asdict(_as_found(path, new)) for path in copies],
                "left": _left(source, taken),
            }
        _clear_former(out, {path.name for path in new.iterdir()})
        for entry in sorted(new.iterdir()):
            _replace(entry, out / entry.name)
        _write_json(out / "meta.json", described)
    return described


def _recognised(source: Path) -> list[Path]:
    """What of a file or a folder can be the record: archives, .mat files, parts of a known layout.

    Raises `RbcError` where nothing is, and where archives lie among files of another kind, as in a
    folder of downloads: nobody can tell there which are the record's.
    """
    if source.is_file():
        if not _can_be_of_the_record(source):
            raise RbcError(
                f"{source}: neither an archive nor a .mat file; name the file you fetched"
            )
        return [source]
    if not source.is_dir() or not any(source.iterdir()):
        raise RbcError(f"{source}: no file and no folder with downloaded files there")
    refuse_foreign(source)
    visible = sorted(path for path in source.iterdir() if not path.name.startswith("."))
    packed = [path for path in visible if path.is_file() and _can_be_of_the_record(path)]
    if packed:
        if strange := [path for path in visible if path not in packed]:
            raise RbcError(
                f"{source}: holds other things too, such as {printable(strange[0].name)}; name the"
                f" record's own file, such as --from {printable(packed[0])}, or a folder of its own"
            )
        return packed
    with surprises.explained(source, None):
        root, layout = recognise(source)
    if (root / "layout.yaml").is_file():
        return [root]
    return [root / part.path for part in layout.parts]


def _can_be_of_the_record(path: Path) -> bool:
    return path.suffix.lower() == ".mat" or is_archive(path)


def _inside(path: Path, source: Path) -> Path:
    """Where in the new folder a taken file or folder belongs: as it lay in its source."""
    return Path() if path == source and path.is_dir() else path.relative_to(_folder_of(source))


def _folder_of(source: Path) -> Path:
    return source.parent if source.is_file() else source


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        return _copy_tree(source, target)
    if source.is_symlink():
        raise RbcError(f"{source}: a link; copy the file itself there")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    return None


def _as_found(path: Path, folder: Path) -> RecordFile:
    return RecordFile(path.relative_to(folder).as_posix(), path.stat().st_size, _md5(path))


def _left(source: Path, taken: list[Path]) -> list[str]:
    """Names in the source's folder that were not taken."""
    if source.is_file() or source in taken:
        return []
    tops = {path.relative_to(source).parts[0] for path in taken if path != source}
    return sorted(printable(path.name) for path in source.iterdir() if path.name not in tops)


def _clear_former(out: Path, new: set[str]) -> None:
    """Remove what an earlier fetch put into a folder and the new one does not: never mix two."""
    described, files = _noted(out)
    if described:
        for top in {Path(file.name).parts[0] for file in files} - new:
            if inside(top):
                _remove(out / top)


def _noted(source: Path) -> tuple[dict, list[RecordFile]]:
    """An earlier fetch's meta.json and the files it lists; nothing where there is none."""
    source = _folder_of(source)
    if not (source / "meta.json").is_file():
        return {}, []
    try:
        described = json.loads((source / "meta.json").read_text(encoding="utf-8"))
        files = [RecordFile(**f) for f in described.get("files", [])]
        if not all(inside(file.name) for file in files):
            raise ValueError("a file outside of the folder")
        return described, files
    except (ValueError, TypeError, AttributeError) as error:
        raise RbcError(
            f"{source / 'meta.json'}: not the list of an earlier fetch; move it away"
        ) from error


def _download(url: str, file: Path, patience: Patience) -> Path:
    """One file by HTTP, tried again when the connection breaks."""
    for pause in [*patience.pauses(), None]:
        answer = _get(url, patience, stream=True)
        total = int(answer.headers.get("Content-Length", 0)) or None
        try:
            with (
                file.open("wb") as out,
                tqdm(total=total, unit="B", unit_scale=True, disable=None) as bar,
            ):
                for block in answer.iter_content(1 << 20):
                    bar.update(out.write(block))
            if total in (None, file.stat().st_size):
                return file
        except requests.RequestException:
            pass  # cut off: try again below
        if pause is not None:
            time.sleep(pause)
    raise RbcError(
        f"{url}: cut off each time; try later, or use --from with files already downloaded"
    )


def _released_root(folder: Path) -> Path:
    """The folder that has Stage_1/test and Stage_2/data: this one or the only one inside it."""
    if not folder.is_dir():
        raise RbcError(f"{folder}: no such folder or archive")
    for candidate in [folder, *sorted(folder.iterdir())]:
        if (candidate / "Stage_1/test/dataset.csv").is_file() and (
            candidate / "Stage_2/data"
        ).is_dir():
            return candidate
    raise RbcError(
        f"{folder}: not the released sample (Stage_1/test/dataset.csv and Stage_2/data are missing)"
    )


def _compare(folder: Path) -> dict[str, int]:
    """How many files agree with the SHA-256 values that we ship, and for how many we have none."""
    known = read_sums(RELEASED_SUMS)
    files = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    for path in sorted(files.keys() & known.keys()):
        if file_hash(files[path]) != known[path]:
            raise RbcError(
                f"{path}: altered (SHA-256 differs from {RELEASED_SUMS.name}); fetch it again"
            )
    if missing := sorted(known.keys() - files.keys()):
        raise RbcError(
            f"{missing[0]}: missing from the released sample, and {len(missing) - 1}"
            " more; fetch it again"
        )
    return {"verified": len(known), "unknown": len(files) - len(known)}


def _copy_tree(source: Path, target: Path) -> None:
    """Plain files and folders only: a link might lead anywhere."""
    if links := [p for p in source.rglob("*") if p.is_symlink()]:
        raise RbcError(f"{links[0]}: a link; copy the file itself there")
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"))


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RbcError(
            f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free;"
            " make room or move it"
        )


def _replace(new: Path, old: Path) -> None:
    _remove(old)
    os.replace(new, old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_json(file: Path, value: dict) -> None:
    part = file.with_name(f".{file.name}")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(part, file)


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """An empty hidden folder in `out`, gone afterwards."""
    scratch = out / UNFINISHED
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One fetch at a time into a folder; what the disk refuses is one line."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise RbcError(f"{out}: another fetch is running there") from error
    except KeyboardInterrupt as error:
        raise RbcError(
            f"{out}: interrupted; what is whole is kept, run the same command again"
        ) from error
    except OSError as error:
        raise RbcError(
            f"{out}: {error.strerror or error}; what is whole is kept, run the same command again"
        ) from error
