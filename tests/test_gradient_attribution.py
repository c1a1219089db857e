"""TRAK, TracIn and mean influence functions: closed forms, brute force, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.networks import linear, some_features
from tfmem.config import from_yaml
from tfmem.influence_functions.exact import ExactSolver
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.methods import METHODS, method
from tfmem.influence_functions.methods.method import Block, Contribution, TrainedState
from tfmem.influence_functions.methods.sums import Sums, soft_thresholds
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.scores import influence
from tfmem.influence_functions.sketch import Sketch
from tfmem.messages.errors import InputError

TESTS = 7


def state(model, x, y, rate=1.0, number=0, subset=None):
    objective = Objective(model, x, y, curvature_examples=subset)
    return TrainedState(objective, x[:TESTS], y[:TESTS], rate, number)


def scores(name, states, folder, *settings, keep=None):
    """The scores of a method, as a run computes them."""
    config = from_yaml("", [f"gradient_attribution.{each}" for each in settings])
    folder = Path(folder)
    shape = len(states[0].objective.labels), TESTS
    sums = Sums(folder / "unfinished", shape, name.encode())
    for each in states:
        sums.add(METHODS[name].contribution(each, config, folder / "unfinished"))
    sums.write(folder / "scores.npy", keep, not METHODS[name].checkpoints)
    sums.clear()
    return np.load(folder / "scores.npy")


def binary(w):
    """A logistic regression with one output, and its examples."""
    x, y = some_features(classes=2)
    return linear(np.array(w, float)[:, None]), x, y


def test_trak_of_logistic_regression_has_its_closed_form(float64, tmp_path):
    """Park et al. 2023, eq. 17, with all parameters and no projection."""
    model, x, y = binary([1, -0.5, 0.3, 0, 2])
    z = x @ model.get_weights()[0][:, 0]
    right = 1 / (1 + np.exp(-np.where(y == 1, z, -z)))
    phi = np.where(y == 1, 1, -1)[:, None] * x
    kernel = phi @ np.linalg.inv(phi.T @ phi) @ phi[:TESTS].T
    found = scores("trak", [state(model, x, y)], tmp_path, "ridge=0")
    np.testing.assert_allclose(found, kernel * (1 - right)[:, None], rtol=1e-4, atol=1e-7)
    ridged = scores("trak", [state(model, x, y)], tmp_path, "ridge=0.5")
    gram = phi.T @ phi
    gram += 0.5 * np.trace(gram) / 5 * np.eye(5)
    expected = phi @ np.linalg.inv(gram) @ phi[:TESTS].T * (1 - right)[:, None]
    np.testing.assert_allclose(ridged, expected, rtol=1e-4, atol=1e-7)


def test_trak_is_influence_where_all_examples_weigh_the_same(float64, tmp_path):
    """With equal probabilities Newton's step has the weights that TRAK leaves out."""
    model, x, y = binary(np.zeros(5))
    one = state(model, x, y)
    found = scores("trak", [one], tmp_path, "ridge=0")
    of_probability = influence(ExactSolver(one.objective, 1e-10), x[:TESTS], y[:TESTS]) / len(y)
    np.testing.assert_allclose(found, of_probability, rtol=1e-4, atol=1e-8)


def test_redundant_directions_do_not_count(float64, tmp_path):
    """Two outputs that differ by the log odds give the scores of one output."""
    model, x, y = binary([1, -0.5, 0.3, 0, 2])
    both = linear(np.stack([np.zeros(5), model.get_weights()[0][:, 0]], axis=1))
    states = (state(each, x, y) for each in (model, both))
    one, two = (scores("trak", [each], tmp_path, "ridge=0") for each in states)
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-7)


def network(seed=0, classes=3):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(6, "tanh"), keras.layers.Dense(classes)]
    return keras.Sequential([keras.Input((5,)), *layers])


