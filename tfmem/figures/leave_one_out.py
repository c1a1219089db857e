"""Leave-one-out against the subsampled estimate."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from tfmem.experiments.leave_one_out import comparison
from tfmem.figures.style import BLUE, FAINT, GREEN, GREY, ORANGE, VERMILION, new_figure, plain

_CHOICES = {
    "top": (VERMILION, "o", "most memorized"),
    "middle": (ORANGE, "s", "between"),
    "bottom": (BLUE, "^", "least memorized"),
    "random": (GREEN, "D", "random others"),
    "all": (BLUE, "o", "all examples"),
}


def leave_one_out_figure(table: pd.DataFrame) -> Figure:
    """Every chosen example with the standard errors of both, and the line through them.

    Args:
      table: of `tfmem.experiments.leave_one_out`.
    """
    found = comparison(table)
    figure = new_figure(5.6, 5.6)
    axes = figure.subplots()
    for choice, rows in table.groupby("choice", sort=False):
        color, marker, name = _CHOICES[str(choice)]
        axes.errorbar(
            rows["estimate"], rows["leave_one_out"], rows["leave_one_out_stderr"],
            rows["estimate_stderr"], fmt=marker, color=color, markersize=4, linewidth=0.8,
            label=f"{name} ({len(rows)})",
        )  # fmt: skip
    ends = [min(0.0, table["estimate"].min()), table["estimate"].max()]
    axes.plot(ends, ends, color=FAINT, zorder=0, label="equal")
    x, y = table["estimate"].mean(), table["leave_one_out"].mean()
    fitted = [y + found.slope * (end - x) for end in ends]
    axes.plot(ends, fitted, "--", color=GREY, zorder=1, label=f"slope {found.slope:.2f}")
    axes.set_xlabel("subsampled estimate of memorization (± 1 SE)")
    axes.set_ylabel("leave-one-out (± 1 SE)")
    axes.set_title(
        f"Pearson {found.correlation:.3f}, with noise alone {found.ceiling:.3f}", fontsize="medium"
    )
    axes.legend(frameon=False, fontsize="small")
    plain(axes)
    return figure
