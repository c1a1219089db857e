"""The page on which several runs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from tfmem.config import Config
from tfmem.experiments.comparison import in_words
from tfmem.experiments.consistency import Comparison
from tfmem.experiments.outcome import Outcome
from tfmem.pages.html import template
from tfmem.pages.sections import Section


def render(
    table: pd.DataFrame,
    config: Config,
    reference: str,
    figures: Mapping[str, Path],
    last_layer: Outcome | None,
    compared: Comparison,
) -> str:
    """Renders the page: the table, the figures, and how to read them.

    Args:
      table: see `tfmem.experiments.comparison.comparison_table`.
      config: the settings of the reference.
      reference: the name of the reference; the folders of runs are beside the page.
      figures: paths without suffix, of the figure of the `runs`, and of that of the `last_layer` if
        there is one.
      last_layer: the outcome of that experiment, or None.
      compared: a comparison of the table, which has the thresholds and the unit of all.

    Returns:
      HTML that needs no other file except the runs to which it links.
    """
    images = {name: path.with_suffix(".png").read_bytes() for name, path in figures.items()}
    sentence = (
        "The left panels show J, the right panels D; the upper panels are for memorization, the "
        "lower for influence. Intervals are 95% intervals."
    )
    rows = table if last_layer is None else table[:-1]
    seen = "; ".join(in_words(rows, compared.units))
    sections = [Section("runs", "Over all thresholds", [sentence], images["runs"], seen)]
    if last_layer:
        found = last_layer.findings
        sections.append(
            Section("last-layer", last_layer.question, found, images["last_layer"], " ".join(found))
        )
    return template("comparison.html.j2").render(
        rows=table.to_dict("records"),
        config=config,
        settings=config.to_yaml(),
        reference=reference,
        figures=sections,
        has_last_layer=last_layer is not None,
        compared=compared,
        units=compared.units,
        sheets=[],
    )
