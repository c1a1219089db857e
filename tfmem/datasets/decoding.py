"""Decodes and scales images, or parts of images, to the squares that models see, in TensorFlow."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from tfmem.datasets.windows import RATIOS

DECODED = len(RATIOS)  # value of `which` that stands for decoded pixels


@tf.function
def decode_window(
    contents: tf.Tensor, which: tf.Tensor, part: tf.Tensor, window: tf.Tensor, image_size: int
) -> tf.Tensor:
    """Scales a window of an image (bilinear), and decodes it first if it is JPEG.

    Args:
      contents: string, an encoded JPEG image, which is decoded as RGB; or the pixels of `part`.
      which: int32, index in `RATIOS` of the side of the blocks that the JPEG decoder averages;
        `DECODED` if `contents` are pixels.
      part: int32 `[4]`, top, left, height and width of the part that is decoded, in blocks.
      window: int32 `[4]`, top, left, height and width of the window that is scaled, in blocks
        within that part.
      image_size: side of the result.

    Returns:
      uint8 `[image_size, image_size, 3]`.
    """

    def jpeg(ratio: int) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(
            contents,
            part,
            channels=3,
            ratio=ratio,
            dct_method="INTEGER_ACCURATE",  # the method of Pillow
        )

    def pixels() -> tf.Tensor:
        return tf.reshape(tf.io.decode_raw(contents, tf.uint8), [part[2], part[3], 3])

    branches = [*(partial(jpeg, ratio) for ratio in RATIOS.tolist()), pixels]
    decoded = tf.switch_case(which, branches)
    sides = tf.concat([window[2:], [3]], 0)
    scaled = tf.raw_ops.ResizeBilinear(
        images=tf.slice(decoded, tf.concat([window[:2], [0]], 0), sides)[None],
        size=[image_size, image_size],
        half_pixel_centers=True,
    )
    return tf.ensure_shape(tf.cast(scaled[0] + 0.5, tf.uint8), [image_size, image_size, 3])
