"""Tables decode to the same by columns and record by record."""

import numpy as np
import pytest

from tfmem.messages.errors import InputError
from tfmem.store.records import decode_example, encode_example
from tfmem.store.tables import decode_rows, encode_rows

KINDS = {"index": np.int64, "label": np.int64, "value": np.float32}


def table(rows=300):
    rng = np.random.default_rng(0)
    sizes = np.array([1, 1 << 7, 1 << 14, 1 << 40, -1])
    return {"index": np.arange(rows) * 7, "label": sizes[rng.integers(0, 5, rows)],
            "value": rng.normal(size=rows), "other": np.arange(rows)}  # fmt: skip


def named(payloads):
    return [(payload, f"file: record {number}") for number, payload in enumerate(payloads)]


def foreign(payload):
    """Serializes the example as another program would: features in another order."""
    features = decode_example(payload, "x")
    head = payload[: len(payload) - sum(len(body(name, features[name])) for name in features)]
    return head + b"".join(body(name, features[name]) for name in sorted(features, reverse=True))


def body(name, value):
    """Serializes the entry of one feature."""
    return encode_example({name: value})[2:]


def test_columns_are_those_of_record_by_record_whoever_wrote_them():
    columns = table()
    payloads = encode_rows(columns)
    payloads[5::9] = [foreign(payload) for payload in payloads[5::9]]
    assert payloads[5] != encode_rows(columns)[5]
    found = decode_rows(named(payloads), KINDS)
    for name, kind in KINDS.items():
        expected = [decode_example(payload, "x")[name][0] for payload in payloads]
        np.testing.assert_array_equal(found[name], np.array(expected, kind))
        np.testing.assert_array_equal(found[name], columns[name].astype(kind))
    assert {name: len(values) for name, values in decode_rows([], KINDS).items()} == dict.fromkeys(
        KINDS, 0
    )


@pytest.mark.parametrize(("damaged", "words"), [
    (lambda payload: payload.replace(b"label", b"lapel"), "feature 'label': expected one number"),
    (lambda payload: b"\xff" * len(payload), "not a tf.train.Example"),
    (lambda payload: encode_example({"index": 1, "label": np.array([1, 2]), "value": 0.5}),
     "feature 'label': expected one number"),
])  # fmt: skip
def test_a_record_that_does_not_fit_is_named(damaged, words):
    payloads = encode_rows(table())
    payloads[200] = damaged(payloads[200])
    with pytest.raises(InputError, match=f"file: record 200: {words}"):
        decode_rows(named(payloads), KINDS)
