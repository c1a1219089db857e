from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.stats import chisquare

from tfmem.config import from_yaml
from tfmem.datasets import Dataset
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.groups import groups_to_csv, parse_groups, read_groups
from tfmem.store.shards import read_shard
from tfmem.subsets import Trial
from tfmem.subsets.drawing import subset_size
from tfmem.subsets.groups import check_groups, groups_digest, units
from tfmem.training import train


def parsed(text, num_train=10):
    return parse_groups(text.encode(), "my.csv", num_train)


def as_lists(groups):
    return {name: members.tolist() for name, members in groups.items()}


def test_a_file_of_groups_is_read_whatever_the_order_of_its_lines():
    groups = parsed('\ufeffindex,group\r\n7,"b, c"\n\n3,12\n 1 ,b\n2,12\n1,12\n')
    assert as_lists(groups) == {"12": [1, 2, 3], "b": [1], "b, c": [7]}
    assert [members.dtype for members in groups.values()] == [np.int64] * 3
    assert as_lists(parsed(groups_to_csv(groups).decode())) == as_lists(groups)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["header 'index,group'", "an empty file"]),
        ("group,index\na,1", ["header 'index,group'", "'group,index'"]),
        ("index,group\n", ["at least one line", "none"]),
        ("index,group\n1,a\n10,a", ["line 3", "from 0 to 9", "'10'"]),
        ("index,group\n-1,a", ["line 2", "from 0 to 9", "'-1'"]),
        ("index,group\n1.0,a", ["line 2", "index", "'1.0'"]),
        ("index,group\n99999999999999999999,a", ["line 2", "index"]),
        ("index,group\n1,a\n2,a\n1,a", ["line 4", "example 1", "'a'", "line 2"]),
        ("index,group\n1, ", ["line 2", "group", "nothing"]),
        ("index,group\n1", ["line 2", "received 1 value"]),
        ("index,group\n1,a,b", ["line 2", "received 3 values"]),
        ('index,group\n1,"a', ["not a CSV file"]),
    ],
)
def test_each_fault_is_one_line_that_names_its_place(text, words):
    with pytest.raises(InputError) as error:
        parsed(text)
    for word in ["my.csv", *words]:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read_and_groups_that_overlap_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: groups cannot be read: No such file"):
        read_groups(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"index,group\n1,\xe9")
    with pytest.raises(InputError, match="UTF-8"):
        read_groups(tmp_path / "latin.csv")
    with pytest.raises(InputError, match="example 1 is in groups 'a' and 'b'"):
        units(parsed("index,group\n1,a\n2,a\n1,b"), "my.csv")


def test_the_digest_is_of_what_belongs_together_not_of_names_lines_or_paths():
    base = groups_digest(parsed("index,group\n1,a\n2,a\n5,b"))
    assert groups_digest(parsed("index,group\n5,x\n2,y\n1,y")) == base
    others = ["index,group\n1,a\n2,a\n6,b", "index,group\n1,a\n2,a\n5,a", "index,group\n1,a\n2,a"]
    assert len({groups_digest(parsed(text)) for text in others} | {base}) == 4
    other = groups_digest(parsed(others[0]))
    runs = [
        from_yaml(f"training: {{groups: {path}, groups_digest: {value}}}").digest()
        for path, value in (("a.csv", base), ("b.csv", base), ("a.csv", other))
    ]
    assert runs[0] == runs[1] != runs[2]
    assert from_yaml("").digest() not in runs


SMALL = (np.array([0, 4, 5]), np.array([1, 9]), np.array([2, 3]))


def exact_distribution(groups, n, m):
    """Probability of each subset by definition: draws that fit, then uniform single examples."""
    singles = sorted(set(range(n)) - {i for group in groups for i in group.tolist()})
    weights = {}
    for chosen in product([True, False], repeat=len(groups)):
        inside = [i for group, take in zip(groups, chosen, strict=True) if take for i in group]
        room = m - len(inside)
        if 0 <= room <= len(singles):
            share = np.prod([m / n if take else 1 - m / n for take in chosen])
            weights[frozenset(map(int, inside))] = share, comb(len(singles), room)
    total = sum(share for share, _ in weights.values())
    return {inside: (share / total, ways) for inside, (share, ways) in weights.items()}, singles


