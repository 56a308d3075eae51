"""Parameterised notebooks: executed by papermill into pages, each of which knows what it was made
from.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from compendium import ROOT, engine, keys, runs
from compendium.profiles import Profile
from rbc import RbcError, record
from rbc.paper import Configuration
from rbc.settings import TEXT

FOLDER = ROOT / "notebooks"
#: What a page may read that belongs to its content; the rest of the checkout is code, other pages,
#: or built.
CONTENT = (
    "data/", "results/", "config/", "book/learn/", "rbc/reported/", "rbc/bench/weights/",
    "rbc/validity.json", "compendium/evidence/templates/",
)  # fmt: skip
READ = "read "  #: names the inputs of a page that its kernel read
LOGS = "results/logs"
FILES_BESIDE = ("errors",)  #: notebooks that leave files beside their page


def execute(
    notebook: Path,
    out: Path,
    parameters: dict,
    words: dict[str, str],
    environment: dict[str, str] | None = None,
) -> None:
    """Run a parameterised notebook by papermill into a page, whole or not at all.

    Parameters
    ----------
    notebook : the notebook, with a cell tagged ``parameters``
    out : the page to write; its metadata ``made`` says when, of which commit and from what (see
        `why`)
    parameters : values for the notebook's parameters
    words : fill the ``{{...}}`` of its Markdown and captions
    environment : variables set for this notebook's kernel alone

    Raises
    ------
    RbcError
        for a parameter that the notebook does not have (papermill would only warn) and for a cell
        that fails; the failed notebook is then left one folder above `out`, as
        ``<folder>-<name>.failed.ipynb``
    """
    import papermill  # here and below, as these would slow the start of every command
    from nbclient.exceptions import DeadKernelError

    from compendium import kernel

    known = set(papermill.inspect_notebook(_as_written(notebook)))
    if unknown := sorted(set(parameters) - known):
        raise RbcError(
            f"{notebook}: unknown parameter {', '.join(unknown)}; it knows"
            f" {', '.join(sorted(known))}"
        )
    part = out.with_name(f".{out.name}")
    part.write_text(_filled(notebook, words), encoding="utf-8")
    failed = (
        out.parent.parent
        / f"{out.parent.name.strip('.').removesuffix('.part')}-{out.stem}.failed.ipynb"
    )
    kernel.prepare()
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="rbc-notebook-") as folder:
        reads = Path(folder) / "reads.json"
        place = kernel.Place(
            str(ROOT), environment or {}, str(ROOT / LOGS / "kernels.log"), str(reads)
        )
        try:
            papermill.execute_notebook(
                _as_written(part), _as_written(part), parameters, progress_bar=False, cwd=str(ROOT),
                kernel_name="python3", kernel_manager_class=kernel.manager(place),
            )  # fmt: skip
        except (papermill.PapermillExecutionError, DeadKernelError) as error:
            if engine.stopping.is_set():
                part.unlink()
                raise RbcError(f"{notebook.name}: stopped") from error
            part.rename(failed)
            what = " ".join(
                f"{getattr(error, 'ename', 'kernel')}: {getattr(error, 'evalue', error)}".split()
            )
            raise RbcError(f"{notebook.name} failed: {what} (see {failed})") from error
        found = json.loads(reads.read_text(encoding="utf-8"))
    page = json.loads(part.read_text(encoding="utf-8"))
    # paths of this machine; what matters is in `made` and a run's provenance.json
    page["metadata"].pop("papermill")
    page["metadata"]["made"] = {
        **runs.checkout(),
        "finished": runs.now(),
        "seconds": round(time.time() - started, 1),
        "inputs": _inputs(notebook, parameters, words) | _read(found, out),
    }
    _write_page(out, page)
    part.unlink()
    failed.unlink(missing_ok=True)  # of an earlier attempt


def _as_written(path: Path) -> str:
    """A path for papermill, which would fill in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def why(out: Path, notebook: Path, parameters: dict, words: dict[str, str]) -> str:
    """In words why a page is not what `execute` would make of these arguments now; empty where it
    is.

    It depends on its notebook, the code that this imports, its parameters and its words, every
    file that it read and every folder that it listed.

    Parameters
    ----------
    out, notebook, parameters, words : as of `execute`
    """
    try:
        before = json.loads(out.read_text(encoding="utf-8"))["metadata"]["made"]["inputs"]
    except (OSError, ValueError, KeyError):
        return "not made yet"
    read = [name.removeprefix(READ) for name in before if name.startswith(READ)]
    files = [name for name in read if not name.endswith("/")]
    folders = [name.removesuffix("/") for name in read if name.endswith("/")]
    now = _inputs(notebook, parameters, words) | _content(files, folders)
    return record.in_words(before, now)


