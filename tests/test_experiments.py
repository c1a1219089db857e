import numpy as np
import pytest

from tests.oracle import example_learner
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.errors import InputError
from tfmem.experiments import removal as removal_module
from tfmem.experiments.outcome import load_outcome
from tfmem.experiments.removal import removal
from tfmem.experiments.training import Trained, train_on

TINY = ["model.name=dense", "model.hidden=[32]", "training.epochs=10"]


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


def test_models_are_trained_on_their_masks_whatever_their_order(tmp_path):
    config, data = from_yaml("", TINY), load(from_yaml("", []).dataset)
    rng = np.random.default_rng(0)
    count = len(data.train_labels)
    masks = [rng.permutation(count) < size for size in (900, 400, 900, 400)]
    first = train_on(config, data, masks, tmp_path)
    assert first.train_correct.shape == (4, count)
    for mask, correct in zip(masks, first.train_correct, strict=True):
        assert correct[mask].mean() > correct[~mask].mean() > 0.2
    stamp = {path: path.stat().st_mtime_ns for path in tmp_path.glob("predictions/*.tfrecord")}
    again = train_on(config, data, masks, tmp_path)
    assert (again.test_correct == first.test_correct).all()
    assert stamp == {path: path.stat().st_mtime_ns for path in stamp}
    with pytest.raises(InputError, match="subsets_digest"):
        train_on(config, data, masks[::-1], tmp_path)
