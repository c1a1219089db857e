"""The page of experiments on one model, of which there are no trials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset, TextDataset
from tfmem.pages.html import template
from tfmem.pages.report import sections
from tfmem.pages.texts import texts

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
      config: what the experiments were conducted with.
      experiments: their folders by name.
      examples: the data set, and what `read_memorization` gives of it; texts with the highest and
        the lowest memorization are shown.
      attributions: which words of texts are memorized, as `tfmem.pages.texts.texts` takes them.
      pairs: what `read_pairs` gives of the same model; pairs of texts are shown side by side.
      selection: what they were selected from, in a sentence.

    Returns:
      HTML that needs nothing beside itself. Its tables are there without JavaScript.
    """
    shown: dict[str, Any] = {
        "rows": [], "class_names": (), "attributed": 0, "said": "", "pairs": []
    }  # fmt: skip
    if examples is not None and isinstance(examples[0], TextDataset):
        shown |= _rows(examples[0], examples[1], attributions)
        if pairs is not None:
            shown["pairs"] = _pairs(examples[0], pairs.head(_PAIRS), attributions)
    return template("experiments.html.j2").render(
        name=config.dataset.name,
        settings=config.to_yaml(),
        selection=selection,
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


def _pairs(
    dataset: TextDataset, pairs: pd.DataFrame, attributions: pd.DataFrame | None
) -> list[dict[str, Any]]:
    index = {split: pairs[f"{split}_index"].tolist() for split in ("train", "test")}
    train = texts(dataset, "train", index["train"], attributions)
    test = texts(dataset, "test", index["test"])
    names, several = dataset.class_names, (pairs["label"] != pairs["test_label"]).any()
    return [
        {
            "train_index": row["train_index"],
            "test_index": row["test_index"],
            "label": names[row["label"]],
            "test_label": names[row["test_label"]] if several else "",
            "memorization": row["memorization"],
            "influence": row["influence"],
            "train": train.sentences[position],
            "words": train.words.get(position, []),
            "test": test.sentences[position],
        }
        for position, row in enumerate(pairs.to_dict("records"))
    ]