def _inputs(notebook: Path, parameters: dict, words: dict[str, str]) -> dict[str, str]:
    """What a page depends on before it is made, a hash by name."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    own = {
        name: str(value)
        for name, value in parameters.items()
        if name not in ("folder", "checkpoints")
    }
    modules = tuple(sorted({*record.imports(text), "compendium.drawn"}))
    found = {"notebook": record.key_of(cells), "parameters": record.key_of(own)}
    found |= {"words": record.key_of(words)} | record.code(modules)
    # A kernel does not see that a template is read where its module was imported before.
    return found | record.named_files(modules)


def _read(found: dict[str, list[str]], out: Path) -> dict[str, str]:
    """Content of what a kernel read, without what the notebook wrote beside its own page."""
    own = str(out.parent.relative_to(ROOT)) if out.is_relative_to(ROOT) else ""

    def belongs(path: str) -> bool:
        return (
            path.startswith(CONTENT)
            and not path.startswith(LOGS)
            and not (own and path.startswith(own))
        )

    files, folders = (sorted(filter(belongs, found[kind])) for kind in ("files", "folders"))
    return _content(files, folders)


def _content(files: list[str], folders: list[str]) -> dict[str, str]:
    held = keys.content(ROOT, files, folders)
    return {f"{READ}{name}": held[name] for name in held}


def _filled(notebook: Path, words: dict[str, str]) -> str:
    """The text of a notebook with its ``{{...}}`` filled."""
    text = notebook.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", json.dumps(value)[1:-1])
    return text


def _write_page(out: Path, page: dict) -> None:
    part = out.with_name(f".{out.name}.part")
    part.write_text(json.dumps(page, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(out)


def copy_of_run(page: Path, out: Path, part: str) -> None:
    """Copy the page of a run into the book, with links to its predictions and its configuration.

    The book's search passes over its text: of hundreds of runs every word of the same notebook
    would be found. Its title stays.

    Parameters
    ----------
    page : an executed notebook
    out : the copy, book/pages/<part>/runs/<name>.ipynb
    part : of the book, whose files lie in predictions/<part> of the site
    """
    content = json.loads(page.read_text(encoding="utf-8"))
    content["metadata"]["nosearch"] = True  # of Sphinx
    beside = f"../../../../predictions/{part}/{out.stem}"
    links = (
        f'<p>Of this run: <a href="{beside}.csv">predictions (CSV)</a>,'
        f' <a href="{beside}.json">configuration (JSON)</a>.</p>'
    )
    cell = {"cell_type": "markdown", "id": "files-of-run", "metadata": {}, "source": [links]}
    content["cells"].insert(1, cell)  # below the title
    _write_page(out, content)


def inside(path: Path | str) -> str:
    """A path as notebooks are given it: relative to the checkout, in which they run, where it lies
    inside.
    """
    path = Path(path).resolve()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def title(c: Configuration) -> str:
    """A configuration in words."""
    switched = "" if c.variant == TEXT else f", variant {c.variant}"
    return f"Stage {c.stage}, {c.model}, {c.sampling}, K = {c.k}, seed {c.seed}{switched}"


def report_places(name: str, profile: Profile, results: Path, out: Path) -> dict[str, str]:
    """Parameters of a report notebook: profile, results, data and, where it leaves files beside its
    page, folder.
    """
    places = {"profile": profile.path, "results": results, "data": profile.data_folder}
    if name in FILES_BESIDE:
        places["folder"] = out.parent
    return {key: inside(place) for key, place in places.items()}


def words_of(results: Path, title: str) -> dict[str, str]:
    """Title, box and kind of data of the pages of a results folder.

    Parameters
    ----------
    results : the folder
    title : of the profile
    """
    meta = json.loads((results / "dataset.json").read_text(encoding="utf-8"))
    return {"title": title, **runs.kind_words(meta)}
