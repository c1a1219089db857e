"""Random projections of gradients, which keep their inner products.

A sketch to `k` numbers keeps an inner product up to about `sqrt(2 / k)` times the lengths of the
two vectors, whatever these are (Johnson & Lindenstrauss 1984). The sketch here is a sparse one
(Kane & Nelson 2014): every number goes, with random signs, into a few of the `k` sums, which costs
less than the gradient itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import psutil
from numba import prange

from tfmem.estimation.compiling import compiled
from tfmem.messages.errors import InputError

_PLACES = 4  # sums that each number goes into
_COPIES = 4  # of a matrix, while it is decomposed


class Sketch:
    """A random linear map from `count` numbers to fewer; with few numbers it keeps all of them.

    Attributes:
      size: length of a sketch.
      is_shorter: whether sketches are shorter than what they are made of.
    """

    def __init__(
        self, count: int, size: int, seed: int = 0, scales: np.ndarray | None = None
    ) -> None:
        """Draws the map.

        Args:
          count: length of the vectors.
          size: length of a sketch; vectors that are no longer than that are kept as they are.
          seed: decides the map.
          scales: float `[count]`, what the numbers are multiplied by first; None is 1.
        """
        self.size, self.is_shorter = min(size, count), count > size
        self._count = count
        self._scales = np.ones(count, np.float32) if scales is None else scales.astype(np.float32)
        self._places = None
        if self.is_shorter:
            rng = np.random.default_rng(seed)
            self._scales /= np.float32(np.sqrt(_PLACES))
            places = rng.integers(size, size=(_PLACES, count), dtype=np.int32)
            signs = rng.integers(2, size=(_PLACES, count), dtype=np.int32)
            self._places = 2 * places + signs

    def check_memory(self, setting: str, vectors: int, square: bool) -> None:
        """Refuses sketches that cannot be worked with in the free memory, before any are made.

        Args:
          setting: the setting that decides their length.
          vectors: number of sketches that are held at once.
          square: whether a matrix `[size, size]` is decomposed.

        Raises:
          InputError: saying how much memory is needed.
        """
        needed = 4 * vectors * self.size + square * _COPIES * 8 * self.size**2
        free = psutil.virtual_memory().available
        if needed > free:
            raise InputError(
                f"{setting}: sketches of {self.size:,} numbers need {needed / 2**30:.1f} GiB of "
                f"memory, {free / 2**30:.1f} GiB are free: choose a smaller one"
            )

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the sketches of vectors `[k, count]`, float32 `[k, size]`."""
        vectors = np.ascontiguousarray(vectors, np.float32)
        if self._places is None:
            return vectors * self._scales
        out = np.zeros((len(vectors), self.size), np.float32)
        _sketch(vectors, self._scales, self._places, out)
        return out

    def lift(self, sketches: np.ndarray) -> np.ndarray:
        """Applies the transpose of `project` to `[k, size]`; returns float32 `[k, count]`."""
        sketches = np.ascontiguousarray(sketches, np.float32)
        if self._places is None:
            return sketches * self._scales
        out = np.empty((len(sketches), self._count), np.float32)
        _unsketch(sketches, self._scales, self._places, out)
        return out


def joined_blocks(blocks: Iterable[np.ndarray], least: int) -> Iterator[np.ndarray]:
    """Joins blocks `[b, k]` to blocks of `least` rows or more; the last may have fewer."""
    held: list[np.ndarray] = []
    for block in blocks:
        held.append(block)
        if sum(map(len, held)) >= least:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


@partial(compiled, parallel=True)
def _sketch(vectors: np.ndarray, scales: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Adds each scaled number to the sums that `places // 2` names, with the sign of its parity."""
    for row in prange(vectors.shape[0]):
        for j in range(vectors.shape[1]):
            value = vectors[row, j] * scales[j]
            for c in range(places.shape[0]):
                place = places[c, j]
                out[row, place >> 1] += value if place & 1 else -value


@partial(compiled, parallel=True)
def _unsketch(sums: np.ndarray, scales: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """The transpose of `_sketch`: each number is the signed sum of those that it went into."""
    for row in prange(out.shape[0]):
        for j in range(out.shape[1]):
            value = np.float32(0)
            for c in range(places.shape[0]):
                place = places[c, j]
                value += sums[row, place >> 1] if place & 1 else -sums[row, place >> 1]
            out[row, j] = value * scales[j]
