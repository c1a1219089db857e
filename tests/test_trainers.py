"""All trainers compute what plain Keras would compute."""

import threading
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from tests.helpers.trials import TRIALS, probabilities, small, subsets, two_devices, unwatched
from tfmem.config import from_yaml
from tfmem.datasets import Dataset
from tfmem.messages.errors import InputError
from tfmem.models import build
from tfmem.models.normalization import BatchNormalization, fuse_batch_normalization
from tfmem.training.choosing import choose_stack_size, largest_stack
from tfmem.training.fitting import FittingTrainer
from tfmem.training.initialization import VariableInitializer
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.recipe import compiled
from tfmem.training.resident import ResidentExamples
from tfmem.training.schedules import learning_rates
from tfmem.training.stacked import StackedTrainer

DEVICES = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(DEVICES[0], [tf.config.LogicalDeviceConfiguration()] * 2)


def dense(config=None):
    config = config or small()
    model = build(config.model, (8, 8, 1), 10, config.training.precision)
    return compiled(model, config.training)


def with_state(settings):
    """A model with batch normalization, dropout and a depthwise convolution."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, use_bias=False)(x)
    x = BatchNormalization(momentum=0.9)(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return compiled(keras.Model(inputs, keras.layers.Dense(10)(x)), settings)


def stacked(model, data, config, trials):
    trainer = StackedTrainer(model, ResidentExamples(data), config.training, len(trials))
    return probabilities(trainer.train(trials, subsets(trials), unwatched))


def mirrored(make, data, config, trial, devices=1):
    strategy = two_devices() if devices == 2 else tf.distribute.MirroredStrategy(["CPU:0"])
    trainer = MirroredTrainer(make, data, config.training, strategy)
    return probabilities(trainer.train([trial], subsets([trial]), unwatched))[0]


ROUNDING = 2e-3  # of probabilities, after four epochs in another order of operations
FULL = ("training.augmentation={pad: 2, flip: true}", "training.nesterov=true",
        "training.weight_decay=1e-3")  # fmt: skip


@pytest.mark.parametrize("model", ["dense", "cnn"])
@pytest.mark.parametrize("more", [(), FULL], ids=["plain", "augmented"])
def test_both_trainers_and_two_devices_give_the_same_models(digits, model, more):
    config = small(f"model.name={model}", "training.batch_size=48", *more)
    together = stacked(dense(config), digits, config, TRIALS)
    alone = stacked(dense(config), digits, config, TRIALS[2:3])[0]
    one = mirrored(lambda: dense(config), digits, config, TRIALS[2])
    two = mirrored(lambda: dense(config), digits, config, TRIALS[2], devices=2)
    for other in (alone, one, two):
        np.testing.assert_allclose(other, together[2], atol=ROUNDING)
    assert np.abs(together[0] - together[2]).max() > 10 * ROUNDING  # trials do differ


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_the_same_models_to_its_precision(digits, precision):
    """8 or 11 bits of mantissa: single probabilities differ, their mean distance is small."""
    config = small("training.epochs=12")
    mixed = small("training.epochs=12", f"training.precision={precision}")
    exact = stacked(dense(config), digits, config, TRIALS)
    rough = stacked(dense(mixed), digits, mixed, TRIALS)
    assert dense(mixed).get_layer("features").compute_dtype == precision.removeprefix("mixed_")
    assert 0 < np.abs(exact - rough).mean() < 0.01
    alone = mirrored(lambda: dense(mixed), digits, mixed, TRIALS[1])
    assert np.abs(alone - rough[1]).mean() < 0.01


def test_xla_gives_the_same_models(digits):
    config, faster = small(*FULL), small("training.xla=true", *FULL)
    expected = stacked(dense(config), digits, config, TRIALS[:2])
    found = stacked(dense(faster), digits, faster, TRIALS[:2])
    np.testing.assert_allclose(found, expected, atol=ROUNDING)


def test_models_with_state_stack(digits):
    config = small()
    together = stacked(
        fuse_batch_normalization(with_state(config.training)), digits, config, TRIALS[:3]
    )
    alone = mirrored(lambda: with_state(config.training), digits, config, TRIALS[1])
    np.testing.assert_allclose(alone, together[1], atol=ROUNDING)
    np.testing.assert_allclose(
        stacked(with_state(config.training), digits, config, TRIALS[1:2])[0], alone, atol=ROUNDING
    )


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_fused_batch_normalization_is_that_of_keras(precision):
    """Outputs, gradients and moving statistics, in training and after."""
    rng = np.random.default_rng(0)
    images = (3 + 2 * rng.normal(size=(7, 5, 4, 3))).astype(np.float32)
    weights = tf.constant(rng.normal(size=(7, 5, 4, 3)), tf.float32)
    found = []
    for change in (lambda model: model, fuse_batch_normalization):
        inputs = keras.Input((5, 4, 3))
        layer = BatchNormalization(momentum=0.9, dtype=precision)
        model = change(keras.Model(inputs, layer(inputs)))
        layer.gamma.assign([1.0, 2.0, -0.5])
        layer.beta.assign([0.0, 1.0, 5.0])
        assert layer.fused == (change is fuse_batch_normalization)
        x = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = model(x, training=True)
            loss = tf.reduce_sum(weights * tf.cast(outputs, tf.float32))
        gradients = tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])
        later = model(x, training=False)
        found.append([outputs, *gradients, layer.moving_mean, layer.moving_variance, later])
    for plain, fused in zip(*found, strict=True):
        assert plain.dtype == fused.dtype
        plain, fused = (tf.cast(value, tf.float32).numpy() for value in (plain, fused))
        scale = 2e-2 if precision != "float32" else 1e-5
        np.testing.assert_allclose(fused, plain, rtol=scale, atol=scale * np.abs(plain).max())


def test_replicas_normalize_their_own_share(digits):
    """Two replicas differ from one, but learn as well, and predict with one set of weights."""
    config = small("training.epochs=8", "training.batch_size=60")
    model = from_yaml("", ["model={name: fast, width: 4}"]).model
    make = lambda: compiled(build(model, (8, 8, 1), 10), config.training)  # noqa: E731
    one = mirrored(make, digits, config, TRIALS[0])
    trainer = MirroredTrainer(make, digits, config.training, two_devices())
    two = probabilities(trainer.train(TRIALS[:1], subsets(TRIALS[:1]), unwatched))[0]
    assert np.abs(one - two).max() > ROUNDING
    assert two[:300].mean() == pytest.approx(one[:300].mean(), abs=0.1)
    assert two[:300].mean() > 0.15
    for variable in trainer.model.variables:
        first, second = (share.numpy() for share in variable.value.values)
        np.testing.assert_array_equal(first, second)


def test_a_batch_smaller_than_the_replicas_is_trained_on_whole(digits):
    """With 41 examples in batches of 20, the last batch has one example for two replicas."""
    config = small("training.batch_size=20")
    subset = TRIALS[0].subset(300, 41)
    found = [
        MirroredTrainer(lambda: dense(config), digits, config.training, strategy).train(
            TRIALS[:1], [subset], unwatched
        )
        for strategy in (tf.distribute.MirroredStrategy(["CPU:0"]), two_devices())
    ]
    one, two = map(probabilities, found)
    np.testing.assert_allclose(two, one, atol=ROUNDING)


@pytest.mark.parametrize("masked", [True, False])
def test_a_loss_of_tokens_is_the_mean_over_those_of_a_whole_batch(masked):
    """Also where one device has five times as many of them, by a mask or by `ignore_class`."""
    words = np.ones((8, 6), np.int32)
    words[:4, 1:] = 0  # padding
    data = Dataset("words", words, np.zeros(8, int), words[:0], np.zeros(0, int), ("a", "b"), 1)
    if not masked:
        targets = words * np.arange(1, 9)[:, None] % 3
        data = replace(data, train_targets=targets, test_targets=words[:0])

    def build():
        embedding, dense = keras.layers.Embedding(3, 4, mask_zero=masked), keras.layers.Dense(3)
        model = keras.Sequential([keras.Input((6,), dtype="int32"), embedding, dense])
        dense.kernel.regularizer = keras.regularizers.L2(0.1)
        loss = lambda y, p: (p[..., 0] - 1) ** 2  # noqa: E731
        if not masked:
            loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=0)
        model.compile(keras.optimizers.SGD(1.0), loss)
        return model

    config, found = small("training.batch_size=8"), []
    for strategy in (tf.distribute.MirroredStrategy(["CPU:0"]), two_devices()):
        trainer = MirroredTrainer(build, data, config.training, strategy)
        trainer.assign(trainer.initializer.of_stack(TRIALS[:1]))
        loss = trainer.run_epoch(np.arange(8)[None], np.arange(8)[None].astype(np.uint64), [0.5])
        found.append([loss, *(v.numpy() for v in trainer.model.trainable_variables)])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


def test_what_several_devices_cannot_do_is_refused(digits):
    config = small("training.xla=true")
    with pytest.raises(InputError, match=r"training.xla: expected false .* over 2 devices"):
        MirroredTrainer(lambda: dense(config), digits, config.training, two_devices())

    def summing():
        model = dense(config)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        model.compile("sgd", loss)
        return model

    with pytest.raises(InputError, match=r"over 2 devices .* the reduction of its loss is 'sum'"):
        MirroredTrainer(summing, digits, small().training, two_devices())


def test_all_of_a_lane_is_on_its_device(digits):
    """Threads do not inherit the device in which a trainer was made."""
    with tf.device("CPU:1"):
        examples = ResidentExamples(digits)
    trainer = StackedTrainer(dense(), examples, small().training, 1, "CPU:1")
    lane = threading.Thread(target=trainer.train, args=(TRIALS[:1], subsets(TRIALS[:1]), unwatched))
    lane.start()
    lane.join()
    products = [
        node.device
        for program in trainer._programs.values()
        for function in program.graph.as_graph_def().library.function
        for node in function.node_def
        if node.op == "MatMul"
    ]
    assert products
    assert {place.split("/")[-1] for place in products} == {"device:CPU:1"}


def test_a_trial_is_the_same_in_any_stack_and_at_any_time(digits):
    config = small(*FULL)
    together = stacked(dense(config), digits, config, TRIALS)
    np.testing.assert_array_equal(stacked(dense(config), digits, config, TRIALS), together)
    others = stacked(dense(config), digits, config, [TRIALS[4], TRIALS[1]])
    np.testing.assert_array_equal(others, together[[4, 1]])


def test_training_is_that_of_keras_fit(digits):
    """The same subset, order, initial values and rates through `model.fit`."""
    config = small("training.batch_size=50", "training.nesterov=true")
    trial, model = TRIALS[3], dense(config)
    subset = trial.subset(300, 210)
    values = VariableInitializer(model)(trial)
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rates = learning_rates(config.training, 4 * 5)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
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
        history = model.fit(x[order], y[order], 50, 1, 0, shuffle=False, callbacks=[rate])
    logits = model.predict(digits.test_images / np.float32(16), verbose=0)
    expected = tf.nn.softmax(logits).numpy()[np.arange(60), digits.test_labels]
    trainer = StackedTrainer(dense(config), ResidentExamples(digits), config.training, 1)
    (found,) = trainer.train([trial], [subset], unwatched)
    np.testing.assert_allclose(expit(found.test.margin), expected, atol=ROUNDING)
    assert found.loss == pytest.approx(history.history["loss"][0], rel=1e-4)


def test_initial_values_follow_the_layers_initializers_and_differ():
    model = with_state(small().training)
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


def test_rates_of_imagenet_rise_for_15_epochs_and_fall_at_30_60_90():
    overrides = ["training.schedule=warmup_steps", "training.learning_rate=0.7",
                 "training.epochs=100"]  # fmt: skip
    rates = learning_rates(from_yaml("", overrides).training, 100 * 10)
    np.testing.assert_allclose(rates[:150], 0.7 * (np.arange(150) + 0.5) / 150, rtol=1e-5)
    plateaus = (150, 300, 0.7), (300, 600, 0.07), (600, 900, 0.007), (900, 1000, 0.0007)
    for first, end, rate in plateaus:
        np.testing.assert_allclose(rates[first:end], rate, rtol=1e-5)


def test_stack_sizes_are_bounded_and_even():
    config = from_yaml("").training
    size = largest_stack(dense(), config, 2)
    assert 1 <= size <= 128
    assert -(-config.trials // size) * size - config.trials < -(-config.trials // size)
    inputs = keras.Input((5000,))
    huge = keras.Model(inputs, keras.layers.Dense(5000)(inputs))
    assert largest_stack(huge, config, 1) == 1


class Timed:
    """A trainer whose steps take a stated time."""

    def __init__(self, size, seconds):
        self.stack_size, self.seconds = size, seconds
        self.initializer = lambda trial: []

    def assign(self, values):
        pass

    def run_epoch(self, orders, draws, rates):
        time.sleep(self.seconds)


@pytest.mark.parametrize(("alone", "together", "chosen"), [
    (0.005, 0.02, 8), (0.005, 0.2, 1), (0.3, 0.0, 1)])  # fmt: skip
def test_a_stack_is_chosen_only_if_it_is_faster(alone, together, chosen):
    """In the last case a step is too long to gain from a stack, which is not tried."""
    times = {1: alone, 8: together}
    settings = from_yaml("").training
    make = lambda size: [Timed(size, times[size])]  # noqa: E731
    assert choose_stack_size(make, 8, settings) == chosen


def test_a_stack_that_was_measured_trains_as_a_new_one(digits):
    """Its steps moved the statistics of batch normalization, and random layers drew."""
    config = small("training.epochs=1", "training.batch_size=70")
    layers = [keras.layers.Flatten(), keras.layers.BatchNormalization(momentum=0.5),
              keras.layers.Dropout(0.2), keras.layers.Dense(10)]  # fmt: skip
    model = compiled(keras.Sequential([keras.Input((8, 8, 1)), *layers]), config.training)
    used, new = (
        StackedTrainer(model, ResidentExamples(digits), config.training, 2) for _ in range(2)
    )
    orders = np.zeros((2, 2 * config.training.batch_size), np.int64)
    used.assign(used.initializer.of_stack(TRIALS[:1] * 2))
    used.run_epoch(orders, orders.astype(np.uint64), np.full(2, 0.1, np.float32))
    found, expected = (
        probabilities(trainer.train(TRIALS[:2], subsets(TRIALS[:2]), unwatched))
        for trainer in (used, new)
    )
    np.testing.assert_array_equal(found, expected)


def test_a_stack_that_does_not_fit_is_halved_and_says_so(digits):
    config, said = small(), []

    def make(size):
        trainer = StackedTrainer(dense(config), ResidentExamples(digits), config.training, size)
        if size > 2:

            def too_large(*arguments):
                raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

            trainer.run_epochs = too_large  # fmt: skip
        return trainer

    trainer = FittingTrainer(make, make(5), config.training, said.append)
    outcomes = trainer.train(TRIALS[:5], subsets(TRIALS[:5]), unwatched)
    expected = stacked(dense(config), digits, config, TRIALS[:5])
    np.testing.assert_allclose(probabilities(outcomes), expected, atol=ROUNDING)
    assert [line.split(": ")[1] for line in said] == ["3 at a time now", "2 at a time now"]
