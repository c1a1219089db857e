"""What tasks score examples by: each score against its formula, in float64 by numpy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from tfmem.config import TaskSettings
from tfmem.datasets import Dataset
from tfmem.messages.errors import InputError
from tfmem.store.labels import WITHOUT_CLASSES
from tfmem.tasks.choosing import Targets, make_task
from tfmem.tasks.given import GivenTask
from tfmem.training.scoring import task_for

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (20, 5)).astype(np.float32)
LABELS = RNG.integers(0, 5, 20)
NONE = np.zeros(20, np.int32)


def scores(task, labels, targets, outputs):
    found = task.in_program(labels.astype(np.int32), targets, outputs)
    return task.on_host(targets, {name: np.asarray(values) for name, values in found.items()})


def of(name, score, shape, dtype=None, classes=0, outputs="logits", **more):
    targets = Targets(classes, shape[:-1] if name == "sequence" else shape, dtype)
    return make_task(TaskSettings(name=name, score=score, **more), targets, shape, outputs)


@pytest.mark.parametrize("score", ["correct", "probability", "margin", "loss"])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_scores_of_classes(score, outputs):
    p = softmax(LOGITS.astype(np.float64), axis=1)[np.arange(20), LABELS]
    given = LOGITS if outputs == "logits" else softmax(LOGITS, axis=1)
    found = scores(of("classes", score, (5,), classes=5, outputs=outputs), LABELS, LABELS, given)
    assert (found.correct == (LOGITS.argmax(axis=1) == LABELS)).all()
    np.testing.assert_allclose(found.margin, np.log(p / (1 - p)), rtol=1e-4, atol=1e-4)
    expected = {"probability": p, "margin": np.log(p / (1 - p)), "loss": np.log(p)}.get(score)
    if expected is None:
        assert (found.score, found.name) == (None, "")
    else:
        assert found.name == score
        np.testing.assert_allclose(found.score, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
@pytest.mark.parametrize("shape", [(1,), ()])
def test_one_output_is_of_class_1(outputs, shape):
    logits, labels = LOGITS[:, 0], LABELS % 2
    given = (logits if outputs == "logits" else expit(logits)).reshape(20, *shape)
    found = scores(of("binary", None, shape, classes=2, outputs=outputs), labels, labels, given)
    p = np.where(labels == 1, expit(logits.astype(np.float64)), expit(-logits.astype(np.float64)))
    assert (found.correct == (p > 0.5)).all()
    np.testing.assert_allclose(found.margin, np.log(p / (1 - p)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("score", ["exact_match", "mean"])
def test_several_labels_match_all_or_in_the_mean(score):
    labels = (RNG.random((20, 5)) < expit(LOGITS)).astype(np.uint8)
    found = scores(of("multi_label", score, (5,), np.dtype(np.uint8)), NONE, labels, LOGITS)
    right = (LOGITS > 0) == labels
    assert 0 < right.all(axis=1).sum() < 20
    assert (found.correct == right.all(axis=1)).all()
    if score == "mean":
        np.testing.assert_allclose(found.score, right.mean(axis=1), rtol=1e-6)
    else:
        assert found.score is None


@pytest.mark.parametrize("padding", [None, 0, -100])
@pytest.mark.parametrize("score", ["accuracy", "loss"])
def test_sequences_are_scored_by_what_is_no_padding(score, padding):
    logits = RNG.normal(0, 2, (6, 7, 5)).astype(np.float32)
    targets = RNG.integers(0, 5, (6, 7))
    counts = np.ones((6, 7), bool)
    if padding is not None:
        counts = np.arange(7) < np.array([7, 5, 3, 1, 0, 6])[:, None]
        targets[~counts] = padding
        counts = targets != padding
    task = of("sequence", score, (7, 5), np.dtype(np.int64), padding=padding)
    found = scores(task, NONE[:6], targets, logits)
    logs = log_softmax(logits.astype(np.float64), axis=-1)
    own = np.where(counts, targets, 0)[..., None]
    each = {
        "accuracy": logits.argmax(axis=-1) == targets,
        "loss": np.take_along_axis(logs, own, axis=-1)[..., 0],
    }[score]
    expected = [
        row[known].mean() if known.any() else 0 for row, known in zip(each, counts, strict=True)
    ]
    np.testing.assert_allclose(found.score, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("score", "power"), [("squared_error", 2), ("absolute_error", 1)])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_errors_of_numbers_are_negative_and_averaged(score, power, shape):
    targets = RNG.normal(0, 100, (20, *shape)).astype(np.float32)
    outputs = targets.reshape(20, -1) + RNG.normal(size=(20, targets[0].size)).astype(np.float32)
    found = scores(of("regression", score, shape, np.dtype(np.float32)), NONE, targets, outputs)
    away = np.abs(outputs.astype(np.float64) - targets.reshape(20, -1)) ** power
    np.testing.assert_allclose(found.score, -away.mean(axis=1), rtol=1e-5)


def test_a_score_of_the_users_may_be_a_truth_value_and_has_one_value_for_each_example():
    task = GivenTask("mine:near", lambda true, said: np.abs(said[:, 0] - true) < 1)
    targets = np.arange(20.0)
    found = scores(task, NONE, targets, (targets + 0.6 * np.arange(20) / 9)[:, None])
    assert found.score.dtype == np.float32
    assert found.score.tolist() == [1.0] * 15 + [0.0] * 5
    for wrong in (lambda true, said: said, lambda true, said: 1.0, lambda *_: ["a"] * 20):
        with pytest.raises(InputError, match=r"mine:near: expected a number for each example"):
            scores(replace(task, function=wrong), NONE, targets, np.zeros((20, 1)))


@pytest.mark.parametrize("target", [5, -100])
def test_targets_of_positions_that_no_output_is_of_are_refused(target):
    targets = np.zeros((20, 7), np.int64)
    targets[3, 2] = target
    data = Dataset(
        "words", targets.astype(np.float32), NONE, targets[:0].astype(np.float32), NONE[:0],
        WITHOUT_CLASSES, 1, has_classes=False, train_targets=targets, test_targets=targets[:0],
    )  # fmt: skip
    with pytest.raises(
        InputError, match=rf"train: example 3: expected .* 0 to 4.*received {target}"
    ):
        task_for(TaskSettings(), data, (7, 5), "logits")
    task_for(TaskSettings(padding=target), data, (7, 5), "logits")
