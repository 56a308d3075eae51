"""Text made from a template of Jinja beside the code that fills it in."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def filled(template: Path, **parts: object) -> str:
    """A template with its parts filled in.

    Parameters
    ----------
    template : the file. What is filled into HTML is escaped; Markdown has no such rule
    parts : what it names; one that is missing is an error
    """
    return _folder(template.parent).get_template(template.name).render(**parts)


@cache
def _folder(folder: Path) -> Environment:
    """The templates of a folder, each of which may include or extend another."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
