"""Runs in: your shell, as the end of `make bench`; what all charts of the benchmarks have in common.

The colours are told apart by colour-blind people too, and in print.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COLOURS = {"stock": "#e69f00", "kit": "#0072b2"}
# A salt makes the same figures the same file.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "benchmarks", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.edgecolor": "#888888", "axes.titlesize": 10, "axes.titlelocation": "left", "grid.color": "#e4e4e4", "legend.frameon": False,
}  # fmt: skip


@contextmanager
def drawing(path: Path, size: tuple[float, float], columns: int = 1) -> Iterator[Any]:
    """Give the axes of a picture, `size` in inches, and write it to `path`. Columns share their axes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        plots = figure.subplots(1, columns, sharex=True, sharey=True, squeeze=False)[0]
        yield plots if columns > 1 else plots[0]
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
