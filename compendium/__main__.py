"""``python -m compendium``: the same as ``rbc``."""

from rbc.cli import main

main()
