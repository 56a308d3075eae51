"""Which files of nightly tests the changed files can break, one a line; on standard error, why.

    python tests/affected.py            # since the commit before this one
    python tests/affected.py main       # since another commit

A test file is affected where it changed itself or where a changed module of Python is in the
closure of its imports. Nightly tests that start commands see more than they import; those wait for
the night, and the log says so.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(since: str) -> None:
    """Print the files of nightly tests that the changes since a commit can break."""
    changed = changed_since(since)
    if changed is None:
        print(f"affected: no commit {since} here: no nightly test is chosen", file=sys.stderr)
        return
    files = nightly_files()
    # every test imports conftest, so that `make test` has tried it already
    changed -= {ROOT / "tests" / "conftest.py"}
    found = [path for path in files if closure(path) & changed]
    for path in found:
        print(path.relative_to(ROOT).as_posix())
    print(
        f"affected: {len(changed)} changed files; {len(found)} of {len(files)} files with nightly "
        "tests import one of them; the others wait for the night",
        file=sys.stderr,
    )


def changed_since(commit: str) -> set[Path] | None:
    """Files that differ from a commit; None where git does not know it, as in a shallow clone."""
    command = ["git", "diff", "--name-only", commit, "--"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if said.returncode:
        return None
    return {ROOT / name for name in said.stdout.splitlines()}


def nightly_files() -> list[Path]:
    """Test files that mark a test as nightly."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [path for path in files if "mark.nightly" in path.read_text(encoding="utf-8")]


def closure(path: Path) -> set[Path]:
    """A file and all of this checkout that it imports, directly or through others."""
    seen, todo = set(), [path]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += imports(file)
    return seen


@cache
def imports(path: Path) -> tuple[Path, ...]:
    """Files of this checkout that a file imports, also inside its functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [package(path, node.level), node.module]))
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found += [file for name in names for file in module_files(name)]
    return tuple(found)


def package(path: Path, level: int) -> str:
    """Package that a relative import of a level starts from; empty for an absolute one."""
    if not level:
        return ""
    return ".".join(path.relative_to(ROOT).parts[:-level])


def module_files(name: str) -> list[Path]:
    """Files of this checkout that importing a module runs: its own and its packages'."""
    parts, found = name.split("."), []
    for home in (ROOT, ROOT / "tests"):
        for n in range(1, len(parts) + 1):
            base = home.joinpath(*parts[:n])
            found += [f for f in (base.with_suffix(".py"), base / "__init__.py") if f.exists()]
    return found


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "HEAD~1")
