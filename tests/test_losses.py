"""Losses of compiled models: what they count, and which of them replicas can share."""

import keras
import numpy as np

from tfmem.training.losses import counted_outputs, why_no_replicas


def test_targets_that_a_loss_ignores_do_not_count_where_it_is_in_a_list_either():
    """With several losses each counts its own, so that replicas have no common weight."""
    inputs = keras.Input((6,))
    outputs = [keras.layers.Dense(2)(inputs) for _ in range(2)]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    targets = np.array([0, 1, 1])
    for given in (loss, [loss]):
        model = keras.Model(inputs, outputs[0])
        model.compile("sgd", given)
        assert float(counted_outputs(model, targets, model(np.ones((3, 6))))) == 2
        assert not why_no_replicas(model)
    several = keras.Model(inputs, outputs)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for losses, refused in (([loss, plain], True), ([plain, plain], False)):
        several.compile("sgd", losses)
        assert ("several losses" in why_no_replicas(several)) == refused
