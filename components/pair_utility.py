"""Measures what the training examples of the selected pairs are worth."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import PairUtility, experiment
from tfmem.config import Config
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.pair_utility import pair_utility
from tfmem.experiments.run import Run
from tfmem.figures.pair_utility import pair_utility_figure


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Removes the training examples of the run's pairs."""
    pairs = run.pairs
    train_index, test_index = (pairs[name].to_numpy() for name in ("train_index", "test_index"))
    return pair_utility(config, run.dataset, train_index, test_index, folder)


PAIR_UTILITY = experiment(PairUtility, conduct, pair_utility_figure)
