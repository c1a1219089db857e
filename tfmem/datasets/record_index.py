"""Finds where the images of a TFDS split lie within its TFRecord shards, in one pass over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from rich.markup import escape
from rich.progress import Progress

from tfmem.datasets.cache import Arrays, cached, file_states
from tfmem.datasets.encoded import EncodedImages, described, digest_and_header
from tfmem.datasets.order import ORDER_FEATURES, index_order
from tfmem.messages.errors import InputError
from tfmem.store.records import decode_example, feature, read_records

_FORMAT = 2  # version of the cached arrays
_NAMES = {"file_numbers", "offsets", "lengths", "sizes", "traits", "digests", "labels"}
_HEAD = 64  # first bytes of an image by which it is found in its record
_BAR_FROM = 1 << 28  # bytes from which on reading shows a progress bar


def index_records(
    name: str,
    split: str,
    paths: Sequence[str],
    counts: Sequence[int],
    order_features: set[str],
    classes: int,
) -> tuple[EncodedImages, np.ndarray]:
    """Indexes one split; every checksum is tested and every image is hashed once.

    Args:
      name: name of the data set, with its version.
      split: name of the split.
      paths: the shards of the split, in order, in one folder.
      counts: number of records of each shard.
      order_features: those features of the data set by which records can be ordered.
      classes: number of classes.

    Returns:
      The encoded images, and labels int64 `[num_examples]`, both in index order.

    Raises:
      InputError: if a shard is missing, cut short or corrupt, if a record has no image or no label,
        or if there are no records. The error names shard and record.
    """
    if not sum(counts):
        raise InputError(f"{name}: {split}: expected examples, received none")
    try:
        states = file_states(list(paths))
    except OSError as error:
        raise InputError(f"{name}: {split}: {error.filename}: {error.strerror}") from None
    order_by = [key for key in ORDER_FEATURES if key in order_features]
    key = [_FORMAT, name, split, order_by, classes, states, list(counts)]
    kind = f"{name.replace('/', '-')}-{split}"
    arrays = cached(kind, key, _NAMES, lambda: _build(kind, paths, counts, order_by, classes))
    labels = arrays.pop("labels")
    files = np.array([os.fsencode(os.path.basename(path)) for path in paths])
    return EncodedImages(os.path.dirname(paths[0]), files, **arrays), labels


def _build(
    title: str, paths: Sequence[str], counts: Sequence[int], order_by: list[str], classes: int
) -> Arrays:
    size = sum(map(os.path.getsize, paths))
    with Progress(transient=True, disable=size < _BAR_FROM) as bar:
        task = bar.add_task(escape(f"indexing {title}"), total=size)

        def index(path: str, count: int) -> dict[str, np.ndarray]:
            advance = lambda done: bar.advance(task, done)  # noqa: E731
            return _index_shard(path, count, order_by, classes, advance)

        pool = ThreadPoolExecutor(min(32, 2 * (os.cpu_count() or 1)))
        try:
            shards = list(pool.map(index, paths, counts))
        finally:
            pool.shutdown(cancel_futures=True)
    shards = [shard for shard in shards if len(shard["labels"])]  # empty shards have no types
    columns = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
    columns["file_numbers"] = np.repeat(np.arange(len(paths), dtype=np.int32), counts)
    order = index_order({name: columns.pop(name) for name in order_by})
    return columns if order is None else {name: values[order] for name, values in columns.items()}


def _index_shard(
    path: str, count: int, order_by: list[str], classes: int, advance: Callable[[int], None]
) -> dict[str, np.ndarray]:
    """Offsets, lengths, digests, labels and ordering features of the records of one shard."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("offsets", "lengths", "labels", *order_by)
    }
    found, last = [], 0
    with open(path, "rb", buffering=1 << 20) as file:
        for payload, where in read_records(file, path):
            features = decode_example(payload, where)
            image = feature(features, "image", bytes, where)
            label = feature(features, "label", int, where)
            if not 0 <= label < classes:
                raise InputError(
                    f"{where}: expected a label from 0 to {classes - 1}, received {label}"
                )
            end = file.tell()  # `end` lies behind the payload's checksum of 4 bytes
            columns["offsets"].append(end - 4 - len(payload) + _position(payload, image, where))
            columns["lengths"].append(len(image))
            columns["labels"].append(label)
            for name in order_by:
                value = features.get(name)
                kind = bytes if isinstance(value, bytes) else int
                columns[name].append(feature(features, name, kind, where))
            found.append(digest_and_header(image, where))
            advance(end - last)
            last = end
    if len(columns["labels"]) != count:
        raise InputError(f"{path}: expected {count} records, received {len(columns['labels'])}")
    return {name: np.array(values) for name, values in columns.items()} | described(found)


def _position(payload: bytes, image: bytes, where: str) -> int:
    """The offset of the image in its record, which holds it as one contiguous part."""
    if not image:
        raise InputError(f"{where}: feature 'image': expected an encoded image, received 0 bytes")
    start = payload.find(image[:_HEAD])
    while payload[start : start + len(image)] != image:
        start = payload.find(image[:_HEAD], start + 1)
    return start
