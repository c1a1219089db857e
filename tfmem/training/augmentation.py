"""Random crops and flips, drawn from a trial's own seed and carried out inside the program."""

from __future__ import annotations

import numpy as np

from tfmem.config import AugmentationSettings
from tfmem.subsets import Trial

_FLIP = np.uint64(63)  # bit that decides whether an image is mirrored


def epoch_draws(
    trial: Trial, epoch: int, subset: np.ndarray, order: np.ndarray, settings: AugmentationSettings
) -> np.ndarray:
    """Random bits for the images of an epoch, in the order of visits: uint64 `[m]`.

    With `flip: alternating`, whether an image is mirrored is drawn once, for the first epoch, and
    changes in each epoch that follows.

    Args:
      trial: the trial.
      epoch: number of the epoch, from 0.
      subset: the trial's examples, int64 `[m]`, ascending.
      order: the same examples in the order of visits.
      settings: `flip`.
    """
    draws = trial.augmentation_draws(epoch, len(order))
    if settings.flip != "alternating":
        return draws
    drawn = trial.augmentation_draws(0, len(order))[np.searchsorted(subset, order)] >> _FLIP
    mirrored = drawn ^ np.uint64(epoch % 2)
    return draws & np.uint64(2**63 - 1) | mirrored << _FLIP


def needs_draws(settings: AugmentationSettings) -> bool:
    """Whether images are changed at random, so that each needs random bits."""
    return bool(settings.pad or settings.flip or settings.random_resized_crop)


def draw_moves(draws: np.ndarray | None, settings: AugmentationSettings) -> np.ndarray | None:
    """Draws where each image is cropped, and whether it is mirrored.

    Args:
      draws: uint64 `[...]` random bits, one number for each image (`epoch_draws`); None if no image
        is changed.
      settings: `pad` and `flip`.

    Returns:
      int32 `[..., 3]`: vertical and horizontal offset of the crop, each uniform over `2 * pad + 1`
      values, and 1 for a mirrored image. None if no image is changed.
    """
    if draws is None or not (settings.pad or settings.flip):
        return None
    offsets = np.uint64(2 * settings.pad + 1)
    down = (draws & np.uint64(0xFFFFFFFF)) * offsets >> np.uint64(32)
    right = (draws >> np.uint64(32) & np.uint64(0x7FFFFFFF)) * offsets >> np.uint64(31)
    mirrored = (draws >> _FLIP) * np.uint64(bool(settings.flip))
    return np.stack([down, right, mirrored], axis=-1).astype(np.int32)


def draw_boxes(draws: np.ndarray | None, settings: AugmentationSettings) -> np.ndarray | None:
    """Draws four numbers in [0, 1) for the crop of each image, float32 `[count, 4]`.

    Without random-resized crops the result is None. The bits are mixed first, so that the numbers
    differ from those of `draw_moves`.
    """
    if draws is None or not settings.random_resized_crop:
        return None
    parts = []
    mixed = draws
    for _ in range(4):  # the increments and multiplier of splitmix64 (Steele et al. 2014)
        mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
        bits = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ bits >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        parts.append((bits ^ bits >> np.uint64(31)) >> np.uint64(40))
    return np.stack(parts, axis=-1).astype(np.float32) / np.float32(1 << 24)
