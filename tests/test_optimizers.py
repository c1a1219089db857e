"""TensorFlow's own operations move weights as the operations of Keras' optimizers do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmem.training.optimizers import Adam


@pytest.mark.parametrize(
    "settings",
    [{}, {"weight_decay": 0.1, "beta_1": 0.8, "clipvalue": 0.5}, {"use_ema": True}],
    ids=["plain", "decay and clipping", "averages"],
)
def test_adam_has_the_bits_of_keras_adam(settings):
    rng = np.random.default_rng(0)
    shapes = (3, 7, 5), (1, 33)  # of which some numbers fill no register
    first = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    scales = 10.0 ** rng.integers(-9, 3, (6, 2))
    steps = [
        [(scale * rng.normal(size=shape)).astype(np.float32) for scale, shape in each]
        for each in (zip(row, shapes, strict=True) for row in scales)
    ]

    def moved(kind):
        optimizer, weights = kind(0.01, **settings), [keras.Variable(each) for each in first]
        optimizer.build(weights)
        step = tf.function(lambda *gradients: optimizer.apply(gradients), autograph=False)
        for gradients in steps:
            step(*map(tf.constant, gradients))
        return [variable.numpy() for variable in (*weights, *optimizer.variables)]

    for found, expected in zip(moved(Adam), moved(keras.optimizers.Adam), strict=True):
        np.testing.assert_array_equal(found, expected)
