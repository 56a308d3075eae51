"""Every command that README, book and --help show can be typed as it stands there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from compendium import ROOT
from rbc import cli

pytestmark = pytest.mark.slow

cli.add_commands_of_checkout()

#: Where commands stand: in code blocks and lists of these, and in the help of each command.
SHOWN_IN = (
    "README.md", "data/ladder.yaml", "CONTRIBUTING.md", "data/README.md", "book/reproduce.md",
    "book/data.md", "book/own-movies.md", "book/open-details.md", "book/methods.md",
)  # fmt: skip
CONTAINERS = ROOT / "workflow" / "containers"
COMMAND = re.compile(r"(?:^|[`\s/])rbc ((?:[a-z]+)(?: [^`\n]*)?)")
#: From another folder than the checkout, in this order: each takes seconds.
EVERYWHERE = (
    "audit --json",
    "claims --json",
    "packet --out packet",
    "grid --profile demo --dry-run --json",
    "grid --profile demo --status --json",
    "compare --help",
)


def shown(text: str) -> list[str]:
    """The commands in a text, up to a comment, a pipe or the next command."""
    found = []
    for line in text.replace(" && ", "\n").splitlines():
        for match in COMMAND.finditer(line):
            words = re.split(r"\s+#|\s+\||\s+&&|`|,? then ", match[1])[0].strip()
            found.append(words if words.endswith("...") else words.rstrip(".,;:)"))
    return found


def documented() -> list[tuple[str, str]]:
    """Place and command, of pages and of every --help."""
    rows = [
        (name, words)
        for name in SHOWN_IN
        for words in shown((ROOT / name).read_text(encoding="utf-8"))
    ]
    for name, command in commands(typer.main.get_command(cli.app)).items():
        rows += [(f"rbc {name} --help", words) for words in shown(command.help or "")]
    for file in (*(ROOT / ".github" / "workflows").glob("*.yml"), *CONTAINERS.glob("*file")):
        text = file.read_text(encoding="utf-8").replace("rbc-bench ", "rbc ")
        rows += [(file.name, words) for words in shown(text)]
    return rows


def commands(group, before: str = "") -> dict:
    """Every command by its words."""
    found = {}
    for name, command in group.commands.items():
        words = f"{before}{name}"
        found |= (
            commands(command, f"{words} ") if hasattr(command, "commands") else {words: command}
        )
    return found


KNOWN = commands(typer.main.get_command(cli.app))


def is_command(words: str) -> bool:
    """Whether words after `rbc` begin a command and are no running text."""
    return words.split()[0] in {name.split()[0] for name in KNOWN}


@pytest.mark.parametrize(
    ("place", "words"), sorted({row for row in documented() if is_command(row[1])})
)
def test_a_command_that_is_shown_can_be_typed(place: str, words: str) -> None:
    """An option that was renamed, or an argument left out, would meet the reader first."""
    group = typer.main.get_command(cli.app)
    arguments = shlex.split(words)
    with group.make_context("rbc", arguments, resilient_parsing=False) as context:
        name, command, rest = group.resolve_command(context, arguments)
        if hasattr(command, "commands") and rest:
            name, command, rest = command.resolve_command(context, rest)
        if not rest and (hasattr(command, "commands") or place in SHOWN_IN):
            return  # the name of a command in running text
        try:
            command.make_context(name, rest, parent=context)
        except Exception as error:
            # Running text names but the option that it speaks of.
            if place not in SHOWN_IN or type(error).__name__ != "MissingParameter":
                raise


def test_pages_show_commands_at_all() -> None:
    """A pattern that finds nothing would pass all tests."""
    places = [place for place, words in documented() if is_command(words)]
    assert places.count("README.md") > 12 and places.count("book/reproduce.md") > 10
    helped = {place for place in places if place.endswith("--help")}
    assert helped == {f"rbc {name} --help" for name in KNOWN}


def rbc_in(folder: Path, words: str) -> subprocess.CompletedProcess:
    """A command as it stands, typed in a folder that is no checkout."""
    command = [sys.executable, "-m", "compendium", *shlex.split(words)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("words", EVERYWHERE)
def test_commands_of_the_checkout_run_from_another_folder(words: str, tmp_path: Path) -> None:
    """Readers do not stand where we do."""
    done = rbc_in(tmp_path, words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
