"""Many records of the same features at once.

A record of single numbers is the same bytes as its neighbours but for the numbers themselves, so a
table is encoded by columns, a hundred times faster than record by record.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def encode_rows(columns: Mapping[str, np.ndarray]) -> list[bytes]:
    """One serialized `tf.train.Example` a row; the bytes are those of `records.encode_example`.

    Args:
      columns: arrays `[rows]`; integers and bools become int64 lists of one, floats float32 ones.
    """
    values = {name: np.asarray(columns[name]) for name in sorted(columns)}
    integers = [name for name, value in values.items() if value.dtype.kind in "iub"]
    varints = {name: _varints(values[name]) for name in integers}
    rows = len(next(iter(values.values())))
    sizes = np.zeros((rows, len(values)), np.int64)
    for place, name in enumerate(values):
        sizes[:, place] = varints[name][1] if name in varints else 4
    encoded = np.empty(rows, object)
    for layout, members in _alike(sizes):
        template, places = _template(list(values), layout, varints.keys())
        block = np.tile(np.frombuffer(template, np.uint8), (len(members), 1))
        for name, place, size in zip(values, places, layout, strict=True):
            if name in varints:
                block[:, place : place + size] = varints[name][0][members, :size]
            else:
                numbers = values[name][members].astype("<f4")
                block[:, place : place + 4] = numbers.view(np.uint8).reshape(-1, 4)
        contents, length = block.tobytes(), len(template)
        encoded[members] = [
            contents[start : start + length] for start in range(0, len(contents), length)
        ]
    return list(encoded)


def _alike(sizes: np.ndarray) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Groups rows of equal sizes: the sizes, and which rows."""
    layouts, which = np.unique(sizes, axis=0, return_inverse=True)
    which = which.reshape(-1)
    return [(tuple(row.tolist()), np.flatnonzero(which == i)) for i, row in enumerate(layouts)]


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers as base-128 varints: uint8 `[rows, 10]`, and how many bytes each has."""
    left = values.astype(np.int64).view(np.uint64)
    out = np.zeros((len(left), 10), np.uint8)
    sizes = np.ones(len(left), np.int64)
    for place in range(10):
        out[:, place] = left & np.uint64(127)
        left = left >> np.uint64(7)
        more = left > 0
        out[more, place] |= 128
        sizes += more
        if not more.any():
            break
    return out, sizes


def _template(
    names: list[str], sizes: tuple[int, ...], integers: object
) -> tuple[bytes, list[int]]:
    """A record with zeros for its values, and where each value stands."""
    entries, ends = b"", []
    for name, size in zip(names, sizes, strict=True):
        numbers = _field(1, bytes(size))
        feature = _field(3 if name in integers else 2, numbers)  # type: ignore[operator]
        entry = _field(1, name.encode()) + _field(2, feature)
        entries += _field(1, entry)
        ends.append(len(entries))
    record = _field(1, entries)
    before = len(record) - len(entries)
    return record, [before + end - size for end, size in zip(ends, sizes, strict=True)]


def _field(number: int, contents: bytes) -> bytes:
    """A protobuf field of variable length."""
    length, size = b"", len(contents)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + contents
