"""Measures whether memorized sentences are atypical."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tfmem.components.experiment import Typicality, on_memorization
from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.typicality import typicality
from tfmem.figures.typicality import typicality_figure


def conduct(
    memorization: pd.DataFrame, dataset: AnyDataset, config: Config, folder: Path
) -> Outcome:
    """By labels of phrases."""
    del config, folder
    return typicality(dataset, memorization["memorization"].to_numpy(float))


TYPICALITY = on_memorization(Typicality, conduct, lambda table, _: typicality_figure(table))
