from dataclasses import replace
from inspect import signature

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from tests.helpers.counts import brute_force
from tests.helpers.oracle import LookupLearner, example_learner, random_records
from tests.helpers.runs import aggregate, random_run, write_run
from tfmem.aggregation.group_estimates import (
    LEAST_TRIALS,
    estimate_groups,
    trials_for_group,
)
from tfmem.aggregation.group_records import group_example, parse_group
from tfmem.datasets.duplicates import THRESHOLD
from tfmem.estimation import significance
from tfmem.estimation.group_effects import (
    GroupTally,
    example_memorization,
    group_influence,
    group_memorization,
    member_memorization,
)
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli import estimating, preparing
from tfmem.store.bits import pack, unpack
from tfmem.store.records import read_records
from tfmem.store.sets import read_manifest


def tallied(groups, masks, train, test):
    tally = GroupTally(groups, test.shape[1])
    for trial in zip(masks, train, test, strict=True):
        tally.add(*trial)
    return list(tally.counts())


def arrays(records):
    names = (
        ("subset_mask", "num_train"),
        ("train_correct", "num_train"),
        ("test_correct", "num_test"),
    )
    return [np.stack([unpack(getattr(r, a), getattr(r, b)) for r in records]) for a, b in names]


def estimated(folder, records, labels, groups, shards=2, **options):
    write_run(folder, records, labels, shards)
    shards = [str(path) for path in sorted((folder / "predictions").glob("*.tfrecord"))]
    path = str(folder / "predictions" / "labels.npz")
    return estimate_groups(shards, path, groups, folder / "groups", **options)


def test_twins_are_memorized_together_though_neither_is_alone(tmp_path):
    """Models are right on twins if one is in: without one 1 - 9/11 is lost, without both 1."""
    learner = LookupLearner([(1,), (0,), *[()] * 10], [(0, 1), (5,)], 10, [0] * 12, [0] * 2)
    groups = {"twins": np.array([0, 1]), "others": np.array([5, 6])}
    tables = estimated(tmp_path, learner.records(), learner.labels, groups)
    twins, others = tables.groups.to_dict("records")
    assert (twins["memorization"], twins["accuracy_in"], twins["accuracy_out"]) == (1, 1, 0)
    assert (twins["n_in"], twins["n_out"]) == (45, 1)  # of 66: C(10, 8) and C(10, 10)
    assert twins["example_memorization"] == pytest.approx(1 - 10 / 11)
    assert twins["example_memorization"] == pytest.approx(learner.memorization()[0])
    assert others["memorization"] == others["example_memorization"] == 1
    first = tables.group_influence.groupby("group").first()
    assert first.loc["twins", ["test_index", "influence"]].tolist() == [0, 1]
    assert first.loc["others", ["test_index", "influence"]].tolist() == [1, 1]
    assert tables.group_members["memorization"].tolist() == [1, 1, 1, 1]


def split(masks, group):
    """The trials that hold all of a group, and those that hold none of it."""
    return [k for k in range(len(masks)) if masks[k][group].all()], [
        k for k in range(len(masks)) if not masks[k][group].any()
    ]


@pytest.mark.parametrize("trials", [3, 130])
def test_estimates_equal_loops_over_trials(trials):
    rng = np.random.default_rng(trials)
    records = random_records(rng, trials, 12, 70, 0.6)
    masks, train, test = arrays(records)
    groups = {"pair": np.array([0, 3]), "one": np.array([7]), "three": np.array([2, 3, 11]),
              "all": np.arange(12)}  # fmt: skip
    for counts in tallied(groups, masks, train, test):
        group = groups[counts.name]
        inside, outside = split(masks, group)
        assert (counts.num_in, counts.num_out) == (len(inside), len(outside))
        mem, members = group_memorization(counts), member_memorization(counts).value
        infl, alone = group_influence(counts).value, example_memorization(counts).value
        if not inside or not outside:
            for estimate in (mem.value, mem.stderr, mem.low, mem.high, members, infl):
                assert np.isnan(estimate).all()
        else:
            for place, i in enumerate(group):
                expected = train[inside, i].mean() - train[outside, i].mean()
                assert members[place] == pytest.approx(expected)
            assert mem.value == pytest.approx(members.mean())
            np.testing.assert_allclose(
                infl, test[inside].mean(axis=0) - test[outside].mean(axis=0), atol=1e-12
            )
        for place, i in enumerate(group):
            np.testing.assert_allclose(alone[place], brute_force(masks, train, i, i), atol=1e-12)


