"""What `rbc plan` says: cells and looks for a wanted interval or a wanted change, and how to divide
looks among movies that were analysed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rbc import RbcError, labelling, marker, planning
from rbc.paper import LABELS

LOOKS = (25, 50, 100, 200)  #: of which the smallest change is told
SIZES = (100, 300, 1000)  #: reliable cells of a movie of which the looks are told


def plan(
    design: planning.Design, known: np.ndarray, half_width: float, change: float, power: float
) -> dict:
    """What a movie of this design and a change between two such draws need.

    Parameters
    ----------
    design : the movie
    known : (D, 3, 3) labelled cells of known blood draws: draw, answer, class
    half_width, change, power : wanted, as fractions

    Returns
    -------
    design; models_alone: mean width of simulated intervals without a look, or None; width and
    change: looks into each movie by number of reliable cells, with the errors of all known draws
    (typical) and with those of the known draw that needs most looks (worst), None where no number
    suffices; smallest: the smallest change shown, by looks into each movie
    """
    movies = {size: planning.resized(design, size) for size in sorted({*SIZES, design.reliable})}
    pooled = known.sum(axis=0)
    widths = {
        size: [planning.widths_of(movie, one) for one in (pooled, *known)]
        for size, movie in movies.items()
    }
    for_width, for_change = {}, {}
    for size, by_rates in widths.items():
        for_width[size] = _range([planning.looks_for_width(w, half_width) for w in by_rates])
        needed = [planning.looks_for_change(movies[size], w, change, power) for w in by_rates]
        for_change[size] = _range(needed)
    planned = widths[design.reliable][0]
    smallest = {n: planning.smallest_change(design, planned, n, power) for n in LOOKS}
    return {
        "design": vars(design),
        "models_alone": marker.expected_width(known, design.per_reliable),
        "half_width": half_width,
        "width": for_width,
        "wanted_change": change,
        "power": power,
        "change": for_change,
        "smallest": smallest,
    }


def _range(looks: list[int | None]) -> dict[str, int | None]:
    """The first number as typical, and the largest, None being larger than any number."""
    known = [n for n in looks if n is not None]
    return {"typical": looks[0], "worst": max(known) if len(known) == len(looks) else None}


def in_words(said: dict) -> str:
    """The plan, a line each.

    Parameters
    ----------
    said : of `plan`
    """
    design = said["design"]
    per = f"{design['movies']} movie" + ("s" if design["movies"] > 1 else "")
    lines = [
        f"expected: {100 * design['fraction']:.0f} % tank-treading among {design['reliable']}"
        f" reliable cells, {design['per_reliable']:g} unreliable ones for each,"
        f" {per} of each blood draw",
        _without_looks(said["models_alone"]),
        f"plus or minus {100 * said['half_width']:g} points for one movie needs",
        *_of_sizes(said["width"], design["reliable"]),
        f"a change of {100 * said['wanted_change']:g} points between two blood draws, shown in"
        f" {100 * said['power']:.0f} % of such pairs, needs in each movie",
        *_of_sizes(said["change"], design["reliable"]),
        "the smallest change shown so often: "
        + ", ".join(
            f"{100 * change:.0f} points with {looks} looks"
            for looks, change in said["smallest"].items()
        ),
        "A look is a cell chosen at random that you label. The worst case errs as the known blood"
        " draw that needs most looks. Movies of one draw are taken to differ as much as those of"
        " one patient in the paper's Table 5.",
    ]
    return "\n".join(lines)


def _without_looks(width: float | None) -> str:
    if width is None:
        return "without a look: no estimate, since nothing as hard was simulated"
    shown = "no estimate, since the interval" if width > marker.REFUSED_WIDTH else "the interval"
    return f"without a look: {shown} is {100 * width:.0f} points wide on average (simulated)"


def _of_sizes(needed: dict[int, dict], planned: int) -> list[str]:
    """A line for each number of reliable cells; the planned one is marked."""
    lines = []
    for size, looks in needed.items():
        said = f"  {size} reliable cells: {_looks(looks['typical'])}"
        if looks["worst"] != looks["typical"]:
            said += f" (worst case: {_looks(looks['worst'])})"
        lines.append(said + (" <- planned" if size == planned else ""))
    return lines


def _looks(number: int | None) -> str:
    return "no number of looks suffices" if number is None else f"{number} looks"


# --- movies that were analysed ---


def divide(reports: list[Path], looks: int) -> pd.DataFrame:
    """How to divide looks among the movies of reports.

    Parameters
    ----------
    reports : folders that `rbc analyze` wrote
    looks : to be divided

    Returns
    -------
    A row a movie: report, cells, looks, half_width (expected with these looks)

    Raises
    ------
    RbcError
        where a folder is no report
    """
    movies = [sample_of(folder) for folder in reports]
    rows = []
    for folder, movie, more in zip(reports, movies, planning.spend(movies, looks), strict=True):
        width = labelling.expected_half_width(movie, movie.looks + more)
        rows.append((str(folder), int(movie.sizes.sum()), more, width))
    return pd.DataFrame(rows, columns=["report", "cells", "looks", "half_width"])


def sample_of(folder: Path) -> labelling.Sample:
    """The strata of a report's movie, nothing of it labelled yet."""
    file = Path(folder) / "cells.csv"
    if not file.exists():
        raise RbcError(f"{folder}: no cells.csv in it; give folders that rbc analyze wrote")
    cells = pd.read_csv(file, keep_default_na=False)
    cells = cells[cells["continues"] == ""]
    sizes = np.array([(cells["decision"] == name).sum() for name in labelling.STRATA])
    nothing = np.zeros((len(sizes), len(LABELS)), dtype=int)
    return labelling.Sample(sizes, nothing, nothing, 0)


def division_in_words(table: pd.DataFrame) -> str:
    """A line for each movie."""
    return "\n".join(
        f"{row.report}: {row.looks} looks into {row.cells} cells, plus or minus"
        f" {100 * row.half_width:.0f} points expected"
        for row in table.itertuples()
    )
