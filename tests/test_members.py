"""Models that are trained beside the trials: what is kept of them, whatever else is trained."""

import keras
import numpy as np
import pytest

from tests.helpers.trials import unwatched
from tfmem.config import from_yaml
from tfmem.config.functions import reference
from tfmem.datasets import Dataset
from tfmem.experiments.gradient_attribution import train_members
from tfmem.messages.errors import InputError
from tfmem.training.members import Members

OUTSIDE = keras.layers.Dense(4, "tanh", kernel_initializer="ones")


def build():
    """A model with a layer that all models share, which only `fit` trains."""
    model = keras.Sequential([keras.Input((3,)), OUTSIDE, keras.layers.Dense(2)])
    model.compile(
        keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(np.int64)
    return Dataset("some", x[:16], y[:16], x[16:], y[16:], ("a", "b"), 1)


def test_weights_of_a_layer_that_models_share_are_kept_as_trained(data, tmp_path):
    """Every model begins with the layer's own weights, which the layer has again at the end."""
    changes = [
        "model={name: python, build: '" + reference(build) + "'}",
        "training={epochs: 3, trainer: fit}",
    ]
    config = from_yaml("", changes)
    found = []
    for folder, order in (("one", (0, 1)), ("other", (1, 0))):
        members = Members(config, data, tmp_path / folder)
        weights = {}
        for number in order:
            members.train(number, unwatched([]))
            (trained,) = (
                [w.copy() for w in m.model.get_weights()] for m in members.snapshots(number)
            )
            weights[number] = trained
        np.testing.assert_array_equal(OUTSIDE.get_weights()[0], np.ones((3, 4)))
        found.append(weights)
    assert np.abs(found[0][0][0] - 1).min() > 1e-3
    for number in (0, 1):
        for one, other in zip(found[0][number], found[1][number], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layer", ["last", "dense"])
def test_an_unknown_layer_is_refused_before_any_model_is_trained(data, tmp_path, layer):
    """So is one that Keras names by counting the layers of the program."""
    config = from_yaml("", ["training.epochs=1", f"self_influence.layers=[{layer}]"])
    with pytest.raises(InputError, match=rf"expected some of features, logits, .* '{layer}'"):
        train_members(config, data, tmp_path / "models")
    assert not [*tmp_path.rglob("*.npz")]
