"""A trainer that learns nothing, and the shards that a farm of such trainers writes."""

import numpy as np

from tfmem.datasets.kept import labels_of
from tfmem.store.claims import Worker
from tfmem.store.folders import open_folder
from tfmem.store.records import shard_name
from tfmem.tasks import Scores
from tfmem.training.directory import open_directory
from tfmem.training.outcome import TrialOutcome
from tfmem.training.trials import Farm

ALONE = Worker()


class Counted:
    """A trainer that learns nothing and counts its trials."""

    def __init__(self, data, size):
        self.data, self.stack_size, self.asked = data, size, []

    def train(self, trials, subsets, watch):
        self.asked += [trial.trial_id for trial in trials]
        n, test = len(self.data.train_labels), len(self.data.test_labels)
        even, margins = np.arange(test) % 2 == 0, (np.zeros(n), np.zeros(test))
        return [
            TrialOutcome(
                Scores(np.arange(n) % (2 + t.trial_id % 3) == 0, margins[0]),
                Scores(even, margins[1]),
            )
            for t in trials
        ]


def run_farm(config, data, out, size=4, lanes=1, worker=ALONE, trainers=None):
    trainers = trainers or [Counted(data, size) for _ in range(lanes)]
    folder = open_folder(f"{out}/predictions")
    settings, subsets, _ = open_directory(folder, config, data, lambda *_: trainers)
    farm = Farm(settings, labels_of(data), subsets, folder, lambda: trainers, data)
    summary = farm.run(worker, open_folder(out))
    return summary, [trial for trainer in trainers for trial in trainer.asked]


def shards(out):
    """The prediction shards of a run, by name."""
    return {path.name: path.read_bytes() for path in (out / "predictions").glob("predictions-*")}


def path_of(out, shard, count):
    return out / "predictions" / shard_name("predictions", shard, count)
