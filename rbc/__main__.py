"""``python -m rbc``: the same as ``rbc``."""

from rbc.cli import main

main()
