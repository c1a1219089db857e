"""scikit-learn's 1,797 handwritten digits (8x8, 16 grey levels) as a TFDS builder; no download.

The split is fixed: the examples are sorted by label, ties in scikit-learn's order, and every fifth
of that list, beginning with the first, is a test example. That gives 1,437 training and 360 test
examples with each class split in the same proportion. An example's index is its rank within its
split in scikit-learn's order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits


def test_positions(labels: np.ndarray) -> np.ndarray:
    """Positions of the test examples among all examples, ascending: int64 `[num_test]`."""
    return np.sort(np.argsort(labels, kind="stable")[::5])


class Digits(tfds.core.GeneratorBasedBuilder):
    """Optical recognition of handwritten digits, as shipped by scikit-learn."""

    VERSION = tfds.core.Version("1.0.0")
    WHITE = 16

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="1,797 handwritten digits of 8x8 pixels with values 0 to 16.",
            homepage="https://archive.ics.uci.edu/dataset/80",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                    "index": tfds.features.Scalar(dtype=np.int64),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        del dl_manager  # nothing is downloaded
        digits = load_digits()
        is_test = np.zeros(len(digits.target), bool)
        is_test[test_positions(digits.target)] = True
        return {
            "train": self._generate_examples(digits, np.flatnonzero(~is_test)),
            "test": self._generate_examples(digits, np.flatnonzero(is_test)),
        }

    def _generate_examples(
        self, digits: Any, positions: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, position in enumerate(positions):
            yield (
                index,
                {
                    "image": digits.images[position].astype(np.uint8)[..., None],
                    "label": int(digits.target[position]),
                    "index": index,
                },
            )
