"""Try Jupyter Book 2 on the built book's sources, and say what it lacks: python workflow/book2.py.

Jupyter Book 2 is MyST's own engine (npm package mystmd, MIT). It reads a copy of the sources, with
the table of contents of the last `make book` in its own form, and its complaints are counted by
kind, as a table in Markdown. Nothing of the checkout changes, and complaints are no error: the book
is built by Jupyter Book 1. The pages are read, not drawn, so its theme is not fetched.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
VERSION = "1.8.3"
#: How the engine marks what it cannot do.
MARKS = ("⚠", "⛔")
#: At most so many kinds of complaints in the table; the rest is counted.
LISTED = 25


def source(root: Path, name: str) -> str:
    """A page of the table of contents as a file's name, which Jupyter Book 1 may leave open."""
    found = (end for end in (".md", ".ipynb", "") if (root / f"{name}{end}").is_file())
    return name + next(found)


def entries(root: Path, chapters: list[dict]) -> list[dict]:
    """Pages with those below them in the form of Jupyter Book 2; runs, a pattern, are left out."""
    found = []
    for chapter in (chapter for chapter in chapters if "file" in chapter):
        below = entries(root, chapter.get("sections", []))
        page = {"file": source(root, chapter["file"])}
        found.append(page | {"children": below} if below else page)
    return found


def settings(root: Path, contents: dict) -> dict:
    """What Jupyter Book 2 is told in myst.yml: the bibliography and the table of contents."""
    toc = [{"file": source(root, contents["root"])}]
    for part in contents["parts"]:
        toc.append({"title": part["caption"], "children": entries(root, part["chapters"])})
    project = {"title": "Red cell dynamics", "bibliography": ["book/references.bib"], "toc": toc}
    return {"version": 1, "project": project, "site": {"template": "book-theme"}}


def complaints(said: str) -> Counter:
    """Kinds of complaints, without the place, the name or the word that each is about."""
    found = Counter()
    for line in re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines():
        if line.startswith(MARKS):
            words = re.sub(r"^\S+\s+((book|notebooks)/\S+\s+)?", "", line)
            words = re.sub(r'"[^"]*"|`[^`]*`|\{\w+\}', "...", words)
            found[re.sub(r"(not found: ).*", r"\1...", words).strip()] += 1
    return found


def table(found: Counter, pages: int) -> str:
    """The complaints as a table in Markdown."""
    rows = [f"| {words} | {n} |" for words, n in found.most_common(LISTED)]
    rest = len(found) - len(rows)
    lines = [
        f"Jupyter Book 2 (mystmd {VERSION}) read {pages} pages;"
        f" {sum(found.values())} complaints of {len(found)} kinds.",
        "",
        "| complaint | times |",
        "|---|---|",
        *rows,
    ]
    return "\n".join([*lines, f"\n{rest} more kinds."] if rest else lines)


def main() -> None:
    npx, toc = shutil.which("npx"), ROOT / "_build" / "toc.yml"
    if not npx:
        sys.exit("npx is not on the path: install npm")
    if not toc.exists():
        sys.exit(f"{toc}: no built book; run make book first")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("book", "notebooks", "config", "data"):
            left_out = shutil.ignore_patterns("raw", "derived", "files")
            shutil.copytree(ROOT / name, copy / name, ignore=left_out)
        chosen = settings(copy, yaml.safe_load(toc.read_text(encoding="utf-8")))
        (copy / "myst.yml").write_text(yaml.safe_dump(chosen, sort_keys=False), encoding="utf-8")
        command = [npx, "--yes", f"mystmd@{VERSION}", "build", "--site", "--ci"]
        ended = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=600)
        made = len(list((copy / "_build" / "site" / "content").glob("*.json")))
    said = ended.stdout + ended.stderr
    if not made:
        last = said.strip().rpartition("\n")[2]
        sys.exit(f"npx could not run mystmd {VERSION}: {last or 'it did not say why'}")
    print(table(complaints(said), made))


if __name__ == "__main__":
    main()
