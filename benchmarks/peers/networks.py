"""The networks of the script in JAX: weights of a stack of models, and logits of one model."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np


def dense(weights, x):
    """Logits of a network with ReLU."""
    for kernel, bias in weights[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    kernel, bias = weights[-1]
    return x @ kernel + bias


def glorot(rng, *shape):
    """Kernels for a stack of models."""
    limit = np.sqrt(6 / (shape[-1] + shape[-2]))
    return rng.uniform(-limit, limit, shape).astype(np.float32)


def dense_weights(rng, stack, sizes):
    """Weights of a stack of dense networks, with those numbers of units."""
    return [
        (glorot(rng, stack, *pair), np.zeros((stack, pair[1]), "f")) for pair in pairwise(sizes)
    ]


def transformer(weights, ids, heads=2):
    """Logits of one transformer layer that normalizes after each part, and of the words' mean."""
    real = ids != 0
    x = normal(weights["words"][ids] + weights["places"], weights["embedded"])
    query, key, value = (
        (x @ kernel + bias).reshape(*ids.shape, heads, -1) for kernel, bias in weights["attention"]
    )
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
    scores = jax.nn.softmax(jnp.where(real[:, None, None], scores, -1e9))
    read = jnp.einsum("bhqk,bkhd->bqhd", scores, value).reshape(x.shape)
    kernel, bias = weights["read"]
    x = normal(x + read @ kernel + bias, weights["attended"])
    (wide, wide_bias), (narrow, narrow_bias) = weights["forward"]
    hidden = jax.nn.gelu(x @ wide + wide_bias, approximate=False)
    x = normal(x + hidden @ narrow + narrow_bias, weights["passed"])
    mean = (x * (real / real.sum(1, keepdims=True))[..., None]).sum(1)
    return dense(weights["logits"], mean)


def normal(x, scale_and_offset):
    """Layer normalization."""
    scale, offset = scale_and_offset
    return jax.nn.standardize(x, epsilon=1e-6) * scale + offset


def transformer_weights(rng, stack, vocabulary, length, width, classes):
    """Weights of a stack of transformers."""

    def small(*shape):
        return rng.normal(0, 0.02, (stack, *shape)).astype(np.float32)

    def layer(a, b):
        return small(a, b), np.zeros((stack, b), "f")

    scale = np.ones((stack, width), "f"), np.zeros((stack, width), "f")
    return {
        "words": small(vocabulary, width),
        "places": small(length, width),
        "attention": [layer(width, width) for _ in range(3)],
        "read": layer(width, width),
        "forward": [layer(width, 4 * width), layer(4 * width, width)],
        "logits": dense_weights(rng, stack, (width, classes)),
        **dict.fromkeys(("embedded", "attended", "passed"), scale),
    }
