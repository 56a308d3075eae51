"""Build the book of one profile into _build/html: python book/build.py PROFILE.

The table of contents in _toc.yml is the demo's; for another profile its pages take the demo's
place. A failed notebook or a warning of the build is an error, and nothing is left that looks like
a book.
"""

import json
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import yaml

from compendium import runs

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
PAGES = ROOT / "book" / "pages"
#: Kinds of output that hold words, the one that a page shows first.
SHOWN = ("text/html", "text/markdown", "text/plain")


def contents(profile: str) -> dict:
    """_toc.yml with the demo's pages made the profile's.

    Pages of real cells come first, in a part of their own; those that stand in the book of every
    profile do not come twice.
    """
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    about = json.loads((ROOT / "results" / profile / "dataset.json").read_text(encoding="utf-8"))
    appendix = toc["parts"][-1]["chapters"]
    demo = next(chapter for chapter in appendix if "pages/demo/" in json.dumps(chapter))
    steps = [name for name in ("download", "ingest") if _is_made(profile, name)]
    demo["sections"] += [{"file": f"book/pages/demo/{name}"} for name in steps]
    if profile in ("released", "register", "ours"):
        appendix.remove(demo)
    elif not about["simulated"]:
        appendix.remove(demo)
        first = {"caption": "Results on real cells", "numbered": 1, "chapters": demo["sections"]}
        toc["parts"].insert(0, first)
    return json.loads(json.dumps(toc).replace("pages/demo/", f"pages/{profile}/"))


def _is_made(profile: str, name: str) -> bool:
    return (PAGES / profile / f"{name}.ipynb").exists()


def pages(toc: dict) -> list[Path]:
    """The executed notebooks of the book; those of a profile that the table of contents lacks are
    another book's.
    """
    here, found = json.dumps(toc), sorted(PAGES.rglob("*.ipynb"))
    return [
        p for p in found if p.parent == PAGES or f"pages/{p.relative_to(PAGES).parts[0]}/" in here
    ]


#: What no reader should see: an object's address, a temporary file, a traceback.
FLAWS = re.compile(
    r"<[\w.]+(?: object)? at 0x[0-9a-f]+>|/tmp/|ipykernel_\d+|Traceback \(most recent"
)


def check_notebooks(toc: dict) -> None:
    """Stop where an executed notebook holds an error, or what only its author should see.

    The build itself would pass over it.
    """
    for path in [*pages(toc), ROOT / "notebooks" / "paper.ipynb"]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for output in (o for cell in cells for o in cell.get("outputs", [])):
            if flaw := _flaw(output):
                sys.exit(f"{path}: {flaw}; mend the notebook, remove this page and build again")


def _flaw(output: dict) -> str:
    """What is wrong with an output of a cell; empty where nothing is."""
    if output["output_type"] == "error":
        return "this notebook ended with an error"
    if output["output_type"] == "stream":
        first = "".join(output["text"]).strip().partition("\n")[0]
        return f"it printed on standard error: {first}" if output["name"] == "stderr" else ""
    shown = output.get("data", {})
    if any(kind.startswith("image/") for kind in shown):
        return ""
    kind = next((kind for kind in SHOWN if kind in shown), "")
    text = "".join(shown.get(kind, ""))
    if kind == "text/plain" and text.startswith(("'", '"')):
        return f"a value of Python stands on it: {text[:60]}"
    found = FLAWS.search(text)
    return f"{found[0]} stands on it" if found else ""


def status(toc: dict) -> str:
    """The page that says of every page of the book when, from what and how long it was made, in
    Markdown.

    A page that failed is not there: the build stops before (`check_notebooks`).
    """
    rows = [
        row
        for path in pages(toc)
        if (row := _made(path, json.loads(path.read_text(encoding="utf-8"))))
    ]
    packages = [f"{name} {version(name)}" for name in (*runs.PACKAGES, "jupyter-book")]
    box = ":::{admonition} No cells\n:class: kind\nThis page shows no cells and no scores.\n:::"
    head = (
        f"# Status of every page\n\n{box}\n\nEach page was made by running its notebook from"
        " top to bottom; all of "
    )
    head += (
        f"them passed, or this book would not be there. Python {platform.python_version()},"
        f" {', '.join(packages)}.\n\n"
    )
    table = "| page | made (UTC) | seconds | commit |\n|---|---|---|---|\n"
    return head + table + "\n".join(rows) + "\n"


def _made(path: Path, page: dict) -> str:
    made = page["metadata"].get("made")
    if made is None:
        return ""
    lines = "".join(page["cells"][0]["source"]).splitlines()
    title = next(line.strip("# ") for line in lines if line.startswith("# "))
    commit = made["commit"][:10] + " with changes" * made["dirty"]
    return (
        f"| [{title}]({path.relative_to(PAGES)}) | {made['finished']} | {made['seconds']:.0f} |"
        f" {commit} |"
    )


def main(profile: str) -> None:
    toc = contents(profile)
    check_notebooks(toc)
    (PAGES / "status.md").write_text(status(toc), encoding="utf-8")
    BUILD.mkdir(exist_ok=True)
    (BUILD / "toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    shutil.rmtree(BUILD / "html", ignore_errors=True)  # pages of another profile must not stay
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [
        program,
        "build",
        ".",
        "--toc",
        "_build/toc.yml",
        "--all",
        "-W",
        "-n",
        "--keep-going",
        "-q",
    ]
    if subprocess.run(command, cwd=ROOT).returncode:
        shutil.rmtree(BUILD / "html", ignore_errors=True)
        sys.exit("the book was not built: see the warnings above")


if __name__ == "__main__":
    main(sys.argv[1])
