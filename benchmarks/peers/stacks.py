"""tfmem's own side: its trainers, without the farm around them."""

import threading
import time
from pathlib import Path

from tfmem.config import Config, from_yaml
from tfmem.subsets import Trial
from tfmem.subsets.drawing import subset_size
from tfmem.training.outcome import Unwatched


def read_config(path: str, *overrides: str) -> Config:
    """Reads the settings in the file at `path`, changed by `overrides` (`KEY=VALUE`)."""
    return from_yaml(Path(path).read_text(encoding="utf-8"), overrides, path)


def train_one_each(trainers, first, config, dataset, stacks=1):
    """Trains `stacks` on every lane at once; returns the seconds, and the outcomes by trial."""
    n = len(dataset.train_labels)
    size = subset_size(n, config.training.fraction)
    found = {}

    def run(lane):
        stack = trainers[lane].stack_size
        for number in range(stacks):
            start = first + (number * len(trainers) + lane) * stack
            trials = [Trial(start + i, config.seed) for i in range(stack)]
            subsets = [trial.subset(n, size) for trial in trials]
            outcomes = trainers[lane].train(trials, subsets, lambda trials: Unwatched())
            found.update(zip(trials, outcomes, strict=True))

    threads = [threading.Thread(target=run, args=(lane,)) for lane in range(len(trainers))]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, found
