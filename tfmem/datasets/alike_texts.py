"""Texts that are almost the same, by the Jaccard similarity of their runs of five characters.

The similarity of two texts is the number of runs that both have, divided by the number that either
has. All pairs that reach a threshold are found, and no others: nothing is estimated from hashes.
Most pairs are never compared, because two texts of similarity `t` share one of the rarest runs of
each, those left by `t` times its runs (prefix filtering, Bayardo et al. 2007, Sec. 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

_RUN = 5  # characters
_BLOCK = 256  # texts that are compared with all others at a time
_PAIRS = 65_536  # pairs whose common runs are counted at a time
_ROUNDING = 1e-9


def runs(text: str) -> set[str]:
    """The runs of five characters of a text; a shorter text is its only run."""
    return {text[at : at + _RUN] for at in range(max(1, len(text) - _RUN + 1))}


def alike_texts(
    queries: Sequence[str], others: Sequence[str], threshold: float
) -> Iterator[pd.DataFrame]:
    """Yields all pairs of a query and another text that are at least as similar as `threshold`.

    Args:
      queries: texts.
      others: texts, which may be the same.
      threshold: least similarity, above 0 and at most 1.

    Yields:
      Places in `queries` and in `others` as columns `a` and `b`, and their `similarity`, for some
      queries at a time.
    """
    if not len(queries) or not len(others):
        return
    one, other = _rows(queries, others)
    sizes, other_sizes = np.diff(one.indptr), np.diff(other.indptr)
    rare = _prefixes(other, threshold).T.tocsr()
    for first in range(0, len(queries), _BLOCK):
        block = one[first : first + _BLOCK]
        row, column = (_prefixes(block, threshold) @ rare).nonzero()
        row = row.astype(np.int64) + first
        least, most = threshold * sizes[row] - _ROUNDING, sizes[row] / threshold + _ROUNDING
        fits = (least <= other_sizes[column]) & (other_sizes[column] <= most)
        row, column = row[fits], column[fits].astype(np.int64)
        common = np.zeros(len(row), np.int64)
        for start in range(0, len(row), _PAIRS):
            part = slice(start, start + _PAIRS)
            common[part] = one[row[part]].multiply(other[column[part]]).sum(axis=1)
        similarity = common / (sizes[row] + other_sizes[column] - common)
        found = similarity >= threshold - _ROUNDING
        yield pd.DataFrame({"a": row[found], "b": column[found], "similarity": similarity[found]})


def _rows(queries: Sequence[str], others: Sequence[str]) -> tuple[Any, Any]:
    """Which runs each text has, sparse int64 `[texts, runs]`; the rarest runs come first."""
    numbers: dict[str, int] = {}
    sides = []
    for texts in (queries, others):
        places, stops = [], [0]
        for text in texts:
            places += [numbers.setdefault(run, len(numbers)) for run in runs(text)]
            stops.append(len(places))
        sides.append((np.array(places, np.int64), np.array(stops, np.int64)))
    counts = np.bincount(np.concatenate([columns for columns, _ in sides]))
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    found = []
    for columns, ends in sides:
        ones = np.ones(len(columns), np.int64)
        matrix = csr_array((ones, rank[columns], ends), shape=(len(ends) - 1, len(counts)))
        matrix.sort_indices()
        found.append(matrix)
    return found[0], found[1]


def _prefixes(rows: Any, threshold: float) -> Any:
    """The rarest runs of each text, one of which it shares with every text that is alike."""
    sizes = np.diff(rows.indptr)
    kept = sizes - np.ceil(threshold * sizes - _ROUNDING).astype(np.int64) + 1
    place = np.arange(len(rows.indices)) - np.repeat(rows.indptr[:-1], sizes)
    chosen = place < np.repeat(kept, sizes)
    ends = np.concatenate([[0], np.cumsum(np.minimum(kept, sizes))])
    return csr_array((rows.data[chosen], rows.indices[chosen], ends), shape=rows.shape)
