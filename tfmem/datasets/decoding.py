"""From encoded images, or parts of images, to the squares that models see, by TensorFlow."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

from tfmem.datasets.windows import RATIOS

DECODED = len(RATIOS)  # in place of `which`, for pixels


def decode(contents: tf.Tensor, which: tf.Tensor, window: tf.Tensor, size: tf.Tensor,
           image_size: int) -> tf.Tensor:  # fmt: skip
    """Scales a window of an image (bilinear), and decodes it first if it is JPEG.

    Args:
      contents: string, an encoded JPEG image, of which grey is made RGB; or the pixels of the
        window.
      which: int32, which of `RATIOS` is the side of the blocks that the decoder of JPEG averages;
        `DECODED` if `contents` are pixels.
      window: int32 `[4]`, top, left, height and width in such blocks.
      size: int32 `[2]`, height and width of the whole image in such blocks, begun ones included.
      image_size: side of the result.

    Returns:
      uint8 `[image_size, image_size, 3]`.
    """

    def jpeg(ratio: int) -> tf.Tensor:
        # The decoder spreads colours over their neighbours, so it is given one more on all sides.
        first = tf.maximum(window[:2] - 1, 0)
        last = tf.minimum(window[:2] + window[2:] + 1, size)
        wider = tf.io.decode_and_crop_jpeg(
            contents,
            tf.concat([first, last - first], 0),
            channels=3,
            ratio=ratio,
            dct_method="INTEGER_ACCURATE",  # which Pillow takes
        )
        return tf.slice(wider, [*tf.unstack(window[:2] - first), 0], [*tf.unstack(window[2:]), 3])

    def pixels() -> tf.Tensor:
        return tf.reshape(tf.io.decode_raw(contents, tf.uint8), [window[2], window[3], 3])

    branches = [*(partial(jpeg, ratio) for ratio in RATIOS.tolist()), pixels]
    scaled = tf.raw_ops.ResizeBilinear(
        images=tf.switch_case(which, branches)[None],
        size=[image_size, image_size],
        half_pixel_centers=True,
    )
    return tf.ensure_shape(tf.cast(scaled[0] + 0.5, tf.uint8), [image_size, image_size, 3])
