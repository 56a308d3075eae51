"""Pages as templates of Jinja. Whatever is filled in is escaped."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def filled(name: str, **parts: object) -> str:
    """A template with its parts filled in.

    Parameters
    ----------
    name : of a file in templates/
    parts : what it names; one that is missing is an error
    """
    return _PAGES.get_template(name).render(**parts)
