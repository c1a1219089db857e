"""Estimates leave out trials without a finite loss, and others only on request."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.farms import Counted, path_of, run_farm, shards
from tests.helpers.trials import small
from tfmem import training
from tfmem.config import from_yaml
from tfmem.datasets import Dataset
from tfmem.datasets.kept import labels_of
from tfmem.messages.errors import InputError
from tfmem.store.journal import TrialNote
from tfmem.store.shards import read_shard, write_shard
from tfmem.training.features import write_features
from tfmem.training.learning import describe_unlearned, has_learned, is_left_out
from tfmem.training.outcome import Unwatched
from tfmem.training.whole import train_on_all

TRAINING = small().training
EXCLUDING = small("training.exclude_unlearned=true").training


def test_only_a_loss_that_is_not_finite_is_divergence():
    labels = np.array([0, 0, 0, 1])
    for correct in (labels == 0, labels == 1, labels < 0, labels >= 0):
        assert not is_left_out(0.7, correct, labels, TRAINING)
        for loss in (np.nan, np.inf):
            assert is_left_out(loss, correct, labels, TRAINING)


def test_a_model_that_is_right_on_all_of_one_class_has_learned():
    one_class, labels = np.zeros(5, int), np.array([0, 0, 0, 1])
    assert has_learned(np.ones(5, bool), one_class)
    assert has_learned(np.ones(4, bool), labels)
    assert not has_learned(np.arange(5) > 0, one_class)
    assert not has_learned(labels == 0, labels)
    assert not is_left_out(0.7, np.ones(5, bool), one_class, EXCLUDING)
    assert is_left_out(0.7, labels == 0, labels, EXCLUDING)


class Majority(Counted):
    """A trainer whose trial 1 has no finite loss, and whose trial 2 always answers 0."""

    def train(self, trials, subsets, watch):
        outcomes = dict(zip(trials, super().train(trials, subsets, watch), strict=True))
        for trial, outcome in outcomes.items():
            if trial.trial_id == 1:
                lost = replace(outcome.train, margin=np.full(300, np.nan, np.float32))
                outcomes[trial] = replace(outcome, loss=np.nan, train=lost)
            if trial.trial_id == 2:
                constant = replace(outcome.train, correct=self.data.train_labels == 0)
                outcomes[trial] = replace(outcome, train=constant)
        return list(outcomes.values())


def test_models_that_learned_nothing_count_unless_they_are_excluded(digits, tmp_path):
    for override, lost in (("false", (1,)), ("true", (1, 2))):
        config, out = small(f"training.exclude_unlearned={override}"), tmp_path / override
        summary, _ = run_farm(config, digits, out, trainers=[Majority(digits, 3)])
        found = [r for s in range(2) for r in read_shard(path_of(out, s, 2))]
        assert summary.diverged == tuple(r.trial_id for r in found if r.diverged) == lost
    with pytest.raises(InputError, match=r"training\.exclude_unlearned"):
        run_farm(small(), digits, tmp_path / "true", trainers=[Majority(digits, 3)])


def test_the_choice_changes_the_digest_only_where_it_is_made():
    assert "exclude_unlearned" not in small().trial_settings()["training"]
    assert small("training.exclude_unlearned=true").digest() != small().digest()


@pytest.mark.parametrize("journal", [True, False])
def test_an_older_run_that_is_continued_counts_what_was_left_out_for_accuracy(
    digits, tmp_path, journal, capsys
):
    """Trial 2 is marked as by older versions; trial 1 diverged by its loss or probabilities."""
    run_farm(small(), digits, tmp_path, trainers=[Majority(digits, 3)])
    expected = shards(tmp_path)
    path = path_of(tmp_path, 0, 2)
    records = list(read_shard(path))
    write_shard(path, [replace(records[0]), records[1], replace(records[2], diverged=1)])
    assert shards(tmp_path) != expected
    if not journal:
        for part in (tmp_path / "predictions" / "journal").iterdir():
            part.unlink()
        prob = np.full(300, 0.5, "<f2")
        earlier = [
            replace(
                r.only_bits(),
                train_prob=(prob * (np.nan if r.trial_id == 1 else 1)).tobytes(),
            )
            for r in read_shard(path)
        ]
        write_shard(path, earlier)
    summary, asked = run_farm(small(), digits, tmp_path, trainers=[Majority(digits, 3)])
    assert (summary.diverged, asked) == ((1,), [])
    assert [r.diverged for r in read_shard(path)] == [0, 1, 0]
    assert "1 trials that an earlier version left out" in " ".join(capsys.readouterr().out.split())
    if journal:
        assert shards(tmp_path) == expected
    summary, _ = run_farm(small(), digits, tmp_path, trainers=[Majority(digits, 3)])
    assert summary.diverged == (1,)
    assert "earlier version" not in capsys.readouterr().out


def imbalanced(rare, count=60):
    """Two classes, of which the second has few training examples and is far away."""
    values = np.random.default_rng(0).normal(0, 0.1, (count, 4)).astype(np.float32)
    labels = (np.arange(count) < rare).astype(np.int64)
    values[labels == 1] += 4
    return Dataset("imbalanced", values, labels, values, labels, ("many", "few"), white=1)


def test_the_only_example_of_a_class_is_memorized(tmp_path):
    """Models without it are right on all of their subset, and are not left out."""
    data = imbalanced(1)
    config = small(
        "training.batch_size=8",
        "training.epochs=10",
        "training.trials=12",
        "training.stack_size=12",
    )
    summary = training.train(config, data, tmp_path)
    assert (summary.trials, summary.diverged, summary.unlearned) == (12, (), "")
    records = [r for path in sorted((tmp_path / "predictions").glob("*.tfrecord"))
               for r in read_shard(path)]  # fmt: skip
    inside, right = (
        np.array([getattr(r, name)[0] & 1 for r in records])
        for name in ("subset_mask", "train_correct")
    )
    assert 0 < inside.sum() < 12
    assert right.tolist() == inside.tolist()  # so its memorization is 1


def test_low_accuracy_is_said_with_numbers_and_causes(tmp_path):
    data = imbalanced(3)
    data = replace(data, train_images=data.train_images * 0, test_images=data.test_images * 0)
    config = small("training.batch_size=8", "training.stack_size=6")
    said = training.train(config, data, tmp_path).unlearned
    for words in ("6 models of 6 learned next to nothing: accuracy on the own subset is 9",
                  "always answering 'many' would have 95.0%", "models see 0 to 0",
                  "training.learning_rate (0.1)", "training.epochs (4)",
                  "exclude_unlearned"):  # fmt: skip
        assert words in said
    labels, training_settings = labels_of(data), config.training
    assert describe_unlearned([], labels, training_settings, data) == ""
    notes = [TrialNote(0, 0, "", 1, 0.9, 0.9, 0.7, 0)]
    assert "too few training.epochs" in describe_unlearned(notes, labels, training_settings)
    assert "models see" not in describe_unlearned(notes, labels, training_settings)
    said = describe_unlearned(notes, labels, training_settings, own=True)
    assert "the learning rate of its optimizer" in said
    assert "training.learning_rate" not in said


def test_one_model_that_everything_rests_on_must_not_diverge(digits, tmp_path):
    config = from_yaml("", ["training.epochs=1", "training.learning_rate=1e30"])
    with pytest.raises(InputError, match=r"diverged.*training\.learning_rate 1e\+30"):
        train_on_all(config, digits, 0, tmp_path, Unwatched())
    with pytest.raises(InputError, match=r"diverged.*training\.learning_rate 1e\+30"):
        write_features(config, digits, {"features": tmp_path / "f.npz"}, lambda _: Unwatched())
    assert not (tmp_path / "f.npz").exists()
