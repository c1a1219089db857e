"""Compares self-influence in models with other seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.components.experiment import Seeds, on_memorization
from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.seeds import seeds
from tfmem.figures.seeds import seeds_figure
from tfmem.messages.quiet import import_tensorflow
from tfmem.messages.terminal import say
from tfmem.store.artifacts import SelfInfluence


def conduct(
    memorization: pd.DataFrame, dataset: AnyDataset, config: Config, folder: Path
) -> Outcome:
    """The first model is the one that the estimates are from; the others are trained here."""
    import_tensorflow()
    from tfmem.experiments.self_influence import self_influence

    def estimate(trial: int) -> np.ndarray:
        found = self_influence(config, dataset, trial, folder / "models")
        say(f"trial {trial}: test accuracy {found.test_accuracy:.2%}")
        return found.scores.memorization

    first = memorization["memorization"].to_numpy(float)
    classes = np.array(dataset.class_names)[dataset.train_labels]
    return seeds(config, classes, first, estimate)


SEEDS = on_memorization(Seeds, conduct, lambda table, _: seeds_figure(table), SelfInfluence)
