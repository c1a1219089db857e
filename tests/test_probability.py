"""The statistic `probability`: means of the probability of the true label."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from benchmarks.intervals import SIDES, sampled_coverage
from tests.helpers import runs
from tests.helpers.counts import packed
from tests.helpers.oracle import example_learner
from tests.helpers.runs import MULTI_PROCESS, SELECTION, contents, random_run, write_run
from tfmem.aggregation.jobs import select_pairs
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import influence, memorization
from tfmem.estimation.significance import log_mean_p_values
from tfmem.estimation.sums import Batch, sum_class
from tfmem.experiments.run import load_run
from tfmem.messages.errors import InputError
from tfmem.selection.finding import in_class
from tfmem.selection.settling import choose_pairs
from tfmem.store.bits import unpack
from tfmem.store.confidence import Confidence
from tfmem.store.manifests import MANIFEST_NAME
from tfmem.store.records import shard_name
from tfmem.store.shards import write_shard


def with_probabilities(records, rng):
    """Adds probabilities to records, many near 0 and 1; as margins in every other trial."""

    def held(trial_id, count):
        p = rng.beta(0.3, 0.2, count)
        return (p if trial_id % 2 else logit(p.clip(1e-9, 1 - 1e-9))).astype(np.float16).tobytes()

    return [
        replace(
            one,
            **{
                f"{split}_{'prob' if one.trial_id % 2 else 'margin'}": held(one.trial_id, count)
                for split, count in (("train", one.num_train), ("test", one.num_test))
            },
        )
        for one in records
    ]


def run_of(trials=130):
    records, labels = random_run(trials)
    return with_probabilities(records, np.random.default_rng(1)), labels


def aggregate(folder, beam_args=(), statistic="probability"):
    runs.aggregate(folder, beam_args, statistic)
    return contents(folder)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probability")
    write_run(folder, *run_of())
    return aggregate(folder)


def confidence(p):
    return Confidence(p.astype(np.float16), np.zeros(len(p), bool))


def batches_of(masks, train, test, sizes):
    """Cuts trials into batches of one class, as workers do."""
    cuts = np.cumsum(sizes)
    parts = [np.split(x, cuts) for x in (np.arange(len(masks)), masks, train, test)]
    return [
        Batch(ids, packed(mask), confidence(p), confidence(q))
        for ids, mask, p, q in zip(*parts, strict=True)
        if len(ids)
    ]


def sums_of(masks, train, test, sizes=()):
    index = np.arange(masks.shape[1]), np.arange(test.shape[1])
    return sum_class(len(masks), 0, *index, batches_of(masks, train, test, sizes))


def brute_force(mask, p):
    """Difference of means over trials in and out; its standard error with a 0 and a 1 added."""
    samples = [[float(x) for x, m in zip(p, mask, strict=True) if m == side] for side in (1, 0)]
    if not all(samples):
        return np.nan, np.nan
    value = np.mean(samples[0]) - np.mean(samples[1])
    added = [[*sample, 0.0, 1.0] for sample in samples]
    return value, np.sqrt(sum(np.var(sample) / len(sample) for sample in added))


@pytest.mark.parametrize("trials", [2, 63, 130])
def test_estimates_equal_two_loops_over_trials(trials):
    rng = np.random.default_rng(trials)
    masks = rng.random((trials, 6)) < 0.6
    masks[:, 0], masks[:, 1] = True, False  # never held out, never included
    masks[0, 2], masks[1:, 2] = True, False  # in one trial
    train, test = (rng.beta(0.2, 0.2, (trials, k)).astype(np.float16) for k in (6, 4))
    sums = sums_of(masks, train, test)
    mem, infl = memorization(sums.train), influence(sums)
    for i in range(6):
        expected = brute_force(masks[:, i], train[:, i])
        np.testing.assert_allclose((mem.value[i], mem.stderr[i]), expected, atol=1e-8)
        for j in range(4):
            expected = brute_force(masks[:, i], test[:, j])
            found = infl.value[i, j], infl.stderr[i, j]
            np.testing.assert_allclose(found, expected, atol=1e-8)
    for found in (mem, infl):
        seen = ~np.isnan(found.value)
        assert (found.low >= -1)[seen].all()
        assert (found.high <= 1)[seen].all()
        assert (found.low < found.high)[seen].all()


def test_sums_are_the_same_to_the_bit_in_any_order_and_repeated_trials_count_once():
    rng = np.random.default_rng(0)
    masks = rng.random((1000, 30)) < 0.7
    train, test = (expit(rng.normal(2, 6, (1000, k))).astype(np.float16) for k in (30, 20))
    whole = sums_of(masks, train, test)
    parts = batches_of(masks, train, test, [1, 200, 7, 256, 256])
    for again in (parts[::-1], [*parts, parts[2], parts[0]]):
        sums = sum_class(1000, 0, np.arange(30), np.arange(20), again)
        for one, other in ((whole, sums), (whole.train, sums.train)):
            for name, value in vars(one).items():
                if isinstance(value, np.ndarray):
                    np.testing.assert_array_equal(value, getattr(other, name))
    exact = [sum(int(x) for x in column) for column in (test.astype(float) * 2**24).T]
    assert (whole.test_correct * 2**24).astype(int).tolist() == exact


def test_bytes_do_not_depend_on_shards_or_order(tmp_path, reference):
    records, labels = run_of()
    order = np.random.default_rng(7).permutation(len(records))
    write_run(tmp_path, [records[k] for k in order], labels, shards=7)
    assert aggregate(tmp_path) == reference


def test_bytes_do_not_depend_on_processes_and_repeated_trials_count_once(tmp_path, reference):
    records, labels = run_of()
    write_run(tmp_path, records + records[:40] + records[7:9], labels, shards=3)
    assert aggregate(tmp_path, MULTI_PROCESS) == reference


def test_probabilities_of_0_and_1_are_correctness(tmp_path):
    """Only the name of the statistic and the test behind p-values differ."""
    learner = example_learner()
    certain = [
        replace(
            one,
            train_prob=unpack(one.train_correct, 8).astype(np.float16).tobytes(),
            test_prob=unpack(one.test_correct, 5).astype(np.float16).tobytes(),
        )
        for one in learner.records()
    ]
    runs = {}
    for statistic in ("correctness", "probability"):
        write_run(tmp_path / statistic, certain, learner.labels)
        aggregate(tmp_path / statistic, statistic=statistic)
        runs[statistic] = load_run(tmp_path / statistic)
        assert runs[statistic].statistic == statistic
    one, other = runs.values()
    np.testing.assert_allclose(other.memorization["memorization"], learner.memorization(), 1e-6)
    np.testing.assert_array_equal(one.memorization, other.memorization)
    for label, block in one.influence.items():
        for name, value in vars(block.errors).items():
            np.testing.assert_array_equal(value, getattr(other.influence[label].errors, name))
    columns = ["train_index", "test_index", "influence", "stderr", "ci_low", "ci_high"]
    assert len(one.pairs) > 2
    np.testing.assert_array_equal(one.pairs[columns], other.pairs[columns])


def test_pairs_are_those_that_estimates_select(tmp_path, reference):
    write_run(tmp_path, *run_of())
    aggregate(tmp_path)
    run = load_run(tmp_path)
    mem = run.memorization["memorization"].to_numpy()
    expected = {
        (i, j)
        for block in run.influence.values()
        for i, row in zip(block.train_index, block.influence, strict=True)
        for j, value in zip(block.test_index, row, strict=True)
        if mem[i] >= 0.1 and value >= 0.1
    }
    found = set(zip(run.pairs["train_index"], run.pairs["test_index"], strict=True))
    assert found == expected != set()
    select_pairs(
        str(tmp_path / "influence" / "*"),
        str(tmp_path / "predictions" / "labels.npz"),
        str(tmp_path / "again"),
        SELECTION,
    )
    name = shard_name("pairs", 0, 1)
    assert (tmp_path / "again" / name).read_bytes() == reference[f"pairs/{name}"]


@pytest.mark.parametrize(("n1", "n0"), SIDES)
def test_the_interval_covers_where_welch_s_does_not(n1, n0):
    """The least of 16 coverages, each from 2,000 samples.

    True coverage is at least 94% (from 50,000 samples each); 0.90 is 7 standard errors below (false
    alarm below 1e-9).
    """
    own, other = sampled_coverage(n1, n0, samples=2000)
    assert own >= 0.90
    assert other < 0.1


def test_p_values_are_as_frequent_as_they_say_and_selection_keeps_its_rate():
    """Subsets are independent of probabilities, except in 20 pairs.

    The shares of 300 x 180 p-values of 400 trials are allowed more than 4 standard errors (false
    alarm below 1e-4). At a rate of 5%, one false pair is expected among those selected: more than 5
    have a probability below 1e-3.
    """
    rng = np.random.default_rng(5)
    masks = np.argsort(rng.random((400, 300)), axis=1) < 210
    test = expit(rng.normal(rng.normal(1, 3, 200), 2, (400, 200)))
    for i in range(20):
        test[:, i] = expit(rng.normal(np.where(masks[:, i], 1.5, -1.5), 1.5))
    sums = sums_of(masks, np.where(masks, 0.9, 0.2), test)
    trials, num_in = 400, sums.train.num_in[:, None]
    covariance = trials * sums.test_correct_in - num_in * sums.test_correct
    spread = np.var(test.astype(np.float16).astype(float), axis=0) * trials**2 / (trials - 1)
    deviation = np.sqrt(num_in * (trials - num_in) * spread)
    for sign in ("positive", "negative", "both"):
        p = np.exp(log_mean_p_values(covariance[:, 20:].ravel(), deviation[:, 20:].ravel(), sign))
        assert np.mean(p <= 0.05) == pytest.approx(0.05, rel=0.1)
        assert np.mean(p <= 0.001) == pytest.approx(0.001, rel=0.6)
    settings = SelectionSettings(fdr=0.05)
    found = choose_pairs([in_class(sums, settings, covariance.size)], settings).pairs
    true = (found.train_index == found.test_index) & (found.test_index < 20)
    assert true.sum() == 20
    assert np.mean(~true) <= 0.2
    chosen = (x[found.train_index, found.test_index] for x in (covariance, deviation))
    p = log_mean_p_values(*chosen, "positive")
    np.testing.assert_allclose(found.p_value, np.exp(p), rtol=1e-3)


def test_the_number_expected_by_chance_is_that_of_unrelated_subsets():
    """More than 1,000 pairs are found, within 20% of the expected number: 5 SD and more."""
    rng = np.random.default_rng(6)
    masks = np.argsort(rng.random((150, 300)), axis=1) < 210
    test = expit(rng.normal(rng.normal(0, 2, 200), 2, (150, 200)))
    sums = sums_of(masks, np.where(masks, 0.9, 0.2), test)
    settings = SelectionSettings(influence=0.1)
    found = choose_pairs([in_class(sums, settings, 60_000)], settings)
    assert len(found.pairs.influence) > 1000
    assert found.expected == pytest.approx(len(found.pairs.influence), rel=0.2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test_prob": b""}, "'test_margin' .* training.probabilities"),
        ({"train_margin": np.full(40, np.nan, np.float16).tobytes()}, "train_margin: .* nan"),
        ({"train_prob": np.full(40, np.nan, np.float16).tobytes()}, "train_prob: .* received nan"),
        ({"test_prob": np.full(25, -0.5, np.float16).tobytes()}, "test_prob: .* received -0.5"),
    ],
)
def test_probabilities_that_are_missing_or_impossible_are_refused(tmp_path, change, words):
    records, labels = run_of(6)
    predictions = write_run(tmp_path, records, labels, shards=2)
    shard = predictions / shard_name("predictions", 1, 2)
    write_shard(shard, [records[1], replace(records[3], **change), records[5]])
    with pytest.raises(InputError, match=f"{shard.name}: record 1: .*{words}"):
        aggregate(tmp_path)
    assert contents(tmp_path) == {}
    aggregate(tmp_path, statistic="correctness")


def test_what_is_of_the_other_statistic_is_refused(tmp_path):
    records, labels = run_of(30)
    paths = {}
    for statistic in ("correctness", "probability"):
        folder = tmp_path / statistic
        labels_path = write_run(folder, records, labels) / "labels.npz"
        aggregate(folder, statistic=statistic)
        paths[statistic] = folder / "influence" / shard_name("influence", 0, 1)
    both = [tmp_path / f"{name}.tfrecord" for name in paths]
    for path, copy in zip(paths.values(), both, strict=True):
        copy.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="of correctness and of probability"):
        select_pairs(list(map(str, both)), str(labels_path), str(tmp_path / "pairs"), SELECTION)
    paths["probability"].write_bytes(paths["correctness"].read_bytes())
    (paths["probability"].parent / MANIFEST_NAME).unlink()  # which would tell
    with pytest.raises(InputError, match="record 0: influence of correctness, expected probabil"):
        _ = load_run(tmp_path / "probability").influence
