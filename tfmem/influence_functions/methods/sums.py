"""Scores summed over models on disk, so that a stopped computation continues at the next model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfmem.influence_functions.methods.method import ROWS, Contribution
from tfmem.messages.errors import InputError
from tfmem.store.files import complete_file
from tfmem.store.npz import NpzFile, map_npy, write_npz

_COLUMNS = 1024  # test examples at a time, whose scores lie together on disk


class Sums:
    """Sums over models of scores `[num_train, num_test]`, float32, and of weights `[num_train]`.

    A file holds the sums of the first models. Its successor takes its place when it is complete.

    Attributes:
      done: number of models that are in the sums.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], about: bytes) -> None:
        """Takes up the sums that lie in a folder.

        Args:
          folder: where they lie; sums of anything else are deleted.
          shape: numbers of training and of test examples.
          about: what decides the scores.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._shape = folder, shape
        self._name = hashlib.sha256(about + repr(shape).encode()).hexdigest()[:16]
        self.done = 0
        for path in sorted(folder.glob(f"{self._name}-*.npy")):
            number = path.stem.rpartition("-")[2]
            if number.isdecimal() and self._weights(int(number)).exists():
                self.done = max(self.done, int(number))
        for path in folder.iterdir():
            if path not in (self._scores(self.done), self._weights(self.done)):
                path.unlink()

    def _scores(self, done: int) -> Path:
        return self._folder / f"{self._name}-{done:05d}.npy"

    def _weights(self, done: int) -> Path:
        return self._folder / f"{self._name}-{done:05d}.npz"

    def add(self, contribution: Contribution) -> None:
        """Adds the scores of the next model.

        Raises:
          InputError: if a score is not finite.
        """
        weights = contribution.weights
        summed = np.ones(self._shape[0]) if weights is None else weights
        before = None
        if self.done:
            before = map_npy(self._scores(self.done), "f")
            with NpzFile(self._weights(self.done)) as file:
                summed = summed + file.array("weights", "f", (self._shape[0],))
        unfinished = self._folder / "unfinished.npy"
        scores = np.lib.format.open_memmap(unfinished, "w+", np.float32, self._shape)
        for block in contribution.blocks:
            values = block.values
            if not np.isfinite(values).all():
                raise InputError(
                    f"model {self.done}: expected finite scores, received others for training "
                    f"example {block.train[~np.isfinite(values).all(axis=1)][0]}: a smaller "
                    "training.learning_rate may help"
                )
            if before is not None:
                values = values + before[block.train, block.tests]
            scores[block.train, block.tests] = values
        scores.flush()
        del scores
        with complete_file(self._weights(self.done + 1)) as file:
            write_npz(file, {"weights": summed})
        unfinished.rename(self._scores(self.done + 1))
        old, self.done = self.done, self.done + 1
        for path in (self._scores(old), self._weights(old)):
            path.unlink(missing_ok=True)

    def write(self, path: Path, keep: int | None, averaged: bool) -> None:
        """Writes the scores of all models, float32 `[num_train, num_test]`, as `.npy`.

        Args:
          path: the file.
          keep: number of scores of a test example that stay other than 0, see `soft_thresholds`;
            None is all.
          averaged: whether scores are means over models, rather than sums. The scores of a training
            example are multiplied by its mean weight.
        """
        scores = map_npy(self._scores(self.done), "f")
        with NpzFile(self._weights(self.done)) as file:
            weights = file.array("weights", "f", (self._shape[0],)) / self.done
        factors = weights / self.done if averaged else weights
        limits = np.zeros(self._shape[1])
        if keep is not None and keep < self._shape[0]:
            for part in _parts(self._shape[1], _COLUMNS):
                limits[part] = soft_thresholds(scores[:, part] * factors[:, None], keep)
        header = {"descr": "<f4", "fortran_order": False, "shape": self._shape}
        with complete_file(path) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in _parts(self._shape[0], ROWS):
                values = scores[part] * factors[part, None]
                values = np.sign(values) * np.maximum(np.abs(values) - limits, 0)
                file.write(np.ascontiguousarray(values, "<f4").tobytes())

    def restart(self) -> None:
        """Deletes the sums, so that the next model is the first."""
        for path in (self._scores(self.done), self._weights(self.done)):
            path.unlink(missing_ok=True)
        self.done = 0

    def clear(self) -> None:
        """Deletes the sums and their folder."""
        self.restart()
        self._folder.rmdir()


def soft_thresholds(values: np.ndarray, keep: int) -> np.ndarray:
    """Returns how far scores must move towards 0, so that `keep` of each test example are left.

    That is the size of the largest score that becomes 0 (Park et al. 2023, Sec. 3.2, step 5). If
    several scores have this size, all of them become 0.

    Args:
      values: `[num_train, tests]`, with more than `keep` rows.
      keep: number of scores that stay.

    Returns:
      float64 `[tests]`.
    """
    place = len(values) - keep - 1
    found: np.ndarray = np.partition(np.abs(values), place, axis=0)[place]
    return found


def _parts(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
