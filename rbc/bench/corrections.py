"""Labels of an operator, as a report exports them: which cells, and how they were chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rbc import RbcError
from rbc.bench import report
from rbc.labelling import order_of_looks

#: Columns of the file. `order` is a cell's place in the random order of `seed`, from 1; it is
#: empty where the operator picked the cell. Files of earlier versions end after the third.
COLUMNS = ("name", "before", "after", "chosen", "order", "seed")


@dataclass(frozen=True)
class Corrections:
    """An operator's labels of one movie.

    Attributes
    ----------
    labels : by name of the cell
    seed : of the random order that the operator followed; None: all cells were picked
    contradiction : why a random order that the file names cannot be believed; else empty
    """

    labels: dict[str, str]
    seed: int | None = None
    contradiction: str = ""

    def notes(self, looks: int) -> list[str]:
        """What to say of these labels: how many count for the whole movie, a line each.

        Parameters
        ----------
        looks : how many of them are of cells chosen at random (`rbc.labelling.sample`)
        """
        if not self.labels:
            return []
        lines = [self.contradiction] if self.contradiction else []
        if looks:
            lines.append(
                f"{looks} of {len(self.labels)} labels are of cells chosen at random"
                f" (seed {self.seed}): they stand for the whole movie"
            )
        if picked := len(self.labels) - looks:
            lines.append(
                f"{picked} labels are of cells that the operator picked: they count for these cells"
                " alone and do not narrow the interval of the others"
            )
        return lines


def read_corrections(
    path: Path, cells: pd.DataFrame, counting: pd.DataFrame | None = None
) -> Corrections:
    """Labels of the operator from a CSV file that the report exported.

    Parameters
    ----------
    path : file with the columns name and after; a label that confirms the prediction counts too.
        The columns order and seed say how the cells were chosen; without them all were picked
    cells : of the movie; column name
    counting : those of them that count, with the columns name and decision; None: the file's order
        is not needed, and all cells count as picked

    Raises
    ------
    RbcError
        where the file is no such table, or speaks of other cells or labels
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise RbcError(
            f"{path}: corrections cannot be read ({why}); export them from the report"
        ) from error
    if not {"name", "after"} <= {*table.columns}:
        raise RbcError(
            f"{path}: corrections need the columns name and after; export them from the report"
        )
    if other := sorted({*table["after"]} - {*report.CHOICES}):
        raise RbcError(f"{path}: unknown label {other[0]!r}; use {', '.join(report.CHOICES)}")
    if strange := sorted({*table["name"]} - {*cells["name"]}):
        raise RbcError(
            f"{path}: no sequence {strange[0]!r} in this movie; these corrections are of another"
            " one"
        )
    if table["name"].duplicated().any():
        twice = table["name"][table["name"].duplicated()].iat[0]
        raise RbcError(f"{path}: two labels of {twice!r}; keep one")
    labels = dict(zip(table["name"], table["after"], strict=True))
    if counting is None or not {"order", "seed"} <= {*table.columns}:
        return Corrections(labels)
    return _with_order(path, table, labels, counting)


def _with_order(
    path: Path, table: pd.DataFrame, labels: dict[str, str], counting: pd.DataFrame
) -> Corrections:
    """The labels with the seed of their random order, if the order can be believed."""
    ordered = table[table["order"] != ""]
    if ordered.empty:
        return Corrections(labels)
    seeds = set(ordered["seed"])
    if len(seeds) > 1 or not all(x.isdecimal() for x in [*seeds, *ordered["order"]]):
        raise RbcError(
            f"{path}: the columns order and seed need whole numbers and one seed; export the"
            " corrections from the report again"
        )
    seed = int(seeds.pop())
    order = order_of_looks(counting["name"], counting["decision"], seed)
    place = {name: str(number) for number, name in enumerate(order, 1)}
    wrong = [name for name, at in ordered[["name", "order"]].to_numpy() if place.get(name) != at]
    if not wrong:
        return Corrections(labels, seed)
    return Corrections(
        labels,
        contradiction=f"{path.name}: the random order of seed {seed} does not fit these predictions"
        f" (first at {wrong[0]!r}), so all labels count as picked; label again from this report",
    )
