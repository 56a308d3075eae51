"""Simulated red cells, from the physics of the flow and of the microscope: sequences and whole
movies with truth.

>>> from rbc import simulate
>>> cells = simulate.sequences({"test": {"flipping": 10, "tank-treading": 10}}, seed=0)
"""

from rbc.simulate.cells import (
    CHANGES,
    PHYSICS,
    ROLLING,
    Ranges,
    acquisition,
    acquisition_names,
    older,
    other_ranges,
    plan,
    ranges_of,
    rolling,
    sequence,
    sequences,
    strip,
)  # fmt: skip
from rbc.simulate.motion import FPS, SHEAR, jeffery, jeffery_period, spheroid, tank_treading
from rbc.simulate.optics import Optics, render

__all__ = [
    "CHANGES", "FPS", "PHYSICS", "ROLLING", "SHEAR", "Optics", "Ranges", "acquisition",
    "acquisition_names", "jeffery", "jeffery_period", "older", "other_ranges", "plan", "ranges_of",
    "render", "rolling", "sequence", "sequences", "spheroid", "strip", "tank_treading",
]  # fmt: skip
