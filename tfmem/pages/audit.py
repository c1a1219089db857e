"""The page of an audit, for the owner of a data set."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfmem.audit.conclusion import Audit
from tfmem.audit.findings import ATYPICAL, LABEL, USEFUL
from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.pages.html import template
from tfmem.pages.looks import Looks

_ROWS = {LABEL: 500, USEFUL: 300, ATYPICAL: 300}
_PAIRS = 300
_FIRST = 12
_HELPED = 3


def render(data: AnyDataset, config: Config, found: Audit) -> str:
    """Renders the page as one file that needs no other file.

    Args:
      data: the examples.
      config: the settings of the audit.
      found: the audit; the page shows the first few hundred examples of each finding.
    """
    examples = pd.concat([found.of(kind).head(rows) for kind, rows in _ROWS.items()])
    pairs = None if found.duplicates is None else found.duplicates.head(_PAIRS)
    helped = _helped(examples, found.effects)
    shown = {"train": {*examples.index}, "test": {j for tests in helped.values() for j, _ in tests}}
    if pairs is not None:
        shown["train"].update(pairs["other_index"])
        for split, indices in shown.items():
            indices.update(pairs.loc[pairs["split"] == split, "index"])
    looks = Looks(data, {split: sorted(indices) for split, indices in shown.items()})
    return template("audit.html.j2").render(
        data=data,
        config=config,
        audit=found,
        examples=list(examples.itertuples()),
        first={kind: list(found.of(kind).head(_FIRST).itertuples()) for kind in _ROWS},
        pairs=None if pairs is None else list(pairs.itertuples(index=False)),
        classes=list(found.classes.itertuples()),
        helped=helped,
        looks=looks,
        sheets=looks.sheets(),
        units=found.evidence.units,
        what=found.what,
        classed=found.what == "label",
        settings=config.to_yaml(),
    )


def _helped(examples: pd.DataFrame, effects: pd.DataFrame) -> dict[int, list[tuple[int, float]]]:
    """Finds the test examples that each useful example helps most, and the influences on them."""
    useful = examples.index[examples["finding"] == USEFUL]
    helping = effects[(effects["influence"] > 0) & np.isin(effects["train_index"], useful)]
    found: dict[int, list[tuple[int, float]]] = {}
    for row in helping.to_dict("records"):
        tests = found.setdefault(row["train_index"], [])
        if len(tests) < _HELPED:
            tests.append((row["test_index"], row["influence"]))
    return found
