import itertools
import math

import numpy as np
import pytest
from scipy.stats import fisher_exact

from tests.helpers.counts import packed
from tests.helpers.oracle import LookupLearner
from tests.helpers.runs import aggregate, write_run
from tfmem.config import SelectionSettings
from tfmem.estimation import estimator
from tfmem.estimation.estimator import count_train, memorization
from tfmem.estimation.kernels import ones
from tfmem.estimation.search import Search, TooMany
from tfmem.estimation.significance import p_values, q_values
from tfmem.selection.finding import in_all_classes
from tfmem.selection.settling import choose_pairs, describe_selection
from tfmem.store.records import encode_example
from tfmem.store.results import read_pairs
from tfmem.store.tables import encode_rows


def farm(seed, trials=130, train=90, test=70):
    """Random trials in which some training examples are memorized, and some influence tests."""
    rng = np.random.default_rng(seed)
    masks = np.argsort(rng.random((trials, train)), axis=1) < round(0.7 * train)
    masks[:, 0], masks[:, 1] = True, False  # never held out, never included
    correct = np.where(rng.random(train) < 0.5, masks, rng.random((trials, train)) < 0.6)
    right = rng.random((trials, test)) < rng.random(test)
    right[:, :20] = np.where(rng.random((trials, 20)) < 0.5, masks[:, 5:25], right[:, :20])
    right[:, 20:23] = np.where(rng.random((trials, 3)) < 0.5, ~masks[:, 30:33], right[:, 20:23])
    right[:, 23], right[:, 24] = True, False
    return masks, correct, right


def search_all(masks, correct, right, settings, tile=10**6, found=10**6):
    """Selects pairs tile by tile."""
    trials, count = masks.shape
    bits, train_bits, test_bits = map(packed, (masks, correct, right))
    tests = estimator.TestCounts(
        np.arange(right.shape[1]), np.zeros(right.shape[1], np.int64), ones(test_bits)
    )
    search = Search(test_bits, trials, found)
    parts = []
    for start in range(0, count, tile):
        rows = slice(start, min(start + tile, count))
        index = np.arange(rows.start, rows.stop)
        train = count_train(trials, index, index % 3, bits[rows], train_bits[rows])
        possible = count * right.shape[1]
        parts.append(in_all_classes(train, bits[rows], tests, search, settings, possible))
    return choose_pairs(parts, settings)


def brute(masks, correct, right, settings):
    """Estimates all pairs by definition, with p-values of Fisher's exact test."""
    sides = {"positive": "greater", "negative": "less"}
    values, p = {}, {}
    for i, j in itertools.product(range(masks.shape[1]), range(right.shape[1])):
        held, left = masks[:, i], ~masks[:, i]
        if not held.any() or not left.any():
            continue
        mem = correct[held, i].mean() - correct[left, i].mean()
        if mem < settings.memorization:
            continue
        values[i, j] = right[held, j].mean() - right[left, j].mean()
        table = [[(right[m, j]).sum(), (~right[m, j]).sum()] for m in (held, left)]
        if settings.sign == "both":
            p[i, j] = min(
                1, 2 * min(fisher_exact(table, alternative=s).pvalue for s in sides.values())
            )
        else:
            p[i, j] = fisher_exact(table, alternative=sides[settings.sign]).pvalue
    return values, p


