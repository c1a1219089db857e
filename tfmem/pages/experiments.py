"""The page of experiments on one model, if the run has no trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset, TextDataset
from tfmem.pages.html import template
from tfmem.pages.looks import Looks
from tfmem.pages.sections import experiment_sections

_MOST, _LEAST, _PAIRS = 1_000, 200, 200


def render_experiments(
    config: Config,
    experiments: Mapping[str, Path],
    examples: tuple[AnyDataset, pd.DataFrame] | None = None,
    attributions: pd.DataFrame | None = None,
    pairs: pd.DataFrame | None = None,
    selection: str = "",
) -> str:
    """Renders the page.

    Args:
      config: the settings of the experiments.
      experiments: the folders of the experiments by name.
      examples: the data set, and its table of `read_memorization`; the page shows the texts with
        the highest and the lowest memorization.
      attributions: attributions of texts to words, as `tfmem.pages.texts.texts` takes them.
      pairs: the table of `read_pairs` for the same model; the page shows pairs of texts side by
        side.
      selection: a sentence that says how the pairs were selected.

    Returns:
      HTML that needs no other file. It shows its tables without JavaScript, too.
    """
    shown: dict[str, Any] = {"rows": [], "pairs": [], "looks": None}
    if examples is not None and isinstance(examples[0], TextDataset):
        shown = _texts(*examples, attributions, pairs)
    return template("experiments.html.j2").render(
        name=config.dataset.name,
        settings=config.to_yaml(),
        selection=selection,
        experiments=experiment_sections(experiments, config.selection, attributions),
        sheets=[],
        **shown,
    )


def _texts(
    data: AnyDataset,
    memorization: pd.DataFrame,
    attributions: pd.DataFrame | None,
    pairs: pd.DataFrame | None,
) -> dict[str, Any]:
    """Chooses the texts and pairs of texts that the page shows, and says which they are."""
    known = memorization.dropna(subset="memorization")
    ranked = known.sort_values("memorization", ascending=False, kind="stable")
    said = f"{len(ranked):,} of {len(memorization):,} training examples."
    if len(ranked) > _MOST + _LEAST:
        said = (
            f"The {_MOST:,} most and the {_LEAST:,} least memorized of {len(memorization):,} "
            "training examples."
        )
        ranked = pd.concat([ranked[:_MOST], ranked[-_LEAST:]])
    index = {"train": ranked.index.tolist(), "test": []}
    if pairs is not None:
        pairs = pairs.head(_PAIRS)
        index["train"] += pairs["train_index"][~pairs["train_index"].isin(ranked.index)].tolist()
        index["test"] = pairs["test_index"].tolist()
    return {
        "rows": list(ranked.itertuples()),
        "pairs": [] if pairs is None else list(pairs.itertuples()),
        "across": pairs is not None and bool((pairs["label"] != pairs["test_label"]).any()),
        "looks": Looks(data, index, attributions),
        "said": said,
        "data": data,
    }
