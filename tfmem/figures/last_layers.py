"""What the last layers memorize."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfmem.figures.style import BLUE, GREY, ORANGE, VERMILION, new_figure, plain


def last_k_layers_figure(table: pd.DataFrame) -> Figure:
    """Share of the memorized examples that training the last blocks recovers, over their number.

    Args:
      table: of `tfmem.experiments.last_layers.last_k_layers`.
    """
    figure = new_figure(6, 5.5)
    above, below = (
        plain(axes) for axes in figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    )
    depths, whole = table.dropna(subset="depth"), table[table["depth"].isna()].iloc[0]
    end = depths["depth"].max() + 1
    places = [*depths["depth"], end]
    rows = pd.concat([depths, whole.to_frame().T])
    share = rows["share"].astype(float)
    errors = [share - rows["low"].astype(float), rows["high"].astype(float) - share]
    above.errorbar(places, share, errors, fmt="o", color=BLUE, capsize=3)
    above.plot(places[:-1], share[:-1], "-", color=BLUE)
    above.plot(places[-2:], share[-2:], ":", color=BLUE)
    for place, row in zip(places, rows.itertuples(), strict=True):
        above.annotate(
            f"{row.recovered:,.0f} of {row.expected:,.0f}", (place, row.share),
            xytext=(-8, 6), textcoords="offset points", color=GREY, ha="right",
        )  # fmt: skip
    above.set_ylim(0, 1.05)
    above.set_ylabel("memorized examples recovered (95%)")
    above.yaxis.set_major_formatter(PercentFormatter(1))
    others = rows["memorized"] - rows["recovered"]
    width = 0.35
    below.bar([x - width / 2 for x in places], rows["memorized"], width, color=VERMILION,
              label="memorized at this depth")  # fmt: skip
    below.bar([x + width / 2 for x in places], others, width, color=ORANGE,
              label="of them not by the whole network")  # fmt: skip
    below.legend(frameon=False)
    below.set_ylabel("examples")
    names = ["last layer" if x == 1 else f"last {x:.0f}" for x in depths["depth"]]
    below.set_xticks(places, [*names, "all\n(half against half)"])
    below.set_xlim(0.5, end + 0.5)
    below.set_xlabel("blocks that are trained, above a representation that saw everything")
    return figure
