"""Measures what is lost without memorized examples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from components.experiment import Removal, on_memorization
from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.removal import removal
from tfmem.figures.removal import removal_figure
from tfmem.run import SUBSAMPLED


def conduct(
    memorization: pd.DataFrame, dataset: AnyDataset, config: Config, folder: Path
) -> Outcome:
    """Removes by memorization; each estimator's models are in a folder of their own."""
    estimator = memorization.attrs["estimator"]
    work = folder if estimator == SUBSAMPLED.decode() else folder / estimator
    return removal(config, dataset, memorization["memorization"].to_numpy(float), work)


REMOVAL = on_memorization(Removal, conduct, removal_figure)
