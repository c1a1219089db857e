"""Estimates from arrays: brute force, the bytes of the pipeline, and input that cannot be used."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import tfmem
from tests.helpers.counts import brute_force
from tests.helpers.runs import aggregate, random_run, write_run
from tests.helpers.scores import aggregate as aggregate_scores
from tests.helpers.scores import by_loops, run_of_scores, values_in
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.scores import scores_to_bytes

COLUMNS = ["memorization", "stderr", "ci_low", "ci_high", "accuracy_in", "accuracy_out"]


def arrays(trials=9, train=5, test=4):
    rng = np.random.default_rng(trials)
    masks, correct = rng.random((2, trials, train)) < 0.6
    masks[:, 0], masks[:, 1] = True, False  # never held out, never included
    return masks, correct, rng.random((trials, test)) < 0.5


def in_unit(record):
    """The record with scores from 0 to 1, the errors of which are those of probabilities."""
    scores = {f"{split}_score": expit(record.scores(split) / 4) for split in ("train", "test")}
    return replace(record, **{name: scores_to_bytes(each) for name, each in scores.items()})


@pytest.fixture(scope="module", params=["correctness", "score", "probability"])
def pipeline(tmp_path_factory, request):
    """A run that Beam estimated, and the arrays of its trials."""
    folder = tmp_path_factory.mktemp("run")
    if request.param != "correctness":
        records, labels = run_of_scores(trials=20)
        if request.param == "probability":
            records = [in_unit(record) for record in records]
        write_run(folder, records, labels)
        aggregate_scores(folder)
        return tfmem.load_run(folder), labels, values_in(records, "score")
    records, labels = random_run(trials=70)
    write_run(folder, records, labels)
    aggregate(folder)
    bits = [
        np.array([unpack(getattr(r, name), getattr(r, count)) for r in records])
        for name, count in (
            ("subset_mask", "num_train"), ("train_correct", "num_train"),
            ("test_correct", "num_test"),
        )
    ]  # fmt: skip
    return tfmem.load_run(folder), labels, bits


@pytest.mark.parametrize("pairs", [1 << 22, 7])
def test_memorization_has_the_bytes_of_the_pipeline(pipeline, monkeypatch, pairs):
    run, _, (masks, correct, _) = pipeline
    monkeypatch.setattr("tfmem.exchange.in_memory._PAIRS", pairs)
    expected = run.memorization.drop(columns="label")
    expected.attrs.clear()
    pd.testing.assert_frame_equal(tfmem.memorization(masks, correct), expected, check_exact=True)
    forms = [np.ndarray.tolist, pd.DataFrame, lambda a: a.astype(np.float64)]
    forms += [lambda a: a.astype(np.int8)] if correct.dtype == bool else []
    for form in forms:
        again = tfmem.memorization(form(masks), form(correct))
        pd.testing.assert_frame_equal(again, expected, check_exact=True)


@pytest.mark.parametrize("pairs", [1 << 22, 7])
def test_influence_has_the_bytes_of_the_pipeline(pipeline, monkeypatch, pairs):
    run, labels, (masks, _, correct) = pipeline
    monkeypatch.setattr("tfmem.exchange.in_memory._PAIRS", pairs)
    every = tfmem.influence(masks, correct)
    known = labels.train_labels, labels.test_labels
    of_class = tfmem.influence(masks, correct, known[0], [str(label) for label in known[1]])
    same = known[0][:, None] == known[1]
    assert np.isnan(of_class.influence[~same]).all()
    for block in run.influence.values():
        place = np.ix_(block.train_index, block.test_index)
        for name, value in zip(("influence", "stderr", "ci_low", "ci_high"),
                               ("value", "stderr", "low", "high"), strict=True):  # fmt: skip
            expected = getattr(block.errors, value)
            np.testing.assert_array_equal(getattr(every, name)[place], expected)
            np.testing.assert_array_equal(getattr(of_class, name)[place], expected)
        np.testing.assert_array_equal(every.n_out[block.train_index], block.n_out)


def test_estimates_are_those_of_two_loops_over_trials():
    masks, correct, test = arrays()
    table, found = tfmem.memorization(masks, correct), tfmem.influence(masks, test)
    for i in range(5):
        expected = np.float32(brute_force(masks, correct, i, i))
        np.testing.assert_array_equal(table["memorization"][i], expected)
        for j in range(4):
            expected = brute_force(masks, test, i, j)
            np.testing.assert_allclose(found.influence[i, j], expected, atol=1e-12)
    assert table["n_in"][[0, 1]].tolist() == [9, 0]
    assert table.loc[:1, COLUMNS[:4]].isna().all().all()
    assert np.isnan(found.stderr[:2]).all()


def test_estimates_of_scores_are_those_of_loops_with_welch_intervals():
    rng = np.random.default_rng(5)
    masks, scores = rng.random((30, 4)) < 0.5, rng.standard_t(4, (30, 4)) * 10.0 ** np.arange(4)
    table, found = tfmem.memorization(masks, scores), tfmem.influence(masks, scores[:, :3])
    for i in range(4):
        expected = by_loops(masks[:, i], scores[:, i])
        np.testing.assert_allclose(table.loc[i, COLUMNS[:4]].astype(float), expected, rtol=1e-5)
        for j in range(3):
            each = (found.influence, found.stderr, found.ci_low, found.ci_high)
            expected = by_loops(masks[:, i], scores[:, j])
            np.testing.assert_allclose([part[i, j] for part in each], expected, rtol=1e-5)


def test_influence_of_more_pairs_than_fit_in_memory_comes_in_blocks(monkeypatch):
    monkeypatch.setattr("tfmem.exchange.in_memory._MOST", 0)
    monkeypatch.setattr("tfmem.exchange.in_memory._PAIRS", 100)
    masks = np.ones((2, 30), bool)
    masks[1, ::2] = False
    found = tfmem.influence(masks, masks)
    with pytest.raises(InputError, match=r"30 x 30 pairs .* blocks\(\) yields them"):
        _ = found.influence
    blocks = list(found.blocks())
    assert [block.train_index.tolist() for block in blocks[:2]] == [[0, 1, 2], [3, 4, 5]]
    np.testing.assert_array_equal(blocks[0].influence[0, :4], [1, 0, 1, 0])
    assert repr(found) == "Influence(30 training x 30 test examples, 2 trials)"


MASKS, CORRECT, TEST = arrays()


def changed(values, place, value, dtype=np.float64):
    other = values.astype(dtype)
    other[place] = value
    return other


@pytest.mark.parametrize(
    ("masks", "correct", "said"),
    [
        (MASKS[0], CORRECT, r"masks: expected numbers \[trials, num_train\], received bool \[5\]"),
        (MASKS[:1], CORRECT[:1], "masks: expected at least 2 trials, received 1"),
        (MASKS[:, :0], CORRECT[:, :0], "at least one training example"),
        (MASKS, CORRECT[:5], r"correct: expected \[9, 5\] for masks \[9, 5\], received \[5, 5\]"),
        (MASKS, CORRECT.T, r"correct: expected \[9, 5\] .* received \[5, 9\]: rows are trials"),
        (changed(MASKS, (3, 2), 2, int), CORRECT, "masks: trial 3, example 2: .*received 2"),
        (changed(MASKS, (3, 2), np.nan), CORRECT, "masks: trial 3, example 2: .*received nan"),
        (MASKS, changed(CORRECT, (8, 4), -1, int), "correct: trial 8, example 4: .*received -1"),
        (MASKS, changed(CORRECT, (8, 4), np.nan), "correct: trial 8, example 4: .*received nan"),
        (MASKS, changed(CORRECT, (1, 0), 1e39), r"trial 1, example 0: .* finite .*received 1e\+39"),
        (MASKS, CORRECT.astype(str), "correct: expected numbers .* received <U5"),
        ([[0, 1], [1]], CORRECT, "masks: expected an array .* rows differ in length"),
    ],
)
def test_what_cannot_be_used_gets_one_error(masks, correct, said):
    with pytest.raises(InputError, match=said):
        tfmem.memorization(masks, correct)


@pytest.mark.parametrize(
    ("test", "labels", "said"),
    [
        (TEST[:5], (None, None), r"correct_test: expected \[9, num_test\] .* received \[5, 4\]"),
        (TEST.T, (None, None), r"received \[4, 9\]: rows are trials"),
        (TEST, ([0] * 5, None), "test_labels: expected the classes of 4 examples, received none"),
        (TEST, ([0] * 4, [0] * 4), r"train_labels: expected \[5\], received \[4\]"),
        (TEST, ([*"abab", None], [*"abab"]), "train_labels: example 4: expected a class, .* None"),
        (TEST, ([0] * 5, [0, 0, 0, 0.5]), "test_labels: example 3: expected a class, .* 0.5"),
    ],
)
def test_test_examples_that_do_not_fit_get_one_error(test, labels, said):
    with pytest.raises(InputError, match=said):
        tfmem.influence(MASKS, test, *labels)
