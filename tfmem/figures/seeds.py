"""Self-influence in models with other seeds."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from tfmem.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    literal,
    new_figure,
    plain,
)

_COLORS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY)
_MOST = 4  # models beside the first


def seeds_figure(table: pd.DataFrame) -> Figure:
    """Each of the other models against the first, by ranks from least to most.

    Args:
      table: of `tfmem.experiments.seeds`.
    """
    first, *others = [name for name in table.columns if name.startswith("trial_")]
    others = others[:_MOST]
    figure = new_figure(4 * len(others), 4.4)
    ranks = table[[first, *others]].dropna().rank(pct=True)
    for axes, other in zip(figure.subplots(1, len(others), squeeze=False)[0], others, strict=True):
        plain(axes).plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        for number, (name, rows) in enumerate(ranks.groupby(table["class"])):
            axes.plot(
                rows[first], rows[other], ".", color=_COLORS[number % len(_COLORS)], alpha=0.4,
                markersize=4, markeredgewidth=0, rasterized=True, label=literal(str(name)),
            )  # fmt: skip
        axes.set_title(f"Spearman {ranks[first].corr(ranks[other]):.3f}", fontsize=10)
        axes.set_xlabel(f"rank of self-influence, trial {first[6:]}")
        axes.set_ylabel(f"trial {other[6:]}")
        axes.set_aspect("equal")
    if table["class"].nunique() <= len(_COLORS):
        axes.legend(frameon=False, fontsize=9, loc="lower right", markerscale=3)
    return figure
