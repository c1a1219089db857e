"""Values that equal a threshold reach it, in every command."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tfmem
from tfmem.audit.effects import large
from tfmem.config import SelectionSettings
from tfmem.estimation import estimator
from tfmem.estimation.agreement import Agreement
from tfmem.estimation.thresholds import at_least, counts_at_least, levels
from tfmem.exchange.matrices import ClassMatrix, load_matrices, write_matrices
from tfmem.exchange.pairs import write_pairs
from tfmem.exchange.selection import open_pairs
from tfmem.selection.estimated import select_estimated
from tfmem.selection.finding import _Finder
from tfmem.store.pairs import ModelInfluence

THRESHOLDS = [number / 20 for number in range(1, 20)]
IN, OUT = 60, 40  # trials with an example, and without


def borderline(threshold):
    """Counts with and without whose difference of quotients is at the threshold, or next to it."""
    pairs = [(a, b) for a in range(IN + 1) for b in range(OUT + 1)]
    near = sorted(pairs, key=lambda ab: abs(ab[0] / IN - ab[1] / OUT - threshold))[:40]
    truth = [Fraction(a, IN) - Fraction(b, OUT) >= Fraction(str(threshold)) for a, b in near]
    assert {True, False} == set(truth)
    return np.array(near), np.array(truth)


def by_counts(counts, values, threshold, folder):
    covariance = counts[:, 0] * OUT - counts[:, 1] * IN
    return counts_at_least(covariance, np.full(len(counts), IN * OUT), threshold)


def by_finder(counts, values, threshold, folder):
    full = np.full(len(counts), IN)
    train = estimator.TrainCounts(
        IN + OUT, np.arange(len(counts)), 0 * full, full, counts.sum(axis=1), counts[:, 0]
    )
    none = estimator.TestCounts(*np.zeros((3, 0), np.int64), None)
    rows = _Finder(train, none, SelectionSettings(memorization=threshold), 1).rows
    return np.isin(np.arange(len(counts)), rows)


def by_agreement(counts, values, threshold, folder):
    found = []
    for value in values:
        agreement = Agreement(np.array([threshold]))
        agreement.add(np.array([value]), np.array([value]), np.zeros(1))
        found.append(agreement.curve().both[0] == 1)
    return np.array(found)


def by_audit(counts, values, threshold, folder):
    same = np.zeros(1, int)
    helps = [len(large(np.array([[v]]), same, same, threshold)[0]) == 1 for v in values]
    harms = [len(large(np.array([[-v]]), same, same, threshold)[0]) == 1 for v in values]
    assert helps == harms
    return np.array(helps)


def by_one_model(counts, values, threshold, folder):
    block = ModelInfluence(np.arange(len(values)), np.ones(len(values), bool), values[None])
    train = pd.DataFrame({"memorization": [1.0], "label": [0]})
    settings = SelectionSettings(influence=threshold)
    pairs = select_estimated(train, np.zeros(len(values), int), [block], settings).pairs
    return np.isin(np.arange(len(values)), pairs.test_index)


def by_matrices(counts, values, threshold, folder):
    index = np.arange(len(values))
    block = ClassMatrix(0, index, index, np.diag(values))
    write_matrices(folder / "m.npz", [block], values)
    pairs = load_matrices(folder / "m.npz").pairs(threshold, threshold)
    return np.isin(index, pairs["train_index"])


def by_released_pairs(counts, values, threshold, folder):
    found = []
    for kind in (np.float64, np.float32):
        index, stored = np.arange(len(values)), values.astype(kind)
        write_pairs(
            folder / "p.npz",
            pd.DataFrame({"train_index": index, "test_index": index, "label": 0,
                          "influence": stored, "memorization": stored}),
        )  # fmt: skip
        table = open_pairs(folder / "p.npz", threshold, threshold).table
        found.append(np.isin(index, table["train_index"]))
    np.testing.assert_array_equal(*found)
    return found[0]


def by_levels(counts, values, threshold, folder):
    several = np.array([threshold - 0.02, threshold, threshold + 0.02])
    found = levels(values, several)
    np.testing.assert_array_equal(found, levels(values.astype(np.float32), several))
    return found >= 2


CALLERS = [by_counts, by_finder, by_agreement, by_audit, by_one_model, by_matrices,
           by_released_pairs, by_levels]  # fmt: skip


@pytest.mark.parametrize("caller", CALLERS)
def test_all_callers_agree_on_what_is_at_a_threshold(caller, tmp_path):
    for threshold in THRESHOLDS:
        counts, truth = borderline(threshold)
        values = counts[:, 0] / IN - counts[:, 1] / OUT
        np.testing.assert_array_equal(caller(counts, values, threshold, tmp_path), truth)


def test_float64_agrees_with_the_fractions_for_four_thousand_trials():
    draws = np.random.default_rng(0)
    for threshold in (0.15, 0.25, 0.35, 0.7, 0.123):
        least = Fraction(str(threshold))
        num_in = draws.integers(1200, 2900, 3000)
        num_out = 4000 - num_in
        without = draws.integers(0, num_out // 4)
        edge = [least + Fraction(int(b), int(o)) for b, o in zip(without, num_out, strict=True)]
        with_it = np.array([int(e * int(i)) for e, i in zip(edge, num_in, strict=True)])
        for correct_in in (with_it, with_it + 1):
            covariance = correct_in * num_out - without * num_in
            truth = counts_at_least(covariance, num_in * num_out, threshold)
            values = correct_in / num_in - without / num_out
            np.testing.assert_array_equal(at_least(values, threshold), truth)


def test_no_other_file_compares_with_a_threshold():
    compared = re.compile(
        r">=? *(np\.float\w+\()?(threshold|selection\.|\w+\.selection\.|LEAST\b)"
        r"|(memorization|influence)\W* *>=? *0\.\d"
    )
    allowed = {"thresholds.py", "significance.py"}  # p-values
    allowed |= {"duplicates.py", "alike_texts.py"}  # similarities
    for path in Path(tfmem.__file__).parent.rglob("*.py"):
        if path.name not in allowed:
            found = [line for line in path.read_text().splitlines() if compared.search(line)]
            assert not [line for line in found if '"' not in line and "#" not in line], path
