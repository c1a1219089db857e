"""Scores by derivatives by inputs and by retraining, against the closed forms of a linear model."""

import keras
import numpy as np
import pytest

from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.experiments.input_proxies import (
    CURVATURE,
    GRADIENT,
    RETRAINING,
    InputProbe,
    Together,
    _Loss,
    mean_over_epochs,
    retraining_epochs,
    seconds_of,
)


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def linear():
    """A probe of a linear model with random weights, after the last of 20 epochs, and its data."""
    settings = ["model.name=linear", "training.epochs=20", "training.batch_size=64"]
    config = from_yaml("", settings)
    data = load(config.dataset).keep(np.arange(0, 1437, 15), np.arange(50))
    rng = np.random.default_rng(1)
    weights, bias = rng.normal(size=(64, 10)), rng.normal(size=10)
    probe = InputProbe(config, data)
    said = probe(19, [weights.astype(np.float32), bias.astype(np.float32)])
    x, tests = (a.reshape(len(a), -1) / data.white for a in (data.train_images, data.test_images))
    return config, data, probe, said, weights, bias, x, tests


def test_gradients_and_curvature_of_a_linear_model(linear):
    """By the input, the gradient is W (p - y), the Hessian W (diag p - p p^T) W^T."""
    _, data, probe, said, weights, bias, x, _ = linear
    assert probe.epochs == (4, 8, 11, 15, 19)
    y = np.eye(10)[data.train_labels]

    def gradient(x):
        return (softmax(x @ weights + bias) - y) @ weights.T

    expected = np.linalg.norm(gradient(x), axis=1)
    assert said[f"{GRADIENT} 19"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    p = softmax(x @ weights + bias)
    inner = np.einsum("ni,ij->nij", p, np.eye(10)) - np.einsum("ni,nj->nij", p, p)
    hessian = np.einsum("ki,nij,lj->nkl", weights, inner, weights, optimize=True)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (200, 64))
    expected = 1e-3 * np.linalg.norm(hessian @ signs.T, axis=1).mean(axis=1)
    found = said[f"{CURVATURE} 19"]  # over 10 directions
    assert found.sum() == pytest.approx(expected.sum(), rel=0.05)
    assert np.corrcoef(np.log(found), np.log(expected))[0, 1] > 0.95


def test_retraining_is_descent_on_the_test_examples_alone(linear):
    """All 50 test examples are in one batch, so that a step an epoch does it."""
    config, data, _, said, weights, bias, x, tests = linear
    before = softmax(x @ weights + bias)
    y = np.eye(10)[data.test_labels]
    for _ in range(retraining_epochs(20)):
        residual = (softmax(tests @ weights + bias) - y) / len(tests)
        rate = 0.1 * config.training.learning_rate
        weights, bias = weights - rate * tests.T @ residual, bias - rate * residual.sum(axis=0)
    after = softmax(x @ weights + bias)
    expected = ((before - after) * np.log(before / after)).sum(axis=1)
    assert said[RETRAINING] == pytest.approx(expected, rel=1e-2, abs=1e-7)


def test_without_test_examples_nothing_is_retrained(linear):
    config, data, *_ = linear
    alone = data.keep(np.arange(9), np.arange(0))
    said = InputProbe(config, alone)(19, [np.zeros((64, 10)), np.zeros(10)])
    assert np.isnan(said[RETRAINING]).all()


def test_tokens_have_no_gradient():
    model = keras.Sequential(
        [
            keras.Input((5,)), keras.layers.Embedding(7, 3), keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )  # fmt: skip
    found = _Loss(model).gradients(np.ones((4, 5), np.float32), np.array([0, 1, 0, 1]))
    assert np.isnan(found).all()


def test_probes_are_called_after_their_own_epochs(linear):
    class Counting:
        def __init__(self, name, *epochs):
            self.name, self.epochs = name, epochs

        def __call__(self, epoch, values):
            return {f"{self.name} {epoch}": np.full((2, 3), epoch),
                    f"{self.name} {epoch}_seconds": np.full(2, 1.5)}  # fmt: skip

    both = Together(Counting("input_gradient", 1, 3), Counting("other", 3))
    assert both.epochs == (1, 3)
    said = {**both(1, []), **both(3, [])}
    assert "other 1" not in said
    assert mean_over_epochs(said, GRADIENT).tolist() == [[2, 2, 2]] * 2
    assert seconds_of(said, GRADIENT) == 3
