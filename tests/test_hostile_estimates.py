"""Damaged and hostile estimates lead to one error that names the file."""

import re
import shutil

import numpy as np
import pytest

from tests.helpers.runs import KINDS, aggregate, random_run, write_run
from tfmem.experiments.run import load_run
from tfmem.messages.errors import InputError
from tfmem.store.manifests import MANIFEST_NAME
from tfmem.store.records import (
    decode_example,
    encode_example,
    read_records,
    shard_name,
    write_records,
)

FOLDERS = {"memorization": "memorization", "influence": "influence", "pairs": "pairs",
           "selection": "pairs"}  # fmt: skip


ignored = shutil.ignore_patterns("mixed-*")


@pytest.fixture(scope="module")
def estimated(tmp_path_factory):
    """Estimates without manifests, which would reveal changes; and the records of each kind."""
    folder = tmp_path_factory.mktemp("estimates")
    write_run(folder, *random_run())
    aggregate(folder)
    for kind in KINDS:
        (folder / kind / MANIFEST_NAME).unlink()
    records = {}
    for kind in FOLDERS:
        with open(path_of(folder, kind), "rb") as file:
            records[kind] = [decode_example(*record) for record in read_records(file, kind)]
    read_all(folder)
    return folder, records


def path_of(folder, kind):
    return folder / FOLDERS[kind] / shard_name(kind, 0, 1)


def read_all(folder):
    run = load_run(folder)
    blocks = run.influence.values()
    return (run.memorization, run.statistic, run.pairs, run.selection, run.pair_statistics,
            [(block.errors, block.test_accuracy) for block in blocks])  # fmt: skip


def read_with(estimated, kind, changed):
    """Reads estimates after replacing the records of one file; returns the error's text."""
    folder = estimated[0]
    path, said = path_of(folder, kind), None
    before = path.read_bytes()
    try:
        with open(path, "wb") as file:
            write_records(file, map(encode_example, changed))
        read_all(folder)
    except InputError as error:
        said = str(error)
    finally:
        path.write_bytes(before)
    assert said is None or (str(folder) in said and "\n" not in said)
    return said


def put(**values):
    """Puts values into record 1, or into the only record."""

    def change(records):
        place = min(1, len(records) - 1)
        return [{**r, **values} if n == place else r for n, r in enumerate(records)]

    return change


def pick(**values):
    """Puts a value into the first place of a list in record 0."""

    def change(records):
        first = dict(records[0])
        for name, value in values.items():
            first[name] = first[name].copy()
            first[name][0] = value
        return [first, *records[1:]]

    return change


