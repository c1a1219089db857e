"""Computes which window of an image is scaled to the square that models see, in whole pixels.

A window is `[top, left, height, width]`.
"""

from __future__ import annotations

import numpy as np

RATIOS = np.array([1, 2, 4, 8], np.int32)  # factors by which decoders can scale images down
_MIN_AREA = 0.08  # least area of a random box, as a fraction of the image
_MAX_LOG_ASPECT = np.log(4 / 3)


def windows_in_blocks(
    sizes: np.ndarray, image_size: int, resize: int, boxes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of images as `in_blocks` returns them: of their centres, or of random boxes.

    They follow from integers and from `boxes` alone, whatever decodes the images.

    Args:
      sizes: int `[count, 2]`, heights and widths of the images.
      image_size: side of the square that models see.
      resize: length to which the shorter side is scaled before the centre is cut.
      boxes: as in `box_windows`; None takes the centres.
    """
    if boxes is None:
        windows = center_windows(sizes, image_size, resize)
    else:
        windows = box_windows(sizes, boxes)
    return in_blocks(windows, sizes, image_size)


def center_windows(sizes: np.ndarray, image_size: int, resize: int) -> np.ndarray:
    """Windows of the centre square of images whose shorter side is scaled to `resize`.

    Args:
      sizes: int `[count, 2]`, heights and widths of the images.
      image_size: side of the square after scaling.
      resize: length to which the shorter side is scaled.

    Returns:
      int32 `[count, 4]`.
    """
    sides = np.maximum(_nearest(sizes.min(axis=1) * image_size, resize), 1)[:, None]
    return np.hstack([(sizes - sides + 1) // 2, sides, sides]).astype(np.int32)


def box_windows(sizes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Random windows with 8 to 100% of the area and an aspect from 3/4 to 4/3, log-uniform.

    The distribution is that of Szegedy et al. (2015, Sec. 6), but a side that does not fit is
    shortened to the image's instead of being drawn again.

    Args:
      sizes: int `[count, 2]`, heights and widths of the images.
      boxes: float `[count, 4]`, uniform in [0, 1): area, aspect (width to height), top and left.

    Returns:
      int32 `[count, 4]`.
    """
    area_share, aspect_share, *starts = boxes.astype(np.float64).T
    area = sizes.prod(axis=1, dtype=np.int64) * (_MIN_AREA + (1 - _MIN_AREA) * area_share)
    aspect = np.exp((2 * aspect_share - 1) * _MAX_LOG_ASPECT)
    sides = np.rint(np.sqrt(np.stack([area / aspect, area * aspect], axis=1))).astype(np.int32)
    sides = np.clip(sides, 1, sizes)
    corners = np.floor(np.stack(starts, axis=1) * (sizes - sides + 1)).astype(np.int32)
    return np.hstack([corners, sides])


def in_blocks(
    windows: np.ndarray, sizes: np.ndarray, image_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Converts windows to units of the blocks of pixels that are averaged before scaling.

    A window that is at least twice as large as needed is averaged over blocks of 2, 4 or 8 pixels,
    so that bilinear interpolation skips no pixel. The window is then rounded to whole blocks, which
    moves it by at most half a pixel of the result.

    Args:
      windows: int32 `[count, 4]`, in pixels.
      sizes: int `[count, 2]`, heights and widths of the images.
      image_size: side of the result.

    Returns:
      int32 `[count]`, the index in `RATIOS` of the side of each window's blocks; and int32
      `[count, 4]`, the windows in blocks.
    """
    times = windows[:, 2:].min(axis=1) // image_size
    which = (times[:, None] >= RATIOS[1:]).sum(axis=1, dtype=np.int32)
    ratios = RATIOS[which][:, None]
    whole = sizes // ratios
    sides = np.minimum(_nearest(windows[:, 2:], ratios), whole)
    corners = np.minimum(_nearest(windows[:, :2], ratios), whole - sides)
    return which, np.hstack([corners, sides]).astype(np.int32)


def widened(windows: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Widens windows by one block on each side, as far as the image reaches.

    The JPEG decoder spreads colours over neighbouring pixels, and would treat the rim of the part
    that it decodes like the rim of the image.

    Args:
      windows: int32 `[count, 4]`.
      sizes: int `[count, 2]`, heights and widths of the images, in blocks.

    Returns:
      int32 `[count, 4]`, the wider windows; and int32 `[count, 4]`, the old windows within them.
    """
    first = np.maximum(windows[:, :2] - 1, 0)
    last = np.minimum(windows[:, :2] + windows[:, 2:] + 1, sizes)
    inner = np.hstack([windows[:, :2] - first, windows[:, 2:]])
    return np.hstack([first, last - first]).astype(np.int32), inner.astype(np.int32)


def _nearest(lengths: np.ndarray, unit: np.ndarray | int) -> np.ndarray:
    """Lengths as the nearest number of whole units."""
    return (lengths + unit // 2) // unit
