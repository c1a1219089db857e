"""Pairs selected by scores, and the matrix of all of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.helpers.oracle import random_records
from tests.helpers.runs import SELECTION, random_run, write_run
from tests.helpers.scores import (
    NAME,
    aggregate,
    by_loops,
    inputs,
    run_of_scores,
    search,
    values_in,
)
from tfmem.aggregation.counting import Room
from tfmem.aggregation.held import hold_trials
from tfmem.aggregation.jobs import select_pairs
from tfmem.aggregation.matrices import write_matrix
from tfmem.config import SelectionSettings
from tfmem.estimation.significance import bins_of_thresholds, expected_scores_by_chance
from tfmem.experiments.consistency import Rule, consistency, describe, rule_of
from tfmem.experiments.run import load_run
from tfmem.messages.errors import InputError
from tfmem.pipelines.consistency import agreement_table, error_table
from tfmem.selection.rules import rule_of_set
from tfmem.store.records import (
    shard_name,
)
from tfmem.store.scores import scores_to_bytes


def cohens_d(mask, values):
    inside, outside = values[mask], values[~mask]
    squares = sum(((part - part.mean()) ** 2).sum() for part in (inside, outside))
    return (inside.mean() - outside.mean()) / np.sqrt(squares / (len(values) - 2))


def test_a_task_without_classes_has_all_pairs_and_tiles_find_the_same(tmp_path):
    records, labels = run_of_scores(60, bits=False, classes=False)
    write_run(tmp_path, records, labels)
    rule = SelectionSettings(fdr=0.2)
    aggregate(tmp_path, selection=rule)
    run = load_run(tmp_path)
    assert len(run.pairs) > 5
    assert run.influence[0].influence.shape == (40, 25)
    name = f"pairs/{shard_name('pairs', 0, 1)}"
    whole = (tmp_path / name).read_bytes()
    for room in (Room(), Room(tile=3 * 32), Room(tile=7 * 32, found=40)):
        assert search(tmp_path, rule, room=room)[name] == whole


@pytest.mark.parametrize("statistic", ["probability", "margin", "score"])
def test_all_pairs_hold_those_of_one_class(tmp_path, statistic):
    records, labels = run_of_scores(60)
    write_run(tmp_path, records, labels)
    rule = SelectionSettings(memorization=0.1, influence=0.3, unit="sd", sign="both")
    aggregate(tmp_path, statistic, rule)
    search(tmp_path, rule, statistic)
    run, everything = load_run(tmp_path), load_run(tmp_path / "all")
    pairs = everything.pairs
    same = pairs[labels.train_labels[pairs["train_index"]] == pairs["test_label"]]
    assert len(pairs) > len(same) == len(run.pairs) > 0
    columns = ["train_index", "test_index", "influence", "stderr", "p_value"]
    np.testing.assert_array_equal(same[columns], run.pairs[columns])
    select_pairs(str(tmp_path / "influence" / "*"), inputs(tmp_path)[1], str(tmp_path / "x"), rule)
    name = shard_name("pairs", 0, 1)
    assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "pairs" / name).read_bytes()


@pytest.mark.parametrize("sign", ["positive", "negative", "both"])
@pytest.mark.parametrize("unit", ["sd", "score"])
def test_thresholds_are_in_the_unit_of_the_score_or_in_standard_deviations(tmp_path, unit, sign):
    records, labels = run_of_scores(50)
    write_run(tmp_path, records, labels)
    rule = SelectionSettings(memorization=0.4, influence=0.35, unit=unit, sign=sign)
    search(tmp_path, rule)
    found = load_run(tmp_path / "all").pairs
    masks, train, test = values_in(records, "score")
    effect = cohens_d if unit == "sd" else lambda mask, values: by_loops(mask, values)[0]
    signed = {"positive": lambda x: x, "negative": lambda x: -x, "both": abs}[sign]
    memorized = [i for i in range(40) if effect(masks[:, i], train[:, i]) >= 0.4]
    expected = {
        (i, j)
        for i in memorized
        for j in range(25)
        if signed(effect(masks[:, i], test[:, j])) >= 0.35
    }
    assert set(zip(found["train_index"], found["test_index"], strict=True)) == expected
    assert 20 < len(expected) < 25 * len(memorized)


def test_the_default_rule_is_a_rate_of_false_discoveries(tmp_path):
    """Of 1,000 pairs, the 15 that matter have effects of 3 SDs in 130 trials."""
    records, labels = run_of_scores(130)
    write_run(tmp_path, records, labels)
    search(tmp_path, SelectionSettings())
    rule = rule_of_set(str(tmp_path / "all" / "pairs"))
    assert (rule.fdr, rule.memorization, rule.influence) == (0.05, None, None)
    found = load_run(tmp_path / "all").pairs
    true = (found["train_index"] == found["test_index"]) & (found["test_index"] < 15)
    assert true.sum() == 15
    assert (~true).sum() <= 4  # a Poisson variable of mean 0.8: false alarm below 2e-3
    plain = SelectionSettings().resolved("correctness")
    assert (plain.fdr, plain.memorization, plain.influence) == (None, 0.25, 0.15)


def test_the_number_expected_by_chance_is_that_of_unrelated_subsets(tmp_path):
    """What is found, about 1,500 pairs, is within 20% of it: 7 standard deviations."""
    rng = np.random.default_rng(3)
    records = [
        replace(one, train_score=scores_to_bytes(rng.normal(size=200)),
                test_score=scores_to_bytes(rng.normal(size=150) * 10.0 ** (np.arange(150) % 9)),
                score=b"s")
        for one in random_records(rng, 120, 200, 150)
    ]  # fmt: skip
    labels = replace(
        random_run(2)[1], train_labels=np.zeros(200, int), test_labels=np.zeros(150, int)
    )
    write_run(tmp_path, records, labels)
    search(tmp_path, SelectionSettings(influence=0.35, unit="sd"))
    found = load_run(tmp_path / "all")
    assert len(found.pairs) > 1000
    assert found.selection["expected_by_chance"] == pytest.approx(len(found.pairs), rel=0.2)


def test_expected_by_chance_is_the_normal_tail():
    from scipy.stats import norm

    in_sds = np.array([0.2, 0.5, 0.5, 1.0, np.inf, np.nan, 0.0])
    expected = sum(norm.sf(d * np.sqrt(70 * 30 / 100)) for d in (0.2, 0.5, 0.5, 1, 0))
    tested = bins_of_thresholds(in_sds)
    assert tested.sum() == 7
    assert expected_scores_by_chance(70, tested, 100, "positive") == pytest.approx(expected, 0.02)
    both = expected_scores_by_chance(70, tested, 100, "both")
    assert both == pytest.approx(2 * expected, 0.02)


@pytest.mark.parametrize("statistic", ["probability", "loss", "score"])
def test_the_full_matrix_is_influence(tmp_path, statistic):
    records, labels = run_of_scores(30, classes=False)
    write_run(tmp_path, records, labels)
    aggregate(tmp_path, statistic)
    expected = load_run(tmp_path).influence[0].influence.astype(np.float32)
    for room in (Room(), Room(tile=7 * 32)):
        out = tmp_path / "influence.npy"
        write_matrix(*inputs(tmp_path), str(out), "float32", (), statistic, room)
        np.testing.assert_array_equal(np.load(out), expected)


def test_estimates_of_two_scores_are_not_mixed(tmp_path):
    records, labels = run_of_scores(20)
    other = [replace(one, score=b"another") for one in records]
    for name, trials in (("one", records), ("other", other)):
        write_run(tmp_path / name, trials, labels)
        aggregate(tmp_path / name)
    files = [tmp_path / f"{name}.tfrecord" for name in ("one", "other")]
    for path in files:
        path.write_bytes(
            (tmp_path / path.stem / "influence" / shard_name("influence", 0, 1)).read_bytes()
        )
    with pytest.raises(InputError, match=r"of score \(another\) and of score \(negative squared"):
        select_pairs(
            list(map(str, files)), inputs(tmp_path / "one")[1], str(tmp_path / "p"), SELECTION
        )


def test_halves_of_scores_are_compared_in_standard_deviations(tmp_path):
    """Effects of 3 SDs and more are found by both halves; estimates differ as their errors say.

    The ratio of 238 differences to their errors has a standard deviation of 5% (false alarm 1e-6).
    """
    records, labels = run_of_scores(200)
    write_run(tmp_path, records, labels, shards=3)
    folder = tmp_path / "predictions"
    (found,) = consistency([folder], tmp_path / "out", Rule(1.0, 0.8))
    masks, train, _ = values_in(records, "score")
    sides = [[cohens_d(masks[k::2, i], train[k::2, i]) for i in range(40)] for k in (0, 1)]
    assert found.first.memorized == np.sum(np.array(sides[0]) >= 1.0) >= 15
    assert found.second.memorized == np.sum(np.array(sides[1]) >= 1.0)
    difference = np.sqrt(np.mean(np.subtract(*sides) ** 2))
    assert found.memorization_errors.difference == pytest.approx(difference, rel=1e-6)
    errors = found.influence_errors
    assert errors.compared == labels.pairs_in_class()
    assert errors.difference == pytest.approx(errors.expected, rel=0.25)
    assert f"pairs, mean {NAME} -" in describe(found.first)
    table, errors = agreement_table(found), error_table(found, halves=True)
    assert "mem 1 SD" in [cell.plain for cell in table.columns[0].cells]
    assert errors.columns[0].header.plain == "root mean square (SD)"
    assert len(errors.columns) == 3  # without Lemma 2.1, which is of values from 0 to 1
    assert pd.read_csv(tmp_path / "out" / "errors.csv")["first_lemma_bound"].isna().all()


@pytest.mark.parametrize(
    ("selection", "expected"),
    [({}, (0.25, 0.15)), ({"memorization": 4e4, "influence": 3e3}, (0.25, 0.15)),
     ({"unit": "sd", "memorization": 1.2}, (1.2, 0.15))],
)  # fmt: skip
def test_thresholds_in_the_unit_of_a_score_do_not_count_as_standard_deviations(
    tmp_path, selection, expected
):
    write_run(tmp_path, *run_of_scores(8))
    rule = rule_of(SelectionSettings(**selection), tmp_path / "predictions")
    assert (rule.memorization, rule.influence) == expected


def test_the_correctness_of_records_with_scores_only_is_refused_by_record(tmp_path):
    write_run(tmp_path, *run_of_scores(8, bits=False))
    shards, labels = inputs(tmp_path)
    with pytest.raises(InputError, match="record 0: trial 0: expected which predictions are right"):
        hold_trials(shards, labels)
