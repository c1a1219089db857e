"""Several epochs of a small network are one program, which changes no result."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.helpers.farms import shards
from tests.helpers.trials import TRIALS, small, subsets
from tfmem import training
from tfmem.training.outcome import Unwatched
from tfmem.training.several import epochs_at_once
from tfmem.training.stacked import StackedTrainer
from tfmem.training.trainers import make_trainers
from tfmem.training.watching import TrialWatcher


class Losses(Unwatched):
    """Keeps the losses of all epochs, and the sizes of groups in which they come."""

    def __init__(self):
        self.losses, self.groups = [], []

    def after_epoch(self, epoch, losses, variables):
        self.after_epochs(epoch, losses[None], variables)

    def after_epochs(self, first, losses, variables):
        assert first == len(self.losses)
        self.losses += losses.tolist()
        self.groups.append(len(losses))


@pytest.mark.parametrize("shares", [1.0, 0.0], ids=["resident", "on the host"])
def test_epochs_in_groups_are_those_one_by_one(digits, shares, monkeypatch):
    config = small(
        "training.epochs=7", "training.batch_size=50", f"training.memory_share={shares}",
        "training.stack_size=3",
    )  # fmt: skip
    (trainer, *_), chosen = make_trainers(config, digits), TRIALS[:3]

    def trained():
        losses = Losses()
        found = trainer.train(chosen, subsets(chosen), lambda _: losses)
        margins = [each.margin for outcome in found for each in (outcome.train, outcome.test)]
        return losses.losses, losses.groups, margins

    whole = trained()
    assert whole[1] == [7]
    for most, groups in ((1, [1] * 7), (3, [3, 3, 1])):
        monkeypatch.setattr(StackedTrainer, "epochs_at_once", lambda self, size, most=most: most)
        found = trained()
        assert found[1] == groups
        assert_array_equal(found[0], whole[0])
        assert_array_equal(np.concatenate(found[2]), np.concatenate(whole[2]))


def test_a_trial_killed_between_groups_goes_on_to_the_same_bytes(digits, tmp_path, monkeypatch):
    config = small("training.checkpoint_minutes=0", "training.epochs=6", "training.trials=2",
                   "training.lanes=1",
                   "training.stack_size=2")  # fmt: skip
    training.train(config, digits, tmp_path / "whole")
    monkeypatch.setattr(StackedTrainer, "epochs_at_once", lambda self, size: 2)
    begun, real = [], TrialWatcher.after_epochs

    def killed(self, first, losses, variables):
        begun.append(first)
        real(self, first, losses, variables)
        if begun == [0, 2]:
            raise ConnectionError("killed")

    monkeypatch.setattr(TrialWatcher, "after_epochs", killed)
    with pytest.raises(ConnectionError):
        training.train(config, digits, tmp_path / "killed")
    training.train(config, digits, tmp_path / "killed")
    assert begun == [0, 2, 4]
    assert shards(tmp_path / "killed") == shards(tmp_path / "whole")


def test_large_and_unknown_models_train_one_epoch_at_a_time():
    def dense(width):
        return keras.Sequential([keras.Input((width,)), keras.layers.Dense(10, use_bias=False)])

    assert epochs_at_once(dense(64), models=2, size=1 << 10) == (1 << 30) // (1280 << 10)
    assert epochs_at_once(dense(1 << 14), models=8, size=1 << 10) == 1
    pictures = keras.Sequential(
        [keras.Input((64, 64, 1)), keras.layers.Conv2D(1, 1, use_bias=False)]
    )
    assert epochs_at_once(pictures, models=2, size=1 << 10) == (1 << 17) // 1024

    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Hidden()
    model(np.zeros((1, 3)))
    assert epochs_at_once(model, models=1, size=1) == 1
