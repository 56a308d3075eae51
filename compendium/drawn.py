"""What a notebook keeps beside the picture of a figure: the numbers that it draws, as CSV, and a
narrow picture for phones (`keep_with_pictures`). `book/_ext/origins.py` takes both to the page.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
from IPython.core.formatters import BaseFormatter, catch_format_error
from IPython.core.pylabtools import print_figure
from matplotlib.ticker import LogFormatter, NullFormatter, ScalarFormatter

NUMBERS, NARROW = "text/csv", "image/x-narrow"  #: kinds of output
PICTURE = "picture"  #: kind of the row that stands for pixels, which are not repeated
MOST_ROWS = 20_000
NUMERIC = ScalarFormatter, LogFormatter, NullFormatter  #: formatters of ticks that are no words
PHONE = 4.2  #: width of a narrow picture, inches
COLUMNS = ("panel", "kind", "series", "x", "y", "width", "height", "value", "words")


def csv_of(figure: Any) -> str | None:
    """What a figure of matplotlib draws, in units of its axes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    A row a point, bar, cell of a grid or named tick, by panel, with the columns `COLUMNS`; pixels
    of pictures are left out, since they may show real cells. None where nothing or too much is
    drawn.
    """
    rows = [
        {"panel": " ".join(f"{axes.get_title()} {axes.get_title('left')}".split()) or number, **row}
        for number, axes in enumerate(figure.axes, 1)
        for row in _of_panel(axes)
    ]
    drawn = [row for row in rows if row["kind"] != PICTURE and "tick" not in row["kind"]]
    if not 0 < len(drawn) <= MOST_ROWS:
        return None
    table = pd.DataFrame(rows, columns=COLUMNS).dropna(axis="columns", how="all")
    return table.to_csv(index=False, float_format="%.6g")


def _of_panel(axes: Any) -> Iterator[dict[str, object]]:
    for line in axes.get_lines():
        for x, y in line.get_xydata():
            yield {"kind": "line", "series": _name(line), "x": x, "y": y}
    for collection in axes.collections:
        series = _name(collection)
        if hasattr(collection, "get_coordinates"):  # a grid of coloured cells
            values = collection.get_array().reshape(-1, collection.get_coordinates().shape[1] - 1)
            for row, column in ((i, j) for i in range(len(values)) for j in range(len(values[i]))):
                yield {"kind": "cell", "x": column, "y": row, "value": values[row, column]}
        elif len(offsets := collection.get_offsets()) > 1:
            for x, y in offsets:
                yield {"kind": "point", "series": series, "x": x, "y": y}
        else:  # lines and areas, corner by corner
            for path in collection.get_paths():
                for x, y in path.vertices:
                    yield {"kind": "corner", "series": series, "x": x, "y": y}
    for bar in axes.patches:
        if hasattr(bar, "get_height"):
            size = {"width": bar.get_width(), "height": bar.get_height()}
            yield {"kind": "bar", "series": _name(bar), "x": bar.get_x(), "y": bar.get_y(), **size}
    for image in axes.images:
        yield {"kind": PICTURE, "words": "{} x {} px".format(*image.get_array().shape[:2])}
    for side, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if not isinstance(axis.get_major_formatter(), NUMERIC):
            for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels()):
                yield {"kind": f"{side} tick", side: place, "words": label.get_text()}


def _name(artist: Any) -> str:
    """Its own name, or what the legend calls it; empty where matplotlib alone named it."""
    label = str(artist.get_gid() or artist.get_label())
    return "" if label.startswith("_") else label


def narrow(figure: Any) -> str | None:
    """The same figure as wide as a phone, with letters of the same size.

    Parameters
    ----------
    figure : matplotlib.figure.Figure, whose layout follows its size

    Returns
    -------
    PNG in base64; None where the figure is narrow, or has panels side by side
    """
    places = [axes.get_subplotspec() for axes in figure.axes]
    width, height = figure.get_size_inches()
    alone = len({place.colspan.start for place in places if place}) == 1
    if width < 1.3 * PHONE or not alone or any(axes.images for axes in figure.axes):
        return None
    figure.set_size_inches(PHONE, height)
    try:
        with warnings.catch_warnings(action="error"):  # where its labels leave no room
            return print_figure(figure, base64=True)
    except UserWarning:
        return None
    finally:
        figure.set_size_inches(width, height)


class _Formatter(BaseFormatter):
    """IPython's, for figures alone.

    Parameters
    ----------
    kind : of output
    made : what is kept of a figure
    """

    def __init__(self, kind: str, made: Callable[[Any], str | None], **keywords: Any) -> None:
        super().__init__(format_type=kind, **keywords)
        self.made = made

    @catch_format_error
    def __call__(self, shown: Any) -> str | None:
        # Not registered by type: matplotlib's own start takes figures out of all formatters.
        known = sys.modules.get("matplotlib.figure")
        return self.made(shown) if known and isinstance(shown, known.Figure) else None


def keep_with_pictures(shell: Any) -> None:
    """Let a kernel keep numbers and a narrow picture of each figure beside its picture.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
    """
    for kind, made in ((NUMBERS, csv_of), (NARROW, narrow)):
        formatter = _Formatter(kind, made, parent=shell.display_formatter)
        shell.display_formatter.formatters[kind] = formatter
