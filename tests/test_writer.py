"""Predictions of anyone's own training: what is written, side by side, and what is refused."""

import contextlib
import multiprocessing

import numpy as np
import pandas as pd
import pytest

import tfmem
from tfmem.datasets.saved import load_saved
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.shards import read_shard, shards_in
from tfmem.tasks.classes import LOGITS

Y, Y_TEST = np.arange(12) % 3, np.arange(6) % 3
MASK = np.arange(12) < 8


def writer(folder, **more):
    return tfmem.PredictionWriter(folder / "mine", Y, Y_TEST, **more)


def records(folder):
    shards = shards_in(folder / "mine" / "predictions")
    return {r.trial_id: r for path in shards for r in read_shard(path)}


def draw(trial, scale=1.0):
    rng = np.random.default_rng(trial)
    return rng.random(12) < 0.6, rng.normal(size=(12, 3)) * scale, rng.normal(size=(6, 3)) * scale


def test_logits_become_correctness_and_margins_as_in_training(tmp_path):
    mask, train, test = draw(0, scale=30)
    train[0] = 7.0  # all alike: the first class is predicted
    with writer(tmp_path) as out:
        out.write(0, mask, train_logits=train, test_logits=test.astype(np.float32))
    record = records(tmp_path)[0]
    assert (unpack(record.subset_mask, 12) == mask).all()
    for split, labels, logits in (("train", Y, train), ("test", Y_TEST, test)):
        expected = LOGITS.in_program(labels, None, logits)
        correct = record.correctness(split, "")
        np.testing.assert_array_equal(correct, np.asarray(expected["correct"]))
        margins = record.confidence(split, "").margins()[0]
        np.testing.assert_allclose(margins, np.asarray(expected["margin"]), rtol=1e-3)


def test_two_classes_need_one_logit_and_indices_are_a_subset(tmp_path):
    with tfmem.PredictionWriter(tmp_path / "mine", ["no", "yes"] * 3) as out:
        assert out.labels.class_names == ("no", "yes")
        one = np.array([-2.0, -1, 0, 1, 2, 70])
        out.write(3, [5, 0], train_logits=one)
        out.write(4, [0, 1, 1, 0, 0, 1], train_logits=np.stack([0 * one, one], axis=1))
    found = records(tmp_path)
    assert unpack(found[3].subset_mask, 6).tolist() == [True, *[False] * 4, True]
    assert unpack(found[4].subset_mask, 6).tolist() == [False, True, True, False, False, True]
    margins = [found[trial].confidence("train", "").margins()[0] for trial in (3, 4)]
    np.testing.assert_array_equal(margins[0], [2, -1, -0.0, 1, -2, 70])
    np.testing.assert_array_equal(margins[0], margins[1])
    assert found[3].correctness("train", "").tolist() == [1, 0, 1, 1, 0, 1]


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ant", "bee", "cat"])[Y],
        np.array(["ant", "bee", "cat"], object)[Y],
        pd.Categorical.from_codes(Y, ["ant", "bee", "cat"]),
        np.eye(3)[Y],
        Y[:, None].astype(float),
        (Y + 1).tolist(),
    ],
)
def test_labels_in_any_form_are_classes(tmp_path, labels):
    with tfmem.PredictionWriter(tmp_path / "mine", labels, train_ids=list("abcdefghijkl")) as out:
        np.testing.assert_array_equal(out.labels.train_labels, Y)
        assert out.labels.train_ids.tolist() == list("abcdefghijkl")
    with tfmem.PredictionWriter(tmp_path / "mine", labels) as again:
        assert again.labels.dataset_fingerprint == out.labels.dataset_fingerprint


def test_other_targets_have_scores(tmp_path):
    targets = np.linspace(0, 1, 12) ** 2
    with tfmem.PredictionWriter(tmp_path / "mine", targets, task="regression") as out:
        assert not out.labels.has_classes
        out.write(0, MASK, train_scores=-targets, score="negative squared error")
        with pytest.raises(InputError, match="expected scores, because the labels are no classes"):
            out.write(1, MASK, train_logits=np.zeros((12, 3)))
        with pytest.raises(InputError, match=r"expected train_scores \('negative .* received "):
            out.write(1, MASK, train_scores=-targets, score="other")
    record = records(tmp_path)[0]
    np.testing.assert_array_equal(record.scores("train"), -targets.astype(np.float32))
    assert record.score_name == "negative squared error"


def _work(folder, worker, start):
    start.wait()
    with writer(folder) as out:
        for trial in out.missing(60):
            mask, train, test = draw(trial)
            if trial % 3 == 0:
                test = test + worker  # another program has other predictions
            with contextlib.suppress(InputError):  # that another process was faster
                out.write(trial, mask, train_logits=train, test_logits=test)


