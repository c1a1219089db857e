"""Predictions of released checkpoints, each of which lists examples in an order of its own."""

import numpy as np
import pytest
from typer.testing import CliRunner

import tfmem
from tests.helpers.oracle import example_learner, random_records
from tfmem import exchange as published
from tfmem.messages.errors import InputError
from tfmem.pipelines.cli import app
from tfmem.store.bits import unpack
from tfmem.store.labels import Labels
from tfmem.store.shards import read_shard

LEARNER = example_learner()


def aux_arrays(record, rng):
    """The arrays that the authors would have stored for a trial."""
    mask, train = (
        unpack(packed, record.num_train) for packed in (record.subset_mask, record.train_correct)
    )
    test = unpack(record.test_correct, record.num_test)
    index = {
        "train": rng.permutation(np.flatnonzero(mask)),
        "removed": rng.permutation(np.flatnonzero(~mask)),
        "test": rng.permutation(record.num_test),
    }
    return {
        "subsample_idx": rng.permutation(index["train"]),
        **{f"index_{split}": order for split, order in index.items()},
        "correctness_train": train[index["train"]],
        "correctness_removed": train[index["removed"]],
        "correctness_test": test[index["test"]],
    }


def store(folder, records):
    rng = np.random.default_rng(0)
    for record in records:
        run = folder / str(record.trial_id)
        run.mkdir(parents=True)
        np.savez(run / "aux_arrays.npz", **aux_arrays(record, rng))
    return folder


def test_every_example_gets_its_own_bits_back(tmp_path):
    records = random_records(np.random.default_rng(1), 70, 23, 9)  # two shards
    folder = store(tmp_path / "runs" / "0.7", records)
    found = published.import_checkpoints(tmp_path / "runs", tmp_path / "out")
    assert (found.trials, found.num_train, found.num_test, found.subset_size) == (70, 23, 9, 16)
    shards = sorted((tmp_path / "out").iterdir())
    assert [path.name[:17] for path in shards] == ["predictions-00000", "predictions-00001"]
    imported = {record.trial_id: record for path in shards for record in read_shard(path)}
    for record in records:
        for name in ("subset_mask", "train_correct", "test_correct"):
            assert getattr(imported[record.trial_id], name) == getattr(record, name)
    with pytest.raises(InputError, match="holds predictions"):
        published.import_checkpoints(folder, tmp_path / "out")


def test_from_checkpoints_to_estimates_and_published_pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "runs", LEARNER.records())
    (tmp_path / "labels.npz").write_bytes(LEARNER.labels.to_npz())

    def call(*words):
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    assert "56 trials on 5 of 8 training examples" in call(
        "import", "runs", "--labels", "labels.npz", "--out", "predictions"
    )
    call("estimate", "predictions/*.tfrecord", "--labels", "predictions/labels.npz",
         "--out", "estimates", "--memorization", "0.1", "--influence", "0.05")  # fmt: skip
    run = tfmem.load_run("estimates")
    np.testing.assert_allclose(run.memorization["memorization"], LEARNER.memorization(), atol=1e-6)
    call("export", "estimates", "--format", "pairs-npz", "--file", "pairs.npz")
    shown = call("pairs", "pairs.npz", "--influence", "0.3")
    pairs = run.pairs[run.pairs["influence"] >= 0.3]
    assert 0 < len(pairs) < len(run.pairs)
    assert f"{len(pairs)} pairs of {pairs['train_index'].nunique()} training" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("index_test"), "expected an array 'index_test'"),
        (lambda a: a.update(correctness_test=np.ones(4, bool)), r"correctness_test: .*\[5\]"),
        (lambda a: a.update(correctness_train=np.full(5, 2)), "only 0 and 1, received 2"),
        (lambda a: a.update(correctness_train=np.full(5, None)), "an array of Python objects"),
        (lambda a: a.update(index_test=np.array([0, 1, 2, 3, 5])), "received 5 where 4 was"),
        (lambda a: a.update(index_test=np.array([0, 1, 2, 3, 3])), "index 3 is there more than"),
        (lambda a: a.update(index_removed=a["index_train"][:3]), "each of 8 examples once"),
        (lambda a: a.update(subsample_idx=a["index_train"][:4]), "received 4, of which 0 are not"),
        (
            lambda a: a.update(
                subsample_idx=np.append(a["index_train"][:4], a["index_removed"][0])
            ),
            "received 5, of which 1 are not",
        ),
        (lambda a: a.update(subsample_idx=np.append(a["index_train"][:4], 99)), "of which 1 are"),
    ],
)
def test_arrays_that_contradict_each_other_are_refused_and_nothing_is_left(
    tmp_path, change, message
):
    store(tmp_path / "runs", LEARNER.records()[:3])
    path = tmp_path / "runs" / "1" / "aux_arrays.npz"
    contents = aux_arrays(LEARNER.records()[1], np.random.default_rng(0))
    change(contents)
    np.savez(path, **contents)
    with pytest.raises(InputError, match=message) as caught:
        published.import_checkpoints(tmp_path / "runs", tmp_path / "out")
    assert str(path) in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_runs_of_another_fraction_and_labels_of_other_data_are_refused(tmp_path):
    rng = np.random.default_rng(0)
    store(tmp_path / "0.7", random_records(rng, 2, 10, 4))
    store(tmp_path / "0.5", random_records(rng, 2, 10, 4, fraction=0.5))
    with pytest.raises(InputError, match=r"subsets of 5 as in .*received .* subsets of 7; import"):
        published.import_checkpoints(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="expected 8 training and 5 test examples, as many as"):
        published.import_checkpoints(tmp_path / "0.7", tmp_path / "out", LEARNER.labels)
    with pytest.raises(InputError, match=r"expected a file aux_arrays\.npz for each run"):
        published.import_checkpoints(tmp_path / "out", tmp_path / "other")


def test_labels_in_another_order_than_the_index_are_noticed(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    records = random_records(rng, 20, 10, 400)
    store(tmp_path / "runs", records)
    for record in records:  # classes of accuracy 0.5, 0.6, 0.7, 0.8
        path = tmp_path / "runs" / str(record.trial_id) / "aux_arrays.npz"
        contents = dict(np.load(path))
        chance = 0.5 + 0.1 * labels[contents["index_test"]]
        np.savez(path, **{**contents, "correctness_test": rng.random(400) < chance})
    p_values = []
    for name, given in (("right", labels), ("wrong", rng.permutation(labels))):
        known = Labels(np.zeros(10, np.int64), given, tuple("abcd"))
        found = published.import_checkpoints(tmp_path / "runs", tmp_path / name, known)
        p_values.append(found.label_p_value)
    assert p_values[0] < 1e-9
    assert p_values[1] > 1e-3  # 1 of 1,000 orders is below


def test_the_authors_labels_serve_as_labels(tmp_path):
    path = tmp_path / "imagenet_index.npz"
    names = np.array(["a", None], object)  # an array that needs unpickling, and is not touched
    np.savez(path, tr_labels=np.array([0, 2]), tt_labels=np.array([1]), tr_filenames=names)
    labels = published.read_labels(path)
    assert labels.train_labels.tolist() == [0, 2]
    assert labels.class_names == ("0", "1", "2")
