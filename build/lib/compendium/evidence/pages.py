"""The templates of the evidence: pages of the book and of the packet."""

from __future__ import annotations

from pathlib import Path

from rbc import templates

TEMPLATES = Path(__file__).with_name("templates")


def filled(name: str, **parts: object) -> str:
    """A template of this folder with its parts filled in.

    Parameters
    ----------
    name : of a file in templates/
    parts : what it names; one that is missing is an error
    """
    return templates.filled(TEMPLATES / name, **parts)
