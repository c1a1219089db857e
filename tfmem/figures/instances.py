"""Most and least memorized texts as a table (Zheng & Jiang 2022, Tables 2 and 3)."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.figure import Figure

from tfmem.figures.style import BLUE, FAINT, GREY, VERMILION, literal
from tfmem.messages.numbers import three
from tfmem.messages.terminal import printable

_COLUMNS, _LINES = 110, 4  # letters in a line, lines of a text
_LINE = 0.19  # inches
_ENDS = {"top": ("memorized most", VERMILION), "bottom": ("memorized least", BLUE)}


def instances_figure(table: pd.DataFrame) -> Figure:
    """Texts under the name of their class, with index and memorization.

    Args:
      table: of `tfmem.experiments.instances`.
    """
    lines: list[
        tuple[float, str, str, str, bool]
    ] = []  # from the top: place, texts, color, heading
    at = 0.5
    for (name, end), rows in table.groupby(["class", "end"], sort=False):
        what, color = _ENDS[str(end)]
        lines.append((at, f"{literal(str(name))}, {what}", "", color, True))
        at += 1.4
        for row in rows.itertuples():
            parts = textwrap.wrap(printable(row.text), _COLUMNS, max_lines=_LINES, placeholder=" …")
            lines.append((at, three(row.memorization), "\n".join(parts), GREY, False))
            at += len(parts) + 0.4
        at += 0.6
    figure = Figure(figsize=(9.5, at * _LINE))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(at, 0))
    axes.set_axis_off()
    for place, first, text, color, heading in lines:
        if heading:
            axes.text(0.015, place, first, color=color, fontsize=10, va="top", weight="bold")
            axes.plot([0.015, 0.985], [place + 1.25] * 2, color=FAINT, linewidth=0.8)
        else:
            axes.text(
                0.09, place, first, color=color, fontsize=9, va="top", ha="right", linespacing=1.25
            )
            axes.text(0.11, place, text, fontsize=9, va="top", parse_math=False, linespacing=1.25)
    return figure
