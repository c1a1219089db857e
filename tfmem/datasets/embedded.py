"""scikit-learn's 1,797 handwritten digits (8x8, 16 grey levels), which need no download.

The split is fixed: the examples are sorted by label, ties in scikit-learn's order, and every fifth
of that list, beginning with the first, is a test example. That gives 1,437 training and 360 test
examples with each class split in the same proportion. An example's index is its rank within its
split in scikit-learn's order.
"""

from __future__ import annotations

import numpy as np

from tfmem.datasets.dataset import Dataset

WHITE = 16  # the value of full intensity


def load_digits() -> Dataset:
    """The digits as a data set in memory."""
    train, train_labels = digits_of(test=False)
    test, test_labels = digits_of(test=True)
    names = tuple(map(str, range(10)))
    return Dataset("digits", train, train_labels, test, test_labels, names, WHITE)


def test_positions(labels: np.ndarray) -> np.ndarray:
    """Positions of the test examples among all examples, ascending: int64 `[num_test]`."""
    return np.sort(np.argsort(labels, kind="stable")[::5])


def digits_of(test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[count, 8, 8, 1]` and labels int64 `[count]` of a split, in index order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    is_test = np.zeros(len(digits.target), bool)
    is_test[test_positions(digits.target)] = True
    chosen = is_test if test else ~is_test
    images = digits.images[chosen].astype(np.uint8)[..., None]
    return images, digits.target[chosen].astype(np.int64)