@pytest.mark.parametrize(("kind", "change", "said"), [
    ("memorization", put(index=-1), "record 1: index: expected at least 0, received -1"),
    ("memorization", put(index=40), "no record of training example 1, but of 40"),
    ("memorization", put(label=-1), "record 1: label: expected at least 0"),
    ("memorization", put(label=9), "other data .* training example 1 has label 1, received 9"),
    ("memorization", put(memorization=5.0), "record 1: memorization: expected -1 to 1 or NaN"),
    ("memorization", put(memorization=0.5), r"expected accuracy_in - accuracy_out"),
    ("memorization", put(n_in=-5), "record 1: n_in: expected at least 0, received -5"),
    ("memorization", put(n_in=7), r"record 1: n_in \+ n_out: expected 130 trials"),
    ("memorization", put(accuracy_in=1.5), "record 1: accuracy_in: expected 0 to 1"),
    ("memorization", lambda r: [*r, r[3]], "record 40: index 3 is also in .*record 3"),
    ("memorization", lambda r: r[:-1], "other data .* 40 training examples, received 39"),
    ("memorization", lambda r: [], "received empty files"),
    ("pairs", put(train_index=-1), "record 1: train_index: expected at least 0"),
    ("pairs", put(train_index=40), "expected training examples 0 to 39, received 40"),
    ("pairs", put(test_index=25), "pair .*: label or memorization is not as in"),
    ("pairs", put(label=-1), "record 1: label: expected at least 0"),
    ("pairs", put(test_label=4), "pair .*: label or memorization is not as in"),
    ("pairs", put(memorization=0.9), "they are of different estimations"),
    ("pairs", put(influence=-2.0), "record 1: influence: expected -1 to 1"),
    ("pairs", put(q_value=1.5), "record 1: q_value: expected 0 to 1"),
    ("pairs", lambda r: [*r, r[0]], "is also in .*record 0"),
    ("pairs", lambda r: r[:-1], "expected 2 pairs as its selection record says, received 1"),
    ("selection", lambda r: [], "expected one selection record, received 0"),
    ("selection", lambda r: r + r, "expected one selection record, received 2"),
    ("selection", put(pairs=-1), "record 0: pairs: expected at least 0"),
    ("selection", put(tested=1), "record 0: tested: expected at least 2"),
    ("influence", put(label=0), "is also in|expected all examples of its class"),
    ("influence", put(label=-1), "record 1: label: expected a class number"),
    ("influence", put(num_trials=3), "expected 0 to 3 trials"),
    ("influence", pick(num_in=-5), "record 0: num_in: expected 0 to 130 trials"),
    ("influence", pick(num_in=90), "no more than|they are of different estimations"),
    ("influence", pick(train_correct=131), "no more than there are trials"),
    ("influence", pick(train_correct_in=131), "no more than there are trials with the example"),
    ("influence", pick(test_correct=131), "no more than there are trials"),
    ("influence", pick(train_index=-1), "record 0: train_index: expected numbers of examples"),
    ("influence", pick(test_index=2**40), "test_index: expected all examples of its class"),
    ("influence", put(num_in=np.zeros(9)), "num_in: expected .* integers, received 9 float32"),
    ("memorization", put(label=1.5), "feature 'label': expected an integer, received 1.5"),
    ("influence", put(influence=b""), "influence: expected .* bytes"),
    ("influence", lambda r: [*r, r[0]], "class 0 is also in .*record 0"),
    ("influence", lambda r: r[:-1], "no record of class 3"),
    ("influence", lambda r: [], "no record of class 0"),
])  # fmt: skip
def test_what_cannot_be_is_refused(estimated, kind, change, said):
    message = read_with(estimated, kind, change(estimated[1][kind]))
    assert message is not None
    assert re.search(said, message), message


def test_repeated_examples_of_a_block_are_refused(estimated):
    (first, *others) = estimated[1]["influence"]
    index = first["test_index"].copy()
    index[1] = index[0]
    said = read_with(estimated, "influence", [{**first, "test_index": index}, *others])
    assert "record 0: test_index: expected each example once" in said


def test_estimates_of_other_predictions_are_not_taken_for_those_of_these(estimated, tmp_path):
    """Estimates put beside each other by hand are told apart, by manifests and without."""
    write_run(tmp_path, *random_run(trials=129))
    aggregate(tmp_path)
    for kind in KINDS:
        mixed = shutil.copytree(tmp_path, tmp_path / f"mixed-{kind}", ignore=ignored)
        shutil.rmtree(mixed / kind)
        shutil.copytree(estimated[0] / kind, mixed / kind)
        with pytest.raises(InputError, match="of different estimations"):
            read_all(mixed)
    manifest = tmp_path / "pairs" / MANIFEST_NAME
    manifest.write_text(re.sub('"predictions": "..', '"predictions": "xx', manifest.read_text()))
    with pytest.raises(InputError, match=r"made from predictions xx.* of different estimations"):
        read_all(tmp_path)


def test_another_class_is_an_error_that_says_which_there_are(estimated):
    with pytest.raises(InputError, match="no influence of class 42: there are 0, 1, 2, 3"):
        load_run(estimated[0]).influence[42]
