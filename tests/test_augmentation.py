"""Random crops and flips are drawn evenly, and do what they say."""

import numpy as np
import tensorflow as tf

from tfmem.config import AugmentationSettings
from tfmem.subsets import Trial
from tfmem.training.augmentation import draw_boxes, draw_moves, epoch_draws
from tfmem.training.moving import move
from tfmem.training.on_jax import moving as on_jax


def test_moves_reach_every_offset_equally_and_do_what_they_say():
    """Chi-square over 9 x 9 x 2 cells: the 99.99% quantile of 161 degrees is 239."""
    settings = AugmentationSettings(pad=4, flip=True)
    draws = Trial(5, 1).augmentation_draws(3, 81_000)
    moves = draw_moves(draws, settings)
    cells = np.bincount((moves[:, 0] * 9 + moves[:, 1]) * 2 + moves[:, 2], minlength=162)
    assert ((cells - 500.0) ** 2 / 500).sum() < 239
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50, 6, 7, 3)).astype(np.float32)
    moved = move(tf.constant(images), tf.constant(moves[:50]), 4).numpy()
    for image, found, (down, right, mirrored) in zip(images, moved, moves, strict=False):
        padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
        expected = padded[down : down + 6, right : right + 7]
        np.testing.assert_array_equal(found, expected[:, ::-1] if mirrored else expected)
    np.testing.assert_array_equal(on_jax.move(images, moves[:50], 4), moved)
    assert draw_moves(draws, AugmentationSettings()) is None
    centre = move(tf.constant(images), tf.constant([[4, 4, 0]] * 50), 4)
    np.testing.assert_array_equal(centre, images)


def test_alternating_flips_mirror_every_image_in_every_second_epoch():
    """Half of the images begin mirrored: within 5 standard errors, false alarm below 1e-6."""
    settings = AugmentationSettings(pad=2, flip="alternating")
    trial = Trial(3, 0)
    subset = trial.subset(5000, 3000)
    mirrored = np.zeros([4, 5000], int)
    for epoch in range(4):
        order = trial.epoch_order(subset, epoch)
        draws = epoch_draws(trial, epoch, subset, order, settings)
        moves = draw_moves(draws, settings)
        mirrored[epoch, order] = moves[:, 2]
        plain = draw_moves(trial.augmentation_draws(epoch, 3000), AugmentationSettings(pad=2))
        np.testing.assert_array_equal(moves[:, :2], plain[:, :2])
    first = mirrored[0, subset]
    assert abs(first.mean() - 0.5) < 5 * 0.5 / np.sqrt(3000)
    for epoch in range(1, 4):
        np.testing.assert_array_equal(mirrored[epoch, subset], first ^ epoch % 2)


def test_boxes_are_uniform_and_independent_of_moves():
    """21 correlations within 5 standard errors, and 12 quantiles within 4: false alarm below 1e-3.

    The standard error of a quantile is at most sqrt(0.25 / 20,000), 0.0035.
    """
    draws = Trial(5, 1).augmentation_draws(0, 20_000)
    boxes = draw_boxes(draws, AugmentationSettings(random_resized_crop=True))
    moves = draw_moves(draws, AugmentationSettings(pad=4, flip=True))
    assert 0 <= boxes.min() < boxes.max() < 1
    bound = 5 / np.sqrt(20_000)  # of a correlation, five standard errors
    table = np.corrcoef(np.hstack([boxes, moves]), rowvar=False)
    assert np.abs(table - np.eye(7)).max() < bound
    for level in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(np.quantile(boxes, level, axis=0), level, atol=0.015)
