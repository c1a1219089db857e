"""Encodes and decodes many records of the same features at once.

Records of single numbers differ from each other only in the bytes of these numbers. Therefore a
table is encoded and decoded by columns, which is many times faster than record by record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.records import decode_example


def encode_rows(columns: Mapping[str, np.ndarray]) -> list[bytes]:
    """Serializes each row as a `tf.train.Example`, to the same bytes as `records.encode_example`.

    Args:
      columns: arrays `[rows]`; an integer or bool becomes an int64 list of length one, a float a
        float32 list.
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


def decode_rows(
    records: Iterable[tuple[bytes, str]], kinds: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Decodes records of single numbers into columns, whichever program wrote them.

    Args:
      records: serialized `tf.train.Example`s, each with what errors call it.
      kinds: the dtype of each column.

    Raises:
      InputError: naming the record, if it is no `tf.train.Example` or a number is missing.
    """
    payloads, sources = [], []
    for payload, source in records:
        payloads.append(payload)
        sources.append(source)
    columns = {name: np.empty(len(payloads), kind) for name, kind in kinds.items()}
    lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
    for length in np.unique(lengths).tolist():
        left = np.flatnonzero(lengths == length)
        joined = b"".join([payloads[row] for row in left])
        block = np.frombuffer(joined, np.uint8).reshape(len(left), length)
        while len(left):
            first = _numbers(payloads[left[0]], sources[left[0]], kinds)
            alike = _like_first(block, first)
            if alike is None:  # another program's records, which are decoded one by one
                for row in left.tolist():
                    for name, value in _numbers(payloads[row], sources[row], kinds).items():
                        if name in columns:
                            columns[name][row] = value[0]
                break
            values, same = alike
            for name in kinds:
                columns[name][left[same]] = values[name]
            left, block = left[~same], block[~same]
    return columns


def _numbers(payload: bytes, source: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Decodes a record, and checks that its features in `kinds` are single numbers."""
    features = decode_example(payload, source)
    for name, kind in kinds.items():
        value: Any = features.get(name)
        if getattr(value, "shape", None) != (1,):
            raise InputError(f"{source}: feature {name!r}: expected one number")
        if np.dtype(kind).kind == "i" and value.dtype.kind != "i":
            raise InputError(
                f"{source}: feature {name!r}: expected an integer, received {value[0]}"
            )
    return features


def _like_first(
    block: np.ndarray, first: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Decodes the records that differ from the first one only in the values of their numbers.

    Args:
      block: uint8 `[rows, length]`, records of the same length.
      first: the features of the first row.

    Returns:
      The values by feature, and bool `[rows]` that marks the rows they are from; None if
      `encode_rows` would write the first row differently.
    """
    if any(getattr(value, "shape", None) != (1,) for value in first.values()):
        return None
    names = sorted(first)
    integers = {name for name in names if first[name].dtype.kind == "i"}
    sizes = [int(_varints(first[name])[1][0]) if name in integers else 4 for name in names]
    template, places = _template(names, tuple(sizes), integers)
    if len(template) != block.shape[1]:
        return None
    bits, expected = np.full(len(template), 255, np.uint8), np.frombuffer(template, np.uint8).copy()
    for name, place, size in zip(names, places, sizes, strict=True):
        bits[place : place + size] = 128 if name in integers else 0
        if name in integers:
            expected[place : place + size - 1] |= 128
    same = ((block & bits) == expected).all(axis=1)
    if not same[0]:
        return None
    rows, values = block[same], dict[str, np.ndarray]()
    for name, place, size in zip(names, places, sizes, strict=True):
        digits = np.ascontiguousarray(rows[:, place : place + size])
        if name in integers:
            shifted = (digits & 127).astype(np.uint64) << np.arange(0, 7 * size, 7, dtype=np.uint64)
            values[name] = np.bitwise_or.reduce(shifted, axis=1).view(np.int64)
        else:
            values[name] = digits.view("<f4")[:, 0]
    return values, same


def _alike(sizes: np.ndarray) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Groups rows of equal sizes; returns for each group the sizes and the indices of its rows."""
    layouts, which = np.unique(sizes, axis=0, return_inverse=True)
    which = which.reshape(-1)
    return [(tuple(row.tolist()), np.flatnonzero(which == i)) for i, row in enumerate(layouts)]


def _varints(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encodes integers as base-128 varints: uint8 `[rows, 10]`, and the number of bytes of each."""
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
    """Returns a record whose values are zeros, and the position of each value."""
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
    """Encodes a protobuf field of variable length."""
    length, size = b"", len(contents)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + contents
