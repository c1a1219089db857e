"""Random crops and flips on JAX, by the same draws as on TensorFlow."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def move(images: jax.Array, moves: jax.Array, pad: int) -> jax.Array:
    """Pads images with zeros, then crops and mirrors them.

    Args:
      images: `[batch, height, width, channels]`.
      moves: int32 `[batch, 3]`, as `tfmem.training.augmentation.draw_moves` returns them.
      pad: number of zeros on each side.

    Returns:
      Images of the same shape and type.
    """
    height, width = images.shape[1:3]
    padded = jnp.pad(images, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
    columns = jnp.arange(width)

    def one(image: jax.Array, chosen: jax.Array) -> jax.Array:
        down, right, mirrored = chosen
        part = (height, width, image.shape[-1])
        cropped = jax.lax.dynamic_slice(image, (down, right, 0), part)
        return cropped[:, jnp.where(mirrored == 1, width - 1 - columns, columns)]

    return jax.vmap(one)(padded, moves)
