"""Parameter counts and costs as published; each family equals its formula in numpy, in float64."""

import math

import keras
import numpy as np
import pytest
from scipy import special

from tests.helpers.networks import SMALL, made
from tfmem.messages.errors import InputError
from tfmem.models.airbench import Offset
from tfmem.subsets import Trial
from tfmem.training.initialization import VariableInitializer

CIFAR, IMAGENET = (32, 32, 3), (224, 224, 3)


def trainable(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def multiply_adds(model):
    """Counts the multiply-adds of one image in convolutions and linear layers."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
    return total


# Trainable parameters. Feldman & Zhang's released code; Zhang et al. 2017, Table 1, which does not
# count the 1,712 scales of normalization; torchvision's documentation; Page's network.
COUNTS = [
    ("resnet", CIFAR, 10, 23_513_162),
    ("resnet, depth: 18", CIFAR, 10, 11_176_266),
    ("resnet, depth: 18", CIFAR, 100, 11_222_436),
    ("inception", CIFAR, 10, 1_895_786),
    ("inception, pooling: mean", (28, 28, 3), 10, 1_649_402 + 1_712),
    ("resnet, variant: imagenet", IMAGENET, 1000, 25_557_032),
    ("resnet, variant: imagenet, depth: 18", IMAGENET, 1000, 11_689_512),
    ("fast", CIFAR, 10, 6_573_120),
    ("airbench", CIFAR, 10, 1_971_352),
    ("airbench, width: 128, convolutions: 3", CIFAR, 10, 9_915_416),
    ("linear", (2048,), 100, 204_900),
]


@pytest.mark.parametrize(("model", "shape", "classes", "published"), COUNTS)
def test_parameters_are_as_published(model, shape, classes, published):
    assert trainable(made(model, shape, classes)) == published


def test_resnet50_for_100_classes_has_90_columns_more():
    """23,697,572 as released; a column is 2048 weights and a bias."""
    assert trainable(made("resnet", CIFAR, 10)) + 90 * 2049 == 23_697_572


@pytest.mark.parametrize(
    ("model", "millions"),
    [
        ("densenet", 0.8),
        ("densenet, bottleneck: false", 7.0),
        ("densenet, bottleneck: false, depth: 40", 1.0),
    ],
)
def test_densenet_has_the_parameters_of_its_paper(model, millions):
    """Huang et al. 2017, Table 2."""
    assert round(trainable(made(model, CIFAR, 10)) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("model", "shape", "classes", "giga"),
    [
        ("resnet", CIFAR, 10, 1.30),
        ("resnet, variant: imagenet", IMAGENET, 1000, 4.09),
        ("resnet, variant: imagenet, depth: 18", IMAGENET, 1000, 1.81),
        ("densenet", CIFAR, 10, 0.29),
        ("inception", CIFAR, 10, 0.29),
        ("fast", CIFAR, 10, 0.38),
        ("airbench", CIFAR, 10, 0.12),
        ("airbench, width: 128, convolutions: 3", CIFAR, 10, 0.45),
    ],
)
def test_multiply_adds_are_as_published(model, shape, classes, giga):
    assert multiply_adds(made(model, shape, classes)) / 1e9 == pytest.approx(giga, abs=0.005)


def test_imagenet_resnet50_has_the_kernels_of_keras_applications():
    def kernels(model):
        return sorted(tuple(v.shape) for v in model.trainable_variables if v.name == "kernel")

    ours = made("resnet, variant: imagenet", IMAGENET, 1000)
    assert kernels(ours) == kernels(keras.applications.ResNet50(weights=None))


@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_logits_are_float32_of_named_features_in_mixed_precision(model, shape):
    mixed = made(model, shape, 5, "mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    logits = mixed.get_layer("logits")
    assert isinstance(logits, keras.layers.Dense)
    assert mixed.output is logits.output
    assert logits.input is mixed.get_layer("features").output
    assert logits.compute_dtype == mixed.output.dtype == "float32"
    assert {v.dtype for v in mixed.variables} == {"float32"}
    convolutions = {w.compute_dtype for w in mixed.layers if isinstance(w, keras.layers.Conv2D)}
    assert convolutions <= {"bfloat16"}
    assert np.isfinite(mixed(np.ones((2, *shape), np.float32), training=False)).all()


@pytest.mark.parametrize(("model", "shape"), SMALL)
def test_all_variables_are_drawn_for_each_trial(model, shape):
    network = made(model, shape, 5, "mixed_bfloat16")
    draw = VariableInitializer(network)
    first, second = draw(Trial(0, 0)), draw(Trial(1, 0))
    variables = [*network.trainable_variables, *network.non_trainable_variables]
    for variable, one, other in zip(variables, first, second, strict=True):
        assert one.shape == tuple(variable.shape)
        is_drawn = variable.name == "kernel"
        if "logits" in variable.path:
            is_drawn &= not model.startswith(("resnet", "linear"))  # which start at 0
        elif is_drawn and model.startswith("airbench"):
            is_drawn = one.shape[-1] > one.shape[-2]  # else all filters are identities
        assert (one != other).any() == is_drawn


def test_the_last_scale_of_a_block_starts_at_zero_in_v1_only():
    def zero_scales(model):
        gammas = [v for v in model.trainable_variables if v.name == "gamma"]
        return sum(not np.any(v) for v in gammas)

    assert zero_scales(made("resnet, variant: imagenet", IMAGENET, 1000)) == 16
    assert zero_scales(made("resnet", CIFAR, 10)) == 0


@pytest.mark.parametrize(
    ("model", "shape", "least"),
    [
        ("cnn", (64,), 1),
        ("inception", (3, 28, 28), 4),
        ("resnet", (32, 32), 8),
        ("resnet", (7, 32, 3), 8),
        ("resnet, variant: imagenet", (16, 16, 3), 32),
        ("densenet", (2, 2, 3), 4),
        ("fast", (32, 7, 3), 8),
        ("airbench", (32, 8, 3), 9),
    ],
)
def test_wrong_shapes_are_refused_in_one_line(model, shape, least):
    with pytest.raises(InputError) as refusal:
        made(model, shape, 10)
    name = model.split(",")[0]
    assert str(refusal.value) == (
        f"model.name: {name} takes images [height, width, channels] of at least {least} x {least} "
        f"pixels, received examples of shape {list(shape)}"
    )


# The formulas. `w` hands out the layers' weights in the order in which the network uses them.


class Weights:
    def __init__(self, model):
        self._model = model
        self._layers = {
            kind: iter(sorted(filter(lambda w: isinstance(w, kind), model.layers), key=created))
            for kind in (keras.layers.Conv2D, keras.layers.BatchNormalization, Offset)
        }
        self.kernel, *bias = model.get_layer("logits").get_weights()
        self.bias = bias[0] if bias else 0.0

    def conv(self):
        return next(self._layers[keras.layers.Conv2D]).get_weights()[0].astype(float)

    def norm(self):
        return next(self._layers[keras.layers.BatchNormalization]).get_weights()

    def whitening(self):
        weights = {
            v.name: v.numpy().astype(float) for v in self._model.get_layer(index=1).variables
        }
        return weights["directions"], weights["shift"], weights["bias"]

    def offset(self, x):
        """Normalizes without scale, and adds 8 times what the next layer of offsets holds."""
        mean, variance = self.norm()
        (offset,) = next(self._layers[Offset]).get_weights()
        return (x - mean) / np.sqrt(variance + 1e-5) + 8 * offset

    def exhausted(self):
        return all(next(layers, None) is None for layers in self._layers.values())


def created(layer):
    """The number that Keras gives a layer: `conv2d_7` is made before `conv2d_8`."""
    number = layer.name.rpartition("_")[2]
    return int(number) if number.isdigit() else 0


def windows(x, size, strides, pad, fill=0.0):
    """All windows `[n, height, width, channels, size, size]`; `pad` is `same` or zeros a side."""
    sides = [(pad, pad)] * 2
    if pad == "same":
        lacking = [max((-(-n // strides) - 1) * strides + size - n, 0) for n in x.shape[1:3]]
        sides = [(n // 2, n - n // 2) for n in lacking]
    x = np.pad(x, [(0, 0), *sides, (0, 0)], constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))[
        :, ::strides, ::strides
    ]


def conv(w, x, strides=1, pad="same"):
    kernel = w.conv()
    assert kernel.shape[2] == x.shape[-1]
    seen = windows(x, kernel.shape[0], strides, pad)
    return np.tensordot(seen, kernel, [(4, 5, 3), (0, 1, 2)])


def norm(w, x):
    gamma, beta, mean, variance = w.norm()
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def relu(x):
    return np.maximum(x, 0)


def max_pool(x, size, strides, pad):
    return windows(x, size, strides, pad, -np.inf).max((4, 5))


def head(w, x, pool=np.mean):
    assert w.exhausted()
    return pool(x, (1, 2)) @ w.kernel + w.bias


def conv_norm_relu(w, x, strides=1, pad="same"):
    return relu(norm(w, conv(w, x, strides, pad)))


def inception(w, x, pool=np.max):
    x = conv_norm_relu(w, x)
    for stage, blocks in enumerate((2, 4, 2)):
        if stage:
            pooled = [] if pool is np.max else [max_pool(x, 3, 2, "same")]
            x = np.concatenate([conv_norm_relu(w, x, 2), *pooled], -1)
        for _ in range(blocks):
            x = np.concatenate([conv_norm_relu(w, x), conv_norm_relu(w, x)], -1)
    return head(w, x, pool)


def blocks_and_strides(blocks):
    return [
        (block == 0, 2 if stage and not block else 1)
        for stage, count in enumerate(blocks)
        for block in range(count)
    ]


def cifar_resnet(w, x, blocks, sizes):
    x = conv(w, x)
    for first, strides in blocks_and_strides(blocks):
        shortcut, x = x, relu(norm(w, x))
        if first:
            shortcut = conv(w, x, strides, 0)
        for number, size in enumerate(sizes):
            x = relu(norm(w, x)) if number else x
            x = conv(w, x, strides if number == sizes.index(3) else 1, size // 2)
        x = x + shortcut
    return head(w, relu(norm(w, x)))


def imagenet_resnet50(w, x):
    x = max_pool(conv_norm_relu(w, x, 2, 3), 3, 2, "same")
    for first, strides in blocks_and_strides([3, 4, 6, 3]):
        shortcut = norm(w, conv(w, x, strides, 0)) if first else x
        x = conv_norm_relu(w, conv_norm_relu(w, x), strides, 1)
        x = relu(shortcut + norm(w, conv(w, x)))
    return head(w, x)


def densenet(w, x, layers, bottleneck):
    x = conv(w, x)
    for block in range(3):
        if block:
            x = conv(w, relu(norm(w, x)))
            x = windows(x, 2, 2, 0).mean((4, 5))
        for _ in range(layers):
            new = conv(w, relu(norm(w, x)))
            if bottleneck:
                new = conv(w, relu(norm(w, new)))
            x = np.concatenate([x, new], -1)
    return head(w, relu(norm(w, x)))


def fast(w, x):
    x = max_pool(conv_norm_relu(w, conv_norm_relu(w, x)), 2, 2, 0)
    x = x + conv_norm_relu(w, conv_norm_relu(w, x))
    x = max_pool(conv_norm_relu(w, x), 2, 2, 0)
    x = max_pool(conv_norm_relu(w, x), 2, 2, 0)
    x = x + conv_norm_relu(w, conv_norm_relu(w, x))
    return head(w, x, np.max) / 8


def airbench(w, x, convolutions=2):
    kernel, *shifts = w.whitening()
    seen = windows(x, 2, 1, 0)
    x = gelu(np.tensordot(seen, kernel, [(4, 5, 3), (0, 1, 2)]) + sum(shifts))
    for _ in range(3):
        x = before = gelu(w.offset(max_pool(conv(w, x), 2, 2, 0)))
        if convolutions == 3:
            x = gelu(w.offset(conv(w, x)))
            x = gelu(w.offset(conv(w, x)) + before)
        else:
            x = gelu(w.offset(conv(w, x)))
    return head(w, x, np.max) / 9


def gelu(x):
    return x * special.ndtr(x)


FORMULAS = {
    "inception": inception,
    "inception, pooling: mean": lambda w, x: inception(w, x, np.mean),
    "resnet, depth: 18": lambda w, x: cifar_resnet(w, x, [2, 2, 2, 2], [3, 3]),
    "resnet, depth: 50": lambda w, x: cifar_resnet(w, x, [3, 4, 6, 3], [1, 3, 1]),
    "resnet, depth: 50, variant: imagenet": imagenet_resnet50,
    "densenet, depth: 16, growth: 3": lambda w, x: densenet(w, x, 2, True),
    "densenet, depth: 10, growth: 3, bottleneck: false": lambda w, x: densenet(w, x, 2, False),
    "fast, width: 2": fast,
    "airbench, width: 7": airbench,
    "airbench, width: 5, convolutions: 3": lambda w, x: airbench(w, x, 3),
    "linear": lambda w, x: x.reshape(len(x), -1) @ w.kernel + w.bias,
}
SHAPES = {
    **dict(SMALL),
    "resnet, depth: 50": (9, 8, 1),
    "resnet, depth: 50, variant: imagenet": (38, 33, 1),
}


@pytest.mark.parametrize("model", FORMULAS)
def test_predictions_are_the_formula(model):
    """With random statistics and scales, on images whose sides are not powers of two."""
    network = made(model, SHAPES[model], 5)
    random = np.random.default_rng(0)
    for variable in network.variables:
        if variable.name == "kernel":
            deviation = math.sqrt(2 / math.prod(variable.shape[:-1]))
            value = random.normal(0, deviation, variable.shape)
        elif variable.name in ("gamma", "moving_variance"):
            value = random.uniform(0.5, 1.5, variable.shape)
        else:
            value = random.normal(0, 0.3, variable.shape)
        variable.assign(value)
    x = random.normal(size=(3, *SHAPES[model]))
    expected = FORMULAS[model](Weights(network), x)
    received = np.asarray(network(x.astype(np.float32), training=False))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(received / scale, expected / scale, atol=1e-5)
    assert np.std(expected / scale, axis=0).min() > 1e-3  # the images do matter