def test_processes_write_side_by_side_and_a_loop_goes_on(tmp_path):
    """Every trial is there once, complete, whoever wrote it; nothing else is left."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager, context.Pool(3) as pool:
        start = manager.Event()
        done = pool.starmap_async(_work, [(tmp_path, worker, start) for worker in range(3)])
        start.set()
        done.get(60)
    found = records(tmp_path)
    assert sorted(found) == [*range(60)]
    names = {path.name for path in (tmp_path / "mine" / "predictions").iterdir()}
    assert len(names) == 61
    assert not any(name.startswith(".") for name in names)
    assert writer(tmp_path).missing([70, 3, 61]) == [61, 70]
    with pytest.raises(InputError, match=r"trial 3: is already in .*trial-00003"):
        writer(tmp_path).write(3, MASK, train_correct=Y == 0, test_correct=Y_TEST == 0)


def test_images_and_names_are_kept(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (18, 8, 8, 3), np.uint8)
    known = {
        "train_images": images[:12],
        "test_images": images[12:],
        "class_names": ["x", "y", "z"],
    }
    writer(tmp_path, **known, train_ids=range(100, 112))
    data = load_saved(tmp_path / "mine" / "data")
    np.testing.assert_array_equal(data.test_images, images[12:])
    assert data.train_ids[3] == "103"
    assert writer(tmp_path, **known).labels.dataset_fingerprint == data.fingerprint
    for other in (known | {"train_images": images[1:13]}, {}):
        with pytest.raises(InputError, match="of other examples, labels or images"):
            writer(tmp_path, **other)
    assert load_saved(tmp_path / "mine" / "data").fingerprint == data.fingerprint


RIGHT = {"train_correct": Y == 0, "test_correct": Y_TEST == 0}


def logits(value):
    found = np.zeros((12, 3))
    found[7, 1] = value
    return {"train_logits": found, "test_logits": np.zeros((6, 3))}


@pytest.mark.parametrize(
    ("subset", "given", "said"),
    [
        (MASK, {}, "expected train_correct, train_logits or train_scores, received none"),
        (MASK, {"train_correct": Y == 0}, "received train_correct and nothing of test examples"),
        (MASK, RIGHT | logits(0), "expected train_correct or train_logits, received both"),
        (MASK, RIGHT | {"train_correct": Y}, "train_correct: example 2: expected 0 or 1, .* 2"),
        (MASK, RIGHT | {"test_correct": Y == 0}, r"numbers \[6\], received bool \[12\]"),
        (MASK, logits(np.nan), "train_logits: example 7: expected finite .*nan.*diverged=True"),
        (MASK, logits(np.inf), "train_logits: example 7: expected finite"),
        (MASK, {"train_logits": np.zeros((12, 4))}, r"numbers \[12, 3\], received .* \[12, 4\]"),
        (
            MASK,
            RIGHT | {"train_scores": -Y, "test_scores": Y_TEST + np.inf},
            "test_scores: example 0",
        ),
        (MASK, {"train_scores": Y, "test_scores": Y_TEST, "score": ""}, "the name of a score"),
        (MASK[:5], RIGHT, r"subset: expected numbers \[12\], received bool \[5\]"),
        ([0, 12], RIGHT, "subset: expected indices from 0 to 11, received 12"),
        ([0.5, 1], RIGHT, "subset: expected indices from 0 to 11, received 0.5"),
        ([3, 4, 3], RIGHT, "subset: index 3 is there more than once"),
        ([], RIGHT, "subset: expected at least one example"),
        (~MASK & MASK, RIGHT, "subset: expected at least one example"),
        (["a"], RIGHT, "subset: expected truth values"),
    ],
)
def test_what_cannot_be_used_gets_one_error_and_writes_nothing(tmp_path, subset, given, said):
    with writer(tmp_path) as out:
        with pytest.raises(InputError, match=f"trial 9: .*{said}"):
            out.write(9, subset, **given)
        assert out.missing(10) == [*range(10)]
        for trial in (-1, 1.5, "1", True):
            with pytest.raises(InputError, match="trial: expected a whole number from 0"):
                out.write(trial, MASK, **RIGHT)


def test_folders_and_labels_that_cannot_be_used_get_one_error(tmp_path):
    writer(tmp_path).write(np.int64(0), MASK, **RIGHT)
    other = writer(tmp_path)
    with pytest.raises(
        InputError, match="expected train_correct as in the trials before, received"
    ):
        other.write(1, MASK, **logits(0))
    other.write(1, MASK, diverged=True)
    assert records(tmp_path)[1].diverged
    with pytest.raises(InputError, match="of other examples, labels or images"):
        tfmem.PredictionWriter(tmp_path / "mine", Y[::-1], Y_TEST)
    (tmp_path / "mine" / "predictions" / "config.yaml").write_text("seed: 0")
    with pytest.raises(InputError, match="holds predictions of tfmem's own training"):
        writer(tmp_path)
    for labels, more, said in (
        ([], {}, "at least one example"),
        (Y / 2, {}, "names or whole numbers, received '0.5'.*task="),
        (Y, {"test_labels": [0, 7]}, "expected a label that training examples have, received '7'"),
        (Y, {"train_ids": ["a"]}, "expected one for each of 12 examples, received 1"),
        (Y, {"test_images": np.zeros((2, 3))}, "train_images: expected with test_images"),
        (Y, {"train_images": np.zeros((2, 3))}, "as many targets as examples, 2, received 12"),
    ):
        with pytest.raises(InputError, match=said):
            tfmem.PredictionWriter(tmp_path / "bad", labels, **more)
    assert not (tmp_path / "bad").exists()
    with pytest.raises(InputError, match="cannot be made"):
        tfmem.PredictionWriter(tmp_path / "mine" / "predictions" / "labels.npz", Y)


def test_models_of_one_subset_are_not_taken_for_independent_ones_in_silence(tmp_path, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    masks = np.repeat(rng.random((6, 40)) < 0.5, 2, axis=0)
    correct = rng.random((12, 40)) < 0.5
    said = "warning: 12 models were trained on 6 different subsets"
    with tfmem.PredictionWriter(tmp_path, y) as out:
        for trial, each in enumerate(masks):
            out.write(trial, each, train_correct=correct[trial])
    tfmem.estimate(tmp_path)
    assert capsys.readouterr().err.count(said) == 1
    for call in (tfmem.memorization, tfmem.influence):
        call(masks, correct)
        assert capsys.readouterr().err.count(said) == 1
    tfmem.memorization(masks[::2], correct[::2])
    tfmem.memorization(masks[:, :8], correct[:, :8])  # equal by chance
    assert not capsys.readouterr().err
