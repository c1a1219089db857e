"""Half precision: only the model whose step overflows skips it."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.trials import TRIALS, small, subsets, two_devices, unwatched
from tfmem.store.folders import open_folder
from tfmem.training.checkpoints import Checkpoint
from tfmem.training.loss_scale import LossScale
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.recipe import compiled
from tfmem.training.resident import ResidentExamples
from tfmem.training.stacked import StackedTrainer

HALF = small("training.precision=mixed_float16", "training.batch_size=50").training
EPOCHS, STEPS = 4, 5
INITIAL = 2.0**15


def half():
    """A model with batch normalization, in half precision."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(16, use_bias=False, dtype="mixed_float16")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, dtype="mixed_float16")(x)
    x = keras.layers.ReLU(dtype="mixed_float16")(x)
    return compiled(keras.Model(inputs, keras.layers.Dense(10, dtype="mixed_float16")(x)), HALF)


def trainer_of(kind, data):
    if kind == "stacked":
        return StackedTrainer(half(), ResidentExamples(data), HALF, 3)
    devices = tf.distribute.MirroredStrategy(["CPU:0"]) if kind == "mirrored" else two_devices()
    return MirroredTrainer(half, data, HALF, devices)


@pytest.fixture(scope="module")
def overflowing(digits):
    """Digits with one example whose pixels are 1e6; and which of the trials hold it."""
    chosen = [set(subset.tolist()) for subset in subsets(TRIALS[:3])]
    example = next(i for i in range(300) if [i in each for each in chosen] == [True, False, True])
    images = digits.train_images.astype(np.float32) / 16
    images[example] = 1e6
    return replace(
        digits, train_images=images, test_images=digits.test_images.astype(np.float32) / 16, white=1
    )


def test_a_scale_does_what_that_of_keras_does():
    rng = np.random.default_rng(0)
    finite = rng.random((60, 2)) < 0.9
    theirs = [
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), dynamic_growth_steps=5)
        for _ in range(2)
    ]
    ours = LossScale(2, theirs[0])
    variables = [keras.Variable([0.0]) for _ in theirs]
    for step in finite:
        ours.update(tf.constant(step))
        for optimizer, variable, good in zip(theirs, variables, step, strict=True):
            optimizer.apply([tf.constant([1.0 if good else np.inf])], [variable])
        expected = [float(optimizer.dynamic_scale) for optimizer in theirs]
        assert ours.scales.numpy().tolist() == expected
    ours.reset()
    assert [v.numpy().tolist() for v in ours.variables] == [[INITIAL] * 2, [0, 0]]


@pytest.mark.parametrize("kind", ["stacked", "mirrored", "two replicas"])
def test_a_step_that_overflows_is_skipped_and_training_recovers(overflowing, kind):
    """Models with that example skip one step an epoch; the others do not notice it."""
    trainer = trainer_of(kind, overflowing)
    found = []
    for group in [TRIALS[:3]] if kind == "stacked" else [[trial] for trial in TRIALS[:2]]:
        outcomes = trainer.train(group, subsets(group), unwatched)
        scales = np.atleast_1d(trainer.variables[-2].numpy())
        found += zip(outcomes, scales, strict=True)
    for (outcome, scale), skipped in zip(found, (1, 0, 1), strict=False):
        assert scale == INITIAL / 2 ** (EPOCHS * skipped)
        assert np.isfinite(outcome.loss)
        assert outcome.loss < np.log(10)
        assert np.isfinite(outcome.test.margin).all()
    if kind == "stacked":
        usual = replace(overflowing, train_images=np.minimum(overflowing.train_images, 1))
        expected = trainer_of(kind, usual).train(TRIALS[:3], subsets(TRIALS[:3]), unwatched)
        same = [
            np.array_equal(one.test.margin, other.test.margin)
            for (one, _), other in zip(found, expected, strict=True)
        ]
        assert same == [False, True, False]


@pytest.mark.parametrize("kind", ["stacked", "mirrored", "two replicas"])
def test_a_skipped_step_changes_nothing_but_the_scale(digits, kind):
    trainer = trainer_of(kind, digits)
    models = trainer.stack_size
    trainer.assign(trainer.initializer.of_stack(TRIALS[:models]))
    lost = models - 1
    scales, good = trainer.variables[-2:]
    scales.assign([INITIAL] * lost + [2.0**127])
    order = np.stack([trial.epoch_order(subset, 0)[:50] for trial, subset in
                      zip(TRIALS[:models], subsets(TRIALS[:models]), strict=True)])  # fmt: skip
    before = [variable.numpy() for variable in trainer.variables[:-2]]
    losses = trainer.run_epoch(order, order.astype(np.uint64), np.full(1, 0.1, np.float32))
    assert np.isnan(losses).tolist() == [False] * lost + [True]
    assert scales.numpy().tolist() == [INITIAL] * lost + [2.0**126]
    assert good.numpy().tolist() == [1] * lost + [0]
    for old, variable in zip(before, trainer.variables, strict=False):
        new = variable.numpy()
        if kind == "stacked":
            assert (old[:lost] != new[:lost]).any()
            old, new = old[lost], new[lost]
        np.testing.assert_array_equal(old, new)


def test_scales_go_on_from_a_checkpoint(overflowing, tmp_path):
    class Stopped:
        def __init__(self, checkpoint, last):
            self.checkpoint, self.last = checkpoint, last

        def resume(self, variables):
            return self.checkpoint.load(variables)

        def after_epoch(self, epoch, losses, variables):
            self.checkpoint.save_if_due(epoch, losses, variables, force=True)
            if epoch == self.last:
                raise KeyboardInterrupt

    trainer = trainer_of("stacked", overflowing)
    whole = trainer.train(TRIALS[:3], subsets(TRIALS[:3]), unwatched)
    ended = [variable.numpy() for variable in trainer.variables]
    checkpoint = Checkpoint(open_folder(tmp_path), "c.npz", b"d", 5.0)
    trainer = trainer_of("stacked", overflowing)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(TRIALS[:3], subsets(TRIALS[:3]), lambda _: Stopped(checkpoint, 1))
    trainer.assign(trainer.initializer.of_stack(TRIALS[:3]))
    again = trainer.train(TRIALS[:3], subsets(TRIALS[:3]), lambda _: Stopped(checkpoint, EPOCHS))
    for one, other in zip(ended, trainer.variables, strict=True):
        np.testing.assert_array_equal(one, other.numpy())
    assert [o.loss for o in again] == [o.loss for o in whole]
