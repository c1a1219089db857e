import io

import numpy as np
import pytest

from tfmem.config import from_yaml
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.folders import open_folder
from tfmem.store.shards import read_shard
from tfmem.subsets import GivenSubsets, subsets_of, with_subset_digests
from tfmem.subsets.given import parse_subsets
from tfmem.subsets.stacks import largest_stack_of_one_size
from tfmem.training import train

SETTINGS = [
    "model.name=dense",
    "model.hidden=[8]",
    "training.epochs=3",
    "training.batch_size=8",
    "training.stack_size=2",
]


def given_config(path, masks, *more):
    path.write_bytes(GivenSubsets.of(masks).to_npz())
    return from_yaml(
        "", [*SETTINGS, f"training.trials={len(masks)}", f"training.subsets={path}", *more]
    )


def test_trials_are_trained_on_the_subsets_that_are_given(tmp_path, digits):
    count = len(digits.train_labels)
    rng = np.random.default_rng(0)
    masks = [rng.permutation(count) < size for size in (200, 200, count, count, 100)]
    config = given_config(tmp_path / "s.npz", masks)
    train(config, digits, tmp_path / "run")
    (tmp_path / "s.npz").unlink()  # there is a copy beside the predictions
    shards = sorted((tmp_path / "run" / "predictions").glob("*.tfrecord"))
    found = {record.trial_id: record for path in shards for record in read_shard(path)}
    for trial, mask in enumerate(masks):
        assert (unpack(found[trial].subset_mask, count) == mask).all()
    other = given_config(tmp_path / "s.npz", masks[::-1])
    with pytest.raises(InputError, match="subsets_digest"):
        train(other, digits, tmp_path / "run")


def test_a_stack_that_is_chosen_never_mixes_sizes(tmp_path, digits):
    count = len(digits.train_labels)
    masks = [np.arange(count) < size for size in [100] * 8 + [90] * 4 + [80] * 6]
    given = GivenSubsets.of(masks)
    most = (1, 3, 4, 7, 128)
    assert [largest_stack_of_one_size(given, size) for size in most] == [1, 2, 4, 4, 4]
    assert largest_stack_of_one_size(GivenSubsets.of(masks[:8]), 128) == 128
    config = given_config(tmp_path / "s.npz", masks, "training.stack_size=null")
    train(config, digits, tmp_path / "run")
    assert len(list((tmp_path / "run" / "predictions").glob("*.tfrecord"))) in (5, 9, 18)


def test_a_run_has_no_subsets_beyond_its_trials(tmp_path):
    """The last of three subsets has another size, but no trial uses it, and no stack meets it."""
    masks = [np.arange(40) < size for size in (20, 20, 30)]
    config = given_config(tmp_path / "s.npz", masks, "training.trials=2")
    folder = open_folder(tmp_path / "predictions")
    config = with_subset_digests(config)
    for _ in range(2):  # from the file, then from its copy
        subsets = subsets_of(config, 40, folder)
        assert subsets.sizes.tolist() == [20, 20]
        assert largest_stack_of_one_size(subsets, 8) == 8
        assert subsets.subset(2).tolist() == [*range(20)]
        (tmp_path / "s.npz").unlink(missing_ok=True)


def test_subsets_that_cannot_be_trained_are_refused(tmp_path, digits):
    count = len(digits.train_labels)
    masks = [np.arange(count) < size for size in (20, 21)]
    with pytest.raises(InputError, match=r"trials 0 to 1 are trained together.* 20 to 21"):
        train(given_config(tmp_path / "a.npz", masks), digits, tmp_path / "a")
    large = given_config(tmp_path / "b.npz", masks[:1] * 2, "training.batch_size=25")
    with pytest.raises(InputError, match=r"the 20 examples of the smallest subset, received 25"):
        train(large, digits, tmp_path / "b")
    other = given_config(tmp_path / "c.npz", [np.ones(30, bool)] * 2)
    with pytest.raises(InputError, match=f"expected subsets of {count} .* received 30"):
        train(other, digits, tmp_path / "c")
    many = given_config(tmp_path / "d.npz", masks, "training.trials=9")
    with pytest.raises(InputError, match=r"expected 9 subsets for 9 trials .* received 2"):
        train(many, digits, tmp_path / "d")


@pytest.mark.parametrize(
    ("masks", "num_train", "words"),
    [
        (np.zeros((2, 2), np.uint8), 16, "the subset of trial 0 is empty"),
        (np.full((2, 2), 255, np.uint8), 15, "beyond the 15"),
        (np.ones((2, 3), np.uint8), 16, r"uint8 \[trials, 2\].* received uint8 \[2, 3\]"),
        (np.ones((2, 2)), 16, "received float64"),
    ],
)
def test_files_of_subsets_are_checked(masks, num_train, words):
    file = io.BytesIO()
    np.savez(file, masks=masks, num_train=num_train)
    with pytest.raises(InputError, match="my.npz: .*" + words):
        parse_subsets(file.getvalue(), "my.npz")
    with pytest.raises(InputError, match=r"my\.npz: not a readable npz file"):
        parse_subsets(file.getvalue()[:50], "my.npz")
