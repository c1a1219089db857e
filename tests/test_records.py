import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.oracle import example_learner, random_records, record
from tfmem.messages.errors import InputError
from tfmem.store.bits import pack, unpack
from tfmem.store.labels import WITHOUT_CLASSES, Labels
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import decode_example, encode_example, read_records, write_records
from tfmem.store.scores import scores_to_bytes
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


def with_scores(made, train, test, name=b"negative squared error", **changes):
    values = {"train_score": scores_to_bytes(train), "test_score": scores_to_bytes(test)}
    return replace(made, **{**values, "score": name, **changes})


@pytest.mark.parametrize("tests", [0, 4])
@pytest.mark.parametrize("bits", [True, False])
def test_scores_round_trip_beside_bits_or_in_their_place(tests, bits):
    made = record(3, np.ones(10, bool), np.arange(10) < 4, np.ones(tests, bool))
    if not bits:
        made = replace(made, train_correct=b"", test_correct=b"")
    train, test = -np.geomspace(1e-30, 1e30, 10), np.linspace(-3, 5, tests)
    written = with_scores(made, train, test)
    read = TrialRecord.from_example(written.to_example(), "s")
    assert read == written
    assert (read.has_scores, read.has_correctness) == (True, bits)
    assert read.score_name == "negative squared error"
    np.testing.assert_array_equal(read.scores("train"), train.astype(np.float32))
    np.testing.assert_array_equal(read.scores("test"), test.astype(np.float32))
    assert read.only_bits() == made
    if bits:
        assert read.correctness("train", "s").tolist() == (np.arange(10) < 4).tolist()
        assert len(read.correctness("test", "s")) == tests
    else:
        with pytest.raises(InputError, match=r"shard: record 1: trial 3: .* only the score 'neg"):
            read.correctness("train", "shard: record 1")


HOSTILE_SCORES = [np.nan, np.inf, -np.inf, 1e39]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("value", HOSTILE_SCORES)
def test_a_score_that_is_no_number_is_refused_unless_the_trial_diverged(split, value):
    made = record(3, np.ones(10, bool), np.ones(10, bool), np.ones(10, bool))
    scores = {"train": np.zeros(10), "test": np.zeros(10)}
    scores[split][7] = value
    bad = with_scores(made, **scores)
    words = f"trial 3: {split}_score: example 7: expected a finite number, received {value}"
    with pytest.raises(InputError) as error:
        bad.to_example()
    assert str(error.value) == words.replace("1e+39", "inf")
    diverged = replace(bad, diverged=1)
    again = TrialRecord.from_example(diverged.to_example(), "s")
    assert again == diverged
    forged = {**decode_example(diverged.to_example(), "s"), "diverged": 0}
    with pytest.raises(InputError) as error:
        TrialRecord.from_example(encode_example(forged), "shard: record 2")
    assert str(error.value) == f"shard: record 2: {words}".replace("1e+39", "inf")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score": None}, "feature 'score': expected bytes, received no such feature"),
        ({"score": b""}, "trial 3: score: expected the name of a score, .* received ''"),
        ({"score": b"a\nb"}, "trial 3: score: expected the name of a score, .* received 'a.*nb'"),
        ({"score": b"x" * 101}, "trial 3: score: expected the name of a score"),
        ({"score": b"\xff"}, "trial 3: score: expected the name of a score"),
        ({"test_score": None}, "feature 'test_score': expected bytes, received no such feature"),
        ({"train_score": None}, "feature 'train_score': expected bytes, received no such feature"),
        ({"train_score": b"123"}, "train_score: expected 40 bytes of float32, received 3"),
        ({"train_correct": None}, "feature 'train_correct': expected bytes, received no such"),
        ({"test_correct": None}, "feature 'test_correct': expected bytes, received no such"),
    ],
)
def test_scores_that_do_not_fit_are_refused(changes, words):
    made = record(3, np.ones(10, bool), np.ones(10, bool), np.ones(4, bool))
    good = decode_example(with_scores(made, np.zeros(10), np.zeros(4)).to_example(), "s")
    bad = {name: value for name, value in (good | changes).items() if value is not None}
    with pytest.raises(InputError, match=f"^shard: record 3: {words}"):
        TrialRecord.from_example(encode_example(bad), "shard: record 3")


def test_labels_of_a_task_without_classes_keep_ids_and_targets():
    targets = np.arange(12.0).reshape(4, 3)
    made = Labels(
        np.zeros(4, np.int64), np.zeros(2, np.int64), WITHOUT_CLASSES, b"f", has_classes=False,
        train_ids=np.array(["a", "patient 7", "ä", ""]), test_ids=np.array(["x", "y"]),
        train_targets=targets, test_targets=np.array([0.5, -1]),
    )  # fmt: skip
    again = Labels.from_npz(made.to_npz(), "labels.npz")
    for name, value in vars(made).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert again.pairs_in_class() == 8
    plain = example_learner().labels
    again = Labels.from_npz(plain.to_npz(), "labels.npz")
    assert (again.has_classes, again.train_ids, again.test_targets) == (True, None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_ids": np.array(["a"])}, r"train_ids: expected .* \[8\], received <U1 \[1\]"),
        ({"test_targets": np.zeros(4)}, r"test_targets: expected floats \[5\] or .* \[4\]"),
        ({"test_targets": np.zeros((5, 1, 1))}, "test_targets: expected floats"),
        ({"has_classes": False}, "has_classes is False: expected one of class_names, received 3"),
    ],
)
def test_labels_that_do_not_fit_are_refused(changes, words):
    bad = replace(example_learner().labels, **changes)
    with pytest.raises(InputError, match=f"^labels.npz: {words}"):
        Labels.from_npz(bad.to_npz(), "labels.npz")


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
    """Each is refused, or is in a part of the archive without meaning (dates, attributes)."""
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
