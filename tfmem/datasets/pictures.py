"""Examples as people look at them."""

from __future__ import annotations

import io

import numpy as np

from tfmem.datasets.dataset import Dataset
from tfmem.datasets.streamed import AnyDataset


class Pictures:
    """The examples of one split, `[height, width, channels]` with values in [0, 1], by index."""

    def __init__(self, dataset: AnyDataset, split: str) -> None:
        """Names the split, `train` or `test`."""
        self._dataset = dataset
        self._images = getattr(dataset, f"{split}_images")

    def __getitem__(self, index: int) -> np.ndarray:
        """One example; one that is no image is a square of greys, from its least value to most."""
        if not isinstance(self._dataset, Dataset):
            return self._decoded(index)
        example = np.asarray(self._images[index], np.float64)
        if example.ndim == 3 and example.shape[-1] in (1, 3):
            return np.clip(example / self._dataset.white, 0.0, 1.0)
        values = example.ravel() - example.min()
        side = int(np.ceil(np.sqrt(values.size)))
        square = np.zeros(side * side)
        square[: values.size] = values / (values.max() or 1.0)
        return square.reshape(side, side, 1)

    def _decoded(self, index: int) -> np.ndarray:
        from PIL import Image, ImageOps

        image = Image.open(io.BytesIO(self._images.read(index))).convert("RGB")
        side = self._dataset.input_shape[0]
        pixels = np.asarray(ImageOps.fit(image, (side, side)), np.float64)
        return np.clip(pixels / self._dataset.white, 0.0, 1.0)