def test_the_order_of_trials_is_nothing_and_complementing_masks_is_a_sign():
    rng = np.random.default_rng(3)
    masks, train, test = arrays(random_records(rng, 90, 9, 20, 0.5))
    groups = {"a": np.array([1, 2]), "b": np.array([4, 5, 8])}
    base = tallied(groups, masks, train, test)
    order = rng.permutation(90)
    for one, two in zip(
        base, tallied(groups, masks[order], train[order], test[order]), strict=True
    ):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(getattr(two, name), value)
    for one, two in zip(base, tallied(groups, ~masks, train, test), strict=True):
        assert group_memorization(two).value == pytest.approx(-group_memorization(one).value)
        assert group_memorization(two).stderr == pytest.approx(group_memorization(one).stderr)
        np.testing.assert_allclose(group_influence(two).value, -group_influence(one).value)


def test_a_group_of_one_has_the_errors_of_an_example():
    rng = np.random.default_rng(5)
    masks, train, test = arrays(random_records(rng, 60, 5, 3))
    (counts,) = tallied({"one": np.array([2])}, masks, train, test)
    known = member_memorization(counts)
    for name, value in vars(group_memorization(counts)).items():
        assert value == pytest.approx(getattr(known, name)[0])


def coverage(shares_in, shares_out, size, truth):
    """Coverage of intervals of simulated groups, and of Welch's without added trials."""
    tests = np.zeros((1, 0), bool)
    both = []
    for inside, outside in zip(shares_in, shares_out, strict=True):
        correct = np.concatenate([inside, outside])
        masks = np.repeat(np.arange(len(correct))[:, None] < len(inside), size, axis=1)
        (counts,) = tallied(
            {"g": np.arange(size)}, masks, correct, np.repeat(tests, len(correct), 0)
        )
        found = group_memorization(counts)
        means = inside.mean(axis=1), outside.mean(axis=1)
        welch = 1.96 * np.sqrt(sum(mean.var(ddof=1) / len(mean) for mean in means))
        both.append(
            (
                found.low <= truth <= found.high,
                abs(means[0].mean() - means[1].mean() - truth) <= welch,
            )
        )
    return np.mean(both, axis=0)


@pytest.mark.parametrize(("p_in", "p_out", "size", "shared"), [
    (1.0, 0.02, 3, True), (0.99, 0.2, 2, False), (0.98, 0.9, 8, True), (0.9, 0.5, 8, False),
])  # fmt: skip
def test_intervals_of_groups_cover(p_in, p_out, size, shared):
    """At least 92% of 400 with 14 trials in and 6 out (false alarm below 1e-3 at a true 95.5%),
    where Welch's, which has no width where models are always right, may cover next to none."""
    rng = np.random.default_rng(6)
    shape = (400, 20, 1 if shared else size)
    draws = np.broadcast_to(rng.random(shape), (400, 20, size))
    ours, welch = coverage(draws[:, :14] < p_in, draws[:, 14:] < p_out, size, p_in - p_out)
    assert ours >= 0.92
    if p_out == 0.02:
        assert welch < 0.3


def test_unsplit_groups_have_counts_and_a_number_of_trials(tmp_path):
    records, labels = random_run()
    groups = {"pair": np.array([0, 1]), "dozen": np.arange(12), "most": np.arange(30)}
    tables = estimated(tmp_path, records, labels, groups, top=3, least=5, parquet=True)
    rows = tables.groups.set_index("group")
    masks = arrays(records)[0]
    assert rows.loc["dozen", "n_in"] == masks[:, :12].all(axis=1).sum()
    assert rows.loc["pair", "trials_needed"] == 0
    # 28 of 40 are in: 12 are out with probability 1 / C(40, 12)
    assert rows.loc["dozen", "trials_needed"] == pytest.approx(5 * 5_586_853_480)
    assert rows.loc["most", "trials_needed"] == np.inf
    assert rows.loc["most", "size"] == 30
    assert rows.loc[["dozen", "most"], "memorization"].isna().all()
    assert set(tables.group_influence["group"]) == {"pair"}
    assert len(tables.group_influence) == 3
    assert (tables.group_influence["influence"].diff().dropna() <= 0).all()
    written = pd.read_parquet(tmp_path / "groups" / "groups.parquet")
    pd.testing.assert_frame_equal(written, tables.groups)


def test_a_group_that_is_never_split_needs_as_many_trials_as_an_example():
    masks = np.arange(8)[:, None] < np.array([6] * 4)
    (counts,) = tallied({"g": np.arange(4)}, masks, masks, np.zeros((8, 0), bool))
    assert trials_for_group(counts, 100, 0.75, 2) == 0
    assert trials_for_group(counts, 100, 0.75, 10) == 40
    assert trials_for_group(counts, 100, 0.5, 3) == 9  # 6 would do, on average, and 8 did not


