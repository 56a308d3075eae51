"""``python -m compendium``: the same as ``rbc``."""

from compendium.cli import main

main()
