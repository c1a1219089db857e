"""Lanes on a machine without GPU: their number, before a model is built."""

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from tfmem.config import from_yaml
from tfmem.datasets import Dataset, StructuredDataset, load
from tfmem.training import choosing
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


def test_lanes_are_known_at_once_of_models_of_tables(monkeypatch):
    config = from_yaml("", ["model={name: python, build: 'a:b'}"])
    labels = np.arange(6) % 2
    classes = labels, np.zeros((2, 3), np.float32), labels[:2], ("a", "b")

    def of_array(values):
        return lanes_known_at_once(config, Dataset("some", values, *classes))

    def of_columns(**columns):
        test = {name: values[:2] for name, values in columns.items()}
        targets = labels, test, labels[:2], ("a", "b")
        return lanes_known_at_once(config, StructuredDataset("some", columns, *targets))

    assert of_array(np.zeros((6, 3))) == min(8, cores())
    assert of_array(np.zeros((6, 3), np.int64)) is None  # it may be a text
    assert of_array(np.zeros((6, 3, 3, 1))) is None
    assert of_columns(age=np.zeros(6, np.int64), rest=np.zeros((6, 3))) == min(8, cores())
    assert of_columns(age=np.zeros(6), picture=np.zeros((6, 3, 3))) is None
    little = SimpleNamespace(available=1 << 30)
    monkeypatch.setattr(choosing.psutil, "virtual_memory", lambda: little)
    assert of_array(np.zeros((6, 3))) is None


def test_threads_that_lanes_share_do_not_spin(monkeypatch):
    coming = context.Context()
    monkeypatch.setattr(context, "context", lambda: coming)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    OnTensorFlow().share_cores(None)
    assert coming.config.experimental.disable_thread_spinning
    assert coming.config.intra_op_parallelism_threads == 0
    OnTensorFlow().share_cores(cores())
    assert coming.config.intra_op_parallelism_threads == 1
