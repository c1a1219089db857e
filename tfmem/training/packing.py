"""Lays the texts of a batch side by side in windows, so that less of these is padding.

A batch stays the same texts, and its loss the mean over their tokens; only their layout changes. A
model that keeps the texts of a window apart, as `decoder` does, learns the same, up to rounding.
"""

from __future__ import annotations

import numpy as np

from tfmem.datasets import Dataset, StructuredDataset
from tfmem.datasets.padding import lengths
from tfmem.messages.errors import InputError

_MOST = 2**31 - 1
_DRAWS = 64  # random batches that say how many windows a batch takes


class Packing:
    """Finds places for the texts of batches in as few windows as hold them."""

    def __init__(self, lengths: np.ndarray, width: int, num_train: int) -> None:
        """Takes how long the texts are.

        Args:
          lengths: int64 `[texts]`, the number of tokens of each up to the last from which one is
            predicted, training texts first.
          width: number of tokens of a window, into which every text fits.
          num_train: number of training texts.

        Raises:
          InputError: if there are more places than can be numbered.
        """
        if len(lengths) * width > _MOST:
            raise InputError(
                f"dataset.text.tokens.packed: expected at most {_MOST:,} places for tokens, "
                f"received {len(lengths):,} texts of {width:,}: choose false"
            )
        self._lengths = lengths
        self._width = width
        self._num_train = num_train
        self._usual: dict[int, int] = {}

    def places(self, batches: np.ndarray) -> np.ndarray:
        """Lays out each batch.

        Batches of one size have the same number of windows, whatever they hold, so that they need
        one program: as many as the fullest of some random batches take, or of these, if more.

        Args:
          batches: int64 `[..., batch]`, texts.

        Returns:
          int32 `[..., windows, width]`: at each place of a window the place of a token in all
          windows of single texts, one after the other; `texts * width` where there is no token.
        """
        rows = batches.reshape(-1, batches.shape[-1])
        layouts = [first_fit(self._lengths[row], self._width) for row in rows]
        needed = max(int(windows.max(initial=-1)) + 1 for windows, _ in layouts)
        windows = max(self._windows(batches.shape[-1]), needed)
        count = len(self._lengths)
        laid = np.full((len(rows), windows * self._width), count * self._width, np.int32)
        along = np.arange(self._width, dtype=np.int32)
        for found, row, (window, start) in zip(laid, rows, layouts, strict=True):
            first = window * self._width + start
            for text, place, length in zip(row, first, self._lengths[row], strict=True):
                found[place : place + length] = text * self._width + along[:length]
        return laid.reshape(*batches.shape[:-1], windows, self._width)

    def _windows(self, batch: int) -> int:
        """How many windows the fullest of some random batches of training texts takes."""
        if batch not in self._usual:
            rng = np.random.default_rng(0)
            drawn = rng.integers(self._num_train, size=(_DRAWS, batch))
            full = [first_fit(self._lengths[row], self._width)[0] for row in drawn]
            self._usual[batch] = max(int(windows.max(initial=0)) + 1 for windows in full)
        return self._usual[batch]


def packing_of(dataset: Dataset) -> Packing | None:
    """The packing of a data set whose texts share windows; None of all others."""
    if not dataset.packed:
        return None
    splits = [each for each in (dataset.train_targets, dataset.test_targets) if each is not None]
    of_all = np.concatenate([lengths(targets) for targets in splits])
    return Packing(of_all, dataset.input_shape[0], len(dataset.train_labels))


def with_padding(values: np.ndarray, dataset: Dataset | StructuredDataset) -> np.ndarray:
    """Values `[texts, length]` with a row of zeros at the end, if texts are packed."""
    if not (isinstance(dataset, Dataset) and dataset.packed):
        return values
    return np.concatenate([values, np.zeros_like(values[:1])])


def first_fit(lengths: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Packs texts into windows, the longest first, each into the first that has room.

    This takes at most 11/9 of the least number of windows, and one more (Johnson 1973).

    Args:
      lengths: int64 `[texts]`, at most `width` each.
      width: length of a window.

    Returns:
      int64 `[texts]` each: the window of each text, and its first place there.
    """
    windows, starts = np.zeros((2, len(lengths)), np.int64)
    filled: list[int] = []
    for text in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[text])
        roomy = (place for place, used in enumerate(filled) if used + length <= width)
        window = next(roomy, len(filled))
        if window == len(filled):
            filled.append(0)
        windows[text], starts[text] = window, filled[window]
        filled[window] += length
    return windows, starts
