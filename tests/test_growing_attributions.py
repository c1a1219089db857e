"""Attributions from growing numbers of models, whose computation is stopped and continued."""

from types import SimpleNamespace

import numpy as np
import pytest

from tfmem.config import from_yaml
from tfmem.datasets.kept import unseen_dataset
from tfmem.experiments import gradient_attribution
from tfmem.experiments.gradient_attribution import growing_scores, write_scores
from tfmem.influence_functions.methods.method import Block, Contribution, Method

COUNTS = (1, 3, 4)
DATA = unseen_dataset("mine", [0, 1, 0, 1, 0, 1], [0, 1])


class Counted:
    """A method whose model `k` has the score `k + 1` everywhere, and that notes its models."""

    def __init__(self, monkeypatch, checkpoints=False):
        self.models, self.stop_at = [], None
        method = Method("trak", "none", checkpoints, 2, self.contribution)
        members = SimpleNamespace(
            epochs=(1, 2, 3) if checkpoints else (1,),
            snapshots=lambda number: range(3) if checkpoints else [number],
        )
        monkeypatch.setattr(gradient_attribution, "METHODS", {"trak": method})
        monkeypatch.setattr(gradient_attribution, "Members", lambda *_: members)
        monkeypatch.setattr(gradient_attribution, "_state", lambda _, __, number, ___: number)

    def contribution(self, number, config, folder):
        if number == self.stop_at:
            raise KeyboardInterrupt
        self.models.append(number)
        return Contribution([Block(np.arange(6), slice(0, 2), np.full((6, 2), number + 1.0))])


@pytest.fixture
def grow(tmp_path):
    return lambda *settings, counts=COUNTS: growing_scores(
        "trak", from_yaml("", settings), DATA, tmp_path, tmp_path, counts
    )


def test_finished_numbers_of_models_are_kept(grow, monkeypatch):
    method = Counted(monkeypatch)
    method.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        list(grow())
    method.stop_at = None
    found = list(grow())
    assert method.models == [0, 1, 2, 3]  # each once, although the second call began at the third
    assert [(each.cost.models, each.cost.passes) for each in found] == [(1, 2), (3, 6), (4, 8)]
    for each, mean in zip(found, (1, 2, 2.5), strict=True):
        np.testing.assert_array_equal(np.load(each.path), np.full((6, 2), mean))
    spent = [each.cost.cpu_seconds for each in found]
    assert spent == sorted(spent)
    assert list(grow()) == found
    assert len(method.models) == 4
    assert [np.load(each.path)[0, 0] for each in grow(counts=(2, 3))] == [1.5, 2]
    assert method.models[4:] == [0, 1]


def test_a_call_that_stopped_before_it_noted_a_cost_is_continued(grow, monkeypatch):
    method = Counted(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(gradient_attribution.Costs, "add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(grow())
    found = list(grow())
    assert method.models == [0, 1, 2, 3]
    assert [(each.cost.models, each.cost.passes) for each in found] == [(1, 2), (3, 6), (4, 8)]


def test_scores_with_other_settings_are_made_anew(grow, monkeypatch):
    method = Counted(monkeypatch)
    list(grow())
    for each in ("gradient_attribution.keep=3", "training.epochs=2"):
        method.models.clear()
        list(grow(each))
        assert method.models == [0, 1, 2, 3]


def test_checkpoints_continue_at_the_one_that_was_next(grow, monkeypatch, tmp_path):
    method = Counted(monkeypatch, checkpoints=True)
    method.stop_at = 1
    with pytest.raises(KeyboardInterrupt):
        list(grow(counts=(1,)))
    method.stop_at = None
    cost = write_scores("trak", from_yaml(""), DATA, tmp_path, tmp_path)
    assert method.models == [0, 1, 2]
    assert (cost.models, cost.passes) == (1, 6)
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), np.full((6, 2), 6.0))
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npy"]
