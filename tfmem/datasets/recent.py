"""Arrays that this process decoded before, so that not every step of a pipeline decodes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

import numpy as np

Arrays = dict[str, np.ndarray]

_MOST_BYTES = 256 << 20  # CIFAR-100 takes 184 MB
_lock = threading.Lock()
_recent: dict[Hashable, Arrays] = {}  # the arrays that were used last stand last


def decoded_once(key: Hashable, decode: Callable[[], Arrays]) -> Arrays:
    """Returns the arrays that were decoded for the same `key`, or decodes them.

    What was not used for longest is given up when all arrays together take more than 256 MiB.

    Args:
      key: everything that decides the arrays, the states of their files included.
      decode: makes the arrays. It is called if they were never decoded or are given up.

    Returns:
      Arrays by name; they are read-only, because others receive the same ones.
    """
    with _lock:
        arrays = _recent.pop(key, None)
    if arrays is None:
        arrays = decode()
        for array in arrays.values():
            array.flags.writeable = False
    with _lock:
        _recent[key] = arrays
        sizes = {known: sum(map(_bytes, held.values())) for known, held in _recent.items()}
        total = sum(sizes.values())
        for known, size in sizes.items():
            if total <= _MOST_BYTES:
                break
            del _recent[known]
            total -= size
    return arrays


def _bytes(array: np.ndarray) -> int:
    texts = sum(map(len, array.flat)) if array.dtype == object else 0
    return array.nbytes + texts
