from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.oracle import example_learner
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.errors import InputError
from tfmem.estimation.noisy import compare
from tfmem.experiments import leave_one_out as leave_one_out_module
from tfmem.experiments import pair_utility as pair_utility_module
from tfmem.experiments import removal as removal_module
from tfmem.experiments.leave_one_out import leave_one_out
from tfmem.experiments.outcome import load_outcome
from tfmem.experiments.pair_utility import pair_utility
from tfmem.experiments.removal import removal
from tfmem.experiments.training import Trained, train_on

TINY = ["model.name=dense", "model.hidden=[16]", "training.epochs=2"]


def lookup(learner):
    """Trains nothing: predictions of the lookup learner, which are known for every mask."""

    def train(config, dataset, masks, out):
        del config, dataset, out
        predictions = [learner.predict(mask) for mask in masks]
        return Trained(*(np.stack(part) for part in zip(*predictions, strict=True)))

    return train


def test_removal_has_its_closed_form_for_a_lookup_learner(tmp_path, monkeypatch):
    """Each memorized example that is removed costs the test examples that only it explains."""
    learner = example_learner()
    monkeypatch.setattr(removal_module, "train_on", lookup(learner))
    config = from_yaml(
        "", [*TINY, "experiments.removal.thresholds=[0.5, 1]", "experiments.removal.repeats=2"]
    )
    memorization = learner.memorization()
    outcome = removal(config, None, memorization, tmp_path)
    for row in outcome.table[outcome.table["removal"] == "memorized"].itertuples():
        mask = memorization < row.threshold
        assert row.removed == (~mask).sum()
        assert row.accuracy == learner.predict(mask)[1].mean()
        assert row.accuracy_sd == 0
    outcome.save(tmp_path)
    again = load_outcome(tmp_path)
    assert again.findings == outcome.findings
    assert again.table["accuracy"].tolist() == pytest.approx(outcome.table["accuracy"].tolist())


def test_what_pairs_are_worth_is_lost_on_whom_they_influence(tmp_path, monkeypatch):
    """Of a lookup learner all, and nothing of it on other test examples."""
    learner = example_learner()
    monkeypatch.setattr(pair_utility_module, "train_on", lookup(learner))
    config = from_yaml("", [*TINY, "experiments.pair_utility.repeats=200"])
    data = SimpleNamespace(train_labels=learner.labels.train_labels)
    train, test = np.nonzero(learner.influence() >= 0.5)
    assert set(train.tolist()) == {0, 7}
    table = pair_utility(config, data, train, test, tmp_path).table.set_index(
        ["removal", "examples"]
    )
    pairs, random = table.loc["pairs"], table.loc["random"]
    assert pairs["lost"].to_dict() == pytest.approx({"all": 0.4, "influenced": 0.4, "others": 0})
    assert pairs.loc["influenced", ["size", "accuracy"]].tolist() == [2, 0]
    # Two of eight are removed at random: a test example is lost with all of its twins.
    expected = {"influenced": (2 / 8 + 2 / 8) / 5, "others": (1 / 28 + 1 / 28) / 5}
    for name, lost in expected.items():  # false alarms: 1 in 10^4
        row = random.loc[name]
        assert abs(row["lost"] - lost) < 3.9 * row["lost_stderr"]
    with pytest.raises(InputError, match="expected pairs"):
        pair_utility(config, data, train[:0], test[:0], tmp_path)


def test_leave_one_out_has_its_closed_form_for_a_lookup_learner(tmp_path, monkeypatch):
    """It is 1 for an example without twins and 0 for the others; estimates of these are higher."""
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
    settings = [f"experiments.leave_one_out.{name}" for name in ("repeats=3", "repeats_with=2")]
    outcome = leave_one_out(from_yaml("", [*TINY, *settings]), data, memorization, tmp_path)
    table = outcome.table.set_index("index").sort_index()
    assert table["leave_one_out"].tolist() == [1, 0, 0, 1, 0, 0, 0, 1]
    assert table["estimate"].tolist() == pytest.approx(estimates.tolist())
    share = 1 - estimates
    assert table["estimate_variance"].tolist() == pytest.approx((share * (1 - share) / 20).tolist())
    assert (table["leave_one_out_variance"] == 0).all()
    few = from_yaml("", [*TINY, *settings, "experiments.leave_one_out.examples=4"])
    chosen = leave_one_out(few, data, memorization, tmp_path).table
    assert chosen["choice"].tolist() == ["top", "bottom", "middle", "random"]
    assert chosen["estimate"][0] == 1
    assert chosen["estimate"][1] == pytest.approx(estimates.min())
    assert chosen["index"].is_unique


def test_noise_is_told_from_disagreement():
    """Slope and highest correlation are right where a plain regression gives half the slope."""
    rng = np.random.default_rng(0)
    truth = rng.random(300)
    variance = np.full(300, 0.3**2)
    found = []
    for _ in range(100):
        x, y = truth + rng.normal(0, 0.3, 300), 0.8 * truth + rng.normal(0, 0.3, 300)
        each = compare(x, y, variance, variance)
        found.append((each.slope, each.ceiling - each.correlation, each.rms_noise))
        assert each.correlation_ci[0] < each.correlation < each.correlation_ci[1]
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / 10
    assert abs(mean[0] - 0.8) < 4 * error[0] + 0.02  # false alarms: below 1 in 10^4
    assert abs(mean[1]) < 4 * error[1] + 0.01
    assert mean[2] == pytest.approx(0.3 * np.sqrt(2))


def test_models_are_trained_on_their_masks_whatever_their_order(tmp_path):
    config, data = from_yaml("", TINY), load(from_yaml("", []).dataset)
    rng = np.random.default_rng(0)
    count = len(data.train_labels)
    masks = [rng.permutation(count) < size for size in (900, 400, 900, 400)]
    first = train_on(config, data, masks, tmp_path)
    assert first.train_correct.shape == (4, count)
    for mask, correct in zip(masks, first.train_correct, strict=True):
        assert correct[mask].mean() > correct[~mask].mean() > 0.2
    assert first.test_accuracy[[0, 2]].min() > first.test_accuracy[[1, 3]].max()
    stamp = {path: path.stat().st_mtime_ns for path in tmp_path.glob("predictions/*.tfrecord")}
    again = train_on(config, data, masks, tmp_path)
    assert (again.test_correct == first.test_correct).all()
    assert stamp == {path: path.stat().st_mtime_ns for path in stamp}
    with pytest.raises(InputError, match="subsets_digest"):
        train_on(config, data, masks[::-1], tmp_path)
