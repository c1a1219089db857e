"""Everything random in a trial follows from its seed; other models are refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.trials import TRIALS, probabilities, small, subsets, unwatched
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.training.initialization import VariableInitializer
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.recipe import compiled
from tfmem.training.resident import ResidentExamples
from tfmem.training.stacked import StackedTrainer


def ambient(shape, dtype=None):
    return keras.random.normal(shape, dtype=dtype)


def constant(shape, dtype=None):
    return keras.ops.full(shape, 0.25, dtype)


class Ignoring(keras.initializers.Initializer):
    """An initializer that has a seed and does not use it."""

    def __init__(self, seed=None):
        self.seed = seed

    def __call__(self, shape, dtype=None):
        return tf.random.normal(shape, dtype=dtype)

    def get_config(self):
        return {"seed": self.seed}


class Seeded(Ignoring):
    def __call__(self, shape, dtype=None):
        return keras.random.normal(shape, dtype=dtype, seed=self.seed)


class Silent(Seeded):
    def get_config(self):
        raise NotImplementedError("no settings")


def model_of(initializer="glorot_uniform", *layers):
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(x)
    for layer in layers:
        x = layer(x)
    model = keras.Model(inputs, keras.layers.Dense(10, kernel_initializer=initializer)(x))
    return compiled(model, small("training.epochs=1").training)


@pytest.mark.parametrize(("initializer", "words"), [
    (ambient, "the initializer 'ambient' of .* draws other values each time"),
    (Ignoring(), "the initializer 'Ignoring' of .* draws other values each time"),
    (Silent(), "get_config and from_config .* no settings"),
])  # fmt: skip
def test_initializers_that_no_seed_decides_are_refused(initializer, words):
    with pytest.raises(InputError, match=words):
        VariableInitializer(model_of(initializer))


def test_initializers_of_a_user_are_drawn_from_the_trial():
    draw = VariableInitializer(model_of(Seeded(3)))
    one, again, other = (draw(Trial(k, 0))[0] for k in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1
    assert (VariableInitializer(model_of(constant))(Trial(1, 0))[0] == 0.25).all()


@pytest.mark.parametrize("initializer", [Seeded(3), "glorot_uniform", "he_normal", "orthogonal"])
def test_a_stack_begins_with_the_values_of_its_trials(initializer):
    draw = VariableInitializer(model_of(initializer, keras.layers.Dropout(0.5)))
    trials = [Trial(k, 0) for k in (2, 0, 5)]
    each = zip(*(draw(trial) for trial in trials), strict=True)
    for values, expected in zip(draw.of_stack(trials), each, strict=True):
        np.testing.assert_array_equal(values, np.stack(expected))
        assert values.dtype == expected[0].dtype


class Noise(keras.layers.Layer):
    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.generator = keras.random.SeedGenerator(1)

    def call(self, x, training=None):
        return x + self.draw(keras.ops.shape(x), self.generator) if training else x


class Nested(keras.layers.Layer):
    """A layer that holds layers in an attribute, in a list and in a dictionary of lists."""

    def __init__(self):
        super().__init__()
        kernels = [constant, "ones", "zeros", ambient]
        self.one, *rest = (keras.layers.Dense(2, kernel_initializer=each) for each in kernels)
        self.some, self.more = rest[:1], {"a": [rest[1]], "b": [(rest[2],)]}

    def build(self, shape):
        for layer in (self.one, self.some[0], self.more["a"][0]):
            layer.build(shape)

    def call(self, x):
        return self.one(x) + self.some[0](x) + self.more["a"][0](x)


def test_a_variable_is_drawn_as_the_innermost_layer_says_that_owns_it():
    draw = VariableInitializer(model_of("glorot_uniform", Nested()))
    one, _, some, _, more, *_ = draw(Trial(0, 0))
    assert [set(kernel.ravel()) for kernel in (one, some, more)] == [{0.25}, {1}, {0}]


@pytest.mark.parametrize("draw", [
    lambda shape, generator: keras.random.normal(shape),
    lambda shape, generator: tf.random.normal(shape),
])  # fmt: skip
def test_layers_that_draw_from_elsewhere_are_refused(draw):
    for layer in (Noise(draw), keras.layers.Lambda(lambda x: x + draw(keras.ops.shape(x), None))):
        with pytest.raises(InputError, match=r"a layer draws random numbers that no trial's seed"):
            VariableInitializer(model_of("glorot_uniform", layer))


@pytest.mark.parametrize("make", [
    lambda: keras.layers.GaussianNoise(0.5),
    lambda: keras.layers.AlphaDropout(0.3),
    lambda: Noise(lambda shape, generator: keras.random.normal(shape, seed=generator)),
])  # fmt: skip
def test_random_layers_are_repeated_from_the_trial(digits, make):
    config = small("training.epochs=1")
    build = lambda: model_of("glorot_uniform", make())  # noqa: E731
    trials = TRIALS[:2]
    both = []
    for _ in range(2):
        keras.utils.set_random_seed(len(both))  # of what no trial depends on
        trainer = StackedTrainer(build(), ResidentExamples(digits), config.training, 2)
        both.append(probabilities(trainer.train(trials, subsets(trials), unwatched)))
    np.testing.assert_array_equal(*both)
    (alone,) = MirroredTrainer(build, digits, config.training).train(
        trials[1:], subsets(trials[1:]), unwatched
    )
    np.testing.assert_allclose(probabilities([alone])[0], both[0][1], atol=2e-3)
    plain = StackedTrainer(model_of(), ResidentExamples(digits), config.training, 2)
    without = probabilities(plain.train(trials, subsets(trials), unwatched))
    assert np.abs(without - both[0]).max() > 0.01
