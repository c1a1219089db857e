"""Which examples are memorized most, and which least (Zheng & Jiang 2022, Tables 2 and 3)?"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset, TextDataset
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw
from tfmem.messages.numbers import three

QUESTION = "Which examples are memorized most, and which least?"
_SAID = 160  # letters of a text in the findings


def instances(config: Config, dataset: AnyDataset, memorization: np.ndarray) -> Outcome:
    """The first and the last of each class by memorization; of equal ones some at random.

    Args:
      config: seed and `experiments.instances`.
      dataset: the examples.
      memorization: float `[num_train]`; examples with NaN are left out.

    Returns:
      A row for each: `class`, `end` (`top` or `bottom`), `index`, `memorization`, and its
      sentences as `text`, empty where examples are no texts.
    """
    texts = dataset.train_texts if isinstance(dataset, TextDataset) else None
    count = config.experiments.instances.count
    order = draw(config, len(memorization))
    known = order[~np.isnan(memorization[order])]
    ranked = known[np.argsort(-memorization[known], kind="stable")]
    rows = []
    for label, name in enumerate(dataset.class_names):
        of_class = ranked[dataset.train_labels[ranked] == label]
        for end, chosen in {"top": of_class[:count], "bottom": of_class[::-1][:count]}.items():
            for index in chosen:
                text = "" if texts is None else " / ".join(texts[index])
                rows.append((name, end, int(index), float(memorization[index]), text))
    table = pd.DataFrame(rows, columns=["class", "end", "index", "memorization", "text"])
    return Outcome(QUESTION, _findings(table), table)


def _findings(table: pd.DataFrame) -> tuple[str, ...]:
    """Of each class the first of either end."""
    said = []
    for name, rows in table.groupby("class", sort=False):
        for what, end in (("Most", "top"), ("Least", "bottom")):
            row = rows[rows["end"] == end].iloc[0]
            example = f"training example {row['index']}"
            text = textwrap.shorten(row["text"], _SAID, placeholder=" …") or example
            said.append(f"{what} memorized of {name} ({three(row['memorization'])}): {text}")
    return tuple(said)
