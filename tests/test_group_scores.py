"""Memorization and influence of groups by scores."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tests.helpers.runs import write_run
from tests.helpers.scores import NAME, aggregate, by_loops, inputs, run_of_scores, values_in
from tfmem.aggregation.group_estimates import estimate_groups
from tfmem.experiments.run import load_run
from tfmem.store.records import decode_example, read_records, shard_name
from tfmem.store.sets import read_manifest

GROUPS = {"one": np.array([3]), "two": np.array([1, 2]), "three": np.array([10, 25, 39])}
NAMES = ["stderr", "ci_low", "ci_high"]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "groups").iterdir())}


def test_groups_equal_two_loops_over_trials_in_any_order(tmp_path):
    records, labels = run_of_scores(130, bits=False)
    write_run(tmp_path / "a", records, labels)
    found = estimate_groups(*inputs(tmp_path / "a"), GROUPS, tmp_path / "a" / "groups", top=25)
    masks, train, test = values_in(records, "score")
    tables = [table.set_index("group") for table in vars(found).values()]
    groups, members, influence = tables
    for name, of in GROUPS.items():
        inside, outside = masks[:, of].all(axis=1), ~masks[:, of].any(axis=1)
        whole = inside | outside
        row = groups.loc[name]
        assert (row["n_in"], row["n_out"]) == (inside.sum(), outside.sum())
        expected = by_loops(inside[whole], train[whole][:, of].mean(axis=1))
        columns = ["memorization", *NAMES]
        np.testing.assert_allclose(row[columns].astype(float), expected, rtol=1e-5)
        assert row["score_in"] == pytest.approx(train[inside][:, of].mean())
        alone = [by_loops(masks[:, i], train[:, i])[0] for i in of]
        assert row["example_memorization"] == pytest.approx(np.mean(alone), rel=1e-6)
        of_members = [by_loops(inside[whole], train[whole, i]) for i in of]
        np.testing.assert_allclose(members.loc[[name], columns], of_members, rtol=1e-5, atol=1e-12)
        rows = influence.loc[name].set_index("test_index")
        assert sorted(rows.index) == list(range(25))
        for j, line in rows.iterrows():
            expected = by_loops(inside[whole], test[whole, j])
            numbers = line[["influence", *NAMES]].astype(float)
            np.testing.assert_allclose(numbers, expected, atol=1e-7 * np.ptp(test[:, j]), rtol=1e-5)
            deviation = test[whole, j].std(ddof=1) * np.sqrt(1 / inside.sum() + 1 / outside.sum())
            p = norm.sf(expected[0] / deviation)
            assert line["p_value"] == pytest.approx(p, rel=1e-3, abs=1e-12)
    order = np.random.default_rng(1).permutation(130)
    write_run(tmp_path / "b", [records[k] for k in order] + records[:7], labels, shards=4)
    estimate_groups(*inputs(tmp_path / "b"), GROUPS, tmp_path / "b" / "groups", top=25)
    assert contents(tmp_path / "b") == contents(tmp_path / "a")
    made = read_manifest(tmp_path / "a" / "groups").made_from
    assert (made["statistic"], made["score"], made["trials"]) == ("score", NAME, 130)
    with open(tmp_path / "a" / "groups" / shard_name("groups", 0, 1), "rb") as file:
        features = decode_example(next(iter(read_records(file, "x")))[0], "x")
    assert (features["group"], features["score_name"]) == (b"one", NAME.encode())
    assert len(features["influence"]) == len(features["influence_stderr"]) == 25 * 4


def test_a_group_of_one_is_its_example(tmp_path):
    write_run(tmp_path, *run_of_scores(40))
    aggregate(tmp_path)
    alone = {str(i): np.array([i]) for i in range(40)}
    found = estimate_groups(*inputs(tmp_path), alone, tmp_path / "groups").groups
    known = load_run(tmp_path).memorization.reset_index()
    columns = ["n_in", "n_out", "memorization", *NAMES]
    pd.testing.assert_frame_equal(
        found[columns].astype(np.float32), known[columns].astype(np.float32), rtol=1e-6
    )
