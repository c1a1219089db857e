"""Which examples are memorized by a score, and what an audit says of them."""

import numpy as np
import pytest

from tests.helpers.runs import write_run
from tests.helpers.scores import inputs, run_of_scores, values_in
from tfmem.aggregation.held_scores import hold_scores
from tfmem.aggregation.holding import hold, train_counts
from tfmem.audit.scored import far_off, score_effects
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import Measure, memorization
from tfmem.experiments.summed import means_of
from tfmem.selection.memorized import described, memorized


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """200 trials, in which the first 20 examples are memorized by 4 SDs."""
    folder = tmp_path_factory.mktemp("scored")
    records, labels = run_of_scores(200, bits=False)
    write_run(folder, records, labels)
    return hold(folder / "predictions"), labels, values_in(records, "score")


def test_examples_are_memorized_by_a_threshold_in_either_unit_or_by_significance(run):
    held, labels, (masks, train, _) = run
    counts = train_counts(held, labels)
    value = memorization(counts).value
    inside, outside = ([train[rows[:, i], i] for i in range(40)] for rows in (masks, ~masks))
    apart = np.array([a.mean() - b.mean() for a, b in zip(inside, outside, strict=True)])
    squares = [
        sum(((part - part.mean()) ** 2).sum() for part in both)
        for both in zip(inside, outside, strict=True)
    ]
    in_sds = apart / np.sqrt(np.array(squares) / 198)
    np.testing.assert_allclose(value, apart, rtol=1e-5, atol=1e-6)
    found = memorized(counts, SelectionSettings(memorization=1e3))
    assert found.tolist() == (apart >= 1e3).tolist()
    found = memorized(counts, SelectionSettings(memorization=1.5, unit="sd"))
    assert found.tolist() == (in_sds >= 1.5).tolist()
    by_rate = memorized(counts, SelectionSettings())
    assert by_rate[:20].all()  # p-values below 1e-9
    assert by_rate[20:].sum() <= 5  # a rate of 5% of some 20, and chance (p < 1e-3)


def test_rules_are_said_in_words():
    assert described(SelectionSettings(), "correctness") == "memorization of at least 0.25"
    in_sds = SelectionSettings(memorization=1.5, unit="sd")
    assert described(in_sds, "score") == "memorization of at least 1.5 SD"
    assert described(SelectionSettings(fdr=0.1), "score").endswith("false discovery rate of 0.1")


def test_effects_on_scores_are_differences_of_means_and_those_that_matter_are_found(run):
    held, labels, (masks, _, test) = run
    chosen = np.arange(40)
    table, means = score_effects(held, chosen, labels.train_labels, labels.test_labels, 0.0, 0.05)
    np.testing.assert_allclose(means, test.mean(axis=0), rtol=1e-6)
    for row in table.head(20).itertuples():
        inside = masks[:, row.train_index]
        values = test[:, row.test_index]
        expected = values[inside].mean() - values[~inside].mean()
        assert row.influence == pytest.approx(expected, rel=1e-5)
    found = set(zip(table["train_index"], table["test_index"], strict=True))
    same = {k for k in range(15) if labels.train_labels[k] == labels.test_labels[k]}
    assert {(k, k) for k in same} <= found  # of 3 SDs
    assert len(found) - len(same) <= 4


def test_examples_far_below_the_others_are_far_off():
    scores = np.r_[-np.linspace(0, 1, 41), -5.0, np.nan]
    found, fence = far_off(scores)
    assert np.flatnonzero(found).tolist() == [41]
    assert -4 < fence < -1
    assert not far_off(np.full(3, np.nan))[0].any()
    assert not far_off(np.zeros(9))[0].any()


def test_a_part_of_held_scores_has_the_means_of_its_trials(run):
    held, labels, (masks, train, test) = run
    means = means_of(held.part(slice(50, None)), labels)
    assert means.counts.num_trials == 150
    i, some = 3, slice(50, None)
    assert means.mean_in[i] == pytest.approx(train[some][masks[some, i], i].mean(), rel=1e-6)
    assert means.mean_out[i] == pytest.approx(train[some][~masks[some, i], i].mean(), rel=1e-6)
    np.testing.assert_allclose(means.test, test[some].mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("statistic", ["margin", "loss"])
def test_any_statistic_is_held(tmp_path, statistic):
    records, labels = run_of_scores(24)
    write_run(tmp_path, records, labels)
    held = hold(tmp_path / "predictions", statistic)
    np.testing.assert_allclose(held.train, values_in(records, statistic)[1], rtol=1e-6, atol=1e-9)
    assert held.measure == hold_scores(*inputs(tmp_path), Measure(statistic)).measure
