"""Reads and writes TFRecord files of `tf.train.Example` without TensorFlow.

Beam workers read and write these files; importing TensorFlow would cost each process seconds. The
message has the public schema of `tensorflow/core/example/example.proto`. It is declared here under
a name of its own, because a process may also load TensorFlow's. The framing is that of the TFRecord
documentation: length, masked CRC-32C of the length, payload, masked CRC-32C of the payload.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tfmem.messages.errors import InputError

_CHUNK = 1 << 24  # bytes to read at once, so that a forged length allocates no more
_LONGEST = (1 << 31) - 1  # most bytes of a protocol buffer


def _declare_example() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tfmem/example.proto", package="tfmem", syntax="proto3"
    )

    def message(name: str, *fields: dict[str, Any]) -> Any:
        declared = file.message_type.add(name=name)
        for number, options in enumerate(fields, start=1):
            declared.field.add(number=number, **{"label": field.LABEL_OPTIONAL, **options})
        return declared

    def one_of(name: str, type_name: str) -> dict[str, Any]:
        return {"name": name, "type": field.TYPE_MESSAGE, "type_name": type_name, "oneof_index": 0}

    repeated = field.LABEL_REPEATED
    message("BytesList", {"name": "value", "type": field.TYPE_BYTES, "label": repeated})
    message("FloatList", {"name": "value", "type": field.TYPE_FLOAT, "label": repeated})
    message("Int64List", {"name": "value", "type": field.TYPE_INT64, "label": repeated})
    message(
        "Feature",
        one_of("bytes_list", ".tfmem.BytesList"),
        one_of("float_list", ".tfmem.FloatList"),
        one_of("int64_list", ".tfmem.Int64List"),
    ).oneof_decl.add(name="kind")
    entry = ".tfmem.Features.FeatureEntry"
    features = message(
        "Features",
        {"name": "feature", "type": field.TYPE_MESSAGE, "type_name": entry, "label": repeated},
    )
    nested = features.nested_type.add(name="FeatureEntry")
    nested.options.map_entry = True
    nested.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    nested.field.add(
        name="value",
        number=2,
        type=field.TYPE_MESSAGE,
        type_name=".tfmem.Feature",
        label=field.LABEL_OPTIONAL,
    )
    message(
        "Example", {"name": "features", "type": field.TYPE_MESSAGE, "type_name": ".tfmem.Features"}
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tfmem.Example"))


_Example = _declare_example()


def encode_example(
    features: Mapping[str, bytes | list[bytes] | int | float | np.ndarray],
) -> bytes:
    """Serializes one `tf.train.Example`; equal features give equal bytes.

    Args:
      features: `bytes` become a bytes list of length one, lists of `bytes` a longer one; integers
        and floats (Python's or numpy's, single or one-dimensional) become int64 and float32 lists.
    """
    example = _Example()
    slots = example.features.feature
    for name, value in features.items():
        if isinstance(value, bytes | list):
            slots[name].bytes_list.value.extend([value] if isinstance(value, bytes) else value)
            slots[name].bytes_list.SetInParent()
            continue
        values = np.atleast_1d(value)
        if values.dtype.kind in "iub":
            numbers = slots[name].int64_list
            numbers.value.extend(values.tolist())
        else:
            numbers = slots[name].float_list
            numbers.value.extend(values.astype(np.float32).tolist())
        numbers.SetInParent()  # so that an empty list is written too, with its kind
    return example.SerializeToString(deterministic=True)


def decode_example(payload: bytes, source: str) -> dict[str, Any]:
    """Reads one `tf.train.Example` into `bytes`, lists of `bytes`, int64 and float32 arrays.

    A bytes list of length one is returned as `bytes`.

    Raises:
      InputError: naming `source`, if the payload is no `tf.train.Example`.
    """
    try:
        example = _Example.FromString(payload)
    except DecodeError:
        raise InputError(f"{source}: not a tf.train.Example ({len(payload)} bytes)") from None
    features: dict[str, Any] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind == "int64_list":
            features[name] = np.array(feature.int64_list.value, np.int64)
        elif kind == "float_list":
            features[name] = np.array(feature.float_list.value, np.float32)
        elif kind == "bytes_list":
            values = feature.bytes_list.value
            features[name] = values[0] if len(values) == 1 else list(values)
    return features


def feature(features: Mapping[str, Any], name: str, kind: type, source: str) -> Any:
    """Returns a feature, after checking that it exists and has the given kind.

    Args:
      features: as `decode_example` returns them.
      name: the name of the feature.
      kind: `bytes`, `int` or `float` (a single value), or `np.ndarray` (a list of numbers).
      source: file and record, for the message.

    Raises:
      InputError: if the feature is missing or of another kind.
    """
    value = features.get(name)
    if kind in (int, float) and isinstance(value, np.ndarray) and value.shape == (1,):
        value = value[0].item()
    if not isinstance(value, kind):
        found = "no such feature" if value is None else type(value).__name__
        raise InputError(f"{source}: feature {name!r}: expected {kind.__name__}, received {found}")
    return value


def shard_name(kind: str, shard: int, shards: int) -> str:
    """Returns the name `KIND-SSSSS-of-NNNNN.tfrecord` of a shard."""
    return f"{kind}-{shard:05d}-of-{shards:05d}.tfrecord"


def parse_shard_name(name: str) -> tuple[str, int, int] | None:
    """Parses what `shard_name` returns: kind, shard and number of shards; None for other names."""
    match = re.fullmatch(r"(\w+)-(\d{5,})-of-(\d{5,})\.tfrecord", name)
    return (match[1], int(match[2]), int(match[3])) if match else None


def framed_size(payload: bytes) -> int:
    """The number of bytes that a payload takes in a TFRecord file."""
    return len(payload) + 16


def write_records(file: BinaryIO, payloads: Iterable[bytes]) -> int:
    """Writes payloads with TFRecord framing; returns their number."""
    count = 0
    heads: dict[int, bytes] = {}  # many records have the same length
    for payload in payloads:
        size = len(payload)
        if size not in heads:
            length = struct.pack("<Q", size)
            heads[size] = length + _masked_crc(length)
        file.write(b"".join((heads[size], payload, _masked_crc(payload))))
        count += 1
    return count


def read_records(file: BinaryIO, name: str) -> Iterator[tuple[bytes, str]]:
    """Yields the payloads of a TFRecord file, each with a name that holds the file and its number.

    Args:
      file: open for reading, at the start of a record.
      name: what the file is called in error messages.

    Raises:
      InputError: naming file and record, if a record is cut short or a checksum does not fit. (A
        file that was cut between two records is not detected: the framing holds no number of
        records.)
    """
    record = 0
    while head := file.read(12):
        where = f"{name}: record {record}"
        if len(head) < 12:
            raise InputError(f"{where}: truncated in its header ({len(head)} of 12 bytes)")
        if head[8:] != _masked_crc(head[:8]):
            raise InputError(f"{where}: corrupt header (the checksum of the length does not fit)")
        (length,) = struct.unpack("<Q", head[:8])
        if length > _LONGEST:
            raise InputError(f"{where}: corrupt header (a record has no {length} bytes)")
        body = _read(file, length + 4)
        if len(body) < length + 4:
            raise InputError(
                f"{where}: truncated (expected {length + 4} more bytes, received {len(body)})"
            )
        payload = body[:-4]
        if body[-4:] != _masked_crc(payload):
            raise InputError(f"{where}: corrupt (the checksum of its {length} bytes does not fit)")
        yield payload, where
        record += 1


def _read(file: BinaryIO, size: int) -> bytes:
    chunks, missing = [], size
    while missing and (chunk := file.read(min(missing, _CHUNK))):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def _masked_crc(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
