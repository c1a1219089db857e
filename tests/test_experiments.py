from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.experiments import given
from tests.helpers.oracle import example_learner, record
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.estimation.estimator import CORRECTNESS
from tfmem.estimation.noisy import compare_noisy
from tfmem.experiments import fraction as fraction_module
from tfmem.experiments import leave_one_out as leave_one_out_module
from tfmem.experiments import pair_utility as pair_utility_module
from tfmem.experiments import removal as removal_module
from tfmem.experiments import training as training_module
from tfmem.experiments.fraction import Estimates, FractionSettings, fraction
from tfmem.experiments.leave_one_out import (
    LeaveOneOutSettings,
    _mean_variance,
    _of_mean,
    _samples,
    leave_one_out,
)
from tfmem.experiments.outcome import Outcome, load_outcome
from tfmem.experiments.pair_utility import (
    PairUtilitySettings,
    pair_utility,
    pair_utility_figure,
)
from tfmem.experiments.removal import RemovalSettings, removal
from tfmem.experiments.training import Trained, train_on
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.shards import read_shard

TINY = ["model.name=dense", "model.hidden=[32]", "training.epochs=10"]


def lookup(learner):
    """Replaces training by a lookup learner, whose predictions are known for every mask."""

    def train(config, dataset, masks, out, scored=False):
        del config, dataset, out, scored
        predictions = [learner.predict(mask) for mask in masks]
        return Trained(*(np.stack(part) for part in zip(*predictions, strict=True)))

    return train


def test_removal_has_its_closed_form_for_a_lookup_learner(tmp_path, monkeypatch):
    """Removing a memorized example costs the test examples that only it explains."""
    learner = example_learner()
    monkeypatch.setattr(removal_module, "train_on", lookup(learner))
    memorization = learner.memorization()

    def removed(known, **settings):
        table = pd.DataFrame({"memorization": known})
        wanted = RemovalSettings(**settings)
        return removal(given(from_yaml("", TINY), wanted, tmp_path, memorization=table))

    outcome = removed(memorization, thresholds=(0.5, 1), repeats=2)
    for row in outcome.table[outcome.table["removal"] == "memorized"].itertuples():
        mask = memorization < row.threshold
        assert row.removed == (~mask).sum()
        assert row.accuracy == learner.predict(mask)[1].mean()
        assert row.accuracy_sd == 0
    outcome.save(tmp_path)
    again = load_outcome(tmp_path)
    assert again.findings == outcome.findings
    some = np.where(np.arange(len(memorization)) < 3, memorization, np.nan)
    with pytest.raises(InputError, match=r"removal\.shares: expected at most 0\.\d+, the share of"):
        removed(some, shares=(0.5,))
    assert again.table["accuracy"].tolist() == pytest.approx(outcome.table["accuracy"].tolist())


def test_what_pairs_are_worth_is_lost_on_whom_they_influence(tmp_path, monkeypatch):
    """A lookup learner loses all accuracy on the influenced test examples, and none on others."""
    learner = example_learner()
    monkeypatch.setattr(pair_utility_module, "train_on", lookup(learner))
    config, settings = from_yaml("", TINY), PairUtilitySettings(repeats=200)
    data = SimpleNamespace(train_labels=learner.labels.train_labels)
    train, test = np.nonzero(learner.influence() >= 0.5)
    assert set(train.tolist()) == {0, 7}

    def worth(train, test):
        pairs = pd.DataFrame({"train_index": train, "test_index": test})
        return pair_utility(given(config, settings, tmp_path, data, pairs=pairs))

    table = worth(train, test).table.set_index(["removal", "examples"])
    pairs, random = table.loc["pairs"], table.loc["random"]
    assert pairs["lost"].to_dict() == pytest.approx({"all": 0.4, "influenced": 0.4, "others": 0})
    assert pairs.loc["influenced", ["size", "accuracy"]].tolist() == [2, 0]
    # Two of eight are removed at random: a test example is lost with all of its twins.
    expected = {"influenced": (2 / 8 + 2 / 8) / 5, "others": (1 / 28 + 1 / 28) / 5}
    for name, lost in expected.items():  # false alarms: 1 in 10^4
        row = random.loc[name]
        assert abs(row["lost"] - lost) < 3.9 * row["lost_stderr"]
    with pytest.raises(InputError, match="pairs of all"):
        worth(np.arange(8), np.zeros(8, int))
    none = worth(train[:0], test[:0])
    none.save(tmp_path)
    assert load_outcome(tmp_path).table.empty
    assert "No pair" in none.findings[0]
    pair_utility_figure(none.table, None)


