"""Writes real photographs as image folders, and reads them as a data set."""

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from tfmem.config import DatasetSettings

SIZE, RESIZE = 48, 56
CLASSES = ("china", "flower")


def write_photos(folder):
    """Writes photographs of many sizes in two classes; names are not in class order."""
    rng = np.random.default_rng(0)
    sources = dict(zip(CLASSES, load_sample_images().images, strict=True))
    forms = {3: ("L", "JPEG"), 5: ("RGB", "PNG"), 7: ("CMYK", "JPEG"), 9: ("RGBA", "PNG")}
    for split, count in (("train", 26), ("test", 9)):
        for number in range(count):
            name = CLASSES[number % 2]
            height, width = rng.integers(40, 400, 2)
            top, left = rng.integers(0, 427 - height + 1), rng.integers(0, 640 - width + 1)
            image = Image.fromarray(sources[name][top : top + height, left : left + width])
            mode, form = forms.get(number, ("RGB", "JPEG"))
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            path = folder / split / name / f"{name}_{number * 7 % 100:02d}.JPEG"
            image.convert(mode).save(path, form, quality=92)


def photo_paths(folder, split):
    """The paths of the photographs in index order: by class, then by file name."""
    return [p for name in CLASSES for p in sorted((folder / split / name).iterdir())]


def settings(name, folder, **more):
    more = {"image_size": SIZE, "resize": RESIZE, **more}
    return DatasetSettings(name=name, data_dir=str(folder), **more)


def decoded(dataset, split, indices, batch_size=8, boxes=None):
    from tfmem.datasets.pipeline import read_batches

    batches = read_batches(dataset, split, np.asarray(indices), batch_size, boxes)
    return [batch.numpy() for batch in batches]
