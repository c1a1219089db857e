import numpy as np
import pytest
from PIL import Image

from tests.helpers.photographs import RESIZE, SIZE, decoded, photo_paths, settings
from tfmem.datasets import load
from tfmem.datasets.windows import RATIOS, box_windows, center_windows, in_blocks


def scaled_part(path, part):
    """Scales a part (left, top, right, bottom, in fractions of pixels) to the square by Pillow."""
    image = Image.open(path).convert("RGB")
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=part)


def difference(ours, theirs):
    """Mean difference between averages of 4x4 pixels, in which filters hardly differ."""
    blocks = (np.asarray(image, float).reshape(SIZE // 4, 4, SIZE // 4, 4, 3).mean(axis=(1, 3))
              for image in (ours, theirs))  # fmt: skip
    return np.abs(np.subtract(*blocks)).mean()


def test_the_centre_is_that_of_a_resized_image(photos):
    data = load(settings("image_folder", photos))
    pixels, errors = np.concatenate(decoded(data, "train", range(26))), []
    for path, ours in zip(photo_paths(photos, "train"), pixels, strict=True):
        width, height = Image.open(path).size
        scale = min(width, height) / RESIZE
        left, top = ((side - SIZE * scale) / 2 for side in (width, height))
        part = np.array([left, top, left + SIZE * scale, top + SIZE * scale])
        error = difference(ours, scaled_part(path, part))
        assert error < 8, path  # half a pixel off at most
        moved = (part + scale * np.array(m) for m in ([2, 0, 2, 0], [0, 2, 0, 2], [0, 0, -3, -3]))
        errors.append([error, *(difference(ours, scaled_part(path, m)) for m in moved)])
    mean = np.mean(errors, axis=0)
    assert (mean[0] < 0.5 * mean[1:]).all(), mean


def test_random_boxes_lie_inside_and_cover_what_they_should():
    """Means of uniform numbers differ by 5 standard errors less than once in 10^6."""
    uniform = np.random.default_rng(0).random((20_000, 4), np.float32)
    for size in ((375, 500), (500, 333), (300, 300), (30, 900), (1, 1)):
        windows = box_windows(np.tile(np.int32(size), (20_000, 1)), uniform)
        corners, sides = windows[:, :2], windows[:, 2:]
        assert corners.min() >= 0
        assert sides.min() >= 1
        assert ((corners + sides).max(axis=0) == size).all()  # reached, and not passed
        if size == (300, 300):
            area = sides.prod(axis=1) / 300**2
            assert area.min() == pytest.approx(0.08, abs=2e-3)
            assert area.max() > 0.98
            fits = (sides < 300).all(axis=1)
            aspect = np.log(sides[fits, 1] / sides[fits, 0])
            assert np.abs(aspect).max() == pytest.approx(np.log(4 / 3), abs=0.02)
            small = area < 0.5  # this part always fits
            root = np.sqrt(small.sum() * 12)
            assert area[small].mean() == pytest.approx(0.29, abs=5 * 0.42 / root)
            middle = (corners / np.maximum(1, 300 - sides))[small].mean(axis=0)
            assert middle == pytest.approx(0.5, abs=5 / root)
            assert aspect.mean() == pytest.approx(0, abs=5 * 2 * np.log(4 / 3) / root)


def test_windows_of_blocks_stay_in_the_image_and_near():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 2000, (5000, 2)).astype(np.int32)
    for windows in (box_windows(sizes, rng.random((5000, 4))), center_windows(sizes, 48, 56)):
        which, blocks = in_blocks(windows, sizes, 48)
        ratio = RATIOS[which][:, None]
        assert set(which) == {0, 1, 2, 3}
        assert blocks.min() >= 0
        assert blocks[:, 2:].min() >= 1
        assert (blocks[:, :2] + blocks[:, 2:] <= sizes // ratio).all()
        assert (np.abs(blocks * ratio - windows) < 1.5 * ratio).all()
        assert (windows[:, 2:].min(axis=1) >= 48 * ratio[:, 0])[which > 0].all()


def test_boxes_are_cut_and_scaled(photos):
    data = load(settings("image_folder", photos))
    boxes = np.random.default_rng(3).random((26, 4), np.float32)
    pixels = np.concatenate(decoded(data, "train", range(26), 8, boxes)).astype(float)
    for path, box, ours in zip(photo_paths(photos, "train"), boxes, pixels, strict=True):
        width, height = Image.open(path).size
        ((top, left, high, wide),) = box_windows(np.array([[height, width]]), box[None])
        theirs = scaled_part(path, (left, top, left + wide, top + high))
        assert difference(ours, theirs) < 5, path
