"""Several models, each with seeds of its own, are trained on each subset."""

import numpy as np
import pytest

from tests.helpers.farms import Counted, run_farm
from tests.helpers.runs import aggregate
from tfmem.config import from_yaml
from tfmem.messages.errors import InputError
from tfmem.store.folders import open_folder
from tfmem.store.shards import read_shard, shards_in
from tfmem.subsets import subsets_of, with_subset_digests
from tfmem.subsets.given import GivenSubsets

# Of the version before `training.repeats`, for a default configuration.
FORMER = "b7bb5fc98709df550aedebbd8cb03933c05bd7fb4304d4bd425aead1f2b15f01"


def test_one_model_a_subset_is_what_runs_always_had():
    once, twice = (from_yaml("", [f"training.repeats={number}"]) for number in (1, 2))
    assert once.digest() == from_yaml("").digest() != twice.digest()
    assert once.digest().hex() == FORMER


def test_successive_trials_share_a_subset(tmp_path, digits, capsys):
    config = from_yaml("", ["training.trials=5", "training.repeats=2"])
    trainer = Counted(digits, 3)
    run_farm(config, digits, tmp_path, trainers=[trainer])
    assert sorted(trainer.asked) == [0, 1, 2, 3, 4, 5]  # each has seeds of its own
    records = [r for shard in shards_in(tmp_path / "predictions") for r in read_shard(shard)]
    masks = [record.subset_mask for record in records]
    assert masks[0] == masks[1] != masks[2] == masks[3] != masks[4] != masks[0]
    apart = subsets_of(from_yaml(""), len(digits.train_labels), open_folder(tmp_path / "none"))
    for number, mask in enumerate(masks[::2]):
        bits = np.unpackbits(np.frombuffer(mask, np.uint8), bitorder="little")
        assert np.array_equal(np.flatnonzero(bits), apart.subset(number))
    aggregate(tmp_path)
    assert "2 trials share each subset" in capsys.readouterr().err


def test_given_subsets_are_repeated(tmp_path):
    path = tmp_path / "s.npz"
    path.write_bytes(GivenSubsets.of([np.arange(8) < size for size in (3, 5)]).to_npz())
    sets = [f"training.subsets={path}", "training.trials=4", "training.repeats=2"]
    config = with_subset_digests(from_yaml("", sets))
    subsets = subsets_of(config, 8, open_folder(tmp_path / "predictions"))
    assert subsets.sizes.tolist() == [3, 3, 5, 5]
    assert [len(subsets.subset(k)) for k in range(6)] == [3, 3, 5, 5, 5, 5]
    with pytest.raises(InputError, match=r"expected 3 subsets for 5 trials .* received 2"):
        with_subset_digests(from_yaml("", [*sets, "training.trials=5"]))
