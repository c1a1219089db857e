import numpy as np
import pytest

from tfmem.config import DatasetSettings
from tfmem.datasets import Dataset, load
from tfmem.datasets.duplicates import find_duplicates, write_duplicates
from tfmem.messages.errors import InputError
from tfmem.store.groups import read_groups


def as_lists(groups):
    return {name: members.tolist() for name, members in groups.items()}


def pictures(count=3000, side=20):
    """Makes smooth random pictures, which are sums of a few waves."""
    rng = np.random.default_rng(0)
    place = np.arange(side) / side
    waves = [
        np.outer(np.cos(np.pi * a * place), np.cos(np.pi * b * place))
        for a in range(6)
        for b in range(6)
    ]
    mixed = np.einsum(
        "nkc,khw->nhwc", rng.normal(size=(count, 36, 3)), np.array(waves[1:] + waves[:1])
    )
    return np.clip(128 + 25 * mixed, 0, 255).astype(np.uint8)


def dataset(train, test):
    labels = [np.zeros(len(images), np.int64) for images in (train, test)]
    return Dataset("pictures", train, labels[0], test, labels[1], ("a",))


def pairs(table, *names):
    return {tuple(map(int, row)) for row in table[list(names)].to_numpy()}


def test_what_is_planted_is_found_across_blocks_and_nothing_else(tmp_path):
    """Darker, noisier and equal copies are found, chains of copies, and blank pictures."""
    images = pictures()
    rng = np.random.default_rng(1)
    images[2500] = images[3]  # another block of the search
    images[40] = np.clip(images[7] * 0.8 + rng.normal(0, 6, images[7].shape), 0, 255)
    images[2900] = np.clip(images[7] * 0.9 + rng.normal(0, 6, images[7].shape), 0, 255)
    images[[11, 12]] = 255
    test = pictures()[:5].copy()
    test[[0, 1, 4]] = images[2999], np.clip(images[20] * 0.7 + 20, 0, 255), images[3]
    test[[2, 3]] = 255 - test[[2, 3]]
    found = find_duplicates(dataset(images, test))
    assert as_lists(found.groups) == {
        "like-3": [3, 2500],
        "like-7": [7, 40, 2900],
        "like-11": [11, 12],
    }
    assert pairs(found.train, "train_index", "other_index") >= {
        (3, 2500),
        (7, 40),
        (7, 2900),
        (11, 12),
    }
    assert (found.train["train_index"] < found.train["other_index"]).all()
    assert pairs(found.test, "test_index", "train_index") == {(0, 2999), (1, 20), (4, 3), (4, 2500)}
    assert found.test.set_index("train_index")["group"].to_dict() == {
        2999: "",
        20: "",
        3: "like-3",
        2500: "like-3",
    }
    exact = found.train["similarity"] == 1
    assert pairs(found.train[exact], "train_index", "other_index") == {(3, 2500), (11, 12)}
    write_duplicates(found, tmp_path / "found.csv")
    assert as_lists(read_groups(tmp_path / "found.csv", 3000)) == as_lists(found.groups)
    assert (tmp_path / "found-test.csv").read_text().startswith("test_index,train_index,group,")
    assert (tmp_path / "found-pairs.csv").read_text().count("\n") == len(found.train) + 1
    only_equal = find_duplicates(dataset(images, test), threshold=1.0)
    assert as_lists(only_equal.groups) == {"like-3": [3, 2500], "like-11": [11, 12]}


def test_similarities_are_those_of_all_pairs_at_once():
    """The search in blocks is compared with one matrix of the same vectors."""
    from tfmem.datasets.duplicates import _features

    data = dataset(pictures(2100), pictures(3)[:3])
    train, _ = _features(data)
    cosine = np.triu(train @ train.T, 1)
    expected = {tuple(pair) for pair in np.argwhere(cosine >= 0.3).tolist()}
    found = find_duplicates(data, 0.3).train
    assert pairs(found, "train_index", "other_index") == expected
    assert len(expected) > 50


def test_vectors_are_compared_as_they_are_and_too_many_pairs_are_refused(monkeypatch):
    rng = np.random.default_rng(2)
    features = rng.normal(size=(50, 12)).astype(np.float32)
    features[30] = features[4] + rng.normal(0, 0.05, 12)
    data = dataset(features, features[:1])
    assert as_lists(find_duplicates(data).groups) == {"like-4": [4, 30]}
    monkeypatch.setattr("tfmem.datasets.duplicates._MOST", 20)
    with pytest.raises(InputError, match=r"more than 20 reach 0.1 \(--threshold"):
        find_duplicates(data, 0.1)


def test_near_duplicates_of_cifar100(shared_data):
    """In the first 10,000 training pictures nearly all pairs are of one class; by chance, 1%."""
    folder = shared_data / "cifar-100-binary"
    data = load(DatasetSettings(name="cifar100", data_dir=str(folder)))
    found = find_duplicates(data.keep(np.arange(10_000), np.arange(2000)))
    labels = data.train_labels[found.train[["train_index", "other_index"]].to_numpy()]
    assert len(labels) >= 15
    assert (labels[:, 0] == labels[:, 1]).mean() > 0.85
    assert max(map(len, found.groups.values())) < 10