def test_leave_one_out_has_its_closed_form_for_a_lookup_learner(tmp_path, monkeypatch):
    """It is 1 for an example without twins and 0 for others, whose estimates are higher."""
    learner = example_learner()
    monkeypatch.setattr(leave_one_out_module, "train_on", lookup(learner))
    estimates = learner.memorization()
    memorization = pd.DataFrame(
        {
            "memorization": estimates,
            "n_in": 35,
            "n_out": 21,
            "accuracy_in": np.float32(1),
            "accuracy_out": (1 - estimates).astype(np.float32),
        }
    )
    data = SimpleNamespace(train_labels=learner.labels.train_labels)
    monkeypatch.setattr(leave_one_out_module, "_records", lambda *_: learner.records())
    run = {
        "memorization": memorization,
        "predictions": None,
        "statistic": "correctness",
    }

    def conducted(**settings):
        wanted = LeaveOneOutSettings(repeats=3, repeats_with=2, **settings)
        return leave_one_out(given(from_yaml("", TINY), wanted, tmp_path, data, **run))

    outcome = conducted()
    table = outcome.table.set_index("index").sort_index()
    assert table["leave_one_out"].tolist() == [1, 0, 0, 1, 0, 0, 0, 1]
    assert table["estimate"].tolist() == pytest.approx(estimates.tolist())
    share = 1 - estimates
    assert table["estimate_variance"].tolist() == pytest.approx((share * (1 - share) / 20).tolist())
    assert (table["leave_one_out_variance"] == 0).all()
    chosen = conducted(examples=4).table
    assert chosen["choice"].tolist() == ["top", "bottom", "middle", "middle"]
    assert chosen["estimate"][0] == 1
    assert chosen["estimate"][1] == pytest.approx(estimates.min())
    assert chosen["index"].is_unique


def test_noise_is_told_from_disagreement():
    """Slope and highest correlation are right although plain regression is wrong."""
    rng, count, noise = np.random.default_rng(0), 200, 0.2
    truth, variance = rng.random(count), np.full(count, noise**2)
    found = []
    for _ in range(40):
        x, y = (share * truth + rng.normal(0, noise, count) for share in (1, 0.8))
        each = compare_noisy(x, y, variance, variance)
        found.append((each.slope, each.ceiling - each.correlation))
        assert each.correlation_ci[0] < each.correlation < each.correlation_ci[1]
        assert each.rms_noise == pytest.approx(noise * np.sqrt(2))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(40)
    # False alarms: below 1 in 10^4. A plain regression has slope 0.54.
    assert abs(mean[0] - 0.8) < 4 * error[0] + 0.01
    assert abs(mean[1]) < 4 * error[1] + 0.01


def test_the_error_of_a_mean_difference_has_what_all_quantities_share():
    """Models of uneven quality move the estimates of all examples together.

    Over 300 farms, the mean of 40 examples varies as its variance says, for estimates from 60
    trials and for the accuracy of 60 models. The standard error of the ratio is 8%, and the bounds
    are 4.5 of these (false alarm below 1e-5). Independent noise is at most a sixth of the variance
    of the accuracy.
    """
    rng, trials, count = np.random.default_rng(3), 60, 40
    means, expected, alone = [], [], []
    for _ in range(300):
        masks = np.argsort(rng.random((trials, count)), axis=1) < 28
        logit = rng.normal(0, 2, (trials, 1)) + 1.5 * masks
        correct, empty = rng.random((trials, count)) < 1 / (1 + np.exp(-logit)), np.zeros(0, bool)
        records = [record(k, masks[k], correct[k], empty) for k in range(trials)]
        inside, right = masks.sum(axis=0), correct.mean(axis=0)
        with_it = (masks & correct).sum(axis=0) / inside
        without = (~masks & correct).sum(axis=0) / (trials - inside)
        means.append([(with_it - without).mean(), right.mean()])
        accuracy = _of_mean(correct.mean(axis=1))
        expected.append(
            [_mean_variance(*_samples(records, np.arange(count), CORRECTNESS)), accuracy]
        )
        alone.append((right * (1 - right)).sum() / (trials - 1) / count**2)
    ratio = np.mean(expected, axis=0) / np.var(means, axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.37)
    assert np.mean(alone) < np.var(means, axis=0)[1] / 6
    x, y, noise = rng.normal(size=(3, count))
    plain = compare_noisy(x, y, noise**2, noise**2)
    both = 2 * (noise**2).sum() / count**2
    assert compare_noisy(x, y, noise**2, noise**2, both).bias_stderr == pytest.approx(
        plain.bias_stderr
    )
    more = compare_noisy(x, y, noise**2, noise**2, both + 0.09).bias_stderr
    assert more**2 == pytest.approx(plain.bias_stderr**2 + 0.09 * count / (count - 1))


