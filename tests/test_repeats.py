"""Several models, each with seeds of its own, are trained on each subset."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, chi2

from tests.helpers.commands import tfmem_command
from tests.helpers.farms import Counted, run_farm
from tests.helpers.oracle import FINGERPRINT, record
from tests.helpers.runs import SELECTION, aggregate, random_run, write_run
from tfmem.aggregation.holding import hold, train_counts
from tfmem.aggregation.jobs import search_pairs
from tfmem.aggregation.matrices import write_matrix
from tfmem.config import from_yaml
from tfmem.estimation.estimator import Measure, memorization
from tfmem.exchange.publication import publish
from tfmem.experiments.proxies import ProxySettings, _numbers_of_trials
from tfmem.experiments.run import load_run
from tfmem.experiments.summed import records_between
from tfmem.messages.errors import InputError
from tfmem.pages.report import _summary
from tfmem.store.folders import open_folder
from tfmem.store.labels import Labels
from tfmem.store.results import read_memorization, read_pairs
from tfmem.store.shards import read_shard, shards_in
from tfmem.subsets import subsets_of, with_subset_digests
from tfmem.subsets.given import GivenSubsets

# Of the version before `training.repeats`, for a default configuration.
FORMER = "b7bb5fc98709df550aedebbd8cb03933c05bd7fb4304d4bd425aead1f2b15f01"


def test_one_model_a_subset_is_what_runs_always_had():
    once, twice = (from_yaml("", [f"training.repeats={number}"]) for number in (1, 2))
    assert once.digest() == from_yaml("").digest() != twice.digest()
    assert once.digest().hex() == FORMER


def test_successive_trials_share_a_subset(tmp_path, digits):
    config = from_yaml("", ["training.trials=5", "training.repeats=2"])
    trainer = Counted(digits, 3)
    run_farm(config, digits, tmp_path, trainers=[trainer])
    assert sorted(trainer.asked) == [0, 1, 2, 3, 4, 5]  # each has seeds of its own
    records = [r for shard in shards_in(tmp_path / "predictions") for r in read_shard(shard)]
    masks = [record.subset_mask for record in records]
    assert masks[0] == masks[1] != masks[2] == masks[3] != masks[4] != masks[0]
    apart = subsets_of(from_yaml(""), len(digits.train_labels), open_folder(tmp_path / "none"))
    for number, mask in enumerate(masks[::2]):
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
        assert np.array_equal(np.flatnonzero(bits), apart.subset(number))
    aggregate(tmp_path)
    table = load_run(tmp_path).memorization
    assert (table["n_in"] + table["n_out"] == 3).all()
    publish(tmp_path, tmp_path / "published")
    assert "mean of the 2 models of a subset" in (tmp_path / "published/README.md").read_text()


def test_given_subsets_are_repeated(tmp_path):
    path = tmp_path / "s.npz"
    path.write_bytes(GivenSubsets.of([np.arange(8) < size for size in (3, 5)]).to_npz())
    sets = [f"training.subsets={path}", "training.trials=4", "training.repeats=2"]
    config = with_subset_digests(from_yaml("", sets))
    subsets = subsets_of(config, 8, open_folder(tmp_path / "predictions"))
    assert subsets.sizes.tolist() == [3, 3, 5, 5]
    assert [len(subsets.subset(k)) for k in range(6)] == [3, 3, 5, 5, 5, 5]
    with pytest.raises(InputError, match=r"expected 3 subsets for 5 trials .* received 2"):
        with_subset_digests(from_yaml("", [*sets, "training.trials=5"]))


def run_of(folder, records, labels, repeats):
    """The estimates of a run of which `repeats` successive records have the same subset."""
    sets = [f"training.trials={len(records)}", f"training.repeats={repeats}"]
    predictions = write_run(folder, records, labels, shards=3)
    settings = from_yaml("", [*sets, "training.stack_size=1"])
    (predictions / "config.yaml").write_text(settings.to_yaml())
    aggregate(folder)
    return load_run(folder)


def again(records, repeats):
    """Each record several times in succession, as other trials."""
    copies = (each for each in records for _ in range(repeats))
    return [replace(each, trial_id=number) for number, each in enumerate(copies)]


def test_models_that_agree_count_as_one(tmp_path):
    """With copies of each model nothing is known that one of each does not say."""
    records, labels = random_run(60)
    write_run(tmp_path / "one", records, labels)
    aggregate(tmp_path / "one")
    one = load_run(tmp_path / "one")
    three = run_of(tmp_path / "three", again(records, 3), labels, 3)
    assert three.measure == Measure(models=3)
    assert repr(three).split(": ")[1].startswith("60 subsets")
    assert _summary(three)["trials"] == 180
    most = one.memorization["memorization"].idxmax()
    shown = tfmem_command("show", tmp_path / "three", "--top", "1").stdout
    assert f"of {3 * one.memorization['n_out'][most]}\n" in shown
    names = ["n_in", "n_out", "memorization", "stderr", "ci_low", "ci_high"]
    np.testing.assert_allclose(three.memorization[names], one.memorization[names], atol=1e-8)
    for found, expected in zip(three.influence_blocks(), one.influence_blocks(), strict=True):
        for name in ("value", "stderr", "low", "high"):
            values = (getattr(each.errors, name) for each in (found, expected))
            np.testing.assert_allclose(*values, atol=1e-8)
    held = memorization(train_counts(hold(tmp_path / "three" / "predictions"), labels))
    np.testing.assert_allclose(held.stderr, one.memorization["stderr"], atol=1e-8)


def of_noisy_subsets(rng, subsets, repeats, examples):
    """Trials whose models are right for reasons that lie in the subset, but in none of its members.

    Example `j` is its own test example. Models of one subset share the probability of being right
    on it, 0.1 or 0.9, so that their results correlate by 0.64.
    """
    labels = Labels(np.zeros(examples, int), np.zeros(examples, int), ("a",), FINGERPRINT)
    found = []
    for _ in range(subsets):
        mask = rng.permutation(examples) < examples // 2
        chance = np.where(rng.random((2, examples)) < 0.5, 0.1, 0.9)
        for _ in range(repeats):
            found.append(record(len(found), mask, *(rng.random((2, examples)) < chance)))
    return found, labels


def test_errors_are_those_of_subsets(tmp_path):
    """Without any effect, estimates over their errors have variance 1.

    Counting models as independent would make the variance 1 + 4 * 0.64 = 3.6, and leave 0
    outside of 0.30 of the intervals of 95%. Chance of a false alarm: 10^-4 for each of two.
    """
    rng, examples = np.random.default_rng(0), 40
    records, labels = of_noisy_subsets(rng, 100, 5, examples)
    run = run_of(tmp_path, records, labels, 5)
    (block,) = run.influence_blocks()
    z = np.diag(block.influence / block.errors.stderr)
    z = np.concatenate([z, run.memorization["memorization"] / run.memorization["stderr"]])
    low, high = chi2(len(z)).ppf([5e-5, 1 - 5e-5])
    assert 0.8 * low < (z**2).sum() < high  # errors are cautious
    outside = np.abs(z) > 1.96
    assert outside.sum() <= binom(len(z), 0.05).ppf(1 - 1e-4)


def test_all_pairs_are_searched_by_subsets(tmp_path):
    """The search of all pairs finds what is in the pairs by class, with the same errors."""
    rng = np.random.default_rng(1)
    records, labels = of_noisy_subsets(rng, 40, 2, 24)
    run = run_of(tmp_path / "run", records, labels, 2)
    folders = {"memorization": str(tmp_path / "m"), "pairs": str(tmp_path / "p")}
    predictions = tmp_path / "run" / "predictions"
    shards, known = shards_in(predictions), str(predictions / "labels.npz")
    search_pairs(shards[::-1], known, folders, SELECTION, statistic="correctness")
    pd.testing.assert_frame_equal(read_memorization(tmp_path / "m"), run.memorization)
    pd.testing.assert_frame_equal(read_pairs(tmp_path / "p"), run.pairs)
    assert len(run.pairs)
    write_matrix(shards, known, str(tmp_path / "i.npy"), statistic="correctness")
    (block,) = run.influence_blocks()
    np.testing.assert_allclose(np.load(tmp_path / "i.npy"), block.influence, atol=1e-6)


def test_proxies_and_their_truth_share_no_subset(tmp_path):
    records, labels = random_run(8)
    run = run_of(tmp_path, again(records, 3), labels, 3)
    settings = from_yaml("", ["training.trials=24", "training.repeats=3"])
    numbers = _numbers_of_trials(ProxySettings(trials=(2, 3, 4, 10, 11, 13)), settings)
    assert numbers == [3, 6, 12]
    for number in numbers:
        made, truth = (
            {each.trial_id // 3 for each in records_between(run.predictions, *ends)}
            for ends in ((0, number), (number, None))
        )
        assert (len(made), len(truth)) == (number // 3, 8 - number // 3)
        assert not made & truth
