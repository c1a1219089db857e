"""What watches trials in training, when several epochs end at once."""

import threading

import numpy as np
import pytest

from tfmem.config import from_yaml
from tfmem.store.folders import open_folder
from tfmem.subsets import Trial
from tfmem.training.checkpoints import Checkpoint
from tfmem.training.watching import TrialWatcher


class Value:
    """A variable (see `tfmem.training.outcome.Variable`)."""

    shape, dtype = (2,), np.dtype(np.float32)

    def __init__(self):
        self.value = np.zeros(2, np.float32)

    def assign(self, value):
        self.value = value

    def numpy(self):
        return self.value


class Told:
    """Receives scalars."""

    def __init__(self):
        self.written = []

    def write(self, trial, epoch, values):
        self.written.append((trial, epoch, values["loss"]))


def test_epochs_that_end_at_once_are_told_singly_and_a_stop_is_saved_at_their_end(tmp_path):
    told, shown, stop, variable = Told(), [], threading.Event(), Value()
    checkpoint = Checkpoint(open_folder(tmp_path), "some.npz", b"digest", minutes=60)
    trials, settings = [Trial(4, 0), Trial(5, 0)], from_yaml("training: {epochs: 9}").training
    watcher = TrialWatcher(settings, trials, checkpoint, told, shown.append, stop)
    losses = np.arange(6.0).reshape(3, 2)
    watcher.after_epochs(2, losses, [variable])
    assert told.written == [(4, 2, 0), (5, 2, 1), (4, 3, 2), (5, 3, 3), (4, 4, 4), (5, 4, 5)]
    assert shown == [2 * 3 / 10, 2 * 4 / 10, 2 * 5 / 10]
    assert watcher.resume([Value()]) == (0, None)
    stop.set()
    variable.assign(np.array([7, 8], np.float32))
    with pytest.raises(KeyboardInterrupt):
        watcher.after_epochs(5, losses, [variable])
    again = Value()
    epoch, kept = watcher.resume([again])
    assert (epoch, kept.tolist(), again.value.tolist()) == (8, [4, 5], [7, 8])
