import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.oracle import record
from tfmem import training
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.errors import InputError
from tfmem.models import build
from tfmem.predictions import read_shard, write_shard
from tfmem.records import shard_name
from tfmem.subsets import Trial, unpack
from tfmem.training.initialization import VariableInitializer
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.outcome import Outcome
from tfmem.training.schedules import learning_rates
from tfmem.training.stacked import StackedTrainer, choose_stack_size
from tfmem.training.trials import run_trials

DEVICES = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(DEVICES[0], [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(scope="module")
def digits():
    """The first 300 training and 60 test digits."""
    data = load(from_yaml("").dataset)
    return replace(
        data,
        train_images=data.train_images[:300],
        train_labels=data.train_labels[:300],
        test_images=data.test_images[:60],
        test_labels=data.test_labels[:60],
    )


def small(*overrides):
    return from_yaml("", ["training.epochs=4", "training.trials=6", *overrides])


def dense(config=None):
    config = config or small()
    return build(config.model, (8, 8, 1), 10, config.training.precision)


def with_state():
    """A model with batch normalization, dropout and a depthwise convolution."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def probabilities(outcomes):
    rows = [np.concatenate([o.train_prob, o.test_prob]) for o in outcomes]
    return np.stack(rows).astype(float)


def stacked(model, data, config, trials):
    trainer = StackedTrainer(model, data, config.training, len(trials))
    return probabilities(trainer.train(trials, lambda: None))


def mirrored(make, data, config, trial, devices=1):
    strategy = tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(devices)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    trainer = MirroredTrainer(make, data, config.training, strategy)
    return probabilities(trainer.train([trial], lambda: None))[0]


TRIALS = [Trial(k, 0) for k in range(6)]
ROUNDING = 2e-3  # of probabilities kept in half precision, after four epochs


@pytest.mark.parametrize("model", ["dense", "cnn"])
def test_both_trainers_and_two_devices_give_the_same_models(digits, model):
    config = small(f"model.name={model}", "training.batch_size=48")
    together = stacked(dense(config), digits, config, TRIALS)
    one = mirrored(lambda: dense(config), digits, config, TRIALS[2])
    two = mirrored(lambda: dense(config), digits, config, TRIALS[2], devices=2)
    np.testing.assert_allclose(one, together[2], atol=ROUNDING)
    np.testing.assert_allclose(two, together[2], atol=ROUNDING)
    assert np.abs(together[0] - together[2]).max() > 0.1  # trials do differ


def test_bfloat16_gives_the_same_models_to_its_precision(digits):
    """Eight bits of mantissa: single probabilities differ, their mean distance is small."""
    config = small("training.epochs=12")
    mixed = small("training.epochs=12", "training.precision=mixed_bfloat16")
    exact = stacked(dense(config), digits, config, TRIALS)
    rough = stacked(dense(mixed), digits, mixed, TRIALS)
    assert dense(mixed).get_layer("features").compute_dtype == "bfloat16"
    assert 0 < np.abs(exact - rough).mean() < 0.01


def test_models_with_state_stack(digits):
    config = small()
    together = stacked(with_state(), digits, config, TRIALS[:3])
    alone = mirrored(with_state, digits, config, TRIALS[1])
    np.testing.assert_allclose(alone, together[1], atol=ROUNDING)


def test_a_trial_is_the_same_in_any_stack_and_at_any_time(digits):
    config = small()
    together = stacked(dense(), digits, config, TRIALS)
    np.testing.assert_array_equal(stacked(dense(), digits, config, TRIALS), together)
    others = stacked(dense(), digits, config, [TRIALS[4], TRIALS[1]])
    np.testing.assert_array_equal(others, together[[4, 1]])


def test_training_is_that_of_keras_fit(digits):
    """The same subset, order, initial values and rates through `model.fit`."""
    config = small("training.batch_size=50")
    trial, model = TRIALS[3], dense()
    subset = trial.subset(300, 210)
    values = VariableInitializer(model)(trial)
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rates = learning_rates(config.training, 4 * 5)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss)
    x, y = digits.train_images / np.float32(16), digits.train_labels

    class Rate(keras.callbacks.Callback):
        step = 0

        def on_train_batch_begin(self, batch, logs=None):
            optimizer.learning_rate.assign(rates[self.step])
            self.step += 1

    rate = Rate()
    for epoch in range(4):
        order = trial.epoch_order(subset, epoch)
        model.fit(x[order], y[order], 50, 1, 0, shuffle=False, callbacks=[rate])
    logits = model.predict(digits.test_images / np.float32(16), verbose=0)
    expected = tf.nn.softmax(logits).numpy()[np.arange(60), digits.test_labels]
    found = stacked(dense(), digits, config, [trial])[0, 300:]
    np.testing.assert_allclose(found, expected, atol=ROUNDING)


def test_initial_values_follow_the_layers_initializers_and_differ():
    model = with_state()
    draw = VariableInitializer(model)
    first, again, second = draw(TRIALS[0]), draw(TRIALS[0]), draw(TRIALS[1])
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    for variable, a, b, c in zip(variables, first, again, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.shape == tuple(variable.shape)
        fixed = {"gamma": 1, "beta": 0, "bias": 0, "moving_mean": 0, "moving_variance": 1}
        if variable.name in fixed:
            assert (a == fixed[variable.name]).all()
        else:
            assert (a != c).any()
    kernel = VariableInitializer(dense())(TRIALS[0])[0]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (64 + 128)), rel=0.05)  # Glorot


def test_a_layer_that_hides_its_initializer_is_refused():
    class Hidden(keras.layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1],), name="w")

        def call(self, x):
            return x * self.w

    inputs = keras.Input((3,))
    with pytest.raises(InputError, match=r"layer 'secret' has no attribute 'w_initializer'"):
        VariableInitializer(keras.Model(inputs, Hidden(name="secret")(inputs)))


def test_rates_at_the_corners():
    config = from_yaml("", ["training.learning_rate=0.4"]).training
    rates = learning_rates(config, 1000)
    steps = (np.arange(1000) + 0.5) / 1000
    np.testing.assert_allclose(rates[:150], 0.4 * steps[:150] / 0.15, rtol=1e-5)
    np.testing.assert_allclose(rates[150:], 0.4 * (1 - steps[150:]) / 0.85, rtol=1e-5)
    assert rates.argmax() in (149, 150)
    assert rates.mean() == pytest.approx(0.2, rel=1e-3)
    constant = from_yaml("", ["training.schedule=constant"]).training
    assert set(learning_rates(constant, 7).tolist()) == {np.float32(0.1)}


def test_stack_sizes_are_bounded_and_even():
    config = from_yaml("").training
    size = choose_stack_size(dense(), config)
    assert 1 <= size <= 128
    assert -(-config.trials // size) * size - config.trials < -(-config.trials // size)
    inputs = keras.Input((5000,))
    huge = keras.Model(inputs, keras.layers.Dense(5000)(inputs))
    assert choose_stack_size(huge, config) == 1


class Counted:
    """A trainer that learns nothing, and counts what it was asked for."""

    def __init__(self, data, size):
        self.data, self.stack_size, self.asked = data, size, []

    def train(self, trials, on_epoch):
        self.asked += [trial.trial_id for trial in trials]
        n, test = len(self.data.train_labels), len(self.data.test_labels)
        prob = np.zeros(n, np.float16), np.zeros(test, np.float16)
        return [Outcome(np.arange(n) % (3 + t.trial_id) == 0, np.arange(test) % 2 == 0, *prob)
                for t in trials]  # fmt: skip


def farm(config, data, folder, size=4):
    trainer = Counted(data, size)
    summary = run_trials(config, data, folder, lambda asked: trainer)
    return summary, trainer.asked


def shards(folder):
    return {path.name: path.read_bytes() for path in folder.glob("predictions-*")}


def test_records_hold_subset_and_predictions(digits, tmp_path):
    config = small()
    summary, _ = farm(config, digits, tmp_path)
    assert (summary.trials, summary.trained, summary.accuracy) == (6, 6, 0.5)
    records = [r for s in range(2) for r in read_shard(tmp_path / shard_name("predictions", s, 2))]
    assert [r.trial_id for r in records] == list(range(6))
    for r in records:
        mask = unpack(r.subset_mask, 300)
        np.testing.assert_array_equal(np.flatnonzero(mask), Trial(r.trial_id, 0).subset(300, 210))
        correct = np.arange(300) % (3 + r.trial_id) == 0
        np.testing.assert_array_equal(unpack(r.train_correct, 300), correct)
        assert (r.dataset_fingerprint, r.config_digest) == (digits.fingerprint, config.digest())
        assert (len(r.train_prob), len(r.test_prob)) == (600, 120)


def test_only_missing_shards_are_trained_and_more_trials_can_be_added(digits, tmp_path):
    farm(small("training.trials=10"), digits, tmp_path)
    whole = shards(tmp_path)
    (tmp_path / shard_name("predictions", 1, 3)).unlink()
    summary, asked = farm(small("training.trials=10"), digits, tmp_path)
    assert (asked, summary.trained, shards(tmp_path)) == ([4, 5, 6, 7], 4, whole)

    summary, asked = farm(small("training.trials=17"), digits, tmp_path)
    assert (summary.trials, summary.trained) == (17, 7)
    assert asked == list(range(8, 20))  # the stack that was cut short, and what follows
    farm(small("training.trials=17"), digits, tmp_path / "new")
    assert shards(tmp_path) == shards(tmp_path / "new")


def test_a_folder_of_another_run_is_refused(digits, tmp_path):
    farm(small(), digits, tmp_path)
    before = shards(tmp_path)
    for override, words in (
        ("training.epochs=5", r"training\.epochs: 4 -> 5"),
        ("seed=1", "seed: 0 -> 1"),
        ("training.trials=5", r"training\.trials: 6 -> 5"),
        ("training.stack_size=2", r"training\.stack_size: 4 -> 2"),
        ("training.trainer=mirrored", r"training\.trainer: 'stacked' -> 'mirrored'"),
        ("training.probabilities=false", r"training\.probabilities: True -> False"),
    ):
        with pytest.raises(InputError, match=words):
            farm(small(override), digits, tmp_path)
    other = replace(digits, train_labels=digits.train_labels[::-1])
    with pytest.raises(InputError, match=r"made with other data: expected .* received digits"):
        farm(small(), other, tmp_path)
    assert shards(tmp_path) == before


def test_damaged_and_foreign_shards_are_named_and_kept(digits, tmp_path):
    farm(small(), digits, tmp_path)
    path = tmp_path / shard_name("predictions", 0, 2)
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    with pytest.raises(InputError, match=r"predictions-00000-of-00002.tfrecord: record 3: trunc"):
        farm(small(), digits, tmp_path)
    assert path.read_bytes() == data[:-3]
    write_shard(path, [record(0, np.ones(9, bool), np.ones(9, bool), np.ones(9, bool))])
    with pytest.raises(InputError, match=r"record 0: made with other data or other settings"):
        farm(small(), digits, tmp_path)
    path.write_bytes((tmp_path / shard_name("predictions", 1, 2)).read_bytes())
    with pytest.raises(InputError, match=r"expected a trial of range\(0, 4\), received 4"):
        farm(small(), digits, tmp_path)


@pytest.mark.parametrize("trainer", ["stacked", "mirrored"])
def test_a_trial_that_diverges_is_named(digits, tmp_path, trainer):
    config = small("training.learning_rate=1e30", f"training.trainer={trainer}")
    with pytest.raises(InputError, match=r"trial \d diverged.*learning_rate is 1e\+30"):
        training.train(config, digits, tmp_path)
    assert shards(tmp_path) == {}


def everything(folder):
    """All files of a run but the notes of the runner, which hold times."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.suffix != ".json"}


def wait_for(condition, process):
    limit = time.monotonic() + 90
    while not condition() and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_killed_at_random_moments_a_run_ends_with_the_same_bytes(tmp_path):
    """Ten kills while it starts or trains, two after that, and a last start to the end."""
    program = Path(sys.executable).with_name("tfmem")
    settings = ("trials=1200", "stack_size=12", "epochs=12")
    options = [f"--set=training.{setting}" for setting in settings]
    disturbed, whole = tmp_path / "disturbed", tmp_path / "whole"
    predictions = disturbed / "predictions"
    seed = int.from_bytes(os.urandom(4), "little")
    rng = random.Random(seed)

    def start(out):
        command = [program, "run", "configs/digits.yaml", "--out", str(out), *options]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(process):
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    for number in range(10):
        process = start(disturbed)
        if number % 4 == 3:
            time.sleep(rng.uniform(0, 6))
        else:
            had = len(shards(predictions))
            wait_for(lambda had=had: len(shards(predictions)) > had, process)
            time.sleep(rng.uniform(0, 0.5))
        assert kill(process), f"the run ended before it was killed (seed {seed})"
    for _ in range(2):
        process = start(disturbed)
        wait_for(lambda: (disturbed / ".components" / "train.json").exists(), process)
        time.sleep(rng.uniform(0, 3))
        kill(process)  # the second time it may have ended
    assert start(disturbed).wait() == 0
    assert start(whole).wait() == 0
    assert everything(disturbed) == everything(whole), f"seed {seed}"
    assert len(shards(predictions)) == 100
