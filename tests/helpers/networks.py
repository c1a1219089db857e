"""Small networks of every kind, and data for them."""

from functools import cache

import keras
import numpy as np

from tfmem.config import from_yaml
from tfmem.models import build

SMALL = [
    ("dense", (5,)),
    ("cnn", (8, 8, 1)),
    ("inception", (8, 8, 1)),
    ("inception, pooling: mean", (10, 7, 2)),
    ("resnet, depth: 18", (10, 9, 3)),
    ("resnet, depth: 18, variant: imagenet", (38, 33, 1)),
    ("densenet, depth: 16, growth: 3", (9, 8, 2)),
    ("densenet, depth: 10, growth: 3, bottleneck: false", (8, 9, 1)),
    ("fast, width: 2", (17, 16, 3)),
    ("airbench, width: 7", (17, 16, 3)),
    ("airbench, width: 5, convolutions: 3", (17, 16, 3)),
    ("linear", (3, 4)),
]
DECAY = 0.02


@cache
def made(model, shape, classes, precision="float32"):
    return build(from_yaml(f"model: {{name: {model}}}").model, shape, classes, precision)


def pictures(n=12, height=4, width=6, channels=1, classes=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, height, width, channels)), rng.integers(classes, size=n)


def attending(shape=(4, 6, 1)):
    """Attention, normalization and GELU on the rows of a picture."""
    x = keras.Input(shape, dtype="float64")
    y = keras.layers.Reshape(shape[:2])(x)
    y = keras.layers.LayerNormalization()(y + keras.layers.MultiHeadAttention(2, 3)(y, y))
    y = keras.layers.Dense(5, activation="gelu")(y)
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(y)))


def linear(weights, bias=None):
    """A linear head with these weights `[features, classes]`."""
    layer = keras.layers.Dense(weights.shape[1], use_bias=bias is not None)
    model = keras.Sequential([keras.Input((len(weights),), dtype=layer.compute_dtype), layer])
    model.set_weights([weights] if bias is None else [weights, bias])
    return model


def some_features(n=50, features=5, classes=3):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, features))
    return x, (x @ rng.normal(size=(features, classes)) + rng.normal(size=(n, classes))).argmax(1)
