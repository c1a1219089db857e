"""Measures what is lost without memorized examples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tfmem.components.experiment import Removal, on_memorization
from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.removal import removal
from tfmem.figures.removal import removal_figure


def conduct(
    memorization: pd.DataFrame, dataset: AnyDataset, config: Config, folder: Path
) -> Outcome:
    """Removes by memorization."""
    return removal(config, dataset, memorization["memorization"].to_numpy(float), folder)


REMOVAL = on_memorization(Removal, conduct, lambda table, _: removal_figure(table))
