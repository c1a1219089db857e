"""Margins, the form in which records hold how sure models are, and their probabilities."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logsumexp

from tests.helpers.oracle import example_learner
from tfmem.messages.errors import InputError
from tfmem.store.confidence import Confidence, from_bytes, to_bytes
from tfmem.tasks.classes import LOGITS

LARGEST = 65504.0


def read_predictions(logits, labels):
    found = LOGITS.in_program(labels, labels, logits)
    return found["correct"], found["margin"]


def probabilities_of(margins):
    return from_bytes(to_bytes(np.asarray(margins)), True, "here").probabilities()[0]


def test_margins_are_exact_where_probabilities_are_1():
    """Compared with float64, for logits that leave as little as 1e-40 for the other classes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 30, (500, 7)).astype(np.float32)
    labels = rng.integers(7, size=500).astype(np.int32)
    correct, margin = (x.numpy() for x in read_predictions(tf.constant(logits), labels))
    own = np.arange(7) == labels[:, None]
    expected = logits[own] - logsumexp(np.where(own, -np.inf, logits.astype(float)), axis=1)
    assert margin.dtype == np.float32
    np.testing.assert_allclose(margin, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(correct, logits.argmax(axis=1) == labels)
    assert (margin[~correct] < 0).all()
    assert margin.max() > 60


def test_margins_saturate_and_nan_stays():
    _, margin = read_predictions(tf.constant([[3.0]]), tf.constant([0]))  # of one class
    assert np.isposinf(margin.numpy()).all()
    _, lost = read_predictions(tf.constant([[np.nan, 1.0]]), tf.constant([1]))
    kept = np.frombuffer(to_bytes(np.array([*margin, -np.inf, 1e6, 65519.0, *lost])), "<f2")
    assert kept[:4].tolist() == [LARGEST, -LARGEST, LARGEST, LARGEST]
    assert np.isnan(kept[4])


def test_probabilities_follow_from_margins_to_the_last_bit_of_their_sums():
    """Every fifth float16 is compared with 30 digits, so all machines give the same."""
    margins = np.arange(0, 1 << 16, 5, dtype=np.uint16).view(np.float16)
    margins = margins[np.abs(margins) < 30]
    found = probabilities_of(margins)
    with localcontext(prec=30):
        expected = [2**32 / (1 + (-Decimal(float(m))).exp()) for m in margins]
        assert (found * 2**32).tolist() == [float(x.to_integral_value()) for x in expected]


def test_16_bits_of_a_margin_tell_more_than_16_bits_of_a_probability():
    """The error is at most 2^-11 of the margin times p (1 - p), that is 1.1e-4."""
    margins = np.random.default_rng(0).normal(0, 8, 100_000)
    p = expit(margins)
    error = np.abs(probabilities_of(margins) - p)
    assert (error <= 1.01 * p * (1 - p) * np.abs(margins) * 2**-11 + 2**-33).all()
    assert error.max() < 1.1e-4
    sure = (p > 1 - 2e-4) & (p < 1 - 2e-5)
    assert (p[sure].astype(np.float16) == 1).all()
    assert (error[sure] < 0.01 * (1 - p[sure])).all()


def test_trials_of_both_kinds_stand_side_by_side():
    margins, p = np.array([[-2, 0, 30]], np.float16), np.array([[0.25, 0, 1]], np.float16)
    both = Confidence.of(
        [from_bytes(x.tobytes(), kind, "") for x, kind in ((margins, True), (p, False))]
    )
    expected = np.array([expit([-2, 0, 30]), [0.25, 0, 1]])
    np.testing.assert_allclose(both.probabilities(), expected, atol=2**-33)
    some = both.trials(np.array([1])).examples(np.array([0, 2]))
    assert some.probabilities().tolist() == [[0.25, 1]]


def test_a_record_says_how_sure_its_model_is_once():
    record, *_ = example_learner().records()
    assert record.confidence("train", "x") is None
    with pytest.raises(InputError, match="x: train_margin: expected margins, received nan"):
        from_bytes(np.full(3, np.nan, "<f2").tobytes(), True, "x: train_margin")
