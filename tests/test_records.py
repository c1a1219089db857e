import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.oracle import example_learner, random_records, record
from tfmem.messages.errors import InputError
from tfmem.store.bits import pack, unpack
from tfmem.store.labels import Labels
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import decode_example, encode_example, read_records, write_records
from tfmem.store.shards import read_shard, write_shard


def framed(payloads):
    file = io.BytesIO()
    write_records(file, payloads)
    return file.getvalue()


def numbered(payloads):
    return [(payload, f"x: record {number}") for number, payload in enumerate(payloads)]


def test_tensorflow_reads_what_is_written_and_the_other_way_round(tmp_path):
    import tensorflow as tf

    written = example_learner().records()
    path = tmp_path / "predictions-00000-of-00001.tfrecord"
    write_shard(path, written)
    form = {
        "trial_id": tf.io.FixedLenFeature([], tf.int64),
        "subset_mask": tf.io.FixedLenFeature([], tf.string),
        "test_correct": tf.io.FixedLenFeature([], tf.string),
    }
    for payload, expected in zip(tf.data.TFRecordDataset(str(path)), written, strict=True):
        parsed = tf.io.parse_single_example(payload, form)
        assert parsed["trial_id"] == expected.trial_id
        assert parsed["subset_mask"] == expected.subset_mask
        assert parsed["test_correct"] == expected.test_correct

    example = tf.train.Example()
    example.features.feature["f"].float_list.value.extend([1.5, np.nan])
    example.features.feature["i"].int64_list.value.append(-(2**63))
    example.features.feature["b"].bytes_list.value.append(b"\0\xff")
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        writer.write(example.SerializeToString())
    with open(tmp_path / "theirs", "rb") as file:
        ((payload, source),) = read_records(file, "theirs")
    assert source == "theirs: record 0"
    features = decode_example(payload, "theirs")
    np.testing.assert_array_equal(features["f"], np.float32([1.5, np.nan]))
    assert features["i"].tolist() == [-(2**63)]
    assert features["b"] == b"\0\xff"


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_damage_goes_unnoticed(data):
    payloads = data.draw(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
    whole = framed(payloads)
    assert list(read_records(io.BytesIO(whole), "x")) == numbered(payloads)
    if data.draw(st.booleans()):
        cut = data.draw(st.integers(0, len(whole) - 1))
        broken = whole[:cut]
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        change = data.draw(st.integers(1, 255))
        broken = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
    ends = np.cumsum([0, *(len(framed([p])) for p in payloads)]).tolist()
    if len(broken) < len(whole) and len(broken) in ends:
        assert list(read_records(io.BytesIO(broken), "x")) == numbered(
            payloads[: ends.index(len(broken))]
        )
        return
    with pytest.raises(InputError, match=r"x: record [0-9]: (truncated|corrupt)"):
        list(read_records(io.BytesIO(broken), "x"))


def test_a_forged_length_allocates_nothing():
    import struct

    from tfmem.store.records import _masked_crc

    for size, words in ((1 << 30, "truncated"), (1 << 31, "corrupt header"), (1 << 60, "corrupt")):
        length = struct.pack("<Q", size)
        with pytest.raises(InputError, match=f"record 0: {words}"):
            list(read_records(io.BytesIO(length + _masked_crc(length) + b"abc"), "x"))


@given(st.lists(st.booleans(), max_size=70))
def test_bits_round_trip(bits):
    assert unpack(pack(np.array(bits, bool)), len(bits)).tolist() == bits


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subset_mask": b"\0"}, "subset_mask: expected 2 bytes, received 1"),
        ({"test_correct": b"\xff"}, "test_correct: bits are set beyond its 4 examples"),
        ({"train_prob": b"\0\0"}, "train_prob: expected 20 bytes of float16, received 2"),
        ({"num_train": -1}, "num_train: expected at least 0, received -1"),
        ({"seed": b"x"}, "feature 'seed': expected int, received bytes"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(changes, words):
    good = record(0, np.ones(10, bool), np.ones(10, bool), np.ones(4, bool))
    assert TrialRecord.from_example(good.to_example(), "s") == good
    bad = TrialRecord(**{**vars(good), **changes})
    with pytest.raises(InputError) as error:
        TrialRecord.from_example(bad.to_example(), "shard: record 3")
    assert str(error.value) == f"shard: record 3: {words}"


def test_other_payloads_are_refused_by_name():
    with pytest.raises(InputError, match=r"s: not a tf\.train\.Example"):
        TrialRecord.from_example(b"\xff\xff\xff", "s")
    with pytest.raises(InputError, match=r"s: feature 'trial_id': expected int, received no such"):
        TrialRecord.from_example(encode_example({"a": 1}), "s")


def test_a_trial_without_test_examples_is_a_record():
    rng = np.random.default_rng(0)
    (made,) = random_records(rng, 1, 9, 0)
    assert TrialRecord.from_example(made.to_example(), "s") == made
    assert made.test_correct == b""


def test_labels_round_trip_and_are_never_unpickled():
    labels = example_learner().labels
    again = Labels.from_npz(labels.to_npz(), "labels.npz")
    np.testing.assert_array_equal(again.train_labels, labels.train_labels)
    assert (again.class_names, again.dataset_fingerprint) == (("a", "b", "c"), b"f" * 32)
    file = io.BytesIO()
    np.savez(file, train_labels=np.array([{}], object), test_labels=np.zeros(1, int))
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for contents in (file.getvalue(), array.getvalue(), b"no zip", b"", labels.to_npz()[:100]):
        with pytest.raises(InputError, match=r"^somewhere: "):
            Labels.from_npz(contents, "somewhere")


def test_no_flipped_byte_of_labels_is_a_surprise():
    """Each is refused, or is in a part of the archive that says nothing (dates, attributes)."""
    labels = example_learner().labels
    whole = labels.to_npz()
    refused = 0
    for place in range(0, len(whole), 5):
        broken = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        try:
            again = Labels.from_npz(broken, "somewhere")
        except InputError:
            refused += 1
        else:
            np.testing.assert_array_equal(again.train_labels, labels.train_labels)
    assert refused > len(whole) / 5 / 3


def test_a_shard_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "predictions-00000-of-00001.tfrecord"
    records = example_learner().records()

    def failing():
        yield records[0]
        raise OSError("disk full")

    with pytest.raises(OSError, match=r"disk full"):
        write_shard(path, failing())
    assert list(tmp_path.iterdir()) == []
    write_shard(path, records)
    assert list(read_shard(path)) == records