def test_tracin_of_one_checkpoint_is_the_product_of_gradients(tmp_path):
    x, y = some_features()
    model = network()

    def gradient(row, label):
        with tf.GradientTape() as tape:
            logits = model(row[None].astype(np.float32))
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits)
        found = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return np.concatenate([np.ravel(part) for part in found])

    rows = np.array([gradient(*pair) for pair in zip(x, y, strict=True)])
    expected = rows @ rows[:TESTS].T
    found = scores("tracin", [state(model, x, y)], tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    several = [state(model, x, y, rate) for rate in (0.5, 0.25)]
    found = scores("tracin", several, tmp_path)
    np.testing.assert_allclose(found, 0.75 * expected, rtol=1e-4, atol=1e-5)


def test_models_are_averaged(tmp_path):
    """TRAK averages its kernel and its weights apart; influence functions only have a kernel."""
    x, y = some_features()
    one, other = (state(network(seed), x, y, number=seed) for seed in (0, 1))
    for name in ("trak", "influence-functions"):
        config, parts = from_yaml("", ()), []
        for each in (one, other):
            (tmp_path / name).mkdir(exist_ok=True)
            made = METHODS[name].contribution(each, config, tmp_path / name)
            kernel = np.zeros((len(y), TESTS))
            for block in made.blocks:
                kernel[block.train, block.tests] = block.values
            parts.append((kernel, np.ones(len(y)) if made.weights is None else made.weights))
        kernels, weights = (np.mean(part, axis=0) for part in zip(*parts, strict=True))
        found = scores(name, [one, other], tmp_path)
        np.testing.assert_allclose(found, kernels * weights[:, None], rtol=1e-3, atol=1e-6)


def test_influence_functions_of_one_model_are_influence(tmp_path):
    x, y = some_features()
    one = state(network(), x, y)
    expected = influence(FastSolver(one.objective), x[:TESTS], y[:TESTS]) / len(y)
    found = scores("influence-functions", [one], tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", list(METHODS))
def test_blocks_change_nothing(name, tmp_path, monkeypatch):
    x, y = some_features()
    whole = scores(name, [state(network(), x, y)], tmp_path)
    order = np.random.default_rng(0).permutation(len(y))
    monkeypatch.setattr(method, "ROWS", 3)
    for module in ("trak", "sums"):
        monkeypatch.setattr(f"tfmem.influence_functions.methods.{module}.ROWS", 3)
    monkeypatch.setattr("tfmem.influence_functions.methods.sums._COLUMNS", 2)
    tolerance = {"rtol": 1e-3, "atol": 1e-5 * np.abs(whole).max()}
    parts = scores(name, [state(network(), x, y)], tmp_path)
    np.testing.assert_allclose(parts, whole, **tolerance)
    turned = state(network(), x[order], y[order])
    turned = scores(name, [replace(turned, tests=x[:TESTS], test_labels=y[:TESTS])], tmp_path)
    np.testing.assert_allclose(turned, whole[order], **tolerance)


def test_sketches_keep_inner_products():
    """With `k` numbers the error has a standard deviation of at most `sqrt(2 / k)` of the lengths.

    Of 400 pairs, 2.5 of these are exceeded by 5 on average (a normal would have 4.97), and by more
    than 20 in fewer than one seed in 10^6 if pairs were independent.
    """
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 400, 3000)).astype(np.float32)
    v += u * rng.uniform(-1, 1, size=(400, 1)).astype(np.float32)
    sketch = Sketch(3000, 512, seed=3)
    lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    error = ((sketch.project(u) * sketch.project(v)).sum(1) - (u * v).sum(1)) / lengths
    spread = np.sqrt(2 / 512)
    assert abs(error.mean()) < 5 * spread / np.sqrt(400)
    assert error.std() < spread
    assert (np.abs(error) > 2.5 * spread).sum() <= 20
    np.testing.assert_array_equal(Sketch(3000, 3000).project(u), u)


def test_sketches_that_memory_cannot_hold_are_refused():
    """Of the length that a setting asks for, unless vectors are shorter and stay as they are."""
    with pytest.raises(InputError, match=r"a\.projection: sketches of 9,000,000 numbers"):
        Sketch(9_000_001, 9_000_000).check_memory("a.projection", 1, square=True)
    Sketch(5, 10**12).check_memory("a.projection", 1, square=True)


def test_soft_thresholds_by_hand(tmp_path):
    values = np.array([[5.0, 1], [-3, 0], [2, 0], [-1, 4]])
    np.testing.assert_array_equal(soft_thresholds(values, 2), [2, 0])
    np.testing.assert_array_equal(soft_thresholds(values, 1), [3, 1])
    sums = Sums(tmp_path / "sums", (4, 2), b"")
    sums.add(Contribution([Block(np.arange(4), slice(0, 2), values)]))
    sums.write(tmp_path / "scores.npy", 2, averaged=True)
    np.testing.assert_array_equal(
        np.load(tmp_path / "scores.npy"), [[3, 1], [-1, 0], [0, 0], [0, 4]]
    )


def test_sums_continue_at_the_model_that_they_were_at(tmp_path):
    def part(value):
        return Contribution([Block(np.arange(3), slice(0, 2), np.full((3, 2), value))], np.ones(3))

    Sums(tmp_path / "sums", (3, 2), b"a").add(part(1.0))

    def stopped():
        yield from part(5.0).blocks
        raise KeyboardInterrupt

    sums = Sums(tmp_path / "sums", (3, 2), b"a")
    assert sums.done == 1
    with pytest.raises(KeyboardInterrupt):
        sums.add(Contribution(stopped(), np.ones(3)))
    sums = Sums(tmp_path / "sums", (3, 2), b"a")
    assert sums.done == 1
    sums.add(part(2.0))
    sums.write(tmp_path / "scores.npy", None, averaged=True)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), np.full((3, 2), 1.5))
    assert Sums(tmp_path / "sums", (3, 2), b"b").done == 0


def test_scores_that_are_not_finite_are_refused(tmp_path):
    sums = Sums(tmp_path / "sums", (3, 2), b"")
    values = np.array([[1.0, 1], [1, np.nan], [1, 1]])
    with pytest.raises(InputError, match=r"model 0: expected finite scores.*training example 1"):
        sums.add(Contribution([Block(np.arange(3), slice(0, 2), values)]))
    x, y = some_features()
    constant = linear(np.zeros((5, 3)))
    with pytest.raises(InputError, match="expected finite gradients"):
        scores("trak", [state(constant, 0 * x, y)], tmp_path)
