"""The page of experiments on one model, of which there are no trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset, TextDataset
from tfmem.html import template
from tfmem.report import sections
from tfmem.texts import texts

_MOST, _LEAST = 1_000, 200


def render_experiments(
    config: Config,
    experiments: Mapping[str, Path],
    examples: tuple[AnyDataset, pd.DataFrame] | None = None,
    attributions: pd.DataFrame | None = None,
) -> str:
    """Renders the page.

    Args:
      config: what the experiments were conducted with.
      experiments: their folders by name.
      examples: the data set, and what `read_memorization` gives of it; texts with the highest and
        the lowest memorization are shown.
      attributions: which words of texts are memorized, as `tfmem.texts.texts` takes them.

    Returns:
      HTML that needs nothing beside itself. Its table is there without JavaScript.
    """
    shown: dict[str, Any] = {"rows": [], "class_names": (), "attributed": 0, "said": ""}
    if examples is not None and isinstance(examples[0], TextDataset):
        shown = _rows(examples[0], examples[1], attributions)
    return template("experiments.html.j2").render(
        name=config.dataset.name,
        settings=config.to_yaml(),
        experiments=sections(experiments),
        pictures={},
        **shown,
    )


def _rows(
    dataset: TextDataset, memorization: pd.DataFrame, attributions: pd.DataFrame | None
) -> dict[str, Any]:
    known = memorization.dropna(subset="memorization")
    ranked = known.sort_values("memorization", ascending=False, kind="stable")
    said = f"{len(ranked):,} of {len(memorization):,} training examples."
    if len(ranked) > _MOST + _LEAST:
        said = (
            f"The {_MOST:,} most and the {_LEAST:,} least memorized of {len(memorization):,} "
            "training examples."
        )
        ranked = pd.concat([ranked[:_MOST], ranked[-_LEAST:]])
    found = texts(dataset, "train", ranked.index.tolist(), attributions)
    names = dataset.class_names
    return {
        "rows": [
            {
                "index": index,
                "label": names[label],
                "memorization": value,
                "sentences": found.sentences[position],
                "words": found.words.get(position, []),
            }
            for position, (index, label, value) in enumerate(
                zip(ranked.index, ranked["label"], ranked["memorization"], strict=True)
            )
        ],
        "class_names": names,
        "attributed": len(found.words),
        "said": said,
    }
