"""Learners with known answers are compared with themselves, with each other, and by halves."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from tests.helpers.oracle import FINGERPRINT, LookupLearner, example_learner, random_records, record
from tests.helpers.runs import write_run
from tfmem.components.component import Component
from tfmem.experiments.consistency import Rule, consistency
from tfmem.experiments.record_consistency import record_consistency
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli import app
from tfmem.pipelines.runner import Step, run_chain
from tfmem.store.artifacts import Figures, Page, Predictions
from tfmem.store.bits import unpack
from tfmem.store.files import write_atomically
from tfmem.store.labels import Labels
from tfmem.store.records import encode_example


def predictions_of(folder, *names):
    return [folder / name / "predictions" for name in names]


def renumbered(records):
    return [replace(each, trial_id=each.trial_id + 1000) for each in records]


def learners():
    """Makes a learner, and another one with other twins."""
    first = example_learner()
    twins = [(), (), (), (), (5,), (4,), (), (6,)], [(0, 1), (2,), (4, 5), (3,), (3, 7)]
    labels = first.labels.train_labels, first.labels.test_labels
    return first, LookupLearner(*twins, 5, *labels)


def same_class(learner):
    return learner.labels.train_labels[:, None] == learner.labels.test_labels


@pytest.mark.parametrize("condition", [True, False])
def test_two_lookup_learners_agree_as_their_closed_forms(tmp_path, condition):
    sides = learners()
    for name, learner in zip("ab", sides, strict=True):
        write_run(tmp_path / name, learner.records(), learner.labels, shards=2)
    rule = Rule(0.25, 0.15, condition)
    (found,) = consistency(predictions_of(tmp_path, "a", "b"), tmp_path / "out", rule)
    truth = [(learner.memorization()[:, None], learner.influence()) for learner in sides]
    for at, threshold in enumerate(found.influence.threshold):
        sets = [
            same_class(learner)
            & (effect >= threshold - 1e-9)
            & ((known >= 0.25 - 1e-9) | (not condition))
            for learner, (known, effect) in zip(sides, truth, strict=True)
        ]
        union = sets[0] | sets[1]
        assert found.influence.both[at] == (sets[0] & sets[1]).sum()
        assert found.influence.either[at] == union.sum()
        if union.any():
            apart = abs(truth[0][1] - truth[1][1])[union].mean()
            assert found.influence.difference[at] == pytest.approx(apart)
    apart = (truth[0][0] - truth[1][0]) ** 2
    assert found.memorization_errors.difference == pytest.approx(math.sqrt(apart.mean()))
    assert found.shared_subsets == 56  # all of them, in both
    table = pd.read_csv(tmp_path / "out" / "consistency.csv")
    assert table.query("estimate == 'influence'")["both"].tolist() == found.influence.both.tolist()


def test_a_run_agrees_with_itself_wholly(tmp_path):
    learner = example_learner()
    for name, records in (("a", learner.records()), ("b", renumbered(learner.records()))):
        write_run(tmp_path / name, records, learner.labels)
    (found,) = consistency(predictions_of(tmp_path, "a", "b"), tmp_path / "out")
    for curve in (found.memorization, found.influence):
        reached = curve.either > 0
        assert reached.any()
        assert (curve.jaccard[reached] == 1).all()
        assert (curve.difference[reached] == 0).all()
    assert found.influence_errors.difference == 0
    assert found.first.pairs == found.second.pairs > 0


def noise(tmp_path, trials=1000, num_train=80, num_test=50):
    rng = np.random.default_rng(0)
    zeros = np.zeros(num_train, np.int64), np.zeros(num_test, np.int64)
    records = random_records(rng, trials, num_train, num_test)
    write_run(tmp_path, records, Labels(*zeros, ("a",), FINGERPRINT), shards=3)
    return records


def test_halves_of_pure_noise_agree_by_chance_and_within_the_lemma(tmp_path):
    """Influence is 0 with a known spread, so both halves select a pair with probability q**2.

    The 4,000 pairs are nearly independent. Tolerances are 6 standard deviations, and for J as much
    again because its estimates lie on a lattice: false alarms below 1e-8.
    """
    noise(tmp_path)
    (found,) = consistency([tmp_path / "predictions"], tmp_path / "out", Rule(condition=False))
    spread = math.sqrt(0.6 * 0.4 * (1 / 350 + 1 / 150))  # of an influence in half of the trials
    errors = found.influence_errors
    assert errors.compared == 4000
    assert errors.difference**2 == pytest.approx(2 * spread**2, rel=6 * math.sqrt(2 / 4000))
    assert errors.expected**2 == pytest.approx(2 * spread**2, rel=0.02)
    for at in (0, 4):
        q = norm.sf(found.influence.threshold[at] / spread)
        expected = q / (2 - q)
        deviation = math.sqrt(expected * (1 - expected) / found.influence.either[at])
        assert found.influence.jaccard[at] == pytest.approx(expected, abs=12 * deviation)
    for side in (found.first, found.second):
        assert side.trials == 500
        assert side.fraction == pytest.approx(0.7)
        assert side.accuracy == pytest.approx(0.6, abs=6 * math.sqrt(0.24 / 25_000))
        assert errors.difference / math.sqrt(2) < side.lemma_bound
        assert found.memorization_errors.difference / math.sqrt(2) < side.lemma_bound
    assert found.shared_subsets == 0


def test_what_is_written_does_not_depend_on_shards_order_or_repetition(tmp_path):
    records = noise(tmp_path / "a", 60, 20, 10)
    labels = Labels(np.zeros(20, np.int64), np.zeros(10, np.int64), ("a",), FINGERPRINT)
    order = np.random.default_rng(1).permutation(60)
    diverged = replace(records[0], trial_id=500, diverged=1)
    shuffled = [records[k] for k in order] + [records[7], diverged]
    write_run(tmp_path / "b", shuffled, labels, shards=5)
    for name in "ab":
        consistency([tmp_path / name / "predictions"], tmp_path / name / "out")
    for name in ("consistency.csv", "errors.csv"):
        first, second = ((tmp_path / run / "out" / name).read_bytes() for run in "ab")
        assert first == second


def test_halves_are_every_second_trial_and_an_example_always_in_is_left_out(tmp_path):
    rng = np.random.default_rng(0)
    records = random_records(rng, 40, 10, 5)
    always = [unpack(each.subset_mask, 10) | (np.arange(10) == 3) for each in records]
    right = [np.arange(5) <= k % 2 for k in range(40)]  # 1 of 5 in even trials, 2 of 5 in odd ones
    changed = [
        record(2 * k, mask, unpack(each.train_correct, 10), test)  # all numbers are even
        for k, (each, mask, test) in enumerate(zip(records, always, right, strict=True))
    ]
    labels = Labels(np.zeros(10, np.int64), np.zeros(5, np.int64), ("a",), FINGERPRINT)
    write_run(tmp_path, changed, labels)
    (found,) = consistency([tmp_path / "predictions"], tmp_path / "out")
    assert (found.first.trials, found.second.trials) == (20, 20)
    assert (found.first.accuracy, found.second.accuracy) == pytest.approx((0.2, 0.4))
    assert (found.memorization_errors.compared, found.memorization_errors.missing) == (9, 1)
    assert (found.influence_errors.compared, found.influence_errors.missing) == (45, 5)


def test_what_cannot_be_compared_is_refused_in_one_line(tmp_path):
    learner = example_learner()
    write_run(tmp_path / "a", learner.records(), learner.labels)
    foreign = [replace(each, dataset_fingerprint=b"g" * 32) for each in learner.records()]
    write_run(tmp_path / "b", foreign, replace(learner.labels, dataset_fingerprint=b"g" * 32))
    labels = replace(learner.labels, train_labels=np.roll(learner.labels.train_labels, 1))
    write_run(tmp_path / "c", learner.records(), labels)
    write_run(tmp_path / "d", learner.records()[:3], learner.labels)
    (tmp_path / "e").mkdir()

    def refusal(*names, **options):
        with pytest.raises(InputError) as error:
            consistency(predictions_of(tmp_path, *names), tmp_path / "out", **options)
        assert "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()
        return str(error.value)

    assert "b/predictions: is of other data than" in refusal("a", "b")
    assert "c/predictions: train_labels differ" in refusal("a", "c")
    assert "d/predictions: expected at least 4 trials, received 3" in refusal("d")
    assert "e/predictions: expected the predictions of a run" in refusal("a", "e")
    assert "c/predictions: train_labels differ" in refusal("a", "c", other_inputs=True)
    (found,) = consistency(
        predictions_of(tmp_path, "a", "b"),
        tmp_path / "out",
        other_inputs=True,
    )
    assert found.influence.jaccard[0] == 1


def test_the_command_draws_and_says_where(tmp_path):
    for name, learner in zip("ab", learners(), strict=True):
        write_run(tmp_path / name, learner.records(), learner.labels)
    done = CliRunner().invoke(app, ["consistency", str(tmp_path / "a"), str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    assert f"Results: {tmp_path / 'a' / 'comparison'}" in done.output
    assert "56 trials of b have the subset of one of a" in done.output
    names = {path.name for path in (tmp_path / "a" / "comparison").iterdir()}
    assert names == {"consistency.csv", "consistency.pdf", "consistency.png", "errors.csv"}
    done = CliRunner().invoke(app, ["consistency", str(tmp_path / "a")])
    assert done.exit_code == 0, done.output
    assert "Lemma 2.1 allows" in done.output
    assert (tmp_path / "a" / "consistency" / "consistency.png").exists()


def test_a_step_runs_again_when_an_optional_input_appears(tmp_path):
    given, said = [], []

    def write(inputs, outputs, parameters):
        given.append(sorted(inputs))
        outputs["page"].write_text("")

    inputs, optional = {"predictions": Predictions}, {"figures": Figures}
    step = Step(Component("page", inputs, {"page": Page}, {}, write, optional=optional), {})
    (tmp_path / "predictions").mkdir()
    for _ in range(2):
        run_chain([step], tmp_path, said.append)
    (tmp_path / "figures").mkdir()
    run_chain([step], tmp_path, said.append)
    assert given == [["predictions"], ["figures", "predictions"]]


def memorization_records(folder, values, labels, estimator):
    folder.mkdir()
    rows = [
        encode_example(
            {
                "index": index, "label": int(label), "n_in": 0, "n_out": 0,
                "memorization": float(value), "estimator": estimator,
                "stderr": 0.0, "ci_low": 0.0, "ci_high": 0.0, "accuracy_in": 0.0,
                "accuracy_out": 0.0,
            }
        )
        for index, (value, label) in enumerate(zip(values, labels, strict=True))
    ]  # fmt: skip
    write_atomically(folder / "memorization-00000-of-00001.tfrecord", rows)
    return folder


def test_records_of_any_two_estimators_are_compared_by_threshold_and_by_rank(tmp_path):
    """The second estimator halves the values of the first, and exchanges its two highest values."""
    values = np.arange(100) / 100
    other = values / 2
    other[[99, 98, 0, 1]] = other[[0, 1, 99, 98]]
    labels = np.arange(100) % 3
    one = memorization_records(tmp_path / "one", values, labels, b"subsampled")
    two = memorization_records(tmp_path / "two", other, labels, b"self_influence/fast")
    said = CliRunner().invoke(
        app, ["consistency", str(one), str(two), "--out", str(tmp_path / "c")]
    )
    assert said.exit_code == 0
    assert "(10 and 10 examples, with all or none of equal ones) have J = 0.67" in said.stdout
    assert "by chance 0.05)" in said.stdout
    assert (tmp_path / "c" / "consistency.png").stat().st_size > 5000
    table = pd.read_csv(tmp_path / "c" / "consistency.csv").set_index(["by", "threshold"])
    for share in (0.02, 0.1, 0.5):
        top = [set(np.argsort(-side)[: round(100 * share)]) for side in (values, other)]
        row = table.loc[("share", share)]
        assert (row["both"], row["either"]) == (len(top[0] & top[1]), len(top[0] | top[1]))
    for threshold in (0.25, 0.4):
        sets = [set(np.flatnonzero(side >= threshold)) for side in (values, other)]
        row = table.loc[("threshold", threshold)]
        assert (row["first"], row["second"]) == tuple(map(len, sets))
        assert row["jaccard"] == pytest.approx(
            len(sets[0] & sets[1]) / len(sets[0] | sets[1]), rel=1e-5
        )
    run = tmp_path / "run"
    run.mkdir()
    shutil.copytree(one, run / "memorization")
    (of_run,) = record_consistency([run / "memorization", two], tmp_path / "e", 0.25)
    again = ["consistency", str(run), str(two), "--out", str(tmp_path / "e")]
    assert of_run.said.split(": ")[1] in CliRunner().invoke(app, again).stdout
    others = memorization_records(tmp_path / "three", values, labels[::-1], b"subsampled")
    for folders, expected in (
        ([one, others], "expected records of the examples of"),
        ([one], "records have no halves"),
    ):
        with pytest.raises(InputError, match=expected):
            record_consistency(folders, tmp_path / "d", 0.25)
    assert not (tmp_path / "d").exists()
