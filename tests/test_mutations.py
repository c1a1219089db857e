"""A thousand damaged shards are refused, by file and record, without large allocations."""

import io
import random
import struct
import tracemalloc

import numpy as np
import pytest

from tests.helpers.oracle import FINGERPRINT, random_records
from tfmem.aggregation.reading import _ReadShard
from tfmem.messages.errors import InputError
from tfmem.store.labels import Labels
from tfmem.store.records import _masked_crc, decode_example, encode_example, write_records

TRAIN, TEST, RECORDS = 203, 61, 4
HOSTILE = (2**62, 2**63 - 1, 2**48, 2**31, 2**20, -1, -(2**63))
MEMORY = 17 << 20  # bytes that one damaged shard may take: a read asks for 16 MB at most


def frame(payload):
    file = io.BytesIO()
    write_records(file, [payload])
    return file.getvalue()


def cut(rng, records, whole):
    ends = {len(b"".join(whole[:count])) for count in range(RECORDS + 1)}
    joined = b"".join(whole)
    places = [place for place in range(len(joined)) if place not in ends]
    return joined[: rng.choice(places)]


def flip(rng, records, whole):
    joined = bytearray(b"".join(whole))
    for _ in range(rng.choice((1, 1, 2, 20))):
        joined[rng.randrange(len(joined))] ^= rng.randrange(1, 256)
    return bytes(joined)


def forge_length(rng, records, whole):
    number = rng.randrange(RECORDS)
    length = rng.choice([*(n for n in HOSTILE if n > 0), 2**64 - 1, 2**64 - 4, 2**34, 2**24])
    head = struct.pack("<Q", length)
    forged = head + _masked_crc(head) + whole[number][12:]
    return b"".join([*whole[:number], forged, *whole[number + 1 :]])


def swap_features(rng, records, whole, **changes):
    """Replaces features of a record, in a frame with correct checksums; None removes one."""
    number = rng.randrange(RECORDS)
    features = decode_example(records[number].to_example(), "")
    features.update(changes)
    kept = {name: value for name, value in features.items() if value is not None}
    return b"".join([*whole[:number], frame(encode_example(kept)), *whole[number + 1 :]])


def forge_number(rng, records, whole):
    name = rng.choice(("num_train", "num_test"))
    return swap_features(rng, records, whole, **{name: np.array([rng.choice(HOSTILE)])})


def other_length(rng, records, whole):
    name = rng.choice(("subset_mask", "train_correct", "test_correct", "train_prob", "test_margin"))
    length = rng.choice([n for n in range(90) if n not in (-(-TRAIN // 8), -(-TEST // 8))])
    return swap_features(rng, records, whole, **{name: rng.randbytes(length)})


def other_data(rng, records, whole):
    length = rng.choice((0, 1, 31, 32, 33))
    return swap_features(rng, records, whole, dataset_fingerprint=rng.randbytes(length))


def other_kind(rng, records, whole):
    name = rng.choice(("trial_id", "seed", "num_train", "subset_mask", "test_correct",
                       "dataset_fingerprint", "config_digest"))  # fmt: skip
    value = rng.choice((None, np.zeros(0, int), np.zeros(2, int), np.zeros(1), np.zeros(300, int)))
    return swap_features(rng, records, whole, **{name: value})


def no_example(rng, records, whole):
    number = rng.randrange(RECORDS)
    payload = b"\xff" + rng.randbytes(rng.randrange(80))
    return b"".join([*whole[:number], frame(payload), *whole[number + 1 :]])


MUTATIONS = (
    cut,
    flip,
    forge_length,
    forge_number,
    other_length,
    other_data,
    other_kind,
    no_example,
)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mutations")
    labels = Labels(np.zeros(TRAIN, int), np.zeros(TEST, int), ("a",), FINGERPRINT)
    (folder / "labels.npz").write_bytes(labels.to_npz())
    reader = _ReadShard(str(folder / "labels.npz"), identified=False)
    reader.setup()
    return reader, folder


def test_a_thousand_damaged_shards_are_each_refused_by_file_and_record(reader):
    reader, folder = reader
    rng = random.Random(20)
    records = random_records(np.random.default_rng(20), RECORDS, TRAIN, TEST)
    whole = [frame(record.to_example()) for record in records]
    path = folder / "predictions-00000-of-00001.tfrecord"
    path.write_bytes(b"".join(whole))
    assert [record for record, _ in reader.process(str(path))] == records
    tracemalloc.start()
    for number in range(1000):
        mutate = MUTATIONS[number % len(MUTATIONS)]
        path.write_bytes(mutate(rng, records, whole))
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises(InputError) as error:
            list(reader.process(str(path)))
        peak = tracemalloc.get_traced_memory()[1] - before
        message = str(error.value)
        assert message.startswith(f"{path}: record "), (number, mutate, message)
        assert message.split(": record ")[1][0] in "0123", (number, mutate, message)
        assert "\n" not in message
        assert peak < MEMORY, (number, mutate, peak)
    tracemalloc.stop()


def test_no_payload_is_a_surprise(reader):
    """Flipped bits in frames with correct checksums are refused, or give another valid record."""
    reader, folder = reader
    rng = random.Random(21)
    (record,) = random_records(np.random.default_rng(21), 1, TRAIN, TEST)
    path = folder / "predictions-00000-of-00001.tfrecord"
    payload = record.to_example()
    refused, read = [], []
    for _ in range(600):
        broken = bytearray(payload)
        for _ in range(rng.choice((1, 2, 5))):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path.write_bytes(frame(bytes(broken)))
        try:
            read += [record for record, _ in reader.process(str(path))]
        except InputError as error:
            refused.append(str(error))
    assert all(message.startswith(f"{path}: record 0: ") for message in refused)
    assert {(len(record.subset_mask), len(record.test_correct)) for record in read} == {(26, 8)}
    assert min(len(read), len(refused)) > 30
