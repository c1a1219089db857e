"""How well wrong labels are found: ROC curves, and how many of the first labels are wrong."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfmem.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    plain,
)

_STYLES = tuple(
    zip(
        (VERMILION, ORANGE, BLUE, SKY, GREEN, GREY, PURPLE),
        ("-", "-", "--", "--", "-.", ":", (0, (3, 1, 1, 1))),
        strict=True,
    )
)
_FALSE_ALARMS = 0.2  # up to which the ROC curve is drawn


def label_errors_figure(table: pd.DataFrame) -> Figure:
    """ROC curves, and precision over the number of labels looked at.

    Args:
      table: of `tfmem.experiments.label_errors`.
    """
    figure = new_figure(9, 5.6)
    left, right = (plain(axes) for axes in figure.subplots(1, 2))
    for (color, line), (name, rows) in zip(
        _STYLES, table.groupby("ranked_by", sort=False), strict=False
    ):
        first = rows.iloc[0]
        label = (
            f"{name} ({first['trainings']:,}): "
            f"{first['auc']:.3f} [{first['auc_low']:.3f}, {first['auc_high']:.3f}]"
        )
        left.plot(
            [0.0, *rows["false_alarms"]],
            [0.0, *rows["recall"]],
            color=color,
            linestyle=line,
            label=label,
        )
        right.plot(rows["looked_at"], rows["precision"], color=color, linestyle=line)
    left.set_xlim(-0.003, _FALSE_ALARMS)
    left.set_ylim(0, 1.02)
    left.set_xlabel("share of right labels looked at")
    left.set_ylabel("share of wrong labels found")
    left.xaxis.set_major_formatter(PercentFormatter(1))
    left.set_xticks([0, 0.05, 0.1, 0.15, 0.2])
    figure.legend(
        frameon=False,
        fontsize=9,
        loc="outside lower center",
        ncols=2,
        title="ranked by (models trained): area under the ROC curve [95%]",
        title_fontsize=9,
    )
    wrong = round(rows["found"].iloc[-1])
    right.axvline(wrong, color=GREY, linewidth=0.8)
    right.annotate(
        f"{wrong:,} wrong labels", (wrong, 0.02), (-4, 0), textcoords="offset points", ha="right"
    )
    right.set_xscale("log")
    right.set_ylim(0, 1.02)
    right.set_xlabel("labels looked at, the most suspicious first (log scale)")
    right.set_ylabel("share of them that are wrong")
    for axes in (left, right):
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure
