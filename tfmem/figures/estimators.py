"""Self-influence beside the subsampled estimator."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from tfmem.figures.style import BLUE, FAINT, VERMILION, new_figure, plain

_NAMES = {
    "memorization": "memorization by correctness",
    "memorization_of_probability": "memorization by probability",
}


def estimators_figure(table: pd.DataFrame) -> Figure:
    """Each example by both, for correctness and for probability; on the line they are equal.

    Args:
      table: of `tfmem.experiments.estimators`.
    """
    names = [name for name in _NAMES if name in table.columns]
    figure = new_figure(5 * len(names), 4.6)
    most = table["self_influence"].max()
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        plain(axes).plot([0, most], [0, most], color=FAINT, linewidth=1)
        for memorized, color in ((False, BLUE), (True, VERMILION)):
            rows = table[table["memorized"] == memorized]
            axes.plot(
                rows["self_influence"], rows[name], ".", color=color, alpha=0.4, markersize=5,
                markeredgewidth=0, rasterized=True,
                label=f"{'' if memorized else 'not '}memorized ({len(rows):,})",
            )  # fmt: skip
        axes.set_xlabel("self-influence, one model")
        axes.set_ylabel(f"{_NAMES[name]}, trials")
        spearman = table["self_influence"].corr(table[name], method="spearman")
        axes.set_title(f"Spearman {spearman:.2f}", fontsize=10)
    axes.legend(frameon=False, fontsize=9, markerscale=2)
    return figure