@pytest.mark.parametrize("sign", ["positive", "negative", "both"])
def test_selection_among_all_pairs_is_its_definition(sign):
    data = farm(1, train=40, test=45)
    base = SelectionSettings(sign=sign, pairs="all", memorization=0.1, influence=0.2)
    values, p = brute(*data, base)
    factor = {"positive": 1, "negative": -1}
    score = {key: abs(v) if sign == "both" else factor[sign] * v for key, v in values.items()}
    keys = sorted(values)
    found = search_all(*data, base)
    assert found.tested == len(values)
    pairs = list(zip(found.pairs.train_index, found.pairs.test_index, strict=True))
    assert set(pairs) == {key for key in keys if score[key] >= 0.2 - 1e-12} != set()
    np.testing.assert_allclose(found.pairs.influence, [values[key] for key in pairs])
    np.testing.assert_allclose(found.pairs.p_value, [p[key] for key in pairs], rtol=1e-9)
    assert (np.diff([score[key] for key in pairs]) <= 1e-12).all()

    found = search_all(*data, base.model_copy(update={"top_k": 2}))
    for j in range(45):
        best = sorted((-score[key], key) for key in keys if key[1] == j and score[key] > 1e-12)
        chosen = found.pairs.test_index == j
        assert sorted(found.pairs.train_index[chosen]) == sorted(key[0] for _, key in best[:2])

    found = search_all(*data, base.model_copy(update={"fdr": 0.1}))
    order = sorted(keys, key=p.get)
    family = 40 * 45  # of all pairs, whether the training example is memorized or not
    passing = [rank for rank, key in enumerate(order, 1) if p[key] <= 0.1 * rank / family]
    expected = set(order[: max(passing)])
    chosen = set(zip(found.pairs.train_index, found.pairs.test_index, strict=True))
    assert chosen == expected != set()
    assert (found.pairs.q_value <= 0.1).all()


@pytest.mark.parametrize("rule", [{}, {"top_k": 3}, {"fdr": 0.05}])
def test_tiles_and_room_do_not_matter(rule):
    data = farm(2)
    settings = SelectionSettings(pairs="all", memorization=0.05, influence=0.12, **rule)
    whole = search_all(*data, settings)
    assert len(whole.pairs.train_index) > 5
    for tile, room in ((7, 10**6), (33, 900), (1000, 300)):
        parts = search_all(*data, settings, tile, room)
        for name, values in vars(whole.pairs).items():
            np.testing.assert_array_equal(getattr(parts.pairs, name), values)
        assert (parts.tested, parts.expected) == (whole.tested, whole.expected)


def test_a_search_finds_exactly_what_is_beyond_and_says_when_it_is_too_much():
    rng = np.random.default_rng(3)
    left, right = rng.random((333, 101)) < 0.7, rng.random((333, 57)) < rng.random(57)
    covariance = 333 * (left.T.astype(int) @ right) - left.sum(0)[:, None] * right.sum(0)
    rows, columns = packed(left), packed(right)
    low, high = np.sort(rng.normal(scale=3000, size=(2, 57)), axis=0)
    low[3], high[4] = -np.inf, np.inf
    for threads in (1, 3):
        found = Search(columns, 333, 10**5, threads)(rows, ones(rows), low, high)
        beyond = (covariance <= low) | (covariance >= high)
        near = (covariance <= low + 1) | (covariance >= high - 1)
        chosen = np.zeros_like(beyond)
        chosen[found.row, found.column] = True
        assert not (beyond & ~chosen).any()
        assert not (chosen & ~near).any()
        np.testing.assert_array_equal(
            found.both, (left.T.astype(int) @ right)[found.row, found.column]
        )
    with pytest.raises(TooMany):
        Search(columns, 333, 100)(rows, ones(rows), low, high)


def test_false_discovery_rates_hold():
    """Of 400 farms in which nothing matters, 5% select something at 0.05: more than 8.5% would be
    3.2 standard errors above (false alarm 7e-4)."""
    rng = np.random.default_rng(4)
    selected = 0
    for _ in range(400):
        masks, correct = rng.random((2, 60, 12)) < 0.7
        settings = SelectionSettings(pairs="all", memorization=-1, fdr=0.05)
        found = search_all(masks, correct, rng.random((60, 15)) < 0.5, settings)
        selected += len(found.pairs.train_index) > 0
    assert selected <= 34


