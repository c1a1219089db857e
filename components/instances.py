"""Shows the most and the least memorized examples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tfmem.components.experiment import Instances, on_memorization
from tfmem.config import Config
from tfmem.datasets import AnyDataset, TextDataset
from tfmem.datasets.pictures import Pictures
from tfmem.experiments.instances import instances
from tfmem.experiments.outcome import Outcome
from tfmem.figures.galleries import ends_gallery
from tfmem.figures.instances import instances_figure


def conduct(
    memorization: pd.DataFrame, dataset: AnyDataset, config: Config, folder: Path
) -> Outcome:
    """By memorization within each class."""
    del folder
    return instances(config, dataset, memorization["memorization"].to_numpy(float))


def draw(table: pd.DataFrame, dataset: AnyDataset) -> Figure:
    """Texts as a table, images as a gallery."""
    if isinstance(dataset, TextDataset):
        return instances_figure(table)
    return ends_gallery(Pictures(dataset, "train"), table)


INSTANCES = on_memorization(Instances, conduct, draw)
