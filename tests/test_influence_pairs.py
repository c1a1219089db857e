"""Pairs selected by one model: the rule is compared with brute force; and the command."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from tests.helpers.commands import tfmem_command
from tfmem.config import SelectionSettings
from tfmem.messages.errors import InputError
from tfmem.selection.estimated import select_estimated
from tfmem.selection.settling import describe_selection
from tfmem.store.pairs import ModelInfluence
from tfmem.store.results import read_pairs, read_selection


def brute(train, test_labels, influence, settings):
    """Selects pairs by definition: training and test examples, most influential first."""
    sign = {"positive": lambda v: v, "negative": lambda v: -v, "both": abs}[settings.sign]
    rows = enumerate(train.itertuples())
    values = {
        (row.Index, j): sign(influence[i, j])
        for (i, row), j in itertools.product(rows, range(len(test_labels)))
        if settings.pairs == "all" or row.label == test_labels[j]
    }
    known = {pair: value for pair, value in values.items() if not np.isnan(value)}
    ranked = sorted(known, key=lambda pair: (-known[pair], *pair))
    if not settings.top_k:
        return [pair for pair in ranked if known[pair] >= settings.influence], len(values)
    places = {pair: sum(q[1] == pair[1] for q in ranked[:at]) for at, pair in enumerate(ranked)}
    return [p for p in ranked if places[p] < settings.top_k and known[p] > 0], len(values)


@pytest.mark.parametrize("rule", [{"influence": 0.5}, {"top_k": 3}])
@pytest.mark.parametrize("sign", ["positive", "negative", "both"])
@pytest.mark.parametrize("pairs", ["same_class", "all"])
def test_pairs_are_those_of_the_definition_however_tests_are_divided(rule, sign, pairs):
    rng = np.random.default_rng(0)
    labels, settings = rng.integers(0, 3, 20), SelectionSettings(sign=sign, pairs=pairs, **rule)
    train = pd.DataFrame({"label": rng.integers(0, 3, 12), "memorization": rng.random(12)})
    train = train.set_index(np.sort(rng.choice(100, 12, replace=False)))
    influence = rng.normal(size=(12, 20)).round(1)  # with ties
    influence[:, 4] = np.nan
    expected, tested = brute(train, labels, influence, settings)
    for size in (20, 7):
        parts = [np.arange(start, min(start + size, 20)) for start in range(0, 20, size)]
        blocks = [ModelInfluence(j, np.ones(len(j), bool), influence[:, j]) for j in parts]
        found = select_estimated(train, labels, blocks, settings)
        chosen = found.pairs
        assert [*zip(chosen.train_index, chosen.test_index, strict=True)] == expected
        place = train.index.get_indexer(chosen.train_index)
        np.testing.assert_array_equal(chosen.influence, influence[place, chosen.test_index])
        np.testing.assert_array_equal(chosen.memorization, train["memorization"].iloc[place])
        np.testing.assert_array_equal(chosen.test_label, labels[chosen.test_index])
        assert found.tested == tested
    known = {"pairs": len(expected), "tested": tested, "expected_by_chance": found.expected}
    assert "chance" not in describe_selection(settings, known)


def test_one_model_has_no_false_discovery_rate():
    none = pd.DataFrame({"label": [], "memorization": []})
    with pytest.raises(InputError, match=r"selection\.fdr: 0\.05: one model gives no p-values"):
        select_estimated(none, np.zeros(1, np.int64), [], SelectionSettings(fdr=0.05))


def test_the_command_selects_draws_and_shows_pairs(tmp_path):
    settings = "training.epochs=2", "self_influence.curvature_examples=200"
    asked = ["--out", tmp_path, "--solver", "exact", "--layer", "logits", "--pairs",
             *(word for each in settings for word in ("--set", each))]  # fmt: skip
    command = "self-influence", "configs/digits.yaml", *asked
    none = tfmem_command(*command, "--set", "selection.memorization=1").stdout
    assert "0 pairs selected among 0" in none
    assert "no example has memorization of 1 by this estimator" in none
    rule = {"memorization": 0.002, "top_k": 1}
    more = [word for name, value in rule.items() for word in ("--set", f"selection.{name}={value}")]
    done = tfmem_command(*command, *more).stdout
    folder = tmp_path / "self_influence" / "pairs"
    assert "self-influence-exact: unchanged, skipped" in done
    assert done.splitlines()[-1].startswith(f"Results: {folder}")
    pairs, selection = read_pairs(folder), read_selection(folder)
    assert len(pairs) == selection["pairs"] > 0
    assert pairs["memorization"].min() >= rule["memorization"]
    assert pairs["test_index"].is_unique
    assert json.loads((folder / "selection.json").read_text())["selection"]["top_k"] == 1
    assert (folder / "pair_gallery.png").stat().st_size > 5000
    shown = tfmem_command("pairs", folder, "--top", 1).stdout.splitlines()
    assert shown[0].split() == ["train", "test", "label", "influence", "memorization"]
    assert shown[1].split()[:2] == [str(pairs[name][0]) for name in ("train_index", "test_index")]
    assert f"{len(pairs):,} pairs selected among {selection['tested']:,}, 1 at most" in shown[3]
    refused = tfmem_command(*command, "--set", "selection.fdr=0.05", code=1)
    assert "selection.fdr: 0.05: one model gives no p-values" in refused.stderr