@pytest.mark.parametrize("m", [6, 3])
def test_subsets_of_whole_groups_have_their_distribution(m):
    """Chi-square over exactly the subsets that exist, 8,000 trials: false alarm 1e-6."""
    expected, singles = exact_distribution(SMALL, 10, m)
    counts = {}
    for k in range(8_000):
        subset = Trial(k, 1).subset(10, m, SMALL)
        assert len(subset) == m
        assert (np.diff(subset) > 0).all()
        counts[subset.tobytes()] = counts.get(subset.tobytes(), 0) + 1
    seen, probabilities = [], []
    for key, count in counts.items():
        subset = set(np.frombuffer(key, np.int64).tolist())
        share, ways = expected[frozenset(subset - set(singles))]
        seen.append(count)
        probabilities.append(share / ways)
    assert len(seen) == sum(ways for _, ways in expected.values())
    assert chisquare(seen, np.array(probabilities) * 8_000).pvalue > 1e-6


def test_every_example_and_group_is_in_equally_often_where_there_are_enough_singles():
    """Bounds of 5.5 standard deviations on 30 examples and 10 pairs of groups: below 1e-5."""
    groups = [np.arange(3 * k, 3 * k + 3) for k in range(2)] + [np.array([8, 29])]
    trials = 6000
    masks = np.zeros((trials, 30))
    for k in range(trials):
        masks[k, Trial(k, 0).subset(30, 15, groups)] = 1
    assert all((np.ptp(masks[:, group], axis=1) == 0).all() for group in groups)
    assert np.abs(masks.mean(axis=0) - 0.5).max() < 5.5 * np.sqrt(0.25 / trials)
    for one, two in ((0, 3), (0, 8), (3, 8)):
        both = (masks[:, one] * masks[:, two]).mean()
        assert abs(both - 0.25) < 5.5 * np.sqrt(0.25 * 0.75 / trials)


def test_groups_that_make_no_subset_are_refused_with_a_fraction_at_which_they_do():
    check_groups([3, 2, 2], 10, 6)
    check_groups([500] * 100, 50_000, 35_000)
    check_groups([2] * 20_000, 50_000, 35_000)
    with pytest.raises(InputError, match=r"a group of 4 examples cannot be both"):
        check_groups([4], 10, 7)
    tens = [10] * 143 + [7]
    with pytest.raises(InputError, match=r"exactly 1006: .*training\.fraction=(\S+)") as error:
        check_groups(tens, 1437, subset_size(1437, 0.7))
    fraction = float(str(error.value).split("training.fraction=")[1].split()[0])
    size = subset_size(1437, fraction)
    assert abs(size - 1006) < 10
    check_groups(tens, 1437, size)
    groups = np.split(np.arange(1437), np.cumsum(tens)[:-1])
    assert len(Trial(0, 0).subset(1437, size, groups)) == size


def blobs():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    centers = rng.integers(0, 255, (2, 4, 4, 1), np.uint8)
    images = centers[labels] // 2 + rng.integers(0, 60, (60, 4, 4, 1), np.uint8)
    return Dataset("blobs", images[:40], labels[:40], images[40:], labels[40:], ("a", "b"))


def test_a_run_by_group_holds_them_as_wholes_and_is_not_mixed_with_another(tmp_path):
    file, out = tmp_path / "groups.csv", tmp_path / "run"
    file.write_text("index,group\n" + "".join(f"{i},{i // 5}\n" for i in range(15)))
    settings = ["training.trials=6", "training.epochs=1", "training.batch_size=8",
                "training.lanes=1", "training.stack_size=3", f"training.groups={file}"]  # fmt: skip
    train(from_yaml("", settings), blobs(), out)
    shards = sorted((out / "predictions").glob("predictions-*"))
    masks = [unpack(r.subset_mask, 40) for shard in shards for r in read_shard(shard)]
    assert {int(mask.sum()) for mask in masks} == {28}
    parts = np.array(masks)[:, :15].reshape(6, 3, 5)
    assert (parts.all(axis=2) | ~parts.any(axis=2)).all()
    assert parts.any()
    assert not parts.all()
    renamed = tmp_path / "renamed.csv"
    file.rename(renamed)
    more = [*settings[1:5], f"training.groups={renamed}", "training.trials=9"]
    assert train(from_yaml("", more), blobs(), out).trained == 3
    renamed.write_text("index,group\n0,a\n1,a\n")
    with pytest.raises(InputError, match=r"made with other settings \(training\.groups_digest"):
        train(from_yaml("", more), blobs(), out)
    with pytest.raises(InputError, match=r"training\.groups_digest: '\w+' -> None"):
        train(from_yaml("", settings[:5]), blobs(), out)
    (out / "predictions" / "groups.csv").write_bytes(renamed.read_bytes())
    resolved = from_yaml((out / "predictions" / "config.yaml").read_text())
    with pytest.raises(InputError, match=r"renamed\.csv: expected the groups with"):
        train(resolved, blobs(), out)
