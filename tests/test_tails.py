"""A network that is cut in two stays the same network; and where it can be cut."""

import keras
import numpy as np
import pytest

from tests.helpers.networks import SMALL, made
from tfmem.config import from_yaml
from tfmem.messages.errors import InputError
from tfmem.models import build
from tfmem.models.normalization import fuse_batch_normalization
from tfmem.models.tails import cut, cuts, tail
from tfmem.training.initialization import VariableInitializer

BLOCKS = {
    "dense": 3,
    "cnn": 4,
    "resnet, depth: 18": 1 + 8 + 1,  # stem, residual blocks, logits
    "densenet, depth: 16, growth: 3": 1 + 3 * 2 + 2 + 1,  # stem, layers, transitions, logits
    "fast, width: 2": 4 + 2 + 1,  # convolutions, residual pairs, logits
    "linear": 1,
}


@pytest.mark.parametrize(("model", "shape"), [each for each in SMALL if each[0] in BLOCKS])
def test_a_network_is_its_lower_part_and_its_tail(model, shape):
    """The highest cuts and the lowest; there is a cut below each block except the first."""
    network = made(model, shape, 5)
    names = list(cuts(network))
    assert len(names) == BLOCKS[model] - 1
    images = np.random.default_rng(0).random((3, *shape), np.float32)
    expected = np.asarray(network(images, training=False))
    for depth in sorted({1, 2, len(names)} & set(range(1, len(names) + 1))):
        name = names[depth - 1]
        lower = keras.Model(network.input, network.get_layer(name).output)
        upper = fuse_batch_normalization(tail(network, depth))
        VariableInitializer(upper)
        assert not {id(v) for v in upper.variables} & {id(v) for v in network.variables}
        for layer in upper.layers:
            if layer.variables:
                layer.set_weights(network.get_layer(layer.name).get_weights())
        received = upper(lower(images, training=False), training=False)
        np.testing.assert_allclose(np.asarray(received), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match=f"at most {len(names)} of the {len(names) + 1} blocks"):
        cut(network, len(names) + 1)


def test_settings_name_the_last_layer_of_a_network():
    settings = "model: {name: tail, network: {name: cnn, hidden: 7}, input_shape: [8, 8, 1], "
    head = build(from_yaml(settings + "depth: 1}").model, (7,), 5, "mixed_bfloat16")
    assert [v.shape for v in head.variables] == [(7, 5), (5,)]
    assert head.output.dtype == "float32"
    with pytest.raises(InputError, match=r"model\.network\.name: expected 'dense'"):
        from_yaml("model: {name: tail, network: {name: tail}, input_shape: [8], depth: 1}")