def test_as_many_reach_a_threshold_by_chance_as_expected():
    """Farms in which nothing matters; the count's standard deviation over 150 farms is below 4% of
    its mean, the bound 5 of them (false alarm below 1e-5)."""
    rng = np.random.default_rng(5)
    seen = expected = 0.0
    for sign in ("positive", "negative", "both"):
        settings = SelectionSettings(pairs="all", memorization=-1, influence=0.15, sign=sign)
        for _ in range(50):
            masks = np.argsort(rng.random((100, 20)), axis=1) < 14
            right = rng.random((100, 30)) < rng.random(30)
            found = search_all(masks, masks, right, settings)
            seen += len(found.pairs.train_index)
            expected += found.expected
    assert seen == pytest.approx(expected, rel=0.2)


def test_trials_of_uneven_quality_make_no_discoveries():
    """There is no influence, but a random effect of each model on all its predictions.

    At a rate of 5%, some pair is found in at most 5% of data sets: in more than 14 of 100 with a
    probability below 1e-4. Over the pairs of memorized examples alone it would be in about 30.
    """
    rng, settings = np.random.default_rng(9), SelectionSettings(fdr=0.05, pairs="all")
    found = 0
    for _ in range(100):
        masks = np.argsort(rng.random((100, 100)), axis=1) < 70
        quality = rng.normal(0, 4, (100, 1))
        correct, right = rng.random((2, 100, 100)) < 1 / (1 + np.exp(-quality))
        found += len(search_all(masks, correct, right, settings).pairs.train_index) > 0
    assert found <= 14


def test_q_values_are_those_of_the_definition():
    rng = np.random.default_rng(6)
    p = np.round(rng.random(50) ** 3, 2)
    q = q_values(p, 80)
    for value, found in zip(p, q, strict=True):
        larger = p[p >= value]
        expected = min(1, min(x * 80 / (p <= x).sum() for x in larger))
        assert found == pytest.approx(expected)
    assert p_values(*np.array([[3], [5], [4]]), 12, "positive")[0] == pytest.approx(
        fisher_exact([[3, 2], [1, 6]], alternative="greater").pvalue
    )


def test_tables_are_the_bytes_of_their_records():
    rng = np.random.default_rng(7)
    columns = {
        "index": rng.integers(0, 2 ** rng.integers(0, 62, 300)),
        "below": -rng.integers(0, 5, 300),
        "value": rng.normal(size=300),
        "a long name" * 20: rng.random(300) < 0.5,
        "nan": np.full(300, np.nan, np.float32),
    }
    rows = encode_rows(columns)
    for i, row in enumerate(rows):
        assert row == encode_example({name: values[i] for name, values in columns.items()})
    assert encode_rows({name: values[:0] for name, values in columns.items()}) == []


def test_memorized_rows_only_are_tested():
    masks, correct, right = farm(8)
    train = count_train(
        len(masks), np.arange(90), np.zeros(90, np.int64), packed(masks), packed(correct)
    )
    found = search_all(masks, correct, right, SelectionSettings(pairs="all"))
    values = memorization(train).value
    assert found.tested == 70 * (values >= 0.25).sum()


def test_a_selection_of_noise_is_said_to_be_one():
    found = {"pairs": 30, "tested": 5000, "expected_by_chance": 12.4}
    said = describe_selection(SelectionSettings(), found)
    assert said.startswith("30 pairs selected among 5,000; 12 with influence >= 0.15")
    assert "warning" in said
    assert "warning" not in describe_selection(
        SelectionSettings(), found | {"expected_by_chance": 0.02}
    )
    assert "rate of 0.1" in describe_selection(SelectionSettings(fdr=0.1), found)


def test_a_p_value_that_no_float32_can_hold_is_kept_as_its_logarithm(tmp_path):
    """A model is right exactly with example 0: of C(495, 330) ways to be as often right, one."""
    learner = LookupLearner([()] * 12, [(0,)], 8, [0] * 12, [0])
    write_run(tmp_path, learner.records(), learner.labels)
    aggregate(tmp_path)
    first = read_pairs(tmp_path / "pairs").iloc[0]
    assert (first["train_index"], first["test_index"], first["p_value"]) == (0, 0, 0)
    assert first["log10_p_value"] == pytest.approx(-math.log10(math.comb(495, 330)), rel=1e-6)
