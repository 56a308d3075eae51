"""``python -m rbc``: the same as ``rbc``."""

from compendium.cli import main

main()
