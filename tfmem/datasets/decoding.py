"""From an encoded image to the square of pixels that models see, as TensorFlow operations."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from tfmem.datasets.windows import RATIOS

OTHER = len(RATIOS)  # added to `which` for an image that is not JPEG


def decode(contents: tf.Tensor, which: tf.Tensor, window: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decodes a window of an image, and scales it (bilinear).

    Args:
      contents: string, an encoded image; grey is made RGB.
      which: int32, which of `RATIOS` is the side of the blocks that are averaged first (for JPEG
        that happens in the decoder), plus `OTHER` if the image is not JPEG.
      window: int32 `[4]`, top, left, height and width in such blocks.
      image_size: side of the result.

    Returns:
      uint8 `[image_size, image_size, 3]`.
    """

    def jpeg(ratio: int) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(
            contents, window, channels=3, ratio=ratio, dct_method="INTEGER_FAST"
        )

    def other() -> tf.Tensor:
        return _averaged(contents, tf.gather(RATIOS, which - OTHER), window)

    branches = [*(partial(jpeg, ratio) for ratio in RATIOS.tolist()), other]
    scaled = tf.raw_ops.ResizeBilinear(
        images=tf.switch_case(tf.minimum(which, OTHER), branches)[None],
        size=[image_size, image_size],
        half_pixel_centers=True,
    )
    return tf.ensure_shape(tf.cast(scaled[0] + 0.5, tf.uint8), [image_size, image_size, 3])


def _averaged(contents: tf.Tensor, ratio: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """A window of an image that is not JPEG, in means over blocks: uint8, as JPEG's decoder."""
    image = tf.io.decode_image(contents, expand_animations=False)
    channels = tf.where(tf.shape(image)[2] < 3, [0, 0, 0], [0, 1, 2])
    top, left, high, wide = tf.unstack(window)
    pixels = image[top * ratio : (top + high) * ratio, left * ratio : (left + wide) * ratio]
    pixels = tf.cast(tf.gather(pixels, channels, axis=2), tf.float32)
    means = tf.reduce_mean(tf.reshape(pixels, [high, ratio, wide, ratio, 3]), axis=[1, 3])
    return tf.cast(means + 0.5, tf.uint8)
