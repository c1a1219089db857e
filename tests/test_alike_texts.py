"""Near duplicates among texts, against a double loop over sets."""

import numpy as np
import pytest

from tfmem.datasets.alike_texts import alike_texts, runs
from tfmem.datasets.duplicates import find_duplicates
from tfmem.datasets.text import without_classes
from tfmem.messages.errors import InputError


def some_texts(count=300, seed=0):
    """Texts of few words, of which every third is an earlier one with some changes."""
    rng = np.random.default_rng(seed)
    words = np.array(["a", "film", "with", "good", "cast", "and", "dull", "plot", "so", "long"])
    texts = ["", "a", "good", "x" * 12]
    for number in range(count):
        if number % 3:
            texts.append(" ".join(rng.choice(words, rng.integers(1, 20))))
            continue
        letters = list(texts[rng.integers(len(texts))])
        for _ in range(rng.integers(4)):
            letters.insert(rng.integers(len(letters) + 1), str(rng.choice(list("abc "))))
        texts.append("".join(letters))
    return texts


def brute_force(queries, others, threshold):
    found = {}
    for a, one in enumerate(map(runs, queries)):
        for b, other in enumerate(map(runs, others)):
            if len(one & other) >= threshold * len(one | other):
                found[a, b] = len(one & other) / len(one | other)
    return found


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8, 0.85, 1.0])
def test_all_pairs_are_found_and_no_others(threshold):
    queries, others = some_texts(), some_texts(280, 1)
    expected = brute_force(queries, others, threshold)
    found = {}
    for part in alike_texts(queries, others, threshold):
        found |= {(row.a, row.b): row.similarity for row in part.itertuples()}
    assert found == pytest.approx(expected)
    assert len(expected) > 5
    assert list(alike_texts([], others, threshold)) == list(alike_texts(queries, [], threshold))


def test_groups_of_texts_hold_equal_and_nearly_equal_ones(monkeypatch):
    texts = np.array(
        [
            "One of the best films of the year, and one of the longest.",
            "Dull.",
            "one of the best films of the year and one of the longest",
            "One of the best films of that year, and one of the longest!",
            "A film about a dog, which is also one of the longest of the year.",
            "One of the best films of that year, and one of the longest!",
        ],
        np.dtypes.StringDType(),
    )[:, None]
    data = without_classes("films", [texts, texts[[3, 1]]], None)
    found = find_duplicates(data, 0.7)
    assert {name: each.tolist() for name, each in found.groups.items()} == {"like-0": [0, 2, 3, 5]}
    pairs = found.train.set_index(["train_index", "other_index"])["similarity"]
    assert pairs[0, 2] == pairs[3, 5] == 1
    assert 0.7 < pairs[0, 3] < 1
    like = found.test.set_index(["test_index", "train_index"])["similarity"]
    assert like[0, 3] == like[1, 1] == 1
    assert like[0, 0] == pairs[0, 3]
    only_equal = find_duplicates(data, 1.0).groups
    assert [each.tolist() for each in only_equal.values()] == [[0, 2], [3, 5]]
    monkeypatch.setattr("tfmem.datasets.duplicates._MOST", 3)
    with pytest.raises(InputError, match=r"more than 3 reach 0\.7"):
        find_duplicates(data, 0.7)
