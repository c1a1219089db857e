"""Smoothed cross-entropy is cross-entropy to smoothed one-hot labels; whitening whitens."""

import keras
import numpy as np
import pytest

from tests.helpers.networks import made
from tfmem.config import from_yaml
from tfmem.models.whitening import Whitening, adapt
from tfmem.training.recipe import compiled
from tfmem.training.smoothing import SmoothedCrossentropy


def test_smoothed_loss_is_keras_loss_of_one_hot_labels():
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 3, (6, 5)).astype(np.float32), random.integers(0, 5, 6)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)(
        np.eye(5, dtype=np.float32)[labels], logits
    )
    for shape in ((6,), (6, 1)):
        found = SmoothedCrossentropy(0.2)(labels.reshape(shape), logits)
        assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_a_run_without_smoothing_keeps_its_identity_and_its_loss():
    plain, smooth = (from_yaml("", [f"training.label_smoothing={share}"]) for share in (0, 0.1))
    assert "label_smoothing" not in plain.trial_settings()["training"]
    assert smooth.digest() != plain.digest()
    model = made("linear", (3, 4), 5)
    assert type(compiled(model, plain.training).loss).__name__ == "SparseCategoricalCrossentropy"
    assert compiled(model, smooth.training).loss.smoothing == 0.1


def test_whitened_patches_have_mean_0_variance_1_and_no_correlation():
    """Up to the variance that is added to each direction, 5e-4 of about 0.01 or more here."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 128, (40, 10, 11, 3)) * [0.2, 0.5, 1.0]
    images = noise[:, 1:] + noise[:, :-1]  # neighbours are correlated
    layer = Whitening(2)
    model = keras.Sequential([keras.Input((9, 11, 3)), layer])
    adapt(model, images.astype(np.float32), 255.0)
    found = np.asarray(model(images.astype(np.float32) / 255)).reshape(-1, 24)
    np.testing.assert_allclose(found.mean(0), 0, atol=0.1)
    covariance = np.cov(found[:, :12], rowvar=False, bias=True)
    np.testing.assert_allclose(covariance, np.eye(12), atol=0.05)
    np.testing.assert_allclose(found[:, 12:], -found[:, :12], atol=1e-5)
