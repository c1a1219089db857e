"""The index order of a TFDS split, which does not depend on how its files are cut."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

ORDER_FEATURES = ("index", "idx", "id", "file_name")


def index_order(columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Positions of the examples in index order.

    If the data set has an index of its own, the examples follow it: the feature `index` or `idx`,
    or the number at the end of `id` (which for CIFAR is the official order). Otherwise examples are
    sorted by `file_name`.

    Args:
      columns: features by name, each `[num_examples]` in the order of the files; identifiers and
        file names are bytes.

    Returns:
      int64 `[num_examples]`; None if the data set has none of these features. Examples then stay in
      the order of the files, which is the same after every preparation but is not the official
      order.
    """
    for name in ("index", "idx"):
        if name in columns:
            return np.argsort(columns[name], kind="stable")
    if "id" in columns:
        identifiers = columns["id"]
        if identifiers.dtype.kind in "iu":
            return np.argsort(identifiers, kind="stable")
        numbers = [re.search(rb"\d+$", identifier) for identifier in identifiers]
        if all(numbers):
            return np.argsort([int(number[0]) for number in numbers if number], kind="stable")
    if "file_name" in columns:
        return np.argsort(columns["file_name"].astype(np.bytes_), kind="stable")
    return None
