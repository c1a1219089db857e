"""Lanes on a machine without GPU: their number, before a model is built."""

import tensorflow as tf
from tensorflow.python.eager import context

from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.training.choosing import cores, lanes_known_at_once
from tfmem.training.on_tensorflow import OnTensorFlow


def test_lanes_are_known_at_once_of_dense_networks_that_fit():
    digits = load(from_yaml("").dataset)

    def lanes(*overrides):
        return lanes_known_at_once(from_yaml("", overrides), digits)

    assert lanes() == min(8, cores())
    assert lanes("training.lanes=3", "model={name: cnn}") == 3
    assert lanes("model={name: cnn}") is None
    assert lanes("model={name: dense, hidden: [1000000, 1000000]}") is None


def test_threads_that_lanes_share_do_not_spin(monkeypatch):
    coming = context.Context()
    monkeypatch.setattr(context, "context", lambda: coming)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    OnTensorFlow().share_cores(None)
    assert coming.config.experimental.disable_thread_spinning
    assert coming.config.intra_op_parallelism_threads == 0
    OnTensorFlow().share_cores(cores())
    assert coming.config.intra_op_parallelism_threads == 1
