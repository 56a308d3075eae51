"""What something was made from, as hashes by name; kept beside it as a small JSON file.

Equal content is fresh, whatever the times of its files. Code counts by what it does, with all that
it imports: a comment, a docstring or another layout changes nothing. This works from a checkout and
from an installed wheel, because it reads the modules where Python finds them.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import threading
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from rbc.files import file_hash

OURS = ("rbc", "compendium")  #: our packages
#: What a file beside a module may be called in its code.
FILE_NAME = re.compile(r"[\w-]+\.\w+")
#: One parse at a time. Python 3.11 counts the depth of all threads' parses together: when the
#: collector of garbage lets another thread in, both end in "SystemError: AST constructor recursion
#: depth mismatch" (CPython 106905).
_PARSING = threading.Lock()


def key_of(*parts: object) -> str:
    """SHA-256 of plain values, as hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def read(path: Path) -> dict[str, str]:
    """The inputs that a record lists, a hash by name; empty where there is no readable record.

    Parameters
    ----------
    path : a JSON file with an object whose ``inputs`` is what `write` was given
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, inputs: dict[str, str], **more: object) -> None:
    """Write a record whole: where a process is killed, the old record stays or there is none.

    Parameters
    ----------
    path : of the JSON file
    inputs : a hash by name
    more : other plain values to keep with it
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps({"inputs": inputs, **more}, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Names of the inputs that are new, gone or other than before, sorted."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def in_words(before: dict[str, str], now: dict[str, str]) -> str:
    """Why something must be made anew; empty where its inputs are what they were.

    Parameters
    ----------
    before : of `read`
    now : a hash by name
    """
    if not before:
        return "not made yet"
    changed = changes(before, now)
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return f"changed: {', '.join(changed[:3])}{more}" if changed else ""


# --- code ---


@cache
def code_key(modules: tuple[str, ...]) -> str:
    """Of what some of our modules do, with all that they import of ours.

    Parameters
    ----------
    modules : names such as ``rbc.tracking``; a package counts with all its modules
    """
    return key_of(code(modules))


@cache
def code(modules: tuple[str, ...]) -> dict[str, str]:
    """A hash of what each module does, by name: of some modules and all that they import of ours.

    Parameters
    ----------
    modules : names such as ``rbc.tracking``
    """
    return {name: module_hash(_text(name)) for name in closure(modules)}


@cache
def versions(packages: tuple[str, ...]) -> tuple[str, ...]:
    """Versions of those packages that are installed, without the part that names a build."""
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name).partition('+')[0]}")
        except PackageNotFoundError:
            found.append(f"{name} is not installed")
    return tuple(found)


def named_files(modules: Iterable[str]) -> dict[str, str]:
    """Files that are no code, which one of our modules names and which lie beside it: templates of
    HTML, checklists, tables.

    Parameters
    ----------
    modules : ours; those that they import count as well

    Returns
    -------
    A hash by path, relative to the folder that holds our packages
    """
    found = {}
    for module in closure(modules):
        for path in _beside(module):
            found[str(path.relative_to(source(module).parents[module.count(".")]))] = path
    return {name: file_hash(found[name]) for name in sorted(found)}


@cache  # pages share most of their modules
def _beside(module: str) -> tuple[Path, ...]:
    """Files beside a module that its code names and that are no code."""
    found = []
    for node in ast.walk(_parse(_text(module))):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if FILE_NAME.fullmatch(node.value) and not node.value.endswith(".py"):
            found.append(source(module).with_name(node.value))
    return tuple(path for path in found if path.is_file())


def closure(modules: Iterable[str]) -> list[str]:
    """Our modules that some modules import, directly or not, and these themselves; sorted."""
    known: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in known:
            known.add(module)
            waiting += imports(_text(module))
            package = module.rpartition(".")[0]  # Python runs its __init__ first
            waiting += [package] if package else []
    return sorted(known)


@cache  # pages share most of the modules that their keys rest on
def imports(text: str) -> tuple[str, ...]:
    """Our modules that some code imports, also inside of functions; a block for type checkers does
    not count.
    """
    found: list[str] = []
    tree = _parse(text)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = (name for name in found if name.partition(".")[0] in OURS)
    return tuple(name for name in ours if source(name).exists())


def source(module: str) -> Path:
    """The file of one of our modules; it need not exist."""
    package, *rest = module.split(".")
    path = _folder(package).joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _folder(package: str) -> Path:
    """Where Python finds one of our packages, which is not imported for that."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        return Path(__file__).parents[1] / package
    return Path(found.submodule_search_locations[0])


def _text(module: str) -> str:
    return source(module).read_text(encoding="utf-8")


@cache
def module_hash(text: str) -> str:
    """Of a module's statements, without comments, docstrings and layout."""
    tree = _parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            first = body[0].value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                body[:] = body[1:] or [ast.Pass()]
    return key_of(ast.unparse(tree))


def _parse(text: str) -> ast.Module:
    with _PARSING:
        return ast.parse(text)
