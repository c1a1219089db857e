"""Shows the most and the least memorized texts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from components.experiment import Instances, on_memorization
from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.experiments.instances import instances
from tfmem.experiments.outcome import Outcome
from tfmem.figures.instances import instances_figure


def conduct(
    memorization: pd.DataFrame, dataset: AnyDataset, config: Config, folder: Path
) -> Outcome:
    """By memorization within each class."""
    del folder
    return instances(config, dataset, memorization["memorization"].to_numpy(float))


INSTANCES = on_memorization(Instances, conduct, instances_figure)