def test_records_hold_the_counts_and_damaged_ones_are_refused(tmp_path):
    records, labels = random_run()
    groups = {"a ü": np.array([3, 4]), "b": np.array([5])}
    tables = estimated(tmp_path, records + records[:9], labels, groups, least=2)
    path = tmp_path / "groups" / "groups-00000-of-00001.tfrecord"
    with open(path, "rb") as file:
        payloads = [payload for payload, _ in read_records(file, "x")]
    found = [parse_group(payload, "x") for payload in payloads]
    for counts, expected in zip(found, tallied(groups, *arrays(records)), strict=True):
        for name, value in vars(expected).items():
            np.testing.assert_array_equal(getattr(counts, name), value)
    assert [group_example(counts) for counts in found] == payloads
    written = pd.read_csv(tmp_path / "groups" / "group_members.csv")
    np.testing.assert_allclose(
        written["memorization"], tables.group_members["memorization"], atol=1e-5
    )
    with pytest.raises(InputError, match=r"x: feature 'members'"):
        parse_group(group_example(found[0]).replace(b"members", b"numbers"), "x")


def test_bytes_do_not_depend_on_shards_order_or_repeated_trials(tmp_path):
    records, labels = random_run()
    groups = {"a": np.array([3, 4]), "b": np.array([4, 5, 6])}
    order = np.random.default_rng(0).permutation(len(records))
    shuffled = [records[k] for k in order] + records[:9]
    written = []
    for name, some, shards in (("one", records, 1), ("many", shuffled, 64)):
        estimated(tmp_path / name, some, labels, groups, shards)
        paths = sorted((tmp_path / name / "groups").iterdir())
        written.append({path.name: path.read_bytes() for path in paths})
    assert len(written[0]) == 5
    assert written[0] == written[1]


@pytest.mark.parametrize("kept", [200_000, 5])
def test_q_values_are_over_all_groups_and_test_examples(tmp_path, monkeypatch, kept):
    """Fisher's test and Benjamini & Hochberg's rate, both SciPy's; if few p-values are kept, rates
    of the others are too large. A group that is in no trial is not tested."""
    monkeypatch.setattr(significance, "_KEPT_BY_CHANCE", kept)
    records, labels = random_run()
    groups = {"a": np.array([3, 4]), "b": np.array([4, 5, 6]), "most": np.arange(30)}
    masks, _, test = arrays(records)
    test[:, 7] = masks[:, groups["a"]].all(axis=1)
    records = [replace(r, test_correct=pack(row)) for r, row in zip(records, test, strict=True)]
    tables = estimated(tmp_path, records, labels, groups, top=25)
    rows = tables.group_influence.set_index(["group", "test_index"]).sort_index()
    expected = []
    for name in ("a", "b"):
        trials = [test[side] for side in split(masks, groups[name])]
        for j in range(25):
            right = [int(side[:, j].sum()) for side in trials]
            wrong = [len(side) - n for side, n in zip(trials, right, strict=True)]
            expected.append(fisher_exact([right, wrong], alternative="greater").pvalue)
    np.testing.assert_allclose(rows["p_value"], expected, rtol=1e-9)
    q, true = rows["q_value"].to_numpy(), false_discovery_control(expected)
    assert rows.loc[("a", 7), "q_value"] == q.min() < 1e-9
    exact = np.array(expected) <= kept / 75
    np.testing.assert_allclose(q[exact], true[exact], rtol=1e-9)
    assert (q >= true - 1e-9).all()
    assert 0 < exact.sum() <= 50
    assert exact.all() == (kept > 75)


def test_the_command_line_has_the_library_s_defaults():
    parameters = [
        signature(command).parameters for command in (estimating.groups, preparing.duplicates)
    ]
    assert parameters[0]["least"].default == LEAST_TRIALS
    assert parameters[1]["threshold"].default == THRESHOLD


def test_shards_of_other_data_are_refused(tmp_path):
    _, labels = random_run(4)
    other = example_learner()
    with pytest.raises(InputError, match=r"record 0: expected predictions for 40 train"):
        estimated(tmp_path, other.records(), labels, {"a": np.array([1])})
    assert not (tmp_path / "groups").exists()


def test_a_shard_that_was_cut_between_records_is_refused(tmp_path):
    records, labels = random_run()
    predictions = write_run(tmp_path, records[:-1], labels)
    (predictions / "config.yaml").write_text("training: {trials: 130, stack_size: 130}")
    with pytest.raises(InputError, match=r"1 are missing: 129 \("):
        estimate_groups(
            str(predictions / "*.tfrecord"),
            str(predictions / "labels.npz"),
            {"a": np.array([1])},
            tmp_path / "groups",
        )


def test_the_manifest_says_of_which_predictions_and_groups_the_estimates_are(tmp_path):
    """The facts equal those in the manifest of estimates from the same predictions."""
    records, labels = random_run()
    predictions = write_run(tmp_path, records, labels)
    aggregate(tmp_path)
    made = []
    for members in ([1, 2], [1, 3]):
        places = str(predictions / "*.tfrecord"), str(predictions / "labels.npz")
        estimate_groups(*places, {"a": np.array(members)}, tmp_path / "groups")
        made.append(dict(read_manifest(tmp_path / "groups").made_from))
    digests = {facts.pop("groups") for facts in made}
    assert (len(digests), made[0]) == (2, made[1])
    assert made[0] == read_manifest(tmp_path / "memorization").made_from