def test_the_best_fraction_weighs_bias_against_variance(tmp_path, monkeypatch):
    """A lookup learner's estimates are nearer to leave-one-out the larger its subsets are."""
    learners = {m / 8: example_learner(m) for m in (4, 7)}
    per_trial = {0.5: 4.0, 0.875: 9.0}

    def estimate(given, share):
        value = learners[share].memorization()
        spread = np.full(8, per_trial[share] / 100)
        return Estimates(value, np.sqrt(spread), spread, 100, 0.5, memorized=value >= 0.25)

    monkeypatch.setattr(fraction_module, "_estimate", estimate)
    settings = FractionSettings(fractions=(0.5, 0.875), planned_trials=(10, 1000000))
    truth = np.array([1, 0, 0, 1, 0, 0, 0, 1])
    alone = {"index": range(8), "leave_one_out": truth, "leave_one_out_variance": 0.01}
    known = tmp_path / "leave-one-out"
    known.mkdir()
    made = replace(given(from_yaml("", TINY), settings, tmp_path), used={known.name: known})
    among = fraction(made).table  # an experiment that has not been conducted yet
    Outcome((), pd.DataFrame(alone)).save(known)
    table = fraction(made).table.set_index("fraction")
    for share, learner in learners.items():
        row, apart = table.loc[share], learner.memorization() - truth
        assert row["bias"] == pytest.approx(apart.mean())
        squared = max((apart**2).mean() - per_trial[share] / 100 - 0.01, 0)
        assert row["distance"] == pytest.approx(np.sqrt(squared))
        assert row["rmse_10"] == pytest.approx(np.sqrt(squared + per_trial[share] / 10))
        assert row["memorized"] == (learner.memorization() >= 0.25).sum()
    assert table["rmse_10"].idxmin() == 0.5
    assert table["rmse_1000000"].idxmin() == 0.875
    assert among["reference"].tolist() == ["fraction 0.875"] * 2
    assert among["distance"].iloc[1] == 0


def test_runs_of_fractions_are_counted_and_trained_once(tmp_path):
    config = from_yaml("", [*TINY, "training.epochs=1", "training.stack_size=20"])
    data = load(config.dataset)
    made = given(config, FractionSettings(fractions=(0.5, 0.8), trials=40), tmp_path, data)
    table = fraction(made).table
    masks = {}
    for share, memorized in zip(table["fraction"], table["memorized"], strict=True):
        shards = sorted((tmp_path / f"fraction-{share:g}").glob("*/predictions/*.tfrecord"))
        records = [each for path in shards for each in read_shard(path)]
        count = len(data.train_labels)
        inside = np.array([unpack(each.subset_mask, count) for each in records])
        right = np.array([unpack(each.train_correct, count) for each in records])
        assert (inside.sum(axis=1) == round(share * count)).all()
        value = [a[b].mean() - a[~b].mean() for a, b in zip(right.T, inside.T, strict=True)]
        assert memorized == (np.array(value) >= 0.25).sum()
        masks[share] = inside
    assert not (masks[0.5] <= masks[0.8]).all(axis=1).any()  # not parts of the same draws
    stamp = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.tfrecord")}
    assert fraction(made).table.equals(table)
    assert stamp == {path: path.stat().st_mtime_ns for path in stamp}


def test_models_that_diverge_are_trained_again_with_other_seeds(tmp_path, monkeypatch):
    """Two of the models diverge, one of them again; after three seeds it is an error."""
    config, data = from_yaml("", TINY), load(from_yaml("", []).dataset)
    masks = [np.eye(5, dtype=bool)[k] for k in range(5)]
    seeds = []

    def train(config, dataset, masks, out, scored, lost):
        del dataset, out, scored
        seeds.append(config.seed)
        assert len(masks) > 1
        return Trained(
            np.stack(masks), np.full((len(masks), 3), len(seeds) > 1), np.array(lost, np.int64)
        )

    def trained(*lost):
        seeds.clear()
        monkeypatch.setattr(
            training_module, "_train_on", lambda *given: train(*given, lost[len(seeds)])
        )
        return train_on(config, data, masks, tmp_path)

    found = trained([1, 3], [1], [])
    assert (found.train == np.eye(5, dtype=bool)).all()
    assert found.test_mean.tolist() == [0, 1, 0, 1, 0]
    assert len(set(seeds)) == 3
    with pytest.raises(InputError, match="1 of 5 models diverged with 3 seeds"):
        trained([1, 3], [1], [0])


def test_models_are_trained_on_their_masks_whatever_their_order(tmp_path):
    config, data = from_yaml("", TINY), load(from_yaml("", []).dataset)
    rng = np.random.default_rng(0)
    count = len(data.train_labels)
    masks = [rng.permutation(count) < size for size in (900, 400, 900, 400)]
    first = train_on(config, data, masks, tmp_path)
    assert first.train.shape == (4, count)
    for mask, correct in zip(masks, first.train, strict=True):
        assert correct[mask].mean() > correct[~mask].mean() > 0.2
    stamp = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/predictions/*.tfrecord")}
    again = train_on(config, data, masks, tmp_path)
    assert (again.test == first.test).all()
    assert stamp == {path: path.stat().st_mtime_ns for path in stamp}
    # Models of other masks get another folder, and earlier models are found again.
    train_on(config, data, masks[:2], tmp_path)
    others = train_on(config, data, [~mask for mask in masks], tmp_path)
    assert (others.test != first.test).any()
    assert len(list(tmp_path.iterdir())) == 3
    train_on(config, data, masks, tmp_path)
    assert stamp == {path: path.stat().st_mtime_ns for path in stamp}
