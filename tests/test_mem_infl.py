import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.helpers.oracle import LookupLearner
from tests.helpers.runs import SELECTION, aggregate, write_run
from tfmem.config import Config
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Given
from tfmem.experiments.mem_infl import mem_infl, mem_infl_figure
from tfmem.experiments.run import load_run


def test_a_lookup_learner_has_its_closed_form(tmp_path):
    """One training example is of a class without test examples."""
    twins = [(), (2,), (1,), (), (5, 6), (4, 6), (4, 5), ()], [(0,), (1, 2), (3, 7), (0, 3)]
    learner = LookupLearner(*twins, 5, [0, 0, 0, 1, 1, 1, 1, 2], [0, 0, 1, 1])
    write_run(tmp_path, learner.records(), learner.labels)
    aggregate(tmp_path)
    config = Config(selection=SELECTION.model_copy(update={"influence": 0.3}))
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    run = load_run(tmp_path)
    outcome = mem_infl(Given(run, config, None, tmp_path))
    table = outcome.table.set_index(["split", "index"])
    same = learner.labels.train_labels[:, None] == learner.labels.test_labels
    truth = np.where(same, learner.influence(), -np.inf)
    train, test = table.loc["train"], table.loc["test"]
    assert np.isnan(train["largest_influence"][7])
    np.testing.assert_allclose(train["largest_influence"][:7], truth.max(axis=1)[:7])
    np.testing.assert_allclose(test["largest_influence"], truth.max(axis=0))
    np.testing.assert_allclose(train["memorization"], learner.memorization(), atol=1e-6)
    assert train["above"].tolist() == (truth > 0.3).sum(axis=1).tolist()
    assert test["above"].tolist() == (truth > 0.3).sum(axis=0).tolist()
    assert 0 < test["above"].sum() < test["pairs"].sum() == len(run.pairs)  # selected from 0.1 on
    assert train["pairs"].sum() == len(run.pairs)
    mem_infl_figure(outcome.table, None)


def test_rank_correlation_leaves_out_what_is_missing_and_covers_the_truth():
    """Of 40 intervals of normal pairs, at least 32 cover the correlation.

    False alarms are below 1e-3 if coverage is 95%, and below 2% if it is 90%, as bootstraps of 100
    may have.
    """
    first, second = np.array([1.0, np.nan, 3, 2, 5]), np.array([2.0, 9, np.nan, 4, 8])
    assert rank_correlation(first, second).value == pytest.approx(1)
    assert rank_correlation(first, second).count == 3
    ties = np.array([1.0, 1, 2, 2, 5, 7, 7]), np.array([3.0, 1, 1, 4, 4, 9, 2])
    assert rank_correlation(*ties).value == pytest.approx(spearmanr(*ties).statistic)
    assert math.isnan(rank_correlation(first, np.ones(5)).low)
    rng, linear = np.random.default_rng(0), 0.6
    truth = 6 / np.pi * np.arcsin(linear / 2)
    covered = 0
    for seed in range(40):
        one = rng.standard_normal(100)
        other = linear * one + math.sqrt(1 - linear**2) * rng.standard_normal(100)
        found = rank_correlation(one, other, seed)
        covered += found.low <= truth <= found.high
    assert covered >= 32
