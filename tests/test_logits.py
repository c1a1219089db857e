"""Classifiers that end in a softmax: its input is used, or they are refused."""

import keras
import numpy as np
import pytest

from tests.helpers.networks import DECAY, some_features
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.scores import influence, remove_scores
from tfmem.messages.errors import InputError
from tfmem.models.logits import final_softmax, without_softmax

WEIGHTS = 4 * np.random.default_rng(3).normal(size=(5, 3)), np.array([0.1, 0.0, -0.2])


def classifier(end):
    x = inputs = keras.Input((5,), dtype=keras.config.dtype_policy().compute_dtype)
    layer = keras.layers.Dense(3, activation="softmax" if end == "dense" else None)
    x = layer(x)
    if end == "layer":
        x = keras.layers.Softmax()(x)
    if end == "activation":
        x = keras.layers.Activation("softmax")(x)
    if end == "operation":
        x = keras.ops.softmax(x)
    model = keras.Model(inputs, x)
    if end == "nested":
        model = keras.Sequential([inputs, keras.Sequential([layer, keras.layers.Softmax()])])
    layer.set_weights(WEIGHTS)
    return model


def test_self_influence_is_that_of_the_logits(float64):
    x, y = some_features()
    expected = FastSolver(Objective(classifier("logits"), x, y, weight_decay=DECAY))
    for end in ("dense", "layer", "activation", "nested"):
        model = classifier(end)
        before = model(x).numpy()
        assert set(map(id, without_softmax(model).variables)) == set(map(id, model.variables))
        solver = FastSolver(Objective(model, x, y, weight_decay=DECAY))
        for solve in (remove_scores, lambda solver: remove_scores(solver).probabilities):
            found, wanted = (solve(each) for each in (solver, expected))
            np.testing.assert_allclose(
                getattr(found, "values", found), getattr(wanted, "values", wanted), rtol=1e-6
            )
        np.testing.assert_allclose(
            influence(solver, x[:4], y[:4]), influence(expected, x[:4], y[:4]), rtol=1e-6
        )
        np.testing.assert_array_equal(model(x), before)
        np.testing.assert_allclose(before.sum(axis=1), 1)


def test_probabilities_that_cannot_be_undone_are_refused(float64):
    x, y = some_features()
    model = classifier("operation")
    assert final_softmax(model) is None
    with pytest.raises(InputError, match=r"expected logits, received outputs .* sum to 1"):
        Objective(model, x, y)


def test_a_model_is_itself_again_after_an_error():
    for end in ("dense", "layer"):
        model = classifier(end)
        with pytest.raises((ValueError, TypeError)):
            without_softmax(model)("no number")
        assert model(np.ones((1, 5), np.float32)).numpy().sum() == pytest.approx(1)
        assert final_softmax(model) is model.layers[-1]
