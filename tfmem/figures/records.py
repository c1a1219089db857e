"""The figure of how far memorization records agree."""

from __future__ import annotations

import itertools
from dataclasses import fields

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tfmem.estimation.agreement import Curve
from tfmem.figures.agreement import NAME, SERIES, draw_curve, end_of
from tfmem.figures.style import GREY, WIDE, literal, new_figure, plain


def records_figure(table: pd.DataFrame, threshold: float) -> Figure:
    """Draws `J` of the examples above a threshold, and of those in the highest share.

    Args:
      table: a table of `tfmem.experiments.record_consistency.curves`; if more than seven sides are
        compared with the first, colours repeat.
      threshold: the threshold of selection.
    """
    figure = new_figure(WIDE, 4.2)
    panels = dict(zip(("threshold", "share"), figure.subplots(1, 2), strict=True))
    styles = dict(zip(table["second_name"].unique(), itertools.cycle(SERIES), strict=False))
    end = 0.0
    for (name, by), rows in table.groupby(["second_name", "by"], sort=False):
        curve = Curve(*(rows[each.name].to_numpy() for each in fields(Curve)))
        draw_curve(panels[str(by)], curve, "jaccard", literal(str(name), NAME), *styles[name])
        if by == "threshold":
            end = max(end, end_of(curve))
        else:
            chance = rows["chance"]
            panels["share"].plot(curve.threshold, chance, color=styles[name][0], linestyle=":")
    panels["threshold"].axvline(threshold, color=GREY, linestyle=":", zorder=0)
    panels["threshold"].set_xlim(0, end)
    panels["threshold"].set_xlabel("threshold of memorization")
    panels["share"].set_xlim(0, 0.5)
    panels["share"].set_xlabel("share of the examples, of highest memorization")
    for axes in panels.values():
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("J (Jaccard similarity)")
        plain(axes)
    handles, names = panels["share"].get_legend_handles_labels()
    handles.append(Line2D([], [], color=GREY, linestyle=":"))
    names.append("J by chance, of sets of these sizes")
    figure.legend(
        handles, names, title=f"compared with {literal(table['first_name'].iloc[0], NAME)}",
        loc="outside upper center", frameon=False,
    )  # fmt: skip
    return figure
