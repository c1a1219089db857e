"""Lanes on a machine without GPU: their number, before a model is built."""

from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.training.choosing import cores, lanes_known_at_once


def test_lanes_are_known_at_once_of_dense_networks_that_fit():
    digits = load(from_yaml("").dataset)

    def lanes(*overrides):
        return lanes_known_at_once(from_yaml("", overrides), digits)

    assert lanes() == min(8, cores())
    assert lanes("training.lanes=3", "model={name: cnn}") == 3
    assert lanes("model={name: cnn}") is None
    assert lanes("model={name: dense, hidden: [1000000, 1000000]}") is None
